"""Decoders: the cell that measures one on one encoder, and the cell of exact recovery."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, sqrt
from typing import TYPE_CHECKING, Any, ClassVar, Literal, final, get_args

from superposition import _checks, _files, decoders, features, models, training
from superposition._names import DecoderName, EncoderName
from superposition.estimate import Estimate
from superposition.features import SparseFeatures
from superposition.models.hadamard_constructions import check_order
from superposition.sweeps.cell import BatchCell, Row, Workplace
from superposition.sweeps.described import DescribedCell

if TYPE_CHECKING:
    from superposition.models import Encoder

# Of a trained encoder: how long, on how many samples a step, and its file in the place of each cell.
_STEPS, _BATCH, _WEIGHTS = 250, 256, "encoder.safetensors"


@final
@dataclass(frozen=True)
class DecoderCell(DescribedCell):
    """One decoder of one encoder, fitted if it can be: its loss beside the theory's.

    Args:
        n_features: Number of features; one of `hadamard_orders` for a rug.
        n_hidden: Width of the bottleneck, in [1, n_features].
        probability: Probability that a feature is active, in [1e-15, 1]; or zipf:MEAN:EXPONENT.
        decoder: Its name, as `superposition decode` has it; lemma1 and pursuit assume k = n_features · probability.
        encoder: "rug", "gaussian" or "harmonic".
        noise: Standard deviation of noise on the hidden activations, feature units.
        n_samples: Samples behind the loss.
        n_calibration: Samples on which it is fitted; as many as make two million entries if not given.
        seed: Seed of the encoder and of the samples.
        law: Of active values, such as half-normal or beta:0.5:3.
        importance: A number, decay:FACTOR or two-level:ALPHA; see `features_of`.

    Raises:
        ValueError: A value is out of its range: there is no such encoder or decoder.
    """

    measure: ClassVar[str] = "decoder"
    version: ClassVar[int] = 1
    columns: ClassVar[Mapping[str, type]] = {
        "ratio": float, "loss": Estimate, "predicted": float, "converged": float, "iterations": float,
        "residual": float,
    }  # fmt: skip
    headline: ClassVar[tuple[str, ...]] = ("loss", "loss_standard_error", "predicted", "converged")

    n_features: int
    n_hidden: int
    probability: float | str
    decoder: DecoderName = "relu"
    encoder: EncoderName = "rug"
    noise: float = 0.0
    n_samples: int = 1000
    n_calibration: int | None = None
    seed: int = 0
    law: str = "uniform"
    importance: float | str = 1.0

    def __post_init__(self) -> None:
        self._settle_counts("n_features", "n_samples")
        if self.n_calibration is not None:
            self._settle_counts("n_calibration")
        _check_kinds(self, get_args(EncoderName))
        self._settle(noise=_checks.one("noise", _checks.in_interval("noise", self.noise, 0, 1e15)))
        self._settle_features()

    def row(self, place: Workplace) -> Row:  # noqa: ARG002  (decoders compute on the processor)
        """Fits the decoder and measures it."""
        encoder = models.encoder_named(self.encoder, self.n_features, self.n_hidden, seed=self.seed)
        features, noise = self.features(), self.noise**2
        k = min(self.n_hidden, max(1, round(features.density * self.n_features)))
        decoder = decoders.fit_decoder(
            decoders.decoder_named(self.decoder, k, noise_variance=noise),
            encoder,
            features,
            noise_variance=noise,
            n_samples=self.n_calibration,
            seed=self.seed,
        )
        (found,) = decoders.compare_decoders(
            encoder, features, [decoder], self.n_samples, noise_variance=noise, seconds=inf, seed=self.seed + 1
        )
        return {
            "ratio": self.n_hidden / self.n_features,
            "loss": found.loss,
            "predicted": found.predicted,
            "converged": found.converged,
            "iterations": found.iterations,
            "residual": found.residual,
        }


@final
@dataclass(frozen=True)
class RecoveryCell(BatchCell):
    """Random k-sparse features, x ≥ 0, recovered from n_hidden activations: in what share of samples exactly.

    Args:
        n_features: Number of features; one of `hadamard_orders` for a rug.
        n_hidden: Number of activations, in [1, n_features].
        k: Number of active features, in [1, n_hidden].
        decoder: Its name, as `superposition decode` has it; of a prior it has p = k/n_features.
        encoder: "rug", "gaussian", "harmonic", or "trained": an autoencoder's after 250 steps.
        trained_at: Probability of being active at which that one was trained.
        n_samples: How many are tried.
        tolerance: Largest error of a feature that counts as exact, feature units.
        seed: Seed of the encoder and of the samples.

    Raises:
        ValueError: A value is out of its range.
    """

    measure: ClassVar[str] = "recovery"
    version: ClassVar[int] = 1
    columns: ClassVar[Mapping[str, type]] = {"recovered": Estimate, "converged": float}
    headline: ClassVar[tuple[str, ...]] = ("recovered", "recovered_standard_error", "converged")

    n_features: int
    n_hidden: int
    k: int
    decoder: DecoderName = "oamp"
    encoder: Literal["rug", "gaussian", "harmonic", "trained"] = "rug"
    trained_at: float = 0.05
    n_samples: int = 25
    tolerance: float = 1e-2
    seed: int = 0

    def __post_init__(self) -> None:
        self._settle_counts("n_features", "n_samples")
        _check_kinds(self, (*get_args(EncoderName), "trained"))
        trained_at = _checks.in_interval("trained_at", self.trained_at, _checks.LEAST_PROBABILITY, 1)
        self._settle(
            k=_checks.whole_number("k", self.k, high=self.n_hidden, hint="no more than there are activations"),
            trained_at=_checks.one("trained_at", trained_at),
            tolerance=_checks.one("tolerance", _checks.in_interval("tolerance", self.tolerance, 0, inf)),
        )

    def batch(self) -> Hashable | None:
        """Returns what decides a trained encoder, which several cells share; None for one that is drawn."""
        if self.encoder != "trained":
            return None
        return self.n_features, self.n_hidden, self.trained_at, self.seed

    @classmethod
    def prepare(cls, cells: "Sequence[RecoveryCell]", places: Sequence[Workplace], shared: Workplace) -> None:
        """Trains the encoder of all cells once."""
        paths = [place.folder / _WEIGHTS for place in places]
        if all(path.exists() for path in paths):
            return
        W_enc = cells[0]._trained(shared)
        for path in paths:
            path.parent.mkdir(exist_ok=True)
            _files.write_tensors(path, {"W_enc": W_enc})

    def row(self, place: Workplace) -> Row:
        """Decodes random sparse features and counts."""
        encoder = self._encoder(place)
        x = features.sparse_vectors(self.n_features, self.k, self.n_samples, seed=self.seed + self.k)
        seen = SparseFeatures(self.n_features, self.k / self.n_features)
        decoded = decoders.decoder_named(self.decoder, self.k)(encoder.encode(x), encoder, seen)
        is_right = (decoded.features - x).abs().amax(dim=1) < self.tolerance
        share = float(is_right.double().mean())
        error = sqrt(share * (1 - share) / self.n_samples)
        return {
            "recovered": Estimate(share, error, self.n_samples),
            "converged": float(decoded.converged.double().mean()),
        }

    def _encoder(self, place: Workplace) -> "Encoder":
        if self.encoder != "trained":
            return models.encoder_named(self.encoder, self.n_features, self.n_hidden, seed=self.seed)
        path = place.folder / _WEIGHTS
        if not path.exists():
            return models.DenseEncoder(self._trained(place))
        return models.DenseEncoder(_files.read_tensors(path, "encoder")[0]["W_enc"])

    def _trained(self, place: Workplace) -> Any:
        model = models.Autoencoder(self.n_features, self.n_hidden, seed=self.seed)
        config = training.TrainingConfig(n_steps=_STEPS, batch_size=_BATCH)
        features = SparseFeatures(self.n_features, self.trained_at)
        training.train(model, features, config, seed=self.seed, progress=place.report, n_held_out=1)
        return model.W_enc.detach().contiguous()


def _check_kinds(cell: "DecoderCell | RecoveryCell", encoders: tuple[str, ...]) -> None:
    """Raises ValueError for an encoder or a decoder of no kind, or a rug of a size that has none."""
    if _checks.choice("encoder", cell.encoder, encoders) == "rug":
        check_order(cell.n_features)
    _checks.choice("decoder", cell.decoder, get_args(DecoderName))
