"""Find the condition videos of a chunk: the paths of its control spec, or the files of the workspace."""

from __future__ import annotations

import logging
from pathlib import Path

from dreamkit.errors import DreamkitError
from dreamkit.generate.specs import SAMPLE_NAME, Control, Spec, resolve
from dreamkit.workspace.cameras import Rig
from dreamkit.workspace.workspace import Chunk, Workspace, from_home

log = logging.getLogger(__name__)


def condition_videos(control: Control, spec: Spec, ws: Workspace, chunk: Chunk, rig: Rig, single: bool) -> list[Path]:
    """The condition video of every camera of `rig` for one chunk.

    Args:
        control: one control of the spec.
        spec: the control spec.
        ws: the workspace, whose files are used where the spec names none that fits.
        chunk: its clip replaces `<sample_name>` in a path, its clip and number replace `<sample_name>_0`.
        rig: the views; for single view a rig of the front camera alone.
        single: whether one chunk only runs; a path without `<sample_name>` is used only then.

    Raises:
        DreamkitError: a video is missing; or the spec lists another number of paths than there are views.
    """
    paths = list(control.inputs)
    if not paths or not (single or all(SAMPLE_NAME in path for path in paths)):
        if paths:
            log.info(
                "%s: %s in the spec names one clip only; the workspace's file is used for %s",
                control.name,
                paths[0],
                chunk.name,
            )
        return [ws.found_condition(control.name, camera, chunk) for camera in rig.cameras]
    if len(paths) == 1 and len(rig) > 1:
        paths = _other_views(paths[0], control, spec, ws, rig)
    if len(paths) < len(rig):
        raise DreamkitError(
            f"The control spec {spec.source or ''} lists {len(paths)} {control.name} videos; {len(rig)} views need one"
            " each.",
            f"List them in this order: {', '.join(rig.names)}.",
        )
    if len(rig) > 1 and len(paths) != len(rig):
        paths = _own_views(paths, ws, rig)
    if len(rig) > 1 and len(paths) != len(rig):
        raise DreamkitError(
            f"The control spec {spec.source or ''} lists {len(paths)} {control.name} videos for {len(rig)} views.",
            "Set views to 5 or 6, as the list has them.",
        )
    found = []
    for camera, path in zip(rig.cameras, paths, strict=False):
        expanded = path.replace(f"{SAMPLE_NAME}_0", f"{chunk.clip}_{chunk.index}").replace(SAMPLE_NAME, chunk.clip)
        file = resolve(expanded, spec.source, ws.root)
        own = ws.condition(control.name, camera, chunk)
        if file is None and (own.is_file() or from_home(expanded) == own):
            file = ws.found_condition(control.name, camera, chunk)
            log.info("%s: the spec's %s does not exist; %s is used", control.name, expanded, own)
        elif file is None:
            raise DreamkitError(
                f"The clip {chunk.name} has no {control.name} video for {camera.name}: neither {expanded} (from the "
                f"spec {spec.source}) nor {own} is there.",
                "Correct input_control in the spec, or put the video into the workspace.",
            )
        elif own.is_file() and not file.samefile(own):
            log.warning("%s: %s, named in the spec, is used instead of the workspace's %s", control.name, file, own)
        found.append(file)
    return found


def _other_views(front: str, control: Control, spec: Spec, ws: Workspace, rig: Rig) -> list[str]:
    """Paths of all views from the front one's, whose camera folder is replaced."""
    folder = ws.folders[rig.front.name]
    if folder not in Path(front).parts:
        raise DreamkitError(
            f"The control spec {spec.source or ''} gives one {control.name} video, and {len(rig)} views are made.",
            f"List {len(rig)} paths, or give a path through the folder {folder}; the others are found by its name.",
        )
    return [front.replace(folder, ws.folders[camera.name]) for camera in rig.cameras]


def _own_views(paths: list[str], ws: Workspace, rig: Rig) -> list[str]:
    """The paths of the rig's views out of a list for more views, by their camera folders; else the whole list."""
    picked = [[path for path in paths if ws.folders[camera.name] in Path(path).parts] for camera in rig.cameras]
    return [found[0] for found in picked] if all(len(found) == 1 for found in picked) else paths
