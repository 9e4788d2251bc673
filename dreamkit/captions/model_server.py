"""HTTP client of language model servers that speak OpenAI's chat protocol, such as `vllm serve`."""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx

from dreamkit.captions.answers import ModelAnswer, NoAnswerText, answer_text
from dreamkit.errors import DreamkitError, first_line
from dreamkit.workspace.this_machine import uses_proxy

log = logging.getLogger(__name__)
KEY_VARIABLE = "DREAMKIT_SERVER_KEY"
ADDRESS_HINT = "The address must end in /v1, as http://127.0.0.1:8000/v1."
# HTTP statuses. A wrong key, address or model is refused whatever the request.
KEY_REFUSED, NOT_FOUND, TOO_MANY_REQUESTS, BAD_REQUEST = (401, 403), 404, 429, 400
# So many requests that the server cannot use, and none that it can: the others would be refused too.
BAD_REQUESTS = 3
MAX_RETRY_AFTER_S = 60.0

Body = dict[str, Any]
Result = TypeVar("Result")


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
        timeout_s: seconds after which a request fails, from its start to the last byte of the answer.
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
            The whole JSON answer; see `answers.answer_text`.

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
    ) -> list[ModelAnswer]:
        """Many chat completions, sent concurrently. Also works inside a running event loop, as in Jupyter.

        Args:
            body: (index of the request, attempt from 0) -> JSON body.
            count: number of requests.
            read: text of the answer -> result; NoAnswerText says why it is malformed.
            concurrent: requests under way at a time.
            retries: how often a request is repeated after status 429 or 5xx, a timeout or a malformed answer.
            pause_s: first wait between attempts, seconds; it doubles each time.

        Returns:
            One answer per request, with the cause where no attempt gave one.

        Raises:
            ServerUnavailable: the server refuses the key, the address or the model.
            DreamkitError: the server refuses the first requests as malformed (HTTP status 400); no other is sent.
        """
        sending = self._send_all(body, count, read, concurrent, retries, pause_s)
        return _in_thread(sending)

    async def _send_all(
        self,
        body: Callable[[int, int], Body],
        count: int,
        read: Callable[[str], str],
        concurrent: int,
        retries: int,
        pause_s: float,
    ) -> list[ModelAnswer]:
        gate = asyncio.Semaphore(concurrent)
        limits = httpx.Limits(max_connections=concurrent)
        refused: list[DreamkitError] = []
        answered = 0
        async with self._client(limits) as client:

            async def send(index: int) -> ModelAnswer:
                nonlocal answered

                async def post(attempt: int) -> httpx.Response:
                    async with gate:
                        sent = client.post(self._url("chat/completions"), json=body(index, attempt))
                        return await asyncio.wait_for(sent, self.timeout_s)

                def check(reply: httpx.Response) -> None:
                    nonlocal answered
                    answered += reply.is_success
                    if not reply.is_client_error or reply.status_code == TOO_MANY_REQUESTS:
                        return
                    error = self._refusal(reply.status_code, _reason(reply))
                    if isinstance(error, ServerUnavailable):
                        raise error
                    refused.append(error)
                    if not answered and reply.status_code == BAD_REQUEST and len(refused) >= min(BAD_REQUESTS, count):
                        raise error

                return await _first_result(post, check, read, retries, pause_s, random.Random(index), self.timeout_s)

            tasks = [asyncio.ensure_future(send(index)) for index in range(count)]
            try:
                return list(await asyncio.gather(*tasks))
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def _url(self, path: str) -> str:
        return f"{self.url.rstrip('/')}/{path}"

    def _headers(self) -> dict[str, str]:
        key = self.key or os.environ.get(KEY_VARIABLE, "").strip()
        if not (key.isascii() and key.isprintable()):
            raise ServerUnavailable(
                f"The key in {KEY_VARIABLE} has characters that an HTTP header cannot hold.", "Copy the key again."
            )
        return {"Authorization": f"Bearer {key}"} if key else {}

    def _client(self, limits: httpx.Limits | None = None) -> httpx.AsyncClient:
        """A client with the environment's proxies, but none for addresses of this machine."""
        headers = self._headers()
        try:
            return httpx.AsyncClient(
                headers=headers, timeout=self.timeout_s, limits=limits or httpx.Limits(), trust_env=uses_proxy(self.url)
            )
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            raise ServerUnavailable(
                f"The proxy of the environment cannot be used for the {self.name} at {self.url} ({first_line(error)}).",
                "Correct or unset ALL_PROXY, HTTP_PROXY and HTTPS_PROXY.",
            ) from None

    def _request(self, method: str, path: str, body: Body | None = None) -> dict[str, Any]:
        async def send() -> httpx.Response:
            async with self._client() as client:
                return await asyncio.wait_for(client.request(method, self._url(path), json=body), self.timeout_s)

        try:
            reply = _in_thread(send())
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise ServerUnavailable(
                f"The {self.name} at {self.url} does not answer ({type(error).__name__}).", self.hint
            ) from None
        if not reply.is_success:
            raise self._refusal(reply.status_code, _reason(reply))
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


def _in_thread(work: Coroutine[Any, Any, Result]) -> Result:
    """The result of a coroutine, run in a thread of its own, because Jupyter already runs an event loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


async def _first_result(
    post: Callable[[int], Awaitable[httpx.Response]],
    check: Callable[[httpx.Response], None],
    read: Callable[[str], str],
    retries: int,
    pause_s: float,
    jitter: random.Random,
    timeout_s: float,
) -> ModelAnswer:
    """The first attempt's result that can be read; the cause of the last failure when there is none."""
    cause = ""
    for attempt in range(retries + 1):
        wait = pause_s * 2**attempt * (0.5 + jitter.random() / 2)
        try:
            reply = await post(attempt)
            check(reply)
            if not reply.is_success:
                cause = f"The server refused with HTTP status {reply.status_code}: {_reason(reply)[:160]}."
            if reply.is_client_error and reply.status_code != TOO_MANY_REQUESTS:
                log.warning("%s", cause)
                return ModelAnswer(cause=cause)
            wait = max(wait, _retry_after_s(reply))
            if reply.is_success:
                return ModelAnswer(read(answer_text(reply.json())))
        except (TimeoutError, httpx.TimeoutException):
            cause = f"The server did not answer within {timeout_s:g} s."
        except httpx.HTTPError as error:
            cause = f"The connection failed ({type(error).__name__})."
        except NoAnswerText as error:
            cause = str(error)
        except ValueError:
            cause = "The answer is no JSON."
        log.info("Attempt %d of %d failed: %s", attempt + 1, retries + 1, cause)
        if attempt < retries:
            await asyncio.sleep(wait)
    return ModelAnswer(cause=cause)


def _reason(reply: httpx.Response) -> str:
    return reply.text[:500].strip().rstrip(".") or reply.reason_phrase


def _retry_after_s(reply: httpx.Response) -> float:
    """Seconds of a refusal's Retry-After header, a minute at most; 0 when it has none in seconds."""
    try:
        return min(MAX_RETRY_AFTER_S, max(0.0, float(reply.headers.get("retry-after", ""))))
    except ValueError:
        return 0.0
