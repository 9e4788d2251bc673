"""A training step recorded once as a CUDA graph and replayed: a small network's step is mostly waiting for launches."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch

_AS_IT_IS = 2  # times that a step runs before it is recorded: optimizers and compiled blocks come into being then


class Replay:
    """A step that takes examples and returns its loss; for each shape of examples there is one recording.

    The first steps of each shape run as they are, and so does every step that no CUDA device takes part in. Steps, and
    what is done between them, stand in a `with` block of `alone`.

    Args:
        step: from examples (dataclasses, tuples and tensors) to a loss; it may change any tensor in place, must not
            wait for the GPU, and must draw nothing at random.
        device: where the examples lie.
    """

    def __init__(self, step: Callable[[Any], torch.Tensor], device: torch.device) -> None:
        self.step = step
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._seen: dict[tuple, int] = {}
        self._recorded: dict[tuple, tuple[torch.cuda.CUDAGraph, list[torch.Tensor], torch.Tensor]] = {}

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Run what stands in the block in a stream of its own, as recordings ask for."""
        if self._stream is None:
            yield
            return
        torch.cuda.synchronize(self._stream.device)
        with torch.cuda.stream(self._stream):
            yield
        torch.cuda.synchronize(self._stream.device)

    def __call__(self, examples: Any) -> torch.Tensor:
        """Make the step; returns the loss, detached."""
        given = tensors_of(examples)
        shape = tuple((tensor.shape, tensor.dtype) for tensor in given)
        seen = self._seen[shape] = self._seen.get(shape, 0) + 1
        if self._stream is None or seen <= _AS_IT_IS:
            return self.step(examples).detach()
        if shape not in self._recorded:
            self._recorded[shape] = self._record(examples)
        graph, inputs, loss = self._recorded[shape]
        torch._foreach_copy_(inputs, given)
        graph.replay()
        return loss.clone()

    def _record(self, examples: Any) -> tuple[torch.cuda.CUDAGraph, list[torch.Tensor], torch.Tensor]:
        own = copied(examples)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self._stream):
            loss = self.step(own).detach()
        return graph, tensors_of(own), loss


def tensors_of(examples: Any) -> list[torch.Tensor]:
    """All tensors in dataclasses and tuples, in order; anything else is passed over."""
    if isinstance(examples, torch.Tensor):
        return [examples]
    if is_dataclass(examples):
        examples = tuple(getattr(examples, field.name) for field in fields(examples))
    return [tensor for part in examples for tensor in tensors_of(part)] if isinstance(examples, tuple) else []


def copied(examples: Any) -> Any:
    """The same with tensors of its own."""
    if isinstance(examples, torch.Tensor):
        return examples.clone()
    if isinstance(examples, tuple):
        return tuple(copied(part) for part in examples)
    if is_dataclass(examples):
        return replace(examples, **{field.name: copied(getattr(examples, field.name)) for field in fields(examples)})
    return examples
