"""Starts `vllm serve`, waits until it is healthy, and stops it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from dreamkit.errors import DreamkitError
from dreamkit.styles.model.model_sizes import DEFAULT_MODEL, gpu_memory, refuse_too_large
from dreamkit.styles.model.rewriters import CONTEXT, load_error, refuse_missing_folder, refuse_without_vllm
from dreamkit.workspace.processes import end_with_this_process

# `vllm serve MODEL ...`. That command needs the version of a distribution named vllm, a name that the CPU builds do not
# have; for them the same server is started by its own module.
_SERVE = """
import importlib.metadata, runpy, sys
try:
    importlib.metadata.version("vllm")
    module = "vllm.entrypoints.cli.main"
except importlib.metadata.PackageNotFoundError:
    module = "vllm.entrypoints.openai.api_server"
    sys.argv[1:3] = ["--model", sys.argv[2]]
runpy.run_module(module, run_name="__main__")
"""


@dataclass(frozen=True)
class Serving:
    """Settings of a vLLM server.

    Attributes:
        model: hub name or folder.
        host: address that it listens on.
        port: port that it listens on; 0 for a free one.
        memory_share: part of the GPU's memory that vLLM may take, 0 to 1.
        context: tokens of prompt and answer together.
        python: path of a Python that has vLLM; this one when empty.
        wait: seconds within which the server must become healthy.
        more: further arguments of `vllm serve`.
    """

    model: str = DEFAULT_MODEL
    host: str = "127.0.0.1"
    port: int = 8000
    memory_share: float = 0.9
    context: int = CONTEXT
    python: str = ""
    wait: float = 900.0
    more: tuple[str, ...] = ()

    def command(self, port: int, on_gpu: bool = True) -> list[str]:
        """The command line of the server."""
        return [
            self.python or sys.executable,
            "-c",
            _SERVE,
            "serve",
            self.model,
            *("--host", self.host, "--port", str(port)),
            *("--gpu-memory-utilization", f"{self.memory_share:g}"),
            *("--max-model-len", str(self.context)),
            "--enable-prefix-caching",
            # Without a GPU, vLLM 0.32 crashes at a request with a seed whose prompt it splits into chunks.
            *(() if on_gpu else ("--no-enable-chunked-prefill",)),
            *self.more,
        ]


def free_port(host: str) -> int:
    """A port of the host that is not in use."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def serving(how: Serving, log: Path, say: Callable[[str], None] = lambda _: None) -> Iterator[str]:
    """Serve a model while the `with` block runs.

    Args:
        how: settings of the server.
        log: file for the server's output.
        say: called with a line of progress every 15 seconds while the model loads.

    Yields:
        The address for `ServerRewriter`, ending in /v1.

    Raises:
        DreamkitError: vLLM is missing, the model is missing or too large, the port is in use, or the server ends or
            does not become healthy in time.
    """
    if not how.python:
        refuse_without_vllm()
    refuse_missing_folder(how.model)
    memory = gpu_memory()
    refuse_too_large(how.model, how.memory_share, how.context, memory)
    port = how.port or free_port(how.host)
    _refuse_taken(how.host, port)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        try:
            # A process group of its own, so that `stop` also ends the engine's worker processes.
            process = subprocess.Popen(
                how.command(port, memory is not None),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=end_with_this_process(),
                env={**os.environ, "VLLM_NO_USAGE_STATS": "1"},
            )
        except OSError as error:
            raise DreamkitError(
                f"Cannot start {how.python}: {error.strerror}.", "Give the path of a Python that has vLLM."
            ) from None
    try:
        _await_health(process, f"http://{how.host}:{port}", how, log, say)
        yield f"http://{how.host}:{port}/v1"
    finally:
        stop(process)


def _refuse_taken(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.settimeout(1)
        if probe.connect_ex((host, port)) == 0:
            raise DreamkitError(
                f"Another program listens on {host}:{port} already.", "Choose another port, or 0 for a free one."
            )


def _await_health(
    process: subprocess.Popen[bytes], base: str, how: Serving, log: Path, say: Callable[[str], None]
) -> None:
    start = last = time.monotonic()
    while process.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{base}/health", timeout=2, trust_env=False).status_code == 200:
                return
        now = time.monotonic()
        if now - start > how.wait:
            raise DreamkitError(f"The server did not become healthy within {how.wait:g} s.", f"Read its log {log}.")
        if now - last > 15:
            last = now
            say(f"{how.model} is loading, {now - start:.0f} s")
        time.sleep(0.25)
    text = log.read_text(errors="replace")
    if "No module named 'vllm" in text or "No module named vllm" in text:
        raise DreamkitError(
            f"The Python {how.python or sys.executable} has no vLLM.", 'Run `pip install "dreamkit[gpu]"` for it.'
        )
    telling = [line for line in text.splitlines() if "Error" in line or "error:" in line.lower()]
    error = load_error(how.model, "\n".join([text[-4000:], telling[0] if telling else text[-300:]]))
    raise DreamkitError(error.message, f"{error.hint} The server's log is {log}.")


def stop(process: subprocess.Popen[bytes], patience: float = 20.0) -> None:
    """End the server and its worker processes: terminate, and kill after `patience` seconds."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(patience)
    # Workers can outlive their parent; they are in its process group.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
