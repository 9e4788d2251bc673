"""Checks of camera intrinsics, and the array library of their arguments; used by both camera models."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from dreamkit.errors import DreamkitError

_LARGEST_SIDE = 32768
ORDER_HINT = (
    "An f-theta vector is cx, cy, width, height, six coefficients, is_backward and optionally c, d, e; "
    "a pinhole vector is fx, fy, cx, cy, width, height."
)


def array_library(array: Any) -> Any:
    """The module `torch` for a tensor, else `numpy`; torch is not imported from here."""
    return sys.modules["torch"] if type(array).__module__.partition(".")[0] == "torch" else np


def finite_vector(vector: Any, lengths: tuple[int, ...], kind: str) -> np.ndarray:
    """The intrinsics as float64 [N].

    Args:
        vector: N numbers, as [N], [1, N] or [N, 1].
        lengths: the lengths N that are allowed.
        kind: name of the camera model, for the message.

    Raises:
        DreamkitError: the values are not numbers, not finite, or not as many as allowed.
    """
    try:
        values = np.asarray(vector, np.float64)
    except (TypeError, ValueError):
        raise DreamkitError(f"The {kind} intrinsics are not numbers.", ORDER_HINT) from None
    if max(values.shape, default=1) != values.size:
        raise DreamkitError(f"The {kind} intrinsics have the shape {list(values.shape)}, no vector.", ORDER_HINT)
    values = values.reshape(-1)
    if len(values) not in lengths:
        allowed = " or ".join(map(str, lengths))
        distorted = kind == "pinhole" and len(values) > 6
        raise DreamkitError(
            f"The {kind} intrinsics have {len(values)} numbers instead of {allowed}."
            + (" The format has no pinhole camera with distortion." if distorted else ""),
            "Undistort the pictures and write the intrinsics of the straight ones, or draw the camera with its view's "
            "own lens (as_model in a rig file)."
            if distorted
            else ORDER_HINT,
        )
    if not np.isfinite(values).all():
        raise DreamkitError(
            f"The {kind} intrinsics {values.tolist()} hold a value that is not a finite number.", ORDER_HINT
        )
    return values


def check_picture_size(width: int, height: int) -> None:
    """Raise DreamkitError when a camera's picture is smaller than 2 pixels or larger than 32768 along a side."""
    if not (1 < width <= _LARGEST_SIDE and 1 < height <= _LARGEST_SIDE):
        raise DreamkitError(
            f"A camera cannot have a picture of {width}x{height} pixels: both sides must lie between 2 and "
            f"{_LARGEST_SIDE}.",
            ORDER_HINT,
        )
