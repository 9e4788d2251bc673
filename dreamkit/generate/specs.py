"""Control specs in upstream's format: controls, their weights, condition videos and checkpoint files.

    {"hdmap": {"control_weight": 1, "input_control": "outputs/hdmap/.../<sample_name>_0.mp4", "ckpt_path": "..."}}

`input_control` is one path (front view) or one per view; `control_weight` a number or the path of a `.pt` weight map;
scalars beside the controls are parameters. Form and defaults: cosmos-transfer1
diffusion/inference/inference_utils.py (load_controlnet_specs, validate_controlnet_specs).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dreamkit.download.checkpoints import FOLDERS
from dreamkit.errors import DreamkitError
from dreamkit.transfer.config import DEFAULT_WEIGHT
from dreamkit.workspace.cameras import SIX_VIEWS
from dreamkit.workspace.controls import CONTROLS
from dreamkit.workspace.files import nearest, read_json, write_json
from dreamkit.workspace.workspace import Chunk, Workspace, from_home, home

log = logging.getLogger(__name__)
SAMPLE_NAME = "<sample_name>"
MOST_NAMES = 200
_KEYS = ("control_weight", "input_control", "ckpt_path")


@dataclass(frozen=True)
class Control:
    """One control of a spec.

    Attributes:
        name: "hdmap" or "lidar".
        weight: at least 0, or the path of a weight map as the spec writes it.
        inputs: paths as the spec writes them: none (the workspace's files), one, or one per view.
        checkpoint: `ckpt_path` as the spec writes it.
    """

    name: str
    weight: float | str = DEFAULT_WEIGHT
    inputs: tuple[str, ...] = ()
    checkpoint: str | None = None


@dataclass(frozen=True)
class Spec:
    """The controls of a run.

    Attributes:
        controls: name -> control.
        scalars: the values beside the controls, which are parameters.
        source: the file; for defaults the file that they will be written to.
        written: False for the defaults of a stage without a spec file.
    """

    controls: dict[str, Control]
    scalars: dict[str, Any] = field(default_factory=dict)
    source: Path | None = None
    written: bool = True

    def __str__(self) -> str:
        rows = [f"  {name}: weight {control.weight}" for name, control in self.controls.items()]
        heading = f"controls, from {self.source} (edit it and run this cell again)"
        if not self.written:
            heading = f"controls, the defaults (the run writes them into {self.source} for you to edit)"
        return "\n".join([heading, *rows])


def parse_spec(data: Mapping[str, Any], source: Path | None = None) -> Spec:
    """The spec of a JSON object; all its problems are in one error.

    Raises:
        DreamkitError: an unknown control or key, a weight that is negative or neither number nor `.pt` path, an
            `input_control` that is neither a path nor a list of paths; or no control at all.
    """
    controls, scalars, problems = {}, {}, []
    if len(data) > MOST_NAMES:
        raise DreamkitError(
            f"The control spec {source or ''} has {len(data):,} names; there are {len(CONTROLS)} controls and some"
            " parameters.",
            "Check that it is a control spec.",
        )
    for name, value in data.items():
        if name in CONTROLS and isinstance(value, Mapping):
            controls[name], found = _control(name, value)
            problems += found
        elif name in CONTROLS:
            problems.append(f"{name} must be an object {{...}}, not {value!r}")
        elif isinstance(value, Mapping | list):
            close = nearest(name, CONTROLS)
            problems.append(
                f"unknown control {name!r}; there are {' and '.join(CONTROLS)}"
                + (f"; did you mean {close!r}?" if close else "")
            )
        else:
            scalars[name] = value
    if not controls and not problems:
        problems.append(f"it names no control; add one of {', '.join(CONTROLS)}")
    if problems:
        raise DreamkitError(
            f"The control spec {source or ''} cannot be used: {'; '.join(problems)}.".replace("  ", " "),
            'The smallest one is {"hdmap": {"control_weight": 1}}.',
        )
    return Spec(controls, scalars, source)


def _control(name: str, value: Mapping[str, Any]) -> tuple[Control, list[str]]:
    problems = []
    for key in list(value)[:MOST_NAMES]:
        if key not in _KEYS:
            close = nearest(key, _KEYS)
            wanted = f"did you mean {close!r}?" if close else f"known are {', '.join(_KEYS)}"
            problems.append(f"{name}.{key} is not known; {wanted}")
    weight: float | str = DEFAULT_WEIGHT
    try:
        weight = read_weight(value.get("control_weight", DEFAULT_WEIGHT))
    except ValueError as error:
        problems.append(f"{name}.control_weight {error}")
    given = value.get("input_control", ())
    listed = [given] if isinstance(given, str) else list(given) if isinstance(given, list | tuple) else [None]
    inputs = tuple(path for path in listed if isinstance(path, str) and path.strip())
    if len(inputs) < len(listed):
        problems.append(f"{name}.input_control must be a path or a list of paths, not {given!r}")
        inputs = ()
    checkpoint = value.get("ckpt_path")
    if not isinstance(checkpoint, str | None):
        problems.append(f"{name}.ckpt_path must be a path, not {checkpoint!r}")
        checkpoint = None
    return Control(name, weight, inputs, checkpoint or None), problems


def read_weight(value: object) -> float | str:
    """A control weight: a finite number of at least 0 (also written as text), or the path of a `.pt` map.

    Raises:
        ValueError: anything else, with the rest of a sentence that begins with the weight's name.
    """
    if isinstance(value, str) and value.strip().endswith(".pt"):
        return value.strip()
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"must be a number or the path of a .pt map, not {str(value)[:80]!r}") from None
    if isinstance(value, bool) or not math.isfinite(number):
        raise ValueError(f"must be a number or the path of a .pt map, not {value!r}")
    if number < 0:
        raise ValueError(f"is {number:g}; a weight cannot be negative")
    return number


def read_spec(path: Path) -> Spec:
    """Read and check a spec file; see `files.read_json` and `parse_spec` for what is refused."""
    return parse_spec(read_json(path, "control spec"), path)


def find_spec(stage: str, asked: str, ws: Workspace) -> Path | None:
    """The spec file of a stage: where the parameter says, else in the working folder, else in the workspace.

    Raises:
        DreamkitError: the parameter names a file that is not there.
    """
    if asked:
        path = from_home(asked)
        read_json(path, "control spec")  # raises with the nearest file that exists
        return path
    places = (home() / f"{stage}_spec.json", ws.spec(stage))
    return next((path for path in places if path.is_file()), None)


def choose_spec(
    stage: str,
    asked: str,
    ws: Workspace,
    controls: Sequence[str] = (),
    weights: float | str | Mapping[str, Any] | None = None,
) -> Spec:
    """The spec to run with: the one that `find_spec` finds, else the defaults. Nothing is written.

    Args:
        stage: "single_view" or "multi_view".
        asked: the `spec` parameter; may be empty.
        ws: the workspace.
        controls: when given, these controls run: those the spec lacks are added with defaults, others left out.
        weights: when given, replaces the spec's weights: one for all, or control -> weight.

    Raises:
        DreamkitError: the spec cannot be used, or `controls` or `weights` names an unknown control.
    """
    path = find_spec(stage, asked, ws)
    spec = read_spec(path) if path else replace(parse_spec(default_spec(stage, ws), ws.spec(stage)), written=False)
    names = tuple(controls) or tuple(spec.controls)
    if isinstance(weights, Mapping) and (unused := set(weights) - set(names)):
        raise DreamkitError(
            f"control_weight names {', '.join(sorted(unused))}, which does not run; {', '.join(names)} does.",
            "Add it to controls, or take its weight out.",
        )
    lacking = 1.0 if len(names) == 1 else DEFAULT_WEIGHT
    chosen = {}
    for name in names:
        control = spec.controls.get(name, Control(name, lacking))
        chosen[name] = replace(control, weight=_weight_of(name, weights, control.weight))
    return replace(spec, controls=chosen)


def _weight_of(name: str, weights: float | str | Mapping[str, Any] | None, default: float | str) -> float | str:
    if weights is None:
        return default
    return weights.get(name, default) if isinstance(weights, Mapping) else weights


def default_spec(stage: str, ws: Workspace) -> dict[str, Any]:
    """The spec of a stage without a spec file: HDMap alone, the workspace's files, `<sample_name>` for the clip.

    It has no scalars. Paths under the working folder are written relative to it, as in upstream's specs.
    """

    def written(path: Path) -> str:
        return str(path.relative_to(home()) if path.is_relative_to(home()) else path)

    name, sample = CONTROLS[0], Chunk("sample")
    cameras = SIX_VIEWS.cameras if stage == "multi_view" else SIX_VIEWS.cameras[:1]
    paths = [written(ws.condition(name, camera, sample).with_name(f"{SAMPLE_NAME}_0.mp4")) for camera in cameras]
    return {name: {"control_weight": 1.0, "input_control": paths if stage == "multi_view" else paths[0]}}


def write_default(stage: str, ws: Workspace) -> Path:
    """Write a stage's default spec into the workspace for the user to edit, unless one is there."""
    path = ws.spec(stage)
    if not path.exists():
        write_json(path, default_spec(stage, ws))
        log.info("wrote the control spec %s; edit it to change controls, weights or videos", path)
    return path


def resolve(path: str, source: Path | None, *others: Path) -> Path | None:
    """The existing file of a path in a spec, or None.

    Relative paths are tried in the working folder, beside the spec, in `cosmos-transfer1/` (upstream's scripts change
    into it) and in `others`.

    Raises:
        DreamkitError: no system has such a path.
    """
    from_home(path)  # raises
    wanted = Path(path).expanduser()
    folders = [home(), *([source.parent] if source else []), home() / "cosmos-transfer1", *others]
    return next((folder / wanted for folder in folders if (folder / wanted).is_file()), None)


def own_control_files(stage: str, spec: Spec, root: Path) -> dict[str, Path]:
    """The control files that a spec's `ckpt_path` names and that are not the released ones in their own place.

    Raises:
        DreamkitError: a `ckpt_path` that does not exist.
    """
    own = {}
    for name, control in spec.controls.items():
        if control.checkpoint is None:
            continue
        released = {root / FOLDERS[stage] / f"{prefix}{name}_control.pt" for prefix in ("", "t2w_", "v2w_")}
        found = resolve(control.checkpoint, spec.source, root)
        if found is None:
            raise DreamkitError(
                f"The control spec {spec.source or ''} names the checkpoint file {control.checkpoint}, which is neither"
                f" in the working folder, nor beside the spec, nor under {root}.",
                "Correct ckpt_path, or take it out to use the released file.",
            )
        if found.resolve() not in {path.resolve() for path in released}:
            own[name] = found
    return own
