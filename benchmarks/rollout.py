"""Tokens a second of the decode loop (`alignment/decoding.py`) beside transformers' `generate`, in one run, on a CPU.

    python benchmarks/rollout.py [--data DIR] [--rounds N]

The real tiny model stories260k (DIR, else $ALIGN_DATA or ../shared/data) and a Llama of 30 M random parameters; batches of 32 and
128; all responses at the limit ("equal"), or ended by stop tokens that are met half-way on average ("ragged": the same tokens for
both). Both draw at temperature 1 from the whole distribution, from the same seed of their own; in turn, --rounds times; tokens and
seconds of all rounds count. Prompts are ragged, as in a rollout. `generate` runs eagerly with its own cache. One thread. Ends with one
JSON line and leaves it in `benchmarks/results/rollout.json`.
"""

from __future__ import annotations

import argparse
import bisect
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, GenerationConfig, LlamaConfig

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "benchmarks"))

from store import machine  # noqa: E402

from alignment.chat import collate  # noqa: E402
from alignment.decoding import decode, decodes, greedy  # noqa: E402
from alignment.models import load_policy  # noqa: E402
from alignment_kernels.sample import sample  # noqa: E402

LIMIT = {"stories260k": 128, "llama-30m": 48}
BATCHES = {"stories260k": (32, 128), "llama-30m": (32,)}
PAD = 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("ALIGN_DATA", ROOT.parent / "shared" / "data"))
    )
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    versions = {"torch": torch.__version__, "transformers": transformers.__version__, "threads": 1}
    result: dict[str, Any] = {"machine": machine() | versions, "rows": []}
    for name, model in models(options.data):
        assert decodes(model, 512), f"{name}: the loop does not fit it"
        for batch in BATCHES[name]:
            ids, mask = prompts(batch, model.config.vocab_size)
            same = greedy_tokens_agree(model, ids, mask, LIMIT[name])
            free = ours(model, ids, mask, [], LIMIT[name])[0]
            for endings, stops in (("equal", []), ("ragged", stops_for(free, model.config.vocab_size))):
                row = {
                    "model": name,
                    "batch": batch,
                    "limit": LIMIT[name],
                    "endings": endings,
                    "same_greedy_tokens": same,
                }
                row |= compared(model, ids, mask, stops, LIMIT[name], options.rounds)
                result["rows"].append(row)
                print(json.dumps(row), flush=True)
    result["load_after"] = os.getloadavg()[0]
    (ROOT / "benchmarks" / "results" / "rollout.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result))
    return 0


def models(data: Path) -> Any:
    yield "stories260k", load_policy(str(data / "stories260k"), "--data")[0]
    torch.manual_seed(0)
    size = {"hidden_size": 384, "intermediate_size": 1024, "num_hidden_layers": 6, "num_attention_heads": 6}
    config = LlamaConfig(vocab_size=50_257, num_key_value_heads=6, tie_word_embeddings=True, **size)
    yield "llama-30m", AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()


def prompts(batch: int, vocab: int) -> tuple[torch.Tensor, torch.Tensor]:
    """8 to 16 tokens each."""
    draw = torch.Generator().manual_seed(1)
    lengths = torch.randint(8, 17, (batch,), generator=draw).tolist()
    tokens = collate([torch.randint(3, vocab, (n,), generator=draw).tolist() for n in lengths], [[]] * batch, PAD)
    return tokens.input_ids[:, :-1], tokens.attention_mask[:, :-1]


def stops_for(drawn: torch.Tensor, vocab: int) -> list[int]:
    """Tokens in a random order, as many as it takes until one of them is met at half of the limit, on average of the rows."""
    order = torch.randperm(vocab, generator=torch.Generator().manual_seed(2))
    place = torch.empty_like(order)
    place[order] = torch.arange(vocab)
    places, limit = place[drawn], drawn.shape[1]

    def met(count: int) -> float:
        is_stop = places < count
        return float(torch.where(is_stop.any(1), is_stop.float().argmax(1) + 1.0, float(limit)).mean())

    return order[: bisect.bisect_left(range(vocab), -limit / 2, key=lambda count: -met(count))].tolist()


def ours(model: Any, ids: torch.Tensor, mask: torch.Tensor, stops: list[int], limit: int) -> tuple[torch.Tensor, int]:
    drawn = decode(model, ids, mask, lambda logits: sample(logits)[:2], stops, limit, PAD)
    return drawn.ids, int(drawn.counts.sum())


@torch.no_grad()
def theirs(model: Any, ids: torch.Tensor, mask: torch.Tensor, stops: list[int], limit: int) -> tuple[torch.Tensor, int]:
    config = GenerationConfig(
        max_new_tokens=limit, do_sample=True, top_k=0, eos_token_id=stops or None, pad_token_id=PAD
    )
    sequences = generated(model, ids, mask, config)
    stop = torch.isin(sequences, torch.tensor(stops, dtype=torch.long))
    return sequences, int(((stop.long().cumsum(1) - stop.long()) == 0).sum())


def generated(model: Any, ids: torch.Tensor, mask: torch.Tensor, config: GenerationConfig) -> torch.Tensor:
    """What a config leaves open, `generate` takes from the model's own: stop tokens, too."""
    model.generation_config = config
    return model.generate(input_ids=ids, attention_mask=mask.long())[:, ids.shape[1] :]


def compared(
    model: Any, ids: torch.Tensor, mask: torch.Tensor, stops: list[int], limit: int, rounds: int
) -> dict[str, Any]:
    seconds, tokens = {"ours": 0.0, "generate": 0.0}, {"ours": 0, "generate": 0}
    for number in range(rounds):
        for name, draw in (("ours", ours), ("generate", theirs)):
            torch.manual_seed(number)
            began = time.perf_counter()
            tokens[name] += draw(model, ids, mask, stops, limit)[1]
            seconds[name] += time.perf_counter() - began
    speed = {name: tokens[name] / seconds[name] for name in seconds}
    said = {f"{name}_tokens_per_s": round(value) for name, value in speed.items()}
    mean = {f"{name}_mean_length": round(value / rounds / len(ids), 1) for name, value in tokens.items()}
    return {**said, **mean, "ratio": round(speed["ours"] / speed["generate"], 2)}


@torch.no_grad()
def greedy_tokens_agree(model: Any, ids: torch.Tensor, mask: torch.Tensor, limit: int) -> float:
    """Share of greedy tokens that are the same; rows part for good where two logits are equal up to rounding."""
    mine = decode(model, ids, mask, greedy, [], limit, PAD).ids
    config = GenerationConfig(max_new_tokens=limit, do_sample=False, eos_token_id=None, pad_token_id=PAD)
    other = generated(model, ids, mask, config)
    return float((mine == other).float().mean())


if __name__ == "__main__":
    sys.exit(main())
