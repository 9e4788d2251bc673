from __future__ import annotations

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from dreamkit.captions.model_server import ModelServer, ServerUnavailable, first_text
from dreamkit.errors import DreamkitError


class Handler(BaseHTTPRequestHandler):
    """Answers `server.status` and `server.body` to every request and records what was sent."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        length = int(self.headers.get("Content-Length", 0))
        sent = json.loads(self.rfile.read(length)) if length else None
        self.server.requests.append((self.command, self.path, self.headers.get("Authorization"), sent))
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    do_POST = do_GET


@pytest.fixture
def http():
    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.requests, running.status, running.body = [], 200, b'{"data": [{"id": "a"}, {"id": "b"}]}'
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield running
    running.shutdown()
    running.server_close()


@pytest.fixture
def server(http):
    return ModelServer(f"http://127.0.0.1:{http.server_port}/v1/", "test server")


def test_the_key_goes_with_every_request(http, server, monkeypatch):
    monkeypatch.delenv("DREAMKIT_SERVER_KEY", raising=False)
    assert server.models() == ["a", "b"] and server.first_model() == "a"
    monkeypatch.setenv("DREAMKIT_SERVER_KEY", "secret\n")
    server.chat({"model": "a"})
    server.chat_many(lambda index, attempt: {"model": "b"}, 1, str, retries=0)
    ModelServer(server.url, key="own").chat({})
    assert [request[:3] for request in http.requests] == [
        ("GET", "/v1/models", None),
        ("GET", "/v1/models", None),
        ("POST", "/v1/chat/completions", "Bearer secret"),
        ("POST", "/v1/chat/completions", "Bearer secret"),
        ("POST", "/v1/chat/completions", "Bearer own"),
    ]
    assert http.requests[2][3] == {"model": "a"} and http.requests[3][3] == {"model": "b"}
    monkeypatch.setenv("DREAMKIT_SERVER_KEY", "schlüssel")
    with pytest.raises(ServerUnavailable, match="characters that an HTTP header cannot hold"):
        server.models()


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (401, b"who?", ServerUnavailable, "test server at .* refused with HTTP status 401: who?"),
        (403, b"", ServerUnavailable, "HTTP status 403: Forbidden"),
        (404, b"no such model", ServerUnavailable, "HTTP status 404: no such model"),
        (400, b"too long", DreamkitError, "HTTP status 400: too long"),
        (500, b"out of memory", DreamkitError, "HTTP status 500: out of memory"),
        (200, b"[]", DreamkitError, "no JSON object"),
        (200, b"<html>", DreamkitError, "no JSON object"),
    ],
)
def test_refusals_name_the_status_and_whether_others_can_succeed(http, server, status, body, kind, message):
    http.status, http.body = status, body
    with pytest.raises(DreamkitError, match=message) as caught:
        server.chat({})
    assert type(caught.value) is kind and caught.value.hint
    with pytest.raises(ServerUnavailable, match=message):
        server.models()


def test_a_server_without_models_and_without_an_answer(http, server):
    http.body = b'{"data": []}'
    with pytest.raises(ServerUnavailable, match="has no model"):
        server.first_model()
    http.body = b'{"object": "error"}'
    with pytest.raises(ServerUnavailable, match="no list of models"):
        server.models()
    for url in ("http://127.0.0.1:9/v1", "not a url"):
        with pytest.raises(ServerUnavailable, match="does not answer") as caught:
            ModelServer(url, hint="Start it.").chat({})
        assert caught.value.hint == "Start it."


@pytest.mark.parametrize("completion", [None, {}, {"choices": []}, {"choices": [{"message": {"content": None}}]}])
def test_what_is_no_chat_completion(completion):
    with pytest.raises(ValueError, match="no chat completion"):
        first_text(completion)


def test_the_rooms_of_words_need_neither_torch_nor_vllm():
    code = "import sys, dreamkit.styles; print(sorted({'torch', 'transformers', 'vllm'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
