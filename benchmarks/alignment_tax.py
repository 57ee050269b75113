"""PPO-ptx and the alignment tax: what PPO costs on plain text, with and without ptx, at equal gold.

    python benchmarks/alignment_tax.py [--data DIR] [--output DIR] [--seeds N] [--coefficients 0,0.3,1]

After every step of PPO two things are measured: gold, the noise-free SIMULATED annotator's mean score of a response to each of
400 unseen prompts, and the loss (nats a token) on 400 stories that no stage has seen. ptx text is the other stories. Within a
seed all coefficients share reward model, prompts and draws. Equal gold: the loss is read off each curve where gold first passes
the same level, 80 % of the way from SFT to the lowest of the curves' maxima.
Leaves benchmarks/results/alignment_tax.{json,md,svg}."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from typing import Any

from experiment import GOLD, RESULTS, World, leave, lines, mean_interval, parser, require_data, table

LEVEL = 0.8


def main() -> int:
    options = parser(__doc__ or "", "collapse-run", 3)
    options.add_argument("--coefficients", default="0,0.3,1", help="--ptx-coef of each curve; the first must be 0")
    chosen = options.parse_args()
    require_data(chosen.data)
    world = World(chosen.output, chosen.data)
    split_text(world)
    coefficients = [float(part) for part in chosen.coefficients.split(",")]
    curves = {
        seed: {coefficient: curve(world, seed, coefficient) for coefficient in coefficients}
        for seed in range(chosen.seeds)
    }
    rows = [row for seed, some in curves.items() for row in at_equal_gold(seed, some)]
    draw(curves)
    result = {"gold": GOLD, "level": LEVEL, "rows": rows, "tax": tax(rows, coefficients), "curves": curves}
    leave("alignment_tax", result, text(result))
    return 0


def split_text(world: World) -> None:
    """held-out-text.jsonl: the stories whose first sentence asks in the evaluation; ptx-text.jsonl: those of neither it nor
    the reward model's measure."""
    evaluated, measured = (
        {one["prompt"] for one in lines(world.path(f"{name}.jsonl"))} for name in ("eval-prompts", "oracle-prompts")
    )
    stories = [one["text"] for one in lines(world.stories)]

    def begins(story: str, prompts: set[str]) -> bool:
        return any(story.startswith(prompt) for prompt in prompts)

    held_out = [story for story in stories if begins(story, evaluated)]
    others = [story for story in stories if not begins(story, evaluated | measured)]
    for name, some in (("held-out-text", held_out), ("ptx-text", others)):
        Path(world.path(f"{name}.jsonl")).write_text(
            "".join(json.dumps({"text": story}) + "\n" for story in some), encoding="utf-8"
        )


def curve(world: World, seed: int, coefficient: float) -> list[dict[str, float]]:
    """One PPO run: {step, kl, gold, loss} of the policy before each update."""
    run = world.at(seed)
    kept = Path(run.path(f"tax-{coefficient:g}.json"))
    if not kept.exists():
        reward = world.reward(run, "reward", world.rankings(run))
        kept.write_text(json.dumps(measured_run(world, seed, reward, coefficient)), encoding="utf-8")
    return json.loads(kept.read_text(encoding="utf-8"))


def measured_run(world: World, seed: int, reward: str, coefficient: float) -> list[dict[str, float]]:
    from ppo.config import PPOSettings
    from ppo.train import Trainer

    ptx = {"ptx_data": world.path("ptx-text.jsonl"), "ptx_coef": coefficient} if coefficient else {}
    settings = PPOSettings(
        policy=world.path("sft"), reward_model=reward, prompts=world.path("prompts.jsonl"), seed=seed, threads=1,
        output=str(world.folder / "unused"), **ptx,
    )  # fmt: skip
    trainer = Trainer(settings)
    gold, loss = gold_measure(world, trainer, settings), loss_measure(world, trainer, settings)
    rows = []
    while True:
        rollout, metrics = trainer.measured()
        rows.append({"step": trainer.state.step, "kl": metrics["objective/kl"], "gold": gold(), "loss": loss()})
        print(
            f"seed {seed} ptx {coefficient:g}", {name: round(value, 3) for name, value in rows[-1].items()}, flush=True
        )
        if not metrics["objective/kl"] <= settings.kl_max or trainer.state.step == settings.steps:
            return rows
        trainer.state.step += 1
        trainer.update(rollout)


def gold_measure(world: World, trainer: Any, settings: Any) -> Any:
    """() → the policy's gold on the evaluation prompts; the run's own random numbers stay as they are."""
    from alignment.chat import encode_prompt
    from alignment.functions import load_function
    from alignment.records import read_prompts
    from ppo.rollout import score_with_function
    from ppo.selection import Selection

    policy, tokenizer = trainer.roles.policy, trainer.roles.tokenizer
    prompts = read_prompts(world.path("eval-prompts.jsonl"))
    encoded = [encode_prompt(tokenizer, one.prompt) for one in prompts]
    judge = load_function(GOLD, "--gold", settings.function_timeout)
    selection = Selection(prompts, encoded, score_with_function(judge, tokenizer, [*trainer.roles.stops]))
    return lambda: selection.measure(policy, tokenizer, settings)


