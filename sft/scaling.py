"""`align sft --scaling`: the same policy from 1/8, 1/4 and 1/2 of the demonstrations, measured on the same held-out ones."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy

from alignment.scaling import ALL, FRACTIONS, curve
from sft.config import SFTSettings
from sft.loss import Quality
from sft.train import Prepared, prepare


def smaller(whole: Prepared, settings: SFTSettings) -> dict[str, Any]:
    """Trains on each part, a new start from the same seed each time; returns loss (nats a token) against demonstrations.

    whole: trained, the last point. Some demonstrations are held out, or there is nothing to measure on."""
    counts: dict[str, int] = {}
    measured: dict[str, Quality] = {}
    for name, fraction in FRACTIONS.items():
        with tempfile.TemporaryDirectory() as folder:
            small = prepare(replace(settings, report_to="none"), Path(folder), fraction)
            small.trainer.run()
        counts[name], measured[name] = len(small.learn.examples), _after(small)
    counts[ALL], measured[ALL] = len(whole.learn.examples), _after(whole)
    errors = {name: numpy.array(one.losses) for name, one in measured.items()}
    return curve(counts, errors, numpy.array(measured[ALL].counts, dtype=float), settings.seed)


def _after(ready: Prepared) -> Quality:
    after = ready.trainer.after
    assert after is not None  # `run` refuses --scaling where nothing is held out
    return after
