"""What `superposition theory` can print: a function from options to columns each, and its row in QUANTITIES."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

# As `sp`, whose rooms load on first use: --help needs this table, and must not wait for NumPy and SciPy.
import superposition as sp

if TYPE_CHECKING:
    from superposition.features import Law

Columns = dict[str, Any]

LOSS = "loss per feature (feature units²)"

# Of each option: the column that shows it, and the label of the axis that is drawn along it.
AXES = {
    "ratio": ("ratio", "ratio n_hidden / n_features"),
    "probability": ("p", "probability p"),
    "noise_std": ("noise σ", "noise σ (feature units)"),
    "scale": ("scale a", "scale a"),
    "bias": ("bias b", "bias b (feature units)"),
    "threshold": ("threshold β", "threshold β = b/a (feature units)"),
    "z": ("z", "observation z (feature units)"),
    "importance": ("importance", "importance"),
    "hidden_noise": ("hidden noise ω", "hidden noise ω (relative)"),
    "n_features": ("n_features", "n_features"),
    "n_hidden": ("n_hidden", "n_hidden"),
}


@dataclass(frozen=True)
class Quantity:
    """One table of closed forms.

    Attributes:
        title: Of the table; the law's name follows.
        about: Its columns, for --help.
        columns: Function from options to columns. Its parameters are the options that the quantity takes, those
            without a default the ones that it needs. A column that is one number holds for every row and goes to
            the caption.
        drawn: Columns of the picture under the label of their y axis; all the losses if not given.
        own_axes: If the function lays out the rows itself: the columns to draw along, with their labels. If not given,
            it sees every value of an option with every value of the others.
    """

    title: str
    about: str
    columns: Callable[..., Columns]
    drawn: Mapping[str, tuple[str, ...]] | None = None
    own_axes: Callable[[Columns], Mapping[str, str]] | None = None

    @property
    def has_law(self) -> bool:
        """Whether the law of active values matters."""
        return "law" in inspect.signature(self.columns).parameters

    @property
    def takes(self) -> list[str]:
        """The axes that may be given."""
        return [name for name in inspect.signature(self.columns).parameters if name != "law"]

    @property
    def needs(self) -> list[str]:
        """The axes that must be given."""
        parameters = inspect.signature(self.columns).parameters
        return [name for name in self.takes if parameters[name].default is inspect.Parameter.empty]

    def table(self, given: Mapping[str, tuple[float, ...]], law: "Law") -> tuple[Columns, Mapping[str, str]]:
        """Returns the columns, and the labels of those that the picture may be drawn along."""
        options = dict(given) if self.own_axes else _outer_product(given)
        found = self.columns(**options, **({"law": law} if self.has_law else {}))
        if self.own_axes:
            return found, self.own_axes(found)
        return {**{AXES[name][0]: options[name] for name in given}, **found}, dict(AXES[name] for name in given)

    def curves(self, columns: Columns) -> dict[str, tuple[str, ...]]:
        """Returns the columns to draw under the label of their y axis."""
        return dict(self.drawn or {LOSS: tuple(name for name in columns if name.endswith("loss"))})


def _optimum(ratio: Any, probability: Any, law: "Law", hidden_noise: Any = 0.0) -> Columns:
    best = sp.theory.symmetric_optimum(ratio, probability, law, hidden_noise=hidden_noise)
    return {
        "loss": best.loss,
        "scale a": best.scale,
        "bias b": best.bias,
        "noise σ": best.noise_std,
        "linear loss": sp.theory.linear_loss(ratio, probability, law, hidden_noise=hidden_noise),
    }


def _bounds(ratio: Any, probability: Any, law: "Law") -> Columns:
    best = sp.theory.symmetric_optimum(ratio, probability, law)
    uniform = law == sp.Uniform()
    explicit = {"explicit upper bound loss": sp.theory.explicit_upper_bound(ratio, probability)} if uniform else {}
    return {
        "oracle support loss": sp.theory.oracle_support_loss(best.noise_std, probability, law),
        "Bayes loss": sp.theory.bayes_loss(best.noise_std, probability, law),
        "loss": best.loss,
        "upper bound loss": sp.theory.upper_bound(ratio, probability, law),
        **explicit,
        "linear loss": sp.theory.linear_loss(ratio, probability, law),
        "constant loss": sp.theory.zero_ratio_loss(probability, law),
    }


def _hull(ratio: Any, probability: Any, law: "Law") -> Columns:
    found = sp.theory.hull_optimum(ratio, probability, law)
    symmetric = sp.theory.symmetric_optimum(ratio, probability, law).loss
    return {"hull loss": found.loss, "loss": symmetric, "share kept": found.kept, "threshold h": found.threshold}


def _gradients(ratio: Any, probability: Any, law: "Law") -> Columns:
    found = sp.theory.loss_gradients(ratio, probability, law)
    return {"loss": found.optimum.loss, "dL/dr": found.ratio, "dL/dp": found.probability}


def _scaling(ratio: Any, probability: Any, law: "Law") -> Columns:
    found = sp.theory.scaling(probability, ratio, law)
    fitted = {
        "∂ log loss / ∂ log p": found.probability_exponent,
        "∂ log loss / ∂ log r": found.ratio_exponent,
        "residual": found.spread,
    }
    return {
        "loss": found.loss,
        "p²/r": found.p2_over_r,
        "p²/r log(1/p)": found.p2_over_r_log,
        # An exponent is NaN where its axis has one value.
        **{name: value for name, value in fitted.items() if value == value},
    }


def _pairs(ratio: Any, probability: Any) -> Columns:
    return {
        "antipodal loss": sp.theory.antipodal_loss(ratio, probability),
        "loss": sp.theory.symmetric_optimum(ratio, probability).loss,
        "linear loss": sp.theory.linear_loss(ratio, probability),
    }


def _relu(noise_std: Any, probability: Any, law: "Law", scale: Any = None, bias: Any = None) -> Columns:
    if (scale is None) != (bias is None):
        raise ValueError("--scale and --bias must be given together, or neither for the best ones")
    best = sp.theory.optimal_relu(noise_std, probability, law)
    if scale is None:
        return {"scale a": best.scale, "bias b": best.bias, "loss": best.loss}
    return {"loss": sp.theory.relu_loss(scale, bias, noise_std, probability, law), "best loss": best.loss}


def _parts(noise_std: Any, probability: Any, law: "Law", scale: Any = None, bias: Any = None) -> Columns:
    if (scale is None) != (bias is None):
        raise ValueError("--scale and --bias must be given together, or neither for the best ones")
    best = sp.theory.optimal_relu(noise_std, probability, law)
    a, b = (best.scale, best.bias) if scale is None else (scale, bias)
    parts = sp.theory.loss_parts(a, b, noise_std, law)
    settled = {"scale a": a, "bias b": b} if scale is None else {}
    return {
        **settled,
        "off loss": parts.off,
        "E_r loss": parts.rectified,
        "E_ν loss": parts.noise,
        "E_r/E_ν": parts.ratio,
        "loss": sp.theory.relu_loss(a, b, noise_std, probability, law),
    }


def _scale(threshold: Any, noise_std: Any, probability: Any, law: "Law") -> Columns:
    limit = sp.theory.zero_ratio_relu(noise_std, threshold, probability, law)
    a = sp.theory.optimal_scale(threshold, noise_std, probability, law)
    return {
        "scale a": a,
        "scale a as r → 0": limit.scale,
        "loss": sp.theory.relu_loss(a, a * threshold, noise_std, probability, law),
        "r → 0 loss": limit.loss,
    }


def _noise(noise_std: Any, probability: Any, law: "Law") -> Columns:
    explicit = {"lower bound loss": sp.theory.lower_bound(noise_std, probability)} if law == sp.Uniform() else {}
    return {
        **explicit,
        "oracle support loss": sp.theory.oracle_support_loss(noise_std, probability, law),
        "Bayes loss": sp.theory.bayes_loss(noise_std, probability, law),
        "loss": sp.theory.optimal_relu(noise_std, probability, law).loss,
    }


def _denoiser(z: Any, noise_std: Any, probability: Any, law: "Law") -> Columns:
    found = sp.theory.bayes_denoiser(z, noise_std, probability, law)
    return {"posterior mean": found.mean, "posterior variance": found.variance}


def _welch(n_hidden: Any, n_features: Any) -> Columns:
    import numpy as np

    sizes = zip(n_features.tolist(), n_hidden.tolist(), strict=True)
    return {"Welch bound": np.array([sp.theory.welch_bound(n, m) for n, m in sizes])}


def _allocate(
    importance: tuple[float, ...],
    probability: tuple[float, ...],
    n_features: tuple[int, ...],
    law: "Law",
    n_hidden: tuple[int, ...] = (),
    ratio: tuple[float, ...] = (),
) -> Columns:
    """Returns one row a class; the classes are of one size, class i of importance[i] and probability[i]."""
    import numpy as np

    n_classes = max(len(importance), len(probability))
    for name, values in (("importance", importance), ("probability", probability)):
        if len(values) not in (1, n_classes):
            raise ValueError(f"`{name}` must have one value or one for each of {n_classes} classes, got {len(values)}")
    if len(n_features) != 1 or n_features[0] % n_classes:
        got = ", ".join(map(str, n_features))
        raise ValueError(f"`n_features` must be one multiple of {n_classes}, the number of classes, got {got}")
    if len(ratio) + len(n_hidden) != 1:
        raise ValueError("exactly one of --ratio and --n-hidden must be given, with one value")
    n = sp._checks.whole_number("n_features", n_features[0])
    width = n_hidden[0] if n_hidden else round(float(sp._checks.ratio(ratio[0])) * n)
    weight, p = (np.resize(np.asarray(values, float), n_classes) for values in (importance, probability))
    size = n // n_classes
    features = sp.SparseFeatures(n, np.repeat(p, size), law, np.repeat(weight, size))
    found = sp.theory.allocate(features, width)
    kept = (found.capacity.reshape(n_classes, size) > 0).sum(axis=1)
    # All that are kept of a class are alike; where none is, so are those that are given up.
    shown = found.capacity.reshape(n_classes, size).argmax(axis=1) + size * np.arange(n_classes)
    capacity = found.capacity[shown]
    of_kept = sp.theory.symmetric_optimum(np.where(kept > 0, capacity, 1.0), p, law).loss
    return {
        "class": np.arange(1, n_classes + 1),
        "importance": weight,
        "p": p,
        "kept": kept,
        "capacity h": capacity,
        "noise σ": found.noise_std[shown],
        "scale a": found.scale[shown],
        "bias b": found.bias[shown],
        "loss": (kept * of_kept + (size - kept) * sp.theory.zero_ratio_loss(p, law)) / size,
        "n_features": n,
        "n_hidden": width,
        "price": found.price,
        "total loss": found.loss,
        "total linear loss": sp.theory.weighted_linear_loss(features, width),
    }


def _axes_of_classes(columns: Columns) -> dict[str, str]:
    """Returns importance and probability where one of them tells the classes apart, and otherwise their number."""
    names = ("importance", "probability")
    distinct = sorted(len(set(columns[AXES[name][0]])) for name in names)
    return dict(AXES[name] for name in names) if distinct == [1, len(columns["class"])] else {"class": "class"}


QUANTITIES = {
    "optimum": Quantity("Mean-field optimum", "loss, scale a, bias b, noise σ, linear loss", _optimum),
    "bounds": Quantity(
        "Mean-field bounds", "every bound, from the oracle that knows the support to the constant", _bounds
    ),
    "hull": Quantity(
        "Mean-field hull",
        "the optimum when features may be given up",
        _hull,
        drawn={LOSS: ("hull loss", "loss"), "share of features kept": ("share kept",)},
    ),
    "gradients": Quantity(
        "Mean-field gradients",
        "loss, dL/dr, dL/dp",
        _gradients,
        drawn={LOSS: ("loss",), "dL/dr (feature units²)": ("dL/dr",), "dL/dp (feature units²)": ("dL/dp",)},
    ),
    "scaling": Quantity(
        "Mean-field scaling",
        "loss beside p²/r, and its fitted exponents",
        _scaling,
        drawn={LOSS: ("loss", "p²/r", "p²/r log(1/p)")},
    ),
    "pairs": Quantity("Antipodal pairs", "their loss beside the optimum, for the uniform law", _pairs),
    "relu": Quantity(
        "ReLU at given noise",
        "the best scale a and bias b and their loss, or the loss at those given",
        _relu,
        drawn={LOSS: ("loss", "best loss"), "scale a": ("scale a",), "bias b (feature units)": ("bias b",)},
    ),
    "parts": Quantity(
        "Parts of the loss at given noise",
        "of inactive features, of what the ReLU cuts off (E_r) and of noise (E_ν), at the best scale and bias or those "
        "given",
        _parts,
        drawn={LOSS: ("off loss", "E_r loss", "E_ν loss", "loss"), "E_r/E_ν": ("E_r/E_ν",)},
    ),
    "scale": Quantity(
        "Scale at given threshold",
        "the best scale a at β = b/a, beside its limit as r → 0, with their losses",
        _scale,
        drawn={LOSS: ("loss", "r → 0 loss"), "scale a": ("scale a", "scale a as r → 0")},
    ),
    "noise": Quantity(
        "Decoders at given noise", "bounds of every elementwise decoder beside the best ReLU's loss", _noise
    ),
    "denoiser": Quantity(
        "Bayes denoiser",
        "posterior mean and variance of a feature seen as z in noise",
        _denoiser,
        drawn={
            "posterior mean (feature units)": ("posterior mean",),
            "posterior variance (feature units²)": ("posterior variance",),
        },
    ),
    "welch": Quantity(
        "Welch bound",
        "least possible largest coherence of unit vectors",
        _welch,
        drawn={"least possible coherence": ("Welch bound",)},
    ),
    "allocate": Quantity(
        "Allocation of capacity",
        "how classes of one size share n_hidden dimensions",
        _allocate,
        drawn={"capacity h of a kept feature": ("capacity h",), LOSS: ("loss",)},
        own_axes=_axes_of_classes,
    ),
}


def option(name: str) -> str:
    """Returns the option's name on the command line."""
    return f"--{name.replace('_', '-')}"


def described() -> str:
    """Returns one line a quantity for --help: its name, its axes and its columns."""
    lines = []
    for name, quantity in QUANTITIES.items():
        extra = [option(axis) for axis in quantity.takes if axis not in quantity.needs]
        axes = " ".join([*map(option, quantity.needs), *(f"[{axis}]" for axis in extra)])
        lines.append(f"{name} ({axes}): {quantity.about}.")
    return "\n".join(lines)


def _outer_product(given: Mapping[str, tuple[float, ...]]) -> dict[str, Any]:
    """Returns every value with every value of the others, as columns; the first axis changes fastest."""
    import numpy as np

    mesh = np.meshgrid(*map(np.asarray, given.values()), indexing="ij")
    return {name: values.ravel(order="F") for name, values in zip(given, mesh, strict=True)}
