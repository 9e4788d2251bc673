"""Captions that the guardrail blocks are not written; the others are."""

import json

import pytest

from dreamkit.captions.files import ORIGINAL
from dreamkit.guardrail import guard as guards
from dreamkit.guardrail.verdicts import CheckVerdict
from dreamkit.styles.page import write_style_page
from dreamkit.styles.params import StyleParams
from dreamkit.workspace.workspace import Workspace

CAPTION = "The video captures a wide highway on a clear, sunny day. A white truck drives in the right lane."


class ReadsWords:
    """A check that blocks texts with one of two words."""

    name = "llama_guard"
    calls = 0

    def read(self, texts):
        type(self).calls += 1
        return [
            CheckVerdict(
                self.name, "unsafe" if any(word in text.lower() for word in ("snow", "riot")) else "safe", "of a word"
            )
            for text in texts
        ]

    def release(self):
        pass


@pytest.fixture
def ws(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for text, clip in ((CAPTION, "good"), (f"{CAPTION} A riot is near.", "bad")):
        path = tmp_path / "outputs" / "captions" / f"{clip}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(guards.Guard, "_version", lambda self, name: {"files": "sha256:0"})
    monkeypatch.setattr(ReadsWords, "calls", 0)
    return Workspace("outputs")


def test_blocked_captions_are_left_out_and_told(ws, monkeypatch):
    init = guards.Guard.__init__
    monkeypatch.setattr(guards.Guard, "__init__", lambda *a, **v: init(*a, **v, load=lambda *args: ReadsWords()))
    p = StyleParams(styles=["Night", "Snowy"], guardrail=["llama_guard"])
    styled = write_style_page(ws, p)
    captions = json.loads((ws.captions / "good.json").read_text())
    assert set(captions) == {ORIGINAL, "Night"}
    assert not (ws.captions / "bad.json").exists()
    assert "not written: good, Snowy. Blocked by the check llama_guard of the prompt: of a word." in str(styled)
    assert "not written: bad, Original. Blocked" in str(styled)
    assert styled.clips == ("good",)
    assert ReadsWords.calls == 1
    record = json.loads(ws.style_record("good").read_text())["guardrail"]
    assert {style: entry["blocked"] for style, entry in record.items()} == {
        ORIGINAL: False,
        "Night": False,
        "Snowy": True,
    }
    assert "Snowy" not in json.loads(ws.style_record("good").read_text())["styles"]


def test_without_a_guardrail_nothing_changes(ws):
    styled = write_style_page(ws, StyleParams(styles=["Snowy"]))
    assert set(json.loads((ws.captions / "bad.json").read_text())) == {ORIGINAL, "Snowy"}
    assert "guardrail" not in json.loads(ws.style_record("bad").read_text())
    assert "not written" not in str(styled)


def test_a_check_that_cannot_run_blocks_every_caption(ws):
    styled = write_style_page(ws, StyleParams(styles=["Night"], guardrail=["llama_guard"], checkpoints="nowhere"))
    assert styled.clips == ()
    assert len(styled.report.blocked) == 4
    assert "could not decide" in str(styled)
    assert "No caption was written" in styled.show().data
    assert not list(ws.captions.glob("*.json"))


def test_video_checks_are_refused_here():
    for asked in ("full", ["content"]):
        with pytest.raises(ValueError, match="unknown check"):
            StyleParams(guardrail=asked)
