"""Prompts to T5 embeddings; the encoder is in memory only while it encodes, and embeddings are cached on disk.

Source: cosmos-transfer1 utils/t5_text_encoder.py.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from dreamkit.errors import DreamkitError, first_line
from dreamkit.transfer.folders import TEXT_ENCODER, TEXT_ENCODER_SUFFIXES
from dreamkit.transfer.memory import free_memory
from dreamkit.transfer.text_cache import read_embedding, read_mark, write_embedding
from dreamkit.workspace.files import fingerprint, read_json
from dreamkit.workspace.sizes import GIB

log = logging.getLogger("dreamkit")


@dataclass
class TextEncoder:
    """A T5 encoder in the Hugging Face layout, for a fixed number of tokens.

    Attributes:
        folder: folder with config, tokenizer and weights.
        device: device of the encoder while it encodes; where it has too little free memory for all layers, one layer
            at a time is there; the CPU where not even that fits.
        tokens: number of tokens that every prompt is padded or cut to.
        cache: folder of cached embeddings; None keeps them in memory only.
        dtype: dtype of the encoder, float32 as upstream.
        budget: GPU memory that this process may take, in bytes; None for all that is free.
    """

    folder: Path
    device: torch.device
    tokens: int
    cache: Path | None = None
    dtype: torch.dtype = torch.float32
    budget: float | None = None
    _content: str | None = field(default=None, repr=False)
    _memory: dict[str, torch.Tensor] = field(default_factory=dict, repr=False)
    _marks: dict[str, list[float]] = field(default_factory=dict, repr=False)

    def encode(self, prompts: Sequence[str]) -> torch.Tensor:
        """Embeddings, float32 [N, tokens, C] on the CPU; zero after a prompt's last token.

        Each call with a prompt that is not cached loads the encoder once, so give all prompts of a batch together.

        Raises:
            DreamkitError: the folder is missing or is not a T5 encoder.
        """
        missing = list(dict.fromkeys(p for p in prompts if self._cached(p) is None))
        if missing:
            self._encode_missing(missing)
        return torch.stack([self._pad(self._memory[p]) for p in prompts])

    def cached_mark(self, prompt: str) -> list[float] | None:
        """The mark of the prompt's embedding in the cache on disk, see `read_mark`; None where it is not there."""
        if self.cache is None or not self.cache.is_dir():
            return None
        if prompt not in self._marks:
            path = self._path(prompt)
            found = read_mark(path) if path is not None and path.is_file() else None
            if found is None:
                return None
            self._marks[prompt] = found
        return self._marks[prompt]

    def embeddings(self, prompts: Sequence[str]) -> dict[str, torch.Tensor]:
        """Prompt -> embedding without padding, float32 [M, C] on the CPU, of prompts that `encode` was called with."""
        return {prompt: self._memory[prompt] for prompt in prompts}

    def take(self, embeddings: Mapping[str, torch.Tensor]) -> None:
        """Keep the result of `embeddings` of another encoder of the same files, so that `encode` finds them."""
        self._memory.update(embeddings)

    def _encode_missing(self, prompts: list[str]) -> None:
        tokenizer, model, device = self._load()
        try:
            for prompt in prompts:  # one by one, as upstream
                self._memory[prompt] = self._encode_one(tokenizer, model, device, prompt)
                self._store(prompt)
        finally:
            del model
            gc.collect()
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    def _load(self) -> tuple[Any, torch.nn.Module, torch.device]:
        """Tokenizer, encoder, and the encoder's device."""
        if not (self.folder / "config.json").is_file():
            raise DreamkitError(f"There is no text encoder in {self.folder}.", f"Download {TEXT_ENCODER} into it.")
        from transformers import AutoTokenizer, T5EncoderModel  # seconds to import, and not needed on a cache hit

        try:
            _check_sizes(self.folder)
            tokenizer = AutoTokenizer.from_pretrained(self.folder, local_files_only=True, trust_remote_code=False)
            with _no_bars():
                loaded: Any = T5EncoderModel.from_pretrained(
                    self.folder, local_files_only=True, output_loading_info=True
                )
            model, info = loaded
            model = model.to(self.dtype).eval()
        except Exception as error:  # transformers raises many types on damaged files
            raise DreamkitError(
                f"{self.folder} is not a readable T5 encoder: {first_line(error)}.",
                f"Fetch {TEXT_ENCODER} again; config, tokenizer and weights must be in this folder.",
            ) from error
        # transformers fills missing tensors with random numbers; the embedding table is tied, so it may be missing.
        missing = sorted(name for name in info["missing_keys"] if "embed_tokens" not in name)
        if missing:
            raise DreamkitError(
                f"{self.folder} lacks {len(missing)} tensors of a T5 encoder: {', '.join(missing[:8])}.",
                f"Fetch {TEXT_ENCODER} again.",
            )
        return tokenizer, *place_layers(model, self.device, self.budget)

    @torch.inference_mode()
    def _encode_one(self, tokenizer: Any, model: torch.nn.Module, device: torch.device, prompt: str) -> torch.Tensor:
        """Embedding of one prompt without padding, float32 [M, C] on the CPU."""
        full = tokenizer(prompt, return_tensors="pt")
        if full.input_ids.shape[1] > self.tokens:
            log.warning("A prompt has %d tokens; only the first %d count.", full.input_ids.shape[1], self.tokens)
        batch = tokenizer(
            prompt, return_tensors="pt", truncation=True, padding="max_length", max_length=self.tokens
        ).to(device)
        hidden = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).last_hidden_state
        return hidden[0, : int(batch.attention_mask.sum())].float().cpu()

    def _pad(self, embedding_MC: torch.Tensor) -> torch.Tensor:
        padded = embedding_MC.new_zeros(self.tokens, embedding_MC.shape[1])
        padded[: len(embedding_MC)] = embedding_MC
        return padded

    def _path(self, prompt: str) -> Path | None:
        """File of the prompt's cached embedding; its name is a hash of encoder, token count, dtype and prompt."""
        if self.cache is None:
            return None
        if self._content is None:
            files = (p for p in self.folder.glob("*") if p.suffix in TEXT_ENCODER_SUFFIXES)
            self._content = repr([(p.name, fingerprint(p)) for p in sorted(files)])
        key = hashlib.sha256(repr((self._content, self.tokens, str(self.dtype), prompt)).encode()).hexdigest()
        return self.cache / f"{key}.safetensors"

    def _cached(self, prompt: str) -> torch.Tensor | None:
        """The prompt's embedding [M, C] from memory or disk, None where it was never encoded."""
        path = self._path(prompt)
        if prompt not in self._memory and path is not None and path.is_file():
            try:
                self._memory[prompt] = read_embedding(path, self.tokens)
            except Exception:  # damaged, or from another user's workspace: it is encoded again
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
        return self._memory.get(prompt)

    def _store(self, prompt: str) -> None:
        path = self._path(prompt)
        if path is None:
            return
        try:
            write_embedding(path, self._memory[prompt])
        except (DreamkitError, SafetensorError) as error:
            log.warning("A text embedding is kept in memory only: %s", first_line(error))


