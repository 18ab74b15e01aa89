"""The scheme as ReLU neurons: equal to the functions, counted, and as few as possible."""

import numpy as np
import pytest
import torch

from superposition.compression import CompressionNetwork, QuantizedPair
from superposition.compression.network import linear_layers
from tests.compression.bounds import stage_bounds
from tests.rounding import as_array, assert_within
from tests.statistics import agrees

ALIGNMENTS = ("centred", "before", "after", "guarded")
CONSTRUCTIONS = ("segments", "minimal")


def found_and_expected(scheme, network, x, y):
    """The network's code and its decoding, each beside the scheme's and a bound, on inputs of float32."""
    inputs = np.float32(np.stack([x, y], axis=1))
    code = scheme.encode(*inputs.T)[:, None]
    rounded = np.float32(code)
    with torch.no_grad():
        found = [network.encoder(torch.from_numpy(inputs)), network.decoder(torch.from_numpy(rounded))]
    encode, decode = stage_bounds(scheme, network)
    return [
        (found[0], code, encode(inputs)),
        (found[1], np.concatenate(scheme.decode(rounded), axis=1), decode(rounded)),
    ]


def deviations(scheme, network, x, y):
    """Largest distances of the network's code and of its decoding from the scheme's."""
    parts = found_and_expected(scheme, network, x, y)
    return [np.abs(as_array(found) - expected).max() for found, expected, _ in parts]


@pytest.mark.parametrize("construction", CONSTRUCTIONS)
@pytest.mark.parametrize("alignment", ALIGNMENTS)
@pytest.mark.parametrize(("levels", "ramp"), [(1, 0.3), (2, 0.1), (3, 0.1), (3, 1 / 3), (4, 0.1)])
def test_equals_the_functions_in_float32(levels, ramp, alignment, construction, rng):
    scheme = QuantizedPair(levels, ramp, alignment=alignment)
    # Everywhere, at the corners, and at the ends of ramps, where a neuron turns on.
    x, y = np.concatenate([rng.random((2, 100_000)), [[0, 0, 1, 1], [0, 1, 0, 1]]], axis=1)
    x[: 4 * levels] = np.resize(scheme.encoder_staircase.knots, 4 * levels)
    for found, expected, bound in found_and_expected(scheme, scheme.to_network(construction), x, y):
        assert_within(found, expected, bound, resolution=1e-3)


@pytest.mark.parametrize("construction", CONSTRUCTIONS)
def test_another_scheme_is_told_apart(construction, rng):
    scheme, other = QuantizedPair(3, 0.1), QuantizedPair(3, 0.1 + 1e-4)
    for found, expected, bound in found_and_expected(scheme, other.to_network(construction), *rng.random((2, 10_000))):
        with pytest.raises(AssertionError, match="out of bounds"):
            assert_within(found, expected, bound)


@pytest.mark.parametrize("construction", CONSTRUCTIONS)
def test_narrow_ramps_cost_digits_as_they_must(construction, rng):
    # Rounding is multiplied by the slope of a ramp, and by no more than that.
    largest = []
    for ramp in (1e-1, 1e-2, 1e-3):
        scheme = QuantizedPair(6, ramp, "segment")
        parts = found_and_expected(scheme, scheme.to_network(construction), *rng.random((2, 100_000)))
        for found, expected, bound in parts:
            assert_within(found, expected, bound, resolution=1e-3 / ramp)
        largest.append(max(bound.max() for *_, bound in parts))
    assert np.diff(np.log10(largest)) == pytest.approx(1, abs=0.05)


def test_neurons_are_counted():
    for levels in (1, 2, 3, 9):
        scheme = QuantizedPair(levels, 0.1)
        assert scheme.to_network("segments").n_neurons == 12 * levels
        assert scheme.to_network("minimal").n_neurons == 4 * levels - 2
    assert QuantizedPair(3, 0.1).to_network().n_neurons == 36


@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_every_neuron_of_the_minimal_network_is_needed(alignment, rng):
    scheme = QuantizedPair(3, 0.1, alignment=alignment)
    x, y = rng.random((2, 1000))
    for part in ("encoder", "decoder"):
        for neuron in range(2 * 3 - 1):
            network = scheme.to_network("minimal")
            with torch.no_grad():
                linear_layers(getattr(network, part))[1].weight[:, neuron] = 0
            assert max(deviations(scheme, network, x, y)) > 0.05


def test_the_network_loses_what_the_scheme_does(rng):
    scheme = QuantizedPair(3, 0.1)
    z = torch.from_numpy(rng.random((400_000, 2))).float()
    for construction in CONSTRUCTIONS:
        network = scheme.to_network(construction)
        with torch.no_grad():
            loss = ((network(z) - z) ** 2).mean(1)
        assert agrees(loss.numpy(), scheme.expected_loss(), resolution=0.03)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: QuantizedPair(3).to_network(), "`ramp` must be a number for a network, got None"),
        (lambda: QuantizedPair(3, 1e-8).to_network(), "`ramp` must be wide enough for float32"),
        (lambda: CompressionNetwork(torch.nn.Sequential(), torch.nn.Sequential()), "must be Linear, ReLU.*got nothing"),
        (
            lambda: CompressionNetwork(
                torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1)),
                torch.nn.Sequential(torch.nn.Linear(1, 2)),
            ),
            "must be Linear, ReLU, Linear … Linear, got Linear, Tanh, Linear",
        ),
        (
            lambda: CompressionNetwork(*(torch.nn.Sequential(torch.nn.Linear(2, 3)) for _ in range(2))),
            "`decoder` must take what `encoder` gives, got 2 dimensions",
        ),
    ],
)
def test_what_is_no_network_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
