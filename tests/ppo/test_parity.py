"""Our formulas against the outputs of trl 0.11.4, trl 1.12.0 and verl 0.9.1, stored by
`python benchmarks/parity.py --write-golden`, which ran their own functions on the inputs that `peers.inputs` makes here.

Mutations seen to fail in test_agrees_with, each applied once:
- `shaped_rewards`: the KL term's sign; the score one place later (rewards, GAE, losses of train())
- `gae`: γ left out of δ; λ left out of the recursion; returns without V; values not masked (returns, advantages)
- `whitened`: over all places instead of the mask (advantages)
- `masked_mean`: ÷ all places; `masked_sum`: the mask left out; `masked_variance`: n−1; `masked_whiten`: ε 1e-6, mean kept
- `policy_loss`: minimum for maximum; upper clip doubled; ratio upside down (policy loss and gradient)
- `value_loss`: ½ left out; clipped around the return; minimum for maximum (value loss and gradient)
- `kl_estimates`: k1 negated; ½ left out of k2; e^{+k1} in k3
- `adapted_kl_coef`: clip .1; no clip; sign turned; target / KL; n/horizon without horizon (kl_coef)"""

import json
import sys
from functools import cache
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "benchmarks"))

from peers import inputs as given  # noqa: E402
from peers.comparisons import COMPARISONS, PEERS, TOLERANCES  # noqa: E402
from peers.ours import Ours  # noqa: E402
from peers.output import read_outputs  # noqa: E402

GOLDEN = Path(__file__).parent / "golden"


@cache
def ours(dtype: str) -> Ours:
    return Ours(given.DTYPES[dtype])


@cache
def theirs(peer: str) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    return read_outputs(GOLDEN / f"{PEERS[peer]}.safetensors")


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("line", COMPARISONS, ids=lambda line: f"{line.peer}-{line.key}")
def test_agrees_with(line, dtype):
    stored, _ = theirs(line.peer)
    assert line.difference(ours(dtype), stored[f"{dtype}/{line.key}"]) <= TOLERANCES[dtype]


@pytest.mark.parametrize("peer", PEERS)
def test_every_stored_output_is_compared(peer):
    tensors, versions = theirs(peer)
    keys = {f"{dtype}/{line.key}" for line in COMPARISONS if line.peer == peer for dtype in TOLERANCES}
    assert set(tensors) == keys
    assert {name: versions[name] for name in [peer.split()[0]]} == {peer.split()[0]: peer.split()[1]}


def test_the_last_result_has_every_line():
    result = json.loads((ROOT / "benchmarks" / "results" / "parity.json").read_text(encoding="utf-8"))
    lines = [(row["quantity"], row["peer"], row["function"], row["verdict"]) for row in result["rows"]]
    assert lines == [(line.quantity, line.peer, line.function, "agree") for line in COMPARISONS]


def test_a_difference_of_one_token_is_seen():
    line = next(line for line in COMPARISONS if line.key == "returns")
    stored = theirs(line.peer)[0][f"fp64/{line.key}"].clone()
    stored[3, 5] += 2e-12
    assert line.difference(ours("fp64"), stored) > TOLERANCES["fp64"]
    stored[3, 5] = torch.nan
    assert line.difference(ours("fp64"), stored) == float("inf")


def test_inputs_reach_every_branch():
    o = ours("fp64")
    ratio, advantages = torch.exp(o.new - o.old)[o.mask], o.x.advantages[o.mask]
    moved = (o.x.new_values - o.x.values)[o.mask]
    error = (o.x.values - o.x.returns)[o.mask]
    reached = {
        "gain clipped": (ratio > 1 + given.CLIP_RANGE) & (advantages > 0),
        "loss beyond the clip": (ratio > 1 + given.CLIP_RANGE) & (advantages < 0),
        "fall clipped": (ratio < 1 - given.CLIP_RANGE) & (advantages < 0),
        "fall beyond the clip": (ratio < 1 - given.CLIP_RANGE) & (advantages > 0),
        "not clipped": (ratio - 1).abs() < given.CLIP_RANGE,
        "value clipped toward the return": (moved.abs() > given.VALUE_CLIP_RANGE) & (moved * error < 0),
        "value clipped away from it": (moved.abs() > given.VALUE_CLIP_RANGE) & (moved * error > 0),
        "value not clipped": moved.abs() < given.VALUE_CLIP_RANGE,
    }
    assert {name: int(where.sum()) for name, where in reached.items() if where.sum() < 5} == {}
    assert given.B >= 8
    assert given.T >= 24
    assert given.LENGTHS.count(1) == 2
    assert given.LENGTHS.count(given.T) == 2
