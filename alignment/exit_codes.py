"""The exit codes of `align`, each written once."""

DONE, FOUND, USER_ERROR, INTERRUPTED = 0, 1, 2, 130
NOTHING_TO_DO, INCONCLUSIVE, REJECTED = 10, 11, 12
LOCKED, CHANGED, INTEGRITY = 20, 21, 30

MEANINGS = {
    DONE: "done; the output is there",
    FOUND: "`align data check` found at least one error in the file, or `align doctor` a fault in the run",
    USER_ERROR: "a mistake in a setting or an input: one sentence on stderr says what, its value, what it must be and what "
    "to do; nothing was written but checkpoints of a run that had begun. Also when stdout was closed before all was printed (the output is complete then)",
    NOTHING_TO_DO: "nothing to do: too few new labels since the last round",
    INCONCLUSIVE: "inconclusive: more votes or labels are needed; the report says of what and how many",
    REJECTED: "a gate rejected the candidate; the champion stays",
    LOCKED: "another process holds the registry's lock; nothing was changed; repeat it once that one has ended",
    CHANGED: "the champion (or another alias) is no longer the version that it was to take over from; nothing was changed; "
    "compare with the one that stands there now",
    INTEGRITY: "what is stored, or was to be stored, cannot be trusted: a byte that changed, a pickle, a link, code of a "
    "model's own; the sentence names the file",
    INTERRUPTED: "Ctrl-C, SIGTERM or SIGHUP; nothing was written but checkpoints, which the same command line goes on from",
}
