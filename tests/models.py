"""Tiny randomly initialised models with a small byte-level tokenizer, saved to a directory: what tests train and load."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForCausalLM,
    GemmaConfig,
    GPT2Config,
    LlamaConfig,
    PreTrainedTokenizerFast,
    Qwen3Config,
)

Kind = Literal["llama", "qwen3", "gpt2", "gemma"]
KINDS: tuple[Kind, ...] = ("llama", "qwen3", "gpt2", "gemma")
TEXTS = [
    "The cat sat on the warm mat and looked at the moon.",
    "Anna has a red kite. Tom keeps a green boat at the river.",
    "Where is the boat? The boat is at the river, because Tom keeps it there.",
]


def tiny_model(
    kind: Kind,
    directory: Path,
    *,
    pad: Literal["own", "none", "eos"] = "own",
    bos_is_eos: bool = False,
    context: int = 128,
    seed: int = 0,
) -> str:
    """Saves a model of about 20 k parameters and its tokenizer; returns the directory as text.

    pad: a PAD token of its own, none at all, or the EOS token. bos_is_eos: one token opens and closes a text."""
    tokenizer = _tokenizer(pad, bos_is_eos)
    size = {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    size["pad_token_id"] = tokenizer.pad_token_id
    body = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    body |= {"num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": context}
    config = {
        "llama": lambda: LlamaConfig(**body, **size, tie_word_embeddings=True),
        "qwen3": lambda: Qwen3Config(**body, **size),
        "gpt2": lambda: GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=context, **size),
        "gemma": lambda: GemmaConfig(**body, **size),
    }[kind]()
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    for parameter in model.parameters():  # larger than the usual initialisation, so that the distributions are not flat
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.15)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return str(directory)


def _tokenizer(pad: str, bos_is_eos: bool) -> PreTrainedTokenizerFast:
    bos, eos = ("</s>", "</s>") if bos_is_eos else ("<s>", "</s>")
    special = list(dict.fromkeys(["<pad>", bos, eos] if pad == "own" else [bos, eos]))
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    raw.train_from_iterator(TEXTS, trainer)
    raw.post_processor = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, raw.token_to_id(bos))])
    tokens = {"bos_token": bos, "eos_token": eos}
    if pad != "none":
        tokens["pad_token"] = "<pad>" if pad == "own" else eos
    return PreTrainedTokenizerFast(tokenizer_object=raw, **tokens)
