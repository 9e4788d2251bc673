"""The exchange of several GPUs inside self-attention: from a part of the tokens to a part of the heads, and back.

Every GPU holds all heads of its own tokens. Before attention the GPUs exchange queries, keys and values, so that each
has all tokens of its own heads; after it they exchange the outputs back. Source: DeepSpeed-Ulysses, Jacobs et al. 2023
(arXiv 2309.14509), section 3.

Shape letters: B batch, l tokens of one GPU, L tokens of all, H heads, h heads of one GPU, D channels of a head,
P GPUs, R rows of tokens (views x frames x height), w columns of one GPU.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist

from dreamkit.transfer.attention import Attention, choose_attention

if TYPE_CHECKING:
    from dreamkit.transfer.dit import SelfAttention
    from dreamkit.transfer.fused_ops import FusedOps


@dataclass(frozen=True)
class Sent:
    """Heads of this GPU that are on their way from the others.

    Attributes:
        received_PBlhD: buffer that they arrive in, by the GPU that they come from.
        source_PBlhD: buffer that is sent, kept until it has been read.
        work: handle of the exchange.
        columns: columns of one GPU.
    """

    received_PBlhD: torch.Tensor
    source_PBlhD: torch.Tensor
    work: Any
    columns: int

    def wait(self) -> torch.Tensor:
        """All tokens of this GPU's heads, [B, L, h, D], with each head's tokens in one piece of memory.

        The tokens are put into the grid's order, as on one GPU: attention then sums in the same order.
        """
        self.work.wait()
        received_PBRwhD = self.received_PBlhD.unflatten(2, (-1, self.columns))
        return received_PBRwhD.permute(1, 4, 2, 0, 3, 5).flatten(2, 4).transpose(1, 2)


@dataclass(frozen=True)
class SequenceExchange:
    """Self-attention over tokens that are divided among the GPUs of a group.

    Attributes:
        group: the process group.
        parts: number of its GPUs; divides the number of heads.
        columns: columns of tokens of one GPU.
        built: backends for one GPU's heads, by the name of the whole one.
    """

    group: Any
    parts: int
    columns: int
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

        Values travel while queries are projected, queries while keys are.
        """
        heads = (layer.heads, -1)
        v = self.send(layer.to_v(x_BLD).unflatten(-1, heads))
        q = self.send(ops.head_norm_rope(layer.to_q(x_BLD).unflatten(-1, heads), layer.q_norm, *rope))
        k = self.send(ops.head_norm_rope(layer.to_k(x_BLD).unflatten(-1, heads), layer.k_norm, *rope))
        q_BLhD, k_BLhD, v_BLhD = q.wait(), k.wait(), v.wait()
        out_BLhD = self._of_part(attention, q_BLhD)(q_BLhD, k_BLhD, v_BLhD)
        return layer.to_out(self.send_back(out_BLhD))

    def send(self, x_BlHD: torch.Tensor) -> Sent:
        """Start to exchange the heads of this GPU's tokens, [B, l, H, D]."""
        source_PBlhD = x_BlHD.unflatten(2, (self.parts, -1)).movedim(2, 0).contiguous()
        received_PBlhD = torch.empty_like(source_PBlhD)
        work = dist.all_to_all_single(received_PBlhD, source_PBlhD, group=self.group, async_op=True)
        return Sent(received_PBlhD, source_PBlhD, work, self.columns)

    def send_back(self, out_BLhD: torch.Tensor) -> torch.Tensor:
        """Exchange the outputs of this GPU's heads, [B, L, h, D], for those of its own tokens, [B, l, H D]."""
        out_BRPwhD = out_BLhD.unflatten(1, (-1, self.parts, self.columns))
        source_PBlhD = out_BRPwhD.movedim(2, 0).flatten(2, 3).contiguous()
        received_PBlhD = torch.empty_like(source_PBlhD)
        dist.all_to_all_single(received_PBlhD, source_PBlhD, group=self.group)
        return received_PBlhD.permute(1, 2, 0, 3, 4).flatten(2)

    def _of_part(self, attention: Attention, q_BLhD: torch.Tensor) -> Attention:
        """The backend for the heads of one GPU; Transformer Engine's is built for a number of heads."""
        if attention.name != "te":
            return attention
        if attention.name not in self.built:
            heads, head_dim = q_BLhD.shape[2:]
            self.built[attention.name] = choose_attention(heads, head_dim, q_BLhD.device, q_BLhD.dtype, "te")
        return self.built[attention.name]
