"""No row, however odd, is a traceback: every format knows it, reads it into checked records, or says what is wrong.

Seen to fail: `isinstance(value, dict)` left out of a message's check; a role looked up without asking whether it is text."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from alignment.errors import UserError
from alignment.formats.columns import PROMPT_NAMES, RESPONSE_NAMES
from alignment.formats.conversion import convert_rows
from alignment.formats.detection import detect
from alignment.formats.table import FORMATS

INSIDE = ["role", "content", "from", "value", "text", "rank", "replies", "message_id", "parent_id", "user_id", "status"]
INSIDE += ["input", "output", "ranking", "prompt", "response-1", "model_name", "agent", "deleted", "finished", "model"]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-1, 2)
    | st.floats(allow_nan=False)
    | st.sampled_from(
        ["", "x", "user", "assistant", "prompter", "human", "\n\nHuman: a\n\nAssistant: b", "true", "response-1"]
    )
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(INSIDE), inner, max_size=4),
    max_leaves=6,
)
FIELDS = sorted(
    set().union(*(one.fields or () for one in FORMATS.values()), PROMPT_NAMES, RESPONSE_NAMES)
    | {"fields", "metadata", "suggestions", "ranking.responses", "ranking.responses.users", "ranking.suggestion"}
)


def rows(fields):
    return st.dictionaries(st.sampled_from(fields), VALUES.filter(lambda value: value is not None), max_size=5)


@pytest.mark.parametrize("name", FORMATS)
@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_row_is_a_traceback(name, data):
    one = FORMATS[name]
    fields = (
        sorted(one.fields) if one.fields else ["id", "fields", "metadata", "suggestions", "responses", *FIELDS[-3:]]
    )
    given_rows = [(f"line {n}", row) for n, row in enumerate(data.draw(st.lists(rows(fields), min_size=1, max_size=3)))]
    for kind in one.read:
        convert_rows(given_rows, one, kind, kind, "in.jsonl", skip_faulty=True)


@given(row=rows(FIELDS))
@example(row={"fields": {"prompt": []}, "responses": {"ranking": 3}})
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_detection_never_fails_otherwise(row):
    try:
        one, kind = detect([row], "in.jsonl", None)
    except UserError:
        return
    convert_rows([("line 1", row)], one, kind, kind, "in.jsonl", skip_faulty=True)
