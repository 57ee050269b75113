"""The sections of the team's page that are computed from labels. One more is a module with `section(material)` and a line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from alignment.preferences.store import Store


@dataclass(frozen=True)
class Entry:
    """name: in the page's address. maker: `module:function`, from the labels to a `document.Section`; imported where it is
    computed (child.py), never in the server. "": the page asks for it by itself."""

    name: str
    title: str
    maker: str = ""


SECTIONS = (
    Entry("progress", "Progress", "labeling_ui.team.progress:section"),
    Entry("agreement", "Agreement", "labeling_ui.team.agreement:section"),
    Entry("annotators", "Annotators", "labeling_ui.team.annotators:section"),
    Entry("bias", "Position and length", "labeling_ui.team.bias:section"),
    Entry("gold", "Gold items", "labeling_ui.team.gold:section"),
    Entry("disputes", "Disagreements", "labeling_ui.team.disputes:section"),
    Entry("changes", "Reward model", "labeling_ui.team.changes:section"),
    Entry("audit", "Audit trail"),
    Entry("export", "Export"),
)
"""In the order of the page."""

COMPUTED = {entry.name: entry.maker for entry in SECTIONS if entry.maker}


def computed(store: Store, name: str) -> dict[str, Any]:
    """A section for the page, as JSON can hold it: {title, verdict, figures, tables, answers, basis}; or a list of disagreements."""
    from labeling_ui.team.material import Material
    from labeling_ui.team.pictures import plain_section

    material = Material(store)
    module, _, function = COMPUTED[name].partition(":")
    make: Callable[[Material], Any] = getattr(import_module(module), function)
    made = make(material)
    shown = made if isinstance(made, dict) else plain_section(made)
    return {"basis": material.basis, **shown}
