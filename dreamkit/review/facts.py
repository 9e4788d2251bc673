"""What is recorded of a video, for people: the model that made it, seed, steps, preset, date, prompts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from dreamkit.review.library import ReviewVideo
from dreamkit.transfer import folders

UNKNOWN = "unknown: made elsewhere, see its maker's licence before you share it"


@dataclass(frozen=True)
class ModelOrigin:
    """A model by name, and the licence under which its videos are shared."""

    name: str
    licence: str

    def __str__(self) -> str:
        return f"{self.name}, {self.licence}" if self.licence else self.name


TINY = ModelOrigin("dreamkit tiny bundle, trained on a made-up world", "Apache-2.0; not an NVIDIA model")
SINGLE = ModelOrigin("NVIDIA Cosmos-Transfer1-7B-Sample-AV", "NVIDIA Open Model License")
MULTI = ModelOrigin("NVIDIA Cosmos-Transfer1-7B-Sample-AV-Single2MultiView", "NVIDIA Open Model License")
OTHER = ModelOrigin(UNKNOWN, "")
_NAMED = {
    folders.TINY_NAME: TINY,
    folders.SINGLE_VIEW.rpartition("/")[2]: SINGLE,
    folders.MULTI_VIEW.rpartition("/")[2]: MULTI,
}
COSMOS = "Cosmos-Transfer1-7B"  # in the names of the checkpoint files, which the tiny bundle has too


# (height, width) of the front videos and side views of the tiny bundle of the versions that did not record the model.
_UNNAMED_TINY_SIZES = ([160, 288], [96, 160])


def model_of_video(video: ReviewVideo) -> ModelOrigin:
    """The model that made a video, from the sidecar; OTHER without one.

    Sidecars of earlier versions have no key `model`. The tiny bundle stands under the file names of the 7B models, so
    there it is recognised by the size of its videos, which no 7B model makes so small.
    """
    record = video.sidecar or {}
    if isinstance(name := record.get("model"), str) and name in _NAMED:
        return _NAMED[name]
    files = str(record.get("checkpoints", "")) + str(record.get("identity", ""))
    size = record.get("size")
    sides = [size.get("height"), size.get("width")] if isinstance(size, Mapping) else []
    if sides in _UNNAMED_TINY_SIZES or "tiny/" in files:
        return TINY
    if COSMOS not in files:
        return OTHER
    return SINGLE if video.stage == "single_view" else MULTI


def prompts_of(video: ReviewVideo) -> dict[str, str]:
    """Camera name -> prompt, in the rig's order; the front view's alone for a front video."""
    record = video.sidecar or {}
    prompts = record.get("prompts")
    names = list(video.rig.names)
    if isinstance(prompts, list):
        prompts = dict(zip(names, prompts, strict=False))
    if not isinstance(prompts, Mapping):
        prompts = {names[0]: record.get("prompt")}
    return {name: text for name in names if isinstance(text := prompts.get(name), str) and text}


def made_when(video: ReviewVideo) -> str:
    """Day and minute of the newest of the video's files, local time; empty where none can be read."""
    try:
        newest = max(path.stat().st_mtime for path in video.views.values())
    except (OSError, ValueError):
        return ""
    return datetime.fromtimestamp(newest).strftime("%Y-%m-%d %H:%M")


def generation_facts(video: ReviewVideo) -> dict[str, str]:
    """Name -> value of what the run recorded: seed, steps, guidance, preset, model, frames, control weights, date."""
    record: Mapping[str, Any] = video.sidecar or {}
    facts = {}
    for name in ("seed", "steps", "guidance", "preset"):
        if isinstance(value := record.get(name), (str, int, float)):
            facts[name] = f"{value:g}" if isinstance(value, float) else str(value)
    frames, fps = record.get("frames"), record.get("fps")
    if isinstance(frames, int) and isinstance(fps, (int, float)) and fps:
        facts["frames"] = f"{frames} at {fps:g} fps"
    controls = record.get("controls")
    for name, control in controls.items() if isinstance(controls, Mapping) else ():
        weight = control.get("weight") if isinstance(control, Mapping) else None
        if isinstance(weight, (int, float)):
            facts[f"{name} weight"] = f"{weight:g}"
        elif isinstance(weight, str):
            facts[f"{name} weight"] = f"map {Path(weight).name}"
    if video.sidecar is not None:
        facts["model"] = model_of_video(video).name
    if when := made_when(video):
        facts["made"] = when
    return facts
