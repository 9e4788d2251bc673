"""The tiny bundle's two models with the demo's settings, for evaluation and contact sheets."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dreamkit.errors import DreamkitError, first_line
from dreamkit.tinyworld.evaluate.held_out import VideoSizes
from dreamkit.transfer import folders
from dreamkit.transfer.pipeline import NEGATIVE_PROMPT, MultiViewPipeline, SingleViewPipeline
from dreamkit.workspace.cameras import view_prompts
from dreamkit.workspace.files import sha256

_KEYS = {"num_steps": "steps", "guidance": "guidance", "control_weight": "weight"}


@dataclass(frozen=True)
class EvaluationSettings:
    """Sampling settings of the front video and the six views.

    Attributes:
        steps: sampling steps of the front video.
        guidance: its guidance.
        weight: its HDMap control weight.
        six_steps: sampling steps of the six views.
        six_guidance: their guidance.
        six_weight: their HDMap control weight.
        fps: frames per second of all videos.
        side_weather: whether the side views' prompts have a sentence on the weather.
        negative_prompt: of the front video; upstream's when empty.
    """

    steps: int
    guidance: float
    weight: float
    six_steps: int
    six_guidance: float
    six_weight: float
    fps: int = 24
    side_weather: bool = False
    negative_prompt: str = ""


def demo_settings(**given: Any) -> EvaluationSettings:
    """The settings of `dreamkit demo`.

    Args:
        **given: fields of EvaluationSettings that replace the demo's; None keeps the demo's.

    Raises:
        DreamkitError: settings are not given, and the demo's parameter files or the YAML package are missing.
    """
    given = {name: value for name, value in given.items() if value is not None}
    needed = {field.name for field in fields(EvaluationSettings)} - {"fps", "side_weather", "negative_prompt"}
    if needed <= set(given):
        return EvaluationSettings(**given)
    try:
        import yaml

        from dreamkit.generate.params import MultiViewParams, SingleViewParams
        from dreamkit.notebook.shipped import shipped_folder

        folder, read = shipped_folder("params") / "demo", {}
        for prefix, model in (("", SingleViewParams), ("six_", MultiViewParams)):
            text = (folder / f"{model.notebook}.yaml").read_text(encoding="utf-8")
            read[prefix] = model(**yaml.safe_load(text)).model_dump()
    except (ImportError, OSError, DreamkitError) as error:
        missing = ", ".join(sorted(needed - set(given)))
        raise DreamkitError(
            f"The demo's parameters cannot be read: {first_line(error)}.",
            f"Give the missing settings as options: {missing}.",
        ) from None
    values: dict[str, Any] = {}
    for prefix, row in read.items():
        values |= {prefix + mine: row[key] for key, mine in _KEYS.items()}
        weight = values[prefix + "weight"]
        weight = weight.get("hdmap") if isinstance(weight, dict) else weight
        values[prefix + "weight"] = 1.0 if weight is None else float(weight)
    values |= {"fps": read[""]["fps"], "negative_prompt": read[""]["negative_prompt"]}
    values["side_weather"] = read["six_"]["side_weather"]
    return EvaluationSettings(**(values | given))


class TinyModels:
    """Both models of a bundle, each loaded at its first use.

    Args:
        folder: checkpoint folder; the kit's tiny bundle when None.
        device: `cpu`, `cuda`, ...
        settings: sampling settings.
        trust: run the folder's TorchScript files although their checksums are unknown.
    """

    def __init__(self, folder: Path | None, device: str, settings: EvaluationSettings, trust: bool = False) -> None:
        folder = folder or folders.TINY_FOLDER
        self.folder, self.device, self.settings = folder, torch.device(device), settings
        files = [folder / folders.TOKENIZER / name for name in ("encoder.jit", "decoder.jit")]
        self._options = {"device": self.device, "trust_jit": files if trust else []}

    @cached_property
    def single(self) -> SingleViewPipeline:
        """The single-view model."""
        return SingleViewPipeline.from_checkpoints(self.folder, **self._options)

    @cached_property
    def multi(self) -> MultiViewPipeline:
        """The six-view model."""
        return MultiViewPipeline.from_checkpoints(self.folder, **self._options)

    def sizes(self, frames: int | None = None) -> VideoSizes:
        """Sizes of one window of each model, cut to the first `frames` frames."""
        front, six = self.single.window_frames, self.multi.window_frames
        frames = min(frames or front, front)
        return VideoSizes(self.single.size, frames, self.multi.size, min(frames, six))

    def fingerprint(self) -> str:
        """Twelve hex digits that change with any file of the bundle."""
        parts = (folders.TEXT_ENCODER, folders.SINGLE_VIEW, folders.MULTI_VIEW, folders.TOKENIZER)
        names = sorted(path for part in parts for path in (self.folder / part).rglob("*") if path.is_file())
        listed = "".join(f"{path.relative_to(self.folder).as_posix()} {sha256(path)}\n" for path in names)
        return hashlib.sha256(listed.encode()).hexdigest()[:12]

    def encode(self, captions: Mapping[str, str]) -> None:
        """Encode the prompts of captions by style in advance, with one load of each text encoder, as a run does."""
        self.single.encode_prompts([*captions.values(), self.settings.negative_prompt or NEGATIVE_PROMPT])
        self.multi.encode_prompts(
            [prompt for style, caption in captions.items() for prompt in self._prompts(caption, style)]
        )

    def front(
        self, caption: str, condition: np.ndarray, seed: int, weight: float | None = None
    ) -> tuple[np.ndarray, float]:
        """Front video uint8 [T, H, W, 3] for a condition video uint8 [T, h, w, 3], and the seconds it took."""
        s, model = self.settings, self.single
        began = time.perf_counter()
        made = model(
            caption,
            {"hdmap": condition},
            weights={"hdmap": s.weight if weight is None else weight},
            steps=s.steps,
            guidance=s.guidance,
            seed=seed,
            negative_prompt=s.negative_prompt or None,
            fps=s.fps,
        )
        return made, time.perf_counter() - began

    def six(
        self, caption: str, style: str, front: np.ndarray, condition: np.ndarray, seed: int, weight: float | None = None
    ) -> tuple[np.ndarray, float]:
        """Six views uint8 [6, T, H, W, 3] for a front video and condition videos of all views, and the seconds."""
        s, model = self.settings, self.multi
        began = time.perf_counter()
        made = model(
            self._prompts(caption, style),
            front[: condition.shape[1]],
            {"hdmap": condition},
            weights={"hdmap": s.six_weight if weight is None else weight},
            steps=s.six_steps,
            guidance=s.six_guidance,
            seed=seed,
            fps=s.fps,
        )
        return made, time.perf_counter() - began

    def _prompts(self, caption: str, style: str) -> Sequence[str]:
        if not self.settings.side_weather:
            return view_prompts(caption)
        from dreamkit.styles import load_styles, side_prompts

        table = load_styles()
        return side_prompts(caption, table.styles.get(style), table, weather=True)
