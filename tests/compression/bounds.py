"""How far a network of float32 may be from the scheme that it computes."""

import numpy as np

from superposition.compression.network import linear_layers
from tests.rounding import Bounded, through_layers, unit_roundoff


def stage_bounds(scheme, network):
    """The bounds of encoder and decoder, functions of their inputs and of the inputs' own errors.

    Three things are rounded. The knots k ≤ 1 of the staircases, by u k at most: ramps are drawn between the rounded
    ones, so that the staircase is the exact one at a place at most u away, and its value is off by u times its slope.
    The weights, by u each. And every product and sum of the network: running error analysis.
    """
    u, Z, w = unit_roundoff(np.float32), scheme.levels, scheme.gap
    steepest_x, steepest_t = scheme.encoder_staircase.slopes.max(), scheme.decoder_staircase.slopes.max()
    moved_code = u * steepest_x / (Z - w)
    moved_features = u * steepest_t * np.array([1 / Z, 1 / (1 - w)])

    def of(perceptron, moved):
        layers = [
            tuple(Bounded.rounded(part, np.float32) for part in (layer.weight, layer.bias))
            for layer in linear_layers(perceptron)
        ]

        def bound(inputs, error=0.0):
            given = Bounded(inputs.astype(float), np.broadcast_to(error, inputs.shape), np.float32)
            return through_layers(layers, given).error + moved

        return bound

    return of(network.encoder, moved_code), of(network.decoder, moved_features)


def encoding_bound(scheme, network, x):
    """Bound on the codes of a nested network: each stage adds its own error and passes on that of the code inside."""
    encode, _ = stage_bounds(scheme.pair, network.pair)
    bounds = []
    for group in scheme.groups:
        code, error = x[:, group[-1]], np.zeros(len(x))
        for feature in group[-2::-1]:
            inputs = np.stack([x[:, feature], code], axis=1)
            error = encode(inputs, np.stack([0 * error, error], axis=1))[:, 0]
            code = scheme.pair.encode(x[:, feature], code)
        bounds.append(error)
    return np.stack(bounds, axis=1)


def decoding_bound(scheme, network, codes, error):
    """Bound on the features of a nested network, from codes and their errors, shape (samples, m)."""
    _, decode = stage_bounds(scheme.pair, network.pair)
    bounds = []
    for index, group in enumerate(scheme.groups):
        code, off = codes[:, index], error[:, index]
        for _ in group[:-1]:
            of_feature, off = decode(code[:, None], off[:, None]).T
            code = scheme.pair.decode(np.clip(code, 0, 1))[1]
            bounds.append(of_feature)
        bounds.append(off)
    return np.stack(bounds, axis=1)
