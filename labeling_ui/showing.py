"""A task of the store → what the page gets: each text as it is, and as safe HTML where it is Markdown."""

from __future__ import annotations

from typing import Any

from alignment.preferences.labels import Past
from alignment.preferences.views import TaskView
from alignment.records import Prompt
from labeling_ui.markdown import safe_html

SHORT = 160


def shown_task(task: TaskView) -> dict[str, Any]:
    return {
        "lease": task.lease,
        "kind": task.kind,
        "prompt": shown_prompt(task.prompt),
        "cards": [{"slot": card.slot, **shown_text(card.text)} for card in task.cards],
        "expires": task.expires,
        "draft": task.draft,
        "answer": task.answer,
        "event": task.event,
        "practice": None,
    }


def shown_prompt(prompt: Prompt) -> list[dict[str, Any]]:
    """One message for a plain text, with the role None."""
    messages = [{"role": None, "content": prompt}] if isinstance(prompt, str) else prompt
    return [{"role": one["role"], **shown_text(str(one["content"]))} for one in messages]


def shown_text(text: str) -> dict[str, Any]:
    return {"text": text, "html": safe_html(text)}


def shown_past(past: Past) -> dict[str, Any]:
    """A line of the history, with the task for an edit."""
    last = past.task.prompt if isinstance(past.task.prompt, str) else past.task.prompt[-1]["content"]
    return {
        "event": past.event,
        "saved": past.saved,
        "standing": past.standing,
        "excerpt": " ".join(last.split())[:SHORT],
        "task": shown_task(past.task),
    }
