"""PPO's losses against their formulas written out, in float64.

Mutations seen to fail: `torch.minimum` for `torch.maximum` in `policy_loss` (test_gradient_is_zero_...), clipping of the
new value around the return instead of the old value (test_value_loss_by_hand), ½ left out of the value loss
(test_value_loss_by_hand), e^{+k1} in k3 (test_kl_estimates...), the ratio turned round, the cap as a floor, the gradient
left in (test_importance_weights_...)."""

import math

import pytest
import torch

from ppo.loss import importance_weights, kl_estimates, policy_loss, value_loss


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "gradient"),
    [
        (1.0, 2.0, -2.0, -2.0),
        (1.5, 2.0, -2.4, 0.0),  # gain beyond the clip: nothing more to win
        (1.5, -2.0, 3.0, 3.0),  # a loss is never clipped away
        (0.5, 2.0, -1.0, -1.0),
        (0.5, -2.0, 1.6, 0.0),
        (1.1, 0.0, 0.0, 0.0),
    ],
)
def test_gradient_is_zero_exactly_where_clipped(ratio, advantage, loss, gradient):
    old = torch.tensor([-1.3], dtype=torch.float64)
    new = (old + math.log(ratio)).requires_grad_()
    result = policy_loss(new, old, torch.tensor([advantage], dtype=torch.float64), 0.2)
    result.sum().backward()
    assert result.item() == pytest.approx(loss, abs=1e-12)
    assert new.grad is not None
    if gradient == 0.0:
        assert new.grad.item() == 0.0
    assert new.grad.item() == pytest.approx(gradient, abs=1e-12)  # d(−A·ratio)/d new = −A·ratio


@pytest.mark.parametrize(
    ("new", "old", "target", "loss", "gradient"),
    [
        (1.1, 1.0, 3.0, 0.5 * 1.9**2, -1.9),
        (2.0, 1.0, 3.0, 0.5 * 1.8**2, 0.0),  # moved 1.0 toward the return, clipped at 1.2
        (0.0, 1.0, 3.0, 0.5 * 3.0**2, -3.0),  # moved away: the unclipped error is larger
        (2.0, 1.0, 1.05, 0.5 * 0.95**2, 0.95),
    ],
)
def test_value_loss_by_hand(new, old, target, loss, gradient):
    values = torch.tensor([new], dtype=torch.float64, requires_grad=True)
    fixed = torch.tensor([old], dtype=torch.float64), torch.tensor([target], dtype=torch.float64)
    result = value_loss(values, *fixed, 0.2)
    result.sum().backward()
    assert result.item() == pytest.approx(loss, abs=1e-12)
    assert values.grad is not None
    assert values.grad.item() == pytest.approx(gradient, abs=1e-12)


def test_importance_weights_by_hand():
    policy = torch.tensor([0.5, 0.2, 0.1, 0.9], dtype=torch.float64)
    sampler = torch.tensor([0.5, 0.1, 0.4, 0.1], dtype=torch.float64)
    logprobs = policy.log().requires_grad_()
    weights = importance_weights(logprobs, sampler.log(), cap=3.0)
    assert weights.tolist() == pytest.approx(
        [1.0, 2.0, 0.25, 3.0], rel=1e-12
    )  # 9 is cut to 3; what is small stays small
    assert not weights.requires_grad
    assert float((sampler * weights).sum()) < float(policy.sum())  # truncation only takes away


def test_kl_estimates_agree_with_the_exact_kl():
    policy = torch.tensor([0.5, 0.3, 0.15, 0.05], dtype=torch.float64)
    reference = torch.tensor([0.25, 0.25, 0.4, 0.1], dtype=torch.float64)
    log_ratio = (policy / reference).log()
    exact = (policy * log_ratio).sum().item()
    k1, k2, k3 = kl_estimates(log_ratio)
    assert (policy * k1).sum().item() == pytest.approx(exact, abs=1e-12)  # unbiased
    assert (policy * k3).sum().item() == pytest.approx(exact, abs=1e-12)  # unbiased
    assert torch.equal(k2, log_ratio**2 / 2)
    assert (k3 >= 0).all()