def _check_sizes(folder: Path) -> None:
    """Refuse a configuration whose network would not fit into any memory, before it is built.

    Raises:
        DreamkitError: config.json cannot be read.
        ValueError: a size is no whole number, or too large.
    """
    config = read_json(folder / "config.json", "text encoder's configuration")
    most = {"vocab_size": 2**20, "d_model": 2**14, "d_ff": 2**18, "d_kv": 2**12, "num_heads": 2**10, "num_layers": 2**8}
    for name, limit in most.items():
        value = config.get(name, 1)
        if type(value) is not int or not 0 < value <= limit:
            raise ValueError(f"{name} in config.json is {str(value)[:80]}")


def place_layers(
    model: torch.nn.Module, device: torch.device, budget: float | None
) -> tuple[torch.nn.Module, torch.device]:
    """The T5 encoder as far on the device as its free memory allows, and the device of its inputs.

    Either all of it is there; or its layers stay in host memory and each is copied to the device for its own forward,
    which gives the same numbers; or, where even that does not fit, all of it is on the CPU.
    """
    encoder: Any = model.encoder
    size = 1.1 * _bytes(model)
    layers = max(_bytes(layer) for layer in encoder.block)
    least = _bytes(model) - sum(_bytes(layer) for layer in encoder.block) + 3 * layers
    free = free_memory(device, budget) if device.type == "cuda" else math.inf
    if free >= size:
        return model.to(device), device
    if free < least:
        log.info("The text encoder needs %.1f GiB, more than the GPU has free: the CPU encodes.", least / GIB)
        return model, torch.device("cpu")
    log.info("The text encoder needs %.1f GiB, more than the GPU has free: it encodes layer by layer.", size / GIB)
    stream_layers(model, device)
    return model, device


def stream_layers(model: torch.nn.Module, device: torch.device) -> None:
    """Keep the layers of a T5 encoder in host memory; each is on the device during its own forward."""
    encoder: Any = model.encoder
    waiting: dict[torch.nn.Parameter, torch.Tensor] = {}

    def fetch(layer: torch.nn.Module, _: Any) -> None:
        for parameter in layer.parameters():
            waiting[parameter] = parameter.data
            parameter.data = parameter.data.to(device)

    def drop(layer: torch.nn.Module, *_: Any) -> None:
        for parameter in layer.parameters():
            parameter.data = waiting.pop(parameter)

    for layer in encoder.block:
        layer.register_forward_pre_hook(fetch)
        layer.register_forward_hook(drop)
    encoder.embed_tokens.to(device)
    encoder.final_layer_norm.to(device)


def _bytes(module: torch.nn.Module) -> int:
    return sum(parameter.numel() * parameter.element_size() for parameter in module.parameters())


@contextmanager
def _no_bars() -> Iterator[None]:
    """Turn transformers' progress bars off: the pipeline reports this stage itself."""
    from transformers.utils import logging as hub_logging

    shown = hub_logging.is_progress_bar_enabled()
    hub_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            hub_logging.enable_progress_bar()
