"""Decoders side by side: one encoder, the same samples for all."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from superposition import _checks
from superposition.decoders.as_it_is import AsItIs
from superposition.decoders.base import Decoded, Decoder, check_noise, check_same_size
from superposition.decoders.elementwise import Elementwise
from superposition.decoders.fitting import observed
from superposition.estimate import Estimate
from superposition.features import SparseFeatures
from superposition.models import Model
from superposition.models.base import encoder_of
from superposition.models.encoders import Encoder

_CHUNK_ENTRIES = 2**20


@dataclass(frozen=True)
class DecoderResult:
    """What one decoder did.

    Attributes:
        decoder: Its name.
        loss: Loss per feature, n⁻¹ Σ M_i (x_i − x̂_i)², squared feature units; `count` samples.
        predicted: The same in theory, or None.
        seconds: Wall time a sample.
        converged: Share of samples that converged.
        iterations: Mean number of iterations.
        residual: Mean of ‖hidden − W_enc x̂‖/‖hidden‖.
        why: What went wrong with the others, or that it was not fitted; empty if nothing did.
    """

    decoder: str
    loss: Estimate
    predicted: float | None
    seconds: float
    converged: float
    iterations: float
    residual: float
    why: str


def compare_decoders(
    encoder: "Encoder | Model | Float[Tensor, 'n_hidden n_features']",
    features: SparseFeatures,
    decoders: Sequence[Decoder],
    n_samples: int = 1024,
    *,
    noise_variance: float = 0.0,
    seconds: float = 60.0,
    seed: int = 1,
) -> list[DecoderResult]:
    """Loss of each decoder on fresh samples, the same for all, with its time and its loss in theory.

    Args:
        encoder: An encoder, a model or a matrix W_enc.
        features: What it sees; importances weigh the loss.
        decoders: Which; fit them first (`fit_decoder`). Of one whose parameters are as they came, `why` says so.
        n_samples: Samples of each, ≥ 1.
        noise_variance: s² ≥ 0 of noise added to the hidden activations, feature units squared.
        seconds: Time for each. A decoder that is too slow for all samples sees the first ones: `loss.count` says how
            many, at least one.
        seed: Seed of the samples.

    Returns:
        One result a decoder, in their order; of a model its own decoder comes first, as "model as it is".

    Raises:
        ValueError: An argument is out of range, or a decoder cannot work on this encoder.
    """
    own = [AsItIs(encoder)] if isinstance(encoder, Model) else []
    encoder = encoder_of(encoder)
    check_same_size(encoder, features)
    noise = check_noise(noise_variance)
    decoders = [*own, *_checks.sequence("decoders", decoders, "decoders")]
    for decoder in decoders:
        _checks.instance("decoders", decoder, Decoder, "a sequence of decoders")
    _checks.whole_number("n_samples", n_samples)
    _checks.one("seconds", _checks.in_interval("seconds", seconds, 0, float("inf"), open_low=True))
    return [_measured(decoder, encoder, features, n_samples, noise, seconds, seed) for decoder in decoders]


def _measured(
    decoder: Decoder, encoder: Encoder, features: SparseFeatures, n_samples: int, noise: float, limit: float, seed: int
) -> DecoderResult:
    chunk = max(1, _CHUNK_ENTRIES // features.n_features)
    importance = torch.tensor(features.per_feature(features.importance).copy())
    total = total_of_squares = residual = 0.0
    converged = iterations = count = 0
    spent, reasons = 0.0, list[str]()
    each = 0.0
    # Drawn in chunks, samples are the same however many are seen.
    for index, start in enumerate(range(0, n_samples, chunk)):
        x, hidden = observed(encoder, features, min(chunk, n_samples - start), noise, seed, "compare", index)
        if start == 0:  # tables and factorisations that are made once are not a sample's time
            _, each = _timed(decoder.told(x[:1]), hidden[:1], encoder, features)
        at = 0
        while at < len(x) and (spent < limit or count == 0):
            end = at + max(1, int(min(len(x) - at, (limit - spent) / max(each, 1e-9))))
            decoded, took = _timed(decoder.told(x[at:end]), hidden[at:end], encoder, features)
            errors = (decoded.features - x[at:end]).double().square() @ importance / features.n_features
            total, total_of_squares = total + float(errors.sum()), total_of_squares + float(errors.square().sum())
            converged += int(decoded.converged.sum())
            iterations += int(decoded.iterations.sum())
            residual += float(decoded.residual.double().sum())
            reasons += [decoded.why] if decoded.why else []
            spent, count, at = spent + took, count + len(errors), end
            each = spent / count
        if spent >= limit:
            break
    notes = []
    if reasons:
        notes.append(f"{count - converged} of {count} samples did not converge; of their first batch, {reasons[0]}")
    if isinstance(decoder, Elementwise) and not decoder.has_own_parameters:
        notes.append("its scale and bias are as they came, not fitted: use fit_decoder")
    return DecoderResult(
        decoder.name,
        Estimate.from_sums(total, total_of_squares, count),
        decoder.predicted_loss(encoder, features, noise),
        spent / count,
        converged / count,
        iterations / count,
        residual / count,
        "; ".join(notes),
    )


def _timed(decoder: Decoder, hidden: Tensor, encoder: Encoder, features: SparseFeatures) -> tuple[Decoded, float]:
    began = time.perf_counter()
    decoded = decoder(hidden, encoder, features)
    return decoded, time.perf_counter() - began
