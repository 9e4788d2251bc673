"""`dreamkit bench long`: what is measured at the borders of windows."""

import json

import numpy as np
import pytest

from dreamkit.bench.long import summary
from dreamkit.bench.long_measures import drift, measure_long, pulse, ratios_at_beginnings, seam

FRAMES = 361
BORDERS = sorted({*range(80, 121, 8), *range(160, 201, 8), *range(240, 281, 8)})


def changes(at_beginnings=2.5):
    """Changes of a video without borders: larger wherever a latent begins."""
    made = np.random.default_rng(0).normal(1.0, 0.05, FRAMES - 1)
    beginnings = np.arange(8, FRAMES - 1, 8)
    made[beginnings] = np.random.default_rng(1).normal(at_beginnings, 0.3, len(beginnings))
    return made


def test_a_video_without_borders_exceeds_the_percentile_of_frames_between_them():
    """Its beginnings of latents exceed the 95th percentile of the frames that are left, with no seam anywhere."""
    found = seam(changes(), BORDERS)
    assert found["border"] > found["p95"]
    assert found["border"] < found["p95_all"]
    assert found["border"] == pytest.approx(found["latent"], rel=0.07)


def test_a_jump_at_borders_is_seen_against_the_same_frames_of_another_video():
    separate, joined = changes(), changes()
    separate[[120, 240]] = 10
    same = seam(separate, [120, 240])
    assert ratios_at_beginnings(seam(joined, BORDERS), same) == (1, 1)
    joined[BORDERS] *= 1.5
    joined[16] *= 2
    at, elsewhere = ratios_at_beginnings(seam(joined, BORDERS), same)
    assert at == pytest.approx(1.5, rel=1e-3) and 1 < elsewhere < 1.1
    at, elsewhere = ratios_at_beginnings(same, same)
    assert at is None and elsewhere == 1


def test_two_borders_leave_the_percentile_as_it_is():
    jumping = changes()
    jumping[[120, 240]] = 10
    found = seam(jumping, [120, 240])
    assert found["border"] == pytest.approx(10, rel=0.05)
    assert found["p95"] == pytest.approx(found["p95_all"], rel=0.05)


def test_steps_and_drift_of_a_series():
    values = np.r_[np.zeros(41), np.full(40, 3.0)]
    assert pulse(values, [40])["border"] == 3 and pulse(values, [40])["steps"] == 0
    colour = np.repeat(np.arange(FRAMES, dtype=float)[:, None], 3, axis=1)
    assert drift(colour, 121) == (FRAMES - 24, 121 - 24)


def test_the_summary_compares_each_way_with_separate_windows():
    random, measured = np.random.default_rng(0), np.arange(0, FRAMES, 24)
    colour = random.integers(0, 255, (len(measured), 8, 12, 3), np.uint8)
    arrays = {"measured": measured, "colour": colour, "determined": np.ones(colour.shape[:3], bool)}
    ways = {"separate": [120, 240], "blend": BORDERS}
    rows = [
        {"scene": "s0_00", "way": way, "evaluations": 63, "seconds": 1.0}
        | measure_long(random.integers(0, 255, (FRAMES, 8, 12, 3), np.uint8), borders, 121, arrays)
        for way, borders in ways.items()
    ]
    separate, blend = json.loads(json.dumps(summary(rows), allow_nan=False))
    assert (separate["same_frames"], separate["other_frames"], separate["motion"]) == (None, 1, 1)
    assert blend["same_frames"] == pytest.approx(1, abs=0.1) and blend["scenes"] == 1
