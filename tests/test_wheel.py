"""What the wheel installs. Mutations seen to fail: `tests` added to the packages of pyproject.toml, the demo's base model
or the report's template left out of the package data, `kernels` made a package."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.xdist_group("wheel")  # one worker: it is built once
PACKAGES = {"alignment", "alignment_kernels", "sft", "reward_model", "ppo", "labeling_ui"}


@pytest.fixture(scope="module")
def names(tmp_path_factory) -> list[str]:
    """The files of a wheel built from what git tracks."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    copied = subprocess.run(["tar", "-c", "--null", "-T", "-"], cwd=ROOT, input=listed, capture_output=True, check=True)
    subprocess.run(["tar", "-x"], cwd=source, input=copied.stdout, check=True)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, source]
    subprocess.run(command, check=True, capture_output=True)
    return zipfile.ZipFile(next(folder.glob("*.whl"))).namelist()


def test_it_holds_our_packages_and_nothing_else(names):
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == PACKAGES


def test_it_holds_what_the_commands_read(names):
    for name in (
        "demo/base/model.safetensors",
        "demo/base/tokenizer.json",
        "report/page.html.jinja",
        "report/style.css",
        "report/colors.css",
    ):
        assert f"alignment/{name}" in names
    assert "alignment/py.typed" in names
    for name in (
        "guidelines.md",
        "practice.jsonl",
        "static/labeling.html",
        "static/team.html",
        "static/labeling.css",
        "static/main.js",
    ):
        assert f"labeling_ui/{name}" in names


def test_it_installs_the_command(names):
    assert any(name.endswith(".dist-info/entry_points.txt") for name in names)
