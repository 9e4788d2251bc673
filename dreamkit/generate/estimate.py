"""Estimate of a run's time and GPU memory from earlier results with the same preset, device and model size."""

from __future__ import annotations

import contextlib
import functools
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from dreamkit.captions import files as caption_files
from dreamkit.download import checkpoints
from dreamkit.errors import DreamkitError
from dreamkit.generate.jobs import video_seed
from dreamkit.generate.model_settings import with_model_settings
from dreamkit.generate.params import MultiViewParams, Params, SingleViewParams
from dreamkit.generate.plan import control_spec
from dreamkit.generate.reference_pace import gpu_hours, on_reference, reference_bytes, reference_seconds
from dreamkit.generate.spec_params import apply_scalars
from dreamkit.notebook.progress import clock
from dreamkit.transfer import folders, memory_needs
from dreamkit.transfer.config import COSMOS_7B_MULTI, COSMOS_7B_SINGLE, ModelConfig, read_config
from dreamkit.transfer.windows import accepted_views_modes, front_windows, multi_view_windows
from dreamkit.workspace.cameras import SIX_VIEWS
from dreamkit.workspace.controls import CONTROLS
from dreamkit.workspace.sizes import GIB
from dreamkit.workspace.video import probe
from dreamkit.workspace.workspace import Chunk, Workspace

_UNNAMED = {"single_view": "first", "multi_view": "extension"}
"""Stage -> the kind of windows of a result whose sidecar names none."""
AS_PUBLISHED = "reckoned from a front video of these models that NVIDIA published, not from results here"


@dataclass(frozen=True)
class Estimate:
    """Time and memory that a run needs.

    Attributes:
        videos: number of results to make.
        done: number of results requested whose sidecar says that they are made with these values; the run compares
            checksums too, so it may make some of them again.
        windows: windows that they are made in, one after another.
        evaluations: model evaluations per window.
        seconds: for all videos, or None without earlier results.
        from_runs: number of earlier results.
        peak_bytes: their peak GPU memory; without any, the measured peak of a 7B forward; 0: unknown.
        device: GPU's name, or cpu.
        free_bytes: free GPU memory now; 0 without a GPU.
        gpus: number of GPUs that a video is made on.
        reference: seconds for all videos on H100s, see `reference_seconds`; None where nothing was measured.
        disk_bytes: size of the results to make, as earlier ones here have it, else `reference_bytes`; 0: unknown.
    """

    videos: int
    windows: int
    evaluations: int
    seconds: float | None
    from_runs: int
    peak_bytes: int
    device: str
    free_bytes: int
    done: int = 0
    disk_bytes: int = 0
    gpus: int = 1
    reference: float | None = None

    def __str__(self) -> str:
        if not self.videos:
            return f"0 to make on {self.device}" + (f", {self.done} found done" if self.done else "")
        windows = f"{self.windows} window{'s' * (self.windows != 1)} of {self.evaluations} evaluations"
        found = f", {self.done} found done" if self.done else ""
        lines = [f"{self.videos} to make on {self.device}{found}, {windows}"]
        if self.seconds is None:
            lines.append("  time: no earlier result of this preset and device here; known after the first step")
            if self.reference is not None:
                lines.append(f"  on {on_reference(self.reference, self.gpus)}")
        else:
            hours = f", {gpu_hours(self.seconds, self.gpus)}" if self.free_bytes else ""
            lines.append(f"  time: about {clock(self.seconds)}{hours}, as {self.from_runs} earlier results here took")
        if self.disk_bytes and not self.from_runs:
            lines.append(f"  disk: from about {self.disk_bytes / 1e6:.1f} MB, {AS_PUBLISHED}")
        elif self.disk_bytes:
            lines.append(f"  disk: about {self.disk_bytes / 1e6:.1f} MB, as earlier results here take")
        else:
            lines.append("  disk: the need is not known before the first result")
        if self.free_bytes:
            whose = "at the peak of those" if self.from_runs else "measured on an H100 for a forward"
            need = f"{self.peak_bytes / GIB:.1f} GiB {whose}" if self.peak_bytes else "need not known yet"
            lines.append(f"  GPU memory: {need}, {self.free_bytes / GIB:.1f} GiB free now")
            if self.peak_bytes > self.free_bytes:
                lines.append("  that is more than is free: set a smaller preset, or end what else uses the GPU")
        return "\n".join(lines)


