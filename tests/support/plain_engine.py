"""The world model without any of the engine's shortcuts, to compare it with: one operation after another.

No operation is fused, no memory is used twice, and each pass of guidance computes everything by itself.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from dreamkit.transfer.denoising import GuidancePass, guided, prepare_passes
from dreamkit.transfer.fused_ops import head_norm_rope
from dreamkit.transfer.patches import unpatchify
from dreamkit.transfer.sampling import denoise, sample


def norm(x, scale, shift):
    return F.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale) + shift


def attend(q, k, v):
    return F.scaled_dot_product_attention(*(t.transpose(1, 2) for t in (q, k, v))).transpose(1, 2)


def block(layer, x, emb, shared, kv, prepared):
    """One block's output; arguments as in Trunk.block, without the operations to use."""
    own, cross, mlp = layer.self_attention, layer.cross_attention, layer.mlp
    heads = (own.heads, -1)
    views = x.shape[1] // prepared.position_LD.shape[0]
    x = x + prepared.position_LD.repeat(views, 1)
    shift, scale, gate = layer.self_modulation(emb, shared)
    y = norm(x, scale, shift)
    q = head_norm_rope(own.to_q(y).unflatten(-1, heads), own.q_norm, *prepared.rope)
    k = head_norm_rope(own.to_k(y).unflatten(-1, heads), own.k_norm, *prepared.rope)
    x = x + gate * own.to_out(attend(q, k, own.to_v(y).unflatten(-1, heads)).flatten(2))
    if kv is not None:
        shift, scale, gate = layer.cross_modulation(emb, shared)
        q = cross.to_q(norm(x, scale, shift)).reshape(kv[0].shape[0], -1, *kv[0].shape[2:])
        q = F.rms_norm(q, q.shape[-1:], cross.q_norm, eps=1e-6)
        x = x + gate * cross.to_out(attend(q, *kv).reshape(x.shape))
    shift, scale, gate = layer.mlp_modulation(emb, shared)
    return x + gate * mlp.layer2(F.gelu(mlp.layer1(norm(x, scale, shift))))


def forward(base, latent, c_noise, prepared, controls):
    """The network's raw prediction; arguments as in Denoiser.forward."""

    def run(trunk, inputs):
        emb, shared = trunk.timestep(c_noise)
        x = trunk.embed(latent, inputs)
        for index, layer in enumerate(trunk.blocks):
            x = block(layer, x, emb, shared, None if inputs.text is None else inputs.text[index], inputs)
            x = yield x
        shift, scale = base.final_modulation(emb, shared)
        yield unpatchify(base.final(norm(x, scale, shift)), latent.shape, base.config.patch)

    def outputs(branch, control):
        running = run(branch.trunk, control.trunk)
        x = next(running)
        for index, out in enumerate(branch.out):
            x = x + branch.hint_out(control.hint_BLC) if index == 0 else x
            yield out(x) * control.weight
            x = running.send(x)

    branches = [outputs(branch, control) for branch, control in controls]
    running = run(base.trunk, prepared)
    x = next(running)
    for _ in base.trunk.blocks:
        added = [out for out in (next(one, None) for one in branches) if out is not None]
        x = running.send(sum(added, x))
    return x


@torch.inference_mode()
def plain_window(networks, config, window):
    """The latent that `denoise_window` makes; `networks` must have plain operations for what `prepare` computes."""
    base = networks.base
    dtype = base.trunk.patch.weight.dtype
    passes: list[GuidancePass] = prepare_passes(networks, config, window)

    def x0_of(x, sigma):
        def estimate(one):
            network = lambda scaled, c_noise: forward(base, scaled, c_noise, one.prepared, one.controls)  # noqa: E731
            return denoise(network, x, sigma, config.sigma_data, dtype, window.given)

        return guided([estimate(one) for one in passes], window.guidance)

    return sample(x0_of, window.noise.to(base.trunk.patch.weight.device), window.steps)
