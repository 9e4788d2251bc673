"""Every repository and file that the kit's uses really need: where it is, its licence, its published MD5 sum.

Sizes and sha256 sums are the hub's to say, when something is downloaded; none stands here.
MD5 sums: scripts/download_checkpoints.py of nvidia-cosmos/cosmos-transfer1, and of nvidia-cosmos/cosmos-predict2 for
the guardrail's. Licences: the first one's README and the model cards; a data set's is on its page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch

from dreamkit.transfer import folders

NVIDIA = "NVIDIA Open Model License"
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
    "styles": "captions into styles by a language model (notebook 03); the built-in rules need no file",
    "guardrail": "NVIDIA's guardrail, for the original scripts: dreamkit does not run it",
}
DATA_USES = {
    "hdmap": "labels of RDS-HQ clips, to draw HDMap conditions from",
    "lidar": "LiDAR sweeps of RDS-HQ clips",
    "synthetic": "NVIDIA's own generated videos of RDS-HQ clips",
    "example": "ten clips with videos and labels, about 8 GB",
}
USES = {**MODEL_USES, **DATA_USES}

# Folders of the RDS-HQ data set by what they are for; scripts/download.py of nv-tlabs/Cosmos-Drive-Dreams.
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
    f"{folders.TOKENIZER}/encoder.jit": "f5834d03645c379bc0f8ad14b9bc0299",
    f"{folders.TOKENIZER}/decoder.jit": "ff21a63ed817ffdbe4b6841111ec79a8",
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


@dataclass(frozen=True)
class Repository:
    """A repository of the hub and what is wanted of it.

    Attributes:
        name: `owner/name`.
        needed: files it must have; `*` and `?` as in a shell.
        welcome: files that are taken when the repository has them.
        licence: in words.
        kind: "model" or "dataset".
    """

    name: str
    needed: tuple[str, ...]
    welcome: tuple[str, ...] = ()
    licence: str = NVIDIA
    kind: str = "model"

    def choose(self, files: Sequence[str]) -> list[str]:
        """Those of the repository's files that are wanted, sorted."""
        patterns = (*self.needed, *self.welcome)
        return sorted(file for file in files if any(fnmatch(file, pattern) for pattern in patterns))

    def lacking(self, files: Sequence[str]) -> list[str]:
        """What must be there and is not."""
        return [pattern for pattern in self.needed if not any(fnmatch(file, pattern) for file in files)]

    def md5(self, file: str) -> str | None:
        """The MD5 sum that NVIDIA's scripts publish, where they do."""
        return _MD5.get(f"{self.name}/{file}")


def repositories(uses: Sequence[str], controls: Sequence[str], long_videos: bool) -> list[Repository]:
    """What the models of some uses need, each repository once.

    Args:
        uses: of MODEL_USES.
        controls: hdmap, lidar or both.
        long_videos: the `v2w` files too, for six views of more than 57 frames.
    """
    wanted = []
    if "single_view" in uses:
        files = ("base_model.pt", *(f"{control}_control.pt" for control in controls))
        wanted.append(Repository(folders.SINGLE_VIEW, files))
    if "multi_view" in uses:
        kinds = ("t2w", "v2w") if long_videos else ("t2w",)
        roles = ("base_model.pt", *(f"{control}_control.pt" for control in controls))
        wanted.append(Repository(folders.MULTI_VIEW, tuple(f"{kind}_{role}" for kind in kinds for role in roles)))
    if wanted:
        wanted.append(Repository(folders.TOKENIZER, folders.TOKENIZER_FILES))
        wanted.append(
            Repository(
                folders.TEXT_ENCODER,
                ("config.json", "pytorch_model.bin", "spiece.model"),
                ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
                "Apache-2.0",
            )
        )
    if "styles" in uses:
        needed = ("config.json", "tokenizer.json", "tokenizer_config.json", "*.safetensors")
        welcome = ("generation_config.json", "*.index.json", "vocab.json", "merges.txt")
        wanted.append(Repository(STYLES_MODEL, needed, welcome, "Apache-2.0"))
    if "guardrail" in uses:
        wanted += _guardrail()
    return wanted


def _guardrail() -> list[Repository]:
    """What cosmos_transfer1/auxiliary/guardrail reads: word lists, a language model for prompts, two picture models.

    The word lists and the picture encoder lie in folders, which are taken whole.
    """
    pictures = ("face_blur_filter/Resnet50_Final.pth", "video_content_safety_filter/safety_filter.pt")
    lists = tuple(f"blocklist/{name}/*" for name in ("custom", "exact_match", "whitelist", "nltk_data"))
    shards = tuple(f"model-{number:05}-of-00004.safetensors" for number in range(1, 5))
    needed = ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors.index.json", *shards)
    welcome = ("generation_config.json", "special_tokens_map.json")
    return [
        Repository(GUARDRAIL, (*pictures, *lists, f"{_SIGLIP}/*"), ("README.md",), NVIDIA),
        Repository(LLAMA_GUARD, needed, welcome, "Meta Llama Community License"),
    ]
