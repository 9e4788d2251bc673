import numpy as np

from dreamkit import captions, video
from dreamkit.cameras import SIX_VIEWS
from dreamkit.tinyworld import clip
from dreamkit.workspace import Chunk, Workspace


def test_a_clip_has_six_videos_and_a_caption(tmp_path):
    paths = clip.write_condition_clip(tmp_path, frames=5, height=88, width=160)
    ws = Workspace(tmp_path)
    assert paths == [ws.condition("hdmap", camera, Chunk(clip.CLIP)) for camera in SIX_VIEWS.cameras]
    for path in paths:
        assert str(video.probe(path)) == "5 frames 160x88 at 30 fps"
    assert captions.read(ws.captions, clip.CLIP) == {"Original": clip.CAPTION}


def test_every_view_shows_lines_that_move():
    for camera in SIX_VIEWS.cameras:
        first, later = (clip.draw(camera.name, seconds, 88, 160) for seconds in (0.0, 1.0))
        assert (first.max(axis=2) > 16).mean() > 0.005
        assert np.abs(first.astype(int) - later).mean() > 0.1


def test_the_users_caption_is_kept(tmp_path):
    captions.write_original(tmp_path / "captions", clip.CLIP, "Mine.")
    clip.write_condition_clip(tmp_path, frames=1, height=44, width=80)
    assert captions.read(tmp_path / "captions", clip.CLIP) == {"Original": "Mine."}
