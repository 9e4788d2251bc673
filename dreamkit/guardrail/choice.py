"""The values of the parameter `guardrail`, and the checks that each stands for."""

from __future__ import annotations

from collections.abc import Sequence

from dreamkit.workspace.files import nearest

BLOCKLIST, LLAMA_GUARD, CONTENT, FACES = "blocklist", "llama_guard", "content", "faces"
PROMPT_CHECKS = (BLOCKLIST, LLAMA_GUARD)
VIDEO_CHECKS = (CONTENT, FACES)
CHECKS = (*PROMPT_CHECKS, *VIDEO_CHECKS)
"""Every check, in the order in which upstream runs them."""
NONE = "none"
SETS = {NONE: (), "prompts": PROMPT_CHECKS, "full": CHECKS}
"""Values of the parameter that stand for several checks."""


def chosen_checks(asked: str | Sequence[str], known: Sequence[str] = CHECKS) -> tuple[str, ...]:
    """The checks that a value of the parameter `guardrail` stands for, in the order in which they run.

    Args:
        asked: a key of SETS, the name of one check, or a list of names.
        known: the checks that are allowed.

    Raises:
        ValueError: an unknown name, or an empty list; the text is the rest of a sentence that begins with the value.
    """
    if isinstance(asked, str) and asked in SETS and set(SETS[asked]) <= set(known):
        return SETS[asked]
    names = [asked] if isinstance(asked, str) else list(asked)
    if not names:
        raise ValueError("lists no check; write none where nothing shall be checked")
    for name in names:
        if name not in known:
            choices = [*(key for key, checks in SETS.items() if set(checks) <= set(known)), *known]
            close = nearest(str(name), choices)
            raise ValueError(
                f"has the unknown check {name!r}; " + (f"did you mean {close!r}?" if close else ", ".join(choices))
            )
    return tuple(check for check in CHECKS if check in names)
