"""The gate on what would be served: whole, loadable, answering in time, and a way back."""

from __future__ import annotations

from collections.abc import Mapping

from alignment.loop.gates import GateResult, gate_result
from alignment.loop.policy import Policy


def integrity(problems: Mapping[str, str | None], serve_seconds: float | None, policy: Policy) -> GateResult:
    """problems: what was tried → what went wrong, None where nothing did; for example manifest, clean load, generation,
    rollback. serve_seconds: until the new version answered by name; None: it did not. estimate: those seconds."""
    found = [f"{name}: {problem}" for name, problem in problems.items() if problem is not None]
    if serve_seconds is None:
        found.append("serving: no answer by name")
    elif serve_seconds > policy.serve_seconds:
        found.append(
            f"serving: {serve_seconds:.1f} s until the first answer by name, at most {policy.serve_seconds:g} s"
        )
    return gate_result(
        "integrity",
        "fail" if found else "pass",
        "; ".join(found) or f"{', '.join(problems)} hold; answered by name after {serve_seconds:.1f} s",
        estimate=serve_seconds,
        n=len(problems) + 1,
        threshold=policy.serve_seconds,
    )
