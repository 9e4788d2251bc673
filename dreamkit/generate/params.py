"""The parameters of the two generation notebooks, 04 and 05."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from dreamkit.generate.specs import read_weight
from dreamkit.guardrail.choice import chosen_checks
from dreamkit.notebook.params import NotebookParams
from dreamkit.workspace.controls import CONTROLS
from dreamkit.workspace.files import nearest


class Params(NotebookParams):
    """The parameters that both generation notebooks have.

    Attributes:
        stage: "single_view" or "multi_view".
    """

    stage: ClassVar[str]
    front: ClassVar[tuple[str, ...]] = (
        *("params_file", "workspace", "checkpoints", "clips", "styles"),
        *("num_steps", "guidance", "seed", "preset"),
    )

    checkpoints: str = Field(default="checkpoints", min_length=1, description="folder of the model files, or tiny")
    clips: list[str] = Field(default=[], description="clips to run; empty: every clip with a caption")
    styles: list[str] = Field(default=[], description="styles to run; empty: every style the caption file has")
    chunks: list[int] = Field(default=[0], description="chunk numbers of each clip; empty: all there are")
    spec: str = Field(default="", description="control spec file; empty: the working folder's, else the workspace's")
    controls: list[str] = Field(default=[], description="hdmap, lidar or both; empty: the spec's")
    control_weight: float | str | dict[str, float | str] | None = Field(
        default=None, description="number, .pt map or {control: weight}; None: the spec's"
    )
    num_steps: int = Field(default=35, ge=1, le=1000, description="denoising steps")
    guidance: float = Field(default=5.0, ge=0, le=50, description="classifier-free guidance; 0: off")
    seed: int = Field(default=1, ge=0, lt=2**31, description="seed of the run")
    seed_mode: Literal["clip", "upstream"] = Field(
        default="clip", description="clip: a seed per clip and style; upstream: one seed for all"
    )
    fps: int = Field(default=24, ge=1, le=60, description="frame rate of the result, independent of the input's")
    frames: int = Field(default=0, ge=0, description="frames to make, from the clip's first on; 0: all")
    resample_fps: float = Field(
        default=0, ge=0, le=240, description="read videos at this rate by display time; 0: each stored frame"
    )
    preset: Literal["exact", "fp8", "fast", "24gb", "16gb", "12gb"] = Field(
        default="exact", description="exact; fp8, fast: quicker, not equal; 24gb, 16gb, 12gb: in less memory"
    )
    attention: Literal["auto", "te", "cudnn", "flash4", "sdpa"] = Field(
        default="auto", description="attention kernel; auto: the fastest available"
    )
    device: str = Field(
        default="", pattern=r"^(cpu|cuda(:\d+)?)?$", description="cuda, cuda:1, cpu; empty: the first GPU, else the CPU"
    )
    offload: bool = Field(default=False, description="keep the denoiser in CPU memory while it is not needed")
    num_gpus: int = Field(default=1, ge=1, le=32, description="GPUs of this machine that make a video together")
    guardrail: str | list[str] = Field(
        default="none", description="none, prompts, full, or a list: blocklist, llama_guard, content, faces"
    )
    guardrail_stride: int = Field(default=1, ge=1, description="every how many frames the content filter checks one")
    camera_table: str = Field(
        default="", description="YAML file of `folder: camera` lines; empty: the standard folders"
    )
    trust_jit: list[str] = Field(default=[], description="TorchScript files of your own that may run")
    overwrite: bool = Field(default=False, description="also replace videos that have no sidecar")
    skip_bad: bool = Field(default=False, description="skip clips with a problem instead of stopping")

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
            raise ValueError("a control is listed twice")
        return names

    @field_validator("control_weight")
    @classmethod
    def _weights(cls, value: Any) -> Any:
        if isinstance(value, dict):
            if unknown := [name for name in value if name not in CONTROLS]:
                raise ValueError(f"has the unknown control {unknown[0]!r}; known are {', '.join(CONTROLS)}")
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

    @field_validator("guardrail")
    @classmethod
    def _known_checks(cls, asked: str | list[str]) -> str | list[str]:
        chosen_checks(asked)
        return asked


class SingleViewParams(Params):
    """Notebook 04: generate the front video."""

    notebook: ClassVar[str] = "04_single_view"
    stage: ClassVar[str] = "single_view"

    negative_prompt: str = Field(default="", description="negative prompt; empty: upstream's")
    windows: Literal["first", "all", "joined"] = Field(
        default="first", description="first: 121 frames; joined: all, without jumps; all: with jumps"
    )


class MultiViewParams(Params):
    """Notebook 05: generate the six views."""

    notebook: ClassVar[str] = "05_multi_view"
    stage: ClassVar[str] = "multi_view"

    guidance: float = Field(default=3.0, ge=0, le=50, description="classifier-free guidance; 0: off")
    views: Literal[6, 5] = Field(default=6, description="6, or 5 (no rear camera; needs your own control file)")
    num_input_frames: Literal[9, 1] = Field(
        default=9, description="frames that a window takes from the one before, 9 or 1"
    )
    windows: Literal["auto", "extension", "joined"] = Field(
        default="auto", description="extension: in turn; joined: all together; auto: joined beyond 121 frames"
    )
    side_weather: bool = Field(default=False, description="add the style's weather to the other views' prompts")
