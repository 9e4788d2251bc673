"""The critic against a local stand-in of the chat interface that checks every request, schema and pictures included."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest
from review_workspace import make

from dreamkit.errors import DreamkitError
from dreamkit.review import critic, report
from dreamkit.review.critic import Answer, Critic
from dreamkit.review.library import find_videos
from dreamkit.review.params import ReviewParams
from dreamkit.review.verdicts import Verdict


def answer(**changes):
    return json.dumps(dict.fromkeys(critic.QUESTIONS, False) | {"realism": 4} | changes)


class StandIn(BaseHTTPRequestHandler):
    """Speaks GET /v1/models and POST /v1/chat/completions; refuses what vLLM would refuse."""

    def log_message(self, *_):
        pass

    def reply(self, status, body):
        self.server.keys.add(self.headers.get("Authorization"))
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self.reply(200 if self.path == "/v1/models" else 404, {"data": [{"id": "a-vlm"}]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == "/v1/chat/completions" and body["model"] == "a-vlm" and body["n"] == 3
        schema = body["response_format"]["json_schema"]
        assert body["response_format"]["type"] == "json_schema" and schema["schema"] == Answer.model_json_schema()
        assert schema["schema"]["additionalProperties"] is False
        content = body["messages"][0]["content"]
        pictures = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
        for url in pictures:
            data = base64.b64decode(url.removeprefix("data:image/jpeg;base64,"), validate=True)
            assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is not None
        assert len(pictures) == 2 and "Night" not in content[-1]["text"] and content[-1]["type"] == "text"
        self.server.asked += 1
        self.reply(*self.server.answers(self.server.asked))


@pytest.fixture
def server():
    running = ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
    running.asked, running.keys = 0, set()
    votes = [answer(), answer(distortion=True), answer(distortion=True, realism=2)]
    running.answers = lambda _: (200, {"choices": [{"message": {"content": vote}} for vote in votes]})
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield running
    running.shutdown()
    running.server_close()


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return make(tmp_path_factory.mktemp("critic") / "outputs", clips=1, frames=6, size=(72, 128))


def url(server):
    return f"http://127.0.0.1:{server.server_port}/v1"


def test_votes_are_counted_kept_and_not_asked_again(server, workspace, tmp_path, monkeypatch):
    monkeypatch.setenv("DREAMKIT_SERVER_KEY", "secret-key")
    videos = find_videos(workspace)
    asked = Critic(url(server), votes=3, frames=2)
    said = critic.criticise(videos, asked, tmp_path / "critic.json", lambda items, **_: items)
    record = said["multi_view/drawn_0_Sunny"]
    assert record["flags"] == ["distortion"] and record["shares"]["distortion"] == pytest.approx(2 / 3)
    assert record["score"] == pytest.approx(10 / 3) and record["model"] == "a-vlm"
    assert server.asked == len(videos) == 3 and server.keys == {"Bearer secret-key"}
    critic.criticise(videos, asked, tmp_path / "critic.json", lambda items, **_: items)
    assert server.asked == 3


def test_spoilt_votes_and_refusals_lose_one_video_not_the_run(server, workspace, tmp_path):
    good = {"choices": [{"message": {"content": vote}} for vote in (answer(), "no JSON", answer(realism=9))]}
    server.answers = lambda number: (500, {"error": "out of memory"}) if number == 1 else (200, good)
    videos = find_videos(workspace)
    said = critic.criticise(videos, Critic(url(server), frames=2), tmp_path / "c.json", lambda items, **_: items)
    assert "out of memory" in said[videos[0].key]["error"]
    assert (said[videos[1].key]["votes"], said[videos[1].key]["spoilt"]) == (1, 2)


def test_no_server_says_so(workspace, tmp_path):
    with pytest.raises(DreamkitError, match="does not answer"):
        critic.criticise(find_videos(workspace), Critic("http://127.0.0.1:9/v1"), tmp_path / "c.json")


def test_agreement_with_people():
    flags = {"a": ["distortion"], "b": [], "c": ["distortion"], "d": [], "e": []}
    critique = {key: {"flags": of_video, "score": 3.0} for key, of_video in flags.items()}
    states = {"a": "reject", "b": "accept", "c": "accept", "d": "accept", "e": "unsure"}
    held = {key: Verdict(key, state) for key, state in states.items()}
    found = critic.agreement(critique, held)
    assert (found["both"], found["agree"], found["accept_flagged"]) == (4, 0.75, 1)
    assert found["kappa"] == pytest.approx(0.5)
    assert np.isnan(critic.agreement({}, {})["kappa"])


def test_the_report_flags_and_tells_the_agreement(server, workspace):
    params = ReviewParams(workspace=str(workspace.root), critic=url(server), critic_frames=2)
    outcome = report.run_review(report.open_review(workspace, params), params)
    outcome.review.judge("multi_view/drawn_0_Sunny", "reject", ["distortion"])
    outcome.finish()
    assert "critic: distortion" in outcome.review.flags("multi_view/drawn_0_Sunny")
    assert "1 videos were judged by both" in outcome.review.paths.report.read_text()
