"""What a stored file may hold: tensors as safetensors, JSON and text. Whatever can run code when it is loaded is refused, by
its name and by its content."""

from __future__ import annotations

import io
import json
import pickletools
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from alignment.registry.errors import Damaged

PICKLED = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".npz", ".mar")
"""Names of what loaders unpickle."""

TEXT = (".json", ".txt", ".jinja", ".md", ".yaml", ".jsonl", ".html", "")
"""Names of what must be UTF-8 text; "" is a LICENSE."""

MAGIC = {
    b"\x1f\x8b": "a gzip file", b"\x7fELF": "a program", b"#!": "a script", b"\x93NUMPY": "a NumPy file, which can hold a pickle",
    b"\x89HDF": "an HDF5 file, which can hold code", b"GGUF": "a GGUF file", b"\xfd7zXZ": "an xz file", b"7z\xbc\xaf": "a 7z file",
}  # fmt: skip

RUNS = {"REDUCE", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "BUILD"}
"""Opcodes of a pickle that call something."""

HEAD = 2**20
"""Bytes of a binary file that are looked through for a pickle; texts are looked through whole."""

ADVICE = "save it with `save_pretrained`, which writes safetensors, and remove it"


def check(path: Path, name: str, where: str) -> None:
    """Damaged where the file at `path`, called `name` inside its artifact, may not be stored. where: the whole for people."""
    suffix, content = PurePosixPath(name).suffix.lower(), _head(path, PurePosixPath(name).suffix.lower())
    if suffix in PICKLED:
        raise Damaged(f"{where}: {name} is a pickle by its name, which can run code when it is loaded; {ADVICE}")
    found = next((what for magic, what in MAGIC.items() if content.startswith(magic)), None)
    if found or is_zip(path):
        raise Damaged(f"{where}: {name} holds {found or 'a zip archive, as torch.save writes it'}; {ADVICE}")
    if is_pickle(content):
        raise Damaged(f"{where}: {name} holds a pickle, which can run code when it is loaded; {ADVICE}")
    if suffix == ".safetensors":
        tensor_names(path, name, where)
    elif suffix in TEXT:
        _check_text(content, name, where)


def is_pickle(content: bytes) -> bool:
    """Whether what it begins with is a pickle that calls something, or several pickles of which one does."""
    stream = io.BytesIO(content)
    while True:
        names: set[str] = set()
        try:
            names.update(opcode.name for opcode, _, _ in pickletools.genops(stream))
        except Exception:  # whatever it raises at what is no pickle
            return False
        if names & RUNS:
            return True


def is_zip(path: Path) -> bool:
    """Whether zip readers, torch.load among them, find an archive in it, wherever it begins."""
    try:
        with zipfile.ZipFile(path) as archive:
            return bool(archive.namelist())
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        return False


def tensor_names(path: Path, name: str, where: str) -> list[str]:
    """The names of the tensors; Damaged where the file is no whole safetensors."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as tensors:
            return list(tensors.keys())
    except (SafetensorError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise Damaged(f"{where}: {name} is no whole safetensors file ({reason}); give the whole model") from error


def _head(path: Path, suffix: str) -> bytes:
    with open(path, "rb") as file:
        return file.read() if suffix in TEXT else file.read(HEAD)


def _check_text(content: bytes, name: str, where: str) -> None:
    try:
        text = content.decode("utf-8")
        if "\0" in text:
            raise ValueError("holds the character 0")
        value = json.loads(text) if name.endswith(".json") else None
    except (ValueError, RecursionError) as error:
        kind = "JSON" if name.endswith(".json") else "UTF-8 text"
        raise Damaged(f"{where}: {name} is not {kind} ({error}); give the whole model") from None
    if name.endswith("config.json"):
        _check_config(value, name, where)


def _check_config(value: Any, name: str, where: str) -> None:
    """No code of the model's own, and no module that a library would import because the file says so."""
    code = {key for one in _objects(value) for key in ("auto_map", "custom_pipelines") if one.get(key)}
    own = value if isinstance(value, dict) else {}
    mapping = own.get("auto_mapping") or {"parent_library": "transformers"}
    library = mapping.get("parent_library") if isinstance(mapping, dict) else None
    if str(library).split(".")[0] != "transformers":
        code.add("auto_mapping")
    if own.get("megatron_config"):
        code.add("megatron_config")
    if code:
        raise Damaged(
            f"{where}: {name} asks for code of the model's own ({', '.join(sorted(code))}), which is never run; give a model "
            "of an architecture that transformers has"
        )


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every JSON object in a value."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if isinstance(value, dict):
        yield value
    for one in inner:
        yield from _objects(one)
