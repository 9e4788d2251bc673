"""Board, player and report from the kernel's side: data sent to the page, messages it may send, files written."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pandas as pd
import pytest
from review_workspace import make
from review_world import draw_clip, paint_number, read_number

from dreamkit.errors import DreamkitError
from dreamkit.review import report, report_page, stills, verdicts
from dreamkit.review.library import find_videos
from dreamkit.review.params import ReviewParams
from dreamkit.review.session import Review
from dreamkit.review.widgets import previews
from dreamkit.runs import notebook as notebook_run
from dreamkit.workspace.cameras import SIX_VIEWS
from dreamkit.workspace.workspace import Workspace

SUNNY, NIGHT = "multi_view/drawn_0_Sunny", "multi_view/drawn_0_Night"
FRONT = "single_view/drawn_0_Sunny"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make(tmp_path_factory.mktemp("board") / "outputs", clips=1, frames=10, size=(72, 128))


@pytest.fixture
def workspace(made, tmp_path):
    shutil.copytree(made.root, tmp_path / "outputs")
    return Workspace(tmp_path / "outputs")


def ask(widget, **content):
    """Send a message as the page would; gives what the widget sends back."""
    sent = []
    widget.send = lambda content, buffers=None: sent.append((content, buffers or []))
    widget._handle_custom_msg(content, [])
    return sent


def test_the_painted_number_survives_video_and_preview(made):
    picture = draw_clip(1, 1, 72, 128)[0][SIX_VIEWS.front.name][0]
    assert all(read_number(paint_number(picture, number)) == number for number in range(256))
    path = made.root / "multi_view" / "drawn_0_Sunny" / "3.mp4"
    stream = previews.jpeg_stream(path, 384, made.root / "cache")
    assert previews.jpeg_stream(path, 384, made.root / "cache") == stream
    starts = np.cumsum([0, *stream.sizes])
    for frame in range(10):
        data = np.frombuffer(stream.data[starts[frame] : starts[frame + 1]], np.uint8)
        assert read_number(cv2.imdecode(data, cv2.IMREAD_COLOR)) == frame


def test_a_damaged_preview_is_made_anew(made, tmp_path):
    path = made.root / "multi_view" / "drawn_0_Sunny" / "0.mp4"
    whole = previews.jpeg_stream(path, 384, tmp_path)
    (kept,) = tmp_path.glob("*.jpegs")
    for damaged in (kept.read_bytes()[:-9], b"{}", b""):
        kept.write_bytes(damaged)
        assert previews.jpeg_stream(path, 384, tmp_path) == whole


def test_the_board_opens_measures_judges_and_undoes(workspace):
    review = Review(workspace, "ann")
    assert {item["key"] for item in review.board.items} == {SUNNY, NIGHT, "single_view/drawn_0_Sunny"}
    ((content, buffers),) = ask(review.board, type="thumbnails", keys=[SUNNY, "gone"])
    assert content["good"] == [True, False] and buffers[0][:2] == b"\xff\xd8"
    ask(review.board, type="open", key=SUNNY)
    shown = review.player.video
    assert [view["camera"] for view in shown["views"]] == list(SIX_VIEWS.names)
    assert [(view["row"], view["column"]) for view in shown["views"]][:3] == [(0, 1), (0, 0), (0, 2)]
    assert shown["layers"] == ["hdmap"] and len(review.player.others) == 2
    wanted = [
        {"key": SUNNY, "layer": layer, "camera": camera, "size": "grid"}
        for layer in ("result", "hdmap")
        for camera in SIX_VIEWS.names
    ]
    sent = ask(review.player, type="streams", wanted=wanted)
    assert len(sent) == 12 and all(len(content["sizes"]) == 10 for content, _ in sent)
    ask(review.player, type="compare", keys=[NIGHT, "gone"])
    assert [video["style"] for video in review.player.compared] == ["Night"]

    ask(review.player, type="verdict", key=SUNNY, state="reject", reasons=[], note="")
    assert "reason" in review.player.message and not review.paths.verdicts.exists()
    ask(review.player, type="verdict", key=SUNNY, state="reject", reasons=["flicker"], note="left pole")
    assert review.player.verdict["state"] == "reject" and review.player.verdict["by"] == "ann"
    verdicts.judge(review.paths.verdicts, NIGHT, "accept", by="bob")  # meanwhile, in another kernel
    again = Review(workspace, "ann")
    assert {item["key"]: item["state"] for item in again.board.items if item["state"]} == {
        SUNNY: "reject",
        NIGHT: "accept",
    }
    again.show(SUNNY)
    ask(again.player, type="verdict", key=SUNNY, state="undo", reasons=[], note="")
    assert again.player.verdict == {}
    ask(again.player, type="verdict", key=SUNNY, state="undo", reasons=[], note="")
    assert "no verdict" in again.player.message and "Give it a verdict of your own" in again.player.message
    again.board.order = [NIGHT, SUNNY]
    ask(again.player, type="move", by=1)
    assert again.board.opened == NIGHT


def test_after_a_verdict_the_next_opens_and_an_undo_comes_back_with_its_note(workspace):
    review = Review(workspace, "ann")
    review.board.order = [SUNNY, NIGHT, FRONT]
    review.show(SUNNY)
    given = {"reasons": ["flicker"], "note": "left pole"}
    ask(review.player, type="verdict", key=SUNNY, state="reject", next=True, **given)
    assert review.board.opened == NIGHT and review.player.verdict == {}
    ask(review.player, type="verdict", key=NIGHT, state="undo", next=True, reasons=[], note="")
    assert review.board.opened == SUNNY and review.player.verdict == {}
    assert review.player.draft == given
    ask(review.player, type="verdict", key=SUNNY, state="accept", next=False, reasons=[], note="")
    assert review.board.opened == SUNNY and review.player.draft == given  # the page shows the verdict's own
    verdicts.judge(review.paths.verdicts, NIGHT, "accept", by="bob")
    review.reload_verdicts()
    ask(review.player, type="verdict", key=SUNNY, state="unsure", next=True, reasons=[], note="")
    assert review.board.opened == FRONT and review.player.draft == {}
    ask(review.player, type="verdict", key=FRONT, state="accept", next=True, reasons=[], note="")
    assert review.board.opened == FRONT and "Every video" in review.player.message
    review.show(NIGHT)
    assert review.player.message == ""


def test_one_verdict_on_several_videos(workspace):
    review = Review(workspace, "ann")
    ask(review.board, type="verdicts", keys=[SUNNY, NIGHT], state="reject", reasons=[])
    assert "reason" in review.board.notice and not review.log.current()
    ask(review.board, type="verdicts", keys=[SUNNY, NIGHT], state="reject", reasons=["flicker"])
    assert review.board.notice == ""
    assert {key: one.state for key, one in review.log.current().items()} == {SUNNY: "reject", NIGHT: "reject"}
    ask(review.board, type="verdicts", keys=[SUNNY, NIGHT, FRONT], state="undo", reasons=[])
    assert not review.log.current()


def test_whatever_the_page_asks_for_it_gets_a_sentence(workspace):
    review = Review(workspace)
    review.show(SUNNY)
    sent = ask(
        review.player,
        type="streams",
        wanted=[{"key": SUNNY, "layer": "lidar", "camera": "front_wide_120fov", "size": "grid"}],
    )
    assert sent[0][0]["sizes"] == [] and sent[0][0]["problem"]
    for content in ({"type": "streams"}, {"type": "verdict"}, {"type": "verdict", "key": 3}, "junk", {}):
        review.player._handle_custom_msg(content, [])
    review.board._handle_custom_msg({"type": "open", "key": "gone"}, [])
    assert "gone" in review.board.notice


def test_a_verdict_on_an_older_video_is_marked(workspace):
    review = Review(workspace, "ann")
    review.judge(SUNNY, "accept")
    path = workspace.root / "multi_view" / "drawn_0_Sunny" / "2.mp4"
    path.write_bytes((workspace.root / "multi_view" / "drawn_0_Night" / "2.mp4").read_bytes())
    (item,) = [item for item in Review(workspace).board.items if item["key"] == SUNNY]
    assert item["state"] == "accept" and item["stale"]


def test_damaged_and_missing_views_are_shown_as_such(workspace):
    folder = workspace.root / "multi_view" / "drawn_0_Sunny"
    (folder / "1.mp4").unlink()
    (folder / "2.mp4").write_bytes(b"junk")
    review = Review(workspace)
    review.show(SUNNY)
    assert any("cross_left" in problem for problem in review.player.video["problems"])
    assert [view["layers"] for view in review.player.video["views"]][1] == ["hdmap"]
    sent = ask(
        review.player,
        type="streams",
        wanted=[{"key": SUNNY, "layer": "result", "camera": "cross_right_120fov", "size": "grid"}],
    )
    assert "2.mp4" in sent[0][0]["problem"]


def front_video(workspace):
    """The one front video of the workspace: the quickest to measure."""
    return [video for video in find_videos(workspace) if video.stage == "single_view"]


def test_a_missing_sidecar_is_a_note_and_measured_faults_are_flags(workspace):
    path = workspace.root / "single_view" / "drawn_0_Sunny.mp4"
    whole = path.read_bytes()
    key = "single_view/drawn_0_Sunny"
    review = report.run_review(Review(workspace, videos=front_video(workspace)), ReviewParams()).review
    assert review.flags(key) == []
    review.show(key)
    assert review.player.video["problems"] == []
    assert review.player.video["notes"] == ["no sidecar: made elsewhere"]
    path.write_bytes(whole[: len(whole) * 3 // 4])
    review = report.run_review(Review(workspace, videos=front_video(workspace)), ReviewParams()).review
    for each in (review, Review(workspace)):  # as measured, and as read back
        (flag,) = each.flags(key)
        assert "drawn_0_Sunny.mp4" in flag


def test_names_are_escaped_in_the_report(workspace):
    path = workspace.root / "single_view" / "drawn_0_Sunny.mp4"
    path.rename(path.with_name("drawn_0_<i>&.mp4"))
    outcome = report.run_review(Review(workspace, videos=front_video(workspace)), ReviewParams())
    outcome.finish()
    page = outcome.review.paths.report.read_text()
    assert page.startswith("<!doctype html>")
    assert ">&lt;i&gt;&amp; · single view</a>" in page and "<i>" not in page


def test_an_empty_workspace_says_what_to_do(tmp_path):
    review = Review(Workspace(tmp_path / "nothing"))
    assert "notebooks 04 and 05" in review.board.notice
    outcome = report.run_review(review, ReviewParams())
    assert "0 videos" in outcome.finish()


def test_headless_writes_table_and_page_and_keeps_stills(workspace):
    params = ReviewParams(workspace=str(workspace.root), thresholds={"flicker": 1e-6}, styles=["Sunny"])
    executed = notebook_run.run_notebook("06_review", params)
    table = pd.read_csv(workspace.root / "review" / "table.csv")
    assert list(table["style"]) == ["Sunny", "Sunny"]
    assert all("Flicker" in flags for flags in table["flags"])
    page = (workspace.root / "review" / "report.html").read_text()
    assert "data:video/mp4" in page and "<svg" in page and "0.69" in page
    outputs = [output for cell in json.loads(executed.read_text())["cells"] for output in cell.get("outputs", [])]
    assert any("data:image/jpeg" in str(output.get("data", {}).get("text/html", "")) for output in outputs)
    assert executed.stat().st_size < 3_000_000


def test_an_unknown_clip_or_style_is_named(workspace):
    with pytest.raises(DreamkitError, match="Mars"):
        report.open_review(workspace, ReviewParams(styles=["Mars"]))


def block(workspace, stage, name, clip, style, reason):
    entry = {"asked": "full", "ran": ["blocklist"], "note": reason, "blocked": True, "reason": reason}
    record = {"stage": stage, "clip": clip, "chunk": 0, "style": style, "guardrail": entry}
    path = workspace.blocked_result(stage, name)
    path.write_text(json.dumps(record))
    return path


def test_what_the_guardrail_blocked_is_a_state_on_the_board(workspace):
    reason = "Blocked by the check content of the video: drugs on 5 of 5."
    block(workspace, "single_view", "drawn_0_Foggy", "drawn_0", "Foggy", reason)
    block(workspace, "multi_view", "drawn_0_Night", "drawn_0", "Night", reason)
    review = Review(workspace, "me")
    key = "single_view/drawn_0_Foggy"
    items = {item["key"]: item for item in review.items()}
    assert set(items) == {SUNNY, NIGHT, "single_view/drawn_0_Sunny", key}
    assert (items[key]["state"], items[key]["flags"], items[key]["style"]) == ("blocked", [reason], "Foggy")
    assert (items[NIGHT]["state"], items[NIGHT]["flags"]) == ("", [f"a later run: {reason}"])
    review.show(key)
    assert review.player.video["problems"] == [reason]
    with pytest.raises(DreamkitError, match="was blocked and has no video to judge"):
        review.judge(key, "accept")
    outcome = report.run_review(review, ReviewParams(workspace=str(workspace.root)))
    assert key not in set(outcome.table["key"])
    rows = report_page.videos_table(review).set_index("key")
    assert (rows.loc[key, "state"], rows.loc[key, "flags"]) == ("blocked", reason)
    assert "blocked" in stills.stills_html(review)
    workspace.blocked_result("single_view", "drawn_0_Foggy").write_text("{")
    damaged = next(video for video in find_videos(workspace) if video.key == key)
    assert damaged.blocked == "The record of the guardrail is damaged."
