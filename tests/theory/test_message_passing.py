"""State evolution, its fixed points, replica loss and thresholds: naive integrals, limits, identities."""

import time

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import logsumexp

from superposition.features import Beta, Constant, Empirical, Exponential, HalfNormal, Uniform
from superposition.theory import (
    amp_threshold,
    bayes_loss,
    l1_threshold,
    minimal_noise_variance,
    replica_mmse,
    state_evolution,
    zero_ratio_loss,
)
from superposition.theory.error_curve import ErrorCurve
from tests.rounding import PROMISED, assert_close, gamma

# Of a spline of the logarithm of the loss: what state evolution promises, with the error of its slope beside it.
SPLINE = 5 * PROMISED

LAWS = [Uniform(), Constant(), Uniform(0.5, 1), Empirical([0.05, 1.0], [0.99, 0.01])]


@pytest.mark.parametrize("law", [*LAWS, Exponential()], ids=str)
def test_naive_twin_of_the_tabulated_loss(law, rng):
    curve = ErrorCurve.over(1e-4, 1.0, np.array([1e-3, 0.9]), law)
    tau, p = np.exp(rng.uniform(np.log(3e-3), 0, 40)), np.exp(rng.uniform(np.log(1e-3), np.log(0.9), 40))
    expected = bayes_loss(np.sqrt(tau), p, law)
    # A constant is known but for e^(−1/8τ): there the logarithm is what is steep, its sixth derivative 1/8τ, of which a
    # quintic spline leaves about (step/2)⁶/720.
    steep = (0.0625 / 2) ** 6 / 720 / (8 * tau) if law == Constant() else 0
    assert_close(curve(tau, p), expected, SPLINE + steep)
    # Logarithms of up to some tens are rounded.
    on_grid = np.diag(curve.on_grid(np.sort(np.log(tau)), p))
    assert_close(on_grid, curve(np.sort(tau), p), gamma(200 + 10 * np.abs(np.log(expected / p)).max(), float))


@pytest.mark.parametrize("law", [Uniform(), Constant(), Empirical([0.05, 1.0], [0.99, 0.01])], ids=str)
@pytest.mark.parametrize("ensemble", ["gaussian", "orthogonal"])
def test_naive_twin_trajectory_step_by_step(law, ensemble):
    delta, p, noise = 0.3, 0.1, 1e-2
    found = state_evolution(delta, p, noise, ensemble=ensemble, law=law)
    tau = noise + law.sparse_variance(p) * (1 / delta - (ensemble == "orthogonal"))
    for step in range(4):
        loss = bayes_loss(np.sqrt(tau), p, law)
        # Errors of a step are carried to the next, by less than 1 + step of them together while τ falls to half.
        assert_close(found.noise[step], tau, (1 + step) * SPLINE)
        assert_close(found.loss[step], loss, (2 + step) * SPLINE)
        extrinsic = 1 / (1 / loss - 1 / tau)
        tau = noise + (loss / delta if ensemble == "gaussian" else extrinsic * (1 - delta) / delta)
    assert found.steps > 3
    # A trajectory stops when a step is below 1e-10; here steps at least halve.
    assert_close(found.noise[-1], found.reached_noise, 1e-9)


def test_identity_the_first_step_of_the_orthogonal_ensemble_is_the_interference_of_a_rug():
    r, p = np.array([0.1, 0.25, 0.9])[:, None], np.array([0.01, 0.3])
    found = state_evolution(r, p, ensemble="orthogonal")
    assert_close(found.noise[0], minimal_noise_variance(r, p), 10 * gamma(10, float))  # 1/r − 1 at r = 0.9
    assert found.noise.shape[1:] == (3, 2)


