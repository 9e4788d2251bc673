"""Views that change in step, and one that does not."""

import numpy as np
import pytest

from dreamkit.review.measures import metrics, view_lag
from dreamkit.workspace.cameras import SIX_VIEWS

LEFT = "cross_left_120fov"


def views(frames=57, beat=8, common=1.0, seed=0, count=6):
    """Noise that changes much at every beat and at the car's jolts, little in between; or each view for itself."""
    rng = np.random.default_rng(seed)

    def sizes():
        jolts = rng.uniform(0.5, 1.5, frames)
        return jolts * np.where(np.arange(frames) % beat == 1, 6.0, 2.0) if beat else 3 * jolts**3

    together, found = sizes(), {}
    for name in SIX_VIEWS.names[:count]:
        size = common * together + (1 - common) * sizes()
        steps = rng.standard_normal((frames, 36, 64)) * size[:, None, None]
        grey = np.clip(128 + np.cumsum(steps, 0), 0, 255).astype(np.uint8)
        found[name] = np.repeat(grey[..., None], 3, -1)
    return found


@pytest.mark.parametrize("beat", [8, 0], ids=["beat", "jolts alone"])
@pytest.mark.parametrize("late", [0, 3, 5, 8])
def test_a_view_out_of_step_is_told_by_how_much(beat, late):
    made = views(beat=beat)
    length = 57 - late
    shifted = {name: video[late:] for name, video in made.items()} | {LEFT: made[LEFT][:length]}
    lags = view_lag.view_lags(shifted)
    assert lags[LEFT] == late
    assert not any(lag for name, lag in lags.items() if name != LEFT)
    values = metrics.measure_views(metrics.ClipFrames(shifted, {}), ["cross"]).values
    assert values["view_lag"] == late


def test_without_a_common_rhythm_nothing_is_said():
    assert all(np.isnan(lag) for lag in view_lag.view_lags(views(beat=0, common=0.0)).values())
    still = {name: np.full((40, 36, 64, 3), 90, np.uint8) for name in SIX_VIEWS.names}
    assert all(np.isnan(lag) for lag in view_lag.view_lags(still).values())


def test_two_views_or_few_frames_have_no_rhythm():
    assert all(np.isnan(lag) for lag in view_lag.view_lags(views(count=2)).values())
    assert all(np.isnan(lag) for lag in view_lag.view_lags(views(frames=24)).values())
    assert all(lag == 0 for lag in view_lag.view_lags(views(frames=25)).values())
