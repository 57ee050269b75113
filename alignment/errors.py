"""The one exception that means "the user can fix this": a sentence on stderr and exit code 2, never a traceback."""

from alignment.exit_codes import USER_ERROR


class UserError(Exception):
    """A mistake in the user's input. The text says what is wrong, its value, what it must be, and what to do.

    code: the exit code; a kind of mistake that a CI job must tell from the others has one of its own."""

    code = USER_ERROR
