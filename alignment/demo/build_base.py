"""Rebuild the tiny base model from our own corpus: `python -m alignment.demo.build_base --output DIR`.

Deterministic for a seed, a machine and the library versions: one thread, fixed order of documents. The base
reads only narratives (see `world.corpus`); it has never seen a prompt with a response, so it continues text.
"""

import argparse
import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

import tokenizers
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from alignment.demo import world
from alignment.demo.card import CARD
from alignment.demo.grammar import PAYLOADS, WORDS, Story, capital, fill, read_prompt

VOCAB_SIZE = 896  # byte alphabet + merges: nearly every word of the world is one token
CONTEXT = 256  # tokens
ROWS = 8  # rows of CONTEXT tokens an optimizer step
STEPS = 2600
LEARNING_RATE = 3e-3
WARMUP_STEPS = 50
SEED = 0


def build_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """Byte-level BPE trained on the texts; puts BOS before every text; PAD, BOS and EOS are ids 0, 1, 2."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<pad>", "<bos>", "<eos>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    bos = tokenizer.token_to_id("<bos>")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", pair="<bos> $A $B", special_tokens=[("<bos>", bos)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )


def word_list() -> list[str]:
    """Every word of the world after a blank and as it begins a sentence, often enough to become a token."""
    words = [w for choices in WORDS.values() for phrase in choices for w in phrase.split()] + PAYLOADS
    return [f"{capital(w)}. {w}" for w in words] * 40


def build_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A fresh Llama of about 0.95 M parameters (embeddings tied)."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=CONTEXT,
        initializer_range=0.08,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        dtype="float32",
    )
    model = LlamaForCausalLM(config)
    start_as_copier(model)
    return model


@torch.no_grad()
def start_as_copier(model: LlamaForCausalLM) -> None:
    """Start every attention layer near "look at what resembles this token and pass it on".

    Keys begin equal to queries and the output projection as 0.7 times the transposed values, MLPs begin silent; then
    copying from context is found in a few hundred steps instead of thousands. Source: mimetic initialisation
    (Trockman & Kolter 2023, arXiv:2305.09828), simplified.
    """
    for layer in model.model.layers:
        attention = layer.self_attn
        attention.k_proj.weight.copy_(attention.q_proj.weight)
        attention.o_proj.weight.copy_(0.7 * attention.v_proj.weight.T)
        layer.mlp.down_proj.weight.zero_()


def packed_batches(tokenizer: PreTrainedTokenizerFast, steps: int, seed: int) -> Iterator[torch.Tensor]:
    """Batches (ROWS, CONTEXT) of token ids: narratives one after another, each as BOS ... EOS, cut at the row end.

    Every row begins with a new narrative and no narrative is used twice.
    """
    chunk = 0
    rows: list[list[int]] = []
    row: list[int] = []
    for _ in range(steps):
        while len(rows) < ROWS:
            texts = world.corpus(500, seed=seed * 1_000_003 + chunk)
            chunk += 1
            for ids in tokenizer(texts)["input_ids"]:
                row += [*ids, tokenizer.eos_token_id]
                if len(row) >= CONTEXT:
                    rows.append(row[:CONTEXT])
                    row = []
        yield torch.tensor(rows[:ROWS])
        rows = rows[ROWS:]


def learning_rate(step: int, steps: int) -> float:
    """Linear warm-up, then linear decay to zero."""
    return LEARNING_RATE * min(1.0, (step + 1) / WARMUP_STEPS) * (1.0 - step / steps)


def optimizers(model: LlamaForCausalLM) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for embeddings and norms; both at the same learning rate."""
    matrices = [p for p in model.model.layers.parameters() if p.ndim == 2]
    others = [model.model.embed_tokens.weight, *(p for p in model.parameters() if p.ndim == 1)]
    return [
        torch.optim.Muon(matrices, lr=LEARNING_RATE, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def pretrain(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, steps: int, seed: int) -> None:
    """Next-token cross-entropy on packed narratives; gradient norm clipped to 1."""
    used = optimizers(model)
    model.train()
    started, recent = time.monotonic(), 0.0
    for step, batch in enumerate(packed_batches(tokenizer, steps, seed)):
        logits = model(input_ids=batch).logits[:, :-1]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in used:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, steps)
            optimizer.step()
            optimizer.zero_grad()
        recent += loss.item()
        if (step + 1) % 100 == 0:
            seconds = time.monotonic() - started
            print(f"step {step + 1:5d}/{steps}  loss {recent / 100:.4f}  {seconds:6.0f} s", flush=True)
            recent = 0.0
    model.eval()


@torch.no_grad()
def held_out_loss(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> float:
    """Mean next-token loss (nats) on packed narratives of a seed that training does not use."""
    total, batches = 0.0, 10
    for batch in packed_batches(tokenizer, batches, seed=SEED + 1):
        total += model(input_ids=batch, labels=batch).loss.item()
    return total / batches


@torch.no_grad()
def copy_accuracy(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, n: int = 400) -> float:
    """Share of facts copied right: the greedy continuation of "...facts\\nThe green boat is at the" is "river".

    Over n stories of the dev split whose question has its asked words at the end of the answer sentence.
    """
    right = total = 0
    for record in world.prompts(3 * n, seed=0, split="dev"):
        story = read_prompt(record["prompt"])
        if record["kind"] != "answerable" or not story.question.answer.endswith(f"{{{story.question.asked[-1]}}}."):
            continue
        stem, last = answer_stem(story)
        ids = tokenizer(record["prompt"].rsplit("\n", 2)[0] + "\n" + stem, return_tensors="pt")["input_ids"]
        wanted = tokenizer(last, add_special_tokens=False)["input_ids"]
        for token in wanted:
            guess = model(input_ids=ids).logits[0, -1].argmax().item()
            ids = torch.cat([ids, torch.tensor([[guess]])], dim=1)
            if guess != token:
                break
        else:
            right += 1
        total += 1
        if total == n:
            break
    return right / total


def answer_stem(story: Story) -> tuple[str, str]:
    """The answer sentence cut before its last word, and that word with its leading blank."""
    assert story.target is not None
    stem, last = fill(story.question.answer, story.target)[:-1].rsplit(" ", 1)
    return stem, " " + last


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Train the demo's base model from its own corpus.")
    parser.add_argument("--output", type=Path, required=True, help="directory to write the model to")
    parser.add_argument("--steps", type=int, default=STEPS, help="optimizer steps (fewer: a quick, worse model)")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    transformers.logging.set_verbosity_error()

    tokenizer = build_tokenizer(world.corpus(4000, seed=options.seed) + word_list())
    model = build_model(tokenizer)
    pretrain(model, tokenizer, options.steps, options.seed)
    model.save_pretrained(options.output)
    tokenizer.save_pretrained(options.output)
    described = describe(model, tokenizer, options.output / "model.safetensors", options.steps, options.seed)
    (options.output / "README.md").write_text(CARD.format(**described))
    print(json.dumps(described))


def describe(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, weights: Path, steps: int, seed: int
) -> dict[str, str | int | float]:
    """What the model card says: sizes, training, measures, versions and the hash of the weights."""
    config = model.config
    return {
        "parameters": model.num_parameters(),
        "bytes": weights.stat().st_size,
        "layers": config.num_hidden_layers,
        "hidden": config.hidden_size,
        "heads": config.num_attention_heads,
        "mlp": config.intermediate_size,
        "vocab": len(tokenizer),
        "context": CONTEXT,
        "rows": ROWS,
        "steps": steps,
        "tokens": steps * ROWS * CONTEXT,
        "learning_rate": LEARNING_RATE,
        "seed": seed,
        "held_out_loss": round(held_out_loss(model, tokenizer), 3),
        "copy_accuracy": copy_accuracy(model, tokenizer),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "tokenizers": tokenizers.__version__,
        "sha256": sha256(weights),
    }


if __name__ == "__main__":
    main()
