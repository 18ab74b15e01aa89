"""Dictionary learning: find an encoder's columns from hidden activations alone."""

from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import final

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from superposition import _checks, _tensors
from superposition._progress import Report
from superposition._random import derived_seed, torch_generator
from superposition.estimate import Estimate
from superposition.features import Features
from superposition.models import Dictionary, HiddenActivations, Model, Reconstructor
from superposition.models.encoders import Encoder
from superposition.training.config import TrainingConfig
from superposition.training.objective import Objective
from superposition.training.result import Run
from superposition.training.trainers import train

# Samples that scikit-learn takes at a time.
_BATCH = 512
# A recovered column points the same way as the planted one but for this much of a cosine.
_SAME = 0.95


@final
@dataclass(frozen=True)
class CodePenalty(Objective):
    """The loss of a dictionary and a penalty on its codes, ‖h − ĥ‖² + λ Σ x̂, over the number of entries of h.

    Args:
        penalty: λ ≥ 0, in the units of h.

    Raises:
        ValueError: It is negative or not finite.
    """

    penalty: float

    def __post_init__(self) -> None:
        penalty = _checks.one("penalty", _checks.finite("penalty", self.penalty, non_negative=True))
        object.__setattr__(self, "penalty", penalty)

    def __call__(
        self,
        loss: Float[Tensor, ""],
        model: Reconstructor,
        x: Float[Tensor, "batch n_features"],
        reconstruction: Float[Tensor, "batch n_features"],  # noqa: ARG002
    ) -> Float[Tensor, ""]:
        """Returns the loss with its penalty."""
        code = _checks.instance("model", model, Dictionary, "a Dictionary").encode(x)
        return loss + (self.penalty / model.n_features) * code.sum(dim=1).mean()


@dataclass(frozen=True)
class LearnedDictionary:
    """Columns found from hidden activations.

    Attributes:
        columns: Unit columns, shape (n_hidden, n_atoms).
        mean_cosine: Mean cosine between planted columns and those matched to them, one to one; NaN if the run diverged.
        recovered: Share of planted columns whose match has a cosine above 0.95.
        loss: Mean square reconstruction error per hidden dimension as a share of the activations' variance, on
            held-out samples; None for a method that gives columns only.
        run: How it was trained, `run.model` the Dictionary; None for another method.
    """

    columns: Float[Tensor, "n_hidden n_atoms"]
    mean_cosine: float
    recovered: float
    loss: Estimate | None
    run: Run | None


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
    rows, columns = linear_sum_assignment(cosines.cpu().numpy(), maximize=True)
    return cosines[torch.from_numpy(rows), torch.from_numpy(columns)]


def learn_dictionary(
    encoder: "Encoder | Model | Float[Tensor, 'n_hidden n_features']",
    features: Features,
    *,
    n_atoms: int | None = None,
    penalty: float = 0.3,
    config: TrainingConfig | None = None,
    seed: int = 0,
    folder: str | Path | None = None,
    resume: bool = False,
    progress: bool | Report = False,
    n_held_out: int = 20_000,
) -> LearnedDictionary:
    """Learns a dictionary by a tied ReLU autoencoder of the hidden activations, h → x̂ = ReLU(Dᵀ(h − c) + b) → ĥ = D x̂.

    It sees h = W_enc x only. The loss is ‖h − ĥ‖² + λ Σ x̂ with unit columns D. Without a penalty any overcomplete D
    reconstructs, and nothing is found. It is trained by `train`, on `HiddenActivations`.

    Args:
        encoder: Whose columns are planted: an encoder, a model or a matrix W_enc, of float32.
        features: What it encodes.
        n_atoms: Columns to find, ≥ n_features; n_features if not given.
        penalty: λ ≥ 0, in units of the mean active value, E u of sparse features.
        config: Protocol; TrainingConfig.dictionary() if not given.
        seed: Seed of the start, the samples and the held-out samples.
        folder: As in `train`: for checkpoints, and at the end the dictionary, its record and its curve.
        resume: Whether to go on from the checkpoints in `folder`, if there are any.
        progress: True shows a bar on standard error; a function gets (done, total, detail).
        n_held_out: Samples behind the loss, ≥ 1.

    Raises:
        ValueError: An argument is out of range.
        FileExistsError: The folder holds a finished run, or an unfinished one and `resume` is false.
        KeyboardInterrupt: On SIGINT, after the checkpoint is written.

    Reference: Rangamani et al. 2018; Nguyen, Wong and Hegde 2019 (tied ReLU autoencoders of planted dictionaries).
    """
    hidden = _hidden(encoder, features)
    n_atoms = features.n_features if n_atoms is None else n_atoms
    model = Dictionary(
        hidden.n_features, _checks.whole_number("n_atoms", n_atoms, low=features.n_features), seed=_checks.seed(seed)
    ).to(hidden.encoder.device or "cpu")
    with torch.no_grad():
        model.centre.copy_(torch.from_numpy(hidden.mean))
    run = train(
        model,
        hidden,
        TrainingConfig.dictionary() if config is None else config,
        objective=CodePenalty(_in_units("penalty", penalty, features)),
        seed=seed,
        folder=folder,
        resume=resume,
        progress=progress,
        n_held_out=n_held_out,
    )
    variance = float(hidden.variance.mean())
    share = Estimate(run.loss.value / variance, run.loss.standard_error / variance, run.loss.count)
    return _scored(hidden, model.columns.detach(), share, run)


