"""The parameters of a batch: a YAML file with clips, styles, stages, seeds, and parameters for each stage."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from dreamkit.captions.params import CaptionParams
from dreamkit.errors import DreamkitError
from dreamkit.generate.params import MultiViewParams, SingleViewParams
from dreamkit.notebook.param_values import ALIASES
from dreamkit.notebook.params import NotebookParams, parse_params
from dreamkit.notebook.text_values import as_written
from dreamkit.rds.labels import list_clips
from dreamkit.rds.plan import Options
from dreamkit.review.params import ReviewParams
from dreamkit.styles.params import StyleParams
from dreamkit.workspace.file_names import check_name
from dreamkit.workspace.files import nearest, read_text, read_yaml
from dreamkit.workspace.workspace import Workspace, from_home

STAGE_MODELS: dict[str, type[NotebookParams]] = {
    "captions": CaptionParams,
    "styles": StyleParams,
    "single": SingleViewParams,
    "multi": MultiViewParams,
    "review": ReviewParams,
}
STAGE_ORDER = ("render", *STAGE_MODELS)
# What the batch itself sets in every notebook.
SET_BY_BATCH = {
    "workspace": "workspace",
    "clips": "clips",
    "styles": "styles",
    "seed": "seeds",
    "skip_bad": "nothing: one bad clip never stops a batch",
}
_RENDER = ("conditions", "cameras", "camera_model", "chunk_frames", "overlap", "max_chunks", "workers")
_HINT = "params/batch.example.yaml shows every entry, with comments."
ALL = "all"


class ClipColumn(BaseModel):
    """Clips named in a column of a CSV file."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    csv: str = Field(min_length=1)
    column: str = Field(default="clip", min_length=1)


