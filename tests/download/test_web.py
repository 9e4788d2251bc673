"""Requests against a small local server: refusals for now, redirects and the token, pages in place of data, proxies."""

import email.utils
import gzip
import io
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from huggingface_hub import constants

from dreamkit.captions.model_server import ModelServer, ServerUnavailable
from dreamkit.download import hub, hub_api, web
from dreamkit.download.catalogue import Repository
from dreamkit.download.web import Token, WebError
from dreamkit.workspace.this_machine import is_this_machine, uses_proxy

PAGE = (200, {"Content-Type": "text/html; charset=utf-8"}, b"<html>Please log in to the network</html>")
DATA = bytes(range(256)) * 8
PROXIES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")


@pytest.fixture
def waits(monkeypatch):
    """Seconds of each wait, which take no time here."""
    seconds = []
    monkeypatch.setattr(web.time, "sleep", seconds.append)
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return seconds


@pytest.fixture
def serve():
    """Starts a server that gives the listed answers (status, headers, body) in turn, the last one for ever."""
    servers = []

    def start(*answers):
        requests = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                requests.append((self.command, self.path, dict(self.headers), body))
                given = server.answers
                status, headers, data = given[min(len(requests), len(given)) - 1]
                self.send_response(status)
                for key, value in {"Content-Length": str(len(data)), **headers}.items():
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(data)
                if int(headers.get("Content-Length", 0)) > len(data):
                    self.close_connection = True

            do_POST = do_HEAD = do_GET

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        server.requests, server.answers = requests, answers
        server.url = f"http://127.0.0.1:{server.server_port}"
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def ask(url, method="GET", token=Token(""), body=None):
    with web.open_client() as client:
        return web.json_answer(client, method, url, token, body)


def get(url, token=Token(""), size=len(DATA), part=None, file="a.bin"):
    part = part or io.BytesIO()
    with web.open_client() as client:
        web.download(client, url, token, part, size, file)
    return part.getvalue()


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("status", sorted(web.FOR_NOW))
def test_a_refusal_for_now_is_waited_for_as_long_as_the_server_says(serve, waits, method, status):
    server = serve((status, {"Retry-After": "7"}, b"slow down"), (status, {}, b""), (200, {}, b'{"a": 1}'))
    assert ask(server.url, method, body={"x": 1} if method == "POST" else None) == ({"a": 1}, "")
    assert waits == [7, 2]
    assert [r[3] for r in server.requests] == [b'{"x":1}' if method == "POST" else b""] * 3


def test_retry_after_may_be_a_date_and_is_bounded(serve, waits):
    later = email.utils.formatdate(time.time() + 30, usegmt=True)
    server = serve(
        (429, {"Retry-After": later}, b""), (503, {"Retry-After": "86400"}, b""), (429, {"Retry-After": "soon"}, b""),
        (200, {}, b"[]"),
    )  # fmt: skip
    ask(server.url)
    assert 25 < waits[0] <= 30 and waits[1:] == [web.LONGEST_WAIT, 4]


def test_patience_ends(serve, waits):
    server = serve((502, {}, b""))
    with pytest.raises(WebError, match="answers 502"):
        ask(server.url)
    assert len(server.requests) == web.TRIES
    with pytest.raises(WebError, match="the connection failed"):
        ask("http://127.0.0.1:9")
    for url in ("hub.example", "http://[::1", "ftp://hub.example/a"):
        with pytest.raises(WebError, match="is no web address"):
            ask(url)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_keeps_the_token_only_for_hosts_of_the_users_choice(serve, waits, status):
    hub = serve((200, {}, b"{}"))
    mirror = serve((status, {"Location": hub.url.replace("127.0.0.1", "localhost") + "/there"}, b""))
    ask(mirror.url, token=Token("hf_secret", frozenset({"127.0.0.1"})))
    assert hub.requests[0][1] == "/there"
    assert hub.requests[0][2]["Authorization"] == "Bearer hf_secret"  # another name of this machine
    ask(mirror.url, token=Token("hf_secret", frozenset({"huggingface.co"})))
    assert "Authorization" not in mirror.requests[1][2] and "Authorization" not in hub.requests[1][2]


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://mirror.example/a", True),
        ("https://MIRROR.example/a", True),
        ("http://mirror.example/a", False),
        ("https://mirror.example.evil/a", False),
        ("https://evil.example/mirror.example", False),
        ("https://mirror.example@evil.example/", False),
        ("https://huggingface.co/a", True),
        ("http://127.0.0.1:1/a", False),
    ],
)
def test_where_a_token_goes(url, sent):
    token = Token("hf_secret", frozenset({"mirror.example", "huggingface.co"}))
    assert bool(token.header(url)) is sent
    assert "hf_secret" not in repr(token)


