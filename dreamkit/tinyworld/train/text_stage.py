"""Training the tiny bundle's text encoder, a small T5, on captions of made-up scenes.

The captions have all styles, with and without the sentence on the camera. The loss is that of linear classifiers of
style, setting, road shape and manoeuvre on every output token, so that cross-attention can read them from any token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from dreamkit.captions.files import ORIGINAL
from dreamkit.styles import load_styles, side_prompts
from dreamkit.tinyworld.render.style_presets import STYLES
from dreamkit.tinyworld.train.dataset import scene_seed
from dreamkit.tinyworld.train.options import StageOptions
from dreamkit.tinyworld.train.text_encoder import small_t5, write_vocabulary
from dreamkit.tinyworld.train.trainer import Schedule, Trainer
from dreamkit.tinyworld.world.scene import SETTINGS, SHAPES, make_scene
from dreamkit.tinyworld.world.scene_captions import style_captions
from dreamkit.transfer import folders
from dreamkit.transfer.single_view import NEGATIVE_PROMPT

_STEPS = 800
_EXAMPLES = 64  # captions per step
_MODES = ("go", "stop", "left", "right")
_LONGEST = 320  # tokens of a caption in training
_IGNORED = -100  # label that the cross-entropy leaves out
Facts = tuple[int, int, int, int]
# The negative prompt, and side views' prompts of the Original style, state none of the four.
_NO_FACTS: Facts = (_IGNORED, _IGNORED, _IGNORED, _IGNORED)


def labelled_captions(scenes: int, first_seed: int) -> tuple[list[str], list[Facts]]:
    """Captions, and the labels of each: style, setting, shape and manoeuvre (-100 if the caption does not state it)."""
    texts, facts = [NEGATIVE_PROMPT], [_NO_FACTS]
    table = load_styles()
    for index in range(scenes):
        scene = make_scene(first_seed + index, 2)
        place = (SETTINGS.index(scene.setting), SHAPES.index(scene.shape), _MODES.index(scene.flow.mode))
        for name, caption in style_captions(scene, index, table).items():
            style = None if name == ORIGINAL else table.choose([name])[0]
            front, *others = side_prompts(caption, style, table, weather=True)
            texts += [caption, front, *others]
            facts += [(STYLES.index(name), *place)] * 2
            side = _NO_FACTS if style is None else (STYLES.index(name), _IGNORED, _IGNORED, _IGNORED)
            facts += [side] * len(others)
    return texts, facts


class _CaptionClassifier(nn.Module):
    """A T5 encoder, and linear classifiers on its tokens that only training uses."""

    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__()
        self.encoder = small_t5(vocabulary, width)
        self.asked = nn.ModuleList(nn.Linear(width, len(of)) for of in (STYLES, SETTINGS, SHAPES, _MODES))

    def forward(self, tokens: torch.Tensor, facts: torch.Tensor) -> torch.Tensor:
        mask = (tokens != 0).long()
        hidden = self.encoder(input_ids=tokens, attention_mask=mask).last_hidden_state
        total = hidden.new_zeros(())
        for column, classify in enumerate(self.asked):
            labels = torch.where(mask.bool(), facts[:, column : column + 1], _IGNORED).flatten()
            logits = classify(hidden).float().flatten(0, 1)
            summed = F.cross_entropy(logits, labels, ignore_index=_IGNORED, reduction="sum")
            total = total + summed / (labels >= 0).sum().clamp(min=1)  # a batch may have no label
        return total


def pad_tokens(tokenizer: Callable[..., Any], texts: Sequence[str]) -> torch.Tensor:
    """Token ids of texts, int64 [texts, longest], padded with zeros."""
    rows = tokenizer(list(texts), truncation=True, max_length=_LONGEST)["input_ids"]
    tokens = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
    for row, ids in zip(tokens, rows, strict=True):
        row[: len(ids)] = torch.tensor(ids)
    return tokens


def train_text(options: StageOptions, width: int) -> bool:
    """Train the encoder into the bundle, in the Hugging Face layout.

    Args:
        options: of the stage.
        width: channels of the encoder.

    Returns:
        Whether the schedule was finished; the weights are written only then.
    """
    from transformers import AutoTokenizer

    device, folder = options.device, options.out / folders.TEXT_ENCODER
    texts, facts = labelled_captions(options.scenes, scene_seed(options.seed, 0))
    write_vocabulary(texts, folder)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    tokens, labels = pad_tokens(tokenizer, texts).to(device), torch.tensor(facts, device=device)
    torch.manual_seed(options.seed)
    classifier = _CaptionClassifier(len(tokenizer), width).to(device)
    schedule = Schedule(options.steps or _STEPS, adamw_lr=2e-3, warmup=50, ema_decay=0.98)
    trainer = Trainer(classifier, schedule, options.state, options.seed)

    def draw(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        pick = torch.randint(len(tokens), (_EXAMPLES,), generator=generator, device=device)
        return tokens[pick], labels[pick]

    finished = trainer.run(draw, lambda batch: classifier(*batch), options.minutes, options.seconds, use_graphs=False)
    if finished:
        trainer.use_average()
        classifier.encoder.save_pretrained(folder)
    return finished
