"""Where the time of a step goes. Mutations seen to fail: parts of one name overwritten instead of added, `restart` that keeps
the parts, the rest left out (each in test_shares_...)."""

import contextlib
import time

from alignment.clock import Clock


def test_shares_are_of_the_time_since_restart_and_add_up_to_1(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    clock = Clock()
    with clock.part("score"):
        now[0] += 100.0
    clock.restart()
    for seconds in (1.0, 2.0):
        with clock.part("update"):
            now[0] += seconds
    with contextlib.suppress(KeyError), clock.part("score"):
        now[0] += 1.0
        raise KeyError
    now[0] += 4.0
    assert clock.shares(("score", "update", "selection")) == {
        "time/score_share": 1 / 8, "time/update_share": 3 / 8, "time/selection_share": 0.0, "time/other_share": 0.5,
    }  # fmt: skip
