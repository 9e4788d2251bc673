"""A workspace's captions into styles: what is there is kept, what is missing is made, nothing is half-written."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from dreamkit.captions import files as caption_files
from dreamkit.captions.conditions import read_state
from dreamkit.captions.files import ORIGINAL
from dreamkit.captions.language import T5_TOKENS
from dreamkit.errors import DreamkitError
from dreamkit.styles.restyle import Restyler, Rewrite
from dreamkit.styles.rules.rewriter import plain
from dreamkit.styles.table import Style, StyleTable, load_styles
from dreamkit.workspace.cameras import SIX_VIEWS, Rig, view_prompts
from dreamkit.workspace.files import read_json, read_text, write_json
from dreamkit.workspace.workspace import Workspace

log = logging.getLogger(__name__)
# Captions that go to a model as one batch; after each batch its clips are written, so a kill costs one batch at most.
BATCH = 512


@dataclass
class Report:
    """What a run did: clips by outcome, and what stood in the way."""

    written: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    fell_back: int = 0
    unchecked: list[str] = field(default_factory=list)
    problems: dict[str, DreamkitError] = field(default_factory=dict)

    def raise_problems(self) -> None:
        """Raise what stood in the way of some clips, when anything did.

        Raises:
            DreamkitError: the only problem, or all of them in one.
        """
        if not self.problems:
            return
        if len(self.problems) == 1:
            raise next(iter(self.problems.values()))
        listed = "\n".join(f"  {error.message}" for error in self.problems.values())
        raise DreamkitError(
            f"{len(self.problems)} captions could not be used, {len(self.written)} were written:\n{listed}",
            next(iter(self.problems.values())).hint,
        )


@dataclass(frozen=True)
class _Clip:
    name: str
    source: str
    there: Mapping[str, str]
    missing: tuple[Style, ...]


def side_prompts(
    caption: str, style: Style | None, table: StyleTable, rig: Rig = SIX_VIEWS, weather: bool = False
) -> list[str]:
    """One prompt per view.

    Args:
        caption: what the front camera sees, in the style.
        style: its style; None for Original.
        table: the styles.
        rig: the views.
        weather: let the side and rear views say the style's weather and light in one clause. Upstream gives them the
            camera's sentence alone.
    """
    clause = weather_clause(caption, style, table) if weather else ""
    others = [f"{camera.sentence} {clause}" for camera in rig.cameras[1:]] if clause else ()
    return view_prompts(caption, rig, others)


def weather_clause(caption: str, style: Style | None, table: StyleTable) -> str:
    """The style's weather and light as one short sentence, "" for Original."""
    if style is None or style.name == ORIGINAL:
        return ""
    clause = table.scene(*style.target(*read_state(caption))).clause
    return f"{clause[0].upper()}{clause[1:]}." if clause else ""


