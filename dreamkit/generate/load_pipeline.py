"""The pipeline of a run's model, on one GPU or on several."""

from __future__ import annotations

from typing import Any

from dreamkit.generate.plan import RunPlan
from dreamkit.transfer.parallel import check_num_gpus
from dreamkit.transfer.parallel_pipeline import ParallelPipeline
from dreamkit.transfer.pipeline import MultiViewPipeline, SingleViewPipeline
from dreamkit.workspace.workspace import Workspace, from_home


def check_gpus(plan: RunPlan) -> None:
    """Check the number of GPUs of a run before its model loads.

    Raises:
        DreamkitError: more than this machine has, a number that does not divide the model's columns and heads, or a
            preset that takes one GPU.
    """
    p = plan.params
    check_num_gpus(p.num_gpus, plan.model.config, p.guidance != 0, p.device, p.preset)


def load_pipeline(plan: RunPlan, ws: Workspace) -> Any:
    """The pipeline of a plan's model; with `num_gpus` above 1 it has worker processes, which `close` ends.

    Raises:
        DreamkitError: a file that does not fit, no GPU for the 7B models, too little memory.
    """
    p = plan.params
    pipeline = SingleViewPipeline if plan.stage == "single_view" else MultiViewPipeline
    options = {
        "preset": p.preset,
        "attention": p.attention,
        "text_cache": ws.cache("text"),
        "trust_jit": [from_home(path) for path in p.trust_jit],
        "offload": p.offload,
    }
    if p.num_gpus > 1:
        return ParallelPipeline(pipeline, plan.model, p.num_gpus, p.device or "cuda", options)
    return pipeline.load(plan.model, device=p.device or None, **options)
