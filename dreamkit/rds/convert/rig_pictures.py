"""Pictures of a proposed rig: the vehicle from above, and a drawn frame of each camera with two lenses."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dreamkit.rds import hdmap
from dreamkit.rds.camera_models import CameraModel
from dreamkit.rds.convert.rig_proposal import OwnCamera, RigProposal, horizontal_fov
from dreamkit.rds.drawing import read_boxes
from dreamkit.rds.labels import Shapes, read_map
from dreamkit.rds.mounts import Mount
from dreamkit.rds.plan import Options
from dreamkit.rds.rig import default_cameras, read_camera_poses
from dreamkit.rds.rig_views import VIEW_PREFIX, cropped, view_poses, wide_crop
from dreamkit.workspace.cameras import SIX_VIEWS

_DRAWN = (1280, 720)
_SHOWN = 560
_CAR = ((-1.2, -0.95), 5.0, 1.9)
"""Corner, length and width in metres of the car in the picture from above; the origin is at its rear axle."""


def write_rig_pictures(
    root: Path, clip: str, proposal: RigProposal, above: Path, frames: Path, frame: int | None = None
) -> int:
    """Write the picture from above, and a sheet with a drawn frame of each camera.

    Args:
        root: the RDS-HQ folder.
        clip: name of the clip.
        proposal: the draft.
        above: PNG of the rig from above.
        frames: PNG of the drawn frames: own lens left, the view's f-theta lens right, with the outline of the own
            picture in it.
        frame: frame number; when left out, the one of nine with the most of the map around it.

    Returns:
        The frame number.

    Raises:
        DreamkitError: the labels cannot be read.
    """
    from dreamkit.workspace.files import replacing

    poses = read_camera_poses(root, clip) | view_poses(root, clip, proposal.rig)
    count = min(map(len, poses.values()))
    layers = read_map(root, clip, Options().rules.layers)
    number = _busy_frame(layers, next(iter(poses.values()))[:count]) if frame is None else min(max(frame, 0), count - 1)
    scene = hdmap.build_scene(layers, read_boxes(root, clip, count))
    rows = [_row(scene, proposal, view, poses, number) for view in proposal.rig.views]
    rows += [_unused_row(scene, proposal.cameras[name], poses[name], number) for name in proposal.unused]
    with replacing(frames) as partial:
        cv2.imwrite(str(partial), np.concatenate([row for row in rows if row is not None])[..., ::-1])
    with replacing(above) as partial:
        figure = rig_from_above(proposal)
        figure.savefig(partial, dpi=110, format="png")
    return number


def _busy_frame(layers: dict[str, Shapes], poses: np.ndarray) -> int:
    """The frame, of nine from the middle outwards, with the most map vertices within 60 m of a camera [T, 4, 4]."""
    points = np.concatenate([np.zeros((0, 3)), *(shapes.points for shapes in layers.values())])
    frames = sorted({len(poses) * step // 10 for step in range(1, 10)}, key=lambda frame: abs(frame - len(poses) // 2))
    near = [int((np.linalg.norm(points - poses[frame, :3, 3], axis=1) < 60).sum()) for frame in frames]
    return frames[int(np.argmax(near))]


def _row(
    scene: hdmap.MapScene, proposal: RigProposal, view: str, poses: dict[str, np.ndarray], frame: int
) -> np.ndarray:
    """A view's two pictures side by side, with a line of text above."""
    entry, lens = proposal.rig.views[view], default_cameras()[VIEW_PREFIX + view]
    track = poses[VIEW_PREFIX + view]
    nominal = _draw(scene, lens, track, frame)
    sees = f"as_model ftheta: {horizontal_fov(lens):.0f} degrees"
    if entry.camera is None:
        return _titled([np.zeros_like(nominal), nominal], [f"{view}: no camera", f"{sees}, from the nominal mount"])
    camera = proposal.cameras[entry.camera]
    if camera.lens is None:
        texts = [f"{view} <- {camera.name}: no intrinsics", sees]
        return _titled([np.zeros_like(nominal), nominal], texts)
    if entry.roll:  # as it is mounted, beside the upright view; its border is left out
        crop = wide_crop(camera.lens)
        picture = _draw(scene, cropped(camera.lens, crop) if crop else camera.lens, poses[camera.name], frame)
        text = f"{view} <- {camera.name}, as mounted, turned by {entry.roll:.0f} degrees"
        return _titled([picture, nominal], [text, f"{sees}, upright"])
    own = cropped(camera.lens, entry.crop) if entry.crop else camera.lens
    _outline(nominal, own, lens)
    text = f"{view} <- {camera.name}, own lens: {horizontal_fov(own):.0f} degrees"
    return _titled([_draw(scene, own, track, frame), nominal], [text, f"{sees} (white: the own picture)"])


def _unused_row(scene: hdmap.MapScene, camera: OwnCamera, track: np.ndarray, frame: int) -> np.ndarray | None:
    """The picture of a camera that stands for no view; None without intrinsics."""
    if camera.lens is None:
        return None
    crop = wide_crop(camera.lens)
    picture = _draw(scene, cropped(camera.lens, crop) if crop else camera.lens, track, frame)
    return _titled([picture, np.zeros_like(picture)], [f"not used: {camera.name}, {camera.fov:.0f} degrees", ""])


