"""Captions in, captions in styles out: one batch to the model, checks, one correction, then the rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dreamkit.captions.language import T5_TOKENS, estimated_tokens, language_problem
from dreamkit.styles.checks import Verdict, check_rewrite, plain_english
from dreamkit.styles.model.prompts import conversation, correction, translation
from dreamkit.styles.model.rewriters import ChatModel
from dreamkit.styles.rules.rewriter import RuleRewriter, stable_seed
from dreamkit.styles.table import Style


@dataclass(frozen=True)
class Rewrite:
    """One caption in one style, and how it came about.

    Attributes:
        text: the caption.
        rewriter: who wrote it: "rules", "vllm" or "server".
        model: the model's name, "" for the rules.
        seed: what the choice of words came from.
        verdict: the checks of this text.
        refused: why the model's answers were not taken, first and second; empty for the rules.
    """

    text: str
    rewriter: str
    model: str
    seed: int
    verdict: Verdict
    refused: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """What the sidecar keeps."""
        return {
            "rewriter": self.rewriter,
            "model": self.model,
            "seed": self.seed,
            "fell_back": bool(self.refused) and self.rewriter == RuleRewriter.name,
            "refused": list(self.refused),
            "passed": self.verdict.passed,
            "checks": self.verdict.checks,
            "reasons": list(self.verdict.reasons),
            "t5_tokens": self.verdict.tokens,
        }


@dataclass
class Restyler:
    """Rewrites many captions.

    Args:
        model: a language model, or None for the rules alone.
        rules: the rules, also what a failed answer falls back to.
        seed: seed of the run.
        count_tokens: T5 tokens of a text.
    """

    model: ChatModel | None = None
    rules: RuleRewriter = field(default_factory=RuleRewriter)
    seed: int = 1
    count_tokens: Callable[[str], int] = estimated_tokens

    def by_rules(self, caption: str, style: Style, refused: tuple[str, ...] = ()) -> Rewrite:
        """One rewrite by the rules, with fewer words on the style where the text encoder's limit asks for it."""
        for length in (3, 2, 1):
            text = self.rules.rewrite(caption, style, self.seed, length)
            verdict = check_rewrite(caption, text, style, self.count_tokens)
            if verdict.tokens <= T5_TOKENS:
                break
        return Rewrite(text, RuleRewriter.name, "", self.seed, verdict, refused)

    def rewrite(self, work: Mapping[str, tuple[str, Sequence[Style]]]) -> dict[str, dict[str, Rewrite]]:
        """Every caption in its styles.

        Args:
            work: clip -> (English caption, styles).

        Returns:
            clip -> style's name -> rewrite.
        """
        pairs = [(clip, style) for clip, (_, styles) in work.items() for style in styles]
        if self.model is None:
            return _grouped(pairs, [self.by_rules(work[clip][0], style) for clip, style in pairs])
        asked = [conversation(work[clip][0], style, self.rules.recolour) for clip, style in pairs]
        seeds = [stable_seed(self.seed, clip, style.name) % 2**31 for clip, style in pairs]
        answers = self.model.answers(asked, seeds)
        done: list[Rewrite | None] = [None] * len(pairs)
        reasons: list[tuple[str, ...]] = [()] * len(pairs)
        for index, answer in enumerate(answers):
            done[index], reasons[index] = self._judge(work, pairs[index], answer, seeds[index], ())
        again = [index for index, rewrite in enumerate(done) if rewrite is None and answers[index] is not None]
        corrections = [correction(asked[i], answers[i] or "", reasons[i]) for i in again]
        for index, answer in zip(again, self.model.answers(corrections, [seeds[i] for i in again]), strict=True):
            done[index], reasons[index] = self._judge(work, pairs[index], answer, seeds[index], reasons[index])
        finished = [
            rewrite or self.by_rules(work[clip][0], style, refused)
            for rewrite, (clip, style), refused in zip(done, pairs, reasons, strict=True)
        ]
        return _grouped(pairs, finished)

    def _judge(
        self,
        work: Mapping[str, tuple[str, Sequence[Style]]],
        pair: tuple[str, Style],
        answer: str | None,
        seed: int,
        before: tuple[str, ...],
    ) -> tuple[Rewrite | None, tuple[str, ...]]:
        """The rewrite when the answer passes, else None; and all reasons so far."""
        clip, style = pair
        if answer is None:
            return None, (*before, "No usable answer came.")
        verdict = check_rewrite(work[clip][0], answer, style, self.count_tokens)
        if not verdict.passed:
            return None, (*before, " ".join(verdict.reasons))
        assert self.model is not None
        return Rewrite(answer, self.model.name, self.model.model, seed, verdict, before), before

    def english(self, captions: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        """Captions in English, translated by the model where need be, and what is wrong with the others.

        Args:
            captions: clip -> caption in any language.

        Returns:
            (clip -> English caption, clip -> what is wrong with it).
        """
        foreign = {clip: problem for clip, text in captions.items() if (problem := language_problem(text))}
        english = {clip: text for clip, text in captions.items() if clip not in foreign}
        if not foreign or self.model is None:
            return english, foreign
        seeds = [stable_seed(self.seed, clip, "translation") % 2**31 for clip in foreign]
        answers = self.model.answers([translation(captions[clip]) for clip in foreign], seeds)
        failed: dict[str, str] = {}
        for clip, answer in zip(foreign, answers, strict=True):
            problem = plain_english(answer) if answer else "no usable answer came"
            if answer and not problem and not language_problem(answer):
                english[clip] = answer
            else:
                failed[clip] = f"{foreign[clip]}, and its translation failed: {problem or 'it is not English'}"
        return english, failed


def _grouped(pairs: Sequence[tuple[str, Style]], rewrites: Sequence[Rewrite]) -> dict[str, dict[str, Rewrite]]:
    found: dict[str, dict[str, Rewrite]] = {}
    for (clip, style), rewrite in zip(pairs, rewrites, strict=True):
        found.setdefault(clip, {})[style.name] = rewrite
    return found
