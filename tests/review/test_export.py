"""The export: whole or not at all, only what is accepted, and loadable with Hugging Face's datasets."""

from __future__ import annotations

import json
from dataclasses import replace

import pandas as pd
import pytest
from review_workspace import make

from dreamkit.errors import DreamkitError
from dreamkit.review.export import MARK, export_accepted, model_licence
from dreamkit.review.facts import generation_facts, model_of_video, prompts_of
from dreamkit.review.labelled import condition_record
from dreamkit.review.library import ReviewVideo
from dreamkit.review.session import Review
from dreamkit.workspace.cameras import SIX_VIEWS
from dreamkit.workspace.files import write_json
from dreamkit.workspace.workspace import Chunk, Workspace

KEY = "multi_view/drawn_0_Sunny"


@pytest.fixture
def workspace(tmp_path):
    made = make(tmp_path / "outputs", clips=1, frames=6, size=(72, 128))
    record = {
        "stage": "multi_view",
        "clip": "drawn_0",
        "chunk": 0,
        "style": "Sunny",
        "seed": 7,
        "prompts": ["A street."],
    }
    # As versions wrote it that recorded no model: the tiny bundle has the 7B models' file names and smaller videos.
    record |= {"identity": {"checkpoints": {"nvidia/Cosmos-Transfer1-7B-Sample-AV/base_model.pt": "sha256:0"}}}
    record |= {"size": {"height": 96, "width": 160}, "guardrail": {"note": "No guardrail ran"}}
    record |= {"spec": "/home/ann/specs/multi_view_spec.json", "controls": {"hdmap": {"videos": ["/home/ann/a.mp4"]}}}
    write_json(made.root / f"{KEY}.json", record)
    (tmp_path / "labels" / "pose").mkdir(parents=True)
    (tmp_path / "labels" / "pose" / "drawn_0.tar").write_bytes(b"poses")
    (tmp_path / "labels" / "3d_lanelines").mkdir()
    (tmp_path / "labels" / "3d_lanelines" / "drawn_0.tar").write_bytes(b"lanes")
    return made


def test_accepted_videos_become_a_dataset(workspace, tmp_path, monkeypatch):
    review = Review(workspace, "ann")
    review.judge(KEY, "accept")
    review.judge("multi_view/drawn_0_Night", "reject", ["wrong_style"])
    folder = export_accepted(review, str(tmp_path / "set"), str(tmp_path / "labels"))
    table = pd.read_parquet(folder / "table.parquet")
    assert list(table["name"]) == ["multi_view__drawn_0_Sunny"]
    row = table.iloc[0]
    for camera in SIX_VIEWS.names:
        assert (folder / row[f"video_{camera}"]).stat().st_size > 100
        assert (folder / row[f"hdmap_{camera}"]).stat().st_size > 100
    assert (row["prompt"], row["seed"], row["accepted_by"], row["synthetic"]) == ("A street.", 7, "ann", True)
    assert (folder / row["poses"]).read_bytes() == b"poses" and list(row["labels"]) == [
        "labels/3d_lanelines/drawn_0.tar"
    ]
    card = (folder / "README.md").read_text()
    for words in ("synthetic", "tiny bundle", "Apache-2.0; not an NVIDIA model", "No guardrail ran"):
        assert words in card
    for path in folder.rglob("*"):
        if path.suffix in (".json", ".md", ".csv"):
            assert "/home" not in path.read_text() and str(tmp_path) not in path.read_text(), path
    assert json.loads((folder / row["sidecar"]).read_text())["controls"]["hdmap"]["videos"] == ["a.mp4"]

    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    loaded = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded.num_rows == 1 and loaded[0]["clip"] == "drawn_0"

    review.judge("single_view/drawn_0_Sunny", "accept")
    export_accepted(review, str(folder))
    assert len(pd.read_parquet(folder / "table.parquet")) == 2
    assert not list(tmp_path.glob(".partial-*"))