def _draw(scene: hdmap.MapScene, lens: CameraModel, track: np.ndarray, frame: int) -> np.ndarray:
    """The HDMap picture of a frame, uint8 [H, _SHOWN, 3]."""
    drawn = next(hdmap.draw_hdmap_frames(scene, lens.scaled_to(*_DRAWN), track, [frame]))
    return cv2.resize(drawn, (_SHOWN, _SHOWN * 9 // 16), interpolation=cv2.INTER_AREA)


def _outline(picture: np.ndarray, own: CameraModel, lens: CameraModel) -> None:
    """Draw the border of the own camera's picture into the picture of another lens at the same place."""
    along = np.linspace(0, 1, 24)
    right, bottom = own.width - 1.0, own.height - 1.0
    edges = [
        np.stack([along * right, along * 0], 1),
        np.stack([along * 0 + right, along * bottom], 1),
        np.stack([right - along * right, along * 0 + bottom], 1),
        np.stack([along * 0, bottom - along * bottom], 1),
    ]
    pixels = lens.project(own.unproject(np.concatenate(edges))) * (picture.shape[1] / lens.width)
    cv2.polylines(picture, [np.round(pixels).astype(np.int32)], True, (255, 255, 255), 1, cv2.LINE_AA)


def _titled(pictures: list[np.ndarray], texts: list[str]) -> np.ndarray:
    """Pictures of one size side by side, each with a line of text above it."""
    columns = []
    for picture, text in zip(pictures, texts, strict=True):
        title = np.full((24, picture.shape[1], 3), 40, np.uint8)
        cv2.putText(
            title, _drawable(text, "\x7f"), (6, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA
        )
        columns.append(np.concatenate([title, picture]))
    return np.concatenate(columns, 1)


def _drawable(text: str, last: str = "\u024f") -> str:
    """A text with words that have letters beyond `last`, which fonts of pictures lack, as "(name)"."""
    return re.sub(r"\S+", lambda word: "(name)" if max(word[0]) > last and word[0][:-1].isalpha() else word[0], text)


def rig_from_above(proposal: RigProposal) -> Any:
    """A matplotlib figure of the vehicle from above, with the horizontal field of view of each camera.

    Filled wedges are cameras that stand for a view, grey ones stand for none; dashed lines show the view's own lens.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    figure = Figure(figsize=(8, 8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.add_patch(Rectangle(*_CAR, fill=False, linewidth=2, edgecolor="black"))
    axes.annotate("", (5.0, 0), (3.8, 0), arrowprops={"arrowstyle": "-|>", "linewidth": 2})
    for name in proposal.unused:
        _wedge(axes, proposal.cameras[name].mount, proposal.cameras[name].fov, 5.0, "0.6", "")
    if proposal.unused:
        unused = _drawable(f"grey, not used: {', '.join(proposal.unused)}")
        axes.text(-11.5, -13, unused, color="0.4", fontsize=9, wrap=True)
    for index, view in enumerate(SIX_VIEWS.names):
        entry = proposal.rig.views.get(view)
        if entry is None:
            continue
        colour, lens = f"C{index}", default_cameras()[VIEW_PREFIX + view]
        camera = proposal.cameras[entry.camera] if entry.camera else None
        mount = camera.mount if camera else entry.mount
        if mount is None:
            continue
        if camera and camera.lens:
            _wedge(axes, mount, camera.fov, 8.0, colour, f"{view}\n{camera.name}, {camera.fov:.0f}°")
        else:
            _wedge(axes, mount, float("nan"), 8.0, colour, f"{view}\n{camera.name if camera else 'no camera'}")
        for side in (-0.5, 0.5):
            _ray(axes, mount, side * horizontal_fov(lens), 9.5, color=colour, linestyle="--", linewidth=1)
    axes.set(xlim=(-12, 15), ylim=(-13.5, 13.5), aspect="equal", xlabel="metres ahead", ylabel="metres to the left")
    axes.set_title("The rig from above; dashed: the lens that the models were trained with")
    return figure


def _ray(axes: Any, mount: Mount, turn: float, length: float, **style: Any) -> tuple[float, float]:
    """Draw a line from a camera, `turn` degrees to the left of its heading; returns its end."""
    angle, (x, y, _) = np.radians(mount.heading + turn), mount.place
    end = (x + length * np.cos(angle), y + length * np.sin(angle))
    axes.plot([x, end[0]], [y, end[1]], **style)
    return end


def _wedge(axes: Any, mount: Mount, fov: float, length: float, colour: str, text: str) -> None:
    """Draw a camera's field of view, and its name at the wedge's middle."""
    from matplotlib.patches import Wedge

    if fov == fov:
        turns = (mount.heading - fov / 2, mount.heading + fov / 2)
        axes.add_patch(Wedge(mount.place[:2], length, *turns, color=colour, alpha=0.25))
    x, y = _ray(axes, mount, 0, length, color=colour, linewidth=1.5)
    angle = np.radians(mount.heading)
    axes.text(
        x + np.cos(angle), y + 1.2 * np.sin(angle), _drawable(text), color=colour, ha="center", va="center", fontsize=9
    )
