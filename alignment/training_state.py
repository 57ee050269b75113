"""What a training run holds, as named tensors and plain values: weights, optimizer moments, random number generators."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from alignment.distributed import like, local, sharded
from alignment.processes import is_main, rank

Tensors = dict[str, torch.Tensor]

TENSOR_FILE, VALUE_FILE = "state.safetensors", "state.json"
"""Those of the main process; process 1 has `state-1.safetensors` and `state-1.json`, and so on."""


def save_state(directory: Path, parts: dict[str, Tensors], values: dict[str, Any]) -> None:
    """Writes `state.safetensors` (a tensor PART/NAME each) and `state.json`, the global random number generators included.

    Every process calls it: the others add files of their own to the same folder, with their generators and, under FSDP2,
    their parts of the models. values may hold NaN and infinity: what diverged must come back as it was."""
    directory.mkdir(parents=True, exist_ok=True)
    parts = {**(parts if is_main() or sharded() else {}), "generator": _generators()}
    flat = {
        f"{part}/{name}": value.detach().cpu().clone() for part, some in parts.items() for name, value in some.items()
    }
    save_file(flat, directory / _own(TENSOR_FILE))
    generators = {"python": random.getstate(), "numpy": _numpy_state()}
    (directory / _own(VALUE_FILE)).write_text(json.dumps({**values, **generators}) + "\n", encoding="utf-8")


def load_values(directory: Path) -> dict[str, Any]:
    """The plain values that `save_state` wrote; nothing is taken over yet."""
    return json.loads((directory / VALUE_FILE).read_text(encoding="utf-8"))


def load_state(directory: Path) -> tuple[dict[str, Tensors], dict[str, Any]]:
    """(parts, values) as `save_state` was given them; the global generators go on from where they were."""
    parts, values = _read(directory / TENSOR_FILE), load_values(directory)
    own, python, arrays = parts.pop("generator"), values.pop("python"), values.pop("numpy")
    if not is_main():
        others = _read(directory / _own(TENSOR_FILE))
        own, parts = others.pop("generator"), others if sharded() else parts
        drawn = json.loads((directory / _own(VALUE_FILE)).read_text(encoding="utf-8"))
        python, arrays = drawn["python"], drawn["numpy"]
    _restore_generators(own, python, arrays)
    return parts, values


def _read(path: Path) -> dict[str, Tensors]:
    parts: dict[str, Tensors] = {}
    for key, value in load_file(path).items():
        part, _, name = key.partition("/")
        parts.setdefault(part, {})[name] = value
    return parts


def _own(file: str) -> str:
    """state.json → state-1.json in process 1."""
    stem, _, suffix = file.partition(".")
    return file if is_main() else f"{stem}-{rank()}.{suffix}"


def trainable_tensors(model: nn.Module) -> Tensors:
    """Name → parameter, of those that learn (tied ones once); what this process holds of it."""
    return {name: local(parameter) for name, parameter in model.named_parameters() if parameter.requires_grad}


@torch.no_grad()
def load_tensors(model: nn.Module, tensors: Tensors) -> None:
    """Puts values into the parameters that learn; ValueError where the names are not the model's."""
    own = trainable_tensors(model)
    if own.keys() != tensors.keys():
        raise ValueError(f"the saved tensors are not this model's: {sorted(own.keys() ^ tensors.keys())[:3]}")
    for name, parameter in own.items():
        parameter.copy_(tensors[name])


def moments(optimizer: torch.optim.Optimizer) -> Tensors:
    """INDEX/NAME → tensor of all that the optimizer keeps for each parameter."""
    state = optimizer.state_dict()["state"]
    return {f"{index}/{name}": local(value) for index, values in state.items() for name, value in values.items()}


def load_moments(optimizer: torch.optim.Optimizer, tensors: Tensors) -> None:
    """Takes over what `moments` gave; learning rates stay, they are functions of the step."""
    state: dict[int, Tensors] = {}
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for key, value in tensors.items():
        index, _, name = key.partition("/")
        state.setdefault(int(index), {})[name] = like(parameters[int(index)], value)
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _generators() -> Tensors:
    cuda = {"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {}
    return {"cpu": torch.get_rng_state(), **cuda}


def _restore_generators(tensors: Tensors, python: list[Any], arrays: list[Any]) -> None:
    version, numbers, gauss = python
    random.setstate((version, tuple(numbers), gauss))
    numpy.random.set_state((arrays[0], numpy.array(arrays[1], dtype=numpy.uint32), *arrays[2:]))
    torch.set_rng_state(tensors["cpu"])
    if "cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["cuda"])


def _numpy_state() -> list[Any]:
    name, keys, *rest = numpy.random.get_state(legacy=True)
    return [name, numpy.asarray(keys).tolist(), *rest]
