import functools
import os
import subprocess
import sys

import cv2
import imageio_ffmpeg
import numpy as np
import pytest

from dreamkit.errors import DreamkitError
from dreamkit.notebook import preview
from dreamkit.workspace import cameras, video


def moving_square(frames=9, height=64, width=96):
    frames_thwc = np.full((frames, height, width, 3), (60, 120, 200), np.uint8)
    for t in range(frames):
        frames_thwc[t, 16:48, 4 + 4 * t : 36 + 4 * t] = (200, 40, 30)
    return frames_thwc


def test_what_is_written_is_read_back(tmp_path):
    path = tmp_path / "new folder" / "a b.mp4"
    frames = moving_square()
    video.write_video(path, frames, fps=24)
    info = video.probe(path)
    assert (info.frames, info.height, info.width, info.fps) == (9, 64, 96, 24)
    back = video.read_video(path)
    assert back.shape == frames.shape
    assert np.abs(back.astype(int) - frames).mean() < 5
    assert video.read_video(path, max_frames=4).shape[0] == 4
    assert [entry.name for entry in path.parent.iterdir()] == ["a b.mp4"]


def test_it_is_h264_yuv420p(tmp_path):
    video.write_video(tmp_path / "a.mp4", moving_square(), fps=24)
    run = subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-i", tmp_path / "a.mp4"], capture_output=True, text=True)
    assert "h264" in run.stderr
    assert "yuv420p" in run.stderr
    assert "24 fps" in run.stderr
    assert "smpte170m" in run.stderr


ENCODE = """
import sys
from pathlib import Path
import numpy as np
from dreamkit.workspace.video import write_video
write_video(Path(sys.argv[1]), np.load(sys.argv[2]), fps=24)
"""


def test_the_same_frames_make_the_same_bytes_whatever_lay_in_memory_and_however_many_cores(tmp_path):
    """glibc fills memory that is handed out with a byte of our choice; 288 pixels are two blocks more than 16."""
    still = np.random.default_rng(0).integers(0, 255, (160, 288, 3), np.uint8)
    still = cv2.GaussianBlur(still, (0, 0), 4) // 2 * 2
    np.save(tmp_path / "frames.npy", np.stack([np.roll(still, (t, 3 * t), (0, 1)) for t in range(9)]))
    made = set()
    one = {min(os.sched_getaffinity(0))} if hasattr(os, "sched_setaffinity") else None
    for fill, cores in (("0", None), ("85", one), ("170", None)):
        limit = functools.partial(os.sched_setaffinity, 0, cores) if cores else None
        command = [sys.executable, "-c", ENCODE, tmp_path / "a.mp4", tmp_path / "frames.npy"]
        subprocess.run(command, env=os.environ | {"MALLOC_PERTURB_": fill}, preexec_fn=limit, check=True)
        made.add((tmp_path / "a.mp4").read_bytes())
    assert len(made) == 1


def test_a_cut_off_video_is_refused(tmp_path):
    path = tmp_path / "a.mp4"
    noise = np.random.default_rng(0).integers(0, 255, (30, 64, 96, 3), np.uint8)
    video.write_video(path, noise, fps=24)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DreamkitError, match=r"cut off|damaged|cannot be read"):
        video.read_video(path)


def ffmpeg(*arguments):
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error", *map(str, arguments)], check=True)


def test_a_video_trimmed_without_encoding_has_the_frames_that_play(tmp_path):
    whole, trimmed = tmp_path / "a.mp4", tmp_path / "trimmed.mp4"
    frames = moving_square(12)
    ffmpeg_input = tmp_path / "raw.mp4"
    video.write_video(ffmpeg_input, frames, fps=10)
    ffmpeg("-i", ffmpeg_input, "-c:v", "libx264", "-bf", "2", whole)
    ffmpeg("-ss", "0.5", "-i", whole, "-c", "copy", trimmed)
    info = video.probe(trimmed)
    assert 5 <= info.frames <= 8
    assert len(video.read_video(trimmed)) == info.frames
    video.check_decodes(trimmed, info, info.frames)
    with pytest.raises(DreamkitError, match="damaged"):
        video.check_decodes(trimmed, info, 12)


@pytest.mark.parametrize("missing", [1, 50, 400])
def test_a_missing_end_is_seen_by_looking(tmp_path, missing):
    path = tmp_path / "a.mp4"
    noise = np.random.default_rng(0).integers(0, 255, (10, 64, 96, 3), np.uint8)
    video.write_video(path, noise, fps=24)
    assert not video.is_cut_off(path)
    ffmpeg("-i", path, "-c", "copy", "-movflags", "faststart", tmp_path / "b.mp4")
    whole = (tmp_path / "b.mp4").read_bytes()
    path.write_bytes(whole + b"a note at the end")
    assert not video.is_cut_off(path)
    path.write_bytes(whole[:-missing])
    assert video.is_cut_off(path)
    with pytest.raises(DreamkitError, match="cut off"):
        video.probe(path)


