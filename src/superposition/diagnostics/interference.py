"""Interference beyond Gaussian: its exact cumulants, the shape of W, and antipodal pairs."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from jaxtyping import Float

from superposition import _checks
from superposition._checks import FloatArray
from superposition.diagnostics.loss import check_sparse
from superposition.diagnostics.permutation_symmetry import DEAD_BELOW, off_diagonal_blocks
from superposition.features import Features, Law, SparseFeatures, sparse_parts
from superposition.models import Model

# One feature dominates another's interference from this share of its variance on; two that dominate each other are
# a pair if W_ij W_ji / (W_ii W_jj) is this close to 1, and a balanced one if W_ij/W_ii is as close to −1.
DOMINANT_SHARE = 0.9
PAIR_TOLERANCE = 0.25

# Deviations below this share of a row's largest entry are the rounding of float32 weights, and have no shape: an entry
# is a product of two unit vectors times the norms, of which rounding costs some u = 6e-8, however long they are.
ROUNDING = 1e-6

# A variance whose square is hardly a number of float64: nothing is known of the shape of what varies so little.
_VANISHING = 1e-150

# Units of a law in which fourth cumulants, their ratios to variances squared, and their sums are numbers of float64.
_UNITS = 1e-30, 1e30


@dataclass(frozen=True, eq=False)
class Interference:
    """What ν_i = Σ_{j≠i} (W_ij/W_ii) x_j is, exactly, and of what W it is made; y_i = W_ii (x_i + ν_i) + b_i.

    One entry a feature where an array is given. Statistics of ν_i are NaN for dead features, |W_ii| at most 5% of
    the largest; standardised ones are NaN too where nothing but rounding varies.

    Attributes:
        diagonal: W_ii.
        row_sum: Σ_j W_ij, the diagonal included.
        effective_bias: b_i + Σ_{j≠i} W_ij E x_j = b_i + W_ii E ν_i, feature units.
        output_std: |W_ii| √Var ν_i, the noise of the pre-activation, feature units; for dead features too.
        mean: E ν_i, feature units.
        variance: Var ν_i, squared feature units.
        skewness: κ₃/κ₂^{3/2} of ν_i; 0 for a Gaussian.
        excess_kurtosis: κ₄/κ₂² of ν_i; 0 for a Gaussian.
        row_skewness: Skewness of the elements W_ij, j ≠ i, of row i.
        row_excess_kurtosis: Their excess kurtosis.
        pooled_skewness: Σ κ₃/Σ κ₂^{3/2} over live features, the mean skewness weighted by σ³: features of hardly
            any interference do not count in it.
        pooled_excess_kurtosis: Σ κ₄/Σ κ₂², weighted by σ⁴.
        element_skewness: Skewness of all elements off the diagonal.
        element_excess_kurtosis: Their excess kurtosis.
        largest_share: Largest share of one j in Var ν_i, (W_ij/W_ii)² Var x_j / Var ν_i, in [0, 1].
        dominant: The j of that share if it is at least 90%; −1 if none has as much.
        dominant_ratio: W_ij/W_ii of that j; NaN without one, and for dead features.
        paired: Whether i and j are an antipodal pair: each dominates the other, W_ij/W_ii and W_ji/W_jj are
            negative and their product is in 1 ± 0.25, as it is for two features in opposite directions of one
            dimension (it is 1), whatever their norms.
    """

    diagonal: FloatArray
    row_sum: FloatArray
    effective_bias: FloatArray
    output_std: FloatArray
    mean: FloatArray
    variance: FloatArray
    skewness: FloatArray
    excess_kurtosis: FloatArray
    row_skewness: FloatArray
    row_excess_kurtosis: FloatArray
    pooled_skewness: float
    pooled_excess_kurtosis: float
    element_skewness: float
    element_excess_kurtosis: float
    largest_share: FloatArray
    dominant: npt.NDArray[np.int64]
    dominant_ratio: FloatArray
    paired: npt.NDArray[np.bool_]

    @property
    def n_features(self) -> int:
        """Number of features."""
        return self.diagonal.size

    @property
    def live(self) -> npt.NDArray[np.bool_]:
        """Whether |W_ii| is more than 5% of the largest; as `Symmetry.dead_features`."""
        return np.asarray(~np.isnan(self.variance))

    @property
    def paired_share(self) -> float:
        """Fraction of the features that are in antipodal pairs."""
        return float(self.paired.mean())

    @property
    def balanced_share(self) -> float:
        """Fraction of the features that are in antipodal pairs of equal norms, W_ij/W_ii in −1 ± 0.25."""
        return float((self.paired & (np.abs(self.dominant_ratio + 1) <= PAIR_TOLERANCE)).mean())


def interference(model: Model, features: Features) -> Interference:
    """Cumulants of every feature's interference, skewness of W and antipodal pairs (exact, no sampling).

    The x_j are independent, so that cumulants add: κ_k(ν_i) = Σ_{j≠i} (W_ij/W_ii)^k κ_k(x_j). W is formed a block
    of rows at a time: memory stays in tens of megabytes at any size.

    Args:
        model: Any model.
        features: What it is measured on: sparse features, or several joined.

    Raises:
        ValueError: Sizes do not match, or a weight is not finite.

    Reference: The Persian Rug, section 3.1: there ν is taken as Gaussian, all but its first two cumulants zero.

    >>> import torch
    >>> from superposition.models import Autoencoder
    >>> pair, half = torch.tensor([1.0, -1.0]), torch.eye(8)
    >>> model = Autoencoder(n_features=16, n_hidden=8)
    >>> _ = model.load_state_dict({"W_enc": torch.kron(half, pair), "W_dec": torch.kron(half, pair[:, None]),
    ...                            "b_dec": torch.zeros(16)})
    >>> found = interference(model, SparseFeatures(n_features=16, probability=0.045))
    >>> found.paired_share, round(found.pooled_skewness, 3)
    (1.0, -5.88)
    """
    check_sparse(model, features)
    walked = None
    if model.rows_are_alike and features.is_symmetric:
        walked = _Walk.over(model, features, n_rows=1)
    # One row stands for all, but does not say who the partner of another row is.
    if walked is None or walked.dominant[0] >= 0:
        walked = _Walk.over(model, features, n_rows=features.n_features)
    return walked.result(model, features)


def cumulants(features: Features) -> Float[np.ndarray, "4 n_features"]:
    """First four cumulants of x_i = c_i u_i, of order 1 to 4 along the first axis; order k in feature units to the k.

    With m = E u, q = 1 − p and central moments v_k of u, E(x − E x)² = p v₂ + pq m², E(x − E x)³ =
    p v₃ + 3pq m v₂ + pq(q − p) m³ and E(x − E x)⁴ = p v₄ + 4pq m v₃ + 6pq² m² v₂ + pq(q³ + p³) m⁴: sums in which
    nothing is lost for narrow laws, at p → 0 or at p → 1.
    """
    return np.hstack([_cumulants(part) for part in sparse_parts(features)])


def _cumulants(features: SparseFeatures) -> Float[np.ndarray, "4 n_features"]:
    """Returns the cumulants of features of one law."""
    law = features.law
    # Of float64: the fourth power of a value is one of its numbers, and no difference of those is lost.
    _checks.in_interval("law's root mean square", np.sqrt(law.second_moment), *_UNITS, hint="use another unit")
    p = features.per_feature(features.probability)
    m, v2 = law.mean, law.variance
    v3, v4 = (_central_moment(law, order) for order in (3, 4))
    q = 1 - p
    second = features.per_feature(features.variance)
    third = p * v3 + 3 * p * q * m * v2 + p * q * (q - p) * m**3
    fourth = p * v4 + 4 * p * q * m * v3 + 6 * p * q**2 * m**2 * v2 + p * q * (q**3 + p**3) * m**4
    return np.stack([features.per_feature(features.mean), second, third, fourth - 3 * second**2])


def _central_moment(law: Law, order: int) -> float:
    """Returns E (u − E u)^order by the law's own quadrature, which is exact for polynomials."""
    values, weights = law.nodes(0.0, 0.0)
    return float(weights @ (values - law.mean) ** order)


