"""`align COMMAND`: the table of commands. It sees every stage and is imported by nobody."""

from __future__ import annotations

import difflib
import importlib
import sys

from alignment.command import Command, main
from alignment.exit_codes import DONE, USER_ERROR
from alignment.terminal import streams

COMMANDS = {
    "import": "alignment.formats.importing:COMMAND",
    "export": "alignment.formats.exporting:COMMAND",
    "data check": "alignment.data_check.command:COMMAND",
    "store import": "alignment.preferences.command:IMPORT",
    "store rank": "alignment.preferences.command:RANK",
    "store export": "alignment.preferences.command:EXPORT",
    "store snapshot": "alignment.preferences.command:SNAPSHOT",
    "store info": "alignment.preferences.command:INFO",
    "store backup": "alignment.preferences.command:BACKUP",
    "store restore": "alignment.preferences.command:RESTORE",
    "store verify": "alignment.preferences.command:VERIFY",
    "store migrate": "alignment.preferences.command:MIGRATE",
    "label": "labeling_ui.config:COMMAND",
    "label user": "labeling_ui.config:USER",
    "queue": "alignment.loop.queue_config:COMMAND",
    "sft": "sft.config:COMMAND",
    "sample": "alignment.sample:COMMAND",
    "rank": "alignment.rank:COMMAND",
    "reward": "reward_model.config:COMMAND",
    "reward changes": "reward_model.changes.config:COMMAND",
    "ppo": "ppo.config:COMMAND",
    "doctor": "ppo.doctor:COMMAND",
    "eval": "alignment.evaluate:COMMAND",
    "report": "alignment.report.config:REPORT",
    "compare": "alignment.report.config:COMPARE",
    "registry add": "alignment.registry.command:ADD",
    "registry list": "alignment.registry.command:LIST",
    "registry show": "alignment.registry.command:SHOW",
    "registry verify": "alignment.registry.command:VERIFY",
    "registry rebuild": "alignment.registry.command:REBUILD",
    "registry gc": "alignment.registry.command:GC",
    "promote": "alignment.registry.command:PROMOTE",
    "rollback": "alignment.registry.command:ROLLBACK",
    "lineage": "alignment.registry.command:LINEAGE",
    "demo": "alignment.pipeline:COMMAND",
}


def command(name: str) -> Command:
    module, attribute = COMMANDS[name].split(":")
    return getattr(importlib.import_module(module), attribute)


def entry() -> int:
    """The `align` command."""
    with streams():
        return _entry()


def _entry() -> int:
    words = sys.argv[1:] or ["--help"]
    length = 2 if " ".join(words[:2]) in COMMANDS else 1  # `align data check` is one command of two words
    name, arguments = " ".join(words[:length]), words[length:]
    if name in COMMANDS:
        return main(command(name), arguments)
    if name in ("-h", "--help", "help"):
        print("usage: align COMMAND [--setting VALUE ...]\n\ncommands:")
        for known in COMMANDS:
            print(f"  {known:<18}{command(known).summary}")
        print("\n`align COMMAND --help` lists every setting with default, unit and source.")
        return DONE
    close = difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0.5)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    print(f"align: unknown command {name!r}{hint}; it must be one of {', '.join(COMMANDS)}", file=sys.stderr)
    return USER_ERROR
