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
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dreamkit.errors import DreamkitError, first_line
from dreamkit.workspace.cameras import SIX_VIEWS, Camera, read_folders
from dreamkit.workspace.chunks import Chunk
from dreamkit.workspace.controls import CONTROLS
from dreamkit.workspace.file_names import (
    check_chunk,
    check_name,
    check_result,
    chunk_names,
    joined_name,
    usable_names,
    usable_results,
)
from dreamkit.workspace.files import write_json
from dreamkit.workspace.leftovers import remove_leftovers
from dreamkit.workspace.locks import LOCKS
from dreamkit.workspace.manifest import append_to_manifest, has_grown, rewrite_manifest
from dreamkit.workspace.partials import entries
from dreamkit.workspace.paths import from_home, home, how_to_draw, nearest_workspace
from dreamkit.workspace.sidecars import BLOCKED_SUFFIX, read_sidecar, read_sidecars

__all__ = ["STAGES", "Chunk", "Workspace", "from_home", "home"]

log = logging.getLogger(__name__)
STAGES = ("single_view", "multi_view")


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
        found = nearest_workspace(self.root, ("captions", *CONTROLS))
        raise DreamkitError(
            f"There is no workspace folder {self.root}.",
            (f"The nearest that exists is {found}. " if found else "")
            + "Set workspace to the folder with your condition videos, or draw some into it with `dreamkit render`.",
        )

    @property
    def captions(self) -> Path:
        """The folder of the captions."""
        return self.root / "captions"

    def condition(self, control: str, camera: Camera, chunk: Chunk) -> Path:
        """Path of the condition video of a control, camera and chunk, whether or not it exists."""
        return self.condition_in(control, self.folders[camera.name], chunk)

    def condition_in(self, control: str, folder: str, chunk: Chunk) -> Path:
        """Path of the condition video of a control and chunk in a camera folder, for cameras of no rig too."""
        name = f"{check_name(chunk.clip, 'clip')}_{check_chunk(chunk.index)}.mp4"
        return self.root / control / check_name(folder, "camera folder") / name

    def caption(self, clip: str, suffix: str) -> Path:
        """The caption file of a clip; `suffix` is "txt" (Original alone) or "json" (a caption for each style)."""
        return self.captions / f"{check_name(clip, 'clip')}.{suffix}"

    def found_condition(self, control: str, camera: Camera, chunk: Chunk) -> Path:
        """Path of the condition video of a control, camera and chunk.

        Raises:
            DreamkitError: it does not exist; the message has the path.
        """
        path = self.condition(control, camera, chunk)
        if path.is_file():
            return path
        raise DreamkitError(
            f"The clip {chunk.name} has no {control} video for {camera.name}: {path} is missing.",
            how_to_draw(path, self.root),
        )

    def chunks(self, clip: str, control: str = "hdmap") -> list[Chunk]:
        """The clip's chunks for which a front condition video of this control exists, in order."""
        return self.chunks_by_clip(control).get(clip, [])

    def chunks_by_clip(self, control: str = "hdmap") -> dict[str, list[Chunk]]:
        """Clip -> its chunks with a front condition video of this control, in order; lists the folder once."""
        found: dict[str, list[Chunk]] = {}
        for chunk in self._front_chunks(control):
            found.setdefault(chunk.clip, []).append(chunk)
        return found

    def _front_chunks(self, control: str) -> Iterator[Chunk]:
        """Chunk of every front condition video of this control."""
        folder = self.root / control / self.folders[SIX_VIEWS.front.name]
        found: dict[str, list[int]] = {}
        for clip, index in chunk_names(entries(folder)):
            found.setdefault(clip, []).append(index)
        for clip in usable_names(found, "clip", folder):
            yield from (Chunk(clip, index) for index in sorted(found[clip]))

    def clips(self) -> list[str]:
        """Names of all clips that have a caption, sorted; files with unusable names are left out with a warning."""
        names = (Path(name) for name in entries(self.captions))
        return usable_names((path.stem for path in names if path.suffix in (".txt", ".json")), "clip", self.captions)

    def style_record(self, clip: str) -> Path:
        """The sidecar of `captions/<clip>.json`; in a folder of its own, because `captions` holds captions only."""
        return self.root / "styles" / f"{check_name(clip, 'clip')}.json"

    def drawn_clips(self) -> list[str]:
        """Names of all clips that have a front condition video of any control, sorted."""
        return sorted({chunk.clip for control in CONTROLS for chunk in self._front_chunks(control)})

    def known_clips(self) -> set[str]:
        """Every clip that has a caption, or a condition video of any control and camera folder."""
        folders = [self.root / control / name for control in CONTROLS for name in entries(self.root / control)]
        drawn = {clip for folder in folders for clip, _ in chunk_names(entries(folder))}
        return {*self.clips(), *usable_names(drawn, "clip", self.root)}

    # Results by the name of their file or folder, whoever made them

    def result_names(self, stage: str) -> list[str]:
        """Name of every result of a stage, sorted: the file names in `single_view`, the folders in `multi_view`."""
        folder = self.root / stage
        names = [name for name in entries(folder) if not name.startswith(".")]
        if stage == "single_view":
            found = [name.removesuffix(".mp4") for name in names if name.endswith(".mp4")]
        else:
            found = [name for name in names if (folder / name).is_dir()]
        return usable_results(found, folder)

    def result_view(self, stage: str, name: str, index: int) -> Path:
        """The video of one view of a result, by its index in the rig; stage "single_view" has one video for all."""
        folder, name = self.root / stage, check_result(name)
        return folder / f"{name}.mp4" if stage == "single_view" else folder / name / f"{check_chunk(index)}.mp4"

    def result_sidecar(self, stage: str, name: str) -> Path:
        """The sidecar of a result, by the result's name."""
        return self.root / stage / f"{check_result(name)}.json"

    # Results by chunk and style

    def name(self, chunk: Chunk, style: str) -> str:
        """Name of a result: `<clip>_<style>`, or `<clip>_<n>_<style>` for chunk n."""
        check_chunk(chunk.index)
        return joined_name(chunk.name, style)

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
        """The record of a result that the guardrail blocked, where its sidecar would be."""
        return self.blocked_result(stage, self.name(chunk, style))

    def blocked_result(self, stage: str, name: str) -> Path:
        """The record of a blocked result, by the result's name."""
        return self.root / stage / f"{check_result(name)}{BLOCKED_SUFFIX}"

    def blocked_names(self, stage: str) -> list[str]:
        """Name of every result of a stage that the guardrail blocked, sorted."""
        names = [name for name in entries(self.root / stage) if name.endswith(BLOCKED_SUFFIX)]
        return usable_results((n.removesuffix(BLOCKED_SUFFIX) for n in names if n[0] != "."), self.root / stage)

    def failure(self, stage: str, name: str) -> Path:
        """The record of why a result was not made the last time, in the cache; `name` is the result's."""
        return self.cache(f"failures/{stage}/{check_result(name)}.json")

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
        with self._manifest_optional():
            append_to_manifest(self.manifest, self.cache("manifest.lock"), whole)
        return path

    def sidecars(self, stage: str) -> list[dict[str, Any]]:
        """All sidecars of a stage, sorted by file name; damaged ones are left out."""
        return read_sidecars(self.root / stage)

    def result_videos(self, stage: str) -> list[Path]:
        """Every video of stage "single_view" or "multi_view", sorted; of the latter, the views and the grids."""
        folder = self.root / stage
        folders = [folder] if stage == "single_view" else [folder / name for name in self.result_names(stage)]
        return sorted(
            inside / name
            for inside in folders
            for name in entries(inside)
            if name.endswith(".mp4") and not name.startswith(".")
        )

    # The manifest and the rest

    @property
    def manifest(self) -> Path:
        """One JSON line per result, copied from its sidecar; see the module `manifest`. Safe to delete."""
        return self.root / "manifest.jsonl"

    def write_manifest(self) -> Path:
        """Write the manifest anew from the sidecars on disk, without lines of replaced results."""
        rewrite_manifest(
            self.manifest,
            self.cache("manifest.lock"),
            lambda: (record for stage in STAGES for record in self.sidecars(stage)),
        )
        return self.manifest

    @contextlib.contextmanager
    def tidy_manifest(self) -> Iterator[None]:
        """Rewrite the manifest, where it is small or has grown, when the block ends, also after an exception."""
        try:
            yield
        finally:
            with self._manifest_optional():
                if self.manifest.exists() and has_grown(self.manifest, self.cache("manifest.lock")):
                    self.write_manifest()

    @contextlib.contextmanager
    def _manifest_optional(self) -> Iterator[None]:
        """Log what writing the manifest raises: results and their sidecars are complete without it."""
        try:
            yield
        except Exception as error:
            log.warning("%s was not written: %s. The next run writes it anew.", self.manifest, first_line(error))

    def log_file(self, stage: str) -> Path:
        """The log file of a stage; each run appends to it."""
        return self.root / "logs" / f"{stage}.log"

    def executed(self, notebook: str) -> Path:
        """The executed copy of a notebook; it has another name, so that it is never run instead of the notebook."""
        return self.root / "notebooks" / f"{check_name(notebook, 'notebook')}.executed.ipynb"

    def lock_file(self, stage: str, name: str) -> Path:
        """File that a run locks while it makes a result, so that two runs do not make it at the same time."""
        return self.root / LOCKS / stage / f"{check_result(name)}.lock"

    def remove_abandoned(self, *stages: str) -> None:
        """Delete what killed runs left unfinished in the workspace; inside the folders of results only for `stages`."""
        remove_leftovers(self.root, STAGES, stages)

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

    def seed_folder(self, seed: int) -> Path:
        """The workspace of a further seed of a batch, inside this one; results have no seed in their names."""
        return self.root / "seeds" / str(seed)

    def spec(self, stage: str) -> Path:
        """The control spec of a stage, in the workspace."""
        return self.root / f"{stage}_spec.json"
