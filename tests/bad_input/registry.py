"""The registry: names, references, what may not be stored, what is no longer as it was stored, who else is at work."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from alignment.registry import lock
from bad_input import conditions, inputs
from bad_input.case import GOOD, REGISTRY, Case, made
from bad_input.doors import DOORS, SCORER_DOORS

READERS = [command for command in REGISTRY if command != "registry add"]
"""Commands for which the registry must be there."""

ALL_DOORS = [(command, flag, prefix, "policy@v2") for command, flag, prefix in DOORS] + [
    (command, flag, prefix, "rm@v1") for command, flag, prefix in SCORER_DOORS
]


def weights(folder: Path, version: str = "policy@v2") -> Path:
    return (folder / "registry" / "names" / version).resolve() / "model.safetensors"


def flipped(folder: Path) -> None:
    for path in (folder / "registry" / "store").glob("*/*/model.safetensors"):
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.chmod(0o644)
        path.write_bytes(content)


def log_flipped(folder: Path) -> None:
    path = folder / "registry" / "store" / "log" / "policy" / "00000002.json"
    path.chmod(0o644)
    path.write_text(path.read_text().replace("policy/sha256", "reward/sha256"))


def spoiled(name: str, content: bytes | str) -> inputs.Spoil:
    """The policy with one more file."""
    return inputs.spoiled(
        "policy", lambda model: (model / name).write_bytes(content.encode() if isinstance(content, str) else content)
    )


def locked_away(folder: Path) -> None:
    shutil.rmtree(folder / "registry")
    (folder / "registry").mkdir(mode=0o555)


@contextlib.contextmanager
def another_process() -> Iterator[None]:
    """Another process holds the registry's lock, and nobody waits for it."""
    with lock.held(Path("registry/lock"), "align registry gc"), mock.patch.object(lock, "WAIT", 0.0):
        yield


@contextlib.contextmanager
def elsewhere() -> Iterator[None]:
    with mock.patch.dict(os.environ, {"ALIGN_REGISTRY": "none"}):
        yield


