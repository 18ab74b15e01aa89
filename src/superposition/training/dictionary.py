"""Dictionary learning: find an encoder's columns from hidden activations alone."""

from dataclasses import dataclass
from math import cos, pi

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from superposition import _checks, _tensors
from superposition._random import derived_seed, torch_generator
from superposition.decoders.base import check_same_size
from superposition.features import SparseFeatures
from superposition.models import Model
from superposition.models.base import encoder_of
from superposition.models.encoders import Encoder

_BATCH = 512
_WARM_UP = 0.05
# A recovered column points the same way as the planted one but for this much of a cosine.
_SAME = 0.95


@dataclass(frozen=True)
class LearnedDictionary:
    """Columns found from hidden activations.

    Attributes:
        columns: Unit columns, shape (n_hidden, n_atoms).
        mean_cosine: Mean cosine between planted columns and those matched to them, one to one.
        recovered: Share of planted columns whose match has a cosine above 0.95.
        loss: Mean square reconstruction error per hidden dimension as a share of the activations' variance, on fresh
            samples; NaN for a method that gives columns only.
    """

    columns: Float[Tensor, "n_hidden n_atoms"]
    mean_cosine: float
    recovered: float
    loss: float


def match_columns(
    planted: Float[Tensor, "n_hidden n_features"], found: Float[Tensor, "n_hidden n_atoms"]
) -> Float[Tensor, " n_features"]:
    """Cosines between planted columns and the found ones, matched one to one so that their sum is largest.

    A sign counts: features are not negative. Columns of norm 0 match nothing.

    Raises:
        ValueError: The columns differ in length, or fewer are found than planted.

    >>> match_columns(torch.eye(2), torch.tensor([[0.0, 2.0], [1.0, 0.0]])).tolist()
    [1.0, 1.0]
    """
    for name, columns in (("planted", planted), ("found", found)):
        _tensors.finite(name, _tensors.real(name, columns, "n_hidden", "columns"))
    if planted.shape[0] != found.shape[0] or found.shape[1] < planted.shape[1]:
        raise ValueError(
            f"`found` must have {planted.shape[0]} rows and at least {planted.shape[1]} columns, "
            f"got shape {tuple(found.shape)}"
        )
    units = [torch.nn.functional.normalize(columns.detach().double(), dim=0) for columns in (planted, found)]
    cosines = units[0].T @ units[1]
    rows, columns = linear_sum_assignment(cosines.numpy(), maximize=True)
    return cosines[torch.from_numpy(rows), torch.from_numpy(columns)]


def learn_dictionary(
    encoder: "Encoder | Model | Float[Tensor, 'n_hidden n_features']",
    features: SparseFeatures,
    *,
    n_atoms: int | None = None,
    penalty: float = 0.3,
    n_steps: int = 2000,
    learning_rate: float = 0.01,
    seed: int = 0,
) -> LearnedDictionary:
    """Learns a dictionary by a ReLU autoencoder of the hidden activations, h → x̂ = ReLU(W h + b) → ĥ = D x̂.

    It sees h = W_enc x only. The loss is ‖h − ĥ‖² + λ Σ x̂ with unit columns D and W = Dᵀ: tied, as in the analyses.
    Without a penalty any overcomplete D reconstructs, and nothing is found. Adam, the rate warmed up and lowered to 0
    along a cosine; columns start as random directions.

    Args:
        encoder: Whose columns are planted: an encoder, a model or a matrix W_enc.
        features: What it encodes.
        n_atoms: Columns to find, ≥ n_features; n_features if not given.
        penalty: λ ≥ 0, in units of the mean active value E u.
        n_steps: Steps of 512 samples, ≥ 1.
        learning_rate: At its peak, > 0.
        seed: Seed of the start, the samples and the held-out samples.

    Raises:
        ValueError: An argument is out of range.

    Reference: Rangamani et al. 2018; Nguyen, Wong and Hegde 2019 (tied ReLU autoencoders of planted dictionaries).
    """
    encoder = encoder_of(encoder)
    planted = _planted(encoder, features)
    n_atoms = features.n_features if n_atoms is None else n_atoms
    size = _checks.whole_number("n_atoms", n_atoms, low=features.n_features)
    penalty = _checks.one("penalty", _checks.finite("penalty", penalty, non_negative=True)) * features.law.mean
    n_steps = _checks.whole_number("n_steps", n_steps)
    rate = _checks.one("learning_rate", _checks.in_interval("learning_rate", learning_rate, 0, 1, open_low=True))
    D = torch.randn(encoder.n_hidden, size, generator=torch_generator(seed, "dictionary"))
    D = torch.nn.Parameter(torch.nn.functional.normalize(D, dim=0))
    bias = torch.nn.Parameter(torch.zeros(size))
    optimizer = torch.optim.Adam([D, bias], lr=rate, betas=(0.9, 0.99))
    # The mean of h is no feature's: it is known, and taken out before encoding.
    centre = planted @ torch.tensor(features.per_feature(features.mean).copy()).float()
    for step in range(n_steps):
        x = features.sample(_BATCH, torch_generator(seed, "dictionary batch", step))
        hidden = encoder.encode(x)
        optimizer.param_groups[0]["lr"] = rate * _factor(step / n_steps)
        code = torch.relu((hidden - centre) @ D + bias)
        loss = (hidden - code @ D.T).square().sum(dim=1).mean() + penalty * code.sum(dim=1).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        with torch.no_grad():
            D.copy_(torch.nn.functional.normalize(D, dim=0))
    with torch.no_grad():
        hidden = encoder.encode(features.sample(4096, torch_generator(seed, "dictionary held out")))
        rest = hidden - torch.relu((hidden - centre) @ D + bias) @ D.T
        share = float(rest.square().mean() / hidden.var(dim=0).mean())
    return _scored(planted, D.detach(), share)


