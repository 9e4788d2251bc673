"""Float8 on a GPU of Ada, Hopper or newer: kernels, products and attention against float32."""

import pytest
import torch
import torch.nn.functional as F

from dreamkit.transfer import fp8
from dreamkit.transfer.engine import FLOAT8_CAPABILITY

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not torch.cuda.is_available() or torch.cuda.get_device_capability() < FLOAT8_CAPABILITY,
        reason="needs a GPU with float8",
    ),
]
CUDA = torch.device("cuda")


def normal(*shape, seed=0):
    return torch.randn(shape, device=CUDA, generator=torch.Generator(CUDA).manual_seed(seed)).bfloat16()


def error(out, exact):
    return float((out.float() - exact.float()).norm() / exact.float().norm())


@pytest.mark.parametrize("shape", [(1000, 4096), (500, 16384), (300, 4000), (256, 128)])
def test_row_kernels_give_what_the_functions_give(shape):
    x, fast, plain = 3 * normal(*shape), fp8.fast_float8_ops(), fp8.Float8Ops()
    x[7] = 0
    for name in ("rows", "gelu"):
        (got, scale), (right, right_scale) = (getattr(ops, name)(x) for ops in (fast, plain))
        got, right = got.float() * scale, right.float() * right_scale
        assert (got != right).float().mean() < 1e-2 and error(got, right) < 5e-3  # rounded up instead of down, or back


@pytest.mark.parametrize(("heads", "channels"), [(32, 128), (4, 32), (3, 24)])
def test_the_norm_and_rope_kernel_gives_what_the_function_gives(heads, channels):
    q, weight = normal(2, 300, heads, channels), normal(channels, seed=1)
    cos, sin = (torch.rand(300, channels, device=CUDA) for _ in range(2))
    given = q, weight, cos, sin, fp8.head_bound(weight)
    got, right = fp8.fast_float8_ops().norm_rope(*given).float(), fp8.quantise_norm_rope(*given).float()
    # The function rounds the norm to bfloat16 first, which moves values that lie between two of float8.
    assert error(got, right) < 0.02


def test_products_have_the_error_of_rounding():
    linear = torch.nn.Linear(4096, 1024, bias=False, device=CUDA, dtype=torch.bfloat16)
    x = normal(2, 300, 4096)
    with torch.inference_mode():
        out = fp8.Float8Linear(linear, fp8.fast_float8_ops(), keep=True)(x)
    assert 0.01 < error(out, F.linear(x.float(), linear.weight.float())) < 0.05


@pytest.mark.parametrize(("tokens", "heads"), [(2048, 8), (56320, 2)])
def test_attention_has_the_error_of_rounding(tokens, heads):
    pytest.importorskip("cudnn")
    attention = fp8.CudnnFp8Attention(CUDA)
    q, k, v = (normal(1, tokens, heads, 128, seed=n) for n in range(3))
    v += 1  # a mean as large as the spread, which sums of few bits lose
    scale = fp8.head_bound(torch.ones(128, device=CUDA))
    q, k = (F.rms_norm(t.float(), (128,)) for t in (q, k))
    v8, scale_v, mean = fp8.quantise_centred(v)
    out = attention(fp8.to_float8(q / scale), fp8.to_float8(k / scale), v8, scale, scale, scale_v).float() * scale_v
    out += mean
    right = F.scaled_dot_product_attention(*(t.float().transpose(1, 2) for t in (q, k, v))).transpose(1, 2)
    assert error(out, right) < 0.08
