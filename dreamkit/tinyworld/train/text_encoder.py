"""The tiny bundle's text encoder before training: a byte-pair tokenizer in the Hugging Face layout and a small T5."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import T5EncoderModel

VOCABULARY_SIZE = 1000  # tokens at most


def write_vocabulary(texts: Sequence[str], folder: Path, size: int = VOCABULARY_SIZE) -> int:
    """Train a byte-pair tokenizer of at most `size` tokens on texts and write it; returns its number of tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<pad>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>")
    fast.save_pretrained(folder)
    return len(fast)


def small_t5(vocabulary: int, width: int) -> T5EncoderModel:
    """A T5 encoder of two layers with random weights, `width` channels and `vocabulary` tokens."""
    from transformers import T5Config, T5EncoderModel

    return T5EncoderModel(
        T5Config(
            vocab_size=vocabulary,
            d_model=width,
            d_kv=16,
            d_ff=2 * width,
            num_layers=2,
            num_heads=4,
            pad_token_id=0,
            dropout_rate=0.0,
        )
    )
