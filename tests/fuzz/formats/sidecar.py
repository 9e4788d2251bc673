"""Sidecars of results: board, manifest, export."""

import json
import shutil
from dataclasses import asdict

import numpy as np

from dreamkit.rds.strokes import Rules
from dreamkit.review import verdicts
from dreamkit.review.export import export_accepted
from dreamkit.review.facts import generation_facts, prompts_of
from dreamkit.review.labelled import condition_record, recorded_options
from dreamkit.review.library import find_videos
from dreamkit.review.session import Review
from dreamkit.workspace import video
from dreamkit.workspace.files import sha256, write_json
from dreamkit.workspace.workspace import STAGES, Chunk, Workspace
from tests.fuzz import mutate
from tests.fuzz.driver import refused


def seeds(folder):
    path = folder / "a.mp4"
    video.write_video(path, np.zeros((3, 32, 32, 3), np.uint8), 24)
    record = {
        "stage": "single_view",
        "clip": "clip_a",
        "chunk": 0,
        "style": "Night",
        "prompt": "A road.",
        "seed": 1,
        "identity": {"prompts": ["A road."], "inputs": {}},
        "outputs": {"clip_a_Night.mp4": sha256(path)},
        "guardrail": {"note": "none"},
        "size": {"height": 32, "width": 32},
        "frames": 3,
        "fps": 24,
        "controls": {"hdmap": {"weight": 0.5}},
    }
    drawn = {"stage": "render", "camera": "camera_front_wide_120fov", "model": "ftheta", "first_frame": 0, "frames": 3}
    drawn |= {"fps": 30, "size": [32, 32], "drawn": [64, 36], "novel_pose": None, "rules": asdict(Rules())}
    return path, record, drawn


def case(rng, folder, given):
    path, record, drawn = given
    ws = Workspace(folder / "ws")
    (ws.root / "single_view").mkdir(parents=True)
    (ws.root / "multi_view" / "clip_a_Night").mkdir(parents=True)
    shutil.copy(path, ws.root / "single_view" / "clip_a_Night.mp4")
    shutil.copy(path, ws.root / "multi_view" / "clip_a_Night" / "0.mp4")
    for stage in STAGES:
        (ws.root / stage / "clip_a_Night.json").write_bytes(mutate.hostile_json(rng, {**record, "stage": stage}))
    labels = folder / "labels" / "pose"
    labels.mkdir(parents=True)
    (labels / "clip_a.tar").write_bytes(b"poses")
    for stage in STAGES:
        ws.read_sidecar(stage, Chunk("clip_a"), "Night")
        ws.sidecars(stage)
    ws.write_manifest()
    ws.write_sidecar("single_view", Chunk("b"), "Night", {})
    assert ws.sidecar("single_view", Chunk("b"), "Night").is_file()
    for line in ws.manifest.read_text(encoding="utf-8").splitlines():
        json.loads(line)
    found = find_videos(ws)
    for one in found:
        str((one.prompt, one.rig, one.conditions, generation_facts(one), prompts_of(one)))
    (folder / "drawn.json").write_bytes(mutate.hostile_json(rng, drawn))
    with refused():
        recorded_options(condition_record(folder / "drawn.mp4"), "front_wide_120fov")
    if rng.random() < 0.3:
        review = Review(ws, "ann")
        review.items()
        for key in review.videos:
            verdicts.judge(ws.review_file("verdicts.jsonl"), key, "accept", by="ann")
        review.reload_verdicts()
        with refused():
            out = export_accepted(review, str(folder / "set"), str(folder / "labels"))
            write_json(folder / "list.json", sorted(str(p.relative_to(out)) for p in out.rglob("*")))
