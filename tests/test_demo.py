"""The real notebooks, kernels and tiny model, as short as they get."""

import functools
import json
import os
from pathlib import Path

import pytest

from dreamkit import checkpoints, demo, notebooks, video
from dreamkit.tinyworld.clip import CLIP, write_condition_clip
from dreamkit.workspace import Chunk, Workspace

REPO = Path(__file__).resolve().parents[1]


@pytest.fixture
def ws(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DREAMKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(REPO), *filter(None, [os.environ.get("PYTHONPATH")])]))
    return Workspace("outputs")


def test_front_video_then_six_views_with_the_tiny_model(ws, capfd):
    write_condition_clip(ws.root, frames=9, height=88, width=160)
    for name in ("04_single_view", "05_multi_view"):
        values = {"workspace": "outputs", "num_steps": 1, "styles": ["Original"]}
        params = notebooks.gather(name, REPO / "params" / "demo" / f"{name}.yaml", values)
        copy = notebooks.run(name, params)
        assert copy == ws.executed(name)
        assert "video/mp4" in copy.read_text()
    height, width = 160, 288
    assert str(video.probe(ws.single_view(Chunk(CLIP), "Original"))) == f"9 frames {width}x{height} at 24 fps"
    for index in range(6):
        assert video.probe(ws.view(Chunk(CLIP), "Original", index)).frames == 9
    assert video.probe(ws.grid(Chunk(CLIP), "Original")).frames == 9
    assert json.loads(ws.prompts(Chunk(CLIP), "Original").read_text())
    record = ws.read_sidecar("multi_view", Chunk(CLIP), "Original")
    assert record["pipeline"]["device"] == "cpu"
    assert "RANDOM weights" in ws.log_file("multi_view").read_text()
    printed = capfd.readouterr().out
    assert "step 2/2, window 1/1" in printed


def test_the_demo_draws_its_clip_once(ws, monkeypatch):
    small = functools.partial(write_condition_clip, frames=3, height=44, width=80)
    monkeypatch.setattr(demo, "write_condition_clip", small)
    demo.prepare(ws)
    front = ws.condition("hdmap", demo.SIX_VIEWS.front, Chunk(CLIP))
    before = front.stat().st_mtime_ns
    assert video.probe(front).frames == 3
    demo.prepare(ws)
    assert front.stat().st_mtime_ns == before
    assert list(json.loads((ws.captions / f"{CLIP}.json").read_text())) == ["Original", "Night"]


def test_the_bundle_has_what_both_stages_need(ws):
    root = checkpoints.folder("tiny")
    for stage in ("single_view", "multi_view"):
        assert checkpoints.needed(stage, root, ["hdmap", "lidar"], {})
