"""A workspace of small drawn videos, and fake pipelines with the real signature that paint frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dreamkit.captions import files as caption_files
from dreamkit.download import checkpoints
from dreamkit.transfer import folders
from dreamkit.transfer.config import COSMOS_7B_MULTI, COSMOS_7B_SINGLE, save_config
from dreamkit.workspace import video
from dreamkit.workspace.cameras import SIX_VIEWS
from dreamkit.workspace.workspace import Chunk, Workspace


@dataclass(frozen=True)
class Report:
    stage: str
    step: int = 0
    steps: int = 0
    window: int = 0
    windows: int = 1
    seconds: float = 0.0
    preview_frame: Callable[[], np.ndarray | None] | None = None


def picture(frames=5, height=32, width=56, shade=80):
    frames_thwc = np.full((frames, height, width, 3), shade, np.uint8)
    for t in range(frames):
        frames_thwc[t, :, (4 * t) % width : (4 * t) % width + 8] = 255
    return frames_thwc


def put_clip(ws: Workspace, clip="clip_a", frames=5, controls=("hdmap",), styles=("Original", "Night"), **kwargs):
    """Condition videos of the six cameras and a caption per style."""
    fps, index = kwargs.pop("fps", 30), kwargs.pop("chunk", 0)
    for control in controls:
        for camera in SIX_VIEWS.cameras:
            path = ws.condition(control, camera, Chunk(clip, index))
            video.write_video(path, picture(frames, shade=60 + 20 * camera.index, **kwargs), fps)
    caption_files.write_style_captions(ws.captions, clip, {style: f"A road, {style}." for style in styles})


def put_checkpoints(root: Path, extension=True, controls=("hdmap", "lidar")) -> Path:
    """Files of the released names; their bytes are never read by the fakes."""
    names = [f"{folders.TOKENIZER}/{name}" for name in folders.TOKENIZER_FILES]
    names.append(f"{folders.TEXT_ENCODER}/config.json")
    parts = ["base_model.pt", *(f"{control}_control.pt" for control in controls)]
    names += [f"{checkpoints.FOLDERS['single_view']}/{part}" for part in parts]
    prefixes = ("t2w_", "v2w_") if extension else ("t2w_",)
    names += [f"{checkpoints.FOLDERS['multi_view']}/{prefix}{part}" for prefix in prefixes for part in parts]
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    for folder, config in ((folders.SINGLE_VIEW, COSMOS_7B_SINGLE), (folders.MULTI_VIEW, COSMOS_7B_MULTI)):
        save_config(replace(config, height=FakePipe.size[0], width=FakePipe.size[1]), root / folder)
    return root


class FakePipe:
    """Inverts the first control; remembers every call."""

    size = (32, 56)
    window_frames = 121

    def __init__(self):
        self.calls = []
        self.texts = []
        self.encoded = []
        self.closed = False

    def close(self):
        self.closed = True

    def encode_prompts(self, prompts):
        self.texts.append(list(prompts))

    def encode_controls(self, controls, windows, progress):
        """The frames themselves: of one view, or of all."""
        progress(Report("encode"))
        self.encoded.append(windows)
        return {name: self._joined([frames[: windows.frames] for frames in views]) for name, views in controls.items()}

    def info(self):
        return {"attention": "fake", "device": "cpu", "peak_memory_gib": 0.0}

    def _told(self, progress, steps):
        progress(Report("text"))
        progress(Report("encode"))
        for step in range(steps + 2):
            progress(Report("denoise", step, steps + 1))
        progress(Report("decode"))


class FakeSingle(FakePipe):
    def _joined(self, views):
        return views[0]

    def __call__(self, prompt, controls, *, weights, steps, guidance, seed, negative_prompt, fps, windows, progress):
        self.calls.append(
            {
                "prompt": prompt,
                "shapes": {name: video.shape for name, video in controls.items()},
                "weights": weights,
                "seed": seed,
                "negative_prompt": negative_prompt,
                "windows": windows,
                "steps": steps,
                "guidance": guidance,
            }
        )
        self._told(progress, steps)
        return 255 - next(iter(controls.values()))


class FakeMulti(FakePipe):
    has_extension = True

    def _joined(self, views):
        return np.stack(views)

    def __call__(self, prompts, front, controls, *, weights, steps, guidance, seed, fps, num_input_frames, progress):
        self.calls.append(
            {
                "prompts": prompts,
                "front": front.shape,
                "shapes": {name: video.shape for name, video in controls.items()},
                "weights": weights,
                "seed": seed,
                "num_input_frames": num_input_frames,
                "guidance": guidance,
            }
        )
        self._told(progress, steps)
        views = 255 - next(iter(controls.values()))
        views[0] = front
        return views