REGISTRIES = [
    *[
        case
        for command in READERS
        for case in (
            Case("no registry", f"{command} --registry none", {}, "--registry none: there is no registry; make one with `align registry add`"),
            Case("no registry, by the variable", command, {}, "--registry none: there is no registry", elsewhere),
            Case("a file", f"{command} --registry rankings.jsonl", {}, "--registry rankings.jsonl: there is no registry"),
        )
    ],
    *[
        case
        for command in ("registry show", "lineage", "promote")
        for case in (
            *[Case("no reference", f"{command} {text}", {}, f"REFERENCE is '{text}'; it must be NAME@vN") for text in ("policy", "../x@v1", "policy@newest", "policy@v0", "/etc@v1")],
            Case("no such name", f"{command} nobody@v1", {}, "nobody@v1: there is no such name; there are policy, rm, served"),
            Case("no such version", f"{command} policy@v9", {}, "policy@v9: there is no such version; the newest is v2"),
            Case("nobody's alias", f"{command} policy@challenger", {}, "policy@challenger: no version has this alias yet; `align promote`"),
            Case("no such digest", f"{command} policy@sha256-00000000", {}, "policy@sha256-00000000: is no version of it"),
            Case("a changed log", command, log_flipped, "log/policy/00000002.json is damaged (its digest is another)", code=30),
        )
    ],
    *[Case("another process", command, {}, ("registry: is held by align registry gc (process ", "wait for that one to end"), another_process, code=20) for command in ("registry add", "registry gc", "registry rebuild", "promote", "rollback")],
    *[Case("read-only", f"{command} {GOOD[command]}", lambda folder: (folder / "registry" / "lock").chmod(0o444), "--registry registry: cannot be written (Permission denied)", conditions.nobody) for command in ("promote", "rollback", "registry gc")],
    Case("no right to read", "registry list", lambda folder: (folder / "registry" / "store" / "log").chmod(0), "cannot be read (Permission denied); give another place", conditions.nobody),
    Case("flipped bytes", "registry verify", flipped, (), code=30),
    Case("flipped bytes", "registry show", flipped, ("policy/sha256-", "model.safetensors is not what was stored (sha256)"), code=30),
    Case("flipped bytes", "promote", flipped, "model.safetensors is not what was stored (sha256)", code=30),
    Case("a file lost", "rollback", lambda folder: weights(folder, "served@v1").unlink(), "model.safetensors is missing", code=30),
    Case("a pickle in the store", "registry show", lambda folder: (weights(folder).parent / "x.pkl").write_text("x"), "x.pkl is not in its manifest", code=30),
    Case("another champion", "promote --expected v2", {}, "policy@champion: is v1 now, not v2 as expected", code=21),
    Case("another champion", "promote --expected nobody", {}, "policy@champion: is v1 now, not nobody as expected", code=21),
    Case("moved since", "promote --token 1", {}, "policy@champion: was moved since token 1; it is now at 3", code=21),
    Case("another champion", "rollback --expected v1", {}, "served@champion: is v2 now, not v1 as expected", code=21),
    Case("no version", "promote --expected first", {}, "--expected is 'first'; it must be a version, such as v3"),
    Case("no version", "rollback --to first", {}, "--to is 'first'; it must be a version, such as v3"),
    Case("previous is nobody's to give", "promote --alias previous", {}, "--alias is 'previous'; it must be one of champion, challenger, best-ever, sft-anchor"),
    Case("nothing before it", "rollback policy --expected v1", {}, "policy: has no champion before the present one; promote a version instead"),
    Case("never a champion", "rollback served --expected v2 --to v9", {}, "served@v9: is no earlier champion that still stands"),
    *[Case("no such name", f"{command} nobody", {}, "NAME is 'nobody'; there is no such name; there are policy, rm, served") for command in ("rollback", "registry list")],
    *[Case("no name", f"{command} ../x", {}, "NAME is '../x'; it must be 1 to 64 characters of a-z") for command in ("rollback", "registry list")],
    Case("none kept", "registry gc --keep 0", {}, "--keep is 0; it must be a whole number at least 1"),
    *[Case("no name", f"registry add --name {name}", {}, f"--name is '{name}'; it must be 1 to 64 characters of a-z") for name in ("../x", "A", "a/b", ".a", "x" * 65)],
    Case("no such directory", "registry add none", {}, "DIR none: no such directory; give the directory of a model"),
    Case("a file", "registry add rankings.jsonl", {}, "DIR rankings.jsonl: is a file; give the directory of a model"),
    Case("no model", "registry add run", {}, "DIR run: holds no model (config.json and safetensors); give the directory that a stage wrote"),
    Case("a kind that nobody told", "registry add --kind auto", {}, ("--kind is 'auto', and DIR policy has no run.json", "policy, sft, base, reward")),
    Case("no kind", "registry add --kind model", {}, "--kind is 'model'; it must be one of policy, sft, base, reward"),
    Case("a policy as a reward model", "registry add --kind reward", {}, "DIR policy: is a policy (it has no score head), not of kind reward"),
    Case("a reward model as a policy", "registry add reward-model", {}, "DIR reward-model: is a reward model (it has a score head), not of kind base"),
    Case("a name of another family", "registry add --name rm", {}, "--name is 'rm', whose versions are reward models; give a base model a name of its own"),
    Case("no such parent", "registry add --parent policy@v9", {}, "policy@v9: there is no such version"),
    Case("no reference", "registry add --parent policy", {}, "--parent is 'policy'; it must be NAME@vN"),
    Case("an adapter without its base", "registry add bad", inputs.spoiled("policy", inputs.an_adapter_without_base), "/gone/base, which is not in the registry; add that first"),
    Case("pickled weights", "registry add bad", inputs.spoiled("policy", inputs.pickled), "pytorch_model.bin is a pickle by its name", code=30),
    Case("a pickle called vocab.txt", "registry add bad", spoiled("vocab.txt", b"\x80\x04cos\ngetcwd\n)R."), "vocab.txt holds a pickle", code=30),
    Case("truncated weights", "registry add bad", inputs.spoiled("policy", inputs.truncated), "model.safetensors is no whole safetensors file", code=30),
    Case("code of its own", "registry add bad", inputs.spoiled("policy", lambda model: (model / "config.json").write_text('{"auto_map": {"AutoModel": "m.M"}}')), "config.json asks for code of the model's own (auto_map)", code=30),
    Case("a link", "registry add bad", inputs.spoiled("policy", lambda model: (model / "vocab.json").symlink_to("/etc/passwd")), "vocab.json is a symbolic link", code=30),
    Case("a program beside it", "registry add bad", spoiled("run.sh", "#!/bin/sh\n"), "run.sh is of no kind that a model consists of", code=30),
    Case("full disk", "registry add --kind policy", lambda folder: shutil.rmtree(folder / "registry" / "store" / "policy"), ("--registry registry: cannot be written (File too large)", "make room"), conditions.full_disk),
    Case("a folder that nobody may write", "registry add", locked_away, "--registry registry: cannot be written (Permission denied)", conditions.nobody),
    *[Case("closed stdout", f"{command} {GOOD[command]} --json", {}, "stdout was closed, so not all was printed", conditions.no_stdout, added=made(command)) for command in ("promote", "registry add")],
    *[
        case
        for command, flag, prefix, good in ALL_DOORS
        for name in [flag.split()[-1]]
        for case in (
            Case("no such version", f"{command} {flag} {prefix}policy@v9", {}, f"{name} policy@v9: there is no such version; the newest is v2"),
            Case("no registry", f"{command} {flag} {prefix}{good}", {}, f"{name} {good}: --registry none: there is no registry", elsewhere),
            Case("flipped bytes", f"{command} {flag} {prefix}{good}", flipped, (f"{name} {good}: ", "model.safetensors is not what was stored (sha256)"), code=30),
        )
    ],
    Case("a good version", "sample --policy policy@champion", {}, (), code=0, added=made("sample")),
]  # fmt: skip
