"""The Bayes denoiser of the theory on whole tensors: tables over z and σ, looked up entry by entry."""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from superposition._checks import FloatArray
from superposition.features import Law
from superposition.features.sampling import where_true
from superposition.theory import bayes_denoiser

# Distance of nodes of log σ, four of which give a value between by cubic interpolation, to within 1e-3 σ. So many of
# them share the nodes of z.
_CELL, _GROUP = 0.05, 8
# Tables run over z in units of a group's least σ, in steps for linear interpolation, each built of exact nodes by cubic
# interpolation.
_LOW, _HIGH, _STEPS, _REFINED = -16.0, 34.0, 32, 4
# Beyond a table a feature is on; nodes around the law's landmarks, and so many between.
_AROUND_LANDMARK = np.arange(-18.0, 18.05, 0.1)
_BETWEEN = 65
# A distance d ≫ σ from the support, the mean is off its end by about σ²/d: straight in 1/d. Nodes of d, in units of the
# first, and one as good as infinite. Of a law without end the mean is straight in z there. Within the support such
# nodes resolve a density that falls to 0 as a power of d.
_DISTANCES = 2 ** (np.arange(1, 41) / 4)
_INFINITE = 1e6
# A mean above the law's end by more than rounding.
_ABOVE = 1 + 1e-9
# Entries taken together: what fits a core's cache.
_BLOCK = 2**16


