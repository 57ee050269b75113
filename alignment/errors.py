"""The one exception that means "the user can fix this": a sentence on stderr and exit code 2, never a traceback."""


class UserError(Exception):
    """A mistake in the user's input. The text says what is wrong, its value, what it must be, and what to do."""