def test_a_refusal_after_a_redirect_names_the_host_that_gets_no_token(serve, waits):
    other = serve((401, {"X-Error-Code": "GatedRepo"}, b""))
    mirror = serve((308, {"Location": other.url.replace("127.0.0.1", "localhost")}, b""))
    with pytest.raises(WebError) as caught:
        ask(mirror.url, token=Token("hf_secret", frozenset({"mirror.example"})))
    assert caught.value.code == "GatedRepo"
    assert "127.0.0.1 redirects to localhost, to which the token is not sent" in caught.value.redirect
    assert f"HF_ENDPOINT=http://localhost:{other.server_port}" in caught.value.redirect


def test_redirects_end(serve, waits):
    server = serve((302, {"Location": "/again"}, b""))
    with pytest.raises(WebError, match="redirects in a circle"):
        ask(server.url)
    with pytest.raises(WebError, match="redirects to file:///etc/passwd, which is no web address"):
        ask(serve((302, {"Location": "file:///etc/passwd"}, b"")).url)


def test_a_page_is_no_answer_and_no_file(serve, waits):
    server = serve(PAGE)
    with pytest.raises(WebError, match="a web page came instead of data, such as a login page"):
        ask(server.url)
    part = io.BytesIO()
    with pytest.raises(WebError, match="a web page came"):
        get(server.url, part=part)
    assert part.getvalue() == b""
    assert get(server.url, size=None, file="index.html") == PAGE[2]
    with pytest.raises(WebError, match="no JSON"):
        ask(serve((200, {}, b"{")).url)


def test_a_page_after_the_first_half_leaves_the_half(serve, waits):
    part = io.BytesIO(DATA[:100])
    with pytest.raises(WebError, match="a web page came"):
        get(serve(PAGE).url, part=part)
    assert part.getvalue() == DATA[:100]


def test_a_file_goes_on_after_refusals_and_cut_connections(serve, waits, monkeypatch):
    monkeypatch.setattr(web, "BLOCK", 64)
    server = serve(
        (429, {"Retry-After": "1"}, b""),
        (200, {"Content-Length": str(len(DATA))}, DATA[:130]),
        (502, {}, b""),
        (206, {}, DATA[128:]),
    )
    assert get(server.url) == DATA
    assert [r[2].get("Range") for r in server.requests] == [None, None, "bytes=128-", "bytes=128-"]


def test_beginnings_that_are_of_no_use_are_dropped(serve, waits):
    assert get(serve((200, {}, DATA)).url, part=io.BytesIO(b"old")) == DATA  # the server ignores ranges
    assert get(serve((416, {}, b""), (200, {}, DATA)).url, part=io.BytesIO(b"old")) == DATA
    assert get(serve((200, {}, DATA)).url, part=io.BytesIO(b"0" * 9999)) == DATA
    packed = (200, {"Content-Encoding": "gzip"}, gzip.compress(DATA))
    assert get(serve(packed).url, part=io.BytesIO(b"old")) == DATA


def test_lists_in_parts(serve, waits):
    server = serve((200, {"Link": '<http://x.example/2>; rel="next"'}, b"[1]"))
    assert ask(server.url) == ([1], "http://x.example/2")


def test_a_list_that_is_cut_off_is_requested_again(serve, waits):
    cut = (200, {"Content-Length": "99"}, b'[{"path"')
    assert ask(serve(cut, cut, (200, {}, b"[1]")).url)[0] == [1]
    with pytest.raises(WebError, match="the connection failed"):
        ask(serve(cut).url)


