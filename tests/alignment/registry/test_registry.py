"""Artifacts, versions, what made them, gc, and the registry made again from its store.

Mutations seen to fail:

- the digest of files without their sha256: test_the_same_content_is_the_same_artifact
- parents not followed, aliases no roots, a removed version's entry not written, a removed version resolved to its path:
  test_gc_deletes_what_nothing_reaches
- the order of `target_modules` kept, the base's path kept, the base of an adapter not checked with it:
  test_an_adapter_is_the_same_wherever_its_base_lay
- the family of kinds not compared: test_a_name_is_of_one_family; the score head not looked for: test_the_kind_must_be_true
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from artifacts import adapter, filled, model, shape

from alignment.errors import UserError
from alignment.registry.errors import Damaged
from alignment.registry.registry import Registry

ROOT = Path(__file__).resolve().parents[3]


def test_it_loads_no_torch():
    code = "import sys, alignment.registry.commands, alignment.model_references; sys.exit('torch' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}).returncode
        == 0
    )


def test_the_same_content_is_the_same_artifact(tmp_path):
    registry = Registry(tmp_path / "registry", make=True)
    first = registry.add(model(tmp_path / "a", 1), "policy", by="ann")
    again = registry.add(model(tmp_path / "b", 1, lr=0.5), "policy", by="bob")
    elsewhere = registry.add(model(tmp_path / "c", 1), "other")
    assert first.version.artifact == again.version.artifact == elsewhere.version.artifact
    assert (first.version.number, again.version.number, elsewhere.version.number) == (1, 1, 1)
    assert again.manifest.by == "ann"  # what is stored never changes
    assert [one.by for one in registry.history("policy")] == ["ann"]
    other = registry.add(model(tmp_path / "d", 2), "policy")
    assert other.version.number == 2
    assert other.version.digest != first.version.digest


def test_a_manifest_tells_what_the_run_told(tmp_path):
    made = Registry(tmp_path / "registry", make=True).add(
        model(tmp_path / "a", 1, lr=0.5), "policy", metrics={"win": 0.6}, gates={"floor": "passed"}
    )
    told = json.loads((made.path / "MANIFEST.json").read_text())
    assert told["metrics"] == {"score": 1, "win": 0.6}
    assert (told["gates"], told["command"], told["settings"]["lr"]) == ({"floor": "passed"}, "ppo", 0.5)
    assert (told["versions"], told["changed"]) == ({"instruct-loop": "0.1.0"}, {"seed": "0"})
    sizes = {name: (made.path / name).stat().st_size for name in told["files"]}
    assert {name: one["bytes"] for name, one in told["files"].items()} == sizes
    assert made.manifest.digest == told["digest"] == made.path.name.removeprefix("sha256-")
    assert not any(
        os.access(path, os.X_OK) or path.stat().st_mode & 0o222 for path in made.path.rglob("*") if path.is_file()
    )


def test_references(tmp_path):
    registry = filled(tmp_path)
    two = registry.version("policy@v2")
    assert registry.version(f"policy@sha256-{two.digest[:8]}") == two
    assert registry.version("policy@champion").number == 1
    for text, phrase in [
        ("policy@v9", "no such version; the newest is v3"),
        ("policy@challenger", "no version has this alias yet"),
        ("nobody@v1", "there is no such name; there are policy"),
        ("policy@sha256-00000000", "is no version of it"),
    ]:
        with pytest.raises(UserError, match=phrase):
            registry.resolve(text)
    for text in ("policy", "policy@", "policy@v0", "policy@v01", "policy@newest", "Policy@v1", "../x@v1", "a/b@v1", "policy@v1\n", "@v1",
                 "x" * 65 + "@v1", "policy@sha256-00", "policy@v1@v1"):  # fmt: skip
        with pytest.raises(UserError, match="REFERENCE is"):
            registry.resolve(text)


@pytest.mark.parametrize("name", ["", "A", ".a", "-a", "a/b", "..", "a b", "ä", "x" * 65, "a\n", "a@b"])
def test_names(tmp_path, name):
    with pytest.raises(UserError, match="--name is"):
        Registry(tmp_path / "registry", make=True).add(model(tmp_path / "a"), name)


def test_gc_deletes_what_nothing_reaches(tmp_path):
    registry = filled(tmp_path, 5)
    registry.promote("policy", 2, expected=1)
    reward = registry.add(model(tmp_path / "rm", 1, "reward"), "rm")
    registry.add(model(tmp_path / "child", 9), "policy", parents=("policy@v3", "rm@v1"))
    for number in (2, 3):
        registry.add(model(tmp_path / f"rm{number}", number, "reward"), "rm")
    before = shape(registry.folder)
    found = registry.gc(keep=1)
    assert [str(one) for one in found.versions] == ["policy@v4", "policy@v5", "rm@v2"]
    assert found.bytes == sum(registry.resolve(str(one)).manifest.size for one in found.versions)
    assert {**shape(registry.folder), "lock": b""} == {**before, "lock": b""}
    gone = registry.resolve("policy@v4").path
    registry.gc(keep=1, delete=True, by="ann")
    assert not gone.exists()
    assert not list(registry.artifacts.staging.iterdir())
    assert [one.number for one in registry.standing("policy").live] == [1, 2, 3, 6]
    assert registry.resolve("rm@v1").path == reward.path
    with pytest.raises(UserError, match="policy@v4: was deleted by `align registry gc` at 20"):
        registry.resolve("policy@v4")
    assert registry.verify() == []
    assert registry.gc(keep=1).artifacts == []
    again = registry.add(tmp_path / "made-4", "policy")
    assert again.version.number == 7
    assert registry.resolve(f"policy@sha256-{again.version.digest[:12]}").version.number == 7


def test_rebuild_from_nothing_but_the_store(tmp_path):
    registry = filled(tmp_path)
    registry.promote("policy", 2, expected=1)
    before = {name: held for name, held in shape(registry.folder).items() if name != "lock"}
    assert {f"names/policy@{word}" for word in ("v1", "v2", "v3", "champion", "previous", "best-ever")} < before.keys()
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    shutil.copytree(registry.artifacts.store, moved / "store", symlinks=True)
    again = Registry(moved)
    assert again.standing("policy") == registry.standing("policy")
    assert again.rebuild() == 6
    assert {name: held for name, held in shape(moved).items() if name != "lock"} == before
    assert (moved / "names" / "policy@champion" / "config.json").is_file()
    (moved / "names" / "policy@champion").unlink()
    (moved / "names" / "policy@challenger").symlink_to("/etc")
    again.rebuild()
    assert {name: held for name, held in shape(moved).items() if name != "lock"} == before
    assert again.verify() == []


def test_an_adapter_is_the_same_wherever_its_base_lay(tmp_path):
    registry = Registry(tmp_path / "registry", make=True)
    base = model(tmp_path / "sft", 5, "sft")
    with pytest.raises(UserError, match=r"is an adapter of .*sft, which is not in the registry"):
        registry.add(adapter(tmp_path / "early", base), "policy", "policy")
    first = registry.add(base, "policy", "sft")
    made = registry.add(adapter(tmp_path / "a", base, 1), "policy", "policy")
    shutil.copytree(base, tmp_path / "moved")
    folder = adapter(tmp_path / "b", tmp_path / "moved", 1)
    about = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(about | {"target_modules": ["a", "b"]}))
    assert registry.add(folder, "policy", "policy").version.number == made.version.number
    assert registry.add(adapter(tmp_path / "c", first.path, 1), "policy").version.number == made.version.number
    assert [(one.role, one.artifact) for one in made.manifest.parents] == [("parent", first.version.artifact)]
    assert made.manifest.base == first.version.artifact
    told = json.loads((made.path / "adapter_config.json").read_text())["base_model_name_or_path"]
    assert (made.path / told).resolve() == first.path
    (first.path / "model.safetensors").unlink()
    with pytest.raises(Damaged, match=f"{first.version.artifact}/model.safetensors"):
        registry.resolve("policy@v2")


def test_an_adapter_of_the_hubs_is_refused(tmp_path):
    with pytest.raises(UserError, match="is an adapter of team/base, which is not in the registry"):
        Registry(tmp_path / "registry", make=True).add(adapter(tmp_path / "a", "team/base"), "policy")


def test_a_name_is_of_one_family(tmp_path):
    registry = filled(tmp_path)
    registry.add(model(tmp_path / "sft", 8, "sft"), "policy")
    with pytest.raises(UserError, match="--name is 'policy', whose versions are policy models"):
        registry.add(model(tmp_path / "rm", 1, "reward"), "policy")


def test_the_kind_must_be_true(tmp_path):
    registry = Registry(tmp_path / "registry", make=True)
    with pytest.raises(UserError, match=r"is a reward model .*, not of kind policy"):
        registry.add(model(tmp_path / "rm", 1, "reward"), "x", "policy")
    with pytest.raises(UserError, match=r"is a policy .*, not of kind reward"):
        registry.add(model(tmp_path / "p", 1), "x", "reward")
    (tmp_path / "p" / "run.json").unlink()
    with pytest.raises(UserError, match=r"--kind is 'auto', and DIR .* has no run.json"):
        registry.add(tmp_path / "p", "x")


def test_the_newest_snapshot_of_a_run_is_known(tmp_path):
    folder = model(tmp_path / "rm", 1, "reward", rankings="store:labels.db")
    run = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(
        json.dumps(run | {"snapshots": {"store:labels.db": "store:labels.db@" + "ab" * 32}})
    )
    made = Registry(tmp_path / "registry", make=True).add(folder, "rm")
    assert made.manifest.inputs == {"rankings": [{"given": "store:labels.db", "snapshot": "ab" * 32}]}


def test_lineage(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    registry = Registry("registry", make=True)
    Path("demos.jsonl").write_text("{}\n")
    Path("opinions.py").write_text("def length(): ...\n")
    sft = registry.add(model(Path("sft"), 1, "sft", data="demos.jsonl", base="team/base"), "policy", by="ann")
    digest = "1f0c9a7e" * 8
    labels = f"store:postgresql://u:secret@h/d@{digest}"
    reward = registry.add(model(Path("rm"), 2, "reward", base="sft", rankings=labels), "rm", by="ann")
    loose = model(Path("loose"), 6, "reward")
    settings = {
        "policy": "sft",
        "reward_model": str(reward.path),
        "gold": "reward-model:loose",
        "prompts": "demos.jsonl,gone.jsonl",
    }
    made = registry.add(model(Path("ppo"), 3, **settings, reward="opinions.py:length"), "policy", by="ann")
    registry.promote("policy", 2, expected=None)
    parents = {(one.role, one.artifact) for one in made.manifest.parents}
    assert parents == {("policy", sft.version.artifact), ("reward_model", reward.version.artifact)}
    node = registry.lineage("policy@champion")
    text = "\n".join(node.lines())
    assert "secret" not in json.dumps(node.values()["parents"][1]["inputs"]) + text
    assert text.splitlines()[0].startswith("policy@v2 (champion, best-ever)  policy sha256-")
    for phrase in (
        "made by align ppo at 2026-11-25T10:00", "code: instruct-loop 0.1.0", "prompts: demos.jsonl, sha256 ", "gold: loose, not in the registry, content ",
        "reward: opinions.py:length, sha256", "├─ policy: policy@v1  sft sha256-", "└─ reward_model: rm@v1  reward sha256-",
        "rankings: store:postgresql://u:***@h/d, snapshot 1f0c9a7e1f0c", "base: policy@v1  sft sha256-", ", see above",
    ):  # fmt: skip
        assert phrase in text, phrase
    assert node.values()["parents"][1]["parents"][0]["artifact"] == sft.version.artifact
    assert loose.exists()
