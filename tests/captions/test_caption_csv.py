"""Captions from CSV files of several writers."""

import pytest

from dreamkit.captions.caption_csv import read_caption_csv
from dreamkit.errors import DreamkitError

TEXT = "A street; quiet, with parked cars."


@pytest.mark.parametrize(
    "text",
    [
        f'clip,caption\n0001,"{TEXT}"\n',
        f'\ufeffCLIP;Caption;Author\n0001;"{TEXT}";me\n',
        f"clip_id\tprompt\n0001\t{TEXT}\n",
        f'sample_name,split,text\n0001,train,"{TEXT}"\n\n',
    ],
)
def test_separators_and_names_of_columns(tmp_path, text):
    path = tmp_path / "c.csv"
    path.write_text(text)
    assert read_caption_csv(path) == {"0001": TEXT}


def test_a_row_of_clips_above_a_row_of_captions(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text(f'1_280_000,2_300_000\n"{TEXT}","A road, empty."\n')
    assert read_caption_csv(path) == {"1_280_000": TEXT, "2_300_000": "A road, empty."}
    path.write_text(f'1_280_000,1_280_000\n"{TEXT}","A road, empty."\n')
    with pytest.raises(DreamkitError, match="column 2: the caption is the second for 1_280_000"):
        read_caption_csv(path)


def test_messages_stay_short_and_long_fields_are_read(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text(",".join(f"{n}_a_long_name_of_a_clip_000_020" for n in range(1000)) + "\n1,2,3\n")
    with pytest.raises(DreamkitError, match="and 990 more") as caught:
        read_caption_csv(path)
    assert len(str(caught.value)) < 1000
    path.write_text(f'clip,caption\na,"{"A street. " * 1_900}"\n')
    assert len(read_caption_csv(path)["a"]) == 19_000
    for text in ("A street. " * 20_000, "A street.\n" * 200_000):
        path.write_text(f'clip,caption\na,"{text}')
        with pytest.raises(DreamkitError) as caught:
            read_caption_csv(path)
        assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("text", ['clip,caption\na,"A car.\nb,A bus.\n', 'clip,caption\na,"A "red" car."\nb,A bus.\n'])
def test_quotes_that_are_not_closed_take_no_further_rows(tmp_path, text):
    path = tmp_path / "captions.csv"
    path.write_text(text)
    with pytest.raises(DreamkitError) as raised:
        read_caption_csv(path)
    assert "quote" in raised.value.hint


def test_a_header_above_a_single_row_is_no_row_of_clips(tmp_path):
    path = tmp_path / "captions.csv"
    path.write_text("片段,描述\n0001,A car on a road.\n", encoding="utf-8")
    assert read_caption_csv(path) == {"0001": "A car on a road."}
    for header in ("video,words", "clip，caption"):
        path.write_text(f"{header}\na.mp4{header[-8]}A car on a road.\n", encoding="utf-8")
        with pytest.raises(DreamkitError, match="has the columns"):
            read_caption_csv(path)