def test_answers_without_end_are_bounded(serve, waits, monkeypatch):
    part = io.BytesIO()
    with pytest.raises(WebError, match="sends more than the 2,048 bytes that are listed"):
        get(serve((200, {}, DATA * 50)).url, part=part)
    assert part.getvalue() == b""
    monkeypatch.setattr(web, "MOST_LIST_BYTES", 10_000)
    with pytest.raises(WebError, match="a list of over 10,000 bytes"):
        ask(serve((200, {"Content-Encoding": "gzip"}, gzip.compress(b" " * 100_000))).url)
    monkeypatch.setattr(hub_api, "MOST_PARTS", 3)
    server = serve((200, {"Link": '<2>; rel="next"'}, b"[1]"))
    server.answers = [(200, {"Link": f'<{server.url}>; rel="next"'}, b"[1]")]
    with web.open_client() as client, pytest.raises(WebError, match="in more than 3 parts"):
        hub_api.RepositoryPages(client, Token(""), server.url).entries("")
    assert len(server.requests) == 3


@pytest.mark.parametrize("body", [b'{"a": 1e999}', b"[" * 10**5, b"9" * 5000, b"\xff\xfe", b'{"a": 1, "a": 2}'])
def test_lists_that_are_no_plain_json(serve, waits, body):
    with pytest.raises(WebError, match="no JSON"):
        ask(serve((200, {}, body)).url)


def test_this_machine_is_never_reached_through_a_proxy(serve, waits, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    models = json.dumps({"data": [{"id": "m"}]}).encode()
    server = serve((200, {}, models))
    for host in ("127.0.0.1", "localhost"):
        assert ask(server.url.replace("127.0.0.1", host))[0]["data"]
        assert ModelServer(server.url.replace("127.0.0.1", host) + "/v1").models() == ["m"]
    with pytest.raises(WebError):
        ask("http://hub.example/")  # goes to the proxy, which is not there
    assert is_this_machine("::1") and not is_this_machine("127.0.0.1.example")
    assert uses_proxy("https://hub.example") and not uses_proxy("http://[::1]:80/v1")


@pytest.mark.parametrize("proxy", ["socks4://u:hidden@127.0.0.1:9", "hub.example:99:1", "socks9://a:1"])
def test_a_proxy_that_cannot_be_used_is_told_without_its_password(waits, monkeypatch, proxy):
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(WebError, match="cannot be used") as caught:
        web.open_client()
    assert "hidden" not in caught.value.reason
    with pytest.raises(ServerUnavailable, match=r"The proxy of the environment cannot be used") as told:
        ModelServer("http://model.example/v1").models()
    assert "hidden" not in str(told.value)


def test_a_password_in_an_address_is_in_no_message(monkeypatch, waits, caplog, serve):
    assert web.without_password("https://u:hidden@hub.example:8/a@b") == "https://hub.example:8/a@b"
    assert web.without_password("u:hidden@hub.example:8") == "hub.example:8"
    assert web.without_password("https://hub.example/x") == "https://hub.example/x"
    monkeypatch.setattr(constants, "ENDPOINT", "http://u:hidden@192.0.2.1:9")
    access = hub.Access(Repository("a/b", ()), hub.NO_ANSWER)
    url = serve((429, {"Retry-After": "20"}, b""), (302, {"Location": "ftp://u:hidden@x/"}, b"")).url
    with pytest.raises(WebError) as caught:
        ask(url.replace("http://", "http://u:hidden@"))
    assert "hidden" not in f"{access.page} {hub_api.shown_endpoint()} {caught.value} {caplog.text}"
    assert "again in 20 s" in caplog.text


def test_a_socks_proxy_works_or_is_told(waits, monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "socks5h://127.0.0.1:9")
    with pytest.raises(WebError, match=r"the connection failed|ALL_PROXY=socks5h://127.0.0.1:9 cannot be used"):
        ask("http://hub.example/")
