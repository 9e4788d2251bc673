from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dreamkit.captions.answers import ModelAnswer
from dreamkit.cli.app import app
from dreamkit.errors import DreamkitError
from dreamkit.styles import Restyler, RuleRewriter, ServerRewriter, VllmRewriter, load_styles, write_styles
from dreamkit.styles.model import model_sizes, prompts
from dreamkit.styles.model.rewriters import load_error
from dreamkit.styles.model.server import Serving, serving
from dreamkit.workspace.sizes import GIB
from dreamkit.workspace.workspace import Workspace

CAPTION = "A red car waits at a traffic light under a clear sky. Two people cross the street."
GOOD = {
    "Rainy": "A red car waits at a traffic light in the rain. Two people cross the wet street.",
    "Night": "At night, a red car waits at a traffic light. Two people cross the street.",
}
STYLES = load_styles()


class Server:
    """An OpenAI-compatible server that answers what a test tells it to."""

    def __init__(self) -> None:
        self.requests: list[dict] = []
        self.keys: set[str | None] = set()
        self.script: list[object] = []
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def send(self, status: int, value: object, headers: dict[str, str] | None = None) -> None:
                outer.keys.add(self.headers.get("Authorization"))
                body = json.dumps(value).encode()
                self.send_response(status)
                for key, text in {"Content-Length": str(len(body)), **(headers or {})}.items():
                    self.send_header(key, text)
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self) -> None:
                self.send(200, {"data": [{"id": "tiny"}]})

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with outer.lock:
                    outer.requests.append(request)
                    step = outer.script.pop(0) if outer.script else outer.answer
                result = step(request) if callable(step) else step
                if isinstance(result, tuple):
                    self.send(*result)
                else:
                    self.send(200, {"choices": [{"message": {"content": result}}]})

        self.answer: object = lambda request: json.dumps({"caption": GOOD[style_of(request)]})
        ThreadingHTTPServer.request_queue_size = 64
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"

    def rewriter(self, **more: object) -> ServerRewriter:
        return ServerRewriter(self.url, "tiny", pause=0.01, **more)


def style_of(request: dict) -> str:
    return next(name for name in GOOD if STYLES.style(name).instruction in request["messages"][1]["content"])


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.http.shutdown()
    running.http.server_close()


def restyle(rewriter: object, caption: str = CAPTION, styles: tuple[str, ...] = ("Rainy", "Night")) -> dict:
    chosen = [STYLES.style(name) for name in styles]
    return Restyler(rewriter).rewrite({"clip": (caption, chosen)})["clip"]


def test_the_exact_prompt() -> None:
    asked = prompts.conversation("A car.", STYLES.style("Foggy"), recolour=True)
    assert asked == [
        {"role": "system", "content": prompts.SYSTEM},
        {
            "role": "user",
            "content": "Description:\nA car.\n\nRewrite it for dense fog, with reduced visibility, soft outlines and no"
            " hard shadows. Give every vehicle whose colour is named another colour, the same one at each mention.",
        },
    ]
    assert prompts.SYSTEM.startswith("You rewrite descriptions of driving videos.")
    assert 'a JSON object that has the one key "caption"' in prompts.SYSTEM
    again = prompts.correction(asked, "A bus.", ("The caption has no bus.",))
    assert again[:2] == asked and again[2] == {"role": "assistant", "content": "A bus."}
    assert again[3]["content"] == "That answer was refused. The caption has no bus. Write it again without that fault."
    assert prompts.translation("雨")[1]["content"] == "Description:\n雨"


def test_styles_of_a_caption_share_the_longest_beginning() -> None:
    """What a server's prefix cache can use: all but the last sentence."""
    one, two = (prompts.conversation(CAPTION, STYLES.style(name)) for name in ("Rainy", "Night"))
    assert one[0] == two[0] and one[1]["content"].split("Rewrite it for")[0] == two[1]["content"].split("Rewrite")[0]


