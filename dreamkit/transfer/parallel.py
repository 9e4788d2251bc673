"""How several GPUs divide one window: by the columns of the latent, or also by the passes of guidance.

Every GPU keeps the whole sampler state, so the steps between evaluations are the same numbers everywhere. For an
evaluation it takes some columns of the latent (or all), runs its passes of guidance over them, and all exchange the
estimates. Norms, MLP, cross-attention and control branches work token by token; only self-attention needs the other
columns, see `exchange`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.distributed as dist

from dreamkit.errors import DreamkitError
from dreamkit.transfer.config import ModelConfig
from dreamkit.transfer.exchange import SequenceExchange
from dreamkit.transfer.presets import find_preset

if TYPE_CHECKING:
    from dreamkit.transfer.control import PreparedControl
    from dreamkit.transfer.denoising import GuidancePass
    from dreamkit.transfer.dit import Prepared
    from dreamkit.transfer.reports import Reporter

log = logging.getLogger("dreamkit")

MOST_GPUS = 32


def column_parts(gpus: int, guided: bool, columns: int, heads: int, linked: bool = True) -> int | None:
    """Parts into which so many GPUs divide the columns of a latent; None where they cannot.

    As many parts as GPUs, each for both passes of guidance, which then share what precedes the text. With guidance half
    as many, for each of two groups with a pass of its own: for two GPUs, which then exchange nothing inside the network
    and make the numbers of one GPU; where GPUs have no peer-to-peer link; and where all of them do not divide columns
    and heads.

    Args:
        gpus: how many.
        guided: whether guidance is on.
        columns: columns of tokens.
        heads: heads of attention.
        linked: whether the GPUs have peer-to-peer links.
    """
    groups = [gpus // 2] if guided and gpus % 2 == 0 else []
    wanted = [gpus, *groups] if linked and gpus > 2 else [*groups, gpus]
    return next((parts for parts in wanted if columns % parts == 0 and heads % parts == 0), None)


def divides(config: ModelConfig, gpus: int, guided: bool) -> bool:
    """Whether that many GPUs can divide a window of a model."""
    return column_parts(gpus, guided, config.token_grid[2], config.denoiser.heads) is not None


def check_num_gpus(gpus: int, config: ModelConfig, guided: bool, device: str, preset: str = "exact") -> None:
    """Check that this machine has so many GPUs and that they can divide a window.

    Args:
        gpus: how many are wanted.
        config: sizes of the model.
        guided: whether guidance is on.
        device: the wanted device, empty for the GPUs; with `cpu` the workers run on the CPU, which is for tests.
        preset: name of the preset.

    Raises:
        DreamkitError: too few GPUs, a number that does not divide, a device that is one GPU of several, or a preset
            that bounds GPU memory (its needs do not include what GPUs exchange) or computes in float8 (the exchange
            inside self-attention is in bfloat16).
    """
    if gpus == 1:
        return
    how = find_preset(preset)
    if how.memory_gib is not None or how.fp8:
        raise DreamkitError(
            f"num_gpus is {gpus}, but the preset {preset} runs on one GPU.", "Set num_gpus to 1, or preset to exact."
        )
    if ":" in device:
        raise DreamkitError(
            f"num_gpus is {gpus}, but the device is the single GPU {device}.",
            "Leave device empty; CUDA_VISIBLE_DEVICES chooses among the GPUs.",
        )
    there = torch.cuda.device_count()
    if device != "cpu" and there < gpus:
        raise DreamkitError(
            f"num_gpus is {gpus}, but PyTorch sees {there} GPU{'' if there == 1 else 's'} here.",
            f"Set num_gpus to {there}." if there > 1 else "Set num_gpus to 1.",
        )
    if not divides(config, gpus, guided):
        good = [str(n) for n in range(1, MOST_GPUS + 1) if divides(config, n, guided)]
        raise DreamkitError(
            f"num_gpus is {gpus}, which does not divide this model's {config.token_grid[2]} columns of tokens and "
            f"{config.denoiser.heads} heads.",
            f"Set num_gpus to one of {', '.join(good)}.",
        )


def unlinked_gpus(gpus: int) -> list[tuple[int, int]]:
    """Pairs among the first GPUs that cannot read each other's memory."""
    return [(a, b) for a in range(gpus) for b in range(a + 1, gpus) if not torch.cuda.can_device_access_peer(a, b)]


def warn_of_unlinked(pairs: Sequence[tuple[int, int]]) -> None:
    """Log one line that names the pairs of GPUs without a link, if there are any."""
    if pairs:
        names = ", ".join(f"{a} and {b}" for a, b in pairs)
        log.warning("GPUs %s have no peer-to-peer link; their exchange through host memory is slower.", names)


