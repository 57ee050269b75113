"""Small directories that look like what stages write, for the registry: a transformer of four numbers. Nothing trains."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy
import yaml
from safetensors.numpy import save_file

from alignment.registry.registry import Registry

COMMANDS = {"sft": "sft", "reward": "reward", "policy": "ppo"}


def model(folder: Path, number: float = 0.0, kind: str = "policy", **settings: Any) -> Path:
    """A directory of that kind; `number` makes its content. settings: what its run was told."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "llama"}\n')
    (folder / "tokenizer.json").write_text("{}\n")
    head = {"score.weight": numpy.full(2, number, "float32")} if kind == "reward" else {}
    save_file({"weight": numpy.full(4, number, "float32"), **head}, folder / "model.safetensors")
    (folder / "config.yaml").write_text(yaml.safe_dump({"output": str(folder), "seed": 0, **settings}))
    run = {
        "command": COMMANDS[kind],
        "started": "2026-11-25T10:00:00.000+00:00",
        "versions": {"instruct-loop": "0.1.0"},
    }
    (folder / "run.json").write_text(json.dumps(run | {"changed": {"seed": {"value": "0", "default": "1"}}}))
    (folder / "metrics.json").write_text(json.dumps({"score": number}))
    return folder


def adapter(folder: Path, base: Path | str, number: float = 0.0, **settings: Any) -> Path:
    """A LoRA adapter of the model in `base`."""
    model(folder, number, **settings)
    (folder / "config.json").unlink()
    os.rename(folder / "model.safetensors", folder / "adapter_model.safetensors")
    about = {"base_model_name_or_path": str(base), "target_modules": ["b", "a"] if number else ["a", "b"]}
    (folder / "adapter_config.json").write_text(json.dumps(about))
    return folder


def filled(folder: Path, versions: int = 3) -> Registry:
    """A registry in `folder`/registry with `policy` v1 ... vN, of which v1 is the champion."""
    registry = Registry(folder / "registry", make=True)
    for number in range(1, versions + 1):
        registry.add(model(folder / f"made-{number}", number), "policy", by="ann")
    registry.promote("policy", 1, expected=None, by="ann")
    return registry


def shape(folder: Path) -> dict[str, bytes | str]:
    """Every file below a folder and what it holds, links as where they lead."""
    return {
        path.relative_to(folder).as_posix(): os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }
