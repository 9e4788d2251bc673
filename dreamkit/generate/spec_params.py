"""Scalars beside the controls of a spec: some set parameters, some have no effect, others are refused.

Upstream's scripts take any of their arguments from a spec; the command line takes precedence
(cosmos-transfer1 diffusion/inference/transfer.py). Here a spec may set parameters of the generation, but none that
determines which files are read, run, written or replaced.
"""

from __future__ import annotations

import logging
from typing import Any

from dreamkit.errors import DreamkitError
from dreamkit.generate.params import MultiViewParams, Params
from dreamkit.generate.specs import Spec
from dreamkit.notebook.param_values import ALIASES
from dreamkit.notebook.params import parse_params
from dreamkit.workspace.files import nearest

log = logging.getLogger(__name__)
SETTABLE = frozenset(
    (
        *("num_steps", "guidance", "seed", "fps", "negative_prompt", "num_input_frames"),
        *("num_gpus", "offload", "guardrail"),
    )
)
# Arguments of upstream's scripts that have no effect here, most of them replaced by another parameter or file.
UPSTREAM_ONLY = frozenset(
    (
        *("prompt", "prompt_left", "prompt_right", "prompt_back", "prompt_back_left", "prompt_back_right"),
        *("caption_path", "input_path", "input_view_path", "video_save_folder", "video_save_name"),
        *("is_av_sample", "tokenizer_dir", "batch_input_path", "batch_size", "blur_strength", "canny_threshold"),
        *("offload_text_encoder_model", "offload_guardrail_models", "offload_prompt_upsampler", "checkpoint_dir"),
        *("view_condition_video", "initial_condition_video", "n_clip_max", "controlnet_specs"),
        *("negative_prompt", "waymo_example"),  # of the stages that have no such parameter
    )
)
# Arguments that would change the result, with the only value that is supported.
UPSTREAM_FIXED = {
    "sigma_max": 80,
    "upsample_prompt": False,
    "input_video_path": "",
    "use_distilled": False,
    "num_input_frames": 1,  # of single view, which takes no previous frames
}


def apply_scalars(params: Params, spec: Spec) -> Params:
    """Parameters with the spec's scalars in place of those that were not given.

    Given are those in `params.model_fields_set`, also at their default value.

    Raises:
        DreamkitError: a scalar that is no parameter, that a spec may not set, or whose value is not supported.
    """
    taken: dict[str, Any] = {}
    for name, value in spec.scalars.items():
        target = ALIASES.get(name, name)
        if name == "waymo_example" and isinstance(params, MultiViewParams):
            target, value = "views", 5 if value else params.views
        elif target not in SETTABLE or target not in type(params).model_fields:
            _not_taken(params, spec, name, value)
            continue
        if target in params.model_fields_set:
            log.info("%s = %r as given; the spec's %r is not used", target, getattr(params, target), value)
        else:
            taken[target] = value
            log.info("%s = %r, from the spec", target, value)
    if not taken:
        return params
    return parse_params(
        type(params), {**params.model_dump(exclude_unset=True), **taken}, f"The control spec {spec.source}"
    )


def _not_taken(params: Params, spec: Spec, name: str, value: Any) -> None:
    """Log that a scalar has no effect, or refuse it."""
    if name in UPSTREAM_FIXED:
        if value != UPSTREAM_FIXED[name]:
            raise DreamkitError(
                f"The control spec {spec.source} sets {name} to {value!r}, which is not supported with these models.",
                f"Take {name} out of the spec.",
            )
    elif name in UPSTREAM_ONLY:
        log.info("%s in the spec has no effect here", name)
    elif ALIASES.get(name, name) in type(params).model_fields:
        raise DreamkitError(
            f"The control spec {spec.source} sets {name}, which is no part of a spec.",
            "Give it on the command line, in a YAML file or in the notebook's parameters cell.",
        )
    else:
        close = nearest(name, [*SETTABLE, *UPSTREAM_ONLY])
        raise DreamkitError(
            f"The control spec {spec.source} names the unknown parameter {name!r}.",
            f"Did you mean {close!r}?" if close else "Take it out of the spec.",
        )