@pytest.mark.parametrize("answer", ["", "A car.", "[]", '{"text": "A car."}', '{"caption": 3}', '{"caption": " "}'])
def test_answers_outside_the_schema_are_refused(answer: str) -> None:
    with pytest.raises(ValueError):
        prompts.read_answer(answer)


def test_a_good_answer_is_taken(server: Server) -> None:
    made = restyle(server.rewriter())
    assert {style: rewrite.text for style, rewrite in made.items()} == GOOD
    assert {rewrite.rewriter for rewrite in made.values()} == {"server"} and made["Night"].model == "tiny"
    request = server.requests[0]
    assert request["chat_template_kwargs"] == {"enable_thinking": False}
    assert request["response_format"]["json_schema"]["schema"] == prompts.schema()
    assert (request["temperature"], request["top_p"], request["model"]) == (0.7, 0.8, "tiny")


def test_the_key_is_sent_with_every_request(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DREAMKIT_SERVER_KEY", "secret-key")
    rewriter = server.rewriter()
    rewriter.connect()
    restyle(rewriter, styles=("Night",))
    assert server.keys == {"Bearer secret-key"}


def test_all_requests_go_out_at_once(server: Server) -> None:
    together = threading.Barrier(16)

    def slow(request: dict) -> str:
        together.wait(20)
        return json.dumps({"caption": GOOD[style_of(request)]})

    server.answer = slow
    styles = [STYLES.style(name) for name in GOOD]
    made = Restyler(server.rewriter()).rewrite({f"clip{i}": (CAPTION, styles) for i in range(8)})
    assert len(server.requests) == 16, "no request waited for another's answer"
    assert all(rewrite.rewriter == "server" for rewrites in made.values() for rewrite in rewrites.values())


def test_too_many_requests_errors_and_nonsense_are_retried(server: Server) -> None:
    server.script = [(429, {}, {"Retry-After": "0.05"}), (503, {}), "no JSON", '{"caption": 1}']
    made = restyle(server.rewriter(retries=4), styles=("Night",))
    assert made["Night"].rewriter == "server" and len(server.requests) == 5
    assert len({request["seed"] for request in server.requests}) == 5, "another try is another seed"


def test_a_time_out_falls_back_for_that_caption_alone(server: Server) -> None:
    def stuck(request: dict) -> str:
        if style_of(request) == "Night":
            time.sleep(0.6)
        return json.dumps({"caption": GOOD[style_of(request)]})

    server.answer = stuck
    made = restyle(server.rewriter(retries=1, timeout=0.25))
    assert made["Rainy"].rewriter == "server" and made["Night"].rewriter == "rules"
    assert made["Night"].record()["fell_back"] and made["Night"].refused == (
        "The server did not answer within 0.25 s.",
    )
    assert made["Night"].check.passed


def test_a_refused_answer_is_asked_for_once_more_with_the_reason(server: Server) -> None:
    server.script = [json.dumps({"caption": "A red car waits at night. Three people cross the street."})]
    made = restyle(server.rewriter(), styles=("Night",))["Night"]
    assert made.rewriter == "server" and made.text == GOOD["Night"] and len(made.refused) == 1
    assert "pedestrian" in server.requests[1]["messages"][3]["content"]


def test_twice_refused_falls_back_and_says_why(server: Server) -> None:
    server.answer = json.dumps({"caption": "Sunshine! A bus explodes at night under a clear sky."})
    made = restyle(server.rewriter(), styles=("Night",))["Night"]
    assert made.rewriter == "rules" and made.record()["fell_back"] and len(made.refused) == 2
    assert "is missing" in made.refused[0] and "'sunshine'" in made.refused[0]
    assert len(server.requests) == 2


def test_chinese_is_translated_by_the_model(server: Server, tmp_path: Path) -> None:
    chinese = "一辆红色轿车在红绿灯前等待，天空晴朗，两个人过马路。"

    def answer(request: dict) -> str:
        if request["messages"][0]["content"] == prompts.TRANSLATE:
            return json.dumps({"caption": CAPTION})
        return json.dumps({"caption": GOOD[style_of(request)]})

    server.answer = answer
    workspace = Workspace(tmp_path)
    workspace.captions.mkdir()
    (workspace.captions / "clip.txt").write_text(chinese, encoding="utf-8")
    write_styles(workspace, Restyler(server.rewriter()), styles=list(GOOD))
    assert json.loads((workspace.captions / "clip.json").read_text()) == {
        "Original": CAPTION,
        "Night": GOOD["Night"],
        "Rainy": GOOD["Rainy"],
    }
    assert json.loads(workspace.style_record("clip").read_text())["untranslated"] == chinese
    assert (workspace.captions / "clip.txt").read_text() == chinese
    server.answer = json.dumps({"caption": chinese})
    (workspace.captions / "other.txt").write_text(chinese, encoding="utf-8")
    report = write_styles(workspace, Restyler(server.rewriter()), styles=list(GOOD))
    assert "its translation failed" in report.problems["other"].message
    assert report.kept == ["clip"] and not (workspace.captions / "other.json").exists()


def test_the_rules_cannot_read_chinese() -> None:
    problems = Restyler().english({"clip": "一辆红色轿车。"})[1]
    assert problems == {"clip": "is written in Chinese"}


def test_works_inside_a_running_event_loop(server: Server) -> None:
    import asyncio

    async def cell() -> dict:
        return restyle(server.rewriter(), styles=("Night",))

    assert asyncio.run(cell())["Night"].rewriter == "server"


def test_server_down_model_not_served_and_no_server_at_all(server: Server) -> None:
    server.rewriter().connect()
    assert (picked := ServerRewriter(server.url)).connect() is None and picked.model == "tiny"
    with pytest.raises(DreamkitError, match="does not serve 'tinny'") as caught:
        ServerRewriter(server.url, "tinny").connect()
    assert "Did you mean 'tiny'" in caught.value.hint
    with pytest.raises(DreamkitError, match=r"The server at http://127\.0\.0\.1:9/v1 does not answer") as caught:
        ServerRewriter("http://127.0.0.1:9/v1").connect()
    assert "dreamkit styles serve" in caught.value.hint
    with pytest.raises(DreamkitError, match="does not answer"):
        ServerRewriter("not a url").connect()


@pytest.mark.skipif("vllm" in sys.modules, reason="vLLM is loaded")
def test_without_vllm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for start in (lambda: VllmRewriter("Qwen/Qwen3-0.6B").engine(), lambda: enter(Serving(), tmp_path)):
        with pytest.raises(DreamkitError, match="vLLM is not installed") as caught:
            start()
        assert "dreamkit[gpu]" in caught.value.hint


def enter(how: Serving, folder: Path) -> None:
    with serving(how, folder / "server.log"):
        pass


def test_a_missing_model_folder_is_named_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(DreamkitError, match="no model at"):
        enter(Serving(str(tmp_path / "nowhere"), python=sys.executable), tmp_path)
    assert not (tmp_path / "server.log").exists()


def test_a_python_without_vllm_and_a_taken_port(server: Server, tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text("#!/bin/sh\necho \"ModuleNotFoundError: No module named 'vllm'\" >&2\nexit 1\n")
    bare.chmod(0o755)
    with pytest.raises(DreamkitError, match="has no vLLM"):
        enter(Serving("some/model", port=0, python=str(bare)), tmp_path)
    with pytest.raises(DreamkitError, match="Cannot start"):
        enter(Serving("some/model", port=0, python=str(tmp_path / "nothing")), tmp_path)
    with pytest.raises(DreamkitError, match="listens on"):
        enter(Serving("some/model", port=server.http.server_port, python=str(bare)), tmp_path)


def test_memory_too_small_names_what_would_fit() -> None:
    total = 24 * GIB
    with pytest.raises(DreamkitError, match=r"Qwen/Qwen3-14B needs about 32 GiB.*22 GiB may be used") as caught:
        model_sizes.refuse_too_large("Qwen/Qwen3-14B", 0.9, 4096, (total, total))
    assert "Qwen/Qwen3-8B would fit" in caught.value.hint
    with pytest.raises(DreamkitError) as caught:
        model_sizes.refuse_too_large("Qwen/Qwen3-8B", 0.9, 4096, (8 * GIB, total))
    assert "Qwen/Qwen3-1.7B would fit" in caught.value.hint
    with pytest.raises(DreamkitError) as caught:
        model_sizes.refuse_too_large("Qwen/Qwen3-8B", 0.9, 4096, (GIB, total))
    assert "built-in rules" in caught.value.hint
    model_sizes.refuse_too_large("Qwen/Qwen3-14B", 0.9, 4096, (140 * GIB,) * 2)
    model_sizes.refuse_too_large("somebody/else", 0.9, 4096, (1, 1))
    model_sizes.refuse_too_large("Qwen/Qwen3-14B", 0.9, 4096, None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", "does not suffice"),
        ("ValueError: Free memory on device (3/80 GiB) is less than desired", "does not suffice"),
        ("OSError: no/such is not a local folder and is not a valid model identifier", "cannot be found"),
        ("something else", "cannot be loaded: something else"),
    ],
)
def test_loading_errors_in_a_users_words(text: str, words: str) -> None:
    error = load_error("some/model", text)
    assert words in error.message and error.hint


def test_rules_rewriter_is_what_a_failed_model_falls_back_to() -> None:
    class Silent:
        name, model = "vllm", "mute"

        def answers(self, conversations: list, seeds: list) -> list:
            return [ModelAnswer(cause="It was cut off.")] * len(conversations)

    made = restyle(Silent())
    rules = RuleRewriter(STYLES)
    assert made["Night"].text == rules.rewrite(CAPTION, STYLES.style("Night"), 1)


def test_a_run_that_fell_back_everywhere_says_so_last_and_fails_when_strict(server: Server, tmp_path: Path) -> None:
    server.answer = json.dumps({"caption": "A bus explodes at night."})
    workspace = Workspace(tmp_path)
    workspace.captions.mkdir()
    (workspace.captions / "clip.txt").write_text(CAPTION, encoding="utf-8")
    options = [
        "-p",
        f"workspace={tmp_path}",
        "-p",
        "rewriter=server",
        "-p",
        f"url={server.url}",
        "-p",
        "styles=[Night]",
    ]
    for strict, code in ((["--strict"], 1), ([], 0)):
        done = CliRunner().invoke(app, ["styles", "write", *options, "-p", "overwrite=true", *strict])
        assert done.exit_code == code, done.output
        assert done.output.rstrip().splitlines()[-1].startswith("ALL 1 captions are by the rules")
    server.answer = json.dumps({"caption": GOOD["Night"]})
    done = CliRunner().invoke(app, ["styles", "write", *options, "-p", "overwrite=true", "--strict"])
    assert done.exit_code == 0 and "by the rules" not in done.output


def test_thoughts_and_fences_around_an_answer_are_taken_off(server: Server) -> None:
    answer = json.dumps({"caption": GOOD["Night"]})
    for text in (f"<think>It was day: {{}}</think>{answer}", f"```json\n{answer}\n```"):
        server.answer = text
        assert restyle(server.rewriter(), styles=("Night",))["Night"].text == GOOD["Night"]
    server.answer = (
        200,
        {"choices": [{"message": {"content": None, "reasoning_content": "Hm"}, "finish_reason": "length"}]},
    )
    made = restyle(server.rewriter(retries=0), styles=("Night",))["Night"]
    assert made.rewriter == "rules" and made.refused == (
        "The answer was cut off at the token limit while it was thinking.",
    )
