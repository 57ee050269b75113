"""`linear_logprob` against the float64 twin, and to the bit against `fused_linear_token_loss` and itself.

Mutations seen to fail, each by the test named after it:
- temperature left out of the logits: test_matches_float64
- entropy without its sign: test_matches_float64
- 0·inf left in p log p: test_minus_infinity_logits
- tiles not padded to 16 rows: test_bits_do_not_depend_on_the_company
- the tile as long as the tokens: test_memory_does_not_grow_with_tokens
- matrix products in the caller's precision, or under its autocast:
  test_products_are_fp32_whatever_the_caller_set
- a log-sum-exp of its own, beside the training loss's: test_bits_equal_those_of_the_training_loss
- bf16 logits: test_bf16_inputs_have_fp32_precision
- no look at the range of targets: test_refuses
"""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from alignment_kernels import reference
from alignment_kernels.fused_linear_token_loss import fused_linear_token_loss
from alignment_kernels.linear_logprob import linear_logprob
from alignment_kernels.logit_tiles import TILE_ELEMENTS

LOGPROB_TOLERANCE = 2e-6
"""Share of PPO's clip range that rounding may take."""
ENTROPY_TOLERANCE = 5e-6
"""Wider where logits are rounded: an error d of z_v moves H by -p_v (log p_v + H) d; from the same fp32
logits, entropy in float64 errs as much. Where fp32 holds the logits exactly, `LOGPROB_TOLERANCE` applies to
both."""


def assert_close(actual, expected, tolerance=LOGPROB_TOLERANCE):
    """|error| <= tolerance · (1 + |x|)"""
    error = (actual.double() - expected).abs()
    assert torch.all(error <= tolerance * (1 + expected.abs())), error.max()


@pytest.mark.parametrize("temperature", [1.0, 0.7, 2.5])
@pytest.mark.parametrize(("n", "d", "v", "chunk"), [(1, 8, 5, None), (37, 24, 101, 16), (130, 64, 1000, 48)])
def test_matches_float64(head, n, d, v, chunk, temperature):
    hidden, weight, targets = head(n, d, v)
    logprobs, entropy = linear_logprob(hidden, weight, targets, temperature=temperature, chunk_tokens=chunk)
    expected, expected_entropy = reference.linear_logprob(hidden, weight, targets, temperature=temperature)
    assert logprobs.dtype == entropy.dtype == torch.float32
    assert not logprobs.requires_grad
    assert not entropy.requires_grad
    assert_close(logprobs, expected.detach())
    assert_close(entropy, expected_entropy.detach(), ENTROPY_TOLERANCE)