def learn_dictionary_by_sklearn(
    encoder: "Encoder | Model | Float[Tensor, 'n_hidden n_features']",
    features: SparseFeatures,
    *,
    n_samples: int = 4000,
    penalty: float = 0.3,
    max_iter: int = 30,
    seed: int = 0,
) -> LearnedDictionary:
    """Learns a dictionary by scikit-learn's mini-batch dictionary learning with non-negative codes; for small sizes.

    Args:
        encoder: Whose columns are planted.
        features: What it encodes.
        n_samples: Samples that it sees, ≥ 1.
        penalty: λ ≥ 0 of its lasso, in units of E u.
        max_iter: Passes over the samples, ≥ 1.
        seed: Seed of the samples and the start.

    Raises:
        ValueError: An argument is out of range.

    Reference: Mairal et al. 2009.
    """
    import warnings

    from sklearn.decomposition import MiniBatchDictionaryLearning
    from sklearn.exceptions import ConvergenceWarning

    encoder = encoder_of(encoder)
    planted = _planted(encoder, features)
    x = features.sample(_checks.whole_number("n_samples", n_samples), torch_generator(seed, "dictionary samples"))
    learner = MiniBatchDictionaryLearning(
        features.n_features,
        alpha=_checks.one("penalty", _checks.finite("penalty", penalty, non_negative=True)) * features.law.mean,
        max_iter=_checks.whole_number("max_iter", max_iter),
        batch_size=_BATCH,
        fit_algorithm="cd",
        positive_code=True,
        random_state=derived_seed(seed, "sklearn"),
    )
    with warnings.catch_warnings():  # of single codes that would take more sweeps
        warnings.simplefilter("ignore", ConvergenceWarning)
        learner.fit(encoder.encode(x).numpy())
    return _scored(planted, torch.from_numpy(np.asarray(learner.components_)).float().T, float("nan"))


def _planted(encoder: Encoder, features: SparseFeatures) -> Float[Tensor, "n_hidden n_features"]:
    check_same_size(encoder, features)
    if encoder.dtype not in (None, torch.float32):
        raise ValueError(f"`encoder` must be of float32 to be learnt from, got {encoder.dtype}: convert it")
    return encoder.columns(torch.arange(encoder.n_features)).T.float()


def _scored(planted: Tensor, found: Tensor, loss: float) -> LearnedDictionary:
    cosines = match_columns(planted, found)
    share = float((cosines > _SAME).double().mean())
    return LearnedDictionary(found, float(cosines.mean()), share, loss)


def _factor(done: float) -> float:
    """Returns the rate at a share of the steps, in units of its peak."""
    return min(done / _WARM_UP + 1e-3, 1.0) * (1 + cos(pi * done)) / 2
