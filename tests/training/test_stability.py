"""The linearised dynamics: against dense second derivatives, against Adam itself, and where nothing grows."""

import numpy as np
import pytest
import torch

from superposition import Autoencoder, PersianRug, SparseFeatures, TrainingConfig
from superposition._random import torch_generator
from superposition.features import Constant
from superposition.models import TopK
from superposition.training import growth_rate, stability
from superposition.training.stability import _fastest, _Ground

FEATURES = SparseFeatures(16, 0.1)
RUG = Autoencoder.from_model(PersianRug.fit(FEATURES, 4))


def _silent():
    """An autoencoder none of whose outputs is ever on."""
    model = Autoencoder(16, 4)
    with torch.no_grad():
        model.b_dec.fill_(-1e6)
    return model


def silent(*_):
    pass


def test_the_mode_is_that_of_the_dense_matrix_whatever_the_noise(rng):
    """Noise of every product as large as the eigenvalue looked for: it averages out, as it would not in one product."""
    A = rng.standard_normal((40, 40))
    values, vectors = np.linalg.eigh(A + A.T)
    mode = _fastest(lambda v, _: (A + A.T) @ v, rng.standard_normal(40), 400, silent)
    assert abs(mode @ vectors[:, 0]) > 0.999
    noise = np.linalg.norm(values[0]) / np.sqrt(40)
    noisy = _fastest(lambda v, _: (A + A.T) @ v + noise * rng.standard_normal(40), rng.standard_normal(40), 400, silent)
    assert (noisy @ (A + A.T) @ noisy) < 0.9 * values[0]


def test_slopes_are_the_second_derivative_by_autograd_where_no_output_crosses_zero():
    """With a bias far above zero all outputs are on: the loss is smooth, and autograd's Hessian is the whole."""
    features = SparseFeatures(6, 0.3)
    model = Autoencoder(6, 2, seed=3).double()
    with torch.no_grad():
        model.b_dec.fill_(50.0)
    ground = _Ground(Autoencoder.from_model(model), features)
    batch = features.sample_sparse(1024, torch_generator(0), dtype=torch.float64)
    x = batch.to_dense()

    def loss(flat):
        W_enc_T, W_dec, b = torch.split(flat, [12, 12, 6])
        hidden = x @ W_enc_T.view(6, 2)
        return (torch.relu(hidden @ W_dec.view(6, 2).T + b) - x).square().mean()

    weights = torch.tensor(ground.weights)
    hessian = torch.autograd.functional.hessian(loss, weights).numpy()
    direction = np.random.default_rng(0).standard_normal(30)
    # The gradient is of third degree in the weights: what two differences are off by cancels exactly.
    (wide,) = ground.slopes([batch], direction)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stability, "_STEP", stability._STEP / 2)
        (narrow,) = ground.slopes([batch], direction)
    expected = hessian @ direction
    np.testing.assert_allclose((4 * narrow - wide) / 3, expected, rtol=0, atol=1e-9 * abs(expected).max())
    assert abs(wide - expected).max() > 1e-6 * abs(expected).max()


def test_the_parts_of_a_gradient_make_its_noise():
    """The expected square of a batch's gradient falls with its size as the variance does; the mean does not."""
    ground = _Ground(Autoencoder.from_model(RUG).double(), FEATURES)
    batches = [FEATURES.sample_sparse(1024, torch_generator(part), dtype=torch.float64) for part in range(16)]
    (mean, small), (_, large) = ground.moments(batches, 1024), ground.moments(batches, 4096)
    np.testing.assert_allclose(small - mean**2, 4 * (large - mean**2), rtol=1e-9, atol=1e-18)


def test_the_loss_curves_down_along_the_mode_and_up_along_another_direction(rng):
    """By second differences of losses of fresh samples, without a gradient."""
    features = SparseFeatures(32, 0.06)
    rug = Autoencoder.from_model(PersianRug.fit(features, 8)).double()
    found = growth_rate(rug, features, n_samples=32_768, n_iterations=100)
    assert found.rate.value > 10 * found.rate.standard_error
    assert 0 < found.gradient < 1
    assert 0 < found.drift < 1
    assert sum((value**2).sum() for value in found.mode.values()) == pytest.approx(1, rel=1e-12)
    x = features.sample(200_000, torch_generator(5), dtype=torch.float64)
    weights = {name: tensor.clone() for name, tensor in rug.state_dict().items()}
    size = 0.02 * sum(float(tensor.square().sum()) for tensor in weights.values()) ** 0.5

    def losses(direction, step):
        moved = {name: tensor + step * torch.from_numpy(direction[name].copy()) for name, tensor in weights.items()}
        rug.load_state_dict(moved)
        with torch.no_grad():
            return (rug(x) - x).square().mean(dim=1)

    def z_score(direction):
        second = losses(direction, size) + losses(direction, -size) - 2 * losses(direction, 0)
        return float(second.mean() / second.std() * len(second) ** 0.5)

    assert z_score(found.mode) < -5
    other = {name: rng.standard_normal(tuple(tensor.shape)) for name, tensor in weights.items()}
    norm = sum((value**2).sum() for value in other.values()) ** 0.5
    assert z_score({name: value / norm for name, value in other.items()}) > 5


def test_at_the_optimum_of_one_feature_nothing_grows():
    """One feature in one dimension: the loss is convex around its optimum, and the control must not grow."""
    features = SparseFeatures(1, 0.5, Constant())
    model = Autoencoder(1, 1)
    with torch.no_grad():
        model.W_enc.fill_(1.0)
        model.W_dec.fill_(1.01)
        model.b_dec.fill_(0.01)
    assert growth_rate(model, features, n_samples=2048, n_iterations=2).rate.value <= 0


def test_rates_go_with_the_peak_rate():
    slow = growth_rate(RUG, FEATURES, TrainingConfig(), n_samples=4096, n_iterations=10)
    fast = growth_rate(RUG, FEATURES, TrainingConfig(learning_rate=0.44, rate_cap=1.6), n_samples=4096, n_iterations=10)
    assert fast.rate.value == pytest.approx(2 * slow.rate.value, rel=1e-9)
    assert fast.gradient == pytest.approx(slow.gradient, rel=1e-9)


def test_the_model_is_left_as_it_is():
    before = {name: tensor.clone() for name, tensor in RUG.state_dict().items()}
    growth_rate(RUG, FEATURES, n_samples=2048, n_iterations=2)
    assert all(torch.equal(tensor, before[name]) for name, tensor in RUG.state_dict().items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_samples": 2047}, "`n_samples` must be a whole number of at least 2048, got 2047"),
        ({"n_iterations": 1}, "`n_iterations` must be a whole number of at least 2, got 1"),
        ({"model": Autoencoder(16, 4, activation=TopK(2))}, "`model` must have a ReLU, got topk"),
        ({"features": SparseFeatures(8, 0.1)}, "8"),
        ({"model": _silent()}, "`features` must have a gradient at `model` that .* is not 0, got 0"),
    ],
)
def test_bad_arguments_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        growth_rate(**({"model": RUG, "features": FEATURES} | change))
