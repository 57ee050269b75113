"""The report: one JSON object with everything, and a summary that a person reads at a glance."""

from __future__ import annotations

from typing import Any

from alignment.data_check.findings import FINDINGS, SEVERITIES, Findings, Severity
from alignment.data_check.fix import Mended
from alignment.data_check.lines import Source

SHOWN_LINES, SHOWN_EXAMPLES = 8, 2
COLOURS = {"error": "31", "warning": "33", "note": "36", "bold": "1", "dim": "2"}


def metrics(source: Source, findings: Findings, figures: dict[str, Any]) -> dict[str, Any]:
    """What --json prints: the counts, the figures, and every case of every finding with its line."""
    found = [kind for severity in SEVERITIES for kind in findings.found(severity)]
    return {
        "file": str(source.path),
        "kind": source.kind,
        "bytes": source.bytes,
        "lines": source.lines,
        "records": len(source.entries),
        **{f"{severity}s": count(findings, severity) for severity in SEVERITIES},
        **figures,
        "findings": [
            {
                "finding": kind,
                "severity": FINDINGS[kind].severity,
                "count": len(findings.of(kind)),
                "cases": [{"line": case.line, "detail": case.detail} for case in findings.of(kind)],
            }
            for kind in found
        ],
    }


def count(findings: Findings, severity: Severity) -> int:
    return sum(len(findings.of(kind)) for kind in findings.found(severity))


def text(source: Source, findings: Findings, figures: dict[str, Any], mended: str | None) -> str:
    """The summary; `mended`: what --fix wrote, None without it."""
    counts = [_counted(count(findings, severity), severity) for severity in SEVERITIES]
    if all(not findings.found(severity) for severity in SEVERITIES):
        counts = [_colour("nothing found", "bold")]
    head = f"{source.path}: {len(source.entries):,} {source.kind} on {source.lines:,} lines, {_size(source.bytes)}"
    blocks = [
        "\n".join([_colour(head, "bold"), *(f"  {name:<14}{value}" for name, value in _facts(figures))]),
        ", ".join(counts),
        *(_finding(kind, findings) for severity in SEVERITIES for kind in findings.found(severity)),
        mended or _hint(findings),
    ]
    return "\n\n".join(block for block in blocks if block)


def mended_text(path: str, mended: Mended, before: int) -> str:
    """What --fix wrote and every mend with its count."""
    lines = [f"wrote {path}: {len(mended.lines):,} of {before:,} lines; {before - len(mended.lines):,} dropped"]
    lines += [f"  dropped {count:,} × {kind}" for kind, count in sorted(mended.dropped.items())]
    lines += [f"  mended  {count:,} × {kind}" for kind, count in sorted(mended.changed.items())]
    return "\n".join(lines)


def _finding(kind: str, findings: Findings) -> str:
    about, cases = FINDINGS[kind], findings.of(kind)
    numbers = [str(case.line) for case in cases if case.line is not None]
    more = f", … ({len(numbers) - SHOWN_LINES:,} more)" if len(numbers) > SHOWN_LINES else ""
    title = (
        f"{_colour(f'{about.severity:<8}', about.severity)} {_colour(kind, 'bold')} × {len(cases):,}: {about.meaning}"
    )
    lines = [f"lines {', '.join(numbers[:SHOWN_LINES])}{more}"] if len(numbers) > SHOWN_EXAMPLES else []
    for case in cases[:SHOWN_EXAMPLES]:
        lines.append(": ".join(part for part in (f"line {case.line}" if case.line else "", case.detail) if part))
    lines += [_colour(f"→ {about.advice}", "dim")]
    return "\n".join([title, *(f"         {line}" for line in lines)])


def _facts(figures: dict[str, Any]) -> list[tuple[str, str]]:
    """(name, value) of the figures that a person reads first."""
    facts = []
    for unit in ("characters", "tokens"):
        for name in ("prompt", "response", "total"):
            values = figures.get(unit, {}).get(name)
            if values:
                p50, p90, p99, longest = (f"{values[key]:,}" for key in ("p50", "p90", "p99", "max"))
                facts.append((name, f"half up to {p50} {unit}, 90 % up to {p90}, 99 % up to {p99}, longest {longest}"))
    limit = figures.get("tokens", {}).get("limit")
    if limit:
        facts.append(("limit", f"{limit:,} tokens; {figures['tokens']['above_limit']:,} records are longer"))
    if figures["scripts"]:
        facts.append(
            ("letters", ", ".join(f"{name} {_percent(share)}" for name, share in _largest(figures["scripts"])))
        )
    if figures["near_duplicates_unchecked"]:
        facts.append(
            (
                "unchecked",
                f"{figures['near_duplicates_unchecked']:,} texts share a template: near-duplicates of them may be missed",
            )
        )
    if figures["other_fields"]:
        facts.append(("not read", "the fields " + ", ".join(figures["other_fields"])))
    for path, other in figures.get("against", {}).items():
        facts.append(
            ("against", f"{path}: {other['records']:,} records ({other['kind']}), {other['skipped']:,} lines skipped")
        )
    return facts + _ranking_facts(figures.get("rankings"))


def _ranking_facts(figures: dict[str, Any] | None) -> list[tuple[str, str]]:
    if figures is None:
        return []
    tied, missing = figures["tied_pairs"], figures["pairs_not_compared"]
    facts = [("pairs", f"{figures['strict_pairs']:,} strict, {tied:,} tied, {missing:,} not compared")]
    for name, label in (("position_bias", "earlier wins"), ("length_bias", "longer wins")):
        bias = figures[name]
        if bias["share"] is not None:
            interval = f"[{bias['low']:.1%}, {bias['high']:.1%}]"
            facts.append((label, f"{bias['share']:.1%} of the strict pairs, 95 % interval {interval}; 50 % is no bias"))
    share = figures["largest_annotator_share"]
    busiest = "none named" if share is None else f"{figures['annotators']}; the busiest ranked {share:.1%}"
    return [*facts, ("annotators", busiest)]


def _largest(shares: dict[str, float]) -> list[tuple[str, float]]:
    """The five largest."""
    return sorted(shares.items(), key=lambda pair: -pair[1])[:5]


def _counted(number: int, word: str) -> str:
    return f"{number:,} {word}{'s' * (number != 1)}"


def _percent(share: float) -> str:
    if share < 0.001:
        return "under 0.1 %"
    return "over 99.9 %" if 0.999 < share < 1 else f"{share * 100:.1f} %"


def _hint(findings: Findings) -> str:
    """What --fix would do, where it would do something."""
    kinds = [kind for severity in SEVERITIES for kind in findings.found(severity) if FINDINGS[kind].mended]
    kinds = [kind for kind in kinds if "--mask-pii" not in FINDINGS[kind].mended]
    return f"--fix writes a copy without: {', '.join(kinds)}" if kinds else ""


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


def _colour(text: str, name: str) -> str:
    return f"\x1b[{COLOURS[name]}m{text}\x1b[0m"
