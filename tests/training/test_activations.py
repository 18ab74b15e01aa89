"""Autoencoders with any activation: values, gradients straight through, training equal to the plain loop's."""

import numpy as np
import pytest
import torch

from superposition import Autoencoder, SparseFeatures, TrainingConfig, held_out_loss, theory, train
from superposition.models import BatchTopK, Gated, JumpReLU, NoActivation, ReLU, TopK, TRec, activation_named
from superposition.models.straight_through import open_where
from tests.rounding import gamma

# Eight roundings in float32.
U = gamma(8, torch.float32)
M = torch.tensor([[0.9, 0.5, 0.2, -0.3]])
BIAS = torch.tensor([0.1, 0.1, 0.1, 0.1])


def test_known_values():
    for activation, bias, expected in (
        (ReLU(), BIAS, [1.0, 0.6, 0.3, 0]),
        (TopK(2), BIAS, [1.0, 0.6, 0, 0]),
        (TopK(4), BIAS, [1.0, 0.6, 0.3, 0]),
        (JumpReLU(4), BIAS - 0.25, [0.75, 0.35, 0, 0]),  # 0.05 is not above the first threshold
        (Gated(4), BIAS, [1.0, 0.6, 0.3, 0]),
        (TRec(), BIAS - 0.4, [0.9, 0.5, 0, 0]),
    ):
        # A threshold or two added to numbers below 1, and factors of exp(log 1): some roundings of 1 in float32.
        np.testing.assert_allclose(activation(M, bias).detach(), [expected], rtol=0, atol=U)


def test_batch_top_k_shares_out_the_batch():
    m = torch.tensor([[0.9, 0.8], [0.2, 0.1]])
    assert torch.equal(BatchTopK(1)(m, torch.zeros(2)), m * torch.tensor([[1], [0]]))


def test_naive_twin_gradient_of_a_jump():
    t = torch.tensor([-0.3, -0.04, 0.04, 0.3], requires_grad=True)
    value = torch.tensor([1.0, 2, 3, 4], requires_grad=True)
    opened = open_where(value, t, 0.1)
    opened.sum().backward()
    assert opened.tolist() == [0, 0, 3, 4]
    assert value.grad.tolist() == [0, 0, 1, 1]
    np.testing.assert_allclose(t.grad, [0, 20, 30, 0], rtol=U)


def test_what_is_no_number_stays_none():
    """A run that diverges is known by its loss."""
    m = torch.full((1, 4), torch.nan)
    for activation in (JumpReLU(4), Gated(4), TRec(), TopK(2), BatchTopK(2)):
        assert activation(m, BIAS).isnan().any()


@pytest.mark.parametrize("bias", [-0.35, 0.2])
@pytest.mark.parametrize(
    "activation", [ReLU(), JumpReLU(threshold=0.3), Gated(), Gated(gate_bias=-0.4), TRec()], ids=str
)
def test_identity_an_activation_is_the_gate_it_says(activation, bias):
    m = torch.linspace(-1, 1, 2001, dtype=torch.float64)
    gate = activation.gate(bias)
    expected = torch.where(m > gate.threshold, gate.slope * m + gate.bias, 0.0)
    away = (m - gate.threshold).abs() > gamma(8, float)  # from where rounding decides
    assert (activation(m, torch.tensor(bias)) - expected)[away].abs().max() <= gamma(8, torch.float32)
    assert away.sum() >= 2000


def test_an_activation_that_is_not_alike_for_all_features_is_no_gate():
    for activation in (JumpReLU(4), Gated(4), TopK(2), NoActivation()):
        assert activation.gate(0.1) is None


@pytest.mark.parametrize("shape", [(), (3,)])
@pytest.mark.parametrize("kind", [JumpReLU, Gated])
def test_shared_parameters_are_those_of_each_feature(kind, shape, generator):
    one, each = kind(bandwidth=0.5), kind(4, bandwidth=0.5)
    m = torch.randn(*shape, 4, generator=generator)
    assert torch.equal(one(m, BIAS), each(m, BIAS))
    for activation in (one, each):
        activation(m, BIAS).sum().backward()
    for shared, own in zip(one.parameters(), each.parameters(), strict=True):
        # A sum of up to twelve gradients in float32.
        np.testing.assert_allclose(shared.grad, own.grad.double().sum(), rtol=gamma(16, torch.float32), atol=U)


