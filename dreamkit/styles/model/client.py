"""A rewriter of captions that uses a language model on a server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from dreamkit.captions.answers import ModelAnswer
from dreamkit.captions.model_server import ModelServer
from dreamkit.errors import DreamkitError
from dreamkit.styles.model.prompts import LETTERS, Message, read_answer, schema
from dreamkit.styles.model.rewriters import SAMPLING
from dreamkit.workspace.files import nearest

CONNECT_TIMEOUT_S = 20.0


@dataclass
class ServerRewriter:
    """A model on any server of OpenAI's chat protocol that supports JSON-schema answers.

    Attributes:
        url: base address, up to and with /v1.
        model: a model that the server has; `connect` takes its first one when empty.
        key: API key; the environment's DREAMKIT_SERVER_KEY when empty.
        concurrent: requests under way at a time.
        retries: how often a request is repeated after status 429 or 5xx, a timeout or a malformed answer.
        timeout: seconds after which a request fails, from its start to the last byte of the answer.
        pause: first wait between attempts, seconds; it doubles each time.
        letters: letters of an answer at most.
        max_tokens: tokens of an answer at most.
        name: value of "rewriter" in the sidecar.
    """

    url: str = "http://127.0.0.1:8000/v1"
    model: str = ""
    key: str = field(default="", repr=False)
    concurrent: int = 64
    retries: int = 3
    timeout: float = 120.0
    pause: float = 1.0
    letters: int = LETTERS
    max_tokens: int = 1024
    name: str = field(default="server", init=False)

    def connect(self) -> None:
        """Check that the server has the model; where none is named, set `model` to the server's first one.

        Raises:
            ServerUnavailable: the server does not answer, or refuses.
            DreamkitError: the server does not have the model.
        """
        served = self._server(min(self.timeout, CONNECT_TIMEOUT_S)).models()
        if not self.model and served:
            self.model = served[0]
        if self.model not in served:
            close = nearest(self.model, served)
            hint = f"Did you mean {close!r}?" if close else f"It serves {', '.join(served) or 'no model'}."
            raise DreamkitError(f"The server at {self.url} does not serve {self.model or 'any model'!r}.", hint)

    def answers(self, conversations: Sequence[list[Message]], seeds: Sequence[int]) -> list[ModelAnswer]:
        """See `ChatModel`. Works inside a running event loop too, as in Jupyter."""
        return self._server(self.timeout).chat_many(
            lambda index, attempt: self._request(conversations[index], seeds[index] + attempt),
            len(conversations),
            read_answer,
            concurrent=self.concurrent,
            retries=self.retries,
            pause_s=self.pause,
        )

    def _server(self, timeout_s: float) -> ModelServer:
        hint = "Start one with `dreamkit styles serve`, correct the address, or use the built-in rules."
        return ModelServer(self.url, hint=hint, key=self.key, timeout_s=timeout_s)

    def _request(self, messages: list[Message], seed: int) -> dict[str, Any]:
        answer_format = {"name": "rewrite", "strict": True, "schema": schema(self.letters)}
        return {
            "model": self.model,
            "messages": messages,
            "max_tokens": self.max_tokens,
            "seed": seed % 2**31,
            **SAMPLING,
            "response_format": {"type": "json_schema", "json_schema": answer_format},
            "chat_template_kwargs": {"enable_thinking": False},
        }
