"""Read the answer of a language model: its text or JSON object, or why there is none.

A thinking model puts its thoughts before the answer (`<think>` in the text) or beside it (`reasoning_content`, with the
content null); some servers wrap JSON in fences, cut an answer off at the token limit, or refuse. Every reader of
answers uses these functions: styles, caption drafts and the critic.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_THOUGHT = re.compile(r"(?is)<think(?:ing)?>.*?</think(?:ing)?>")
_FENCE = re.compile(r"(?s)```[\w-]*\s*\n?(.*?)```")
_REFUSAL = re.compile(
    r"(?i)^\W*(?:i'm sorry|i am sorry|sorry,|i can(?:no|')t|i cannot|i am unable|i'm unable|i won't|as an ai\b|"
    r"unfortunately, i\b|i apologi[sz]e)"
)
_NOTHING = re.compile(r"(?i)^\W*(?:none|null|n/a|undefined)?\W*$")


class NoAnswerText(ValueError):
    """An answer that holds nothing usable; its message is the cause, as a sentence."""


@dataclass(frozen=True)
class ModelAnswer:
    """The answer to one request.

    Attributes:
        text: the answer; "" when there is none.
        cause: why there is none, as a sentence.
    """

    text: str = ""
    cause: str = ""

    def __bool__(self) -> bool:
        return bool(self.text)


def answer_text(completion: Any) -> str:
    """The text of a chat completion's first choice, without thoughts and fences.

    Raises:
        NoAnswerText: it is no chat completion, or its answer is null, empty, cut off or a refusal.
    """
    try:
        choice = completion["choices"][0]
    except (KeyError, IndexError, TypeError):
        raise NoAnswerText("It is no chat completion.") from None
    return choice_text(choice)


def choice_text(choice: Any) -> str:
    """The text of one choice of a chat completion; raises as `answer_text`."""
    message = choice.get("message") if isinstance(choice, Mapping) else None
    if not isinstance(message, Mapping):
        raise NoAnswerText("It is no chat completion.")
    if refusal := message.get("refusal"):
        raise NoAnswerText(f"The model refused: {str(refusal)[:120]}.")
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(str(part.get("text", "")) for part in content if isinstance(part, Mapping))
    cut_off = choice.get("finish_reason") == "length"
    thoughts = message.get("reasoning_content") or message.get("reasoning")
    if content is None and isinstance(thoughts, str) and not cut_off and "{" in thoughts:
        # A server whose reasoning parser found no end of the thoughts puts the answer among them.
        content = thoughts
    if content is None:
        where = " while it was thinking" if thoughts else ""
        raise NoAnswerText(f"The answer was cut off at the token limit{where}." if cut_off else "The answer is null.")
    if not isinstance(content, str):
        raise NoAnswerText("The answer is no text.")
    return plain_answer(content, cut_off)


def plain_answer(text: str, cut_off: bool = False) -> str:
    """The text of an answer without thoughts and fences.

    Args:
        text: what the model wrote.
        cut_off: it ended at the token limit (`finish_reason` is "length").

    Raises:
        NoAnswerText: nothing is left, the answer was cut off, or the model refused.
    """
    text = _THOUGHT.sub("", text)
    text = re.split(r"(?i)</think(?:ing)?>", text)[-1]
    if re.search(r"(?i)<think(?:ing)?>", text):
        raise NoAnswerText("The answer was cut off while the model was thinking.")
    if cut_off:
        raise NoAnswerText("The answer was cut off at the token limit.")
    if fenced := _FENCE.search(text):
        text = fenced[1]
    text = text.strip()
    if _NOTHING.match(text):
        raise NoAnswerText("The answer is empty.")
    if _REFUSAL.match(text):
        raise NoAnswerText(f"The model refused: {text[:120]}.")
    return text


def json_objects(text: str) -> list[dict[str, Any]]:
    """Every JSON object in a text, in order; objects inside another one are not listed."""
    decoder, found, start = json.JSONDecoder(strict=False), [], 0
    while (start := text.find("{", start)) >= 0:
        try:
            value, end = decoder.raw_decode(text, start)
        except ValueError:
            start += 1
            continue
        found.append(value)
        start = end
    return found


def text_of_object(text: str, key: str) -> str:
    """The text under a key of the last JSON object that has it, on one line.

    Raises:
        NoAnswerText: no object has a text under the key.
    """
    texts = [value[key] for value in json_objects(text) if isinstance(value.get(key), str) and value[key].strip()]
    if not texts:
        raise NoAnswerText(f'The answer has no JSON object with a text under "{key}".')
    one = " ".join(texts[-1].split())
    if _NOTHING.match(one) or _REFUSAL.match(one):
        raise NoAnswerText(f"The model refused: {one[:120]}.")
    return one
