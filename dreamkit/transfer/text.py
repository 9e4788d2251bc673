"""Prompts to T5 embeddings: encoder loaded, used and released; results kept on disk by the prompt's hash.

Source: cosmos-transfer1 utils/t5_text_encoder.py.
"""

from __future__ import annotations

import gc
import hashlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from dreamkit.errors import DreamkitError
from dreamkit.transfer.memory import free_memory
from dreamkit.workspace.files import fingerprint, replacing

log = logging.getLogger("dreamkit")


@dataclass
class TextEncoder:
    """T5 in the Hugging Face layout, for a fixed number of tokens.

    Attributes:
        folder: config, tokenizer and weights.
        device: where the encoder runs if it fits, only while prompts are encoded; else the CPU.
        tokens: length every prompt is padded or cut to.
        cache: folder for embeddings, or None for memory only.
        dtype: float32 as upstream.
    """

    folder: Path
    device: torch.device
    tokens: int
    cache: Path | None = None
    dtype: torch.dtype = torch.float32
    _content: str | None = field(default=None, repr=False)
    _memory: dict[str, torch.Tensor] = field(default_factory=dict, repr=False)

    def encode(self, prompts: Sequence[str]) -> torch.Tensor:
        """Embeddings, float32 [N, tokens, C] on the CPU; outputs past a prompt's end are zero.

        Everything not yet known is encoded in one load of the encoder: give all prompts of a batch at once.

        Raises:
            DreamkitError: the folder is missing or is not a T5 encoder.
        """
        missing = list(dict.fromkeys(p for p in prompts if self._recall(p) is None))
        if missing:
            self._encode_missing(missing)
        return torch.stack([self._pad(self._memory[p]) for p in prompts])

    def _encode_missing(self, prompts: list[str]) -> None:
        tokenizer, model, device = self._load()
        try:
            for prompt in prompts:  # one prompt a call, as upstream
                self._memory[prompt] = self._encode_one(tokenizer, model, device, prompt)
                self._store(prompt)
        finally:
            del model
            gc.collect()
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    def _load(self) -> tuple[object, torch.nn.Module, torch.device]:
        if not (self.folder / "config.json").is_file():
            raise DreamkitError(f"text encoder not found: {self.folder}", "Download google-t5/t5-11b into this folder.")
        from transformers import AutoTokenizer, T5EncoderModel  # seconds to import, and not needed on a cache hit

        try:
            tokenizer = AutoTokenizer.from_pretrained(self.folder, local_files_only=True)
            with _no_bars():
                model, told = T5EncoderModel.from_pretrained(
                    self.folder, local_files_only=True, output_loading_info=True
                )
            model = model.to(self.dtype).eval()
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise DreamkitError(
                f"{self.folder} is not a readable T5 encoder: {_first_line(error)}",
                "Fetch google-t5/t5-11b again; config, tokenizer and weights must lie in this folder.",
            ) from error
        # transformers fills what a file lacks with random numbers and goes on; the embedding table is tied.
        missing = sorted(name for name in told["missing_keys"] if "embed_tokens" not in name)
        if missing:
            raise DreamkitError(
                f"{self.folder} lacks {len(missing)} tensors of a T5 encoder: {', '.join(missing[:8])}",
                "Fetch google-t5/t5-11b again.",
            )
        device = self.device
        need = 1.1 * sum(p.numel() * p.element_size() for p in model.parameters())
        if device.type == "cuda" and free_memory(device) < need:
            # Beside a loaded denoiser a small card has no room for 19 GiB more; the CPU needs seconds a prompt.
            log.info(
                "the text encoder needs %.1f GiB, more than is free on the GPU: prompts go to the CPU", need / 2**30
            )
            device = torch.device("cpu")
        return tokenizer, model.to(device), device

    @torch.inference_mode()
    def _encode_one(self, tokenizer: object, model: torch.nn.Module, device: torch.device, prompt: str) -> torch.Tensor:
        full = tokenizer(prompt, return_tensors="pt")  # type: ignore[operator]
        if full.input_ids.shape[1] > self.tokens:
            log.warning("prompt has %d tokens; only the first %d count", full.input_ids.shape[1], self.tokens)
        batch = tokenizer(  # type: ignore[operator]
            prompt, return_tensors="pt", truncation=True, padding="max_length", max_length=self.tokens
        ).to(device)
        hidden = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).last_hidden_state
        return hidden[0, : int(batch.attention_mask.sum())].float().cpu()

    def _pad(self, embedding_MC: torch.Tensor) -> torch.Tensor:
        padded = embedding_MC.new_zeros(self.tokens, embedding_MC.shape[1])
        padded[: len(embedding_MC)] = embedding_MC
        return padded

    def _path(self, prompt: str) -> Path | None:
        if self.cache is None:
            return None
        if self._content is None:
            files = (p for p in self.folder.glob("*") if p.suffix in (".bin", ".safetensors", ".json", ".model"))
            self._content = repr([(p.name, fingerprint(p)) for p in sorted(files)])
        key = hashlib.sha256(repr((self._content, self.tokens, str(self.dtype), prompt)).encode()).hexdigest()
        return self.cache / f"{key}.safetensors"

    def _recall(self, prompt: str) -> torch.Tensor | None:
        path = self._path(prompt)
        if prompt not in self._memory and path is not None and path.is_file():
            try:
                self._memory[prompt] = load_file(path)["embedding"]
            except (SafetensorError, KeyError, OSError):
                path.unlink(missing_ok=True)  # a broken cache entry is only a miss
        return self._memory.get(prompt)

    def _store(self, prompt: str) -> None:
        path = self._path(prompt)
        if path is None:
            return
        try:
            with replacing(path) as part:
                save_file({"embedding": self._memory[prompt].contiguous()}, part)
        except (DreamkitError, SafetensorError) as error:
            log.warning("the text embedding is kept in memory only: %s", error)


@contextmanager
def _no_bars() -> Iterator[None]:
    """Without transformers' own progress bars: the caller reports this stage."""
    from transformers.utils import logging as hub_logging

    shown = hub_logging.is_progress_bar_enabled()
    hub_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            hub_logging.enable_progress_bar()


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
