"""The rig file `rig.yaml`: which of a clip's own cameras stands for which of the six views, and how it is drawn.

`dreamkit rig propose` writes one, `dreamkit.rds.rig_views` gives the cameras and poses that it stands for:

    version: 1
    views:
      front_wide_120fov:
        camera: my_front            # name in pose/ and in the intrinsics
        model: pinhole              # or ftheta
        size: [1920, 1200]          # of the camera's picture, pixels
        crop: [0, 60, 1920, 1080]   # left, top, width, height; the part that is used
        order: centre_first         # the intrinsics are cx, cy, fx, fy, width, height
        as_model: ftheta            # draw it with the view's own f-theta lens
        roll: 180                   # it is mounted turned by this, clockwise seen from behind; it is drawn upright
      rear_tele_30fov:
        mount: [-1.5, 0, 1.4, 180, 0, 0]   # no camera: x, y, z in metres, heading, pitch, roll in degrees

Views that the file leaves out are not drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dreamkit.errors import DreamkitError
from dreamkit.rds.camera_models import CAMERA_MODELS
from dreamkit.rds.mounts import Mount
from dreamkit.workspace.cameras import RIG_VERSION, SIX_VIEWS
from dreamkit.workspace.file_names import name_fault
from dreamkit.workspace.files import nearest, read_yaml, write_text

ORDERS = ("focal_first", "centre_first")
"""Orders of a pinhole vector: fx fy cx cy width height, or cx cy fx fy width height."""
_KEYS = ("camera", "model", "size", "crop", "order", "as_model", "mount", "roll")
_EXAMPLE = "`dreamkit rig propose LABELS -o rig.yaml` writes one that fits your labels."


@dataclass(frozen=True)
class RigView:
    """One of the six views in a rig file.

    Attributes:
        camera: name of the camera in the labels; None when the view is drawn from `mount`.
        model: "pinhole" or "ftheta", the model of its intrinsics.
        size: width and height in pixels of its picture; None is that of the intrinsics.
        crop: left, top, width, height in pixels of the part that is used; None is the whole picture.
        order: one of ORDERS.
        as_model: "ftheta" when the view is drawn with its own nominal f-theta lens instead of the camera's intrinsics.
        mount: place on the vehicle of a view without a camera.
        roll: degrees clockwise, seen from behind, by which the camera is mounted turned; it is drawn without that.
    """

    camera: str | None = None
    model: str = "ftheta"
    size: tuple[int, int] | None = None
    crop: tuple[int, int, int, int] | None = None
    order: str = ORDERS[0]
    as_model: str | None = None
    mount: Mount | None = None
    roll: float = 0.0

    def record(self) -> dict[str, Any]:
        """The entry as in the file, without keys that are not set."""
        found: dict[str, Any] = {"camera": self.camera} if self.camera else {}
        if self.camera:
            found["model"] = self.model
        if self.size:
            found["size"] = list(self.size)
        if self.crop:
            found["crop"] = list(self.crop)
        if self.order != ORDERS[0]:
            found["order"] = self.order
        if self.as_model:
            found["as_model"] = self.as_model
        if self.roll:
            found["roll"] = round(float(self.roll), 3)
        if self.mount:
            angles = (self.mount.heading, self.mount.pitch, self.mount.roll)
            found["mount"] = [round(float(value), 3) for value in (*self.mount.place, *angles)]
        return found


@dataclass(frozen=True)
class RigFile:
    """The views of a rig file.

    Attributes:
        views: name of a view (`front_wide_120fov`) -> its entry, in the order of the six views.
        path: the file, for messages.
    """

    views: dict[str, RigView]
    path: Path

    def drawn_as(self, model: str) -> RigFile:
        """The same rig with every camera drawn through its view's own lens ("ftheta") or its own ("own").

        Raises:
            DreamkitError: `model` is neither.
        """
        if model not in ("ftheta", "own"):
            raise DreamkitError(
                f"A camera cannot be drawn as {model!r}.", "Choose ftheta (the lens of the view) or own."
            )
        lens = "ftheta" if model == "ftheta" else None
        views = {name: replace(view, as_model=lens) if view.camera else view for name, view in self.views.items()}
        return RigFile(views, self.path)


def read_rig(path: Path) -> RigFile:
    """The rig file.

    Raises:
        DreamkitError: the file is missing or not YAML, has another version, or an unknown view, key or value.
    """
    path = Path(path)
    table = read_yaml(path, "rig file")
    version, views = table.get("version"), table.get("views")
    if version != RIG_VERSION:
        raise DreamkitError(
            f"The rig file {path} has the version {version!r}; this dreamkit reads version {RIG_VERSION}.", _EXAMPLE
        )
    if not isinstance(views, Mapping) or not views:
        raise DreamkitError(f"The rig file {path} has no `views`.", _EXAMPLE)
    if unknown := sorted(set(map(str, table)) - {"version", "views"}):
        raise DreamkitError(f"The rig file {path} has the unknown entry {unknown[0]!r}.", _EXAMPLE)
    for name in views:
        SIX_VIEWS.camera(str(name))
    order = [name for name in SIX_VIEWS.names if name in views]
    rig = RigFile({name: rig_view(views[name], f"The rig file {path}: {name}") for name in order}, path)
    used: dict[str, str] = {}
    for name, view in rig.views.items():
        if view.camera and view.camera in used:
            raise DreamkitError(
                f"The rig file {path} gives the camera {view.camera} to {used[view.camera]} and to {name}.",
                "Keep one of the two; a view without a camera can have a mount.",
            )
        used[view.camera or name] = name
    return rig


def rig_view(entry: Any, where: str) -> RigView:
    """One entry of `views`, as in the file and in the sidecars of condition videos; `where` begins the message.

    Raises:
        DreamkitError: an unknown key or value.
    """
    if not isinstance(entry, Mapping):
        raise DreamkitError(f"{where} is no table of {', '.join(_KEYS)}.", _EXAMPLE)
    for key in entry:
        if key not in _KEYS:
            close = nearest(str(key), _KEYS)
            raise DreamkitError(
                f"{where} has the unknown entry {key!r}.",
                f"Did you mean {close}?" if close else f"Known are {', '.join(_KEYS)}.",
            )
    camera, mount = entry.get("camera"), entry.get("mount")
    if (camera is None) == (mount is None) or not isinstance(camera, str | None):
        raise DreamkitError(
            f"{where} needs either the name of a camera or a mount.",
            "Write `camera: NAME`, or `mount: [x, y, z, heading, pitch, roll]` for a view without a camera.",
        )
    if camera is not None and name_fault(camera):  # folders of videos are made of it
        raise DreamkitError(
            f"{where} has the camera {camera!r}, which cannot be part of a file name.", "Rename it in the labels."
        )
    model = _choice(entry.get("model", "ftheta"), tuple(CAMERA_MODELS), where, "model")
    order = _choice(entry.get("order", ORDERS[0]), ORDERS, where, "order")
    lens = entry.get("as_model")
    size, crop = _numbers(entry, "size", 2, where), _numbers(entry, "crop", 4, where)
    place = _numbers(entry, "mount", 6, where)
    roll = entry.get("roll", 0)
    if not isinstance(roll, int | float) or isinstance(roll, bool) or not abs(roll) <= 360:
        raise DreamkitError(f"{where} has the roll {roll!r}.", "Write degrees, such as 180 for a camera upside down.")
    return RigView(
        camera,
        model,
        (int(size[0]), int(size[1])) if size else None,
        (int(crop[0]), int(crop[1]), int(crop[2]), int(crop[3])) if crop else None,
        order,
        _choice(lens, ("ftheta",), where, "as_model") if lens is not None else None,
        Mount((place[0], place[1], place[2]), *place[3:]) if place else None,
        float(roll),
    )


def _choice(value: Any, known: tuple[str, ...], where: str, key: str) -> str:
    """The value if it is one of the known ones."""
    if value not in known:
        raise DreamkitError(f"{where} has the {key} {value!r}.", f"Choose {' or '.join(known)}.")
    return value


def _numbers(entry: Mapping[str, Any], key: str, count: int, where: str) -> tuple[float, ...] | None:
    """A list of `count` numbers, or None where the key is not set."""
    value = entry.get(key)
    if value is None:
        return None
    good = isinstance(value, list) and len(value) == count
    if not good or not all(isinstance(x, int | float) and not isinstance(x, bool) and abs(x) < 1e6 for x in value):
        raise DreamkitError(f"{where} has the {key} {value!r}.", f"Write a list of {count} numbers.")
    if key != "mount" and (min(value) < 0 or min(value[-2:]) < 2 or any(x != int(x) for x in value)):
        raise DreamkitError(f"{where} has the {key} {value!r}.", "Write whole numbers of pixels.")
    return tuple(value)


def write_rig(rig: RigFile, path: Path, notes: Mapping[str, str] | None = None) -> None:
    """Write a rig file.

    Args:
        rig: the views.
        path: the file; replaced if it exists.
        notes: view -> a comment above its entry.
    """
    lines = [
        "# Which camera stands for which of the six views; the heading of dreamkit/rds/rig_file.py explains the keys."
    ]
    lines += [f"version: {RIG_VERSION}", "views:"]
    for name, view in rig.views.items():
        lines += [f"  # {line}" for line in (notes or {}).get(name, "").splitlines()]
        lines += [f"  {name}:", *(f"    {key}: {_yaml(value)}" for key, value in view.record().items())]
    write_text(path, "\n".join(lines) + "\n")


def _yaml(value: Any) -> str:
    """A value on one line of YAML; names are quoted, so that 0001 stays a text."""
    import json

    return json.dumps(value, ensure_ascii=False)
