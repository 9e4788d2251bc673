"""The diffusion transformer: its blocks, and the trunk that holds them.

Structure and constants: cosmos-transfer1 diffusion/networks/general_dit.py and module/blocks.py. Names of parameters
are ours; `dreamkit.transfer.names` maps them to those of the released checkpoints.

Shape letters: B batch, L tokens (views x frames x height x width), D width, H heads, V views, M text tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.nn.functional as F
from torch import nn

from dreamkit.transfer.attention import Attention
from dreamkit.transfer.config import DenoiserConfig
from dreamkit.transfer.fused_ops import FusedOps, Tokens
from dreamkit.transfer.patches import patchify, timestep_features
from dreamkit.transfer.positions import LearnedPositions, rope_table, sincos_positions
from dreamkit.transfer.views import ViewEmbedding

if TYPE_CHECKING:
    from dreamkit.transfer.exchange import SequenceExchange

TextKV = tuple[torch.Tensor, torch.Tensor]  # keys, values: [V, M, H, head_dim]


class Modulation(nn.Module):
    """AdaLN-LoRA: shift, scale and gate (or the first two) from the timestep embedding, through rank `lora`."""

    def __init__(self, config: DenoiserConfig, chunks: int) -> None:
        super().__init__()
        self.chunks = chunks
        self.down = nn.Linear(config.width, config.lora, bias=False)
        self.up = nn.Linear(config.lora, chunks * config.width, bias=False)

    def forward(self, emb_BD: torch.Tensor, shared_B3D: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Chunks [B, 1, D], in the order shift, scale, gate."""
        shared = shared_B3D[:, : self.chunks * emb_BD.shape[-1]]
        out = self.up(self.down(F.silu(emb_BD))) + shared
        return out[:, None].chunk(self.chunks, dim=-1)


