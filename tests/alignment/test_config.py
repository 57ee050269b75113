"""Settings. Each test was seen to fail under the mutation named beside it (in `alignment/config.py`):

- YAML wins over flags: test_flags_override_the_file
- the nearest name not looked for: test_an_unknown_setting_gets_the_nearest_known_name
- `above` checked with >=: test_bounds
- bool taken for a number: test_values_of_the_wrong_kind
- lists and mappings taken for text: test_values_of_the_wrong_kind
- the snapshot leaves out defaults: test_the_snapshot_gives_the_same_settings_again
- `none` not understood: test_none_and_its_word
- positional settings taken for flags: test_positional_settings
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

import pytest

from alignment.cli import COMMANDS, command
from alignment.config import GenerationSettings, Settings, StageSettings, build_parser, describe, flag, parse, setting
from alignment.errors import UserError
from alignment.run import write_config


@dataclass(frozen=True)
class Example(StageSettings, GenerationSettings):
    data: str = setting(help="input")
    rate: float = setting(0.5, help="a rate", unit="share", low=0.0, high=1.0, source="ours")
    count: int | None = setting(None, help="a count", none="auto", low=1, source="ours")
    kind: Literal["red", "green"] = setting("red", help="a kind", source="ours")
    packing: bool = setting(True, help="a switch", source="ours")


def read(*arguments: str) -> Example:
    return parse(Example, ["--data", "d", "--output", "o", *arguments], "align example", "")[0]


def test_defaults_and_flags():
    settings = read("--rate", "0.25", "--max-new-tokens", "1e2", "--no-packing", "--kind", "green", "--count", "3")
    assert (settings.rate, settings.max_new_tokens, settings.packing) == (0.25, 100, False)
    assert (settings.kind, settings.count, settings.seed, settings.temperature) == ("green", 3, 0, 1.0)
    assert isinstance(settings.max_new_tokens, int)


def test_flags_override_the_file(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("rate: 0.1\nmax-new-tokens: 7\npacking: false\ncount: auto\n")
    settings = read("--config", str(path), "--rate", "0.9")
    assert (settings.rate, settings.max_new_tokens, settings.packing, settings.count) == (0.9, 7, False, None)


@dataclass(frozen=True)
class Positional(Settings):
    folder: str = setting(help="a run", positional=True)
    others: tuple[str, ...] = setting(("x",), help="more runs", positional=True, source="ours")


def test_positional_settings(tmp_path):
    def read_positional(*arguments: str) -> Positional:
        return parse(Positional, list(arguments), "align example", "")[0]

    assert read_positional("a") == Positional(folder="a", others=("x",))
    assert read_positional("a", "b", "c") == Positional(folder="a", others=("b", "c"))
    with pytest.raises(UserError, match="FOLDER is missing: a run; give it on the command line"):
        read_positional()
    path = tmp_path / "c.yaml"
    path.write_text("folder: a\nothers: [b, 7]\n")
    with pytest.raises(UserError, match=r"OTHERS is .*must be one or more texts"):
        read_positional("--config", str(path))


def test_required_settings_may_come_from_the_file(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("data: d\noutput: o\n")
    assert parse(Example, ["--config", str(path)], "align example", "")[0].data == "d"
    with pytest.raises(UserError, match="--output is missing: where the result goes"):
        parse(Example, ["--data", "d"], "align example", "")


def test_the_snapshot_gives_the_same_settings_again(tmp_path):
    settings = read("--rate", "0.125", "--seed", "7", "--count", "2", "--no-packing")
    write_config(tmp_path / "config.yaml", settings)
    text = (tmp_path / "config.yaml").read_text()
    assert all(f"{field.name}:" in text for field in dataclasses.fields(Example))
    assert parse(Example, ["--config", str(tmp_path / "config.yaml")], "align example", "")[0] == settings


@pytest.mark.parametrize("words", [["none"], ["auto"]])
def test_none_and_its_word(words):
    assert read("--count", "auto").count is None
    if words == ["none"]:
        with pytest.raises(UserError, match="--count is 'none'; it must be a whole number, or 'auto'"):
            read("--count", "none")


@pytest.mark.parametrize(
    ("arguments", "nearest"),
    [
        (["--max-new-token", "3"], "--max-new-tokens"),
        (["--tempreature", "1"], "--temperature"),
        (["--rates=1"], "--rate"),
        (["--no-pack"], "--no-packing"),
    ],
)
def test_an_unknown_setting_gets_the_nearest_known_name(arguments, nearest):
    with pytest.raises(UserError, match=f"did you mean '{nearest}'") as caught:
        read(*arguments)
    assert repr(arguments[0]) in str(caught.value)


def test_an_unknown_key_in_the_file_gets_the_nearest_known_name(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("batchsize: 3\n")
    with pytest.raises(UserError, match=r"unknown setting 'batchsize' \(did you mean 'batch_size'"):
        read("--config", str(path))


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("- 1\n", "holds a list"),
        ("a: [\n", "is not YAML"),
        ("data: d\nrate:\n  - 1\n", r"--rate is \[1\]; it must be a number"),
        ("data: [x]\n", r"--data is \['x'\]; it must be text"),
        ("data: {a: b}\n", "--data is .*; it must be text"),
        ("data:\n", "--data is None; it must be text"),
    ],
)
def test_bad_files_are_one_sentence(tmp_path, text, phrase):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=phrase):
        parse(Example, ["--config", str(path), "--output", "o"], "align example", "")
    with pytest.raises(UserError, match=r"none\.yaml: no such file"):
        read("--config", str(tmp_path / "none.yaml"))


def test_an_empty_file_changes_nothing(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("# nothing\n")
    assert read("--config", str(path)) == read()


@pytest.mark.parametrize(
    ("name", "value", "phrase"),
    [
        ("rate", True, "--rate is True; it must be a number"),
        ("rate", "fast", "--rate is 'fast'; it must be a number"),
        ("rate", None, "--rate is None; it must be a number"),
        ("seed", 1.5, "--seed is 1.5; it must be a whole number"),
        ("seed", "1.5", "--seed is '1.5'; it must be a whole number"),
        ("seed", True, "--seed is True; it must be a whole number"),
        ("seed", float("inf"), "--seed is inf; it must be a whole number"),
        ("packing", 1, "--packing is 1; it must be true or false"),
        ("packing", "yes", "--packing is 'yes'; it must be true or false"),
        ("kind", "blue", "--kind is 'blue'; it must be one of red, green"),
        ("kind", ["red"], "--kind is .*; it must be one of red, green"),
        ("data", ["x"], "--data is .*; it must be text"),
        ("data", None, "--data is None; it must be text"),
        ("count", "many", "--count is 'many'; it must be a whole number, or 'auto'"),
    ],
)
def test_values_of_the_wrong_kind(name, value, phrase):
    with pytest.raises(UserError, match=phrase):
        Example(**{"data": "d", "output": "o", name: value})


@pytest.mark.parametrize(
    ("name", "value", "phrase"),
    [
        ("temperature", 0.0, "--temperature is 0.0; it must be a number above 0"),
        ("top_p", 0, "--top-p is 0.0; it must be a number above 0.0 and at most 1.0"),
        ("top_p", 1.01, "at most 1.0"),
        ("max_new_tokens", 0, "at least 1"),
        ("seed", -1, "at least 0"),
        ("rate", float("nan"), "--rate is nan"),
        ("temperature", float("inf"), "--temperature is inf"),
    ],
)
def test_bounds(name, value, phrase):
    with pytest.raises(UserError, match=phrase):
        Example(**{"data": "d", "output": "o", name: value})
    assert Example(data="d", output="o", rate=1.0, top_p=1.0, max_new_tokens=1).rate == 1.0


def test_numbers_in_yaml_may_be_written_as_text():
    """PyYAML reads 1e-5 as text; it is a number all the same."""
    assert Example(data="d", output="o", rate="1e-5", seed="3").rate == 1e-5


def test_help_tells_default_unit_and_source():
    text = build_parser(Example, "align example", "sum").format_help()
    for phrase in ("a rate [share] (default 0.5; source: ours)", "a count (default auto; source: ours)", "(required)"):
        assert phrase in " ".join(text.split())
    assert text.index("--rate") < text.index("--output") < text.index("--temperature")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_setting_of_every_command_has_help_and_source(name):
    """... but for what has no default: there the user is the source."""
    try:
        settings = command(name).settings
    except ModuleNotFoundError as missing:
        pytest.fail(f"align {name} is announced but missing: {missing}")
    assert issubclass(settings, Settings)
    for field in dataclasses.fields(settings):
        about = field.metadata
        assert about["help"], field.name
        assert field.default is dataclasses.MISSING or about["source"], f"{flag(field.name)} of {name} has no source"
        assert describe(field)
