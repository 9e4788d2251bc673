from dreamkit.captions import files as caption_files
from dreamkit.rds.check import check_clip
from dreamkit.setup import sample_clip
from dreamkit.tinyworld import __main__ as command
from dreamkit.workspace import video
from dreamkit.workspace.cameras import SIX_VIEWS
from dreamkit.workspace.workspace import Chunk, Workspace

BOTH = (sample_clip.CURVE, sample_clip.JUNCTION)


def test_the_samples_are_what_their_seeds_make(tmp_path):
    assert command.run_tinyworld(["samples", str(tmp_path)]) == 0
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    shipped = {path.relative_to(sample_clip.SAMPLES): path.read_bytes() for path in sample_clip.SAMPLES.rglob("*.*")}
    assert made == shipped


def test_a_sample_is_whole_and_small():
    for clip in BOTH:
        assert sum(path.stat().st_size for path in sample_clip.SAMPLES.glob(f"*/{clip}.tar")) <= 1_000_000
        assert {finding.layer for finding in check_clip(sample_clip.SAMPLES, clip)} <= {"lidar_raw"}
        assert set(sample_clip.sample_captions(clip)) == set(caption_files.STYLES)
    assert "curves to the" in sample_clip.sample_captions(sample_clip.CURVE)["Original"]
    assert "intersection" in sample_clip.sample_captions(sample_clip.JUNCTION)["Original"]


def test_a_sample_becomes_six_videos_and_a_caption(tmp_path):
    paths = sample_clip.write_condition_clip(tmp_path, sample_clip.JUNCTION, frames=3, height=88, width=160)
    ws = Workspace(tmp_path)
    assert paths == [ws.condition("hdmap", camera, Chunk(sample_clip.JUNCTION)) for camera in SIX_VIEWS.cameras]
    for path in paths:
        assert str(video.probe(path)) == "3 frames 160x88 at 30 fps"
        assert (video.read_video(path)[0].max(-1) > 16).mean() > 0.005
    wanted = sample_clip.sample_captions(sample_clip.JUNCTION)["Original"]
    assert caption_files.read_captions(ws.captions, sample_clip.JUNCTION) == {"Original": wanted}


def test_the_users_caption_is_kept(tmp_path):
    caption_files.write_original(tmp_path / "captions", sample_clip.CURVE, "Mine.")
    sample_clip.write_condition_clip(tmp_path, frames=1, height=44, width=80)
    assert caption_files.read_captions(tmp_path / "captions", sample_clip.CURVE) == {"Original": "Mine."}
