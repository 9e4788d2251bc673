"""Every reference vector in a folder, by its tensors and config: forwards, trajectories, the sampler alone.

The vectors were computed by the reference implementation (github nvidia-cosmos/cosmos-transfer1, commit 5005e82) in
float32 on the CPU. `pytest tests/transfer/test_parity.py --golden DIR` runs another folder of the same kind.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from dreamkit.transfer.config import DenoiserConfig
from dreamkit.transfer.control import ControlBranch
from dreamkit.transfer.denoiser import Denoiser
from dreamkit.transfer.load import load_parameters
from dreamkit.transfer.sampling import denoise, guide, sample, sigma_schedule
from dreamkit.transfer.views import VIEW_IDS
from dreamkit.transfer.weight_maps import token_weights

FORWARD_BOUND = 1e-4
TRAJECTORY_BOUND = 1e-3


def pytest_generate_tests(metafunc):
    if "path" not in metafunc.fixturenames:
        return
    folder = Path(metafunc.config.getoption("--golden"))
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise pytest.UsageError(f"no reference vectors (*.safetensors) in {folder}")
    metafunc.parametrize("path", files, ids=[f.stem for f in files])


def read(path):
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["config"]), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def relative_error(out, reference):
    out, reference = out.double(), reference.double()
    return float((out - reference).norm() / reference.norm())


def compare(results, bound, path):
    for name, (out, reference) in results.items():
        error = relative_error(out, reference)
        print(f"{path.stem:36s} {name:12s} relative error {error:.2e} (bound {bound:.0e})")
        assert error <= bound, name


def part(tensors, prefix):
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def models(config, tensors):
    views = config["views"]
    multi = {"position": "sincos", "condition_mask": True, "view_table": 7, "view_width": 6} if views > 1 else {}
    tables = {
        f"table_{axis}": len(tensors.get(f"base.extra_pos_embedder.pos_emb_{axis}", range(0))) or 32 for axis in "thw"
    }
    shape = DenoiserConfig(
        width=config["dim"],
        heads=config["heads"],
        blocks=config["blocks"],
        control_blocks=config["ctrl"],
        lora=config["lora"],
        text_width=config["ctx"],
        **tables,
        **multi,
    )
    base = Denoiser(shape)
    load_parameters(base, part(tensors, "base."), "base", torch.device("cpu"), torch.float32)
    branches = []
    for prefix in sorted({name.split(".")[0] for name in tensors if name.startswith("control")}):
        branch = ControlBranch(shape)
        load_parameters(branch, part(tensors, prefix + "."), prefix, torch.device("cpu"), torch.float32)
        branches.append(branch)
    return base, branches


def prepare(config, base, branches, text, shape, hint, **inputs):
    """Base and branches made ready for one window; weights as the reference was given them, not normalised again."""
    views = config["views"]
    text_VMC = text.reshape(views, -1, text.shape[-1])
    options = {"fps": config["fps"], "view_ids": VIEW_IDS.get(views, (0,)), **inputs}
    weights = config["control_weight"]
    weights = weights if isinstance(weights, list) else [weights]
    hints = hint.unbind(1) if hint.ndim == 6 else [hint]
    controls = [
        (branch, branch.prepare(branch.trunk.prepare(text_VMC, shape, **options), one_hint, weight))
        for branch, one_hint, weight in zip(branches, hints, weights, strict=True)
    ]
    return base.trunk.prepare(text_VMC, shape, **options), controls


@torch.inference_mode()
def test_reference_vectors(path, capsys):
    with capsys.disabled():
        check(path)


def check(path):
    config, tensors = read(path)
    if "x0_fn" in config:
        return check_sampler(path, config, tensors)
    if "steps" in config:
        return check_trajectory(path, config, tensors)
    return check_forward(path, config, tensors)


def check_sampler(path, config, tensors):
    a = tensors["in.a"]
    out = sample(
        lambda x, s: 0.6 * torch.tanh(a * x) + 0.1 * torch.cos(torch.tensor(s, dtype=torch.float64)),
        tensors["in.noise"],
        config["steps"],
        config["sigma_max"],
    )
    sigmas = sigma_schedule(config["steps"], config["sigma_max"])
    compare({"sigmas": (sigmas, tensors["out.sigmas"]), "x": (out, tensors["out.x"])}, FORWARD_BOUND, path)


def check_forward(path, config, tensors):
    base, branches = models(config, tensors)
    x, c_noise = tensors["in.x"], tensors["in.timesteps"]
    inputs = {"fps": float(tensors["in.fps"][0])}
    if "in.condition_video_input_mask" in tensors:
        inputs["condition_mask"] = tensors["in.condition_video_input_mask"]
        inputs["frame_repeat"] = tensors["in.frame_repeat"]
        per_view = tensors["in.view_indices"][0].reshape(config["views"], -1)[:, 0]
        inputs["view_ids"] = [int(v) for v in per_view]
    prepared, controls = prepare(
        config, base, branches, tensors["in.crossattn_emb"], x.shape, tensors["in.hint"], **inputs
    )
    results = {
        "base": (base(x, c_noise, prepared), tensors["out.base"]),
        "controlled": (base(x, c_noise, prepared, controls), tensors["out.controlled"]),
    }
    compare(results, FORWARD_BOUND, path)


def check_trajectory(path, config, tensors):
    base, branches = models(config, tensors)
    noise, hint = tensors["in.noise"], tensors["in.hint"]
    inputs, given = {}, None
    if "in.condition_mask" in tensors:
        given = (tensors["in.condition_mask"], tensors["in.condition_latent"])
        inputs["condition_mask"] = tensors["in.condition_mask"]
    text = tensors.get("in.prompts", tensors.get("in.prompt"))
    negative = tensors.get("in.negative", torch.zeros_like(text))
    passes = [prepare(config, base, branches, t, noise.shape, hint, **inputs) for t in (text, negative)]

    def x0_of(x, sigma):
        conditional, unconditional = (
            denoise(lambda s, c, p=p: base(s, c, *p), x, sigma, 0.5, torch.float32, given) for p in passes
        )
        return guide(conditional, unconditional, config["guidance"])

    seen = []
    latent = sample(x0_of, noise, config["steps"], config["sigma_max"], lambda _, x0: seen.append(x0))
    results = {
        "sigmas": (sigma_schedule(config["steps"], config["sigma_max"]), tensors["out.sigmas"]),
        "x0 first": (seen[0], tensors["out.x0_first"]),
        "x0 last": (seen[-1], tensors["out.x0_last"]),
        "latent": (latent, tensors["out.latent"]),
    }
    compare(results, TRAJECTORY_BOUND, path)


def test_weights_given_to_the_reference_are_already_normal():
    assert token_weights([0.3, 0.7], 1, (1, 1, 1)) == [0.3, 0.7]
