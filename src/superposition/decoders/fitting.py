"""Fits a decoder's parameters to an encoder."""

from dataclasses import replace
from math import ceil, exp, inf, log, log2
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import minimize
from torch import Tensor

from superposition import _checks
from superposition._checks import FloatArray
from superposition._random import torch_generator
from superposition.decoders.base import Decoder, check_noise, check_same_size
from superposition.decoders.calibration import Calibration
from superposition.decoders.elementwise import Elementwise
from superposition.features import SparseFeatures
from superposition.models import Activation, BatchTopK, Gated, JumpReLU, Model, NoActivation, ReLU, TopK, TRec
from superposition.models.base import encoder_of
from superposition.models.encoders import Encoder

Kind = TypeVar("Kind", bound=Decoder)
Fitted = TypeVar("Fitted", bound=Elementwise)

# Entries of a calibration sample: the loss then differs from the best by a share of about 1e-5.
_ENTRIES = 2**21
# Of them, those on which it is chosen which features to give up, and what is searched for.
_FEW_ENTRIES = 2**17


def fit_decoder(
    decoder: Kind,
    encoder: "Encoder | Model | Float[Tensor, 'n_hidden n_features']",
    features: SparseFeatures,
    *,
    noise_variance: float = 0.0,
    n_samples: int | None = None,
    seed: int = 0,
) -> Kind:
    """The decoder with the best parameters for an encoder: scale, bias, threshold or gate, k if it has none, and W_dec.

    W_dec is the linear part of least interference (the transposed encoder of a tight frame). Features of so much
    interference that reading them out would spoil the parameters, which all share, are given up: their rows are 0. The
    other parameters minimise the squared error on a sample exactly, over all thresholds that tell its entries apart; of
    an activation of your own only scale and bias are searched for, beginning with the best of a ReLU. Decoders without
    such parameters are returned as they are.

    Args:
        decoder: What to fit; a TopK keeps its k if it has one, and what all features share takes the place of an
            activation's parameters of each.
        encoder: An encoder, a model or a matrix W_enc.
        features: What it is used on.
        noise_variance: s² ≥ 0 of noise on the hidden activations, feature units squared.
        n_samples: Size of the sample; two million entries if not given.
        seed: Seed of the sample.

    Raises:
        ValueError: Sizes do not match, or an argument is out of range.
    """
    encoder = encoder_of(encoder)
    check_same_size(encoder, features)
    noise = check_noise(noise_variance)
    _checks.instance("decoder", decoder, Decoder, "a decoder")
    if not isinstance(decoder, Elementwise):
        return decoder
    count = (
        max(32, _ENTRIES // features.n_features) if n_samples is None else _checks.whole_number("n_samples", n_samples)
    )
    x, hidden = observed(encoder, features, count, noise, seed, "calibration")
    sample = Calibration.of(x, hidden, encoder, features, noise)
    return fitted(decoder, sample.giving_up_above(_most_noise(decoder, sample)))


def fitted(decoder: Fitted, sample: Calibration) -> Fitted:
    """Returns a decoder with the best parameters for a sample."""
    activation, scale, bias = _best(decoder.activation, sample)
    return replace(decoder, activation=activation, scale=scale, bias=bias, W_dec=sample.W_dec)


def _best(activation: Activation, sample: Calibration) -> tuple[Activation, float, float]:
    """Returns an activation, and the a and b of a z + b before it, that are best together."""
    match activation:
        case NoActivation():
            _, a, b = sample.by_threshold().only(-1).affine()
            return activation, a, b
        case ReLU():
            _, a, b = sample.by_threshold().rectified()
            return activation, a, b
        case JumpReLU():
            gate, a, b = sample.by_threshold().affine()
            threshold = max(0.0, a * float(gate) + b)
            return JumpReLU(bandwidth=activation.bandwidth, threshold=threshold), a, b
        case Gated():
            gate, a, b = sample.by_threshold().affine()
            return Gated(bandwidth=activation.bandwidth, gate_bias=-a * float(gate)), a, b
        case TRec():
            gate, a, _ = sample.by_threshold().proportional()
            return activation, a, -a * max(0.0, float(gate))
        case TopK() | BatchTopK():
            sums = sample.by_rank()
            k, a, b = (sums if activation.k is None else sums.only(activation.k - 1)).affine()
            return type(activation)(int(k)), a, b
    return activation, *_searched(activation, sample)


def _searched(activation: Activation, sample: Calibration) -> tuple[float, float]:
    """Returns the a and b of a z + b before an activation of which nothing else is known; a local optimum."""
    few = sample.part(_part(sample))
    _, a, b = few.by_threshold().rectified()
    if not a > 0:  # nothing is to be read out
        return a, b

    def loss(point: FloatArray) -> float:
        return _loss(Elementwise(activation, exp(point[0]), float(point[1])), few)

    start = np.array([log(a), b])
    # A simplex as large as the parameters are: its own is a twentieth of each, and nothing of one that is 0.
    simplex = start + np.array([[0.0, 0.0], [0.3, 0.0], [0.0, 0.3 * few.x.std().item()]])
    best = minimize(loss, start, method="Nelder-Mead", options={"initial_simplex": simplex, "xatol": 1e-4}).x
    return exp(best[0]), float(best[1])


def _part(sample: Calibration) -> int:
    """Returns how many samples have enough entries for a first look."""
    return max(32, _FEW_ENTRIES // sample.x.shape[1])


def _loss(decoder: Elementwise, sample: Calibration) -> float:
    return float((decoder.activate(sample.z) - sample.x).double().square().sum())


def _most_noise(decoder: Elementwise, sample: Calibration) -> float:
    """Returns the noise up to which features are best read out, among levels a factor of two apart."""
    alive = sample.noise_std[torch.isfinite(sample.noise_std) & (sample.noise_std > 0)]
    if not alive.numel():
        return inf
    least, most = float(alive.min()), float(alive.max())
    levels = [inf, *(least * 2.0**k for k in range(1, ceil(log2(most / least))))]
    few = sample.part(_part(sample))

    def loss(level: float) -> float:
        kept = few.giving_up_above(level)
        return _loss(fitted(decoder, kept), kept)

    return min(levels, key=loss) if len(levels) > 1 else inf


def observed(
    encoder: Encoder, features: SparseFeatures, n_samples: int, noise: float, seed: int, *purpose: str | int
) -> tuple[Float[Tensor, "batch n_features"], Float[Tensor, "batch n_hidden"]]:
    """Returns a batch of features and their noisy hidden activations."""
    generator = torch_generator(seed, *purpose)
    x = features.sample(n_samples, generator, dtype=encoder.column_norms().dtype)
    with torch.no_grad():
        hidden = encoder.encode(x)
    if noise:
        hidden = hidden + noise**0.5 * torch.randn(hidden.shape, generator=generator, dtype=hidden.dtype)
    return x, hidden
