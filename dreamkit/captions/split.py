"""Split a text into sentences."""

from __future__ import annotations

import re
from functools import lru_cache

_QUOTE = re.compile(r"\"[^\"]*\"|“[^”]*”")


def without_quotes(text: str) -> str:
    """The text with quotations replaced by underscores, same length."""
    return _QUOTE.sub(lambda match: "_" * len(match.group()), text)


@lru_cache(maxsize=8192)
def sentences(text: str) -> tuple[str, ...]:
    """The sentences of a text; a full stop inside quotation marks or after an abbreviation ends none."""
    hidden = without_quotes(text)
    # The full stop of a quotation at a sentence's end stands inside the quotation marks.
    for stop in re.finditer(r"[.!?][\"”]", text):
        if hidden[stop.start()] == "_" and hidden[stop.end() : stop.end() + 1] in (" ", ""):
            hidden = hidden[: stop.start()] + stop.group() + hidden[stop.end() :]
    parts, start = [], 0
    for match in re.finditer(r"[.!?]+[\"”']?\s+(?=[_\"“A-Z0-9])", hidden):
        before = hidden[start : match.start()].rsplit(" ", 1)[-1]
        if hidden[match.start()] == "." and re.fullmatch(
            r"(?:St|Ave|Blvd|Dr|Mr|Mrs|No|approx|vs|U\.S|e\.g|i\.e|[A-Z])", before
        ):
            continue
        parts.append(text[start : match.end()].strip())
        start = match.end()
    parts.append(text[start:].strip())
    return tuple(part for part in parts if part)
