"""Encoders as linear operators, W_enc by products with it: dense, or a Persian Rug's by fast transforms."""

import abc
from dataclasses import dataclass
from functools import cached_property
from math import isfinite, pi, sqrt
from typing import Self, final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from superposition import _checks, _tensors
from superposition._random import torch_generator
from superposition.models.hadamard import hadamard_transform, paley
from superposition.models.hadamard_constructions import construction_of

# An eigenvalue of W Wᵀ below this share of the largest is none. Weights of float32 are off by u = 6e-8 of themselves
# and leave u² n of a lower rank, the product, in float64, leaves u n of its own u = 1e-16: both far below.
_RANK = {torch.float32: 1e-6, torch.float64: 1e-12}


class Encoder(abc.ABC):
    """A map hidden = W_enc x, known by its products.

    Attributes:
        n_features: Number of features.
        n_hidden: Width of the bottleneck.
    """

    n_features: int
    n_hidden: int
    # Of its matrix; None where its products take those of what they are applied to.
    dtype: torch.dtype | None = None
    device: torch.device | None = None

    # Whether W_enc W_encᵀ = (n_features/n_hidden) I and all columns have norm 1.
    is_tight = False
    # Whether every column has the same products with the others, in another order.
    columns_are_alike = False

    @abc.abstractmethod
    def encode(self, x: Float[Tensor, "batch n_features"]) -> Float[Tensor, "batch n_hidden"]:
        """Returns W_enc x."""

    @abc.abstractmethod
    def adjoint(self, hidden: Float[Tensor, "batch n_hidden"]) -> Float[Tensor, "batch n_features"]:
        """Returns W_encᵀ hidden."""

    @abc.abstractmethod
    def column_norms(self) -> Float[Tensor, " n_features"]:
        """Returns the norm of every column."""

    @abc.abstractmethod
    def columns(self, index: Int[Tensor, "*some"]) -> Float[Tensor, "*some n_hidden"]:
        """Returns columns of W_enc, each along the last axis."""

    @abc.abstractmethod
    def gram(self, index: Int[Tensor, "batch k"]) -> Float[Tensor, "batch k k"]:
        """Returns the inner products of chosen columns, of one choice a sample."""

    @abc.abstractmethod
    def diagonalised(self) -> "Diagonalised":
        """Returns the encoder after the rotation of the hidden space that makes its rows orthogonal."""

    def prepared(self, hidden: Float[Tensor, "batch n_hidden"]) -> Float[Tensor, "batch any"]:
        """Returns activations in the form in which `correction` takes them again and again."""
        return hidden

    def correction(
        self, prepared: Float[Tensor, "batch any"], x: Float[Tensor, "batch n_features"]
    ) -> tuple[Float[Tensor, "batch n_features"], Float[Tensor, " batch"]]:
        """Returns W_encᵀ(hidden − W_enc x), and the mean square of hidden − W_enc x, of prepared activations."""
        rest = prepared - self.encode(x)
        return self.adjoint(rest), torch.linalg.vecdot(rest, rest) / self.n_hidden

    def residual_norm(
        self, hidden: Float[Tensor, "batch n_hidden"], x: Float[Tensor, "batch n_features"]
    ) -> Float[Tensor, " batch"]:
        """Returns ‖hidden − W_enc x‖/‖hidden‖, and 0 where both are 0."""
        rest = hidden - self.encode(x)
        sizes: list[Tensor] = [torch.linalg.vector_norm(part, dim=1) for part in (rest, hidden)]
        if not isfinite(float(sizes[0].sum() + sizes[1].sum())):  # of squares beyond the type
            sizes = [torch.linalg.vector_norm(part, dim=1, dtype=torch.float64) for part in (rest, hidden)]
        return (sizes[0] / torch.where(sizes[1] > 0, sizes[1], 1.0)).to(hidden)


@dataclass(frozen=True)
class Diagonalised:
    """An encoder B = Uᵀ W_enc with B Bᵀ = diag(spectrum), of as many rows as W_enc has rank.

    Attributes:
        encoder: B.
        spectrum: Eigenvalues of W_enc W_encᵀ, positive, shape (rank,).
        rotation: U, shape (n_hidden, rank); None for the identity.
    """

    encoder: Encoder
    spectrum: Float[Tensor, " rank"]
    rotation: Float[Tensor, "n_hidden rank"] | None

    def rotate(self, hidden: Float[Tensor, "batch n_hidden"]) -> Float[Tensor, "batch rank"]:
        """Returns Uᵀ hidden."""
        return hidden if self.rotation is None else hidden @ self.rotation


