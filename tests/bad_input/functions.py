"""The user's own Python: annotators, judges, rewards, and reward models that judge."""

from __future__ import annotations

from bad_input import inputs
from bad_input.case import Case

CALLERS = [("rank", "--annotator"), ("ppo", "--reward"), ("ppo", "--gold"), ("eval", "--judge")]
"""(command, the setting that names a function)."""

FUNCTIONS = [
    case
    for command, name in CALLERS
    for case in (
        Case("raises", f"{command} {name} opinions.py:raises", {}, (name, "raised RuntimeError: no opinion (prompt: 'Tom has")),
        Case("leaves the interpreter", f"{command} {name} opinions.py:leaves", {}, (name, "raised SystemExit")),
        Case("wrong count", f"{command} {name} opinions.py:short", {}, (name, "scores for", "it must return one each")),
        Case("returns text", f"{command} {name} opinions.py:text", {}, (name, "returned 'good'; each score must be a finite number")),
        Case("returns None", f"{command} {name} opinions.py:nothing", {}, (name, "returned None; it must return a list of one number a response")),
        Case("returns true", f"{command} {name} opinions.py:truth", {}, (name, "returned True; each score must be a finite number")),
        Case("returns NaN", f"{command} {name} opinions.py:nan", {}, (name, "returned nan; each score must be a finite number")),
        Case("returns infinity", f"{command} {name} opinions.py:infinite", {}, (name, "returned inf; each score must be a finite number")),
        Case("returns more than float32 holds", f"{command} {name} opinions.py:enormous", {}, (name, "returned 1e+300; each score must be a finite number")),
        Case("hangs", f"{command} {name} opinions.py:hangs --function-timeout .1", {}, (name, "took longer than 0.1 s", "--function-timeout")),
        Case("hangs and swallows exceptions", f"{command} {name} opinions.py:hangs_on --function-timeout .1", {}, (name, "took longer than 0.1 s")),
        Case("no such function", f"{command} {name} opinions.py:lenght", {}, (name, "has no function 'lenght'; name one that it defines")),
        Case("no function at all", f"{command} {name} opinions.py:number", {}, (name, "has no function 'number'")),
        Case("no colon", f"{command} {name} opinions", {}, f"{name} is 'opinions'; it must be MODULE:FUNCTION"),
        Case("no such module", f"{command} {name} no_such_module:f", {}, (name, "no_such_module cannot be imported", "run from the folder that holds it")),
        Case("no such file", f"{command} {name} bad.py:f", {}, (name, "bad.py cannot be imported", "No such file")),
        Case("a file with a syntax error", f"{command} {name} bad.py:f", {"bad.py": "def f(:\n"}, (name, "bad.py cannot be imported (SyntaxError")),
        Case("a module that leaves", f"{command} {name} bad.py:f", {"bad.py": "raise SystemExit\n"}, (name, "bad.py cannot be imported (SystemExit")),
    )
] + [
    Case("same score for all", "rank --annotator opinions.py:same", {}, ("--annotator opinions.py:same", "same score", "nothing to rank")),
    Case("same score for all", "ppo --reward opinions.py:same", {}, ("the reward is 1 for each of 8 responses", "must tell responses apart")),
    Case("same score for all, as it is", "ppo --reward opinions.py:same --no-normalize-scores --kl-coef 0 --lam 1", {}, (), code=0, added=("out",)),
    Case("a judge with another tokenizer", "eval --judge reward-model:other", inputs.other_reward_model, (), code=0, added=("out",)),
    Case("a reward model with another tokenizer", "ppo --reward none --reward-model other", inputs.other_reward_model, (), code=0, added=("out",)),
]  # fmt: skip
