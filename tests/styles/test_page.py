import json

import pytest

from dreamkit.captions import files as caption_files
from dreamkit.errors import DreamkitError
from dreamkit.styles.page import marked, write_style_page
from dreamkit.styles.params import StyleParams
from dreamkit.workspace.workspace import Workspace

TEXT = "The video shows a street with two parked cars. A white sedan drives ahead on a clear day under a blue sky."


@pytest.fixture
def ws(tmp_path):
    ws = Workspace(tmp_path)
    caption_files.write_original(ws.captions, "alpha", TEXT)
    return ws


def test_eight_side_by_side_and_kept_the_second_time(ws):
    styled = write_style_page(ws, StyleParams())
    assert "1 caption file written, 0 kept" in str(styled)
    assert list(json.loads((ws.captions / "alpha.json").read_text())) == list(caption_files.STYLES)
    shown = styled.show().data
    assert shown.count("<b>") == 8
    assert "<ins" in shown
    assert "<del" in shown
    assert "0 caption files written, 1 kept" in str(write_style_page(ws, StyleParams()))


def test_chosen_styles_only(ws):
    write_style_page(ws, StyleParams(styles=["Night"]))
    assert list(json.loads((ws.captions / "alpha.json").read_text())) == ["Original", "Night"]


def test_the_editor_checks_and_saves_one_style(ws):
    editor = write_style_page(ws, StyleParams(styles=["Night", "Snowy"])).editor()
    assert [label for label, _ in editor.texts.keys] == ["Original · alpha", "Night · alpha", "Snowy · alpha"]
    editor.next.click()
    assert "Nothing is wrong" in editor.faults.value
    assert "<ins" in editor.aside.value
    night = editor.text.value
    editor.text.value = night + " Three buses wait."
    assert "the caption has no bus" in editor.faults.value.lower()
    editor.text.value = night + " The road is dark."
    editor.button.click()
    assert editor.state.value == "saved Night in alpha.json"
    saved = caption_files.read_captions(ws.captions, "alpha")
    assert saved["Night"].endswith("The road is dark.")
    assert list(saved) == ["Original", "Night", "Snowy"]
    assert "is kept" not in str(write_style_page(ws, StyleParams(styles=["Night"])))
    assert caption_files.read_captions(ws.captions, "alpha")["Night"].endswith("The road is dark.")


def test_marks_are_words_and_escaped():
    changes = marked("a clear <day> here", "a dark night here")
    assert "clear &lt;day&gt;</del>" in changes
    assert "dark night</ins> here" in changes
    assert marked("same", "same") == "same"


def test_mistakes(ws, tmp_path):
    with pytest.raises(DreamkitError, match="Did you mean alpha"):
        write_style_page(ws, StyleParams(clips=["alpa"]))
    with pytest.raises(DreamkitError, match="Night"):
        write_style_page(ws, StyleParams(styles=["Nigth"]))
    with pytest.raises(DreamkitError, match="There is no caption"):
        write_style_page(Workspace(tmp_path / "none"), StyleParams())
    with pytest.raises(DreamkitError, match="does not answer"):
        write_style_page(ws, StyleParams(rewriter="server", url="http://127.0.0.1:9/v1"))
    caption_files.write_original(ws.captions, "alpha", "一条街道,前方有一辆白色轿车。")
    with pytest.raises(DreamkitError, match="Chinese"):
        write_style_page(ws, StyleParams())
    assert not (ws.captions / "alpha.json").exists()
