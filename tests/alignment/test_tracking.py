"""Trackers through accelerate.

Mutations seen to fail:
- values not passed on to the tracker -> test_tensorboard_receives_values
- availability not checked -> test_a_tracker_that_is_not_installed_is_named
"""

from __future__ import annotations

import pytest

from alignment import tracking
from alignment.config import TrainingSettings
from alignment.errors import UserError

SETTINGS = TrainingSettings(output="out")


def test_none_writes_nothing(tmp_path):
    with tracking.tracker("none", tmp_path, SETTINGS) as log:
        log({"reward_model/loss": 0.5}, 1)
    assert list(tmp_path.iterdir()) == []


def test_tensorboard_receives_values(tmp_path):
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with tracking.tracker("tensorboard", tmp_path, SETTINGS) as log:
        log({"reward_model/loss": 0.5}, 1)
        log({"reward_model/loss": 0.25}, 2)
    events = reader.EventAccumulator(str(tmp_path / tracking.PROJECT)).Reload()
    assert [(event.step, event.value) for event in events.Scalars("reward_model/loss")] == [(1, 0.5), (2, 0.25)]


def test_a_tracker_that_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(tracking._INSTALLED, "wandb", lambda: False)
    with (
        pytest.raises(UserError, match="--report-to is 'wandb', which is not installed; run `pip install wandb`"),
        tracking.tracker("wandb", tmp_path, SETTINGS),
    ):
        pass
