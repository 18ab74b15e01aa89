"""Statistical permutation symmetry: how equal the rows of W and the biases are, and how Gaussian their noise."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from superposition import _checks, _tensors
from superposition._checks import FloatArray
from superposition.diagnostics.loss import check_sparse
from superposition.features import Features, SparseFeatures, sparse_parts
from superposition.models import Model
from superposition.theory import minimal_noise_variance, symmetric_optimum

_BLOCK_ENTRIES = 1 << 22
# Of an entry of W, or of a statistic: its fourth power, and sums of these, are numbers of float64.
_LARGEST = 1e60
DEAD_BELOW = 0.05  # A feature whose |W_ii| is below this share of the largest has no code.


@dataclass(frozen=True)
class Spread:
    """How a statistic is spread over features.

    Attributes:
        mean: Mean over features.
        mean_square: Δ of the paper, the mean squared deviation (called "root mean square" in its text).
        root_mean_square: Its square root, in the statistic's own unit.
        extent: Δ₂ of the paper, largest minus smallest.
    """

    mean: float
    mean_square: float
    root_mean_square: float
    extent: float

    @classmethod
    def of(cls, values: FloatArray) -> "Spread":
        """Returns the spread of a non-empty array of finite values, NaN for an empty one; ValueError for others."""
        values = _checks.finite("values", values)
        _checks.in_interval("values", values, -_LARGEST, _LARGEST)
        if values.size == 0:
            return cls(*[float("nan")] * 4)
        square = float(np.mean((values - values.mean()) ** 2))
        return cls(float(values.mean()), square, float(np.sqrt(square)), float(np.ptp(values)))


@dataclass(frozen=True)
class Symmetry:
    """Statistics of section 3.2 and appendix A for one (W, b).

    Attributes:
        diagonal: Spread of W_ii over all features.
        bias: Spread of b_i over all features, feature units.
        noise_mean: Spread of E ν_i = W_ii⁻¹ Σ_{j≠i} W_ij E x_j over live features, feature units.
        noise_variance: Spread of Var ν_i = W_ii⁻² Σ_{j≠i} W_ij² Var x_j over live features.
        non_gaussianity: Λ = max_i Σ_{j≠i} |W_ij|³ / (Σ_{j≠i} W_ij²)^{3/2}, eq. 3, over live features.
        dead_features: Number of features with |W_ii| below 5% of the largest. Their ν would be
            divided by nearly zero; noise_mean, noise_variance and non_gaussianity leave them out.
        n_features: Number of features.
    """

    diagonal: Spread
    bias: Spread
    noise_mean: Spread
    noise_variance: Spread
    non_gaussianity: float
    dead_features: int
    n_features: int


@dataclass(frozen=True)
class PredictedSymmetry:
    """What mean field says of the same statistics: one value for every feature, no spread.

    Attributes:
        diagonal: a.
        effective_bias: b + a E ν: the bias with the mean of the interference absorbed, which is all that
            mean field determines.
        noise_variance: σ², eq. 6.
    """

    diagonal: float
    effective_bias: float
    noise_variance: float


def symmetry(model: Model, features: Features) -> Symmetry:
    """Symmetry statistics of a trained or constructed model (exact, no sampling).

    W is formed a block of rows at a time: memory stays in tens of megabytes at any size.

    Args:
        model: Any model.
        features: What it is measured on; their moments enter the statistics of ν.

    Raises:
        ValueError: Sizes do not match.

    Reference: The Persian Rug, section 3.2, eq. 3 and appendix A.
    """
    check_sparse(model, features)
    one_for_all = model.rows_are_alike and features.is_symmetric
    return _statistics(model.W_rows, model.bias_vector(), features, n_rows=1 if one_for_all else features.n_features)


def symmetry_of_weights(
    W: Float[Tensor, "n_features n_features"], b_dec: Float[Tensor, " n_features"], features: Features
) -> Symmetry:
    """Symmetry statistics of a bare W = W_dec W_enc and bias; see `symmetry`."""
    sparse_parts(features)
    n = features.n_features
    _tensors.real("W", W, n, n)
    _tensors.real("b_dec", b_dec, n)
    return _statistics(lambda start, stop: W[start:stop], b_dec, features, n_rows=features.n_features)


def predicted_symmetry(features: SparseFeatures, n_hidden: int, *, hidden_noise: float = 0.0) -> PredictedSymmetry:
    """The mean-field prediction beside `symmetry`: exact as n → ∞ if the interference is Gaussian.

    With hidden noise scale and bias are others; the variance is still that of the interference alone.

    Raises:
        ValueError: The features are not symmetric or `n_hidden` is out of range.

    Reference: The Persian Rug, eq. 5 and 6.
    """
    _checks.instance("features", features, SparseFeatures, "a SparseFeatures").check_symmetric("this prediction")
    ratio = _checks.hidden_width(n_hidden, features.n_features) / features.n_features
    best = symmetric_optimum(ratio, features.probability, features.law, hidden_noise=hidden_noise)
    interference = minimal_noise_variance(ratio, features.probability, features.law)
    return PredictedSymmetry(best.scale, best.bias, interference)


def _statistics(rows: Callable[[int, int], Tensor], b_dec: Tensor, features: Features, *, n_rows: int) -> Symmetry:
    n = n_rows  # all of them, or one that stands for all
    mean, variance = features.per_feature(features.mean), features.per_feature(features.variance)
    diagonal, noise_mean, noise_variance, cubes = (np.empty(n) for _ in range(4))
    for start, stop, block in off_diagonal_blocks(rows, features.n_features, diagonal):
        _checks.finite("W", block)
        squares = block**2
        noise_mean[start:stop] = block @ mean
        noise_variance[start:stop] = squares @ variance
        norms = squares.sum(1)
        absolute = (squares * np.abs(block)).sum(1)
        cubes[start:stop] = np.divide(absolute, norms**1.5, out=np.zeros(stop - start), where=norms > 0)
    _checks.finite("W", diagonal)
    bias = _checks.finite("b_dec", b_dec.detach().cpu().double().numpy())
    live = np.abs(diagonal) > DEAD_BELOW * np.abs(diagonal).max()
    return Symmetry(
        diagonal=Spread.of(diagonal),
        bias=Spread.of(bias),
        noise_mean=Spread.of(noise_mean[live] / diagonal[live]),
        noise_variance=Spread.of(noise_variance[live] / diagonal[live] ** 2),
        non_gaussianity=float(cubes[live].max()) if live.any() else float("nan"),
        dead_features=int((n - live.sum()) * (features.n_features // n)),
        n_features=features.n_features,
    )


def off_diagonal_blocks(
    rows: Callable[[int, int], Tensor], n: int, diagonal: FloatArray
) -> Iterator[tuple[int, int, FloatArray]]:
    """Yields (start, stop, rows of W with the diagonal zeroed), and fills `diagonal`."""
    height = max(1, _BLOCK_ENTRIES // n)
    for start in range(0, diagonal.size, height):
        stop = min(start + height, diagonal.size)
        block = rows(start, stop).detach().to("cpu", torch.float64, copy=True).numpy()
        if not np.abs(block).max() <= _LARGEST:  # NaN, too
            _checks.in_interval("W", _checks.finite("W", block), -_LARGEST, _LARGEST)
        own = np.arange(stop - start), np.arange(start, stop)
        diagonal[start:stop] = block[own]
        block[own] = 0.0
        yield start, stop, block
