"""Log lines held back where the same is said elsewhere."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator


@contextlib.contextmanager
def without_warnings(name: str) -> Iterator[None]:
    """No log lines below errors of the logger `name` and those below it, inside the block."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
