"""What may be stored: whatever can run code, leads out of its directory or is no model is refused with exit code 30 and its
name, by its suffix and by what it holds.

Mutations seen to fail (the check switched off, and what then fails):

- is_pickle always false ("a pickle called vocab.txt", test_pickles_are_known_by_what_they_call); only the first of several
  pickles read ("torch's old format"); RUNS without REDUCE (both)
- is_zip always false ("torch's format called ...", "a zip behind tensors"); MAGIC emptied ("gzip", "program", "NumPy", "script")
- auto_map looked for at the top level only ("code of its own, deep"); megatron_config, auto_mapping let through
- links followed (`stat` for `lstat`); FILE_NAME widened to any text; case not compared; folders' case not compared
- the index's shards not compared with the files ("an index that leads out"); the ensemble's members not
- PICKLED emptied: still refused, as of no kind ("a .bin ..." fails for its sentence)
"""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
from artifacts import model
from safetensors.numpy import save, save_file

from alignment.registry import contents, listing
from alignment.registry.errors import Damaged
from alignment.registry.registry import Registry


class Runs:
    def __reduce__(self):
        return os.getcwd, ()


def pickled(protocol: int = 2) -> bytes:
    return pickle.dumps(Runs(), protocol)


def zipped() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("archive/data.pkl", pickled())
    return made.getvalue()


def old_torch() -> bytes:
    """Several pickles in a row; the first are plain numbers."""
    return pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + pickled()


def behind_tensors() -> bytes:
    """Valid safetensors whose bytes hold a zip archive."""
    archive = numpy.frombuffer(zipped(), "uint8")
    return save({"weight": archive})


