"""Several workers against one: the same latents and videos; failures, interrupts, and that no process stays behind.

The workers run on the CPU over gloo, which `device: cpu` with `num_gpus` above 1 does; on GPUs the same code runs over
NCCL.
"""

import functools
import os
import signal
from dataclasses import replace
from pathlib import Path

import micro
import numpy as np
import pytest
import torch

from dreamkit.errors import DreamkitError, OutOfGpuMemory, ProcessKilled
from dreamkit.transfer import parallel
from dreamkit.transfer.config import COSMOS_7B_MULTI, COSMOS_7B_SINGLE, TINY_SINGLE
from dreamkit.transfer.denoising import Window, denoise_window
from dreamkit.transfer.engine import ComputeSettings
from dreamkit.transfer.joined import JoinedLatents, denoise_joined
from dreamkit.transfer.model_files import FIRST_WINDOW, ModelFiles, multi_view_model, single_view_model
from dreamkit.transfer.network_store import NetworkStore
from dreamkit.transfer.parallel_pipeline import ParallelPipeline
from dreamkit.transfer.pipeline import MultiViewPipeline, SingleViewPipeline
from dreamkit.transfer.reports import Progress
from dreamkit.transfer.views import VIEW_IDS, condition_mask
from dreamkit.transfer.worker_process import MEMORY_HINT
from dreamkit.transfer.workers import WorkerPool
from dreamkit.workspace.sizes import GIB

pytestmark = pytest.mark.usefixtures("one_thread")
# Four columns of tokens, and four heads or two: four workers divide the first model's columns, and with the second one
# they have to divide the passes of guidance too.
SINGLE = replace(micro.SINGLE, denoiser=replace(micro.SINGLE.denoiser, width=96, heads=4), width=64)
MULTI = replace(micro.MULTI, width=64)
# Three columns of tokens, which nobody can divide, and four rows.
TALL = replace(micro.MULTI, height=64)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    from dreamkit.tinyworld.train.bundle import write_random_bundle

    folder = tmp_path_factory.mktemp("wider")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DREAMKIT_CACHE", str(folder / "cache"))
        write_random_bundle(folder / "tall", single=SINGLE, multi=TALL)
        yield write_random_bundle(folder / "checkpoints", single=SINGLE, multi=MULTI)


def both_pipelines(root, ranks, device):
    """The build function of the workers here: all models, because starting a worker takes seconds."""
    torch.set_num_threads(1)
    return {
        "single": SingleViewPipeline.load(single_view_model(root, ("hdmap", "lidar")), device=device, ranks=ranks),
        "multi": MultiViewPipeline.load(multi_view_model(root, ("hdmap",)), device=device, ranks=ranks),
        "tall": MultiViewPipeline.load(
            multi_view_model(root.with_name("tall"), ("hdmap",)), device=device, ranks=ranks
        ),
    }


def window(kind, config, guidance):
    """A window of random inputs; in single view with a weight map, in six views with given latents."""
    generator = torch.Generator().manual_seed(7)

    def normal(*shape):
        return torch.randn(shape, generator=generator)

    views, shape, denoiser = config.views, (1, *config.latent_shape), config.denoiser
    controls = ("hdmap", "lidar") if kind == "single" else ("hdmap",)
    text = normal(2, views, denoiser.text_tokens, denoiser.text_width)
    given = None
    if kind != "single":
        given = condition_mask(views, config.latent_frames, 1, torch.device("cpu")), normal(*shape)
    return Window(
        text[0],
        text[1] if kind == "single" else torch.zeros_like(text[1]),
        {name: normal(*shape) for name in controls},
        {"hdmap": normal(config.window_frames, 32, 64).abs() if kind == "single" else 0.7, "lidar": 0.4},
        normal(*shape),
        3,
        guidance,
        24,
        config.window_frames,
        given,
        VIEW_IDS.get(views, (0,)),
    )


def made_latent(worker, kind, guidance):
    return latent_of(worker.pipeline[kind], kind, guidance)


