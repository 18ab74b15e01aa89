"""Tables for people."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from superposition.diagnostics import Symmetry
    from superposition.features import SparseFeatures


def loss_table(loss: str, features: "SparseFeatures", n_hidden: int, kind: str) -> "Table":
    """Returns the losses of a model beside those of theory."""
    from superposition import theory

    ratio = n_hidden / features.n_features
    title = f"Loss per feature, n = {features.n_features}, n_hidden = {n_hidden}"
    if features.is_symmetric:
        title += f", p = {features.probability:g}"
    table = new_table("", "loss", title=title)
    table.add_row(f"{kind}, held out", loss)
    if features.is_symmetric:
        table.add_row(
            "mean-field prediction",
            f"{theory.symmetric_optimum(ratio, features.probability, features.law).loss:.7g}",
        )
    table.add_row("linear optimum", f"{theory.weighted_linear_loss(features, n_hidden):.7g}")
    table.add_row("constant prediction", f"{theory.weighted_linear_loss(features, 0):.7g}")
    return table


def symmetry_table(found: "Symmetry", features: "SparseFeatures", n_hidden: int, kind: str) -> "Table":
    """Returns the symmetry statistics beside the prediction."""
    from superposition.diagnostics import predicted_symmetry

    predicted = predicted_symmetry(features, n_hidden) if features.is_symmetric else None
    table = new_table(
        "statistic",
        f"{kind}: mean",
        "root mean square Δ",
        "mean square Δ",
        "extent Δ₂",
        "mean-field prediction",
        title="Symmetry",
    )
    effective_bias = found.bias.mean + found.diagonal.mean * found.noise_mean.mean
    for name, spread, value in (
        ("diagonal W_ii", found.diagonal, predicted and predicted.diagonal),
        ("bias b_i", found.bias, None),
        ("interference mean E ν_i", found.noise_mean, None),
        ("interference variance Var ν_i", found.noise_variance, predicted and predicted.noise_variance),
    ):
        cells = (
            f"{spread.mean:.5f}",
            f"{spread.root_mean_square:.5f}",
            f"{spread.mean_square:.2e}",
            f"{spread.extent:.5f}",
        )
        table.add_row(name, *cells, "" if value is None else f"{value:.5f}")
    table.add_row(
        "b + a E ν, of the means",
        f"{effective_bias:.5f}",
        "",
        "",
        "",
        f"{predicted.effective_bias:.5f}" if predicted else "",
    )
    table.add_row("non-Gaussianity Λ", f"{found.non_gaussianity:.5f}", "", "", "", "0" if predicted else "")
    table.add_row("dead features", f"{found.dead_features} of {found.n_features}", "", "", "", "0" if predicted else "")
    return table


def new_table(*columns: str, title: str, right: bool = True) -> "Table":
    """Returns an empty table; numbers stand to the right, but in tables of text."""
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for index, name in enumerate(columns):
        table.add_column(name, justify="right" if right and index else "left")
    return table


def show(table: "Table") -> None:
    """Prints a table as wide as the terminal, or wide enough for every number."""
    from rich.console import Console

    console = Console()
    # Files and pipes have no width of their own: numbers must not be cut there.
    (console if console.is_terminal else Console(width=160)).print(table)
