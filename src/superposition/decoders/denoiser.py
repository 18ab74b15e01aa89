"""The Bayes denoiser of the theory on whole tensors: tables over z and σ, looked up entry by entry."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
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
# Entries taken together: what fits a core's cache.
_BLOCK = 2**16


@dataclass(frozen=True)
class _Level:
    """Posterior means at one σ.

    Attributes:
        table: On equal steps of z, shape (k + 1,).
        nodes: Nodes of z beyond.
        means: There.
    """

    table: FloatArray
    nodes: FloatArray
    means: FloatArray


@dataclass(frozen=True)
class _Cell:
    """Posterior means for σ between two levels.

    Attributes:
        unit: In which the steps of z are.
        values: On equal steps of z, a row for each of four σ, shape (4, k).
        rises: Their differences.
        nodes: Nodes of z beyond.
        pieces: Of each piece between them its value and rise at two σ, shape (nodes − 1, 4).
    """

    unit: float
    values: FloatArray
    rises: FloatArray
    nodes: FloatArray
    pieces: FloatArray


class Denoiser:
    """Posterior mean of x given z = x + ν, ν ~ N(0, σ²), with the derivative of what is returned.

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
        values = _blended([cell.values for cell in cells], own, within)
        rises = _blended([cell.rises for cell in cells], own, within)
        mean, total = torch.empty_like(z), torch.zeros(len(z), dtype=torch.float64, device=z.device)
        length, low = values.shape[1], torch.tensor(-_LOW * _STEPS).to(z)
        width = min(z.shape[1], _BLOCK)
        height = max(1, _BLOCK // width)
        for top in range(0, len(z), height):
            rows = slice(top, top + height)
            starts = length * torch.arange(len(z[rows]), dtype=torch.int32, device=z.device)[:, None]
            for left in range(0, z.shape[1], width):
                part = z[rows, left : left + width]
                position = torch.addcmul(low, part, _STEPS / unit[rows]).clamp_(0, length - 1.5)
                index = position.to(torch.int32).add_(starts).view(-1)
                rise = rises[rows].view(-1).index_select(0, index).view(part.shape)
                found = values[rows].view(-1).index_select(0, index).view(part.shape)
                found.addcmul_(position.frac_(), rise)
                mean[rows, left : left + width] = found
                total[rows] += rise.sum(dim=1)
        beyond = where_true(z > _HIGH * unit)
        if len(beyond):
            row = beyond // z.shape[1]
            points = z.reshape(-1)[beyond]
            found, rise = _found_beyond(points, cells, own[row], within[row])
            mean.view(-1)[beyond] = found
            total.index_add_(0, row, (rise - rises[row, length - 2]).double())
        # The rise is one of so many steps a σ.
        return mean, total * _STEPS / unit[:, 0].double() * noise_std.double() ** 2 / z.shape[1]

    def _cell(self, number: int) -> _Cell:
        """Returns the cell of σ from exp(0.05 · number) on."""
        if number not in self._cells:
            group = number // _GROUP
            levels = [self._level(group, number + offset) for offset in (-1, 0, 1, 2)]
            table = np.stack([level.table for level in levels])
            columns = [part for level in levels[1:3] for part in (level.means[:-1], np.diff(level.means))]
            self._cells[number] = _Cell(
                _unit(group), table[:, :-1], np.diff(table), levels[0].nodes, np.stack(columns, axis=1)
            )
        return self._cells[number]

    def _level(self, group: int, number: int) -> _Level:
        if (group, number) not in self._levels:
            self._levels[group, number] = self._made(_unit(group), float(np.exp(_CELL * number)))
        return self._levels[group, number]

    def _made(self, unit: float, sigma: float) -> _Level:
        """Returns the level of σ on the nodes of a unit."""
        coarse = np.arange(_LOW * _STEPS, _HIGH * _STEPS + 2 * _REFINED, _REFINED) * unit / _STEPS
        fine = coarse[0] + np.arange((coarse.size - 1) * _REFINED + 1) * unit / _STEPS
        last = max(self._law.support[1], coarse[-1]) - _AROUND_LANDMARK[0] * unit
        around = (self._law.landmarks[:, None] + unit * _AROUND_LANDMARK).ravel()
        between = np.linspace(coarse[-2], last, _BETWEEN)
        nodes = np.unique(np.concatenate([between, around[(around > between[0]) & (around < last)]]))
        exact = bayes_denoiser(np.concatenate([coarse, nodes]), sigma, self._probability, self._law)
        slopes = exact.variance[: coarse.size] / sigma**2
        return _Level(_hermite(coarse, exact.mean[: coarse.size], slopes, fine), nodes, exact.mean[coarse.size :])


def _unit(group: int) -> float:
    """Returns the least σ of a group of levels."""
    return float(np.exp(_CELL * _GROUP * group))


@lru_cache(maxsize=16)
def denoiser(law: Law, probability: float) -> Denoiser:
    """Returns the denoiser of a law and a probability; its tables are kept."""
    return Denoiser(law, probability)


def _blended(tables: list[FloatArray], own: Tensor, within: Tensor) -> Tensor:
    """Returns each row's table from the four of its cell."""
    weights = _cubic_weights(within)
    blended = weights.new_empty(len(weights), tables[0].shape[1])
    for number, table in enumerate(tables):
        here = own == number
        blended[here] = weights[here] @ torch.from_numpy(table).to(weights)
    return blended


def _found_beyond(points: Tensor, cells: list[_Cell], own: Tensor, within: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the means, and the rises a step, at points beyond the tables; cells of one unit have one set of nodes."""
    mean, rise = torch.empty_like(points), torch.empty_like(points)
    units = [cell.unit for cell in cells]
    for unit in sorted(set(units)):
        first = units.index(unit)
        group = [cell for cell in cells if cell.unit == unit]
        here = where_true((own >= first) & (own < first + len(group))) if len(group) < len(cells) else slice(None)
        z, share = points[here], within[here]
        nodes = torch.from_numpy(group[0].nodes).to(z)
        pieces = torch.from_numpy(np.concatenate([cell.pieces for cell in group])).to(z)
        left = torch.bucketize(z, nodes, out_int32=True).sub_(1).clamp_(0, len(nodes) - 2)
        step = (nodes[1:] - nodes[:-1]).index_select(0, left)
        along = ((z - nodes.index_select(0, left)) / step).clamp_(max=1)
        place = left + (own[here] - first).to(torch.int32) * (len(nodes) - 1)
        value, turn, other_value, other_turn = pieces.index_select(0, place).unbind(1)
        turn = torch.lerp(turn, other_turn, share)
        mean[here] = torch.lerp(value, other_value, share).addcmul_(along, turn)
        rise[here] = turn / step * (unit / _STEPS)
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
