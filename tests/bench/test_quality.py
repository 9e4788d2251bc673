"""`dreamkit bench quality` on the micro bundle: rows, table, resumption, variants; PSNR and SSIM by hand."""

import json

import numpy as np
import pytest

from dreamkit.bench import quality, quality_report
from dreamkit.bench.video_error import SAME, video_psnr, video_ssim
from dreamkit.errors import DreamkitError
from dreamkit.transfer.step_cache import COMPUTED_OF_36

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
