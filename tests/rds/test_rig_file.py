"""A rig file: what it may say, the cameras and poses it stands for, and condition videos under the six views' names."""

import cv2
import numpy as np
import pytest
from own_rigs import CLIP, write_fleet
from rds_clips import camera_to_vehicle, drive

from dreamkit.errors import DreamkitError
from dreamkit.rds import writer
from dreamkit.rds.check import write_pictures
from dreamkit.rds.ftheta import FTheta
from dreamkit.rds.mounts import NOMINAL_POSES, Mount, mount_of, nominal_mount
from dreamkit.rds.pinhole import Pinhole
from dreamkit.rds.plan import Options
from dreamkit.rds.render import render_clips
from dreamkit.rds.rig_file import RigFile, RigView, read_rig, write_rig
from dreamkit.rds.rig_views import cropped, is_centre_first, view_models, view_poses, wide_crop
from dreamkit.workspace.cameras import read_folders
from dreamkit.workspace.files import read_json
from dreamkit.workspace.video import write_video

REAR = "rear_tele_30fov"


def rig(path, **views) -> RigFile:
    return RigFile(views, path)


def test_what_is_written_is_read_again(tmp_path):
    whole = RigView("a", "pinhole", (1920, 1200), (0, 60, 1920, 1080), "centre_first", "ftheta")
    made = rig(tmp_path / "rig.yaml", front_wide_120fov=whole, rear_tele_30fov=RigView(mount=nominal_mount(REAR)))
    write_rig(made, made.path, {"front_wide_120fov": "a note\nof two lines"})
    assert read_rig(made.path) == made
    assert "  # of two lines\n" in made.path.read_text()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("version: 2\nviews: {front_wide_120fov: {camera: a}}", "version 2"),
        ("version: 1\nviews: {}", "no `views`"),
        ("version: 1\nviews: {front_wide: {camera: a}}", "no camera 'front_wide'"),
        ("version: 1\nviews: {front_wide_120fov: {camera: a, modle: pinhole}}", "unknown entry 'modle'"),
        ("version: 1\nviews: {front_wide_120fov: {camera: a, model: fisheye}}", "model 'fisheye'"),
        ("version: 1\nviews: {front_wide_120fov: {camera: a, crop: [0, 0, 10]}}", "crop"),
        ("version: 1\nviews: {front_wide_120fov: {camera: a, crop: [0, 0, .inf, 10]}}", "crop"),
        ("version: 1\nviews: {front_wide_120fov: {camera: ../a}}", "cannot be part of a file name"),
        ("version: 1\nviews: {front_wide_120fov: [1]}", "is no table"),
        ("version: 1\nviews: {front_wide_120fov: {model: pinhole}}", "name of a camera or a mount"),
        ("version: 1\nviews: {front_wide_120fov: {camera: a}, rear_tele_30fov: {camera: a}}", "camera a to"),
    ],
)
def test_a_rig_file_with_a_fault_is_refused(tmp_path, text, told):
    path = tmp_path / "rig.yaml"
    path.write_text(text)
    with pytest.raises(DreamkitError, match=told):
        read_rig(path)


def test_a_rig_file_stands_for_the_six_default_folders(tmp_path):
    made = rig(tmp_path / "rig.yaml", front_wide_120fov=RigView("a"))
    write_rig(made, made.path)
    assert read_folders(made.path) == read_folders(None)


@pytest.mark.parametrize("view", NOMINAL_POSES)
def test_mount_and_pose_are_inverse(view):
    mount = nominal_mount(view)
    turned = Mount(mount.place, mount.heading, 4.0, -3.0)
    found = mount_of(np.tile(turned.pose, (3, 1, 1)))
    assert np.allclose(found.place, turned.place)
    assert np.allclose([found.heading, found.pitch, found.roll], [turned.heading, 4, -3])


def test_the_order_of_intrinsics_is_told_from_square_pixels():
    assert is_centre_first(Pinhole(960, 540, 900, 900, 1920, 1080))
    assert not is_centre_first(Pinhole(900, 900, 960, 540, 1920, 1080))
    assert not is_centre_first(Pinhole(960, 960, 960, 540, 1920, 1080))


def test_a_crop_moves_the_centre():
    camera = Pinhole(1000, 1000, 960, 600, 1920, 1200)
    assert wide_crop(camera) == (0, 60, 1920, 1080)
    assert wide_crop(Pinhole(1000, 1000, 960, 540, 1920, 1080)) is None
    part = cropped(camera, (0, 60, 1920, 1080))
    assert (part.cx, part.cy, part.width, part.height) == (960, 540, 1920, 1080)
    with pytest.raises(DreamkitError, match="inside the picture"):
        cropped(camera, (0, 121, 1920, 1080))