def test_other_files_are_not_called_cut_off(tmp_path):
    (tmp_path / "a.avi").write_bytes(b"RIFF" * 10)
    (tmp_path / "b.mp4").write_bytes(b"abc")
    assert not video.is_cut_off(tmp_path / "a.avi")
    assert not video.is_cut_off(tmp_path / "b.mp4")


def test_frames_are_read_into_an_array_and_written_one_by_one(tmp_path):
    frames = moving_square()
    video.write_video(tmp_path / "a.mp4", iter(frames), fps=24)
    out = np.empty((4, 32, 48, 3), np.uint8)
    assert video.read_video(tmp_path / "a.mp4", 4, (32, 48), out=out) is out
    assert np.array_equal(out, video.read_video(tmp_path / "a.mp4", 4, (32, 48)))
    with pytest.raises(ValueError, match="out is"):
        video.read_video(tmp_path / "a.mp4", 5, (32, 48), out=out)


def test_missing_empty_and_other_files_are_refused(tmp_path):
    with pytest.raises(DreamkitError, match="no video at"):
        video.probe(tmp_path / "a.mp4")
    (tmp_path / "a.mp4").write_bytes(b"")
    with pytest.raises(DreamkitError, match="empty file"):
        video.probe(tmp_path / "a.mp4")
    (tmp_path / "a.mp4").write_bytes(b"not a video" * 100)
    with pytest.raises(DreamkitError, match="cannot be read"):
        video.probe(tmp_path / "a.mp4")


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.mp4"
    video.write_video(path, moving_square(), fps=24)
    before = path.read_bytes()
    monkeypatch.setattr(video, "_encode", lambda partial, *rest: (partial.write_bytes(b"half"), 1 / 0))
    with pytest.raises(ZeroDivisionError):
        video.write_video(path, moving_square(), fps=24)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_encode_video_writes_the_same_bytes_straight_into_the_path(tmp_path, monkeypatch):
    video.write_video(tmp_path / "a.mp4", moving_square(), fps=24)
    video.encode_video(tmp_path / "new" / "b.mp4", iter(moving_square()), fps=24)
    assert (tmp_path / "new" / "b.mp4").read_bytes() == (tmp_path / "a.mp4").read_bytes()
    monkeypatch.setattr(video, "replacing", lambda path: 1 / 0)
    video.encode_video(tmp_path / "c.mp4", moving_square(), fps=24)
    with pytest.raises(DreamkitError, match="Cannot write"):
        video.encode_video(tmp_path / "c.mp4" / "d.mp4", moving_square(), fps=24)


def test_a_damaged_video_gives_the_frames_before_the_damage(tmp_path):
    path = tmp_path / "a.mp4"
    noise = np.random.default_rng(0).integers(0, 255, (30, 64, 96, 3), np.uint8)
    video.write_video(path, noise, fps=24)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert 5 < sum(1 for _ in video.decode_video(path)) < 30
    path.write_bytes(b"not a video" * 100)
    with pytest.raises(DreamkitError, match="cannot be read"):
        next(video.decode_video(path))


def test_odd_sizes_and_other_types_are_a_programmers_mistake(tmp_path):
    with pytest.raises(ValueError, match="even"):
        video.write_video(tmp_path / "a.mp4", moving_square(width=95), fps=24)
    with pytest.raises(ValueError, match="uint8"):
        video.write_video(tmp_path / "a.mp4", moving_square().astype(np.float32), fps=24)


def test_resize_is_bilinear_on_uint8():
    frames = moving_square()
    small = video.resize(frames, 32, 48)
    assert small.shape == (9, 32, 48, 3)
    assert small.dtype == np.uint8
    assert video.resize(frames, 64, 96) is frames


@pytest.mark.parametrize("views", [6, 5])
def test_the_grid_puts_left_on_the_left(views):
    views_vthwc = np.stack([np.full((2, 4, 6, 3), index, np.uint8) for index in range(views)])
    grid = np.stack(list(video.grid(views_vthwc, cameras.rig(views))))
    assert grid.shape == (2, 8, 18, 3)
    assert grid[1, ::4, ::6, 0].tolist() == ([[1, 0, 2], [4, 3, 5]] if views == 6 else [[1, 0, 2], [3, 0, 4]])


def test_a_small_copy_moves_and_leaves_nothing(tmp_path):
    video.write_video(tmp_path / "a.mp4", moving_square(), fps=24)
    copy = preview.small_copy(tmp_path / "a.mp4", width=48)
    assert len(list(tmp_path.iterdir())) == 1
    (tmp_path / "copy.mp4").write_bytes(copy)
    assert str(video.probe(tmp_path / "copy.mp4")) == "9 frames 48x32 at 24 fps"


def test_real_condition_videos_are_read(real_data):
    info = video.probe(real_data / "front_121" / "lidar.mp4")
    assert (info.frames, info.height, info.width, info.fps) == (121, 704, 1280, 24)
    path = next((real_data / "outputs" / "hdmap").glob("*front*/*.mp4"))
    assert video.read_video(path, max_frames=2).shape == (2, 704, 1280, 3)


def test_importing_video_imports_no_decoder():
    names = "('av', 'imageio_ffmpeg', 'IPython')"
    code = f"import sys, dreamkit.workspace.video; print([m for m in {names} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
