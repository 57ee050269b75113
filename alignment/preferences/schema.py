"""The tables of the store as SQLAlchemy sees them. `migrations.py` makes them; a test compares the two."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Double, Integer, MetaData, Table, Text

METADATA = MetaData()


def _number() -> Column:
    """A row's number, given by the database in rising order; gaps mean nothing."""
    return Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True)


PROMPTS = Table(
    "prompts",
    METADATA,
    Column("id", Text, primary_key=True),  # SHA-256 of `prompt`
    Column("prompt", Text, nullable=False),  # canonical JSON: a text or a list of messages
)

RESPONSES = Table(
    "responses",
    METADATA,
    Column("id", Text, primary_key=True),  # SHA-256 of `text`
    Column("text", Text, nullable=False),  # canonical JSON of the text: a JSON string can hold what SQL text cannot
)

TASKS = Table(
    "tasks",
    METADATA,
    _number(),
    Column("id", Text, nullable=False, unique=True),  # SHA-256 of all that never changes, its responses too
    Column("kind", Text, nullable=False),
    Column("prompt_id", Text, nullable=False),
    Column("record_id", Text, nullable=False),  # the record's own id
    Column("group_name", Text),
    Column("source", Text),
    Column("purpose", Text, nullable=False),
    Column("slice", Text),  # how the loop chose it; may change, like all below
    Column("priority", Double, nullable=False),
    Column("overlap", Integer, nullable=False),  # labels wanted
    Column("taken", Integer, nullable=False),  # assignments that are leased or done; never above `overlap`
)

TASK_RESPONSES = Table(
    "task_responses",
    METADATA,
    Column("task", BigInteger, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("response_id", Text, nullable=False),
    Column("model", Text),
    Column("finished", Boolean, nullable=False),
)

AUTHORS = Table(
    "authors",
    METADATA,
    Column("response_id", Text, primary_key=True),
    Column("annotator", Text, primary_key=True),
)

GOLD = Table(
    "gold",
    METADATA,
    Column("task", BigInteger, primary_key=True),
    Column("ranks", Text, nullable=False),  # JSON, one rank for each position
    Column("note", Text),  # why, shown after a practice item
)

ANNOTATORS = Table(
    "annotators",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Column("quarantined", Boolean, nullable=False),
)

ASSIGNMENTS = Table(
    "assignments",
    METADATA,
    Column("task", BigInteger, primary_key=True),
    Column("annotator", Text, primary_key=True),
    Column("lease", Text, nullable=False, unique=True),  # what the client knows the task by
    Column("shown", Text, nullable=False),  # JSON: positions in the order shown; drawn once, never again
    Column("state", Text, nullable=False),  # leased, expired, done, late, skipped, offered
    Column("leased", BigInteger, nullable=False),  # ms since 1970
    Column("expires", BigInteger, nullable=False),
    Column("draft", Text),
)

TALLIES = Table(
    "tallies",
    METADATA,
    Column("annotator", Text, primary_key=True),
    Column("state", Text, primary_key=True),
    Column("tasks", BigInteger, nullable=False),  # assignments in that state, to tasks that labels come from
)
"""Follows from the assignments: a backup does not copy it."""

EVENTS = Table(
    "events",
    METADATA,
    _number(),
    Column("key", Text, nullable=False),  # the client's, the same for every retry
    Column("annotator", Text, nullable=False),  # "" where nobody is known
    Column("kind", Text, nullable=False),
    Column("task", BigInteger),
    Column("supersedes", BigInteger),  # number of the event that this one replaces or undoes
    Column("body", Text, nullable=False),  # canonical JSON
    Column("request", Text, nullable=False),  # SHA-256 of what the client sent
    Column("created", BigInteger, nullable=False),  # ms since 1970
    Column("digest", Text, nullable=False),  # SHA-256 of the row
)

SNAPSHOTS = Table(
    "snapshots",
    METADATA,
    _number(),
    Column("digest", Text, nullable=False, unique=True),
    Column("counts", Text, nullable=False),  # canonical JSON
    Column("created", BigInteger, nullable=False),
)

SNAPSHOT_EVENTS = Table(
    "snapshot_events",
    METADATA,
    Column("snapshot", BigInteger, primary_key=True),
    Column("event", BigInteger, primary_key=True),
)

VERSIONS = Table(
    "store_versions",
    METADATA,
    Column("version", Integer, primary_key=True),
    Column("applied", BigInteger, nullable=False),
)

IN_ORDER = (
    PROMPTS, RESPONSES, TASKS, TASK_RESPONSES, AUTHORS, GOLD, ANNOTATORS, ASSIGNMENTS, EVENTS, SNAPSHOTS, SNAPSHOT_EVENTS,
)  # fmt: skip
"""All that a backup copies, in an order in which no row speaks of one that is not there yet."""
