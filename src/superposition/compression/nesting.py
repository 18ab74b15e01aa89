"""More than two dimensions: pairs within pairs, each hidden dimension a number whose digits are features."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
import numpy.typing as npt

from superposition import _checks, compression
from superposition._checks import FloatArray
from superposition._random import numpy_rng
from superposition.compression.folding import fold, unfold
from superposition.compression.scheme import QuantizedPair
from superposition.estimate import Estimate

if TYPE_CHECKING:
    from superposition.compression.nested_network import NestedNetwork


@final
@dataclass(frozen=True)
class NestedScheme:
    """Compression of n dense dimensions into m: each hidden dimension holds a group of features, pair within pair.

    The code of a group x₁ … x_k is c₁ = pair.encode(x₁, c₂) with c₂ = pair.encode(x₂, c₃) … and c_k = x_k: a number
    in base Z with digits ⌊Z x_j⌋ and x_k as the rest. Groups differ in size by at most one.

    Args:
        n_features: n ≥ 1.
        n_hidden: m in [1, n].
        pair: The scheme of every stage.

    Raises:
        ValueError: A size is out of range.

    >>> scheme = NestedScheme(4, 2, QuantizedPair(levels=8, ramp=0.01, alignment="guarded"))
    >>> scheme.n_neurons, scheme.encode([0.1, 0.2, 0.3, 0.4]).shape
    (60, (2,))
    """

    n_features: int
    n_hidden: int
    pair: QuantizedPair

    def __post_init__(self) -> None:
        _checks.instance("pair", self.pair, QuantizedPair, "a QuantizedPair")
        _checks.hidden_width(self.n_hidden, _checks.whole_number("n_features", self.n_features))

    @property
    def groups(self) -> list[range]:
        """Which features each hidden dimension holds."""
        ends = np.arange(self.n_hidden + 1) * self.n_features // self.n_hidden
        return [range(start, stop) for start, stop in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)]

    @property
    def n_neurons(self) -> int:
        """ReLUs of the minimal pair networks of all n − m stages, the output of each read where it is made."""
        return (self.n_features - self.n_hidden) * (4 * self.pair.levels - 2)

    @property
    def digit_bits(self) -> float:
        """Bits of precision that the digits of the largest group take from its code, (k − 1) log₂ Z."""
        return float((max(map(len, self.groups)) - 1) * np.log2(self.pair.levels))

    def encode(self, x: npt.ArrayLike) -> FloatArray:
        """Returns codes in [0, 1], shape (…, m), of features in [0, 1], shape (…, n); raises ValueError otherwise."""
        values = _checks.in_interval("x", x, 0, 1)
        if values.shape[-1:] != (self.n_features,):
            raise ValueError(f"`x` must have {self.n_features} features in its last axis, got shape {values.shape}")
        codes = [fold([values[..., i] for i in group], self.pair.encode) for group in self.groups]
        return np.stack(codes, axis=-1)

    def decode(self, codes: npt.ArrayLike) -> FloatArray:
        """Returns features, shape (…, n), of codes in [0, 1], shape (…, m); raises ValueError otherwise."""
        codes = _checks.in_interval("codes", codes, 0, 1)
        if codes.shape[-1:] != (self.n_hidden,):
            raise ValueError(f"`codes` must have {self.n_hidden} dimensions in its last axis, got shape {codes.shape}")

        def decode(code: FloatArray) -> tuple[FloatArray, FloatArray]:
            return self.pair.decode(np.clip(code, 0, 1))  # rounding

        parts = [unfold(codes[..., i], len(group), decode) for i, group in enumerate(self.groups)]
        return np.stack([feature for part in parts for feature in part], axis=-1)

    def loss_of_jumps(self) -> float:
        """Mean square error per feature of the form with jumps, 1/Z² of the linear loss (exact)."""
        return self.linear_loss() / self.pair.levels**2

    def linear_loss(self) -> float:
        """Mean square error per feature of the best linear compression, (1 − m/n)/12 (exact)."""
        return (1 - self.n_hidden / self.n_features) / 12

    def sampled_loss(self, n_samples: int = 65536, *, seed: int = 0) -> Estimate:
        """Mean square error per feature over uniform features, from `n_samples` ≥ 2 samples."""
        n_samples = _checks.whole_number("n_samples", n_samples, low=2)
        x = numpy_rng(seed, "nested", self.n_features).random((n_samples, self.n_features))
        return mean_over_samples(((self.decode(self.encode(x)) - x) ** 2).mean(axis=1))

    def to_network(self) -> "NestedNetwork":
        """Returns the minimal pair networks in turn, float32; raises ValueError if the pair has jumps."""
        return compression.nested_network.NestedNetwork(self.groups, self.pair.to_network("minimal"))


def mean_over_samples(values: FloatArray) -> Estimate:
    """Returns the mean of independent samples."""
    return Estimate.from_sums(float(values.sum()), float((values**2).sum()), len(values))
