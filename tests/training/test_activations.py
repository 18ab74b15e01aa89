"""Autoencoders with any activation: values, gradients straight through, training equal to the plain loop's."""

import numpy as np
import pytest
import torch

from superposition import Autoencoder, SparseFeatures, TrainingConfig, held_out_loss, theory, train
from superposition.models.activations import (
    GatedActivation,
    JumpReLUActivation,
    ReLUActivation,
    TopKActivation,
    TRecActivation,
    jump,
)
from tests.rounding import gamma

# Eight roundings in float32.
U = gamma(8, torch.float32)
M = torch.tensor([[0.9, 0.5, 0.2, -0.3]])
BIAS = torch.tensor([0.1, 0.1, 0.1, 0.1])


def test_known_values():
    for activation, bias, expected in (
        (ReLUActivation(), BIAS, [1.0, 0.6, 0.3, 0]),
        (TopKActivation(2), BIAS, [1.0, 0.6, 0, 0]),
        (TopKActivation(4), BIAS, [1.0, 0.6, 0.3, 0]),
        (JumpReLUActivation(4, 0.1), BIAS - 0.25, [0.75, 0.35, 0, 0]),  # 0.05 is not above the first threshold
        (GatedActivation(4, 0.1), BIAS, [1.0, 0.6, 0.3, 0]),
        (TRecActivation(0.1), BIAS - 0.4, [0.9, 0.5, 0, 0]),
    ):
        # A threshold or two added to numbers below 1, and factors of exp(log 1): some roundings of 1 in float32.
        np.testing.assert_allclose(activation(M, bias).detach(), [expected], rtol=0, atol=U)


def test_batch_top_k_shares_out_the_batch():
    m = torch.tensor([[0.9, 0.8], [0.2, 0.1]])
    assert torch.equal(TopKActivation(1, among="batch")(m, torch.zeros(2)), m * torch.tensor([[1], [0]]))


def test_naive_twin_gradient_of_a_jump():
    t = torch.tensor([-0.3, -0.04, 0.04, 0.3], requires_grad=True)
    (jump(t, 0.1) * torch.tensor([1.0, 2, 3, 4])).sum().backward()
    np.testing.assert_allclose(t.grad, [0, 20, 30, 0], rtol=U)


def test_gradients_reach_the_thresholds_and_leave_the_values_their_own():
    jump_relu = JumpReLUActivation(4, 1.0)
    m = M.clone().requires_grad_()
    jump_relu(m, BIAS).sum().backward()
    assert m.grad.tolist() == [[1, 1, 1, 0]]  # the gate adds nothing to the value's own
    # d/dθ of v 1[v > θ] is −v/ε within ε/2 of θ, times dθ/d log θ = θ.
    v = (M + BIAS)[0]
    expected = torch.where((v - 0.05).abs() < 0.5, -v * 0.05, 0.0)
    np.testing.assert_allclose(jump_relu.log_threshold.grad, expected, rtol=0, atol=U)
    prolu, bias = TRecActivation(1.0), BIAS.clone().requires_grad_()
    prolu(M, bias).sum().backward()
    np.testing.assert_allclose(bias.grad, torch.where((M + BIAS)[0].abs() < 0.5, torch.relu(M)[0], 0.0), rtol=0, atol=U)
    gated = GatedActivation(4, 1.0)
    gated(M, BIAS).sum().backward()
    assert (gated.gate_bias.grad != 0).any()
    assert (gated.log_scale.grad != 0).any()


@pytest.mark.parametrize(
    "activation",
    [
        TopKActivation(6),
        TopKActivation(6, among="batch"),
        JumpReLUActivation(48, 0.1),
        GatedActivation(48, 0.1),
        TRecActivation(0.1),
    ],
    ids=lambda activation: activation.kind,
)
def test_every_activation_learns_and_none_gains_much(activation):
    """The paper: no change of the activation gains more than a constant factor."""
    features, config = SparseFeatures(48, 0.08), TrainingConfig(n_steps=250, batch_size=256)
    losses = [
        train(Autoencoder(48, 12, activation=each), features, config, n_held_out=4000).loss.value
        for each in (ReLUActivation(), activation)
    ]
    assert max(losses) < theory.linear_loss(0.25, 0.08) < theory.zero_ratio_loss(0.08)
    assert 0.6 < losses[1] / losses[0] < 1.5


def test_a_model_is_measured_as_any_other():
    features = SparseFeatures(16, 0.2)
    model = Autoencoder(16, 4, activation=ReLUActivation(), seed=1)
    same = Autoencoder(16, 4, seed=1)
    assert held_out_loss(model, features, n_samples=500).value == held_out_loss(same, features, n_samples=500).value
    assert torch.equal(model.W_rows(2, 5), same.W_rows(2, 5))
    assert torch.equal(model.bias_vector(), same.bias_vector())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: TopKActivation(0), "`k` must be a whole number of at least 1"),
        (lambda: TRecActivation(0.0), r"`bandwidth` must be in \(0, inf\), got 0"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