def joined_latent(worker, guidance):
    return joined_latent_of(worker.pipeline["single"], guidance)


def joined_latent_of(pipe, guidance):
    """Two joined windows with different hints and weight maps."""
    one = window("single", pipe.config, guidance)
    hints, weights = one.hints, one.weights
    other = replace(
        one,
        hints={name: hint.flip(2) for name, hint in hints.items()},
        weights=weights | {"hdmap": weights["hdmap"].flip(0)},
    )
    layout = JoinedLatents((0, 1), pipe.config.latent_frames)
    noise = torch.cat([one.noise, one.noise.flip(2)[:, :, :2]], dim=2)
    windows = [replace(w, noise=layout.cut(noise, index)) for index, w in enumerate((one, other))]
    return denoise_joined(pipe.store.get(FIRST_WINDOW), pipe.config, windows, layout, noise)


def latent_of(pipe, kind, guidance):
    return denoise_window(pipe.store.get(FIRST_WINDOW), pipe.config, window(kind, pipe.config, guidance))


@pytest.mark.parametrize("size", [2, 4])
def test_workers_make_the_latent_of_one(checkpoints, size):
    """Two divide the passes of guidance, or without it columns, or rows where those cannot be divided.

    Four divide columns, and for six views also the passes.
    """
    one = both_pipelines(checkpoints, None, "cpu")
    pool = WorkerPool(functools.partial(both_pipelines, checkpoints), size, "cpu")
    try:
        for kind in ("single", "multi", "tall"):
            both = kind == "single" or (kind == "multi" and size == 2)
            for guidance in (0, 2.0) if both else (0,) if kind == "tall" and size == 2 else (2.0,):
                alone = latent_of(one[kind], kind, guidance)
                first, *others = pool.run(made_latent, kind, guidance)
                assert all(torch.equal(first, other) for other in others)
                error = float((first - alone).norm() / alone.norm())
                assert error < 1e-5, (kind, guidance)
                assert alone.std() > 0.1
        for guidance in (0, 2.0):
            first, *others = pool.run(joined_latent, guidance)
            assert all(torch.equal(first, other) for other in others)
            alone = joined_latent_of(one["single"], guidance)
            assert float((first - alone).norm() / alone.norm()) < 1e-5, guidance
    finally:
        pool.close()


def test_a_pipeline_of_workers_is_called_like_one_of_one_gpu(checkpoints):
    """Also over several windows and joined ones, with raw controls, a preview, and an error of the caller between."""
    model = multi_view_model(checkpoints, ("hdmap",))
    views = np.random.default_rng(1).integers(0, 255, (6, 30, 32, 64, 3), np.uint8)
    prompts, options = ["a car"] * 6, {"steps": 1, "guidance": 1.5, "seed": 3}
    alone = MultiViewPipeline.load(model, device="cpu")
    seen, seen_alone = [], []
    with ParallelPipeline(MultiViewPipeline, model, 2, "cpu") as pipe:
        with pytest.raises(DreamkitError, match="2 prompts are given for 6 views"):
            pipe(prompts[:2], views[0], {"hdmap": views}, **options)
        made = pipe(prompts, views[0], {"hdmap": views}, **options, progress=seen.append)
        assert pipe.pool is pipe.pool
        assert pipe.info() == {**alone.info(), "num_gpus": 2}
        frame = []
        pipe(prompts, views[0], {"hdmap": views}, **options, progress=lambda p: keep_preview(p, frame))
        joined = pipe(prompts, views[0], {"hdmap": views}, **options, windows="joined")
    expected = alone(prompts, views[0], {"hdmap": views}, **options, progress=seen_alone.append)
    assert made.shape == (6, 30, 32, 64, 3)
    assert np.abs(made.astype(int) - expected).max() <= 1
    expected = alone(prompts, views[0], {"hdmap": views}, **options, windows="joined")
    assert joined.shape == made.shape and np.abs(joined.astype(int) - expected).max() <= 1
    steps = [[(p.step, p.window) for p in progress if p.stage == "denoise"] for progress in (seen, seen_alone)]
    assert steps[0] == steps[1]
    assert frame[0].shape == (6, 32, 64, 3)


