"""`dreamkit bench quality`: what a preset costs in quality and saves in time, on the user's weights and clips.

Renders each clip with `exact` and with other presets, from the same noise, and compares the videos. A stopped run goes
on where it ended. `python -m dreamkit.bench.quality` needs torch, numpy, safetensors and transformers alone where the
clips are arrays; flicker and map adherence then stay empty, because they need OpenCV.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dreamkit.bench import quality_report
from dreamkit.bench.quality_clips import Frames, QualityClip, array_clips, made_up_clips, workspace_clips, write_arrays
from dreamkit.bench.video_error import video_psnr, video_ssim
from dreamkit.errors import DreamkitError
from dreamkit.transfer import folders
from dreamkit.transfer.engine import choose_compute
from dreamkit.transfer.model_files import FIRST_WINDOW, ModelFiles, multi_view_model, single_view_model
from dreamkit.transfer.multi_view import MultiViewPipeline
from dreamkit.transfer.presets import Preset, find_preset
from dreamkit.transfer.single_view import SingleViewPipeline
from dreamkit.transfer.step_cache import computed_evaluations
from dreamkit.transfer.text import TextEncoder
from dreamkit.transfer.tokenizer import load_tokenizer
from dreamkit.workspace.files import append_line, replacing

EXACT = "exact"


@dataclass(frozen=True)
class QualityRow:
    """One clip made with one preset.

    Attributes:
        clip: its name.
        preset: the preset, see `preset_variant`.
        evaluations: evaluations of the denoiser that were computed in a window.
        seconds: of the call, from frames to frames.
        psnr: against exact, in dB; None for exact, as the next.
        ssim: against exact.
        flicker: see `review.measures`; of six views the mean. None without OpenCV, as the next.
        adherence: to the HDMap, see `review.measures`.
    """

    clip: str
    preset: str
    evaluations: int
    seconds: float
    psnr: float | None
    ssim: float | None
    flicker: float | None
    adherence: float | None


def preset_variant(name: str, float8: bool = True) -> Preset:
    """A preset, or of `fast@N` that one with N of 36 evaluations computed instead of its own pattern.

    Args:
        name: the preset's name, with or without @N.
        float8: False leaves float8 out, so that only the skipping differs from exact.

    Raises:
        DreamkitError: an unknown preset, or N is not between 4 and 36.
    """
    base, _, count = name.partition("@")
    preset = replace(find_preset(base), name=name)
    if count:
        if not count.isdigit() or not 4 <= int(count) <= 36:
            raise DreamkitError(f"{name!r} is no preset: after @ stands a number from 4 to 36.", "Give fast@20.")
        preset = replace(preset, computed=spread_evaluations(int(count)))
    return preset if float8 else replace(preset, fp8=False)


def spread_evaluations(count: int) -> tuple[int, ...]:
    """Numbers of `count` evaluations of 36: 11 of 16 first, as in preset fast, the rest evenly up to the 28th."""
    if count >= 28:
        return tuple(range(count))
    first = max(2, round(count * 11 / 16))
    step = (28 - first) / (count - first)
    return (*range(first), *(first - 1 + math.ceil(step * (n + 1)) for n in range(count - first)))


def load_with_preset(
    model: ModelFiles, preset: Preset, device: str | None, float32: bool, trust: Sequence[Path], text_cache: Path
) -> SingleViewPipeline | MultiViewPipeline:
    """A model with a preset, which need not be one of the table's; `float32` computes as on a CPU."""
    config = model.config
    compute = choose_compute(device, preset.name.partition("@")[0] if preset.fp8 else EXACT, "auto", config)
    compute = replace(compute, preset=preset, dtype=torch.float32 if float32 else compute.dtype)
    tokenizer = load_tokenizer(
        model.root / folders.TOKENIZER, compute.device, compute.dtype, config.window_frames, trust
    )
    text = TextEncoder(model.root / folders.TEXT_ENCODER, compute.device, config.denoiser.text_tokens, text_cache)
    kind = MultiViewPipeline if config.views > 1 else SingleViewPipeline
    return kind(model, compute, tokenizer, text, False)


