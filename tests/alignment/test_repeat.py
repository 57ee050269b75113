"""`--seeds N`. Mutations seen to fail: the seed not raised (test_each_seed_...), population instead of sample sd
(test_spread), numbers that one run lacks kept (test_spread), the first outputs kept after a failure (test_nothing_stays)."""

import json
from dataclasses import dataclass

import pytest

from alignment.command import Command, main
from alignment.config import StageSettings, setting
from alignment.errors import UserError
from alignment.repeat import repeat, spread
from alignment.run import output_directory


@dataclass(frozen=True)
class Example(StageSettings):
    limit: int = setting(9, help="the seed that fails", source="ours")


def run(settings: Example) -> dict:
    with output_directory(settings.output) as directory:
        (directory / "seed.txt").write_text(str(settings.seed))
        if settings.seed == settings.limit:
            raise UserError("--limit reached")
    return {"score": 2.0 * settings.seed, "part": {"n": 7, "word": "x", "flag": True, "none": None}}


COMMAND = Command("example", "an example", Example, f"{__name__}:run", repeats=True)


def test_spread():
    results = [{"a": 1.0, "b": {"c": 2}, "only": 1}, {"a": 3.0, "b": {"c": 2}}]
    assert spread(results) == {"a": {"mean": 2.0, "sd": 2.0**0.5}, "b.c": {"mean": 2.0, "sd": 0.0}}


def test_each_seed_has_its_output(tmp_path):
    metrics = repeat("example", run, Example(output=str(tmp_path / "out"), seed=4), 3)
    assert [(tmp_path / "out" / f"seed-{seed}" / "seed.txt").read_text() for seed in (4, 5, 6)] == ["4", "5", "6"]
    assert metrics == {
        "seeds": [4, 5, 6], "spread": {"score": {"mean": 10.0, "sd": 2.0}, "part.n": {"mean": 7.0, "sd": 0.0}}
    }  # fmt: skip
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == metrics
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert (record["command"], record["seeds"]) == ("example", 3)


def test_nothing_stays_when_one_fails(tmp_path):
    with pytest.raises(UserError, match="--limit reached"):
        repeat("example", run, Example(output=str(tmp_path / "out"), limit=1), 3)
    assert list(tmp_path.iterdir()) == []


def test_the_command_line(tmp_path, capsys):
    assert main(COMMAND, ["--output", str(tmp_path / "out"), "--seeds", "2"]) == 0
    assert "score   1 ± 1.4" in capsys.readouterr().out.replace("spread.", "")
    assert main(COMMAND, ["--output", str(tmp_path / "other"), "--seeds", "none"]) == 2
    assert "--seeds is 'none'; it must be a whole number of at least 1" in capsys.readouterr().err
    assert main(COMMAND, ["--output", str(tmp_path / "one")]) == 0
    assert (tmp_path / "one" / "seed.txt").is_file()
