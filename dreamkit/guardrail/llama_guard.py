"""Llama Guard 3: a language model that answers `safe`, or `unsafe` and the categories, for a prompt.

Source: cosmos-transfer1 auxiliary/guardrail/llamaGuard3 (the prompt is the user's only turn, 100 new tokens); the
categories are those of the model card of meta-llama/Llama-Guard-3-8B. Upstream samples as the model's configuration
sets it, and takes every answer without the word `unsafe` for safe; here the most probable answer counts, and one of
another form blocks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from dreamkit.errors import DreamkitError, first_line
from dreamkit.guardrail.batches import batched, free_gpu
from dreamkit.guardrail.choice import LLAMA_GUARD
from dreamkit.guardrail.model_files import DOWNLOAD, check_files, llama_folder, need_libraries
from dreamkit.guardrail.verdicts import FAILED, SAFE, UNSAFE, CheckVerdict

CATEGORIES = {
    "S1": "Violent Crimes",
    "S2": "Non-Violent Crimes",
    "S3": "Sex Crimes",
    "S4": "Child Exploitation",
    "S5": "Defamation",
    "S6": "Specialized Advice",
    "S7": "Privacy",
    "S8": "Intellectual Property",
    "S9": "Indiscriminate Weapons",
    "S10": "Hate",
    "S11": "Self-Harm",
    "S12": "Sexual Content",
    "S13": "Elections",
    "S14": "Code Interpreter Abuse",
}
NEW_TOKENS = 100
BATCH = 8
_CONTROL = re.compile(r"<\|[^|<>\s]+\|>")  # tokens that end a turn or begin another one


class LlamaGuardCheck:
    """The check `llama_guard`.

    Args:
        model: a causal language model, in evaluation mode on `device`.
        tokenizer: its tokenizer, with a chat template.
        device: the model's device.
        batch: prompts at a time.
    """

    name = LLAMA_GUARD

    def __init__(self, model: Any, tokenizer: Any, device: torch.device, batch: int = BATCH) -> None:
        self.model: Any = model
        self.tokenizer, self.device, self.batch = tokenizer, device, batch
        self.tokenizer.padding_side = "left"  # the answer follows the last token of the prompt
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token

    @classmethod
    def load(cls, root: Path, device: torch.device) -> LlamaGuardCheck:
        """The check with the files of the checkpoint folder `root`; bfloat16, 16 GB.

        Raises:
            DreamkitError: a library or a file is missing or cannot be used.
        """
        need_libraries(LLAMA_GUARD)
        check_files(LLAMA_GUARD, root)
        folder = llama_folder(root)
        try:
            from transformers import AutoModelForCausalLM, AutoTokenizer

            tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
            model: Any = AutoModelForCausalLM.from_pretrained(
                str(folder), local_files_only=True, dtype=torch.bfloat16, use_safetensors=True
            )
        except Exception as error:  # transformers raises many types here
            raise DreamkitError(f"Llama Guard in {folder} cannot be loaded: {first_line(error)}.", DOWNLOAD) from error
        if not tokenizer.chat_template:
            raise DreamkitError(f"The tokenizer of Llama Guard in {folder} has no chat template.", DOWNLOAD)
        return cls(model.to(device).eval(), tokenizer, device)

    def read(self, texts: Sequence[str]) -> list[CheckVerdict]:
        """See `PromptCheck`. Prompts of similar length share a batch."""
        clean = [text for text in texts if text.strip() and not _CONTROL.search(text)]
        order = sorted(dict.fromkeys(clean), key=len)
        answers = batched(lambda start, stop: self._answers(order[start:stop]), len(order), self.batch)
        found = dict(zip(order, map(parse_verdict, answers), strict=True))
        return [found[text] if text in found else _refused(text) for text in texts]

    def _answers(self, texts: Sequence[str]) -> list[str]:
        """The model's answers, without special tokens."""
        categories = {key: f"{name}." for key, name in CATEGORIES.items()}
        chats = [
            self.tokenizer.apply_chat_template(
                [{"role": "user", "content": text}], categories=categories, tokenize=False, add_generation_prompt=True
            )
            for text in texts
        ]
        tokens = self.tokenizer(chats, add_special_tokens=False, padding=True, return_tensors="pt").to(self.device)
        length = tokens["input_ids"].shape[1]
        most = getattr(self.model.config, "max_position_embeddings", None)
        if most and length + NEW_TOKENS > most:
            raise DreamkitError(
                f"A prompt has {length} tokens; Llama Guard reads {most - NEW_TOKENS}.", "Shorten the prompt."
            )
        with torch.inference_mode():
            made = self.model.generate(
                input_ids=tokens["input_ids"],
                attention_mask=tokens["attention_mask"],
                max_new_tokens=NEW_TOKENS,
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
                pad_token_id=self.tokenizer.pad_token_id,
            )
        return self.tokenizer.batch_decode(made[:, length:], skip_special_tokens=True)

    def release(self) -> None:
        """Free the model's memory."""
        self.model = None
        free_gpu(self.device)


def _refused(text: str) -> CheckVerdict:
    if not text.strip():
        return CheckVerdict(LLAMA_GUARD, UNSAFE, "the prompt is empty")
    token = _CONTROL.findall(text)[0]
    return CheckVerdict(LLAMA_GUARD, UNSAFE, f"the prompt holds {token}, a control token of language models")


def parse_verdict(answer: str) -> CheckVerdict:
    """The verdict in an answer: the line `safe`, or the line `unsafe` and one with categories; FAILED for any other."""
    lines = [line.strip() for line in answer.splitlines() if line.strip()]
    scores = {"answer": " / ".join(lines)[:200]}
    if lines == ["safe"]:
        return CheckVerdict(LLAMA_GUARD, SAFE, scores=scores)
    if lines[:1] == ["unsafe"]:
        keys = [key.strip() for line in lines[1:] for key in line.split(",")]
        named = [f"{key} {CATEGORIES.get(key, 'of no known category')}" for key in keys]
        return CheckVerdict(
            LLAMA_GUARD, UNSAFE, f"Llama Guard answers unsafe: {', '.join(named) or 'no category'}", scores
        )
    return CheckVerdict(LLAMA_GUARD, FAILED, f"Llama Guard's answer {scores['answer'][:60]!r} is not known", scores)