def learn_dictionary_by_sklearn(
    encoder: "Encoder | Model | Float[Tensor, 'n_hidden n_features']",
    features: Features,
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
        penalty: λ > 0 of its lasso, in units of the mean active value.
        max_iter: Passes over the samples, ≥ 1.
        seed: Seed of the samples and the start.

    Raises:
        ValueError: An argument is out of range.

    Reference: Mairal et al. 2009.
    """
    import warnings

    from sklearn.decomposition import MiniBatchDictionaryLearning
    from sklearn.exceptions import ConvergenceWarning

    hidden = _hidden(encoder, features)
    _checks.in_interval("penalty", penalty, 0, inf, open_low=True, open_high=True)
    h = hidden.sample(_checks.whole_number("n_samples", n_samples), torch_generator(seed, "dictionary samples"))
    learner = MiniBatchDictionaryLearning(
        features.n_features,
        alpha=_in_units("penalty", penalty, features),
        max_iter=_checks.whole_number("max_iter", max_iter),
        batch_size=_BATCH,
        fit_algorithm="cd",
        positive_code=True,
        random_state=derived_seed(seed, "sklearn"),
    )
    with warnings.catch_warnings():  # of single codes that would take more sweeps
        warnings.simplefilter("ignore", ConvergenceWarning)
        learner.fit(h.numpy())
    return _scored(hidden, torch.from_numpy(np.asarray(learner.components_)).float().T, None, None)


def _hidden(encoder: "Encoder | Model | Tensor", features: Features) -> HiddenActivations:
    hidden = HiddenActivations(encoder, features)
    if hidden.encoder.dtype not in (None, torch.float32):
        raise ValueError(f"`encoder` must be of float32 to be learnt from, got {hidden.encoder.dtype}: convert it")
    if not hidden.variance.any():
        raise ValueError(
            "`features` must give hidden activations that vary, got a variance of 0: nothing can be learnt"
        )
    return hidden


def _in_units(name: str, value: float, features: Features) -> float:
    """Returns a penalty in feature units, from units of the mean value of what is active."""
    active = float(features.per_feature(features.mean).mean()) / features.density
    return _checks.one(name, _checks.finite(name, value, non_negative=True)) * active


def _scored(hidden: HiddenActivations, found: Tensor, loss: Estimate | None, run: Run | None) -> LearnedDictionary:
    if not bool(torch.isfinite(found).all()):
        return LearnedDictionary(found, float("nan"), 0.0, loss, run)
    cosines = match_columns(hidden.columns.float(), found)
    share = float((cosines > _SAME).double().mean())
    return LearnedDictionary(found, float(cosines.mean()), share, loss, run)
