"""How several GPUs divide one window: by the columns or rows of the latent, or also by the passes of guidance.

Every GPU keeps the whole sampler state, so the steps between evaluations are the same numbers everywhere. For an
evaluation it takes a part of the latent (or all), runs its passes of guidance over it, and all exchange the
estimates. Norms, MLP, cross-attention and control branches work token by token; only self-attention needs the other
parts, see `exchange`.
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


@dataclass(frozen=True)
class Split:
    """How a grid of tokens is divided.

    Attributes:
        parts: number of parts.
        by_rows: whether the parts are rows of the grid; else they are columns.
        line: tokens of a line, of which each part takes `line / parts` consecutive ones. A line is a row of the grid
            where its columns are divided, and a whole frame where its rows are.
    """

    parts: int
    by_rows: bool
    line: int


def split_grid(gpus: int, guided: bool, grid: tuple[int, int], heads: int, linked: bool = True) -> Split | None:
    """The parts into which GPUs divide a grid of tokens: by columns, else by rows; None where neither can be divided.

    There are two ways. With as many parts as GPUs, each GPU runs both passes of guidance on its part, and computes what
    precedes the text once for both. With half as many parts, each half of the GPUs runs one pass of guidance. The
    second way is preferred for two GPUs, which then exchange nothing inside the network and compute the same numbers as
    one GPU, and for GPUs without peer-to-peer links; it is also taken where the number of GPUs does not divide the
    columns (or rows) and heads.

    Args:
        gpus: how many.
        guided: whether guidance is on.
        grid: rows and columns of tokens.
        heads: heads of attention.
        linked: whether the GPUs have peer-to-peer links.
    """
    rows, columns = grid
    groups = [gpus // 2] if guided and gpus % 2 == 0 else []
    wanted = [gpus, *groups] if linked and gpus > 2 else [*groups, gpus]
    for by_rows, length, line in ((False, columns, columns), (True, rows, rows * columns)):
        for parts in wanted:
            if length % parts == 0 and heads % parts == 0:
                return Split(parts, by_rows, line)
    return None


def divides(config: ModelConfig, gpus: int, guided: bool) -> bool:
    """Whether that many GPUs can divide a window of a model."""
    return split_grid(gpus, guided, config.token_grid[1:], config.denoiser.heads) is not None


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
        groups: number of parts -> process group of this rank's part in its pass of guidance.
        linked: whether the GPUs have peer-to-peer links.
    """

    rank: int
    size: int
    groups: Mapping[int, Any]
    linked: bool = True

    def division(self, guided: bool, grid: tuple[int, int], heads: int) -> Division:
        """How a window is divided; arguments as for `split_grid`, which must not be None for them."""
        split = split_grid(self.size, guided, grid, heads, self.linked)
        assert split is not None  # `check_num_gpus` has refused it
        parts = split.parts
        passes = (self.rank // parts,) if parts < self.size else (0, 1) if guided else (0,)
        return Division(split, self.rank % parts, passes, 2 if guided else 1, self.size, self.groups.get(parts))


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
        split: how the grid of tokens is divided.
        part: number of this rank's part, from 0.
        passes: the passes of guidance that this rank runs; 0 is the conditional one.
        all_passes: how many there are.
        size: how many ranks there are.
        group: process group of the ranks that run the same passes; None for one part.
    """

    split: Split
    part: int
    passes: tuple[int, ...]
    all_passes: int
    size: int
    group: Any

    @property
    def parts(self) -> int:
        """Parts of the grid."""
        return self.split.parts

    @property
    def axis(self) -> int:
        """The divided axis of a latent [B, C, T, H, W]."""
        return -2 if self.split.by_rows else -1

    def latent(self, whole_BCTHW: torch.Tensor) -> torch.Tensor:
        """This rank's part of a latent, [B, C, T, H, W / parts] or [.., H / parts, W]; one of length 1 stays whole."""
        length = whole_BCTHW.shape[self.axis]
        if self.parts == 1 or length == 1:
            return whole_BCTHW
        return whole_BCTHW.narrow(self.axis, self.part * (length // self.parts), length // self.parts).contiguous()

    def tokens(self, x_LD: torch.Tensor) -> torch.Tensor:
        """This rank's tokens out of [..., L, D], [..., L / parts, D]."""
        if self.parts == 1:
            return x_LD
        line, own = self.split.line, self.split.line // self.parts
        return x_LD.unflatten(-2, (-1, line)).narrow(-2, self.part * own, own).flatten(-3, -2).contiguous()

    def local(self, passes: Sequence[GuidancePass]) -> list[GuidancePass]:
        """This rank's passes, with the inputs of its part."""
        return [
            replace(
                chosen,
                prepared=self._prepared(chosen.prepared),
                controls=tuple((branch, self._control(control)) for branch, control in chosen.controls),
            )
            for chosen in (passes[index] for index in self.passes)
        ]

    def _prepared(self, whole: Prepared) -> Prepared:
        cos_LD, sin_LD = whole.rope
        return replace(
            whole,
            extra_BCTHW=self.latent(whole.extra_BCTHW),
            position_LD=self.tokens(whole.position_LD),
            rope=(self.tokens(cos_LD), self.tokens(sin_LD)),
            exchange=SequenceExchange(self.group, self.parts, self.split.line // self.parts)
            if self.parts > 1
            else None,
        )

    def _control(self, whole: PreparedControl) -> PreparedControl:
        weight = whole.weight
        return replace(
            whole,
            trunk=self._prepared(whole.trunk),
            hint_BLC=self.tokens(whole.hint_BLC),
            weight=self.tokens(weight) if isinstance(weight, torch.Tensor) else weight,
        )

    def join(self, estimates: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """The whole estimates of all passes, [B, C, T, H, W] each, from those of every rank's part and passes.

        The results are the same numbers on every rank.
        """
        own = torch.stack(list(estimates))
        received = [torch.empty_like(own) for _ in range(self.size)]
        dist.all_gather(received, own)
        by_group = torch.stack(received).unflatten(
            0, (-1, self.parts)
        )  # [groups, parts, passes of a rank, B, C, T, h, w]
        whole = torch.cat(by_group.unbind(1), dim=self.axis).flatten(0, 1)
        assert len(whole) == self.all_passes
        return list(whole)


def decode_views(
    ranks: Ranks | None,
    latents_VBCTHW: Sequence[torch.Tensor],
    decode: Callable[[torch.Tensor], np.ndarray],
    shape: tuple[int, ...],
    report: Reporter,
) -> Iterator[tuple[int, np.ndarray]]:
    """Number and frames, uint8 [T, H, W, 3], of each view; each rank decodes some of them and yields all.

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
