"""The text encoder learns captions in words that made-up scenes do not use: users', and language models' rewrites.

What it gives for captions of made-up scenes stays as it was, so that networks trained with it go on understanding it;
every token of other captions comes to mean what a token of their style means on average.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import nn

from dreamkit.tinyworld.render.style_presets import STYLES
from dreamkit.tinyworld.train.text_stage import labelled_captions, pad_tokens
from dreamkit.tinyworld.train.trainer import Schedule, Trainer

_CAPTIONS = 8000  # in other words
_EXAMPLES = 32  # of either kind, each step
_FILE = Path(__file__).with_name("paraphrases.yaml")


def read_paraphrases() -> dict[str, Any]:
    """`openings`, `places` and `things` as lists of texts, `styles` as style -> `clauses` and `sentences`."""
    return yaml.safe_load(_FILE.read_text(encoding="utf-8"))


def paraphrased_captions(count: int, seed: int) -> tuple[list[str], list[int]]:
    """Captions put together at random, and the number of each one's style; all styles come equally often.

    Every caption has a clause or a sentence about its style, up to four in all, among up to eight of other things.
    """
    words, rng = read_paraphrases(), np.random.default_rng([seed, 7])
    texts, styles = [], []
    for index in range(count):
        style = index % len(STYLES)
        said = words["styles"][STYLES[style]]
        opening, place = (words[part][rng.integers(len(words[part]))] for part in ("openings", "places"))
        begins = rng.random() < 0.8
        clause = f" {said['clauses'][rng.integers(len(said['clauses']))]}" if begins else ""
        told = rng.permutation(said["sentences"])[: rng.integers(0 if begins else 1, 4)]
        things = rng.permutation(words["things"])[: rng.integers(0, 9)]
        texts.append(" ".join([f"{opening} {place}{clause}.", *rng.permutation([*told, *things])]))
        styles.append(style)
    return texts, styles


def train_paraphrases(
    folder: Path,
    state: Path,
    scenes: int,
    first_seed: int,
    steps: int,
    seed: int,
    device: torch.device,
    minutes: float | None = None,
    seconds: float | None = None,
) -> bool:
    """Go on training the encoder in `folder`; returns whether it was finished, and written there again."""
    from transformers import AutoTokenizer, T5EncoderModel

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    encoder, before = (T5EncoderModel.from_pretrained(folder, local_files_only=True).to(device) for _ in range(2))
    texts, facts = labelled_captions(scenes, first_seed)
    known, style_of = pad_tokens(tokenizer, texts).to(device), torch.tensor(facts, device=device)[:, 0]
    texts, styles = paraphrased_captions(_CAPTIONS, seed)
    other, other_style = pad_tokens(tokenizer, texts).to(device), torch.tensor(styles, device=device)
    means, spread = _meanings(before, known, style_of)
    trainer = Trainer(encoder, Schedule(steps, adamw_lr=1e-3, warmup=50, ema_decay=0.98), state, seed)

    def draw(generator: torch.Generator) -> tuple[torch.Tensor, ...]:
        mine, theirs = (
            torch.randint(len(rows), (_EXAMPLES,), generator=generator, device=device) for rows in (known, other)
        )
        with torch.no_grad():
            wanted = _hidden(before, known[mine])
        return known[mine], wanted, other[theirs], means[other_style[theirs], None]

    def loss_of(examples: tuple[torch.Tensor, ...]) -> torch.Tensor:
        total = torch.zeros((), device=device)
        for tokens, wanted in (examples[:2], examples[2:]):
            error = (_hidden(encoder, tokens) - wanted).square().mean(-1)
            total = total + error[tokens != 0].mean() / spread
        return total

    finished = trainer.run(draw, loss_of, minutes, seconds, use_graphs=False)
    if finished:
        trainer.use_average().save_pretrained(folder)
    return finished


def _hidden(encoder: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    return encoder(input_ids=tokens, attention_mask=(tokens != 0).long()).last_hidden_state


@torch.no_grad()
def _meanings(encoder: nn.Module, known: torch.Tensor, style_of: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The mean of the tokens of each style's captions [styles, C], and the mean square of tokens around the means."""
    means, squares = [], []
    for style in range(len(STYLES)):
        tokens = known[style_of == style]
        hidden = torch.cat([_hidden(encoder, part)[part != 0] for part in tokens.split(128)])
        means.append(hidden.mean(0))
        squares.append((hidden - means[-1]).square().mean())
    return torch.stack(means), torch.stack(squares).mean()
