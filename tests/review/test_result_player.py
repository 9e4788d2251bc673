"""What notebooks 04 and 05 show of their results: the player beside a kernel, frames in a saved notebook."""

from __future__ import annotations

import base64
import re

import cv2
import numpy as np
import pytest
from review_workspace import make

from dreamkit.review import result_player, stills
from dreamkit.review.widgets.player import Player
from dreamkit.workspace.cameras import SIX_VIEWS
from dreamkit.workspace.files import write_json

NAMES = ["drawn_0_Night", "drawn_0_Sunny", "gone_Sunny"]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    made = make(tmp_path_factory.mktemp("results") / "outputs", clips=1, frames=6, size=(72, 128))
    record = {"stage": "multi_view", "clip": "drawn_0", "chunk": 0, "style": "Sunny", "seed": 7, "steps": 35}
    record |= {"prompts": {SIX_VIEWS.front.name: "A street & trees."}, "frames": 6, "fps": 24, "preset": "exact"}
    write_json(made.root / "multi_view" / "drawn_0_Sunny.json", record)
    return made


def test_the_player_shows_condition_prompt_and_seed_and_opens_the_others(workspace):
    videos = result_player.made_videos(workspace, "multi_view", NAMES)
    assert [video.style for video in videos] == ["Night", "Sunny"]
    player = result_player.result_player(workspace, videos)
    assert player.autoplay and player.beside and not player.judging
    assert [entry["style"] for entry in player.results] == ["Night · drawn_0", "Sunny · drawn_0"]
    assert player.video["style"] == "Night" and player.compared == []  # six views each: one style at first
    player._handle_custom_msg({"type": "open", "key": "multi_view/drawn_0_Sunny"}, [])
    assert player.video["prompts"] == {SIX_VIEWS.front.name: "A street & trees."}
    assert player.video["facts"].startswith("seed 7 · steps 35 · preset exact · frames 6 at 24 fps")
    player._handle_custom_msg({"type": "move", "by": 1}, [])
    assert player.video["style"] == "Night"


def test_styles_of_a_front_video_play_in_sync_at_once(workspace):
    (video,) = result_player.made_videos(workspace, "single_view", ["drawn_0_Sunny"])
    night = video.__class__(**{**vars(video), "key": "single_view/drawn_0_Night", "style": "Night"})
    player = result_player.result_player(workspace, [video, night])
    assert [other["style"] for other in player.compared] == ["Night"]


def test_a_saved_notebook_keeps_frames(workspace, monkeypatch):
    (output,) = result_player.result_outputs(workspace, "multi_view", NAMES)
    page = output.data
    assert "A street &amp; trees." in page and "seed 7" in page and "details" not in page
    pictures = [base64.b64decode(each) for each in re.findall(r"data:image/jpeg;base64,([^\"]+)", page)]
    assert len(pictures) == 2
    sheet = cv2.imdecode(np.frombuffer(pictures[0], np.uint8), cv2.IMREAD_COLOR)
    assert sheet.shape == (2 * 126, 6 * 224, 3)  # six conditions, and right of them six results
    assert np.median(sheet[:, : 3 * 224]) < 20 < np.median(sheet[:, 3 * 224 :])

    monkeypatch.setattr(result_player, "interactive", lambda: True)
    player, saved = result_player.result_outputs(workspace, "multi_view", NAMES)
    assert isinstance(player, Player) and saved.data.startswith("<details>")


def stills_of(workspace):
    return result_player.made_videos(workspace, "single_view", ["drawn_0_Sunny"])


def test_a_damaged_result_is_named_on_the_sheet(workspace, tmp_path):
    (video,) = stills_of(workspace)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"junk")
    damaged = video.__class__(**{**vars(video), "views": {SIX_VIEWS.front.name: broken}})
    page = stills.sheets_html([damaged] * 14)
    assert "broken.mp4" in page and "2 more results" in page
