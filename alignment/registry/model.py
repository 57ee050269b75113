"""A model's directory as it will be stored: the same model is the same bytes, wherever it was trained."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from alignment.durable import file_sha256
from alignment.errors import UserError
from alignment.registry import contents, listing
from alignment.registry.artifacts import Artifacts
from alignment.registry.errors import Damaged
from alignment.registry.listing import Found
from alignment.registry.manifest import File, artifact_name, content_digest, split_name
from alignment.registry.names import KINDS, REWARD

CONFIG, ADAPTER, ENSEMBLE = "config.json", "adapter_config.json", "ensemble.json"
BASE = "base_model_name_or_path"
OWN_BASE = "./base"
"""What an adapter's configuration says of a base that lies in its own directory."""


@dataclass(frozen=True)
class Model:
    """found: all files of the directory. rewritten: those of them that are stored with other bytes, by name. base: the
    artifact that an adapter stands on, None where it needs none."""

    found: list[Found]
    rewritten: dict[str, bytes]
    base: str | None

    def of(self, role: listing.Role) -> list[Found]:
        return [one for one in self.found if one.role == role]


def read_model(folder: Path, where: str, artifacts: Artifacts) -> Model:
    """What would be stored of a directory. Damaged or UserError where it is no model that may be."""
    found = listing.files(folder, where)
    names = {one.name for one in found}
    if not names & {CONFIG, ADAPTER, ENSEMBLE} or not any(name.endswith(".safetensors") for name in names):
        raise UserError(f"{where}: holds no model ({CONFIG} and safetensors); give the directory that a stage wrote")
    for one in found:
        if one.role == "record":
            contents.check(one.path, one.name, where)
    check_contents(folder, [one.name for one in found if one.role == "model"], where)
    rewritten: dict[str, bytes] = {}
    base = None
    for one in found:
        if PurePosixPath(one.name).name == ADAPTER:
            value = _json(one.path, where, one.name)
            own_base = "base/" + CONFIG in names
            if one.name == ADAPTER and not own_base:
                base = _stored_base(value.get(BASE), where, artifacts)
            told = f"../../{base}" if one.name == ADAPTER and base else OWN_BASE if own_base else None
            rewritten[one.name] = _adapter_text(value, told)
    return Model(found, rewritten, base)


def directory_digest(folder: Path, where: str, artifacts: Artifacts) -> str:
    """The digest that the model in a directory has, or would have, as an artifact."""
    model = read_model(folder, where, artifacts)
    files = {one.name: _file(one, model.rewritten.get(one.name)) for one in model.of("model")}
    return content_digest(files)


def artifact_of(path: Path, artifacts: Artifacts) -> str | None:
    """The artifact that lies at a path of the store, or that has the same content as the model there."""
    folder = path.resolve()
    if folder.is_relative_to(artifacts.store.resolve()):
        try:
            name = artifact_name(*split_name(folder.relative_to(artifacts.store.resolve()).as_posix()))
        except ValueError:
            return None
        return name if (artifacts.store / name).is_dir() else None
    return artifacts.with_content(directory_digest(folder, str(path), artifacts))


def check_contents(folder: Path, names: list[str], where: str) -> None:
    """Looks into every file of a model; Damaged for what can run code or leads out of its directory."""
    for name in names:
        contents.check(folder / name, name, where)
        inside = PurePosixPath(name).parent
        if name.endswith(".safetensors.index.json"):
            shards = _json(folder / name, where, name).get("weight_map")
            for shard in sorted({str(one) for one in (shards.values() if isinstance(shards, dict) else ["?"])}):
                _require_inside(str(inside / shard), names, f"{where}: {name}")
        if name == ENSEMBLE:
            members = _json(folder / name, where, name).get("members")
            for member in members if isinstance(members, list) else ["?"]:
                _require_inside(f"{member}/{CONFIG}", names, f"{where}: {name}")


def check_kind(folder: Path, names: list[str], kind: str, where: str) -> None:
    """UserError where a policy is to be stored as a reward model, or the other way round."""
    tensors = [contents.tensor_names(folder / name, name, where) for name in names if name.endswith(".safetensors")]
    scores = any(one.endswith("score.weight") for some in tensors for one in some)
    if scores != (KINDS[kind] == REWARD):
        found, head = ("a reward model", "a") if scores else ("a policy", "no")
        raise UserError(
            f"{where}: is {found} (it has {head} score head), not of kind {kind}; give the --kind that it is"
        )


def check_base(folder: Path, base: str | None, where: str) -> None:
    """Damaged where a stored adapter stands on anything but its own base or the artifact that its manifest names."""
    if not (folder / ADAPTER).is_file():
        return
    told = _json(folder / ADAPTER, where, ADAPTER).get(BASE)
    if told != (f"../../{base}" if base else OWN_BASE):
        raise Damaged(f"{where}/{ADAPTER} names the base {told!r}, which is not the one that its manifest names")


def _stored_base(told: Any, where: str, artifacts: Artifacts) -> str:
    """The artifact that is an adapter's base, found by its content."""
    folder = Path(str(told))
    found = artifact_of(folder, artifacts) if told and folder.is_dir() else None
    if found is None:
        raise UserError(
            f"{where}: is an adapter of {told}, which is not in the registry; add that first (`align registry add DIR --kind "
            "sft`, or base), and train from a directory, not a Hub id"
        )
    return found


def _adapter_text(value: dict[str, Any], base: str | None) -> bytes:
    """An adapter's configuration without what differs from run to run: where its base lay, the order of PEFT's sets."""
    made = {**value, BASE: base}
    for name in ("target_modules", "modules_to_save"):
        if isinstance(made.get(name), list):
            made[name] = sorted(set(made[name]))
    return (json.dumps(made, indent=2, sort_keys=True) + "\n").encode("utf-8")


def _require_inside(name: str, names: list[str], where: str) -> None:
    listing.check_inner(name, where)
    if name not in names:
        raise Damaged(f"{where} names {name}, which is not there; give the whole model")


def _json(path: Path, where: str, name: str) -> dict[str, Any]:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        with open(handle, encoding="utf-8") as file:
            value = json.load(file)
        if not isinstance(value, dict):
            raise ValueError("it must hold one object")
        return value
    except (OSError, ValueError, RecursionError) as error:
        raise Damaged(f"{where}: {name} is not JSON ({error}); give the whole model") from None


def _file(one: Found, content: bytes | None) -> File:
    if content is None:
        return File(one.path.stat().st_size, file_sha256(one.path))
    return File(len(content), hashlib.sha256(content).hexdigest())