def write_styles(
    workspace: Workspace,
    restyler: Restyler,
    clips: Sequence[str] = (),
    styles: Sequence[str] = (),
    overwrite: bool = False,
    side_weather: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    """Write `captions/<clip>.json` with Original and the chosen styles for every clip, and its sidecar.

    Styles that a file has are kept unless `overwrite`; missing ones are added. A clip that cannot be used is reported
    and the others go on. Safe to kill at any moment and to start again.

    Args:
        workspace: where the captions are.
        restyler: who rewrites.
        clips: clips; all that have a caption when empty.
        styles: styles; the table's when empty.
        overwrite: rewrite the chosen styles of files that have them.
        side_weather: prompts of the side and rear views in the sidecar say the weather too.
        progress: called with (clips done, clips in all).

    Raises:
        DreamkitError: no caption at all, an unknown style; or the model cannot be reached or loaded.
    """
    table = restyler.rules.table or load_styles()
    chosen = table.choose(styles)
    names = list(clips) or workspace.clips()
    if not names:
        raise DreamkitError(
            f"There is no caption in {workspace.captions}.", "Write what the front camera sees into <clip>.txt there."
        )
    report = Report()
    todo: list[_Clip] = []
    for name in dict.fromkeys(names):
        try:
            clip = _read(workspace, name, chosen, overwrite, restyler)
        except DreamkitError as error:
            report.problems[name] = error
            continue
        if clip.missing or ORIGINAL not in clip.there:
            todo.append(clip)
        else:
            report.kept.append(name)
    done, total = len(report.kept) + len(report.problems), len(dict.fromkeys(names))
    progress(done, total)
    # The rules answer at once, so each clip is written as soon as it is made.
    for batch in _batches(todo, 1 if restyler.model is None else BATCH):
        _rewrite_batch(workspace, restyler, table, batch, side_weather, report)
        done += len(batch)
        progress(done, total)
    return report


def _batches(clips: Sequence[_Clip], size: int) -> Iterator[Sequence[_Clip]]:
    for start in range(0, len(clips), size):
        yield clips[start : start + size]


def _read(workspace: Workspace, name: str, chosen: Sequence[Style], overwrite: bool, restyler: Restyler) -> _Clip:
    text = workspace.captions / f"{name}.txt"
    there = caption_files.read(workspace.captions, name)
    if not (workspace.captions / f"{name}.json").is_file():
        source, there = there[ORIGINAL], {}
    elif ORIGINAL in there:
        source = there[ORIGINAL]
        if text.is_file() and not overwrite and plain(read_text(text, "caption")) != plain(source):
            before = _record(workspace, name).get("translated_from")
            if before != _digest(read_text(text, "caption").strip()):
                log.warning(
                    "%s.txt differs from Original in %s.json, which is kept; overwrite to start anew", name, name
                )
        elif text.is_file() and overwrite:
            source = read_text(text, "caption").strip()
    else:
        source = caption_files.read(workspace.captions, name).get(ORIGINAL) or (
            read_text(text, "caption").strip() if text.is_file() else ""
        )
        if not source:
            raise DreamkitError(
                f"{workspace.captions / name}.json has no {ORIGINAL} to make other styles from.",
                f'Add "{ORIGINAL}": "..." to it, or write {text.name}.',
            )
    words = len(source.split())
    tokens = restyler.count_tokens(source)
    # T5 has no token for more than a word, so that many words are too many whatever the tokenizer.
    if words > T5_TOKENS or (restyler.count_tokens.__name__ != "estimated_tokens" and tokens > T5_TOKENS):
        raise DreamkitError(
            f"The caption of {name} has {words} words, about {tokens} tokens; the model reads {T5_TOKENS} and no more.",
            "Shorten it to 300 words or fewer.",
        )
    if words == 1:
        log.warning("the caption of %s is one word, %r; a sentence or more makes better videos", name, source)
    missing = tuple(style for style in chosen if overwrite or style.name not in there)
    return _Clip(name, source, there, missing)


def _rewrite_batch(
    workspace: Workspace,
    restyler: Restyler,
    table: StyleTable,
    batch: Sequence[_Clip],
    side_weather: bool,
    report: Report,
) -> None:
    english, foreign = restyler.english({clip.name: clip.source for clip in batch})
    for name, problem in foreign.items():
        report.problems[name] = DreamkitError(
            f"The caption of {name} {problem}.",
            "Write it in English, or choose a language model (rewriter vllm or server), which translates it first.",
        )
    work = {clip.name: (plain(english[clip.name]), clip.missing) for clip in batch if clip.name in english}
    made = restyler.rewrite(work)
    for clip in batch:
        if clip.name not in english:
            continue
        rewrites = made.get(clip.name, {})
        translated = english[clip.name] != clip.source
        original = english[clip.name]
        captions = {ORIGINAL: original}
        for style in table.styles:
            if style in rewrites:
                captions[style] = rewrites[style].text
            elif style != ORIGINAL and style in clip.there:
                captions[style] = clip.there[style]
        captions |= {style: text for style, text in clip.there.items() if style not in captions}
        _write(workspace, clip, captions, rewrites, table, restyler, side_weather, translated)
        report.written.append(clip.name)
        report.fell_back += sum(rewrite.record()["fell_back"] for rewrite in rewrites.values())
        report.unchecked += [f"{clip.name}, {s}" for s, rewrite in rewrites.items() if not rewrite.verdict.passed]


def _record(workspace: Workspace, clip: str) -> dict[str, Any]:
    path = workspace.style_record(clip)
    return read_json(path, "sidecar") if path.is_file() else {}


def _write(
    workspace: Workspace,
    clip: _Clip,
    captions: Mapping[str, str],
    rewrites: Mapping[str, Rewrite],
    table: StyleTable,
    restyler: Restyler,
    side_weather: bool,
    translated: bool,
) -> None:
    """Sidecar first, then the captions: a kill between the two leaves the clip to be made again, not unexplained."""
    before = _record(workspace, clip.name).get("styles", {})
    entries = {style: before[style] for style in captions if style in before and style not in rewrites}
    entries |= {style: rewrite.record() for style, rewrite in rewrites.items()}
    views = {
        style: side_prompts(text, table.styles.get(style), table, weather=side_weather)[1:]
        for style, text in captions.items()
    }
    record = {
        "clip": clip.name,
        "original": _digest(captions[ORIGINAL]),
        "recolour": restyler.rules.recolour,
        "t5_tokens_counted_by": "estimate" if restyler.count_tokens.__name__ == "estimated_tokens" else "tokenizer",
        "styles": {style: entries[style] for style in captions if style in entries},
        "views": {"side_weather": side_weather, "prompts": views},
        "dreamkit": _version(),
    }
    if translated:
        record |= {"translated_from": _digest(clip.source), "untranslated": clip.source}
    write_json(workspace.style_record(clip.name), record)
    caption_files.write_styles(workspace.captions, clip.name, captions)


def _digest(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _version() -> str:
    try:
        return version("dreamkit")
    except PackageNotFoundError:
        return "from a checkout"
