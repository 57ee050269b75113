"""Lengths in the tokens of a model, as training and sampling will count them. Loaded only with --model."""

from __future__ import annotations

from typing import Any

from alignment.chat import encode_prompt, encode_response
from alignment.data_check.findings import Findings
from alignment.data_check.lengths import quantiles
from alignment.data_check.lines import Entry
from alignment.models import configured_context, load_tokenizer
from alignment.progress import progress
from alignment.records import Demonstration


def check(entries: list[Entry], model: str, max_length: int | None, findings: Findings) -> dict[str, Any]:
    """Adds `very_long` for records whose prompt with its longest response exceeds max_length (None: the context).

    Returns quantiles of prompt, response and both together, the limit, and how many records exceed it. Raises UserError
    when the model cannot be loaded, or names no context and no max_length is given."""
    tokenizer = load_tokenizer(model, "--model")
    limit = max_length or configured_context(model, "--model")
    prompts, responses, totals = [], [], []
    too_long = 0
    with progress(len(entries), "tokens", "record") as bar:
        for entry in entries:
            prompt, lengths = _lengths(tokenizer, entry)
            total = prompt + max(lengths, default=0)
            prompts.append(prompt)
            responses += lengths
            totals.append(total)
            if limit is not None and total > limit:
                too_long += 1
                findings.add("very_long", entry.line, f"{total:,} tokens; at most {limit:,} fit")
            bar.update()
    named = {"prompt": prompts, "response": responses, "total": totals}
    figures: dict[str, Any] = {name: quantiles(values) for name, values in named.items() if values}
    return {**figures, "limit": limit, "above_limit": too_long}


def _lengths(tokenizer: Any, entry: Entry) -> tuple[int, list[int]]:
    """Tokens of the prompt and of each response."""
    record = entry.record
    prompt = len(encode_prompt(tokenizer, record.prompt))
    if isinstance(record, Demonstration):
        return prompt, [len(encode_response(tokenizer, record.prompt, record.response))]
    several = getattr(record, "responses", ())
    return prompt, [len(encode_response(tokenizer, record.prompt, one.text, one.finished)) for one in several]
