"""The file in which a peer's process hands back what its functions computed: safetensors, `fp32/NAME` and `fp64/NAME`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from peers.inputs import DTYPES, Inputs, inputs


def write_outputs(compute: Callable[[Inputs], dict[str, Tensor]], packages: tuple[str, ...]) -> None:
    """Run `compute` once a dtype and write the file named on the command line.

    The default dtype follows: peers divide integer token counts, which gives the default dtype, also in a float64 run."""
    torch.set_num_threads(1)
    tensors, digests = {}, {}
    for name, dtype in DTYPES.items():
        torch.set_default_dtype(dtype)
        x = inputs(dtype)
        digests[name] = x.digest()
        for key, value in compute(x).items():
            tensors[f"{name}/{key}"] = torch.as_tensor(value).detach().clone().contiguous()
    versions = {package: version(package) for package in ("torch", "numpy", *packages)}
    made = {"inputs": digests, "versions": versions}
    save_file(tensors, sys.argv[1], metadata={"made": json.dumps(made)})  # one key: several come in no fixed order


def with_gradient(loss: Callable[[Tensor], Tensor], at: Tensor) -> tuple[Tensor, Tensor]:
    """The loss and its gradient with respect to `at`."""
    at = at.detach().clone().requires_grad_()
    value = loss(at)
    return value.detach(), torch.autograd.grad(value, at)[0]


def read_outputs(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """A peer's tensors and the versions it ran with. Raises ValueError where it was given other inputs than these."""
    with safe_open(path, "pt") as file:
        made = json.loads(file.metadata()["made"])
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  safe_open is no mapping
    if made["inputs"] != {name: inputs(dtype).digest() for name, dtype in DTYPES.items()}:
        raise ValueError(f"{path.name} was made from other inputs; run `python benchmarks/parity.py --write-golden`")
    return tensors, made["versions"]