def estimate(ws: Workspace, p: Params) -> Estimate:
    """Estimate a run from captions, sidecars and the GPU; no model is loaded."""
    with contextlib.suppress(DreamkitError):  # the stage reports it
        p = with_model_settings(apply_scalars(p, control_spec(ws, p)))
    device, free = _device(p.device)
    height = _model_config(p).height
    records = [record for record in ws.sidecars(p.stage) if _comparable(record, p, device, height)]
    paces = evaluation_seconds(records, p, device)
    lengths = condition_lengths(ws, p)
    windows, frames, evaluations = chunk_windows(p, lengths), result_frames(p, lengths), p.num_steps + 1
    chunks, done = _to_make(ws, p, windows, frames)
    counts = list(map(windows, chunks))
    seconds = sum(counts) * evaluations * statistics.median(paces) if paces else None
    peak = max((_whole(record["pipeline"].get("peak_gpu_bytes"), 0) for record in records), default=0)
    if not records and free and p.checkpoints != checkpoints.TINY:
        peak = round(memory_needs.need(p.stage, len(p.controls)).forward)
    if records:
        disk = round(len(counts) * statistics.mean(map(_bytes_of, [ws] * len(records), records)))
    else:
        disk = reference_bytes(p, sum(map(frames, chunks))) or 0
    made_on = (device, free, done, disk, p.num_gpus, reference_seconds(p, sum(counts)))
    return Estimate(len(counts), sum(counts), evaluations, seconds, len(records), peak, *made_on)


def _bytes_of(ws: Workspace, record: dict[str, Any]) -> int:
    """Size of the files of a result; 0 where its sidecar names none."""
    with contextlib.suppress(DreamkitError, KeyError, TypeError, OSError):
        folder, name = ws.root / record["stage"], ws.name(Chunk(record["clip"], record["chunk"]), record["style"])
        paths = [folder / f"{name}.mp4"] if record["stage"] == "single_view" else (folder / name).glob("*.mp4")
        return sum(path.stat().st_size for path in paths if path.is_file())
    return 0


def _is_made(ws: Workspace, p: Params, chunk: Chunk, style: str, caption: str, kinds: set[str]) -> bool:
    """Whether a sidecar has the caption, seed, steps, guidance and preset of this run, and one of the kinds of windows.

    No file is hashed.
    """
    record = ws.read_sidecar(p.stage, chunk, style)
    path = ws.single_view(chunk, style) if p.stage == "single_view" else ws.grid(chunk, style)
    if record is None or not path.is_file():
        return False
    prompts = record.get("prompts")
    prompt = next(iter(prompts.values()), "") if isinstance(prompts, dict) else record.get("prompt", "")
    wanted = (video_seed(p.seed, chunk, style, p.seed_mode), p.num_steps, p.guidance, p.preset, p.fps)
    same = tuple(map(record.get, ("seed", "steps", "guidance", "preset", "fps"))) == wanted
    return same and caption in str(prompt) and _identity_value(record, "windows", _UNNAMED[p.stage]) in kinds


def _kinds(p: Params, windows: int, frames: Callable[[], int]) -> set[str]:
    """The kinds of windows of results that count as this run's.

    Args:
        p: parameters of the run.
        windows: number of windows of the result; the parameter has no effect on a single one.
        frames: gives the frames of the result; a condition video is read for it, so only where it is needed.
    """
    if windows == 1:
        return {_UNNAMED[p.stage]}
    if isinstance(p, MultiViewParams):
        return set(accepted_views_modes(frames(), p.windows))
    return {getattr(p, "windows", _UNNAMED[p.stage])}


def _identity_value(record: dict[str, Any], key: str, default: object) -> object:
    """A parameter in a sidecar's identity; `default` where it is missing or the sidecar is damaged."""
    parameters: Any = record
    for name in ("identity", "parameters"):
        parameters = parameters.get(name) if isinstance(parameters, dict) else None
    return parameters.get(key, default) if isinstance(parameters, dict) else default


def evaluation_seconds(records: Sequence[dict[str, Any]], p: Params, device: str) -> list[float]:
    """Seconds of one evaluation of one window, of every earlier result that is comparable to a run on a device.

    Args:
        records: sidecars of the stage.
        p: parameters of the run.
        device: name of the device, see `device_name`.
    """
    config = _model_config(p)
    count = _window_counter(p, config.window_frames)
    return [
        record["seconds"]
        / (record["steps"] + 1)
        / count(_whole(record.get("frames"), 1), _whole(record.get("num_input_frames"), 9), _kind(record))
        for record in records
        if _comparable(record, p, device, config.height)
    ]


def device_name(p: Params) -> str:
    """Name of the GPU of a run, or cpu."""
    return _device(p.device)[0]


def condition_lengths(ws: Workspace, p: Params) -> Callable[[Chunk], int]:
    """A function from a chunk to the frames of its front condition video, read once; 0 where it cannot be read."""
    return functools.cache(functools.partial(_condition_frames, ws, p))


def chunk_windows(p: Params, lengths: Callable[[Chunk], int]) -> Callable[[Chunk], int]:
    """A function from a chunk to the windows of its result, by `lengths` of `condition_lengths`."""
    count = _window_counter(p, _model_config(p).window_frames)
    return functools.partial(_windows_of, p, lengths, count)


def _whole(value: object, default: int) -> int:
    """A positive whole number of a sidecar; `default` where it is none."""
    return value if type(value) is int and 0 < value < 2**53 else default


