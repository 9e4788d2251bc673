"""The workspace folder: paths of all its files, and names of clips, chunks and styles.

    <root>/hdmap|lidar/<camera folder>/<clip>_<chunk>.mp4
    <root>/captions/<clip>.txt or <clip>.json                       with the sidecar styles/<clip>.json for the latter
    <root>/single_view/<clip>_<style>.mp4                           with the sidecar <clip>_<style>.json
    <root>/multi_view/<clip>_<style>/{0..5,grid}.mp4, prompt.json   with the sidecar <clip>_<style>.json
    <root>/single_view|multi_view/<clip>_<style>.blocked.json       instead of a result that the guardrail blocked
    <root>/manifest.jsonl, logs/, notebooks/, .cache/

Results of chunk 0 have upstream's names; those of chunk n are named `<clip>_<n>_<style>`.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dreamkit.errors import DreamkitError
from dreamkit.workspace.cameras import SIX_VIEWS, Camera, read_folders
from dreamkit.workspace.controls import CONTROLS
from dreamkit.workspace.file_names import check_name
from dreamkit.workspace.files import nearest, nearest_file_hint, write_json
from dreamkit.workspace.manifest import append_to_manifest, has_grown, rewrite_manifest
from dreamkit.workspace.sidecars import BLOCKED_SUFFIX, read_sidecar, read_sidecars

STAGES = ("single_view", "multi_view")
_CHUNK_FILE = re.compile(r"(?P<clip>.+)_(?P<chunk>\d+)\.mp4")


@dataclass(frozen=True, order=True)
class Chunk:
    """A part of a clip, for which one video is generated.

    Attributes:
        clip: name of the clip.
        index: number of the part, from 0.
    """

    clip: str
    index: int = 0

    @property
    def name(self) -> str:
        """`<clip>` for chunk 0, `<clip>_<n>` for chunk n: the beginning of the names of its results."""
        return self.clip if self.index == 0 else f"{self.clip}_{self.index}"


def home(start: Path | None = None) -> Path:
    """The folder that relative paths start from: the working folder, or the one above when that is `notebooks`.

    JupyterLab starts a kernel in the notebook's folder, `dreamkit run` and papermill in the working folder; a relative
    path must be the same file in both.
    """
    folder = (start or Path.cwd()).resolve()
    return folder.parent if folder.name == "notebooks" else folder


def from_home(path: str | Path) -> Path:
    """An absolute path: `~` is expanded, and a relative path starts from `home()`."""
    return home() / Path(path).expanduser()


class Workspace:
    """Paths of a workspace folder. Folders are made when a file is written, not before.

    Args:
        root: the folder; a relative path starts from `home()`.
        folders: camera name -> folder name, from `cameras.read_folders`; the f-theta folders when left out.
    """

    def __init__(self, root: str | Path = "outputs", folders: Mapping[str, str] | None = None) -> None:
        self.root = from_home(root)
        self.folders = dict(folders) if folders else read_folders(None)

    def __repr__(self) -> str:
        return f"Workspace({str(self.root)!r})"

    def must_exist(self) -> None:
        """Raise where the folder does not exist, so that nothing is written to a misspelt one.

        Raises:
            DreamkitError: the folder does not exist; the hint names the nearest that does.
        """
        if self.root.is_dir():
            return
        folder = self.root.parent
        beside = [entry for entry in folder.iterdir() if entry.is_dir()] if folder.is_dir() else []
        filled = [entry for entry in beside if any((entry / name).is_dir() for name in ("captions", *CONTROLS))]
        close = nearest(self.root.name, [entry.name for entry in beside if not entry.name.startswith(".")])
        found = folder / close if close else next(iter(sorted(filled)), None)
        if found is None and not beside:
            found = next((parent for parent in self.root.parents if parent.is_dir()), None)
        raise DreamkitError(
            f"There is no workspace folder {self.root}.",
            (f"The nearest that exists is {found}. " if found else "")
            + "Set workspace to the folder with your condition videos, or draw some into it with `dreamkit render`.",
        )

    # Inputs

    @property
    def captions(self) -> Path:
        """The folder of the captions."""
        return self.root / "captions"

    def condition(self, control: str, camera: Camera, chunk: Chunk) -> Path:
        """Path of the condition video of a control, camera and chunk, whether or not it exists."""
        return self.condition_in(control, self.folders[camera.name], chunk)

    def condition_in(self, control: str, folder: str, chunk: Chunk) -> Path:
        """Path of the condition video of a control and chunk in a camera folder, for cameras of no rig too."""
        return self.root / control / folder / f"{chunk.clip}_{chunk.index}.mp4"

    def found_condition(self, control: str, camera: Camera, chunk: Chunk) -> Path:
        """Path of the condition video of a control, camera and chunk.

        Raises:
            DreamkitError: it does not exist; the message has the path and the hint the nearest that exists.
        """
        path = self.condition(control, camera, chunk)
        if path.is_file():
            return path
        hint = nearest_file_hint(path)
        control_folder = self.root / control
        if control_folder.is_dir() and not path.parent.is_dir():
            names = sorted(entry.name for entry in control_folder.iterdir() if entry.is_dir())
            close = nearest(path.parent.name, names) or ", ".join(names) or "nothing"
            hint = f"{control_folder} holds {close}; a camera_table can map other folder names to the views."
        raise DreamkitError(f"The clip {chunk.name} has no {control} video for {camera.name}: {path} is missing.", hint)

    def chunks(self, clip: str, control: str = "hdmap") -> list[Chunk]:
        """The clip's chunks for which a front condition video of this control exists, in order."""
        return sorted(chunk for chunk in self._front_chunks(control) if chunk.clip == clip)

    def _front_chunks(self, control: str) -> Iterator[Chunk]:
        """Chunk of every front condition video of this control."""
        folder = self.root / control / self.folders[SIX_VIEWS.front.name]
        for path in sorted(folder.glob("*.mp4")):
            match = _CHUNK_FILE.fullmatch(path.name)
            if match and not path.name.startswith("."):
                yield Chunk(match["clip"], int(match["chunk"]))

    def clips(self) -> list[str]:
        """Names of all clips that have a caption, sorted."""
        names = {path.stem for suffix in ("txt", "json") for path in self.captions.glob(f"*.{suffix}")}
        return sorted(name for name in names if not name.startswith("."))

    def style_record(self, clip: str) -> Path:
        """The sidecar of `captions/<clip>.json`; in a folder of its own, because `captions` holds captions only."""
        return self.root / "styles" / f"{check_name(clip, 'clip')}.json"

    def drawn_clips(self) -> list[str]:
        """Names of all clips that have a front condition video of any control, sorted."""
        return sorted({chunk.clip for control in CONTROLS for chunk in self._front_chunks(control)})

    def known_clips(self) -> set[str]:
        """Every clip that has a caption, or a condition video of any control and camera folder."""
        names = set(self.clips())
        for control in CONTROLS:
            for path in (self.root / control).glob("*/*.mp4"):
                match = _CHUNK_FILE.fullmatch(path.name)
                if match and not path.name.startswith("."):
                    names.add(match["clip"])
        return names

    # Results by the name of their file or folder, whoever made them

    def result_names(self, stage: str) -> list[str]:
        """Name of every result of a stage, sorted: the file names in `single_view`, the folders in `multi_view`."""
        folder = self.root / stage
        if stage == "single_view":
            found = [path.stem for path in folder.glob("*.mp4")]
        else:
            found = [path.name for path in folder.glob("*") if path.is_dir()]
        return sorted(name for name in found if not name.startswith("."))

    def result_view(self, stage: str, name: str, index: int) -> Path:
        """The video of one view of a result, by its index in the rig; stage "single_view" has one video for all."""
        folder = self.root / stage
        return folder / f"{name}.mp4" if stage == "single_view" else folder / name / f"{index}.mp4"

    def result_sidecar(self, stage: str, name: str) -> Path:
        """The sidecar of a result, by the result's name."""
        return self.root / stage / f"{name}.json"

    # Results by chunk and style

    def name(self, chunk: Chunk, style: str) -> str:
        """Name of a result: `<clip>_<style>`, or `<clip>_<n>_<style>` for chunk n."""
        return f"{check_name(chunk.name, 'clip')}_{check_name(style, 'style')}"

    def single_view(self, chunk: Chunk, style: str) -> Path:
        """The front video of a chunk in a style."""
        return self.root / "single_view" / f"{self.name(chunk, style)}.mp4"

    def multi_view(self, chunk: Chunk, style: str) -> Path:
        """The folder of the views, `grid.mp4` and `prompt.json`."""
        return self.root / "multi_view" / self.name(chunk, style)

    def view(self, chunk: Chunk, style: str, index: int) -> Path:
        """The video of one view, by its index in the rig."""
        return self.multi_view(chunk, style) / f"{index}.mp4"

    def grid(self, chunk: Chunk, style: str) -> Path:
        """The video of all views side by side."""
        return self.multi_view(chunk, style) / "grid.mp4"

    def prompts(self, chunk: Chunk, style: str) -> Path:
        """The JSON file with the prompts of all views."""
        return self.multi_view(chunk, style) / "prompt.json"

    def sidecar(self, stage: str, chunk: Chunk, style: str) -> Path:
        """The sidecar of a result; `stage` is one of STAGES."""
        return self.root / stage / f"{self.name(chunk, style)}.json"

    def blocked(self, stage: str, chunk: Chunk, style: str) -> Path:
        """The record of a result that the guardrail blocked: `<name>.blocked.json`, where its sidecar would be."""
        return self.blocked_result(stage, self.name(chunk, style))

    def blocked_result(self, stage: str, name: str) -> Path:
        """The record of a blocked result, by the result's name."""
        return self.root / stage / f"{name}{BLOCKED_SUFFIX}"

    def blocked_names(self, stage: str) -> list[str]:
        """Name of every result of a stage that the guardrail blocked, sorted."""
        found = (self.root / stage).glob(f"[!.]*{BLOCKED_SUFFIX}")
        return sorted(path.name.removesuffix(BLOCKED_SUFFIX) for path in found)

    def failure(self, stage: str, name: str) -> Path:
        """The record of why a result was not made the last time, in the cache; `name` is the result's."""
        return self.cache(f"failures/{stage}/{name}.json")

    def read_sidecar(self, stage: str, chunk: Chunk, style: str) -> dict[str, Any] | None:
        """The sidecar of a result; None where there is none (the video is the user's own) or it is damaged."""
        return read_sidecar(self.sidecar(stage, chunk, style))

    def write_sidecar(self, stage: str, chunk: Chunk, style: str, record: Mapping[str, Any]) -> Path:
        """Write a sidecar: stage, clip, chunk and style, then `record`. Also append it to the manifest.

        Raises:
            DreamkitError: the sidecar cannot be written. A manifest that cannot be written is only a warning.
        """
        path = self.sidecar(stage, chunk, style)
        whole = {"stage": stage, "clip": chunk.clip, "chunk": chunk.index, "style": style, **record}
        write_json(path, whole)
        append_to_manifest(self.manifest, self._manifest_lock, whole)
        return path

    def sidecars(self, stage: str) -> list[dict[str, Any]]:
        """All sidecars of a stage, sorted by file name; damaged ones are left out."""
        return read_sidecars(self.root / stage)

    def result_videos(self, stage: str) -> list[Path]:
        """Every video of stage "single_view" or "multi_view", sorted; of the latter, the views and the grids."""
        pattern = "*.mp4" if stage == "single_view" else "*/*.mp4"
        return sorted(path for path in (self.root / stage).glob(pattern) if not path.name.startswith("."))

    # The manifest and the rest

    @property
    def manifest(self) -> Path:
        """One JSON line per result, copied from its sidecar; see the module `manifest`. Safe to delete."""
        return self.root / "manifest.jsonl"

    @property
    def _manifest_lock(self) -> Path:
        return self.cache("manifest.lock")

    def write_manifest(self) -> Path:
        """Write the manifest anew from the sidecars on disk, without lines of replaced results."""
        rewrite_manifest(
            self.manifest, self._manifest_lock, lambda: (record for stage in STAGES for record in self.sidecars(stage))
        )
        return self.manifest

    @contextlib.contextmanager
    def tidy_manifest(self) -> Iterator[None]:
        """Rewrite the manifest, where it is small or has grown, when the block ends, also after an exception."""
        try:
            yield
        finally:
            if self.manifest.exists() and has_grown(self.manifest, self._manifest_lock):
                self.write_manifest()

    def log_file(self, stage: str) -> Path:
        """The log file of a stage; each run appends to it."""
        return self.root / "logs" / f"{stage}.log"

    def executed(self, notebook: str) -> Path:
        """The executed copy of a notebook."""
        return self.root / "notebooks" / f"{notebook}.ipynb"

    @property
    def review_report(self) -> Path:
        """The page that notebook 06 writes."""
        return self.root / "review" / "report.html"

    def cache(self, what: str) -> Path:
        """Path of a file or folder in the cache, which may be deleted."""
        return self.root / ".cache" / what

    def review_file(self, name: str) -> Path:
        """A file of the review: verdicts, measures, table, report, the critic's answers."""
        return self.root / "review" / name

    def batch_folder(self, name: str) -> Path:
        """The folder of a batch: its plan, events, units, executed notebooks and report."""
        return self.root / "runs" / check_name(name, "batch")

    def batch_lock(self, stage: str, result: str) -> Path:
        """The file that a unit of a batch locks while it makes a result of a stage."""
        return self.cache(f"locks/batch-{stage}-{check_name(result, 'result')}.lock")

    def seed_folder(self, seed: int) -> Path:
        """The workspace of a further seed of a batch, inside this one; results have no seed in their names."""
        return self.root / "seeds" / str(seed)

    def spec(self, stage: str) -> Path:
        """The control spec of a stage, in the workspace."""
        return self.root / f"{stage}_spec.json"
