"""Windows that overlap and are denoised together: where they stand, how they are blended, decoded and called."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from dreamkit.transfer import joined
from dreamkit.transfer.config import TINY_SINGLE, latent_length
from dreamkit.transfer.joined import JoinedLatents, join_frames, joined_noise
from dreamkit.transfer.pipeline import SingleViewPipeline
from dreamkit.transfer.presets import PRESETS
from dreamkit.transfer.sampling import seeded_noise
from dreamkit.transfer.windows import WindowPlan, joined_windows, single_view_starts, single_view_windows

pytestmark = pytest.mark.usefixtures("one_thread")
STEPS = 2


def condition(frames, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (frames, 32, 48, 3), np.uint8)


@pytest.fixture(scope="module")
def single(micro_checkpoints):
    return SingleViewPipeline.from_checkpoints(micro_checkpoints)


@pytest.mark.parametrize("frames", [122, 130, 241, 250, 300, 361, 481, 601, 999])
def test_windows_cover_the_video_and_share_three_latents(frames):
    plan = joined_windows(frames, 121)
    starts = [start // 8 for start in plan.starts]
    assert plan.joined and [8 * start for start in starts] == list(plan.starts) and plan.starts[0] == 0
    assert frames <= plan.starts[-1] + 121 < frames + 8
    assert all(0 < b - a <= 12 for a, b in pairwise(starts))
    assert JoinedLatents.of(plan, TINY_SINGLE).length == latent_length(frames + 7)


@pytest.mark.parametrize("frames", [361, 481, 601, 721, 841, 961, 1201])
def test_evaluations_are_at_most_135_percent_of_separate_windows(frames):
    assert len(joined_windows(frames, 121).starts) <= 1.35 * len(single_view_starts(frames, 121))


def test_a_video_of_one_window_has_that_window(single):
    assert joined_windows(121, 121) == single_view_windows(121, 121, every=True)
    video = {"hdmap": condition(17)}
    first, one = (single("a car", video, steps=STEPS, windows=kind) for kind in ("first", "joined"))
    assert np.array_equal(first, one)


@pytest.mark.parametrize("starts", [(0, 10, 20, 30), (0, 12), (0, 1), (0, 6, 13), (0, 15)])
def test_windows_cut_from_a_latent_blend_to_it_again(starts):
    layout = JoinedLatents(starts, 16)
    whole = torch.randn(1, 2, layout.length + len(starts) - 1, 2, 3)
    parts = [layout.cut(whole, index) for index in range(len(starts))]
    assert all(part.shape[2] == 16 for part in parts)
    torch.testing.assert_close(layout.blend(parts), whole)


def test_views_are_cut_and_blended_each_by_itself():
    starts, generator = (0, 6, 13), torch.Generator().manual_seed(0)
    one, six = JoinedLatents(starts, 16), JoinedLatents(starts, 16, views=6)
    whole = torch.randn(1, 2, 6 * (one.length + 2), 2, 3, generator=generator)
    parts = [six.cut(whole, index) for index in range(3)]
    views = whole.chunk(6, dim=2)
    for index, part in enumerate(parts):
        assert torch.equal(part, torch.cat([one.cut(view, index) for view in views], dim=2))
    alone = [one.blend([one.cut(view, index) for index in range(3)]) for view in views]
    torch.testing.assert_close(six.blend(parts), torch.cat(alone, dim=2))


def test_weights_go_from_one_window_to_the_next():
    weights = JoinedLatents((0, 12), 16).weights()
    assert weights[0].tolist() == [*[1.0] * 14, 0.5, 0.0]
    assert weights[1].tolist() == [1.0, 0.0, 0.5, *[1.0] * 13]
    weights = JoinedLatents((0, 12), 16, ramp=99).weights()
    assert weights[0].tolist() == [*[1.0] * 13, 0.75, 0.5, 0.25]
    assert weights[1].tolist() == [1.0, 0.25, 0.5, 0.75, *[1.0] * 12]


def test_noise_is_that_of_separate_windows_in_a_row():
    layout = JoinedLatents((0, 10, 20, 30), 16)
    noise = joined_noise(layout, lambda index: seeded_noise((1, 4, 16, 2, 3), 7 + index, torch.device("cpu")))
    assert noise.shape == (1, 4, 46 + 3, 2, 3)
    second, third = (seeded_noise((1, 4, 16, 2, 3), 7 + index, torch.device("cpu")) for index in (1, 2))
    assert torch.equal(noise[:, :, 16:31], second[:, :, 1:]) and torch.equal(noise[:, :, 31:46], third[:, :, 1:])
    assert torch.equal(noise[:, :, 46], second[:, :, 0]) and torch.equal(noise[:, :, 47], third[:, :, 0])


def test_decoded_windows_are_faded_over_the_frames_that_they_share():
    made = np.zeros((33, 1, 1, 3), np.uint8)
    windows = [np.full((25, 1, 1, 3), value, np.uint8) for value in (100, 200)]
    join_frames(WindowPlan(33, (0, 16), 1, joined=True), windows, made)
    row = made[:, 0, 0, 0].tolist()
    assert row[:17] == [100] * 17 and row[25:] == [200] * 8
    assert row[17:25] == [111, 122, 133, 144, 156, 167, 178, 189]


def test_a_joined_video_is_seeded_and_begins_like_the_first_window(single):
    video = {"hdmap": condition(45)}

    def make(**more):
        return single("a car", video, steps=STEPS, seed=7, guidance=0, windows="joined", **more)

    made = make()
    assert made.shape == (45, 32, 48, 3) and np.array_equal(made, make())
    assert not np.array_equal(made, single("a car", video, steps=STEPS, seed=8, guidance=0, windows="joined"))
    plan = joined_windows(45, 17)
    encoded = single.encode_controls({"hdmap": [video["hdmap"]]}, plan)
    assert np.array_equal(made, single("a car", encoded, steps=STEPS, seed=7, guidance=0))


def test_weights_are_cut_for_each_window(single):
    """A weight map that is 0 in the last frames leaves the first frames' window as it is."""
    video = {"hdmap": condition(45)}
    weight = torch.ones(45, 2, 3)
    whole, none = (weight, weight.clone())
    none[:] = 0.0

    def make(value):
        return single("a car", video, weights={"hdmap": value}, steps=STEPS, guidance=0, windows="joined")

    assert not np.array_equal(make(whole), make(none))
    assert np.abs(make(whole).astype(int) - make(1.0)).max() <= 1


