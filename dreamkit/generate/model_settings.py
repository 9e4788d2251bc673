"""The sampling settings that a model's bundle was made for, in place of the defaults of the 7B models."""

from __future__ import annotations

import logging
from typing import TypeVar

from dreamkit.download import checkpoints
from dreamkit.generate.params import Params
from dreamkit.notebook.params import parse_params
from dreamkit.transfer.config import read_settings

log = logging.getLogger(__name__)
P = TypeVar("P", bound=Params)


def with_model_settings(params: P) -> P:
    """Parameters with the bundle's own `num_steps` and `guidance` where neither the user nor the spec gave them.

    The tiny bundle's `dreamkit.json` has them; NVIDIA's checkpoint folders have no such file.

    Raises:
        DreamkitError: there is no checkpoint folder, or its settings cannot be used.
    """
    folder = checkpoints.folder(params.checkpoints) / checkpoints.FOLDERS[params.stage]
    own = {name: value for name, value in read_settings(folder).items() if name not in params.model_fields_set}
    if not own:
        return params
    log.info("%s: the settings of the model in %s", ", ".join(f"{n} = {v:g}" for n, v in own.items()), folder)
    given = params.model_dump(exclude_unset=True)
    return parse_params(type(params), {**given, **own}, f"The settings of the model in {folder}")
