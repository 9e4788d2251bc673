"""The report that one sends, the slides beside it, and measuring in the background."""

from __future__ import annotations

import re
import threading
import time

import pytest
from jupyter_client.manager import start_new_kernel
from PIL import Image
from review_workspace import make

from dreamkit.errors import DreamkitError
from dreamkit.review import report
from dreamkit.review.measures import table
from dreamkit.review.params import ReviewParams
from dreamkit.review.session import Review
from dreamkit.review.widgets import plots
from dreamkit.workspace.files import write_json
from dreamkit.workspace.workspace import Workspace

SUNNY, NIGHT, FRONT = "multi_view/drawn_0_Sunny", "multi_view/drawn_0_Night", "single_view/drawn_0_Sunny"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    made = make(tmp_path_factory.mktemp("report") / "outputs", clips=1, frames=8, size=(72, 128))
    record = {"stage": "multi_view", "clip": "drawn_0", "chunk": 0, "style": "Sunny", "seed": 7, "steps": 35}
    record |= {"prompts": {"front_wide_120fov": "A street & trees."}, "preset": "exact", "spec": str(made.root)}
    write_json(made.root / "multi_view" / "drawn_0_Sunny.json", record)
    return made


def measured_row(video):
    """A row as `measure_video` makes it, without decoding anything."""
    values = {"cross_view_sampson": 39.0, "flicker": 1.0}
    return {
        "key": video.key,
        "fingerprint": video.fingerprint,
        "version": table.VERSION,
        "faults": list(video.problems),
        **values,
        "trace_luminance": [100.0, 101.0, 99.0],
    }


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(table, "measure_video", measured_row)


def test_the_report_is_one_file_with_everything_in_it(workspace, quick):
    review = Review(workspace, "ann", ReviewParams().thresholds)
    review.judge(SUNNY, "reject", ["flicker", "wrong_map"], "left <pole>")
    outcome = report.run_review(review, ReviewParams())
    lines = outcome.finish()
    page = review.paths.report.read_text()
    assert str(workspace.root) not in page and str(workspace.root.parent) not in page
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)  # nothing beside it is needed
    assert page.count("data:video/mp4;base64,") == 3
    for anchor in re.findall(r"href=\"#([^\"]+)\"", page):
        assert f'id="{anchor}"' in page
    words = [
        "seed 7",
        "steps 35",
        "preset exact",
        "A street &amp; trees.",
        "flicker, wrong map",
        "left &lt;pole&gt;",
        "ann",
    ]
    for text in words:
        assert text in page
    assert "Cross-view Sampson 39 (at most 10; real videos have 1.7 to 1.8)" in page
    assert 'class="value bad">39<' in page and 'class="value good">1<' in page
    assert page.count("<svg") == 2 and "drawn_0_Night, views" in page
    assert "slides" in lines
    sheet, animation = (Image.open(review.paths.slides / f"drawn_0.{suffix}") for suffix in ("png", "gif"))
    assert sheet.width == 5 * 288 and animation.n_frames > 1
    # Two rows of six views, and one of the front view; the animation has the two styles once each, side by side.
    front, several = 288 * 144 // 256, 2 * 576 * 144 // (3 * 256)
    assert sheet.height == front + 2 * several and animation.size == (2 * 288, front)
    before = (review.paths.slides / "drawn_0.gif").stat().st_mtime_ns
    outcome.finish()
    assert (review.paths.slides / "drawn_0.gif").stat().st_mtime_ns == before


def test_measuring_in_the_background_leaves_the_board_usable(workspace, monkeypatch):
    go, rows = threading.Event(), []

    def slowly(video):
        go.wait(20)
        rows.append(video.key)
        return measured_row(video)

    monkeypatch.setattr(table, "measure_video", slowly)
    workspace.review_file("metrics.parquet").unlink(missing_ok=True)
    workspace.review_file("report.html").unlink(missing_ok=True)
    review = Review(workspace, "ann", ReviewParams().thresholds)
    outcome = report.run_review(review, ReviewParams(), background=True)
    assert "goes on" in outcome.finish() and not review.paths.report.exists()
    review.judge(NIGHT, "accept")
    assert next(item for item in review.board.items if item["key"] == NIGHT)["state"] == "accept"
    go.set()
    outcome.work.wait(60)
    assert len(outcome.table) == len(rows) == 3
    assert review.board.progress["text"].startswith("3 videos are measured, 3 flagged. Table and report are written")
    assert review.paths.report.is_file()
    assert "3 videos" in outcome.finish()


