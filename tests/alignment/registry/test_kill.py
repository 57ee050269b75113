"""Killed at any system call, or two at once: what was there before or what was to be there, never a half; and repeating the
command completes it.

The kill is injected at the system call: a forked child dies in place of its n-th fsync, rename, link, ..., for every n.

Mutations seen to fail:

- an artifact written at its place at once, not in staging: test_killed_at_any_call[add]
- the log's entry written before the artifact is there; the artifact removed before the log says so: [add], [gc]
- a log entry written at its place at once: [promote]
- staging not swept by rebuild: [gc]; a staged folder that is held swept: test_what_another_process_adds_is_left_alone
- the compare left out: test_two_at_once; the lock not taken: test_a_killed_holder_frees_the_lock
- the copy not looked into, only the directory: test_a_directory_that_changes_while_it_is_added
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from artifacts import filled, model, shape
from killing import KILLED, killed_at

from alignment.command import main
from alignment.registry.command import PROMOTE
from alignment.registry.errors import Damaged
from alignment.registry.registry import Registry

CALLS = ("fsync", "rename", "replace", "link", "unlink", "rmdir", "mkdir", "symlink", "chmod", "truncate", "pwrite")
ROOT = Path(__file__).resolve().parents[3]


def add(folder: Path) -> None:
    Registry(folder / "registry").add(folder / "made-4", "policy", by="ann")


def promote(folder: Path) -> None:
    Registry(folder / "registry").promote("policy", 2, expected=1, by="ann")


def challenge(folder: Path) -> None:
    Registry(folder / "registry").promote("policy", 3, expected=None, alias="challenger", by="ann")


def rollback(folder: Path) -> None:
    Registry(folder / "registry").rollback("policy", expected=2, by="ann")


def gc(folder: Path) -> None:
    Registry(folder / "registry").gc(keep=1, delete=True, by="ann")


def prepared(folder: Path, work: Callable[[Path], None]) -> None:
    folder.mkdir()
    registry = filled(folder, {add: 1, challenge: 3, gc: 4}.get(work, 2))
    if work is add:
        model(folder / "made-4", 4)
    if work is rollback:
        promote(folder)
    registry.rebuild()


def state(folder: Path) -> tuple:
    """All that a reader can see, but for times."""
    registry = Registry(folder / "registry")
    seen = [(one.action, one.version, one.alias, one.before, one.artifact) for one in registry.history("policy")]
    return (
        seen,
        registry.standing("policy").aliases,
        [one.number for one in registry.standing("policy").live],
        registry.artifacts.every(),
    )


@pytest.mark.parametrize("work", [add, promote, challenge, rollback, gc], ids=lambda work: work.__name__)
def test_killed_at_any_call(work, tmp_path):
    whole, start = tmp_path / "whole", tmp_path / "start"
    prepared(start, work)
    shutil.copytree(start, whole, symlinks=True)
    before = state(whole)
    work(whole)
    after = state(whole)
    links = {name: held for name, held in shape(whole / "registry").items() if name.startswith("names/")}
    assert before != after
    number, seen = 0, set()
    while True:
        number += 1
        folder = tmp_path / str(number)
        shutil.copytree(start, folder, symlinks=True)
        code = killed_at(number, CALLS, lambda folder=folder: work(folder) or 0)
        if code == 0:
            break
        assert code == KILLED
        now = state(folder)
        if work is not gc:  # which takes several steps, each of them whole
            assert now[:3] in (before[:3], after[:3]), number  # an artifact without a version may lie there
        seen.add(now == after)
        assert Registry(folder / "registry").verify() == [], number
        for version in now[2]:
            Registry(folder / "registry").resolve(f"policy@v{version}")
        work(folder)
        assert state(folder) == after, number
        Registry(folder / "registry").rebuild()
        made = shape(folder / "registry")
        assert {name: held for name, held in made.items() if name.startswith("names/")} == links
        assert not any(name.startswith("staging/") or "/." in name for name in made), number
        assert Registry(folder / "registry").verify() == []
    assert number > 8
    assert seen == {False, True}


def test_killed_while_it_makes_the_registry(tmp_path):
    for number in range(1, 1000, 4):
        folder = tmp_path / str(number)
        model(folder / "a", 1)
        work = lambda folder=folder: Registry(folder / "registry", make=True).add(folder / "a", "policy") and 0  # noqa: E731
        if killed_at(number, CALLS, work) == 0:
            break
        again = Registry(folder / "registry", make=True).add(folder / "a", "policy")
        assert again.version.number == 1
        assert Registry(folder / "registry").verify() == []
    assert number > 20


def test_two_at_once(tmp_path):
    """Eight processes promote a version each against the same incumbent, five times: exactly one wins."""
    registry = filled(tmp_path, 9)
    for _ in range(5):
        champion = registry.standing("policy").champion
        others = [number for number in range(1, 10) if number != champion]
        entries = len(registry.history("policy"))
        children = [Promotion(tmp_path, number, champion) for number in others]
        codes = [child.wait() for child in children]
        assert sorted(codes)[0] == 0
        assert codes.count(0) == 1, codes
        assert set(codes) <= {0, 20, 21}
        assert registry.standing("policy").champion == others[codes.index(0)]
        assert len(registry.history("policy")) == entries + 1
    assert registry.verify() == []


class Promotion:
    """A forked child that begins, with the others, at the same moment."""

    moment = 0.0

    def __init__(self, folder: Path, number: int, champion: int) -> None:
        if time.time() > Promotion.moment:
            Promotion.moment = time.time() + 0.3
        self.child = os.fork()
        if self.child == 0:
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1), os.dup2(quiet, 2)
            time.sleep(max(0.0, Promotion.moment - time.time()))
            line = [f"policy@v{number}", "--expected", f"v{champion}", "--registry", str(folder / "registry")]
            os._exit(main(PROMOTE, line))

    def wait(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.child, 0)[1])


HOLDS = """
import sys, time
from alignment.registry import lock
with lock.held(__import__("pathlib").Path(sys.argv[1]), "align registry gc"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_killed_holder_frees_the_lock(tmp_path, monkeypatch, capsys):
    registry = filled(tmp_path)
    paths = os.pathsep.join([str(ROOT), str(ROOT / "kernels")])
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(registry.folder / "lock")],
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
    )
    line = ["policy@v2", "--registry", str(registry.folder)]
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        monkeypatch.setattr("alignment.registry.lock.WAIT", 0.05)
        assert main(PROMOTE, line) == 20
        assert f"is held by align registry gc (process {child.pid} on " in capsys.readouterr().err
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert main(PROMOTE, line) == 0
    assert registry.standing("policy").champion == 2