@dataclass(frozen=True)
class _Outside:
    """Nodes of z outside the tables, as `straightened`.

    Attributes:
        nodes: Increasing, shape (m,).
        first: z below which it is bent.
        last: z above which it is bent.
        below: 1/d at `first`.
        above: 1/d at `last`; 0 for a law without end.
    """

    nodes: FloatArray
    first: float
    last: float
    below: float
    above: float

    def straightened(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Returns a function of z that the means are straight in from node to node, and its slope."""
        down, up = (self.first - z).clamp_(min=0), (z - self.last).clamp_(min=0)
        shrunk, other = 1 / (1 + self.below * down), 1 / (1 + self.above * up)
        return z.clamp(self.first, self.last) + up * other - down * shrunk, (shrunk * other) ** 2


@dataclass(frozen=True)
class _Level:
    """Posterior means at one σ.

    Attributes:
        table: On equal steps of z, and their rises to the next step, shape (2, k).
        outside: Nodes of z outside.
        means: There.
    """

    table: FloatArray
    outside: _Outside
    means: FloatArray


@dataclass(frozen=True)
class _Cell:
    """Posterior means for σ between two levels.

    Attributes:
        unit: In which the steps of z are.
        outside: Nodes of z outside the tables.
        pieces: Of each piece between them its values at four σ, and its rises, shape (nodes − 1, 8).
    """

    unit: float
    outside: _Outside
    pieces: FloatArray


class Denoiser:
    """Posterior mean of x given z = x + ν, ν ~ N(0, σ²), with the derivative of what is returned.

    At any finite z the mean is within 1e-3 σ, where it turns most sharply within 1e-2 σ, or 1e-6 of itself if that is
    more; for a law without end while σ is up to 3 times its scale. In a gap between values, 0 among them, 7 σ and more
    from either, where noise puts no observation, the jump from one to the other is met to a step of the table only.

    Args:
        law: Law of active values.
        probability: p, in (0, 1].
    """

    def __init__(self, law: Law, probability: float) -> None:
        self._law, self._probability = law, probability
        self._cells: dict[int, _Cell] = {}
        self._levels: dict[tuple[int, int], _Level] = {}

    def __call__(
        self, z: Float[Tensor, "rows columns"], noise_std: Float[Tensor, " rows"]
    ) -> tuple[Float[Tensor, "rows columns"], Float[Tensor, " rows"]]:
        """Returns E[x | z], and each row's mean of σ² ∂E[x | z]/∂z, the mean posterior variance (Tweedie).

        Args:
            z: Observations.
            noise_std: σ of each row, positive.
        """
        place = noise_std.double().log().cpu().numpy() / _CELL
        numbers, which = np.unique(np.floor(place).astype(int), return_inverse=True)
        cells, own = [self._cell(int(number)) for number in numbers], torch.from_numpy(which).to(z.device)
        within = torch.from_numpy(place - np.floor(place)).to(z)
        unit = torch.from_numpy(np.array([cell.unit for cell in cells])[which]).to(z)[:, None]
        tables = self._tables(numbers, own, within)
        mean, total = torch.empty_like(z), torch.zeros(len(z), dtype=torch.float64, device=z.device)
        length, scale = tables.shape[2], _STEPS / unit
        width = min(z.shape[1], _BLOCK)
        height = max(1, _BLOCK // width)
        for top in range(0, len(z), height):
            rows = slice(top, top + height)
            here = tables[rows].view(-1)
            starts = 2 * length * torch.arange(len(z[rows]), dtype=torch.int32, device=z.device)[:, None]
            for left in range(0, z.shape[1], width):
                part = z[rows, left : left + width]
                position = torch.mul(part, scale[rows]).add_(-_LOW * _STEPS).clamp_(0, length - 1.5)
                index = position.to(torch.int32).add_(starts).view(-1)
                found = here.index_select(0, index).view(part.shape)
                rise = here[length:].index_select(0, index).view(part.shape)
                torch.addcmul(found, position.frac_(), rise, out=mean[rows, left : left + width])
                total[rows] += rise.sum(dim=1)
        has_below = bool((z.amin(dim=1, keepdim=True) < _LOW * unit).any())
        if has_below or bool((z.amax(dim=1, keepdim=True) > _HIGH * unit).any()):
            above = z > _HIGH * unit
            outside = where_true(above | (z < _LOW * unit) if has_below else above)
            row = outside // z.shape[1]
            points = z.reshape(-1)[outside]
            found, rise = _found_outside(points, cells, own[row], within[row])
            mean.view(-1)[outside] = found
            taken = tables[row, 1, torch.where(points > 0, length - 2, 0)]
            total.index_add_(0, row, (rise - taken).double())
        # The rise is one of so many steps a σ.
        return mean, total * _STEPS / unit[:, 0].double() * noise_std.double() ** 2 / z.shape[1]

    def _cell(self, number: int) -> _Cell:
        """Returns the cell of σ from exp(0.05 · number) on."""
        if number not in self._cells:
            levels = [self._level(*key) for key in _around(number)]
            columns = [level.means[:-1] for level in levels] + [np.diff(level.means) for level in levels]
            self._cells[number] = _Cell(_unit(number // _GROUP), levels[0].outside, np.stack(columns, axis=1))
        return self._cells[number]

    def _tables(self, numbers: NDArray[np.int64], own: Tensor, within: Tensor) -> Float[Tensor, "rows 2 k"]:
        """Returns each row's table, from the levels around its σ by cubic interpolation."""
        column = {key: i for i, key in enumerate(dict.fromkeys(key for n in numbers for key in _around(int(n))))}
        levels = torch.from_numpy(np.stack([self._level(*key).table for key in column])).to(within)
        places = torch.tensor([[column[key] for key in _around(int(n))] for n in numbers], device=own.device)
        weights = within.new_zeros(len(within), len(column)).scatter_(1, places[own], _cubic_weights(within))
        return (weights @ levels.flatten(1)).view(-1, *levels.shape[1:])

    def _level(self, group: int, number: int) -> _Level:
        if (group, number) not in self._levels:
            self._levels[group, number] = self._made(_unit(group), float(np.exp(_CELL * number)))
        return self._levels[group, number]

    def _made(self, unit: float, sigma: float) -> _Level:
        """Returns the level of σ on the nodes of a unit."""
        coarse = np.arange(_LOW * _STEPS, _HIGH * _STEPS + 2 * _REFINED, _REFINED) * unit / _STEPS
        fine = coarse[0] + np.arange((coarse.size - 1) * _REFINED + 1) * unit / _STEPS
        first, last = coarse[0], max(self._law.support[1], coarse[-1]) - _AROUND_LANDMARK[0] * unit
        # Above the law even where σ is less than the rounding of its values.
        last = max(last, np.nextafter(self._law.support[1], np.inf))
        around = (self._law.landmarks[:, None] + unit * _AROUND_LANDMARK).ravel()
        between = np.linspace(coarse[-2], last, _BETWEEN)
        low, high = self._law.support
        edge = _AROUND_LANDMARK[-1] * unit * _DISTANCES
        near = np.concatenate([around, low + edge, high - edge])
        near = np.unique(np.concatenate([between, near[(near > between[0]) & (near < last)]]))
        below, above = low - first, last - high
        away = np.append(_DISTANCES, _INFINITE) - 1
        nodes = np.concatenate([first - below * away[::-1], [first], near, last + above * away])
        exact = bayes_denoiser(np.concatenate([coarse, nodes]), sigma, self._probability, self._law)
        slopes = exact.variance[: coarse.size] / sigma**2
        means = _hermite(coarse, exact.mean[: coarse.size], slopes, fine)
        ends = exact.mean[-1] <= _ABOVE * self._law.support[1]
        outside = _Outside(nodes, float(first), float(last), float(1 / below), float(1 / above) if ends else 0.0)
        straight = outside.straightened(torch.from_numpy(nodes))[0].numpy()
        return _Level(
            np.stack([means[:-1], np.diff(means)]), replace(outside, nodes=straight), exact.mean[coarse.size :]
        )


def _unit(group: int) -> float:
    """Returns the least σ of a group of levels."""
    return float(np.exp(_CELL * _GROUP * group))


def _around(number: int) -> list[tuple[int, int]]:
    """Returns the levels whose nodes σ = exp(0.05 · number) to the next level's is interpolated from."""
    return [(number // _GROUP, number + offset) for offset in (-1, 0, 1, 2)]


@lru_cache(maxsize=16)
def denoiser(law: Law, probability: float) -> Denoiser:
    """Returns the denoiser of a law and a probability; its tables are kept."""
    return Denoiser(law, probability)


def _found_outside(points: Tensor, cells: list[_Cell], own: Tensor, within: Tensor) -> tuple[Tensor, Tensor]:
    """Returns means and rises a step at points outside the tables; cells of one unit have one set of nodes."""
    mean, rise = torch.empty_like(points), torch.empty_like(points)
    units = [cell.unit for cell in cells]
    for unit in sorted(set(units)):
        first = units.index(unit)
        group = [cell for cell in cells if cell.unit == unit]
        here = where_true((own >= first) & (own < first + len(group))) if len(group) < len(cells) else slice(None)
        z, slope = group[0].outside.straightened(points[here])
        nodes = torch.from_numpy(group[0].outside.nodes).to(z)
        pieces = torch.from_numpy(np.concatenate([cell.pieces for cell in group])).to(z)
        left = torch.bucketize(z, nodes, out_int32=True).sub_(1).clamp_(0, len(nodes) - 2)
        step = (nodes[1:] - nodes[:-1]).index_select(0, left)
        along = (z - nodes.index_select(0, left)) / step
        place = left + (own[here] - first).to(torch.int32) * (len(nodes) - 1)
        at_levels = pieces.index_select(0, place).view(-1, 2, 4)
        value, turn = torch.bmm(at_levels, _cubic_weights(within[here])[:, :, None]).view(-1, 2).unbind(1)
        mean[here] = value.addcmul(along, turn)
        rise[here] = turn / step * slope * (unit / _STEPS)
    return mean, rise


def _cubic_weights(t: Float[Tensor, " rows"]) -> Float[Tensor, "rows 4"]:
    """Returns Lagrange's weights of the nodes −1, 0, 1, 2 at t in [0, 1]."""
    a, b, c = t + 1, t - 1, t - 2
    return torch.stack([-t * b * c / 6, a * b * c / 2, -a * t * c / 2, a * t * b / 6], dim=1)


def _hermite(nodes: FloatArray, values: FloatArray, slopes: FloatArray, points: FloatArray) -> FloatArray:
    """Returns the cubic Hermite interpolant at points between the nodes."""
    left = np.clip(np.searchsorted(nodes, points) - 1, 0, nodes.size - 2)
    step = nodes[left + 1] - nodes[left]
    t = (points - nodes[left]) / step
    low, rise = values[left], values[left + 1] - values[left]
    at_low, at_high = slopes[left] * step, slopes[left + 1] * step
    return low + t * (at_low + t * (3 * rise - 2 * at_low - at_high + t * (at_low + at_high - 2 * rise)))
