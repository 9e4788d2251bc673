"""The verdict file: last one wins, undo, two reviewers, torn and broken lines."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dreamkit.errors import DreamkitError
from dreamkit.review import verdicts
from dreamkit.review.verdicts import Verdict


def test_the_last_verdict_wins_and_the_history_stays(tmp_path):
    path = tmp_path / "review" / "verdicts.jsonl"
    verdicts.judge(path, "multi_view/a_Night", "accept", by="ann")
    verdicts.judge(path, "multi_view/a_Night", "reject", ["flicker"], "left pole", by="bob")
    log = verdicts.read_verdicts(path)
    assert [line.state for line in log.history] == ["accept", "reject"]
    held = log.current()["multi_view/a_Night"]
    assert (held.state, held.reasons, held.note, held.by) == ("reject", ("flicker",), "left pole", "bob")
    assert held.when.endswith("+00:00")


def test_undo_takes_back_only_ones_own(tmp_path):
    path = tmp_path / "verdicts.jsonl"
    verdicts.judge(path, "v", "accept", by="ann")
    verdicts.judge(path, "v", "unsure", by="ann")
    assert verdicts.undo(path, "v", by="bob") is None
    assert verdicts.undo(path, "v", by="ann").state == "unsure"
    assert verdicts.read_verdicts(path).current()["v"].state == "accept"
    verdicts.undo(path, "v", by="ann")
    assert verdicts.read_verdicts(path).current() == {}
    assert verdicts.undo(path, "v", by="ann") is None
    assert len(verdicts.read_verdicts(path).history) == 4


@pytest.mark.parametrize(
    ("state", "reasons", "word"),
    [("reject", [], "reason"), ("maybe", [], "maybe"), ("reject", ["ugly"], "ugly")],
)
def test_wrong_verdicts_are_refused_and_nothing_is_written(tmp_path, state, reasons, word):
    path = tmp_path / "verdicts.jsonl"
    with pytest.raises(DreamkitError, match=word):
        verdicts.judge(path, "v", state, reasons)
    assert not path.exists()


def test_a_broken_line_is_kept_aside_and_the_rest_is_read(tmp_path):
    path = tmp_path / "verdicts.jsonl"
    verdicts.judge(path, "v1", "accept", by="ann")
    with path.open("ab") as file:
        file.write(b'{"video": "v2", "state": "acc\n\xff\xfe\n[1]\n')
    verdicts.judge(path, "v3", "unsure", by="ann")
    for _ in range(2):
        log = verdicts.read_verdicts(path)
        assert set(log.current()) == {"v1", "v3"}
        assert [line.number for line in log.broken] == [2, 3, 4]
    aside = (tmp_path / "verdicts.broken.txt").read_bytes()
    assert aside == b'{"video": "v2", "state": "acc\n\xff\xfe\n[1]\n'


def test_a_torn_last_line_does_not_swallow_the_next(tmp_path):
    path = tmp_path / "verdicts.jsonl"
    path.write_bytes(verdicts.format_line(Verdict("v1", "accept"))[:-20])
    assert len(verdicts.read_verdicts(path).broken) == 1
    assert not (tmp_path / "verdicts.broken.txt").exists()  # the line may still be in writing
    verdicts.judge(path, "v2", "accept")
    assert set(verdicts.read_verdicts(path).current()) == {"v2"}
    assert (tmp_path / "verdicts.broken.txt").exists()


def test_a_folder_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "review").write_text("a file where the folder should be")
    with pytest.raises(DreamkitError, match="could not be written"):
        verdicts.judge(tmp_path / "review" / "verdicts.jsonl", "v", "accept")


texts = st.text(max_size=40)
verdict_lines = st.builds(
    Verdict,
    video=texts.filter(bool),
    state=st.sampled_from([*verdicts.STATES, "undo"]),
    reasons=st.lists(texts, max_size=3).map(tuple),
    note=texts,
    by=texts,
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(verdict_lines, st.binary(max_size=60).filter(lambda raw: b"\n" not in raw)), max_size=12))
def test_good_lines_survive_any_neighbour(lines):
    raw = b"".join(verdicts.format_line(line) if isinstance(line, Verdict) else line + b"\n" for line in lines)
    log = verdicts.parse_verdicts(raw)
    assert list(log.history) == [line for line in lines if isinstance(line, Verdict)]


@settings(max_examples=100, deadline=None)
@given(st.lists(verdict_lines, min_size=1, max_size=5), st.data())
def test_a_file_cut_anywhere_loses_only_its_last_line(lines, data):
    raw = b"".join(map(verdicts.format_line, lines))
    cut = data.draw(st.integers(0, len(raw)))
    whole = raw[:cut].count(b"\n")
    history = verdicts.parse_verdicts(raw[:cut]).history
    assert list(history[:whole]) == lines[:whole]
    assert len(history) <= whole + 1


def _write_many(path: Path, name: str, count: int) -> None:
    for index in range(count):
        verdicts.judge(path, f"{name}/{index}", "accept", note="x" * 500, by=name)


def test_two_reviewers_and_a_kernel_that_dies(tmp_path):
    path = tmp_path / "verdicts.jsonl"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write_many, args=(path, name, 60)) for name in ("ann", "bob")]
    doomed = context.Process(target=_write_many, args=(path, "cat", 100_000))
    for process in (*writers, doomed):
        process.start()
    while not path.exists() or b"cat/5" not in path.read_bytes():
        time.sleep(0.01)
    os.kill(doomed.pid, signal.SIGKILL)
    for process in (*writers, doomed):
        process.join(60)
    verdicts.judge(path, "last", "unsure", by="ann")  # the killed process's lock is released
    current = verdicts.read_verdicts(path).current()
    assert {f"{name}/{index}" for name in ("ann", "bob") for index in range(60)} <= set(current)
    assert "last" in current