@pytest.mark.parametrize("noise", [1e-12, 1e-3])
@pytest.mark.parametrize("ensemble", ["gaussian", "orthogonal"])
def test_identity_fixed_points_are_fixed(ensemble, noise, rng):
    delta, p = rng.uniform(0.05, 1, 30), np.exp(rng.uniform(np.log(1e-2), np.log(0.8), 30))
    found = state_evolution(delta, p, noise, ensemble=ensemble)
    for tau in (found.reached_noise, found.informed_noise):
        loss = bayes_loss(np.sqrt(tau), p)
        after = noise + (loss / delta if ensemble == "gaussian" else (1 - delta) / delta / (1 / loss - 1 / tau))
        # 1/mmse − 1/τ is a difference of numbers up to ten times as large.
        assert_close(after, tau, 10 * SPLINE)
    assert (found.informed_noise <= found.reached_noise).all()
    settled = found.steps >= 0
    assert settled.sum() > 25
    # Steps shrink by a factor 1 − ε; a trajectory stops 1e-10/ε from its end, ε > 1e-3 for those that settle here.
    assert_close(found.noise[-1][settled], found.reached_noise[settled], 1e-7)


@pytest.mark.parametrize(
    ("p", "expected"), [(0.01, 0.0314), (0.05, 0.1122), (0.1, 0.1877), (0.3, 0.4003), (0.5, 0.5721)]
)
def test_known_thresholds_of_message_passing(p, expected):
    assert abs(amp_threshold(p) - expected) <= 5e-5  # four decimals are known


def test_known_threshold_of_the_constant_law_by_a_naive_search():
    # Gaussian integral over g by the trapezoidal rule: posterior of c ∈ {0, 1} from z = c + √τ g.
    p, g = 0.1, np.linspace(-12, 12, 24001)
    density = np.exp(-(g**2) / 2) / np.sqrt(2 * np.pi)

    def share(tau):
        odds = np.log(p / (1 - p)) + (0.5 + np.sqrt(tau) * g) / tau
        return p * np.trapezoid(density / (1 + np.exp(np.clip(odds, -700, 700))), g) / tau

    expected = max(share(tau) for tau in np.exp(np.linspace(-4, 1, 4001)))
    # The grid of log τ misses the maximum by 0.0006 at most, in second order: its curvature is below 1.
    assert_close(amp_threshold(p, Constant()), expected, (5 / 4000 / 2) ** 2 / 2)


def test_limit_threshold_of_rare_features():
    """Up to a factor that tends to 1, 2 log(1/p) measurements an active feature of value 1: those of a threshold."""
    p = np.array([1e-3, 1e-5, 1e-9])
    share = amp_threshold(p, Constant()) / (2 * p * np.log(1 / p))
    assert (np.diff(share) > 0).all()
    assert (share > 0.3).all()
    assert (share < 1).all()
    assert (np.diff(amp_threshold(np.geomspace(1e-6, 1, 4))) > 0).all()


@pytest.mark.parametrize("law", [Uniform(), Exponential(3.0), HalfNormal(), Beta(2.0, 3.0)])
def test_limit_threshold_where_every_feature_is_active(law):
    """As many measurements as features, exactly: nothing is sparse. A law of few values needs less."""
    assert amp_threshold(1.0, law) == 1
    assert 1 - 1e-9 <= amp_threshold(1 - 1e-9, law) <= 1
    assert amp_threshold(1.0, Empirical([1.0, 2.0])) < 0.5


@pytest.mark.parametrize("noise", [1e-6, 1e-3])
def test_limit_fixed_point_where_no_error_is_left(noise):
    """For one value well above the noise the error is below rounding: the noise is that of the measurements."""
    found = state_evolution(0.5, 0.05, noise, law=Constant())
    assert_close(found.reached_noise, noise, gamma(4, float))
    assert_close(found.informed_noise, noise, gamma(4, float))
    assert_close(found.noise[-1], noise, gamma(4, float))
    assert found.reached_loss < 1e-40


