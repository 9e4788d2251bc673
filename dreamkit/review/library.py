"""List the results of a workspace that can be reviewed, complete or not, with or without a sidecar."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dreamkit.captions.files import ORIGINAL, STYLES
from dreamkit.errors import DreamkitError
from dreamkit.workspace.cameras import FIVE_VIEWS, SIX_VIEWS, Rig
from dreamkit.workspace.controls import CONTROLS
from dreamkit.workspace.files import read_json, sha256
from dreamkit.workspace.sidecars import names_result, read_sidecar
from dreamkit.workspace.workspace import STAGES, Chunk, Workspace


@dataclass(frozen=True)
class ReviewVideo:
    """One result: a front video, or the views of one clip in one style.

    Attributes:
        key: `single_view/<clip>_<style>` or `multi_view/<clip>_<style>`; names the result in verdicts and measures.
        stage: `single_view` or `multi_view`.
        chunk: the clip and the number of its chunk.
        style: the style in the name or the sidecar.
        views: camera name -> video, in the rig's order; only files that exist and are not empty.
        conditions: control -> camera name -> condition video; only files that exist.
        sidecar: the record that the run wrote; None for a user's own videos, or when it cannot be read.
        problems: faults of the files, each a phrase: missing or empty views, an unreadable sidecar.
        notes: remarks that are no faults, each a phrase: the video has no sidecar.
        fingerprint: twelve hex digits, see `fingerprint_of`.
        blocked: why the guardrail blocked it, a sentence; it has no views then. Empty for a video that was made.
    """

    key: str
    stage: str
    chunk: Chunk
    style: str
    views: Mapping[str, Path]
    conditions: Mapping[str, Mapping[str, Path]]
    sidecar: Mapping[str, Any] | None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    fingerprint: str = field(default="")
    blocked: str = ""

    @property
    def rig(self) -> Rig:
        """The rig of the video: five views if the sidecar says so, else six."""
        return _rig_of(self.sidecar)

    @property
    def stage_label(self) -> str:
        """The stage in words: `single view` or `multi view`."""
        return self.stage.replace("_", " ")

    @property
    def prompt(self) -> str:
        """The front view's prompt from the sidecar; empty when there is none."""
        record = self.sidecar or {}
        prompt = record.get("prompt") or record.get("prompts") or ""
        if isinstance(prompt, Mapping):
            prompt = next(iter(prompt.values()), "")
        elif isinstance(prompt, list):
            prompt = next(iter(prompt), "")
        return prompt if isinstance(prompt, str) else ""


def _rig_of(sidecar: Mapping[str, Any] | None) -> Rig:
    views = (sidecar or {}).get("views")
    return FIVE_VIEWS if views == 5 or (isinstance(views, list) and len(views) == 5) else SIX_VIEWS


def split_name(name: str, clips: set[str]) -> tuple[Chunk, str]:
    """Split a result's name, `<clip>_<style>` or `<clip>_<n>_<style>`, into chunk and style.

    Style names may contain spaces and clip names underscores. So the known clips are tried first, then the known
    styles, then the last underscore; a name without an underscore is a clip in style Original.
    """
    ends = [at for at, letter in enumerate(name) if letter == "_"]
    for clip in (name[:at] for at in reversed(ends) if name[:at] in clips):
        rest = name[len(clip) + 1 :]
        if match := re.fullmatch(r"([0-9]{1,9})_(.+)", rest, re.DOTALL):
            return Chunk(clip, int(match[1])), match[2]
        return Chunk(clip), rest
    for style in STYLES:
        if name.endswith(f"_{style}"):
            return Chunk(name[: -len(style) - 1]), style
    clip, _, style = name.rpartition("_")
    return (Chunk(clip), style) if clip and style else (Chunk(name), ORIGINAL)


def fingerprint_of(files: Mapping[str, Path]) -> str:
    """Twelve hex digits that change when the size of a file changes, or when a file is added or removed.

    Two different encoded videos practically never have the same size. File times are not used, so that a copied folder
    keeps its verdicts.
    """
    sizes = "\n".join(f"{name} {path.stat().st_size}" for name, path in files.items())
    return hashlib.sha256(sizes.encode()).hexdigest()[:12]


def checksum_of(files: Mapping[str, Path], checksum: Callable[[Path], str] = sha256) -> str:
    """SHA-256 of the files' own SHA-256 sums and names, as `sha256:<hex>`; by default every byte is read.

    Raises:
        DreamkitError: a file cannot be read.
    """
    sums = "\n".join(f"{name} {checksum(path)}" for name, path in sorted(files.items()))
    return f"sha256:{hashlib.sha256(sums.encode()).hexdigest()}"


