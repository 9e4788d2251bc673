"""The word lists: 200 phrases beside upstream's module, hidden letters, long prompts, lists that cannot be used.

tests/data/blocklist_phrases.jsonl has what upstream's own module (cosmos-transfer1 5005e82, better-profanity 0.7.0,
nltk 3.10.4) said about each phrase with the word lists of guardrail_files, and why this check differs where it does.
"""

import json
import shutil
import time
from collections import Counter
from pathlib import Path

import guardrail_files
import pytest

from dreamkit.errors import DreamkitError
from dreamkit.guardrail import model_files
from dreamkit.guardrail.plain_text import readable

PHRASES = Path(__file__).resolve().parents[1] / "data" / "blocklist_phrases.jsonl"


@pytest.fixture(scope="module")
def check(tmp_path_factory):
    pytest.importorskip("better_profanity")
    pytest.importorskip("nltk")
    from dreamkit.guardrail.blocklist import BlocklistCheck

    root = tmp_path_factory.mktemp("lists")
    guardrail_files.put_word_lists(root)
    return BlocklistCheck.load(root)


def test_200_phrases_as_upstream_or_blocked_for_a_reason(check):
    rows = [json.loads(line) for line in PHRASES.read_text().splitlines()]
    verdicts = check.read([row["text"] for row in rows])
    assert len(rows) == 200
    for row, verdict in zip(rows, verdicts, strict=True):
        said = "safe" if verdict.passes else "blocked"
        assert said == row.get("ours", row["upstream"]), (row, verdict)
        if row["upstream"] == "blocked":
            assert said == "blocked"
    assert Counter(row["why"] for row in rows if "why" in row) == {
        # Upstream compares the words of prompt and answer by their number, and several blocked words become one.
        "allowed word in a phrase": 7,
        # better-profanity does not see a last word of one letter.
        "single letter at the end": 5,
        # Upstream puts a space at the place of every letter that is not ASCII.
        "hidden letters": 10,
        # Upstream joins no single letters, and takes no sign between the words of a phrase for a space.
        "signs or gaps inside": 6,
        # Nothing is left of such a prompt for the word lists, which are English.
        "other script": 4,
        "empty": 2,
    }


@pytest.mark.parametrize(
    "text", ["gr\u200botzel", "g\u200dr\u200co\u2060t\ufeffzel", "gr\u00adotzel", "hexa\u180emortine", "gro\u034ftzel"]
)
def test_zero_width_letters_hide_nothing(check, text):
    assert check.read([f"A car and a {text} on the road."])[0].state == "unsafe"


@pytest.mark.parametrize(
    "gap", ["\n", "\t", "\r\n", "\x00", "\x85", "\u2028", "\u3000", "-", "_", "/", "\U0001f600", "  \n "]
)
def test_phrases_are_found_whatever_stands_between_their_words(check, gap):
    from dreamkit.guardrail.blocklist import BlocklistCheck, WordLists

    # The lemma of "knuckles" is another word, so that the lemmas alone do not hold the phrase.
    lists = WordLists(["brass knuckles"], [], ["brimstone cult"])
    plain = BlocklistCheck(lists, check.lemmas)
    for phrase in ("brass knuckles", "brimstone cult"):
        assert plain.read([f"A {phrase.replace(' ', gap)} on the road."])[0].state == "unsafe"


@pytest.mark.parametrize(
    "text",
    [
        "\U0001f600".join("grotzel"),
        "gr\U0001f600ot\U0001f600zel",
        "".join(chr(0x1F1E6 + ord(letter) - 97) for letter in "grotzel"),
        "".join(chr(0xE0000 + ord(letter)) for letter in "grotzel"),
        "g\nr\no\nt\nz\ne\nl",
        "g\xa0r\xa0o\xa0t\xa0z\xa0e\xa0l",
        "\u2800".join("grotzel"),
        "gr\uff4ftzel",
        "\ufe0f".join("grotzel"),
    ],
)
def test_a_word_cut_into_letters_is_read(check, text):
    assert check.read([f"A {text} on the road."])[0].state == "unsafe"
    for calm in (
        "A U.S. road at 5 p.m. in a b c order",
        "An e-bike, a T-junction and a 2-lane I-90 \U0001f697",
        "a\nb\tc",
    ):
        assert check.read([calm])[0].passes


def test_other_scripts_are_not_read_and_block(check):
    verdict = check.read(["一辆汽车在雨中行驶。"])[0]
    assert verdict.state == "failed"
    assert "translate it" in verdict.reason
    assert check.read(["Ein Bus auf der Straße, Øresund, naïve café – “quoted”"])[0].passes


@pytest.mark.parametrize("text", ["", "  \n", "\u200b\u200b"])
def test_an_empty_prompt_blocks(check, text):
    assert not check.read([text])[0].passes


def test_3000_words_are_read_to_the_end(check):
    long = "The road is wide and calm today. " * 430
    began = time.perf_counter()
    assert [verdict.passes for verdict in check.read([long, f"{long} hexamortine"])] == [True, False]
    assert time.perf_counter() - began < 20


def test_upstreams_partial_match_finds_no_other_word():
    # With 0.4 letters that may differ, one letter more or less is too much at any length.
    blocklist = pytest.importorskip("dreamkit.guardrail.blocklist")
    for length in range(6, 40):
        entry = "".join(chr(97 + index % 26) for index in range(length))
        others = [f"{entry}s", entry[:-1], f"{entry[:3]}z{entry[4:]}"]
        assert not blocklist._is_similar(others, entry)
        assert blocklist._is_similar([entry], entry)


def test_what_is_readable():
    assert readable("ﬂäche\u200b ２０ — Ł") == ("flache 20   L", "")
    assert readable("grоt 上海上") == ("gr t  ", "о上海")


@pytest.mark.parametrize("lack", ["custom", "exact_match", "whitelist", "nltk_data"])
def test_a_missing_folder_is_named(tmp_path, lack):
    pytest.importorskip("better_profanity")
    from dreamkit.guardrail.blocklist import BlocklistCheck

    shutil.rmtree(guardrail_files.put_word_lists(tmp_path) / lack)
    with pytest.raises(DreamkitError, match=f"lacks files in .*{lack}"):
        BlocklistCheck.load(tmp_path)


def test_lists_that_are_empty_or_no_text(tmp_path):
    pytest.importorskip("better_profanity")
    from dreamkit.guardrail.blocklist import BlocklistCheck

    folder = guardrail_files.put_word_lists(tmp_path, blocked=["", " "])
    with pytest.raises(DreamkitError, match="are empty"):
        BlocklistCheck.load(tmp_path)
    (folder / "custom" / "words.txt").write_bytes(b"\xff\xfe\xd8")
    with pytest.raises(DreamkitError, match=r"words\.txt cannot be read"):
        BlocklistCheck.load(tmp_path)


def test_the_wrong_folder_is_named(tmp_path):
    with pytest.raises(DreamkitError, match="lacks files in") as caught:
        model_files.check_files("blocklist", tmp_path / "elsewhere")
    assert "nvidia/Cosmos-Guardrail1/blocklist/custom" in str(caught.value)