@dataclass(frozen=True, eq=False)
class _Walk:
    """What one walk over rows of W, all or the first alone, gathers; arrays of shape (n_rows,).

    Attributes:
        diagonal: W_ii.
        sums: Σ_{j≠i} W_ij.
        drive: Cumulants of Σ_{j≠i} W_ij x_j, shape (4, n_rows).
        central: Mean and central moments 2, 3, 4 of the elements off the diagonal, shape (4, n_rows).
        largest: The largest |W_ij|, the diagonal included.
        share: Largest share of one j in Σ_{j≠i} W_ij² Var x_j.
        dominant: That j, or −1 if the share is below DOMINANT_SHARE.
        heaviest: W_ij of the j of that share.
    """

    diagonal: FloatArray
    sums: FloatArray
    drive: FloatArray
    central: FloatArray
    largest: FloatArray
    share: FloatArray
    dominant: npt.NDArray[np.int64]
    heaviest: FloatArray

    @classmethod
    def over(cls, model: Model, features: Features, *, n_rows: int) -> "_Walk":
        n = features.n_features
        kappa = cumulants(features)
        walk = cls(
            diagonal=np.zeros(n_rows),
            sums=np.zeros(n_rows),
            drive=np.zeros((4, n_rows)),
            central=np.zeros((4, n_rows)),
            largest=np.zeros(n_rows),
            share=np.zeros(n_rows),
            dominant=np.full(n_rows, -1),
            heaviest=np.zeros(n_rows),
        )
        for start, stop, block in off_diagonal_blocks(model.W_rows, n, walk.diagonal):
            _checks.finite("W", block)
            _checks.finite("W", walk.diagonal[start:stop])
            walk._gather(start, stop, block, kappa)
        return walk

    def _gather(self, start: int, stop: int, block: FloatArray, kappa: FloatArray) -> None:
        """Adds the rows of a block whose diagonal is zeroed."""
        here, n = slice(start, stop), block.shape[1]
        rows, own = np.arange(stop - start), np.arange(start, stop)
        squares = block * block
        self.sums[here] = block.sum(1)
        self.largest[here] = np.maximum(np.sqrt(squares.max(1)), np.abs(self.diagonal[here]))
        self.drive[0, here] = block @ kappa[0]
        self.drive[1, here] = squares @ kappa[1]
        self.drive[2, here] = (squares * block) @ kappa[2]
        parts = squares * kappa[1]
        most = parts.argmax(1)
        self.heaviest[here] = block[rows, most]
        total = self.drive[1, here]
        np.divide(parts[rows, most], total, out=self.share[here], where=total > 0)
        self.dominant[here] = np.where(self.share[here] >= DOMINANT_SHARE, most, -1)
        np.multiply(squares, squares, out=squares)
        self.drive[3, here] = squares @ kappa[3]
        # About the row's own mean, the diagonal left out.
        others = max(n - 1, 1)
        self.central[0, here] = self.sums[here] / others
        block -= self.central[0, here, None]
        block[rows, own] = 0.0
        np.multiply(block, block, out=squares)
        self.central[1, here] = squares.sum(1) / others
        self.central[2, here] = np.einsum("ij,ij->i", squares, block) / others
        self.central[3, here] = np.einsum("ij,ij->i", squares, squares) / others

    def result(self, model: Model, features: Features) -> Interference:
        """Returns the statistics, a single row's for every feature."""
        n = features.n_features
        bias = _checks.finite("b_dec", model.bias_vector().detach().cpu().double().numpy())
        magnitude = np.abs(self.diagonal)
        live = (magnitude > DEAD_BELOW * magnitude.max()) & (magnitude > 0)
        noise = self.drive / np.where(live, self.diagonal, np.nan) ** np.arange(1, 5)[:, None]
        largest_std = float(np.sqrt(features.per_feature(features.variance).max()))
        varies = live & (np.sqrt(self.drive[1]) > ROUNDING * largest_std * self.largest)
        skewness, kurtosis = _standardised(noise[1:], varies)
        _, kappa_2, kappa_3, kappa_4 = noise[:, varies]
        total = np.array([np.sum(kappa_2**1.5), np.sum(kappa_2**2)])
        pooled = np.full(2, np.nan)
        np.divide([kappa_3.sum(), kappa_4.sum()], total, out=pooled, where=total > 0)
        uneven = np.sqrt(self.central[1]) > ROUNDING * self.largest
        row_skewness, row_kurtosis = _standardised(_as_cumulants(self.central[1:]), uneven)
        elements = _pooled_moments(self.central)
        element_uneven = np.asarray(np.sqrt(elements[0]) > ROUNDING * self.largest.max())
        element_skewness, element_kurtosis = _standardised(_as_cumulants(elements), element_uneven)
        ratio = np.full(self.dominant.size, np.nan)
        np.divide(self.heaviest, self.diagonal, out=ratio, where=live & (self.dominant >= 0))

        def spread(values: FloatArray) -> FloatArray:
            return np.broadcast_to(values, n)

        return Interference(
            diagonal=spread(self.diagonal),
            row_sum=spread(self.sums + self.diagonal),
            effective_bias=bias + self.drive[0],
            output_std=spread(np.sqrt(self.drive[1])),
            mean=spread(noise[0]),
            variance=spread(noise[1]),
            skewness=spread(skewness),
            excess_kurtosis=spread(kurtosis),
            row_skewness=spread(row_skewness),
            row_excess_kurtosis=spread(row_kurtosis),
            pooled_skewness=float(pooled[0]),
            pooled_excess_kurtosis=float(pooled[1]),
            element_skewness=float(element_skewness),
            element_excess_kurtosis=float(element_kurtosis),
            largest_share=spread(self.share),
            dominant=np.broadcast_to(self.dominant, n),
            dominant_ratio=spread(ratio),
            paired=np.broadcast_to(_paired(self.dominant, ratio), n),
        )


