import logging

import pytest
from fakes import Report

from dreamkit.generate.progress import RunProgress
from dreamkit.notebook import progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def test_time_left_counts_every_window_and_video(monkeypatch, clock, caplog):
    monkeypatch.setenv(progress.MODE, "lines")
    caplog.set_level(logging.INFO, "dreamkit")
    watch = RunProgress(videos=2)
    with watch.video("a"):
        watch(Report("text"))
        clock[0] += 1
        for window in range(2):
            watch(Report("encode", 0, 1, window, 2))
            clock[0] += 1
            for step in range(3):
                watch(Report("denoise", step, 2, window, 2))
                clock[0] += 10
    lines = [record.getMessage() for record in caplog.records if "step" in record.getMessage()]
    assert len(lines) == 4
    assert lines[0].startswith("a: step 1/2, window 1/2, 10.00 s a step, 1:12 left (video 1 of 2)")
    assert "video 1 of 2" in lines[0]
    assert "0:53 left" in lines[-1]  # the second video: 4 steps, and 13 s for the rest


def test_the_pace_follows_the_last_steps(monkeypatch, clock, caplog):
    monkeypatch.setenv(progress.MODE, "lines")
    caplog.set_level(logging.INFO, "dreamkit")
    with (watch := RunProgress(videos=1)).video("a"):
        for step in range(31):
            watch(Report("denoise", step, 40, 0, 1))
            clock[0] += 10 if step < 15 else 2
    assert "2.00 s a step, 0:20 left" in caplog.records[-1].getMessage()


def test_a_bar_takes_the_place_of_lines(monkeypatch, capsys):
    monkeypatch.setenv(progress.MODE, "bar")
    watch = RunProgress(videos=1)
    with watch.video("clip_a"):
        for step in range(3):
            watch(Report("denoise", step, 2, 0, 1))
    assert "clip_a (1/1)" in capsys.readouterr().err


def test_the_log_file_keeps_every_step_and_grows(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(progress.MODE, "bar")
    for _ in range(2):
        with progress.logging_to(tmp_path / "logs" / "a.log"):
            logging.getLogger("dreamkit.x").info("hello")
            logging.getLogger("dreamkit.x").info("one step", extra={"step": True})
    assert (tmp_path / "logs" / "a.log").read_text().count("one step") == 2
    out = capsys.readouterr().out
    assert out.count("hello") == 2
    assert "one step" not in out


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path, capsys):
    (tmp_path / "logs").write_text("")
    with progress.logging_to(tmp_path / "logs" / "a.log"):
        logging.getLogger("dreamkit.x").info("hello")
    assert "hello" in capsys.readouterr().out


@pytest.mark.parametrize(("seconds", "text"), [(7, "0:07"), (750, "12:30"), (10931, "3:02:11")])
def test_clock(seconds, text):
    assert progress.clock(seconds) == text


def test_long_names_are_shortened():
    assert progress.shortened("short") == "short"
    assert len(progress.shortened("2d23a1f4-c269-46aa-8e7d-1bb595d1e421_2445376400000_Golden hour")) <= 22
