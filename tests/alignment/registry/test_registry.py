"""Artifacts, versions, aliases, promotion, rollback, gc, lineage.

Mutations seen to fail:

- the digest of files without their sha256; with `created` in it: test_the_same_content_is_the_same_artifact
- sizes not compared, sha256 not compared, more files than the manifest's allowed, hard links allowed,
  the manifest's digest not compared with its folder, its sha256 not with the log's, the log's chain not followed, the base
  of an adapter not compared with the manifest: test_what_changed_is_found
- `expected` not compared; the token not compared; the token not moved by a rollback: test_promotion_is_compare_and_swap
- `os.replace` for `os.link`: test_an_entry_is_never_replaced
- weights hashed by a rollback: test_a_rollback_takes_less_than_a_second
- a rolled-back version left in the row of champions: test_a_second_rollback_goes_further_back; best-ever left on it:
  test_a_rolled_back_version_is_not_best_ever
- a repeated rollback carried out again: test_a_repeated_rollback_is_one
- parents not followed, aliases no roots, a removed version's entry not written: test_gc_...
- the order of `target_modules` kept, the base's path kept: test_an_adapter_is_the_same_wherever_its_base_lay
- a removed version resolved to its path: test_gc_deletes_what_nothing_reaches
- the family of kinds not compared: test_a_name_is_of_one_family; the score head not looked for: test_the_kind_must_be_true
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from artifacts import adapter, filled, model, shape

from alignment.errors import UserError
from alignment.registry import artifacts, lock, log
from alignment.registry.errors import Changed, Damaged, Locked
from alignment.registry.registry import Registry

ROOT = Path(__file__).resolve().parents[3]


def aliases(registry: Registry) -> dict[str, int]:
    return registry.standing("policy").aliases


def stored(registry: Registry, number: int = 1) -> Path:
    return registry.resolve(f"policy@v{number}", quick=True).path


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


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    os.chmod(path, 0o644)
    path.write_bytes(content)


def replaced_by_link(path: Path) -> None:
    shutil.copy(path, path.parents[3] / "outside")
    path.unlink()
    path.symlink_to(path.parents[3] / "outside")


def turned_into_link(folder: Path) -> None:
    os.rename(folder, folder.parents[2] / "moved")
    folder.symlink_to(folder.parents[2] / "moved")


def manifest_of_another(folder: Path) -> None:
    other = next(path for path in folder.parent.iterdir() if path != folder)
    os.replace(shutil.copy(other / "MANIFEST.json", folder / "copy"), folder / "MANIFEST.json")


def told_otherwise(folder: Path, old: str, new: str) -> None:
    told(folder / "MANIFEST.json", old, new)


def told(path: Path, old: str, new: str) -> None:
    os.chmod(path, 0o644)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


DAMAGE = {
    "a flipped byte": (lambda folder: flip(folder / "model.safetensors"), "model.safetensors is not what was stored"),
    "a flipped byte of a record": (lambda folder: flip(folder / "records/config.yaml"), "records/config.yaml is not what was stored"),
    "a byte more": (lambda folder: (os.chmod(folder / "config.json", 0o644), (folder / "config.json").write_bytes(b"{}  " * 99)), "config.json has not the size"),
    "a file lost": (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer.json is missing"),
    "a file more": (lambda folder: (folder / "model.bin").write_bytes(b"x"), "model.bin is not in its manifest"),
    "a hidden file more": (lambda folder: (folder / ".x.json").write_bytes(b"x"), "'.x.json' is no name for a file"),
    "a link out": (lambda folder: replaced_by_link(folder / "model.safetensors"), "model.safetensors is a symbolic link"),
    "a hard link out": (lambda folder: os.link(folder / "model.safetensors", folder.parents[2] / "mine"), "model.safetensors has another name outside"),
    "a folder that is a link": (turned_into_link, "is a symbolic link"),
    "the manifest of another": (manifest_of_another, "MANIFEST.json is that of another artifact"),
    "no manifest": (lambda folder: (folder / "MANIFEST.json").unlink(), "MANIFEST.json cannot be read"),
    "no JSON": (lambda folder: (os.chmod(folder / "MANIFEST.json", 0o644), (folder / "MANIFEST.json").write_text("{")), "MANIFEST.json is damaged"),
    "another digest": (lambda folder: told_otherwise(folder, '"digest": "', '"digest": "0'), "MANIFEST.json says the digest"),
    "other metrics": (lambda folder: told_otherwise(folder, '"score": 1', '"score": 9'), "MANIFEST.json is not what was stored with policy@v1"),
    "a path that leads out": (lambda folder: told_otherwise(folder, '"tokenizer.json"', '"../tokenizer.json"'), "'../tokenizer.json', which is no file inside"),
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGE)
def test_what_changed_is_found(tmp_path, case):
    registry = filled(tmp_path)
    spoil, sentence = DAMAGE[case]
    assert registry.verify() == []
    spoil(stored(registry))
    with pytest.raises(Damaged, match="sha256-") as found:
        registry.resolve("policy@champion")
    assert sentence in str(found.value)
    assert any(sentence in fault for fault in registry.verify())
    with pytest.raises(Damaged):
        registry.promote("policy", 1, expected=1, alias="challenger")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda log: told(log / "00000002.json", "ann", "bob"), "log/policy/00000002.json is damaged (its digest is another)"),
        (lambda log: told(log / "00000004.json", "champion", "best-ever"), "log/policy/00000004.json is damaged (its digest is another)"),
        (lambda log: (os.chmod(log / "00000001.json", 0o644), (log / "00000001.json").write_text("[]")), "log/policy/00000001.json is damaged"),
        (lambda log: (log / "00000002.json").unlink(), "log/policy/00000002.json is missing"),
        (lambda log: os.replace(log / "00000003.json", log / "00000002.json"), "log/policy/00000002.json does not follow"),
        (lambda log: (log / "00000004.json").rename(log / "00000005.json"), "log/policy/00000004.json is missing"),
        (lambda log: (os.chmod(log / "00000001.json", 0o644), (log / "00000001.json").write_text("{}")), "log/policy/00000001.json is damaged"),
    ],
)  # fmt: skip
def test_a_changed_log_is_found(tmp_path, spoil, sentence):
    registry = filled(tmp_path)
    spoil(registry.artifacts.store / "log" / "policy")
    with pytest.raises(Damaged, match="log/policy/0000000") as found:
        registry.resolve("policy@champion")
    assert sentence in str(found.value)
    assert any(sentence in fault for fault in registry.verify())


@pytest.mark.parametrize("name", ["notes.txt", "policy/half", "log/policy/x", "log/UP"])
def test_verify_tells_strangers(tmp_path, name):
    registry = filled(tmp_path)
    (registry.artifacts.store / name).write_text("x")
    assert registry.verify() == [f"{name} is nothing that the registry stored; remove it"]


def test_a_parent_that_was_deleted_by_hand_is_told(tmp_path):
    registry = filled(tmp_path, 1)
    child = registry.add(model(tmp_path / "child", 7), "child", parents=("policy@v1",))
    registry.add(model(tmp_path / "x", 8), "x")
    shutil.rmtree(stored(registry))
    assert any(
        fault.startswith(f"child@v1: {child.manifest.parents[0].artifact}, which it was made from")
        for fault in registry.verify()
    )


def test_promotion_is_compare_and_swap(tmp_path):
    registry = filled(tmp_path)
    seen = registry.standing("policy").token
    with pytest.raises(Changed, match="policy@champion: is v1 now, not v2 as expected") as refusal:
        registry.promote("policy", 3, expected=2)
    assert refusal.value.code == 21
    with pytest.raises(Changed, match="is v1 now, not nobody"):
        registry.promote("policy", 3, expected=None)
    assert aliases(registry) == {"champion": 1, "best-ever": 1}
    stands = registry.promote("policy", 2, expected=1, token=seen, by="bob", why="it won", gates={"win": 0.61})
    assert (stands.champion, stands.previous, stands.token) == (2, 1, seen + 1)
    entry = registry.history("policy")[-1]
    assert (entry.by, entry.why, entry.gates, entry.before, entry.version) == ("bob", "it won", {"win": 0.61}, 1, 2)
    registry.rollback("policy")
    with pytest.raises(Changed, match=f"was moved since token {seen}"):  # v1 again, but not the v1 of that moment
        registry.promote("policy", 3, expected=1, token=seen)
    with pytest.raises(Changed, match=f"was moved since token {stands.token}"):
        registry.promote("policy", 3, expected=1, token=stands.token)
    assert registry.promote("policy", 3, expected=1, token=registry.standing("policy").token).champion == 3


def test_an_entry_is_never_replaced(tmp_path):
    """Where there are no locks, of two writers that saw the same state the second is refused."""
    registry = filled(tmp_path)
    before = shape(registry.artifacts.store)
    with pytest.raises(Changed, match="another process changed it at the same moment"):
        log.append(registry.artifacts.store, "policy", 3, log.Entry("rollback", 1, "bob", "now"))
    assert shape(registry.artifacts.store) == before


def test_a_repeated_promotion_is_one(tmp_path):
    registry = filled(tmp_path)
    registry.promote("policy", 2, expected=1)
    before = len(registry.history("policy"))
    registry.promote("policy", 2, expected=1)
    assert len(registry.history("policy")) == before


def test_aliases_move_alone(tmp_path):
    registry = filled(tmp_path)
    registry.promote("policy", 2, expected=None, alias="challenger")
    registry.promote("policy", 1, expected=None, alias="sft-anchor")
    assert aliases(registry) == {"champion": 1, "challenger": 2, "best-ever": 1, "sft-anchor": 1}
    registry.promote("policy", 2, expected=1)
    assert aliases(registry) == {"champion": 2, "previous": 1, "best-ever": 1, "sft-anchor": 1}
    registry.promote("policy", 2, expected=1, alias="best-ever")
    assert aliases(registry)["best-ever"] == 2
    with pytest.raises(UserError, match="--alias is 'previous'"):
        registry.promote("policy", 1, expected=1, alias="previous")


def test_a_second_rollback_goes_further_back(tmp_path):
    registry = filled(tmp_path)
    registry.promote("policy", 2, expected=1)
    registry.promote("policy", 3, expected=2)
    assert registry.rollback("policy", by="eve", why="it flatters").aliases == {
        "champion": 2,
        "previous": 1,
        "best-ever": 1,
    }
    assert registry.rollback("policy").aliases == {"champion": 1, "best-ever": 1}
    with pytest.raises(UserError, match="policy: has no champion before the present one"):
        registry.rollback("policy")
    told = [(one.action, one.version, one.before, one.by, one.why) for one in registry.history("policy")][-2:]
    assert told[0] == ("rollback", 2, 3, "eve", "it flatters")
    assert told[1][:3] == ("rollback", 1, 2)
    assert registry.promote("policy", 3, expected=1).previous == 1


def test_a_rollback_to_an_earlier_champion(tmp_path):
    registry = filled(tmp_path)
    registry.promote("policy", 2, expected=1)
    registry.promote("policy", 3, expected=2)
    assert registry.rollback("policy", to=1).champion == 1
    with pytest.raises(UserError, match="policy@v3: is no earlier champion that still stands"):
        registry.rollback("policy", to=3)


def test_a_rolled_back_version_is_not_best_ever(tmp_path):
    registry = filled(tmp_path)
    registry.promote("policy", 2, expected=1)
    registry.promote("policy", 2, expected=1, alias="best-ever")
    assert registry.rollback("policy").aliases["best-ever"] == 1


def test_a_repeated_rollback_is_one(tmp_path):
    registry = filled(tmp_path)
    registry.promote("policy", 2, expected=1)
    registry.promote("policy", 3, expected=2)
    for _ in range(2):
        assert registry.rollback("policy", expected=3).champion == 2
    for _ in range(2):
        assert registry.rollback("policy", to=1).champion == 1
    assert [one.action for one in registry.history("policy")].count("rollback") == 2
    with pytest.raises(Changed, match="is v1 now, not v3"):
        registry.rollback("policy", expected=3, to=2)


def test_a_rollback_to_what_is_damaged_is_refused(tmp_path):
    registry = filled(tmp_path)
    registry.promote("policy", 2, expected=1)
    (stored(registry, 1) / "tokenizer.json").unlink()
    with pytest.raises(Damaged, match=r"tokenizer.json is missing"):
        registry.rollback("policy")
    assert registry.standing("policy").champion == 2


def test_a_rollback_takes_less_than_a_second(tmp_path, monkeypatch):
    """After 60 promotions; and it reads no weights, so their size does not matter."""
    registry = filled(tmp_path)
    for number in range(60):
        registry.promote("policy", 2 + number % 2, expected=registry.standing("policy").champion)
    hashed: list[str] = []
    monkeypatch.setattr(artifacts, "file_sha256", lambda path: hashed.append(path.name))
    started = time.perf_counter()
    registry.rollback("policy", expected=3, to=2)
    seconds = time.perf_counter() - started
    assert registry.standing("policy").champion == 2
    assert seconds < 1, seconds
    assert hashed == []


def test_a_held_lock_is_told_with_its_owner(tmp_path):
    registry = filled(tmp_path)
    with (
        lock.held(registry.folder / "lock", "align registry gc"),
        pytest.raises(Locked, match=r"held by align registry gc \(process \d+ on ") as refusal,
    ):
        lock.held(registry.folder / "lock", "align promote", wait=0.05).__enter__()
    assert refusal.value.code == 20
    registry.promote("policy", 2, expected=1)


def test_reading_needs_no_right_to_write(tmp_path):
    registry = filled(tmp_path)
    before = shape(registry.folder)
    with lock.held(registry.folder / "lock", "align registry gc"):
        held = (registry.folder / "lock").read_bytes()
        registry.resolve("policy@champion")
        registry.history("policy")
        assert registry.verify() == []
    assert shape(registry.folder) == {**before, "lock": held}


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
    gone = stored(registry, 4)
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


def test_a_rollback_passes_over_what_was_deleted(tmp_path):
    registry = filled(tmp_path, 4)
    for number in (2, 3, 4):
        registry.promote("policy", number, expected=number - 1)
    registry.promote("policy", 4, expected=1, alias="best-ever")
    registry.gc(keep=1, delete=True)
    assert aliases(registry) == {"champion": 4, "previous": 3, "best-ever": 4}
    assert registry.rollback("policy").previous is None


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
    flip(first.path / "model.safetensors")
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