@pytest.mark.parametrize("ensemble", ["gaussian", "orthogonal"])
def test_identity_recovery_without_noise_begins_at_the_threshold(ensemble):
    p = np.array([0.01, 0.1, 0.5])
    found = state_evolution(amp_threshold(p) * np.array([[0.998], [1.002]]), p, ensemble=ensemble)
    assert (found.reached_noise[0] > 1e-3 * found.noise[0, 0]).all()
    assert (found.reached_noise[1] == 0).all()
    assert (found.reached_loss[1] == 0).all()
    assert (found.informed_noise == 0).all()


@pytest.mark.parametrize("noise", [0.0, 1e-15])
def test_as_many_measurements_as_features_leave_the_noise_alone(noise):
    """An orthogonal square matrix hides nothing: every entry is seen in the noise, which is too small to hide any."""
    found = replica_mmse(1.0, 0.1, noise, ensemble="orthogonal").loss
    assert 0.9 * 0.1 * noise <= found <= noise


def test_known_phases_without_noise():
    """Below p nothing recovers, between p and the threshold no fast algorithm is known to, above both do."""
    found = replica_mmse([0.04, 0.06, 0.1, 0.12], 0.05)
    assert found.hard.tolist() == [False, True, True, False]
    assert (found.loss[1:] == 0).all()
    assert found.loss[0] == found.reached_loss[0] > 0.01
    # A discrete law has no smooth part to measure: information suffices at any ratio.
    assert replica_mmse(0.01, 0.05, law=Constant()).loss == 0


@pytest.mark.parametrize("ensemble", ["gaussian", "orthogonal"])
def test_naive_twin_the_replica_loss_minimises_the_free_energy(ensemble):
    """The free energy written out, I(τ) − E/2τ + ½∫R, for the constant law, minimised over a fine grid of τ."""
    p, noise, g = 0.05, 4e-3, np.linspace(-11, 11, 1001)
    weights = np.exp(-(g**2) / 2) / np.sqrt(2 * np.pi) * (g[1] - g[0])

    def information(tau):
        total = 0.0
        for value, share in ((0.0, 1 - p), (1.0, p)):
            z = value + np.sqrt(tau) * g
            log_density = logsumexp([np.log(1 - p) - z**2 / (2 * tau), np.log(p) - (z - 1) ** 2 / (2 * tau)], axis=0)
            total -= share * weights @ (log_density + g**2 / 2)
        return total

    def asked(tau, delta):
        if ensemble == "gaussian":
            return delta * (tau - noise)
        return 1 / (1 / tau + (1 - delta) / (delta * (tau - noise)))

    hard = []
    for delta in (0.07, 0.11):
        start = Constant().sparse_variance(p) / delta + noise
        tau = np.exp(np.linspace(np.log(noise * 1.0001), np.log(start), 1000))
        # ½ ∫ mmse d(1/τ) is the information; the rest of the energy is −½ ∫ E d(1/τ).
        energy = np.array([information(t) for t in tau])
        loss = asked(tau, delta)
        energy[1:] -= 0.5 * np.cumsum(np.diff(1 / tau) * (loss[1:] + loss[:-1]) / 2)
        expected = bayes_loss(np.sqrt(tau[np.argmin(energy)]), p, Constant())
        found = replica_mmse(delta, p, noise, ensemble=ensemble, law=Constant())
        # The grid of log τ has steps of 0.007; the loss rises no faster than τ⁴ at its fixed points here.
        assert_close(found.loss, expected, 4 * np.log(start / noise) / 1000 / 2, resolution=0.03)
        hard.append(found.hard)
    assert len(set(hard)) == 2  # both phases were seen


