"""Requests to the hub or a mirror: patience with refusals for now, redirects, the token, pages in place of data.

Every request goes through `answer`. The token is sent to the hosts that the user chose and to no other; see
`Token.header`.
"""

from __future__ import annotations

import contextlib
import email.utils
import logging
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any
from urllib.parse import urljoin, urlparse

import httpx

from dreamkit.errors import DreamkitError, first_line
from dreamkit.workspace.parsing import parse_json
from dreamkit.workspace.this_machine import is_this_machine

log = logging.getLogger(__name__)
FOR_NOW = frozenset((408, 425, 429, 500, 502, 503, 504))
"""HTTP statuses after which the same request may succeed later."""
TRIES = 6
"""Requests of one thing, without progress in between."""
QUIET_TRIES, QUIET_SECONDS = 2, 5.0
"""Refusals for now that are not told: the first tries, with waits up to this."""
LONGEST_WAIT = 60.0
"""Most seconds between two tries, also when the server's Retry-After says more."""
REDIRECTS = 8
BLOCK = 10 * 2**20
"""Bytes that are written at once; a download that is cut off goes on after the last whole block."""
TIMEOUT = httpx.Timeout(60, connect=10)
UNREACHABLE = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError)
"""Failures that seldom pass: tried UNREACHABLE_TRIES times only."""
UNREACHABLE_TRIES = 3
MOST_LIST_BYTES = 2**28
"""Bytes of one answer of the hub's pages, decompressed; the list of a repository with 100,000 files has some 30 MB."""
PAGE = "a web page came instead of data, such as a login page of this network or its proxy"


class WebError(Exception):
    """A request that failed for good.

    Attributes:
        reason: why, as a phrase.
        status: HTTP status; 0 without an answer.
        code: the hub's own code (header X-Error-Code), or empty.
        redirect: for a refusal by a host that another one redirected to and that does not get the token: that, and
            what to do, as a phrase; else empty.
    """

    def __init__(self, reason: str, status: int = 0, code: str = "", redirect: str = "") -> None:
        super().__init__(reason)
        self.reason, self.status, self.code, self.redirect = reason, status, code, redirect


@dataclass(frozen=True)
class Token:
    """The user's token and where it may go.

    Attributes:
        secret: the token; empty for none.
        hosts: names of the hosts that the user chose.
    """

    secret: str = field(repr=False)
    hosts: frozenset[str] = frozenset()

    def header(self, url: str) -> dict[str, str]:
        """The Authorization header for a URL: empty for other hosts, and over http except on this machine."""
        address = urlparse(url)
        host = address.hostname or ""
        private = address.scheme == "https" or is_this_machine(host)
        if not self.secret or not private or not (host in self.hosts or self._also_here(host)):
            return {}
        return {"Authorization": f"Bearer {self.secret}"}

    def _also_here(self, host: str) -> bool:
        """Whether a host is another name of this machine, and the user chose this machine."""
        return is_this_machine(host) and any(map(is_this_machine, self.hosts))


def open_client() -> httpx.Client:
    """A client that uses the proxies of the environment, but none for addresses of this machine.

    Raises:
        WebError: the environment names a proxy that cannot be used.
    """
    direct = {f"all://{host}": None for host in ("127.0.0.1", "localhost", "[::1]")}
    try:
        return httpx.Client(
            timeout=TIMEOUT, mounts=direct, headers={"Accept-Encoding": "identity", "User-Agent": "dreamkit"}
        )
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise WebError(
            f"the proxy in {proxies_in_use() or 'the environment'} cannot be used ({first_line(error)}); http://, "
            "https://, socks5:// and socks5h:// can"
        ) from None


