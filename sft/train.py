"""Stage 1 from the settings to the saved policy, in the order in which it happens."""

from __future__ import annotations

import importlib.util
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import BitsAndBytesConfig

from alignment.distributed import require_divisible, require_whole
from alignment.errors import UserError
from alignment.learning_rates import learning_rate
from alignment.models import Dtype, add_lora, context_length, is_adapter, load_policy, save_model
from alignment.processes import is_main
from alignment.run import output_directory
from alignment.run_record import write_result
from alignment.seeds import seed_everything
from alignment.sources import read_demonstrations
from sft.config import SFTSettings
from sft.data import Encoded, encode, part_of, split_by_prompt
from sft.trainer import Trainer, without_dropout


def run(settings: SFTSettings) -> dict[str, Any]:
    """The whole command: demonstrations in, policy, metrics.json and config.yaml out.

    Returns the metrics: sft/loss (nats a token) and sft/token_accuracy on the held-out demonstrations after training and
    before it (None where none is held out), train_loss (over all steps, weighted by tokens), and counts."""
    started = time.time()
    check(settings)
    with output_directory(settings.output) as directory:
        ready = prepare(settings, directory)
        ready.trainer.run()
        metrics = {**_quality(ready.trainer), **ready.counts()}
        if settings.scaling:
            from sft.scaling import smaller

            metrics["scaling"] = smaller(ready, settings)
        metrics["seconds"] = time.time() - started
        if is_main():
            save_model(ready.trainer.policy, ready.tokenizer, directory, settings.base, Path(settings.output))
            write_result(directory, "sft", settings, metrics, started)
    return metrics


@dataclass(frozen=True)
class Prepared:
    """All that training needs. learn, held_out: the tokenized demonstrations."""

    trainer: Trainer
    tokenizer: Any
    learn: Encoded
    held_out: Encoded
    lr: float

    def counts(self) -> dict[str, Any]:
        """What is known before the first step."""
        return {
            "steps": self.trainer.args.max_steps,
            "lr": self.lr,
            "examples": len(self.learn.examples),
            "held_out": len(self.held_out.examples),
            "tokens": sum(one.learned for one in self.learn.examples),
            "cut": self.learn.cut + self.held_out.cut,
            "dropped": self.learn.dropped + self.held_out.dropped,
        }


def prepare(settings: SFTSettings, directory: Path, fraction: float = 1.0) -> Prepared:
    """Reads, splits, loads, tokenizes; seeds the run. `directory` is where a tracker writes.

    fraction: the part of what is not held out that is learned from."""
    seed_everything(settings.seed, settings.threads)
    learn, held_out = split_by_prompt(read_demonstrations(settings.data), settings.holdout_fraction)
    if settings.scaling and not held_out:
        raise UserError(
            f"--scaling: nothing of --data {settings.data} is held out to measure on; give more demonstrations, or a "
            "larger --holdout-fraction"
        )
    learn = part_of(learn, fraction)
    model, tokenizer = _load(settings)
    lr = settings.lr or learning_rate("sft", model.num_parameters(), settings.lora_rank > 0)
    longest = min(settings.max_length, context_length(model) or settings.max_length)
    encoded, measured = encode(tokenizer, learn, longest), encode(tokenizer, held_out, longest)
    if not encoded.examples:
        raise UserError(
            f"--data {settings.data}: every prompt fills the {longest} tokens that prompt and response may have; "
            "give shorter prompts, or a larger --max-length where the model's context allows"
        )
    if settings.lora_rank:
        model = add_lora(model, settings.lora_rank)
    without_dropout(model)
    trainer = Trainer(settings, model, tokenizer, encoded.examples, measured.examples, directory, lr)
    return Prepared(trainer, tokenizer, encoded, measured, lr)


def check(settings: SFTSettings) -> None:
    """What can be refused before anything is loaded."""
    tracker = settings.report_to
    if tracker != "none" and importlib.util.find_spec(tracker) is None:
        raise UserError(f"--report-to {tracker}: {tracker} is not installed; `pip install {tracker}`, or give none")
    require_whole("sft")
    require_divisible("--batch-size", settings.batch_size)
    if not settings.load_in_4bit:
        return
    if not settings.lora_rank:
        raise UserError("--load-in-4bit needs adapters to train, but --lora-rank is 0; give for example --lora-rank 16")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise UserError("--load-in-4bit: bitsandbytes is not installed; `pip install bitsandbytes`, or leave it off")
    if is_adapter(settings.base):
        raise UserError(
            f"--load-in-4bit: --base {settings.base} is an adapter, which can't be merged exactly into 4 bits; "
            "leave it off, or merge the adapter first"
        )


def _load(settings: SFTSettings) -> tuple[Any, Any]:
    quantization = None
    if settings.load_in_4bit:
        quantization = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=getattr(torch, settings.dtype),
        )
    return load_policy(settings.base, "--base", base_dtype(settings), quantization)


def base_dtype(settings: SFTSettings) -> Dtype:
    """What is trained is loaded in float32; what stays frozen under LoRA in the type asked for."""
    return settings.dtype if settings.lora_rank else "float32"


def _quality(trainer: Trainer) -> dict[str, Any]:
    before, after = trainer.before, trainer.after
    return {
        "sft/loss": after.loss if after else None,
        "sft/token_accuracy": after.token_accuracy if after else None,
        "sft/loss_before": before.loss if before else None,
        "sft/token_accuracy_before": before.token_accuracy if before else None,
        "train_loss": trainer.train_loss,
    }
