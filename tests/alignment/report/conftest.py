"""One small pipeline of real stages on tiny models."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from models import tiny_model

from alignment import evaluate, rank, sample
from alignment.pipeline import DemoSettings
from alignment.records import content_id
from alignment.repeat import repeat
from alignment.report.builder import page
from alignment.report.document import Page
from alignment.report.runs import find
from alignment.run_record import write_result
from ppo.config import PPOSettings
from ppo.train import run as ppo
from reward_model.config import RewardSettings
from reward_model.train import run as reward
from sft.config import SFTSettings
from sft.train import run as sft

NAMES = ["Tom", "Anna", "The cat", "Lily", "Sam", "The boat", "A kite", "Ida"]
PROMPTS = [f"{name} has {number}" for number in range(5) for name in NAMES]
SHORT: dict[str, Any] = {"max_new_tokens": 6}
HOSTILE = '<script>alert("$x^2$ & 5 %")</script>'


def score(prompt: str, responses: list[str]) -> list[float]:
    """The simulated annotator of these tests."""
    return [text.count("e") - text.count("t") + 0.01 * len(text) for text in responses]


def lines(path: Path, records: list[dict]) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace like the demo's: SFT, answers, rankings, reward model, PPO, two evaluations, a folder of two seeds."""
    work = tmp_path_factory.mktemp("reports") / "work"
    work.mkdir()
    base = tiny_model("llama", work.parent / "base")
    told = [{"prompt": prompt, "response": f" red kites and a boat at {prompt}."} for prompt in PROMPTS]
    data = lines(work / "demonstrations.jsonl", told)
    prompts = lines(work / "prompts.jsonl", [{"prompt": prompt} for prompt in PROMPTS[:16]])
    shown = sorted(range(50), key=lambda number: content_id(f"{HOSTILE} {number}"))[:2]  # the page shows the smallest
    hostile = [{"prompt": f"{HOSTILE} {number}"} for number in shown]
    held_out = lines(work / "held-out.jsonl", [{"prompt": prompt} for prompt in PROMPTS[16:32]] + hostile)
    judge, started = f"{__file__}:score", time.time()

    def at(name: str) -> str:
        return str(work / name)

    learning: dict[str, Any] = {"base": base, "data": data, "batch_size": 8, "holdout_fraction": 0.3, "lr": 3e-3}
    sft(SFTSettings(output=at("sft"), **learning))
    sample.run(sample.SampleSettings(policy=at("sft"), prompts=prompts, output=at("responses.jsonl"), **SHORT))
    rank.run(rank.RankSettings(responses=at("responses.jsonl"), annotator=judge, output=at("rankings.jsonl")))
    reward(
        RewardSettings(base=at("sft"), rankings=at("rankings.jsonl"), output=at("reward-model"), holdout_fraction=0.3)
    )
    optimising: dict[str, Any] = {"batch_size": 8, "minibatch_size": 4, "steps": 3, "kl_max": 1e9, "lr": 1e-3}
    ppo(
        PPOSettings(
            policy=at("sft"), reward_model=at("reward-model"), prompts=prompts, gold=judge, output=at("ppo"), **optimising, **SHORT
        )
    )  # fmt: skip
    prefix = work / "prefix.txt"
    prefix.write_text("A boat.\n")
    common: dict[str, Any] = {"prompts": held_out, "judge": judge, **SHORT}
    first = {"policy": at("sft"), "against": base, "against_prefix": str(prefix), "output": at("eval-first")}
    second = {"policy": at("ppo"), "against": at("sft"), "reward_model": at("reward-model"), "best_of": "2"}
    evaluate.run(evaluate.EvaluateSettings(**first, **common))
    evaluate.run(evaluate.EvaluateSettings(**second, output=at("eval-second"), **common))
    repeat("sft", sft, SFTSettings(output=at("seeds"), **learning), 2)
    one = {"n_unanswerable": 8, "n_injected": 4, "gold_mean": 0.5}
    behaviour = {
        "base": {"made_up": 0.75, "obeyed_injection": 0.5, **one},
        "sft": {"made_up": 0.5, "obeyed_injection": 0.25, **one},
        "ppo": {"made_up": 0.25, "obeyed_injection": 0.0, **one},
    }
    write_result(work, "demo", DemoSettings(workspace=str(work), threads=None), {"behaviour": behaviour}, started)
    return work


@pytest.fixture(scope="session")
def whole_page(whole: Path) -> Page:
    return page(find(whole))


@pytest.fixture(scope="session")
def hostile() -> str:
    """What two of the evaluation's prompts begin with: text that would do harm if it were taken for markup."""
    return HOSTILE


@pytest.fixture
def copied(whole: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may spoil."""
    return Path(shutil.copytree(whole, tmp_path / "work"))
