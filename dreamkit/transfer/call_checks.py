"""Checks of what a pipeline is called with: condition videos, their controls, weights, steps."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import numpy as np

from dreamkit.errors import DreamkitError


def check_weights_and_steps(controls: Collection[str], weights: Collection[str], steps: int) -> None:
    """Check the number of solver steps, and that each weight belongs to a control of the call.

    Raises:
        DreamkitError: no step, or a weight without its control.
    """
    if steps < 1:
        raise DreamkitError(f"The number of steps is {steps}, not 1 or more.", "Use 35, as the models' authors do.")
    if stray := sorted(set(weights) - set(controls)):
        raise DreamkitError(
            f"There are weights for controls that are not given: {', '.join(stray)}.", "Give their videos too."
        )


def check_loaded(controls: Iterable[str], loaded: Collection[str]) -> None:
    """Check that a call has at least one control, and only loaded ones.

    Raises:
        DreamkitError: none is given, or one that was not loaded.
    """
    given = sorted(controls)
    if not given or set(given) - set(loaded):
        raise DreamkitError(
            f"The controls given are {', '.join(given) or 'none'}; loaded are {', '.join(loaded)}.",
            "Load the pipeline with the controls that the call gives.",
        )


def check_videos(controls: Mapping[str, np.ndarray], axes: str) -> None:
    """Check the frames of each control, and that all have the same number; `axes` is THWC or VTHWC.

    Raises:
        DreamkitError: another type or shape, or different numbers of frames.
    """
    for name, frames in controls.items():
        check_frames(f"The control {name}", frames, axes)
    lengths = {name: frames.shape[axes.index("T")] for name, frames in controls.items()}
    if len(set(lengths.values())) > 1:
        raise DreamkitError(f"The controls differ in their frames: {lengths}.", "Cut them to the same length.")


def check_frames(what: str, frames: np.ndarray, axes: str) -> None:
    """Check that an array is uint8 frames of these axes and not empty; the message begins with `what`.

    Raises:
        DreamkitError: another type or shape.
    """
    if frames.dtype != np.uint8 or frames.ndim != len(axes) or frames.shape[-1] != 3 or frames.size == 0:
        raise DreamkitError(
            f"{what} is {frames.dtype} {list(frames.shape)}, expected uint8 [{', '.join(axes)}].",
            "Give uint8 RGB frames.",
        )
