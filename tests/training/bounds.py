"""How far the loss and the gradients of one step may be from the exact ones."""

import numpy as np

from tests.rounding import Bounded, as_array, linear


def step_bounds(model, x, importance):
    """Bounds on the loss and on the gradients of W_enc, W_dec and b_dec of a ReLU autoencoder: running error analysis.

    An output whose pre-activation is within its error of 0 may count as on or off: all of its slope is uncertain.
    """
    dtype = model.W_enc.dtype
    W_enc, W_dec, b_dec, x = (Bounded.given(part, dtype) for part in (model.W_enc, model.W_dec, model.b_dec, x))
    hidden = x @ W_enc.T
    pre = linear(hidden, W_dec, b_dec)
    error = pre.relu() - x
    weighted = error * Bounded.rounded(importance, dtype)
    loss = (error * weighted).mean()
    # 2/numel is rounded, and multiplied by where it costs least: the order of factors does not matter to the bound.
    slope = weighted * Bounded.rounded(2 / pre.value.size, dtype)
    is_on, unsure = pre.value > 0, np.abs(pre.value) <= pre.error
    uncertain = np.where(unsure, np.abs(slope.value) + slope.error, slope.error * is_on)
    slope = Bounded(slope.value * is_on, uncertain, dtype, slope.growth)
    gradients = [(slope @ W_dec).T @ x, slope.T @ hidden, slope.sum(axis=0)]
    return loss.error, [as_array(gradient.error) for gradient in gradients]