def test_views_have_the_cameras_poses_or_those_of_their_mount(tmp_path):
    root = write_fleet(tmp_path)
    mount = nominal_mount(REAR)
    made = rig(
        tmp_path / "rig.yaml",
        front_wide_120fov=RigView("cam_f", "pinhole"),
        cross_left_120fov=RigView("cam_fl", "pinhole", as_model="ftheta"),
        rear_left_70fov=RigView("cam_bl", "pinhole", order="centre_first"),
        rear_tele_30fov=RigView(mount=mount),
    )
    models, poses = view_models(root, CLIP, made), view_poses(root, CLIP, made)
    assert list(models) == list(poses) == [f"camera_{name}" for name in made.views]
    assert models["camera_front_wide_120fov"] == Pinhole(960, 960, 960, 540, 1920, 1080)
    assert models["camera_rear_left_70fov"] == Pinhole(1000, 1000, 960, 540, 1920, 1080)
    assert isinstance(models["camera_cross_left_120fov"], FTheta)
    assert np.allclose(poses["camera_front_wide_120fov"], drive(12) @ camera_to_vehicle(2))
    assert np.allclose(poses["camera_rear_tele_30fov"], drive(12) @ mount.pose)
    with pytest.raises(DreamkitError, match="begin with the focal lengths"):
        view_models(root, CLIP, rig(made.path, front_wide_120fov=RigView("cam_f", "pinhole", order="centre_first")))
    with pytest.raises(DreamkitError, match="no poses of the camera cam_x"):
        view_poses(root, CLIP, rig(made.path, front_wide_120fov=RigView("cam_x", "pinhole")))


def test_a_mount_follows_a_novel_drive(tmp_path):
    root = write_fleet(tmp_path, names=("cam_f",))
    moved = drive(12)
    moved[:, 1, 3] += 2.0
    writer.write_camera_poses(root, CLIP, {"cam_f": moved @ camera_to_vehicle(2)}, "novel")
    made = rig(tmp_path / "rig.yaml", rear_tele_30fov=RigView(mount=nominal_mount(REAR)))
    poses = view_poses(root, CLIP, made, folder="novel")
    assert np.allclose(poses["camera_rear_tele_30fov"], moved @ nominal_mount(REAR).pose)


def test_condition_videos_have_the_six_views_names_and_are_made_once(tmp_path):
    root, out = write_fleet(tmp_path / "labels"), tmp_path / "out"
    made = rig(
        tmp_path / "rig.yaml",
        front_wide_120fov=RigView("cam_f", "pinhole"),
        rear_tele_30fov=RigView(mount=nominal_mount(REAR)),
    )
    options = Options(conditions=("hdmap",), drawn=(320, 180), size=(320, 176), workers=1, rig=made)
    results = render_clips(root, out, options)
    assert [result.path.relative_to(out).as_posix() for result in results] == [
        f"hdmap/ftheta_camera_front_wide_120fov/{CLIP}_0.mp4",
        f"hdmap/ftheta_camera_rear_tele_30fov/{CLIP}_0.mp4",
    ]
    assert all(result.made for result in results)
    assert not any(result.made for result in render_clips(root, out, options))
    assert read_json(results[0].path.with_suffix(".json"), "sidecar")["rig"] == {"camera": "cam_f", "model": "pinhole"}
    assert read_rig(out / "rig.yaml").views == made.views
    through_lens = Options(**{**vars(options), "rig": made.drawn_as("ftheta")})
    assert [result.made for result in render_clips(root, out, through_lens)] == [True, False]


def test_a_cameras_own_video_is_cropped_as_its_view_is(tmp_path):
    root = write_fleet(tmp_path / "labels")
    # A tall picture with a white line where the drawing, a crop of 60 rows less above and below, has its middle.
    film = np.zeros((7, 150, 240, 3), np.uint8)
    film[:, 74:76] = 255
    write_video(tmp_path / "films" / "cam_fl" / f"{CLIP}.mp4", film, 30)
    view = RigView("cam_fl", "pinhole", (1920, 1200), (0, 60, 1920, 1080))
    options = Options(conditions=("hdmap",), rig=rig(tmp_path / "rig.yaml", cross_left_120fov=view))
    (path,) = write_pictures(root, CLIP, tmp_path / "out", options, tmp_path / "films", 6)
    rows = cv2.imread(str(path)).min(-1).mean(1)
    assert path.name == "camera_cross_left_120fov.png" and len(rows) == 540
    assert abs(rows.argmax() - 270) < 5
