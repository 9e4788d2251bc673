"""Names of this package's parameters and of the same parameters in the released checkpoints."""

from __future__ import annotations

import re

_STEPS = {"self": "0", "cross": "1", "mlp": "2"}

_RULES: tuple[tuple[str, str], ...] = (
    # ours (regular expression) -> released (after the `net.` prefix)
    (r"(?:trunk\.)?patch\.weight", r"x_embedder.proj.1.weight"),
    (r"(?:trunk\.)?positions\.(pos_emb_[thw])", r"extra_pos_embedder.\1"),
    (r"(?:trunk\.)?views\.table", r"view_embeddings.weight"),
    (r"(?:trunk\.)?views\.repeat\.(weight|bias)", r"repeat_frame_embedding.\1"),
    (r"(?:trunk\.)?time([12])\.weight", r"t_embedder.1.linear_\1.weight"),
    (r"(?:trunk\.)?time_norm", r"affline_norm.weight"),
    (r"final\.weight", r"final_layer.linear.weight"),
    (r"final_modulation\.down\.weight", r"final_layer.adaLN_modulation.1.weight"),
    (r"final_modulation\.up\.weight", r"final_layer.adaLN_modulation.2.weight"),
    (r"hint_patch\.weight", r"x_embedder2.proj.1.weight"),
    (r"hint_out\.(weight|bias)", r"input_hint_block.14.\1"),
    (r"out\.(\d+)\.(weight|bias)", r"zero_blocks.block\1.\2"),
)
_BLOCK = re.compile(r"(?:trunk\.)?blocks\.(\d+)\.(self|cross|mlp)(?:_(attention|modulation))?\.(.+)")
_ATTENTION = {
    "q_norm": "to_q.1.weight",
    "k_norm": "to_k.1.weight",
    "to_q.weight": "to_q.0.weight",
    "to_k.weight": "to_k.0.weight",
    "to_v.weight": "to_v.0.weight",
    "to_out.weight": "to_out.0.weight",
}


def released_name(name: str) -> str:
    """Name in the released checkpoints, without `net.`, of the parameter `name` of this package.

    Source: the module tree of cosmos-transfer1 diffusion/networks/general_dit.py and its control encoders.

    Raises:
        KeyError: neither Denoiser nor ControlBranch has such a parameter.

    >>> released_name("trunk.blocks.3.cross_attention.q_norm")
    'blocks.block3.blocks.1.block.attn.to_q.1.weight'
    """
    if found := _BLOCK.fullmatch(name):
        block, step, kind, rest = found.groups()
        prefix = f"blocks.block{block}.blocks.{_STEPS[step]}"
        if kind == "modulation":
            return f"{prefix}.adaLN_modulation.{'1' if rest.startswith('down') else '2'}.weight"
        return f"{prefix}.block.attn.{_ATTENTION[rest]}" if kind == "attention" else f"{prefix}.block.{rest}"
    if found := re.fullmatch(r"hint\.(\d+)\.(weight|bias)", name):
        return f"input_hint_block.{2 * int(found[1])}.{found[2]}"  # linears alternate with activations
    for pattern, released in _RULES:
        if found := re.fullmatch(pattern, name):
            return found.expand(released)
    raise KeyError(name)