def test_float64_stays_float64(head):
    hidden, weight, targets = head(21, 16, 50, torch.float64)
    logprobs, entropy = linear_logprob(hidden, weight, targets, chunk_tokens=16)
    expected, expected_entropy = reference.linear_logprob(hidden, weight, targets)
    torch.testing.assert_close(logprobs, expected.detach(), rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(entropy, expected_entropy.detach(), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("shift", [-4096.0, 4096.0])
def test_all_logits_far_from_zero(exact_head, shift):
    hidden, weight, targets = exact_head(40, 16, 300, shift)
    logprobs, entropy = linear_logprob(hidden, weight, targets)
    expected, expected_entropy = reference.linear_logprob(hidden, weight, targets)
    assert_close(logprobs, expected.detach())
    assert_close(entropy, expected_entropy.detach())


@pytest.mark.parametrize(
    "columns", [slice(0, 128), slice(1, None, 3), slice(1, None)], ids=["first", "scattered", "all but one"]
)
def test_minus_infinity_logits(exact_head, columns):
    hidden, weight, targets = exact_head(40, 16, 300)
    targets.fill_(299 if columns.stop == 128 else 0)
    infinite, large = weight.detach().clone(), weight.detach().double().clone()
    infinite[columns, 0], large[columns, 0] = -torch.inf, -1e30
    logprobs, entropy = linear_logprob(hidden, infinite, targets)
    expected, expected_entropy = reference.linear_logprob(hidden, large, targets)
    assert_close(logprobs, expected.detach())
    assert_close(entropy, expected_entropy.detach())


def test_target_of_probability_zero_and_one(exact_head):
    hidden, weight, targets = exact_head(18, 16, 30)
    with torch.no_grad():
        weight[3, 0], weight[4, 0] = -torch.inf, 200.0
    logprobs, entropy = linear_logprob(hidden, weight, targets.fill_(3))
    assert torch.all(logprobs == -torch.inf)
    assert torch.all(entropy.abs() < 1e-6)
    logprobs, _ = linear_logprob(hidden, weight, targets.fill_(4))
    assert torch.all(logprobs.abs() < 1e-6)


def test_bf16_inputs_have_fp32_precision(head):
    hidden, weight, targets = head(50, 64, 777, torch.bfloat16)
    logprobs, entropy = linear_logprob(hidden, weight, targets, temperature=0.5)
    expected, expected_entropy = reference.linear_logprob(hidden, weight, targets, temperature=0.5)
    assert logprobs.dtype == torch.float32
    assert_close(logprobs, expected.detach())
    assert_close(entropy, expected_entropy.detach(), ENTROPY_TOLERANCE)


@pytest.mark.parametrize("mixed", [(torch.bfloat16, torch.float32), (torch.float32, torch.bfloat16)])
def test_mixed_inputs(head, mixed):
    hidden, weight, targets = head(20, 32, 99)
    hidden, weight = hidden.detach().to(mixed[0]), weight.detach().to(mixed[1])
    assert_close(linear_logprob(hidden, weight, targets)[0], reference.linear_logprob(hidden, weight, targets)[0])


def test_non_contiguous_inputs_give_the_same_bits(head):
    hidden, weight, targets = (x.detach() for x in head(50, 32, 200))
    expected = linear_logprob(hidden, weight, targets)
    strided = torch.stack([targets, targets], dim=1)[:, 0]
    actual = linear_logprob(hidden.T.contiguous().T, torch.cat([weight, weight], dim=1)[:, :32], strided)
    assert torch.equal(actual[0], expected[0])
    assert torch.equal(actual[1], expected[1])
    transposed, _ = linear_logprob(hidden, weight.T.contiguous().T, targets)
    assert_close(transposed, expected[0].double())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize(("n", "d", "v"), [(1, 16, 50), (3, 64, 512), (77, 100, 777), (531, 64, 4099)])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_bits_equal_those_of_the_training_loss(head, n, d, v, dtype, temperature):
    hidden, weight, targets = head(n, d, v, dtype)
    for chunk in (None, 64):
        scored = linear_logprob(hidden, weight, targets, temperature=temperature, chunk_tokens=chunk)
        _, *trained = fused_linear_token_loss(
            hidden, weight, targets, lambda logprobs, entropy, tokens: -logprobs - entropy,
            temperature=temperature, chunk_tokens=chunk,
        )  # fmt: skip
        assert torch.equal(scored[0], trained[0])
        assert torch.equal(scored[1], trained[1])


@pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="measured on MKL, promised nowhere else")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize(("d", "v"), [(64, 512), (100, 777), (512, 4099), (288, 32000), (3584, 1003)])
def test_bits_do_not_depend_on_the_company(head, d, v, dtype):
    n = 150
    hidden, weight, targets = (x.detach() for x in head(n, d, v, dtype))
    together = linear_logprob(hidden, weight, targets)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(1))
    shuffled = linear_logprob(hidden[order], weight, targets[order], chunk_tokens=48)
    assert torch.equal(shuffled[0], together[0][order])
    assert torch.equal(shuffled[1], together[1][order])
    start = 0
    for size in (1, 2, 3, 5, 7, 16, 17, 31, 68):
        part = slice(start, start + size)
        alone = linear_logprob(hidden[part], weight, targets[part])
        assert torch.equal(alone[0], together[0][part]), size
        assert torch.equal(alone[1], together[1][part]), size
        start += size


