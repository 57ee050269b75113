"""Aliases: promotion, rollback, the log and the lock.

Mutations seen to fail:

- `expected` not compared; the token not compared; the token not moved by a rollback: test_promotion_is_compare_and_swap
- `os.replace` for `os.link`: test_an_entry_is_never_replaced
- weights hashed by a rollback: test_a_rollback_takes_less_than_a_second
- a rolled-back version left in the row of champions: test_a_second_rollback_goes_further_back; best-ever left on it:
  test_a_rolled_back_version_is_not_best_ever
- a repeated rollback carried out again: test_a_repeated_rollback_is_one
"""

from __future__ import annotations

import time

import pytest
from artifacts import filled, shape

from alignment.errors import UserError
from alignment.registry import artifacts, lock, log
from alignment.registry.errors import Changed, Locked
from alignment.registry.registry import Registry


def aliases(registry: Registry) -> dict[str, int]:
    return registry.standing("policy").aliases


def test_promotion_is_compare_and_swap(tmp_path):
    registry = filled(tmp_path)
    seen = registry.standing("policy").token
    with pytest.raises(Changed, match="policy@champion: is v1 now, not v2 as expected") as refusal:
        registry.promote("policy", 3, expected=2)
    assert refusal.value.code == 21
    with pytest.raises(Changed, match="is v1 now, not nobody"):
        registry.promote("policy", 3, expected=None)
    assert aliases(registry) == {"champion": 1, "best-ever": 1}
    stands = registry.promote("policy", 2, expected=1, token=seen, by="bob", why="it won", gates={"win": 0.61})
    assert (stands.champion, stands.previous, stands.token) == (2, 1, seen + 1)
    entry = registry.history("policy")[-1]
    assert (entry.by, entry.why, entry.gates, entry.before, entry.version) == ("bob", "it won", {"win": 0.61}, 1, 2)
    registry.rollback("policy")
    with pytest.raises(Changed, match=f"was moved since token {seen}"):  # v1 again, but not the v1 of that moment
        registry.promote("policy", 3, expected=1, token=seen)
    with pytest.raises(Changed, match=f"was moved since token {stands.token}"):
        registry.promote("policy", 3, expected=1, token=stands.token)
    assert registry.promote("policy", 3, expected=1, token=registry.standing("policy").token).champion == 3


def test_an_entry_is_never_replaced(tmp_path):
    """Where there are no locks, of two writers that saw the same state the second is refused."""
    registry = filled(tmp_path)
    before = shape(registry.artifacts.store)
    with pytest.raises(Changed, match="another process changed it at the same moment"):
        log.append(registry.artifacts.store, "policy", 3, log.Entry("rollback", 1, "bob", "now"))
    assert shape(registry.artifacts.store) == before


def test_a_repeated_promotion_is_one(tmp_path):
    registry = filled(tmp_path)
    registry.promote("policy", 2, expected=1)
    before = len(registry.history("policy"))
    registry.promote("policy", 2, expected=1)
    assert len(registry.history("policy")) == before


def test_aliases_move_alone(tmp_path):
    registry = filled(tmp_path)
    registry.promote("policy", 2, expected=None, alias="challenger")
    registry.promote("policy", 1, expected=None, alias="sft-anchor")
    assert aliases(registry) == {"champion": 1, "challenger": 2, "best-ever": 1, "sft-anchor": 1}
    registry.promote("policy", 2, expected=1)
    assert aliases(registry) == {"champion": 2, "previous": 1, "best-ever": 1, "sft-anchor": 1}
    registry.promote("policy", 2, expected=1, alias="best-ever")
    assert aliases(registry)["best-ever"] == 2
    with pytest.raises(UserError, match="--alias is 'previous'"):
        registry.promote("policy", 1, expected=1, alias="previous")