class SelfAttention(nn.Module):
    """Full attention over all tokens of all views, with rotary positions."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.to_q, self.to_k, self.to_v, self.to_out = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.q_norm = nn.Parameter(torch.empty(config.head_dim))
        self.k_norm = nn.Parameter(torch.empty(config.head_dim))

    def forward(
        self, x_BLD: torch.Tensor, rope: tuple[torch.Tensor, torch.Tensor], attention: Attention, ops: FusedOps
    ) -> torch.Tensor:
        """Attention of the tokens [B, L, D] over each other, [B, L, D]."""
        heads = (self.heads, -1)
        q_BLHD = ops.head_norm_rope(self.to_q(x_BLD).unflatten(-1, heads), self.q_norm, *rope)
        k_BLHD = ops.head_norm_rope(self.to_k(x_BLD).unflatten(-1, heads), self.k_norm, *rope)
        v_BLHD = self.to_v(x_BLD).unflatten(-1, heads)
        out_BLD = attention(q_BLHD, k_BLHD, v_BLHD).flatten(2)
        del q_BLHD, k_BLHD, v_BLHD  # their memory is free for the product
        return self.to_out(out_BLD)


class CrossAttention(nn.Module):
    """Attention of every token over the text of its own view, padding included (no mask), as in training."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.to_q = nn.Linear(config.width, config.width, bias=False)
        self.to_k = nn.Linear(config.text_width, config.width, bias=False)
        self.to_v = nn.Linear(config.text_width, config.width, bias=False)
        self.to_out = nn.Linear(config.width, config.width, bias=False)
        self.q_norm = nn.Parameter(torch.empty(config.head_dim))
        self.k_norm = nn.Parameter(torch.empty(config.head_dim))

    def text_kv(self, text_VMC: torch.Tensor, ops: FusedOps) -> TextKV:
        """Keys and values of the text [V, M, C]; they are the same at every step, so computed once."""
        heads = (self.heads, -1)
        k_VMHD = ops.head_norm(self.to_k(text_VMC).unflatten(-1, heads), self.k_norm)
        return k_VMHD, self.to_v(text_VMC).unflatten(-1, heads)

    def forward(self, x_BLD: torch.Tensor, kv: TextKV, attention: Attention, ops: FusedOps) -> torch.Tensor:
        """Attention of the tokens [B, L, D] over `kv`, [B, L, D]; B * L tokens divide evenly over the views of `kv`."""
        views = kv[0].shape[0]
        q_VLHD = self.to_q(x_BLD).reshape(views, -1, self.heads, x_BLD.shape[-1] // self.heads)
        out_VLHD = attention(ops.head_norm(q_VLHD, self.q_norm), *kv)
        return self.to_out(out_VLHD.reshape(x_BLD.shape))


class Mlp(nn.Module):
    """Two linears with a GELU between them."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.layer1 = nn.Linear(config.width, config.mlp_ratio * config.width, bias=False)
        self.layer2 = nn.Linear(config.mlp_ratio * config.width, config.width, bias=False)

    def forward(self, x_BLD: torch.Tensor, ops: FusedOps) -> torch.Tensor:
        """Tokens [B, L, D] to [B, L, D]; `x_BLD` may be overwritten."""
        return ops.mlp(self.layer1, self.layer2, x_BLD)


class Block(nn.Module):
    """Self-attention, cross-attention and MLP, each as x + gate * f(modulated norm of x)."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.self_attention = SelfAttention(config)
        self.cross_attention = CrossAttention(config)
        self.mlp = Mlp(config)
        self.self_modulation = Modulation(config, 3)
        self.cross_modulation = Modulation(config, 3)
        self.mlp_modulation = Modulation(config, 3)

    def forward(
        self,
        tokens: Tokens,
        emb_BD: torch.Tensor,
        shared_B3D: torch.Tensor,
        kv: TextKV | None,
        prepared: Prepared,
        attention: Attention,
        ops: FusedOps,
        before_text: bool = False,
    ) -> Tokens:
        """The tokens after this block, or with `before_text` after its self-attention alone.

        Without `kv` (zeroed text) cross-attention is skipped: it would add 0.
        """
        if not tokens.attended:
            shift, scale, gate = self.self_modulation(emb_BD, shared_B3D)
            x_BLD, normed = ops.modulate(tokens, scale, shift, prepared.position_LD)
            if prepared.exchange is None:
                y_BLD = self.self_attention(normed, prepared.rope, attention, ops)
            else:
                y_BLD = prepared.exchange.self_attention(self.self_attention, normed, prepared.rope, attention, ops)
            tokens = Tokens(x_BLD, gate, y_BLD, attended=True)
            if before_text:
                return tokens
        if kv is not None:
            shift, scale, gate = self.cross_modulation(emb_BD, shared_B3D)
            x_BLD, normed = ops.modulate(tokens, scale, shift)
            tokens = Tokens(x_BLD, gate, self.cross_attention(normed, kv, attention, ops))
        shift, scale, gate = self.mlp_modulation(emb_BD, shared_B3D)
        x_BLD, normed = ops.modulate(tokens, scale, shift)
        return Tokens(x_BLD, gate, self.mlp(normed, ops))


@dataclass(frozen=True)
class Prepared:
    """Inputs of a trunk that are the same at every step of a window.

    Attributes:
        extra_BCTHW: input channels beside the latent: condition mask, padding mask (zeros), view embedding.
        position_LD: absolute positions of one view.
        rope: cosines and sines of `rope_table`.
        text: keys and values for each block; None where the text is zeroed.
        exchange: exchange of self-attention where the tokens are divided over several GPUs.
    """

    extra_BCTHW: torch.Tensor
    position_LD: torch.Tensor
    rope: tuple[torch.Tensor, torch.Tensor]
    text: Sequence[TextKV] | None
    exchange: SequenceExchange | None = None


class TextOnDemand(Sequence[TextKV]):
    """Keys and values of each block, computed when they are needed: for six views they would take 50 MiB a block."""

    def __init__(self, trunk: Trunk, text_VMC: torch.Tensor) -> None:
        self.trunk, self.text_VMC = trunk, text_VMC

    def __len__(self) -> int:
        return len(self.trunk.blocks)

    def __getitem__(self, index: Any) -> Any:
        block = cast("Block", self.trunk.blocks[index])
        return block.cross_attention.text_kv(self.text_VMC, self.trunk.ops)


@dataclass(frozen=True)
class Begun:
    """The part of one evaluation that is the same in all passes of guidance.

    Attributes:
        emb_BD: timestep embedding, input of the modulations.
        shared_B3D: AdaLN term of all blocks.
        tokens: embedded tokens, perhaps with block 0's self-attention.
    """

    emb_BD: torch.Tensor
    shared_B3D: torch.Tensor
    tokens: Tokens


class Trunk(nn.Module):
    """Patch embedding, positions, timestep embedding and `blocks` blocks: shared by denoiser and control branch.

    Attributes:
        attention: kernel of attention.
        ops: kernels of the memory-bound operations.
        keep_text: whether the text's keys and values are kept for a window, rather than computed for every forward.
    """

    def __init__(self, config: DenoiserConfig, blocks: int) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.patch = nn.Linear(config.in_channels * config.patch**2, width, bias=False)
        self.positions = LearnedPositions(config) if config.position == "learned" else None
        self.views = ViewEmbedding(config) if config.view_table else None
        self.time1 = nn.Linear(width, width, bias=False)
        self.time2 = nn.Linear(width, 3 * width, bias=False)
        self.time_norm = nn.Parameter(torch.empty(width))
        self.blocks = nn.ModuleList(Block(config) for _ in range(blocks))
        self.attention = Attention("sdpa")
        self.ops = FusedOps()
        self.keep_text = True

    def prepare(
        self,
        text_VMC: torch.Tensor | None,
        latent_shape: Sequence[int],
        *,
        fps: float,
        condition_mask: torch.Tensor | None = None,
        view_ids: Sequence[int] = (0,),
        frame_repeat: torch.Tensor | None = None,
    ) -> Prepared:
        """Compute the inputs that are the same at every step of a window.

        Args:
            text_VMC: text embeddings of every view, [V, M, C] in the network's dtype; None for no text.
            latent_shape: (B, C, V x T, H, W) of the latent.
            fps: frame rate of the output video.
            condition_mask: [B, 1, V x T, H, W], 1 where the latent is given; for models with that channel, zeros when
                absent.
            view_ids: row of the view table for every view.
            frame_repeat: [B, V], input of the repeat-frame linear; zeros when absent.
        """
        config = self.config
        like = self.patch.weight
        batch, _, frames, height, width = latent_shape
        views = len(view_ids)
        grid = (frames // views, height // config.patch, width // config.patch)
        zeros = like.new_zeros(batch, 1, frames, height, width)
        extra = [zeros]
        if config.condition_mask:
            extra.insert(0, zeros if condition_mask is None else condition_mask.to(like.dtype).expand_as(zeros))
        if self.views is not None:
            extra.append(self.views(view_ids, latent_shape, frame_repeat))
        if self.positions is not None:
            position_LD = self.positions(*grid)
        else:
            position_LD = sincos_positions(config, *grid, like.device, like.dtype)
        return Prepared(
            torch.cat(extra, dim=1),
            position_LD,
            rope_table(config, *grid, views=views, fps=fps, device=like.device, dtype=like.dtype),
            None if text_VMC is None else self.text_kv(text_VMC),
        )

    def text_kv(self, text_VMC: torch.Tensor) -> Sequence[TextKV] | None:
        """Keys and values for every block's cross-attention, or None for zeroed text.

        The linears have no biases, so zeroed text has zero keys and values, and attention over it returns exactly 0.
        """
        return self.project_text(text_VMC) if bool(text_VMC.any()) else None

    def project_text(self, text_VMC: torch.Tensor) -> Sequence[TextKV]:
        """As `text_kv`, for zeroed text too; does not read the tensor's values, which would synchronise the GPU."""
        if not self.keep_text:
            return TextOnDemand(self, text_VMC)
        blocks = cast("list[Block]", self.blocks)
        return tuple(block.cross_attention.text_kv(text_VMC, self.ops) for block in blocks)

    def embed(self, latent_BCTHW: torch.Tensor, prepared: Prepared) -> torch.Tensor:
        """Tokens [B, L, D] of a latent [B, C, V x T, H, W]."""
        return self.patch(patchify(torch.cat([latent_BCTHW, prepared.extra_BCTHW], dim=1), self.config.patch))

    def timestep(self, c_noise_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Embedding of the noise level [B]: (input of the modulations [B, D], AdaLN term of all blocks [B, 3 D])."""
        features_BD = timestep_features(c_noise_B, self.config.width)
        shared_B3D = self.time2(F.silu(self.time1(features_BD)))
        return F.rms_norm(features_BD, features_BD.shape[-1:], self.time_norm, eps=1e-6), shared_B3D

    def block(
        self,
        index: int,
        tokens: Tokens,
        emb_BD: torch.Tensor,
        shared_B3D: torch.Tensor,
        prepared: Prepared,
        before_text: bool = False,
    ) -> Tokens:
        """The tokens after block `index`, or with `before_text` after its self-attention alone."""
        kv = None if prepared.text is None else prepared.text[index]
        return self.blocks[index](
            tokens, emb_BD, shared_B3D, kv, prepared, self.attention, self.ops, before_text=before_text
        )

    def begin(self, latent_BCTHW: torch.Tensor, c_noise_B: torch.Tensor, prepared: Prepared, keep: bool) -> Begun:
        """Embed the inputs of one evaluation; with `keep` also block 0's self-attention, for several passes to use.

        The text enters first in block 0's cross-attention, so all passes of guidance have the same result here.
        """
        emb_BD, shared_B3D = self.timestep(c_noise_B)
        tokens = Tokens(self.embed(latent_BCTHW, prepared))
        if keep:
            tokens = self.block(0, tokens, emb_BD, shared_B3D, prepared, before_text=True)
            tokens = Tokens(self.ops.settle(tokens), attended=True, keep=True)
        return Begun(emb_BD, shared_B3D, tokens)
