"""Rewrite many captions: one batch to the model, checks, one request for correction, then the rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dreamkit.captions.answers import ModelAnswer
from dreamkit.captions.camera_sentence import part_camera_sentence
from dreamkit.captions.language import ESTIMATED_TOKENS, T5_TOKENS, TokenCounter, language_problem
from dreamkit.captions.text_check import text_fault
from dreamkit.styles.checks import RewriteCheck, check_rewrite
from dreamkit.styles.model.prompts import conversation, correction, translation
from dreamkit.styles.model.rewriters import ChatModel
from dreamkit.styles.rules.rewriter import RuleRewriter, stable_seed
from dreamkit.styles.table import Style


@dataclass(frozen=True)
class Rewrite:
    """A caption in one style, and how it was made.

    Attributes:
        text: the caption.
        rewriter: "rules", "vllm" or "server".
        model: name of the language model, "" for the rules.
        seed: seed of the rules' choice of words, or of the model's sampling.
        check: result of the checks.
        refused: why answers of the model were refused, one text an answer, at most two.
    """

    text: str
    rewriter: str
    model: str
    seed: int
    check: RewriteCheck
    refused: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """The entry in the sidecar."""
        return {
            "rewriter": self.rewriter,
            "model": self.model,
            "seed": self.seed,
            "fell_back": bool(self.refused) and self.rewriter == RuleRewriter.name,
            "refused": list(self.refused),
            "passed": self.check.passed,
            "checks": self.check.checks,
            "reasons": list(self.check.reasons),
            "t5_tokens": self.check.tokens,
        }


@dataclass
class Restyler:
    """Rewrites captions by a language model or by rules.

    Attributes:
        model: the language model; None for the rules alone.
        rules: the rules, which also replace answers that fail the checks twice.
        seed: seed of the run.
        count_tokens: counter of T5 tokens.
    """

    model: ChatModel | None = None
    rules: RuleRewriter = field(default_factory=RuleRewriter)
    seed: int = 1
    count_tokens: TokenCounter = ESTIMATED_TOKENS

    def check(self, caption: str, text: str, style: Style, strict: bool = False) -> RewriteCheck:
        """The checks of a rewrite with this run's settings; strict for texts of the rules."""
        return check_rewrite(caption, text, style, self.count_tokens, self.rules.table, strict, self.rules.recolour)

    def by_rules(self, caption: str, style: Style, refused: tuple[str, ...] = ()) -> Rewrite:
        """A rewrite by the rules; with fewer sentences about the style if the full one has too many tokens."""
        for length in (3, 2, 1):
            text = self.rules.rewrite(caption, style, self.seed, length)
            check = self.check(caption, text, style, strict=True)
            if check.tokens <= T5_TOKENS:
                break
        return Rewrite(text, RuleRewriter.name, "", self.seed, check, refused)

    def rewrite(self, work: Mapping[str, tuple[str, Sequence[Style]]]) -> dict[str, dict[str, Rewrite]]:
        """Rewrite every caption into its styles.

        Args:
            work: clip -> (English caption, styles).

        Returns:
            Clip -> name of the style -> rewrite.
        """
        pairs = [(clip, style) for clip, (_, styles) in work.items() for style in styles]
        if self.model is None:
            return _grouped(pairs, [self.by_rules(work[clip][0], style) for clip, style in pairs])
        parted = {clip: part_camera_sentence(caption) for clip, (caption, _) in work.items()}
        asked = [conversation(parted[clip][1], style, self.rules.recolour) for clip, style in pairs]
        seeds = [stable_seed(self.seed, clip, style.name) % 2**31 for clip, style in pairs]
        answers = self.model.answers(asked, seeds)
        done: list[Rewrite | None] = [None] * len(pairs)
        reasons: list[tuple[str, ...]] = [()] * len(pairs)
        for index, answer in enumerate(answers):
            done[index], reasons[index] = self._checked(work, pairs[index], answer, seeds[index], ())
        again = [index for index, rewrite in enumerate(done) if rewrite is None and answers[index]]
        corrections = [correction(asked[i], answers[i].text, reasons[i]) for i in again]
        for index, answer in zip(again, self.model.answers(corrections, [seeds[i] for i in again]), strict=True):
            done[index], reasons[index] = self._checked(work, pairs[index], answer, seeds[index], reasons[index])
        finished = [
            rewrite or self.by_rules(work[clip][0], style, refused)
            for rewrite, (clip, style), refused in zip(done, pairs, reasons, strict=True)
        ]
        return _grouped(pairs, finished)

    def _checked(
        self,
        work: Mapping[str, tuple[str, Sequence[Style]]],
        pair: tuple[str, Style],
        answer: ModelAnswer,
        seed: int,
        before: tuple[str, ...],
    ) -> tuple[Rewrite | None, tuple[str, ...]]:
        """The rewrite, or None when the answer fails the checks; and the reasons of all refusals so far."""
        clip, style = pair
        if not answer:
            return None, (*before, answer.cause or "No usable answer came.")
        camera = part_camera_sentence(work[clip][0])[0]
        text = answer.text if answer.text.startswith(camera) else f"{camera} {answer.text}".strip()
        check = self.check(work[clip][0], text, style)
        if not check.passed:
            return None, (*before, " ".join(check.reasons))
        assert self.model is not None
        return Rewrite(text, self.model.name, self.model.model, seed, check, before), before

    def english(self, captions: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        """Captions in English; those in other languages are translated by the model.

        Args:
            captions: clip -> caption in any language.

        Returns:
            (clip -> English caption, clip -> why there is none, as the end of a sentence).
        """
        foreign = {clip: problem for clip, text in captions.items() if (problem := language_problem(text))}
        english = {clip: text for clip, text in captions.items() if clip not in foreign}
        if not foreign or self.model is None:
            return english, foreign
        seeds = [stable_seed(self.seed, clip, "translation") % 2**31 for clip in foreign]
        answers = self.model.answers([translation(captions[clip]) for clip in foreign], seeds)
        failed: dict[str, str] = {}
        for clip, answer in zip(foreign, answers, strict=True):
            problem = f"it {fault}" if (fault := text_fault(answer.text)) else None
            problem = problem if answer else answer.cause.rstrip(".") or "no usable answer came"
            if answer and not problem and not language_problem(answer.text):
                english[clip] = answer.text
            else:
                failed[clip] = f"{foreign[clip]}, and its translation failed: {problem or 'it is not English'}"
        return english, failed


def _grouped(pairs: Sequence[tuple[str, Style]], rewrites: Sequence[Rewrite]) -> dict[str, dict[str, Rewrite]]:
    found: dict[str, dict[str, Rewrite]] = {}
    for (clip, style), rewrite in zip(pairs, rewrites, strict=True):
        found.setdefault(clip, {})[style.name] = rewrite
    return found