def _kind(record: dict[str, Any]) -> str:
    """The parameter `windows` of a result; `all` where its sidecar has none that is known."""
    kind, known = record.get("windows"), get_args(SingleViewParams.model_fields["windows"].annotation)
    return kind if isinstance(kind, str) and kind in known else "all"


def _device(asked: str) -> tuple[str, int]:
    import torch

    if asked == "cpu" or not torch.cuda.is_available():
        return "cpu", 0
    try:
        return torch.cuda.get_device_name(asked or None), torch.cuda.mem_get_info(asked or None)[0]
    except (RuntimeError, ValueError, AssertionError):  # no such device: the stage reports it
        return asked, 0


def _comparable(record: dict[str, Any], p: Params, device: str, height: int) -> bool:
    """Whether a result has this run's preset, device, number of GPUs, model and rows of a picture, `height`."""
    pipeline = record.get("pipeline")
    size, seconds = record.get("size"), record.get("seconds")
    if not isinstance(pipeline, dict) or not isinstance(size, dict) or not _whole(record.get("steps"), 0):
        return False
    if not isinstance(seconds, int | float) or not 0 < seconds < math.inf:  # a sidecar may come from somebody else
        return False
    # Earlier versions wrote no name of the model. A bundle of other versions may make pictures of another size.
    name = record.get("model")
    named = not isinstance(name, str) or (name == folders.TINY_NAME) == (p.checkpoints == checkpoints.TINY)
    return (
        pipeline.get("device") == device
        and pipeline.get("num_gpus", 1) == p.num_gpus
        and record.get("preset") == p.preset
        and named
        and size.get("height") == height
    )


def _window_counter(p: Params, length: int) -> Callable[[int, int, str], int]:
    """The number of windows of a result, from its frames, those that a window takes over, and the kind of its windows.

    `length` is the number of frames of a window.
    The kind is a value of the parameter `windows`; one that six views do not have counts as `extension`.
    """
    if isinstance(p, MultiViewParams):
        return lambda frames, given, kind: len(multi_view_windows(frames, length, given, True, kind).starts)
    return lambda frames, given, kind: len(front_windows(frames, length, kind).starts)


def _model_config(p: Params) -> ModelConfig:
    """The sizes of the run's model; those of the 7B model where they cannot be read."""
    multi = isinstance(p, MultiViewParams)
    folder, config = (folders.MULTI_VIEW, COSMOS_7B_MULTI) if multi else (folders.SINGLE_VIEW, COSMOS_7B_SINGLE)
    with contextlib.suppress(DreamkitError):  # the stage reports it
        config = read_config(checkpoints.folder(p.checkpoints) / folder, config)
    return config


def _to_make(
    ws: Workspace, p: Params, windows: Callable[[Chunk], int], frames: Callable[[Chunk], int]
) -> tuple[list[Chunk], int]:
    """The chunk of every result to make, of clips whose captions can be read; and how many are found done.

    `windows` gives the number of windows of a chunk's result, `frames` that of its frames.
    """
    chunks, done = [], 0
    for clip in p.clips or ws.clips():
        try:
            captions = caption_files.read_captions(ws.captions, clip)
        except DreamkitError:
            continue  # the stage reports it
        for chunk in [Chunk(clip, index) for index in p.chunks] or ws.chunks(clip) or [Chunk(clip)]:
            kinds = _kinds(p, windows(chunk), functools.partial(frames, chunk))
            made = [_is_made(ws, p, chunk, style, captions.get(style, ""), kinds) for style in p.styles or captions]
            chunks += [chunk] * made.count(False)
            done += made.count(True)
    return chunks, done


def _windows_of(p: Params, lengths: Callable[[Chunk], int], count: Callable[[int, int, str], int], chunk: Chunk) -> int:
    """Windows of a chunk's result by the length of its front condition video; 1 where that cannot be read."""
    if _first_window_only(p):
        return 1
    frames = lengths(chunk)
    given = p.num_input_frames if isinstance(p, MultiViewParams) else 1
    return count(min(frames, p.frames or frames), given, getattr(p, "windows", "first")) if frames else 1


def _first_window_only(p: Params) -> bool:
    return not isinstance(p, MultiViewParams) and getattr(p, "windows", "first") == "first"


def _condition_frames(ws: Workspace, p: Params, chunk: Chunk) -> int:
    """Frames of a chunk's front condition video; 0 where it cannot be read."""
    for control in p.controls or CONTROLS:
        with contextlib.suppress(DreamkitError):  # the stage reports it, or another control is used
            return probe(ws.condition(control, SIX_VIEWS.front, chunk)).frames
    return 0


def result_frames(p: Params, lengths: Callable[[Chunk], int]) -> Callable[[Chunk], int]:
    """A function from a chunk to the frames of its result by the 7B models, by `lengths` of `condition_lengths`."""
    window = (COSMOS_7B_MULTI if isinstance(p, MultiViewParams) else COSMOS_7B_SINGLE).window_frames

    def frames(chunk: Chunk) -> int:
        there = lengths(chunk) or window
        return min(there, p.frames or there, window if _first_window_only(p) else there)

    return frames
