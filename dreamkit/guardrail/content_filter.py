"""The content filter: SigLIP embeds frames, and the released classifier names what is on them.

Source: cosmos-transfer1 auxiliary/guardrail/video_content_safety_filter: google/siglip-so400m-patch14-384, embeddings
of length 1, three linear layers with batch norm, seven classes; a video is safe if at least 95 % of its frames are.
Class 2 has no name there and counts as safe; here a frame of a class without a name blocks the video.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from dreamkit.errors import DreamkitError, first_line
from dreamkit.guardrail.batches import batched, moved_to
from dreamkit.guardrail.choice import CONTENT
from dreamkit.guardrail.model_files import DOWNLOAD, check_files, head_file, need_libraries, siglip_folder
from dreamkit.guardrail.verdicts import FAILED, SAFE, UNSAFE, CheckVerdict

CLASSES = {0: "safe", 1: "sexual content", 3: "drugs", 4: "child abuse", 5: "hate and harassment", 6: "self-harm"}
SAFE_SHARE = 0.95
HIDDEN = (512, 256)
BATCH = 32


class Classifier(nn.Module):
    """The released classifier; its tensors are named `network.layers.<n>.*` in the file.

    Args:
        width: length of an embedding.
        classes: number of classes.
    """

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        first, second = HIDDEN
        self.layers = nn.Sequential(
            *(nn.Linear(width, first), nn.BatchNorm1d(first), nn.ReLU()),
            *(nn.Linear(first, second), nn.BatchNorm1d(second), nn.ReLU()),
            nn.Linear(second, classes),
        )

    def forward(self, embeddings_bc: torch.Tensor) -> torch.Tensor:
        """Logits [B, classes] of embeddings [B, width]."""
        return self.layers(embeddings_bc)


class FrameClassifier(nn.Module):
    """SigLIP's vision tower, with the size and normalisation that its preprocessor names, and the classifier on it.

    Args:
        tower: transformers' SiglipVisionModel.
        head: the classifier.
        size: height and width that frames are resized to.
        mean: of each colour, on a scale of 0 to 1.
        std: of each colour.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self, tower: nn.Module, head: nn.Module, size: tuple[int, int], mean: Sequence[float], std: Sequence[float]
    ) -> None:
        super().__init__()
        self.tower, self.head, self.size = tower, head, size
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)

    def prepared(self, frames_bhwc: torch.Tensor) -> torch.Tensor:
        """Frames uint8 [B, H, W, 3] as the tower takes them, [B, 3, h, w]: resized (bicubic), then normalised."""
        pictures = frames_bhwc.permute(0, 3, 1, 2).float()
        pictures = F.interpolate(pictures, self.size, mode="bicubic", antialias=True).clamp(0, 255).round()
        return (pictures / 255 - self.mean) / self.std

    def forward(self, frames_bhwc: torch.Tensor) -> torch.Tensor:
        """Probabilities of the classes, [B, classes]."""
        embeddings = self.tower(pixel_values=self.prepared(frames_bhwc)).pooler_output
        return self.head(embeddings / embeddings.norm(dim=-1, keepdim=True)).softmax(-1)


def load_classifier(root: Path) -> FrameClassifier:
    """The frame classifier from the files in the checkpoint folder, on the CPU in float32.

    Raises:
        DreamkitError: a file is missing or does not fit.
    """
    folder = siglip_folder(root)
    try:
        from transformers import SiglipVisionModel
        from transformers.utils import logging as messages

        loudness = messages.get_verbosity()
        messages.set_verbosity_error()  # it would list the text tower's tensors, which are not needed
        try:
            loaded: Any = SiglipVisionModel.from_pretrained(
                str(folder), local_files_only=True, dtype=torch.float32, output_loading_info=True
            )
            tower, report = loaded
        finally:
            messages.set_verbosity(loudness)
        form = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
        size = form["size"]["height"], form["size"]["width"]
        mean, std = form["image_mean"], form["image_std"]
    except Exception as error:  # transformers raises many types here
        raise DreamkitError(f"SigLIP in {folder} cannot be loaded: {first_line(error)}.", DOWNLOAD) from error
    if lacking := sorted(report["missing_keys"]):
        raise DreamkitError(f"SigLIP in {folder} lacks {len(lacking)} tensors, such as {lacking[0]}.", DOWNLOAD)
    model = FrameClassifier(tower, _load_head(head_file(root), tower.config.hidden_size), size, mean, std)
    return model.eval().requires_grad_(False)