@final
class DenseEncoder(Encoder):
    """An encoder given by its matrix.

    Args:
        W_enc: Shape (n_hidden, n_features), finite.

    >>> DenseEncoder(torch.eye(2)).encode(torch.tensor([[1.0, 2.0]]))
    tensor([[1., 2.]])
    """

    def __init__(self, W_enc: Float[Tensor, "n_hidden n_features"]) -> None:
        W_enc = _tensors.real("W_enc", W_enc, "n_hidden", "n_features").detach()
        if not W_enc.numel():
            raise ValueError(f"`W_enc` must not be empty, got shape {tuple(W_enc.shape)}")
        least, most = _tensors.bounds(W_enc.dtype)
        size = float(_tensors.finite("W_enc", W_enc).abs().max())
        if size and not least <= size <= most:
            raise ValueError(
                f"`W_enc` must have a largest entry in [{least:.0e}, {most:.0e}] for {W_enc.dtype}, got {size:g}: use "
                "another unit"
            )
        self.n_hidden, self.n_features = W_enc.shape
        # Its own: what is cached of it would not follow a change from outside.
        self.W_enc = W_enc.clone()
        self.dtype, self.device = W_enc.dtype, W_enc.device

    @classmethod
    def gaussian(cls, n_features: int, n_hidden: int, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> Self:
        """Returns an encoder of independent entries N(0, 1/n_hidden)."""
        n_features = _checks.whole_number("n_features", n_features)
        n_hidden = _checks.hidden_width(n_hidden, n_features)
        _tensors.floating("dtype", dtype)
        generator = torch_generator(seed, "gaussian encoder")
        return cls(torch.randn(n_hidden, n_features, generator=generator, dtype=dtype) / sqrt(n_hidden))

    @classmethod
    def harmonic(cls, n_features: int, n_hidden: int, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> Self:
        """Returns an equal-norm tight frame of any size: cosines and sines of drawn frequencies, of unit columns.

        Raises:
            ValueError: `n_hidden` is odd and n_features is too, so that no real row stands without its pair.
        """
        n_features = _checks.whole_number("n_features", n_features)
        n_hidden = _checks.hidden_width(n_hidden, n_features)
        _tensors.floating("dtype", dtype)
        rows: list[Tensor] = []
        place = torch.arange(n_features, dtype=torch.float64)
        if n_hidden % 2:
            if n_features % 2 and n_hidden < n_features:
                raise ValueError(f"`n_hidden` must be even where n_features = {n_features} is odd, got {n_hidden}")
            # The row of no pair: constant, or alternating.
            rows.append(torch.ones(n_features) if n_features % 2 else 1 - 2 * (place % 2))
        n_pairs = (n_features - 1) // 2
        wanted = n_hidden // 2
        if wanted > n_pairs:  # n_hidden = n_features, even
            rows += [torch.ones(n_features), 1 - 2 * (place % 2)]
            wanted -= 1
        chosen = 1 + torch.randperm(n_pairs, generator=torch_generator(seed, "harmonic frame"))[:wanted]
        angle = (2 * pi / n_features) * (chosen[:, None] * place % n_features)
        rows += [*(sqrt(2) * torch.cos(angle)), *(sqrt(2) * torch.sin(angle))]
        return cls((torch.stack([row.double() for row in rows]) / sqrt(n_hidden)).to(dtype))

    def encode(self, x: Float[Tensor, "batch n_features"]) -> Float[Tensor, "batch n_hidden"]:
        """Returns W_enc x."""
        return x @ self.W_enc.T

    def adjoint(self, hidden: Float[Tensor, "batch n_hidden"]) -> Float[Tensor, "batch n_features"]:
        """Returns W_encᵀ hidden."""
        return hidden @ self.W_enc

    def column_norms(self) -> Float[Tensor, " n_features"]:
        """Returns the norm of every column."""
        return self._norms

    def columns(self, index: Int[Tensor, "*some"]) -> Float[Tensor, "*some n_hidden"]:
        """Returns columns of W_enc, each along the last axis."""
        return self._by_feature[index]

    def gram(self, index: Int[Tensor, "batch k"]) -> Float[Tensor, "batch k k"]:
        """Returns the inner products of chosen columns."""
        chosen = self.columns(index)
        return chosen @ chosen.mT

    def diagonalised(self) -> Diagonalised:
        """Returns the encoder with orthogonal rows, from the eigenvectors of W_enc W_encᵀ."""
        return self._diagonalised

    @cached_property
    def _norms(self) -> Tensor:
        norms: Tensor = torch.linalg.vector_norm(self.W_enc, dim=0)
        return norms

    @cached_property
    def _by_feature(self) -> Tensor:
        return self.W_enc.T.contiguous()

    @cached_property
    def _diagonalised(self) -> Diagonalised:
        values, vectors = torch.linalg.eigh(self.W_enc.double() @ self.W_enc.double().T)
        kept = values > _RANK.get(self.W_enc.dtype, 1e-6) * values[-1]
        rotation = vectors[:, kept].to(self.W_enc.dtype)
        return Diagonalised(DenseEncoder(rotation.T @ self.W_enc), values[kept].to(self.W_enc.dtype), rotation)


@final
class RugEncoder(Encoder):
    """The encoder of a Persian Rug, n_hidden rows of a Hadamard matrix over √n_hidden, by fast transforms.

    Its columns have norm 1, and W_enc W_encᵀ = (n_features/n_hidden) I.

    Args:
        n_features: Order of the matrix, one of `hadamard_orders`.
        rows: Which, increasing.
    """

    is_tight = True

    def __init__(self, n_features: int, rows: Int[Tensor, " n_hidden"]) -> None:
        self.n_features, self.n_hidden = n_features, len(rows)
        self.rows, self.device = rows, rows.device
        self._made = construction_of(n_features)
        # Products of Sylvester's columns i and j depend on i xor j alone; those of Paley's do not.
        self.columns_are_alike = self._made.core == 1

    def encode(self, x: Float[Tensor, "*batch n_features"]) -> Float[Tensor, "*batch n_hidden"]:
        """Returns W_enc x by one transform."""
        return hadamard_transform(x).index_select(-1, self.rows) / sqrt(self.n_hidden)

    def adjoint(self, hidden: Float[Tensor, "batch n_hidden"]) -> Float[Tensor, "batch n_features"]:
        """Returns W_encᵀ hidden by one transform."""
        return hadamard_transform(self.prepared(hidden)).mul_(1 / self.n_hidden)

    def prepared(self, hidden: Float[Tensor, "batch n_hidden"]) -> Float[Tensor, "batch any"]:
        """Returns the activations at their rows of the transform, 0 at the others."""
        spread = hidden.new_zeros(len(hidden), self.n_features)
        return spread.index_copy_(1, self.rows, hidden * sqrt(self.n_hidden))

    def correction(
        self, prepared: Float[Tensor, "batch any"], x: Float[Tensor, "batch n_features"]
    ) -> tuple[Float[Tensor, "batch n_features"], Float[Tensor, " batch"]]:
        """Returns W_encᵀ(hidden − W_enc x), and the mean square of hidden − W_enc x, by two transforms."""
        rest = hadamard_transform(x).mul_(self._taken.to(x)).add_(prepared)
        power = torch.linalg.vecdot(rest, rest) / self.n_hidden**2
        return hadamard_transform(rest).mul_(1 / self.n_hidden), power

    def column_norms(self) -> Float[Tensor, " n_features"]:
        """Returns ones."""
        return torch.ones(self.n_features, device=self.rows.device)

    def columns(self, index: Int[Tensor, "*some"]) -> Float[Tensor, "*some n_hidden"]:
        """Returns columns of W_enc: (−1)^(number of ones in row & column)/√n_hidden, times Paley's factor."""
        return self._signs(index).to(torch.get_default_dtype()) / sqrt(self.n_hidden)

    def gram(self, index: Int[Tensor, "batch k"]) -> Float[Tensor, "batch k k"]:
        """Returns the inner products of chosen columns, of order 2^k from a table."""
        if self.columns_are_alike:
            return self._first_row[index[:, :, None] ^ index[:, None, :]]
        signs = self._signs(index).double()
        return signs @ signs.mT / self.n_hidden  # of integers, exactly

    def _signs(self, index: Int[Tensor, "*some"]) -> Float[Tensor, "*some n_hidden"]:
        """Returns entries of H at the rows, of chosen columns."""
        order = self._made.core
        common = (index // order)[..., None] & (self.rows // order)
        for shift in (16, 8, 4, 2, 1):
            common = common ^ (common >> shift)
        signs = (1 - 2 * (common & 1)).float()
        if order > 1:
            core = paley(self._made.paley, self._made.q, torch.float32, self.rows.device)
            signs = signs * core[(index % order)[..., None], self.rows % order]
        return signs

    def diagonalised(self) -> Diagonalised:
        """Returns itself: its rows are orthogonal."""
        spectrum = torch.full((self.n_hidden,), self.n_features / self.n_hidden, device=self.rows.device)
        return Diagonalised(self, spectrum, None)

    @cached_property
    def _taken(self) -> Tensor:
        """−1 at the rows, 0 at the others."""
        taken = torch.zeros(self.n_features, device=self.rows.device)
        taken[self.rows] = -1.0
        return taken

    @cached_property
    def _first_row(self) -> Tensor:
        kept = torch.zeros(self.n_features, dtype=torch.float64, device=self.rows.device)
        kept[self.rows] = 1 / self.n_hidden
        return hadamard_transform(kept)