def proxies_in_use() -> str:
    """The environment's proxies without passwords, as `NAME=address, ...`; empty without any."""
    names = [name for name in ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY") if _variable(name)]
    return ", ".join(f"{name}={without_password(_variable(name))}" for name in names)


def _variable(name: str) -> str:
    return os.environ.get(name) or os.environ.get(name.lower()) or ""


def without_password(url: str) -> str:
    """A URL without the user name and password before its host, for messages."""
    scheme, slashes, rest = url.partition("//") if "//" in url else ("", "", url)
    host, slash, path = rest.partition("/")
    return f"{scheme}{slashes}{host.rpartition('@')[2]}{slash}{path}"


def _host(url: str) -> str:
    """Host and port of a URL."""
    return urlparse(without_password(url)).netloc


@contextlib.contextmanager
def answer(
    client: httpx.Client,
    method: str,
    url: str,
    token: Token,
    headers: Mapping[str, str] | None = None,
    body: Any = None,
) -> Iterator[httpx.Response]:
    """The answer with a status below 300, its content not read yet.

    Refusals for now (FOR_NOW) and failed connections are tried again, TRIES times in all, after the time that the
    server asks for or after 1, 2, 4, ... seconds. Redirects are followed.

    Args:
        client: from `open_client`.
        method: the HTTP verb.
        url: the address.
        token: sent where `Token.header` allows.
        headers: further headers.
        body: sent as JSON; None for no body.

    Raises:
        WebError: no answer, or one with another status.
    """
    for attempt in range(1, TRIES + 1):
        response = None
        try:
            response = _follow(client, method, url, token, headers or {}, body)
            if response.status_code not in FOR_NOW or attempt == TRIES:
                break
            reason, wait = _status(response), _retry_after(response)
            response.close()
        except httpx.TransportError as error:
            reason, wait = f"the connection failed ({first_line(error) or type(error).__name__})", None
            if isinstance(error, httpx.UnsupportedProtocol):
                raise WebError(f"{without_password(url)[:80]} is no web address; it must begin with https://") from None
            if attempt == TRIES or (isinstance(error, UNREACHABLE) and attempt >= UNREACHABLE_TRIES):
                raise WebError(reason) from None
        except (httpx.InvalidURL, ValueError) as error:
            raise WebError(f"{without_password(url)[:80]} is no web address ({first_line(error)})") from None
        seconds = min(2.0 ** (attempt - 1) if wait is None else wait, LONGEST_WAIT)
        # The first waits are short and common; with many files each of them would be a line.
        level = logging.WARNING if attempt > QUIET_TRIES or seconds > QUIET_SECONDS else logging.DEBUG
        log.log(level, "%s: %s; again in %.0f s", _host(url), reason, seconds)
        time.sleep(seconds)
    assert response is not None  # as the loop ends with a response or raises
    try:
        if response.status_code >= 300:
            code = response.headers.get("X-Error-Code", "")
            raise WebError(_status(response), response.status_code, code, _redirected(url, response, token))
        yield response
    finally:
        response.close()


def _follow(
    client: httpx.Client, method: str, url: str, token: Token, headers: Mapping[str, str], body: Any
) -> httpx.Response:
    """The last answer of a chain of redirects; the token goes with each step that `Token.header` allows."""
    for _ in range(REDIRECTS):
        request = client.build_request(method, url, headers={**headers, **token.header(url)}, json=body)
        response = client.send(request, stream=True, follow_redirects=False)
        if not response.has_redirect_location:
            return response
        response.close()
        target = urljoin(url, response.headers["Location"])
        if urlparse(target).scheme not in ("http", "https"):
            raise WebError(f"{_host(url)} redirects to {without_password(target)[:80]}, which is no web address")
        if response.status_code == 303:
            method, body = "GET", None
        url = target
    raise WebError(f"{_host(url)} redirects in a circle")


def _redirected(url: str, response: httpx.Response, token: Token) -> str:
    """For a refused request: that it was redirected to a host that does not get the token; else empty."""
    host, end = urlparse(url).hostname, response.request.url
    if response.status_code not in (401, 403) or end.host == host or not token.secret or token.header(str(end)):
        return ""
    return (
        f"{host} redirects to {end.host}, to which the token is not sent: if you trust it, set "
        f"HF_ENDPOINT={end.scheme}://{end.netloc.decode()}"
    )


def _status(response: httpx.Response) -> str:
    return f"{response.url.host} answers {response.status_code} {response.reason_phrase}".rstrip()


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds that the Retry-After header says, given as a number or as a date; None without it."""
    said = response.headers.get("Retry-After", "").strip()
    if not said:
        return None
    with contextlib.suppress(ValueError):
        return max(0.0, float(said))
    with contextlib.suppress(ValueError, TypeError):
        return max(0.0, email.utils.parsedate_to_datetime(said).timestamp() - time.time())
    return None


def is_page(response: httpx.Response, file: str = "") -> bool:
    """Whether the answer is a web page; a file that is one by its name is none here."""
    kind = response.headers.get("Content-Type", "").split(";")[0].strip().lower()
    return kind in ("text/html", "application/xhtml+xml") and not file.endswith((".html", ".htm"))


def json_answer(client: httpx.Client, method: str, url: str, token: Token, body: Any = None) -> tuple[Any, str]:
    """The JSON value of an answer, and the URL of the next part of a list; empty at the end.

    An answer that is cut off is requested again, TRIES times in all.

    Raises:
        WebError: as `answer`; or the answer is no JSON, too long, or never whole.
    """
    for attempt in range(TRIES):
        with answer(client, method, url, token, body=body) as response:
            host, status = response.url.host, response.status_code
            if is_page(response):
                raise WebError(PAGE, status)
            data = bytearray()
            try:
                for block in response.iter_bytes(BLOCK):
                    data += block
                    if len(data) > MOST_LIST_BYTES:
                        raise WebError(f"{host} answers with a list of over {MOST_LIST_BYTES:,} bytes", status)
            except httpx.HTTPError as error:
                if attempt == TRIES - 1:
                    raise WebError(f"the connection failed ({first_line(error) or type(error).__name__})") from None
                time.sleep(2.0**attempt)
                continue
        try:
            return parse_json(data.decode() or "null", "The list"), response.links.get("next", {}).get("url", "")
        except (UnicodeDecodeError, DreamkitError):
            raise WebError(f"{host} answers with something that is no JSON", status) from None
    raise AssertionError  # as the loop returns or raises


def download(client: httpx.Client, url: str, token: Token, part: IO[bytes], size: int | None, file: str) -> None:
    """Append a file's missing bytes to `part`; goes on after a connection that is cut off.

    Args:
        client: from `open_client`.
        url: the file's address.
        token: sent where `Token.header` allows.
        part: the incomplete file, opened for appending.
        size: size of the whole file in bytes, where known.
        file: its name, which says whether a web page is expected.

    Raises:
        WebError: as `answer`; a page came instead of the file; more bytes than the file has; the connection ended too
            early TRIES times in a row.
        OSError: the file cannot be written.
    """
    failures = 0
    while True:
        done = part.seek(0, os.SEEK_END)
        if size is not None and done > size:
            done = _empty(part)
        if done and done == size:
            return
        reason = ""
        span = {"Range": f"bytes={done}-"} if done else {}
        try:
            with answer(client, "GET", url, token, span) as response:
                if is_page(response, file):
                    raise WebError(PAGE, response.status_code)
                if span and "Content-Encoding" in response.headers:  # a part of the compressed file is of no use
                    _empty(part)
                    continue
                if done and response.status_code != 206:  # the server sends the whole file
                    _empty(part)
                for block in response.iter_bytes(BLOCK):
                    part.write(block)
                    if size is not None and part.tell() > size:
                        _empty(part)
                        raise WebError(f"{response.url.host} sends more than the {size:,} bytes that are listed")
        except httpx.HTTPError as error:
            reason = f"the connection failed ({first_line(error) or type(error).__name__})"
        except WebError as error:
            if error.status != 416 or not done:
                raise
            _empty(part)  # what is here is not a beginning of the file
        now = part.seek(0, os.SEEK_END)
        if not reason and (size is None or now >= size):
            return
        failures = 0 if now > done else failures + 1
        if failures >= TRIES:
            raise WebError(reason or f"the connection ended after {now:,} of {size:,} bytes")
        if failures:
            time.sleep(min(2.0 ** (failures - 1), LONGEST_WAIT))


def _empty(part: IO[bytes]) -> int:
    """Remove all bytes of an open file; returns its size, 0."""
    part.seek(0)
    return part.truncate()
