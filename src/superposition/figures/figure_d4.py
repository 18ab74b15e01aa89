"""Figure D4: what theorems 1 and 2 of compressed sensing suppose of an autoencoder, and what holds of it."""

from dataclasses import dataclass
from itertools import pairwise
from math import log
from typing import TYPE_CHECKING, Any, final

import numpy as np
import pyarrow as pa

from superposition import theory
from superposition._checks import FloatArray
from superposition.figures import style
from superposition.figures.base import Check, Figure, column, distinct, judged, provenance, rows
from superposition.figures.presets import Preset
from superposition.sweeps import Cell, GuaranteeCell, RecoveryCell, Store
from superposition.sweeps.guarantees import Kind

if TYPE_CHECKING:
    import matplotlib.figure
    from matplotlib.axes import Axes

_ENCODERS: tuple[Kind, ...] = ("rug", "gaussian", "trained")
_NUMBERS = (
    "ratio", "loss", "error", "error_standard_error", "largest_error", "condition_met", "recovered", "violations",
    "delta_2", "delta_lower", "delta_upper", "stability", "stability_standard_error", "largest_stability",
)  # fmt: skip
# Of a k-sparse vector's least active value, which is above ½: an error below its half leaves the support in its place.
_HALF_LEAST = 0.25
# From a coherence on at which two columns are one but for their sign, and where a vanishing combination of two is one
# for every practical purpose.
_ANTIPODAL = 0.99
# The number of measurements over k log(n/k), from the least to the most of a constant: the two ends of ℓ1's own
# transition at these k are some 1.1 and 2.
_CONSTANT = (0.5, 3.0)


@dataclass(frozen=True)
class _Sizes:
    """How large: widths of panels a to c with k active, then the k and widths over which the least one is found."""

    n_features: int
    k: int
    widths: tuple[int, ...]
    n_steps: int
    n_samples: int
    sparsities: tuple[int, ...]
    tried: tuple[int, ...]
    n_tries: int


_SIZES = {
    "quick": _Sizes(128, 4, (16, 32, 64), 400, 100, (2, 4, 8), (8, 12, 16, 24, 32), 8),
    "laptop": _Sizes(128, 4, (8, 16, 24, 32, 48, 64, 96), 2000, 400, (1, 2, 4, 8, 12), tuple(range(4, 73, 4)), 20),
    "reference": _Sizes(256, 4, (16, 32, 48, 64, 96, 128), 3000, 1000, (1, 2, 4, 8, 16), tuple(range(6, 127, 6)), 40),
    "paper": _Sizes(
        512, 8, (32, 64, 96, 128, 192, 256), 5000, 2000, (1, 2, 4, 8, 16, 32), tuple(range(8, 249, 12)), 50
    ),
}


