"""Writes the pages of docs/ that are made from the code: `make docs`. A test fails while a page differs from the code.

python docs/generate.py           rewrite the pages
python docs/generate.py --check   exit code 1 and the names of the pages that differ
"""

from __future__ import annotations

import ast
import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

from alignment.cli import COMMANDS, command
from alignment.command import Command
from alignment.config import build_parser, ordered_fields, shown, shown_name
from alignment.data_check.findings import findings_table
from alignment.exit_codes import MEANINGS
from alignment.loop.decision import EXIT_CODES
from alignment.loop.gates import GATES
from alignment.loop.policy import Policy, rule
from alignment.metrics import METRICS

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("alignment", "sft", "reward_model", "ppo", "labeling_ui", "kernels/alignment_kernels")
NOTE = "<!-- made by docs/generate.py; change the code it names, then run `make docs` -->\n\n"
GOOD = {"up": "higher is better", "down": "lower is better", "watch": "to watch"}


def main() -> int:
    stale = [name for name, page in PAGES.items() if read(name) != NOTE + page()]
    if "--check" in sys.argv:
        print("\n".join(f"docs/{name} differs from the code; run `make docs`" for name in stale) or "docs are current")
        return 1 if stale else 0
    for name in stale:
        (ROOT / "docs" / name).write_text(NOTE + PAGES[name](), encoding="utf-8")
        print(f"docs/{name} rewritten")
    return 0


def read(name: str) -> str:
    path = ROOT / "docs" / name
    return path.read_text(encoding="utf-8") if path.exists() else ""


def settings_page() -> str:
    """Every command with every setting, from the settings classes."""
    parts = ["# Commands and settings\n", "`align COMMAND --help` prints the same, from the same place in the code."]
    index = "\n".join(
        f"- [`align {name}`](#align-{name.replace(' ', '-')}): {command(name).summary}" for name in COMMANDS
    )
    return "\n".join([*parts, "", index, "", *(command_section(command(name)) for name in COMMANDS)])


def command_section(one: Command) -> str:
    rows = [
        (
            code(shown_name(field)),
            default(field),
            field.metadata["unit"],
            field.metadata["help"],
            field.metadata["source"],
        )
        for field in ordered_fields(one.settings)
    ]
    own = {shown_name(field) for field in dataclasses.fields(one.settings)}
    options = [
        (code(action.option_strings[-1]), str(action.help).replace("%%", "%"))
        for action in build_parser(one.settings, one.name, one.summary, one.repeats, one.plan is not None)._actions
        if action.option_strings and action.option_strings[0] not in own
    ]
    return (
        f"## align {one.name}\n\n{one.summary}\n\n"
        + table(("setting", "default", "unit", "meaning", "source"), rows)
        + "\nOptions that are no settings:\n\n"
        + table(("option", "meaning"), options)
    )


def default(field: dataclasses.Field) -> str:
    return "**required**" if field.default is dataclasses.MISSING else code(shown(field, field.default))


def metrics_page() -> str:
    """The glossary, from `alignment/metrics.py`."""
    rows = [(code(one.name), one.unit, one.formula, GOOD[one.good]) for one in METRICS.values()]
    return (
        "# Metrics\n\nWhat `history.jsonl`, the trackers and the reports show. Means are sums of values ÷ sums of counts, "
        "never means of means.\n\n" + table(("metric", "unit", "formula", "good direction"), rows)
    )


def findings_page() -> str:
    """Every kind of finding of `align data check`, from `alignment/data_check/findings.py`."""
    return (
        "# Findings of `align data check`\n\nErrors make the exit code 1: a stage would refuse the file, or its result "
        "would mean nothing. Warnings and notes leave it 0. The last column says what `--fix` does.\n\n"
        + findings_table()
    )


def exit_codes_page() -> str:
    """What a CI job can rely on, from `alignment/exit_codes.py`."""
    rows = [(str(number), meaning) for number, meaning in MEANINGS.items()]
    traceback = "A traceback shows a user's mistake only with `--debug`; without it a traceback is a bug of ours.\n"
    return "# Exit codes\n\n" + table(("code", "meaning"), rows) + "\n" + traceback


def loop_page() -> str:
    """The gates with the default policy's numbers, the decision, the policy file; from `alignment/loop/`."""
    policy = Policy()
    gates = [
        (
            code(one.name),
            rule(one.name, policy),
            str(one.on_fail),
            "yes" if one.lenient else "no",
            "yes" if one.waivable else "no",
        )
        for one in GATES.values()
    ]
    outcomes = [(str(number), outcome, str(code_)) for number, (outcome, code_) in enumerate(EXIT_CODES.items(), 1)]
    settings = [
        (code(field.name), default(field), field.metadata["unit"], field.metadata["help"], field.metadata["source"])
        for field in dataclasses.fields(Policy)
    ]
    return (
        "# The loop's gates\n\nA candidate is promoted when it passes every gate. Intervals are 95 %, two-sided, by prompt; "
        "numbers below are the defaults of the policy file. What the chain lets through and what it turns away: "
        "[benchmarks/results/gates.md](../benchmarks/results/gates.md).\n\n"
        + table(("gate", "passes when", "exit code when it fails", "lenient", "may be waived"), gates)
        + "\nA gate that cannot tell for want of labels or votes is inconclusive (exit code 11) and says how many more it needs; "
        "never a wider margin. *lenient*: with `mode: lenient` such a gate, or one that was not measured, only warns.\n\n"
        "## The decision\n\nThe first that applies. A candidate is a challenger where the floor or people's votes allow no more, "
        "or a gate was not measured; nothing but that, and it is promoted.\n\n"
        + table(("", "outcome", "exit code"), outcomes)
        + "\n## The policy file\n\nYAML, one `name: value` a line; what it does not name has its default.\n\n"
        + table(("setting", "default", "unit", "meaning", "source"), settings)
    )


def house_page() -> str:
    """Every module with the first line of its docstring."""
    parts = ["# The house, room by room\n", "Each file says in its first line what lives there.\n"]
    for room in ROOMS:
        parts.append(f"## {room}/\n")
        files = sorted(path for path in (ROOT / room).rglob("*.py") if path.name != "__init__.py")
        parts.append(
            table(("file", "what lives there"), [(code(str(p.relative_to(ROOT / room))), first_line(p)) for p in files])
        )
    return "\n".join(parts)


def first_line(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split())


def code(text: str) -> str:
    return f"`{text}`" if text else ""


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |\n" for line in lines)


PAGES: dict[str, Callable[[], str]] = {
    "commands.md": settings_page,
    "metrics.md": metrics_page,
    "exit-codes.md": exit_codes_page,
    "data-check.md": findings_page,
    "loop.md": loop_page,
    "house.md": house_page,
}

if __name__ == "__main__":
    sys.exit(main())
