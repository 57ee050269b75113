"""Lengths and encodings. Each test was seen to fail under the mutation named beside it (in `alignment/data_check/`):

- quantiles by rounding down: test_quantiles_by_hand
- SENTENCE_END, NO_PROSE_LINE or SHORTEST_LAST_LINE left out: test_what_looks_cut
- {text} records taken for empty prompts: test_empty_texts
- `>=` for `>` in the limit of characters, of tokens: test_very_long_in_characters, test_lengths_in_tokens
- the shortest response counted: test_lengths_in_tokens
- tab and new line taken for control characters: test_characters
- joiners reported everywhere, or nowhere: test_invisible_characters_that_spell
- an outlier also where scripts are mixed: test_scripts
- shares of records in place of letters: test_scripts
"""

from __future__ import annotations

import pytest
from models import tiny_model
from transformers import AutoTokenizer

from alignment.data_check.encoding import cleaned, scripts
from alignment.data_check.lengths import looks_cut, quantiles

PROSE = "The cat sat on the mat. It was warm there, and nobody wanted to leave before the evening came"


def test_quantiles_by_hand():
    assert quantiles(list(range(10, 0, -1))) == {"p50": 5, "p90": 9, "p99": 10, "max": 10}
    assert quantiles([7]) == {"p50": 7, "p90": 7, "p99": 7, "max": 7}


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        (PROSE, True),
        (PROSE + ",", True),
        (PROSE + " (", True),
        (PROSE + ".", False),
        (PROSE + '."', False),
        (PROSE + ":", False),
        (PROSE + " 🙂", False),
        (PROSE.replace(".", ","), False),  # one sentence: a caption, a line of a poem
        ("It is warm. It is warm today and all week", False),  # too short to be sure
        (PROSE + ".\n\nYours with kind regards", False),
        (PROSE + ".\n- the first of the things to take along", False),
        (PROSE + ".\n2) the second of the things to take along", False),
        (PROSE + ".\nSource: all of the books that we have read", False),
        (PROSE + ".\nSee more about it at https://example.com/a", False),
        ("```python\nprint(1)\n```", False),
        ("```python\nprint(1)", True),
    ],
)
def test_what_looks_cut(text, cut):
    assert looks_cut(text) is cut


def test_unfinished_is_known_not_guessed(check):
    cut, whole = {"text": PROSE, "finished": False}, {"text": PROSE + "."}
    result = check([{"prompt": "A", "responses": [whole, cut]}, {"prompt": "B", "responses": [whole, PROSE]}])
    assert result.lines == {"unfinished": [1], "truncated": [2]}
    assert result.detail("truncated").startswith("responses[1]: …")


def test_empty_texts(check):
    data = [{"text": "All."}, {"prompt": " ", "response": "A"}, {"prompt": "B", "response": "B"}]
    assert check(data).lines == {"empty_prompt": [2]}
    assert check([{"prompt": "A"}, {"prompt": "\n"}]).lines == {"empty_prompt": [2]}
    assert check([{"prompt": "A", "responses": ["", "a"]}, {"prompt": "B", "responses": ["a", "b"]}]).lines == {
        "empty_response": [1]
    }


def test_repetition(check):
    data = [
        {"prompt": "a", "response": text} for text in ["no " * 5 + "no", "no " * 5, "so" + "o" * 15, "so" + "o" * 14]
    ]
    data += [{"prompt": "b", "response": "=" * 99 + " 1 1 1 1 1 1 1 1 1"}]
    assert check(data).lines["repetition"] == [1, 3]


def test_very_long_in_characters(check):
    data = [{"prompt": "ab" * 15, "response": "b"}, {"prompt": "a", "response": "b c " * 7 + "end"}]
    result = check(data, "--max-characters", "30")
    assert result.lines == {"very_long": [2]}
    assert result.detail("very_long") == "response: 31 characters"
    assert result.report["characters"]["response"]["max"] == 31


