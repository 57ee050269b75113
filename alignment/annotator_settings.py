"""Settings of every command that asks a simulated annotator. Loads no numpy: the preference store reads it, too."""

from __future__ import annotations

from dataclasses import dataclass

from alignment.config import FunctionSettings, setting
from alignment.errors import UserError


@dataclass(frozen=True)
class AnnotatorSettings(FunctionSettings):
    """A simulated annotator and its noise."""

    annotator: str = setting(
        help="the simulated annotator, MODULE:FUNCTION or FILE.py:FUNCTION: "
        "(prompt: str, responses: list[str]) -> list[float], its gold scores; higher is better, equal is a tie"
    )
    flip_probability: float = setting(
        0.25,
        help="P, the probability that noise on the gold scores inverts a random pair; 0 = none, below .5",
        unit="probability",
        low=0.0,
        source="AlpacaFarm (arXiv 2305.14387): without about 25 % flips, over-optimisation stays hidden",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.flip_probability >= 0.5:
            raise UserError(
                f"--flip-probability is {self.flip_probability}; it must be below 0.5, where nothing is left to learn"
            )
