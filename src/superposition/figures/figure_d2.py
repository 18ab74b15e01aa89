"""Figure D2: where sparse features are recovered exactly, over (m, k), by encoder and method."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, final

import numpy as np
import pyarrow as pa

from superposition import theory
from superposition._names import DecoderName
from superposition.figures import style
from superposition.figures.base import LIMIT_FROM, Check, Figure, column, distinct, estimated, judged, rows
from superposition.figures.presets import Preset
from superposition.sweeps import RecoveryCell, Store

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure

# In units of n_features/16.
_WIDTHS = (1, 2, 3, 4, 6, 8, 10, 13)
_MORE_WIDTHS = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9, 10, 11.5, 13)
_TRAINED_AT = 0.05
_EXACT = 1e-2
_BLURRED = 0.88, 1.5
# By their names in cells: in the table, and on the axes.
_METHODS: dict[DecoderName, tuple[str, str]] = {
    "pursuit": ("pursuit", "threshold and least squares"), "oamp": ("OAMP", "message passing")
}  # fmt: skip
_ENCODERS: dict[Literal["rug", "gaussian", "harmonic", "trained"], str] = {
    "trained": "trained", "rug": "rug", "gaussian": "Gaussian"
}  # fmt: skip


@dataclass(frozen=True)
class _Sizes:
    """How large, and how fine the grid: active features from 2 to half of all, so many to a factor of two."""

    n_features: int
    widths: tuple[float, ...]
    per_octave: int
    n_samples: int

    @property
    def active(self) -> list[int]:
        """Numbers of active features."""
        octaves = round(np.log2(self.n_features / 4))
        return sorted({round(2 ** (1 + i / self.per_octave)) for i in range(octaves * self.per_octave + 1)})


_SIZES = {
    "quick": _Sizes(256, _WIDTHS, 1, 25),
    "laptop": _Sizes(512, _MORE_WIDTHS, 1, 100),
    "reference": _Sizes(1024, _MORE_WIDTHS, 2, 100),
    "paper": _Sizes(1024, _MORE_WIDTHS, 2, 200),
}


@final
class FigureD2(Figure):
    """Recovery probability of three encoders, with the lines of the theories."""

    name = "D2"
    title = "Exact recovery of sparse features"
    caption = (
        "Message passing recovers above its threshold and from a rug as well as from Gaussian measurements. Share of "
        "random k-sparse x ≥ 0 (column count of the table) of n features that are recovered from m activations "
        "(white none, dark all; an error below 0.01 in every feature). Top: the k largest of the first estimate, "
        "least squares on them, and further rounds of both. Bottom: OAMP with prior p = k/n. Encoders: trained for a "
        f"short time at p = {_TRAINED_AT:g}, a Persian Rug, independent Gaussian entries. Lines: one activation more "
        "than active features (information), message passing's threshold and the ℓ1 transition of Donoho and Tanner "
        "for x ≥ 0 as n grows, and m = k log(n/k), the order that stable recovery needs."
    )

    def cells(self, preset: Preset) -> list[RecoveryCell]:
        """Returns one cell an encoder, width, number of active features and method."""
        sizes = preset.own(_SIZES)
        return [
            RecoveryCell(
                sizes.n_features,
                round(width * sizes.n_features / 16),
                k,
                decoder,
                encoder,
                trained_at=_TRAINED_AT,
                n_samples=sizes.n_samples,
                tolerance=_EXACT,
                seed=preset.seed,
            )
            for encoder in _ENCODERS
            for width in sizes.widths
            for k in sizes.active
            if k < width * sizes.n_features / 16
            for decoder in _METHODS
        ]

    def measure(self, preset: Preset, store: Store) -> pa.Table:
        """Returns one row an encoder, method, m and k, and the lines."""
        n = preset.own(_SIZES).n_features
        records = estimated(
            self.cells(preset),
            store,
            "recovered",
            ("converged",),
            lambda cell: {
                "source": "measured",
                "encoder": _ENCODERS[cell.encoder],
                "method": _METHODS[cell.decoder][0],
                "n_features": n,
                "n_hidden": cell.n_hidden,
                "k": cell.k,
            },
        )
        for k in np.unique(np.geomspace(1, n / 2, 40).astype(int)).tolist():
            found = theory.measurements(n, k)
            lines = {
                "information": found.information,
                "message passing": found.message_passing,
                "l1": found.l1_nonnegative,
                "theorem": found.stable_order,
            }
            records += [{"source": name, "n_hidden": m, "k": k} for name, m in lines.items()]
        return pa.Table.from_pylist(records)

    def checks(self, table: pa.Table) -> list[Check]:
        """Checks the thresholds of the theory, and that encoders of incoherent columns are alike."""
        measured = rows(table, source="measured", method="OAMP")
        n = distinct(measured, "n_features")[0]
        needed = {k: n * theory.amp_threshold(k / n) for k in distinct(measured, "k")}
        kept: dict[str, list[float]] = {"above": [], "below": []}
        for row in measured.to_pylist():
            if row["encoder"] != "trained" and row["k"] >= 8:
                share = row["n_hidden"] / needed[row["k"]]
                if not _BLURRED[0] <= share <= _BLURRED[1]:
                    kept["above" if share > 1 else "below"].append(row["recovered"])
        rug, gaussian = (column(measured, "recovered", encoder=kind) for kind in ("rug", "Gaussian"))
        pursuit = column(rows(table, source="measured", method="pursuit"), "recovered", encoder="rug")
        # Below that size more is blurred than is left out.
        recovers = np.mean(kept["above"]) > 0.95 and np.mean(kept["below"]) < 0.05
        return [
            Check(
                "Message passing recovers above its threshold and not below, for rug and Gaussian encoders (k ≥ 8; "
                f"from {_BLURRED[0]} to {_BLURRED[1]} of it left out, where a finite size blurs it).",
                "superposition",
                f"above, {np.mean(kept['above']):.3f} of samples on average and {np.min(kept['above']):.2f} at least; "
                f"below, {np.mean(kept['below']):.3f} and {np.max(kept['below']):.2f} at most (n = {n:.0f})",
                judged(recovers, tested=recovers or n >= LIMIT_FROM),
            ),
            Check(
                "A rug recovers as well as Gaussian measurements.",
                "superposition",
                f"over all (m, k), {rug.mean():.3f} against {gaussian.mean():.3f} of samples",
                judged(rug.mean() > gaussian.mean() - 0.02),
            ),
            Check(
                "The prior pays: message passing recovers wherever thresholding and least squares do, and beyond.",
                "superposition",
                f"of a rug, {rug.mean():.3f} against {pursuit.mean():.3f} of samples over all (m, k)",
                judged(rug.mean() > pursuit.mean()),
            ),
        ]

    def draw(self, table: pa.Table) -> "matplotlib.figure.Figure":
        """Draws a map a method and encoder."""
        import matplotlib.pyplot as plt

        n = int(distinct(rows(table, source="measured"), "n_features")[0])
        m_ticks, k_ticks = ([n // 2**i for i in powers] for powers in (range(4, -1, -1), range(7, 0, -2)))
        figure, axes = plt.subplots(2, 3, figsize=(9.4, 5.4), sharex=True, sharey=True)
        for row, (method, label) in enumerate(_METHODS.values()):
            for axis, kind in zip(axes[row], _ENCODERS.values(), strict=True):
                here = rows(table, source="measured", encoder=kind, method=method)
                m, k, share = (column(here, name) for name in ("n_hidden", "k", "recovered"))
                image = axis.scatter(
                    m, k, c=share, cmap="Blues", vmin=0, vmax=1, edgecolors="0.4", linewidths=0.5, s=52
                )
                _draw_lines(axis, table, n)
                axis.set(xscale="log", yscale="log", xlim=(0.05 * n, 1.05 * n), ylim=(1.5, 0.74 * n))
                axis.set_xticks(m_ticks, [str(m) for m in m_ticks])
                axis.set_yticks(k_ticks, [str(k) for k in k_ticks])
                axis.minorticks_off()
                if row == 0:
                    axis.set_title(f"{kind} encoder, n = {n}")
                else:
                    axis.set_xlabel("activations m")
            axes[row, 0].set_ylabel(f"{label}\nactive features k")
        axes[0, 0].legend(loc="upper left", fontsize=7)
        figure.colorbar(image, ax=axes, label="share recovered exactly", shrink=0.7)
        return figure


def _draw_lines(axis: "matplotlib.axes.Axes", table: pa.Table, n_features: int) -> None:
    for name, colour, dash, label in (
        ("information", "0.5", ":", "m = k + 1"),
        ("message passing", style.GREEN, "-", "message passing"),
        ("l1", style.RED, "--", "ℓ1, x ≥ 0"),
        ("theorem", style.ORANGE, "-.", "m = k log(n/k)"),
    ):
        m, k = (column(table, key, source=name) for key in ("n_hidden", "k"))
        # Beyond k = n/e the last one turns back.
        order = np.argsort(k[k < n_features / np.e]) if name == "theorem" else np.argsort(k)
        axis.plot(m[order], k[order], dash, color=colour, label=label, linewidth=1.2)
