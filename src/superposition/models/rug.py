"""The Persian Rug: weights of least interference, built from rows of a Hadamard matrix."""

from typing import Any, ClassVar, Self, final, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from superposition import _checks, _tensors
from superposition._names import EncoderName
from superposition._random import numpy_rng
from superposition.features import Features, SparseFeatures
from superposition.models.activations import ReLU
from superposition.models.base import Model
from superposition.models.encoders import DenseEncoder, Encoder, RugEncoder
from superposition.models.hadamard import hadamard_transform
from superposition.models.hadamard_constructions import check_order, construction_of
from superposition.models.spectrum import Spectrum
from superposition.theory import symmetric_optimum

_LARGEST_MATRIX = 16384


@final
class PersianRug(Model):
    """The artificial autoencoder x̂ = ReLU(a R x + b), R = n_hidden⁻¹ Σ_{k∈S} H_·k H_·kᵀ, matrix-free.

    R has unit diagonal and every row has Σ_{j≠i} R_ij² = n_features/n_hidden − 1, the least possible
    (eq. 6). R² = (n_features/n_hidden) R: it is proportional to a projector (eq. 42–45 drop the factor).

    Args:
        n_features: Order of the Hadamard matrix, one of `hadamard_orders`: a power of two, or Paley's times one.
        rows: The set S: distinct rows of the matrix, shape (n_hidden,).
        scale: a > 0, the diagonal of W.
        bias: b, added to every pre-activation, in feature units.
        hidden_noise: Standard deviation of noise on every hidden unit, in [0, 1e15], over that of the units without it,
            which are all alike.

    Attributes:
        rows: The set S, increasing.
        scale: a, a float64 scalar parameter.
        bias: b, a float64 scalar parameter.

    Raises:
        ValueError: No Hadamard matrix of the order is known here, or rows are repeated or out of range.

    Reference: The Persian Rug, section 4.2.2 and appendix F.

    >>> rug = PersianRug.fit(SparseFeatures(n_features=64, probability=0.045), n_hidden=16)
    >>> round(float(rug.scale), 4)
    1.2892
    """

    kind: ClassVar[str] = "PersianRug"

    rows: Tensor

    def __init__(
        self,
        n_features: int,
        rows: Int[Tensor, " n_hidden"],
        *,
        scale: float = 1.0,
        bias: float = 0.0,
        hidden_noise: float = 0.0,
    ) -> None:
        super().__init__()
        self.hidden_noise = _checks.one("hidden_noise", _checks.hidden_noise(hidden_noise))
        self.n_features = check_order(_checks.whole_number("n_features", n_features))
        # Of Sylvester's matrices; rows of R from Paley's have the same squares in sum, but not the same entries.
        self.rows_are_alike = construction_of(self.n_features).core == 1
        is_whole = isinstance(rows, torch.Tensor) and not (rows.is_floating_point() or rows.is_complex())
        if not is_whole or rows.ndim != 1 or rows.dtype == torch.bool:
            raise ValueError(f"`rows` must be a tensor of whole numbers, of one axis, got {_checks.shown(rows)}")
        self.n_hidden = _checks.hidden_width(rows.numel(), n_features)
        if not _checks.one("scale", _checks.finite("scale", scale)) > 0:
            raise ValueError(f"`scale` must be positive, got {scale:g}")
        _checks.one("bias", _checks.finite("bias", bias))
        ordered = rows.long().sort().values
        if int(ordered[0]) < 0 or int(ordered[-1]) >= n_features or bool((ordered.diff() == 0).any()):
            raise ValueError(f"`rows` must be distinct and in [0, {n_features - 1}], got {rows.tolist()[:8]} …")
        self.register_buffer("rows", ordered)
        # They ask for no gradient until a stochastic fit does: float(rug.scale) is a plain number.
        self.scale = torch.nn.Parameter(torch.tensor(scale, dtype=torch.float64), requires_grad=False)
        self.bias = torch.nn.Parameter(torch.tensor(bias, dtype=torch.float64), requires_grad=False)
        self.activation = ReLU()

    @classmethod
    def draw(cls, n_features: int, n_hidden: int, *, seed: int = 0, hidden_noise: float = 0.0) -> Self:
        """Returns a rug with a = 1, b = 0 and a uniformly drawn set of rows.

        Raises:
            ValueError: No Hadamard matrix of order `n_features` is known, or `n_hidden` is not in [1, n_features].
        """
        check_order(_checks.whole_number("n_features", n_features))
        _checks.hidden_width(n_hidden, n_features)
        rows = numpy_rng(seed, "rug rows").choice(n_features, size=n_hidden, replace=False)
        return cls(n_features, torch.from_numpy(rows), hidden_noise=hidden_noise)

    @classmethod
    def fit(cls, features: SparseFeatures, n_hidden: int, *, seed: int = 0, hidden_noise: float = 0.0) -> Self:
        """Returns a rug with a drawn set of rows and the closed-form optimal scale and bias.

        Mean field takes the interference as Gaussian; its mean is moved from the bias of the theory into
        that of the model, so that a set with the constant row serves as well as any other.

        Args:
            features: Symmetric features (scalar probability and importance).
            n_hidden: Number of rows, in [1, n_features].
            seed: Seed of the row set.
            hidden_noise: Of the rug, which scale and bias allow for.

        Raises:
            ValueError: The features are not symmetric or a size is not valid.

        Reference: The Persian Rug, eq. 5, 6, 13.
        """
        _checks.instance("features", features, SparseFeatures, "a SparseFeatures").check_symmetric("a rug")
        rug = cls.draw(features.n_features, n_hidden, seed=seed, hidden_noise=hidden_noise)
        ratio = rug.n_hidden / rug.n_features
        best = symmetric_optimum(ratio, features.probability, features.law, hidden_noise=rug.hidden_noise)
        with torch.no_grad():
            rug.scale.fill_(best.scale)
            rug.bias.fill_(best.bias - best.scale * rug.interference_mean(features))
        return rug

    def interference_mean(self, features: SparseFeatures) -> float:
        """Returns E ν_i, equal for every i: the off-diagonal row sum of R times E x.

        H_·k sums to zero but for the constant row k = 0, which all matrices here have and whose presence
        gives every row of R a sum of 1/r.
        """
        row_sum = self.n_features / self.n_hidden if int(self.rows[0]) == 0 else 0.0
        return (row_sum - 1.0) * float(features.mean)

    @property
    def encoder(self) -> RugEncoder:
        """W_enc, the chosen rows of H over √n_hidden."""
        return RugEncoder(self.n_features, self.rows)

    def encode(self, x: Float[Tensor, "*batch n_features"]) -> Float[Tensor, "*batch n_hidden"]:
        """Returns hidden = W_enc x, W_enc the chosen rows of H over √n_hidden."""
        return self.encoder.encode(self.checked(x))

    def read_out(self, hidden: Float[Tensor, "*batch n_hidden"]) -> Float[Tensor, "*batch n_features"]:
        """Returns a W_encᵀ hidden."""
        _tensors.rows("hidden", hidden, self.n_hidden)
        flat = self.encoder.adjoint(hidden.reshape(-1, self.n_hidden))
        return self.scale * flat.view(*hidden.shape[:-1], self.n_features)

    def hidden_variance(self, features: Features) -> Float[Tensor, ""]:
        """Returns the variance of a hidden unit on average: of independent features their sum's over n_hidden."""
        if features.covariance is not None:
            return super().hidden_variance(features)
        total = features.per_feature(features.variance).sum() / self.n_hidden  # columns of W_enc have norm 1
        return torch.tensor(total, dtype=torch.float32, device=self.rows.device)

    def W_times(self, x: Float[Tensor, "*batch n_features"]) -> Float[Tensor, "*batch n_features"]:
        """Returns a R x."""
        return self.scale * self.apply_R(x)

    def apply_R(self, x: Float[Tensor, "*batch n_features"]) -> Float[Tensor, "*batch n_features"]:
        """Returns R x by two fast transforms.

        Divided at last: entries of R, from unit vectors, are sums of integers until then and the same bits everywhere.
        """
        _tensors.rows("x", x, self.n_features)
        kept = torch.zeros(self.n_features, dtype=x.dtype, device=x.device)
        kept[self.rows] = 1
        return hadamard_transform(hadamard_transform(x) * kept) / self.n_hidden

    @torch.no_grad()
    def W_rows(self, start: int, stop: int) -> Float[Tensor, "rows n_features"]:
        """Returns rows of W = a R, in float32."""
        units = torch.zeros(stop - start, self.n_features, device=self.rows.device)
        units[torch.arange(stop - start), torch.arange(start, stop)] = 1.0
        return self.scale * self.apply_R(units)

    def matrix(self) -> Float[Tensor, "n_features n_features"]:
        """Returns R as a dense matrix, unit diagonal, in float32; for looking, at orders of at most 16384.

        Raises:
            ValueError: The matrix would be larger than that.
        """
        if self.n_features > _LARGEST_MATRIX:
            size = 4e-9 * self.n_features**2
            raise ValueError(
                f"`n_features` must be at most {_LARGEST_MATRIX} for a dense matrix, got {self.n_features} "
                f"({size:.0f} GB): use W_rows"
            )
        return self.apply_R(torch.eye(self.n_features, device=self.rows.device))

    @torch.no_grad()
    def bias_vector(self) -> Float[Tensor, " n_features"]:
        """Returns b for every feature."""
        return self.bias.detach().float().expand(self.n_features)

    def bias_parameter(self) -> Tensor:
        """Returns b, a scalar."""
        return self.bias

    def W_dec_of_unit_diagonal(self) -> None:
        """Returns None: it is W_encᵀ."""

    def spectrum(self) -> Spectrum:
        """Returns that of a multiple of a projection: all n_hidden singular values are a/r, and W² = (a/r) W."""
        return Spectrum.of_projection(float(self.scale) * self.n_features / self.n_hidden, self.n_hidden)

    @classmethod
    def restored(cls, n_features: int, n_hidden: int, tensors: dict[str, Tensor], settings: dict[str, Any]) -> Self:
        """Returns the rug of saved rows, scale and bias, and its hidden noise."""
        _tensors.check_shapes(tensors, {"rows": (n_hidden,), "scale": (), "bias": ()}, whole=("rows",))
        scale, bias = float(tensors["scale"]), float(tensors["bias"])
        model = cls(n_features, tensors["rows"], scale=scale, bias=bias, **settings)
        if not torch.equal(model.rows, tensors["rows"]):
            raise ValueError("`rows` must be increasing")
        model.load_state_dict(tensors, assign=True)  # keeps their dtype
        return model

    def extra_repr(self) -> str:
        """Returns the sizes and the two parameters."""
        return (
            f"n_features={self.n_features}, n_hidden={self.n_hidden}, "
            f"scale={float(self.scale):.6g}, bias={float(self.bias):.6g}"
        )


def encoder_named(name: EncoderName, n_features: int, n_hidden: int, *, seed: int = 0) -> Encoder:
    """An encoder drawn by the name of its kind.

    Args:
        name: "rug": rows of a Hadamard matrix, by fast transforms; "gaussian": independent entries; "harmonic": rows of
            a Fourier matrix.
        n_features: Number of features; one of `hadamard_orders` for a rug.
        n_hidden: Width of the bottleneck, in [1, n_features].
        seed: Seed of the draw.

    Raises:
        ValueError: There is no such kind, or no such encoder of it.

    >>> encoder_named("rug", 8, 4).is_tight
    True
    """
    match _checks.choice("encoder", name, get_args(EncoderName)):
        case "rug":
            return PersianRug.draw(n_features, n_hidden, seed=seed).encoder
        case "gaussian":
            return DenseEncoder.gaussian(n_features, n_hidden, seed=seed)
    return DenseEncoder.harmonic(n_features, n_hidden, seed=seed)
