"""`align demo`: every stage on the embedded world, one call per arrow. It sees all stages; only its dry run imports it.

prompts → demonstrations → SFT → responses → rankings (by a simulated annotator) → reward model → PPO → evaluation
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alignment.command import Command, function
from alignment.config import MAX_SEED, MAX_THREADS, Settings, setting
from alignment.demo import world
from alignment.demo.annotator import gold, made_up, obeyed_injection
from alignment.records import write_jsonl
from alignment.report.write import REPORT
from alignment.run import workspace
from alignment.run_record import write_result

BASE = Path(__file__).parent / "demo" / "base"
ANNOTATOR = "alignment.demo.annotator:gold"
DEMONSTRATIONS, RANKED, PPO_PROMPTS, DEV_PROMPTS, EVAL_PROMPTS = 5000, 1500, 3000, 60, 400
MAX_NEW_TOKENS = 32
PPO_STEPS = 20
FLIP_PROBABILITY = 0.1  # a quarter, the default, would drown the finer differences in so few rankings
SFT_LR, SFT_EPOCHS = 2e-3, 2  # the base has never seen an answer, so it learns more than the default lets it


@dataclass(frozen=True)
class DemoSettings(Settings):
    """Settings of `align demo`."""

    workspace: str = setting(
        "demo-run", help="directory that everything is written to; must not exist yet", source="ours"
    )
    seed: int = setting(0, help="seed of the world's draws and of every stage", low=0, high=MAX_SEED, source="ours")
    threads: int | None = setting(
        1,
        help="CPU threads for torch",
        none="auto",
        low=1,
        high=MAX_THREADS,
        source="ours: models this small gain little from a second one, and lose much on a busy machine",
    )


COMMAND = Command(
    name="demo",
    summary="the whole pipeline on the embedded world: SFT, rankings by a simulated annotator, reward model, PPO, evaluation",
    settings=DemoSettings,
    run="alignment.pipeline:run",
    plan="alignment.pipeline_plan:plan",
)


@dataclass(frozen=True)
class Stage:
    """One command of the demo. title: what is said when it begins, None where it goes on with what was said before."""

    command: Command
    settings: Any
    title: str | None

    @property
    def name(self) -> str:
        """The name of its output."""
        return Path(self.settings.output).name


def stages(work: Path, data: dict[str, str], settings: DemoSettings) -> list[Stage]:
    """All commands in order, with their default settings but for what the demo's size asks for.

    Each reads what those before it left in `work`; data: name → path, as `write_data` returns it."""
    from alignment import evaluate, rank, sample
    from ppo import config as ppo
    from reward_model import config as reward
    from sft import config as sft

    common: dict[str, Any] = {"seed": settings.seed, "threads": settings.threads}
    generation = common | {"max_new_tokens": MAX_NEW_TOKENS}

    def path(name: str) -> str:
        return str(work / name)

    demonstrations = sft.SFTSettings(
        base=str(BASE), data=data["demonstrations"], output=path("sft"), lr=SFT_LR, epochs=SFT_EPOCHS, **common
    )
    responses = sample.SampleSettings(
        policy=path("sft"), prompts=data["rank"], output=path("responses.jsonl"), **generation
    )
    rankings = rank.RankSettings(
        responses=path("responses.jsonl"), annotator=ANNOTATOR, output=path("rankings.jsonl"),
        flip_probability=FLIP_PROBABILITY, **common,
    )  # fmt: skip
    rewards = reward.RewardSettings(
        base=path("sft"), rankings=path("rankings.jsonl"), output=path("reward-model"), **common
    )
    policy = ppo.PPOSettings(
        policy=path("sft"), reward_model=path("reward-model"), prompts=data["ppo"], output=path("ppo"), steps=PPO_STEPS,
        gold=ANNOTATOR, **generation,
    )  # fmt: skip
    judged: dict[str, Any] = {"prompts": data["eval"], "judge": ANNOTATOR, **generation}
    sft_over_base = evaluate.EvaluateSettings(
        policy=path("sft"), against=str(BASE), against_prefix=data["few-shot"], against_stop="\n",
        output=path("eval-sft-over-base"), **judged,
    )  # fmt: skip
    ppo_over_sft = evaluate.EvaluateSettings(
        policy=path("ppo"), against=path("sft"), output=path("eval-ppo-over-sft"), **judged
    )
    return [
        Stage(sft.COMMAND, demonstrations, "SFT: the base model learns from demonstrations"),
        Stage(sample.COMMAND, responses, "the SFT model answers each prompt 4 times"),
        Stage(rank.COMMAND, rankings, "a simulated annotator ranks the answers, with noise"),
        Stage(reward.COMMAND, rewards, "a reward model learns the rankings"),
        Stage(ppo.COMMAND, policy, "PPO optimises the policy against the reward model, near the SFT model"),
        Stage(
            evaluate.COMMAND,
            sft_over_base,
            "evaluation on held-out prompts by the simulated annotator's noise-free gold score",
        ),
        Stage(evaluate.COMMAND, ppo_over_sft, None),
    ]


def run(settings: DemoSettings) -> dict[str, Any]:
    """Runs the stages and leaves their outputs side by side; prints answers before and after."""
    started = time.time()
    with workspace(settings.workspace, "--workspace") as work:
        data = write_data(work / "data", settings.seed)
        say(0, "the base model alone: which few-shot prompt suits it best?")
        write_best_prefix(data, settings)
        results = run_stages(stages(work, data, settings))
        sft_over_base, ppo_over_sft, reward = (
            results[name] for name in ("eval-sft-over-base", "eval-ppo-over-sft", "reward-model")
        )
        summary = {
            "sft_over_base": sft_over_base, "ppo_over_sft": ppo_over_sft, "reward_model": reward,
            "behaviour": count_behaviour(work), "seconds": time.time() - started,
        }  # fmt: skip
        write_result(work, "demo", settings, summary, started)
        show(work, summary)
    print(f"\nEverything is in {settings.workspace}/; the numbers are in {settings.workspace}/metrics.json.")
    report = Path(settings.workspace).absolute() / REPORT
    if report.exists():
        print(f"See it as a page: {report}")
    return {
        "sft_over_base.win_rate": sft_over_base["win_rate"],
        "ppo_over_sft.win_rate": ppo_over_sft["win_rate"],
        "ppo_over_sft.kl": ppo_over_sft["kl"],
        "reward_model.pair_accuracy": reward["pair_accuracy"],
        "seconds": summary["seconds"],
    }


def run_stages(several: list[Stage]) -> dict[str, dict[str, Any]]:
    """The metrics of each stage, by the name of its output."""
    results, number = {}, 0
    for stage in several:
        if stage.title:
            number += 1
            say(number, stage.title)
        results[stage.name] = function(stage.command.run)(stage.settings)
    return results


def write_data(folder: Path, seed: int) -> dict[str, str]:
    """The world's prompts and demonstrations as JSONL files, in splits that share no prompt; name → path. "few-shot" is
    the path of a file that is written later."""
    folder.mkdir()
    files = {
        "demonstrations": world.demonstrations(DEMONSTRATIONS, seed),
        "rank": world.prompts(RANKED, seed, split="rank"),
        "ppo": world.prompts(PPO_PROMPTS, seed, split="ppo"),
        "dev": world.prompts(DEV_PROMPTS, seed, split="dev"),
        "eval": world.prompts(EVAL_PROMPTS, seed, split="eval"),
    }
    for name, records in files.items():
        write_jsonl(folder / f"{name}.jsonl", records)
    return {name: str(folder / f"{name}.jsonl") for name in files} | {"few-shot": str(folder / "few-shot.txt")}


def write_best_prefix(data: dict[str, str], settings: DemoSettings) -> None:
    """Writes the few-shot prefix under which the base answers best, on prompts of its own, to the file meant for it."""
    prefixes = world.few_shot_prompts()
    means = [
        prefix_quality(prefix, data, settings, f"few-shot prompt {number}")
        for number, prefix in enumerate(prefixes, start=1)
    ]
    Path(data["few-shot"]).write_text(prefixes[means.index(max(means))], encoding="utf-8")


def prefix_quality(prefix: str, data: dict[str, str], settings: DemoSettings, title: str) -> float:
    """The mean gold score of the base's answers after this few-shot prefix; `title` names the progress bar."""
    from alignment.config import GenerationSettings
    from alignment.responder import load_responder
    from alignment.seeds import seed_everything

    generation = GenerationSettings(max_new_tokens=MAX_NEW_TOKENS)
    prompts = [record["prompt"] for record in read(data["dev"])]
    seed_everything(settings.seed, settings.threads)
    responder = load_responder(str(BASE), "--base", prefix, "\n")
    answers = responder.respond(responder.encode_all(prompts, generation, "dev"), generation, title)
    return sum(gold(prompt, [answer.text])[0] for prompt, answer in zip(prompts, answers)) / len(prompts)


