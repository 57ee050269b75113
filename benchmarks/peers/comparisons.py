"""The table of parity: each output of a peer, which of our functions answers it, and by what conversion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from alignment.masked import masked_mean, masked_sum, masked_variance, masked_whiten
from peers.ours import Ours
from ppo.advantages import shaped_rewards, whitened

TOLERANCES = {"fp32": 1e-6, "fp64": 1e-12}
TRL_OLD, TRL_NEW, VERL = "trl 0.11.4", "trl 1.12.0", "verl 0.9.1"
PEERS = {TRL_OLD: "trl_0_11_4", TRL_NEW: "trl_1_12_0", VERL: "verl_0_9_1"}
NOT_IN_PEER = {TRL_OLD: "KL k3", TRL_NEW: "KL k2, adaptive kl_coef"}

Answer = Callable[[Ours], Tensor]


@dataclass(frozen=True)
class Comparison:
    """One line. key: the peer's output; ours: our answer; on: the tokens compared, None = all; note: the conversion."""

    quantity: str
    peer: str
    function: str
    key: str
    ours: Answer
    on: Answer | None = None
    note: str = "none"

    def difference(self, ours: Ours, theirs: Tensor) -> float:
        """Largest absolute difference; infinite where a shape differs or a number is not finite."""
        mine = self.ours(ours)
        if mine.shape != theirs.shape or mine.dtype != theirs.dtype:
            return float("inf")
        if self.on is not None:
            mine, theirs = mine[self.on(ours)], theirs[self.on(ours)]
        if not (mine.isfinite().all() and theirs.isfinite().all()):
            return float("inf")
        return float((mine.double() - theirs.double()).abs().max())


BESSEL = "they divide by n−1: ours × √((σ²+ε)/(σ²·n/(n−1)+ε))"
BESSEL_VARIANCE = "they divide by n−1: ours × n/(n−1)"
VERL_COUNT = "they count n + 1e-8: ours × n/(n+1e-8)"
VERL_BESSEL = "they divide by n−1 and count n + 1e-8: ours shifted and scaled to that"
FIRST_PAD = "their score lands on the first PAD: our mask is one token longer, log-ratio 0 there"
FIRST_PAD_BESSEL = f"{FIRST_PAD}; whitened over the response alone, and {BESSEL}"
FIRST_PAD_MEAN = f"{FIRST_PAD}; their mean over tokens counts it too"
DUAL_CLIP = "their dual clip (c = 3) is off: c = 1e9"
TOKEN_KL = "they average over a response's tokens (n + 1e-8), ours sums"


def response(o: Ours) -> Tensor:
    return o.mask


def response_and_pad(o: Ours) -> Tensor:
    return o.with_pad


def of_trl_old() -> list[Comparison]:
    def method(name: str) -> str:
        return f"PPOTrainer.{name}, stand-in self"

    def line(quantity: str, function: str, key: str, ours: Answer, *rest: object) -> Comparison:
        return Comparison(quantity, TRL_OLD, function, key, ours, *rest)  # type: ignore[arg-type]

    return [
        *trl_statistics(TRL_OLD, "core"),
        line("KL k1", method('_kl_penalty("kl")'), "k1", lambda o: o.k1, response),
        line("KL k2", method('_kl_penalty("mse")'), "k2", lambda o: o.k2, response),
        line("KL for the controller", method("record_step_stats"), "kl", Ours.sequence_kl),
        line("adaptive kl_coef", "AdaptiveKLController.update", "kl_coef", Ours.kl_coefs),
        line("rewards, score placement", method("compute_rewards"), "rewards", lambda o: o.rewards(o.mask), response),
        line("GAE returns", method("compute_advantages"), "returns", lambda o: o.returns(o.mask), response),
        line("GAE advantages", method("compute_advantages"), "advantages", bessel_advantages, response, BESSEL),
        *called_losses(TRL_OLD, method("loss"), method("loss"), "none"),
        *trained(TRL_OLD, "PPOv2Trainer.train, stand-in models"),
    ]


def of_trl_new() -> list[Comparison]:
    train = "PPOTrainer.train, stand-in models"
    k3 = Comparison("KL k3", TRL_NEW, train, "train/k3", lambda o: o.k3, response)
    return [*trl_statistics(TRL_NEW, "ppo_trainer"), k3, *trained(TRL_NEW, train)]


def of_verl() -> list[Comparison]:
    def line(quantity: str, function: str, key: str, ours: Answer, *rest: object) -> Comparison:
        return Comparison(quantity, VERL, function, key, ours, *rest)  # type: ignore[arg-type]

    placed, kl_penalty = "assemble_rm_scores", "apply_kl_penalty"
    gae, vanilla = "compute_gae_advantage_return", "compute_policy_loss_vanilla"
    return [
        *verl_statistics(),
        line("KL k1", 'kl_penalty("k1")', "k1", lambda o: o.k1, response),
        line("KL k2", 'kl_penalty("k2")', "k2", lambda o: o.k2, response),
        line("KL k3", 'kl_penalty("k3")', "k3", lambda o: o.k3, response),
        line("KL for the controller", kl_penalty, "kl", Ours.token_kl, None, TOKEN_KL),
        line("adaptive kl_coef", "AdaptiveKLController.update", "kl_coef", Ours.kl_coefs),
        line("score placement", f"RewardManagerBase.{placed}", "placed_scores", scores_alone),
        line("rewards, score placement", f"{placed}, {kl_penalty}", "rewards", lambda o: o.rewards(o.mask), response),
        line("rewards", "compute_rewards", "rewards_by_compute_rewards", lambda o: o.rewards(o.mask), response),
        line("GAE returns", gae, "returns", lambda o: o.returns(o.mask), response),
        line("GAE advantages", gae, "advantages", verl_advantages, response, VERL_BESSEL),
        *called_losses(VERL, vanilla, "compute_value_loss", DUAL_CLIP),
        line("policy loss", "compute_policy_loss", "policy_loss_deprecated", given_policy_loss, None, DUAL_CLIP),
        line("loss denominator", 'agg_loss("token-mean")', "agg_loss", lambda o: masked_mean(o.x.numbers, o.mask)),
        line("loss over micro-batches", "agg_loss(batch_num_tokens=n)", "agg_loss_of_micro_batches", micro_batches),
    ]


