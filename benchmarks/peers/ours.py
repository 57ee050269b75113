"""Our functions on the peers' inputs, with what states our numbers in a peer's convention.

A conversion uses our own numbers alone (counts, our mean and variance, another mask), never a peer's output, so a wrong
formula on either side stays visible."""

from __future__ import annotations

import torch
from torch import Tensor

from alignment.masked import masked_mean, masked_sum, masked_variance
from peers import inputs as given
from peers.inputs import inputs
from peers.output import with_gradient
from ppo.advantages import gae, shaped_rewards
from ppo.kl_controller import adapted_kl_coef
from ppo.loss import kl_estimates, policy_loss, value_loss

WHITEN_EPS, VERL_COUNT_EPS = 1e-8, 1e-8


class Ours:
    """One dtype's answers. mask (B,T): the response; with_pad (B,T): the response and its first PAD, which TRL counts."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.x = inputs(dtype)
        self.mask, self.count = self.x.mask, self.x.mask.sum()
        self.with_pad = torch.arange(given.T) < self.mask.sum(1, keepdim=True) + 1
        self.old, self.ref, self.new = (
            self.x.logprobs(logits) for logits in (self.x.logits, self.x.ref_logits, self.x.new_logits)
        )
        self.k1, self.k2, self.k3 = kl_estimates(self.old - self.ref)

    def rewards(self, mask: Tensor) -> Tensor:
        """The last place of the mask gets the score; a PAD's log-ratio is 0, as in TRL."""
        old, ref = (logprobs.masked_fill(~self.mask, 0.0) for logprobs in (self.old, self.ref))
        return shaped_rewards(self.x.scores, old, ref, mask, given.KL_COEF)

    def advantages(self, mask: Tensor) -> Tensor:
        return gae(self.rewards(mask), self.x.values, mask, given.GAMMA, given.LAM)[0]

    def returns(self, mask: Tensor) -> Tensor:
        return gae(self.rewards(mask), self.x.values, mask, given.GAMMA, given.LAM)[1]

    def policy(self, advantages: Tensor) -> tuple[Tensor, Tensor]:
        """Σ ÷ n of the policy loss over the response, and its gradient with respect to the new log-probs."""

        def loss(new: Tensor) -> Tensor:
            return masked_sum(policy_loss(new, self.old, advantages, given.CLIP_RANGE), self.mask) / self.count

        return with_gradient(loss, self.new)

    def value(self, returns: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Σ ÷ n of the value loss over `mask`, and its gradient with respect to the new values."""

        def loss(new: Tensor) -> Tensor:
            per_token = value_loss(new, self.x.values, returns, given.VALUE_CLIP_RANGE)
            return masked_sum(per_token, mask) / mask.sum()

        return with_gradient(loss, self.x.new_values)

    def sequence_kl(self) -> Tensor:
        """What our controller is given: Σ_t k1 of each response, averaged over the batch."""
        return masked_sum(self.k1, self.mask) / given.B

    def token_kl(self) -> Tensor:
        """What verl's controller is given: the mean over each response's tokens, averaged over the batch."""
        lengths = self.mask.sum(1).to(self.k1.dtype) + VERL_COUNT_EPS
        return (self.k1.masked_fill(~self.mask, 0.0).sum(1) / lengths).mean()

    def kl_coefs(self) -> Tensor:
        coefs = [given.KL_INIT]
        for kl in given.KL_SEEN:
            coefs.append(adapted_kl_coef(coefs[-1], kl, given.KL_RESPONSES, given.KL_TARGET, given.KL_HORIZON))
        return torch.tensor(coefs[1:], dtype=torch.float64)

    def sample(self, variance: Tensor) -> Tensor:
        """σ² · n/(n−1): Bessel's correction."""
        return variance * self.count / (self.count - 1)

    def bessel(self, whitened: Tensor, values: Tensor) -> Tensor:
        """Our whitened values with Bessel's variance: × √((σ²+ε)/(σ²·n/(n−1)+ε)); without ε, √((n−1)/n)."""
        variance = masked_variance(values, self.mask)
        return whitened * ((variance + WHITEN_EPS) / (self.sample(variance) + WHITEN_EPS)).sqrt()

    def verl_count(self, mean: Tensor) -> Tensor:
        """A mean over n tokens, divided by n + 1e-8 instead."""
        return mean * self.count / (self.count.to(mean.dtype) + VERL_COUNT_EPS)

    def verl_variance(self, values: Tensor) -> Tensor:
        """About verl's mean, whose distance from ours is added squared."""
        mean = masked_mean(values, self.mask)
        return self.verl_count(masked_variance(values, self.mask) + (mean - self.verl_count(mean)).square())

    def verl_whitened(self, whitened: Tensor, values: Tensor) -> Tensor:
        """Our whitened values brought to verl's mean and to Bessel's correction of verl's variance."""
        mean = masked_mean(values, self.mask)
        shift = (mean - self.verl_count(mean)) * torch.rsqrt(masked_variance(values, self.mask) + WHITEN_EPS)
        scale = (masked_variance(values, self.mask) + WHITEN_EPS) / (
            self.sample(self.verl_variance(values)) + WHITEN_EPS
        )
        return (whitened + shift) * scale.sqrt()
