import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rds_clips import CLIP, FTHETA, HEADINGS, PINHOLE, drive, rig_poses, write_clip
from typer.testing import CliRunner

from dreamkit.bench import render as bench_render
from dreamkit.cli.app import app
from dreamkit.errors import DreamkitError
from dreamkit.rds import trajectory, writer
from dreamkit.rds.check import check_clip
from dreamkit.rds.drawing import draw_hdmap, draw_pool, read_clip
from dreamkit.rds.plan import Options, chunk_frames
from dreamkit.rds.render import render_clips
from dreamkit.rds.rig import read_camera_poses
from dreamkit.workspace.cameras import SIX_VIEWS
from dreamkit.workspace.video import probe, read_video
from dreamkit.workspace.workspace import Chunk, Workspace

FRONT = "camera_front_wide_120fov"
# Small pictures keep these tests quick; the sizes of the models are covered by the comparison with the reference.
SMALL = {"drawn": (320, 180), "size": (320, 176), "workers": 1}


def options(**changes):
    return Options(**{**SMALL, "conditions": ("hdmap",), "cameras": (FRONT,), "chunk_frames": 12, **changes})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("rds"), frames=30, with_lidar=True)


def test_chunks_follow_upstreams_rule():
    assert chunk_frames(300, 121) == [range(0, 121), range(121, 242)]
    assert chunk_frames(300, 121, 21) == [range(0, 121), range(100, 221)]
    assert chunk_frames(242, 121, 21) == [range(0, 121), range(100, 221)]
    assert chunk_frames(300, 57, 0, 2) == [range(0, 57), range(57, 114)]
    assert chunk_frames(121, 121) == [range(0, 121)]
    assert chunk_frames(50, 121) == [range(0, 50)]


def test_videos_are_named_sized_and_described_as_the_workspace_wants(folder, tmp_path):
    results = render_clips(folder, tmp_path / "out", options(conditions=None, cameras=None))
    paths = {result.path.relative_to(tmp_path / "out").as_posix() for result in results}
    assert paths == {
        f"{condition}/ftheta_{camera}/{CLIP}_{n}.mp4"
        for condition in ("hdmap", "lidar")
        for camera in HEADINGS
        for n in (0, 1)
    }
    for result in results:
        info = probe(result.path)
        assert (info.frames, info.fps, info.height, info.width) == (12, 30, 176, 320)
        record = json.loads(result.path.with_suffix(".json").read_text())
        assert record["clip"] == CLIP and record["frames"] == 12 and record["inputs"][f"pose/{CLIP}.tar"]
    assert {path.suffix for path in (tmp_path / "out").rglob("*") if path.is_file()} == {".mp4", ".json"}


def test_the_video_shows_the_drawing(folder, tmp_path):
    (result, *_) = render_clips(folder, tmp_path, options())
    clip = read_clip(folder, CLIP, options())
    drawn = draw_hdmap(clip, FRONT, range(12), options())
    assert np.abs(read_video(result.path).astype(int) - drawn).mean() < 4
    assert drawn.any()


def test_a_second_run_finds_everything_done_and_a_change_makes_it_again(folder, tmp_path):
    first = render_clips(folder, tmp_path, options())
    assert all(result.made for result in first)
    stamps = {result.path: result.path.stat().st_mtime_ns for result in first}
    again = render_clips(folder, tmp_path, options())
    assert [result.path for result in again] == [result.path for result in first]
    assert not any(result.made for result in again)
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    first[1].path.unlink()
    assert [result.made for result in render_clips(folder, tmp_path, options())] == [False, True]
    assert all(result.made for result in render_clips(folder, tmp_path, options(crf=30)))


def test_a_video_without_a_sidecar_is_the_users_own(folder, tmp_path, caplog):
    own = tmp_path / "hdmap" / f"ftheta_{FRONT}" / f"{CLIP}_0.mp4"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"mine")
    assert [result.made for result in render_clips(folder, tmp_path, options())] == [False, True]
    assert own.read_bytes() == b"mine" and "is kept" in caplog.text
    assert [result.made for result in render_clips(folder, tmp_path, options(overwrite=True))] == [True, False]
    assert probe(own).frames == 12


