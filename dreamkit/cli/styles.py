"""`dreamkit styles ...` and `dreamkit bench styles`; each command calls one function and prints what it made."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import typer

from dreamkit.errors import DreamkitError
from dreamkit.workspace.workspace import Workspace

app = typer.Typer(no_args_is_help=True, help="Captions into styles: time of day and weather, the scene kept.")

TABLE = typer.Option(None, "--table", "-t", help="YAML file of styles of your own, on top of the eight.")
MODEL = typer.Option("", "--model", "-m", help="Hub name or folder; Qwen/Qwen3-14B when left out.")
SHARE = typer.Option(0.9, "--memory-share", min=0.05, max=1.0, help="Part of the GPU's memory that vLLM may take.")
CONTEXT = typer.Option(4096, "--context", min=1024, help="Tokens of a prompt and its answer together.")
LETTERS = typer.Option(2400, "--letters", min=100, help="The longest answer, in letters.")
MAX_TOKENS = typer.Option(1024, "--max-tokens", min=64, help="The longest answer, in the model's tokens.")
EAGER = typer.Option(False, "--eager", help="Skip compilation: quicker start, slower answers.")


@app.command("list")
def list_styles(table: Path = TABLE) -> None:
    """Print every style and what it stands for."""
    from dreamkit.styles import load_styles

    for style in load_styles(table).styles.values():
        print(f"{style.name:12s} {style.instruction or 'the caption as it is'}")


@app.command("show")
def show(
    caption: str, style: list[str] = typer.Option([], "--style", "-s"), table: Path = TABLE, seed: int = 1
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
def write(
    workspace: str = typer.Option("outputs", "--workspace", "-w", help="Folder with captions/."),
    clip: list[str] = typer.Option([], "--clip", "-c", help="Clips; all with a caption when left out."),
    style: list[str] = typer.Option([], "--style", "-s", help="Styles; all when left out."),
    rewriter: str = typer.Option("rules", "--rewriter", "-r", help="rules, vllm (in this process) or server."),
    model: str = MODEL,
    url: str = typer.Option("http://127.0.0.1:8000/v1", "--url", help="The server's address, for rewriter server."),
    seed: int = typer.Option(1, "--seed", min=0),
    overwrite: bool = typer.Option(False, "--overwrite", help="Rewrite styles that are there already."),
    recolour: bool = typer.Option(False, "--recolour", help="Give vehicles that have a colour another one."),
    side_weather: bool = typer.Option(False, "--side-weather", help="Side views' prompts say the weather too."),
    table: Path = TABLE,
    tokenizer: Path = typer.Option(None, "--tokenizer", help="Folder of google-t5/t5-11b; estimated when left out."),
    share: float = SHARE,
    context: int = CONTEXT,
    letters: int = LETTERS,
    max_tokens: int = MAX_TOKENS,
    eager: bool = EAGER,
) -> None:
    """Write captions/<clip>.json: Original and the chosen styles. What is there is kept, what is missing is added."""
    from tqdm import tqdm

    from dreamkit.captions.language import token_counter
    from dreamkit.styles import Restyler, RuleRewriter, ServerRewriter, VllmRewriter, load_styles
    from dreamkit.styles.batch import write_styles
    from dreamkit.styles.model.model_sizes import DEFAULT_MODEL

    chat: ServerRewriter | VllmRewriter | None = None
    if rewriter == "vllm":
        chat = VllmRewriter(model or DEFAULT_MODEL, share, context, letters, max_tokens, eager)
    elif rewriter == "server":
        chat = ServerRewriter(url, model, letters=letters, max_tokens=max_tokens)
        chat.connect()
    elif rewriter != "rules":
        raise DreamkitError(f"There is no rewriter {rewriter!r}.", "Choose rules, vllm or server.")
    rules = RuleRewriter(load_styles(table), recolour)
    restyler = Restyler(chat, rules, seed, token_counter(tokenizer))
    folder = Workspace(workspace)
    with tqdm(unit="caption", disable=None) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        report = write_styles(folder, restyler, clip, style, overwrite, side_weather, progress)
    print(f"{len(report.written)} caption files written, {len(report.kept)} kept, in {folder.captions}")
    if report.fell_back:
        print(
            f"{report.fell_back} rewrites of the model were refused and made by the rules; styles/<clip>.json says why"
        )
    for name in report.unchecked:
        print(f"check failed: {name}; styles/<clip>.json says why")
    report.raise_problems()


@app.command("serve")
def serve(
    model: str = MODEL,
    host: str = typer.Option("127.0.0.1", "--host"),
    port: int = typer.Option(8000, "--port", min=0, max=65535, help="0 takes a free one."),
    share: float = SHARE,
    context: int = CONTEXT,
    python: str = typer.Option("", "--python", help="A Python that has vLLM; this one when left out."),
    log: Path = typer.Option(Path("outputs/logs/styles_server.log"), "--log", help="The server's output."),
    wait: float = typer.Option(900.0, "--wait", min=1.0, help="Seconds until it must be healthy."),
    eager: bool = EAGER,
) -> None:
    """Serve a rewriting model with vLLM until Ctrl-C: started, awaited, and stopped with all its processes."""
    from dreamkit.styles.model.model_sizes import DEFAULT_MODEL
    from dreamkit.styles.model.server import Serving, serving

    how = Serving(model or DEFAULT_MODEL, host, port, share, context, python, wait, ("--enforce-eager",) * eager)
    # A plain kill must stop the engine's processes too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with serving(how, log, say=lambda line: print(line, flush=True)) as address:
            print(f"{how.model} is served at {address}; stop with Ctrl-C", flush=True)
            while True:
                signal.pause()
    except KeyboardInterrupt:
        print("stopped")


def bench(
    model: str = MODEL,
    captions: int = typer.Option(8, "--captions", min=1, help="Captions in each half; seven requests a caption."),
    share: float = SHARE,
    context: int = CONTEXT,
    letters: int = LETTERS,
    max_tokens: int = MAX_TOKENS,
    eager: bool = EAGER,
) -> None:
    """Time vLLM on a batch of captions against one call after another, in one run."""
    from dreamkit.bench.styles import measure
    from dreamkit.styles.model.model_sizes import DEFAULT_MODEL
    from dreamkit.styles.model.rewriters import VllmRewriter

    print(
        json.dumps(measure(VllmRewriter(model or DEFAULT_MODEL, share, context, letters, max_tokens, eager), captions))
    )
