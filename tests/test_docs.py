"""Docs that cannot drift. Mutations seen to fail: a default changed without `make docs` (test_generated_pages...), a file
of the README's tree renamed (test_the_tree...), a command left out of the README (test_the_readme_names...)."""

import re
import subprocess
import sys
from pathlib import Path

from alignment.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_generated_pages_are_current():
    done = subprocess.run([sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_tree_of_the_house_exists():
    tree = re.search(r"## The tree of the house\n+```\n(.*?)```", README, re.DOTALL)
    assert tree
    room = ""
    seen = set()
    for line in tree[1].splitlines():
        if top := re.match(r"([\w/]+/)\s", line):
            room = top[1]
            seen.add(room.split("/")[0])
        for name in re.findall(r"\b[\w/]+\.(?:py|html|md)\b|(?<=  )\w+/(?= )", line):
            assert (ROOT / room / name).exists() or (ROOT / name).exists(), f"{room}{name} is in the tree, not on disk"
    folders = {path.parts[0] for path in map(Path, tracked()) if len(path.parts) > 1 and path.parts[0][0] != "."}
    assert seen == folders


def test_the_readme_names_every_command():
    assert [name for name in COMMANDS if f"align {name}" not in README] == []


def test_relative_links_lead_somewhere():
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return listed.stdout.split()