def keep_preview(progress, frame):
    if progress.preview_frame and not frame:
        frame.append(progress.preview_frame())


def nothing(ranks, device):
    """The build function of workers that need no model."""


def same_mistake(worker):
    raise DreamkitError("The value is wrong.", "Give another.")


def steps(worker, count):
    for step in range(count):
        worker.report(Progress("denoise", step, count, 0, 1, 0.0))
    return worker.ranks.rank


def one_divides_by_zero(worker):
    if worker.ranks.rank == 1:
        return 1 / 0
    torch.distributed.barrier()  # never answered


def one_has_no_memory(worker):
    if worker.ranks.rank == 1:
        raise DreamkitError("Out of GPU memory.", "Use a larger one.") from torch.cuda.OutOfMemoryError()
    return steps(worker, 3)


def one_is_killed(worker):
    if worker.ranks.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    torch.distributed.barrier()


def test_mistakes_and_interrupts_leave_the_workers_usable():
    pool = WorkerPool(nothing, 2, "cpu")
    try:
        with pytest.raises(DreamkitError, match="The value is wrong") as caught:
            pool.run(same_mistake)
        assert caught.value.hint == "Give another."
        seen = []

        def interrupted(progress):
            seen.append(progress.step)
            if progress.step == 2:
                signal.raise_signal(signal.SIGINT)

        with pytest.raises(KeyboardInterrupt):
            pool.run(steps, 1000, listener=interrupted)
        assert seen == [0, 1, 2]
        with pytest.raises(ZeroDivisionError):
            pool.run(steps, 1000, listener=lambda progress: 1 / 0)
        assert not pool.closed
        assert pool.run(steps, 3) == [0, 1]
        with pytest.raises(OutOfGpuMemory, match="Out of GPU memory") as caught:
            pool.run(one_has_no_memory)
        assert caught.value.hint == MEMORY_HINT
        assert pool.closed  # one of two was cut off, so they are no longer at the same place
    finally:
        pool.close()


@pytest.mark.parametrize(
    ("function", "message"),
    [(one_divides_by_zero, "GPU 1 failed: ZeroDivisionError: division by zero"), (one_is_killed, "by signal 9")],
)
def test_a_worker_that_fails_is_reported_and_the_others_end(function, message, caplog, monkeypatch):
    monkeypatch.setattr("dreamkit.transfer.workers.GRACE", 0.5)
    pool = WorkerPool(nothing, 2, "cpu")
    processes = [process.pid for process in pool._processes]
    with pytest.raises(DreamkitError, match=message) as caught:
        pool.run(function)
    assert isinstance(caught.value, ProcessKilled) == (function is one_is_killed)  # a batch makes another attempt
    assert pool.closed and not [pid for pid in processes if running(pid)]
    if function is one_divides_by_zero:
        assert "return 1 / 0" in caplog.text  # the traceback, with its line
    with pytest.raises(DreamkitError, match="have ended"):
        pool.run(steps, 1)


def running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    ("gpus", "config", "guided", "device", "message"),
    [
        (2, COSMOS_7B_SINGLE, True, "", "num_gpus is 2, but PyTorch sees 1 GPU here"),
        (2, COSMOS_7B_SINGLE, True, "cuda:1", "the single GPU cuda:1"),
        (3, COSMOS_7B_SINGLE, True, "cpu", "80 columns of tokens and 32 heads"),
        (3, COSMOS_7B_MULTI, False, "cpu", "64 columns of tokens and 32 heads"),
        (4, TINY_SINGLE, False, "cpu", "18 columns of tokens and 4 heads"),
    ],
)
def test_a_number_of_gpus_that_cannot_be_is_one_sentence(monkeypatch, gpus, config, guided, device, message):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(DreamkitError, match=message):
        parallel.check_num_gpus(gpus, config, guided, device)