def _paired(dominant: npt.NDArray[np.int64], ratio: FloatArray) -> npt.NDArray[np.bool_]:
    """Returns who is in an antipodal pair; `ratio` is NaN where there is no dominant feature."""
    if (dominant < 0).all():  # as for one row that stands for all
        return np.zeros(dominant.size, bool)
    partner = np.maximum(dominant, 0)
    other = ratio[partner]
    mutual = (dominant >= 0) & (dominant[partner] == np.arange(dominant.size))
    return np.asarray(mutual & (ratio < 0) & (other < 0) & (np.abs(ratio * other - 1) <= PAIR_TOLERANCE))


def _standardised(kappa: FloatArray, varies: npt.NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
    """Returns skewness and excess kurtosis from cumulants 2, 3, 4 along the first axis; NaN where nothing varies."""
    variance = np.where(varies & (kappa[0] > _VANISHING), kappa[0], np.nan)
    return kappa[1] / variance**1.5, kappa[2] / variance**2


def _as_cumulants(central: FloatArray) -> FloatArray:
    """Returns cumulants 2, 3, 4 from central moments 2, 3, 4."""
    return np.stack([central[0], central[1], central[2] - 3 * central[0] ** 2])


def _pooled_moments(central: FloatArray) -> FloatArray:
    """Returns central moments 2, 3, 4 of all rows together, about the mean of all, from each row's own."""
    mean, second, third, fourth = central
    off = mean - mean.mean()
    return np.array(
        [
            (second + off**2).mean(),
            (third + 3 * off * second + off**3).mean(),
            (fourth + 4 * off * third + 6 * off**2 * second + off**4).mean(),
        ]
    )