def test_a_run_stopped_between_sidecar_and_video_is_not_taken_for_done(folder, tmp_path, monkeypatch):
    render_clips(folder, tmp_path, options())

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("dreamkit.workspace.video.write_video", stop)
    with pytest.raises(KeyboardInterrupt):
        render_clips(folder, tmp_path, options(crf=30))
    monkeypatch.undo()
    results = render_clips(folder, tmp_path, options(crf=30))
    assert results[0].made and probe(results[0].path).frames == 12


def test_a_clip_shorter_than_a_chunk_becomes_one_short_video_with_a_warning(folder, tmp_path, caplog):
    (result,) = render_clips(folder, tmp_path, options(chunk_frames=121))
    assert probe(result.path).frames == 30
    assert "fewer than a chunk of 121" in caplog.text


def test_several_clips_at_once_and_a_damaged_one_does_not_stop_the_others(tmp_path):
    source = write_clip(tmp_path / "rds", "a", frames=12, cameras=[FRONT])
    write_clip(source, "b", frames=12, cameras=[FRONT])
    write_clip(source, "c", frames=12, cameras=[FRONT])
    (source / "all_object_info" / "b.tar").write_bytes(b"half a downl")
    with pytest.raises(DreamkitError, match=r"1 of 3 clips.*\n  b: .*all_object_info") as caught:
        render_clips(source, tmp_path / "out", options())
    assert "others are done" in caught.value.hint
    made = sorted(path.name for path in (tmp_path / "out").rglob("*.mp4"))
    assert made == ["a_0.mp4", "c_0.mp4"]
    assert len(render_clips(source, tmp_path / "out", options(clips=("c", "a")))) == 2
    with pytest.raises(DreamkitError, match="all_object_info"):
        render_clips(source, tmp_path / "out", options(clips=("b",)))


def test_processes_draw_the_same_pictures(folder):
    clip = read_clip(folder, CLIP, options())
    alone = draw_hdmap(clip, FRONT, range(30), options())
    before = dict(os.environ)
    with draw_pool(2) as pool:
        np.testing.assert_array_equal(draw_hdmap(clip, FRONT, range(30), options(), pool), alone)
        with pytest.raises(IndexError):
            draw_hdmap(clip, FRONT, [500], options(), pool)
    assert dict(os.environ) == before


def test_pinhole_cameras_see_what_f_theta_cameras_see(tmp_path):
    source = write_clip(tmp_path / "rds", frames=6, cameras=[FRONT], model=PINHOLE)
    (result,) = render_clips(source, tmp_path / "out", options(model="pinhole", chunk_frames=6))
    assert result.path.parent.name == f"pinhole_{FRONT}"
    clip = read_clip(source, CLIP, options(model="pinhole"))
    drawn = draw_hdmap(clip, FRONT, [0], options(model="pinhole"))[0]
    camera, pose = clip.cameras[FRONT], clip.poses[FRONT][0]
    # The near end of the left lane line, 1.75 m to the left of the road's middle.
    point = (np.linalg.inv(pose) @ [10, 1.75, 0, 1])[:3]
    u, v = camera.project(point).round().astype(int)
    assert drawn[round(v * 176 / 180), u].any()
    bent = read_clip(write_clip(tmp_path / "f", frames=6, cameras=[FRONT], model=FTHETA), CLIP, options())
    assert not np.array_equal(draw_hdmap(bent, FRONT, [0], options())[0], drawn)


def test_missing_parts_have_their_fallback_or_message(tmp_path, caplog):
    source = write_clip(tmp_path / "rds", frames=6, cameras=[FRONT])
    (source / "all_object_info" / f"{CLIP}.tar").unlink()
    (source / "ftheta_intrinsic" / f"{CLIP}.tar").unlink()
    (result,) = render_clips(source, tmp_path / "out", options(chunk_frames=6))
    assert result.made and "no boxes are drawn" in caplog.text and "default f-theta" in caplog.text
    for changes, message in (
        ({"conditions": ("lidar",)}, "no LiDAR to render"),
        ({"cameras": ("front_wide_12fov",)}, "no poses of a camera"),
        ({"clips": ("made-up_000_10",)}, "has no clip"),
        ({"model": "pinhole"}, "pinhole_intrinsic"),
        ({"model": "fisheye"}, "camera model .fisheye. is unknown"),
        ({"novel_pose": "nowhere"}, "is missing, so"),
    ):
        with pytest.raises(DreamkitError, match=message):
            render_clips(source, tmp_path / "out", options(**changes))
    (source / "pose" / f"{CLIP}.tar").unlink()
    with pytest.raises(DreamkitError, match=r"holds no \.tar"):
        render_clips(source, tmp_path / "out", options())


