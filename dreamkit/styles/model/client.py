"""A language model behind a server as a rewriter: any server that speaks OpenAI's chat protocol."""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from dreamkit.errors import DreamkitError
from dreamkit.styles.model.prompts import Message, read_answer, schema
from dreamkit.styles.model.rewriters import SAMPLING
from dreamkit.workspace.files import nearest

log = logging.getLogger(__name__)


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