def test_stopped_measuring_goes_on_where_it_was(workspace, monkeypatch):
    workspace.review_file("metrics.parquet").unlink(missing_ok=True)
    review = Review(workspace)

    def one_then_stop(video):
        review.board._handle_custom_msg({"type": "stop"}, [])
        return measured_row(video)

    monkeypatch.setattr(table, "measure_video", one_then_stop)
    first = report.run_review(review, ReviewParams(), background=True)
    first.work.wait(60)
    said = "The measuring is stopped. 1 of 3 videos is measured; these measures and all verdicts are kept."
    assert len(first.table) == 1
    assert review.board.progress["text"] == f"{said} Run the cell that measures again to go on."
    monkeypatch.setattr(table, "measure_video", measured_row)
    again = report.run_review(review, ReviewParams(), background=True)
    again.work.wait(60)
    assert len(again.table) == 3 and len(Review(workspace).rows) == 3
    rows = table.read_table(again.review.paths.metrics)
    rows.loc[rows["key"] == NIGHT, "fingerprint"] = "of an earlier video"  # its measures are not shown any more
    table.write_table(again.review.paths.metrics, rows)
    assert set(Review(workspace).rows) == {SUNNY, FRONT}


SLOW_MEASURES = """
import time
from dreamkit.review import report
from dreamkit.review.measures import table
from dreamkit.review.params import ReviewParams
from dreamkit.workspace.workspace import Workspace
def slowly(video):
    time.sleep(1)
    return {"key": video.key, "fingerprint": video.fingerprint, "version": table.VERSION, "problems": "", "faults": []}
table.measure_video = slowly
p, ws = ReviewParams(), Workspace(ROOT)
review = report.open_review(ws, p)
"""


def cell(client, code, while_it_runs=None):
    """Outputs of a cell in a kernel, as text."""
    said = []
    client.execute(code)
    while True:
        message = client.get_iopub_msg(timeout=60)
        content = message["content"]
        if while_it_runs and content.get("execution_state") == "busy":
            time.sleep(1)
            while_it_runs()
        if content.get("execution_state") == "idle":
            return "".join(said)
        said += [content.get("text", ""), "\n".join(content.get("traceback", ""))]


def test_an_interrupt_of_the_kernel_ends_in_one_sentence(workspace):
    workspace.review_file("metrics.parquet").unlink(missing_ok=True)
    manager, client = start_new_kernel(kernel_name="python3", startup_timeout=60)
    try:
        assert cell(client, SLOW_MEASURES.replace("ROOT", repr(str(workspace.root)))) == ""
        said = cell(client, "report.run_review(review, p, background=False)", manager.interrupt_kernel)
        kept = r"[0-2] of 3 videos (is|are) measured; these measures and all verdicts are kept\."
        assert re.search(rf"^Interrupted\. {kept}\n  -> Run this cell again to go on from there\.$", said, re.MULTILINE)
        assert "Traceback" not in said
        # The same where a thread measures and no cell runs: the button's signal ends the thread.
        again = "table.VERSION += 1; outcome = report.run_review(review, p, background=True)"
        assert cell(client, again) == ""
        manager.interrupt_kernel()
        said = cell(client, "outcome.work.wait(20); print(review.board.progress['text'])")
        assert re.search(rf"^The measuring is stopped\. {kept} Run the cell that measures again to go on\.$", said)
        assert cell(client, "print(1 + 1)") == "2\n"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_an_error_of_the_thread_is_a_sentence_on_the_board(workspace, monkeypatch):
    workspace.review_file("metrics.parquet").unlink(missing_ok=True)
    for error, words in ((DreamkitError("No disk.", "Add one."), "No disk."), (ValueError("odd"), "ValueError: odd")):
        review = Review(workspace)
        monkeypatch.setattr(table, "measure_video", lambda video, error=error: (_ for _ in ()).throw(error))
        outcome = report.run_review(review, ReviewParams(), background=True)
        outcome.work.wait(60)
        assert words in review.board.progress["text"]
        assert not outcome.measuring


def test_plots_take_the_ink_of_the_page(workspace, quick):
    workspace.review_file("metrics.parquet").unlink(missing_ok=True)
    rows = report.run_review(Review(workspace), ReviewParams()).table
    drawn = plots.to_svg(plots.distributions(rows, {"flicker": 6.0}), "test")
    assert "currentColor" in drawn and plots.INK not in drawn
    assert "good: at most 6" in drawn and "good: low" in drawn and "Cross-view Sampson" in drawn
    assert 'fill: #ffffff"' not in drawn  # no background of its own
    one = plots.to_svg(plots.distributions(rows, {}, [FRONT]), "one")
    assert "drawn_0_Sunny, front" in one and "Night" not in one
    assert Workspace(workspace.root).review_file("metrics.parquet").is_file()
