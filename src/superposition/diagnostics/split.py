"""Where the held-out loss comes from: inactive and active features, bias and variance, Gaussian and not."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from superposition import _checks
from superposition._checks import FloatArray
from superposition._random import torch_generator
from superposition.diagnostics.interference import Interference, interference as measured
from superposition.diagnostics.loss import check_sparse, placement
from superposition.estimate import Estimate
from superposition.features import Features, Law, sparse_parts
from superposition.models import Model, NoActivation, ReLU
from superposition.theory import relu_loss
from superposition.theory.rectified import Rectified

_CHUNK_ENTRIES = 1 << 21

# Below this share of bias and noise the slope W_ii bends nothing.
_FLAT = 1e-9

# Each part, and whether a single sample gives it or only a pair of them.
_PARTS = {
    "loss": True,
    "off": True,
    "on": True,
    "off_bias": False,
    "off_variance": False,
    "on_bias": False,
    "on_variance": False,
}


@dataclass(frozen=True, eq=False)
class LossSplit:
    """Parts of L = n⁻¹ Σ_i M_i E (x̂_i − x_i)², all in squared feature units and weighted alike, so that they add up.

    A feature is off where c_i = 0 and on where c_i = 1; x̂_i = f(W_ii x_i + s_i) with s_i = Σ_{j≠i} W_ij x_j + b_i
    independent of (c_i, u_i), and f the ReLU (or the identity for a linear model). Hidden noise is part of s_i.

    Attributes:
        loss: L = off + on.
        off: n⁻¹ Σ M_i (1 − p_i) E f(s_i)².
        on: n⁻¹ Σ M_i p_i E (f(W_ii u + s_i) − u)².
        off_bias: n⁻¹ Σ M_i (1 − p_i) (E f(s_i))², the error of the mean output.
        off_variance: n⁻¹ Σ M_i (1 − p_i) Var f(s_i) = off − off_bias.
        on_bias: n⁻¹ Σ M_i p_i E_u (E[f(W_ii u + s_i) | u] − u)², the error of the mean output at given u.
        on_variance: n⁻¹ Σ M_i p_i E_u Var[f(W_ii u + s_i) | u] = on − on_bias.
        gaussian: L with every s_i a Gaussian of its own mean and variance: the mean of theory.relu_loss(W_ii,
            E s_i, √Var s_i/W_ii, p_i), exact.
        gaussian_off: Its part `off`.
        gaussian_on: Its part `on`.
        on_share: Share of the samples with feature i active in which its output is above 0, shape (n_features,);
            NaN for a feature that was active in no sample. Features of share 0 are dead.
    """

    loss: Estimate
    off: Estimate
    on: Estimate
    off_bias: Estimate
    off_variance: Estimate
    on_bias: Estimate
    on_variance: Estimate
    gaussian: float
    gaussian_off: float
    gaussian_on: float
    on_share: FloatArray

    @property
    def beyond_gaussian(self) -> Estimate:
        """The part that the Gaussian model does not see, loss − gaussian; below 0 if W is better than that."""
        return _minus(self.loss, self.gaussian)

    @property
    def beyond_gaussian_off(self) -> Estimate:
        """The same of inactive features, off − gaussian_off."""
        return _minus(self.off, self.gaussian_off)

    @property
    def beyond_gaussian_on(self) -> Estimate:
        """The same of active features, on − gaussian_on."""
        return _minus(self.on, self.gaussian_on)

    @property
    def never_on(self) -> int:
        """Number of features that were active in some sample and whose output was 0 whenever they were."""
        return int((self.on_share == 0).sum())


@torch.no_grad()
def loss_split(
    model: Model,
    features: Features,
    *,
    n_samples: int = 100_000,
    seed: int = 1,
    interference: Interference | None = None,
) -> LossSplit:
    """Splits the held-out loss by the state of a feature, and into bias and variance (unbiased).

    Samples go in pairs. With s_i′ of the other sample in place of its own, the errors e and e′ of the same x_i are
    independent at given (c_i, u_i): E e e′ is the bias part and E (e² − e e′) the variance part, each without bias
    from a finite number of samples or from bins of u.

    Args:
        model: Any model of a ReLU or of no activation; evaluated on its own device and in its own precision.
        features: What it is measured on: sparse features, or several joined.
        n_samples: Number of samples, even and ≥ 2. Memory does not grow with it.
        seed: Seed of the samples; those of `held_out_loss` with the same seed are others.
        interference: From `interference(model, features)`, if it is at hand; it is what takes long for large models.

    Returns:
        A LossSplit. Its bias and variance parts count pairs of samples, the others samples.

    Raises:
        ValueError: Sizes do not match, `n_samples` is not even and positive, or it is another model.

    Reference: The Persian Rug, eq. 2 and 5.
    """
    _checks.whole_number("n_samples", n_samples, low=2)
    if n_samples % 2:
        raise ValueError(f"`n_samples` must be even, got {n_samples}: samples are compared in pairs")
    check_sparse(model, features)
    if not can_split_loss(model):
        got = model.activation.kind
        raise ValueError(f"`model` must have a ReLU or no activation, got {got}: what is Gaussian is not known of it")
    if interference is None:
        interference = measured(model, features)
    elif _checks.instance("interference", interference, Interference, "an Interference").n_features != (
        features.n_features
    ):
        raise ValueError(
            f"`interference` must be of the same {features.n_features} features, got {interference.n_features}"
        )
    std = np.hypot(interference.output_std, model.output_noise(features).double().cpu().numpy())
    off, on = _gaussian_losses(interference, std, features, rectified=isinstance(model.activation, ReLU))
    weights = features.per_feature(features.importance) / features.n_features
    p = np.concatenate([part.per_feature(part.probability) for part in sparse_parts(features)])
    gaussian_off, gaussian_on = float(weights @ ((1 - p) * off)), float(weights @ (p * on))
    sums = _Sums.over(model, features, interference.diagonal, weights, n_samples, seed)
    estimates = {
        name: Estimate.from_sums(float(total), float(squares), n_samples if single else n_samples // 2)
        for (name, single), total, squares in zip(_PARTS.items(), sums.totals, sums.squares, strict=True)
    }
    share = np.full(features.n_features, np.nan)
    np.divide(sums.responses, sums.activations, out=share, where=sums.activations > 0)
    return LossSplit(
        **estimates,
        gaussian=gaussian_off + gaussian_on,
        gaussian_off=gaussian_off,
        gaussian_on=gaussian_on,
        on_share=share,
    )


@dataclass
class _Sums:
    """Sums over samples, or over pairs: of each part in turn, of its square, and per feature.

    Attributes:
        totals: Shape (7,).
        squares: Shape (7,).
        activations: Samples with feature i active, shape (n_features,).
        responses: Those of them with output i above 0.
    """

    totals: FloatArray
    squares: FloatArray
    activations: FloatArray
    responses: FloatArray

    @classmethod
    def over(
        cls,
        model: Model,
        features: Features,
        diagonal: FloatArray,
        weights: FloatArray,
        n_samples: int,
        seed: int,
    ) -> "_Sums":
        n = features.n_features
        device, dtype = placement(model)
        own, weight = (torch.tensor(array, dtype=dtype, device=device) for array in (diagonal, weights))
        no_bias = own.new_zeros(())
        sums = cls(np.zeros(len(_PARTS)), np.zeros(len(_PARTS)), np.zeros(n), np.zeros(n))
        chunk = 2 * max(1, _CHUNK_ENTRIES // n // 2)
        for index, start in enumerate(range(0, n_samples, chunk)):
            generator = torch_generator(seed, "loss split", index, device=device)
            batch = features.sample_sparse(min(chunk, n_samples - start), generator, dtype=dtype)
            x = batch.to_dense()
            active = torch.zeros(x.numel(), dtype=torch.bool, device=device)
            active = active.index_fill_(0, batch.positions, True).view(x.shape)
            y = model.pre_activations(x)
            generator = torch_generator(seed, "loss split noise", index, device=device)
            if (noise := model.drawn_noise(len(x), features, generator)) is not None:
                y = y + model.read_out(noise)
            alone = own * x
            # The noise s of the other sample of the pair, with the same x_i.
            other = (y - alone).roll(len(x) // 2, 0).add_(alone)
            y, other = (model.activation(each, no_bias) for each in (y, other))  # their bias is added
            sums.activations += active.sum(0).cpu().double().numpy()
            sums.responses += (active & (y > 0)).sum(0).cpu().double().numpy()
            error, other = y.sub_(x), other.sub_(x)
            sums._add(error.square(), error * other, active, weight)
        return sums

    def _add(self, squares: Tensor, products: Tensor, active: Tensor, weight: Tensor) -> None:
        """Adds the samples of a chunk: e², e e′ and who is active, each (samples, n_features)."""
        off, on = ((squares * state @ weight).double() for state in (~active, active))
        bias = [_over_pairs((products * state @ weight).double()) for state in (~active, active)]
        variance = [_over_pairs(whole) - part for whole, part in zip((off, on), bias, strict=True)]
        parts = (off + on, off, on, bias[0], variance[0], bias[1], variance[1])
        self.totals += [float(part.sum()) for part in parts]
        self.squares += [float(part.square().sum()) for part in parts]


def can_split_loss(model: Model) -> bool:
    """Whether `loss_split` knows a model: of a ReLU or no activation."""
    return isinstance(_checks.instance("model", model, Model, "a model").activation, (ReLU, NoActivation))


def _over_pairs(values: Tensor) -> Tensor:
    """Returns the mean over each pair, sample k and k + half."""
    first, second = values.chunk(2)
    return (first + second) / 2


def _gaussian_losses(
    found: Interference, std: FloatArray, features: Features, *, rectified: bool
) -> tuple[FloatArray, FloatArray]:
    """Returns E f(s_i)² and E (f(W_ii u + s_i) − u)² at Gaussian s_i of given std, each of shape (n_features,)."""
    scale, bias = found.diagonal, found.effective_bias
    on, start = np.empty(features.n_features), 0
    for part in sparse_parts(features):
        here = slice(start, start := start + part.n_features)
        on[here] = _losses_on(scale[here], bias[here], std[here], found.live[here], part.law, rectified=rectified)
    return Rectified.of(bias, std).second if rectified else bias**2 + std**2, on


def _losses_on(
    scale: FloatArray, bias: FloatArray, std: FloatArray, live: npt.NDArray[np.bool_], law: Law, *, rectified: bool
) -> FloatArray:
    """Returns E (f(scale·u + bias + std·g) − u)² of features of one law."""
    if not rectified:
        return np.asarray((bias - (1 - scale) * law.mean) ** 2 + (1 - scale) ** 2 * law.variance + std**2)
    on = np.empty(scale.size)
    plain = live & (scale > 0)
    if plain.any():
        on[plain] = relu_loss(scale[plain], bias[plain], std[plain] / scale[plain], 1.0, law)
    for i in np.flatnonzero(~plain):
        on[i] = _loss_on_without_scale(scale[i], bias[i], std[i], law)
    return on


def _loss_on_without_scale(scale: float, bias: float, std: float, law: Law) -> float:
    """Returns E (ReLU(scale·u + bias + std·g) − u)² where the form of `relu_loss`, which divides by scale, is none.

    Nearly all of u² is lost there: that the terms cancel elsewhere does not matter.
    """
    slope = max(abs(scale), _FLAT * (abs(bias) + std), 1e-300)
    u, weights = law.nodes(-bias * np.sign(scale) / slope, std / slope)
    y = Rectified.of(scale * u + bias, np.full_like(u, std))
    return float(weights @ (u**2 - 2 * u * y.first + y.second))


def _minus(estimate: Estimate, known: float) -> Estimate:
    return Estimate(estimate.value - known, estimate.standard_error, estimate.count)
