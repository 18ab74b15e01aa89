"""Nesting and precision: digits in a base, linear in jumps, and what few bits leave."""

from math import sqrt

import numpy as np
import pytest
import torch

from superposition.compression import NestedScheme, QuantizedPair, levels_carried, loss_at_precision
from superposition.compression.precision import best_at_precision
from tests.compression.bounds import decoding_bound, encoding_bound
from tests.rounding import assert_within, gamma
from tests.statistics import Z_BOUND


class TestNesting:
    def test_a_pair_is_nested_once(self, rng):
        pair = QuantizedPair(3, 0.1)
        x = rng.random((1000, 2))
        scheme = NestedScheme(2, 1, pair)
        assert scheme.encode(x)[:, 0].tolist() == pair.encode(*x.T).tolist()
        assert scheme.decode(scheme.encode(x)).T.tolist() == np.array(pair.decode(pair.encode(*x.T))).tolist()
        assert scheme.n_neurons == pair.to_network("minimal").n_neurons
        assert scheme.sampled_loss().z_score(pair.expected_loss()) == pytest.approx(0, abs=Z_BOUND)

    def test_digits_of_a_number_in_base_z(self, rng):
        x = rng.random((100, 4))
        codes = NestedScheme(4, 1, QuantizedPair(10)).encode(x)[:, 0]
        assert codes == pytest.approx(
            np.floor(10 * x[:, :3]) @ [0.1, 0.01, 0.001] + x[:, 3] / 1000, abs=gamma(32, float)
        )

    @pytest.mark.parametrize(("n", "m"), [(3, 1), (4, 2), (5, 2), (7, 3), (6, 6)])
    def test_loss_of_jumps(self, n, m):
        scheme = NestedScheme(n, m, QuantizedPair(4))
        sampled = scheme.sampled_loss()
        if n == m:
            assert sampled.value == scheme.loss_of_jumps() == 0
        else:
            assert abs(sampled.z_score(scheme.loss_of_jumps())) < Z_BOUND
            assert Z_BOUND * sampled.standard_error < 0.05 * scheme.loss_of_jumps()
            assert scheme.linear_loss() == pytest.approx((n - m) / (12 * n), rel=gamma(8, float))
        assert [i for group in scheme.groups for i in group] == list(range(n))
        assert max(map(len, scheme.groups)) - min(map(len, scheme.groups)) <= 1

    @pytest.mark.parametrize(("n", "m"), [(3, 1), (5, 2)])
    def test_the_network_computes_it(self, n, m, rng):
        scheme = NestedScheme(n, m, QuantizedPair(2, 0.25, "segment", "guarded"))
        x = rng.random((20_000, n)).astype(np.float32)
        network = scheme.to_network()
        with torch.no_grad():
            codes = network.encode(torch.from_numpy(x)).numpy()
            decoded = network.decode(torch.from_numpy(np.float32(scheme.encode(x)))).numpy()
            both = network(torch.from_numpy(x)).numpy()
        exact, rounded = scheme.encode(x), np.float32(scheme.encode(x)).astype(float)
        error = encoding_bound(scheme, network, x)
        assert_within(codes, exact, error)
        assert_within(decoded, scheme.decode(rounded), decoding_bound(scheme, network, rounded, 0 * rounded))
        assert_within(both, scheme.decode(exact), decoding_bound(scheme, network, exact, error))

    def test_precision_that_digits_take(self):
        assert NestedScheme(5, 2, QuantizedPair(8)).digit_bits == pytest.approx(6, rel=gamma(8, float))

    @pytest.mark.parametrize(
        ("use", "message"),
        [
            (lambda: NestedScheme(2, 3, QuantizedPair(2)), r"`n_hidden` must be a whole number in \[1, 2\], got 3"),
            (lambda: NestedScheme(0, 1, QuantizedPair(2)), "`n_features` must be a whole number of at least 1, got 0"),
            (lambda: NestedScheme(3, 1, QuantizedPair(2)).encode([0.5, 0.5]), r"`x` must have 3 features .* \(2,\)"),
            (lambda: NestedScheme(3, 1, QuantizedPair(2)).encode([0.5, 0.5, 2.0]), r"`x` must be in \[0, 1\], got 2"),
            (lambda: NestedScheme(3, 1, QuantizedPair(2)).decode(0.5), "`codes` must have 1 dimensions"),
            (lambda: NestedScheme(3, 1, QuantizedPair(2)).to_network(), "`ramp` must be a number for a network"),
        ],
    )
    def test_bad_input_is_refused(self, use, message):
        with pytest.raises(ValueError, match=message):
            use()


