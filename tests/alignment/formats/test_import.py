"""`align import`. Each test was seen to fail under the mutation named beside it:

- the first fitting format taken although several fit: test_two_formats_that_fit_are_a_question
- `fallback` ignored: test_each_format_is_known_by_its_fields
- the prompt of chosen not compared with that of rejected: test_what_is_wrong_with_a_row_is_one_sentence
- `spaces[-1]` → len(shared): test_an_implicit_prompt_ends_before_a_word
- deleted replies kept; rank not raised by one; a `popleft` order turned: test_open_assistant_trees
- suggestions taken beside people's answers; drafts taken: test_argilla_records
- old values kept beside mapped ones: test_map_names_columns
- faults not counted; `raise` left out: test_faulty_records_stop_or_are_counted
- repeats of a prompt kept: test_other_kinds_are_derived
- ties taken as best: test_other_kinds_are_derived
"""

from __future__ import annotations

import json
import re

import pytest
from refusals import refused
from trl.data_utils import extract_prompt

from alignment.command import main
from alignment.formats.columns import rename
from alignment.formats.importing import COMMAND
from alignment.records import (
    Demonstration,
    PromptRecord,
    Ranking,
    Response,
    Verdict,
    content_id,
    read_demonstrations,
    read_prompts,
    read_rankings,
    read_responses,
    read_verdicts,
)

READERS = {
    "demonstrations": read_demonstrations,
    "prompts": read_prompts,
    "responses": read_responses,
    "rankings": read_rankings,
    "verdicts": read_verdicts,
}
ASK = {"role": "user", "content": "Why?"}
SYSTEM = {"role": "system", "content": ""}
HH = "\n\nHuman: Why?\n\nAssistant: So.\n\nHuman: And?\n\nAssistant:"
HH_PROMPT = [ASK, {"role": "assistant", "content": "So."}, {"role": "user", "content": "And?"}]


def say(text):
    return {"role": "assistant", "content": text}


def turn(who, text):
    return {"from": who, "value": text}


def pair(prompt, chosen, rejected, **more):
    given = {"id": content_id(prompt), **more}
    return Ranking(given.pop("id"), prompt, (Response(chosen), Response(rejected)), (1, 2), **given)