def test_both_passes_of_guidance_are_blended(single):
    video = {"hdmap": condition(33)}
    one, tiny, two = (
        single("a car", video, steps=STEPS, guidance=value, windows="joined") for value in (0, 1e-30, 1.5)
    )
    assert np.array_equal(one, tiny) and not np.array_equal(one, two)


def test_skipped_evaluations_are_those_of_the_long_latent(single, monkeypatch):
    """With preset fast half of the evaluations are extrapolated, for all windows at once."""
    calls = []
    estimate = joined.estimate_passes
    monkeypatch.setattr(joined, "estimate_passes", lambda *given: calls.append(given[-1]) or estimate(*given))
    video = {"hdmap": condition(33)}
    single("a car", video, steps=11, guidance=0, windows="joined")
    windows = len(joined_windows(33, 17).starts)
    assert len(calls) == windows * 12
    calls.clear()
    networks = single.store.run("t2w", lambda networks: networks)
    monkeypatch.setattr(networks, "preset", replace(PRESETS["fast"], fp8=False))
    made = single("a car", video, steps=11, guidance=0, windows="joined")
    assert made.shape[0] == 33 and windows * 3 <= len(calls) < windows * 12 and len(calls) % windows == 0


def test_progress_counts_the_steps_of_all_windows_together(single):
    seen = []
    single("a car", {"hdmap": condition(33)}, steps=STEPS, windows="joined", progress=seen.append)
    denoise = [(p.window, p.windows, p.step) for p in seen if p.stage == "denoise"]
    assert denoise == [(0, 1, step) for step in range(STEPS + 2)]
    preview = [p for p in seen if p.preview_frame][-1].preview_frame()
    assert preview.shape == (1, 32, 48, 3)