class TestPrecision:
    @pytest.mark.parametrize(("precision", "bits"), [("bfloat16", 8), ("float16", 11)])
    def test_x_and_y_share_the_bits_of_the_code(self, precision, bits):
        """Every doubling of the levels halves the error of x, which rounding leaves, and doubles that of y."""
        # Codes between 1/2 and 1 are 2^−bits apart; of y that is Z times as much, and the mean over [0, 1] of the
        # square of the spacing is 4/7 of the largest. A guard keeps rounded codes on their level.
        rng = np.random.default_rng(5)
        for levels in (2, 4, 8):
            pair = QuantizedPair(levels, 2.0**-3, "segment", "guarded")
            x, y = rng.random((2, 100_000))
            on_flat = np.isin(pair.encoder_staircase(x), np.arange(levels))
            code = torch.from_numpy(pair.encode(x, y)).to(getattr(torch, precision)).double().numpy()
            x_hat, y_hat = pair.decode(code)
            spacing = 2.0**-bits * (levels - pair.gap) / (1 - pair.gap)
            inner = on_flat & (np.abs(y - 0.5) < 0.45)  # elsewhere the code may be rounded into a ramp
            error_y = sqrt(((y_hat - y)[inner] ** 2).mean())
            assert error_y == pytest.approx(spacing * sqrt(4 / 7 / 12), rel=0.15)
            whole = pair.decode(pair.encode(x, y))[0]
            assert x_hat[inner] == pytest.approx(whole[inner], abs=gamma(32, float))
            assert 0.85 < levels * sqrt(12 * ((whole - x)[inner] ** 2).mean()) < 1

    def test_more_bits_carry_more_levels_and_networks_fewer_than_codes(self):
        carried = {
            (precision, place): levels_carried(precision, place)
            for precision in ("bfloat16", "float16", "float32")
            for place in ("code", "network")
        }
        for place in ("code", "network"):
            losses = [carried[precision, place].loss.value for precision in ("bfloat16", "float16", "float32")]
            assert losses[0] > 2 * losses[1] > 4 * losses[2]
        for precision in ("bfloat16", "float16"):
            code, network = (carried[precision, place] for place in ("code", "network"))
            assert network.scheme.pair.levels < code.scheme.pair.levels
            assert network.loss.value > 2 * code.loss.value

    def test_float32_is_exact_for_few_levels_and_bfloat16_is_not(self):
        scheme = NestedScheme(2, 1, QuantizedPair(3, 0.1))
        exact = scheme.sampled_loss(8192)
        # Other samples: within their error.
        assert abs(loss_at_precision(scheme, "float32", "network").z_score(scheme.pair.expected_loss())) < Z_BOUND
        rounded = loss_at_precision(scheme, "float32")
        error = Z_BOUND * np.hypot(rounded.standard_error, exact.standard_error)
        assert abs(rounded.value - exact.value) < error < 0.2 * exact.value
        fine = NestedScheme(2, 1, QuantizedPair(64, 2.0**-4, "segment", "guarded"))
        assert loss_at_precision(fine, "bfloat16").value > 3 * loss_at_precision(fine, "float32").value

    def test_more_dimensions_need_more_bits(self):
        losses = [best_at_precision(n, 1, 4, "float16").loss.value / NestedScheme(n, 1, QuantizedPair(4)).linear_loss()
                  for n in (2, 3, 5)]  # fmt: skip
        assert losses[0] < losses[1] < losses[2]

    def test_unknown_names_are_refused(self):
        scheme = NestedScheme(2, 1, QuantizedPair(3, 0.1))
        with pytest.raises(ValueError, match="`n_samples` must be a whole number of at least 2, got 1"):
            loss_at_precision(scheme, "float16", n_samples=1)
