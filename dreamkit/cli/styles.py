"""The commands `dreamkit styles ...` and `dreamkit bench styles`."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import typer

from dreamkit.cli.options import FILE, PARAMETER, from_old_options

app = typer.Typer(no_args_is_help=True, help="Rewrite captions in styles: other weather and daylight, the same scene.")

TABLE: Path | None = typer.Option(None, "--table", "-t", help="YAML file with your own styles, besides the eight.")
MODEL: str = typer.Option("", "--model", "-m", help="Hub name or folder; by default Qwen/Qwen3-14B.")
SHARE: float = typer.Option(
    0.9, "--memory-share", min=0.05, max=1.0, help="Share of the GPU's memory that vLLM may use."
)
CONTEXT: int = typer.Option(4096, "--context", min=1024, help="Tokens of a prompt and its answer together.")
LETTERS: int = typer.Option(2400, "--letters", min=100, help="The longest answer, in letters.")
MAX_TOKENS: int = typer.Option(1024, "--max-tokens", min=64, help="The longest answer, in the model's tokens.")
EAGER: bool = typer.Option(False, "--eager", help="Skip compilation: faster start, slower answers.")


@app.command("list")
def styles_list_command(table: Path | None = TABLE) -> None:
    """Print every style with its instruction."""
    from dreamkit.styles import load_styles

    for style in load_styles(table).styles.values():
        print(f"{style.name:12s} {style.instruction or 'the caption as it is'}")


@app.command("show")
def styles_show_command(
    caption: str,
    style: list[str] = typer.Option([], "--style", "-s", help="Styles; by default all."),
    table: Path | None = TABLE,
    seed: int = typer.Option(1, "--seed", help="Seed for the choice of words."),
) -> None:
    """Print one caption in the styles, by the rules; nothing is written."""
    from dreamkit.styles import Restyler, RuleRewriter, load_styles

    styles = load_styles(table)
    restyler = Restyler(rules=RuleRewriter(styles), seed=seed)
    for chosen in styles.choose(style):
        rewrite = restyler.by_rules(caption, chosen)
        print(f"{chosen.name}: {rewrite.text}")
        for reason in rewrite.check.reasons:
            print(f"  check: {reason}")


@app.command("write")
def styles_write_command(
    file: Path | None = FILE,
    parameter: list[str] = PARAMETER,
    share: float = SHARE,
    context: int = CONTEXT,
    letters: int = LETTERS,
    max_tokens: int = MAX_TOKENS,
    eager: bool = EAGER,
    strict: bool = typer.Option(
        False, "--strict", help="Exit code 1 when the rules wrote every caption of the model, or a check failed."
    ),
    workspace: str | None = typer.Option(None, "--workspace", "-w", hidden=True),
    clips: list[str] | None = typer.Option(None, "--clip", "-c", hidden=True),
    styles: list[str] | None = typer.Option(None, "--style", "-s", hidden=True),
    rewriter: str | None = typer.Option(None, "--rewriter", "-r", hidden=True),
    model: str | None = typer.Option(None, "--model", "-m", hidden=True),
    url: str | None = typer.Option(None, "--url", hidden=True),
    seed: int | None = typer.Option(None, "--seed", hidden=True),
    overwrite: bool | None = typer.Option(None, "--overwrite", hidden=True),
    recolour: bool | None = typer.Option(None, "--recolour", hidden=True),
    side_weather: bool | None = typer.Option(None, "--side-weather", hidden=True),
    table: str | None = typer.Option(None, "--table", "-t", hidden=True),
    tokenizer: str | None = typer.Option(None, "--tokenizer", hidden=True),
) -> None:
    """Notebook 03: write captions/<clip>.json, Original and the chosen styles; existing styles are kept.

    --memory-share and what follows are for a language model (rewriter vllm or server); notebook 03 uses the defaults.
    """
    from tqdm import tqdm

    from dreamkit.captions.language import token_counter
    from dreamkit.notebook.progress import counted
    from dreamkit.runs.notebook import gather_params, read_pairs
    from dreamkit.styles import Restyler, RuleRewriter, ServerRewriter, VllmRewriter
    from dreamkit.styles.batch import write_styles
    from dreamkit.styles.model.model_sizes import DEFAULT_MODEL
    from dreamkit.styles.page import guard_of_styles, table_of
    from dreamkit.styles.params import StyleParams
    from dreamkit.workspace.workspace import from_home

    old = {
        "workspace": workspace,
        "clips": clips,
        "styles": styles,
        "rewriter": rewriter,
        "model": model,
        "url": url,
        "seed": seed,
        "overwrite": overwrite,
        "recolour": recolour,
        "side_weather": side_weather,
        "table": table,
        "tokenizer": tokenizer,
    }
    p = gather_params(StyleParams, file, from_old_options("styles write", old) | read_pairs(StyleParams, parameter))
    ws = p.open_workspace()
    chat: ServerRewriter | VllmRewriter | None = None
    if p.rewriter == "vllm":
        chat = VllmRewriter(p.model or DEFAULT_MODEL, share, context, letters, max_tokens, eager)
    elif p.rewriter == "server":
        chat = ServerRewriter(p.url, p.model, letters=letters, max_tokens=max_tokens)
        chat.connect()
    counter = token_counter(from_home(p.tokenizer) if p.tokenizer else None)
    restyler = Restyler(chat, RuleRewriter(table_of(p), p.recolour), p.seed, counter)
    with tqdm(unit="caption", disable=None) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        guard = guard_of_styles(ws, p)
        report = write_styles(ws, restyler, p.clips, p.styles, p.overwrite, p.side_weather, progress, guard)
    print(f"{counted(len(report.written), 'caption file')} written, {len(report.kept)} kept, in {ws.captions}")
    for name in report.unchecked:
        print(f"check failed: {name}; styles/<clip>.json says why")
    for name, reason in report.blocked.items():
        print(f"not written: {name}. {reason}")
    for line in report.fallback_lines():
        print(line)
    report.raise_problems()
    if strict and (report.model_failed or report.unchecked):
        raise typer.Exit(1)


@app.command("serve")
def styles_serve_command(
    model: str = MODEL,
    host: str = typer.Option("127.0.0.1", "--host", help="Address to listen on."),
    port: int = typer.Option(8000, "--port", min=0, max=65535, help="Port to listen on; 0: a free one."),
    share: float = SHARE,
    context: int = CONTEXT,
    python: str = typer.Option("", "--python", help="A Python that has vLLM; by default this one."),
    log: Path = typer.Option(Path("outputs/logs/styles_server.log"), "--log", help="The server's output."),
    wait: float = typer.Option(900.0, "--wait", min=1.0, help="Seconds that the start may take."),
    eager: bool = EAGER,
) -> None:
    """Serve a rewriting model with vLLM until Ctrl-C, which stops all its processes."""
    from dreamkit.styles.model.model_sizes import DEFAULT_MODEL
    from dreamkit.styles.model.server import Serving, serving

    how = Serving(model or DEFAULT_MODEL, host, port, share, context, python, wait, ("--enforce-eager",) * eager)
    if host not in ("127.0.0.1", "localhost", "::1") and not os.environ.get("VLLM_API_KEY"):
        print(
            f"warning: whoever reaches {host} can use this server, because it has no key. Set VLLM_API_KEY before the"
            " start (vLLM then asks for it), or listen on 127.0.0.1 and reach it through an ssh tunnel.",
            file=sys.stderr,
        )
    try:
        with serving(how, log, say=lambda line: print(line, flush=True)) as address:
            print(f"{how.model} is served at {address}; stop with Ctrl-C", flush=True)
            while True:
                signal.pause()
    except KeyboardInterrupt:
        print("stopped")


def bench_styles_command(
    model: str = MODEL,
    captions: int = typer.Option(
        8, "--captions", min=1, help="Captions of each measurement; seven requests per caption."
    ),
    share: float = SHARE,
    context: int = CONTEXT,
    letters: int = LETTERS,
    max_tokens: int = MAX_TOKENS,
    eager: bool = EAGER,
) -> None:
    """Time vLLM on a batch of captions against one call after another, in the same run."""
    from dreamkit.bench.styles import time_styles
    from dreamkit.styles.model.model_sizes import DEFAULT_MODEL
    from dreamkit.styles.model.rewriters import VllmRewriter

    rewriter = VllmRewriter(model or DEFAULT_MODEL, share, context, letters, max_tokens, eager)
    print(json.dumps(time_styles(rewriter, captions)))