def count_behaviour(work: Path) -> dict[str, dict[str, float]]:
    """For base (few-shot), SFT and PPO: share of unanswerable prompts answered all the same, of injections obeyed, and
    the mean gold score."""
    kinds = [record["kind"] for record in read(work / "data" / "eval.jsonl")]
    first, second = (
        read(work / "eval-sft-over-base" / "responses.jsonl"),
        read(work / "eval-ppo-over-sft" / "responses.jsonl"),
    )
    answers = {
        "base": [record["against"]["text"] for record in first],
        "sft": [record["policy"]["text"] for record in first],
        "ppo": [record["policy"]["text"] for record in second],
    }
    result = {}
    for name, texts in answers.items():
        rows = list(zip([record["prompt"] for record in first], texts, kinds, strict=True))
        made = [made_up(prompt, text) for prompt, text, kind in rows if kind == "unanswerable"]
        obeyed = [obeyed_injection(prompt, text) for prompt, text, kind in rows if kind == "injected"]
        result[name] = {
            "made_up": sum(made) / len(made), "n_unanswerable": len(made),
            "obeyed_injection": sum(obeyed) / len(obeyed), "n_injected": len(obeyed),
            "gold_mean": sum(gold(prompt, [text])[0] for prompt, text, _ in rows) / len(rows),
        }  # fmt: skip
    return result


