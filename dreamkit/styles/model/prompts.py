"""The messages to a rewriting model, the JSON schema of its answers, and their parsing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dreamkit.captions.answers import text_of_object
from dreamkit.styles.table import Style

Message = dict[str, str]

# The system text comes first and the style last, so that a prefix cache serves the system text for all captions and
# each caption for all of its styles.
SYSTEM = """\
You rewrite descriptions of driving videos. Each description goes to a video generator, so every word will be seen.
Change only what belongs to the time of day, the weather, the light, the sky, the road surface and the shadows. Keep
everything else: every road user with its kind, its number and its colour, every building and object, left and right
and every other position, and every action. Add no road users and no events, and leave none out. Take away whatever
does not fit the new condition, such as sun glare in fog or dry asphalt in rain. Weave the new condition into the
objects of the description, as in "a cap of snow lies on the parked cars", and do not only add sentences about it at
the end. Write plain English in one paragraph of at most 300 words, without headings, lists or remarks.
Answer with a JSON object that has the one key "caption"."""

RECOLOUR = "Give every vehicle whose colour is named another colour, the same one at each mention."

TRANSLATE = """\
You translate descriptions of driving videos into plain English. Keep every detail and add none. One paragraph.
Answer with a JSON object that has the one key "caption"."""

# About 512 T5 tokens of English.
LETTERS = 2400


def schema(letters: int = LETTERS) -> dict[str, Any]:
    """The JSON schema of an answer: an object with one caption of at most `letters` characters."""
    caption = {"type": "string", "minLength": 1, "maxLength": letters}
    return {
        "type": "object",
        "properties": {"caption": caption},
        "required": ["caption"],
        "additionalProperties": False,
    }


def conversation(caption: str, style: Style, recolour: bool = False) -> list[Message]:
    """The messages that request a caption in a style."""
    task = f"Rewrite it for {style.request}."
    extra = f" {RECOLOUR}" if recolour else ""
    return [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": f"Description:\n{caption}\n\n{task}{extra}"},
    ]


def translation(caption: str) -> list[Message]:
    """The messages that request the English translation of a caption."""
    return [{"role": "system", "content": TRANSLATE}, {"role": "user", "content": f"Description:\n{caption}"}]


def correction(asked: Sequence[Message], answer: str, reasons: Sequence[str]) -> list[Message]:
    """The messages that request a correction: the first ones, the refused answer, and the reasons."""
    return [
        *asked,
        {"role": "assistant", "content": answer},
        {"role": "user", "content": f"That answer was refused. {' '.join(reasons)} Write it again without that fault."},
    ]


def read_answer(answer: str) -> str:
    """The caption of an answer, on one line.

    Raises:
        NoAnswerText: the answer has no caption; a ValueError, whose message is the cause.
    """
    return text_of_object(answer, "caption")
