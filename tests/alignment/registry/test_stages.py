"""Real stages and the registry: their outputs are stored and found by content, and a reference stands for a directory.

Mutations seen to fail: the base of an adapter kept as an absolute path, or looked for from the current directory
(test_runs_become_artifacts_that_load_anywhere); a reference replaced although such a path is there, an alias taken by one of
several processes, a setting's `model` left out (test_references_...)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from artifacts import filled, model
from bad_input.doors import DOORS, SCORER_DOORS
from models import tiny_model

from alignment.cli import command
from alignment.command import main
from alignment.config import flag
from alignment.errors import UserError
from alignment.model_references import resolved
from alignment.models import load_policy
from alignment.registry.registry import Registry
from alignment.sample import SampleSettings
from sft.config import COMMAND as SFT


def trained(base: str, output: str, *more: str) -> None:
    line = f"--base {base} --data demos.jsonl --output {output} --threads 1 --epochs 1".split()
    assert main(SFT, [*line, *more]) == 0


def test_runs_become_artifacts_that_load_anywhere(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    tiny_model("llama", Path("base"))
    Path("demos.jsonl").write_text(
        "".join(json.dumps({"prompt": f"Tom has {n}", "response": " boats."}) + "\n" for n in range(8))
    )
    registry = Registry("registry", make=True)
    base = registry.add("base", "policy", "base")
    trained("base", "one", "--lora-rank", "2", "--lr", "1e-2")
    one = registry.add("one", "policy")
    trained("policy@v1", "two", "--lora-rank", "2", "--lr", "1e-2")  # the same run from the stored base
    assert registry.add("two", "policy").version == one.version
    assert registry.version("policy@v2").kind == "sft"
    roles = {(parent.role, parent.artifact) for parent in one.manifest.parents}
    assert roles == {("base", base.version.artifact)}
    trained("policy@v2", "three", "--lora-rank", "2")  # an adapter of an adapter brings its merged base along
    three = registry.add("three", "policy")
    assert (three.path / "base" / "model.safetensors").is_file()
    assert {(parent.role, parent.artifact) for parent in three.manifest.parents} == {("base", one.version.artifact)}
    expected = [load_policy(path, "--policy")[0].state_dict() for path in ("one", "three")]
    shutil.move("registry", "elsewhere")
    for name in ("base", "one", "two", "three"):
        shutil.rmtree(name)
    moved = Registry("elsewhere")
    assert moved.verify() == []
    for reference, weights in zip(("policy@v2", "policy@v3"), expected):
        found = load_policy(str(moved.resolve(reference).path), "--policy")[0].state_dict()
        assert all(torch.equal(found[name], weights[name]) for name in weights)
    capsys.readouterr()


def settings(policy: str) -> SampleSettings:
    return SampleSettings(policy=policy, prompts="policy@v2", output="policy@v3")


def test_references_stand_for_directories(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    registry = filled(tmp_path)
    made = resolved(settings("policy@champion"))
    assert made.policy == str(registry.resolve("policy@v1").path)
    assert (made.prompts, made.output) == ("policy@v2", "policy@v3")
    assert (
        capsys.readouterr().err
        == f"--policy policy@champion: policy@v1, {registry.version('policy@v1').artifact[:24]}\n"
    )
    for untouched in ("team/model", "policy", "policy@newest", "team/a@v1", str(tmp_path)):
        assert resolved(settings(untouched)).policy == untouched
    model(tmp_path / "policy@v2", 9)
    assert resolved(settings("policy@v2")).policy == "policy@v2"


def test_references_by_the_variable(tmp_path, monkeypatch):
    registry = filled(tmp_path)
    monkeypatch.setenv("ALIGN_REGISTRY", str(registry.folder))
    assert resolved(settings("policy@v2")).policy == str(registry.resolve("policy@v2").path)


def test_references_of_several_processes_are_versions(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    registry = filled(tmp_path)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="--policy is 'policy@champion', which may move while 2 processes start"):
        resolved(settings("policy@champion"))
    assert resolved(settings("policy@v2")).policy == str(registry.resolve("policy@v2").path)


@pytest.mark.parametrize(("name", "words"), [(one, words) for one, words, _ in DOORS + SCORER_DOORS])
def test_references_are_taken_at_every_door(name, words):
    fields = {flag(field.name): field for field in command(name).settings.__dataclass_fields__.values()}
    assert fields[words.split()[-1]].metadata["model"]