def test_what_another_process_adds_is_left_alone(tmp_path):
    registry = filled(tmp_path)
    with registry.artifacts.staged(registry.locked("registry add")) as staged:
        (staged / "half").write_text("x")
        registry.add(model(tmp_path / "other", 8), "policy")
        registry.gc(keep=1, delete=True)
        registry.rebuild()
        assert (staged / "half").exists()
    assert not staged.exists()


def test_a_reader_never_sees_a_half(tmp_path):
    """A process resolves all the time while versions come, champions change and old ones are deleted."""
    registry = filled(tmp_path)
    for number in range(4, 10):
        model(tmp_path / f"made-{number}", number)
    child = os.fork()
    if child == 0:
        try:
            seen: set[int] = set()
            while 9 not in seen:
                seen.add(Registry(registry.folder).resolve("policy@champion").version.number)
            os._exit(0)
        except BaseException:
            os._exit(1)
    for number in range(4, 10):
        registry.add(tmp_path / f"made-{number}", "policy")
        registry.promote("policy", number, expected=registry.standing("policy").champion)
        registry.gc(keep=3, delete=True)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_directory_that_changes_while_it_is_added(tmp_path, monkeypatch):
    """What is checked is the copy: a pickle put there after the first look is refused, and nothing is stored."""
    from alignment.registry import adding

    registry = filled(tmp_path)
    folder = model(tmp_path / "other", 8)
    copy = adding.copied

    def swapped(source: Path, target: Path, where: str):
        if source.name == "model.safetensors":
            source.write_bytes(b"\x80\x02cos\ngetcwd\n)R.")
        return copy(source, target, where)

    monkeypatch.setattr(adding, "copied", swapped)
    before = state(tmp_path)
    with pytest.raises(Damaged, match=r"model\.safetensors holds a pickle"):
        registry.add(folder, "policy")
    assert state(tmp_path) == before
    assert not list(registry.artifacts.staging.iterdir())
