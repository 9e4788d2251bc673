"""Self-attention over float8 queries, keys and values, by cuDNN through its Python front end.

The front end is the package `nvidia-cudnn-frontend`; cuDNN itself comes with PyTorch. Graph and names of its inputs:
cudnn-frontend, test/python/sdpa/fp8.py. cuDNN writes float8 on Hopper, so the result is float8 too: the output of a
softmax is a mean of values, never larger than the largest of them, so the values' scale serves for it.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from typing import Any

import torch

FLOAT8 = torch.float8_e4m3fn
FLOAT8_MAX = 448.0
_SCALES = ("descale_q", "descale_k", "descale_v", "descale_s", "scale_s", "scale_o")
_UIDS = {name: uid for uid, name in enumerate(("q", "k", "v", "o", *_SCALES, "amax_s", "amax_o"))}


class CudnnFp8Attention:
    """Scaled dot-product attention of float8 inputs, without mask; one cuDNN graph for each shape.

    Raises:
        ImportError: the package `nvidia-cudnn-frontend` is missing.
    """

    name = "cudnn_fp8"

    def __init__(self, device: torch.device) -> None:
        self._cudnn = importlib.import_module("cudnn")
        self._device = device
        with torch.cuda.device(device):
            self._handle = self._cudnn.create_handle()
        self._graphs: dict[tuple[int, ...], tuple[Any, torch.Tensor]] = {}
        # The softmax before its division by the row's sum is at most 1.
        self._softmax_scale = torch.tensor([FLOAT8_MAX], device=device)
        self._softmax_descale = 1 / self._softmax_scale
        self._amax = torch.empty(2, device=device)

    def __call__(
        self,
        q_BLHD: torch.Tensor,
        k_BLHD: torch.Tensor,
        v_BLHD: torch.Tensor,
        descale_q: torch.Tensor,
        descale_k: torch.Tensor,
        descale_v: torch.Tensor,
    ) -> torch.Tensor:
        """Attention [B, L, heads, D] in float8, to be multiplied by `descale_v`.

        Args:
            q_BLHD: queries, float8 (e4m3).
            k_BLHD: keys.
            v_BLHD: values.
            descale_q: scale by which the float8 queries are multiplied, float32 [1].
            descale_k: scale of the keys.
            descale_v: scale of the values.
        """
        key = (*q_BLHD.shape, *q_BLHD.stride(), *k_BLHD.stride(), *v_BLHD.stride())
        if key not in self._graphs:
            self._graphs[key] = self._build(q_BLHD, k_BLHD, v_BLHD)
        graph, workspace = self._graphs[key]
        out = torch.empty(q_BLHD.shape, dtype=FLOAT8, device=q_BLHD.device)
        tensors = (q_BLHD, k_BLHD, v_BLHD, out, descale_q, descale_k, descale_v)
        tensors += (self._softmax_descale, self._softmax_scale, 1 / descale_v, self._amax[:1], self._amax[1:])
        self._cudnn.set_stream(handle=self._handle, stream=torch.cuda.current_stream(self._device).cuda_stream)
        graph.execute(dict(zip(_UIDS.values(), tensors, strict=True)), workspace, handle=self._handle)
        return out

    def _build(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> tuple[Any, torch.Tensor]:
        """The compiled graph of these shapes and strides, and its workspace."""
        cudnn = self._cudnn
        float8, float32 = cudnn.data_type.FP8_E4M3, cudnn.data_type.FLOAT
        graph = cudnn.pygraph(
            io_data_type=float8, intermediate_data_type=float32, compute_data_type=float32, handle=self._handle
        )
        one = [1, 1, 1, 1]

        def by_head(values: Sequence[int]) -> list[int]:
            return [values[0], values[2], values[1], values[3]]

        inputs = {
            name: graph.tensor(uid=_UIDS[name], dim=by_head(t.shape), stride=by_head(t.stride()), data_type=float8)
            for name, t in (("q", q), ("k", k), ("v", v))
        }
        scales = {name: graph.tensor(uid=_UIDS[name], dim=one, stride=one, data_type=float32) for name in _SCALES}
        out, _, *largest = graph.sdpa_fp8(
            **inputs, **scales, generate_stats=False, attn_scale=1 / math.sqrt(q.shape[-1]), use_causal_mask=False
        )
        like = torch.empty(q.shape, device="meta")
        out.set_uid(_UIDS["o"]).set_output(True).set_data_type(float8)
        out.set_dim(by_head(like.shape)).set_stride(by_head(like.stride()))
        for name, amax in zip(("amax_s", "amax_o"), largest, strict=True):
            amax.set_uid(_UIDS[name]).set_output(True).set_dim(one).set_stride(one).set_data_type(float32)
        graph.validate()
        graph.build_operation_graph()
        graph.create_execution_plans([cudnn.heur_mode.A, cudnn.heur_mode.FALLBACK])
        graph.check_support()
        graph.build_plans()
        return graph, torch.empty(max(1, graph.get_workspace_size()), dtype=torch.uint8, device=self._device)