def write(name: str, content: bytes | str) -> Callable[[Path], object]:
    def made(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return made


def linked(folder: Path) -> None:
    (folder.parent / "outside.json").write_text("{}")
    (folder / "vocab.json").symlink_to(folder.parent / "outside.json")


def linked_folder(folder: Path) -> None:
    (folder / "base").symlink_to(folder.parent)


CASES: list[tuple[str, Callable[[Path], object], str]] = [
    *[(f"a {suffix} beside safetensors", write(f"model{suffix}", "x"), f"model{suffix} is a pickle by its name") for suffix in contents.PICKLED],
    ("a capital suffix", write("model.PKL", "x"), "model.PKL is a pickle by its name"),
    ("a pickle called model.safetensors", write("model.safetensors", pickled()), "model.safetensors holds a pickle"),
    ("a pickle called vocab.txt", write("vocab.txt", pickled(0)), "vocab.txt holds a pickle"),
    ("a pickle called config.yaml", write("config.yaml", pickled(0)), "config.yaml holds a pickle"),
    ("a pickle called config.json", write("config.json", pickled(4)), "config.json holds a pickle"),
    ("a pickle called tokenizer.model", write("tokenizer.model", pickled(4)), "tokenizer.model holds a pickle"),
    ("torch's format called model.safetensors", write("model.safetensors", zipped()), "model.safetensors holds a zip archive"),
    ("torch's format called tokenizer.model", write("tokenizer.model", zipped()), "tokenizer.model holds a zip archive"),
    ("torch's old format", write("model.safetensors", old_torch()), "model.safetensors holds a pickle"),
    ("a zip behind tensors", write("more.safetensors", behind_tensors()), "more.safetensors holds a zip archive"),
    ("gzip", write("tokenizer.model", b"\x1f\x8b\x08" + b"x" * 20), "tokenizer.model holds a gzip file"),
    ("program", write("tokenizer.model", b"\x7fELF" + b"x" * 20), "tokenizer.model holds a program"),
    ("NumPy", write("tokenizer.model", b"\x93NUMPY" + b"x" * 20), "tokenizer.model holds a NumPy file"),
    ("script", write("merges.txt", "#!/bin/sh\nid\n"), "merges.txt holds a script"),
    ("Python", write("modeling_x.py", "import os"), "modeling_x.py is of no kind that a model consists of"),
    ("code of its own", write("config.json", '{"auto_map": {"AutoModel": "m.M"}}'), "config.json asks for code of the model's own (auto_map)"),
    ("code of its own, deep", write("config.json", '{"text_config": [{"auto_map": {"AutoModel": "m.M"}}]}'), "(auto_map)"),
    ("a tokenizer's own code", write("tokenizer_config.json", '{"auto_map": {"AutoTokenizer": ["t.T", null]}}'), "tokenizer_config.json asks"),
    ("a module to import", write("adapter_config.json", '{"auto_mapping": {"parent_library": "evil.module"}}'), "(auto_mapping)"),
    ("another module to import", write("adapter_config.json", '{"megatron_config": {"a": 1}, "megatron_core": "evil"}'), "(megatron_config)"),
    ("cut tensors", lambda folder: (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-3]), "model.safetensors is no whole safetensors file"),
    ("bytes behind tensors", lambda folder: (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes() + b"x"), "model.safetensors is no whole safetensors file"),
    ("no JSON", write("tokenizer.json", "{"), "tokenizer.json is not JSON"),
    ("no text", write("vocab.txt", b"\xff\xfe"), "vocab.txt is not UTF-8 text"),
    ("text with zeros", write("vocab.txt", "a\0b"), "vocab.txt is not UTF-8 text"),
    ("a link", linked, "vocab.json is a symbolic link"),
    ("a folder that is a link", linked_folder, "base is a symbolic link"),
    ("a pipe", lambda folder: os.mkfifo(folder / "vocab.json"), "vocab.json is no regular file"),
    ("a blank in a name", write("my vocab.json", "{}"), "'my vocab.json' is no name for a file of a model"),
    ("a new line in a name", write("vocab\n.json", "{}"), r"'vocab\n.json' is no name"),
    ("a letter of another script", write("vоcab.json", "{}"), "is no name for a file of a model"),
    ("too long a name", write("v" * 124 + ".json", "{}"), "is no name for a file of a model"),
    ("two names that are one", lambda folder: (write("VOCAB.json", "{}")(folder), write("vocab.json", "{}")(folder)), "VOCAB.json and vocab.json are one file"),
    ("two folders that are one", lambda folder: (write("Base/a.json", "{}")(folder), write("base/b.json", "{}")(folder)), "Base and base are one file"),
    ("too deep", lambda folder: ((folder / "a/b/c/d").mkdir(parents=True), write("a/b/c/d/e.json", "{}")(folder)), "a/b/c/d/e.json lies too deep"),
    ("an index that leads out", write("model.safetensors.index.json", '{"weight_map": {"w": "../../x.safetensors"}}'), "'../../x.safetensors', which is no file inside"),
    ("an index that is absolute", write("model.safetensors.index.json", '{"weight_map": {"w": "/etc/x.safetensors"}}'), "which is no file inside"),
    ("an index of what is not there", write("model.safetensors.index.json", '{"weight_map": {"w": "x.safetensors"}}'), "names x.safetensors, which is not there"),
    ("an ensemble that leads out", write("ensemble.json", '{"members": [".."], "score_temperature": 1}'), "which is no file inside"),
    ("an ensemble of nothing", write("ensemble.json", '{"members": ["member-0"], "score_temperature": 1}'), "names member-0/config.json, which is not there"),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "sentence"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_is_refused(tmp_path, spoil, sentence):
    folder = model(tmp_path / "made", 1)
    spoil(folder)
    with pytest.raises(Damaged) as refusal:
        Registry(tmp_path / "registry", make=True).add(folder, "policy")
    assert refusal.value.code == 30
    assert sentence in str(refusal.value)
    assert not (tmp_path / "registry").exists()


def test_pickles_are_known_by_what_they_call():
    assert all(contents.is_pickle(pickled(protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1))
    texts = [
        "",
        ".",
        "config\nof\na model.",
        "i am\na\ntext.",
        "{}",
        '{"a": 1}',
        "#version: 0.2\nt h\n",
        "cat\ndog\n.\nR",
    ]
    assert not any(contents.is_pickle(text.encode()) for text in texts)
    assert not contents.is_pickle(pickle.dumps({"a": [1, 2.5, "b"]}))


def test_what_is_not_the_models_stays_behind(tmp_path):
    folder = model(tmp_path / "made", 1)
    for name in (
        "samples.jsonl",
        "report.html",
        "LICENSE",
        "README.md",
        "plot.png",
        ".gitattributes",
        "instruct-loop/events",
        "state/state.json",
    ):
        write(name, "text")(folder)
    made = Registry(tmp_path / "registry", make=True).add(folder, "policy")
    assert sorted(made.manifest.files) == ["config.json", "model.safetensors", "tokenizer.json"]
    records = ["LICENSE", "README.md", "config.yaml", "metrics.json", "report.html", "run.json"]
    assert sorted(made.manifest.records) == records
    assert sorted(path.name for path in (made.path / "records").iterdir()) == records


def test_a_vocabulary_may_hold_any_word(tmp_path):
    folder = model(tmp_path / "made", 1)
    write("tokenizer.json", json.dumps({"vocab": {"auto_map": 1}}))(folder)
    Registry(tmp_path / "registry", make=True).add(folder, "policy")


def test_random_tensors_are_no_archive(tmp_path):
    """The end of an archive's mark alone, which four random bytes can be, is none."""
    save_file({"w": numpy.frombuffer(b"PK\x05\x06" + bytes(18), "uint8")}, tmp_path / "model.safetensors")
    assert not contents.is_zip(tmp_path / "model.safetensors")


@pytest.mark.parametrize("name", ["../x", "/x", "a/../x", "a//b", "", ".", "a/./b", "a\\b", "a\nb"])
def test_paths_that_a_manifest_tells_stay_inside(name):
    with pytest.raises(Damaged, match="no file inside the artifact"):
        listing.check_inner(name, "MANIFEST.json")
