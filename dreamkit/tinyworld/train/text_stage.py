"""The tiny bundle's text encoder: a small T5 that learns what captions are about, then stays as it is.

It reads captions of made-up scenes in all styles, with and without a camera's sentence, and must tell the style, the
place, the road's shape and what the car does from every token it gives out, so that whatever attends to any of them
knows these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from dreamkit.captions.files import ORIGINAL
from dreamkit.styles import load_styles, side_prompts
from dreamkit.tinyworld.render.style_presets import STYLES
from dreamkit.tinyworld.train.bundle import small_t5
from dreamkit.tinyworld.train.text_encoder import write_vocabulary
from dreamkit.tinyworld.train.trainer import Schedule, Trainer
from dreamkit.tinyworld.world.scene import SETTINGS, SHAPES, make_scene
from dreamkit.tinyworld.world.scene_captions import style_captions
from dreamkit.transfer.single_view import NEGATIVE_PROMPT

_MODES = ("go", "stop", "left", "right")
_LONGEST = 320  # tokens of a caption while training
# No style and no place: what the model is told to stay away from says nothing about either.
_NOTHING = (-100, -100, -100, -100)


def labelled_captions(scenes: int, first_seed: int) -> tuple[list[str], list[tuple[int, int, int, int]]]:
    """Texts, and for each its style, setting, shape and way of driving as numbers (-100 where the text has none)."""
    texts, facts = [NEGATIVE_PROMPT], [_NOTHING]
    table = load_styles()
    for index in range(scenes):
        scene = make_scene(first_seed + index, 2)
        place = (SETTINGS.index(scene.setting), SHAPES.index(scene.shape), _MODES.index(scene.flow.mode))
        for name, caption in style_captions(scene, index, table).items():
            style = None if name == ORIGINAL else table.choose([name])[0]
            front, *others = side_prompts(caption, style, table, weather=True)
            texts += [caption, front, *others]
            facts += [(STYLES.index(name), *place)] * 2
            facts += [_NOTHING if style is None else (STYLES.index(name), -100, -100, -100)] * len(others)
    return texts, facts


class _Reader(nn.Module):
    """A T5 encoder and, for training only, what its tokens are asked."""

    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__()
        self.encoder = small_t5(vocabulary, width)
        self.asked = nn.ModuleList(nn.Linear(width, len(of)) for of in (STYLES, SETTINGS, SHAPES, _MODES))

    def forward(self, tokens: torch.Tensor, facts: torch.Tensor) -> torch.Tensor:
        mask = (tokens != 0).long()
        hidden = self.encoder(input_ids=tokens, attention_mask=mask).last_hidden_state
        total = hidden.new_zeros(())
        for column, ask in enumerate(self.asked):
            labels = torch.where(mask.bool(), facts[:, column : column + 1], -100).flatten()
            asked = ask(hidden).float().flatten(0, 1)
            summed = F.cross_entropy(asked, labels, ignore_index=-100, reduction="sum")
            total = total + summed / (labels >= 0).sum().clamp(min=1)  # there may be none
        return total


def pad_tokens(tokenizer: Callable[..., Any], texts: Sequence[str]) -> torch.Tensor:
    """Numbers of the texts' tokens, int64 [texts, longest], zeros after each one's end."""
    rows = tokenizer(list(texts), truncation=True, max_length=_LONGEST)["input_ids"]
    tokens = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
    for row, ids in zip(tokens, rows, strict=True):
        row[: len(ids)] = torch.tensor(ids)
    return tokens


def train_text(
    folder: Path,
    state: Path,
    width: int,
    vocabulary: int,
    scenes: int,
    first_seed: int,
    steps: int,
    seed: int,
    device: torch.device,
    minutes: float | None = None,
    seconds: float | None = None,
) -> bool:
    """Train the encoder into `folder` (Hugging Face layout); returns whether it was finished."""
    from transformers import AutoTokenizer

    texts, facts = labelled_captions(scenes, first_seed)
    write_vocabulary(texts, folder, vocabulary)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    tokens, labels = pad_tokens(tokenizer, texts).to(device), torch.tensor(facts, device=device)
    torch.manual_seed(seed)
    reader = _Reader(len(tokenizer), width).to(device)
    trainer = Trainer(reader, Schedule(steps, adamw_lr=2e-3, warmup=50, ema_decay=0.98), state, seed)

    def draw(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        pick = torch.randint(len(tokens), (64,), generator=generator, device=device)
        return tokens[pick], labels[pick]

    finished = trainer.run(draw, lambda examples: reader(*examples), minutes, seconds, use_graphs=False)
    if finished:
        trainer.use_average().encoder.save_pretrained(folder)
    return finished