def make_video(
    pipeline: SingleViewPipeline | MultiViewPipeline, clip: QualityClip, frames: Frames, options: dict[str, Any]
) -> np.ndarray:
    """The video of one window, uint8 [T, H, W, 3], for six views one after the other."""
    controls = {name: value for name, value in frames.items() if name != "front"}
    if isinstance(pipeline, SingleViewPipeline):
        return pipeline(clip.prompts[0], controls, **options)
    return pipeline(clip.prompts, frames["front"], controls, **options).reshape(-1, *pipeline.size, 3)


def review_measures(video: np.ndarray, condition: np.ndarray) -> tuple[float | None, float | None]:
    """Flicker, and adherence to the map, mean over views of [V x T, H, W, 3]; None without OpenCV and PyAV."""
    try:
        from dreamkit.review.measures.adherence import adherence
        from dreamkit.review.measures.picture import measure_picture
    except ImportError:
        return None, None
    views = condition[None] if condition.ndim == 4 else condition
    parts = np.split(video, len(views))
    flicker = float(np.mean([measure_picture(part).flicker for part in parts]))
    follows = float(np.nanmean([adherence(part, view) for part, view in zip(parts, views, strict=True)]))
    return flicker, None if math.isnan(follows) else follows


def measure_quality(
    clips: Sequence[QualityClip],
    presets: Sequence[Preset],
    load: Callable[[Preset], SingleViewPipeline | MultiViewPipeline],
    options: dict[str, Any],
    output: Path,
) -> Iterator[QualityRow]:
    """Make every clip with `exact` and the other presets, one model in memory at a time; yields each new row.

    Args:
        clips: the clips.
        presets: further presets.
        load: loads a model with a preset.
        options: arguments of the pipelines' calls; with `steps`.
        output: folder of the rows, of exact's videos (`exact/<clip>.npy`) and of a frame of each video.
    """
    done = {(row.clip, row.preset) for row in read_quality_rows(output)}
    for preset in (find_preset(EXACT), *presets):
        folder = output / preset.name
        todo = [clip for clip in clips if (clip.name, preset.name) not in done]
        if not todo:
            continue
        pipeline = load(preset)
        pipeline.encode_prompts([prompt for clip in todo for prompt in clip.prompts])
        pipeline.store.get(FIRST_WINDOW)  # presets that bound memory load on first use, which is not to be timed
        steps = options["steps"]
        count = steps + 1 if preset.computed is None else len(computed_evaluations(steps, preset.computed))
        for clip in todo:
            frames = clip.read()
            began = time.perf_counter()
            video = make_video(pipeline, clip, frames, options)
            seconds = time.perf_counter() - began
            errors: tuple[float | None, float | None] = (None, None)
            if preset.name == EXACT:
                _save(folder / f"{clip.name}.npy", video)
            else:
                exact = np.load(output / EXACT / f"{clip.name}.npy", mmap_mode="r")
                errors = video_psnr(video, exact), video_ssim(video, exact)
            _save(output / quality_report.STILLS / f"{clip.name}.{preset.name}.npy", video[len(video) // 2])
            condition = next(value for name, value in frames.items() if name != "front")
            row = QualityRow(clip.name, preset.name, count, seconds, *errors, *review_measures(video, condition))
            append_line(output / quality_report.ROWS, json.dumps(asdict(row), allow_nan=False))
            yield row
        del pipeline
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def read_quality_rows(output: Path) -> list[QualityRow]:
    """Rows of an earlier run in this folder; none where there is none."""
    path = output / quality_report.ROWS
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        with contextlib.suppress(json.JSONDecodeError):  # the last line of an interrupted run
            rows.append(QualityRow(**json.loads(line)))
    return rows


def _save(path: Path, array: np.ndarray) -> None:
    with replacing(path) as part, part.open("wb") as file:
        np.save(file, array)


def quality_parser() -> argparse.ArgumentParser:
    """Command line options."""
    found = argparse.ArgumentParser(prog="dreamkit bench quality", description=__doc__)
    add = found.add_argument
    add("--presets", default="fp8,fast", help="comma-separated; fast@N computes N of 36 evaluations instead")
    add("--checkpoints", type=Path, default=folders.TINY_FOLDER, help="model folder; the tiny bundle if left out")
    add("--views", type=int, default=1, choices=(1, 6), help="1 for the front video, 6 for six views")
    add("--controls", default="hdmap", help="comma-separated, out of hdmap, lidar")
    add("--workspace", type=Path, help="take the clips of this workspace; made-up scenes if left out")
    add("--arrays", type=Path, help="take the clips of this folder of arrays")
    add("--write-arrays", type=Path, help="only write the clips as such a folder, and stop")
    add("--clips", type=int, default=20, help="number of clips at most")
    add("--steps", type=int, default=35, help="sampling steps")
    add("--guidance", type=float, help="guidance; the pipeline's default if left out")
    add("--seed", type=int, default=0, help="of the noise")
    add("--device", help="cuda or cpu; the GPU, if there is one, if left out")
    add("--float32", action="store_true", help="compute in float32 and leave float8 out: the skipping alone")
    add("--trust", action="store_true", help="run the folder's TorchScript files although their checksums are unknown")
    add("--output", type=Path, default=Path("outputs/quality"), help="folder of the results")
    return found


def _choose_clips(asked: argparse.Namespace, model: ModelFiles, controls: Sequence[str]) -> list[QualityClip]:
    config = model.config
    if asked.arrays:
        return array_clips(asked.arrays)[: asked.clips]
    if asked.workspace:
        return workspace_clips(asked.workspace, controls, config.views, config.window_frames)[: asked.clips]
    if config.views > 1 or controls != ["hdmap"]:
        raise DreamkitError("Made-up scenes have one view and an HDMap only.", "Give --workspace.")
    return made_up_clips(asked.clips, (config.height, config.width), config.window_frames)


def main(arguments: list[str] | None = None) -> int:
    """Measure and write the report; returns exit code 0.

    Raises:
        DreamkitError: an unknown preset, clips or model files that are missing, or a device that cannot run a preset.
    """
    asked = quality_parser().parse_args(arguments)
    controls = asked.controls.split(",")
    find = multi_view_model if asked.views > 1 else single_view_model
    model = find(asked.checkpoints, controls, None)
    clips = _choose_clips(asked, model, controls)
    if asked.write_arrays:
        write_arrays(asked.write_arrays, clips)
        print(f"{len(clips)} clips written to {asked.write_arrays}")
        return 0
    device = asked.device or ("cuda" if torch.cuda.is_available() else "cpu")
    float32 = asked.float32 or device == "cpu"
    presets = [preset_variant(name, float8=not float32) for name in asked.presets.split(",") if name != EXACT]
    files = [model.root / folders.TOKENIZER / name for name in (folders.ENCODER_FILE, folders.DECODER_FILE)]
    trust, text_cache = files if asked.trust else [], asked.output / "text"
    options = {"steps": asked.steps, "seed": asked.seed}
    options |= {} if asked.guidance is None else {"guidance": asked.guidance}
    settings = {
        "checkpoints": str(asked.checkpoints),
        "views": asked.views,
        "controls": controls,
        **options,
        "arithmetic": "float32, presets without their float8" if float32 else "bfloat16",
    }
    quality_report.check_settings(asked.output, settings)
    for row in measure_quality(
        clips,
        presets,
        lambda preset: load_with_preset(model, preset, asked.device, float32, trust, text_cache),
        options,
        asked.output,
    ):
        error = "" if row.psnr is None else f", {row.psnr:.1f} dB from exact"
        print(f"{row.clip} {row.preset}: {row.evaluations} evaluations, {row.seconds:.2f} s{error}", flush=True)
    print(
        quality_report.write_quality_report(
            asked.output, [asdict(row) for row in read_quality_rows(asked.output)], settings, device
        )
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
