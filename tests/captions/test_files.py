import json

import pytest

from dreamkit.captions import files as caption_files
from dreamkit.errors import DreamkitError


def test_text_alone_is_the_original_style(tmp_path):
    (tmp_path / "a.txt").write_text("A road.\n")
    assert caption_files.read_captions(tmp_path, "a") == {"Original": "A road."}


def test_json_gives_the_styles_in_its_order(tmp_path):
    (tmp_path / "a.txt").write_text("A road.")
    caption_files.write_style_captions(tmp_path, "a", {"Original": "A road.", "Night": "A dark “road”."})
    found = caption_files.read_captions(tmp_path, "a")
    assert list(found) == ["Original", "Night"]
    assert caption_files.choose_styles(found, ["Night"], "a") == {"Night": "A dark “road”."}
    assert caption_files.choose_styles(found, [], "a") == found


def test_a_missing_caption_names_the_nearest(tmp_path):
    (tmp_path / "clip_1.txt").write_text("A road.")
    with pytest.raises(DreamkitError, match="nearest caption is clip_1"):
        caption_files.read_captions(tmp_path, "clip_2")


def test_an_unknown_style_names_the_nearest():
    with pytest.raises(DreamkitError, match="Did you mean 'Golden hour'"):
        caption_files.choose_styles({"Golden hour": "x"}, ["golden Hour"], "a")
    with pytest.raises(DreamkitError, match="add a caption for Snowy"):
        caption_files.choose_styles({"Original": "x"}, ["Snowy"], "a")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\x89PNG\r\n\x1a\n\x00", "not UTF-8"),
        (b"abc\x00", "zero bytes"),
        (b"abc\x07", "control characters"),
        (b"12 34", "holds no words"),
    ],
)
def test_a_caption_that_is_none_is_refused(tmp_path, content, message):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(DreamkitError, match=message):
        caption_files.read_captions(tmp_path, "a")


def test_bad_caption_json_is_refused(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"Original": "x"')
    with pytest.raises(DreamkitError, match="line 1, column 17"):
        caption_files.read_captions(tmp_path, "a")
    path.write_text('{"Original": 3}')
    with pytest.raises(DreamkitError, match="style 'Original' is a int, not a text"):
        caption_files.read_captions(tmp_path, "a")
    path.write_text("{}")
    with pytest.raises(DreamkitError, match="names no style"):
        caption_files.read_captions(tmp_path, "a")


def test_a_bad_caption_is_not_written(tmp_path):
    caption_files.write_original(tmp_path, "a", "A road.")
    with pytest.raises(DreamkitError):
        caption_files.write_original(tmp_path, "a", " ")
    assert caption_files.read_captions(tmp_path, "a") == {"Original": "A road."}


def test_upstreams_own_captions_are_read(real_data):
    folder = real_data / "outputs" / "captions"
    clip = next(folder.glob("*.json")).stem
    assert tuple(caption_files.read_captions(folder, clip)) == caption_files.STYLES
    assert caption_files.read_captions(folder, clip) == json.loads((folder / f"{clip}.json").read_text())
