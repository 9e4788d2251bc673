"""The repositories and files that each use needs, with licences and published MD5 sums.

Sizes and SHA-256 sums come from the hub at the time of a download.
Sources: MD5 sums from scripts/download_checkpoints.py of nvidia-cosmos/cosmos-transfer1, for the guardrail from that
of nvidia-cosmos/cosmos-predict2; licences from the README of the former and the model cards.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import cache

from dreamkit.transfer import folders

NVIDIA = "NVIDIA Open Model License"
APACHE = "Apache-2.0"
ON_PAGE = "see its page"
STYLES_MODEL = "Qwen/Qwen3-14B"
RDS_HQ = "nvidia/PhysicalAI-Autonomous-Vehicle-Cosmos-Drive-Dreams"
EXAMPLE = "nvidia/Cosmos-Transfer1-7B-Sample-AV-Data-Example"
GUARDRAIL = "nvidia/Cosmos-Guardrail1"
LLAMA_GUARD = "meta-llama/Llama-Guard-3-8B"
_SIGLIP = "video_content_safety_filter/models--google--siglip-so400m-patch14-384"

MODEL_USES = {
    "single_view": "the front video (notebook 04)",
    "multi_view": "the six views (notebook 05)",
    "styles": "rewriting captions with a language model (notebook 03); the built-in rules need no files",
    "guardrail": "checks of prompts and videos, with `guardrail: full` in notebooks 04 and 05",
}
DATA_USES = {
    "hdmap": "labels of RDS-HQ clips, to draw HDMap conditions from",
    "lidar": "LiDAR sweeps of RDS-HQ clips",
    "synthetic": "NVIDIA's own generated videos of RDS-HQ clips",
    "example": "ten clips with videos and labels, about 8 GB",
}

# Source: scripts/download.py of nv-tlabs/Cosmos-Drive-Dreams.
_COMMON = (
    "all_object_info",
    "captions",
    "car_mask_coarse",
    "ftheta_intrinsic",
    "pinhole_intrinsic",
    "pose",
    "vehicle_pose",
)
_LAYERS = ("crosswalks", "lanelines", "lanes", "poles", "road_boundaries", "road_markings")
RDS_FOLDERS = {
    "hdmap": (*_COMMON, *(f"3d_{layer}" for layer in (*_LAYERS, "traffic_lights", "traffic_signs", "wait_lines"))),
    "lidar": (*_COMMON, "lidar_raw"),
}
"""Use -> folders of the RDS-HQ data set."""
SYNTHETIC_FOLDER = "cosmos_synthetic"

_MD5 = {
    f"{folders.SINGLE_VIEW}/base_model.pt": "2006e158f8a17a3b801c661f0c01e9f2",
    f"{folders.SINGLE_VIEW}/hdmap_control.pt": "2ddd781560d221418c2ed9258b6ca829",
    f"{folders.SINGLE_VIEW}/lidar_control.pt": "184beee5414bcb6c0c5c0f09d8f8b481",
    f"{folders.MULTI_VIEW}/t2w_base_model.pt": "a3fb13e8418d8bb366b58e4092bd91df",
    f"{folders.MULTI_VIEW}/v2w_base_model.pt": "48b2080ca5be66c05fac44dea4989a04",
    f"{folders.MULTI_VIEW}/t2w_hdmap_control.pt": "4f8a4340d48ebedaa9e7bab772e0203d",
    f"{folders.MULTI_VIEW}/v2w_hdmap_control.pt": "89b82db1bc1dc859178154f88b6ca0f2",
    f"{folders.MULTI_VIEW}/t2w_lidar_control.pt": "a9592d232a7e5f7971f39918c18eaae0",
    f"{folders.MULTI_VIEW}/v2w_lidar_control.pt": "cb27af88ec7fb425faec32f4734d99cf",
    **{f"{folders.TOKENIZER}/{file}": md5 for file, md5 in folders.TOKENIZER_MD5.items()},
    f"{folders.TEXT_ENCODER}/pytorch_model.bin": "f890878d8a162e0045a25196e27089a3",
    f"{GUARDRAIL}/face_blur_filter/Resnet50_Final.pth": "bce939bc22d8cec91229716dd932e56e",
    f"{GUARDRAIL}/video_content_safety_filter/safety_filter.pt": "b46dc2ad821fc3b0d946549d7ade19cf",
    f"{GUARDRAIL}/{_SIGLIP}/snapshots/9fdffc58afc957d1a03a25b10dba0329ab15c2a3/model.safetensors": (
        "f4c887e55e159f96453e18a1d6ca984f"
    ),
    f"{LLAMA_GUARD}/model-00001-of-00004.safetensors": "5748060ae47b335dc19263060c921a54",
    f"{LLAMA_GUARD}/model-00002-of-00004.safetensors": "89e7dce10959cab81c0d09468a873f33",
    f"{LLAMA_GUARD}/model-00003-of-00004.safetensors": "e7e5f50ecdb02a946d071373a52c01b8",
    f"{LLAMA_GUARD}/model-00004-of-00004.safetensors": "a94c830cafe5e1d8d54ea2f83378b234",
}

_GB = {
    **{f"{folders.SINGLE_VIEW}/{role}_control.pt": 1.8 for role in ("hdmap", "lidar")},
    f"{folders.SINGLE_VIEW}/base_model.pt": 14.5,
    **{f"{folders.MULTI_VIEW}/{kind}_{role}_control.pt": 1.8 for kind in ("t2w", "v2w") for role in ("hdmap", "lidar")},
    **{f"{folders.MULTI_VIEW}/{kind}_base_model.pt": 14.5 for kind in ("t2w", "v2w")},
    f"{folders.TEXT_ENCODER}/pytorch_model.bin": 45.2,
    f"{STYLES_MODEL}/*.safetensors": 29.6,
    **{f"{LLAMA_GUARD}/model-{number:05}-of-00004.safetensors": 4.0 for number in range(1, 5)},
    f"{GUARDRAIL}/{_SIGLIP}/**": 3.5,
}
"""Size of large files in GB, from the number of parameters: bf16, for T5-11B and SigLIP float32. Others are small."""


@dataclass(frozen=True)
class Repository:
    """A repository of the hub, and the files of it that a use needs.

    Attributes:
        name: `owner/name`.
        needed: required files; `*` and `?` as in a shell, without `/`; `**` at the end is all below a folder.
        optional: files that are fetched when the repository has them; patterns too.
        licence: name of the licence.
        kind: "model" or "dataset".
    """

    name: str
    needed: tuple[str, ...]
    optional: tuple[str, ...] = ()
    licence: str = NVIDIA
    kind: str = "model"

    def choose(self, files: Sequence[str]) -> list[str]:
        """The needed and optional ones among the repository's files, sorted."""
        patterns = (*self.needed, *self.optional)
        return sorted(file for file in files if any(matches(file, pattern) for pattern in patterns))

    def missing(self, files: Sequence[str]) -> list[str]:
        """Needed files and patterns that none of the repository's files matches."""
        return [pattern for pattern in self.needed if not any(matches(file, pattern) for file in files)]

    def about_bytes(self) -> int:
        """Size of the needed files from their numbers of parameters, for where the hub gives no list of files."""
        return round(1e9 * sum(_GB.get(f"{self.name}/{file}", 0) for file in self.needed))

    def md5(self, file: str) -> str | None:
        """The MD5 sum of a file in NVIDIA's scripts, or None."""
        return _MD5.get(f"{self.name}/{file}")


