"""A run that was killed goes on as if it had never stopped, wherever the kill came.

The kill is injected at the system call: a forked child runs the command and dies (`os._exit`, nothing is cleaned up) in
place of its n-th fsync or rename, for every n; the same command line then goes on in this process.

Mutations seen to fail: the rename before the manifest is written, the reward model's optimizer left out, its step counted
one too low, torch's generator or the value model's optimizer left out, the log of before the kill left out (all in
test_killed_...); sizes or sha256 not compared (test_a_torn_...), settings not compared (test_other_settings_...), all of
them compared (test_settings_that_...), none kept but the newest (test_only_the_newest_two_...)."""

import json
import shutil
from pathlib import Path

import pytest
from killing import KILLED, killed_at
from models import tiny_model

from alignment import checkpoint
from alignment.checkpoint import folder_of
from alignment.command import main
from alignment.config import parse
from ppo.config import COMMAND as PPO
from reward_model.config import COMMAND as REWARD
from reward_model.making import READS

PROMPTS = ["The cat", "Anna has a red kite. Tom keeps", "Where is the boat? The", "Tom", "The moon. The warm mat and"]
CALLS = ("fsync", "rename", "replace")
COMMANDS = {"ppo": PPO, "reward": REWARD}


def score(prompt: str, responses: list[str]) -> list[float]:
    return [float(text.count("e") - text.count("t")) + 0.01 * len(text) for text in responses]


@pytest.fixture(scope="module")
def lines(tmp_path_factory) -> dict[str, list[str]]:
    """Command → its arguments, but for --output."""
    folder = tmp_path_factory.mktemp("resume")
    model, prompts, rankings = (
        tiny_model("llama", folder / "policy"),
        folder / "prompts.jsonl",
        folder / "rankings.jsonl",
    )
    prompts.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in PROMPTS))
    ranked = [{"prompt": prompt, "responses": [" a mat", " the red moon"], "ranks": [1, 2]} for prompt in PROMPTS * 2]
    for number, one in enumerate(ranked):
        one["prompt"] += f" {number}"
    rankings.write_text("".join(json.dumps(one) + "\n" for one in ranked))
    small = "--steps 2 --batch-size 4 --minibatch-size 2 --ppo-epochs 1 --max-new-tokens 4 --kl-max 1e9 --save-every 1"
    return {
        "ppo": f"--policy {model} --prompts {prompts} --reward {__file__}:score {small}".split(),
        "reward": f"--base {model} --rankings {rankings} --epochs 2 --batch-size 4 --save-every 3 --lr 1e-3".split(),
    }


def run(command: str, line: list[str], output: Path, *more: str) -> int:
    return main(COMMANDS[command], [*line, "--output", str(output), *more])


def killed(number: int, command: str, line: list[str], output: Path) -> int:
    """The exit code of a run that dies in place of its `number`-th call: KILLED, or 0 when it made fewer calls."""
    return killed_at(number, CALLS, lambda: run(command, line, output))


