"""Notebook 04 with a guardrail, from its parameters to sidecars and records, with all models loaded from files."""

import json

import fakes
import guardrail_files
import pytest

from dreamkit.captions import files as caption_files
from dreamkit.workspace import video
from dreamkit.workspace.cameras import SIX_VIEWS
from dreamkit.workspace.workspace import Chunk, Workspace

CLIP = Chunk("clip_a")
PROMPTS = {
    "Original": "the road in the rain",
    "Night": f"a bus with {guardrail_files.UNSAFE_WORD} on the road",
    "Foggy": f"a {guardrail_files.BROKEN_WORD} in the rain",
}


@pytest.mark.slow
def test_safe_unsafe_and_broken_answers_from_notebook_to_sidecar(dreamkit, tmp_path, micro_checkpoints, guardrail_root):
    root = tmp_path / "checkpoints"
    for folder in (*micro_checkpoints.glob("*/*"), *guardrail_root.glob("*/*")):
        target = root / folder.parent.name / folder.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(folder)
    ws = Workspace(tmp_path / "outputs")
    path = ws.condition("hdmap", SIX_VIEWS.front, CLIP)
    video.write_video(path, fakes.picture(9, 32, 48), 30)
    caption_files.write_style_captions(ws.captions, CLIP.clip, PROMPTS)
    values = ["num_steps=1", "guidance=0", "device=cpu", "guardrail=[llama_guard, content]", "guardrail_stride=4"]
    code, out, err = dreamkit(
        "run", "04_single_view", *(part for value in values for part in ("-p", value)), OMP_NUM_THREADS="1"
    )
    assert code == 0, err
    assert "blocked" in out
    records = {style: json.loads(ws.blocked("single_view", CLIP, style).read_text()) for style in ("Night", "Foggy")}
    assert "S9 Indiscriminate Weapons" in records["Night"]["guardrail"]["reason"]
    assert records["Night"]["guardrail"]["ran"] == ["llama_guard"]
    assert "could not decide: Llama Guard's answer 'perhaps' is not known" in records["Foggy"]["guardrail"]["reason"]
    assert records["Foggy"]["guardrail"]["ran"] == []
    made = ws.read_sidecar("single_view", CLIP, "Original")
    # The video of random weights is noise, on which the small classifier may say anything.
    record = made or json.loads(ws.blocked("single_view", CLIP, "Original").read_text())
    entry = record["guardrail"]
    assert entry["asked"] == ["llama_guard", "content"]
    assert [verdict["check"] for verdict in entry["verdicts"]] == ["llama_guard", "content"]
    assert (entry["verdicts"][1]["scores"]["frames"], entry["stride"]) == (3, 4)
    assert entry["versions"]["llama_guard"]["files"].startswith("sha256:")
    assert ws.single_view(CLIP, "Original").is_file() == (made is not None)
    executed = ws.executed("04_single_view").read_text()
    assert "Blocked by the check llama_guard" in executed
