"""Traits of board and player: valid values pass; wrong ones are refused with the path of the wrong entry."""

from __future__ import annotations

import copy

import pytest
from traitlets import TraitError

from dreamkit.review.measures.definitions import MEASURES
from dreamkit.review.widgets.board import Board
from dreamkit.review.widgets.player import Player
from dreamkit.review.widgets.scripts import page_script

ITEM = {
    "key": "multi_view/a_Night",
    "clip": "a",
    "style": "Night",
    "stage": "multi view",
    "prompt": "",
    "state": "accept",
    "by": "ann",
    "note": "",
    "stale": False,
    "flags": ["Flicker 5 (at most 2)"],
    "values": {"flicker": 5.0, "adherence": None},
}
VIEW = {
    "camera": "front_wide_120fov",
    "label": "front wide",
    "row": 0,
    "column": 1,
    "layers": ["result", "hdmap"],
    "file": "0.mp4",
    "url": "",
}
VIDEO = {
    "key": "multi_view/a_Night",
    "clip": "a",
    "style": "Night",
    "stage": "multi view",
    "prompts": {"front_wide_120fov": "A road."},
    "facts": "seed 7",
    "views": [VIEW, VIEW | {"camera": "cross_left_120fov", "column": 0}],
    "layers": ["hdmap"],
    "problems": [],
    "notes": ["no sidecar: made elsewhere"],
}
VERDICT = {"state": "reject", "reasons": ["flicker"], "note": "", "by": "", "when": "", "stale": False, "history": []}


def changed(value, place, new):
    """A copy of nested lists and dicts with one place changed."""
    value = copy.deepcopy(value)
    inner = value
    for part in place[:-1]:
        inner = inner[part]
    inner[place[-1]] = new
    return value


@pytest.fixture
def board():
    return Board(lambda key: b"", lambda key: None)


@pytest.fixture
def player(tmp_path):
    return Player({}, tmp_path)


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        ((0, "key"), ""),
        ((0, "style"), 3),
        ((0, "state"), "maybe"),
        ((0, "stale"), "no"),
        ((0, "flags"), "Flicker"),
        ((0, "values", "flicker"), "5"),
        ((0, "values", "flicker"), float("nan")),
        ((0,), "multi_view/a_Night"),
    ],
)
def test_the_board_refuses_wrong_items(board, place, wrong):
    board.items = [ITEM]
    with pytest.raises(TraitError, match=r"Board\.items\[0\]"):
        board.items = changed([ITEM], place, wrong)
    assert board.items == [ITEM]


def test_the_board_refuses_other_wrong_traits(board):
    board.items = [ITEM]
    assert [measure["key"] for measure in board.measures] == [measure.key for measure in MEASURES]
    for name, wrong in {
        "opened": "multi_view/b_Night",
        "first": {"multi_view/a_Night": "text"},
        "measures": [{"key": "flicker", "label": "Flicker", "good": "zero", "meaning": ""}],
        "notice": 3,
        "progress": {"done": -1, "total": 2, "text": ""},
    }.items():
        with pytest.raises(TraitError, match=name):
            setattr(board, name, wrong)
    board.opened = "multi_view/a_Night"


@pytest.mark.parametrize("name", ["video", "compared"])
@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        (("key",), ""),
        (("style",), None),
        (("views",), []),
        (("views", 0, "camera"), "roof"),
        (("views", 0, "row"), -1),
        (("views", 0, "row"), "0"),
        (("views", 0, "column"), 3),
        (("views", 0, "column"), 0),  # the place of the other view
        (("views", 1, "camera"), "front_wide_120fov"),  # twice
        (("views", 0, "layers"), ["depth"]),
        (("layers",), "hdmap"),
        (("fps",), 24),  # no such field
    ],
)
def test_the_player_refuses_wrong_videos(player, name, place, wrong):
    several = name == "compared"
    setattr(player, name, [VIDEO] if several else VIDEO)
    with pytest.raises(TraitError, match=rf"Player\.{name}(\[0\])?\['{place[0]}'\]"):
        setattr(player, name, [changed(VIDEO, place, wrong)] if several else changed(VIDEO, place, wrong))
    setattr(player, name, [] if several else {})


def test_the_player_refuses_other_wrong_traits(player):
    player.verdict = VERDICT
    for name, wrong in {
        "verdict": VERDICT | {"state": ""},
        "others": [{"key": "multi_view/a_Night"}],
        "results": [{"key": "multi_view/a_Night", "style": "Night"}],
        "draft": {"reasons": "flicker", "note": ""},
        "scores": [{"label": "Flicker", "value": 5.0, "failed": True, "meaning": ""}],
        "reasons": {"flicker": 1},
    }.items():
        with pytest.raises(TraitError, match=name):
            setattr(player, name, wrong)
    assert player.verdict == VERDICT


def test_a_stream_without_a_frame_rate_is_not_sent(player, monkeypatch):
    monkeypatch.setattr("dreamkit.review.widgets.player.DEFAULT_FPS", 0.0)
    sent = []
    monkeypatch.setattr(player, "send", lambda *message: sent.append(message))
    wanted = [{"key": "gone", "layer": "result", "camera": "front_wide_120fov", "size": "grid"}]
    player._handle_custom_msg({"type": "streams", "wanted": wanted}, [])
    assert not sent and "fps" in player.message


def test_both_pages_share_one_helper():
    for names in (["board.js"], ["streams.js", "player.js"]):
        script = page_script(*names)
        assert script.count("function make(") == 1 and script.count("export default") == 1
