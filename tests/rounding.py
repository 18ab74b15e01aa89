"""Bounds on rounding errors: a tolerance that follows from what was computed, not from the machine it was computed on.

Standard model: each operation in a type of unit round-off u is exact but for a factor 1 + δ, |δ| ≤ u. Sums are bounded
for every order of their terms, with fused multiply-adds or without, so that neither the instruction set, nor the
library, nor the number of threads matters. Reference: Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed.,
chapters 3 and 4; Higham and Mary 2019 for the likely growth.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from math import expm1, log, sqrt

import numpy as np
import torch

# Largest error of an elementary function in units of 2u|f|: 4 of NumPy's vector loops, 1 of SLEEF and of MKL's VML.
FUNCTION_ULPS = 4
# Of one likely bound not to hold, if roundings are independent and of mean zero.
FALSE_ALARM = 1e-10
# Relative accuracy that the theory's docstrings promise of losses, where no closer analysis is at hand.
PROMISED = 1e-9


def unit_roundoff(dtype):
    """Half the distance from 1 to the next number, u, of a NumPy or torch type."""
    return float((torch.finfo if isinstance(dtype, torch.dtype) else np.finfo)(dtype).eps) / 2


def gamma(count, dtype):
    """γ_n = nu/(1 − nu): relative error that n roundings in a row cannot exceed."""
    nu = count * unit_roundoff(dtype)
    assert nu < 1, f"{count} roundings in {dtype} leave no digit"
    return nu / (1 - nu)


def likely_gamma(count, dtype):
    """Relative error that n independent roundings of mean zero do not exceed but with probability 1e-10: λ√n u.

    For float32 and long sums, where γ_n is above what a wrong formula would do. λ = 6.9.
    """
    u = unit_roundoff(dtype)
    spread = sqrt(2 * log(2 / FALSE_ALARM)) / (1 - u)
    return expm1(spread * sqrt(count) * u + count * u * u / (1 - u))


def sum_bound(terms, dtype, axis=None, growth=gamma):
    """Bound on the error of the sum of given terms over an axis, in any order: γ_(n−1) Σ|terms|."""
    terms = np.abs(as_array(terms))
    count = terms.size if axis is None else terms.shape[axis]
    return growth(max(count - 1, 0), dtype) * terms.sum(axis=axis)


def product_bound(a, b, dtype, growth=gamma):
    """Bound on the error of each entry of a @ b, in any order: γ_n |a| @ |b|; also of sums of products."""
    a, b = np.abs(as_array(a)), np.abs(as_array(b))
    return growth(a.shape[-1], dtype) * (a @ b)


def central_difference(function, at, step, accuracy):
    """Slope of a smooth function by (f(x + h) − f(x − h))/2h, and a bound on its error.

    With twice the step the error h²/6 f‴ is four times as large, so the two differ by three of it. The values' own
    errors, of relative `accuracy`, count 1/h, and the places' rounding moves the step.
    """
    far_low, low, high, far_high = (function(at + k * step) for k in (-2, -1, 1, 2))
    slope = (high - low) / (2 * step)
    truncated = np.abs((far_high - far_low) / (4 * step) - slope)
    moved = 2 * unit_roundoff(np.float64) * np.abs(at) / step * np.abs(slope)
    return slope, truncated + accuracy * np.maximum(np.abs(low), np.abs(high)) / step + moved


@dataclass(frozen=True)
class Bounded:
    """What a program computes in some type, and how far the program may be from it: running error analysis.

    Write the naive formula with these instead of arrays, and compare with `assert_within(found, it.value, it.error)`.

    Attributes:
        value: float64 array; its own rounding is left out, so the type should be narrower, or the margin wide.
        error: Of the same shape; 0 for what the program is given.
        dtype: Of the program.
        growth: `gamma`, or `likely_gamma` for long sums in narrow types.
    """

    value: np.ndarray
    error: np.ndarray
    dtype: object
    growth: Callable = gamma

    @classmethod
    def given(cls, value, dtype, growth=gamma):
        """What is handed to the program, in its own type."""
        value = as_array(value)
        return cls(value, np.zeros(value.shape), dtype, growth)

    @classmethod
    def rounded(cls, value, dtype, growth=gamma):
        """What the program rounds to its type first."""
        value = as_array(value)
        return cls(value, unit_roundoff(dtype) * np.abs(value), dtype, growth)

    def _with(self, value, error, count=1):
        """Adds the error of `count` more roundings."""
        return Bounded(value, error + self.growth(count, self.dtype) * (np.abs(value) + error), self.dtype, self.growth)

    def _of(self, other):
        return other if isinstance(other, Bounded) else Bounded.given(other, self.dtype, self.growth)

    def __add__(self, other):
        other = self._of(other)
        return self._with(self.value + other.value, self.error + other.error)

    def __neg__(self):
        return Bounded(-self.value, self.error, self.dtype, self.growth)

    def __sub__(self, other):
        return self + -self._of(other)

    def __mul__(self, other):
        other = self._of(other)
        error = np.abs(self.value) * other.error + self.error * (np.abs(other.value) + other.error)
        return self._with(self.value * other.value, error)

    def __truediv__(self, other):
        other = self._of(other)
        least = np.abs(other.value) - other.error
        assert (least > 0).all(), "the divisor may be 0"
        error = (self.error + np.abs(self.value / other.value) * other.error) / least
        return self._with(self.value / other.value, error)

    def __matmul__(self, other):
        other = self._of(other)
        a, b = np.abs(self.value), np.abs(other.value)
        error = a @ other.error + self.error @ (b + other.error)
        error += self.growth(a.shape[-1], self.dtype) * ((a + self.error) @ (b + other.error))
        return Bounded(self.value @ other.value, error, self.dtype, self.growth)

    def __getitem__(self, index):
        return Bounded(self.value[index], self.error[index], self.dtype, self.growth)

    @property
    def T(self):
        return Bounded(self.value.T, self.error.T, self.dtype, self.growth)

    def sum(self, axis=None):
        count = self.value.size if axis is None else self.value.shape[axis]
        error = self.error.sum(axis=axis)
        error = error + self.growth(max(count - 1, 0), self.dtype) * (np.abs(self.value).sum(axis=axis) + error)
        return Bounded(self.value.sum(axis=axis), error, self.dtype, self.growth)

    def mean(self, axis=None):
        return self.sum(axis) / np.float64(self.value.size if axis is None else self.value.shape[axis])

    def relu(self):
        """No rounding, and slopes of at most 1."""
        return Bounded(np.maximum(self.value, 0.0), self.error, self.dtype, self.growth)

    def through(self, function, slope):
        """An elementary function whose slope is at most `slope`, of `FUNCTION_ULPS`."""
        return self._with(function(self.value), slope * self.error, 2 * FUNCTION_ULPS)


def linear(x, weight, bias):
    """W x + b of rows x, weight of shape (outputs, inputs): the bias is one term more of the sum.

    Some libraries start from it, others add it last.
    """
    weight, bias = (each if isinstance(each, Bounded) else Bounded.given(each, x.dtype) for each in (weight, bias))
    matrix, error = (
        np.concatenate([of_weight, of_bias[:, None]], axis=1).T
        for of_weight, of_bias in ((weight.value, bias.value), (weight.error, bias.error))
    )
    value, off = (
        np.concatenate([part, np.full((*part.shape[:-1], 1), end)], axis=-1)
        for part, end in ((x.value, 1.0), (x.error, 0.0))
    )
    return Bounded(value, off, x.dtype, x.growth) @ Bounded(matrix, error, x.dtype, x.growth)


def through_layers(layers, x):
    """What linear layers with ReLU between them compute, from pairs of weights (outputs, inputs) and biases."""
    for depth, (weight, bias) in enumerate(layers):
        x = linear(x.relu() if depth else x, weight, bias)
    return x


def conditioned_bound(function, *inputs, roundings, dtype=np.float64, change=2.0**-26):
    """Bound on the error of a backward stable computation: condition times backward error, of the shape of its result.

    A computed result is the exact one of inputs changed by γ_n. What a change of the inputs, of random sign, moves the
    result is measured on a formula, per unit of change; where signs cancel, γ_n, above the √n that roundings come to,
    leaves room.

    Args:
        function: The formula, from arrays to an array, in float64.
        inputs: Arrays.
        roundings: n, operations in a row.
        dtype: Of the computation that will be compared.
        change: Relative, far above the roundings of the formula itself.
    """
    rng = np.random.default_rng(0)
    reference = as_array(function(*inputs))
    moved = np.zeros(reference.shape)
    for _ in range(4):
        changed = [each * (1 + change * rng.choice([-1.0, 1.0], np.shape(each))) for each in inputs]
        moved = np.fmax(moved, np.abs(as_array(function(*changed)) - reference))
    return gamma(roundings, dtype) * (moved / change + np.nan_to_num(np.abs(reference)))


def trained_bound(run, model, steps, roundings, dtype, *, growth=gamma, change=2.0**-20):
    """Bound on how far results of training in other orders of summation lie apart, of the shape of the results.

    Each step has the error of a step from weights that are changed by γ_n, n the roundings in a row of one step, so
    after `steps` of them the results have moved by that many times what one change of the first weights moves them,
    per unit of change. This is measured, with a change that is far above the roundings and far below the weights, in
    float64. It is the largest movement of all entries of a result, and roundings mostly cancel: γ_n is above them
    by √n, and so is the number of steps.

    Args:
        run: Trains a copy of a model and returns arrays. In float64.
        model: From where; in float64.
        steps: Of the training.
        roundings: n.
        dtype: Of the runs that will be compared.
        growth: `likely_gamma` for float32.
        change: Relative, of random sign, of every weight.
    """
    generator = torch.Generator().manual_seed(0)
    straight = [as_array(result) for result in run(copy.deepcopy(model))]
    moved = [0.0] * len(straight)
    for _ in range(2):
        changed = copy.deepcopy(model)
        with torch.no_grad():
            for parameter in changed.parameters():
                signs = torch.randint(0, 2, parameter.shape, generator=generator) * 2 - 1
                parameter.mul_(1 + change * signs.to(parameter))
        for index, (result, reference) in enumerate(zip(run(changed), straight, strict=True)):
            moved[index] = max(moved[index], float(np.abs(as_array(result) - reference).max()))
    return [steps * growth(roundings, dtype) * each / change for each in moved]


def as_array(value):
    """float64 array of a number, an array or a tensor."""
    return np.asarray(value.detach().cpu().double() if isinstance(value, torch.Tensor) else value, np.float64)


def assert_within(actual, expected, bound, resolution=0.01):
    """Asserts |actual − expected| ≤ bound entry by entry, and that the bounds are below `resolution` · max|expected|.

    Reports the worst entry in units of its bound. Nothing is broadcast but a scalar `expected` or `bound`.
    """
    actual, expected, bound = as_array(actual), as_array(expected), as_array(bound)
    for name, other in (("expected", expected), ("bound", bound)):
        assert other.shape in ((), actual.shape), (
            f"{name} has shape {other.shape}, what it is held against {actual.shape}"
        )
        assert np.isfinite(other).all(), f"{name} is not finite"
    largest = np.abs(expected).max(initial=0.0)
    assert not largest or bound.max(initial=0.0) <= resolution * largest, (
        f"too blunt: a bound of {bound.max():.3g} where values are up to {largest:.3g}"
    )
    error = np.abs(actual - expected)
    wrong = ~(error <= bound)  # also where NaN
    if wrong.any():
        with np.errstate(divide="ignore", invalid="ignore"):
            units = np.where(wrong, np.nan_to_num(error / bound, nan=np.inf), 0.0)
        at = np.unravel_index(int(units.argmax()), units.shape)
        found, wanted, allowed = (float(np.broadcast_to(array, units.shape)[at]) for array in (actual, expected, bound))
        raise AssertionError(
            f"{int(wrong.sum())} of {wrong.size} entries out of bounds, the worst at {tuple(map(int, at))}: "
            f"{found:.17g} for {wanted:.17g}, {units[at]:.3g} times the bound {allowed:.3g}"
        )


def assert_close(actual, expected, relative, resolution=0.01):
    """Asserts |actual − expected| ≤ relative · |expected| entry by entry.

    There is no absolute term, as that of `pytest.approx`, 1e-12, below which every value is close to every other.
    """
    expected = as_array(expected)
    assert_within(actual, expected, as_array(relative) * np.abs(expected), resolution)
