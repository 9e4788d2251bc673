"""Videos are read as players show them: track, orientation, display times."""

import subprocess

import imageio_ffmpeg
import numpy as np
import pytest

from dreamkit.review.measures.frames import read_small, read_still
from dreamkit.workspace import video
from dreamkit.workspace.video_display import Orientation, crowded_frames, frames_at_rate, missing_frames

PICTURE = np.zeros((48, 80, 3), np.uint8)
PICTURE[:24, :40], PICTURE[:24, 40:], PICTURE[24:, :40] = (200, 30, 30), (30, 200, 30), (30, 30, 200)


def ffmpeg(*arguments):
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error", *map(str, arguments)], check=True)


@pytest.fixture
def plain(tmp_path):
    """30 frames at 30 fps; the lower right corner holds the frame's number as a grey value, times 8."""
    frames = np.repeat(PICTURE[None], 30, 0)
    frames[:, 24:, 40:] = (np.arange(30) * 8)[:, None, None, None]
    video.write_video(tmp_path / "plain.mp4", frames, 30, crf=10)
    return tmp_path / "plain.mp4"


def numbers(path, **options):
    frames = video.read_video(path, **options)
    return [round(float(f[30:44, 50:74].mean()) / 8) for f in frames]


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_rotated_as_ffmpeg_rotates(plain, tmp_path, turn):
    path, shown = tmp_path / "turned.mp4", tmp_path / "shown.mp4"
    ffmpeg("-display_rotation", turn, "-i", plain, "-c", "copy", path)
    ffmpeg("-i", path, "-crf", 10, "-pix_fmt", "yuv420p", shown)  # ffmpeg turns the frames themselves here
    info = video.probe(path)
    assert (info.height, info.width) == ((48, 80) if turn == 180 else (80, 48))
    ours, theirs = video.read_video(path), video.read_video(shown)
    assert ours.shape == theirs.shape
    assert np.abs(ours.astype(int) - theirs).mean() < 3
    assert read_small(path, 48).frames_thwc.shape[1:3] == read_small(shown, 48).frames_thwc.shape[1:3]
    assert np.abs(read_still(path, 48).astype(int) - read_still(shown, 48)).mean() < 3


@pytest.mark.parametrize("flip", ["-display_hflip", "-display_vflip"])
def test_mirrored_as_ffmpeg_mirrors(plain, tmp_path, flip):
    path, shown = tmp_path / "turned.mp4", tmp_path / "shown.mp4"
    ffmpeg(flip, "-i", plain, "-c", "copy", path)
    ffmpeg("-i", path, "-crf", 10, "-pix_fmt", "yuv420p", shown)
    assert np.abs(video.read_video(path).astype(int) - video.read_video(shown)).mean() < 3


def test_a_cover_picture_is_not_the_video(plain, tmp_path):
    path, cover = tmp_path / "cover.mp4", tmp_path / "cover.jpg"
    ffmpeg("-f", "lavfi", "-i", "color=blue:s=64x64", "-frames:v", 1, cover)
    ffmpeg("-i", cover, "-i", plain, "-map", 0, "-map", 1, "-c", "copy", "-disposition:v:0", "attached_pic", path)
    assert (video.probe(path).frames, video.probe(path).width) == (30, 80)
    assert numbers(path) == list(range(30))
    assert read_small(path, 80).frames_thwc.shape[0] == 30


def test_dropped_frames_are_counted_and_filled_on_request(plain, tmp_path):
    path = tmp_path / "dropped.mp4"
    ffmpeg("-i", plain, "-vf", "select='not(eq(mod(n,5),2))'", "-fps_mode", "vfr", "-pix_fmt", "yuv420p", path)
    info = video.probe(path)
    assert (info.frames, info.missing, info.crowded) == (24, 6, 0)
    assert numbers(path) == [n for n in range(30) if n % 5 != 2]
    filled = video.probe(path, fps=30)
    assert (filled.frames, filled.fps, filled.missing) == (30, 30, 0)
    frames = video.read_frames(path, filled, 30, (48, 80))
    assert [round(float(f[30:44, 50:74].mean()) / 8) for f in frames] == [n - (n % 5 == 2) for n in range(30)]
    video.check_decodes(path, filled, 30)


def test_other_rates_are_read_at_the_wanted_one(plain, tmp_path):
    path = tmp_path / "sixty.mp4"
    ffmpeg("-r", 60, "-i", plain, "-r", 60, "-crf", 10, "-pix_fmt", "yuv420p", path)
    assert (video.probe(path).frames, video.probe(path).missing) == (30, 0)
    half = video.probe(path, fps=30)
    assert (half.frames, half.stored) == (15, tuple(range(0, 30, 2)))


def test_display_times():
    even = [n / 30 for n in range(10)]
    assert (missing_frames(even), crowded_frames(even)) == (0, 0)
    assert frames_at_rate(even, 30) == tuple(range(10))
    assert frames_at_rate(even, 60) == tuple(n // 2 for n in range(20))
    ntsc = [n * 1001 / 30000 for n in range(300)]
    assert frames_at_rate(ntsc, 30)[:250] == tuple(range(250))  # then one frame plays twice
    assert missing_frames([0, 1, 2, 5, 6]) == 2
    assert crowded_frames([0, 1, 2, 2.1, 3, 4]) == 1
    assert frames_at_rate([0.5], 30) == (0,)
    assert Orientation(True).size(4, 6) == (6, 4)
