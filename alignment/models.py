"""Loading and saving policies: full checkpoints and LoRA adapters, local directories and Hub ids."""

from __future__ import annotations

import contextlib
import copy
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import cached_file
from transformers.utils import logging as transformers_logging

from alignment.distributed import accelerator
from alignment.errors import UserError
from alignment.processes import count

transformers_logging.disable_progress_bar()  # loading is quick or the download shows its own

Dtype = Literal["float32", "bfloat16"]


def device() -> torch.device:
    """The GPU where there is one, else the CPU; of several processes each has its own."""
    if count() > 1:
        return accelerator().device
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def load_tokenizer(path: str, name: str) -> Any:
    """The tokenizer stored with a model; `name` is the setting that an error speaks of."""
    with explained(path, name, "tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=False)
    if len(tokenizer) == 0 or tokenizer.eos_token_id is None:
        lack = "no token at all" if len(tokenizer) == 0 else "no EOS token"
        raise UserError(f"{name} {path}: its tokenizer has {lack}; put the model's tokenizer files beside its weights")
    return tokenizer


def load_policy(path: str, name: str, dtype: Dtype = "float32", quantization: Any = None) -> tuple[Any, Any]:
    """(model, tokenizer) of a causal language model in evaluation mode (dropout off) on this machine's device.

    A LoRA adapter is merged into its base first: whoever goes on from there (PPO's reference, a second adapter)
    starts from the policy itself, not from the bare base."""
    refuse_pickle(path, name)
    tokenizer = load_tokenizer(path, name)
    adapter = is_adapter(path)
    source = adapter_base(path, name) if adapter else path
    what = f"{name} {path}, base of the adapter:" if adapter else name
    model = load_weights(AutoModelForCausalLM, source, what, dtype, quantization_config=quantization)
    if adapter:
        with explained(path, name, "adapter"), quiet_peft():
            model = PeftModel.from_pretrained(model, path).merge_and_unload()
        model.requires_grad_(True)  # PEFT had frozen it
    return (model if quantization else model.to(device())).eval(), tokenizer


def load_weights(kind: Any, path: str, name: str, dtype: Dtype, **options: Any) -> Any:
    """The model of an auto class `kind`. UserError for pickle, for code of the model's own, for weights that are no
    numbers, and for missing ones, which transformers would fill with random numbers."""
    refuse_pickle(path, name)
    with explained(path, name, "model"):
        model, report = kind.from_pretrained(
            path,
            dtype=getattr(torch, dtype),
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            **options,
        )
    if report["missing_keys"]:
        lacking = sorted(report["missing_keys"])
        raise UserError(
            f"{name} {path}: lacks {len(lacking)} weights of its architecture ({lacking[0]}, ...); give the whole model"
        )
    if kind is AutoModelForCausalLM and "score.weight" in report["unexpected_keys"]:
        raise UserError(f"{name} {path}: is a reward model; give a policy, such as the one that it started from")
    if not all(bool(weight.isfinite().all()) for weight in model.parameters()):
        raise UserError(f"{name} {path}: holds weights that are NaN or infinite; train it again with a lower --lr")
    return model


def refuse_pickle(path: str, name: str) -> None:
    """Loading a pickle runs whatever code it holds, so only safetensors are read."""
    folder = Path(path)
    for weights in ("model", "adapter_model"):
        if folder.is_dir():
            pickled = any(folder.glob(f"*{weights}*.bin")) and not any(folder.glob(f"{weights}*.safetensors"))
        else:  # a Hub id; transformers itself refuses the model's pickle, but not the adapter's
            pickled = (
                weights == "adapter_model"
                and _on_hub(path, "adapter_config.json")
                and not _on_hub(path, "adapter_model.safetensors")
            )
        if pickled:
            raise UserError(
                f"{name} {path}: its weights are pickled (.bin), which can run code when loaded; where you trust them, "
                "load them with transformers or PEFT and `save_pretrained` writes safetensors"
            )


def _on_hub(path: str, file: str) -> bool:
    options = {
        f"_raise_exceptions_for_{problem}": False for problem in ("missing_entries", "connection_errors", "gated_repo")
    }
    try:
        return cached_file(path, file, **options) is not None
    except (OSError, ValueError):  # no such model: said when it is loaded
        return False


def is_adapter(path: str) -> bool:
    return (Path(path) / "adapter_config.json").is_file()


def adapter_base(path: str, name: str) -> str:
    """Where the base of an adapter lies: `base/` inside its directory, else the path or Hub id that the adapter records."""
    if (Path(path) / "base").is_dir():
        return str(Path(path) / "base")
    try:
        recorded = json.loads((Path(path) / "adapter_config.json").read_text(encoding="utf-8"))[
            "base_model_name_or_path"
        ]
    except (ValueError, KeyError) as error:
        raise UserError(
            f"{name} {path}: its adapter_config.json is damaged ({error}); train the adapter again"
        ) from error
    if recorded is None:
        raise UserError(f"{name} {path}: its adapter names no base model; merge it into its base and give that")
    if recorded.startswith("../"):  # in the registry: from the adapter's own directory, wherever the store lies
        return str((Path(path) / recorded).resolve())
    return recorded


def add_lora(model: Any, rank: int, task: Literal["CAUSAL_LM", "SEQ_CLS", "FEATURE_EXTRACTION"] = "CAUSAL_LM") -> Any:
    """The model with a fresh LoRA adapter of this rank on every linear layer of the body (alpha = 2 · rank, as in
    Schulman 2025 "LoRA without regret" and TRL's examples); with the adapter disabled it is the model as given. The adapter
    is held in float32 at least, whatever its base is: small steps need it (alignment/body.py)."""
    heads = ["score"] if task == "SEQ_CLS" else None
    config = LoraConfig(task_type=task, r=rank, lora_alpha=2 * rank, target_modules="all-linear", modules_to_save=heads)
    with quiet_peft():
        return get_peft_model(model, config).eval()


@contextlib.contextmanager
def quiet_peft() -> Iterator[None]:
    """Keeps back what PEFT says of things that are as they should be."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="fan_in_fan_out")  # PEFT sets it right for GPT-2 by itself
        warnings.filterwarnings(
            "ignore", message="`is_gradient_checkpointing`"
        )  # transformers' old name, which it asks by
        yield


def save_model(
    model: Any, tokenizer: Any, directory: Path, base: str, final: Path, weights: dict[str, torch.Tensor] | None = None
) -> None:
    """Writes safetensors and the tokenizer; weights: the model's own, where it holds but a part of them. A LoRA model is
    written as a PEFT adapter of `base`; when `base` is an adapter itself, the merged model it started from goes into
    `base/` beside the new adapter (`final` is the place that `directory` will be renamed to)."""
    tokenizer.save_pretrained(directory)
    if not isinstance(model, PeftModel):
        model.save_pretrained(directory, state_dict=weights)
        return
    recorded = base if not Path(base).is_dir() else str(Path(base).resolve())
    if is_adapter(base):
        bare = copy.deepcopy(model).unload() if weights is None else load_policy(base, "--policy")[0]
        bare.save_pretrained(directory / "base")
        tokenizer.save_pretrained(directory / "base")
        recorded = str(final.resolve() / "base")
    model.peft_config["default"].base_model_name_or_path = recorded
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Could not find a config file")  # of a base that is not there yet
        model.save_pretrained(str(directory), state_dict=weights)


def frozen_copy(model: nn.Module) -> nn.Module:
    """A copy that never learns: the reference."""
    return copy.deepcopy(model).requires_grad_(False).eval()


def unwrapped(model: Any) -> Any:
    """The Hugging Face model inside a PEFT wrapper (its adapters stay active), or the model itself."""
    return model.get_base_model() if isinstance(model, PeftModel) else model


def backbone(model: Any) -> nn.Module:
    """The transformer below the head: ids (B,S) → hidden states (B,S,D)."""
    return unwrapped(model).base_model


def context_length(model: Any) -> int | None:
    """The longest sequence the model was made for (tokens), None where its config names none."""
    return _context(unwrapped(model).config)


def configured_context(path: str, name: str) -> int | None:
    """context_length of a model on disk or on the Hub, without loading its weights; `name` is the setting at fault."""
    source = adapter_base(path, name) if is_adapter(path) else path
    with explained(source, name, "configuration"):
        return _context(AutoConfig.from_pretrained(source, trust_remote_code=False))


def _context(config: Any) -> int | None:
    return getattr(config.get_text_config(), "max_position_embeddings", None)


def trainable(model: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def parameter_count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@contextlib.contextmanager
def explained(path: str, name: str, what: str) -> Iterator[None]:
    """Turns the many ways in which from_pretrained fails into one sentence."""
    if Path(path).is_file():
        raise UserError(f"{name} {path}: is a file; give the directory of a model, or a Hub id")
    local = Path(path).is_dir()
    if local and not any((Path(path) / file).is_file() for file in ("config.json", "adapter_config.json")):
        raise UserError(
            f"{name} {path}: is no model, for it holds no config.json; give the directory of a model, or a Hub id"
        )
    if not local and (path.startswith((".", "/", "~")) or path.count("/") > 1):
        raise UserError(f"{name} {path}: no such directory; give the directory of a model, or a Hub id")
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # whatever its libraries raise at a damaged file
        reason = str(error).strip().splitlines()[0].rstrip(" .") if str(error).strip() else type(error).__name__
        if reason.endswith(":"):  # transformers' list of what it looked for, which is empty
            reason = f"no {what} files that it can be made from"
        advice = (
            "see that its files are all there and whole"
            if local
            else "give the directory of a model, or a Hub id that this machine can reach"
        )
        raise UserError(f"{name} {path}: its {what} cannot be loaded ({reason}); {advice}") from error
