"""Every planted fault moves the measure meant for it by more than three standard deviations of ten unharmed clips.

Run with `-s` to see the tables. They rest on two kinds of unharmed clips: ten drawn six-view worlds (textured, known
geometry; seeds not used to set the measures), and ten overlapping windows of the one real clip's condition videos, line
drawings in which each view is its own map.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pytest
from review_world import draw_clip

from dreamkit.review.measures import metrics, picture
from dreamkit.review.measures.faults import CLIPS, FAULTS, FRONT, fault_margins
from dreamkit.review.measures.frames import read_small
from dreamkit.review.measures.metrics import ClipFrames
from dreamkit.workspace.cameras import SIX_VIEWS


def _cached(function):
    """The function of one array, computed once for the same content."""
    results = {}

    def call(array):
        key = array.shape, hashlib.blake2b(np.ascontiguousarray(array)).digest()
        if key not in results:
            results[key] = function(array)
        return results[key]

    return call


@pytest.fixture(scope="module", autouse=True)
def _each_picture_is_measured_once():
    """A fault changes few of a clip's views, and windows overlap; the rest need not be computed again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "find_features", _cached(metrics.find_features))
        patch.setattr(picture, "measure_picture", _cached(picture.measure_picture))
        yield


def _check(table: pd.DataFrame) -> None:
    print("\n" + table.to_string(index=False, float_format="%.3g"))
    assert list(table["fault"]) == [fault.name for fault in FAULTS]
    assert (table["margin"] > 3).all()
    assert (table["without value"] == 0).all()


@pytest.mark.slow
def test_on_ten_drawn_worlds():
    clips = [ClipFrames(*draw_clip(100 + seed, 22, 108, 192), samples=4) for seed in range(CLIPS)]
    _check(fault_margins(clips, [*clips[1:], clips[0]]))


@pytest.mark.slow
def test_on_ten_windows_of_the_real_clip(real_data):
    length, starts = 21, np.linspace(0, 57 - 21, CLIPS).astype(int)
    views = {
        camera.name: read_small(next((real_data / "outputs" / "hdmap" / camera.folder).glob("*.mp4")), 256).frames_thwc
        for camera in SIX_VIEWS.cameras
    }
    other = read_small(real_data / "front_121" / "hdmap.mp4", 256).frames_thwc
    clips, others = [], []
    for start in starts:
        window = {name: video[start : start + length] for name, video in views.items()}
        clips.append(ClipFrames(window, window, samples=4))
        others.append(ClipFrames({}, {FRONT: other[start : start + length]}))
    _check(fault_margins(clips, others))
