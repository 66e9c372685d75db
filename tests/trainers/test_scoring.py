"""Token log-probabilities, their gradients, and how they become those of pairs."""

import pytest
import torch

from trainers import logprobs
from trainers.logprobs import sequence_kl
from trainers.scoring import answer_log_probs, pair_log_probs


def batch_of(targets, lengths, **more):
    return {"targets": torch.tensor(targets), "lengths": lengths, **more}


@pytest.mark.parametrize("tile", [1, 9, 20, 2**22])
def test_tiles_give_log_softmax_and_its_gradient(monkeypatch, tile):
    monkeypatch.setattr(logprobs, "_TILE", tile)
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(7, 9, generator=generator, dtype=torch.float64, requires_grad=True)
    targets = [3, 0, 8, 8, 1, 5, 2]
    weights = torch.randn(7, generator=generator, dtype=torch.float64)
    found = answer_log_probs(logits, batch_of(targets, [7]))
    expected = logits.log_softmax(-1)[range(7), targets]
    torch.testing.assert_close(found, expected)
    ours, theirs = (
        torch.autograd.grad(each @ weights, logits, retain_graph=True)[0]
        for each in (found, expected)
    )
    torch.testing.assert_close(ours, theirs)


def test_half_precision_logits_are_summed_in_float32():
    logits = (torch.randn(4, 50, generator=torch.Generator().manual_seed(1)) * 9).bfloat16()
    logits.requires_grad_()
    found = answer_log_probs(logits, batch_of([1, 2, 3, 4], [4]))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, logits.float().log_softmax(-1)[range(4), [1, 2, 3, 4]])
    (gradient,) = torch.autograd.grad(found.sum(), logits)
    assert gradient.dtype == torch.bfloat16


def test_sums_belong_to_their_roles():
    values = torch.tensor([-1.0, -2.0, -3.0, -4.0, -5.0, -6.0, -7.0])
    weights = torch.tensor([1.0, 3.0, 1.0, 1.0, 1.0, 2.0, 1.0])
    found = pair_log_probs(values, batch_of([0] * 7, [2, 1, 1, 3], weights=weights), 2)
    assert found.chosen.summed.tolist() == [-3.0, -3.0]
    assert found.rejected.summed.tolist() == [-4.0, -18.0]
    assert found.rejected.n_tokens.tolist() == [1, 3]
    assert found.chosen.weighted.tolist() == [-7.0, -3.0]
    assert found.image_rejected is None
    mean = pair_log_probs(
        values, batch_of([0] * 7, [2, 1, 1, 3], weights=weights), 2, token_mean=True
    )
    assert mean.chosen.weighted.tolist() == [-1.75, -3.0]


def test_three_roles_and_one():
    values = torch.tensor([-1.0, -2.0, -4.0])
    three = pair_log_probs(values, batch_of([0] * 3, [1, 1, 1]), 1)
    assert three.image_rejected.summed.tolist() == [-4.0]
    one = pair_log_probs(values, batch_of([0] * 3, [3]), 1)
    assert one.chosen.summed.tolist() == one.rejected.summed.tolist() == [-7.0]


def test_substituted_tokens_are_the_best_others():
    logits = torch.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [1.0, 2.0, 3.0]])
    marks = torch.tensor([False, True, True])
    found = answer_log_probs(logits, batch_of([0, 0, 0], [1, 2], substituted=marks))
    expected = logits.log_softmax(-1)
    torch.testing.assert_close(found, torch.stack([expected[0, 0], expected[1, 1], expected[2, 2]]))


def test_divergence_is_summed_over_each_answer():
    policy, reference = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0))
    found = sequence_kl(policy, reference, [2, 3])
    p, q = reference.log_softmax(-1), policy.log_softmax(-1)
    by_token = (p.exp() * (p - q)).sum(-1)
    torch.testing.assert_close(found, torch.stack([by_token[:2].sum(), by_token[2:].sum()]))
