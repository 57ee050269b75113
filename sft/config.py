"""Settings of stage 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from alignment.command import Command
from alignment.config import TrainingSettings, setting


@dataclass(frozen=True)
class SFTSettings(TrainingSettings):
    """Everything that `align sft` can be told."""

    base: str = setting(model=True, help="the pretrained causal language model to start from: a directory or a Hub id")
    data: str = setting(
        help="demonstrations, one JSON object a line: {prompt, response}, {messages} that end with the assistant's, "
        "or {text}"
    )
    epochs: float = setting(
        1.0,
        help="passes over the demonstrations",
        above=0.0,
        source="N+ implementation details (arXiv 2403.17031) and Stiennon et al. 2020; InstructGPT 16, with dropout",
    )
    lr: float | None = setting(
        None,
        help="peak learning rate of AdamW",
        none="auto",
        above=0.0,
        source="alignment/learning_rates.py: 1e-5 at 1 B (InstructGPT), times sqrt(1e9 / parameters), times 10 for LoRA",
    )
    lr_schedule: Literal["cosine", "linear", "constant"] = setting(
        "cosine",
        help="decay of the learning rate: cosine to 10 % of the peak, linear to 0, or none",
        source="InstructGPT, appendix C.1",
    )
    warmup_fraction: float = setting(
        0.0,
        help="share of the optimizer steps over which the learning rate rises from 0",
        low=0.0,
        high=1.0,
        source="InstructGPT, appendix C.1: none",
    )
    weight_decay: float = setting(0.0, help="AdamW's weight decay", low=0.0, source="transformers and TRL: 0")
    max_grad_norm: float = setting(
        1.0, help="gradients are scaled down to this norm; 0 = never", low=0.0, source="transformers and TRL"
    )
    batch_size: int = setting(
        32,
        help="demonstrations per optimizer step",
        unit="demonstrations",
        low=1,
        source="InstructGPT, appendix C.1 (1.3 B and 6 B)",
    )
    microbatch_size: int = setting(
        8,
        help="most demonstrations that go through the model at once: memory only, the result does not depend on it; "
        "the largest divisor of --batch-size up to it is taken",
        unit="demonstrations",
        low=1,
        source="TRL and transformers: per_device_train_batch_size",
    )
    max_length: int = setting(
        1024,
        help="longest prompt + response, never more than the model's context; a longer demonstration is cut from the "
        "right (and then ends without EOS), one whose prompt leaves no room for a response token is dropped",
        unit="tokens",
        low=2,
        source="TRL: SFTConfig.max_length",
    )
    packing: bool = setting(
        False,
        help="lay several short demonstrations of a microbatch in one row; they do not see each other",
        source="TRL: off. Ours: demonstrations of one step run ordered by length, so there is little padding to save",
    )
    lora_rank: int = setting(
        0, help="rank of LoRA adapters on every linear layer; 0 trains all weights", low=0, source="TRL: off"
    )
    load_in_4bit: bool = setting(
        False,
        help="hold the frozen base in 4 bits (needs --lora-rank and bitsandbytes)",
        source="TRL: off; NF4, double quantization as in QLoRA (arXiv 2305.14314)",
    )
    dtype: Literal["float32", "bfloat16"] = setting(
        "float32",
        help="bfloat16: the matrix products run in bfloat16, what is trained stays in float32, a base frozen under "
        "LoRA is held in bfloat16",
        source="ours: exact, and the faster one on most CPUs; TRL bfloat16 on GPUs",
    )
    gradient_checkpointing: bool = setting(
        False,
        help="recompute activations in the backward pass: less memory, slower, same result",
        source="transformers: off; TRL on",
    )
    holdout_fraction: float = setting(
        0.05,
        help="share of the demonstrations, chosen by the hash of their prompt, that is only measured on; none while "
        "that would be fewer than 5",
        low=0.0,
        high=0.9,
        source="ours: by hash, so that a prompt once held out stays held out when demonstrations are added",
    )
    scaling: bool = setting(
        False,
        help="also train on 1/8, 1/4 and 1/2 of the demonstrations: held-out loss against demonstrations, and what twice as "
        "many would be worth",
        source="off: it takes nearly as long again",
    )


COMMAND = Command(
    "sft",
    "stage 1: fine-tune a base model on demonstrations",
    SFTSettings,
    "sft.train:run",
    repeats=True,
    plan="sft.plan:plan",
    processes=True,
)
