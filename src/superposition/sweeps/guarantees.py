"""The theorems of compressed sensing for an autoencoder: the cell that measures what they suppose and promise."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, ClassVar, Literal, final, get_args

from superposition import _checks, decoders, diagnostics, features, models, theory, training
from superposition._random import torch_generator
from superposition.estimate import Estimate
from superposition.features import SparseFeatures
from superposition.models.hadamard_constructions import check_order
from superposition.sweeps.cell import Cell, Row, Workplace

if TYPE_CHECKING:
    import torch

    from superposition.models import Model

Kind = Literal["rug", "gaussian", "trained"]

# Active values are in (½, 1]: the least of them is told from 0. Of an exact recovery: float32, and the condition of the
# support.
_LOWEST, _EXACT = 0.5, 1e-3
# What is not among the k largest, in all, of vectors that are k-sparse but for that, and the supports looked at.
_TAIL, _SUPPORTS = 0.1, 2000


@final
@dataclass(frozen=True)
class GuaranteeCell(Cell):
    """An autoencoder T as a method of compressed sensing: what theorems 1 and 2 of Toy Models suppose of it, measured.

    Exactly k features are active, with values in (½, 1].

    Args:
        n_features: Number of features; one of `hadamard_orders` for a rug.
        n_hidden: Width of the bottleneck, in [1, n_features].
        k: Number of active features, in [1, n_hidden].
        encoder: "rug" or "gaussian", read out by the best ReLU(a W_encᵀ y + b); or "trained", an autoencoder's own.
        n_steps: Of its training, at the probability k/n_features.
        n_samples: Samples of T, of recovery and, a quarter of them, of ℓ1 minimisation; ≥ 8.
        seed: Seed of the encoder and of the samples.

    Raises:
        ValueError: A value is out of its range.
    """

    measure: ClassVar[str] = "guarantee"
    version: ClassVar[int] = 1
    columns: ClassVar[Mapping[str, type]] = {
        "ratio": float, "loss": Estimate, "error": Estimate, "largest_error": float, "condition_met": Estimate,
        "recovered": Estimate, "violations": int, "delta_2": float, "delta_lower": float,
        "delta_upper": float, "stability": Estimate, "largest_stability": float,
    }  # fmt: skip
    headline: ClassVar[tuple[str, ...]] = ("error", "condition_met", "delta_lower", "largest_stability")

    n_features: int
    n_hidden: int
    k: int
    encoder: Kind = "rug"
    n_steps: int = 1000
    n_samples: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        self._settle_counts("n_features", "n_steps", n_samples=8)
        if _checks.choice("encoder", self.encoder, get_args(Kind)) == "rug":
            check_order(self.n_features)
        hint = "no more than there are activations"
        self._settle(k=_checks.whole_number("k", self.k, high=min(self.n_hidden, self.n_features - 1), hint=hint))

    def row(self, place: Workplace) -> Row:
        """Makes the autoencoder, and measures what the theorems suppose and promise."""
        import torch

        seen = SparseFeatures(self.n_features, self.k / self.n_features)
        model = self._model(seen, place)
        x = features.sparse_vectors(self.n_features, self.k, self.n_samples, seed=self.seed, lowest=_LOWEST)
        hidden = model.encode(x).detach()
        reconstruction = model(x).detach().float()
        error = (reconstruction - x).abs().amax(dim=1)
        # Enough for the k largest to be the active ones: half the least active value.
        met = error < x.topk(self.k, dim=1).values[:, -1] / 2
        W_enc = model.encoder.columns(torch.arange(self.n_features)).detach().T
        exact = (self._lemma_1(W_enc, hidden, reconstruction) - x).abs().amax(dim=1) < _EXACT
        unit = W_enc / W_enc.norm(dim=0).clamp(min=1e-12)
        isometry = diagnostics.restricted_isometry(unit, self.k, n_samples=_SUPPORTS, seed=self.seed)
        coherence = diagnostics.coherence(unit).mutual_coherence
        stability = self._stability(unit, x[: max(2, self.n_samples // 4)])
        return {
            "ratio": self.n_hidden / self.n_features,
            "loss": diagnostics.held_out_loss(model, seen, n_samples=10 * self.n_samples, seed=self.seed + 1),
            "error": Estimate.from_samples(error.double().numpy()),
            "largest_error": float(error.max()),
            "condition_met": _share(met),
            "recovered": _share(exact),
            "violations": int((met & ~exact).sum()),
            "delta_2": coherence,  # which it is for unit columns
            "delta_lower": isometry.lower,
            "delta_upper": isometry.upper,
            "stability": Estimate.from_samples(stability.double().numpy()),
            "largest_stability": float(stability.max()),
        }

    def _model(self, seen: SparseFeatures, place: Workplace) -> "Model":
        """Returns the autoencoder T."""
        if self.encoder == "rug":
            return models.PersianRug.fit(seen, self.n_hidden, seed=self.seed)
        model = models.Autoencoder(self.n_features, self.n_hidden, seed=self.seed)
        if self.encoder == "trained":
            config = training.TrainingConfig(n_steps=self.n_steps, batch_size=512)
            training.train(model, seen, config, seed=self.seed, progress=place.report, n_held_out=1)
            return model
        W_enc = models.DenseEncoder.gaussian(self.n_features, self.n_hidden, seed=self.seed).W_enc
        W_enc = W_enc / W_enc.norm(dim=0)
        products = W_enc.T @ W_enc
        power, mean = float(products.square().sum() / self.n_features - 1), float(products.sum() / self.n_features - 1)
        best = theory.optimal_relu(sqrt(power * float(seen.variance)), seen.density)
        weights = {
            "W_enc": W_enc,
            "W_dec": best.scale * W_enc.T,
            "b_dec": W_enc.new_full((self.n_features,), best.bias - best.scale * mean * float(seen.mean)),
        }
        model.load_state_dict(weights)
        return model

    def _lemma_1(self, W_enc: "torch.Tensor", hidden: "torch.Tensor", first: "torch.Tensor") -> "torch.Tensor":
        """Returns least squares on the k largest entries of a first estimate."""
        import torch

        support = first.topk(self.k, dim=1).indices
        columns = W_enc.double().T[support].mT
        values = torch.linalg.pinv(columns) @ hidden.double()[:, :, None]
        return torch.zeros_like(first).scatter_(1, support, values[:, :, 0].to(first))

    def _stability(self, unit: "torch.Tensor", x: "torch.Tensor") -> "torch.Tensor":
        """Returns ‖x − x̂‖₁ over the ℓ1 norm of all but the k largest entries, of ℓ1 minimisation with x̂ ≥ 0."""
        tail = SparseFeatures(self.n_features, 1.0).sample(len(x), torch_generator(self.seed, "tails"))
        tail = tail * (x == 0)
        tail = _TAIL * tail / tail.sum(dim=1, keepdim=True)
        encoder = models.DenseEncoder(unit)
        found = decoders.BasisPursuit()(
            encoder.encode(x + tail), encoder, SparseFeatures(self.n_features, 0.5)
        ).features
        return (found - x - tail).abs().sum(dim=1) / _TAIL


def _share(true: "torch.Tensor") -> Estimate:
    """Returns the share that is true."""
    share = float(true.double().mean())
    return Estimate(share, sqrt(share * (1 - share) / len(true)), len(true))
