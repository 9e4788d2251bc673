"""Previews of a video during sampling: when they are decoded, their layout, and the output they leave in a notebook."""

import cv2
import IPython.display
import numpy as np
import pytest
from fakes import Report

from dreamkit.generate import live_preview
from dreamkit.notebook import progress
from dreamkit.workspace.cameras import SIX_VIEWS, Rig
from dreamkit.workspace.images import jpeg

ONE = Rig(SIX_VIEWS.cameras[:1], ((0,),))


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves."""
    now = [0.0]
    monkeypatch.setattr(live_preview.time, "monotonic", lambda: now[0])
    return now


class Place:
    """Stands for the one output of a page that is drawn anew."""

    def __init__(self, monkeypatch):
        self.pages = []
        monkeypatch.setattr(IPython.display, "display", lambda page, display_id: self.update(page) or self)

    def update(self, page):
        self.pages.append(page.data)


def flat(views, height=32, width=56):
    return np.stack([np.full((height, width, 3), 40 * index, np.uint8) for index in range(views)])


def test_looking_takes_its_share_of_the_time_and_no_more(monkeypatch, clock):
    place = Place(monkeypatch)
    look, seen = live_preview.LivePreview(ONE), []

    def still():
        clock[0] += 1  # a second for the picture, ten for the step
        return flat(1)

    for step in range(1, 101):
        clock[0] += 10
        before = len(place.pages)
        look("clip_a", Report("denoise", step, 100, preview_frame=still))
        seen += [step] if len(place.pages) > before else []
    assert seen[:3] == [1, 6, 11]
    assert seen[-1] == 100
    assert len(seen) <= 0.02 * clock[0] + 2


def test_stages_without_a_preview_and_a_gpu_without_room_show_nothing(monkeypatch):
    place = Place(monkeypatch)
    look = live_preview.LivePreview(ONE)
    look("clip_a", Report("encode", 0, 1))
    look("clip_a", Report("denoise", 1, 1, preview_frame=lambda: None))
    assert place.pages == []


def test_one_place_is_drawn_anew(monkeypatch):
    place = Place(monkeypatch)
    shown = []
    monkeypatch.setattr(IPython.display, "display", lambda page, display_id: shown.append(page) or place)
    look = live_preview.LivePreview(ONE)
    for label in ("clip_a", "clip_<b>"):
        look(label, Report("denoise", 36, 36, 1, 3, preview_frame=lambda: flat(1)))
    assert len(shown) == len(place.pages) == 1
    assert "clip_&lt;b&gt; as it stands after step 36 of 36, window 2 of 3" in place.pages[0]


def test_views_stand_in_their_grid_and_stay_small():
    picture_hwc = live_preview.preview_picture(flat(6, 576, 1024), SIX_VIEWS)
    assert picture_hwc.shape == (270, 720, 3)
    assert picture_hwc[::135, ::240, 0].tolist() == [[40, 0, 80], [160, 120, 200]]
    assert live_preview.preview_picture(flat(1, 160, 288), ONE).shape == (160, 288, 3)
    noise = np.random.default_rng(0).integers(0, 255, (1, 704, 1280, 3), np.uint8)
    assert len(jpeg(live_preview.preview_picture(noise, ONE))) < 300_000


def test_the_picture_has_its_colours():
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 255
    blue, green, back = cv2.imdecode(np.frombuffer(jpeg(red), np.uint8), cv2.IMREAD_COLOR)[8, 8]
    assert back > 240 and max(blue, green) < 15


def test_only_a_person_in_a_notebook_is_shown_previews(monkeypatch):
    monkeypatch.setenv(progress.MODE, "bar")
    assert not live_preview.wanted()  # a terminal
    monkeypatch.setattr(progress, "in_kernel", lambda: True)
    assert live_preview.wanted()
    monkeypatch.setenv(progress.MODE, "lines")
    assert not live_preview.wanted()
