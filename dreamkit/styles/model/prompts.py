"""The messages to a rewriting model, the JSON schema of its answers, and their parsing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from dreamkit.styles.table import Style

Message = dict[str, str]

# The system text comes first and the style last, so that a prefix cache serves the system text for all captions and
# each caption for all of its styles.
SYSTEM = """\
You rewrite descriptions of driving videos. Each description goes to a video generator, so every word will be seen.
Change only what belongs to the time of day, the weather, the light, the sky, the road surface and the shadows.
Keep everything else: every road user with its kind and number, every building and object, every position, and every
manoeuvre. Add no road users and leave none out. Take away whatever does not fit the new condition, such as sun glare in
fog or dry asphalt in rain, and describe the new condition in two or three concrete sentences.
Write plain English in one paragraph of at most 300 words, without headings, lists or remarks.
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
    task = f"Rewrite it for {style.instruction or style.name}."
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
        ValueError: the answer does not follow the schema.
    """
    # Guided decoding allows control characters in JSON texts; they become spaces below.
    value = json.loads(answer, strict=False)
    if not isinstance(value, dict) or not isinstance(value.get("caption"), str) or not value["caption"].strip():
        raise ValueError('no object with a text under "caption"')
    return " ".join(value["caption"].split())
