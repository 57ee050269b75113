"""Several reward models as one: where its members lie, how their scores become one score. Loads no torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from alignment.config import Settings, setting
from alignment.errors import UserError
from alignment.processes import is_main

if TYPE_CHECKING:
    import torch

FILE = "ensemble.json"
"""What makes a directory an ensemble: {"members": ["member-0", …], "score_temperature": 1.2}."""

Rule = Literal["mean", "worst", "mean-var"]
RULES: tuple[Rule, ...] = get_args(Rule)


@dataclass(frozen=True)
class EnsembleSettings(Settings):
    """What every command takes besides that scores with a reward model: how an ensemble's members become one score."""

    ensemble_rule: Rule = setting(  # noqa: RUF009
        "mean",
        help="score of a reward model that is an ensemble: the members' mean, the lowest, or mean − λ · variance",
        source="Coste 2023, arXiv 2310.02743, §3.2; the mean is what one member estimates",
    )
    ensemble_lambda: float = setting(
        0.5,
        help="λ of --ensemble-rule mean-var",
        unit="1 / score",
        low=0.0,
        source="ours: members' scores have sd 1; Coste 2023 tries .1 to 1",
    )


def combined(scores: torch.Tensor, rule: Rule, penalty: float) -> torch.Tensor:
    """(M, B) scores of M members → (B,): their mean, min_m s_m, or mean − λ · (1/M) Σ_m (s_m − mean)².

    penalty: λ ≥ 0, of mean-var alone. Source: Coste 2023, arXiv 2310.02743, eqs. 2 to 4."""
    if rule == "worst":
        return scores.min(0).values
    mean = scores.mean(0)
    return mean if rule == "mean" else mean - penalty * scores.var(0, correction=0)


def write(directory: Path, members: list[str], temperature: float) -> None:
    """Marks the directory as an ensemble of the directories below it. The main process writes it."""
    value = {"members": members, "score_temperature": temperature}
    if is_main():
        (directory / FILE).write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def member_paths(path: str, name: str = "--reward-model") -> list[str]:
    """The directories of an ensemble's members; [path] where it is a single reward model, or nothing at all.

    Raises UserError where ensemble.json names none."""
    if not (Path(path) / FILE).is_file():
        return [path]
    return [str(Path(path) / member) for member in read(path, name)["members"]]


def read(path: str, name: str) -> dict[str, Any]:
    """What ensemble.json holds, checked."""
    try:
        value = json.loads((Path(path) / FILE).read_text(encoding="utf-8"))
        members, temperature = value["members"], float(value["score_temperature"])
        if not members or not all(isinstance(member, str) for member in members):
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            f"{name} {path}: its {FILE} is damaged; it must name the members; train it with `align reward --ensemble`"
        ) from None
    return {"members": members, "score_temperature": temperature}
