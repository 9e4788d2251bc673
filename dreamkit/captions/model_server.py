"""HTTP client of language model servers that speak OpenAI's chat protocol, such as `vllm serve`."""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx

from dreamkit.errors import DreamkitError

log = logging.getLogger(__name__)
KEY_VARIABLE = "DREAMKIT_SERVER_KEY"
ADDRESS_HINT = "The address must end in /v1, as http://127.0.0.1:8000/v1."
# HTTP statuses. A wrong key, address or model is refused whatever the request.
KEY_REFUSED, NOT_FOUND, TOO_MANY_REQUESTS = (401, 403), 404, 429
MAX_RETRY_AFTER_S = 60.0

Body = dict[str, Any]


class ServerUnavailable(DreamkitError):
    """A server that cannot be reached, refuses the key or the address, or serves no model: no request can succeed."""


@dataclass(frozen=True)
class ModelServer:
    """A server of OpenAI's chat protocol.

    Attributes:
        url: base address, up to and with /v1.
        name: what the server is to the user, for messages.
        hint: what the user can do when the server does not answer.
        key: API key, sent as bearer token; the environment's DREAMKIT_SERVER_KEY when empty.
        timeout_s: seconds without a byte after which a request fails.
    """

    url: str
    name: str = "server"
    hint: str = "Start it with `vllm serve <model>`, or correct its address."
    key: str = field(default="", repr=False)
    timeout_s: float = 300.0

    def models(self) -> list[str]:
        """Names of the served models.

        Raises:
            ServerUnavailable: the server does not answer, refuses, or its answer is no list of models.
        """
        try:
            return [str(entry["id"]) for entry in self._request("GET", "models")["data"]]
        except ServerUnavailable:
            raise
        except DreamkitError as error:
            raise ServerUnavailable(error.message, error.hint) from None
        except (KeyError, TypeError):
            raise ServerUnavailable(
                f"The {self.name} at {self.url} answered something that is no list of models.", ADDRESS_HINT
            ) from None

    def first_model(self) -> str:
        """Name of the first served model.

        Raises:
            ServerUnavailable: as `models`; or the server has no model.
        """
        served = self.models()
        if not served:
            raise ServerUnavailable(f"The {self.name} at {self.url} has no model.", "Start it with a model.")
        return served[0]

    def chat(self, body: Body) -> dict[str, Any]:
        """One chat completion, sent once.

        Args:
            body: the JSON body of the request.

        Returns:
            The whole JSON answer; see `first_text`.

        Raises:
            ServerUnavailable: the server does not answer, or refuses every request.
            DreamkitError: the server refuses this request (the HTTP status is in the message), or its answer is no
                JSON object.
        """
        return self._request("POST", "chat/completions", body)

    def chat_many(
        self,
        body: Callable[[int, int], Body],
        count: int,
        read: Callable[[str], str],
        *,
        concurrent: int = 64,
        retries: int = 3,
        pause_s: float = 1.0,
    ) -> list[str | None]:
        """Many chat completions, sent concurrently. Also works inside a running event loop, as in Jupyter.

        Args:
            body: (index of the request, attempt from 0) -> JSON body.
            count: number of requests.
            read: text of the answer -> result; a ValueError counts as a malformed answer.
            concurrent: requests under way at a time.
            retries: how often a request is repeated after status 429 or 5xx, a timeout or a malformed answer.
            pause_s: first wait between attempts, seconds; it doubles each time.

        Returns:
            One result per request; None where no attempt gave one.
        """
        sending = self._send_all(body, count, read, concurrent, retries, pause_s)
        # A thread of its own, because Jupyter already runs an event loop in this one.
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(asyncio.run, sending).result()

    async def _send_all(
        self,
        body: Callable[[int, int], Body],
        count: int,
        read: Callable[[str], str],
        concurrent: int,
        retries: int,
        pause_s: float,
    ) -> list[str | None]:
        gate = asyncio.Semaphore(concurrent)
        limits = httpx.Limits(max_connections=concurrent)
        async with httpx.AsyncClient(headers=self._headers(), timeout=self.timeout_s, limits=limits) as client:

            async def send(index: int) -> str | None:
                async def post(attempt: int) -> httpx.Response:
                    async with gate:
                        return await client.post(self._url("chat/completions"), json=body(index, attempt))

                return await _first_result(post, read, retries, pause_s, random.Random(index))

            return list(await asyncio.gather(*map(send, range(count))))

    def _url(self, path: str) -> str:
        return f"{self.url.rstrip('/')}/{path}"

    def _headers(self) -> dict[str, str]:
        key = self.key or os.environ.get(KEY_VARIABLE, "").strip()
        if not (key.isascii() and key.isprintable()):
            raise ServerUnavailable(
                f"The key in {KEY_VARIABLE} has characters that an HTTP header cannot hold.", "Copy the key again."
            )
        return {"Authorization": f"Bearer {key}"} if key else {}

    def _request(self, method: str, path: str, body: Body | None = None) -> dict[str, Any]:
        headers = self._headers()
        try:
            reply = httpx.request(method, self._url(path), json=body, headers=headers, timeout=self.timeout_s)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ServerUnavailable(
                f"The {self.name} at {self.url} does not answer ({type(error).__name__}).", self.hint
            ) from None
        if not reply.is_success:
            raise self._refusal(reply.status_code, reply.text[:500].strip() or reply.reason_phrase)
        try:
            answer = reply.json()
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise DreamkitError(
                f"The {self.name} at {self.url} answered something that is no JSON object.", ADDRESS_HINT
            )
        return answer

    def _refusal(self, status: int, reason: str) -> DreamkitError:
        message = f"The {self.name} at {self.url} refused with HTTP status {status}: {reason}."
        if status in KEY_REFUSED:
            return ServerUnavailable(message, f"Set {KEY_VARIABLE} to the server's key.")
        if status == NOT_FOUND:
            return ServerUnavailable(message, f"{ADDRESS_HINT} The model must be one that the server has.")
        return DreamkitError(message, "The server's own log says why.")


async def _first_result(
    post: Callable[[int], Awaitable[httpx.Response]],
    read: Callable[[str], str],
    retries: int,
    pause_s: float,
    jitter: random.Random,
) -> str | None:
    """The first attempt's result that can be read; None after a refusal, or when every attempt failed."""
    for attempt in range(retries + 1):
        wait = pause_s * 2**attempt * (0.5 + jitter.random() / 2)
        try:
            reply = await post(attempt)
            if reply.is_client_error and reply.status_code != TOO_MANY_REQUESTS:
                log.warning("The server refuses a request: %s %s", reply.status_code, reply.text[:300])
                return None
            wait = max(wait, _retry_after_s(reply))
            return read(first_text(reply.raise_for_status().json()))
        except (httpx.HTTPError, ValueError) as error:
            log.info("Attempt %d of %d failed: %s", attempt + 1, retries + 1, type(error).__name__)
        if attempt < retries:
            await asyncio.sleep(wait)
    return None


def first_text(completion: Any) -> str:
    """The text of a chat completion's first choice.

    Raises:
        ValueError: the JSON value is no chat completion.
    """
    try:
        text = completion["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError):
        text = None
    if not isinstance(text, str):
        raise ValueError("no chat completion")
    return text


def _retry_after_s(reply: httpx.Response) -> float:
    """Seconds of a refusal's Retry-After header, a minute at most; 0 when it has none in seconds."""
    try:
        return min(MAX_RETRY_AFTER_S, max(0.0, float(reply.headers.get("retry-after", ""))))
    except ValueError:
        return 0.0
