"""A training step captured as a CUDA graph and replayed: for a small network, kernel launches take most of a step."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch

# Steps of each shape that run eagerly before the capture: they allocate optimizer state and compile blocks.
_WARMUP_STEPS = 2


class CapturedStep:
    """A training step, captured as one CUDA graph for each shape of its examples.

    The first steps of each shape run eagerly, and so does every step on another device than CUDA. Calls, and all GPU
    work between them, must run inside `with captured.side_stream():`.

    Args:
        step: function from examples (dataclasses, tuples and tensors) to a loss. It may change tensors in place, but
            must neither synchronise with the GPU nor draw random numbers.
        device: device of the examples.
    """

    def __init__(self, step: Callable[[Any], torch.Tensor], device: torch.device) -> None:
        self.step = step
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._seen: dict[tuple, int] = {}
        self._captured: dict[tuple, tuple[torch.cuda.CUDAGraph, list[torch.Tensor], torch.Tensor]] = {}

    @contextlib.contextmanager
    def side_stream(self) -> Iterator[None]:
        """Run the block on a side stream, as CUDA graphs require."""
        if self._stream is None:
            yield
            return
        torch.cuda.synchronize(self._stream.device)
        with torch.cuda.stream(self._stream):
            yield
        torch.cuda.synchronize(self._stream.device)

    def __call__(self, examples: Any) -> torch.Tensor:
        """Run the step on the examples; returns the detached loss."""
        given = tensors_of(examples)
        shape = tuple((tensor.shape, tensor.dtype) for tensor in given)
        seen = self._seen[shape] = self._seen.get(shape, 0) + 1
        if self._stream is None or seen <= _WARMUP_STEPS:
            return self.step(examples).detach()
        if shape not in self._captured:
            self._captured[shape] = self._capture(examples)
        graph, inputs, loss = self._captured[shape]
        # Not declared in torch's stubs.
        torch._foreach_copy_(inputs, given)  # pyright: ignore[reportPrivateImportUsage]
        graph.replay()
        return loss.clone()

    def _capture(self, examples: Any) -> tuple[torch.cuda.CUDAGraph, list[torch.Tensor], torch.Tensor]:
        own = clone_tensors(examples)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self._stream):
            loss = self.step(own).detach()
        return graph, tensors_of(own), loss


def tensors_of(examples: Any) -> list[torch.Tensor]:
    """All tensors in nested dataclasses and tuples, in order; other values are left out."""
    if isinstance(examples, torch.Tensor):
        return [examples]
    if is_dataclass(examples):
        examples = tuple(getattr(examples, field.name) for field in fields(examples))
    return [tensor for part in examples for tensor in tensors_of(part)] if isinstance(examples, tuple) else []


def clone_tensors(examples: Any) -> Any:
    """The same nested dataclasses and tuples with cloned tensors."""
    if isinstance(examples, torch.Tensor):
        return examples.clone()
    if isinstance(examples, tuple):
        return tuple(clone_tensors(part) for part in examples)
    if is_dataclass(examples) and not isinstance(examples, type):
        copies = {field.name: clone_tensors(getattr(examples, field.name)) for field in fields(examples)}
        return replace(examples, **copies)
    return examples