def changed_since_made(video: ReviewVideo) -> list[str]:
    """Names of the views whose SHA-256 is not the one in the sidecar; every byte is read."""
    written = (video.sidecar or {}).get("outputs")
    written = written if isinstance(written, Mapping) else {}
    return [name for name, path in video.views.items() if path.name in written and written[path.name] != sha256(path)]


def _existing_conditions(workspace: Workspace, chunk: Chunk, cameras: list[str]) -> dict[str, dict[str, Path]]:
    found: dict[str, dict[str, Path]] = {}
    for control in CONTROLS:
        paths = {name: workspace.condition(control, SIX_VIEWS.camera(name), chunk) for name in cameras}
        present = {name: path for name, path in paths.items() if path.is_file()}
        if present:
            found[control] = present
    return found


def _load_video(workspace: Workspace, stage: str, name: str, clips: set[str]) -> ReviewVideo:
    sidecar, problems, notes = None, [], []
    path = workspace.result_sidecar(stage, name)
    try:
        if path.is_file():
            sidecar = read_json(path, "sidecar")
        else:
            notes.append("no sidecar: made elsewhere")
    except DreamkitError as error:
        problems.append(error.message)
    chunk, style = split_name(name, clips)
    if sidecar and names_result({"chunk": 0, **sidecar, "stage": stage}):
        chunk, style = Chunk(sidecar["clip"], sidecar.get("chunk", 0)), sidecar["style"]
    elif sidecar and ("clip" in sidecar or "style" in sidecar):
        problems.append("the sidecar names a clip, chunk or style that no file can have")
    cameras = [SIX_VIEWS.front] if stage == "single_view" else _rig_of(sidecar).cameras
    views = {}
    for camera in cameras:
        path = workspace.result_view(stage, name, camera.index)
        if path.is_file() and path.stat().st_size:
            views[camera.name] = path
        else:
            problems.append(f"{camera.name} ({path.name}) is {'empty' if path.is_file() else 'missing'}")
    return ReviewVideo(
        key=f"{stage}/{name}",
        stage=stage,
        chunk=chunk,
        style=style,
        views=views,
        conditions=_existing_conditions(workspace, chunk, [camera.name for camera in cameras]),
        sidecar=sidecar,
        problems=tuple(problems),
        notes=tuple(notes),
        fingerprint=fingerprint_of(views),
    )


def _blocked_reason(workspace: Workspace, stage: str, name: str) -> tuple[str, dict[str, Any]]:
    """Why the guardrail blocked a result, a sentence, and the record of it; empty ones where there is no record."""
    record = read_sidecar(workspace.blocked_result(stage, name)) or {}
    entry = record.get("guardrail")
    reason = entry.get("reason") if isinstance(entry, Mapping) else None
    return (str(reason or "Blocked by the guardrail."), record) if record else ("", {})


def _with_later_block(workspace: Workspace, video: ReviewVideo) -> ReviewVideo:
    """The video; with a problem where a later run made it again and the guardrail blocked that."""
    reason, _ = _blocked_reason(workspace, video.stage, video.key.removeprefix(f"{video.stage}/"))
    return replace(video, problems=(*video.problems, f"a later run: {reason}")) if reason else video


def _blocked_video(workspace: Workspace, stage: str, name: str, clips: set[str]) -> ReviewVideo:
    """A result that the guardrail blocked and that has no video."""
    reason, record = _blocked_reason(workspace, stage, name)
    chunk, style = split_name(name, clips)
    if isinstance(record.get("clip"), str) and isinstance(record.get("style"), str):
        index = record.get("chunk", 0)
        chunk, style = Chunk(record["clip"], index if isinstance(index, int) else 0), record["style"]
    reason = reason or "The record of the guardrail is damaged."
    return ReviewVideo(f"{stage}/{name}", stage, chunk, style, {}, {}, record or None, (reason,), blocked=reason)


def find_videos(workspace: Workspace) -> list[ReviewVideo]:
    """Every result of a workspace, sorted by clip, style and stage; no video is decoded.

    Results that the guardrail blocked are among them, without views.
    """
    clips = workspace.known_clips()
    found: list[ReviewVideo] = []
    for stage in STAGES:
        made = workspace.result_names(stage)
        found += [_with_later_block(workspace, _load_video(workspace, stage, name, clips)) for name in made]
        blocked = [name for name in workspace.blocked_names(stage) if name not in made]
        found += [_blocked_video(workspace, stage, name, clips) for name in blocked]
    return sorted(found, key=lambda video: (video.chunk, video.style, video.stage))