@pytest.mark.parametrize("ensemble", ["gaussian", "orthogonal"])
def test_limits(ensemble):
    ratio, p, noise = np.array([[1.0, 0.3, 0.0], [0.5, 0.3, 1e5], [1e-6, 0.3, 0.0], [0.5, 1.0, 0.01]]).T
    found = state_evolution(ratio, p, noise, ensemble=ensemble, n_steps=3)
    assert found.reached_loss[0] == found.informed_loss[0] == 0
    # v/(1 + v/τ) is left of v, and τ is 1e5 at least.
    assert_close(found.reached_loss[1:3], np.full(2, zero_ratio_loss(0.3)), zero_ratio_loss(0.3) * 2 / 1e5)
    assert_close(found.reached_loss[3], bayes_loss(np.sqrt(found.reached_noise[3]), 1.0), SPLINE)
    assert len(found.noise) == 4
    assert found.steps[3] == -1


def test_ten_thousand_points_take_seconds(rng):
    delta, p = rng.uniform(0.05, 1, 10_000), np.exp(rng.uniform(np.log(1e-3), np.log(0.5), 10_000))
    started = time.process_time()
    found = state_evolution(delta, p)
    assert time.process_time() - started < 15  # 5 s alone
    assert found.noise.shape[1] == 10_000
    recovered = found.reached_noise == 0
    assert recovered[delta > 0.6].all()
    assert not recovered[delta < p].any()


@pytest.mark.parametrize(
    ("ratio", "nonnegative", "expected"),
    [(0.5, False, 0.3857), (0.5, True, 0.5582), (0.1, False, 0.1894), (0.1, True, 0.2410)],
)
def test_known_l1_threshold(ratio, nonnegative, expected):
    assert abs(l1_threshold(ratio, nonnegative=nonnegative) - expected) <= 5e-5  # four decimals are known


@pytest.mark.parametrize("nonnegative", [True, False])
def test_naive_twin_l1_threshold_by_minimax_soft_thresholding(nonnegative):
    """ρ = max over z of (1 − κ/δ[(1 + z²)Φ(−z) − zφ(z)])/(1 + z² − κ[(1 + z²)Φ(−z) − zφ(z)])."""
    import mpmath as mp

    kappa = 1 if nonnegative else 2
    for delta in (0.01, 0.2, 0.7):

        def rho(z, delta=delta):
            z = mp.mpf(z)
            tail = kappa * ((1 + z**2) * mp.ncdf(-z) - z * mp.npdf(z))
            return (1 - tail / delta) / (1 + z**2 - tail)

        z = brentq(lambda z: float(mp.diff(rho, z)), 0.05, 6)
        # z is a root to 1e-14; where the ratio is a maximum over z, what brentq leaves of it counts in second order.
        assert_close(l1_threshold(delta, nonnegative=nonnegative), float(rho(z)), gamma(200, float))


def test_limits_and_property_of_l1():
    ratio = np.geomspace(1e-280, 1, 60)
    signed, nonnegative = (l1_threshold(ratio, nonnegative=kind) for kind in (False, True))
    assert (np.diff(signed) > 0).all()
    assert (signed[:-1] < nonnegative[:-1]).all()
    assert signed[-1] == nonnegative[-1] == 1
    # k log(n/k) measurements: ρ ≈ 1/(2 log(1/δ)) as δ → 0.
    # The next order is log log(1/δ)/(2 log(1/δ)), twice of which is allowed.
    logarithm = np.log(1 / ratio[0])
    assert_close(signed[0] * 2 * logarithm, 1, np.log(logarithm) / logarithm, resolution=0.02)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: state_evolution(0.0, 0.1), r"`ratio` must be in \(0, 1\]"),
        (lambda: state_evolution(0.5, 0.1, -1e-3), "`noise_variance` must be finite and not negative, got -0.001"),
        (lambda: state_evolution(0.5, np.nan), "`probability` must be in"),
        (lambda: state_evolution(0.5, 1.0, law=Constant()), "`probability` must be below 1 for a law of one value"),
        (lambda: state_evolution([0.5, 0.4], [0.1, 0.2, 0.3]), "must broadcast to one shape"),
        (lambda: amp_threshold(0.0), "`probability` must be in"),
        (lambda: l1_threshold(1.5, nonnegative=True), "`ratio` must be in"),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
