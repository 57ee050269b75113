"""Files of records: what is no text, what is no JSON, what is no record."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

from bad_input import conditions, inputs
from bad_input.case import Case

READERS = [
    ("sft", "--data"),
    ("sample", "--prompts"),
    ("rank", "--responses"),
    ("reward", "--rankings"),
    ("reward", "--eval-rankings"),
    ("reward", "--verdicts"),
    ("ppo", "--prompts"),
    ("eval", "--prompts"),
    ("queue", "--responses"),
]
"""(command, the setting that names a JSONL file)."""

POSITIONAL = [("export", "RECORDS"), ("data check", "FILE")]
"""(command, its file's name), where the file stands without a flag."""

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x02\x00"
LINE = '{"prompt": "p", "response": "r", "responses": ["a", "b"], "ranks": [1, 2], "verdict": "good"}\n'
"""A record that every reader takes."""


def hundred_megabytes(folder: Path) -> None:
    with open(folder / "bad", "wb") as file:
        for _ in range(100):
            file.write(b"x" * 2**20)


def unreadable(folder: Path) -> None:
    (folder / "bad").write_text(LINE)
    (folder / "bad").chmod(0)
    folder.chmod(0o777)  # the output could be written


def file_cases(command: str, flag: str, name: str) -> list[Case]:
    """What is wrong with a file as a whole, and is told alike everywhere."""
    line = f"{command} {flag} bad"
    return [
        Case("missing file", line, {}, f"{name} bad: no such file"),
        Case("empty file", line, {"bad": ""}, f"{name} bad: holds no record"),
        Case("blank lines", line, {"bad": "\n \n"}, f"{name} bad: holds no record"),
        Case("unreadable", line, unreadable, f"{name} bad: cannot be read (Permission denied)", conditions.nobody),
        Case("binary", line, {"bad": b"PAR1\x15\x00\x15\x10"}, f"{name} bad: is a binary file"),
        Case("UTF-16", line, {"bad": LINE.encode("utf-16")}, f"{name} bad: is UTF-16 text; save it as UTF-8"),
    ]  # fmt: skip


FILES = [
    *[case for command, name in READERS for case in file_cases(command, name, name)],
    *[case for command, name in POSITIONAL for case in file_cases(command, "", name)],
] + [
    case
    for command, name in READERS
    for case in (
        Case("a directory", f"{command} {name} bad", {"bad": None}, f"{name} bad: cannot be read (Is a directory)"),
        Case("a picture", f"{command} {name} bad", {"bad": PNG}, (f"{name} bad", "is not UTF-8 text", "save it as UTF-8")),
        Case("gzip", f"{command} {name} bad", {"bad": gzip.compress(LINE.encode(), mtime=0)}, f"{name} bad: is compressed by gzip; unpack it"),
        Case("Latin-1", f"{command} {name} bad", {"bad": LINE.encode() + b'{"prompt": "\xfc"}\n'}, (f"{name} bad, line 2: is not UTF-8 text", "at byte 13")),
        Case("malformed line", f"{command} {name} bad", {"bad": LINE + '{"prompt": "p",\n'}, (f"{name} bad, line 2: is not JSON", "at character 16", "one JSON object a line")),
        Case("a list", f"{command} {name} bad", {"bad": LINE + "[1]\n"}, f"{name} bad, line 2: holds a list; each line must hold one JSON object"),
        Case("deep nesting", f"{command} {name} bad", {"bad": LINE + "[" * 100_000}, f"{name} bad, line 2: its lists or objects are nested too deeply"),
        Case("number as a prompt", f"{command} {name} bad", {"bad": LINE.replace('"p"', "7")}, (f"{name} bad, line 1: prompt is 7", "must be text")),
        Case("NaN", f"{command} {name} bad", {"bad": LINE.replace('"p"', "NaN")}, f"{name} bad, line 1: holds NaN, which is not JSON"),
    )
] + [Case("a line of 100 MB", "rank --responses bad", hundred_megabytes, "--responses bad, line 1: is longer than 32 MiB", conditions.little_memory)]  # fmt: skip


def one(**changes: object) -> dict[str, str]:
    """`bad`, one record of two responses; None leaves a field out."""
    record = {"prompt": "p", "responses": ["a", "b"], "ranks": [1, 2], **changes}
    return {"bad": json.dumps({name: value for name, value in record.items() if value is not None}) + "\n"}


def strict_template(folder: Path) -> None:
    (folder / "chat").write_text(json.dumps({"prompt": CHAT}))
    template = "{{ raise_exception('roles must alternate') }}"
    inputs.spoiled("policy", lambda model: inputs.edit(model / "tokenizer_config.json", chat_template=template))(folder)


CHAT = [{"role": "user", "content": "Hello"}]
LONG = "Where is the boat? " * 60
DEMONSTRATION = {"bad": '{"prompt": "p", "response": "r"}\n'}

RECORDS = [
    Case("true as a response", "sft --data bad", {"bad": '{"prompt": "p", "response": true}'}, "line 1: response is true; it must be text"),
    Case("null as a response", "sft --data bad", {"bad": '{"prompt": "p", "response": null}'}, "line 1: response is null; it must be text"),
    Case("an empty response", "sft --data bad", {"bad": '{"prompt": "p", "response": " "}'}, "line 1: response is empty"),
    Case("no message of the assistant", "sft --data bad", {"bad": json.dumps({"messages": CHAT})}, "ends with an assistant message"),
    Case("a message without content", "sample --prompts bad", {"bad": '{"prompt": [{"role": "user"}]}'}, "must have role and content"),
    Case("half a surrogate pair", "sample --prompts bad", {"bad": r'{"prompt": "\ud83d"}'}, "half of a surrogate pair"),
    Case("true as one of the responses", "rank --responses bad", one(responses=["a", True]), "a response is true; it must be an object with text"),
    Case("K = 1", "rank --responses bad", one(responses=["a"]), "responses holds 1; a ranking needs a list of at least 2"),
    Case("K = 1", "reward --rankings bad", one(responses=["a"], ranks=[1]), "responses holds 1; a ranking needs a list of at least 2"),
    Case("all ties", "reward --rankings bad", one(ranks=[1, 1]), ("--rankings bad: holds no ranking with a strict pair", "unequal ranks")),
    Case("nulls only", "reward --rankings bad", one(ranks=[None, None]), ("--rankings bad: holds no ranking with a strict pair", "unequal ranks")),
    Case("held out: all ties", "reward --eval-rankings bad", one(ranks=[1, 1]), ("--eval-rankings bad: holds no ranking with a strict pair",)),
    Case("one ranking alone", "reward --rankings bad", one(), ("--rankings bad", "at least 2 prompts")),
    Case("rank 0", "reward --rankings bad", one(ranks=[0, 1]), "rank 0 must be a whole number from 1 (best)"),
    Case("true as a rank", "reward --rankings bad", one(ranks=[True, 2]), "rank true must be a whole number from 1 (best)"),
    Case("rank NaN", "reward --rankings bad", one(ranks=[float("nan"), 2]), "holds NaN, which is not JSON; write a finite number or null"),
    Case("rank infinity", "reward --rankings bad", one(ranks=[float("inf"), 2]), "holds Infinity, which is not JSON"),
    Case("rank 1e999", "reward --rankings bad", {"bad": LINE.replace("[1,", "[1e999,")}, "rank Infinity must be a whole number"),
    Case("one rank for two responses", "reward --rankings bad", one(ranks=[1]), "ranks holds 1 for 2 responses"),
    Case("one of two files is missing", "reward --rankings rankings.jsonl,bad", {}, "--rankings bad: no such file"),
    Case("demonstrations as rankings", "reward --rankings bad", DEMONSTRATION, ("responses is missing", "looks like a demonstration, which --data of `align sft` takes")),
    Case("responses as rankings", "reward --rankings bad", one(ranks=None), ("ranks is missing", "looks like responses, which --responses of `align rank` takes")),
    Case("rankings as verdicts", "reward --verdicts bad", one(), ("verdict is missing", "looks like a ranking, which --rankings of `align reward` takes")),
    Case("verdicts as rankings", "reward --rankings bad", {"bad": json.dumps({"prompt": "p", "response": "r", "verdict": "bad"})}, ("responses is missing", "looks like a verdict, which --verdicts of `align reward` takes")),
    Case("demonstrations as responses", "rank --responses bad", DEMONSTRATION, ("responses is missing", "looks like a demonstration")),
    Case("rankings as demonstrations", "sft --data bad", one(), ("must have prompt and response", "looks like a ranking, which --rankings of `align reward` takes")),
    Case("prompts as demonstrations", "sft --data prompts.jsonl", {}, ("must have prompt and response", "looks like a prompt, which --prompts of `align sample` takes")),
    *[
        Case("chat without a template", f"{command} {name} bad", {"bad": json.dumps({"prompt": CHAT, "response": "r", "responses": ["a", "b"], "ranks": [1, 2], "verdict": "good"})}, ("the tokenizer of", "has no chat template", "give prompts as text"))
        for command, name in READERS
        if (command, name) not in (("rank", "--responses"), ("reward", "--rankings"))
    ],
    *[
        Case("prompt longer than the context", f"{command} {name} bad", {"bad": json.dumps({"prompt": LONG, "response": "r"})}, phrases)
        for command, name, phrases in (
            ("sft", "--data", ("every prompt fills the 128 tokens", "give shorter prompts")),
            ("sample", "--prompts", ("prompt 1", "context of 128", "shorten the prompt")),
            ("ppo", "--prompts", ("prompt 1", "context of 128", "shorten the prompt")),
            ("eval", "--prompts", ("prompt 1", "context of 128", "shorten the prompt")),
        )
    ],
    Case("a chat template that refuses", "sample --policy bad --prompts chat", strict_template, ("the chat template of bad does not take", "(roles must alternate)", "['user']")),
    Case("no room for the response", "sample --max-new-tokens 128", {}, ("prompt 1", "--max-new-tokens 128", "context of 128")),
    Case("prefix longer than the context", "eval --against-prefix bad", {"bad": LONG}, ("--against policy", "context of 128")),
    Case("a prefix before chat", "eval --policy-prefix bad --prompts chat", {"bad": "x", "chat": json.dumps({"prompt": CHAT})}, ("--policy policy", "a prefix goes before text")),
    Case("a prefix that is missing", "eval --policy-prefix bad", {}, "--policy-prefix bad: no such file; give a text file"),
    Case("a prefix in UTF-16", "eval --policy-prefix bad", {"bad": "x".encode("utf-16")}, "--policy-prefix bad: is UTF-16 text"),
]  # fmt: skip

FORMATS = [
    Case("missing file", "import bad.json", {}, "SOURCE bad.json: no such file"),
    Case("empty file", "import bad.json", {"bad.json": ""}, "SOURCE bad.json: holds no record"),
    Case("an empty folder", "import bad", {"bad": None}, "SOURCE bad: holds no data file"),
    Case("no such dataset", "import nobody/none", {}, ("SOURCE nobody/none", "no dataset of that name")),
    Case("unreadable", "import bad", unreadable, ("SOURCE bad: cannot be read", "Permission denied"), conditions.nobody),
    Case("binary", "import bad.json", {"bad.json": PNG}, ("SOURCE bad.json: is not utf-8 text", "save it as UTF-8")),
    Case("UTF-16", "import bad.json", {"bad.json": LINE.encode("utf-16")}, ("SOURCE bad.json: is not utf-8 text", "--encoding utf-16")),
    Case("damaged gzip", "import bad.json.gz", {"bad.json.gz": gzip.compress(LINE.encode(), mtime=0)[:20]}, "SOURCE bad.json.gz"),
    Case("no Parquet", "import bad.parquet", {"bad.parquet": LINE}, "SOURCE bad.parquet: is not Parquet"),
    Case("no JSON", "import bad.json", {"bad.json": "{"}, "SOURCE bad.json"),
    Case("fields of no format", "import bad.json", {"bad.json": '[{"colour": "red"}]'}, "colour"),
    Case("no such format", "import --format alpacca", {}, "--format is 'alpacca'; it must be auto or one of"),
    Case("a map to no field", "import --map colour=instruction", {}, "--map holds 'colour=instruction'; write OURS=THEIRS"),
    Case("a map from no field", "import --map prompt=question", {}, "--map speaks of 'question', which no record has"),
    Case("no such encoding", "import --encoding utf-99", {}, "--encoding"),
    Case("a format that holds none of it", "export prompts.jsonl", {}, "--format alpaca: takes demonstrations"),
    Case("no such format", "export --format xml", {}, "--format is 'xml'; it must be one of"),
    Case("malformed line", "export bad", {"bad": LINE + "{\n"}, "RECORDS bad, line 2: is not JSON"),
    Case("no file", "data check --fix", lambda folder: (folder / "demonstrations.jsonl").unlink(), "FILE demonstrations.jsonl: no such file"),
    Case("against itself", "data check --against demonstrations.jsonl", {}, "--against demonstrations.jsonl: is the file that is checked"),
    Case("against a missing file", "data check --against bad", {}, "--against bad: no such file"),
    Case("masked without a copy", "data check --mask-pii", {}, "--mask-pii is given without --fix"),
    Case("a length without a model", "data check --max-length 9", {}, "--max-length 9 counts tokens, so it needs --model"),
    Case("no such model", "data check --model ./bad", {}, "--model ./bad: no such directory"),
    Case("demonstrations as rankings", "data check --kind rankings", {}, "demonstrations"),
]  # fmt: skip
"""`align import`, `align export` and `align data check`."""


def broken_run(name: str, content: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "run" / name).write_text(content)


RUNS = [
    case
    for command, other in (("report", ""), ("compare", "other-run"))
    for case in (
        Case("no such run", f"{command} bad {other}", {}, "bad: no such directory"),
        Case("a folder without a run", f"{command} bad {other}", {"bad": None}, "bad: holds no run"),
        Case("a file", f"{command} bad {other}", {"bad": "x"}, "bad: no such directory"),
        Case("a damaged run.json", command, broken_run("run.json", "{"), "run/run.json: cannot be read"),
        Case("a damaged metrics.json", command, broken_run("metrics.json", '{"a": 1'), "run/metrics.json: cannot be read"),
        Case("a list as metrics.json", command, broken_run("metrics.json", "[]"), "run/metrics.json: holds no JSON object"),
        Case("damaged settings", command, broken_run("config.yaml", "a: ["), "run/config.yaml: cannot be read"),
        Case("a damaged history", command, broken_run("history.jsonl", '{"step": 1}\n{"st'), "run/history.jsonl: cannot be read"),
    )
] + [
    Case("no such run", "doctor bad", {}, "RUN bad: no such directory; give one that `align ppo` wrote"),
    Case("a folder without a run", "doctor bad", {"bad": None}, "RUN bad: holds no run of `align ppo`"),
    Case("a run of another stage", "doctor run", {}, "RUN run: holds no run of `align ppo`"),
    Case("a history without rollouts", "doctor", {"ppo-run/history.jsonl": '{"step": 1}\n'}, "RUN ppo-run: its history.jsonl holds no rollout"),
    Case("a damaged history", "doctor", {"ppo-run/history.jsonl": '{"st'}, "ppo-run/history.jsonl: cannot be read"),
    Case("settings of another command", "doctor", {"ppo-run/config.yaml": "seed: 1\n"}, "ppo-run/config.yaml: lacks settings of `align ppo`"),
    Case("a list as settings", "doctor", {"ppo-run/config.yaml": "- 1\n"}, "ppo-run/config.yaml: lacks settings of `align ppo`"),
    Case("words for numbers in the history", "doctor", {"ppo-run/history.jsonl": '{"step": 0, "objective/kl": "much"}\n'}, "ppo-run/history.jsonl: its numbers are none"),
    Case("an empty metrics.json", "report", broken_run("metrics.json", "{}"), "run: its files are not as a run leaves them"),
    Case("one run alone", "compare run", {}, "RUNS holds 1 directory; a comparison needs two or more"),
    Case("the same run twice", "compare run run", {}, "RUNS names run twice"),
    Case("two runs at once", "report run other-run", {}, "unknown setting 'other-run'"),
]  # fmt: skip
"""`align report` and `align compare`."""
