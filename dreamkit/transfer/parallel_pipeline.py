"""A pipeline whose model several GPUs run together, called like the pipeline of one GPU."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dreamkit.errors import DreamkitError
from dreamkit.transfer.call_checks import check_frames, check_loaded
from dreamkit.transfer.encoded_controls import EncodedControls
from dreamkit.transfer.model_files import FIRST_WINDOW, ModelFiles
from dreamkit.transfer.parallel import Ranks
from dreamkit.transfer.reports import Listener, Reporter
from dreamkit.transfer.single_view import NEGATIVE_PROMPT
from dreamkit.transfer.windows import WindowPlan, cut_window, front_windows, multi_view_windows
from dreamkit.transfer.worker_process import Worker
from dreamkit.transfer.workers import WorkerPool

if TYPE_CHECKING:
    from dreamkit.transfer.base_pipeline import Pipeline


class ParallelPipeline:
    """A model on several GPUs, one worker process each, that stays loaded between videos.

    It has the methods of the pipeline that the workers load, with the same arguments. After a failure that ends the
    workers the next call starts new ones.

    Args:
        pipeline: class of the workers' pipeline, SingleViewPipeline or MultiViewPipeline.
        model: its files and sizes.
        gpus: number of workers; see `parallel.check_num_gpus`.
        device: `cuda`, or `cpu` for tests.
        options: further arguments of `Pipeline.load`: preset, attention, text_cache and so on.
        build: makes a worker's pipeline; by default `pipeline.load` with `model` and `options`.
    """

    def __init__(
        self,
        pipeline: type[Pipeline],
        model: ModelFiles,
        gpus: int,
        device: str = "cuda",
        options: Mapping[str, Any] | None = None,
        build: Callable[[Ranks, torch.device], Any] | None = None,
    ) -> None:
        self.model, self.config, self.gpus, self.device = model, model.config, gpus, device
        self.size = (model.config.height, model.config.width)
        self.window_frames, self.has_extension = model.config.window_frames, model.has_extension
        self._build = build or functools.partial(_load, pipeline, model, dict(options or {}))
        self._texts: dict[str, torch.Tensor] = {}
        self._pool = WorkerPool(self._build, gpus, device)

    def __enter__(self) -> ParallelPipeline:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the worker processes."""
        self._pool.close()

    @property
    def pool(self) -> WorkerPool:
        """The worker processes; new ones where a failure has ended them."""
        if self._pool.closed:
            self._pool = WorkerPool(self._build, self.gpus, self.device)
            if self._texts:
                self._pool.run(_take_texts, self._texts)
        return self._pool

    def encode_prompts(self, prompts: Sequence[str]) -> None:
        """Encode all prompts of a batch now; the first worker does it and the others take its embeddings."""
        missing = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._texts]
        if missing:
            (texts,) = self.pool.run_each(_encode_texts, [(missing,)])
            self.pool.run(_take_texts, texts)
            self._texts |= texts

    def encode_controls(
        self, controls: Mapping[str, Iterable[np.ndarray]], windows: WindowPlan, progress: Listener | None = None
    ) -> EncodedControls:
        """Encode condition videos once; see `Pipeline.encode_controls`. Each worker encodes some of the views."""
        check_loaded(controls, list(self.model.denoisers[FIRST_WINDOW])[1:])
        report = Reporter(progress, len(windows.starts))
        total = len(controls) * self.config.views
        latents: dict[str, list[list[torch.Tensor]]] = {name: [] for name in controls}
        peak = done = 0
        views = ((name, frames_THWC) for name in controls for frames_THWC in controls[name])
        while batch := list(itertools.islice(views, self.gpus)):
            for name, frames_THWC in batch:
                check_frames(f"The control {name}", frames_THWC, "THWC")
                if len(frames_THWC) < windows.frames:
                    raise DreamkitError(
                        f"The control {name} has {len(frames_THWC)} frames; {windows.frames} are made.",
                        "Give condition videos that are at least as long as the result.",
                    )
            report("encode", done, total)
            made = self.pool.run_each(_encode_view, [(frames[: windows.frames], windows) for _, frames in batch])
            for (name, _), (of_windows, used) in zip(batch, made, strict=True):
                latents[name].append(of_windows)
                peak = max(peak, used)
            done += len(batch)
        for name, of_views in latents.items():
            if len(of_views) != self.config.views:
                raise DreamkitError(
                    f"The control {name} has {len(of_views)} views, expected {self.config.views}.", "Give every view."
                )
        return EncodedControls(
            windows,
            tuple(
                {name: torch.cat([view[index] for view in of_views], dim=2) for name, of_views in latents.items()}
                for index in range(len(windows.starts))
            ),
            peak,
        )

    def __call__(self, *given: Any, progress: Listener | None = None, **options: Any) -> np.ndarray:
        """Generate a video, or those of all views; arguments, result and errors as for the pipeline of one GPU."""
        prompts, controls = given[0], given[-1]
        single = isinstance(prompts, str)
        texts = [prompts, options.get("negative_prompt") or NEGATIVE_PROMPT] if single else list(prompts)
        self.encode_prompts(texts)
        if not isinstance(controls, EncodedControls):
            if single:
                frames = min(len(video) for video in controls.values())
                plan = front_windows(frames, self.window_frames, options.get("windows") or "first")
                controls = {name: [video] for name, video in controls.items()}
            else:
                inputs = options.get("num_input_frames", 9)
                mode = options.get("windows") or "extension"
                plan = multi_view_windows(len(given[1]), self.window_frames, inputs, self.has_extension, mode)
            controls = self.encode_controls(controls, plan, progress)
        results = self.pool.run(_call_pipeline, (*given[:-1], controls), options, listener=progress)
        return results[0]

    def info(self) -> dict[str, Any]:
        """As `Pipeline.info` of the first worker, with the largest GPU memory of all and the number of GPUs."""
        infos = self.pool.run(_pipeline_info)
        return {**infos[0], "peak_gpu_bytes": max(one["peak_gpu_bytes"] for one in infos), "num_gpus": self.gpus}


def _load(
    pipeline: type[Pipeline], model: ModelFiles, options: dict[str, Any], ranks: Ranks, device: torch.device
) -> Pipeline:
    return pipeline.load(model, device=device, ranks=ranks, **options)


def _encode_texts(worker: Worker, prompts: list[str]) -> dict[str, torch.Tensor]:
    worker.pipeline.text.encode(prompts)
    return worker.pipeline.text.embeddings(prompts)


def _take_texts(worker: Worker, texts: dict[str, torch.Tensor]) -> None:
    worker.pipeline.text.take(texts)


def _encode_view(worker: Worker, frames_THWC: np.ndarray, windows: WindowPlan) -> tuple[list[torch.Tensor], int]:
    """Latents of one view's windows, on the CPU, and the peak GPU memory in bytes."""
    pipeline, cuda = worker.pipeline, worker.device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats(worker.device)
    parts = (cut_window(frames_THWC, start, pipeline.window_frames) for start in windows.starts)
    latents = [pipeline.encode_frames(part).cpu() for part in parts]
    return latents, torch.cuda.max_memory_allocated(worker.device) if cuda else 0


def _call_pipeline(worker: Worker, given: tuple[Any, ...], options: dict[str, Any]) -> np.ndarray | None:
    """The result on the first worker; the others have the same one and return nothing."""
    result = worker.pipeline(*given, progress=worker.report, **options)
    return result if worker.ranks.rank == 0 else None


def _pipeline_info(worker: Worker) -> dict[str, Any]:
    return worker.pipeline.info()
