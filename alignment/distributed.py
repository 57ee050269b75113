"""One run in several processes, through accelerate: DDP, or FSDP2, which keeps a part of each model in each process.

In one process every function here gives back what it was given, and accelerate is not started."""

from __future__ import annotations

import contextlib
import functools
import os
import warnings
import weakref
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar

import torch
from torch import nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from torch.nn.utils import clip_grad_norm_

from alignment.errors import UserError
from alignment.processes import count

T = TypeVar("T")
P = ParamSpec("P")

ONE = "1 process"
LONGEST_WAIT = timedelta(hours=2)  # of one process for another, whose reward function or disk may be slow
_JOINED: weakref.WeakKeyDictionary[nn.Module, Any] = weakref.WeakKeyDictionary()


@functools.cache
def accelerator() -> Any:
    """accelerate's own object; the processes meet here, and each takes its GPU."""
    from accelerate import Accelerator
    from accelerate.utils import (
        DistributedDataParallelKwargs,
        DistributedType,
        FullyShardedDataParallelPlugin,
        InitProcessGroupKwargs,
    )

    os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "false"  # each process checks the weights that it loads
    if not torch.cuda.is_available():
        os.environ["ACCELERATE_USE_CPU"] = "true"  # for transformers' trainer, too, which starts accelerate anew
    waits, sync = InitProcessGroupKwargs(timeout=LONGEST_WAIT), DistributedDataParallelKwargs(broadcast_buffers=False)
    made = Accelerator(mixed_precision="no", kwargs_handlers=[waits, sync])
    asked = os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"
    if asked and made.distributed_type == DistributedType.MULTI_CPU:  # accelerate knows FSDP on GPUs only
        made.state.fsdp_plugin = FullyShardedDataParallelPlugin()
        made.state.distributed_type = DistributedType.FSDP
    kinds = (DistributedType.MULTI_GPU, DistributedType.MULTI_CPU)
    if not made.is_fsdp2 and made.distributed_type not in kinds:
        raise UserError(
            f"accelerate's configuration asks for {made.distributed_type.value}; it must be MULTI_GPU, or FSDP with "
            "fsdp_version 2: see docs/processes.md"
        )
    for message in ("FSDP2-wrapped module .* returned a view", "`broadcast_buffers` is deprecated"):
        warnings.filterwarnings("ignore", message=message)  # nothing writes into one; accelerate's own way to say it
    if made.is_fsdp2:
        made.state.fsdp_plugin.reshard_after_forward = False  # a policy that answers is whole anyway
    return made


def start() -> None:
    """Meets the other processes, where there are any."""
    if count() > 1:
        accelerator()


def wait() -> None:
    """Until every process is here."""
    if count() > 1:
        accelerator().wait_for_everyone()


def stop() -> None:
    """Waits for the others and parts from them."""
    if count() > 1:
        wait()
        torch.distributed.destroy_process_group()


def sharded() -> bool:
    """Whether each process holds only its part of the models (FSDP2)."""
    return count() > 1 and bool(accelerator().is_fsdp2)


def kind() -> str:
    """What a checkpoint is bound to, in words."""
    if count() == 1:
        return ONE
    return f"{count()} processes ({'FSDP2' if sharded() else 'DDP'})"


def require_divisible(name: str, value: int) -> None:
    """UserError where the processes cannot share a batch evenly."""
    if value % count():
        raise UserError(
            f"{name} is {value}; {count()} processes share it, so it must be a multiple of {count()}, for example "
            f"{(value // count() + 1) * count()}"
        )


