"""Styles of a user's own, by the README's example; the camera's sentence; the lists of real captions."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path

import pytest

from dreamkit.errors import DreamkitError
from dreamkit.styles import RuleRewriter, check_rewrite, load_styles, weather_clause
from dreamkit.styles.table import StyleTable

ROOT = Path(__file__).parents[2]
CAMERA = "The video is captured from a camera mounted on a car. The camera is facing forward."
CAPTION = "The video depicts a rainy street at night. Two red cars wait at the light, and the road is wet."


def table_of(text: str, tmp_path: Path) -> StyleTable:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return load_styles(path)


@pytest.mark.parametrize("readme", ["README.md", "README.zh.md"])
def test_the_readmes_example_leaves_time_and_weather_as_they_are(readme: str, tmp_path: Path) -> None:
    examples = re.findall(r"```yaml\n(styles:.*?)```", (ROOT / readme).read_text(encoding="utf-8"), re.S)
    assert len(examples) == 1 and len(examples[0].splitlines()) <= 10
    table = table_of(examples[0], tmp_path)
    style = table.style("Autumn")
    texts = {RuleRewriter(table).rewrite(CAPTION, style, seed) for seed in range(6)}
    assert len(texts) > 2
    for text in texts:
        assert all(sentence in text for sentence in CAPTION.split(". ")[1:]) and "rainy street at night" in text
        verdict = check_rewrite(CAPTION, text, style, table=table, strict=True)
        assert verdict.passed, verdict.reasons
    assert "leaves" in weather_clause(CAPTION, style, table)


def test_dust_with_a_time_of_its_own(tmp_path: Path) -> None:
    table = table_of(
        "styles:\n  Dust:\n    time: day\n    description: a dust storm\n    words: [dust]\n"
        '    sentences: ["brown dust (hangs|drifts) in the air"]\n',
        tmp_path,
    )
    text = RuleRewriter(table).rewrite("A street at night. A bus turns left.", table.style("Dust"))
    assert "night" not in text and "A bus turns left." in text and "rown dust" in text


@pytest.mark.parametrize(
    ("style", "fault"),
    [
        ("words: [x], sentences: ['x is here']", "has no description"),
        ("description: y, sentences: ['x is here']", "has no words"),
        ("description: y, words: [x]", "changes nothing"),
        ("description: y, words: [x], sentences: ['it is here']", "No sentence"),
    ],
)
def test_an_incomplete_style_is_refused(style: str, fault: str, tmp_path: Path) -> None:
    with pytest.raises(DreamkitError, match=fault):
        table_of(f"styles:\n  Mine: {{{style}}}\n", tmp_path)


def test_the_cameras_sentence_stays_once_in_front() -> None:
    table = load_styles()
    for style in table.choose():
        text = RuleRewriter(table).rewrite(f"{CAMERA} {CAPTION}", style)
        assert text.startswith(f"{CAMERA} The") and text.count("camera mounted") == 1
        assert not check_rewrite(f"{CAMERA} {CAPTION}", text.removeprefix(CAMERA), style).checks["camera"]


def test_developed_and_held_out_captions_are_different_ones() -> None:
    lists = json.loads((ROOT / "tests/data/real_captions.json").read_text())
    names = ("developed_on", *(f"held_out{nth}" for nth in ("", "_second", "_third", "_fourth", "_fifth")))
    assert [len(set(lists[name])) for name in names] == [200, 100, 100, 100, 50, 100]
    clips = [{re.sub(r"^\w+:|_pinhole_.*", "", one) for one in lists[name]} for name in names]
    assert not any(one & other for one, other in combinations(clips, 2))
