"""Float8 presets: rounding, converted networks on and off, attention over float8, and devices without float8."""

from types import SimpleNamespace

import micro
import pytest
import torch
import torch.nn.functional as F

from dreamkit.bench.forward import one_forward
from dreamkit.bench.random_weights import random_network
from dreamkit.errors import DreamkitError
from dreamkit.transfer import engine, fp8
from dreamkit.transfer.control import ControlBranch
from dreamkit.transfer.denoiser import Denoiser

CPU = torch.device("cpu")
pytestmark = pytest.mark.usefixtures("one_thread")


def error(out, exact):
    return float((out.float() - exact.float()).norm() / exact.float().norm())


def test_rows_have_scales_of_their_own():
    x = torch.randn(32, 64) * torch.logspace(-6, 6, 32)[:, None]
    x[3] = 0
    for quantised, exact in ((fp8.quantise_rows(x), x), (fp8.quantise_gelu(x), F.gelu(x))):
        values, scale = quantised
        assert values.dtype == torch.float8_e4m3fn and scale.shape == (32, 1)
        rows = (values.float() * scale - exact).norm(dim=1) / exact.norm(dim=1).clamp(min=1e-30)
        assert rows.max() < 0.04 and not rows[3]


def test_no_normed_head_leaves_the_range_of_float8():
    weight = torch.rand(16) * 3
    q = torch.randn(1, 50, 2, 16)
    q[0, 0] = 0
    q[0, 0, :, weight.argmax()] = 1e4  # all of the head's length in its largest channel
    angle = torch.rand(50, 16) * 6
    scale = fp8.head_bound(weight)
    values = fp8.quantise_norm_rope(q, weight, angle.cos(), torch.zeros(50, 16), scale).float().abs()
    assert values.isfinite().all() and 0.9 * 448 * angle.cos()[0, weight.argmax()].abs() <= values[0, 0].max() <= 448


class FloatAttention:
    """Stands in for cuDNN: attention of the float8 values in float32."""

    name = "float"

    def __call__(self, q, k, v, descale_q, descale_k, descale_v):
        q, k, v = (t.float().transpose(1, 2) * s for t, s in ((q, descale_q), (k, descale_k), (v, descale_v)))
        return fp8.to_float8(F.scaled_dot_product_attention(q, k, v).transpose(1, 2) / descale_v).contiguous()


@pytest.mark.parametrize("attention", [None, FloatAttention()])
@pytest.mark.parametrize("keep", [True, False])
@torch.inference_mode()
def test_a_converted_network_is_near_and_switches_back(keep, attention, monkeypatch):
    monkeypatch.setattr(fp8, "MLP_TOKENS", 8)  # several slices, the last one shorter
    config = micro.SINGLE
    base = random_network(Denoiser, config.denoiser, CPU, torch.bfloat16)
    branch = random_network(ControlBranch, config.denoiser, CPU, torch.bfloat16, seed=1)
    run, trunks = one_forward(config, base, branch, CPU, torch.bfloat16), (base.trunk, branch.trunk)
    before = run()
    weights = {p.data_ptr() for p in base.trunk.parameters()}
    fp8.convert_to_float8(trunks, fp8.Float8Ops(), attention, keep)
    assert keep == (weights == {p.data_ptr() for p in base.trunk.parameters()})
    assert 1e-3 < error(run(), before) < 0.08
    fp8.use_float8(trunks, False)
    assert (error(run(), before) == 0) if keep else (1e-3 < error(run(), before) < 0.06)


@pytest.mark.parametrize("preset", ["fp8", "fast"])
def test_a_device_without_float8_is_refused_before_loading(preset, monkeypatch):
    with pytest.raises(DreamkitError, match=f"Preset '{preset}' computes in float8.*the device is cpu"):
        engine.choose_compute("cpu", preset, "auto", micro.SINGLE)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "NVIDIA A100")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (8, 0))
    with pytest.raises(DreamkitError, match=r"NVIDIA A100 has 8\.0"):
        engine.choose_compute("cuda:0", preset, "auto", micro.SINGLE)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (8, 9))
    assert engine.choose_compute("cuda:0", preset, "auto", micro.SINGLE).preset.fp8


@pytest.mark.parametrize(("free", "kept"), [(2.0, "bfloat16"), (1.0, "bfloat16 of float8")])
def test_memory_decides_what_the_first_and_last_evaluation_run_with(free, kept, monkeypatch):
    base = random_network(Denoiser, micro.SINGLE.denoiser, CPU, torch.bfloat16)
    size = sum(p.numel() * p.element_size() for p in base.trunk.parameters())
    monkeypatch.setattr(engine, "free_memory", lambda _: free * size)
    monkeypatch.setattr(engine, "choose_float8", lambda *_: (fp8.Float8Ops(), SimpleNamespace(name="some")))
    networks = engine.Networks(base, {}, [])
    assert engine._convert(networks, 24, CPU) == {"float8_attention": "some", "float8_first_and_last": kept}
