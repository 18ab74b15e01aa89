"""Reading networks: exact breakpoints, the scheme found again from weights alone, and what is no scheme."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from superposition.compression import CompressionNetwork, QuantizedPair, inspect
from superposition.compression.network import linear_layers
from superposition.compression.reading import along
from tests.rounding import Bounded, assert_within, gamma, through_layers, unit_roundoff

# Of numbers up to 1 in float32.
U = unit_roundoff(np.float32)
ALIGNMENTS = ("centred", "before", "after", "guarded")


def perceptron(*widths, seed=0):
    torch.manual_seed(seed)
    layers = []
    for inputs, outputs in pairwise(widths):
        layers += [torch.nn.Linear(inputs, outputs, dtype=torch.float64), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def curve(points):
    """The network whose decoder draws straight lines between points, at equal steps of the code, which is x."""
    points = torch.tensor(points)
    n = len(points) - 1
    knots = torch.arange(n) / n
    slopes = n * (points[1:] - points[:-1])
    changes = torch.cat([slopes[:1], slopes[1:] - slopes[:-1]])
    decoder = [(torch.ones(n, 1), -knots), (changes.T.contiguous(), points[0])]
    return CompressionNetwork.from_layers([(torch.tensor([[1.0, 0.0]]), torch.zeros(1))], decoder)


class TestAlong:
    @pytest.mark.parametrize("widths", [(2, 7, 1), (2, 9, 8, 3), (2, 5, 6, 7, 2)])
    @pytest.mark.parametrize("seed", range(3))
    def test_equals_the_perceptron_everywhere(self, widths, seed):
        network = perceptron(*widths, seed=seed)
        found = along(network, [-3.0, 1.0], [2.0, -2.0])
        s = np.linspace(0, 1, 5001)
        line = torch.tensor([-3.0, 1.0], dtype=torch.float64) + torch.from_numpy(s)[:, None] * torch.tensor([5.0, -3.0])
        layers = [(layer.weight, layer.bias) for layer in linear_layers(network)]
        exact = through_layers(layers, Bounded.given(line, np.float64))
        # A knot that is off moves along both its pieces: as much again in every layer, and in the interpolation.
        bound = 2 * (len(layers) + 1) * exact.error.max()
        assert_within(found(s), exact.value, bound, resolution=1e-10)

    @pytest.mark.parametrize("seed", range(3))
    def test_every_knot_is_a_bend(self, seed):
        found = along(perceptron(1, 9, 8, 2, seed=seed), [-2.0], [3.0])
        assert (found.knots[0], found.knots[-1]) == (-2.0, 3.0)
        assert np.all(np.abs(np.diff(found.slopes, axis=0)).max(1) > 1e-9)  # what is taken for equal
        assert len(found.knots) > 5

    def test_breakpoints_of_one_layer_are_where_its_neurons_turn_on(self):
        network = perceptron(1, 20, 2)
        with torch.no_grad():
            kinks = (-network[0].bias / network[0].weight[:, 0]).numpy()
        inside = np.sort(kinks[(kinks > -1) & (kinks < 1)])
        assert along(network, [-1.0], [1.0]).knots[1:-1] == pytest.approx(
            inside,
            abs=gamma(16, float),  # |b| ≤ |w| inside: nothing cancels badly
        )


class TestInspect:
    @pytest.mark.parametrize("construction", ["segments", "minimal"])
    @pytest.mark.parametrize("alignment", ALIGNMENTS)
    @pytest.mark.parametrize(("levels", "ramp"), [(2, 0.15), (3, 0.1), (3, 0.01), (5, 0.05), (12, 0.004)])
    def test_finds_the_scheme_that_was_built(self, levels, ramp, alignment, construction):
        scheme = QuantizedPair(levels, ramp, alignment=alignment)
        found = inspect(scheme.to_network(construction))
        assert (found.kind, found.levels, found.coarse) == ("sawtooth", levels, "x")
        # Knots are biases of float32, and all else is float64: knots are off by U, and widths by 2U.
        assert found.ramp == pytest.approx(ramp, abs=2.01 * U)
        assert found.n_pieces == 2 * levels - 1
        assert found.encoder.knots[1:-1] == pytest.approx(scheme.encoder_staircase.knots[1:-1], abs=1.01 * U)
        assert found.decoder.knots[1:-1] == pytest.approx(scheme.decoder_staircase.knots[1:-1], abs=1.01 * U)
        read = found.scheme()
        assert read is not None
        # Two levels leave one ramp, in the middle: centred and guarded look the same in the decoder.
        assert read.alignment == alignment or levels == 2
        t = np.linspace(0, 1, 1001)
        # Its ramps are 2U too wide at most: the last of its knots is off by 2U, and the code by 2U of it times Z.
        steepest = (scheme.decoder_staircase.slopes.max() + levels) / (1 - scheme.gap)
        off = np.abs(np.subtract(read.decode(t), scheme.decode(t))).max()
        assert off < 8 * U * steepest < 0.01 or read.alignment != alignment
        assert found.shares.sum() == pytest.approx(1, abs=gamma(found.n_pieces, float))

    def test_slopes_are_those_of_the_formulas(self):
        network = QuantizedPair(3, 0.1).to_network()
        found = inspect(network)
        # Weights are off by U, and slopes of ramps between knots that are off by U, by 2U over the width 0.1.
        bounds = [
            U * (float(part[2].weight.detach().abs().sum(1).max()) + 20 * 10)
            for part in (network.encoder, network.decoder)
        ]
        assert found.decoder.slopes[:, 0] == pytest.approx([0, 1 / 0.3, 0, 1 / 0.3, 0], abs=bounds[1])
        assert found.decoder.slopes[:, 1] == pytest.approx([3, 3 - 10, 3, 3 - 10, 3], abs=bounds[1])
        assert found.encoder.slopes == pytest.approx([0, 1 / 0.3, 0, 1 / 0.3, 0], abs=bounds[0])

    def test_swapped_inputs_are_told(self):
        network = QuantizedPair(3, 0.1).to_network()
        with torch.no_grad():
            network.encoder[0].weight.copy_(network.encoder[0].weight.flip(1))
            network.decoder[2].weight.copy_(network.decoder[2].weight.flip(0))
            network.decoder[2].bias.copy_(network.decoder[2].bias.flip(0))
        found = inspect(network)
        assert (found.kind, found.levels, found.coarse) == ("sawtooth", 3, "y")

    def test_a_snake_is_no_sawtooth(self):
        found = inspect(curve([[0.0, 0.2], [1.0, 0.2], [1.0, 0.5], [0.0, 0.5], [0.0, 0.8], [1.0, 0.8]]))
        assert (found.kind, found.levels, found.coarse, found.n_pieces) == ("snake", 3, "y", 5)
        assert found.scheme() is None

    def test_a_line_and_a_constant_have_one_level(self):
        for network in (curve([[0.0, 0.0], [1.0, 1.0]]), QuantizedPair(1, 0.3).to_network()):
            found = inspect(network)
            assert (found.kind, found.levels, found.ramp, found.n_pieces) == ("line", 1, None, 1)
        with torch.no_grad():
            network.encoder[2].weight.zero_()
        assert inspect(network).levels == 1

    def test_other_sizes_are_refused(self):
        network = CompressionNetwork(perceptron(3, 2, 1), perceptron(1, 2, 3))
        with pytest.raises(ValueError, match="`network` must have 2 features and 1 hidden dimension, got 3 and 1"):
            inspect(network)
