"""TRL's SFTTrainer with our loss, our order of the demonstrations and one progress bar."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch import nn
from transformers import PrinterCallback, TrainerCallback
from trl import SFTConfig, SFTTrainer

from alignment.chat import padding_id
from alignment.collectives import gathered
from alignment.distributed import join, wrapper
from alignment.errors import UserError
from alignment.history import history
from alignment.logprobs import response_logprobs
from alignment.models import trainable
from alignment.processes import count
from alignment.progress import progress
from sft.config import SFTSettings
from sft.data import Example, Rows, StepSampler, collate_rows, pack
from sft.loss import Quality, quality, summed_nll


class Trainer(SFTTrainer):
    """TRL's trainer with four things of our own: the loss (log-probs of response tokens only, through the fused op), the
    order of the demonstrations (`StepSampler`), rows instead of padded batches, and one progress bar."""

    def __init__(
        self,
        settings: SFTSettings,
        model: Any,
        tokenizer: Any,
        examples: list[Example],
        held_out: list[Example],
        directory: Path,
        lr: float,
    ):
        self.settings, self.policy, self.examples, self.held_out = settings, model, examples, held_out
        self.pad_id = padding_id(tokenizer)
        self.before: Quality | None = None
        self.after: Quality | None = None
        self.summed, self.tokens = torch.zeros((), dtype=torch.float64), 0
        self.seen = (0.0, 0)
        columns = {"ids": [one.ids for one in examples], "prompt_length": [one.prompt_length for one in examples]}
        super().__init__(
            model,
            args=trainer_config(settings, len(examples), directory, lr),
            train_dataset=Dataset.from_dict(columns),
            processing_class=tokenizer,
            data_collator=lambda batch: self.rows([Example(**one) for one in batch]),
            callbacks=[_Callback(self)],
        )
        self.remove_callback(PrinterCallback)
        self.model_accepts_loss_kwargs = True  # so that the response tokens of the whole optimizer step are counted
        self._loss_shifts_labels = True  # the first token of a row is never learned

    def run(self) -> None:
        """Trains; UserError when loss or weights stop being numbers."""
        self.check()
        name = str(self.args.output_dir)
        with history(name) as self.record, progress(self.args.max_steps, "sft", "step") as self.bar:
            self.train()
        if not math.isfinite(self.train_loss) or not all(bool(w.isfinite().all()) for w in trainable(self.policy)):
            raise UserError(f"--lr {self.args.learning_rate:.3g}: training diverged to infinity; give a lower one")

    def check(self) -> None:
        """UserError for what this model cannot do."""
        if self.settings.packing:
            check_packing(self.policy, self.examples, self.pad_id)

    @property
    def train_loss(self) -> float:
        summed, tokens = self._totals()
        return summed / tokens

    def _totals(self) -> tuple[float, int]:
        """Nats and response tokens so far, of all processes."""
        parts = gathered((self.summed.item(), self.tokens))
        return sum(nats for nats, _ in parts), sum(tokens for _, tokens in parts)

    def loss_since(self) -> float:
        """Nats a token over what was trained on since the last call."""
        summed, tokens = self.seen
        self.seen = self._totals()
        return (self.seen[0] - summed) / (self.seen[1] - tokens)

    def rows(self, examples: list[Example]) -> dict[str, torch.Tensor]:
        """Some demonstrations as the tensors of one forward pass."""
        return collate_rows(pack(examples) if self.settings.packing else [[one] for one in examples], self.pad_id)

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """Σ −log π over this microbatch's response tokens / number of response tokens in the optimizer step, of all
        processes, over which gradients are averaged."""
        rows = Rows.from_batch(inputs)
        with self.autocast():
            total = summed_nll(self.policy, rows)
        self.summed += total.detach().cpu().double()
        self.tokens += int(rows.response_mask.sum())
        return total / num_items_in_batch * count()

    def _wrap_model(self, model: Any, *arguments: Any, **named: Any) -> Any:
        """The trainer would wrap a forward that is not called: ours joins the processes (`alignment/distributed.py`)."""
        if count() == 1:
            return super()._wrap_model(model, *arguments, **named)
        join(self.policy)
        return wrapper(self.policy)

    def measure(self) -> Quality | None:
        """Loss and token accuracy on the held-out demonstrations."""
        self.policy.eval()
        with self.autocast():
            return quality(self.policy, self._held_out_rows())

    def _held_out_rows(self) -> Iterator[Rows]:
        ordered = sorted(self.held_out, key=lambda one: -len(one.ids))
        size = self.args.per_device_train_batch_size
        for start in range(0, len(ordered), size):
            batch = collate_rows([[one] for one in ordered[start : start + size]], self.pad_id)
            yield Rows.from_batch({name: tensor.to(self.args.device) for name, tensor in batch.items()})

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.args.device.type, dtype=torch.bfloat16, enabled=self.settings.dtype == "bfloat16")

    def _get_train_sampler(self, train_dataset: Any = None) -> StepSampler:
        return StepSampler([len(one.ids) for one in self.examples], self.settings.batch_size, self.settings.seed)

    def _send_telemetry(self) -> None:
        """TRL reports each run to the Hub; a command that a team runs on its own data does not."""


class _Callback(TrainerCallback):
    """Moves the bar, and measures on the held-out demonstrations before the first and after the last step."""

    def __init__(self, trainer: Trainer):
        self.trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.trainer.before = self._measured()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.trainer.bar.update()
        if state.global_step >= state.max_steps:
            self.trainer.after = self._measured()
            control.should_log = True  # logging the measurement has cleared it: this step's own loss is still to come

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if logs and "loss" in logs:
            loss = self.trainer.loss_since()
            values = {
                "sft/train_loss": loss,
                "optim/lr": logs["learning_rate"],
                "optim/grad_norm": logs.get("grad_norm"),
            }
            known = {name: float(value) for name, value in values.items() if value is not None}
            self.trainer.record(known, state.global_step)
            self.trainer.bar.set_postfix_str(f"loss {loss:.3f}", refresh=False)

    def _measured(self) -> Quality | None:
        result = self.trainer.measure()
        if result is not None:
            values = {"sft/loss": result.loss, "sft/token_accuracy": result.token_accuracy}
            self.trainer.record(values, self.trainer.state.global_step)
            self.trainer.log({f"eval_{name}": value for name, value in values.items()})
        return result


def trainer_config(settings: SFTSettings, examples: int, directory: Path, lr: float) -> SFTConfig:
    """TRL's configuration: what our settings say, and everything quiet; nothing is saved by the trainer itself."""
    size = settings.batch_size
    share = size // count()
    microbatch = max(divisor for divisor in range(1, min(settings.microbatch_size, share) + 1) if share % divisor == 0)
    steps = math.ceil(settings.epochs * math.ceil(examples / size))
    cosine = settings.lr_schedule == "cosine"
    with warnings.catch_warnings():  # TRL still names gradient checkpointing as transformers no longer likes to
        warnings.simplefilter("ignore", FutureWarning)
        config = SFTConfig(
            output_dir=str(directory),
            max_steps=steps,
            per_device_train_batch_size=microbatch,
            gradient_accumulation_steps=share // microbatch,
            learning_rate=lr,
            lr_scheduler_type="cosine_with_min_lr" if cosine else settings.lr_schedule,
            lr_scheduler_kwargs={"min_lr_rate": 0.1} if cosine else {},
            warmup_steps=math.ceil(settings.warmup_fraction * steps),
            weight_decay=settings.weight_decay,
            max_grad_norm=settings.max_grad_norm,
            seed=settings.seed,
            bf16=False,  # `Trainer.autocast` does it: the trainer's own wraps a forward that is not called
            gradient_checkpointing=settings.gradient_checkpointing,
            report_to=settings.report_to,
            save_strategy="no",
            logging_steps=1,
            disable_tqdm=True,
            log_level="error",
            max_length=None,
            dataset_kwargs={"skip_prepare_dataset": True},
            remove_unused_columns=False,
            dataloader_pin_memory=torch.cuda.is_available(),
        )
    _ = config.device
    config._n_gpu = min(config.n_gpu, 1)  # one process uses one GPU; the trainer would split batches over all it sees
    return config


