"""Models, at every door: each setting that names a policy or a reward model."""

from __future__ import annotations

from bad_input import conditions, inputs
from bad_input.case import Case, made

DOORS = [
    ("sft", "--base", ""),
    ("sample", "--policy", ""),
    ("reward", "--base", ""),
    ("ppo", "--policy", ""),
    ("eval", "--policy", ""),
    ("eval", "--against", ""),
]
"""(command, the setting that names a policy, what goes before its path)."""

SCORER_DOORS = [
    ("ppo", "--reward none --reward-model", ""),
    ("ppo", "--selection-prompts prompts.jsonl --selection-reward-model", ""),
    ("eval", "--judge", "reward-model:"),
    ("eval", "--reward-model", ""),
]
RUN_DOORS = [("reward changes", "--against", "")]
"""Likewise for reward models, and for those with the files of their run."""


def door_cases(
    doors: list[tuple[str, str, str]], source: str, faults: list[tuple[str, inputs.Spoil, list[str]]]
) -> list[Case]:
    """Every fault at every door; each sentence names the setting and the model besides its own phrases."""
    return [
        Case(name, f"{command} {flag} {prefix}bad", inputs.spoiled(source, spoil), [flag.split()[-1], "bad", *phrases])
        for command, flag, prefix in doors
        for name, spoil, phrases in faults
    ]


CHECKED_EVERYWHERE: list[tuple[str, inputs.Spoil, list[str]]] = [
    ("empty directory", inputs.emptied, ["holds no"]),
    ("damaged config.json", inputs.damaged_config, ["cannot be loaded"]),
    ("unknown architecture", inputs.unknown_architecture, ["cannot be loaded"]),
    ("truncated safetensors", inputs.truncated, []),
    ("pickled weights", inputs.pickled, ["its weights are pickled (.bin)", "`save_pretrained` writes safetensors"]),
    ("no tokenizer", inputs.without_tokenizer, ["tokenizer"]),
    ("tokenizer without EOS", inputs.without_eos, ["its tokenizer has no EOS token", "put the model's tokenizer files"]),
    ("NaN weights", inputs.nan_weights, ["holds weights that are NaN or infinite"]),
    ("a layer lost", inputs.a_layer_lost, ["lacks 9 weights of its architecture", "give the whole model"]),
]  # fmt: skip

POLICY_FAULTS: list[tuple[str, inputs.Spoil, list[str]]] = [
    ("a file", inputs.a_file, ["is a file; give the directory of a model"]),
    ("no weights", inputs.without_weights, ["cannot be loaded"]),
    ("code of its own", inputs.own_code, ["cannot be loaded"]),
    (
        "adapter without its base",
        inputs.an_adapter_without_base,
        ["base of the adapter", "/gone/base: no such directory"],
    ),
    ("adapter that names no base", inputs.an_adapter_of_nothing, ["names no base model; merge it"]),
    ("damaged adapter_config.json", inputs.a_damaged_adapter, ["adapter_config.json is damaged"]),
    ("truncated adapter", inputs.a_truncated_adapter, ["its adapter cannot be loaded"]),
    (
        "pickled adapter",
        inputs.a_pickled_adapter,
        ["its weights are pickled (.bin)", "`save_pretrained` writes safetensors"],
    ),
]

SCORER_FAULTS: list[tuple[str, inputs.Spoil, list[str]]] = [
    ("no weights", inputs.without_weights, ["holds no safetensors", "`align reward`"]),
    ("no head", inputs.without_head, ["its score head is missing", "train it with `align reward`"]),
    ("scores beyond all bounds", inputs.enormous_head, ["gives the score", "every score must be a finite number"]),
    ("num_labels 2", inputs.two_labels, ["its head gives 2 numbers; a reward model gives one (num_labels 1)"]),
]

MODELS = [
    *door_cases(DOORS, "policy", CHECKED_EVERYWHERE + POLICY_FAULTS),
    *door_cases(SCORER_DOORS, "reward-model", CHECKED_EVERYWHERE + SCORER_FAULTS),
    *door_cases(RUN_DOORS, "old-reward", CHECKED_EVERYWHERE + SCORER_FAULTS),
    *[Case("no such directory", f"{c} {flag} {prefix}./bad", {}, (f"{flag.split()[-1]}", "./bad: no such directory")) for c, flag, prefix in DOORS + SCORER_DOORS + RUN_DOORS],
    *[Case("no such Hub id", f"{c} {flag} nobody/none", {}, (f"{flag} nobody/none", "a Hub id that this machine can reach")) for c, flag, _ in DOORS],
    *[Case("pickled weights on the Hub", f"{c} {flag} team/bad", inputs.downloaded(inputs.pickled), (f"{flag} team/bad: its model cannot be loaded", "safetensors"), conditions.hub_cache) for c, flag, _ in DOORS],
    *[Case("pickled adapter on the Hub", f"{c} {flag} team/bad", inputs.downloaded(inputs.a_pickled_adapter), (f"{flag} team/bad: its weights are pickled (.bin)",), conditions.hub_cache) for c, flag, _ in DOORS],
    Case("a good model on the Hub", "sample --policy team/bad", inputs.downloaded(inputs.unspoiled), (), conditions.hub_cache, code=0, added=made("sample")),
    Case("enormous weights", "sample --policy bad", inputs.spoiled("policy", inputs.enormous_weights), "the policy gives no probabilities"),
    Case("adapter without its head", "ppo --reward none --lora-rank 2 --reward-model bad", inputs.spoiled("reward-model", inputs.an_adapted_scorer_without_head), ("--reward-model bad/adapter", "its score head is missing", "train it with `align reward`")),
    Case("torn adapter", "ppo --reward none --lora-rank 2 --reward-model bad", inputs.spoiled("reward-model", inputs.an_adapted_scorer_torn), ("--reward-model bad/adapter", "missing or damaged", "remove adapter/")),
    Case("a policy as the reward model", "ppo --reward none --reward-model policy", {}, ("--reward-model policy", "score head is missing")),
    Case("a policy as the newer reward model", "reward changes policy", {}, ("NEW policy", "score head is missing")),
    Case("a reward model without a run", "reward changes --against reward-model", {}, "--against reward-model: holds no run.json; give a directory that `align reward` wrote"),
    Case("a reward model against itself", "reward changes --against ./new-reward", {}, "--against ./new-reward: is NEW itself"),
    Case("reward models the wrong way round", "reward changes old-reward --against new-reward", {}, "NEW old-reward: has no new rankings"),
    Case("rankings that have gone", "reward changes", lambda folder: (folder / "rankings.jsonl").unlink(), ("--against old-reward: it was trained with --rankings rankings.jsonl: no such file", "give --against-rankings")),
    Case("rankings that have gone, too", "reward changes --rankings none", {}, "--rankings none: no such file"),
    Case("no store for the change", "reward changes --store none.db", {}, "--store none.db: there is no store"),
    Case("a reward model as the policy", "sample --policy reward-model", {}, ("--policy reward-model", "is a reward model")),
]  # fmt: skip
