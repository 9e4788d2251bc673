"""Training the text encoder on other wordings: captions as users and language models write them.

The loss keeps its embeddings of made-up scenes' captions as they were, because the denoisers are trained with them; but
tokens that are nearer to another style's mean, as where the styles' rules have changed since, are trained towards the
mean of their own. So is every token of a paraphrase.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import nn

from dreamkit.tinyworld.render.style_presets import STYLES
from dreamkit.tinyworld.train.dataset import scene_seed
from dreamkit.tinyworld.train.options import StageOptions
from dreamkit.tinyworld.train.text_stage import labelled_captions, pad_tokens
from dreamkit.tinyworld.train.trainer import Schedule, Trainer
from dreamkit.transfer import folders

_STEPS = 1500
_CAPTIONS = 8000  # paraphrased captions
_EXAMPLES = 32  # made-up captions, and as many paraphrases, per step
_FILE = Path(__file__).with_name("paraphrases.yaml")


def read_paraphrases() -> dict[str, Any]:
    """Parts of captions: lists `openings`, `places` and `things`; `styles`: style -> `clauses` and `sentences`."""
    return yaml.safe_load(_FILE.read_text(encoding="utf-8"))


def paraphrased_captions(count: int, seed: int) -> tuple[list[str], list[int]]:
    """Random captions, and the index in STYLES of each one's style; all styles are equally frequent.

    Every caption has one to four clauses or sentences about its style, among up to eight about other things.
    """
    parts, rng = read_paraphrases(), np.random.default_rng([seed, 7])
    texts, styles = [], []
    for index in range(count):
        style = index % len(STYLES)
        of_style = parts["styles"][STYLES[style]]
        opening, place = (parts[part][rng.integers(len(parts[part]))] for part in ("openings", "places"))
        has_clause = rng.random() < 0.8
        clause = f" {of_style['clauses'][rng.integers(len(of_style['clauses']))]}" if has_clause else ""
        sentences = rng.permutation(of_style["sentences"])[: rng.integers(0 if has_clause else 1, 4)]
        things = rng.permutation(parts["things"])[: rng.integers(0, 9)]
        texts.append(" ".join([f"{opening} {place}{clause}.", *rng.permutation([*sentences, *things])]))
        styles.append(style)
    return texts, styles


def train_paraphrases(options: StageOptions) -> bool:
    """Continue the training of the bundle's text encoder on paraphrases.

    Args:
        options: of the stage.

    Returns:
        Whether the schedule was finished; the weights are written only then.
    """
    from transformers import AutoTokenizer, T5EncoderModel

    device, folder = options.device, options.out / folders.TEXT_ENCODER
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    encoder, before = (T5EncoderModel.from_pretrained(folder, local_files_only=True) for _ in range(2))
    for model in (encoder, before):
        nn.Module.to(model, device)
    texts, facts = labelled_captions(options.scenes, scene_seed(options.seed, 0))
    known, style_of = pad_tokens(tokenizer, texts).to(device), torch.tensor(facts, device=device)[:, 0]
    texts, styles = paraphrased_captions(_CAPTIONS, options.seed)
    other, other_style = pad_tokens(tokenizer, texts).to(device), torch.tensor(styles, device=device)
    means, spread = _style_means(before, known, style_of)
    schedule = Schedule(options.steps or _STEPS, adamw_lr=1e-3, warmup=50, ema_decay=0.98)
    trainer = Trainer(encoder, schedule, options.state, options.seed)

    def draw(generator: torch.Generator) -> tuple[torch.Tensor, ...]:
        mine, theirs = (
            torch.randint(len(rows), (_EXAMPLES,), generator=generator, device=device) for rows in (known, other)
        )
        with torch.no_grad():
            hidden, styles = _hidden(before, known[mine]), style_of[mine]
            strays = ((styles >= 0)[:, None] & (_nearest(hidden, means) != styles[:, None]))[..., None]
            wanted = torch.where(strays, means[styles.clamp(min=0), None], hidden)
        return known[mine], wanted, other[theirs], means[other_style[theirs], None]

    def loss_of(examples: tuple[torch.Tensor, ...]) -> torch.Tensor:
        total = torch.zeros((), device=device)
        for tokens, wanted in (examples[:2], examples[2:]):
            error = (_hidden(encoder, tokens) - wanted).square().mean(-1)
            total = total + error[tokens != 0].mean() / spread
        return total

    finished = trainer.run(draw, loss_of, options.minutes, options.seconds, use_graphs=False)
    if finished:
        trainer.use_average()
        encoder.save_pretrained(folder)
    return finished


def _hidden(encoder: Callable[..., Any], tokens: torch.Tensor) -> torch.Tensor:
    return encoder(input_ids=tokens, attention_mask=(tokens != 0).long()).last_hidden_state


def _nearest(hidden: torch.Tensor, means: torch.Tensor) -> torch.Tensor:
    """Of each token embedding [..., C], the style whose mean is nearest, int64 [...]."""
    return torch.cdist(hidden, means).argmin(-1)


@torch.no_grad()
def _style_means(
    encoder: Callable[..., Any], known: torch.Tensor, style_of: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean token embedding of each style's captions [styles, C], and the mean squared deviation from it [].

    Tokens that are nearer to another style's mean are left out of a second average.
    """
    by_style = [
        torch.cat([_hidden(encoder, part)[part != 0] for part in known[style_of == style].split(128)])
        for style in range(len(STYLES))
    ]
    first = torch.stack([hidden.mean(0) for hidden in by_style])
    own = [hidden[_nearest(hidden, first) == style] for style, hidden in enumerate(by_style)]
    kept = [some if len(some) else hidden for some, hidden in zip(own, by_style, strict=True)]
    means = torch.stack([hidden.mean(0) for hidden in kept])
    squares = [(hidden - mean).square().mean() for hidden, mean in zip(kept, means, strict=True)]
    return means, torch.stack(squares).mean()
