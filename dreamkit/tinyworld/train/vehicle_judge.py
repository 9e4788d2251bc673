"""The vehicle judge: a small segmentation network that marks road users in pictures of the made-up world.

It is trained on true drawings only (`judge_stage`), and used to count the vehicles that generated videos show.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from dreamkit.tinyworld.world.scene import MadeUpScene
from dreamkit.tinyworld.world.traffic import CARS

JUDGED = ("nothing", "car", "truck or bus", "person or cyclist")
VEHICLES = (1, 2)  # classes of JUDGED that count as vehicles
JUDGE_FILE = Path(__file__).with_name("vehicle_judge.safetensors")
_WIDTHS = (12, 24, 48, 64)
_MULTIPLE = 2 ** (len(_WIDTHS) - 1)
_PIXELS_TOGETHER = 2_000_000


class VehicleJudge(nn.Module):
    """A U-Net of four levels: pictures float [N, 3, H, W] in -1..1 to logits [N, 4, H, W] of the classes in JUDGED.

    Source: Ronneberger et al. 2015 (arXiv 1505.04597), figure 1, at a fraction of its width. H and W are multiples
    of 8.
    """

    def __init__(self) -> None:
        super().__init__()
        wider = zip((3, *_WIDTHS), _WIDTHS, strict=False)
        self.down = nn.ModuleList(_convolutions(before, width) for before, width in wider)
        narrower = zip(_WIDTHS[:0:-1], _WIDTHS[-2::-1], strict=True)
        self.up = nn.ModuleList(_convolutions(below + width, width) for below, width in narrower)
        self.out = nn.Conv2d(_WIDTHS[0], len(JUDGED), 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of every pixel."""
        levels: list[torch.Tensor] = []
        for block in self.down:
            x = block(F.max_pool2d(x, 2) if levels else x)
            levels.append(x)
        for block, beside in zip(self.up, levels[-2::-1], strict=True):
            x = block(torch.cat([F.interpolate(x, scale_factor=2.0, mode="nearest"), beside], 1))
        return self.out(x)


def _convolutions(before: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, width, 3, padding=1),
        nn.GroupNorm(4, width),
        nn.SiLU(),
        nn.Conv2d(width, width, 3, padding=1),
        nn.GroupNorm(4, width),
        nn.SiLU(),
    )


def judged_classes(scene: MadeUpScene) -> np.ndarray:
    """Class in JUDGED of each of the scene's movers, and 0 at the end for track -1; int64 [movers + 1]."""
    kinds = [1 if mover.model in CARS else 2 if mover.model in ("truck", "bus") else 3 for mover in scene.movers]
    return np.array([*kinds, 0])


def load_judge(device: torch.device | str = "cpu", path: Path = JUDGE_FILE) -> VehicleJudge:
    """The trained judge, in float32 and in evaluation mode."""
    from safetensors.torch import load_file

    judge = VehicleJudge()
    judge.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    return judge.to(device).eval()


@torch.inference_mode()
def judge_pictures(judge: VehicleJudge, pictures: np.ndarray) -> np.ndarray:
    """The most likely class of every pixel, uint8 [..., H, W], for pictures uint8 [..., H, W, 3] of any size."""
    *before, height, width, _ = pictures.shape
    device = next(judge.parameters()).device
    flat = torch.from_numpy(np.ascontiguousarray(pictures.reshape(-1, height, width, 3)))
    # Repeated edge pixels fill up to a multiple of 8.
    pad: Sequence[int] = (0, -width % _MULTIPLE, 0, -height % _MULTIPLE)
    found = []
    for part in flat.split(max(1, _PIXELS_TOGETHER // (height * width))):
        x = to_input(part.to(device))
        logits = judge(F.pad(x, pad, mode="replicate"))[..., :height, :width]
        found.append(logits.argmax(1).to(torch.uint8).cpu())
    return torch.cat(found).numpy().reshape(*before, height, width)


def to_input(pictures_NHWC: torch.Tensor) -> torch.Tensor:
    """uint8 pictures [N, H, W, 3] as the judge's input, float32 [N, 3, H, W] in -1..1."""
    return pictures_NHWC.permute(0, 3, 1, 2).float() / 127.5 - 1
