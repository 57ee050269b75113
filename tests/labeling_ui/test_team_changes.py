"""The team's section on the reward model: what `align reward changes` kept in the store, shown without torch.

Mutations seen to fail:
- the oldest shown; the earlier ones left out -> test_the_newest_and_the_earlier_ones
- answers not sent to the page -> test_the_newest_and_the_earlier_ones
- the basis of the labels told for it -> test_the_newest_and_the_earlier_ones
- `alignment.scorer` imported by the section -> test_without_torch
- the section open to everybody, in the table of rules and in the handler -> test_for_the_team_alone
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from kept_changes import change
from labeling_server import ROOT

from alignment.preferences.store import Store
from labeling_ui.team.sections import computed


def test_none_yet(store):
    made = computed(store, "changes")
    assert "No two reward models are compared yet" in made["verdict"][0]
    assert made["figures"] == made["tables"] == made["answers"] == []
    assert made["basis"] == ""


def test_the_newest_and_the_earlier_ones(store):
    for number in (1, 2, 3):
        store.add_reward_change(change(number))
    made = computed(store, "changes")
    assert made["verdict"][0].startswith("rm-4 was given <strong>2 rankings</strong> that rm-3 was not, by 1 annotator")
    assert [one["title"] for one in made["figures"]] == ["Pairs ordered as the labels say", "Margins, new rankings"]
    assert [row[1:] for row in made["tables"][-1]["rows"]] == [
        ["rm-3", "rm-2", "2", "50.0 %", "50.0 %"],
        ["rm-2", "rm-1", "2", "50.0 %", "50.0 %"],
    ]
    assert made["basis"].startswith("Compared by align reward changes at 20")
    ((exchange,),) = [one["exchanges"] for one in made["answers"]]
    assert exchange["prompt"] == "<b>p</b>"
    preferred, other = exchange["answers"]
    assert (preferred["who"], preferred["pieces"]) == (
        "preferred by zoe",
        [("new", "good"), ("same", " "), ("same", "words")],
    )
    assert other["who"] == "not preferred"


def test_without_torch(store, tmp_path):
    store.add_reward_change(change(1))
    code = (
        "import sys; from alignment.preferences.store import Store; from labeling_ui.team.sections import computed\n"
        f"computed(Store({str(store.engine.url.database)!r}, create=False), 'changes')\n"
        "print([name for name in ('torch', 'transformers') if name in sys.modules])"
    )
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'kernels'}"}
    made = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert made.stdout == "[]\n"


@pytest.mark.parametrize(("who", "status"), [(None, 401), ("ann", 403), ("rob", 200), ("eve", 200)])
def test_for_the_team_alone(team, store: Store, who, status):
    answer = team(who).get("/v1/team/section/changes")
    assert answer.status_code == status
    assert "rm-" not in answer.text
