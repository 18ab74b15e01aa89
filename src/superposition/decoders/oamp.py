"""Orthogonal approximate message passing, for rugs and any encoder whose directions are generic."""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from superposition.decoders.denoiser import denoiser
from superposition.decoders.state import MessagePassing, Progress, started
from superposition.features import SparseFeatures
from superposition.models.encoders import Diagonalised, Encoder
from superposition.theory import state_evolution

# A variance below it, as a share of the prior's, would divide by rounding.
_LEAST = 1e-30


@final
@dataclass(frozen=True, eq=False)
class OAMP(MessagePassing):
    """OAMP, or VAMP: a linear step and a Bayes step, each of whose errors is new to the other.

    With μ of error variance v: r = μ + γ W_encᵀ(W_enc W_encᵀ + s²/v)⁻¹(hidden − W_enc μ), γ such that r has x with
    weight 1; x̂ = E[x | r]; and μ = v⁺(x̂/E − r/τ), 1/v⁺ = 1/E − 1/τ, with τ and E the variances before and after. For a
    tight frame r = μ + W_encᵀ(hidden − W_enc μ) and τ = s² + v(1 − δ)/δ: at the first step, from the prior mean on,
    that is the rug's interference (The Persian Rug, eq. 6), of which its ReLU is a poor denoiser. Two fast transforms a
    step for a rug; a dense encoder costs one eigendecomposition. v is estimated from hidden − W_enc μ. Where s² is not
    known, it is what v⁺ leaves of that.

    Raises (when called):
        ValueError: The features are not symmetric.

    Reference: Ma and Ping 2017; Rangan, Schniter and Fletcher 2019.
    """

    def check(self, encoder: Encoder, features: SparseFeatures) -> None:
        """Raises ValueError if the decoder cannot work on these."""
        features.check_symmetric("OAMP")
        if not bool((encoder.column_norms() > 0).any()):
            raise ValueError("`W_enc` must have an entry that is not 0 for OAMP, got none")

    def run(self, hidden: Tensor, encoder: Encoder, features: SparseFeatures) -> Progress:
        """Iterates on some samples until all have ended."""
        eta = denoiser(features.law, float(features.probability))
        progress = started(hidden, encoder, features, self.tolerance)
        form = encoder.diagonalised()
        step = _LinearStep(form, encoder.n_features)
        y, mean = form.encoder.prepared(form.rotate(hidden)), progress.x.clone()
        prior = float(features.variance)
        expected = torch.full((len(hidden),), prior, dtype=torch.float64, device=hidden.device)
        estimate = mean
        for _ in range(self.n_steps):
            r, noise = step(y, mean, expected, self.noise_variance, _LEAST * prior)
            estimate, loss = eta(*progress.observed(r, noise))
            on = progress.advance(estimate, loss, noise)
            if on is not None:
                estimate, r, mean, y, noise, loss, expected = (
                    part[on] for part in (estimate, r, mean, y, noise, loss, expected)
                )
            if not len(y):
                break
            # v⁺(x̂/E − r/τ) = (x̂ − (E/τ) r)/(1 − E/τ), in place of r.
            # A prior that says nothing leaves E = τ but for the tables' error, far above float64's.
            share = (loss / noise).clamp(max=1 - 1e-6)
            grown = 1 / (1 - share)
            following = r.mul_(-share.to(r)[:, None]).add_(estimate).mul_(grown.to(r)[:, None])
            expected = torch.lerp(loss * grown, expected, self.damping)
            mean = torch.lerp(following, mean, self.damping) if self.damping else following
        return progress.ended(estimate)

    def predicted_loss(self, encoder: Encoder, features: SparseFeatures, noise: float) -> float | None:
        """Returns the fixed point of state evolution on a tight frame."""
        if not (encoder.is_tight and features.is_symmetric):
            return None
        ratio = encoder.n_hidden / encoder.n_features
        found = state_evolution(ratio, features.probability, noise, ensemble="orthogonal", law=features.law)
        return float(found.reached_loss)


@dataclass(frozen=True)
class _LinearStep:
    """The linear half of a step, on an encoder of orthogonal rows."""

    form: Diagonalised
    n_features: int

    def __call__(
        self,
        y: Float[Tensor, "batch rank"],
        mean: Float[Tensor, "batch n_features"],
        expected: Float[Tensor, " batch"],
        noise_variance: float | None,
        least: float,
    ) -> tuple[Float[Tensor, "batch n_features"], Float[Tensor, " batch"]]:
        """Returns r and its variance τ about x."""
        encoder, spectrum = self.form.encoder, self.form.spectrum.double()
        typical = float(spectrum.mean())
        if encoder.is_tight:  # all eigenvalues are alike, and γ undoes what they do
            step, power = encoder.correction(y, mean)
            noise, v = self._variances(power.double(), typical, expected, noise_variance, least)
            share = typical / (typical + noise / v) * (len(spectrum) / self.n_features)
        else:
            rest = y - encoder.encode(mean)
            power = rest.double().square().mean(dim=1)
            noise, v = self._variances(power, typical, expected, noise_variance, least)
            ridged = spectrum + (noise / v)[:, None]
            share = (spectrum / ridged).sum(dim=1) / self.n_features
            step = encoder.adjoint(rest / (ridged * share[:, None]).to(rest))
        return step.add_(mean), (v * (1 - share) / share).clamp(min=least)

    @staticmethod
    def _variances(
        power: Tensor, typical: float, expected: Tensor, noise_variance: float | None, least: float
    ) -> tuple[Tensor, Tensor]:
        """Returns s² and v from E ‖rest‖²/n_hidden = s² + v · mean eigenvalue."""
        if noise_variance is None:
            return (power - expected * typical).clamp(min=0), expected
        noise = torch.full_like(power, noise_variance)
        return noise, ((power - noise) / typical).clamp(min=least)
