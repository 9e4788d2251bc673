"""Names that become part of file names."""

from __future__ import annotations

from dreamkit.errors import DreamkitError


def check_name(name: str, what: str) -> str:
    """The name as given, if it can be part of a file name; `what` says what it names ("clip").

    Raises:
        DreamkitError: it is empty or over 200 bytes, begins with a dot, or has a slash or control character.
    """
    bad = (
        not name.strip()
        or name.startswith(".")
        or len(name.encode()) > 200
        or any(letter in '/\\:*?"<>|' or ord(letter) < 32 for letter in name)
    )
    if bad:
        raise DreamkitError(
            f"{name!r} cannot be the name of a {what}, because file names contain it.",
            'Use letters, digits, spaces, - and _; at most 200 bytes, no dot in front and none of / \\ : * ? " < > |.',
        )
    return name