@pytest.mark.parametrize(
    ("size", "stage", "model"),
    [
        ((704, 1280), "single_view", "NVIDIA Cosmos-Transfer1-7B-Sample-AV, NVIDIA Open Model License"),
        ((576, 1024), "multi_view", "Single2MultiView, NVIDIA Open Model License"),
        ((160, 288), "single_view", "tiny bundle"),
        ((96, 160), "multi_view", "tiny bundle"),
    ],
)
def test_the_model_is_named_by_its_maker(size, stage, model):
    name = "nvidia/Cosmos-Transfer1-7B-Sample-AV/base_model.pt"
    record = {"identity": {"checkpoints": {name: ""}}, "size": dict(zip(("height", "width"), size, strict=True))}
    video = ReviewVideo(f"{stage}/a_Night", stage, Chunk("a"), "Night", {}, {}, record)
    assert model in model_licence(video)
    assert "made elsewhere" in model_licence(replace(video, sidecar=None))
    for key, told in (("dreamkit-tiny", "tiny bundle"), ("Cosmos-Transfer1-7B-Sample-AV", "NVIDIA Cosmos")):
        assert told in model_licence(replace(video, sidecar={**record, "model": key}))  # whatever the size


def test_nothing_accepted_and_foreign_folders_are_refused(workspace, tmp_path):
    review = Review(workspace, "ann")
    with pytest.raises(DreamkitError, match="nothing to export"):
        export_accepted(review, str(tmp_path / "set"))
    review.judge(KEY, "accept")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(DreamkitError, match="no earlier export"):
        export_accepted(review, str(mine))
    assert [path.name for path in mine.iterdir()] == ["thesis.txt"]
    with pytest.raises(DreamkitError, match="label folder"):
        export_accepted(review, str(tmp_path / "set"), str(tmp_path / "nowhere"))


def test_a_failed_export_leaves_the_old_one(workspace, tmp_path, monkeypatch):
    review = Review(workspace, "ann")
    review.judge(KEY, "accept")
    folder = export_accepted(review, str(tmp_path / "set"))
    monkeypatch.setattr(pd.DataFrame, "to_csv", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(DreamkitError, match="No space left"):
        export_accepted(review, str(folder))
    assert (folder / MARK).is_file() and (folder / "table.csv").is_file()
    assert not list(tmp_path.glob(".partial-*"))


def test_a_verdict_on_an_older_video_does_not_export_the_new_one(workspace, tmp_path):
    Review(workspace, "ann").judge(KEY, "accept")
    view = workspace.root / KEY / "2.mp4"
    view.write_bytes((workspace.root / KEY / "3.mp4").read_bytes())
    with pytest.raises(DreamkitError, match="nothing to export"):
        export_accepted(Review(Workspace(workspace.root)), str(tmp_path / "set"))


@pytest.mark.parametrize(
    ("name", "value"),
    [("size", [{}, 3]), ("frames", "many"), ("fps", 0), ("novel_pose", 5), ("rules", {"depth_max": "far"}),
     ("rules", {"layers": ["../../x"]}), ("drawn", [1e9, 3]), ("first_frame", -1)],
)  # fmt: skip
def test_values_of_a_condition_videos_sidecar_are_checked(tmp_path, name, value):
    (tmp_path / "a_0.json").write_text(json.dumps({"size": [1280, 704], "frames": 3, name: value}))
    with pytest.raises(DreamkitError, match=f"has a value of {name} that no condition video is drawn with"):
        condition_record(tmp_path / "a_0.mp4")


@pytest.mark.parametrize("value", [{}, [], "x", True, -1, 10**200])
def test_no_value_of_a_sidecar_stops_the_facts_or_the_export(value):
    keys = ("size", "frames", "fps", "seed", "steps", "controls", "prompts", "prompt", "identity", "checkpoints")
    for key in keys:
        for given in (value, {"height": value, "weight": value, "hdmap": value}):
            video = ReviewVideo("single_view/a_Night", "single_view", Chunk("a"), "Night", {}, {}, {key: given})
            assert isinstance(str((generation_facts(video), prompts_of(video), model_of_video(video))), str)
