"""The camera rigs: names, folders, prompt sentences of the cameras, and their places in the grid video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dreamkit.errors import DreamkitError
from dreamkit.workspace.file_names import name_fault
from dreamkit.workspace.files import nearest, read_yaml

FOLDER_PREFIX = "ftheta_camera_"
RIG_VERSION = 1
"""Version of the rig file, which `dreamkit.rds.rig_file` reads."""

# The models were trained with these sentences: verbatim from cosmos-transfer1
# diffusion/inference/world_generation_pipeline.py, build_mv_prompt.
_MOUNTED = "The video is captured from a camera mounted on a car. "


@dataclass(frozen=True)
class Camera:
    """One view of a rig.

    Attributes:
        name: "front_wide_120fov" and so on.
        index: position in the rig's order, and the number in `<index>.mp4`.
        embedding: row of the model's view-embedding table.
        sentence: beginning of the prompt, which says where the camera faces.
    """

    name: str
    index: int
    embedding: int
    sentence: str

    @property
    def folder(self) -> str:
        """Default name of the folder of the camera's condition videos."""
        return FOLDER_PREFIX + self.name


@dataclass(frozen=True)
class Rig:
    """The cameras of a car.

    Attributes:
        cameras: the cameras in the model's order.
        grid: indices of the cameras in the grid video, row by row.
    """

    cameras: tuple[Camera, ...]
    grid: tuple[tuple[int, ...], ...]

    def __len__(self) -> int:
        return len(self.cameras)

    @property
    def front(self) -> Camera:
        """The front camera, whose video the single-view model makes."""
        return self.cameras[0]

    @property
    def names(self) -> tuple[str, ...]:
        """Camera names in the model's order."""
        return tuple(camera.name for camera in self.cameras)

    def camera(self, name: str) -> Camera:
        """The camera of that name.

        Raises:
            DreamkitError: the rig has no such camera; the hint names the nearest.
        """
        for camera in self.cameras:
            if camera.name == name:
                return camera
        close = nearest(name, self.names)
        hint = f"Did you mean {close!r}?" if close else f"The views are {', '.join(self.names)}."
        raise DreamkitError(f"There is no camera {name!r} among the {len(self)} views.", hint)

    def place(self, camera: Camera) -> tuple[int, int]:
        """(row, column) of the camera in the grid; the first place where the grid has it twice."""
        return next(
            (row, column)
            for row, indices in enumerate(self.grid)
            for column, index in enumerate(indices)
            if index == camera.index
        )


_FRONT = ("front_wide_120fov", 0, _MOUNTED + "The camera is facing forward.")
_LEFT = ("cross_left_120fov", 1, _MOUNTED + "The camera is facing to the left.")
_RIGHT = ("cross_right_120fov", 2, _MOUNTED + "The camera is facing to the right.")
_REAR = ("rear_tele_30fov", 3, _MOUNTED + "The camera is facing backwards.")
_REAR_LEFT = ("rear_left_70fov", 4, _MOUNTED + "The camera is facing the rear left side.")
_REAR_RIGHT = ("rear_right_70fov", 5, _MOUNTED + "The camera is facing the rear right side.")


def _rig(rows: Sequence[tuple[str, int, str]], grid: tuple[tuple[int, ...], ...]) -> Rig:
    """A rig from (name, embedding, sentence) of its cameras in order, and its grid."""
    cameras = tuple(Camera(name, index, embedding, text) for index, (name, embedding, text) in enumerate(rows))
    return Rig(cameras, grid)


SIX_VIEWS = _rig((_FRONT, _LEFT, _RIGHT, _REAR, _REAR_LEFT, _REAR_RIGHT), ((1, 0, 2), (4, 3, 5)))
# The rig of Waymo's cars, without a rear camera. The grid has the front view twice, as upstream's grid does.
FIVE_VIEWS = _rig((_FRONT, _LEFT, _RIGHT, _REAR_LEFT, _REAR_RIGHT), ((1, 0, 2), (3, 0, 4)))


def rig(views: int) -> Rig:
    """The rig of six or five views.

    Raises:
        DreamkitError: there is no rig of that many views.
    """
    rigs = {6: SIX_VIEWS, 5: FIVE_VIEWS}
    if views not in rigs:
        raise DreamkitError(f"The model makes 6 or 5 views, not {views}.", "Set views to 6 (or 5 for a Waymo rig).")
    return rigs[views]


def view_prompts(caption: str, of: Rig = SIX_VIEWS, others: Sequence[str] = ()) -> list[str]:
    """One prompt for each view: the camera's sentence, then the caption for the front view and `others` for the rest.

    Source: build_mv_prompt in cosmos-transfer1. A prompt that begins with its camera's sentence is left as it is.

    Args:
        caption: caption of the front view.
        of: the rig.
        others: prompts of the views after the front one, in the rig's order; may be fewer than those.
    """
    given = [caption, *others][: len(of)]
    prompts = []
    for camera in of.cameras:
        text = given[camera.index].strip() if camera.index < len(given) else ""
        prompts.append(text if text.startswith(camera.sentence) else f"{camera.sentence} {text}".strip())
    return prompts


def read_folders(table: Path | None) -> dict[str, str]:
    """Camera name -> folder name, from a YAML table of lines `folder: camera`; the default names without a table.

    A rig file (`dreamkit rig propose`) stands for the default names: its condition videos have them. Cameras that the
    table leaves out keep their default folder:

        pinhole_front: front_wide_120fov
        fleet_cam_07: rear_tele_30fov

    Raises:
        DreamkitError: the table is missing or not YAML, has an unknown camera, or gives a camera two folders.
    """
    folders = {camera.name: camera.folder for camera in SIX_VIEWS.cameras}
    if table is None:
        return folders
    rows = read_yaml(table, "camera table")
    if isinstance(rows.get("views"), dict) and rows.get("version") == RIG_VERSION:
        return folders
    if not rows or not all(isinstance(name, str) for name in rows.values()):
        raise DreamkitError(
            f"The camera table {table} must be lines of `folder: camera`.", "For example `my_front: front_wide_120fov`."
        )
    renamed: dict[str, str] = {}
    for folder, name in rows.items():
        camera = SIX_VIEWS.camera(name.removeprefix(FOLDER_PREFIX))
        if camera.name in renamed:
            raise DreamkitError(
                f"The camera table {table} gives {camera.name} two folders, {renamed[camera.name]} and {folder}.",
                "Keep one of the two lines.",
            )
        if name_fault(folder):  # `..` and slashes would lead out of the workspace
            raise DreamkitError(
                f"The camera table {table} has {folder!r}, which is not the name of one folder.",
                "Give the name of a folder inside `hdmap` and `lidar`, without slashes or a dot in front.",
            )
        renamed[camera.name] = folder
    return folders | renamed
