"""Figure D2: where sparse features are recovered exactly, over (m, k), by encoder and method."""

from typing import TYPE_CHECKING, Literal, final

import numpy as np
import pyarrow as pa

from superposition import theory
from superposition._names import DecoderName
from superposition.figures import style
from superposition.figures.base import Check, Figure, column, distinct, estimated, rows
from superposition.figures.presets import Preset
from superposition.sweeps import RecoveryCell, Store

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure

_N_FEATURES, _N_SAMPLES = 256, 25
_WIDTHS = (16, 32, 48, 64, 96, 128, 160, 208)
_ACTIVE = (2, 4, 8, 16, 32, 64, 128)
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


@final
class FigureD2(Figure):
    """Recovery probability of three encoders, with the lines of the theories."""

    name = "D2"
    title = "Exact recovery of sparse features"
    caption = (
        f"Share of {_N_SAMPLES} random k-sparse x ≥ 0 of n = {_N_FEATURES} features that are recovered from m "
        "activations (white none, dark all; an error below 0.01 in every feature). Top: the k largest of the first "
        "estimate, least squares on them, and further rounds of both. Bottom: OAMP with prior p = k/n. Encoders: "
        f"trained for a short time at p = {_TRAINED_AT:g}, a Persian Rug, independent Gaussian entries. Lines: one "
        "activation more than active features (information), message passing's threshold and the ℓ1 transition of "
        "Donoho and Tanner for x ≥ 0 as n grows, and m = k log(n/k), the order that stable recovery needs."
    )

    def cells(self, preset: Preset) -> list[RecoveryCell]:
        """Returns one cell an encoder, width, number of active features and method."""
        return [
            RecoveryCell(
                _N_FEATURES,
                width,
                k,
                decoder,
                encoder,
                trained_at=_TRAINED_AT,
                n_samples=_N_SAMPLES,
                tolerance=_EXACT,
                seed=preset.seed,
            )
            for encoder in _ENCODERS
            for width in _WIDTHS
            for k in _ACTIVE
            if k < width
            for decoder in _METHODS
        ]

    def measure(self, preset: Preset, store: Store) -> pa.Table:
        """Returns one row an encoder, method, m and k, and the lines."""
        n = _N_FEATURES
        records = estimated(
            self.cells(preset),
            store,
            "recovered",
            ("converged",),
            lambda cell: {
                "source": "measured",
                "encoder": _ENCODERS[cell.encoder],
                "method": _METHODS[cell.decoder][0],
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
        n = _N_FEATURES
        needed = {k: n * theory.amp_threshold(k / n) for k in distinct(measured, "k")}
        kept: dict[str, list[float]] = {"above": [], "below": []}
        for row in measured.to_pylist():
            if row["encoder"] != "trained" and row["k"] >= 8:
                share = row["n_hidden"] / needed[row["k"]]
                if not _BLURRED[0] <= share <= _BLURRED[1]:
                    kept["above" if share > 1 else "below"].append(row["recovered"])
        rug, gaussian = (column(measured, "recovered", encoder=kind) for kind in ("rug", "Gaussian"))
        pursuit = column(rows(table, source="measured", method="pursuit"), "recovered", encoder="rug")
        return [
            Check(
                "Message passing recovers above its threshold and not below, for rug and Gaussian encoders (k ≥ 8; "
                f"from {_BLURRED[0]} to {_BLURRED[1]} of it left out, where a finite size blurs it).",
                "superposition",
                f"above, {np.mean(kept['above']):.3f} of samples on average and {np.min(kept['above']):.2f} at least; "
                f"below, {np.mean(kept['below']):.3f} and {np.max(kept['below']):.2f} at most",
                bool(np.mean(kept["above"]) > 0.95 and np.mean(kept["below"]) < 0.05),
            ),
            Check(
                "A rug recovers as well as Gaussian measurements.",
                "superposition",
                f"over all (m, k), {rug.mean():.3f} against {gaussian.mean():.3f} of samples",
                bool(rug.mean() > gaussian.mean() - 0.02),
            ),
            Check(
                "The prior pays: message passing recovers wherever thresholding and least squares do, and beyond.",
                "superposition",
                f"of a rug, {rug.mean():.3f} against {pursuit.mean():.3f} of samples over all (m, k)",
                bool(rug.mean() > pursuit.mean()),
            ),
        ]

    def draw(self, table: pa.Table) -> "matplotlib.figure.Figure":
        """Draws a map a method and encoder."""
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(2, 3, figsize=(9.4, 5.4), sharex=True, sharey=True)
        for row, (method, label) in enumerate(_METHODS.values()):
            for axis, kind in zip(axes[row], _ENCODERS.values(), strict=True):
                here = rows(table, source="measured", encoder=kind, method=method)
                m, k, share = (column(here, name) for name in ("n_hidden", "k", "recovered"))
                image = axis.scatter(
                    m, k, c=share, cmap="Blues", vmin=0, vmax=1, edgecolors="0.4", linewidths=0.5, s=52
                )
                _draw_lines(axis, table)
                axis.set(xscale="log", yscale="log", xlim=(13, 270), ylim=(1.5, 190))
                axis.set_xticks([16, 32, 64, 128, 256], ["16", "32", "64", "128", "256"])
                axis.set_yticks([2, 8, 32, 128], ["2", "8", "32", "128"])
                axis.minorticks_off()
                if row == 0:
                    axis.set_title(f"{kind} encoder")
                else:
                    axis.set_xlabel("activations m")
            axes[row, 0].set_ylabel(f"{label}\nactive features k")
        axes[0, 0].legend(loc="upper left", fontsize=7)
        figure.colorbar(image, ax=axes, label="share recovered exactly", shrink=0.7)
        return figure


def _draw_lines(axis: "matplotlib.axes.Axes", table: pa.Table) -> None:
    for name, colour, dash, label in (
        ("information", "0.5", ":", "m = k + 1"),
        ("message passing", style.GREEN, "-", "message passing"),
        ("l1", style.RED, "--", "ℓ1, x ≥ 0"),
        ("theorem", style.ORANGE, "-.", "m = k log(n/k)"),
    ):
        m, k = (column(table, key, source=name) for key in ("n_hidden", "k"))
        # Beyond k = n/e the last one turns back.
        order = np.argsort(k[k < _N_FEATURES / np.e]) if name == "theorem" else np.argsort(k)
        axis.plot(m[order], k[order], dash, color=colour, label=label, linewidth=1.2)
