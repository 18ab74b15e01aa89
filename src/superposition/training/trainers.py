"""Training: a model, or many on the same batches, in the one loop."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from superposition import _checks, _files, _tensors
from superposition._progress import Report, reporting
from superposition.diagnostics.loss import check_same_width, placement
from superposition.features import Features
from superposition.features.kinds import features_to_file
from superposition.models import Autoencoder, Reconstructor, ReLU
from superposition.models.storage import check_kind
from superposition.training import storage
from superposition.training.config import TrainingConfig
from superposition.training.engine import ByAutograd, Engine, ManyModels, OneModel
from superposition.training.loop import Loop
from superposition.training.objective import Objective, Reconstruction
from superposition.training.ranks import Ranks
from superposition.training.result import Run


def train(
    model: Reconstructor,
    features: Features,
    config: TrainingConfig | None = None,
    *,
    objective: Objective | None = None,
    seed: int = 0,
    folder: str | Path | None = None,
    resume: bool = False,
    progress: bool | Report = False,
    n_held_out: int = 100_000,
) -> Run:
    """Trains a model in place and measures it on held-out samples.

    A ReLU autoencoder has a step of its own, written by hand; any other model, or objective, is trained by autograd, in
    the same loop.

    The batch of a step is drawn from (seed, step) alone, so a resumed run sees the same batches and ends with
    the same weights, bit for bit on the same machine and number of threads. So is the hidden noise of a step.

    Where `torch.distributed` is set up, its processes share out every batch. All call this with the same arguments,
    and the first one writes the files; they see the same samples as one process would.

    Args:
        model: Trained in place, on its own device.
        features: What it sees: SparseFeatures or any others, as many as the model's n_features.
        config: Protocol; TrainingConfig() if not given.
        objective: What is minimised; the loss if not given. Losses that are reported are those of the reconstruction.
        seed: Seed of batches and held-out samples, ≥ 0.
        folder: Where to keep checkpoints (every 30 s, less often if large, and on SIGINT or SIGTERM) and at the end
            the model, record.json and curve.parquet. Nothing is written if not given.
        resume: Whether to go on from the checkpoints in `folder`, if there are any.
        progress: True shows a bar on standard error; a function gets (done, total, detail).
        n_held_out: Samples behind `run.loss`, ≥ 1.

    Returns:
        The run. One that diverged or collapsed is returned too: look at `run.stopped` or `run.succeeded`.

    Raises:
        ValueError: Sizes do not match, or a protocol asks for what a model has not (tied weights, a rounded step), or
            the folder's unfinished run is another one or damaged.
        FileExistsError: The folder holds a finished run, or an unfinished one and `resume` is false.
        KeyboardInterrupt: On SIGINT, after the checkpoint is written.

    Reference: The Persian Rug, section 2 and appendix G.
    """
    _checks.whole_number("n_held_out", n_held_out)
    seed = _checks.seed(seed)
    config = TrainingConfig() if config is None else config
    check_start(model, features, config)
    is_by_hand = objective is None and has_own_step(model)
    if not is_by_hand:
        if config.precision != "float32":
            raise ValueError(f"`precision` must be float32 for a model trained by autograd, got {config.precision}")
        objective = Reconstruction() if objective is None else objective
        _checks.instance("objective", objective, Objective, "an Objective")
    if folder is not None:
        check_kind(model)
        if features.kind:
            features_to_file(features)
    ranks = Ranks.current(placement(model)[0])
    if config.batch_size < ranks.size:
        raise ValueError(
            f"`batch_size` must be at least the number of processes, {ranks.size}, got {config.batch_size}"
        )
    engine: Engine
    about: Mapping[str, Any] = {}
    if objective is None:
        assert isinstance(model, Autoencoder)
        engine = OneModel(model, features, config, seed, ranks)
        about = by_hand(model)
    else:
        engine = ByAutograd(model, features, config, objective, seed, ranks)
        about = {"model": model.kind or type(model).__name__, **model.settings(), "objective": repr(objective)}
    with (
        released(engine),
        reporting(progress, f"training n={model.n_features} n_hidden={model.n_hidden}") as report,
    ):
        loop = Loop([model], engine, features, config, seed, ranks, about)
        with kept(folder if ranks.is_first else None, resume=resume) as place:
            (run,) = loop.conclude(place, report, n_held_out)
            if place:
                storage.save_run(run, place)
    return run


def by_hand(model: Autoencoder) -> dict[str, Any]:
    """Returns what else decides a run by the step written by hand, as plain data."""
    return {"hidden_noise": model.hidden_noise} if model.hidden_noise else {}


def train_many(
    models: Sequence[Autoencoder],
    features: Features,
    config: TrainingConfig | None = None,
    *,
    seed: int = 0,
    checkpoints: str | Path | None = None,
    progress: bool | Report = False,
    n_held_out: int = 100_000,
) -> list[Run]:
    """Trains autoencoders in place on the same batches, in one program, and measures each.

    Each run is that of `train` with the same seed, up to the rounding of sums: same batches, its own rate, its own
    end. It pays for models so small that a processor is not full with one: sampling and encoding are shared.

    Args:
        models: At least one, of any widths and the features' n_features, on one device.
        features: What they see.
        config: Protocol of all; TrainingConfig() if not given. A size-dependent rate is each model's own.
        seed: Seed of batches and held-out samples, ≥ 0.
        checkpoints: Folder for checkpoints of all together, from which the same call goes on. The last one stays:
            remove the folder when the runs are kept elsewhere.
        progress: True shows a bar on standard error; a function gets (done, total, detail).
        n_held_out: Samples behind each `run.loss`, ≥ 1.

    Returns:
        One run a model; `seconds` are those of all together.

    Raises:
        ValueError: No model, or one that is no Autoencoder, or sizes do not match, or the checkpoints are of other
            runs or damaged.
        KeyboardInterrupt: On SIGINT, after the checkpoint is written.
    """
    models = _checks.sequence("models", models, "models")
    config = TrainingConfig() if config is None else config
    for model in models:
        _checks.instance("models", model, Autoencoder, "Autoencoders")
        if not has_own_step(model):
            raise ValueError(f"`models` must have a ReLU, got {model.activation.kind}: train them one by one")
        _tensors.alike("models", model.W_enc, "the first one", models[0].W_enc.dtype, models[0].W_enc.device)
    noises = [model.hidden_noise for model in models]
    return train_together(
        partial(ManyModels, seed=seed),
        models,
        features,
        config,
        seed=seed,
        checkpoints=checkpoints,
        progress=progress,
        n_held_out=n_held_out,
        about={"hidden_noise": noises} if any(noises) else {},
    )


def train_together(
    engine: Callable[[Sequence[Any], Features, TrainingConfig], Engine],
    models: Sequence[Reconstructor],
    features: Features,
    config: TrainingConfig,
    *,
    seed: int,
    checkpoints: str | Path | None,
    progress: bool | Report,
    n_held_out: int,
    what: str = "models",
    about: Mapping[str, Any] | None = None,
) -> list[Run]:
    """Trains models by the engine that takes them all; as `train_many`, with a word for the models, for people.

    `about` is what else must be equal for one run to go on as another, as plain data.
    """
    _checks.whole_number("n_held_out", n_held_out)
    seed = _checks.seed(seed)
    if not models:
        raise ValueError("`models` must hold at least one model, got none")
    for model in models:
        check_start(model, features, config)
    working = engine(models, features, config)
    with (
        released(working),
        reporting(progress, f"training {len(models)} {what} n={features.n_features}") as report,
    ):
        loop = Loop(models, working, features, config, seed, about=about)
        with kept(checkpoints, resume=True) as place:
            return loop.conclude(place, report, n_held_out)


@contextlib.contextmanager
def released(engine: Engine) -> Iterator[None]:
    """Leaves models with memory of their own if their run is refused or interrupted.

    Engine and loop are made before a folder: one that is there has a checkpoint a moment later, and Ctrl-C finds it.
    """
    try:
        yield
    except BaseException:
        engine.release()
        raise


@contextlib.contextmanager
def kept(folder: str | Path | None, *, resume: bool) -> Iterator[Path | None]:
    """Yields a run's folder, locked and ready, if there is to be one."""
    if folder is None:
        yield None
        return
    folder = _files.vacant(Path(folder))
    with _files.locked(folder):
        yield storage.open_folder(folder, resume=resume)


def check_start(model: Reconstructor, features: Features, config: TrainingConfig) -> None:
    """Raises ValueError for a model that cannot be trained so."""
    _checks.instance("config", config, TrainingConfig, "a TrainingConfig")
    check_same_width(model, features)
    if not any(True for _ in model.parameters()):
        raise ValueError(f"`model` must have parameters to train, got {type(model).__name__}, which has none")
    if config.tied and not (isinstance(model, Autoencoder) and torch.equal(model.W_dec, model.W_enc.T)):
        raise ValueError("`model` must start with W_dec = W_enc.T to be trained tied: use initialization='tied'")


def has_own_step(model: Reconstructor) -> bool:
    """Whether there is a step written by hand for a model."""
    return isinstance(model, Autoencoder) and isinstance(model.activation, ReLU)