@final
class FigureD4(Figure):
    """The theorems of the Toy Models' appendix, on codes of three kinds."""

    name = "D4"
    title = "Theorems of compressed sensing, on three codes"
    caption = (
        "What theorems 1 and 2 of the Toy Models' appendix suppose and promise, of k-sparse features with values in "
        "(½, 1]; bars are two standard errors. (a) The error of T(x) = ReLU(W_dec W_enc x + b) in its worst entry, "
        "mean over x; where it is below the line the k largest entries of T(x) are the active features. (b) The "
        "isometry constants of W_enc with unit columns: δ_2 exactly (its coherence), and δ_k from below, over drawn "
        "supports; at 1 (line) some k-sparse x is lost, and the theorems say nothing. The bound from above, (k − 1) "
        "times the coherence, is in the table. (c) C(k) of ℓ1 minimisation over x ≥ 0: the ℓ1 error over the ℓ1 norm "
        "of all but the k largest entries, mean and largest (hollow) of the samples, a bound from below of the "
        "constant that theorem 2 needs. (d) The least n_hidden at which ℓ1 minimisation recovers half of all exactly "
        "k-sparse x ≥ 0, against k log(n/k); lines: k log(n/k) itself, and ℓ1's transition for Gaussian codes as n "
        "grows. Trained codes of (d) are those of 250 steps."
    )

    def cells(self, preset: Preset) -> list[Cell]:
        """Returns one cell a code and width, and those in which x is recovered or not."""
        return [*self._measured(preset), *self._tried(preset)]

    def _measured(self, preset: Preset) -> list[GuaranteeCell]:
        sizes = preset.own(_SIZES)
        return [
            GuaranteeCell(
                sizes.n_features, width, sizes.k, encoder, sizes.n_steps, sizes.n_samples, seed=preset.seed
            )
            for encoder in _ENCODERS
            for width in sizes.widths
        ]  # fmt: skip

    def _tried(self, preset: Preset) -> list[RecoveryCell]:
        sizes = preset.own(_SIZES)
        return [
            RecoveryCell(
                sizes.n_features, width, k, "basis-pursuit", encoder, n_samples=sizes.n_tries, seed=preset.seed
            )
            for encoder in _ENCODERS
            for k in sizes.sparsities
            for width in sizes.tried
            if k <= width
        ]  # fmt: skip

    def measure(self, preset: Preset, store: Store) -> pa.Table:
        """Returns one row a code and width, one a code and k, and the theory of the latter."""
        records: list[dict[str, Any]] = []
        sizes = preset.own(_SIZES)
        n = sizes.n_features
        for cell in self._measured(preset):
            row = store.get(cell).row
            code = {
                "source": "code",
                "encoder": cell.encoder,
                "n_features": n,
                "n_hidden": cell.n_hidden,
                "k": cell.k,
                "least": None,
                "order": None,
            }
            records.append({**code, **{name: row[name] for name in _NUMBERS}, **provenance(row)})
        shares = {(cell.encoder, cell.k, cell.n_hidden): store.get(cell).row for cell in self._tried(preset)}
        for encoder in _ENCODERS:
            for k in sizes.sparsities:
                found = {m: row["recovered"] for (kind, size, m), row in shares.items() if (kind, size) == (encoder, k)}
                records.append(
                    {
                        "source": "least", "encoder": encoder, "n_features": n, "k": k, "least": _crossing(found),
                        "order": k * log(n / k),
                    }
                )  # fmt: skip
        for k in range(min(sizes.sparsities), max(sizes.sparsities) + 1):
            known = theory.measurements(n, k)
            records.append(
                {
                    "source": "theory",
                    "n_features": n,
                    "k": k,
                    "least": float(known.l1_nonnegative),
                    "order": k * log(n / k),
                }
            )
        return pa.Table.from_pylist(records)

    def checks(self, table: pa.Table) -> list[Check]:
        """Checks the premise of theorem 1, the lemma, and the number of measurements."""
        code, least = rows(table, source="code"), rows(table, source="least")
        trained = rows(code, encoder="trained")
        pairs = int(column(trained, "delta_2").argmax())
        ratio, delta = column(trained, "ratio")[pairs], column(trained, "delta_2")[pairs]
        error = {kind: column(code, "error", encoder=kind)[pairs] for kind in _ENCODERS}
        violations, met = column(code, "violations").sum(), column(code, "condition_met")
        constant = column(least, "least") / column(least, "order")
        known = np.isfinite(constant)
        low, high = _CONSTANT
        measured = f"known at {known.sum()} of {known.size} places; at the others it is beyond the widths tried"
        if known.any():
            measured = f"{constant[known].min():.2f} to {constant[known].max():.2f} times, {measured}"
        return [
            Check(
                "The two premises of theorem 1, small errors of T and the restricted isometry of W_enc, go together.",
                "paper",
                f"at ratio {ratio:.3g} training reaches a mean error of {error['trained']:.3f} (rug "
                f"{error['rug']:.3f}, Gaussian {error['gaussian']:.3f}) with δ_2 = {delta:.4f}; at 1 features lie in "
                "antipodal pairs, which no isometry allows",
                judged(not (delta > _ANTIPODAL and error["trained"] < min(error["rug"], error["gaussian"]))),
            ),
            Check(
                "Where ‖T(x) − x‖∞ is below half the least active value, the k largest entries and least squares "
                "recover x (lemma 1, its condition corrected).",
                "superposition",
                f"{violations:.0f} exceptions; the condition is met by {met.min():.1%} to {met.max():.1%} of x",
                judged(violations == 0 and met.max() > 0),
            ),
            Check(
                f"The least n_hidden of ℓ1 minimisation is {low:g} to {high:g} times k log(n/k), for every code.",
                "superposition",
                measured,
                judged((constant[known] >= low).all() and (constant[known] <= high).all(), tested=known.any()),
            ),
        ]

    def draw(self, table: pa.Table) -> "matplotlib.figure.Figure":
        """Draws error, isometry, stability and the number of measurements."""
        import matplotlib.pyplot as plt

        code, least = rows(table, source="code"), rows(table, source="least")
        first = code.to_pylist()[0]
        k = first["k"]
        figure, axes = plt.subplots(2, 2, figsize=(8.6, 6.2))
        looks = {"rug": (style.GREEN, "s"), "gaussian": (style.ORANGE, "D"), "trained": (style.BLUE, "o")}
        names = {"rug": "Persian Rug", "gaussian": "Gaussian", "trained": "trained"}
        for kind, (colour, marker) in looks.items():
            here = rows(code, encoder=kind)
            ratio = column(here, "ratio")
            points: dict[str, Any] = {"color": colour, "label": names[kind]}
            axes[0, 0].errorbar(
                ratio, column(here, "error"), 2 * column(here, "error_standard_error"), fmt=f"{marker}-", **points
            )
            axes[0, 1].plot(ratio, column(here, "delta_lower"), f"{marker}-", **points)
            axes[0, 1].plot(ratio, column(here, "delta_2"), f"{marker}:", color=colour, fillstyle="none")
            axes[1, 0].errorbar(
                ratio,
                column(here, "stability"),
                2 * column(here, "stability_standard_error"),
                fmt=f"{marker}-",
                **points,
            )
            axes[1, 0].plot(ratio, column(here, "largest_stability"), marker, color=colour, fillstyle="none")
            ours = rows(least, encoder=kind)
            axes[1, 1].plot(column(ours, "order"), column(ours, "least"), marker, **points)
        axes[0, 0].axhline(_HALF_LEAST, color=style.BLACK, linewidth=1, linestyle="--", label="half the least value")
        axes[0, 0].set(title=f"(a) error of T, k = {k}", ylabel="mean of ‖T(x) − x‖∞ (feature units)", ylim=(0, None))
        axes[0, 0].legend()
        axes[0, 1].axhline(1, color=style.BLACK, linewidth=1, linestyle="--")
        axes[0, 1].set(title=f"(b) δ_{k} from below; dotted, hollow: δ_2", ylabel="isometry constant", ylim=(0, None))
        axes[1, 0].set(
            title=f"(c) C({k}) of ℓ1; hollow: largest", ylabel="‖x − x̂‖₁ / ‖x − best k terms‖₁", yscale="log"
        )
        for axis in (axes[0, 0], axes[0, 1], axes[1, 0]):
            _ratios(axis, distinct(code, "ratio"))
        curve = rows(table, source="theory")
        order = column(curve, "order")
        axes[1, 1].plot(order, order, color=style.BLACK, linewidth=1, linestyle="--", label="k log(n/k)")
        axes[1, 1].plot(order, column(curve, "least"), color=style.PURPLE, linewidth=1, label="ℓ1, n → ∞")
        axes[1, 1].set(title="(d) measurements needed", xlabel="k log(n/k)", ylabel="least n_hidden", ylim=(0, None))
        axes[1, 1].legend()
        figure.suptitle(f"n = {first['n_features']}", fontsize=10)
        return figure


def _crossing(shares: dict[int, float]) -> float:
    """Returns where the recovered share first passes one half, between widths; NaN if it does not."""
    widths = sorted(shares)
    for low, high in pairwise(widths):
        if shares[low] < 0.5 <= shares[high]:
            return low + (high - low) * (0.5 - shares[low]) / (shares[high] - shares[low])
    return float("nan")


def _ratios(axis: "Axes", ratios: Any) -> None:
    """Labels the ratios that were measured."""
    places: FloatArray = np.asarray(ratios)
    axis.set(xscale="log", xlabel="ratio n_hidden / n_features")
    axis.set_xticks(places, [style.fraction(float(place)) for place in places])
    axis.minorticks_off()
