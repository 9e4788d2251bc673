"""What a language model is told, and how its answer is read; the same for the in-process and the server path."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from dreamkit.styles.table import Style

Message = dict[str, str]

# Everything that all requests share comes first and the style last, so that a server's prefix cache holds the system
# text for all captions and each caption for all of its styles.
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
    """The JSON schema of an answer: one caption of at most so many letters."""
    caption = {"type": "string", "minLength": 1, "maxLength": letters}
    return {
        "type": "object",
        "properties": {"caption": caption},
        "required": ["caption"],
        "additionalProperties": False,
    }


def conversation(caption: str, style: Style, recolour: bool = False) -> list[Message]:
    """The messages that ask for one caption in one style."""
    task = f"Rewrite it for {style.instruction or style.name}."
    extra = f" {RECOLOUR}" if recolour else ""
    return [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": f"Description:\n{caption}\n\n{task}{extra}"},
    ]


def translation(caption: str) -> list[Message]:
    """The messages that ask for a caption in English."""
    return [{"role": "system", "content": TRANSLATE}, {"role": "user", "content": f"Description:\n{caption}"}]


def correction(asked: Sequence[Message], answer: str, reasons: Sequence[str]) -> list[Message]:
    """The messages that ask again, with what was wrong."""
    told = " ".join(reasons)
    return [
        *asked,
        {"role": "assistant", "content": answer},
        {"role": "user", "content": f"That answer was refused. {told} Write it again without that fault."},
    ]


def read_answer(answer: str) -> str:
    """The caption in an answer, on one line.

    Raises:
        ValueError: the answer is not the JSON object asked for.
    """
    # Grammars let control characters into JSON texts; they end as spaces here.
    value = json.loads(answer, strict=False)
    if not isinstance(value, dict) or not isinstance(value.get("caption"), str) or not value["caption"].strip():
        raise ValueError('no object with a text under "caption"')
    return " ".join(value["caption"].split())
