"""A fake device other than the CPU: its tensors compute on the CPU, but mixing them with CPU tensors fails.

As CUDA does, it takes from the CPU only single numbers, copies, and the index of `x[index]`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

ELSEWHERE = torch.device("meta")
_MAY_MIX = {"aten::_to_copy", "aten::copy_", "aten::index.Tensor", "aten::index_put_", "aten::index_put"}


class Far(torch.Tensor):
    """A CPU tensor under the name of another device."""

    near: torch.Tensor

    @staticmethod
    def __new__(cls, near: torch.Tensor) -> Far:
        far = torch.Tensor._make_wrapper_subclass(
            cls, near.shape, near.stride(), near.storage_offset(), dtype=near.dtype, device=ELSEWHERE
        )
        far.near = near
        return far

    def __repr__(self) -> str:
        return f"Far({self.near})"

    def tolist(self) -> Any:
        return self.near.tolist()

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(function, args, kwargs or {})


class _Factories(TorchDispatchMode):
    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(function, args, kwargs or {})


class _Literals(TorchFunctionMode):
    """`torch.tensor` and `torch.as_tensor` make their tensor below the dispatcher."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function not in (torch.tensor, torch.as_tensor) or isinstance(args[0], Far):
            return function(*args, **kwargs)
        device = kwargs.pop("device", None)
        made = function(*args, **kwargs)
        return Far(made) if device is not None and torch.device(device) == ELSEWHERE else made


def _run(function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    values = tree_flatten((args, kwargs))[0]
    far = [value for value in values if isinstance(value, Far)]
    near = [value for value in values if isinstance(value, torch.Tensor) and not isinstance(value, Far)]
    name = function._schema.name
    base = f"{name}.{function._overloadname}" if name == "aten::index" else name
    if far and base not in _MAY_MIX and (wrong := [value for value in near if value.ndim]):
        raise RuntimeError(f"{name}: a tensor of the CPU {[*wrong[0].shape]} among those of the device")
    if base.startswith("aten::index") and far:
        written = args[2:3] if "put" in base else ()
        if not isinstance(args[0], Far) or any(value.ndim and not isinstance(value, Far) for value in written):
            raise RuntimeError(f"{name}: only the index may be on the CPU")
    asked = torch.device(kwargs["device"]) if kwargs.get("device") is not None else None
    if asked is not None:
        kwargs = kwargs | {"device": torch.device("cpu")}
    args, kwargs = tree_map(lambda value: value.near if isinstance(value, Far) else value, (args, kwargs))
    result = function(*args, **kwargs)
    if name.endswith("_") and not name.endswith("__"):
        return values[0]
    to_far = bool(far) if asked is None else asked == ELSEWHERE
    return tree_map(lambda value: Far(value) if to_far and isinstance(value, torch.Tensor) else value, result)


@contextmanager
def other_device() -> Iterator[torch.device]:
    """The device; tensors made on it within the block are real and compute."""
    with _Literals(), _Factories():
        yield ELSEWHERE