class BatchParams(BaseModel):
    """The entries of a batch file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(default="", description="name of the batch and of its folder in runs/; empty: the file's name")
    workspace: str = Field(default="outputs", min_length=1, description="folder of conditions, captions and results")
    store: str = Field(default="", description="URL that the workspace is copied from and to: s3://, gs://, file://")
    labels: str = Field(default="", description="RDS-HQ folder, for the stage render")
    clips: list[str] | ClipColumn = Field(default=[ALL], description="all, names, patterns, or a CSV column")
    styles: list[str] = Field(default=[], description="styles; empty: every style that the caption file has")
    stages: list[Literal["render", "captions", "styles", "single", "multi", "review"]] = Field(
        default=["single"], min_length=1, description="stages to run; they run in this order"
    )
    seeds: list[int] = Field(default=[1], min_length=1, description="seeds; the results of each have a folder")
    params: dict[str, dict[str, Any]] = Field(default={}, description="stage -> parameters of its notebook")
    overrides: dict[str, dict[str, dict[str, Any]]] = Field(
        default={}, description="clip or pattern -> stage -> parameters"
    )
    clips_per_unit: int = Field(default=8, ge=1, le=50, description="clips that one notebook makes")
    styles_per_unit: int = Field(default=0, ge=0, description="styles that one notebook makes; 0: all")
    engine: Literal["local", "ray"] = Field(default="local", description="where units run")
    address: str = Field(default="auto", description="address of the Ray cluster")
    workers: int = Field(default=0, ge=0, description="units at a time; 0: one a GPU, or one on the CPU")
    cpus_per_unit: int = Field(default=1, ge=1, description="CPU cores that Ray keeps for a unit")
    retries: int = Field(default=2, ge=0, description="further attempts after a unit was killed or lost")
    keep_free_gib: float = Field(default=1.0, ge=0, description="the batch pauses while the disk has less room")

    @field_validator("clips", "styles", "stages", "seeds", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str | int) and not isinstance(value, bool) else value

    @field_validator("stages")
    @classmethod
    def _in_order(cls, stages: list[str]) -> list[str]:
        return sorted(set(stages), key=STAGE_ORDER.index)

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: list[int]) -> list[int]:
        if any(not 0 <= seed < 2**31 for seed in seeds):
            raise ValueError("a seed lies between 0 and 2147483647")
        return list(dict.fromkeys(seeds))

    def for_clip(self, stage: str, clip: str) -> dict[str, Any]:
        """The parameters of a stage for a clip: those of `params`, and above them those of matching `overrides`."""
        values = dict(self.params.get(stage, {}))
        for pattern, stages in self.overrides.items():
            if fnmatchcase(clip, pattern):
                values |= stages.get(stage, {})
        return values


def read_batch(file: Path) -> BatchParams:
    """The batch of a YAML file; its name is the file's, where it has none.

    Raises:
        DreamkitError: a file that cannot be read, an unknown entry or parameter (with the nearest), or a value outside
            its bounds; all problems are in one message.
    """
    what = "batch file"
    values = read_yaml(file, what)
    texts = yaml.load(read_text(file, what), yaml.BaseLoader) or {}
    known, problems = BatchParams.model_fields, []
    for name in [name for name in values if name not in known]:
        close = nearest(name, known)
        problems.append(f"{name}: not an entry of a batch" + (f"; did you mean {close}?" if close else ""))
    for name in ("clips", "styles"):  # YAML reads the clip 0001 as the number 1
        if name in values and not isinstance(values[name], dict):
            values[name] = texts[name]
    if isinstance(values.get("overrides"), dict):
        values["overrides"] = dict(zip(texts["overrides"], values["overrides"].values(), strict=True))
    batch = None
    try:
        batch = BatchParams(**{name: value for name, value in values.items() if name in known})
        batch = batch.model_copy(update={"name": batch.name or file.name.removesuffix(file.suffix)})
        problems += _stage_problems(batch, texts)
    except ValidationError as error:
        problems += [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
    if problems or batch is None:
        raise DreamkitError(f"The batch file {file} cannot be used.\n  " + "\n  ".join(problems), _HINT)
    check_name(batch.name, "batch")
    return batch


def _stage_problems(batch: BatchParams, texts: Mapping[str, Any]) -> list[str]:
    """What is wrong with the parameters of the stages; texts that YAML read as numbers are put back."""
    problems = []
    places = [("params", batch.params, texts.get("params", {}))]
    for clip, stages in batch.overrides.items():
        places.append((f"overrides.{clip}", stages, texts.get("overrides", {}).get(clip, {})))
    for place, stages, written in places:
        for stage, values in stages.items():
            if stage not in STAGE_ORDER:
                close = nearest(stage, STAGE_ORDER)
                known = f"did you mean {close}?" if close else ", ".join(STAGE_ORDER)
                problems.append(f"{place}.{stage}: not a stage; {known}")
                continue
            for name in [name for name in values if name in SET_BY_BATCH]:
                problems.append(f"{place}.{stage}.{name}: the batch sets it; use {SET_BY_BATCH[name]}")
            if problems:
                continue
            try:
                if stage in STAGE_MODELS:
                    model = STAGE_MODELS[stage]
                    values.update(as_written(model, values, written.get(stage, {}), ALIASES))
                    parse_params(model, values, f"{place}.{stage}")
                else:
                    render_options(values, ())
            except DreamkitError as error:
                problems.append(error.message)
    if "render" in batch.stages and not batch.labels:
        problems.append("labels: the stage render needs the folder of the RDS-HQ labels")
    return problems


def render_options(values: Mapping[str, Any], clips: tuple[str, ...]) -> Options:
    """The options of the stage render for some clips.

    Raises:
        DreamkitError: an unknown option, or a value outside its bounds.
    """
    for name in values:
        if name not in _RENDER:
            close = nearest(name, _RENDER)
            hint = f"Did you mean {close}?" if close else f"There are {', '.join(_RENDER)}."
            raise DreamkitError(f"{name!r} is no option of the stage render.", hint)
    given = {("model" if name == "camera_model" else name): value for name, value in values.items()}
    for name in ("conditions", "cameras"):
        if isinstance(given.get(name), str):
            given[name] = (given[name],)
        elif isinstance(given.get(name), list):
            given[name] = tuple(given[name])
    if clips:
        given["clips"] = clips
    return Options(**given)


def batch_clips(batch: BatchParams, ws: Workspace) -> list[str]:
    """Names of the clips of a batch: all, those listed, those that match a pattern, or those of the CSV column.

    Raises:
        DreamkitError: there is none, a pattern that matches none, a name that the workspace lacks, a CSV file that
            cannot be read.
    """
    labelled = list_clips(from_home(batch.labels), "pose") if "render" in batch.stages else []
    known = sorted({*ws.clips(), *ws.drawn_clips(), *labelled})
    asked = _csv_clips(batch.clips) if isinstance(batch.clips, ClipColumn) else batch.clips
    found: list[str] = []
    for name in asked:
        matching = known if name == ALL and name not in known else [clip for clip in known if fnmatchcase(clip, name)]
        if not matching and name not in known and name != ALL:
            close = nearest(name, known)
            hint = f"Did you mean {close}?" if close else f"It has {', '.join(known[:5]) or 'none'}."
            raise DreamkitError(f"The workspace {ws.root} has no clip {name}.", hint)
        found += [name] if name in known else matching
    if not found:
        raise DreamkitError(
            f"The workspace {ws.root} has no clip: no condition video and no caption.",
            "Set workspace to the folder that has them, or labels with the stage render.",
        )
    return list(dict.fromkeys(found))


def _csv_clips(source: ClipColumn) -> list[str]:
    path = from_home(source.csv)
    rows = list(csv.DictReader(io.StringIO(read_text(path, "list of clips"))))
    columns = list(rows[0]) if rows else []
    if source.column not in columns:
        raise DreamkitError(
            f"The list of clips {path} has no column {source.column!r}.",
            f"It has {', '.join(map(str, columns)) or 'no rows'}.",
        )
    return list(dict.fromkeys(row[source.column].strip() for row in rows if (row[source.column] or "").strip()))


def override_batch(batch: BatchParams, changes: Mapping[str, Any]) -> BatchParams:
    """The batch with entries replaced by those of the command line.

    Raises:
        DreamkitError: a value outside its bounds.
    """
    try:
        changed = BatchParams(**{**batch.model_dump(), **changes})
    except ValidationError as error:
        faults = [f"--{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        raise DreamkitError("The command line cannot be used.\n  " + "\n  ".join(faults), _HINT) from None
    check_name(changed.name, "batch")
    return changed
