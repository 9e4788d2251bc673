"""Write a workspace's captions in several styles; existing styles are kept, missing ones are made."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from dreamkit.captions.files import ORIGINAL, read_captions, write_style_captions
from dreamkit.captions.language import T5_TOKENS
from dreamkit.errors import DreamkitError
from dreamkit.guardrail.record import GuardrailRecord
from dreamkit.styles.guarded import Key, guarded
from dreamkit.styles.restyle import Restyler, Rewrite
from dreamkit.styles.rules.rewriter import one_line
from dreamkit.styles.side_views import side_prompts, weather_clause
from dreamkit.styles.table import Style, StyleTable, load_styles
from dreamkit.workspace.files import read_json, read_text, write_json
from dreamkit.workspace.workspace import Workspace

if TYPE_CHECKING:
    from dreamkit.guardrail.guard import Guard  # loads torch

log = logging.getLogger(__name__)
# Clips that go to a model as one batch. Their files are written after it, so an interruption costs one batch at most.
BATCH = 512


@dataclass
class StylesReport:
    """The result of `write_styles`.

    Attributes:
        written: clips whose files were written.
        kept: clips whose files had everything already.
        fell_back: number of captions that the rules wrote because the model gave no answer that passed the checks.
        by_model: number of captions that the model wrote.
        unchecked: "clip, style" of captions that were written although a check failed.
        problems: clip -> why it could not be used.
        blocked: "clip, style" -> why the guardrail blocked the caption, a sentence; it was not written. Where Original
            is blocked, nothing of the clip was written.
    """

    written: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    fell_back: int = 0
    by_model: int = 0
    unchecked: list[str] = field(default_factory=list)
    problems: dict[str, DreamkitError] = field(default_factory=dict)
    blocked: dict[str, str] = field(default_factory=dict)

    @property
    def model_failed(self) -> bool:
        """Whether a model was to write captions and the rules wrote all of them."""
        return bool(self.fell_back) and not self.by_model

    def fallback_lines(self) -> list[str]:
        """How many captions of the model the rules wrote, and that they wrote all of them; [] without any."""
        if not self.fell_back:
            return []
        if self.model_failed:
            return [f"ALL {self.fell_back} captions are by the rules, none by the model; styles/<clip>.json says why"]
        return [
            f"{self.fell_back} of {self.fell_back + self.by_model} captions are by the rules, not by the model; "
            f"styles/<clip>.json says why"
        ]

    def raise_problems(self) -> None:
        """Raise the problems, if there are any.

        Raises:
            DreamkitError: the only problem, or all of them in one error.
        """
        if not self.problems:
            return
        errors = list(self.problems.values())
        if len(errors) == 1:
            raise errors[0]
        listed = "\n".join(f"  {error.message}" for error in errors).rstrip(".")
        raise DreamkitError(
            f"{len(errors)} captions could not be used, {len(self.written)} were written:\n{listed}.", errors[0].hint
        )


@dataclass(frozen=True)
class _Clip:
    """A clip to be rewritten: its caption, the styles that its file has, the styles to make."""

    name: str
    source: str
    existing: Mapping[str, str]
    missing: tuple[Style, ...]


def write_styles(
    workspace: Workspace,
    restyler: Restyler,
    clips: Sequence[str] = (),
    styles: Sequence[str] = (),
    overwrite: bool = False,
    side_weather: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
    guard: Guard | None = None,
) -> StylesReport:
    """Write `captions/<clip>.json` with Original and the chosen styles for every clip, and its sidecar.

    Existing styles are kept unless `overwrite`. A clip that cannot be used is reported, and the others are written. A
    run can be interrupted at any time and started again.

    Args:
        workspace: the workspace that has the captions.
        restyler: rewrites the captions.
        clips: names of clips; when empty, all that have a caption.
        styles: names of styles; when empty, all of the table.
        overwrite: make the chosen styles again where they exist.
        side_weather: add the weather to the side and rear views' prompts in the sidecar.
        progress: called with (number of finished clips, number of clips).
        guard: checks of prompts that every new caption must pass; None for none.

    Raises:
        DreamkitError: there is no caption, a style is unknown, or the model cannot be reached or loaded.
    """
    table = restyler.rules.table or load_styles()
    chosen = table.choose(styles)
    names = list(dict.fromkeys(clips)) or workspace.clips()
    if not names:
        raise DreamkitError(
            f"There is no caption in {workspace.captions}.", "Write what the front camera sees into <clip>.txt there."
        )
    report = StylesReport()
    waiting: list[_Clip] = []
    for name in names:
        try:
            clip = _read_clip(workspace, name, chosen, overwrite, restyler)
        except DreamkitError as error:
            report.problems[name] = error
            continue
        if clip.missing or ORIGINAL not in clip.existing:
            waiting.append(clip)
        else:
            report.kept.append(name)
    done = len(report.kept) + len(report.problems)
    progress(done, len(names))
    # The rules need no batch, so each clip is written as soon as it is made; a guardrail's model is loaded for a batch.
    for batch in _batches(waiting, 1 if restyler.model is None and guard is None else BATCH):
        _rewrite_batch(workspace, restyler, table, batch, side_weather, report, guard)
        done += len(batch)
        progress(done, len(names))
    return report


def _batches(clips: Sequence[_Clip], size: int) -> Iterator[Sequence[_Clip]]:
    for start in range(0, len(clips), size):
        yield clips[start : start + size]


def _read_clip(workspace: Workspace, name: str, chosen: Sequence[Style], overwrite: bool, restyler: Restyler) -> _Clip:
    json_file, text_file = workspace.caption(name, "json"), workspace.caption(name, "txt")
    existing = read_captions(workspace.captions, name)
    text = read_text(text_file, "caption").strip() if json_file.is_file() and text_file.is_file() else ""
    source = existing.get(ORIGINAL) or text
    if not json_file.is_file():
        existing = {}
    elif not source:
        raise DreamkitError(
            f"The caption file {json_file} has no {ORIGINAL} to make other styles from.",
            f'Add "{ORIGINAL}": "<caption>" to it, or write {text_file.name}.',
        )
    elif text_file.is_file() and overwrite:
        source = text
    elif (
        text_file.is_file()
        and one_line(text) != one_line(source)
        and _record(workspace, name).get("translated_from") != _digest(text)
    ):
        log.warning("%s.txt differs from Original in %s.json, which is kept; overwrite to start anew", name, name)
    words, tokens = len(source.split()), restyler.count_tokens(source)
    # T5 has at least one token per word, so this many words are too many with any tokenizer.
    if words > T5_TOKENS or (restyler.count_tokens.exact and tokens > T5_TOKENS):
        raise DreamkitError(
            f"The caption of {name} has {words} words, about {tokens} tokens; the model reads {T5_TOKENS} and no more.",
            "Shorten it to 300 words or fewer.",
        )
    if words == 1:
        log.warning("the caption of %s is one word, %r; a sentence or more makes better videos", name, source)
    missing = tuple(style for style in chosen if overwrite or style.name not in existing)
    return _Clip(name, source, existing, missing)


def _rewrite_batch(
    workspace: Workspace,
    restyler: Restyler,
    table: StyleTable,
    batch: Sequence[_Clip],
    side_weather: bool,
    report: StylesReport,
    guard: Guard | None,
) -> None:
    english, foreign = restyler.english({clip.name: clip.source for clip in batch})
    for name, problem in foreign.items():
        report.problems[name] = DreamkitError(
            f"The caption of {name} {problem}.",
            "Write it in English, or choose a language model (rewriter vllm or server), which translates it first.",
        )
    work = {clip.name: (one_line(english[clip.name]), clip.missing) for clip in batch if clip.name in english}
    made = restyler.rewrite(work)
    texts: dict[Key, str] = {(name, ORIGINAL): english[name] for name in work}
    texts |= {(name, style): rewrite.text for name in work for style, rewrite in made.get(name, {}).items()}
    checks = guarded(guard, texts)
    report.blocked |= {", ".join(key): check.reason for key, check in checks.items() if check.blocked}
    for clip in batch:
        if clip.name not in english or f"{clip.name}, {ORIGINAL}" in report.blocked:
            continue
        rewrites = {s: r for s, r in made.get(clip.name, {}).items() if f"{clip.name}, {s}" not in report.blocked}
        captions = {ORIGINAL: english[clip.name]}
        for style in table.styles:
            if style in rewrites:
                captions[style] = rewrites[style].text
            elif style != ORIGINAL and style in clip.existing:
                captions[style] = clip.existing[style]
        captions |= {style: text for style, text in clip.existing.items() if style not in captions}
        record = _new_record(workspace, clip, captions, rewrites, table, restyler, side_weather, checks)
        # Sidecar first: when a run is killed between the two files, the clip is made again.
        write_json(workspace.style_record(clip.name), record)
        write_style_captions(workspace.captions, clip.name, captions)
        report.written.append(clip.name)
        report.fell_back += sum(rewrite.record()["fell_back"] for rewrite in rewrites.values())
        report.by_model += sum(bool(rewrite.model) for rewrite in rewrites.values())
        report.unchecked += [f"{clip.name}, {s}" for s, rewrite in rewrites.items() if not rewrite.check.passed]


def _record(workspace: Workspace, clip: str) -> dict[str, Any]:
    path = workspace.style_record(clip)
    return read_json(path, "sidecar") if path.is_file() else {}


def _new_record(
    workspace: Workspace,
    clip: _Clip,
    captions: Mapping[str, str],
    rewrites: Mapping[str, Rewrite],
    table: StyleTable,
    restyler: Restyler,
    side_weather: bool,
    checks: Mapping[Key, GuardrailRecord],
) -> dict[str, Any]:
    """The clip's sidecar; entries of styles that were kept are taken from the former one."""
    before = _record(workspace, clip.name).get("styles", {})
    entries = {style: before[style] for style in captions if style in before and style not in rewrites}
    entries |= {style: rewrite.record() for style, rewrite in rewrites.items()}
    views = {
        style: side_prompts(text, table.styles.get(style), table, weather=side_weather)[1:]
        for style, text in captions.items()
    }
    built_in = load_styles()
    weather = {style: weather_clause(text, table.styles.get(style), table) for style, text in captions.items()}
    own = {
        style: text
        for style, text in weather.items()
        if text and text != weather_clause(captions[style], built_in.styles.get(style), built_in)
    }
    record = {
        "clip": clip.name,
        "original": _digest(captions[ORIGINAL]),
        "recolour": restyler.rules.recolour,
        "t5_tokens_counted_by": "tokenizer" if restyler.count_tokens.exact else "estimate",
        "styles": {style: entries[style] for style in captions if style in entries},
        "views": {"side_weather": side_weather, "prompts": views, "own_weather": own},
        "dreamkit": _version(),
    }
    if told := {style: check.as_dict() for (name, style), check in checks.items() if name == clip.name}:
        record["guardrail"] = told
    if captions[ORIGINAL] != clip.source:
        record |= {"translated_from": _digest(clip.source), "untranslated": clip.source}
    return record


def _digest(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _version() -> str:
    try:
        return version("dreamkit")
    except PackageNotFoundError:
        return "from a checkout"
