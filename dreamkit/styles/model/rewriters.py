"""Language models as rewriters, and one of them: vLLM in this process."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from dreamkit.errors import DreamkitError
from dreamkit.styles.model.model_sizes import DEFAULT_MODEL, gpu_memory, refuse_too_large
from dreamkit.styles.model.prompts import Message, read_answer, schema

CONTEXT = 4096
# The sampling that Qwen recommends for Qwen3 without thinking.
SAMPLING = {"temperature": 0.7, "top_p": 0.8}


class ChatModel(Protocol):
    """A model that answers many conversations as one batch, each answer held to the schema."""

    name: str
    model: str

    def answers(self, conversations: Sequence[list[Message]], seeds: Sequence[int]) -> list[str | None]:
        """One caption per conversation; None where no usable answer came."""
        ...


def captions_only(answers: Sequence[str]) -> list[str | None]:
    """The captions in answers, None for those that are not in the schema."""
    found: list[str | None] = []
    for answer in answers:
        try:
            found.append(read_answer(answer))
        except ValueError:
            found.append(None)
    return found


@dataclass
class VllmRewriter:
    """vLLM in this process.

    Args:
        model: hub name or folder.
        memory_share: part of the GPU's memory that vLLM may take.
        context: tokens of prompt and answer together.
        letters: the longest answer.
        max_tokens: tokens of an answer.
        eager: skip compilation; for short runs and small models.
    """

    model: str = DEFAULT_MODEL
    memory_share: float = 0.9
    context: int = CONTEXT
    letters: int = schema()["properties"]["caption"]["maxLength"]
    max_tokens: int = 1024
    eager: bool = False
    name: str = field(default="vllm", init=False)
    _engine: Any = field(default=None, init=False, repr=False)

    def engine(self) -> Any:
        """The engine, loaded on first use and once.

        Raises:
            DreamkitError: vLLM is not installed, the model is too large for the GPU or cannot be loaded.
        """
        if self._engine is not None:
            return self._engine
        refuse_without_vllm()
        refuse_missing_folder(self.model)
        memory = gpu_memory()
        refuse_too_large(self.model, self.memory_share, self.context, memory)
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        import vllm

        try:
            self._engine = vllm.LLM(
                model=self.model,
                gpu_memory_utilization=self.memory_share,
                max_model_len=self.context,
                enable_prefix_caching=True,
                enforce_eager=self.eager,
                # Without a GPU, vLLM 0.32 dies of a request with a seed whose prompt it cuts into chunks.
                enable_chunked_prefill=memory is not None,
                seed=0,
            )
        except Exception as error:
            raise load_error(self.model, str(error)) from error
        return self._engine

    def answers(self, conversations: Sequence[list[Message]], seeds: Sequence[int]) -> list[str | None]:
        """See `ChatModel`; a malformed answer is asked for once more with another seed."""
        found = self.ask(conversations, seeds)
        again = [index for index, caption in enumerate(found) if caption is None]
        if again:
            retried = self.ask([conversations[i] for i in again], [seeds[i] + 1 for i in again])
            for index, caption in zip(again, retried, strict=True):
                found[index] = caption
        return found

    def ask(self, conversations: Sequence[list[Message]], seeds: Sequence[int]) -> list[str | None]:
        """Answer all conversations in one call of the engine, each once; None for an answer outside the schema."""
        if not conversations:
            return []
        engine = self.engine()
        from vllm import SamplingParams
        from vllm.sampling_params import StructuredOutputsParams

        held = StructuredOutputsParams(json=schema(self.letters))
        sampling = [
            SamplingParams(**SAMPLING, seed=seed % 2**31, max_tokens=self.max_tokens, structured_outputs=held)
            for seed in seeds
        ]
        outputs = engine.chat(
            list(conversations), sampling, use_tqdm=False, chat_template_kwargs={"enable_thinking": False}
        )
        return captions_only([output.outputs[0].text for output in outputs])


def refuse_without_vllm() -> None:
    """Refuse when vLLM is not installed, naming the extra that brings it."""
    if importlib.util.find_spec("vllm") is None:
        raise DreamkitError(
            "vLLM is not installed, so no language model can run in this process.",
            'Install it with pip install "dreamkit[gpu]", point to a server, or use the built-in rules.',
        )


def refuse_missing_folder(model: str) -> None:
    """Refuse a model that is meant as a folder and is not there."""
    looks_local = model.startswith((".", "/", "~")) or model.count("/") > 1
    if looks_local and not (Path(model).expanduser() / "config.json").is_file():
        raise DreamkitError(
            f"There is no model at {model}: it has no config.json.",
            f"Give a model folder or a hub name such as {DEFAULT_MODEL}.",
        )


def load_error(model: str, text: str) -> DreamkitError:
    """A model's loading error in a user's words."""
    small = text.lower()
    tail = text.strip().splitlines()[-1][-300:] if text.strip() else "no message"
    if "out of memory" in small or "no available memory" in small or "free memory on device" in small:
        return DreamkitError(
            f"The GPU memory does not suffice for {model}: {tail}",
            "Choose a smaller model such as Qwen/Qwen3-4B, raise the memory share, or free the GPU.",
        )
    missing = (
        "not a valid model identifier",
        "repositorynotfound",
        "404",
        "can't load",
        "couldn't connect",
        "localentrynotfound",
    )
    if any(
        word in small for word in (*missing, "invalid repository id", "no such file", "does not appear to have a file")
    ):
        return DreamkitError(
            f"The model {model} cannot be found: {tail}",
            "Check its name, the connection (or HF_ENDPOINT), or give the folder of a downloaded model.",
        )
    return DreamkitError(f"The model {model} cannot be loaded: {tail}", "The log above has vLLM's full message.")