def run(capsys, tmp_path, rows, *arguments, name="in.jsonl"):
    """(metrics, records) of an import of these rows, read as a stage reads them."""
    (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    out = tmp_path / "out.jsonl"
    code = main(COMMAND, [str(tmp_path / name), "--output", str(out), "--json", *arguments])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    metrics = json.loads(printed.out.splitlines()[-1])
    assert json.loads((tmp_path / "out.metrics.json").read_text()) == metrics
    return metrics, READERS[metrics["kind"]](out)


ROWS = [
    ("own", {"prompt": "p", "response": "r"}, Demonstration("p", "r")),
    ("own", {"messages": [SYSTEM, ASK, say("r")]}, Demonstration([SYSTEM, ASK], "r")),
    ("own", {"text": "t"}, Demonstration("", "t")),
    ("own", {"prompt": [ASK], "id": 7}, PromptRecord("7", [ASK])),
    (
        "own",
        {"prompt": "p", "responses": ["a", "b"], "ranks": [2, 1], "tree": "t"},
        Ranking(content_id("p"), "p", (Response("a"), Response("b")), (2, 1), group="t"),
    ),
    (
        "own",
        {"id": "1", "prompt": "p", "response": {"text": "r"}, "verdict": "bad"},
        Verdict("1", "p", Response("r"), "bad"),
    ),
    ("trl", {"prompt": "p", "chosen": " a", "rejected": " b", "id": 3}, pair("p", " a", " b", id="3")),
    ("trl", {"prompt": [ASK], "chosen": [say("a")], "rejected": [say("b")]}, pair([ASK], "a", "b")),
    ("trl", {"chosen": [ASK, say("a")], "rejected": [ASK, say("b")]}, pair([ASK], "a", "b")),
    ("trl", {"prompt": "Why?", "chosen": [ASK, say("a")], "rejected": [ASK, say("b")]}, pair([ASK], "a", "b")),
    ("trl", {"chosen": "The sky is blue.", "rejected": "The sky is green."}, pair("The sky is", " blue.", " green.")),
    ("trl", {"question": "q", "chosen": "a", "rejected": "b"}, pair("q", "a", "b")),
    ("trl", {"prompt": [ASK], "completion": [say("r")]}, Demonstration([ASK], "r")),
    ("hh", {"chosen": HH + " yes", "rejected": HH}, pair(HH_PROMPT, "yes", "")),
    ("alpaca", {"instruction": "i", "input": "", "output": "o"}, Demonstration("i", "o")),
    ("alpaca", {"instruction": "i", "input": "x", "output": "o"}, Demonstration("i\n\nx", "o")),
    (
        "alpaca",
        {"instruction": "And?", "output": "o", "system": "s", "history": [["Why?", "So."]]},
        Demonstration([{"role": "system", "content": "s"}, *HH_PROMPT], "o"),
    ),
    ("alpaca", {"instruction": "i", "input": "x", "chosen": "a", "rejected": "b"}, pair("i\n\nx", "a", "b")),
    ("self-instruct", {"instruction": "i", "instances": [{"input": "", "output": "o"}]}, Demonstration("i", "o")),
    ("sharegpt", {"conversations": [turn("human", "Why?"), turn("gpt", "r")]}, Demonstration([ASK], "r")),
    (
        "sharegpt",
        {"conversations": [ASK, say("r")], "system": "s"},
        Demonstration([{**SYSTEM, "content": "s"}, ASK], "r"),
    ),
    (
        "sharegpt",
        {"conversations": [turn("human", "Why?")], "chosen": turn("gpt", "a"), "rejected": turn("gpt", "b")},
        pair([ASK], "a", "b"),
    ),
    ("kto", {"prompt": "p", "completion": "r", "label": True}, Verdict(content_id("p"), "p", Response("r"), "good")),
    ("kto", {"messages": [ASK, say("r")], "label": False}, Verdict(content_id([ASK]), [ASK], Response("r"), "bad")),
    ("kto", {"prompt": "p", "completion": "r", "label": "False"}, Verdict(content_id("p"), "p", Response("r"), "bad")),
    ("columns", {"question": "q", "answer": "a"}, Demonstration("q", "a")),
    ("columns", {"input": "q", "output": 42}, Demonstration("q", "42")),
    ("columns", {"instruction": "q", "response": "a"}, Demonstration("q", "a")),
    ("columns", {"question": "q"}, PromptRecord(content_id("q"), "q")),
]


@pytest.mark.parametrize(("name", "row", "record"), ROWS)
def test_each_format_is_known_by_its_fields(capsys, tmp_path, name, row, record):
    metrics, records = run(capsys, tmp_path, [row, row])
    assert metrics["format"].startswith(f"{name} (")
    assert metrics["format"].endswith("by its fields")
    assert (metrics["read"], metrics["written"], metrics["faulty"]) == (2, 2 if metrics["kind"] != "prompts" else 1, 0)
    assert records[0] == record


def test_an_implicit_prompt_ends_before_a_word(capsys, tmp_path):
    """As TRL's extract_prompt where that cuts at white space; but never inside a word."""
    alike = {"chosen": "It is a big dog.", "rejected": "It is a small dog."}
    assert run(capsys, tmp_path, [alike])[1] == [pair(*extract_prompt(alike).values())]
    (tmp_path / "second").mkdir()
    _, records = run(capsys, tmp_path / "second", [{"chosen": "It is black.", "rejected": "It is blue."}])
    assert records == [pair("It is", " black.", " blue.")]


@pytest.mark.parametrize(
    ("row", "phrases"),
    [
        ({"prompt": "p", "chosen": "a", "rejected": None}, ("has the fields prompt, chosen, which no known",)),
        (
            {"chosen": [ASK, say("a")], "rejected": [{**ASK, "content": "?"}, say("b")]},
            ("differ before their last message",),
        ),
        ({"prompt": "Where?", "chosen": [ASK, say("a")], "rejected": [ASK, say("b")]}, ("not its last question",)),
        ({"prompt": [ASK], "chosen": [ASK, say("a")], "rejected": [SYSTEM, say("b")]}, ("different prompts",)),
        ({"prompt": [ASK], "chosen": [say("a")], "rejected": [ASK]}, ("rejected ends with a message of the user",)),
        ({"chosen": "yes", "rejected": "no"}, ("do not begin alike", "--map prompt=")),
        ({"chosen": HH, "rejected": HH.replace("So.", "No.")}, ("differ before their last message",)),
        ({"chosen": HH, "rejected": "\n\nHuman: Why?"}, ("rejected ends with a message of the user",)),
        ({"instruction": "i", "output": " "}, ("output is empty",)),
        ({"instruction": "i", "output": "o", "history": ["x"]}, ("history holds text",)),
        ({"instruction": "i", "instances": "x"}, ("instances is text",)),
        ({"conversations": [turn("human", "Why?"), turn("observation", "r")]}, ("'observation'", "known are human")),
        ({"conversations": [turn("human", "Why?")]}, ("must end with the assistant's",)),
        ({"conversations": [turn("human", 3)]}, ("must have from and value, both text",)),
        ({"question": "q", "answer": 1.5}, ("answer is 1.5; it must be text",)),
        ({"question": "q", "answer": ""}, ("answer is empty",)),
        ({"question": True, "answer": "a"}, ("question is true; it must be text",)),
        ({"prompt": "p", "response": "a\ud800"}, ("half of a surrogate pair",)),
        ({"prompt": "p", "responses": ["a", "b"], "ranks": [1]}, ("ranks holds 1 for 2",)),
        ({"prompt": "p", "response": "r", "verdict": "fine"}, ("verdict is 'fine'; it must be good or bad",)),
        ({"message_tree_id": "t", "prompt": {"text": "x", "role": "bot"}}, ("role 'bot'", "prompter, assistant")),
        ({"message_id": "1", "parent_id": "0", "text": "x", "role": "prompter"}, ("'0', which no message has",)),
    ],
)
def test_what_is_wrong_with_a_row_is_one_sentence(capsys, tmp_path, row, phrases):
    (tmp_path / "in.jsonl").write_text(json.dumps(row) + "\n")
    sentence = refused(capsys, COMMAND, ["in.jsonl", "--output", "out.jsonl"], tmp_path, *phrases)
    assert sentence.startswith("align import: SOURCE in.jsonl")


def test_two_formats_that_fit_are_a_question(capsys, tmp_path):
    row = {"prompt": "p", "messages": [ASK, say("a")], "chosen": "a", "rejected": "b", "x" * 50: 1}
    (tmp_path / "in.jsonl").write_text(json.dumps(row))
    phrases = ("could be own (demonstrations) or trl (rankings)", "--format own", "--kind demonstrations", "xxx...")
    refused(capsys, COMMAND, ["in.jsonl", "--output", "out.jsonl"], tmp_path, *phrases)
    for given in (["--kind", "rankings"], ["--format", "trl"]):
        (tmp_path / given[1]).mkdir()
        assert run(capsys, tmp_path / given[1], [row], *given)[1] == [pair("p", "a", "b")]


def test_unknown_fields_are_named(capsys, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"frage": "q", "antwort": "a"}')
    phrases = ("has the fields frage, antwort, which no known format has", "--map prompt=NAME", "--format")
    refused(capsys, COMMAND, ["in.jsonl", "--output", "out.jsonl"], tmp_path, *phrases)


def test_map_names_columns(capsys, tmp_path):
    rows = [
        {"prompt": "old", "frage": "q", "kontext": "k", "antwort": {"text": "a"}},
        {"frage": "q", "antwort": {"text": "b"}},
    ]
    _, records = run(capsys, tmp_path, rows, "--map", "prompt=frage+kontext,response=antwort.text")
    assert records == [Demonstration("q\n\nk", "a"), Demonstration("q", "b")]
    assert rename({"prompt": "old", "x": 1}, {"prompt": "frage"}) == {"x": 1}


@pytest.mark.parametrize(
    ("given", "phrase"),
    [
        (["--map", "prompt"], "--map holds 'prompt'"),
        (["--map", "promt=q"], "OURS is one of"),
        (["--map", "prompt=x"], "'x', which no record has; in.jsonl has the fields question, answer"),
        (["--format", "alpacca"], "--format is 'alpacca'"),
        (["--kind", "rankings"], "holds demonstrations (columns), which can become demonstrations or prompts"),
        (["--delimiter", ";;"], "must be one sign"),
        (["--encoding", "utf-7000"], "must be one Python knows"),
        (["--format", "kto"], "looks like columns (demonstrations), not like kto"),
    ],
)
def test_wrong_settings_are_one_sentence(capsys, tmp_path, given, phrase):
    (tmp_path / "in.jsonl").write_text('{"question": "q", "answer": "a"}')
    refused(capsys, COMMAND, ["in.jsonl", "--output", "out.jsonl", *given], tmp_path, phrase)


def test_faulty_records_stop_or_are_counted(capsys, tmp_path):
    lines = [
        '{"question": "q", "answer": "a"}',
        "",
        '{"question": "q"}',
        "[1]",
        "{",
        '{"question": "r", "answer": "b"}',
    ]
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    refused(capsys, COMMAND, ["in.jsonl", "--output", "out.jsonl"], tmp_path, "in.jsonl, line 3: ", "--skip-faulty")
    out = str(tmp_path / "out.jsonl")
    assert main(COMMAND, [str(tmp_path / "in.jsonl"), "--output", out, "--skip-faulty"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"^note +faulty records left out: 3; the first: SOURCE .*, line 3: ", printed, re.MULTILINE)
    metrics = json.loads((tmp_path / "out.metrics.json").read_text())
    assert (metrics["read"], metrics["written"], metrics["faulty"]) == (5, 2, 3)
    assert len(read_demonstrations(out)) == 2


def test_all_faulty_is_no_empty_file(capsys, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"question": "q", "answer": ""}\n')
    refused(
        capsys,
        COMMAND,
        ["in.jsonl", "--output", "o.jsonl", "--skip-faulty"],
        tmp_path,
        "gives no demonstrations",
        "line 1",
    )


def test_fields_that_are_not_used_are_named(capsys, tmp_path):
    metrics, _ = run(capsys, tmp_path, [{"question": "q", "answer": "a", "context": "c", "score": None}])
    assert metrics["note"] == ["fields that were not used: context"]


def test_verdicts_say_that_no_stage_reads_them(capsys, tmp_path):
    metrics, _ = run(capsys, tmp_path, [{"prompt": "p", "completion": "r", "label": True}])
    assert metrics["note"] == ["`align reward --verdicts` trains on verdicts, beside rankings"]


def test_other_kinds_are_derived(capsys, tmp_path):
    rows = [
        {"prompt": "p", "responses": ["a", "b"], "ranks": [2, 1]},
        {"prompt": "p", "responses": ["a", "b", "c"], "ranks": [1, 1, 2]},
    ]
    metrics, records = run(capsys, tmp_path, rows, "--kind", "demonstrations")
    assert records == [Demonstration("p", "b")]
    assert metrics["note"] == ["records that give no demonstrations: 1"]
    (tmp_path / "p").mkdir()
    metrics, records = run(capsys, tmp_path / "p", rows, "--kind", "prompts")
    assert records == [PromptRecord(content_id("p"), "p")]
    assert metrics["note"] == ["repeats of a prompt left out: 1"]
    (tmp_path / "r").mkdir()
    assert [len(one.responses) for one in run(capsys, tmp_path / "r", rows, "--kind", "responses")[1]] == [2, 3]


def test_prompt_form(capsys, tmp_path):
    rows = [{"question": "Why?", "answer": "So."}]
    assert run(capsys, tmp_path, rows, "--prompt-form", "messages")[1] == [Demonstration([ASK], "So.")]
    (tmp_path / "t").mkdir()
    rows = [{"messages": [ASK, say("So.")]}, {"messages": [*HH_PROMPT, say("x")]}]
    _, records = run(capsys, tmp_path / "t", rows, "--prompt-form", "text")
    chat = "user: Why?\nassistant: So.\nuser: And?\nassistant:"
    assert records == [Demonstration("Why?", "So."), Demonstration(chat, "x")]


def node(text, role, rank=None, replies=(), **more):
    return {"text": text, "role": role, "rank": rank, "replies": list(replies), **more}


TREE = {
    "message_tree_id": "t",
    "tree_state": "ready_for_export",
    "prompt": node(
        "Why?",
        "prompter",
        message_id="t",
        replies=[
            node("bad", "assistant", 1),
            node(
                "So.", "assistant", 0, [node("And?", "prompter", message_id="q", replies=[node("only", "assistant")])]
            ),
            node("late", "assistant", model_name="m", synthetic=True),
            node("gone", "assistant", 2, deleted=True),
        ],
    ),
}


def flat(root):
    """The same tree as the flat list that the Hub's oasst1 holds, children before parents."""
    found, waiting = [], [(None, root)]
    while waiting:
        parent, one = waiting.pop()
        name = one.get("message_id") or f"m{len(found)}"
        waiting += [(name, reply) for reply in one["replies"]]
        kept = {key: value for key, value in one.items() if key != "replies"}
        found.append({**kept, "message_id": name, "parent_id": parent, "message_tree_id": "t"})
    return found[::-1]


@pytest.mark.parametrize("rows", [[TREE], flat(TREE["prompt"])])
def test_open_assistant_trees(capsys, tmp_path, rows):
    responses = {Response("bad"): 2, Response("So."): 1, Response("late", "m"): None}
    metrics, (ranking,) = run(capsys, tmp_path, rows)
    assert metrics["format"].startswith("oasst")
    assert dict(zip(ranking.responses, ranking.ranks)) == responses
    assert (ranking.id, ranking.prompt, ranking.group) == ("t", [ASK], "t")
    (tmp_path / "d").mkdir()
    _, records = run(capsys, tmp_path / "d", rows, "--kind", "demonstrations")
    assert records == [Demonstration([ASK], "So."), Demonstration(HH_PROMPT, "only")]
    (tmp_path / "p").mkdir()
    _, records = run(capsys, tmp_path / "p", rows, "--kind", "prompts")
    assert [(one.prompt, one.group) for one in records] == [([ASK], "t"), (HH_PROMPT, "t")]


RECORD = {
    "id": "7",
    "fields": {"instruction": "Why?", "reply_1": "a", "reply_2": "b", "reply_3": "c"},
    "metadata": {},
    "suggestions": {"ranking": {"value": ["reply-1", "reply-2", "reply-3"], "score": None, "agent": "judge"}},
    "responses": {
        "comment": [{"value": "fine", "user_id": "u1"}],
        "ranking": [
            {"value": ["reply-3", "reply-1", "reply-2"], "user_id": "u1"},
            {
                "value": [{"value": n, "rank": r} for n, r in (("reply-2", 1), ("reply-1", 1), ("reply-3", 3))],
                "user_id": "u2",
            },
            {"value": ["reply-1", "reply-2", "reply-3"], "user_id": "u3", "status": "draft"},
        ],
    },
    "vectors": {},
    "_server_id": "s",
}


def test_argilla_records(capsys, tmp_path):
    metrics, records = run(capsys, tmp_path, [RECORD])
    replies = tuple(map(Response, "abc"))
    assert records == [
        Ranking("7", "Why?", replies, (2, 3, 1), "u1"),
        Ranking("7", "Why?", replies, (1, 1, 3), "u2"),
    ]
    assert metrics["note"] == []
    (tmp_path / "s").mkdir()
    metrics, records = run(capsys, tmp_path / "s", [{**RECORD, "responses": {}}])
    assert records == [Ranking("7", "Why?", replies, (1, 2, 3), "suggestion:judge")]
    assert metrics["note"] == ["suggestions by a model, where no person had answered (annotator suggestion:...): 1"]


def test_flat_argilla_records(capsys, tmp_path):
    row = {"id": "7", "_server_id": "s", **RECORD["fields"], "ranking.responses.users": ["u1", "u3"]}
    row |= {"ranking.responses": [["reply-3", "reply-1", "reply-2"], ["reply-1", "reply-2", "reply-3"]]}
    row |= {"ranking.responses.status": ["submitted", "discarded"], "ranking.suggestion.agent": "judge"}
    _, records = run(capsys, tmp_path, [row])
    assert records == [Ranking("7", "Why?", tuple(map(Response, "abc")), (2, 3, 1), "u1")]
