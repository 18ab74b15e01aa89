"""Fits a decoder's parameters to an encoder."""

from math import ceil, inf, log2
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from superposition import _checks
from superposition._random import torch_generator
from superposition.decoders.base import Decoder, check_noise, check_same_size
from superposition.decoders.elementwise import Calibration, Elementwise
from superposition.features import SparseFeatures
from superposition.models import Model
from superposition.models.base import encoder_of
from superposition.models.encoders import Encoder

Kind = TypeVar("Kind", bound=Decoder)

# Entries of a calibration sample: the loss then differs from the best by a share of about 1e-5.
_ENTRIES = 2**21
# Of them, those on which it is chosen which features to give up.
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
    other parameters minimise the squared error on a sample exactly, over all thresholds that tell its entries apart.
    Decoders without such parameters are returned as they are.

    Args:
        decoder: What to fit; a TopK keeps its k if it has one.
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
    return decoder.fitted(sample.giving_up_above(_most_noise(decoder, sample)))


def _most_noise(decoder: Elementwise, sample: Calibration) -> float:
    """Returns the noise up to which features are best read out, among levels a factor of two apart."""
    alive = sample.noise_std[torch.isfinite(sample.noise_std) & (sample.noise_std > 0)]
    if not alive.numel():
        return inf
    least, most = float(alive.min()), float(alive.max())
    levels = [inf, *(least * 2.0**k for k in range(1, ceil(log2(most / least))))]
    few = sample.part(max(32, _FEW_ENTRIES // sample.x.shape[1]))

    def loss(level: float) -> float:
        kept = few.giving_up_above(level)
        return float((decoder.fitted(kept).activate(kept.z) - kept.x).double().square().sum())

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
