"""Tables for people."""

from typing import TYPE_CHECKING, Any

import superposition as sp
from superposition._text import visible

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from superposition._checks import FloatArray
    from superposition.diagnostics import BerryEsseen, Interference, LossSplit, Symmetry
    from superposition.features import Features, SparseFeatures
    from superposition.models import Reconstructor, Spectrum


def loss_table(loss: str, features: "Features", model: "Reconstructor", kind: str) -> "Table":
    """Returns the losses of a model beside those of theory."""
    noise = model.hidden_noise
    title, alike = f"Loss, n = {features.n_features}, n_hidden = {model.n_hidden}", _alike(features)
    if alike:
        title += f", p = {alike.probability:g}"
    if noise:
        title += f", hidden noise {noise:g}"
    table = new_table("", "loss per feature", title=title)
    table.add_row(f"{kind}, held out", loss)
    best = sp.theory.mean_field_loss(features, model.n_hidden, hidden_noise=noise)
    if best is not None:
        table.add_row("mean-field prediction" if alike else "mean field, best allocation", f"{best:.7g}")
    linear = sp.theory.weighted_linear_loss(features, model.n_hidden, hidden_noise=noise)
    table.add_row("linear optimum", f"{linear:.7g}")
    table.add_row("constant prediction", f"{sp.theory.weighted_linear_loss(features, 0):.7g}")
    return table


def _alike(features: "Features") -> "SparseFeatures | None":
    """Returns features of one law, probability and importance, of which theory says more; None for others."""
    return features if isinstance(features, sp.SparseFeatures) and features.is_symmetric else None


def symmetry_table(found: "Symmetry", features: "Features", model: "Reconstructor", kind: str) -> "Table":
    """Returns the symmetry statistics beside the prediction."""
    predicted = None
    if alike := _alike(features):
        predicted = sp.predicted_symmetry(alike, model.n_hidden, hidden_noise=model.hidden_noise)
    table = new_table(
        "statistic",
        "mean",
        "√Δ",
        "Δ",
        "Δ₂",
        "mean\nfield",
        title=f"Symmetry, {kind}: mean square deviation Δ, extent Δ₂",
    )
    effective_bias = found.bias.mean + found.diagonal.mean * found.noise_mean.mean
    for name, spread, value in (
        ("diagonal W_ii", found.diagonal, predicted and predicted.diagonal),
        ("bias b_i", found.bias, None),
        ("interference E ν_i", found.noise_mean, None),
        ("interference Var ν_i", found.noise_variance, predicted and predicted.noise_variance),
    ):
        cells = (
            f"{spread.mean:.5f}",
            f"{spread.root_mean_square:.5f}",
            f"{spread.mean_square:.2e}",
            f"{spread.extent:.5f}",
        )
        table.add_row(name, *cells, "" if value is None else f"{value:.5f}")
    expected = f"{predicted.effective_bias:.5f}" if predicted else ""
    table.add_row("b + a E ν, of means", f"{effective_bias:.5f}", "", "", "", expected)
    table.add_row("non-Gaussianity Λ", f"{found.non_gaussianity:.5f}", "", "", "", "0" if predicted else "")
    table.add_row("dead features", f"{found.dead_features} of {found.n_features}", "", "", "", "0" if predicted else "")
    return table