def test_a_second_rollback_goes_further_back(tmp_path):
    registry = filled(tmp_path)
    registry.promote("policy", 2, expected=1)
    registry.promote("policy", 3, expected=2)
    assert registry.rollback("policy", by="eve", why="it flatters").aliases == {
        "champion": 2,
        "previous": 1,
        "best-ever": 1,
    }
    assert registry.rollback("policy").aliases == {"champion": 1, "best-ever": 1}
    with pytest.raises(UserError, match="policy: has no champion before the present one"):
        registry.rollback("policy")
    told = [(one.action, one.version, one.before, one.by, one.why) for one in registry.history("policy")][-2:]
    assert told[0] == ("rollback", 2, 3, "eve", "it flatters")
    assert told[1][:3] == ("rollback", 1, 2)
    assert registry.promote("policy", 3, expected=1).previous == 1


def test_a_rollback_to_an_earlier_champion(tmp_path):
    registry = filled(tmp_path)
    registry.promote("policy", 2, expected=1)
    registry.promote("policy", 3, expected=2)
    assert registry.rollback("policy", to=1).champion == 1
    with pytest.raises(UserError, match="policy@v3: is no earlier champion that still stands"):
        registry.rollback("policy", to=3)


def test_a_rolled_back_version_is_not_best_ever(tmp_path):
    registry = filled(tmp_path)
    registry.promote("policy", 2, expected=1)
    registry.promote("policy", 2, expected=1, alias="best-ever")
    assert registry.rollback("policy").aliases["best-ever"] == 1


def test_a_repeated_rollback_is_one(tmp_path):
    registry = filled(tmp_path)
    registry.promote("policy", 2, expected=1)
    registry.promote("policy", 3, expected=2)
    for _ in range(2):
        assert registry.rollback("policy", expected=3).champion == 2
    for _ in range(2):
        assert registry.rollback("policy", to=1).champion == 1
    assert [one.action for one in registry.history("policy")].count("rollback") == 2
    with pytest.raises(Changed, match="is v1 now, not v3"):
        registry.rollback("policy", expected=3, to=2)


def test_a_rollback_takes_less_than_a_second(tmp_path, monkeypatch):
    """After 60 promotions; and it reads no weights, so their size does not matter."""
    registry = filled(tmp_path)
    for number in range(60):
        registry.promote("policy", 2 + number % 2, expected=registry.standing("policy").champion)
    hashed: list[str] = []
    monkeypatch.setattr(artifacts, "file_sha256", lambda path: hashed.append(path.name))
    started = time.perf_counter()
    registry.rollback("policy", expected=3, to=2)
    seconds = time.perf_counter() - started
    assert registry.standing("policy").champion == 2
    assert seconds < 1, seconds
    assert hashed == []


def test_a_held_lock_is_told_with_its_owner(tmp_path):
    registry = filled(tmp_path)
    with (
        lock.held(registry.folder / "lock", "align registry gc"),
        pytest.raises(Locked, match=r"held by align registry gc \(process \d+ on ") as refusal,
    ):
        lock.held(registry.folder / "lock", "align promote", wait=0.05).__enter__()
    assert refusal.value.code == 20
    registry.promote("policy", 2, expected=1)


def test_reading_needs_no_right_to_write(tmp_path):
    registry = filled(tmp_path)
    before = shape(registry.folder)
    with lock.held(registry.folder / "lock", "align registry gc"):
        held = (registry.folder / "lock").read_bytes()
        registry.resolve("policy@champion")
        registry.history("policy")
        assert registry.verify() == []
    assert shape(registry.folder) == {**before, "lock": held}


def test_a_rollback_passes_over_what_was_deleted(tmp_path):
    registry = filled(tmp_path, 4)
    for number in (2, 3, 4):
        registry.promote("policy", number, expected=number - 1)
    registry.promote("policy", 4, expected=1, alias="best-ever")
    registry.gc(keep=1, delete=True)
    assert aliases(registry) == {"champion": 4, "previous": 3, "best-ever": 4}
    assert registry.rollback("policy").previous is None