class Whole(nn.Module):
    """A model whose forward is any call that uses it: the hooks of DDP and FSDP2 sit on the outermost module, and log-probs
    call the transformer and the head apart."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        layers = (getattr(module, "_no_split_modules", None) for module in model.modules())
        self._no_split_modules: list[str] = next((names for names in layers if names), [])

    def forward(self, call: Callable[[], Any]) -> Any:
        return call()


def join(model: nn.Module) -> None:
    """From here on all processes hold the main one's weights, and what `through` calls averages gradients over them.

    With FSDP2 each then holds a part of every parameter: make the optimizer afterwards."""
    if count() == 1:
        return
    from accelerate.utils import broadcast
    from accelerate.utils.fsdp_utils import fsdp2_prepare_model

    with torch.no_grad():
        broadcast([parameter.data for parameter in model.parameters()])
    if sharded():
        _JOINED[model] = fsdp2_prepare_model(accelerator(), Whole(model))
    elif any(parameter.requires_grad for parameter in model.parameters()):
        _JOINED[model] = accelerator().prepare_model(Whole(model))


def wrapper(model: nn.Module) -> Any:
    """What accelerate made of a joined model."""
    return _JOINED[model]


def leave(model: nn.Module) -> None:
    """Forgets a joined model that is trained: without it, it would stay in memory."""
    _JOINED.pop(model, None)


def joined(model: nn.Module, call: Callable[[], T]) -> T:
    """What `call` gives, which uses `model`, with the hooks of a joined model around it."""
    whole = _JOINED.get(model)
    if whole is None:
        return call()
    if torch.is_grad_enabled():
        return whole(call)
    if not sharded():  # DDP has nothing to do where there is no gradient
        return call()
    try:
        return whole(call)
    finally:
        for module in whole.modules():
            if isinstance(module, FSDPModule):
                module.reshard()


def through(function: Callable[P, T]) -> Callable[P, T]:
    """The same function of a model (its first argument), with that model's hooks around it. Goes below `no_grad`."""

    @functools.wraps(function)
    def called(*arguments: P.args, **named: P.kwargs) -> T:
        model: Any = arguments[0]
        return joined(model, lambda: function(*arguments, **named))

    return called


@contextlib.contextmanager
def accumulating(model: nn.Module, more: bool) -> Iterator[None]:
    """Inside, gradients stay this process's own where `more` of the same step are to come. FSDP2 averages each time: it
    would have to keep them whole."""
    if more and model in _JOINED and not sharded():
        with accelerator().no_sync(_JOINED[model]):
            yield
    else:
        yield


def clip_gradients(parameters: list[nn.Parameter], limit: float) -> float:
    """Scales the gradients to a norm of at most `limit`, over all processes' parts. Returns the norm before."""
    norm: Any = clip_grad_norm_(parameters, limit)
    return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)


def require_whole(command: str) -> None:
    """UserError for a command that keeps whole models in each process."""
    if sharded():
        raise UserError(f"align {command} keeps its whole model in each process; start it with configs/ddp.yaml")


def local(tensor: Any) -> torch.Tensor:
    """What this process holds of a parameter or moment."""
    if not isinstance(tensor, DTensor):
        return tensor
    detached: Any = tensor.detach()
    return detached.to_local()


def like(parameter: Any, part: torch.Tensor) -> torch.Tensor:
    """The inverse of `local`: `part` laid out as the parameter is; as it is where it is no part of it (a step count)."""
    if not isinstance(parameter, DTensor) or part.dim() == 0:
        return part
    return DTensor.from_local(
        part.to(parameter.device), parameter.device_mesh, parameter.placements, run_check=False,
        shape=parameter.shape, stride=parameter.stride(),
    )  # fmt: skip


def whole_weights(model: nn.Module) -> dict[str, torch.Tensor] | None:
    """The state dict of a model of which each process holds a part, in the main one; None where it is there as it is.

    Every process must call it."""
    if not sharded() or model not in _JOINED:
        return None
    weights = accelerator().get_state_dict(_JOINED[model])
    every, once = (dict(model.named_parameters(remove_duplicate=tied)) for tied in (False, True))
    plain = {name.removeprefix("model."): value for name, value in weights.items()}
    return {name: value for name, value in plain.items() if name in once or name not in every}  # tied ones once
