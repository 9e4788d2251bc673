"""The workspace folder: where every file lives, clip, chunk and style names, sidecars, the manifest.

    <root>/hdmap|lidar/<camera folder>/<clip>_<chunk>.mp4
    <root>/captions/<clip>.txt | <clip>.json                    and the latter's sidecar styles/<clip>.json
    <root>/single_view/<clip>_<style>.mp4                       and its sidecar <clip>_<style>.json
    <root>/multi_view/<clip>_<style>/{0..5,grid}.mp4, prompt.json   and its sidecar <clip>_<style>.json
    <root>/manifest.jsonl, logs/, notebooks/, .cache/

Chunk 0 of a clip keeps upstream's names; chunk n is `<clip>_<n>_<style>`.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dreamkit.errors import DreamkitError
from dreamkit.workspace.cameras import SIX_VIEWS, Camera, read_folders
from dreamkit.workspace.controls import CONTROLS
from dreamkit.workspace.files import nearest, nearest_file_hint, read_json, write_json, write_text

log = logging.getLogger(__name__)
STAGES = ("single_view", "multi_view")
_CHUNK_FILE = re.compile(r"(?P<clip>.+)_(?P<chunk>\d+)\.mp4")


@dataclass(frozen=True, order=True)
class Chunk:
    """One stretch of a clip: the clip's name and the stretch's number, from 0."""

    clip: str
    index: int = 0

    @property
    def name(self) -> str:
        """`<clip>` for the first chunk, `<clip>_<n>` for later ones: what output names begin with."""
        return self.clip if self.index == 0 else f"{self.clip}_{self.index}"


def home(start: Path | None = None) -> Path:
    """The folder that relative paths are read from: the working folder, or the one above when that is `notebooks`.

    JupyterLab starts a kernel in the notebook's own folder, `dreamkit run` and papermill in the user's; both must mean
    the same files.
    """
    folder = (start or Path.cwd()).resolve()
    return folder.parent if folder.name == "notebooks" else folder


def from_home(path: str | Path) -> Path:
    """An absolute path, `~` expanded, relative ones read from `home()`."""
    return home() / Path(path).expanduser()


def check_name(name: str, what: str) -> str:
    """Give the name back when it can stand in a file name.

    Raises:
        DreamkitError: empty, over 200 bytes, beginning with a dot, or with a slash or a control character in it.
    """
    bad = (
        not name.strip()
        or name.startswith(".")
        or len(name.encode()) > 200
        or any(letter in '/\\:*?"<>|' or ord(letter) < 32 for letter in name)
    )
    if bad:
        raise DreamkitError(
            f"{name!r} cannot be the name of a {what}: files are named after it.",
            'Use letters, digits, spaces, - and _; at most 200 bytes, no dot in front and none of / \\ : * ? " < > |.',
        )
    return name


class Workspace:
    """A workspace folder; the only code that knows where its files lie. Nothing is created until it is written.

    Args:
        root: the folder; relative ones are read from `home()`.
        folders: camera name -> folder name, as `cameras.read_folders` gives it; the f-theta folders when left out.
    """

    def __init__(self, root: str | Path = "outputs", folders: Mapping[str, str] | None = None) -> None:
        self.root = from_home(root)
        self.folders = dict(folders) if folders else read_folders(None)

    def __repr__(self) -> str:
        return f"Workspace({str(self.root)!r})"

    def must_exist(self) -> None:
        """Look that the folder is there, before anything is written into a misspelt one.

        Raises:
            DreamkitError: it is not; names the nearest that is.
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
        """Folder of the captions."""
        return self.root / "captions"

    def condition(self, control: str, camera: Camera, chunk: Chunk) -> Path:
        """The condition video of one control, camera and chunk; it need not exist."""
        return self.root / control / self.folders[camera.name] / f"{chunk.clip}_{chunk.index}.mp4"

    def found_condition(self, control: str, camera: Camera, chunk: Chunk) -> Path:
        """As `condition`, and it exists.

        Raises:
            DreamkitError: it does not; names the path looked for and the nearest that exists.
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
        """The clip's chunks that have a front condition video of this control, in order."""
        return sorted(chunk for chunk in self._front_chunks(control) if chunk.clip == clip)

    def _front_chunks(self, control: str) -> Iterator[Chunk]:
        folder = self.root / control / self.folders[SIX_VIEWS.front.name]
        for path in sorted(folder.glob("*.mp4")):
            match = _CHUNK_FILE.fullmatch(path.name)
            if match and not path.name.startswith("."):
                yield Chunk(match["clip"], int(match["chunk"]))

    def clips(self) -> list[str]:
        """Every clip that has a caption, sorted."""
        names = {path.stem for suffix in ("txt", "json") for path in self.captions.glob(f"*.{suffix}")}
        return sorted(name for name in names if not name.startswith("."))

    def style_record(self, clip: str) -> Path:
        """The sidecar of `captions/<clip>.json`: who wrote which style. Not beside it, where it would be a caption."""
        return self.root / "styles" / f"{check_name(clip, 'clip')}.json"

    def drawn_clips(self) -> list[str]:
        """Every clip that has a front condition video of some control, sorted."""
        return sorted({chunk.clip for control in CONTROLS for chunk in self._front_chunks(control)})

    # Results

    def name(self, chunk: Chunk, style: str) -> str:
        """`<clip>_<style>`, or `<clip>_<n>_<style>` for chunk n."""
        return f"{check_name(chunk.name, 'clip')}_{check_name(style, 'style')}"

    def single_view(self, chunk: Chunk, style: str) -> Path:
        """The front video."""
        return self.root / "single_view" / f"{self.name(chunk, style)}.mp4"

    def multi_view(self, chunk: Chunk, style: str) -> Path:
        """The folder of the views, `grid.mp4` and `prompt.json`."""
        return self.root / "multi_view" / self.name(chunk, style)

    def view(self, chunk: Chunk, style: str, index: int) -> Path:
        """The video of one view, by its index in the rig."""
        return self.multi_view(chunk, style) / f"{index}.mp4"

    def grid(self, chunk: Chunk, style: str) -> Path:
        """All views in one video."""
        return self.multi_view(chunk, style) / "grid.mp4"

    def prompts(self, chunk: Chunk, style: str) -> Path:
        """The prompts of all views, JSON."""
        return self.multi_view(chunk, style) / "prompt.json"

    def sidecar(self, stage: str, chunk: Chunk, style: str) -> Path:
        """The sidecar of a result of stage "single_view" or "multi_view"."""
        return self.root / stage / f"{self.name(chunk, style)}.json"

    def read_sidecar(self, stage: str, chunk: Chunk, style: str) -> dict[str, Any] | None:
        """The sidecar, or None when the result has none and is the user's own; a damaged one counts as none."""
        path = self.sidecar(stage, chunk, style)
        if not path.is_file():
            return None
        try:
            record = read_json(path, "sidecar")
        except DreamkitError as error:
            log.warning("%s It counts as none.", error.message)
            return None
        tables = [record.get(name, {}) for name in ("identity", "outputs", "replacing")]
        if not all(isinstance(table, dict) for table in tables):
            log.warning("The sidecar %s is damaged: it lists no files by name. It counts as none.", path)
            return None
        return record

    def write_sidecar(self, stage: str, chunk: Chunk, style: str, record: Mapping[str, Any]) -> Path:
        """Write a sidecar, with stage, clip, chunk and style in front, and renew the manifest."""
        path = self.sidecar(stage, chunk, style)
        write_json(path, {"stage": stage, "clip": chunk.clip, "chunk": chunk.index, "style": style, **record})
        self.write_manifest()
        return path

    def sidecars(self, stage: str) -> list[dict[str, Any]]:
        """Every readable sidecar of a stage, sorted by name; a broken one is left out, its video is not lost by it."""
        found = []
        for path in sorted((self.root / stage).glob("*.json")):
            try:
                record = read_json(path, "sidecar")
            except DreamkitError:
                continue
            if {"stage", "clip", "chunk", "style"} <= record.keys():
                found.append(record)
        return found

    # The manifest and the rest

    @property
    def manifest(self) -> Path:
        """One JSON line per result, made from the sidecars; safe to delete."""
        return self.root / "manifest.jsonl"

    def write_manifest(self) -> Path:
        """Write the manifest anew from the sidecars on disk."""
        lines = [json.dumps(record, ensure_ascii=False) for stage in STAGES for record in self.sidecars(stage)]
        write_text(self.manifest, "".join(f"{line}\n" for line in lines))
        return self.manifest

    def log_file(self, stage: str) -> Path:
        """Where a stage's log goes, appended run after run."""
        return self.root / "logs" / f"{stage}.log"

    def executed(self, notebook: str) -> Path:
        """Where the executed copy of a notebook is kept."""
        return self.root / "notebooks" / f"{notebook}.ipynb"

    def cache(self, what: str) -> Path:
        """A folder for things that can be made again."""
        return self.root / ".cache" / what

    def spec(self, stage: str) -> Path:
        """The control spec that lives in the workspace."""
        return self.root / f"{stage}_spec.json"


def listed_clips(ws: Workspace, asked: Sequence[str]) -> list[str]:
    """The clips asked for; when none is, every clip that has conditions or a caption.

    Raises:
        DreamkitError: there is none, or one asked for has neither.
    """
    there = sorted({*ws.clips(), *ws.drawn_clips()})
    if unknown := [clip for clip in asked if clip not in there]:
        close = nearest(unknown[0], there)
        raise DreamkitError(
            f"The workspace {ws.root} has no clip {unknown[0]}.",
            f"Did you mean {close}?" if close else f"It has {', '.join(there[:5]) or 'none'}.",
        )
    if not there:
        raise DreamkitError(
            f"The workspace {ws.root} has no clip: no condition video and no caption.",
            "Draw conditions with `dreamkit render`, or set workspace to the folder that has them.",
        )
    return list(asked) or there
