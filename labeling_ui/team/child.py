"""A section is computed in a process of its own: annotators' requests do not wait for it, and plots are drawn elsewhere.

One process for each computation: it needs no care, leaves nothing behind, and gives its memory back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from alignment.errors import UserError
from alignment.preferences.store import Store

LONGEST_SECONDS = 300

NICER = 10
"""How far it stands behind the server, where both want the same core."""


def in_child(url: str, name: str) -> dict[str, Any]:
    """What `sections.computed` gives; {"problem": sentence} where it went wrong."""
    quiet = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    try:
        made = subprocess.run(
            [sys.executable, "-m", "labeling_ui.team.child"],
            input=json.dumps({"url": url, "name": name}),  # not on the command line: a URL may hold a password
            capture_output=True,
            text=True,
            encoding="utf-8",
            env=os.environ | quiet,
            timeout=LONGEST_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return {"problem": f"the figures took more than {LONGEST_SECONDS} seconds and were given up"}
    if made.returncode:
        why = (made.stderr.strip().splitlines() or ["no reason given"])[-1]
        return {"problem": f"the figures could not be computed: {why}"}
    return json.loads(made.stdout)


def main() -> None:
    from labeling_ui.team.sections import computed

    os.nice(NICER)
    asked = json.load(sys.stdin)
    try:
        with Store(asked["url"], create=False) as store:
            made = computed(store, asked["name"])
    except UserError as error:
        made = {"problem": str(error)}
    json.dump(made, sys.stdout)


if __name__ == "__main__":
    main()
