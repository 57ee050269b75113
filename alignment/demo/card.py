"""The model card that `build_base` writes beside the weights."""

CARD = """\
---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: text-generation
---

# The demo's base model

A tiny Llama that only continues text. It is the starting point of the embedded demo: supervised fine-tuning, a reward
model and PPO turn it, in minutes on a CPU, into a model that answers questions about a few stated facts.

| | |
|---|---|
| Architecture | LlamaForCausalLM: {layers} layers, hidden size {hidden}, {heads} heads, MLP {mlp}, tied embeddings, float32 |
| Parameters | {parameters:,} ({bytes:,} bytes of safetensors) |
| Context | {context} tokens |
| Tokenizer | byte-level BPE, {vocab} tokens, puts `<bos>` before every text; `<pad>`, `<bos>`, `<eos>` are ids 0, 1, 2 |
| Training data | {tokens:,} tokens of narratives from our own generator (`alignment.demo.world.corpus`), each used once |
| Training | {steps} steps of {rows} x {context} packed tokens, Muon and AdamW, peak learning rate {learning_rate}, seed {seed} |

## What it has read

Little stories of people, things, animals, colours and places: facts, the facts told again in other words, people who
wonder where something is and learn it or learn that the story does not say, small talk. Questions occur only as
something that somebody says on the way, never followed by their answer, and there is no prompt with a response in it.
No text of any other origin was used.

## Measured

- Held-out loss: {held_out_loss} nats a token, on narratives of another seed.
- Copying from context: {copy_accuracy:.1%} of 400 facts. After the facts of a held-out story and "The green boat is at
  the", the greedy next word is the right one ("river").

## Limits

It knows about 200 words and one kind of sentence for each kind of fact. It cannot reason beyond looking up a stated
fact, knows nothing of the real world, and is good for nothing but the demo and tests.

## Rebuild

    python -m alignment.demo.build_base --output DIR

The same machine and versions give the same bytes; elsewhere the last digits of float arithmetic differ. These weights
were made with torch {torch}, transformers {transformers}, tokenizers {tokenizers}, on one CPU thread:

    sha256 {sha256}  model.safetensors

Licence: Apache-2.0.
"""
