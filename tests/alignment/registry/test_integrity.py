"""What is not as it was stored is found, and which file it is: exit code 30.

Mutations seen to fail:

- sizes not compared, sha256 not compared, more files than the manifest's allowed, hard links allowed, a folder's link not
  looked for, the manifest's digest not compared with its folder, its sha256 not with the log's: test_what_changed_is_found
- the log's chain not followed, an entry's digest not compared: test_a_changed_log_is_found
- what was deleted since it was listed told: test_what_gc_deletes_meanwhile_is_no_fault
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from artifacts import filled, model

from alignment.registry.errors import Damaged
from alignment.registry.registry import Registry


def stored(registry: Registry, number: int = 1) -> Path:
    return registry.resolve(f"policy@v{number}", quick=True).path


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


def test_what_gc_deletes_meanwhile_is_no_fault(tmp_path, monkeypatch):
    registry = filled(tmp_path)
    listed = registry.artifacts.every()
    registry.gc(keep=1, delete=True)
    monkeypatch.setattr(registry.artifacts, "every", lambda: listed)
    assert registry.verify() == []


def test_a_parent_that_was_deleted_by_hand_is_told(tmp_path):
    registry = filled(tmp_path, 1)
    child = registry.add(model(tmp_path / "child", 7), "child", parents=("policy@v1",))
    registry.add(model(tmp_path / "x", 8), "x")
    shutil.rmtree(stored(registry))
    assert any(
        fault.startswith(f"child@v1: {child.manifest.parents[0].artifact}, which it was made from")
        for fault in registry.verify()
    )


def test_a_rollback_to_what_is_damaged_is_refused(tmp_path):
    registry = filled(tmp_path)
    registry.promote("policy", 2, expected=1)
    (stored(registry, 1) / "tokenizer.json").unlink()
    with pytest.raises(Damaged, match=r"tokenizer.json is missing"):
        registry.rollback("policy")
    assert registry.standing("policy").champion == 2
