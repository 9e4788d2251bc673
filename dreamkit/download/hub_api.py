"""The Hugging Face hub or a mirror: its address, the user's token, and its pages about one repository.

HF_ENDPOINT, HF_HOME, HF_TOKEN and HF_HUB_OFFLINE mean what they mean to `huggingface_hub`, which also finds the token
of a login. Pages and fields: the hub's own documentation, "Hub API Endpoints".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlparse

import httpx

from dreamkit.download.web import Token, WebError, json_answer, without_password

MOST_PARTS = 10_000  # of a list, with up to 1,000 entries each


@dataclass(frozen=True)
class Remote:
    """A file on the hub.

    Attributes:
        size: size in bytes.
        checksum: `sha256:<hex>`, `git-sha1:<hex>` for small files that are in git itself, or None.
    """

    size: int
    checksum: str | None


def endpoint() -> str:
    """URL of the hub, or of the mirror in HF_ENDPOINT."""
    from huggingface_hub import constants

    return constants.ENDPOINT


def shown_endpoint() -> str:
    """`endpoint` for messages and logs: without a user name and password in it."""
    return without_password(endpoint())


def official() -> str:
    """URL of the hub itself, whose licences and tokens count at mirrors too."""
    from huggingface_hub import constants

    return getattr(constants, "_HF_DEFAULT_ENDPOINT", constants.ENDPOINT)


def offline() -> bool:
    """Whether HF_HUB_OFFLINE forbids the network."""
    from huggingface_hub import constants

    return constants.HF_HUB_OFFLINE


def user_token() -> Token:
    """The user's token, from HF_TOKEN or a login, for the hub in use and for the official one."""
    from huggingface_hub import constants, get_token

    secret = "" if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token() or ""
    return Token(secret, frozenset(urlparse(url).hostname or "" for url in (endpoint(), official())))


def has_token() -> bool:
    """Whether there is a token that may be sent to the hub in use; see `Token.header`."""
    return bool(user_token().header(endpoint()))


@dataclass(frozen=True)
class RepositoryPages:
    """The hub's pages about one repository.

    Attributes:
        client: from `open_client`.
        token: the user's.
        url: address of these pages.
    """

    client: httpx.Client = field(repr=False)
    token: Token
    url: str

    def value(self, rest: str = "", body: Any = None) -> Any:
        """The JSON value at a page below; with a body it is sent by POST."""
        return json_answer(self.client, "GET" if body is None else "POST", self.url + rest, self.token, body)[0]

    def entries(self, rest: str) -> list[Any]:
        """All entries of a list that comes in parts.

        Raises:
            WebError: as `json_answer`; or the parts do not end.
        """
        found: list[Any] = []
        at = self.url + rest
        for _ in range(MOST_PARTS):
            part, at = json_answer(self.client, "GET", at, self.token)
            found += part
            if not at:
                return found
        raise WebError(f"{shown_endpoint()} sends a list in more than {MOST_PARTS:,} parts")


def read_remote(file: Mapping[str, Any]) -> Remote:
    """Size and checksum of an entry of the hub's lists."""
    if lfs := file.get("lfs"):
        return Remote(int(lfs.get("size") or file["size"]), f"sha256:{lfs.get('sha256') or lfs['oid']}")
    blob = file.get("blobId") or file.get("oid")
    return Remote(int(file.get("size") or 0), f"git-sha1:{blob}" if blob else None)
