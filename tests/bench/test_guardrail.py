"""The guardrail's measurement runs on a CPU with small models."""

import pytest

from dreamkit.bench import guardrail


@pytest.mark.usefixtures("one_thread")
def test_each_check_is_measured(capsys):
    sizes = ["--frames", "3", "--height", "32", "--width", "48", "--batches", "2", "--tokens", "12", "--prompts", "2"]
    checks = ["--checks", "content", "llama_guard"]
    guardrail.main(["--small", "--device", "cpu", "--repeats", "1", *checks, *sizes])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("cpu, torch ")
    assert "content 3 frames 32x48 batch 2" in lines[1]
    assert "llama_guard 2 prompts x 12 tokens" in lines[2]
    assert lines[2].endswith("8 tokens")
