"""The policy file: every threshold of the gates, with its default and where that comes from."""

from __future__ import annotations

import dataclasses
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from alignment.agreement.position import BAND
from alignment.agreement.quality import FEWEST_ANNOTATORS, GOLD_FLOOR, LARGEST_SHARE
from alignment.config import Settings, read_values, setting
from alignment.errors import UserError
from alignment.loop.gates import GATES

DECISION = "decision"
"""The heading of what belongs to no single gate."""

DESIGN = "ours, with the other gates"


def _share(default: float, *, group: str, **about: Any) -> Any:
    return setting(default, group=group, unit="share", **{"low": 0.0, "high": 1.0, **about})


@dataclass(frozen=True)
class Policy(Settings):
    """Every threshold of the gates. Raises UserError where two of them contradict each other."""

    mode: Literal["strict", "lenient"] = setting(
        "strict", group=DECISION,
        help="strict: a gate that cannot tell, or was not measured, stops the promotion; lenient: where the table of gates "
        "allows it, it only warns",
        source="ours: what was not shown is not assumed",
    )  # fmt: skip
    waived: tuple[str, ...] | None = setting(
        None, group=DECISION, help="names of gates that are not asked for, as [alignment_tax, safety]; the report lists them",
        source="ours: not everybody has tasks or a harmlessness reward model",
    )  # fmt: skip
    new_prompts: int = setting(
        200, group="trigger", help="fewest new ranked prompts for a round", unit="prompts", low=1,
        source="ours: fewer hardly move a reward model (about +1.1 points of accuracy a doubling)",
    )  # fmt: skip
    new_share: float = _share(0.05, group="trigger", help="and at least this share of all", source="ours: as above")
    pairs_to_promote: int = setting(
        2000, group="floor", help="fewest pairs to promote", unit="pairs", low=1,
        source="Gao et al. 2022 (arXiv 2210.10760): under about 2,000 comparisons a reward model is near chance",
    )  # fmt: skip
    pairs_to_try: int = setting(
        500, group="floor", help="fewest pairs for a challenger", unit="pairs", low=1, source="ours: a quarter of that"
    )
    gold_floor: float = _share(
        GOLD_FLOOR, group="annotators", help="accuracy on gold items below which an annotator surely is: quarantine",
        source="ours, by the upper bound: 14 of 20 alone would set aside a fifth of honest 75 % annotators",
    )  # fmt: skip
    left_band: float = _share(
        BAND, group="annotators", help="mass of the band of left-win rates", above=0.0,
        source="ours: fewer than 1 of 50 honest annotators outside",
    )  # fmt: skip
    largest_share: float = _share(
        LARGEST_SHARE,
        group="annotators",
        help="the most of a snapshot that one annotator may have labelled",
        source="ours",
    )
    fewest_annotators: int = setting(
        FEWEST_ANNOTATORS, group="annotators", help="from how many annotators on that is asked", unit="annotators", low=1,
        source="ours: the reciprocal of the share",
    )  # fmt: skip
    duplicates_share: float = _share(
        0.10,
        group="agreement",
        help="least share of labels that are second labels of a task",
        source="the queue's own share",
    )
    agreement_floor: float = _share(
        0.5, group="agreement", help="what agreement's lower bound must be above", source="chance on pairs without ties"
    )
    agreement_warning: float = _share(
        0.60, group="agreement", help="agreement below which a warning is given",
        source="ours: InstructGPT 72.6 %, Stiennon et al. 2020 about 73 % (researchers); at 60 % one label is right 72 %",
    )  # fmt: skip
    near_duplicate: float = _share(
        0.8, group="leakage", help="Jaccard similarity of word triples from which two prompts are the same", low=0.5,
        source="as `align data check`: Lee et al. 2022 (arXiv 2107.06499) and SlimPajama use .8",
    )  # fmt: skip
    reward_floor: float = _share(
        0.5, group="reward_alive", help="what pair accuracy's lower bound must be above", source="chance"
    )
    length_error: float = _share(
        0.05,
        group="reward_alive",
        help="p of McNemar's test against the length-only rule",
        above=0.0,
        source="convention",
    )
    reward_margin: float = _share(
        0.02, group="reward_not_worse", help="how much worse the accuracy may surely not be", above=0.0,
        source="ours: about two doublings of labels",
    )  # fmt: skip
    slope_low: float = setting(
        0.8, group="calibration", help="least calibration slope", above=0.0, source="ours: 25 % too sure, either way"
    )
    slope_high: float = setting(
        1.25, group="calibration", help="largest calibration slope", above=0.0, source="ours: 1 / slope_low"
    )
    calibration_pairs: int = setting(
        200, group="calibration", help="fewest pairs to measure it on", unit="pairs", low=2,
        source="van Calster et al. 2016: at least 200 events and 200 others for a curve; a slope needs fewer",
    )  # fmt: skip
    ceiling_errors: float = setting(
        3.0, group="ceiling", help="standard errors above the ceiling", low=0.0, source="ours: 1 of 700 by chance"
    )
    patience: int = setting(
        3, group="ppo_watch", help="steps without a better score by the held-out reward model", unit="steps", low=1,
        source="ours: over-optimisation is smooth (Gao et al. 2022); 3 outlast the noise of a rollout",
    )  # fmt: skip
    kl_most: float = setting(
        10.0, group="ppo_watch", help="largest KL to the reference", unit="nats a response", above=0.0,
        source="ours: just above where `align ppo` stops by default (9)",
    )  # fmt: skip
    entropy_least: float = _share(
        0.1,
        group="ppo_watch",
        help="least entropy as a share of the start's",
        source="ours: far beyond a healthy run's .8",
    )
    length_least: float = setting(
        0.67,
        group="ppo_watch",
        help="least mean length as a share of the start's",
        low=0.0,
        source="ours: 1 / length_most",
    )
    length_most: float = setting(
        1.5, group="ppo_watch", help="largest mean length as a share of the start's", above=0.0,
        source="ours: Singhal et al. 2023 (arXiv 2310.03716): most of PPO's gain can be length",
    )  # fmt: skip
    offline_prompts: int = setting(
        800, group="offline_win", help="fewest prompts", unit="prompts", low=2,
        source="benchmarks/results/gates.md: with 400 prompts and one response each the bound would reject most true 55 % "
        "candidates",
    )  # fmt: skip
    offline_responses: int = setting(
        4, group="offline_win", help="responses a prompt, each met with each of the champion's", unit="responses", low=1,
        source="as above: responses are cheap, prompts that selected nothing are not",
    )  # fmt: skip
    offline_floor: float = _share(0.5, group="offline_win", help="what the lower bounds must be above", source=DESIGN)
    tax_margin: float = _share(
        0.02, group="alignment_tax", help="how much may surely not be lost over all items", above=0.0, source=DESIGN
    )
    task_margin: float = _share(
        0.05, group="alignment_tax", help="how much may surely be lost on no single task", above=0.0, source=DESIGN
    )
    safety_prompts: int = setting(
        400, group="safety", help="fewest prompts of each measure", unit="prompts", low=1,
        source="ours: a rise from 5 to 11 % is found with probability .8",
    )  # fmt: skip
    human_test: Literal["e-process", "fixed"] = setting(
        "e-process", group="human_win", help="e-process: may be looked at after every vote; fixed: counted once",
        source="ours: a fixed test looked at every 10 votes gives 21 % false wins",
    )  # fmt: skip
    human_votes: int = setting(
        800, group="human_win", help="most decisive votes of a round", unit="votes", low=10, high=2000,
        source="benchmarks/results/gates.md: 400 would promote a third of true 55 % candidates, 800 promote more than half",
    )  # fmt: skip
    human_evidence: float = setting(
        20.0, group="human_win", help="E at which the candidate wins", above=1.0, source="1 / .05 (Ville 1939)"
    )
    human_prior: int = setting(
        10, group="human_win", help="a of the mixture over Beta(a, a), p > ½", low=1, high=1000,
        source="ours: most of its mass is at 52 to 70 % wins",
    )  # fmt: skip
    futility_rate: float = _share(
        0.55, group="human_win", help="smallest win rate that is worth a promotion", low=0.5,
        source="ours: what the whole chain is built to find more often than not",
    )  # fmt: skip
    futility_chance: float = _share(
        0.05, group="human_win", help="chance of a win at that rate below which the votes stop",
        source="ours: costs .02 of power at .55, halves the votes that equal candidates take",
    )  # fmt: skip
    fixed_votes: int = setting(
        400, group="human_win", help="decisive votes of the fixed test", unit="votes", low=10, high=2000,
        source="ours: 217 wins are needed, a true 55 % candidate has them with probability .64",
    )  # fmt: skip
    fixed_error: float = _share(
        0.05, group="human_win", help="probability that the fixed test lets an equal candidate win", above=0.0, high=0.5,
        source="convention",
    )  # fmt: skip
    without_humans: Literal["challenger", "promote"] = setting(
        "challenger", group="human_win", help="what a candidate may become without people's votes",
        source="ours: no reward model is judge alone",
    )  # fmt: skip
    anchor_floor: float = _share(
        0.45, group="anchor", help="what the lower bounds must be above", source="ours: equal, give or take 5 points"
    )
    serve_seconds: float = setting(
        5.0,
        group="integrity",
        help="longest until the new version answers by name",
        unit="seconds",
        above=0.0,
        source=DESIGN,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for low, high in ORDERED:
            if getattr(self, low) > getattr(self, high):
                raise UserError(f"{low} is {getattr(self, low)}; it must be at most {high} ({getattr(self, high)})")
        for name in self.waived or ():
            if name not in GATES:
                raise UserError(f"waived names {name!r}, which is no gate; the gates are {', '.join(GATES)}")
            if not GATES[name].waivable:
                raise UserError(f"waived names {name!r}, which cannot be waived; take it out")


ORDERED = (
    ("pairs_to_try", "pairs_to_promote"),
    ("slope_low", "slope_high"),
    ("length_least", "length_most"),
    ("agreement_floor", "agreement_warning"),
)


def rule(gate: str, policy: Policy) -> str:
    """What passes the gate, in words, with the policy's numbers."""
    return GATES[gate].rule.format(**dataclasses.asdict(policy))


def read_policy(path: str | Path, name: str = "--policy-file") -> Policy:
    """The policy of a YAML file; what it does not name has its default. Raises UserError that begins with `name` and the file."""
    values = read_values(Policy, Path(path), name, "docs/loop.md lists all")
    try:
        return Policy(**values)
    except UserError as error:
        raise UserError(f"{name} {path}: {error}") from None


def policy_text(policy: Policy) -> str:
    """The policy file with every setting explained; `read_policy` gives the same policy back."""
    lines = ["# What a candidate must show before it is promoted. What is left out has its default."]
    heading = None
    for field in dataclasses.fields(policy):
        about = field.metadata
        if about["group"] != heading:
            heading = about["group"]
            lines += ["", f"# == {heading} =="]
            if heading in GATES:
                lines += _comment(rule(heading, policy))
        unit = f" [{about['unit']}]" if about["unit"] else ""
        lines += _comment(f"{about['help']}{unit} (source: {about['source']})")
        lines.append(f"{field.name}: {_written(getattr(policy, field.name))}")
    return "\n".join(lines) + "\n"


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, 116, initial_indent="# ", subsequent_indent="#   ")


def _written(value: Any) -> str:
    if value is None:
        return "none"
    return f"[{', '.join(value)}]" if isinstance(value, tuple) else str(value)
