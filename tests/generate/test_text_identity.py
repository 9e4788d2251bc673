"""The marks of text embeddings in a result's identity."""

import json

import fakes
import pytest
import torch
from fakes import put_checkpoints, put_clip

from dreamkit.generate import run as generate_run
from dreamkit.generate.params import SingleViewParams
from dreamkit.transfer.text_cache import write_embedding
from dreamkit.workspace.workspace import Chunk, Workspace

CLIP = Chunk("clip_a")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A function that runs 04 and returns its states; the stand-in pipeline caches random embeddings of `seed`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DREAMKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DREAMKIT_PROGRESS", "lines")
    put_checkpoints(tmp_path / "checkpoints")
    ws, seed = Workspace("outputs"), [0]
    put_clip(ws, styles=("Night",))

    def load(plan, _):
        class Encoding(fakes.FakeSingle):
            def encode_prompts(self, prompts):
                for path, prompt in ((plan.text._path(prompt), prompt) for prompt in prompts):
                    if not path.is_file():
                        numbers = torch.Generator().manual_seed(seed[0] + len(prompt))
                        write_embedding(path, torch.randn(4, 16, generator=numbers))

        return Encoding()

    def make(of=0):
        seed[0] = of
        return ws, [one.state for one in generate_run.single_view(ws, SingleViewParams(num_steps=1)).results]

    monkeypatch.setattr(generate_run, "load_pipeline", load)
    return make


def test_other_embeddings_of_the_same_text_make_the_video_again(run):
    ws, states = run()
    assert states == ["made"]
    marks = ws.read_sidecar("single_view", CLIP, "Night")["identity"]["text"]
    assert [mark[:2] for mark in marks] == [[4, 16]] * 2  # the prompt's and the negative prompt's
    assert run()[1] == ["done before"]
    paths = list(ws.cache("text").glob("*"))
    for path in paths:
        write_embedding(path, torch.ones(4, 16))
    assert run()[1] == ["made"] and run()[1] == ["done before"]
    for path in paths:
        path.unlink()
    assert run(of=100)[1] == ["done before"]  # the embeddings are not known before they are made


def test_results_without_marks_stay_valid_and_damaged_marks_do_not(run):
    ws, _ = run()
    path = ws.sidecar("single_view", CLIP, "Night")
    record = json.loads(path.read_text())
    marks = record["identity"].pop("text")
    for value, state in (
        (None, "done before"),
        ([], "done before"),
        ([marks[0]], "made"),
        (3, "made"),
        ([["a"]] * 2, "made"),
    ):
        if value is not None:
            record["identity"]["text"] = value
        path.write_text(json.dumps(record))
        assert run()[1] == [state], value