def loss_measure(world: World, trainer: Any, settings: Any) -> Any:
    """() → −log p of the held-out stories, nats a token."""
    import dataclasses

    import torch

    from alignment.chat import collate
    from alignment.logprobs import response_logprobs
    from ppo.ptx import read_ptx

    policy, tokenizer = trainer.roles.policy, trainer.roles.tokenizer
    data = read_ptx(
        dataclasses.replace(settings, ptx_data=world.path("held-out-text.jsonl"), ptx_coef=1.0), policy, tokenizer
    )
    assert data is not None
    examples = sorted(data.examples, key=lambda one: len(one[1]))
    batches = [
        collate(*map(list, zip(*examples[at : at + 16], strict=True)), data.pad_id)
        for at in range(0, len(examples), 16)
    ]

    @torch.no_grad()
    def loss() -> float:
        total = sum(float(response_logprobs(policy, batch, 1.0)[0].double().sum()) for batch in batches)
        return -total / sum(int(batch.response_mask.sum()) for batch in batches)

    return loss


def at_equal_gold(seed: int, curves: dict[float, list[dict[str, float]]]) -> list[dict[str, Any]]:
    """The loss and the KL of each curve where gold first passes the seed's common level."""
    start = next(iter(curves.values()))[0]
    level = start["gold"] + LEVEL * (min(max(one["gold"] for one in rows) for rows in curves.values()) - start["gold"])
    return [
        {"seed": seed, "ptx_coef": coefficient, "gold": level, "loss_sft": start["loss"], **crossing(rows, level)}
        for coefficient, rows in curves.items()
    ]


def crossing(rows: list[dict[str, float]], level: float) -> dict[str, float]:
    """{loss, kl} at the first step pair between which gold rises through the level, linearly between them."""
    for before, after in itertools.pairwise(rows):
        if before["gold"] < level <= after["gold"]:
            share = (level - before["gold"]) / (after["gold"] - before["gold"])
            return {name: before[name] + share * (after[name] - before[name]) for name in ("loss", "kl")}
    raise ValueError(f"gold never passes {level}")


def tax(rows: list[dict[str, Any]], coefficients: list[float]) -> dict[str, Any]:
    """The tax of each coefficient, and what it saves beside none: means over seeds with 95 % intervals (nats a token)."""
    losses = {c: [row["loss"] for row in rows if row["ptx_coef"] == c] for c in coefficients}
    sft = [row["loss_sft"] for row in rows if row["ptx_coef"] == coefficients[0]]
    return {
        f"{c:g}": {
            "tax": mean_interval(a - b for a, b in zip(losses[c], sft, strict=True)),
            "saved": mean_interval(b - a for a, b in zip(losses[c], losses[coefficients[0]], strict=True))
            if c
            else None,
            "kl": mean_interval(row["kl"] for row in rows if row["ptx_coef"] == c),
        }
        for c in coefficients
    }


def text(result: dict[str, Any]) -> str:
    rows = [
        [name, _interval(one["tax"]), _interval(one["saved"]) if one["saved"] else "", _interval(one["kl"])]
        for name, one in result["tax"].items()
    ]
    seeds = len({row["seed"] for row in result["rows"]})
    each = [
        [str(row["seed"]), f"{row['ptx_coef']:g}", f"{row['gold']:.3f}", f"{row['loss_sft']:.4f}", f"{row['loss']:.4f}", f"{row['kl']:.2f}"]
        for row in result["rows"]
    ]  # fmt: skip
    return (
        "# PPO-ptx: the alignment tax at equal gold\n\n"
        "stories260k, made by `python benchmarks/alignment_tax.py`. Gold is the noise-free **simulated annotator**'s mean score "
        "on 400 unseen prompts; the tax is how much the loss on 400 unseen stories (nats a token) is above the SFT model's where "
        f"gold passes {LEVEL:.0%} of the way to the lowest maximum of the seed's curves. {seeds} seeds; 95 % intervals, "
        "Student's t.\n\n" + table(["--ptx-coef", "tax", "saved by ptx", "KL there"], rows)
        + "\n" + table(["seed", "--ptx-coef", "gold", "loss of SFT", "loss", "KL"], each)
        + "\n![loss on unseen stories against gold](alignment_tax.svg)\n"
    )  # fmt: skip


def _interval(values: tuple[float, float, float]) -> str:
    return "{:.4f} [{:.4f}, {:.4f}]".format(*values)


def draw(curves: dict[int, dict[float, list[dict[str, float]]]]) -> None:
    """Loss on unseen text against gold: a panel a seed, a line a coefficient."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(
        1,
        len(curves),
        figsize=(2.6 * len(curves) + 1, 3.2),
        layout="constrained",
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    for axes, (seed, some) in zip(panels[0], curves.items(), strict=True):
        for coefficient, rows in some.items():
            axes.plot(
                [one["gold"] for one in rows], [one["loss"] for one in rows], "o-", ms=3, lw=1, label=f"{coefficient:g}"
            )
        axes.set_title(f"seed {seed}", fontsize=9)
        axes.set_xlabel("gold (VADER)")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0][0].set_ylabel("loss on unseen stories\n(nats a token)")
    panels[0][0].legend(title="--ptx-coef", fontsize=8, frameon=False)
    RESULTS.mkdir(exist_ok=True)
    figure.savefig(RESULTS / "alignment_tax.svg", metadata={"Date": None})


if __name__ == "__main__":
    sys.exit(main())