@pytest.mark.parametrize(
    ("name", "setting", "expected"),
    [
        ("relu", None, ReLU),
        ("topk", 3.0, TopK),
        ("top-k", 3.0, TopK),
        ("batch-top-k", 3.0, BatchTopK),
        ("jump-relu", 0.2, JumpReLU),
        ("gated", 0.2, Gated),
        ("trec", 1.0, TRec),
    ],
)
def test_an_activation_is_made_of_its_name_and_a_setting(name, setting, expected):
    activation = activation_named(name, setting, n_features=8)
    assert type(activation) is expected
    assert list(activation.settings().values()) == ([] if setting is None else [setting])


def test_gradients_reach_the_thresholds_and_leave_the_values_their_own():
    jump_relu = JumpReLU(4, bandwidth=1.0)
    m = M.clone().requires_grad_()
    jump_relu(m, BIAS).sum().backward()
    assert m.grad.tolist() == [[1, 1, 1, 0]]  # the gate adds nothing to the value's own
    # d/dθ of v 1[v > θ] is −v/ε within ε/2 of θ, times dθ/d log θ = θ.
    v = (M + BIAS)[0]
    expected = torch.where((v - 0.05).abs() < 0.5, -v * 0.05, 0.0)
    np.testing.assert_allclose(jump_relu.log_threshold.grad, expected, rtol=0, atol=U)
    prolu, bias = TRec(bandwidth=1.0), BIAS.clone().requires_grad_()
    prolu(M, bias).sum().backward()
    np.testing.assert_allclose(bias.grad, torch.where((M + BIAS)[0].abs() < 0.5, torch.relu(M)[0], 0.0), rtol=0, atol=U)
    gated = Gated(4, bandwidth=1.0)
    gated(M, BIAS).sum().backward()
    assert (gated.gate_bias.grad != 0).any()
    assert (gated.log_scale.grad != 0).any()


@pytest.mark.parametrize(
    "activation",
    [
        TopK(6),
        BatchTopK(6),
        JumpReLU(48),
        Gated(48),
        TRec(),
    ],
    ids=lambda activation: activation.kind,
)
def test_every_activation_learns_and_none_gains_much(activation):
    """The paper: no change of the activation gains more than a constant factor."""
    features, config = SparseFeatures(48, 0.08), TrainingConfig(n_steps=250, batch_size=256)
    losses = [
        train(Autoencoder(48, 12, activation=each), features, config, n_held_out=4000).loss.value
        for each in (ReLU(), activation)
    ]
    assert max(losses) < theory.linear_loss(0.25, 0.08) < theory.zero_ratio_loss(0.08)
    assert 0.6 < losses[1] / losses[0] < 1.5


def test_a_model_is_measured_as_any_other():
    features = SparseFeatures(16, 0.2)
    model = Autoencoder(16, 4, activation=ReLU(), seed=1)
    same = Autoencoder(16, 4, seed=1)
    assert held_out_loss(model, features, n_samples=500).value == held_out_loss(same, features, n_samples=500).value
    assert torch.equal(model.W_rows(2, 5), same.W_rows(2, 5))
    assert torch.equal(model.bias_vector(), same.bias_vector())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: TopK(0), "`k` must be a whole number of at least 1"),
        (lambda: TRec(bandwidth=0.0), r"`bandwidth` must be in \(0, inf\), got 0"),
        (lambda: JumpReLU(threshold=-0.1), "`threshold` must be finite and not negative, got -0.1"),
        (lambda: Gated(gate_bias=float("inf")), "`gate_bias` must be finite, got inf"),
        (lambda: Gated(0), "`n_features` must be a whole number of at least 1, got 0"),
        (lambda: TopK(5)(M, BIAS), r"`k` must be a whole number in \[1, 4\], got 5"),
        (lambda: TopK()(M, BIAS), "`k` must be given, got None"),
        (lambda: activation_named("relu", 3.0), r"`setting` must be left out for relu, got 3\.0"),
        (lambda: activation_named("topk", 9, n_features=8), r"`k` must be a whole number in \[1, 8\], got 9"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
