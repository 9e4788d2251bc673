"""JSON and YAML of unknown origin to values: bounded in time and memory, every fault a DreamkitError.

What a file may hold is bounded before it is used: its size, the depth, the values that YAML's aliases expand to, the
digits of a number, and what JSON cannot write again (NaN, half a surrogate pair).
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

from dreamkit.errors import DreamkitError, cut, first_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    import yaml

MOST_YAML_LETTERS = 2**17
MOST_YAML_VALUES = 20_000
"""Values of a YAML file, those that an alias repeats counted each time."""
MOST_DIGITS = 300
_YAML_LINES = "Write one `name: value` a line."


def parse_json(text: str, subject: str) -> Any:
    """The value of a JSON text.

    Args:
        text: the text.
        subject: what it is, as the beginning of a sentence ("The sidecar /a/b.json").

    Raises:
        DreamkitError: invalid JSON (line and column), a key twice, a number that is not finite or has over 300 digits,
            text that UTF-8 cannot encode, or nesting too deep.
    """

    def no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            seen: set[str] = set()
            double = next(key for key, _ in pairs if key in seen or seen.add(key))
            raise DreamkitError(f"{subject} has {cut(double, 80)!r} twice.", "Keep one of the two.")
        return found

    def whole(digits: str) -> int:
        if len(digits) > MOST_DIGITS:
            raise ValueError(f"a number of {len(digits)} digits")
        return int(digits)

    def real(digits: str) -> float:
        number = float(digits)
        if not math.isfinite(number):
            raise ValueError(f"{cut(digits, 40)} is not a finite number")
        return number

    try:
        value = json.loads(text, object_pairs_hook=no_doubles, parse_int=whole, parse_float=real, parse_constant=real)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise DreamkitError(
            f"{subject} is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}.",
            "Common causes: a comma after the last entry, a missing quote, a quote inside a text without a backslash.",
        ) from None
    except UnicodeEncodeError:
        raise _half_a_letter(subject) from None
    except (RecursionError, MemoryError, ValueError) as error:
        fault = f"cannot be read: {first_line(error)}" if isinstance(error, ValueError) else "is nested too deeply"
        raise DreamkitError(f"{subject} {fault}.", "Restore the file, or delete it.") from None
    return value


def parse_yaml(text: str, subject: str, as_text: bool = False) -> Any:
    """The value of a YAML text, of plain types only.

    Args:
        text: the text.
        subject: as for `parse_json`.
        as_text: leave every scalar a text, as it is written.

    Raises:
        DreamkitError: invalid YAML (line and column), a value that YAML cannot read, more than 128 KiB of text or
            20,000 values (aliases counted at each use), an alias inside itself, or nesting too deep.
    """
    import yaml  # here, because the world model imports this module where PyYAML may be absent

    if len(text) > MOST_YAML_LETTERS:
        raise DreamkitError(
            f"{subject} has {len(text):,} letters; YAML files of up to {MOST_YAML_LETTERS:,} are read.",
            "Split the file, or take out what is not needed.",
        )
    try:
        loader = (yaml.BaseLoader if as_text else yaml.SafeLoader)(text)
        node = loader.get_single_node()
        if node is None:
            return None
        if _expanded(node, {}, set()) > MOST_YAML_VALUES:
            raise DreamkitError(
                f"{subject} has more than {MOST_YAML_VALUES:,} values, counting those of an alias (*name) at each use.",
                "Write the values out without aliases.",
            )
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        hint = "Common causes: a bracket or quote that is not closed, a tab as indentation, a colon without a space."
        if re.search(r'"[^"\n]*\\[^"\n]*"', text):
            hint = "In double quotes a backslash begins an escape: write C:/data or 'C:\\data'."
        raise DreamkitError(f"{subject} is not valid YAML{_yaml_fault(error)}.", hint) from None
    except UnicodeEncodeError:
        raise _half_a_letter(subject) from None
    except (RecursionError, MemoryError):
        raise DreamkitError(f"{subject} is nested too deeply.", _YAML_LINES) from None
    except DreamkitError:
        raise
    except Exception as error:  # PyYAML's constructors raise many types: dates out of range, `!!int abc`, ...
        raise DreamkitError(
            f"{subject} has a value that YAML cannot read: {first_line(error)}.",
            "Put quotes around values that are text.",
        ) from None


def _half_a_letter(subject: str) -> DreamkitError:
    return DreamkitError(
        f"{subject} has half of a surrogate pair (\\ud800 to \\udfff), which is no letter.",
        "Restore the file, or take it out.",
    )


def _expanded(node: yaml.Node, sizes: dict[int, int], above: set[int]) -> int:
    """Number of values of a node when every alias is written out.

    Args:
        node: the node.
        sizes: node -> its number, of the nodes counted so far.
        above: the nodes that this one stands in.

    Raises:
        RecursionError: a node stands inside itself.
        UnicodeEncodeError: a scalar has half of a surrogate pair.
    """
    if id(node) in above:
        raise RecursionError("an alias inside itself")
    if id(node) not in sizes:
        total, children = 1, []
        if isinstance(node.value, str):
            node.value.encode()
        else:
            pairs: list[Any] = node.value
            children = [part for pair in pairs for part in (pair if isinstance(pair, tuple) else (pair,))]
        above.add(id(node))
        for child in children:
            total += _expanded(child, sizes, above)
        above.discard(id(node))
        sizes[id(node)] = total
    return sizes[id(node)]


def _yaml_fault(error: Any) -> str:
    """Place and kind of the fault of a `yaml.YAMLError`, to follow "is not valid YAML"; may be empty."""
    if mark := getattr(error, "problem_mark", None):
        return f" at line {mark.line + 1}, column {mark.column + 1}: {cut(str(error.problem), 300)}"
    if hasattr(error, "position"):  # a character that YAML does not allow
        return f" at character {error.position + 1}: {error.reason}"
    return ""


def text_table(value: Any, subject: str) -> Mapping[str, Any]:
    """A YAML value that is a table with texts as keys; an empty file is an empty table.

    Raises:
        DreamkitError: it is no table, or a key is no text.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise DreamkitError(f"{subject} must be lines of `name: value`, not a {type(value).__name__}.", _YAML_LINES)
    if odd := [key for key in value if not isinstance(key, str)]:
        raise DreamkitError(f"{subject} has the name {odd[0]!r}, which is not a text.", "Put quotes around that name.")
    return value