def _load_head(path: Path, width: int) -> Classifier:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)["model"]
        weights = {name.removeprefix("network."): tensor for name, tensor in state.items()}
        head = Classifier(width, len(weights["layers.6.bias"]))
        head.load_state_dict(weights)
    except Exception as error:  # torch raises many types here
        raise DreamkitError(f"The classifier {path} cannot be used: {first_line(error)}.", DOWNLOAD) from error
    return head


class ContentCheck:
    """The check `content`.

    Args:
        model: the frame classifier.
        device: device of the model while it runs; between videos it is in CPU memory.
        stride: every how many frames one is checked; upstream checks all.
        batch: frames at a time.
    """

    name = CONTENT

    def __init__(self, model: FrameClassifier, device: torch.device, stride: int = 1, batch: int = BATCH) -> None:
        self.model, self.device, self.stride, self.batch = model, device, stride, batch

    @classmethod
    def load(cls, root: Path, device: torch.device, stride: int = 1) -> ContentCheck:
        """The check with the files of the checkpoint folder `root`.

        Raises:
            DreamkitError: a library or a file is missing or cannot be used.
        """
        need_libraries(CONTENT)
        check_files(CONTENT, root)
        return cls(load_classifier(root), device, stride)

    def watch(self, views: Sequence[np.ndarray]) -> tuple[CheckVerdict, list[np.ndarray]]:
        """See `VideoCheck`. Each view must be safe by itself; the frames are returned as they are."""
        with moved_to(self.model, self.device), torch.inference_mode():
            chances = [
                np.array(batched(lambda start, stop, v=view: self._chances(v[start:stop]), len(view), self.batch))
                for view in (view[:: self.stride] for view in views)
            ]
        return judge_frames(chances, self.stride), list(views)

    def _chances(self, frames_bhwc: np.ndarray) -> list[np.ndarray]:
        frames = torch.from_numpy(np.ascontiguousarray(frames_bhwc)).to(self.device)
        return list(self.model(frames).float().cpu().numpy())


def judge_frames(views: Sequence[np.ndarray], stride: int = 1) -> CheckVerdict:
    """The verdict on a video from the probabilities of its frames.

    Args:
        views: for each view the probabilities of the classes, float [T, classes]; T is the number of checked frames.
        stride: distance of the checked frames.
    """
    frames = sum(map(len, views))
    if not frames or not all(map(len, views)):
        return CheckVerdict(CONTENT, FAILED, "there is no frame to check")
    if not all(np.isfinite(view).all() for view in views):
        return CheckVerdict(CONTENT, FAILED, "the classifier's output is not finite on some frames")
    found = [view.argmax(axis=1) for view in views]
    shares = [float((kinds == 0).mean()) for kinds in found]
    counts = Counter(int(kind) for kinds in found for kind in kinds)
    scores = {
        "frames": frames,
        "stride": stride,
        "safe_share": round(min(shares), 4),
        "needed_share": SAFE_SHARE,
        "least_safe_frame": round(float(min(view[:, 0].min() for view in views)), 4),
        "classes": {CLASSES.get(kind, f"class {kind}"): count for kind, count in sorted(counts.items())},
    }
    if unknown := [kind for kind in counts if kind not in CLASSES]:
        reason = f"{counts[unknown[0]]} of {frames} frames are of class {unknown[0]}, which has no name"
        return CheckVerdict(CONTENT, FAILED, reason, scores)
    if min(shares) < SAFE_SHARE:
        named = ", ".join(f"{CLASSES[kind]} on {count}" for kind, count in sorted(counts.items()) if kind)
        at = f" in view {shares.index(min(shares))}" if len(views) > 1 else ""
        reason = f"{min(shares):.0%} of the frames{at} are safe, {SAFE_SHARE:.0%} are needed; {named} of {frames}"
        return CheckVerdict(CONTENT, UNSAFE, reason, scores)
    return CheckVerdict(CONTENT, SAFE, scores=scores)