def test_a_preset_that_bounds_memory_takes_one_gpu():
    with pytest.raises(DreamkitError, match="num_gpus is 2, but the preset 12gb runs on one GPU") as caught:
        parallel.check_num_gpus(2, COSMOS_7B_SINGLE, True, "cpu", "12gb")
    assert caught.value.hint == "Set num_gpus to 1, or preset to exact."
    with pytest.raises(DreamkitError, match="num_gpus is 2, but the preset fast runs on one GPU"):
        parallel.check_num_gpus(2, COSMOS_7B_SINGLE, True, "cpu", "fast")
    parallel.check_num_gpus(1, COSMOS_7B_SINGLE, True, "cpu", "12gb")


def test_out_of_memory_on_one_of_several_gpus_is_no_reason_to_fall_back(monkeypatch):
    """One rank that went on with another preset by itself would leave the others waiting for its part."""
    monkeypatch.setattr("dreamkit.transfer.network_store.usable_memory", lambda device: 80 * GIB)
    compute = ComputeSettings(torch.device("cpu"), torch.float32)
    error = torch.cuda.OutOfMemoryError("full")
    files = ModelFiles(Path("none"), SINGLE, {})
    assert NetworkStore(files, compute, offload=False)._smaller(error).name == "24gb"
    ranks = parallel.Ranks(0, 2, {})
    with pytest.raises(torch.cuda.OutOfMemoryError, match="full"):
        NetworkStore(files, replace(compute, ranks=ranks), offload=False)._smaller(error)


def test_gpus_without_a_link_are_named_in_one_line(monkeypatch, caplog):
    def link(a, b):
        return (a, b) != (0, 2)

    monkeypatch.setattr(torch.cuda, "can_device_access_peer", link)
    assert parallel.unlinked_gpus(3) == [(0, 2)]
    parallel.warn_of_unlinked([(0, 2), (1, 2)])
    parallel.warn_of_unlinked([])
    assert [record.message for record in caplog.records] == [
        "GPUs 0 and 2, 1 and 2 have no peer-to-peer link; their exchange through host memory is slower."
    ]


def test_two_gpus_and_unlinked_ones_divide_the_passes_of_guidance_others_columns():
    def parts(gpus, guided, linked=True):
        split = parallel.split_grid(gpus, guided, (44, 80), 32, linked)
        return split and split.parts

    assert [parts(4, True), parts(4, False), parts(32, True), parts(3, True)] == [4, 4, 16, None]
    assert [parts(2, True), parts(2, False)] == [1, 2]
    assert [parts(4, True, False), parts(4, False, False), parts(5, True, False)] == [2, 4, None]


def test_rows_are_divided_where_columns_cannot_be():
    assert parallel.split_grid(2, False, (12, 21), 4) == parallel.Split(2, True, 12 * 21)
    assert parallel.split_grid(2, False, (12, 22), 4) == parallel.Split(2, False, 22)
    assert parallel.split_grid(2, False, (13, 21), 4) is None
    grid = torch.arange(2 * 4 * 3).reshape(1, -1, 1)  # two frames of four rows and three columns
    by_rows = [parallel.Division(parallel.Split(2, True, 12), part, (0,), 1, 2, None) for part in (0, 1)]
    assert [division.tokens(grid).flatten().tolist() for division in by_rows] == [
        [*range(6), *range(12, 18)],
        [*range(6, 12), *range(18, 24)],
    ]


def test_numbers_of_gpus_that_divide_the_released_models():
    def good(config, guided):
        return [n for n in range(1, parallel.MOST_GPUS + 1) if parallel.divides(config, n, guided)]

    assert good(COSMOS_7B_SINGLE, True) == [1, 2, 4, 8, 16, 32]
    assert good(COSMOS_7B_SINGLE, False) == [1, 2, 4, 8, 16]
    assert good(COSMOS_7B_MULTI, False) == [1, 2, 4, 8, 16, 32]
