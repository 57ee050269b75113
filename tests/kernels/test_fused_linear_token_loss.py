"""`fused_linear_token_loss` against the float64 twin: loss, gradients, and the ways a head can be wrong.

Mutations seen to fail, each by the test named after it:
- sign of the entropy gradient flipped: test_matches_float64, test_gradcheck
- H left out of the entropy gradient: test_matches_float64, test_gradcheck
- 1/temperature missing in dlogits (of g, of h): test_matches_float64
- the target's 1 missing in onehot - p: test_nll_is_cross_entropy
- chunk offset dropped in dW (always the first chunk's hidden states): test_matches_float64
- chunk offset dropped in the hidden gradient: test_matches_float64
- dW of the last chunk only: test_matches_float64
- `tokens` counted from the chunk's start: test_matches_float64
- dW summed in bf16: test_bf16_gradients
- upstream gradient ignored: test_upstream_gradient
- infinite weights left in the hidden gradient: test_minus_infinity_weights
- 0·inf left in p log p: test_minus_infinity_weights
- gradient made under no_grad: test_no_gradient_work_without_grad
- dW made for a frozen head: test_frozen_head
- the hidden gradient made for frozen hidden states: test_frozen_hidden_states
"""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from alignment_kernels import reference
from alignment_kernels.fused_linear_token_loss import fused_linear_token_loss


def ppo_loss(n, seed=3):
    """Clipped policy loss with an entropy bonus and a mask, each token with its own numbers."""
    generator = torch.Generator().manual_seed(seed)
    advantages, old, mask = torch.randn(3, n, generator=generator, dtype=torch.float64)
    old, mask = old - 5.0, mask > -1.0

    def loss_fn(logprobs, entropy, tokens):
        advantage = advantages[tokens].to(logprobs.dtype)
        ratio = torch.exp((logprobs - old[tokens].to(logprobs.dtype)).clamp(-3, 3))
        losses = torch.maximum(-advantage * ratio, -advantage * ratio.clamp(0.8, 1.2))
        return (losses - 0.3 * entropy * entropy) * mask[tokens]

    return loss_fn


def nll(logprobs, entropy, tokens):
    return -logprobs


def relative_error(actual, expected):
    return ((actual.double() - expected).norm() / expected.norm()).item()


def float64_gradients(hidden, weight, targets, loss_fn, **settings):
    """Loss and gradients of the twin, in float64, for the inputs as they are (rounded to their type)."""
    hidden, weight = (x.detach().double().requires_grad_() for x in (hidden, weight))
    loss, *_ = reference.linear_token_loss(hidden, weight, targets, loss_fn, **settings)
    return loss.detach(), *torch.autograd.grad(loss, (hidden, weight))


@pytest.mark.parametrize("temperature", [1.0, 0.6, 3.0])
@pytest.mark.parametrize(
    ("n", "d", "v", "chunk"),
    [
        (1, 8, 5, None),
        (16, 8, 64, 16),
        (37, 24, 101, 16),
        (130, 64, 1000, 48),
        (200, 32, 4099, None),
        (99, 7, 13, 1),
    ],
)
def test_matches_float64(head, n, d, v, chunk, temperature):
    hidden, weight, targets = head(n, d, v)
    loss, logprobs, entropy = fused_linear_token_loss(
        hidden, weight, targets, ppo_loss(n), temperature=temperature, chunk_tokens=chunk
    )
    loss.backward()
    expected = float64_gradients(hidden, weight, targets, ppo_loss(n), temperature=temperature)
    assert loss.dtype == torch.float32
    assert not logprobs.requires_grad
    assert not entropy.requires_grad
    assert loss.item() == pytest.approx(expected[0].item(), rel=1e-5, abs=1e-5)
    assert relative_error(hidden.grad, expected[1]) < 1e-5
    assert relative_error(weight.grad, expected[2]) < 1e-5


def test_gradcheck(head):
    hidden, weight, targets = head(21, 3, 7, torch.float64)

    def smooth(logprobs, entropy, tokens):
        scale = torch.linspace(-1, 2, 21, dtype=torch.float64)[tokens]
        return scale * torch.exp(0.3 * logprobs) + 0.5 * entropy**2

    def loss(hidden, weight):
        return fused_linear_token_loss(hidden, weight, targets, smooth, temperature=0.8, chunk_tokens=16)[0]

    assert torch.autograd.gradcheck(loss, (hidden, weight))


def test_nll_is_cross_entropy(head):
    hidden, weight, targets = head(70, 32, 333)
    loss, *_ = fused_linear_token_loss(hidden, weight, targets, nll, chunk_tokens=32)
    loss.backward()
    grads = hidden.grad, weight.grad
    expected = torch.nn.functional.cross_entropy(hidden @ weight.T, targets, reduction="sum")
    expected_grads = torch.autograd.grad(expected, (hidden, weight))
    torch.testing.assert_close(loss, expected, rtol=2e-6, atol=0)
    for actual, wanted in zip(grads, expected_grads, strict=True):
        assert relative_error(actual, wanted.double()) < 2e-6