def read(path: str | Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def say(number: int, text: str) -> None:
    print(f"\n[{number}/6] {text}", flush=True)


def show(work: Path, summary: dict[str, Any]) -> None:
    """The summary that a newcomer reads: three prompts with the answers before and after, then the figures."""
    first, second = (
        read(work / "eval-sft-over-base" / "responses.jsonl"),
        read(work / "eval-ppo-over-sft" / "responses.jsonl"),
    )
    kinds = [record["kind"] for record in read(work / "data" / "eval.jsonl")]
    print("\n" + "─" * 78)
    for kind in world.KINDS:
        row = kinds.index(kind)
        print(f"\n{first[row]['prompt'].rstrip()}    ({kind})")
        for name, text in (
            ("base, few-shot", first[row]["against"]["text"]),
            ("after SFT", first[row]["policy"]["text"]),
            ("after PPO", second[row]["policy"]["text"]),
        ):
            print(f"  {name:<15}│ {text.strip()}")
    print("\n" + "─" * 78)
    for name, title in (("sft_over_base", "SFT beats the base"), ("ppo_over_sft", "PPO beats SFT")):
        part = summary[name]
        print(
            f"{title:<22}{part['win_rate']:6.1%} of {part['n']} prompts "
            f"(95 % interval {part['win_rate_low']:.1%} to {part['win_rate_high']:.1%}), KL {part['kl']:.1f} nats a response"
        )
    for name, part in summary["behaviour"].items():
        print(
            f"{name:<6}made-up answers {part['made_up']:4.0%} of {part['n_unanswerable']}   "
            f"obeyed injections {part['obeyed_injection']:4.0%} of {part['n_injected']}   mean gold score {part['gold_mean']:.2f}"
        )
    model = summary["reward_model"]
    print(
        f"Reward model: {model['pair_accuracy']:.1%} of {model['n_pairs']} held-out pairs "
        f"(longer wins: {model['length_baseline_accuracy']:.1%}). The annotator is simulated, its labels noisy."
    )
