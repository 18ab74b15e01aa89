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

# Nodes of log σ, four of which give a value between by cubic interpolation, to within 1e-3 σ.
_CELL = 0.05
_AROUND_CELL = np.array([-1.0, 0.0, 1.0, 2.0])
# Tables run over z in units of a cell's σ, in steps for linear interpolation, each built of exact nodes by cubic
# interpolation.
_LOW, _HIGH, _STEPS, _REFINED = -10.0, 34.0, 32, 2
# Beyond a table a feature is on; nodes around the law's landmarks, and so many between.
_AROUND_LANDMARK = np.arange(-12.0, 12.05, 0.1)
_BETWEEN = 257
# Entries taken together: what fits a core's cache.
_BLOCK = 2**16


@dataclass(frozen=True)
class _Cell:
    """Posterior means for σ in a narrow range.

    Attributes:
        unit: σ in whose units the steps are.
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
        if number not in self._cells:
            self._cells[number] = self._made(number)
        return self._cells[number]

    def _made(self, number: int) -> _Cell:
        """Returns the cell of σ from exp(number · 0.05) on."""
        sigma = np.exp((number + _AROUND_CELL) * _CELL)
        unit, widest = float(sigma[1]), float(sigma[-1])
        coarse = np.arange(_LOW * _STEPS, _HIGH * _STEPS + 2 * _REFINED, _REFINED) * unit / _STEPS
        fine = coarse[0] + np.arange((coarse.size - 1) * _REFINED + 1) * unit / _STEPS
        last = max(self._law.support[1], coarse[-1]) + 12 * widest
        around = (self._law.landmarks[:, None] + widest * _AROUND_LANDMARK).ravel()
        between = np.linspace(coarse[-2], last, _BETWEEN)
        nodes = np.unique(np.concatenate([between, around[(around > between[0]) & (around < last)]]))
        tables = []
        for one in sigma.tolist():
            exact = bayes_denoiser(coarse, one, self._probability, self._law)
            tables.append(_hermite(coarse, exact.mean, exact.variance / one**2, fine))
        table = np.stack(tables)
        beyond = [bayes_denoiser(nodes, one, self._probability, self._law).mean for one in sigma[1:3].tolist()]
        pieces = np.stack([column for mean in beyond for column in (mean[:-1], np.diff(mean))], axis=1)
        return _Cell(unit, table[:, :-1], np.diff(table), nodes, pieces)


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
    """Returns the means, and the rises a step, at points beyond the tables."""
    mean, rise = torch.empty_like(points), torch.empty_like(points)
    for number, cell in enumerate(cells):
        here = where_true(own == number)
        z, share = points[here], within[here]
        nodes, pieces = (torch.from_numpy(table).to(z) for table in (cell.nodes, cell.pieces))
        left = torch.bucketize(z, nodes, out_int32=True).sub_(1).clamp_(0, len(nodes) - 2)
        step = (nodes[1:] - nodes[:-1]).index_select(0, left)
        along = ((z - nodes.index_select(0, left)) / step).clamp_(max=1)
        value, turn, other_value, other_turn = pieces.index_select(0, left).unbind(1)
        turn = torch.lerp(turn, other_turn, share)
        mean[here] = torch.lerp(value, other_value, share).addcmul_(along, turn)
        rise[here] = turn / step * (cell.unit / _STEPS)
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