@pytest.mark.parametrize(
    "changes",
    [
        {"overlap": 12},
        {"overlap": -1},
        {"chunk_frames": 0},
        {"max_chunks": 0},
        {"workers": 0},
        {"conditions": ("depth",)},
    ],
)
def test_options_that_cannot_be_are_refused(changes):
    with pytest.raises(DreamkitError):
        options(**changes)


def test_a_novel_drive_is_rendered_beside_the_recorded_one(tmp_path):
    source = write_clip(tmp_path / "rds", frames=12, cameras=[FRONT])
    trajectory.write_novel_poses(source, CLIP, trajectory.Manoeuvre(shift=1.0), "shifted")
    (result,) = render_clips(source, tmp_path / "out", options(novel_pose="shifted"))
    assert result.path == tmp_path / "out_shifted" / "hdmap" / f"ftheta_{FRONT}" / f"{CLIP}_0.mp4"
    (recorded,) = render_clips(source, tmp_path / "out", options())
    assert not np.array_equal(read_video(recorded.path), read_video(result.path))
    with pytest.raises(DreamkitError, match="recorded drive"):
        trajectory.write_novel_poses(source, CLIP, trajectory.Manoeuvre(), "pose")


def test_a_camera_folder_of_none_of_the_six_views_has_a_place_in_the_workspace(tmp_path):
    workspace, chunk = Workspace(tmp_path), Chunk("clip_a", 2)
    assert workspace.condition_in("lidar", "pinhole_roof", chunk) == tmp_path / "lidar/pinhole_roof/clip_a_2.mp4"
    front = SIX_VIEWS.front
    assert workspace.condition_in("hdmap", front.folder, chunk) == workspace.condition("hdmap", front, chunk)


def test_manoeuvres():
    vehicle = drive(60)
    cameras = rig_poses(vehicle)
    same, same_cameras = trajectory.change_drive(vehicle, cameras, trajectory.Manoeuvre())
    np.testing.assert_allclose(same, vehicle, atol=1e-12)
    np.testing.assert_allclose(same_cameras[FRONT], cameras[FRONT], atol=1e-12)
    shifted, _ = trajectory.change_drive(vehicle, cameras, trajectory.Manoeuvre(shift=-1.5))
    np.testing.assert_allclose(shifted[:, 1, 3], -1.5)
    np.testing.assert_allclose(shifted[:, :3, :3], vehicle[:, :3, :3], atol=1e-12)
    change = trajectory.Manoeuvre(lane_change=3.5, change_from=10, change_frames=30)
    changed, carried = trajectory.change_drive(vehicle, cameras, change)
    assert np.all(changed[:11, 1, 3] == 0) and np.allclose(changed[40:, 1, 3], 3.5)
    heading = np.degrees(np.arctan2(changed[:, 1, 0], changed[:, 0, 0]))
    assert heading[25] > 20 and abs(heading[5]) < 0.1 and abs(heading[-1]) < 0.1
    # The cameras stay where they are on the vehicle.
    mount = np.linalg.inv(vehicle[0]) @ cameras[FRONT][0]
    np.testing.assert_allclose(np.linalg.inv(changed) @ carried[FRONT], np.tile(mount, (60, 1, 1)), atol=1e-9)
    fast, _ = trajectory.change_drive(vehicle, cameras, trajectory.Manoeuvre(speed=2))
    assert len(fast) == 30 and fast[29, 0, 3] == pytest.approx(vehicle[58, 0, 3])
    slow, slow_cameras = trajectory.change_drive(vehicle, cameras, trajectory.Manoeuvre(speed=0.5))
    assert len(slow) == len(slow_cameras[FRONT]) == 60 and slow[1, 0, 3] == pytest.approx(0.15)
    standing, _ = trajectory.change_drive(np.tile(np.eye(4), (60, 1, 1)), {}, change)
    np.testing.assert_allclose(standing[:, :3, :3], np.tile(np.eye(3), (60, 1, 1)))
    for bad in ({"speed": 0}, {"change_frames": 0}, {"change_from": -1}, {"shift": 1e3}, {"lane_change": float("nan")}):
        with pytest.raises(DreamkitError):
            trajectory.Manoeuvre(**bad)
    with pytest.raises(DreamkitError, match="must agree"):
        trajectory.change_drive(vehicle[:-1], cameras, change)