@dataclass(frozen=True)
class Ranks:
    """This process among those that make a video together, one for each GPU.

    Attributes:
        rank: number of this process, from 0.
        size: how many there are.
        groups: parts of the columns -> process group of this rank's part in its pass of guidance.
        linked: whether the GPUs have peer-to-peer links.
    """

    rank: int
    size: int
    groups: Mapping[int, Any]
    linked: bool = True

    def division(self, guided: bool, columns: int, heads: int) -> Division:
        """How a window is divided; arguments as for `column_parts`, which must not be None for them."""
        parts = column_parts(self.size, guided, columns, heads, self.linked)
        assert parts is not None  # `check_num_gpus` has refused it
        split = parts < self.size
        passes = (self.rank // parts,) if split else (0, 1) if guided else (0,)
        return Division(parts, self.rank % parts, passes, 2 if guided else 1, self.size, self.groups.get(parts))


def join_ranks(rank: int, size: int, linked: bool) -> Ranks:
    """This process among `size` ones; `torch.distributed` must be initialised, and all must call this together."""
    groups: dict[int, Any] = {size: dist.group.WORLD}
    half = size // 2
    if size % 2 == 0 and half > 1:
        for first in (0, half):
            group = dist.new_group(list(range(first, first + half)))
            if first <= rank < first + half:
                groups[half] = group
    return Ranks(rank, size, groups, linked)


@dataclass(frozen=True)
class Division:
    """One rank's share of every evaluation of a window.

    Attributes:
        parts: parts of the columns.
        part: number of this rank's part, from 0.
        passes: the passes of guidance that this rank runs; 0 is the conditional one.
        all_passes: how many there are.
        size: how many ranks there are.
        group: process group of the ranks that run the same passes; None for one part.
    """

    parts: int
    part: int
    passes: tuple[int, ...]
    all_passes: int
    size: int
    group: Any

    def columns(self, latent_BCTHW: torch.Tensor) -> torch.Tensor:
        """This rank's columns of a latent, [B, C, T, H, W / parts]; a latent of one column is returned whole."""
        width = latent_BCTHW.shape[-1]
        if self.parts == 1 or width == 1:
            return latent_BCTHW
        return latent_BCTHW.narrow(-1, self.part * (width // self.parts), width // self.parts).contiguous()

    def tokens(self, x_LD: torch.Tensor, columns: int) -> torch.Tensor:
        """This rank's tokens out of [..., L, D], whose grid has `columns` columns, [..., L / parts, D]."""
        if self.parts == 1:
            return x_LD
        width = columns // self.parts
        return x_LD.unflatten(-2, (-1, columns)).narrow(-2, self.part * width, width).flatten(-3, -2).contiguous()

    def local(self, passes: Sequence[GuidancePass], columns: int) -> list[GuidancePass]:
        """This rank's passes, with the inputs of its columns; `columns` is the whole grid's number."""
        return [
            replace(
                chosen,
                prepared=self._prepared(chosen.prepared, columns),
                controls=tuple((branch, self._control(control, columns)) for branch, control in chosen.controls),
            )
            for chosen in (passes[index] for index in self.passes)
        ]

    def _prepared(self, whole: Prepared, columns: int) -> Prepared:
        cos_LD, sin_LD = whole.rope
        return replace(
            whole,
            extra_BCTHW=self.columns(whole.extra_BCTHW),
            position_LD=self.tokens(whole.position_LD, columns),
            rope=(self.tokens(cos_LD, columns), self.tokens(sin_LD, columns)),
            exchange=SequenceExchange(self.group, self.parts, columns // self.parts) if self.parts > 1 else None,
        )

    def _control(self, whole: PreparedControl, columns: int) -> PreparedControl:
        weight = whole.weight
        return replace(
            whole,
            trunk=self._prepared(whole.trunk, columns),
            hint_BLC=self.tokens(whole.hint_BLC, columns),
            weight=self.tokens(weight, columns) if isinstance(weight, torch.Tensor) else weight,
        )

    def join(self, estimates: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """The whole estimates of all passes, [B, C, T, H, W] each, from those of every rank's columns and passes.

        The results are the same numbers on every rank.
        """
        own = torch.stack(list(estimates))
        received = [torch.empty_like(own) for _ in range(self.size)]
        dist.all_gather(received, own)
        by_group = torch.stack(received).unflatten(
            0, (-1, self.parts)
        )  # [groups, parts, passes of a rank, B, C, T, H, w]
        whole = torch.cat(by_group.unbind(1), dim=-1).flatten(0, 1)
        assert len(whole) == self.all_passes
        return list(whole)


def decode_views(
    ranks: Ranks | None,
    latents_VBCTHW: Sequence[torch.Tensor],
    decode: Callable[[torch.Tensor], np.ndarray],
    shape: tuple[int, ...],
    report: Reporter,
) -> Iterator[tuple[int, np.ndarray]]:
    """Number and frames, uint8 [T, H, W, 3], of each view; several ranks take turns, and every rank gets all.

    Args:
        ranks: None on one GPU.
        latents_VBCTHW: one latent for each view.
        decode: makes frames of a view's latent.
        shape: shape of the frames.
        report: called with the progress.
    """
    views = len(latents_VBCTHW)
    if ranks is None:
        for view, latent_BCTHW in enumerate(latents_VBCTHW):
            report("decode", view, views)
            yield view, decode(latent_BCTHW)
        return
    report("decode", 0, views)
    own = {view: decode(latents_VBCTHW[view]) for view in range(ranks.rank, views, ranks.size)}
    device = latents_VBCTHW[0].device
    for view in range(views):
        if view in own:
            dist.broadcast(torch.from_numpy(np.ascontiguousarray(own[view])).to(device), view % ranks.size)
            yield view, own.pop(view)
        else:
            buffer = torch.empty(shape, dtype=torch.uint8, device=device)
            dist.broadcast(buffer, view % ranks.size)
            yield view, buffer.cpu().numpy()