def without_dropout(model: nn.Module) -> None:
    """Sets every dropout to 0, in modules and in the attention layers that hold it as a number.

    Source: N+ implementation details and TRL's `disable_dropout_in_model` (InstructGPT's SFT used .2 over 16 epochs);
    ours also because microbatches and packing then change nothing."""
    for module in model.modules():
        for name, value in list(vars(module).items()):
            if isinstance(value, float) and (
                "dropout" in name or (isinstance(module, nn.modules.dropout._DropoutNd) and name == "p")
            ):
                setattr(module, name, 0.0)


@torch.no_grad()
def check_packing(model: Any, examples: list[Example], pad_id: int) -> None:
    """Refuses packing for a model that lets the second demonstration of a row see the first (recurrent ones do, and
    attention that ignores position ids): log-probs in a packed row must be those of the demonstration alone."""
    first, second = sorted(examples, key=lambda one: len(one.ids))[:2] if len(examples) > 1 else examples * 2
    device = next(model.parameters()).device

    def logprobs(row: list[Example]) -> torch.Tensor:
        batch = collate_rows([row], pad_id)
        rows = Rows.from_batch({name: tensor.to(device) for name, tensor in batch.items()})
        return response_logprobs(model.eval(), rows)[0][rows.response_mask]

    together, alone = logprobs([first, second])[-second.learned :], logprobs([second])
    tolerance = 1e-3 if all(weight.dtype == torch.float32 for weight in model.parameters()) else 0.1
    if not torch.allclose(together, alone, rtol=0, atol=tolerance):
        raise UserError("--packing: with this model, demonstrations in one row see each other; leave packing off")
