"""Language models as rewriters: vLLM in this process, or any OpenAI-compatible server."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from dreamkit.errors import DreamkitError
from dreamkit.files import nearest
from dreamkit.styles.memory import DEFAULT_MODEL, gpu_memory, refuse_too_large
from dreamkit.styles.prompts import Message, read_answer, schema

log = logging.getLogger(__name__)
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


@dataclass
class ServerRewriter:
    """Any server that speaks OpenAI's chat protocol with JSON-schema answers.

    Args:
        url: its base, up to and with /v1.
        model: a model that it serves; the first one when empty.
        key: its API key; DREAMKIT_SERVER_KEY when empty.
        concurrent: requests under way at a time.
        retries: how often a refused (429, 5xx), timed-out or malformed answer is asked for again.
        timeout: seconds for one answer.
        pause: first wait between tries in seconds; it doubles each time.
        letters: the longest answer.
        max_tokens: tokens of an answer.
    """

    url: str = "http://127.0.0.1:8000/v1"
    model: str = ""
    key: str = ""
    concurrent: int = 64
    retries: int = 3
    timeout: float = 120.0
    pause: float = 1.0
    letters: int = schema()["properties"]["caption"]["maxLength"]
    max_tokens: int = 1024
    on_answer: Callable[[], None] | None = None
    name: str = field(default="server", init=False)

    def connect(self) -> None:
        """Ask the server what it serves, and settle the model.

        Raises:
            DreamkitError: nobody answers, the key is refused, or the model is not served.
        """
        import httpx

        try:
            reply = httpx.get(
                f"{self.url.rstrip('/')}/models", headers=self._headers(), timeout=min(self.timeout, 20.0)
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise DreamkitError(
                f"No server answers at {self.url} ({type(error).__name__}).",
                "Start one with `dreamkit styles serve`, correct server_url, or use the built-in rules.",
            ) from None
        if reply.status_code in (401, 403):
            raise DreamkitError(f"The server at {self.url} refuses the key.", "Set DREAMKIT_SERVER_KEY.")
        try:
            served = [entry["id"] for entry in reply.raise_for_status().json()["data"]]
        except (httpx.HTTPStatusError, ValueError, KeyError, TypeError):
            raise DreamkitError(
                f"What answers at {self.url} is no OpenAI-compatible server (status {reply.status_code}).",
                "The address must end in /v1, as http://127.0.0.1:8000/v1.",
            ) from None
        if not self.model and served:
            self.model = served[0]
        if self.model not in served:
            close = nearest(self.model, served)
            hint = f"Did you mean {close!r}?" if close else f"It serves {', '.join(served) or 'no model'}."
            raise DreamkitError(f"The server at {self.url} does not serve {self.model or 'any model'!r}.", hint)

    def _headers(self) -> dict[str, str]:
        key = self.key or os.environ.get("DREAMKIT_SERVER_KEY", "")
        return {"Authorization": f"Bearer {key}"} if key else {}

    def answers(self, conversations: Sequence[list[Message]], seeds: Sequence[int]) -> list[str | None]:
        """See `ChatModel`. Works inside a running event loop too, as in Jupyter."""
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(1) as pool:
            return pool.submit(lambda: asyncio.run(self._all(conversations, seeds))).result()

    async def _all(self, conversations: Sequence[list[Message]], seeds: Sequence[int]) -> list[str | None]:
        import httpx

        gate = asyncio.Semaphore(self.concurrent)
        limits = httpx.Limits(max_connections=self.concurrent)
        async with httpx.AsyncClient(headers=self._headers(), timeout=self.timeout, limits=limits) as client:
            tasks = [self._one(client, gate, *pair) for pair in zip(conversations, seeds, strict=True)]
            return list(await asyncio.gather(*tasks))

    async def _one(self, client: Any, gate: asyncio.Semaphore, messages: list[Message], seed: int) -> str | None:
        import httpx

        jitter = random.Random(seed)
        for attempt in range(self.retries + 1):
            wait = self.pause * 2**attempt * (0.5 + jitter.random() / 2)
            try:
                async with gate:
                    reply = await client.post(
                        f"{self.url.rstrip('/')}/chat/completions", json=self._request(messages, seed + attempt)
                    )
                if reply.status_code == 429 or reply.status_code >= 500:
                    wait = max(wait, _asked_wait(reply.headers.get("retry-after", "")))
                    raise httpx.HTTPStatusError(str(reply.status_code), request=reply.request, response=reply)
                if reply.status_code >= 400:
                    log.warning("the server refuses a request: %s %s", reply.status_code, reply.text[:300])
                    return None
                caption = read_answer(reply.json()["choices"][0]["message"]["content"])
                if self.on_answer:
                    self.on_answer()
                return caption
            except (httpx.HTTPError, ValueError, KeyError, IndexError, TypeError) as error:
                log.info("answer %d of %d: %s", attempt + 1, self.retries + 1, type(error).__name__)
            if attempt < self.retries:
                await asyncio.sleep(wait)
        return None

    def _request(self, messages: list[Message], seed: int) -> dict[str, Any]:
        held = {"name": "rewrite", "strict": True, "schema": schema(self.letters)}
        return {
            "model": self.model,
            "messages": messages,
            "max_tokens": self.max_tokens,
            "seed": seed % 2**31,
            **SAMPLING,
            "response_format": {"type": "json_schema", "json_schema": held},
            "chat_template_kwargs": {"enable_thinking": False},
        }


def _asked_wait(retry_after: str) -> float:
    """Seconds that a server asks to wait; 0 when it does not say so in seconds; a minute at most."""
    try:
        return min(60.0, max(0.0, float(retry_after)))
    except ValueError:
        return 0.0


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