def test_lengths_in_tokens(check, tmp_path):
    """Counted here by the tokenizer itself: BOS and prompt, then the response and EOS."""
    model = tiny_model("llama", tmp_path / "model", context=40)
    tokenizer = AutoTokenizer.from_pretrained(model)
    data = [{"prompt": "The cat sat", "responses": [" on the mat.", " on" * n]} for n in (1, 20, 40)]
    data += [{"prompt": "The boat is", "responses": [" red", {"text": " blue", "finished": False}]}]
    prompts = [len(tokenizer(each["prompt"]).input_ids) for each in data]
    texts = [[one if isinstance(one, str) else one["text"] for one in each["responses"]] for each in data]
    counts = [[len(tokenizer(text, add_special_tokens=False).input_ids) + 1 for text in several] for several in texts]
    counts[3][1] -= 1  # not finished: no EOS
    totals = [prompt + max(several) for prompt, several in zip(prompts, counts, strict=True)]
    assert totals[0] < totals[1] < totals[2]
    result = check(data, "--model", model, "--max-length", str(totals[1]))
    assert result.lines["very_long"] == [3]
    assert result.report["tokens"]["above_limit"] == 1
    assert result.report["tokens"]["prompt"]["max"] == max(prompts)
    assert result.report["tokens"]["response"]["p50"] == sorted(n for several in counts for n in several)[3]
    assert result.report["tokens"]["total"]["max"] == totals[2]
    assert check(data, "--model", model).report["tokens"]["limit"] == 40


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("bell\x07", "control_character"),
        ("delete\x7f", "control_character"),
        ("a\r\nb", "control_character"),
        ("FranÃ§oise", "mojibake"),
        ("it â€™ s", "mojibake"),
        ("lost \ufffd one", "replacement_character"),
        ("zero\u200bwidth", "invisible_character"),
        ("soft\u00adhyphen", "invisible_character"),
        ("turn \u202e around", "invisible_character"),
        ("hidden \U000e0041\U000e0042", "invisible_character"),
        ("mark \u200f without need", "invisible_character"),
        ("joiner,\u200d nowhere", "invisible_character"),
        ("joined \ufeff files", "bom_in_text"),
        ("cafe\u0301", "not_nfc"),
        ("tab\tand\nnew line", None),
        ("Ünïcödé, «naïve» façade – “quotes” … €", None),
        ("Привет, мир", None),
        ("日本語です", None),
    ],
)
def test_characters(check, text, finding):
    result = check([{"prompt": "Well?"}, {"prompt": text}])
    assert result.lines == ({finding: [2]} if finding else {})


@pytest.mark.parametrize(
    "text",
    [
        "می\u200cخواهم",  # Persian: a joiner that separates
        "क\u094d\u200dष",  # Devanagari
        "👩\u200d💻 and 👨\u200d👩\u200d👧",
        "❤\ufe0f\u200d🔥",
        "שלום\u200f!",
        "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",  # the flag of England
    ],
)
def test_invisible_characters_that_spell(check, text):
    assert check([{"prompt": text}]).lines == {}


def test_messages_are_looked_into(check):
    messages = [{"role": "user", "content": "Well\x07"}, {"role": "assistant", "content": "Yes."}]
    result = check([{"messages": messages}, {"prompt": messages[:1], "response": "No."}])
    assert result.lines["control_character"] == [1, 2]
    assert result.detail("control_character", 0) == "messages[0]: U+0007 at character 5"
    assert result.detail("control_character", 1) == "prompt[0]: U+0007 at character 5"


def test_scripts(check):
    assert scripts("aé ж 猫ネ 1ℎ") == {"Latin": 2, "Cyrillic": 1, "East Asian": 2, "Other": 1}
    data = [{"prompt": f"Question {number * 7919}"} for number in range(30)] + [{"prompt": "Вопрос"}]
    result = check(data)
    assert result.lines == {"script_outlier": [31]}
    assert result.report["scripts"] == {"Latin": 240 / 246, "Cyrillic": 6 / 246}
    mixed = check([*data, *({"prompt": f"Вопрос {number}"} for number in range(5))])
    assert "script_outlier" not in mixed.lines
    many = [*data[:20], *({"prompt": f"Вопрос {number}"} for number in range(19)), {"prompt": "Ερώτηση"}]
    assert "script_outlier" not in check(many).lines  # rare, but where scripts are mixed


def test_cleaned_by_hand():
    assert cleaned("\ufeffa\r\nb\rc\x07\td\x1b[31me\u0301") == "a\nb\nc\td[31mé"
    assert cleaned("plain, with\na line") == "plain, with\na line"
