"""The parameter models of the two generation notebooks."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from dreamkit.generate.specs import read_weight
from dreamkit.guardrail import record as guardrails
from dreamkit.notebook.params import NotebookParams
from dreamkit.workspace.controls import CONTROLS
from dreamkit.workspace.files import nearest


class Params(NotebookParams):
    """What both generation notebooks take."""

    stage: ClassVar[str]

    checkpoints: str = Field("checkpoints", min_length=1, description="folder of the model files, or tiny")
    clips: list[str] = Field([], description="clips to run; empty: every clip with a caption")
    styles: list[str] = Field([], description="styles to run; empty: every style the caption file has")
    chunks: list[int] = Field([0], description="chunk numbers of each clip; empty: all there are")
    spec: str = Field("", description="control spec file; empty: working folder's, then workspace's")
    controls: list[str] = Field([], description="hdmap, lidar or both; empty: those of the spec")
    control_weight: float | str | dict[str, float | str] | None = Field(
        None, description="number or .pt map, or {control: weight}; None: the spec's"
    )
    num_steps: int = Field(35, ge=1, le=1000, description="denoising steps")
    guidance: float = Field(5.0, ge=0, le=50, description="how strongly the caption is followed")
    seed: int = Field(1, ge=0, lt=2**31, description="seed of the run")
    seed_mode: Literal["clip", "upstream"] = Field(
        "clip", description="clip: from seed, clip and style; upstream: seed as it is"
    )
    fps: int = Field(24, ge=1, le=60, description="frames a second of the result, whatever the input's")
    preset: Literal["exact"] = Field("exact", description="exact: the arithmetic of the released models")
    attention: Literal["auto", "te", "cudnn", "sdpa"] = Field(
        "auto", description="attention kernel; auto: the quickest"
    )
    device: str = Field(
        "", pattern=r"^(cpu|cuda(:\d+)?)?$", description="cuda, cuda:1, cpu; empty: the first GPU, else the CPU"
    )
    offload: bool = Field(False, description="move the denoiser off the GPU while it is not needed")
    num_gpus: int = Field(1, ge=1, description="GPUs for one video; 1 for now")
    guardrail: str = Field("none", description="prompt and video check; none for now")
    camera_table: str = Field("", description="YAML, `folder: camera` lines, for other camera folders")
    trust_jit: list[str] = Field([], description="TorchScript files of your own to run")
    overwrite: bool = Field(False, description="replace videos that dreamkit did not make, too")
    skip_bad: bool = Field(False, description="leave out clips with a problem, make the rest")

    @field_validator("clips", "styles", "chunks", "controls", "trust_jit", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str | int) and not isinstance(value, bool) else value

    @field_validator("controls")
    @classmethod
    def _known_controls(cls, names: list[str]) -> list[str]:
        for name in names:
            if name not in CONTROLS:
                close = nearest(name, CONTROLS)
                raise ValueError(
                    f"unknown control {name!r}; " + (f"did you mean {close!r}?" if close else "hdmap, lidar")
                )
        if len(set(names)) < len(names):
            raise ValueError("a control stands twice")
        return names

    @field_validator("control_weight")
    @classmethod
    def _weights(cls, value: Any) -> Any:
        if isinstance(value, dict):
            if unknown := [name for name in value if name not in CONTROLS]:
                raise ValueError(f"names the unknown control {unknown[0]!r}; known are {', '.join(CONTROLS)}")
            return {name: read_weight(weight) for name, weight in value.items()}
        return None if value is None else read_weight(value)

    @field_validator("chunks")
    @classmethod
    def _chunk_numbers(cls, numbers: list[int]) -> list[int]:
        if any(number < 0 for number in numbers):
            raise ValueError("chunks are numbered from 0")
        return sorted(set(numbers))

    @field_validator("guidance")
    @classmethod
    def _finite(cls, value: float) -> float:
        if not math.isfinite(value):
            raise ValueError("must be a finite number")
        return value

    @field_validator("num_gpus")
    @classmethod
    def _one_gpu(cls, number: int) -> int:
        if number > 1:
            raise ValueError("one video runs on one GPU in this version; set it to 1")
        return number

    @field_validator("guardrail")
    @classmethod
    def _known_guardrail(cls, asked: str) -> str:
        if reason := guardrails.refusal(asked):
            raise ValueError(reason)
        return asked


class SingleViewParams(Params):
    """Notebook 04: the front video."""

    notebook: ClassVar[str] = "04_single_view"
    stage: ClassVar[str] = "single_view"

    negative_prompt: str = Field("", description="what to stay away from; empty: upstream's text")
    windows: Literal["first", "all"] = Field("first", description="first: 121 frames; all: the rest too, with jumps")


class MultiViewParams(Params):
    """Notebook 05: the six views."""

    notebook: ClassVar[str] = "05_multi_view"
    stage: ClassVar[str] = "multi_view"

    guidance: float = Field(3.0, ge=0, le=50, description="how strongly the caption is followed")
    views: Literal[6, 5] = Field(6, description="6, or 5 (no rear camera; your own control file)")
    num_input_frames: Literal[9, 1] = Field(9, description="frames a later window takes over, 9 or 1")
    side_weather: bool = Field(False, description="tell the other views the style's weather, too; upstream does not")
