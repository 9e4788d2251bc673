from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from dreamkit.captions.answers import NoAnswerText, answer_text, json_objects, text_of_object
from dreamkit.captions.model_server import ModelServer, ServerUnavailable
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
        if not self.server.drip:
            self.wfile.write(self.server.body)
            return
        with contextlib.suppress(OSError):
            for byte in self.server.body[:-1]:
                self.wfile.write(bytes([byte]))
                time.sleep(0.1)

    do_POST = do_GET


@pytest.fixture
def http():
    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.drip = False
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


def test_a_request_has_a_deadline_though_bytes_keep_coming(http, server):
    http.drip = True
    slow = ModelServer(server.url, timeout_s=0.4)
    start = time.monotonic()
    (answer,) = slow.chat_many(lambda index, attempt: {}, 1, str, retries=0)
    with pytest.raises(ServerUnavailable, match="does not answer"):
        slow.chat({})
    assert time.monotonic() - start < 3 and answer.cause == "The server did not answer within 0.4 s."


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


def completion(content, finish="stop", **message):
    return {"choices": [{"message": {"content": content, **message}, "finish_reason": finish}]}


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (completion("A car."), "A car."),
        (completion("<think>Is it a car? {yes}</think>\n\nA car."), "A car."),
        (completion("It may be a van.</think>A car."), "A car."),
        (completion('```json\n{"caption": "A car."}\n```'), '{"caption": "A car."}'),
        (completion([{"type": "text", "text": "A "}, {"type": "text", "text": "car."}]), "A car."),
        (completion(None, reasoning_content='Hm. {"caption": "A car."}'), 'Hm. {"caption": "A car."}'),
        (completion("A car.", reasoning_content="I think that it is a car."), "A car."),
    ],
)
def test_the_answer_of_a_completion(given, text):
    assert answer_text(given) == text


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        (None, "no chat completion"),
        ({}, "no chat completion"),
        ({"choices": []}, "no chat completion"),
        ({"choices": [{"text": "A car."}]}, "no chat completion"),
        (completion(None), "null"),
        (
            completion(None, "length", reasoning_content="Let me think"),
            "cut off at the token limit while it was thinking",
        ),
        (completion("A car that", "length"), "cut off at the token limit"),
        (completion("<think>It is"), "cut off while the model was thinking"),
        (completion(""), "empty"),
        (completion("None"), "empty"),
        (completion(None, refusal="I cannot help."), "refused: I cannot help"),
        (completion("I'm sorry, but I can't see that."), "refused"),
        (completion(7), "no text"),
    ],
)
def test_why_a_completion_has_no_answer(given, cause):
    with pytest.raises(NoAnswerText, match=cause):
        answer_text(given)


def test_the_last_of_several_objects_is_the_answer():
    text = 'First {"caption": "A bus."}, no: {"caption": "A {red}\ncar.", "why": {"x": 1}} {"other": 2}'
    assert [sorted(one) for one in json_objects(text)] == [["caption"], ["caption", "why"], ["other"]]
    assert text_of_object(text, "caption") == "A {red} car."
    for broken in ("{", "[]", '{"caption": 3}', '{"caption": " "}', '{"caption": "None"}'):
        with pytest.raises(NoAnswerText):
            text_of_object(broken, "caption")


def test_the_cause_of_a_failure_has_the_status(http, server):
    http.status, http.body = 503, b"busy"
    (answer,) = server.chat_many(lambda index, attempt: {}, 1, str, retries=1, pause_s=0.01)
    assert not answer and answer.cause == "The server refused with HTTP status 503: busy." and len(http.requests) == 2


@pytest.mark.parametrize(("status", "kind"), [(401, ServerUnavailable), (404, ServerUnavailable), (400, DreamkitError)])
def test_refusals_that_hold_for_every_request_stop_at_once(http, server, status, kind):
    http.status, http.body = status, b"no"
    with pytest.raises(kind, match=f"HTTP status {status}: no"):
        server.chat_many(lambda index, attempt: {}, 50, str, concurrent=2, retries=3, pause_s=0.01)
    assert len(http.requests) < 12


def test_the_rooms_of_words_need_neither_torch_nor_vllm():
    code = "import sys, dreamkit.styles; print(sorted({'torch', 'transformers', 'vllm'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