@pytest.mark.parametrize(
    "loss_fn", [lambda x, h, at: h, lambda x, h, at: -2.0 * x], ids=["entropy only", "logprob only"]
)
def test_loss_of_one_of_the_two(head, loss_fn):
    hidden, weight, targets = head(40, 16, 90)
    fused_linear_token_loss(hidden, weight, targets, loss_fn)[0].backward()
    _, hidden_grad, weight_grad = float64_gradients(hidden, weight, targets, loss_fn)
    assert relative_error(hidden.grad, hidden_grad) < 1e-5
    assert relative_error(weight.grad, weight_grad) < 1e-5


def test_upstream_gradient(head):
    hidden, weight, targets = head(40, 16, 90)
    loss, *_ = fused_linear_token_loss(hidden, weight, targets, nll)
    once = torch.autograd.grad(loss, (hidden, weight), retain_graph=True)
    scaled = torch.autograd.grad((loss * -0.37 + 1.0) ** 2, (hidden, weight))
    factor = -2 * 0.37 * (loss.item() * -0.37 + 1.0)
    for one, many in zip(once, scaled, strict=True):
        torch.testing.assert_close(many, one * factor, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("shift", [-4096.0, 4096.0])
def test_all_logits_far_from_zero(exact_head, shift):
    hidden, weight, targets = exact_head(40, 16, 300, shift)
    loss, *_ = fused_linear_token_loss(hidden, weight, targets, ppo_loss(40), chunk_tokens=16)
    loss.backward()
    expected = float64_gradients(hidden, weight, targets, ppo_loss(40))
    assert loss.item() == pytest.approx(expected[0].item(), rel=1e-5)
    # the shift's own column of the weights adds up V terms of size `shift` that cancel
    assert relative_error(hidden.grad[:, 1:], expected[1][:, 1:]) < 1e-5
    assert relative_error(weight.grad, expected[2]) < 1e-5


@pytest.mark.parametrize("columns", [slice(0, 128), slice(1, None, 3)], ids=["first block", "scattered"])
@pytest.mark.parametrize("value", [-torch.inf, -1e38], ids=["infinite weight", "overflow"])
def test_minus_infinity_weights(exact_head, columns, value):
    """Columns that can't be: by a weight of -inf, or by a finite one whose product leaves fp32."""
    hidden, weight, targets = exact_head(40, 16, 300)
    targets.fill_(299 if columns.stop == 128 else 0)
    hidden.data[:, 0] = 8.0
    weight.data[columns, 0] = value
    twin = weight.detach().double()
    twin[columns, 0] = -1e30
    loss, logprobs, entropy = fused_linear_token_loss(hidden, weight, targets, ppo_loss(40))
    loss.backward()
    expected = float64_gradients(hidden, twin, targets, ppo_loss(40))
    assert torch.isfinite(logprobs).all()
    assert torch.isfinite(entropy).all()
    assert loss.item() == pytest.approx(expected[0].item(), rel=1e-5)
    assert relative_error(hidden.grad, expected[1]) < 1e-5
    assert relative_error(weight.grad, expected[2]) < 1e-5
    assert torch.all(weight.grad[columns] == 0)


def test_certain_target(exact_head):
    hidden, weight, targets = exact_head(40, 16, 30)
    weight.data[4, 0] = 30.0
    loss, logprobs, entropy = fused_linear_token_loss(hidden, weight, targets.fill_(4), ppo_loss(40))
    loss.backward()
    assert torch.all(logprobs <= 0)
    assert torch.all(logprobs > -1e-6)
    assert torch.all(entropy >= 0)
    _, hidden_grad, weight_grad = float64_gradients(hidden, weight, targets, ppo_loss(40))
    torch.testing.assert_close(hidden.grad.double(), hidden_grad, rtol=0, atol=1e-5)
    torch.testing.assert_close(weight.grad.double(), weight_grad, rtol=0, atol=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_bf16_gradients(head, temperature):
    """64 chunks: a weight gradient summed in bf16 loses most of what the later ones add."""
    n = 1024
    hidden, weight, targets = head(n, 32, 100, torch.bfloat16)
    loss, *_ = fused_linear_token_loss(hidden, weight, targets, ppo_loss(n), temperature=temperature, chunk_tokens=16)
    loss.backward()
    expected = float64_gradients(hidden, weight, targets, ppo_loss(n), temperature=temperature)
    assert hidden.grad.dtype == weight.grad.dtype == torch.bfloat16
    assert loss.item() == pytest.approx(expected[0].item(), rel=1e-5)
    assert relative_error(hidden.grad, expected[1]) < 5e-3
    assert relative_error(weight.grad, expected[2]) < 2.5e-3


def test_certain_target_bf16(head):
    hidden, weight, targets = head(64, 32, 50, torch.bfloat16)
    weight.data.mul_(8)
    targets = (hidden @ weight.T).argmax(-1)
    fused_linear_token_loss(hidden, weight, targets, nll)[0].backward()
    _, hidden_grad, weight_grad = float64_gradients(hidden, weight, targets, nll)
    assert relative_error(hidden.grad, hidden_grad) < 5e-3
    assert relative_error(weight.grad, weight_grad) < 5e-3


def test_non_contiguous_inputs(head):
    hidden, weight, targets = (x.detach() for x in head(50, 32, 200))
    expected = float64_gradients(hidden, weight, targets, ppo_loss(50))
    hidden = hidden.T.contiguous().T.requires_grad_()
    wide = torch.cat([weight, weight], dim=1).requires_grad_()
    fused_linear_token_loss(hidden, wide[:, :32], targets.flip(0).flip(0), ppo_loss(50))[0].backward()
    assert relative_error(hidden.grad, expected[1]) < 1e-5
    assert relative_error(wide.grad[:, :32], expected[2]) < 1e-5
    assert torch.all(wide.grad[:, 32:] == 0)


class Products(TorchDispatchMode):
    """Counts the matrix products."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm)
        return func(*args, **(kwargs or {}))


def test_frozen_head(head):
    hidden, weight, targets = head(40, 16, 90)
    weight.requires_grad_(False)
    with Products() as products:
        fused_linear_token_loss(hidden, weight, targets, ppo_loss(40))[0].backward()
    assert products.count == 2
    assert weight.grad is None
    assert relative_error(hidden.grad, float64_gradients(hidden, weight, targets, ppo_loss(40))[1]) < 1e-5


def test_frozen_hidden_states(head):
    hidden, weight, targets = head(40, 16, 90)
    hidden.requires_grad_(False)
    with Products() as products:
        fused_linear_token_loss(hidden, weight, targets, ppo_loss(40))[0].backward()
    assert products.count == 2
    assert hidden.grad is None
    assert relative_error(weight.grad, float64_gradients(hidden, weight, targets, ppo_loss(40))[2]) < 1e-5


def test_no_gradient_work_without_grad(head):
    hidden, weight, targets = head(40, 16, 90)
    with_grad = fused_linear_token_loss(hidden, weight, targets, ppo_loss(40))
    with torch.no_grad(), Products() as products:
        without = fused_linear_token_loss(hidden, weight, targets, ppo_loss(40))
    assert products.count == 1
    assert with_grad[0].requires_grad
    assert not without[0].requires_grad
    assert all(torch.equal(a, b) for a, b in zip(with_grad, without, strict=True))
    with Products() as products:
        frozen = fused_linear_token_loss(hidden.detach(), weight.detach(), targets, ppo_loss(40))
    assert products.count == 1
    assert not frozen[0].requires_grad


@pytest.mark.parametrize("constant", [False, True])
def test_all_tokens_masked(head, constant):
    """A loss of zero, whether or not loss_fn's zeros still hang on the log-probs."""
    hidden, weight, targets = head(40, 16, 90)

    def masked(logprobs, entropy, tokens):
        return torch.zeros(len(logprobs)) if constant else logprobs * 0.0

    loss, *_ = fused_linear_token_loss(hidden, weight, targets, masked)
    loss.backward()
    assert loss.item() == 0
    assert torch.all(hidden.grad == 0)
    assert torch.all(weight.grad == 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_no_tokens(head, dtype):
    hidden, weight, targets = head(0, 16, 90, dtype)
    loss, logprobs, entropy = fused_linear_token_loss(hidden, weight, targets, nll)
    loss.backward()
    assert loss.item() == 0
    assert logprobs.shape == entropy.shape == (0,)
    assert hidden.grad.shape == (0, 16)
    assert torch.all(weight.grad == 0)
    assert weight.grad.dtype == dtype


def test_ratio_is_one_on_a_fresh_rollout(head):
    """Log-probs of a micro-batch of 3 sequences, then the update on its parts: ratio exactly 1."""
    hidden, weight, targets = head(61, 64, 512, torch.bfloat16)
    old, _ = torch.no_grad()(fused_linear_token_loss)(hidden, weight, targets, nll)[1:]
    for part in (slice(0, 20), slice(20, 33), slice(33, 61)):
        ratios = []

        def loss_fn(logprobs, entropy, tokens, part=part, ratios=ratios):
            ratios.append(torch.exp(logprobs - old[part][tokens]))
            return -ratios[-1]

        fused_linear_token_loss(hidden[part], weight, targets[part], loss_fn)[0].backward()
        assert torch.all(torch.cat(ratios) == 1)


@pytest.mark.parametrize(
    ("wrong", "got"),
    [
        (lambda x, h, at: -x.sum(), r"\(\)"),
        (lambda x, h, at: -x[:-1], r"\(4,\)"),
        (lambda x, h, at: 1.0, "float"),
    ],
)
def test_refuses_a_loss_that_is_not_per_token(head, wrong, got):
    with pytest.raises(ValueError, match=rf"one loss per token, \(5,\), got {got}"):
        fused_linear_token_loss(*head(5, 8, 9), wrong)


def test_second_derivative_is_refused(head):
    hidden, weight, targets = head(5, 8, 9)
    loss, *_ = fused_linear_token_loss(hidden, weight, targets, nll)
    (grad,) = torch.autograd.grad(loss**2, hidden, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()
