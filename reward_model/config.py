"""Settings of stage 2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from alignment.command import Command
from alignment.config import ResumeSettings, TrainingSettings, setting
from alignment.errors import UserError
from alignment.records import GROUP_FIELDS
from reward_model.options import LossSettings, MeasureSettings

INSTRUCT_GPT = "InstructGPT, arXiv 2203.02155, app. C"


@dataclass(frozen=True)
class RewardSettings(LossSettings, MeasureSettings, ResumeSettings, TrainingSettings):
    """Every setting of `align reward`."""

    base: str = setting(model=True, help="the SFT model to start from: a directory (full or LoRA) or a Hub id")
    rankings: str = setting(help="JSONL of {prompt, responses, ranks}; several files with commas between them")
    eval_rankings: str | None = setting(
        None,
        none="split",
        help="held-out rankings to measure on; rankings that share a prompt or group with them are not trained on",
        source="ours: a part of --rankings, chosen by hash",
    )
    holdout_fraction: float = setting(
        0.1,
        help="share of prompts (or groups) held out when there is no --eval-rankings; chosen by hash, never drawn again",
        above=0.0,
        high=0.5,
        source="ours",
    )
    group_field: str = setting(
        ",".join(GROUP_FIELDS),
        help="fields that name what must stay on one side of the split; the first that a record has, else its prompt",
        source="ours: alignment/records.py says whose fields these are",
    )
    epochs: int = setting(
        1,
        help="passes over the rankings",
        low=1,
        source="InstructGPT §3.5 and Gao 2022: fresh labels help, a second pass overfits",
    )
    lr: float | None = setting(
        None,
        none="auto",
        help="highest learning rate; auto: by size and full or LoRA",
        above=0.0,
        source="alignment/learning_rates.py",
    )
    lr_schedule: Literal["cosine", "linear", "constant"] = setting(
        "cosine", help="decay after the warm-up: cosine to a tenth, linear to 0, or none", source=INSTRUCT_GPT
    )
    warmup_fraction: float = setting(
        0.03, help="share of the steps in which the learning rate rises", low=0.0, high=1.0, source="Llama 2, §3.2.2"
    )
    batch_size: int = setting(
        8,
        help="rankings of one optimizer step",
        unit="rankings",
        low=1,
        source="ours: with 1,921 rankings better than 4 and 16; InstructGPT 64 at 33,000",
    )
    microbatch_size: int | None = setting(
        None,
        none="auto",
        help="rankings computed at once (memory only; auto: as many as stay below 8,192 tokens)",
        unit="rankings",
        low=1,
        source="ours",
    )
    adam_beta2: float = setting(
        0.95, help="AdamW's decay of squared gradients", low=0.0, high=0.9999, source=INSTRUCT_GPT
    )
    weight_decay: float = setting(0.0, help="AdamW's weight decay", low=0.0, source="TRL RewardConfig")
    save_every: int = setting(
        100,
        help="optimizer steps between checkpoints in OUTPUT.checkpoints, which are gone once the output is there; 0 = never",
        unit="steps",
        low=0,
        source="ours: writing one takes as long as a few steps",
    )
    max_grad_norm: float = setting(
        1.0, help="the gradient is clipped to this norm", above=0.0, source="TRL RewardConfig"
    )
    lora_rank: int = setting(
        0,
        help="rank of a LoRA adapter trained with the head; saved merged, as a full model, and apart in adapter/, for `align ppo "
        "--lora-rank`; 0 = full training",
        low=0,
        source="off: exact",
    )
    dtype: Literal["float32", "bfloat16"] = setting(
        "float32", help="arithmetic of the transformer; its weights are kept and saved in float32", source="ours: exact"
    )
    gradient_checkpointing: bool = setting(
        False,
        help="recompute activations in the backward pass: less memory, slower, same result",
        source="transformers: off; TRL on",
    )
    max_length: int | None = setting(
        None,
        none="context",
        help="longest prompt and response together; longer prompts are cut from the left and counted",
        unit="tokens",
        low=3,
        source="the model's own context",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scaling and self.verdicts is not None:
            raise UserError("--scaling with --verdicts: the curve is one of rankings; leave one of them out")
        if self.microbatch_size is not None and self.microbatch_size > self.batch_size:
            raise UserError(
                f"--microbatch-size is {self.microbatch_size}; it must be at most --batch-size ({self.batch_size})"
            )


COMMAND = Command(
    name="reward",
    summary="stage 2: train a reward model on rankings of K responses (1 = best, ties, null = not compared)",
    settings=RewardSettings,
    run="reward_model.train:run",
    repeats=True,
    plan="reward_model.plan:plan",
    processes=True,
)
