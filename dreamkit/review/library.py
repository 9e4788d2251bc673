"""What there is to review: the videos of a workspace, complete or not, with sidecars or without."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dreamkit.captions.files import ORIGINAL, STYLES
from dreamkit.errors import DreamkitError
from dreamkit.workspace.cameras import FIVE_VIEWS, SIX_VIEWS, Rig
from dreamkit.workspace.controls import CONTROLS
from dreamkit.workspace.files import read_json
from dreamkit.workspace.workspace import STAGES, Chunk, Workspace


@dataclass(frozen=True)
class Video:
    """One result: a front video, or the views of one clip in one style.

    Attributes:
        key: `single_view/<clip>_<style>` or `multi_view/<clip>_<style>`; names it in verdicts and measures.
        stage: `single_view` or `multi_view`.
        chunk: the clip and its stretch.
        style: the style asked for.
        views: camera name -> file, in the rig's order; only those that exist and hold something.
        conditions: control -> camera name -> file, those that exist.
        sidecar: what the run wrote about it; None for the user's own videos.
        problems: what is wrong with it, in words.
        fingerprint: of the files' sizes; changes when the video is made anew.
    """

    key: str
    stage: str
    chunk: Chunk
    style: str
    views: Mapping[str, Path]
    conditions: Mapping[str, Mapping[str, Path]]
    sidecar: Mapping[str, Any] | None
    problems: tuple[str, ...] = ()
    fingerprint: str = field(default="")

    @property
    def rig(self) -> Rig:
        """The cameras that the video was made for."""
        return _rig_of(self.sidecar)

    @property
    def prompt(self) -> str:
        """The caption it was made from, when the sidecar tells."""
        record = self.sidecar or {}
        prompt = record.get("prompt") or record.get("prompts") or ""
        if isinstance(prompt, Mapping):
            prompt = next(iter(prompt.values()))
        elif isinstance(prompt, list):
            prompt = prompt[0]
        return prompt if isinstance(prompt, str) else ""


def _rig_of(sidecar: Mapping[str, Any] | None) -> Rig:
    """Five views where the sidecar says so, else six."""
    views = (sidecar or {}).get("views")
    return FIVE_VIEWS if views == 5 or (isinstance(views, list) and len(views) == 5) else SIX_VIEWS


def review_folder(workspace: Workspace) -> Path:
    """Where verdicts, measures, previews and the report live."""
    return workspace.root / "review"


def known_clips(workspace: Workspace) -> set[str]:
    """Clip names, from captions and condition videos."""
    names = set(workspace.clips())
    for control in CONTROLS:
        for path in (workspace.root / control).glob("*/*.mp4"):
            if match := re.fullmatch(r"([^.].*)_(\d+)", path.stem):
                names.add(match[1])
    return names


def split_name(name: str, clips: set[str]) -> tuple[Chunk, str]:
    """`<clip>_<style>` or `<clip>_<n>_<style>` into chunk and style.

    Style names may hold spaces and clip names underscores, so known clips are tried first, then known styles, then the
    last underscore; a name without one is a clip in style Original.
    """
    for clip in sorted((clip for clip in clips if name.startswith(f"{clip}_")), key=len, reverse=True):
        rest = name[len(clip) + 1 :]
        if match := re.fullmatch(r"(\d+)_(.+)", rest):
            return Chunk(clip, int(match[1])), match[2]
        return Chunk(clip), rest
    for style in STYLES:
        if name.endswith(f"_{style}"):
            return Chunk(name[: -len(style) - 1]), style
    clip, _, style = name.rpartition("_")
    return (Chunk(clip), style) if clip and style else (Chunk(name), ORIGINAL)


def _read_sidecar(path: Path) -> tuple[dict[str, Any] | None, list[str]]:
    if not path.is_file():
        return None, ["no sidecar: made elsewhere"]
    try:
        return read_json(path, "sidecar"), []
    except DreamkitError as error:
        return None, [error.message]


def fingerprint_of(files: Mapping[str, Path]) -> str:
    """Twelve hex digits that change when a view's size in bytes changes, or when a view comes or goes.

    Encoded videos of different content practically never agree in size, and a copied folder keeps its verdicts.
    """
    sizes = "\n".join(f"{name} {path.stat().st_size}" for name, path in files.items())
    return hashlib.sha256(sizes.encode()).hexdigest()[:12]


def _conditions(workspace: Workspace, chunk: Chunk, cameras: list[str]) -> dict[str, dict[str, Path]]:
    found: dict[str, dict[str, Path]] = {}
    for control in CONTROLS:
        paths = {name: workspace.condition(control, SIX_VIEWS.camera(name), chunk) for name in cameras}
        present = {name: path for name, path in paths.items() if path.is_file()}
        if present:
            found[control] = present
    return found


def _video(workspace: Workspace, stage: str, name: str, clips: set[str]) -> Video:
    sidecar, problems = _read_sidecar(workspace.root / stage / f"{name}.json")
    chunk, style = split_name(name, clips)
    if sidecar and isinstance(sidecar.get("clip"), str) and isinstance(sidecar.get("style"), str):
        index = sidecar.get("chunk", 0)
        chunk, style = Chunk(sidecar["clip"], index if isinstance(index, int) else 0), sidecar["style"]
    if stage == "single_view":
        wanted = {SIX_VIEWS.front.name: workspace.root / stage / f"{name}.mp4"}
    else:
        folder = workspace.root / stage / name
        wanted = {camera.name: folder / f"{camera.index}.mp4" for camera in _rig_of(sidecar).cameras}
    views = {}
    for camera, path in wanted.items():
        if path.is_file() and path.stat().st_size:
            views[camera] = path
        else:
            problems.append(f"{camera} ({path.name}) is {'empty' if path.is_file() else 'missing'}")
    return Video(
        key=f"{stage}/{name}",
        stage=stage,
        chunk=chunk,
        style=style,
        views=views,
        conditions=_conditions(workspace, chunk, list(wanted)),
        sidecar=sidecar,
        problems=tuple(problems),
        fingerprint=fingerprint_of(views),
    )


def find_videos(workspace: Workspace) -> list[Video]:
    """Every result of a workspace, sorted by clip, style and stage. Looks at names and sizes only, decodes nothing."""
    clips = known_clips(workspace)
    names = {
        "single_view": [path.stem for path in (workspace.root / "single_view").glob("*.mp4")],
        "multi_view": [path.name for path in (workspace.root / "multi_view").glob("*") if path.is_dir()],
    }
    found = [
        _video(workspace, stage, name, clips) for stage in STAGES for name in names[stage] if not name.startswith(".")
    ]
    return sorted(found, key=lambda video: (video.chunk, video.style, video.stage))
