"""A draft of a rig file: the cameras of a clip matched to the six views by heading, field of view and name."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from dreamkit.errors import DreamkitError
from dreamkit.rds.camera_models import CAMERA_MODELS, CameraModel
from dreamkit.rds.check_poses import poses_along_motion
from dreamkit.rds.labels import VEHICLE_FOLDER, layer_path
from dreamkit.rds.mounts import Mount, mount_of, nominal_mount
from dreamkit.rds.pinhole import Pinhole
from dreamkit.rds.pose_faults import convention_faults
from dreamkit.rds.rig import default_cameras, read_camera_poses, read_vehicle_poses
from dreamkit.rds.rig_file import ORDERS, RigFile, RigView
from dreamkit.rds.rig_views import VIEW_PREFIX, focal_first, is_centre_first, own_camera, wide_crop
from dreamkit.workspace.cameras import SIX_VIEWS

# Degrees that a camera's heading may be off a view's nominal heading.
_FARTHEST = {"front_wide_120fov": 30.0, "rear_tele_30fov": 30.0}
_FARTHEST_SIDE = 45.0
_SIDES = {"left": 1, "right": -1}
_ENDS = {"front": 1, "rear": -1, "back": -1, "backward": -1}
_LEVEL = 30.0
# Degrees of roll from which a view is drawn upright: the models have seen no turned pictures.
_TURNED = 20.0
# Cameras that rarely see colour.
_GREY = {"stereo", "mono", "gray", "grey", "ir", "thermal"}


@dataclass(frozen=True)
class OwnCamera:
    """What a clip's labels say about one of its cameras.

    Attributes:
        name: as in the labels.
        mount: its place and direction on the vehicle.
        model: "pinhole" or "ftheta"; None without usable intrinsics.
        lens: its intrinsics, pinhole vectors in the right order; None without usable intrinsics.
        order: order of a pinhole vector, one of `rig_file.ORDERS`.
        fov: horizontal field of view in degrees, NaN without intrinsics.
        notes: sentences on what is unusual.
    """

    name: str
    mount: Mount
    model: str | None
    lens: CameraModel | None
    order: str
    fov: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RigProposal:
    """A draft of a rig file and the reasons for it.

    Attributes:
        rig: the draft; views without a camera have their nominal mount where the vehicle's poses are known.
        cameras: all cameras of the clip by name.
        notes: view -> a comment for the file.
        unused: names of cameras that stand for no view.
        missing: views that no camera can stand for.
        has_vehicle: whether the clip has poses of the vehicle.
    """

    rig: RigFile
    cameras: dict[str, OwnCamera]
    notes: dict[str, str]
    unused: tuple[str, ...]
    missing: tuple[str, ...]
    has_vehicle: bool

    def report(self) -> str:
        """The draft as text: a line a view, what is missing, and what can be made."""
        lines = []
        for view in SIX_VIEWS.names:
            entry = self.rig.views.get(view)
            if entry is None:
                lines.append(f"  {view:22} no camera, left out")
            elif entry.camera is None:
                lines.append(f"  {view:22} no camera; drawn from the nominal place on the vehicle")
            else:
                lines.append(f"  {view:22} {entry.camera}: {_facts(self.cameras[entry.camera])}")
        lines += [f"  not used: {name} ({_facts(self.cameras[name])})" for name in self.unused]
        lines += [f"  {name}: {note}" for name, camera in self.cameras.items() for note in camera.notes]
        return "\n".join([*lines, *what_can_be_made(self)])


def what_can_be_made(proposal: RigProposal) -> list[str]:
    """Sentences on the missing views and on what can be made without cameras for them."""
    missing, views = proposal.missing, proposal.rig.views
    if not missing:
        return []
    lines = [f"No camera for {', '.join(missing)}."]
    if proposal.has_vehicle:
        lines.append(
            "All six views can be made: the conditions of a view without a camera are drawn from the labels, from its "
            "`mount` and with its nominal lens. There is no recorded video to compare such a view with."
        )
    elif "front_wide_120fov" in views:
        lines.append(
            "The front video can be made. Six views need the vehicle's poses (vehicle_pose/), so that the missing "
            "ones can be placed on it."
        )
    if missing == ("rear_tele_30fov",):
        lines.append("Five views (views: 5) need no rear camera, but a control file of your own.")
    if "front_wide_120fov" in missing and "front_wide_120fov" not in views:
        lines.append("Without a front view nothing can be made: notebook 04 starts from it.")
    return lines


def _facts(camera: OwnCamera) -> str:
    """Heading, field of view and model of a camera as text."""
    side = "left" if camera.mount.heading > 0 else "right"
    heading = abs(round(camera.mount.heading))
    looks = "ahead" if heading == 0 else "back" if heading == 180 else f"{heading} degrees to the {side}"
    if camera.lens is None:
        return f"looks {looks}, without usable intrinsics"
    size = f"{camera.lens.width}x{camera.lens.height}"
    turned = f", turned by {camera.mount.roll:.0f} degrees" if abs(camera.mount.roll) > _TURNED else ""
    return f"looks {looks}, sees {camera.fov:.0f} degrees, {camera.model} {size}{turned}"


def horizontal_fov(camera: CameraModel) -> float:
    """Horizontal field of view in degrees along the row of the optical centre."""
    ends = camera.unproject(np.array([[0, camera.cy], [camera.width, camera.cy]], np.float64))
    return float(np.degrees(np.arctan2(np.hypot(ends[:, 0], ends[:, 1]), ends[:, 2])).sum())


def read_own_cameras(root: Path, clip: str) -> tuple[dict[str, OwnCamera], bool]:
    """The cameras of a clip by name, and whether the clip has poses of the vehicle.

    Raises:
        DreamkitError: poses are missing, damaged or in another convention; or there is neither a vehicle nor motion.
    """
    poses = read_camera_poses(root, clip)
    has_vehicle = layer_path(root, clip, VEHICLE_FOLDER).is_file()
    vehicle = read_vehicle_poses(root, clip) if has_vehicle else poses_along_motion(next(iter(poses.values())))
    if vehicle is None:
        raise DreamkitError(
            f"{root} has no {VEHICLE_FOLDER}/{clip}.tar and the cameras do not move, so no camera has a heading.",
            "Write the vehicle's poses, or take a clip in which the vehicle drives: --clip NAME.",
        )
    if faults := convention_faults(poses, vehicle):
        name, fault = next(iter(faults.items()))
        raise DreamkitError(
            f"The poses of {name} in {layer_path(root, clip, 'pose')} {fault}."
            + (f" The same holds for {len(faults) - 1} more cameras." if len(faults) > 1 else ""),
            "Convert the poses again as camera-to-world matrices.",
        )
    found = {}
    for name, track in poses.items():
        count = min(len(track), len(vehicle))
        local = np.linalg.inv(vehicle[:count]) @ track[:count]
        found[name] = _own_camera(root, clip, name, mount_of(local))
    return found, has_vehicle


def _own_camera(root: Path, clip: str, name: str, mount: Mount) -> OwnCamera:
    """Facts of one camera; a camera without usable intrinsics has a note that says why."""
    reasons = []
    for model in CAMERA_MODELS:
        if not layer_path(root, clip, f"{model}_intrinsic").is_file():
            continue
        try:
            lens, order = _listed_camera(root, clip, name, model), ORDERS[0]
        except DreamkitError as error:
            reasons.append(error.message)
            continue
        notes = []
        if isinstance(lens, Pinhole) and is_centre_first(lens):
            notes.append(
                f"its intrinsics ({lens.fx:g}, {lens.fy:g}, {lens.cx:g}, {lens.cy:g}, ...) are in the order cx, cy, "
                "fx, fy; the rig file says so"
            )
            lens, order = focal_first(lens), ORDERS[1]
        return OwnCamera(name, mount, model, lens, order, horizontal_fov(lens), tuple(notes + _name_notes(name, mount)))
    unknown = sorted(
        path.name for path in Path(root).glob("*_intrinsic") if path.name.split("_")[0] not in CAMERA_MODELS
    )
    if unknown and not reasons:
        reasons.append(f"{unknown[0]}/ is of a camera model that is not known; pinhole and ftheta are.")
    text = " ".join(reasons) or "It has no intrinsics."
    note = f"{text} It is drawn with the view's own lens"
    return OwnCamera(name, mount, None, None, ORDERS[0], float("nan"), (note, *_name_notes(name, mount)))


def _listed_camera(root: Path, clip: str, name: str, model: str) -> CameraModel:
    """The camera's own intrinsics; unlike `read_cameras` no default lens stands in for missing ones."""
    from dreamkit.rds.tars import open_tar

    tar = open_tar(layer_path(root, clip, f"{model}_intrinsic"), clip)
    if not any(re.search(rf"(?:^|\.){model}_intrinsic\.{re.escape(name)}\.npy$", key) for key in tar.members):
        raise DreamkitError(f"{tar.path} has no intrinsics of {name}.", "Write the intrinsics of every camera.")
    return own_camera(root, clip, name, model)