def test_the_command_line_renders_reports_and_resumes(tmp_path):
    source = write_clip(tmp_path / "rds", frames=3, cameras=[FRONT])
    (tmp_path / "clips.json").write_text(json.dumps([CLIP]))
    command = [
        "render",
        str(source),
        "-o",
        str(tmp_path / "out"),
        "--conditions",
        "hdmap",
        "--cameras",
        "front_wide_120fov",
        "--clips",
        str(tmp_path / "clips.json"),
        "--workers",
        "1",
    ]
    first, second = (CliRunner().invoke(app, command) for _ in range(2))
    assert first.exit_code == second.exit_code == 0, first.output
    assert "1 video made, 0 found done" in first.output and "0 videos made, 1 found done" in second.output
    info = probe(tmp_path / "out" / "hdmap" / f"ftheta_{FRONT}" / f"{CLIP}_0.mp4")
    assert (info.height, info.width, info.fps) == (704, 1280, 30)
    (tmp_path / "clips.json").write_text("{")
    assert isinstance(CliRunner().invoke(app, command).exception, DreamkitError)


def test_importing_the_package_needs_no_video_or_command_line_library():
    blocked = "av,pydantic,typer,yaml,tqdm,scipy,imageio_ffmpeg,PIL"
    modules = [path.stem for path in (Path(__file__).parents[2] / "dreamkit" / "rds").glob("[!_]*.py")]
    code = (
        f"import sys, importlib\nfor name in {blocked!r}.split(','): sys.modules[name] = None\n"
        f"for name in {modules!r}: importlib.import_module('dreamkit.rds.' + name)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_the_bench_compares_pictures_and_refuses_a_folder_that_is_no_toolkit(folder, tmp_path):
    black, white = np.zeros((2, 4, 4, 3), np.uint8), np.full((2, 4, 4, 3), 200, np.uint8)
    assert bench_render.compare_pictures(black, black) == (0, 1) and bench_render.compare_pictures(white, black) == (
        200,
        0,
    )
    row = bench_render.RenderTimes(FRONT, 10, (2.0, 1.0, 3.0), (0.2, 0.1, 0.3), 0.5, 0.99)
    assert row.ratio == 10 and "| 200.0 | 20.0 | 10.0 |" in bench_render.render_table([row], 2)
    with pytest.raises(DreamkitError, match="render_from_rds_hq"):
        bench_render.time_renderers(folder, tmp_path)
    (tmp_path / "render_from_rds_hq.py").write_text("raise SystemExit('no such module: shapely')")
    with pytest.raises(DreamkitError, match="1 or more"):
        bench_render.time_renderers(folder, tmp_path, repeats=0)
    with pytest.raises(DreamkitError, match="stopped before it was ready"):
        bench_render.time_renderers(folder, tmp_path, [FRONT], 2, 1, 1)


def test_novel_poses_keep_every_camera(tmp_path):
    source = write_clip(tmp_path, frames=6)
    trajectory.write_novel_poses(source, CLIP, trajectory.Manoeuvre(speed=1.5), "fast")
    found = read_camera_poses(source, CLIP, folder="fast")
    assert found.keys() == HEADINGS.keys() and len(found[FRONT]) == 4
    with pytest.raises(DreamkitError, match="same number"):
        writer.write_camera_poses(source, CLIP, {"a": np.eye(4)[None], "b": np.tile(np.eye(4), (2, 1, 1))})


def test_an_output_that_is_no_folder_and_a_tar_that_is_no_file_are_told_in_one_sentence(tmp_path, caplog):
    root = write_clip(tmp_path / "rds", frames=3)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for out in (tmp_path / "file", tmp_path / "file/below", tmp_path / "loop"):
        with pytest.raises(DreamkitError, match="is no folder"):
            render_clips(root, out)
    assert (tmp_path / "file").read_text() == "mine" and not caplog.records
    tar = root / "pose" / f"{CLIP}.tar"
    tar.unlink()
    tar.mkdir()
    assert [f.what for f in check_clip(root, CLIP) if f.layer == "pose"] == [f"{tar} is no plain file."]