@cache
def _expressions(pattern: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(translate(part)) for part in pattern.split("/"))


def matches(file: str, pattern: str) -> bool:
    """Whether a path fits a pattern: `*` and `?` stand for letters of one name, `**` at the end for any rest."""
    names, parts = file.split("/"), _expressions(pattern)
    if pattern.split("/")[-1] == "**" and len(names) >= len(parts):
        names, parts = names[: len(parts) - 1], parts[:-1]
    return len(names) == len(parts) and all(part.match(name) for part, name in zip(parts, names, strict=True))


def repositories(uses: Sequence[str], controls: Sequence[str], long_videos: bool) -> list[Repository]:
    """The repositories that some uses need, each once.

    Args:
        uses: keys of MODEL_USES.
        controls: "hdmap", "lidar" or both.
        long_videos: include the `v2w` files, for six-view videos of more than 57 frames.
    """
    found = []
    if "single_view" in uses:
        files = ("base_model.pt", *(f"{control}_control.pt" for control in controls))
        found.append(Repository(folders.SINGLE_VIEW, files))
    if "multi_view" in uses:
        kinds = ("t2w", "v2w") if long_videos else ("t2w",)
        roles = ("base_model.pt", *(f"{control}_control.pt" for control in controls))
        found.append(Repository(folders.MULTI_VIEW, tuple(f"{kind}_{role}" for kind in kinds for role in roles)))
    if found:
        found.append(Repository(folders.TOKENIZER, folders.TOKENIZER_FILES))
        found.append(
            Repository(
                folders.TEXT_ENCODER,
                ("config.json", "pytorch_model.bin", "spiece.model"),
                ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
                APACHE,
            )
        )
    if "styles" in uses:
        needed = ("config.json", "tokenizer.json", "tokenizer_config.json", "*.safetensors")
        optional = ("generation_config.json", "*.index.json", "vocab.json", "merges.txt")
        found.append(Repository(STYLES_MODEL, needed, optional, APACHE))
    if "guardrail" in uses:
        found += _guardrail()
    return found


def _guardrail() -> list[Repository]:
    """The files that cosmos_transfer1/auxiliary/guardrail reads: word lists, a language model, two vision models.

    The word lists and the image encoder are folders, which are fetched whole.
    """
    pictures = ("face_blur_filter/Resnet50_Final.pth", "video_content_safety_filter/safety_filter.pt")
    lists = tuple(f"blocklist/{name}/**" for name in ("custom", "exact_match", "whitelist", "nltk_data"))
    shards = tuple(f"model-{number:05}-of-00004.safetensors" for number in range(1, 5))
    needed = ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors.index.json", *shards)
    optional = ("generation_config.json", "special_tokens_map.json", "chat_template.*")
    return [
        Repository(GUARDRAIL, (*pictures, *lists, f"{_SIGLIP}/**"), ("README.md",), NVIDIA),
        Repository(LLAMA_GUARD, needed, optional, "Meta Llama Community License"),
    ]
