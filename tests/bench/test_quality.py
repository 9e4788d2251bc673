"""`dreamkit bench quality` on the micro bundle: rows, table, resumption, variants; PSNR and SSIM by hand."""

import json

import numpy as np
import pytest

from dreamkit.bench import quality, quality_report
from dreamkit.bench.quality_clips import workspace_clips
from dreamkit.bench.video_error import SAME, video_psnr, video_ssim
from dreamkit.captions.files import write_original
from dreamkit.errors import DreamkitError
from dreamkit.transfer.step_cache import COMPUTED_OF_36
from dreamkit.workspace.cameras import SIX_VIEWS
from dreamkit.workspace.video import write_video
from dreamkit.workspace.workspace import Chunk, Workspace

pytestmark = pytest.mark.usefixtures("one_thread")


def test_errors_of_known_videos():
    rng = np.random.default_rng(0)
    video = rng.integers(20, 230, (3, 24, 32, 3), np.uint8)
    assert video_psnr(video, video) == SAME and video_ssim(video, video) == pytest.approx(1)
    brighter = video + np.uint8(10)
    assert video_psnr(brighter, video) == pytest.approx(20 * np.log10(25.5))
    noisy = np.clip(video + rng.normal(0, 40, video.shape), 0, 255).astype(np.uint8)
    assert video_ssim(noisy, video) < video_ssim(brighter, video) < 1


def test_variants_compute_as_many_evaluations_as_they_say():
    for count in range(4, 37):
        pattern = quality.preset_variant(f"fast@{count}").computed
        assert len(set(pattern)) == count and pattern[:2] == (0, 1) and max(pattern) <= 35
    assert quality.preset_variant("fast").computed == COMPUTED_OF_36
    assert not quality.preset_variant("fast", float8=False).fp8 and quality.preset_variant("fast").fp8
    for wrong in ("fast@3", "fast@x", "slow"):
        with pytest.raises(DreamkitError):
            quality.preset_variant(wrong)


@pytest.fixture
def arrays(tmp_path):
    folder, rng = tmp_path / "arrays", np.random.default_rng(0)
    clips = [
        quality.QualityClip(f"c{n}", ("a car",), lambda: {"hdmap": rng.integers(0, 255, (17, 32, 48, 3), np.uint8)})
        for n in range(2)
    ]
    quality.write_arrays(folder, clips)
    return folder


def test_a_run_is_reported_and_goes_on_where_it_ended(micro_checkpoints, arrays, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"
    given = ["--checkpoints", str(micro_checkpoints), "--arrays", str(arrays), "--output", str(out), "--device", "cpu"]
    given += ["--steps", "8", "--guidance", "1.5"]
    assert quality.main([*given, "--presets", "fast", "--clips", "1"]) == 0
    made = []
    monkeypatch.setattr(quality, "make_video", lambda *a, make=quality.make_video: made.append(a[1].name) or make(*a))
    quality.main([*given, "--presets", "fast,fast@34"])
    assert made == ["c1", "c1", "c0", "c1"], "exact and fast of the first clip are not made again"
    report = json.loads((out / "quality.json").read_text())
    lines = {line["preset"]: line for line in report["summary"]}
    assert [line["clips"] for line in lines.values()] == [2, 2, 2]
    assert lines["exact"]["evaluations"] == 9 > lines["fast"]["evaluations"]
    assert lines["exact"]["psnr_mean"] is None and lines["fast"]["psnr_worst"] <= lines["fast"]["psnr_mean"] < SAME
    assert lines["fast"]["flicker"] is not None and 0 < lines["fast"]["ssim"] < 1
    assert "float32" in report["settings"]["arithmetic"] and report["machine"]["torch"]
    assert "| fast |" in capsys.readouterr().out
    assert all((out / name).stat().st_size for name in ("quality.md", "quality.png", "frames.png"))
    with pytest.raises(DreamkitError, match="results of other settings"):
        quality.main([*given, "--presets", "fast", "--steps", "7"])
    (out / quality_report.ROWS).open("a").write('{"clip": "c')
    assert len(quality.read_quality_rows(out)) == 6


def test_what_is_missing_is_named(micro_checkpoints, arrays, tmp_path):
    given = ["--checkpoints", str(micro_checkpoints), "--output", str(tmp_path / "out"), "--device", "cpu"]
    with pytest.raises(DreamkitError, match=r"has no clips\.json"):
        quality.main([*given, "--arrays", str(tmp_path)])
    with pytest.raises(DreamkitError, match="has no clip with a caption"):
        quality.main([*given, "--workspace", str(tmp_path)])
    (arrays / "c1.npz").unlink()
    with pytest.raises(DreamkitError, match=r"names the clip c1, but .*c1\.npz is missing"):
        quality.main([*given, "--arrays", str(arrays)])
    assert not (tmp_path / "out").exists()


def test_clips_of_a_workspace_are_those_with_caption_and_videos(tmp_path):
    ws = Workspace(tmp_path)
    frames = np.zeros((9, 32, 48, 3), np.uint8)
    for clip in ("a", "b"):
        write_original(ws.captions, clip, f"A road with {clip}.")
        for camera in SIX_VIEWS.cameras[: 6 if clip == "b" else 1]:
            write_video(ws.condition("hdmap", camera, Chunk(clip)), frames, 30)
    write_original(ws.captions, "no_video", "A road.")
    one = workspace_clips(tmp_path, ["hdmap"], 1, 5)
    assert [(clip.name, clip.prompts) for clip in one] == [("a", ("A road with a.",)), ("b", ("A road with b.",))]
    assert one[0].read()["hdmap"].shape == (5, 32, 48, 3)
    with pytest.raises(DreamkitError, match="front video"):
        workspace_clips(tmp_path, ["hdmap"], 6, 5)
    write_video(ws.single_view(Chunk("b"), "Original"), frames, 24)
    (six,) = workspace_clips(tmp_path, ["hdmap"], 6, 5)
    read = six.read()
    assert len(six.prompts) == 6 and read["hdmap"].shape == (6, 5, 32, 48, 3) and read["front"].shape == (5, 32, 48, 3)
