"""The README's own words, run as a newcomer would: its commands line by line, its Python examples as they stand.

Mutations seen to fail: a flag of a command misspelt in the README, a keyword misspelt in a Python example."""

import csv
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from models import tiny_model

from alignment.functions import load_function
from alignment.records import Response

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
OWN_DATA = README[README.index("## Your own model and data") : README.index("## From Python")]
FROM_PYTHON = README[README.index("## From Python") : README.index("## The tree of the house")]
THINGS = [
    "kite",
    "boat",
    "drum",
    "goat",
    "hat",
    "bell",
    "moon",
    "cat",
    "mat",
    "river",
    "mill",
    "barn",
    "roof",
    "story",
    "peas",
    "plums",
]
COLOURS = ["red", "green", "blue", "black", "yellow", "white"]


pytestmark = pytest.mark.xdist_group("readme")  # one worker: the commands run once


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory) -> Path:
    """A folder with a model, two spreadsheets and an annotator of the newcomer's own; the README's commands were run."""
    folder = tmp_path_factory.mktemp("newcomer")
    tiny_model("llama", folder / "my-model")
    questions = [(f"Where is the {colour} {thing}?", f"By the {thing}, because it is {colour}.")
                 for thing in THINGS for colour in COLOURS]  # fmt: skip
    write_csv(folder / "questions.csv", ["question", "answer"], questions[:80])
    write_csv(folder / "more-questions.csv", ["question"], [[question] for question, _ in questions[80:]])
    (folder / "my_annotator.py").write_text(annotator(), encoding="utf-8")
    for line in blocks(OWN_DATA, "sh")[0].splitlines():
        run_line(line, folder)
    return folder


def annotator() -> str:
    """The README's function, made finer by length: on a random model's answers "because" never occurs."""
    code = blocks(OWN_DATA, "python")[0]
    assert '"because" in response' in code
    return code.replace('float("because" in response)', 'float("because" in response) + len(set(response)) / 100')


def write_csv(path: Path, head: list[str], rows: list) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *rows])


def run_line(line: str, folder: Path) -> None:
    name, *arguments = shlex.split(line)
    assert name == "align"
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'kernels'}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "alignment", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


def test_the_commands_lead_from_a_spreadsheet_to_a_policy(newcomer):
    outputs = {"sft", "reward-model", "policy", "comparison"}
    assert outputs <= {path.name for path in newcomer.iterdir()}
    for output in outputs:
        assert (newcomer / output / "report.html").is_file()
    assert (newcomer / "report.html").is_file()


@pytest.mark.parametrize("number", range(len(blocks(FROM_PYTHON, "python"))))
def test_the_python_examples_run(newcomer, number, monkeypatch, capsys):
    """In the folder where the commands ran, with `output` moved aside so that it is free."""
    monkeypatch.chdir(newcomer)
    code = blocks(FROM_PYTHON, "python")[number]
    assert len([line for line in code.strip().splitlines() if line]) <= 5
    free = re.sub(r'output="([\w-]+)"', r'output="\1-from-python"', code)
    assert free != code
    exec(compile(free, f"README example {number}", "exec"), {})
    assert capsys.readouterr().out.strip()


def test_a_notebooks_own_function_can_be_named(monkeypatch):
    def score(prompt: str, responses: list[str]) -> list[float]:
        return [float(len(response)) for response in responses]

    assert '`"__main__:score"`' in FROM_PYTHON
    monkeypatch.setattr(sys.modules["__main__"], "score", score, raising=False)
    judge = load_function("__main__:score", "--reward", None)
    assert judge([("prompt", [Response("abc"), Response("a")])]) == [[3.0, 1.0]]