def interference_table(found: "Interference", distance: "BerryEsseen") -> "Table":
    """Returns the statistics of the interference that a Gaussian has not, over features and pooled."""
    import numpy as np

    table = new_table(
        "statistic", "mean", "√Δ", "least", "largest", "pooled", title="Interference ν_i = Σ_{j≠i} W_ij/W_ii x_j"
    )
    rows: tuple[tuple[str, FloatArray, float | None], ...] = (
        ("skewness of ν_i", found.skewness, found.pooled_skewness),
        ("excess kurtosis of ν_i", found.excess_kurtosis, found.pooled_excess_kurtosis),
        ("skewness of W_ij, j ≠ i", found.row_skewness, found.element_skewness),
        ("excess kurtosis of W_ij", found.row_excess_kurtosis, found.element_excess_kurtosis),
        ("row sum Σ_j W_ij", found.row_sum, None),
        ("largest share of Var ν_i", found.largest_share, None),
        ("bound on sup |F_i − Φ| (Berry–Esseen)", distance.distance, None),
    )
    for name, values, pooled in rows:
        there = values[~np.isnan(values)]
        spread = sp.diagnostics.Spread.of(there)
        ends = (there.min(), there.max()) if there.size else (np.nan, np.nan)
        numbers = (spread.mean, spread.root_mean_square, *ends, *(() if pooled is None else (pooled,)))
        # Without interference there is nothing to say.
        table.add_row(name, *("" if np.isnan(number) else f"{number:z.4f}" for number in numbers))
    return table


def structure_table(
    found: "Interference",
    split: "LossSplit | None",
    spectrum: "Spectrum | None",
    features: "Features",
    n_hidden: int,
) -> "Table":
    """Returns what W is made of: pairs, features whose output is never on, spectrum."""
    n = features.n_features
    table = new_table("W as a whole", "", title="Structure")
    table.add_row("features in antipodal pairs", f"{round(found.paired_share * n)} of {n}")
    table.add_row("  of them with W_ij/W_ii within 0.25 of −1", f"{round(found.balanced_share * n)} of {n}")
    if (alike := _alike(features)) and alike.law == sp.Uniform():
        loss = sp.theory.antipodal_loss(n_hidden / n, alike.probability)
        table.add_row("loss of pairs with W_ij/W_ii = −3 and −1/3 (theory)", f"{loss:.7g}")
    if split is not None:
        table.add_row("outputs never on", f"{split.never_on} of {n}")
    if spectrum is None:
        return table
    for name, values in (
        ("modulus of eigenvalues", abs(spectrum.eigenvalues)),
        ("singular values", spectrum.singular_values),
    ):
        table.add_row(f"{name}, {len(values)}", f"{values[-1]:.5f} to {values[0]:.5f}")
    table.add_row("‖W² − cW‖/‖W²‖, 0 for a projection", f"{spectrum.distance:.5f} at c = {spectrum.scale:.5f}")
    return table


def split_table(split: "LossSplit") -> "Table":
    """Returns where the loss comes from, beside what Gaussian interference would cost."""
    table = new_table("part of the loss", "held out", "Gaussian ν", "difference", title="Where the loss comes from")
    rows = (
        ("inactive features", split.off, split.gaussian_off, split.beyond_gaussian_off),
        ("  bias", split.off_bias, None, None),
        ("  variance", split.off_variance, None, None),
        ("active features", split.on, split.gaussian_on, split.beyond_gaussian_on),
        ("  bias, given u", split.on_bias, None, None),
        ("  variance, given u", split.on_variance, None, None),
        ("all", split.loss, split.gaussian, split.beyond_gaussian),
    )
    for name, measured, gaussian, beyond in rows:
        table.add_row(
            name,
            str(measured),
            "" if gaussian is None else f"{gaussian:.4g}",
            "" if beyond is None else str(beyond),
            end_section=name.endswith("variance, given u"),
        )
    return table


def new_table(*columns: str, title: str, right: bool = True) -> "Table":
    """Returns an empty table; numbers stand to the right, but in tables of text."""
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for index, name in enumerate(columns):
        table.add_column(name, justify="right" if right and index else "left")
    return table


def show(table: "Table") -> None:
    """Prints a table as wide as the terminal, or wide enough for every number; nothing in it is taken as markup."""
    from rich.console import Console

    class Plain(Console):
        """Takes words as they are: what every cell, head, title and caption passes is `render_str`."""

        def render_str(self, text: str, **options: Any) -> "Text":
            return super().render_str("\n".join(map(visible, text.split("\n"))), **options)

    # Files and pipes have no width of their own: numbers must not be cut there.
    width = None if Console().is_terminal else 160
    Plain(width=width, markup=False, emoji=False, highlight=False).print(table)
