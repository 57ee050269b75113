"""The exit codes of `align`, each written once."""

DONE, FOUND, USER_ERROR, INTERRUPTED = 0, 1, 2, 130

MEANINGS = {
    DONE: "done; the output is there",
    FOUND: "`align data check` found at least one error in the file, or `align doctor` a fault in the run",
    USER_ERROR: "a mistake in a setting or an input: one sentence on stderr says what, its value, what it must be and what "
    "to do; nothing was written but checkpoints of a run that had begun. Also when stdout was closed before all was printed (the output is complete then)",
    INTERRUPTED: "Ctrl-C, SIGTERM or SIGHUP; nothing was written but checkpoints, which the same command line goes on from",
}
