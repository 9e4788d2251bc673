"""`dreamkit bench long`: what is measured at the borders of windows."""

import numpy as np
import pytest

from dreamkit.bench.long_measures import drift, pulse, seam

FRAMES = 361
BORDERS = sorted({*range(80, 121, 8), *range(160, 201, 8), *range(240, 281, 8)})


def changes(at_beginnings=2.5):
    """Changes of a video without borders: larger wherever a latent begins."""
    made = np.random.default_rng(0).normal(1.0, 0.05, FRAMES - 1)
    beginnings = np.arange(8, FRAMES - 1, 8)
    made[beginnings] = np.random.default_rng(1).normal(at_beginnings, 0.3, len(beginnings))
    return made


def test_a_video_without_borders_is_at_the_ratio_of_random_borders():
    """Its beginnings of latents exceed the 95th percentile of the frames that are left, with no seam anywhere."""
    found = seam(changes(), BORDERS)
    assert found["border"] > found["p95"]
    assert found["border"] / found["p95"] == pytest.approx(found["beginnings_ratio"], rel=0.07)
    assert found["border"] == pytest.approx(found["latent"], rel=0.07)
    assert found["p95_all"] > found["p95"]


def test_a_jump_at_borders_exceeds_the_ratio_of_random_borders():
    jumping = changes()
    jumping[BORDERS] *= 1.5
    found = seam(jumping, BORDERS)
    assert found["border"] / found["p95"] > 1.3 * found["beginnings_ratio"]
    assert found["border"] > 1.3 * found["latent"]


def test_two_borders_leave_the_percentile_as_it_is():
    jumping = changes()
    jumping[[120, 240]] = 10
    found = seam(jumping, [120, 240])
    assert found["border"] == pytest.approx(10, rel=0.05)
    assert found["p95"] == pytest.approx(found["p95_all"], rel=0.05)


def test_more_borders_than_beginnings_of_latents_have_no_random_ratio():
    assert seam(changes()[:20], [8, 16, 17])["beginnings_ratio"] is None


def test_steps_and_drift_of_a_series():
    values = np.r_[np.zeros(41), np.full(40, 3.0)]
    assert pulse(values, [40])["border"] == 3 and pulse(values, [40])["steps"] == 0
    colour = np.repeat(np.arange(FRAMES, dtype=float)[:, None], 3, axis=1)
    assert drift(colour, 121) == (FRAMES - 24, 121 - 24)