def _words(name: str) -> set[str]:
    """The parts of a camera's name."""
    return set(re.split(r"[^a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()))


def _name_notes(name: str, mount: Mount) -> list[str]:
    """A sentence where the name contradicts the direction."""
    across = np.sin(np.radians(mount.heading))
    for word, sign in _SIDES.items():
        if word in _words(name) and not set(_SIDES) - {word} & _words(name) and across * sign < -0.3:
            return [
                f"its name says {word}, and it looks to the other side: swapped cameras, or axes with y to the right"
            ]
    along = np.cos(np.radians(mount.heading))
    for word, sign in _ENDS.items():
        if word in _words(name) and along * sign < -0.7:
            return [f"its name says {word}, and it looks the other way"]
    return []


def propose_rig(root: Path, clip: str, path: Path = Path("rig.yaml"), as_model: str | None = None) -> RigProposal:
    """A draft of the rig file for a folder of labels.

    Args:
        root: the RDS-HQ folder.
        clip: the clip whose cameras are looked at.
        path: the rig file, for messages.
        as_model: "ftheta" to draw every camera through its view's own lens.

    Raises:
        DreamkitError: as `read_own_cameras`; or no camera fits any view.
    """
    cameras, has_vehicle = read_own_cameras(root, clip)
    chosen = match_views(cameras)
    if not chosen:
        headings = ", ".join(f"{name} {camera.mount.heading:.0f}" for name, camera in cameras.items())
        raise DreamkitError(
            f"No camera of {root} fits any of the six views; the headings in degrees to the left are {headings}.",
            "Check the poses with `dreamkit check`.",
        )
    views, notes = {}, {}
    for view in SIX_VIEWS.names:
        if view in chosen:
            views[view], notes[view] = _entry(cameras[chosen[view]], view, as_model)
        elif has_vehicle:
            views[view] = RigView(mount=nominal_mount(view))
            notes[view] = "No camera looks there: the view is drawn from this place (x, y, z, heading, pitch, roll)."
    missing = tuple(view for view in SIX_VIEWS.names if view not in chosen)
    unused = tuple(name for name in cameras if name not in chosen.values())
    return RigProposal(RigFile(views, path), cameras, notes, unused, missing, has_vehicle)


def _entry(camera: OwnCamera, view: str, as_model: str | None) -> tuple[RigView, str]:
    """The entry of a view with a camera, and its comment."""
    entry = RigView(camera=camera.name, order=camera.order, as_model=as_model)
    nominal = horizontal_fov(default_cameras()[VIEW_PREFIX + view])
    if abs(camera.mount.roll) > _TURNED:
        turned = replace(entry, as_model="ftheta", roll=camera.mount.roll, model=camera.model or entry.model)
        return turned, f"{_facts(camera)}; mounted turned, so the view is drawn upright and with its own lens."
    if camera.lens is None or camera.model is None:
        return replace(entry, as_model="ftheta"), f"{_facts(camera)}; drawn with the view's own lens."
    size, crop = (camera.lens.width, camera.lens.height), wide_crop(camera.lens)
    note = f"{_facts(camera)}; the models were trained with {nominal:.0f} degrees (as_model: ftheta)."
    return replace(entry, model=camera.model, size=size, crop=crop), note


def match_views(cameras: dict[str, OwnCamera]) -> dict[str, str]:
    """View -> camera, the assignment of least cost; views that no camera fits are left out."""
    views, names = SIX_VIEWS.names, list(cameras)
    costs = {(view, name): _cost(view, cameras[name]) for view in views for name in names}

    @cache
    def best(index: int, taken: frozenset[str]) -> tuple[float, tuple[tuple[str, str], ...]]:
        """Least cost of the views from `index` on, and their pairs."""
        if index == len(views):
            return 0.0, ()
        view = views[index]
        rest, pairs = best(index + 1, taken)
        options = [(rest + 3.0, pairs)]
        for name in names:
            cost = costs[view, name]
            if cost is not None and name not in taken:
                rest, pairs = best(index + 1, taken | {name})
                options.append((rest + cost, ((view, name), *pairs)))
        return min(options)

    return dict(best(0, frozenset())[1])


def _cost(view: str, camera: OwnCamera) -> float | None:
    """How badly a camera fits a view, 0 to about 3; None when it cannot stand for it."""
    nominal = nominal_mount(view)
    turn = abs((camera.mount.heading - nominal.heading + 180) % 360 - 180)
    farthest = _FARTHEST.get(view, _FARTHEST_SIDE)
    if turn > farthest or abs(camera.mount.pitch - nominal.pitch) > _LEVEL:
        return None
    wanted = horizontal_fov(default_cameras()[VIEW_PREFIX + view])
    width = min(abs(float(np.log2(camera.fov / wanted))), 2) if camera.fov == camera.fov else 1.0
    words, shared = (
        _words(camera.name),
        set(view.split("_")) & {"front", "rear", "cross", "left", "right", "wide", "tele"},
    )
    return turn / 45 + width / 4 - 0.1 * len(words & shared) + (0.5 if words & _GREY else 0.0)
