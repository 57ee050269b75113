"""The settings of stage 2 beyond the plain ranking loss: other losses, thumbs, calibration, ensembles, splits, scaling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from alignment.config import Settings, setting
from alignment.errors import UserError


@dataclass(frozen=True)
class LossSettings(Settings):
    """What the reward model is trained on, where it is not the plain mean over strict pairs."""

    loss: Literal["pairs", "plackett-luce"] = setting(
        "pairs",
        help="of a ranking: the mean over its strict pairs, or the likelihood of its whole order (of tied responses "
        "neither is chosen out of the other)",
        source="InstructGPT, arXiv 2203.02155, eq. 1; Plackett 1975",
    )
    tie_model: Literal["none", "rao-kupper", "davidson"] = setting(
        "none",
        help="learn from equal ranks too, as a third outcome of a pair; none: a tie makes no pair",
        source="off: InstructGPT; Rao & Kupper 1967; Davidson 1970",
    )
    tie_probability: float | None = setting(
        None,
        none="auto",
        help="how often two equally good responses tie, which fixes the tie model's parameter; auto: the share of ties "
        "among the compared pairs to learn from",
        above=0.0,
        high=0.99,
        source="ours: fixed, because one number hardly moves at the transformer's learning rate",
    )
    strength_margins: str | None = setting(
        None,
        none="off",
        help="the loss is −log σ(Δ − m) with the margin m of a ranking's `strength` 0 … 3: four numbers, or llama-2 for "
        "0,1/3,2/3,1; rankings without a strength have none",
        source="off: exact probabilities; Llama 2, arXiv 2307.09288, §3.2.2 and table 27",
    )
    label_noise: float = setting(
        0.0,
        help="probability that a recorded preference is the wrong way round, which the loss allows for; 0 = off",
        low=0.0,
        high=0.49,
        source="off: to be measured, by two annotators' agreement A it is (1 − √(2A − 1))/2",
    )
    noise_loss: Literal["smoothing", "unbiased"] = setting(
        "smoothing",
        help="how: smoothing (1−ε)ℓ(Δ) + εℓ(−Δ), or unbiased [(1−ε)ℓ(Δ) − εℓ(−Δ)]/(1−2ε), which has no lower bound",
        source="cDPO (Mitchell 2023); rDPO, arXiv 2403.00409",
    )
    verdicts: str | None = setting(
        None,
        help="JSONL of {prompt, response, verdict}, good or bad: a thumb is learned by −log σ(±(score − mean score of the "
        "step's ranked responses))",
        source="off: ours; KTO, arXiv 2402.01306, has a reference point likewise",
    )
    verdict_weight: float = setting(
        1.0,
        help="weight of the mean over verdicts beside the mean over rankings",
        above=0.0,
        source="ours: a thumb counts like a ranking where there are as many",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for options, reason in self._unsuitable():
            if all(options.values()):
                raise UserError(f"{' with '.join(options)}: {reason}")

    def _unsuitable(self) -> list[tuple[dict[str, bool], str]]:
        luce = {"--loss plackett-luce": self.loss == "plackett-luce"}
        tie = {f"--tie-model {self.tie_model}": self.tie_model != "none"}
        margins = {"--strength-margins": self.strength_margins is not None}
        noise = {"--label-noise": self.label_noise > 0}
        return [
            (luce | tie, "a tie model is one of pairs; leave one of them out"),
            (luce | margins, "a margin is one of a pair; leave one of them out"),
            (luce | noise, "noise is that of a pair's label; leave one of them out"),
            (tie | margins, "a margin bends the probabilities that a tie model fits; leave one of them out"),
            (
                {"--tie-probability": self.tie_probability is not None, "--tie-model none": self.tie_model == "none"},
                "nothing uses it; give a --tie-model",
            ),
        ]


@dataclass(frozen=True)
class MeasureSettings(Settings):
    """What is made of the rankings besides one model: a temperature, an ensemble, a third of the labels, a curve."""

    calibration_fraction: float = setting(
        0.5,
        help="share of the held-out prompts, chosen by hash, that the temperature is fitted on; probabilities are "
        "measured on the others, order on all",
        low=0.0,
        high=0.9,
        source="ours: one number needs few pairs, its error bars need many; Guo 2017, arXiv 1706.04599",
    )
    ensemble: int = setting(
        1,
        help="models, trained with seeds from --seed on, on the same split; more than 1: OUTPUT/member-0, … and "
        "OUTPUT/ensemble.json, which --reward-model and --judge take",
        low=1,
        high=64,
        source="off: ours; Coste 2023, arXiv 2310.02743, 3 to 5",
    )
    split_role: Literal["all", "train", "stop", "judge"] = setting(
        "all",
        help="use one third of the prompts, chosen by hash: of a reward model for PPO to optimise (train), for stopping "
        "it (stop) and for judging it (judge); no prompt is in two thirds, together they are the file",
        source="ours: who judges has not seen the labels that were optimised",
    )
    scaling: bool = setting(
        False,
        help="also train on 1/8, 1/4 and 1/2 of the rankings: error against labels, and what twice as many would be worth",
        source="off: it takes nearly as long again",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scaling and self.ensemble > 1:
            raise UserError(f"--scaling with --ensemble {self.ensemble}: the curve is of single models; leave one out")
