"""The exchange of several GPUs inside self-attention: from a part of the tokens to a part of the heads, and back.

Every GPU holds all heads of its own tokens. Before attention the GPUs exchange queries, keys and values, so that each
has all tokens of its own heads; after it they exchange the outputs back. Source: DeepSpeed-Ulysses, Jacobs et al. 2023
(arXiv 2309.14509), section 3.

Shape letters: B batch, l tokens of one GPU, L tokens of all, H heads, h heads of one GPU, D channels of a head,
P GPUs. A line is a row of the grid of tokens, or all tokens of a frame; each GPU has `own` neighbours of every line.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist

from dreamkit.transfer.attention import Attention, choose_attention
from dreamkit.transfer.fused_ops import head_norm_rope

if TYPE_CHECKING:
    from dreamkit.transfer.dit import SelfAttention
    from dreamkit.transfer.fused_ops import FusedOps


def by_receiver(x_BlHD: torch.Tensor, parts: int) -> torch.Tensor:
    """Heads of this GPU's tokens as they are sent, [P, B, l, h, D] in one piece."""
    return x_BlHD.unflatten(2, (parts, -1)).movedim(2, 0).contiguous()


def normed_by_receiver(
    x_BlHD: torch.Tensor, weight_D: torch.Tensor, cos_lD: torch.Tensor, sin_lD: torch.Tensor, parts: int
) -> torch.Tensor:
    """As `by_receiver`, after RMSNorm and rotary embedding."""
    return by_receiver(head_norm_rope(x_BlHD, weight_D, cos_lD, sin_lD), parts)


def in_grid_order(received_PBlhD: torch.Tensor, own: int) -> torch.Tensor:
    """All tokens of this GPU's heads, [B, h, L, D] in one piece, in the order of the grid."""
    return received_PBlhD.unflatten(2, (-1, own)).permute(1, 4, 2, 0, 3, 5).flatten(2, 4).contiguous()


def by_owner(out_BLhD: torch.Tensor, parts: int, own: int) -> torch.Tensor:
    """Outputs of this GPU's heads as they are sent to the GPUs of their tokens, [P, B, l, h, D] in one piece."""
    return out_BLhD.unflatten(1, (-1, parts, own)).movedim(2, 0).flatten(2, 3).contiguous()


def all_heads(received_PBlhD: torch.Tensor) -> torch.Tensor:
    """Outputs of all heads for this GPU's tokens, [B, l, H D]."""
    return received_PBlhD.permute(1, 2, 0, 3, 4).flatten(2).contiguous()


@dataclass(frozen=True)
class Packing:
    """The functions above, uncompiled or compiled: each is then one pass over memory."""

    by_receiver: Callable[..., torch.Tensor] = by_receiver
    normed_by_receiver: Callable[..., torch.Tensor] = normed_by_receiver
    in_grid_order: Callable[..., torch.Tensor] = in_grid_order
    by_owner: Callable[..., torch.Tensor] = by_owner
    all_heads: Callable[..., torch.Tensor] = all_heads


@functools.cache
def packing(compiled: bool) -> Packing:
    """The functions of an exchange; compiled ones where the other pointwise operations are."""
    if not compiled:
        return Packing()
    functions = (by_receiver, normed_by_receiver, in_grid_order, by_owner, all_heads)
    return Packing(*(torch.compile(function, dynamic=False) for function in functions))


@dataclass(frozen=True)
class Sent:
    """A transfer of heads from all GPUs of the group to this one, which may still run.

    Attributes:
        received_PBlhD: buffer that they arrive in, by the GPU that they come from.
        source_PBlhD: buffer that is sent, kept until it has been read.
        work: handle of the exchange.
    """

    received_PBlhD: torch.Tensor
    source_PBlhD: torch.Tensor
    work: Any

    def wait(self) -> torch.Tensor:
        """The buffer, after all has arrived."""
        self.work.wait()
        return self.received_PBlhD


@dataclass(frozen=True)
class SequenceExchange:
    """Self-attention over tokens that are divided among the GPUs of a group.

    The tokens of all GPUs are put into the grid's order, as on one GPU: attention then sums in the same order.

    Attributes:
        group: the process group.
        parts: number of its GPUs; divides the number of heads.
        own: tokens of one GPU in every line.
        built: backends for one GPU's heads, by the name of the whole one.
    """

    group: Any
    parts: int
    own: int
    built: dict[str, Attention] = field(default_factory=dict, compare=False)

    def self_attention(
        self,
        layer: SelfAttention,
        x_BLD: torch.Tensor,
        rope: tuple[torch.Tensor, torch.Tensor],
        attention: Attention,
        ops: FusedOps,
    ) -> torch.Tensor:
        """Output of `layer` for this GPU's tokens [B, l, D] and their rotary table, [B, l, D].

        Values are transferred while queries are projected, queries while keys are.
        """
        pack, heads, parts = packing(ops.name != "eager"), (layer.heads, -1), self.parts
        v = self._send(pack.by_receiver(layer.to_v(x_BLD).unflatten(-1, heads), parts))
        q = self._send(pack.normed_by_receiver(layer.to_q(x_BLD).unflatten(-1, heads), layer.q_norm, *rope, parts))
        k = self._send(pack.normed_by_receiver(layer.to_k(x_BLD).unflatten(-1, heads), layer.k_norm, *rope, parts))
        v_BLhD, q_BLhD, k_BLhD = (pack.in_grid_order(sent.wait(), self.own).transpose(1, 2) for sent in (v, q, k))
        del v, q, k
        out_BLhD = self._of_part(attention, q_BLhD)(q_BLhD, k_BLhD, v_BLhD)
        source_PBlhD = pack.by_owner(out_BLhD, parts, self.own)
        return layer.to_out(pack.all_heads(self._send(source_PBlhD).wait()))

    def _send(self, source_PBlhD: torch.Tensor) -> Sent:
        """Start to send part p of the buffer to GPU p of the group, and to receive as much from each."""
        received_PBlhD = torch.empty_like(source_PBlhD)
        work = dist.all_to_all_single(received_PBlhD, source_PBlhD, group=self.group, async_op=True)
        return Sent(received_PBlhD, source_PBlhD, work)

    def _of_part(self, attention: Attention, q_BLhD: torch.Tensor) -> Attention:
        """The backend for the heads of one GPU; Transformer Engine's is built for a number of heads."""
        if attention.name != "te":
            return attention
        if attention.name not in self.built:
            heads, head_dim = q_BLhD.shape[2:]
            self.built[attention.name] = choose_attention(heads, head_dim, q_BLhD.device, q_BLhD.dtype, "te")
        return self.built[attention.name]
