"""How many tasks each annotator has answered or skipped, kept beside the assignments, so that the page's progress costs the same
with a million labels as with none.

The database itself counts: a trigger follows each change of an assignment's state. Every such change is made under the lock of
the annotator's own row, so nobody waits for a counter that others change. Assignments begin as leased, which is not counted."""

from __future__ import annotations

from sqlalchemy import Connection, func, insert, select, text
from sqlalchemy.sql import Select

from alignment.preferences.schema import ASSIGNMENTS, TALLIES, TASKS

COUNTED = ("done", "late", "skipped")

TABLE = """CREATE TABLE tallies (
    annotator TEXT NOT NULL, state TEXT NOT NULL, tasks BIGINT NOT NULL, PRIMARY KEY (annotator, state)
)"""
OFF = "UPDATE tallies SET tasks = tasks - 1 WHERE annotator = OLD.annotator AND state = OLD.state"
ON = (
    "INSERT INTO tallies VALUES (NEW.annotator, NEW.state, 1) "
    "ON CONFLICT (annotator, state) DO UPDATE SET tasks = tallies.tasks + 1"
)
A_LABEL = "(SELECT purpose FROM tasks WHERE number = NEW.task) = 'label'"

SQLITE = tuple(
    f"CREATE TRIGGER tallies_{name} AFTER UPDATE OF state ON assignments "
    f"WHEN OLD.state <> NEW.state AND {row}.state IN {COUNTED} AND {A_LABEL} BEGIN {statement}; END"
    for name, row, statement in (("off", "OLD", OFF), ("on", "NEW", ON))
)
POSTGRESQL = (
    f"CREATE FUNCTION tally() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF {A_LABEL} THEN "
    f"IF OLD.state IN {COUNTED} THEN {OFF}; END IF; IF NEW.state IN {COUNTED} THEN {ON}; END IF; "
    "END IF; RETURN NULL; END $$",
    "CREATE TRIGGER tallies_follow AFTER UPDATE OF state ON assignments FOR EACH ROW "
    f"WHEN (OLD.state <> NEW.state AND (OLD.state IN {COUNTED} OR NEW.state IN {COUNTED})) EXECUTE FUNCTION tally()",
)


def create(connection: Connection) -> None:
    """Of the second migration: the table, filled with what is there, and the triggers."""
    connection.execute(text(TABLE))
    for statement in SQLITE if connection.dialect.name == "sqlite" else POSTGRESQL:
        connection.execute(text(statement))
    fill(connection)


def fill(connection: Connection) -> None:
    """Counts every assignment, into the empty table."""
    connection.execute(insert(TALLIES).from_select(["annotator", "state", "tasks"], counted()))


def counted() -> Select:
    """(annotator, state, tasks) from the assignments themselves: what the table must hold."""
    own = ASSIGNMENTS.c
    found = select(own.annotator, own.state, func.count()).join(TASKS, TASKS.c.number == own.task)
    return found.where(TASKS.c.purpose == "label", own.state.in_(COUNTED)).group_by(own.annotator, own.state)
