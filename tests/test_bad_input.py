"""The bad-input table (`tests/bad_input/`): whatever a user gets wrong is one sentence on stderr, exit code 2 (20, 21 and 30
for the registry's own reasons, 130 for Ctrl-C), nothing half-written, and a traceback only with --debug.

A new mistake is a line in one of the tables; a new command is a line in `case.GOOD`, which puts it into the cases that
every command shares. Cases run in this process, those with a signal in children forked off one server, those about the
end of the interpreter in processes of their own.

Mutations seen to fail (the check switched off, and the cases that then fail):

- `text_files`: gzip not looked for ("gzip"); no limit on a line ("a line of 100 MB")
- `records`: true taken for a rank; no hint at another kind of record ("demonstrations as rankings" and others)
- `config`: no nearest name in YAML ("unknown key in YAML")
- `functions`: a score that float32 cannot hold; no time limit, `Late` an Exception ("hangs ..."); SystemExit let through
- `models`: missing weights filled, pickle loaded, NaN weights taken, EOS not required, a reward model taken for a policy
- `ppo`: a minibatch that does not divide; a diverged update goes on ("the learning rate diverges"); explained
  variance 0 ÷ 0 ("same score for all, as it is")
- `run`: OSErrors not told ("full disk" and others); no lock ("another run ..."); a killed run's leftovers not cleared;
  the partial folder left ("returns None" and others)
- `command`: a lost stdout not told; SIGTERM not caught; a traceback always, or never
- `terminal`: a broken pipe raised
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from bad_input import children, doors, functions, inputs, outputs, records, registry, settings, stores
from bad_input.case import Case, Interrupt
from refusals import listing

from alignment.cli import command
from alignment.command import main
from alignment.exit_codes import CHANGED, INTEGRITY, LOCKED

TABLE = [
    *records.FILES, *records.RECORDS, *records.FORMATS, *records.RUNS, *settings.SETTINGS, *settings.PLANS, *doors.MODELS, *functions.FUNCTIONS, *outputs.OUTPUTS,
    *outputs.COMPLETE, *outputs.UNREAD, *outputs.INTERRUPTS, *stores.STORES, *registry.REGISTRIES,
]  # fmt: skip

FOUND_LATE = {"full disk", "the learning rate diverges", "scores beyond all bounds"}
"""What only the run itself can find; all else `--dry-run` refuses in the same sentence."""


@pytest.fixture(scope="session")
def good_inputs():
    for module in (*children.HEAVY, "labeling_ui.app", "labeling_ui.server"):  # another user may not be able to import
        __import__(module)
    folder = Path(tempfile.mkdtemp(prefix="bad-input-"))
    folder.chmod(0o755)  # another user walks in here
    (folder / "inputs").mkdir()
    inputs.make_inputs(folder / "inputs")
    yield folder / "inputs"
    shutil.rmtree(folder)


@pytest.fixture
def folder(good_inputs):
    """A fresh copy of the good inputs, which is the current directory."""
    here, case = Path.cwd(), good_inputs.parent / "case"
    shutil.copytree(good_inputs, case, symlinks=True)
    os.chdir(case)
    yield case
    os.chdir(here)
    for inner in case.rglob("*"):
        if inner.is_dir():
            inner.chmod(0o755)
    shutil.rmtree(case)


@pytest.mark.parametrize("case", TABLE, ids=lambda case: f"{case.name}: {case.line}")
def test_table(case: Case | Interrupt, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if isinstance(case, Interrupt):
        check_interrupt(case, folder)
    elif case.child:
        check_child(case, folder)
    else:
        check(case, folder, capsys)


def check(case: Case, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case.prepare(folder)
    error = check_run(case, folder, capsys, [])
    assert "Traceback" not in error
    if case.code == 2 and not case.added:
        assert "Traceback (most recent call last)" in check_run(case, folder, capsys, ["--debug"])
        if command(case.command).plan and case.name not in FOUND_LATE:
            check_run(case, folder, capsys, ["--dry-run"])


def check_run(case: Case, folder: Path, capsys: pytest.CaptureFixture[str], more: list[str]) -> str:
    """Runs it in this process; returns stderr."""
    with case.around():
        before = listing(folder)
        code = main(command(case.command), [*case.words, *more])
        after = listing(folder)
    printed = capsys.readouterr()
    assert code == case.code, printed.err
    made = after - before
    assert {path for path in made if str(Path(path).parent) not in made | {*case.added}} == {*case.added}
    assert before - after == {*case.gone}
    if code == 2 or (code in (LOCKED, CHANGED, INTEGRITY) and case.phrases):
        case.check_sentence(printed.err.splitlines()[-1])
        if not more and not case.added:
            case.check_alone(printed.err)
        assert printed.out == "" or case.command == "demo"  # which tells its steps
    return printed.err


def check_interrupt(interrupt: Interrupt, folder: Path) -> None:
    interrupt.case.prepare(folder)
    before = listing(folder)
    code, error = children.interrupted(interrupt, folder, folder.parent / "stderr")
    assert code == 130, error
    interrupt.case.check_sentence(error.splitlines()[-1])
    assert "Traceback" not in error
    assert listing(folder) == before


def check_child(case: Case, folder: Path) -> None:
    """In a process of its own, up to the end of the interpreter."""
    before = listing(folder)
    result = children.without_a_reader(case, folder, closed=case.child == "closed")
    assert result.returncode == case.code, result.stderr
    case.check_sentence(result.stderr.splitlines()[-1])
    assert "Traceback" not in result.stderr
    assert "Exception" not in result.stderr
    assert listing(folder) - before == {*case.added}
