"""The picture of a table: which axis goes where, scales, labels, and what is left out."""

from itertools import pairwise

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from superposition.figures.curves import draw_curves

LOSS = "loss per feature"


@pytest.fixture
def draw(monkeypatch, tmp_path):
    """Draws a table over the outer product of axes, and returns the figure."""
    shut = plt.close
    monkeypatch.setattr(plt, "close", lambda _: None)

    def drawn(y, outputs, **axes):
        mesh = np.meshgrid(*map(np.asarray, axes.values()), indexing="ij")
        columns = {name: values.ravel() for name, values in zip(axes, mesh, strict=True)}
        columns |= {name: function(*mesh).ravel() for name, function in outputs.items()}
        path = tmp_path / "plot.png"
        draw_curves(columns, path, x={name: f"{name} of it" for name in axes}, y=y)
        assert path.read_bytes().startswith(b"\x89PNG")
        return plt.gcf()

    yield drawn
    shut("all")


def lines(axis):
    return {line.get_label(): line.get_xydata() for line in axis.lines}


def test_axis_of_most_values_is_drawn_along_and_another_across(draw):
    figure = draw(
        {LOSS: ("loss", "other loss")},
        {"loss": lambda r, p: r * p, "other loss": lambda r, p: r + p},
        r=[0.4, 0.1, 0.2],
        p=[0.5, 0.25],
    )
    assert [axis.get_title() for axis in figure.axes] == [
        "p = 0.25".replace(" ", "\xa0"),
        "p = 0.5".replace(" ", "\xa0"),
    ]
    assert [axis.get_xlabel() for axis in figure.axes] == ["r of it"] * 2
    assert [axis.get_ylabel() for axis in figure.axes] == [LOSS, ""]
    np.testing.assert_array_equal(lines(figure.axes[0])["loss"], [[0.1, 0.025], [0.2, 0.05], [0.4, 0.1]])
    np.testing.assert_array_equal(lines(figure.axes[1])["other loss"], [[0.1, 0.6], [0.2, 0.7], [0.4, 0.9]])
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()
    assert [axis.get_legend() is not None for axis in figure.axes] == [False, True]


def test_columns_of_their_own_axes_tell_values_apart_by_colour(draw):
    figure = draw(
        {"mean (units)": ("mean",), "variance (units²)": ("variance", "absent")},
        {"mean": lambda z, s: z + s, "variance": lambda z, s: s + 0 * z},
        z=[-1.0, 0.0, 1.0],
        s=[0.1, 0.2],
    )
    assert [axis.get_ylabel() for axis in figure.axes] == ["mean (units)", "variance (units²)"]
    for axis in figure.axes:
        assert list(lines(axis)) == ["0.1", "0.2"]
    assert figure.axes[0].get_legend().get_title().get_text() == "s"
    assert figure.axes[1].get_legend() is None


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([0.05, 0.1, 0.2, 0.4], "log"),
        ([0.1, 0.2, 0.3, 0.4], "linear"),
        ([0.0, 0.1, 1.0], "linear"),
        ([-1.0, 0.1, 1.0], "linear"),
        ([0.1, 1.0], "linear"),
    ],
)
def test_x_is_logarithmic_where_its_values_are_positive_and_spaced_so(draw, values, scale):
    assert draw({LOSS: ("loss",)}, {"loss": lambda r: r + 2}, r=values).axes[0].get_xscale() == scale


@pytest.mark.parametrize(
    ("name", "values", "scale"),
    [
        ("loss", [1e-5, 1e-2], "log"),
        ("loss", [0.0, 1e-5, 1e-2], "log"),
        ("loss", [1e-300, 1e-5, 1e-2], "log"),
        ("loss", [-1e-5, 1e-5, 1e-2], "linear"),
        ("loss", [1e-2, 1.1e-2], "linear"),
        ("loss", [0.0, 0.0], "linear"),
        ("mean", [1e-5, 1e-2], "linear"),
    ],
)
def test_y_is_logarithmic_where_it_shows_losses_of_several_sizes(draw, name, values, scale):
    (axis,) = draw({"y": (name,)}, {name: lambda k: np.asarray(values)[k]}, k=list(range(len(values)))).axes
    assert axis.get_yscale() == scale
    assert axis.get_ylim()[0] > 1e-6 or scale == "linear"


def test_many_panels_stand_in_lines_of_four(draw):
    figure = draw(
        {LOSS: ("loss", "b loss")},
        {"loss": lambda r, p: r * p, "b loss": lambda r, p: r + p},
        r=range(1, 9),
        p=range(5),
    )
    assert len(figure.axes) == 5
    assert [bool(axis.get_xlabel()) for axis in figure.axes] == [False, True, True, True, True]
    assert [bool(axis.get_ylabel()) for axis in figure.axes] == [True, False, False, False, True]


def test_nothing_overlaps(draw):
    outputs = {f"{name} loss": lambda r, p, k=k: (k + 1) * r * p for k, name in enumerate("abcdef")}
    figure = draw({LOSS: tuple(outputs)}, outputs, r=[0.05, 0.1, 0.2, 0.4], p=[0.01, 0.02])
    legend = figure.axes[1].get_legend().get_window_extent()
    assert legend.x1 <= figure.bbox.x1
    for axis in figure.axes:
        assert not legend.overlaps(axis.get_window_extent())
        labels = [tick.label1.get_window_extent() for tick in axis.xaxis.get_major_ticks() if tick.label1.get_text()]
        assert all(left.x1 < right.x0 for left, right in pairwise(labels))
