"""The choice of the attention backend by a timing, and its memory in the cache folder."""

import json

import pytest
import torch

from dreamkit.transfer import attention
from dreamkit.transfer.attention import Attention
from dreamkit.transfer.attention_timing import CACHE_FILE, remember_times, remembered_times, timing_key

CPU = torch.device("cpu")
SHAPE = (640, 4, 16)
BACKENDS = [Attention("cudnn"), Attention("te", version="te 2.12")]


@pytest.fixture
def timings(tmp_path, monkeypatch):
    """The cache folder, and the shapes that were timed; TE is faster for short sequences."""
    monkeypatch.setenv("DREAMKIT_CACHE", str(tmp_path / "cache"))
    timed = []

    def time_backends(backends, shape, device, dtype):
        timed.append(shape)
        return {"cudnn": 5.0, "te": 4.0 if shape[0] < 1000 else 6.0}

    monkeypatch.setattr(attention, "time_backends", time_backends)
    monkeypatch.setattr(attention, "library_version", lambda name: "te 2.12" if name == "te" else "")
    return tmp_path / "cache", timed


def fastest(shape=SHAPE):
    return attention._fastest(BACKENDS, shape, CPU, torch.bfloat16).name


def test_the_fastest_backend_of_a_shape_is_timed_once(timings):
    folder, timed = timings
    long = (100_000, *SHAPE[1:])
    assert [fastest(), fastest(), fastest(long), fastest(long)] == ["te", "te", "cudnn", "cudnn"]
    assert timed == [SHAPE, long]
    assert len(json.loads((folder / CACHE_FILE).read_text())) == 2


def test_another_version_or_card_has_its_own_times(timings):
    keys = {
        timing_key(SHAPE, CPU, dtype, version) for dtype in (torch.bfloat16, torch.half) for version in ("", "te 3")
    }
    assert len(keys) == 4 and all(f"torch {torch.__version__}" in key for key in keys)


def test_timing_never_ends_a_run(timings, monkeypatch):
    folder, timed = timings
    folder.mkdir()
    for broken in ("", "[1]", '{"a"', json.dumps({timing_key(SHAPE, CPU, torch.bfloat16, "te 2.12"): {"te": "fast"}})):
        (folder / CACHE_FILE).write_text(broken)
        assert fastest() == "te"
    assert len(timed) == 4
    (folder / CACHE_FILE).unlink()
    monkeypatch.setattr(
        attention, "time_backends", lambda *_: (_ for _ in ()).throw(torch.cuda.OutOfMemoryError("12 GiB"))
    )
    assert fastest() == "cudnn" and not (folder / CACHE_FILE).exists()


def test_where_all_times_are_known_only_the_fastest_is_built(timings, monkeypatch):
    """Also where the fastest does not run any more, or a further backend was installed since: then all are tried."""
    built, broken = [], set()

    def running(names, *_):
        built.append(tuple(names))
        return [Attention(name) for name in names if name not in {"flash4", "sdpa", *broken}], ["told"]

    monkeypatch.setattr(attention, "_running", running)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "a card")
    every = ("cudnn", "te", "flash4", "sdpa")

    def choose(wanted="auto", tokens=SHAPE[0]):
        built.clear()
        return attention.choose_attention(*SHAPE[1:], torch.device("cuda"), torch.bfloat16, wanted, tokens).name, built

    assert choose() == ("te", [every])
    assert choose() == ("te", [("te",)])
    assert choose("cudnn") == ("cudnn", [("cudnn",)])
    assert choose(tokens=0) == ("cudnn", [every])
    broken.add("te")
    assert choose() == ("cudnn", [("te",), every])
    broken.clear()
    monkeypatch.setattr(attention, "library_version", lambda name: f"{name} 4" if name in ("te", "flash4") else "")
    assert choose() == ("te", [every])
    assert choose() == ("te", [every])  # flash4 is installed and does not run: it may the next time


def test_a_cache_folder_that_cannot_be_written_costs_nothing(timings):
    folder, timed = timings
    folder.write_text("a file")
    assert fastest() == "te" and fastest() == "te" and len(timed) == 2
    remember_times("key", {"te": 1.0})
    assert remembered_times("key", ["te"]) is None
