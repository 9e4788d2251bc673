"""The interface of language models that rewrite captions, and vLLM in this process."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from dreamkit.captions.answers import ModelAnswer, NoAnswerText, plain_answer
from dreamkit.errors import DreamkitError
from dreamkit.styles.model.model_sizes import DEFAULT_MODEL, gpu_memory, refuse_too_large
from dreamkit.styles.model.prompts import LETTERS, Message, read_answer, schema

CONTEXT = 4096
# Recommended by Qwen3's model card for answers without thinking.
SAMPLING = {"temperature": 0.7, "top_p": 0.8, "top_k": 20}


class ChatModel(Protocol):
    """A model that answers many conversations as one batch, each answer in the schema of `prompts`.

    Attributes:
        name: value of "rewriter" in the sidecar.
        model: name of the model.
    """

    name: str
    model: str

    def answers(self, conversations: Sequence[list[Message]], seeds: Sequence[int]) -> list[ModelAnswer]:
        """One caption per conversation, or the cause where no usable answer came.

        Args:
            conversations: the messages of each conversation.
            seeds: one sampling seed per conversation.
        """
        ...


def captions_only(answers: Sequence[str], cut_off: Sequence[bool] = ()) -> list[ModelAnswer]:
    """The captions of the answers, or why there is none.

    Args:
        answers: texts that the model wrote.
        cut_off: which of them ended at the token limit; none when empty.
    """
    found: list[ModelAnswer] = []
    for index, answer in enumerate(answers):
        try:
            found.append(ModelAnswer(read_answer(plain_answer(answer, bool(cut_off) and cut_off[index]))))
        except NoAnswerText as error:
            found.append(ModelAnswer(cause=str(error)))
    return found


@dataclass
class VllmRewriter:
    """A model run by vLLM in this process.

    Attributes:
        model: hub name or folder.
        memory_share: part of the GPU's memory that vLLM may take, 0 to 1.
        context: tokens of prompt and answer together.
        letters: letters of an answer at most.
        max_tokens: tokens of an answer at most.
        eager: skip compilation; for short runs and small models.
        name: value of "rewriter" in the sidecar.
    """

    model: str = DEFAULT_MODEL
    memory_share: float = 0.9
    context: int = CONTEXT
    letters: int = LETTERS
    max_tokens: int = 1024
    eager: bool = False
    name: str = field(default="vllm", init=False)
    _engine: Any = field(default=None, init=False, repr=False)

    def engine(self) -> Any:
        """The vLLM engine; loaded at the first call.

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
        import vllm  # pyright: ignore[reportMissingImports] - an optional extra

        try:
            self._engine = vllm.LLM(
                model=self.model,
                gpu_memory_utilization=self.memory_share,
                max_model_len=self.context,
                enable_prefix_caching=True,
                enforce_eager=self.eager,
                # Without a GPU, vLLM 0.32 crashes at a request with a seed whose prompt it splits into chunks.
                enable_chunked_prefill=memory is not None,
                seed=0,
            )
        except Exception as error:
            raise load_error(self.model, str(error)) from error
        return self._engine

    def answers(self, conversations: Sequence[list[Message]], seeds: Sequence[int]) -> list[ModelAnswer]:
        """See `ChatModel`; a malformed answer is requested once more with another seed."""
        found = self.ask(conversations, seeds)
        again = [index for index, caption in enumerate(found) if not caption]
        if again:
            retried = self.ask([conversations[i] for i in again], [seeds[i] + 1 for i in again])
            for index, caption in zip(again, retried, strict=True):
                found[index] = caption
        return found

    def ask(self, conversations: Sequence[list[Message]], seeds: Sequence[int]) -> list[ModelAnswer]:
        """As `answers`, in one call of the engine and without a second request."""
        if not conversations:
            return []
        engine = self.engine()
        from vllm import SamplingParams  # pyright: ignore[reportMissingImports] - an optional extra
        from vllm.sampling_params import StructuredOutputsParams  # pyright: ignore[reportMissingImports]

        schema_params = StructuredOutputsParams(json=schema(self.letters))
        sampling = [
            SamplingParams(**SAMPLING, seed=seed % 2**31, max_tokens=self.max_tokens, structured_outputs=schema_params)
            for seed in seeds
        ]
        outputs = engine.chat(
            list(conversations), sampling, use_tqdm=False, chat_template_kwargs={"enable_thinking": False}
        )
        first = [output.outputs[0] for output in outputs]
        return captions_only([one.text for one in first], [one.finish_reason == "length" for one in first])


def refuse_without_vllm() -> None:
    """Check that vLLM is installed.

    Raises:
        DreamkitError: it is not; the hint names the extra that installs it.
    """
    if importlib.util.find_spec("vllm") is None:
        raise DreamkitError(
            "The package vLLM is not installed, so no language model can run in this process.",
            'Install it with `pip install "dreamkit[gpu]"`, use a server, or use the built-in rules.',
        )


def refuse_missing_folder(model: str) -> None:
    """Check that a model that is named by a path exists.

    Raises:
        DreamkitError: the folder has no config.json.
    """
    looks_local = model.startswith((".", "/", "~")) or model.count("/") > 1
    if looks_local and not (Path(model).expanduser() / "config.json").is_file():
        raise DreamkitError(
            f"There is no model at {model}: it has no config.json.",
            f"Give a model folder or a hub name such as {DEFAULT_MODEL}.",
        )


def load_error(model: str, text: str) -> DreamkitError:
    """The error for a user when vLLM could not load a model.

    Args:
        model: hub name or folder.
        text: the message of vLLM's exception, or the end of its log.
    """
    small = text.lower()
    tail = text.strip().splitlines()[-1][-300:].rstrip(".") if text.strip() else "no message"
    if "out of memory" in small or "no available memory" in small or "free memory on device" in small:
        return DreamkitError(
            f"The GPU memory does not suffice for {model}: {tail}.",
            "Choose a smaller model such as Qwen/Qwen3-4B, raise the memory share, or free the GPU.",
        )
    missing = (
        "not a valid model identifier",
        "repositorynotfound",
        "404",
        "can't load",
        "couldn't connect",
        "localentrynotfound",
        "invalid repository id",
        "no such file",
        "does not appear to have a file",
    )
    if any(words in small for words in missing):
        return DreamkitError(
            f"The model {model} cannot be found: {tail}.",
            "Check its name, the connection (or HF_ENDPOINT), or give the folder of a downloaded model.",
        )
    return DreamkitError(f"The model {model} cannot be loaded: {tail}.", "The log above has vLLM's full message.")