def untimed(output: Path) -> list[dict]:
    rows = [json.loads(row) for row in (output / "history.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if not name.startswith("time/")} for row in rows]


def same_result(output: Path, expected: Path) -> bool:
    weights = [(folder / "model.safetensors").read_bytes() for folder in (output, expected)]
    return weights[0] == weights[1] and untimed(output) == untimed(expected)


@pytest.mark.parametrize("command", COMMANDS)
def test_killed_at_any_call_it_goes_on_bitwise(command, lines, tmp_path, monkeypatch, capfd):
    whole = tmp_path / "whole"
    assert run(command, lines[command], whole, "--save-every", "0") == 0
    loaded: list[Path] = []
    newest = checkpoint.Checkpoints._newest

    def recording(self, look):
        loaded.append(newest(self, look))
        return loaded[-1]

    monkeypatch.setattr(checkpoint.Checkpoints, "_newest", recording)
    number, resumed = 0, set()
    while True:
        number += 1
        output = tmp_path / f"killed-{number}"
        code = killed(number, command, lines[command], output)
        if code == 0:
            break
        assert code == KILLED
        if not output.exists():  # the last calls come after the output's rename
            assert run(command, lines[command], output) == 0
            resumed.add(loaded[-1] and loaded[-1].name)
        assert same_result(output, whole), number
        assert not folder_of(output).exists() or output.exists()
        shutil.rmtree(folder_of(output), ignore_errors=True)
        shutil.rmtree(output)
    capfd.readouterr()
    assert number > 20  # each checkpoint: four fsyncs of what is in it, one of the folder, one rename
    steps = {"ppo": ["step-00000001", "step-00000002"], "reward": ["step-00000003", "step-00000006"]}
    assert resumed == {None, *steps[command]}


@pytest.fixture(scope="module")
def stopped(lines, tmp_path_factory) -> dict[str, Path]:
    """Command → a folder in which a run to `out` was killed at the end of its second checkpoint: both are whole."""
    folders = {}
    for command in COMMANDS:
        folders[command] = tmp_path_factory.mktemp(command)
        assert killed(13, command, lines[command], folders[command] / "out") == KILLED
        shutil.rmtree(folders[command] / ".out.partial")
    return folders


@pytest.fixture
def copy(stopped, tmp_path):
    def made(command: str) -> Path:
        shutil.copytree(stopped[command], tmp_path, dirs_exist_ok=True)
        steps = sorted(path.name for path in folder_of(tmp_path / "out").iterdir())
        assert len(steps) == 2
        return folder_of(tmp_path / "out") / steps[-1]

    return made


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def turned(path: Path) -> None:
    """One bit in the middle is another."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("spoil", [truncated, turned, Path.unlink], ids=lambda spoil: spoil.__name__)
@pytest.mark.parametrize("file", ["state.safetensors", "state.json", "manifest.json"])
def test_a_torn_checkpoint_is_set_aside_and_never_loaded(copy, lines, tmp_path, monkeypatch, capsys, file, spoil):
    torn = copy("reward")
    if (file, spoil) == ("manifest.json", turned):
        (torn / file).write_text("[]")
    else:
        spoil(torn / file)
    settings = _settings(lines["reward"], tmp_path / "out")
    opened = checkpoint.Checkpoints("reward", settings, READS)
    error = capsys.readouterr().err
    assert opened.start == torn.with_name("step-00000003")
    assert not torn.exists()
    assert torn.with_name("step-00000006.torn").is_dir()
    assert "step-00000006 is torn (" in error
    assert file in error
    assert ("has not the size" in error) == (spoil is truncated and file != "manifest.json")
    assert "set aside as" in error
    assert "going on from" in error


def test_with_every_checkpoint_torn_it_starts_anew(copy, lines, tmp_path):
    for path in copy("reward").parent.iterdir():
        truncated(path / "state.json")
    assert run("reward", lines["reward"], tmp_path / "out") == 0
    assert run("reward", lines["reward"], tmp_path / "other") == 0
    assert same_result(tmp_path / "out", tmp_path / "other")
    assert not folder_of(tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("command", "more", "phrases"),
    [
        ("ppo", "--kl-coef 0.1", ("the run that stopped had --kl-coef 0.05 (now 0.1); give the same", "--no-resume")),
        ("ppo", "--steps 9 --seed 2", ("--seed 0 (now 2), --steps 2 (now 9)",)),
        ("reward", "--lr 1e-4", ("--lr 0.001 (now 0.0001)",)),
    ],
)
def test_other_settings_are_refused_by_name(copy, lines, tmp_path, capsys, command, more, phrases):
    copy(command)
    before = sorted(tmp_path.rglob("*"))
    assert run(command, lines[command], tmp_path / "out", *more.split()) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert all(phrase in error for phrase in (*phrases, "out.checkpoints"))
    assert sorted(tmp_path.rglob("*")) == before


def test_settings_that_change_no_number_may_differ(copy, lines, tmp_path, capsys):
    copy("reward")
    assert run("reward", lines["reward"], tmp_path / "out", "--save-every", "1") == 0
    assert "going on from" in capsys.readouterr().err


def test_another_command_or_changed_data_is_refused(copy, lines, tmp_path, capsys):
    copy("reward")
    assert run("ppo", lines["ppo"], tmp_path / "out") == 2
    assert "holds checkpoints of command reward, not ppo" in capsys.readouterr().err
    rankings = tmp_path / "rankings.jsonl"
    source = Path(lines["reward"][lines["reward"].index("--rankings") + 1])
    rankings.write_text(source.read_text() * 2)
    manifest = next(folder_of(tmp_path / "out").glob("step-*6")) / "manifest.json"
    manifest.write_text(manifest.read_text().replace(str(source), str(rankings)))
    assert run("reward", lines["reward"], tmp_path / "out", "--rankings", str(rankings)) == 2
    assert f"--rankings {rankings}: is not what the run that stopped had read" in capsys.readouterr().err


def test_no_resume_starts_anew(copy, lines, tmp_path, capsys):
    copy("reward")
    assert run("reward", lines["reward"], tmp_path / "out", "--no-resume", "--lr", "1e-4") == 0
    assert "going on from" not in capsys.readouterr().err
    assert not folder_of(tmp_path / "out").exists()


def test_what_others_put_there_stays(copy, lines, tmp_path):
    mine = copy("reward").parent / "mine"
    mine.write_text("kept")
    assert run("reward", lines["reward"], tmp_path / "out") == 0
    assert list(folder_of(tmp_path / "out").iterdir()) == [mine]


def test_a_dry_run_says_so_and_changes_nothing(copy, lines, tmp_path, capsys):
    truncated(copy("reward") / "state.json")
    before = sorted(tmp_path.rglob("*"))
    assert run("reward", lines["reward"], tmp_path / "out", "--dry-run") == 0
    assert "goes on from step-00000003" in capsys.readouterr().out
    assert run("reward", lines["reward"], tmp_path / "out", "--dry-run", "--seed", "1") == 2
    assert sorted(tmp_path.rglob("*")) == before


def test_only_the_newest_two_stay_and_none_with_0(lines, tmp_path, monkeypatch):
    seen: list[list[str]] = []
    monkeypatch.setattr(
        checkpoint.Checkpoints, "remove", lambda self: seen.append(sorted(p.name for p in self.folder.glob("*")))
    )
    run("reward", lines["reward"], tmp_path / "one", "--save-every", "1")
    run("reward", lines["reward"], tmp_path / "none", "--save-every", "0")
    assert seen == [["step-00000005", "step-00000006"], []]


def test_ctrl_c_says_that_checkpoints_stay(copy, lines, tmp_path, monkeypatch, capsys):
    copy("ppo")
    monkeypatch.setattr("ppo.train.Trainer.rollout", _interrupted)
    assert run("ppo", lines["ppo"], tmp_path / "out") == 130
    assert "no output was written; checkpoints stay in" in capsys.readouterr().err


def _interrupted(self):
    raise KeyboardInterrupt


def _settings(line: list[str], output: Path):
    return parse(REWARD.settings, [*line, "--output", str(output)], "align reward", "", repeats=True, plans=True)[0]
