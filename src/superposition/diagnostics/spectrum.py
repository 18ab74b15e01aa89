"""The spectrum of a model's W."""

from superposition import _checks
from superposition.models import Model, Spectrum


def spectrum(model: Model) -> Spectrum:
    """Spectrum of W and its distance from a multiple of a projection, in float64, in O(n_features n_hidden²).

    A rug has it in closed form: all n_hidden singular values are a/r, and W² = (a/r) W.

    Args:
        model: Any model.

    Raises:
        ValueError: It is no model, or a weight is not finite.

    Reference: The Persian Rug, eq. 42–45 (which drop the factor a/r).

    >>> from superposition.models import PersianRug
    >>> found = spectrum(PersianRug.draw(n_features=64, n_hidden=16))
    >>> found.scale, found.distance
    (4.0, 0.0)
    """
    return _checks.instance("model", model, Model, "a model").spectrum()
