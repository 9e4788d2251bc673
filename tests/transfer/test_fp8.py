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
from dreamkit.transfer.attention import choose_attention
from dreamkit.transfer.control import ControlBranch
from dreamkit.transfer.denoiser import Denoiser
from dreamkit.transfer.denoising import Window, denoise_window
from dreamkit.transfer.fused_ops import FusedOps
from dreamkit.transfer.presets import PRESETS
from dreamkit.transfer.step_cache import computed_evaluations

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


class ShortSums(FloatAttention):
    """Attention that adds products as Hopper does, with fewer bits: cut to `bits` below the largest of each sum."""

    bits = 7

    def __call__(self, q, k, v, descale_q, descale_k, descale_v):
        q, k, v = (t.float().transpose(1, 2) for t in (q, k, v))
        scores = q @ k.transpose(-1, -2) * (descale_q * descale_k) / q.shape[-1] ** 0.5
        share = (scores - scores.amax(-1, keepdim=True)).exp()
        sums = torch.zeros_like(v[:, :, : q.shape[2]])
        for part in torch.arange(k.shape[2]).split(32):
            terms = share[..., part, None] * v[:, :, None, part]  # [B, H, L, 32, D]
            largest = torch.maximum(sums.abs(), terms.abs().amax(-2)).clamp(min=1e-20)
            unit = 2 ** (largest.log2().floor() - self.bits)
            sums = ((sums / unit).trunc() + (terms / unit[..., None, :]).trunc().sum(-2)) * unit
        return fp8.to_float8((sums / share.sum(-1, keepdim=True)).transpose(1, 2)).contiguous()


@pytest.mark.parametrize("keep", [True, False])
@torch.inference_mode()
def test_sums_of_few_bits_do_not_lose_the_mean_of_the_values(keep):
    config = micro.SINGLE.denoiser
    layer = random_network(Denoiser, config, CPU, torch.bfloat16).trunk.blocks[0].self_attention
    tokens, width = 512, config.width
    x = torch.randn(2, tokens, width) + 2 * torch.randn(2, 1, width)  # most of the values is their mean
    rope = torch.rand(tokens, width // config.heads), torch.rand(tokens, width // config.heads)
    given = (
        x.bfloat16(),
        rope,
        choose_attention(config.heads, width // config.heads, CPU, torch.bfloat16, "auto"),
        FusedOps(),
    )
    right = layer(*given)
    ops = fp8.Float8Ops()
    for name in ("to_v", "to_out"):
        layer.register_module(name, fp8.Float8Linear(layer.get_submodule(name), ops, keep))
    out = fp8.Float8SelfAttention(layer, ops, ShortSums())(*given)
    assert out.shape == right.shape and error(out, right) < 0.06


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


class OverwritingOps(FusedOps):
    """Writes results over inputs wherever the kernels for CUDA do, and has their demands of contiguity."""

    def settle(self, tokens):
        out = super().settle(tokens)
        return out if tokens.keep else self._over(tokens.x_BLD, out)

    def modulate(self, tokens, scale_B1D, shift_B1D, position_LD=None):
        x, normed = super().modulate(tokens, scale_B1D, shift_B1D, position_LD)
        normed = normed if tokens.y_BLD is None else self._over(tokens.y_BLD, normed)
        x = x.clone() if tokens.keep else self._over(tokens.x_BLD, x)
        if not tokens.keep:
            tokens.added_BLD = None
        return x, normed

    def head_norm(self, q_BLHD, weight_D):
        return self._over(q_BLHD, super().head_norm(q_BLHD, weight_D))

    def head_norm_rope(self, q_BLHD, weight_D, cos_LD, sin_LD):
        return self._over(q_BLHD, super().head_norm_rope(q_BLHD, weight_D, cos_LD, sin_LD))

    def mlp(self, layer1, layer2, x_BLD):
        return self._over(x_BLD, super().mlp(layer1, layer2, x_BLD))

    def _over(self, target, result):
        assert target.is_contiguous()
        return target.copy_(result)


def float8_window(preset, ops, keep, steps):
    """The latent of a window with random float8 networks, and for each MLP call of a pass whether it ran in float8."""
    config, generator, ran = micro.SINGLE, torch.Generator().manual_seed(5), []

    def normal(*shape):
        return torch.randn(shape, generator=generator)

    made = [
        random_network(kind, config.denoiser, CPU, torch.bfloat16, seed)
        for seed, kind in enumerate((Denoiser, ControlBranch))
    ]
    networks = engine.Networks(made[0], {"hdmap": made[1]}, [], preset=PRESETS[preset])
    for trunk in networks.trunks:
        trunk.ops = ops
    fp8.convert_to_float8(networks.trunks, fp8.Float8Ops(), FloatAttention(), keep)
    networks.base.trunk.blocks[0].mlp.register_forward_pre_hook(lambda module, _: ran.append(module.on))
    shape, sizes = (1, *config.latent_shape), config.denoiser
    texts = [normal(1, sizes.text_tokens, sizes.text_width) for _ in range(2)]
    frames = config.window_frames
    window = Window(*texts, {"hdmap": normal(*shape)}, {"hdmap": 0.7}, normal(*shape), steps, 3.0, 24, frames)
    return denoise_window(networks, config, window), ran


@pytest.mark.parametrize("keep", [True, False])
def test_operations_that_overwrite_their_inputs_change_nothing(keep, monkeypatch):
    monkeypatch.setattr(fp8, "MLP_TOKENS", 8)
    plain, overwritten = (float8_window("fp8", ops, keep, 3)[0] for ops in (FusedOps(), OverwritingOps()))
    assert plain.isfinite().all() and plain.std() > 0.05 and torch.equal(plain, overwritten)


@pytest.mark.parametrize(("preset", "evaluations"), [("fp8", 12), ("fast", len(computed_evaluations(11)))])
def test_the_first_and_last_computed_evaluation_run_in_bfloat16(preset, evaluations):
    _, ran = float8_window(preset, FusedOps(), True, 11)
    assert ran == [False] * 2 + [True] * 2 * (evaluations - 2) + [False] * 2  # two passes of guidance


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
    networks, float8 = engine.Networks(base, {}, []), {"float8_attention": "some", "float8_first_and_last": kept}
    compute = engine.ComputeSettings(CPU, torch.bfloat16, PRESETS["fast"])
    engine.choose_kernels(networks, micro.SINGLE.denoiser, compute)
    assert networks.preset.name == "fast" and networks.float8 == float8 and networks.chosen().items() > float8.items()