def trl_statistics(peer: str, where: str) -> list[Comparison]:
    def variance(o: Ours) -> Tensor:
        return masked_variance(o.x.numbers, o.mask)

    def whiten(o: Ours) -> Tensor:
        return o.bessel(masked_whiten(o.x.numbers, o.mask), o.x.numbers)

    return statistics(
        peer, where, lambda o: masked_mean(o.x.numbers, o.mask), variance, whiten, ("none", BESSEL_VARIANCE, BESSEL)
    )


def verl_statistics() -> list[Comparison]:
    def mean(o: Ours) -> Tensor:
        return o.verl_count(masked_mean(o.x.numbers, o.mask))

    def whiten(o: Ours) -> Tensor:
        return o.verl_whitened(masked_whiten(o.x.numbers, o.mask), o.x.numbers)

    return statistics(
        VERL, "torch_functional", mean, lambda o: o.verl_variance(o.x.numbers), whiten,
        (VERL_COUNT, f"{BESSEL_VARIANCE}; {VERL_COUNT}", VERL_BESSEL),
    )  # fmt: skip


def statistics(
    peer: str, where: str, mean: Answer, variance: Answer, whiten: Answer, notes: tuple[str, str, str]
) -> list[Comparison]:
    """What all three have under the same names. notes: mean and population variance, sample variance, whitening."""
    population, counts, sample, whitening = f"{where}.masked_var(unbiased=False)", *notes
    return [
        Comparison("masked mean", peer, f"{where}.masked_mean", "masked_mean", mean, None, counts),
        Comparison("variance, population", peer, population, "masked_var_population", variance, None, counts),
        Comparison(
            "variance, sample", peer, f"{where}.masked_var", "masked_var", lambda o: o.sample(variance(o)), None, sample
        ),
        Comparison("whitening", peer, f"{where}.masked_whiten", "masked_whiten", whiten, response, whitening),
    ]


def called_losses(peer: str, policy: str, value: str, note: str) -> list[Comparison]:
    """The losses of peers that take advantages and returns as arguments."""
    return [
        Comparison("policy loss", peer, policy, "policy_loss", given_policy_loss, None, note),
        Comparison(
            "policy gradient", peer, policy, "policy_gradient", lambda o: o.policy(o.x.advantages)[1], None, note
        ),
        Comparison("value loss", peer, value, "value_loss", lambda o: o.value(o.x.returns, o.mask)[0]),
        Comparison("value gradient", peer, value, "value_gradient", lambda o: o.value(o.x.returns, o.mask)[1]),
    ]


def trained(peer: str, train: str) -> list[Comparison]:
    """TRL's `train()`: one chain from logits, values and scores to the losses and their gradients."""

    def advantages(o: Ours) -> Tensor:
        raw = o.advantages(o.with_pad)
        return o.bessel(whitened(raw, o.mask), raw)

    def policy(part: int) -> Answer:
        return lambda o: o.policy(advantages(o))[part]

    def value(part: int) -> Answer:
        return lambda o: o.value(o.returns(o.with_pad), o.with_pad)[part]

    def line(quantity: str, key: str, ours: Answer, on: Answer | None, note: str) -> Comparison:
        return Comparison(quantity, peer, train, f"train/{key}", ours, on, note)

    return [
        line("KL k1", "kl", lambda o: o.k1, response, "none"),
        line("rewards, score placement", "rewards", lambda o: o.rewards(o.with_pad), response_and_pad, FIRST_PAD),
        line("GAE returns", "returns", lambda o: o.returns(o.with_pad), response_and_pad, FIRST_PAD),
        line("GAE advantages", "advantages", advantages, response, FIRST_PAD_BESSEL),
        line("policy loss", "policy_loss", policy(0), None, FIRST_PAD_BESSEL),
        line("policy gradient", "policy_gradient", policy(1), None, FIRST_PAD_BESSEL),
        line("value loss", "value_loss", value(0), None, FIRST_PAD_MEAN),
        line("value gradient", "value_gradient", value(1), None, FIRST_PAD_MEAN),
    ]


def bessel_advantages(o: Ours) -> Tensor:
    raw = o.advantages(o.mask)
    return o.bessel(whitened(raw, o.mask), raw)


def verl_advantages(o: Ours) -> Tensor:
    raw = o.advantages(o.mask)
    return o.verl_whitened(whitened(raw, o.mask), raw)


def given_policy_loss(o: Ours) -> Tensor:
    return o.policy(o.x.advantages)[0]


def scores_alone(o: Ours) -> Tensor:
    return shaped_rewards(o.x.scores, o.old, o.ref, o.mask, kl_coef=0.0)


def micro_batches(o: Ours) -> Tensor:
    """Ours does not depend on the split; verl's output is the sum over two micro-batches of 5 and 7 responses."""
    return masked_sum(o.x.numbers, o.mask) / o.count


COMPARISONS = [*of_trl_old(), *of_trl_new(), *of_verl()]
