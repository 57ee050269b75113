"""The vLLM server that draws rollouts: found, asked about itself, and refused where it cannot serve this policy.

All talk goes through TRL's `VLLMClient`. The protocol is that of vLLM's own server in its development mode, which
`trl vllm-serve` starts (TRL 1.16; vLLM 0.22 to 0.31)."""

from __future__ import annotations

import contextlib
import importlib
import re
from collections.abc import Iterator
from typing import Any

import torch

from alignment.errors import UserError
from alignment.models import device, unwrapped

START = "start it with `trl vllm-serve --model DIR`"
SHAPE = ("model_type", "vocab_size", "hidden_size", "n_embd", "num_hidden_layers", "n_layer", "intermediate_size")
"""What must be alike in the policy's config and in the server's, where both have it: the weights must fit."""
ANSWER_SECONDS = 30.0  # longest that a server that is up takes to say so


def connect(settings: Any) -> Any:
    """TRL's client of the server at --vllm-url; None where --rollout-engine is transformers. UserError where vllm is not
    installed, this machine has no GPU to send weights from, or nothing at the address answers as a vLLM server does."""
    if settings.rollout_engine != "vllm":
        return None
    _require_installed()
    weight_device()
    url = settings.vllm_url.rstrip("/")
    _require_healthy(url)
    from trl.generation.vllm_client import VLLMClient

    with explained(url, "asked what it serves"):
        return VLLMClient(base_url=url, group_port=settings.vllm_group_port)


def weight_device() -> torch.device:
    """The GPU that weights are sent from: vLLM's weight transfer is NCCL's."""
    here = device()
    if here.type != "cuda":
        raise UserError(
            "--rollout-engine is vllm, which takes the weights from GPU to GPU, but this machine has no GPU; use transformers"
        )
    return here


def require_fitting(client: Any, policy: Any, prompts: list[list[int]], settings: Any) -> None:
    """UserError where the server says of itself that it cannot serve this policy: another architecture or vocabulary, too
    short a context, log-probs that are not those of the distribution drawn from, no way to take weights."""
    url = client.base_url
    with explained(url, "asked for its settings"):
        info = client.get_server_info()
        model, transfer = info["model_config"], info["weight_transfer_config"]
    if transfer is None:
        raise UserError(
            f"--vllm-url {url}: the server takes no weights; {START}, or give vLLM's --weight-transfer-config"
        )
    mode = model["logprobs_mode"]
    if mode != "processed_logprobs":  # raw ones leave --temperature out; ours have it
        raise UserError(
            f"--vllm-url {url}: the server runs with --logprobs-mode {mode}; it must be processed_logprobs, the log-probs of "
            f"the distribution that it draws from; {START}"
        )
    longest, limit = max(map(len, prompts)) + settings.max_new_tokens, model["max_model_len"]
    if longest > limit:
        raise UserError(
            f"--vllm-url {url}: the server's --max-model-len is {limit}; it must be at least {longest}, the longest prompt "
            "and --max-new-tokens"
        )
    ours = unwrapped(policy).config.get_text_config().to_dict()
    theirs = {name: _said(model, name) for name in SHAPE}
    for name, value in theirs.items():
        if value is not None and name in ours and str(ours[name]) != value:
            raise UserError(
                f"--vllm-url {url}: the server's model has {name} {value}, --policy has {ours[name]}; serve --policy "
                f"{settings.policy}, or the base of its adapter"
            )


def _said(model: dict[str, Any], name: str) -> str | None:
    """A value of the served model's config as text. vLLM gives that config as an object or as its text, or not at all."""
    config = model.get("hf_text_config") or model.get("hf_config") or {}
    if isinstance(config, dict):
        return str(config[name]) if config.get(name) is not None else None
    found = re.search(rf'"{name}": "?([\w.-]+)', str(config))
    return found[1] if found else None


def _require_installed() -> None:
    try:
        importlib.import_module("vllm")
    except ImportError as error:
        raise UserError(
            f"--rollout-engine is vllm, which cannot be imported ({reason(error)}); run `pip install 'instruct-loop[vllm]'`, or "
            "use transformers"
        ) from error


def _require_healthy(url: str) -> None:
    """Asked before TRL's client is made: that one waits for ever where something else answers at the address."""
    import requests

    try:
        status = requests.get(f"{url}/health", timeout=ANSWER_SECONDS).status_code
    except requests.RequestException as error:
        raise UserError(
            f"--vllm-url {url}: no server answers there ({reason(error)}); {START} and wait until it says that it is up"
        ) from error
    if status != 200:
        raise UserError(
            f"--vllm-url {url}: answers /health with {status}, so it is no vLLM server, or not well; {START}"
        )


@contextlib.contextmanager
def explained(url: str, what: str) -> Iterator[None]:
    """Turns whatever TRL's client raises (a bare Exception where the server refuses) into one sentence."""
    import requests

    try:
        yield
    except UserError:
        raise
    except requests.RequestException as error:
        raise UserError(
            f"--vllm-url {url}: the server was lost when it was {what} ({reason(error)}); {START} again and repeat the command "
            "line: the run goes on from its newest checkpoint (--save-every)"
        ) from error
    except Exception as error:
        raise UserError(f"--vllm-url {url}: the server failed when it was {what} ({reason(error)}); {START}") from error


def reason(error: BaseException) -> str:
    """The innermost cause in one line of at most 200 characters: what `requests` raises wraps it three times."""
    inner = [getattr(error, "reason", None), *reversed(error.args), error.__cause__]
    wrapped = next((one for one in inner if isinstance(one, BaseException)), None)
    if wrapped is not None:
        return reason(wrapped)
    text = " ".join((getattr(error, "strerror", None) or str(error)).split()) or type(error).__name__
    return (text if len(text) <= 200 else f"{text[:197]}...").rstrip(" .")
