"""What `align reward changes` keeps in a store, made up, for tests of the page that shows it."""

from __future__ import annotations

PART = {
    "n_rankings": 2, "n_annotators": 1, "n_simulated_annotators": 0, "n_pairs": 2, "n_units": 2,
    **{name: {"value": 0.5, "low": 0.25, "high": 0.75} for name in ("accuracy_old", "accuracy_new", "accuracy_change", "margin_change", "towards", "away")},
    "p": 0.5, "n_responses": 4, "scores_spearman": 0.5, "length_spearman_old": 0.5, "length_spearman_new": 0.5, "unseen": None,
}  # fmt: skip
PAIR = {"prompt": "<b>p</b>", "chosen": "good words", "rejected": "bad words", "annotator": "zoe", "margin_old": -1, "margin_new": 1, "turned": 1}  # fmt: skip


def change(number: int, prompt: str = "<b>p</b>") -> dict:
    about = {side: {"model": f"rm-{number + step}", "rankings": []} for step, side in enumerate(("old", "new"))}
    counts = {"n_new": 2, "n_shared": 1, "n_gone": 0, "n_annotators": 1, "n_simulated_annotators": 0}
    return {
        **about,
        **counts,
        "parts": {"new": PART},
        "points": {"new": [[-1, 1], [1, 2]]},
        "most_changed": [{**PAIR, "prompt": prompt}],
    }