class LargestTensor(TorchDispatchMode):
    """Remembers the number of elements of the largest tensor that any torch operation returned."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self.elements = max(self.elements, leaf.untyped_storage().nbytes() // leaf.element_size())
        return out


@pytest.mark.parametrize("loss", [False, True], ids=["linear_logprob", "fused_linear_token_loss"])
@pytest.mark.parametrize(("v", "n", "chunk", "limit"), [(512, 4096, 64, 64 * 512), (8192, 8192, None, TILE_ELEMENTS)])
def test_memory_does_not_grow_with_tokens(head, v, n, chunk, limit, loss):
    hidden, weight, targets = head(n, 4, v)
    with LargestTensor() as largest:
        if loss:
            fused_linear_token_loss(hidden, weight, targets, lambda x, h, at: -x - h, chunk_tokens=chunk)[0].backward()
        else:
            linear_logprob(hidden, weight, targets, chunk_tokens=chunk)
    assert max(n, v) * 4 <= limit
    assert v < largest.elements <= limit


@pytest.mark.parametrize("setting", ["high", "medium"])
def test_products_are_fp32_whatever_the_caller_set(head, setting):
    hidden, weight, targets = head(33, 64, 500)
    expected = linear_logprob(hidden, weight, targets)
    seen = []

    def loss_fn(logprobs, entropy, tokens):
        seen.append(torch.backends.mkldnn.matmul.fp32_precision)
        return -logprobs

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(setting)
    try:
        with torch.autocast("cpu", torch.bfloat16):
            actual = linear_logprob(hidden, weight, targets)
            fused_linear_token_loss(hidden, weight, targets, loss_fn)[0].backward()
        assert torch.get_float32_matmul_precision() == setting
    finally:
        torch.set_float32_matmul_precision(before)
    assert torch.equal(actual[0], expected[0])
    assert torch.equal(actual[1], expected[1])
    assert set(seen) == {"ieee"}
    in_autocast = hidden.grad, weight.grad
    hidden.grad = weight.grad = None
    fused_linear_token_loss(hidden, weight, targets, lambda logprobs, entropy, tokens: -logprobs)[0].backward()
    assert torch.equal(in_autocast[0], hidden.grad)
    assert torch.equal(in_autocast[1], weight.grad)


def test_more_tokens_than_a_gpu_grid_axis_holds(head):
    hidden, weight, targets = head(70_000, 4, 17)
    assert_close(linear_logprob(hidden, weight, targets)[0], reference.linear_logprob(hidden, weight, targets)[0])


def test_no_tokens():
    logprobs, entropy = linear_logprob(torch.zeros(0, 8), torch.zeros(5, 8), torch.zeros(0, dtype=torch.int64))
    assert logprobs.shape == entropy.shape == (0,)


HIDDEN, WEIGHT, TARGETS = torch.zeros(3, 4), torch.zeros(6, 4), torch.tensor([0, 5, 2])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"targets": torch.tensor([0, 6, 2])}, r"targets must lie in 0..5, got 6"),
        ({"targets": torch.tensor([0, -100, 2])}, r"targets must lie in 0..5, got -100: drop masked tokens"),
        ({"targets": TARGETS[:2]}, r"targets must be \(3,\) int64"),
        ({"targets": TARGETS.int()}, r"targets must be \(3,\) int64"),
        ({"targets": TARGETS[:, None]}, r"targets must be \(3,\) int64"),
        ({"hidden": torch.zeros(3, 6)}, r"hidden must be \(N, 4\).*look like logits"),
        ({"hidden": torch.zeros(3, 5)}, r"hidden must be \(N, 4\) to fit weight \(6, 4\), got \(3, 5\)$"),
        ({"hidden": torch.zeros(1, 3, 4)}, r"flatten batch and time"),
        ({"hidden": torch.zeros(3, 4, dtype=torch.int64)}, r"floating point"),
        ({"temperature": 0.0}, r"temperature must be positive and finite, got 0.0"),
        ({"temperature": -1.0}, r"temperature must be positive"),
        ({"temperature": float("nan")}, r"temperature must be positive"),
        ({"chunk_tokens": 0}, r"chunk_tokens must be at least 1, got 0"),
    ],
)
def test_refuses(changed, message):
    arguments = {"hidden": HIDDEN, "weight": WEIGHT, "targets": TARGETS} | changed
    with pytest.raises(ValueError, match=message):
        linear_logprob(**arguments)
    with pytest.raises(ValueError, match=message):
        fused_linear_token_loss(loss_fn=lambda logprobs, entropy, tokens: -logprobs, **arguments)
