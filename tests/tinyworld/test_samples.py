from dreamkit.captions import files as caption_files
from dreamkit.rds.check import check_clip
from dreamkit.tinyworld import __main__ as command
from dreamkit.tinyworld.world import samples
from dreamkit.workspace import video
from dreamkit.workspace.cameras import SIX_VIEWS
from dreamkit.workspace.workspace import Chunk, Workspace

BOTH = (samples.CURVE, samples.JUNCTION)


def test_the_samples_are_what_their_seeds_make(tmp_path):
    assert command.main(["samples", str(tmp_path)]) == 0
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    shipped = {path.relative_to(samples.SAMPLES): path.read_bytes() for path in samples.SAMPLES.rglob("*.*")}
    assert made == shipped


def test_a_sample_is_whole_and_small():
    for clip in BOTH:
        assert sum(path.stat().st_size for path in samples.SAMPLES.glob(f"*/{clip}.tar")) <= 1_000_000
        assert {finding.layer for finding in check_clip(samples.SAMPLES, clip)} <= {"lidar_raw"}
        assert set(samples.sample_captions(clip)) == set(caption_files.STYLES)
    assert "curves to the" in samples.sample_captions(samples.CURVE)["Original"]
    assert "intersection" in samples.sample_captions(samples.JUNCTION)["Original"]


def test_a_sample_becomes_six_videos_and_a_caption(tmp_path):
    paths = samples.write_condition_clip(tmp_path, samples.JUNCTION, frames=3, height=88, width=160)
    ws = Workspace(tmp_path)
    assert paths == [ws.condition("hdmap", camera, Chunk(samples.JUNCTION)) for camera in SIX_VIEWS.cameras]
    for path in paths:
        assert str(video.probe(path)) == "3 frames 160x88 at 30 fps"
        assert (video.read_video(path)[0].max(-1) > 16).mean() > 0.005
    wanted = samples.sample_captions(samples.JUNCTION)["Original"]
    assert caption_files.read(ws.captions, samples.JUNCTION) == {"Original": wanted}


def test_the_users_caption_is_kept(tmp_path):
    caption_files.write_original(tmp_path / "captions", samples.CURVE, "Mine.")
    samples.write_condition_clip(tmp_path, frames=1, height=44, width=80)
    assert caption_files.read(tmp_path / "captions", samples.CURVE) == {"Original": "Mine."}
