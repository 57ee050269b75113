"""Settings of stage 3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from alignment.command import Command
from alignment.config import FunctionSettings, GenerationSettings, ResumeSettings, TrainingSettings, setting
from alignment.ensembles import EnsembleSettings
from alignment.errors import UserError
from ppo.engine_settings import EngineSettings, require_coherent

N_PLUS = "N+ implementation details, arXiv 2403.17031"


@dataclass(frozen=True)
class PPOSettings(
    EngineSettings, GenerationSettings, FunctionSettings, EnsembleSettings, ResumeSettings, TrainingSettings
):
    """Every setting of `align ppo`."""

    policy: str = setting(
        model=True, help="the policy to start from and to stay near: a directory (full or LoRA) or a Hub id"
    )
    prompts: str = setting(help="JSONL of {prompt}")
    reward_model: str | None = setting(
        None, model=True, help="directory written by `align reward`; this or --reward", source="no default: give one"
    )
    reward: str | None = setting(
        None,
        help="MODULE:FUNCTION, (prompt, responses) -> scores; this or --reward-model",
        source="no default: give one",
    )
    gold: str | None = setting(
        None,
        model=True,
        help="a second score, measured on every rollout and never optimised: what over-optimisation shows in; "
        "MODULE:FUNCTION like --reward, or reward-model:DIR",
        source="off: ours; Gao 2022 (arXiv 2210.10760) calls it the gold score",
    )
    steps: int = setting(
        40, help="rollouts, each followed by an update", unit="rollouts", low=1, source="ours: see kl_max"
    )
    batch_size: int = setting(
        128, help="responses of one rollout", unit="responses", low=1, source="ours: N+ uses 512; a CPU's patience"
    )
    minibatch_size: int = setting(
        32, help="responses of one optimizer step", unit="responses", low=1, source="ours: 4 a rollout, N+"
    )
    microbatch_size: int | None = setting(
        None,
        none="auto",
        help="responses computed at once (memory only; auto: a quarter of minibatch_size)",
        source="ours: little padding",
        unit="responses",
        low=1,
    )
    ppo_epochs: int = setting(
        2, help="passes over each rollout", low=1,
        source="ours: N+ has 4; on the real tiny model 2 reached the same score at the same KL in half the time",
    )  # fmt: skip
    lr: float | None = setting(
        None,
        none="auto",
        help="learning rate at the first step; auto: by size and full or LoRA",
        above=0.0,
        source="alignment/learning_rates.py",
    )
    approx_kl_target: float | None = setting(
        0.006, none="off", above=0.0, unit="nats a token",
        help="with lr auto the rate is steered to keep approx_kl near this; an epoch stops at 4 times this",
        source="ours: below the usual .01 to .02, for more reward at the same KL on the real tiny model",
    )  # fmt: skip
    kl_coef: float = setting(
        0.05, help="penalty on log(policy/reference)", unit="score per nat", low=0.0, source=N_PLUS
    )
    kl_max: float = setting(
        9.0, help="KL to the reference at which the run stops; the best policy below it is kept", above=0.0,
        unit="nats a response", source="ours: a promoted policy must stay below 10, and a rollout measures KL to about ±.7",
    )  # fmt: skip
    kl_target: float | None = setting(
        None, none="off", above=0.0, unit="nats a response",
        help="KL that kl_coef is steered to after every rollout, from --kl-coef on; off: kl_coef is fixed",
        source="off: N+; Ziegler 2019 steers to 6",
    )  # fmt: skip
    kl_horizon: float = setting(
        10_000.0, help="responses in which a kl_coef that is steered can move by a fifth of itself", above=0.0,
        unit="responses", source="lm-human-preferences",
    )  # fmt: skip
    gamma: float = setting(1.0, help="discount", above=0.0, high=1.0, source="Ziegler 2019; " + N_PLUS)
    lam: float = setting(0.95, help="GAE's lambda", low=0.0, high=1.0, source="Ziegler 2019; " + N_PLUS)
    clip_range: float = setting(
        0.2, help="the ratio is clipped to 1 ± this", above=0.0, source="Schulman 2017; " + N_PLUS
    )
    value_clip_range: float = setting(0.2, help="new values are clipped to old ± this", above=0.0, source=N_PLUS)
    vf_coef: float = setting(0.1, help="weight of the value loss", above=0.0, source=N_PLUS)
    max_grad_norm: float = setting(
        1.0, help="gradients of each model are clipped to this norm", above=0.0, source="Ziegler 2019"
    )
    normalize_scores: bool = setting(
        True,
        help="bring scores to mean 0, sd 1 on the reference's responses",
        source="Ziegler 2019; raw scores move KL with their scale",
    )
    missing_eos: Literal["none", "penalty"] = setting(
        "none", help="penalty: a response that no EOS ends is worth at most the reference's mean score - 1 sd",
        source="ours: N+ gives all of them -1, which told nothing apart on the real tiny model",
    )  # fmt: skip
    score_clip: float | None = setting(
        None, none="off", above=0.0, unit="sd where scores are normalised",
        help="what is maximised is clipped to ± this", source="off: N+; OpenRLHF clips to 10",
    )  # fmt: skip
    ptx_data: str | None = setting(
        None, help="JSONL of demonstrations or {text} that the policy goes on predicting while it learns (PPO-ptx)",
        source="off: InstructGPT §3.5 compares both",
    )  # fmt: skip
    ptx_coef: float = setting(
        0.0, help="weight of the negative log-likelihood of --ptx-data", unit="loss per nat a token", low=0.0,
        source="off; InstructGPT, app. C.4: 27.8 on pretraining text",
    )  # fmt: skip
    ptx_batch_size: int | None = setting(
        None, none="auto", help="records of --ptx-data in one optimizer step; auto: minibatch_size", unit="records", low=1,
        source="ours: as many as responses, for the time it takes; InstructGPT has 8 times as many",
    )  # fmt: skip
    ema: float | None = setting(
        None, none="off", above=0.0, high=0.99999,
        help="keep the average of the policies after each optimizer step, this the weight of the past, instead of the policy",
        source="off: N+; DeepSpeed-Chat .992",
    )  # fmt: skip
    selection_reward_model: str | None = setting(
        None, model=True, help="directory of a second reward model, never optimised, by whose score the best policy is chosen",
        source="off: score - kl_coef * KL on the rollouts; Gao 2022 for why a proxy should not judge itself",
    )  # fmt: skip
    selection_prompts: str | None = setting(
        None, help="JSONL of {prompt} that --selection-reward-model is asked about, after every rollout",
        source="no default: give some that --prompts does not hold",
    )  # fmt: skip
    lora_rank: int = setting(
        0,
        help="rank of LoRA adapters on policy and value model, which share one base with the reference, and with the reward "
        "model where `align reward --lora-rank` trained it on --policy; 0 = full training",
        low=0,
        source="off: exact",
    )
    dtype: Literal["float32", "bfloat16"] = setting(
        "float32",
        help="bfloat16: the matrix products run in bfloat16, what is trained stays in float32, a reward model and a base "
        "frozen under LoRA are held in bfloat16",
        source="ours: exact; TRL bfloat16 on GPUs",
    )
    gradient_checkpointing: bool = setting(
        False,
        help="recompute activations in the backward pass: less memory, slower, same result",
        source="transformers: off; TRL on",
    )
    save_state: bool = setting(
        False,
        help="also write the run's whole state (optimizers, RNG, cursor) to OUTPUT/state",
        source="off: it is three times the model",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        size, part, micro = self.batch_size, self.minibatch_size, self.microbatch_size
        if size % part:  # a smaller last minibatch would weigh its tokens more
            fitting = max(number for number in range(1, min(part, size) + 1) if size % number == 0)
            raise UserError(f"--minibatch-size is {part}; it must divide --batch-size ({size}), for example {fitting}")
        if micro is not None and micro > part:
            raise UserError(f"--microbatch-size is {micro}; it must be at most --minibatch-size ({part})")
        self._check_options()

    def _check_options(self) -> None:
        """Settings that mean nothing without each other."""
        require_coherent(self)
        if (self.ptx_data is None) != (self.ptx_coef == 0.0):
            raise UserError(
                f"--ptx-data is {self.ptx_data or 'none'} and --ptx-coef is {self.ptx_coef:g}; give both, for example "
                "--ptx-coef 1, or none of them"
            )
        if (self.selection_reward_model is None) != (self.selection_prompts is None):
            lack = "--selection-prompts" if self.selection_reward_model else "--selection-reward-model"
            raise UserError(
                f"{lack} is none; give both --selection-reward-model and --selection-prompts, or none of them"
            )
        if self.selection_reward_model and self.selection_reward_model == self.reward_model:
            raise UserError(
                f"--selection-reward-model is {self.selection_reward_model}, which is optimised; give one trained on other "
                "rankings"
            )
        if self.missing_eos == "penalty" and not self.normalize_scores:
            raise UserError(
                "--missing-eos is penalty; it must be none with --no-normalize-scores: the sd is not measured"
            )


COMMAND = Command(
    name="ppo",
    summary="stage 3: optimise a policy by PPO against a reward model (or a Python function), near a frozen reference",
    settings=PPOSettings,
    run="ppo.train:run",
    repeats=True,
    plan="ppo.plan:plan",
    processes=True,
)
