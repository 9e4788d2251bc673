"""The tiny bundle's video tokenizer: 8x8x8 patches causal in time, 16 channels, small enough for a laptop's CPU.

Pixels are folded into channels in two steps (by 2 in time and 4 in space, then by 4 and 2), so that most layers run on
small grids. Only layers at the latent frame rate read earlier frames, none reads later ones, and the first frame has a
latent frame of its own, as in Cosmos-Tokenize1-CV8x8x8.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

CHANNELS = 16
FINE, WIDTH = 48, 128  # channels where no others are given, on the fine grid and on the latent's


def to_signal(pixels_BTHWC: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """uint8 pixels [B, T, H, W, C] as the encoder's input: [B, C, T, H, W] in -1..1."""
    return (pixels_BTHWC.permute(0, 4, 1, 2, 3).to(dtype) / 127.5 - 1).contiguous()


class _Spatial(nn.Module):
    """x + conv(SiLU(conv(x))) over [N, C, H, W]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.second(F.silu(self.first(F.silu(x))))


class _Causal(nn.Module):
    """Residual block over [B, T, C, H, W]: a convolution in space, then a linear over this and two previous frames."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.space = nn.Conv2d(width, width, 3, padding=1)
        self.time = nn.Linear(3 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, t, c, h, w = x.shape
        y = F.silu(self.space(F.silu(x).flatten(0, 1))).reshape(b, t, c, h, w)
        before = torch.cat([y[:, :1], y[:, :1], y], dim=1)
        stacked = torch.cat([before[:, :-2], before[:, 1:-1], y], dim=2)
        return x + self.time(stacked.permute(0, 1, 3, 4, 2)).permute(0, 1, 4, 2, 3)


def _fold(x: torch.Tensor, time: int, space: int) -> torch.Tensor:
    """[B, T, C, H, W] to [B, T / time, time C space space, H / space, W / space]."""
    b, t, c, h, w = x.shape
    x = x.reshape(b, t // time, time, c, h // space, space, w // space, space)
    x = x.permute(0, 1, 2, 3, 5, 7, 4, 6)
    return x.reshape(b, t // time, time * c * space * space, h // space, w // space)


def _unfold(x: torch.Tensor, time: int, space: int) -> torch.Tensor:
    """[B, T, time C space space, H, W] to [B, T time, C, H space, W space]; the inverse of `_fold`."""
    b, t, c, h, w = x.shape
    left = c // (time * space * space)
    x = x.reshape(b, t, time, left, space, space, h, w).permute(0, 1, 2, 3, 6, 4, 7, 5)
    return x.reshape(b, t * time, left, h * space, w * space)


class Encoder(nn.Module):
    """Frames [B, 3, 1 + 8 n, H, W] in -1..1 to latents [B, 16, 1 + n, H / 8, W / 8]."""

    def __init__(self, fine: int = FINE, width: int = WIDTH) -> None:
        super().__init__()
        self.into = nn.Conv2d(3 * 2 * 16, fine, 3, padding=1)
        self.fine = _Spatial(fine)
        self.down = nn.Conv2d(fine * 4 * 4, width, 1)
        self.blocks = nn.Sequential(_Causal(width), _Causal(width))
        self.out = nn.Conv2d(width, CHANNELS, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Encode; the first frame is repeated to fill its group of eight."""
        b, c, _, h, w = x.shape
        x = torch.cat([x[:, :, :1].expand(b, c, 7, h, w), x], dim=2).transpose(1, 2)
        x = _fold(x, 2, 4)
        t = x.shape[1]
        y = self.fine(self.into(x.flatten(0, 1)))
        y = _fold(y.reshape(b, t, y.shape[1], y.shape[2], y.shape[3]), 4, 2)
        t = y.shape[1]
        y = self.down(y.flatten(0, 1))
        y = self.blocks(y.reshape(b, t, y.shape[1], y.shape[2], y.shape[3]))
        z = self.out(y.flatten(0, 1))
        return z.reshape(b, t, z.shape[1], z.shape[2], z.shape[3]).transpose(1, 2)


class Decoder(nn.Module):
    """Latents [B, 16, 1 + n, h, w] to frames [B, 3, 1 + 8 n, 8 h, 8 w]."""

    def __init__(self, fine: int = FINE, width: int = WIDTH) -> None:
        super().__init__()
        self.into = nn.Conv2d(CHANNELS, width, 3, padding=1)
        self.blocks = nn.Sequential(_Causal(width), _Causal(width))
        self.up = nn.Conv2d(width, fine * 4 * 4, 1)
        self.fine = nn.Sequential(_Spatial(fine), _Spatial(fine))
        self.out = nn.Conv2d(fine, 3 * 2 * 16, 3, padding=1)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Decode; of the first group of eight frames only the last is kept."""
        b, _, t, h, w = z.shape
        y = self.into(z.transpose(1, 2).flatten(0, 1))
        y = self.blocks(y.reshape(b, t, y.shape[1], h, w))
        y = _unfold(self.up(y.flatten(0, 1)).reshape(b, t, -1, h, w), 4, 2)
        t = y.shape[1]
        y = self.out(self.fine(y.flatten(0, 1)))
        y = _unfold(y.reshape(b, t, y.shape[1], y.shape[2], y.shape[3]), 2, 4)
        return y.transpose(1, 2)[:, :, 7:]
