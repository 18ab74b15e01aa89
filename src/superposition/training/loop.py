"""The training loop: fresh batches, an engine that learns from them, resumable bit for bit."""

import signal
import time
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from superposition import _checks, _files, _tensors
from superposition._interrupts import deferred_signals
from superposition._progress import Display, Report, silent
from superposition._random import torch_generator
from superposition.diagnostics.loss import check_same_width, held_out_loss, placement
from superposition.features import SparseFeatures
from superposition.models import Autoencoder, Model, ReLU
from superposition.models.storage import check_kind
from superposition.theory import weighted_linear_loss
from superposition.training import checkpoint, storage
from superposition.training.config import TrainingConfig
from superposition.training.engine import ByAutograd, Engine, ManyModels, OneModel
from superposition.training.objective import Objective, Reconstruction
from superposition.training.ranks import ALONE, Ranks
from superposition.training.result import Curve, Run, Stopped

_REASONS: tuple[Stopped, ...] = get_args(Stopped)
_REPORT_EVERY = 50
_CHECKPOINT_SECONDS = 30.0
# Least time between checkpoints, in units of the time that one takes: those of large models are gigabytes.
_CHECKPOINT_SHARE = 30
# A run that sits at the constant prediction after this share of its steps will not leave it.
_COLLAPSED_BY = 0.3
_AT_CONSTANT = 0.02


def train(
    model: Model,
    features: SparseFeatures,
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
    the same weights, bit for bit on the same machine and number of threads.

    Where `torch.distributed` is set up, its processes share out every batch. All call this with the same arguments,
    and the first one writes the files; they see the same samples as one process would.

    Args:
        model: Trained in place, on its own device.
        features: What it sees; n_features must be the model's.
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
    if progress is True:
        with Display() as display:
            report = display.task(f"training n={model.n_features} n_hidden={model.n_hidden}")
            return train(
                model,
                features,
                config,
                objective=objective,
                seed=seed,
                folder=folder,
                resume=resume,
                progress=report,
                n_held_out=n_held_out,
            )
    _checks.whole_number("n_held_out", n_held_out)
    seed = _checks.seed(seed)
    config = TrainingConfig() if config is None else config
    _check_start(model, features, config)
    ranks = Ranks.current(placement(model)[0])
    if config.batch_size < ranks.size:
        raise ValueError(
            f"`batch_size` must be at least the number of processes, {ranks.size}, got {config.batch_size}"
        )
    if _has_own_step(model) and objective is None:
        assert isinstance(model, Autoencoder)
        loop = _Loop([model], OneModel(model, features, config, ranks), features, config, seed, ranks)
    else:
        if config.precision != "float32":
            raise ValueError(f"`precision` must be float32 for a model trained by autograd, got {config.precision}")
        objective = Reconstruction() if objective is None else objective
        _checks.instance("objective", objective, Objective, "an Objective")
        engine = ByAutograd(model, features, config, objective, ranks)
        about = {"model": model.kind or type(model).__name__, **model.settings(), "objective": repr(objective)}
        loop = _Loop([model], engine, features, config, seed, ranks, about)
    report = progress if callable(progress) else silent
    if folder is None or not ranks.is_first:
        loop.start_as_first()
        return _finish(loop, report, n_held_out)[0]
    check_kind(model)
    folder = _files.vacant(Path(folder))
    with _files.locked(folder):
        loop.keep_in(storage.open_folder(folder, resume=resume))
        loop.start_as_first()
        (run,) = _finish(loop, report, n_held_out)
        storage.save_run(run, folder)
    return run


def train_many(
    models: Sequence[Autoencoder],
    features: SparseFeatures,
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
    if progress is True:
        with Display() as display:
            report = display.task(f"training {len(models)} models n={features.n_features}")
            return train_many(
                models, features, config, seed=seed, checkpoints=checkpoints, progress=report, n_held_out=n_held_out
            )
    _checks.whole_number("n_held_out", n_held_out)
    seed = _checks.seed(seed)
    models = _checks.sequence("models", models, "models")
    if not models:
        raise ValueError("`models` must hold at least one model, got none")
    config = TrainingConfig() if config is None else config
    for model in models:
        _checks.instance("models", model, Autoencoder, "Autoencoders")
        if not _has_own_step(model):
            raise ValueError(f"`models` must have a ReLU, got {model.activation.kind}: train them one by one")
        _check_start(model, features, config)
        _tensors.alike("models", model.W_enc, "the first one", models[0].W_enc.dtype, models[0].W_enc.device)
    loop = _Loop(models, ManyModels(models, features, config), features, config, seed)
    report = progress if callable(progress) else silent
    if checkpoints is None:
        return _finish(loop, report, n_held_out)
    folder = _files.vacant(Path(checkpoints))
    with _files.locked(folder):
        loop.keep_in(storage.open_folder(folder, resume=True))
        return _finish(loop, report, n_held_out)


def _check_start(model: Model, features: SparseFeatures, config: TrainingConfig) -> None:
    """Raises ValueError for a model that cannot be trained so."""
    _checks.instance("model", model, Model, "a model")
    _checks.instance("config", config, TrainingConfig, "a TrainingConfig")
    check_same_width(model, features)
    if not any(True for _ in model.parameters()):
        raise ValueError(f"`model` must have parameters to train, got {type(model).__name__}, which has none")
    if config.tied and not (isinstance(model, Autoencoder) and torch.equal(model.W_dec, model.W_enc.T)):
        raise ValueError("`model` must start with W_dec = W_enc.T to be trained tied: use initialization='tied'")


def _has_own_step(model: Model) -> bool:
    """Whether there is a step written by hand for a model."""
    return isinstance(model, Autoencoder) and isinstance(model.activation, ReLU)


def _finish(loop: "_Loop", report: Report, n_held_out: int) -> list[Run]:
    """Trains to the end and measures."""
    started = time.monotonic()
    ends = loop.run(report)
    runs = []
    for index, (model, (stopped, steps)) in enumerate(zip(loop.models, ends, strict=True)):
        loss = held_out_loss(model, loop.features, n_samples=n_held_out, seed=loop.seed)
        if not isfinite(loss.value):
            stopped = "diverged"
        elif _collapsed(loss.value, loop.features, model.n_hidden):
            stopped = "collapsed"
        curve = Curve.of(loop.losses[:steps, index])
        seconds = time.monotonic() - started
        runs.append(Run(model, loop.features, loop.config, loop.seed, loss, curve, stopped, steps, seconds))
    return runs


class _Loop:
    """The state of a run between two steps."""

    def __init__(
        self,
        models: Sequence[Model],
        engine: Engine,
        features: SparseFeatures,
        config: TrainingConfig,
        seed: int,
        ranks: Ranks = ALONE,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        self._engine, self._ranks = engine, ranks
        self.models, self.features, self.config, self.seed = models, features, config, seed
        self.step = 0
        self.losses = torch.zeros(config.n_steps, len(models))
        # Why and when each model's training ended: a place in _REASONS, −1 while it goes on, and its steps.
        self._ends = torch.tensor([[-1, 0]] * len(models))
        self._folder: Path | None = None
        widths = [model.n_hidden for model in models]
        identity = checkpoint.identity(features, config, widths[0] if len(models) == 1 else widths, seed)
        self._identity = {**identity, **(about or {})}
        self._placement = placement(models[0])

    def keep_in(self, folder: Path) -> None:
        """Keeps checkpoints in a folder, going on from those it holds."""
        self._folder = folder
        if not checkpoint.exists(folder):
            # A folder that cannot be written is found out here and not after the training.
            self._save(folder)
            return
        self.step, tensors = checkpoint.restore(folder, self._identity, self._like)
        self.losses[: self.step] = tensors["losses"]
        self._ends = tensors["ends"]
        reasons, steps = self._ends.unbind(1)
        if not bool(((reasons >= -1) & (reasons < len(_REASONS)) & (steps >= 0) & (steps <= self.step)).all()):
            raise ValueError(f"{folder} must hold a checkpoint of this run, but its ends are none: start again")
        self._engine.restore(tensors, self.step)

    def _like(self, step: int) -> dict[str, Tensor]:
        """Returns tensors of the shapes and types of a checkpoint after so many steps."""
        if not 0 <= step <= self.config.n_steps:
            raise ValueError(f"a checkpoint must be of at most {self.config.n_steps} steps, got {step}")
        return {"losses": self.losses[:step], "ends": self._ends, **self._engine.state()}

    def start_as_first(self) -> None:
        """Takes over the state of the first of several processes."""
        if self._ranks.size == 1:
            return
        self.step = self._ranks.highest(self.step)
        mine = {"losses": self.losses, "ends": self._ends, **self._engine.state()}
        tensors = {name: self._ranks.copy_from_first(tensor) for name, tensor in mine.items()}
        self.losses, self._ends = tensors["losses"], tensors["ends"]
        self._engine.restore(tensors, self.step)

    def run(self, report: Report) -> list[tuple[Stopped, int]]:
        """Trains until the protocol stops every model; returns why and after how many steps."""
        while not self._is_over():  # once, unless a signal's own handler lets the process go on
            self._run_until_signal(report)
        self._engine.release()
        return [(_REASONS[reason], steps) for reason, steps in self._ends.tolist()]

    def _run_until_signal(self, report: Report) -> None:
        """Trains until all models have ended or a signal arrives, which is raised again after a checkpoint."""
        due = time.monotonic() + _CHECKPOINT_SECONDS
        # How far a stop rule will go is unknown.
        total = 0 if self.config.stop_window else self.config.n_steps
        with deferred_signals() as signals:
            while not self._is_over():
                self._advance()
                self._note_ends()
                signals.pending = self._agreed(signals.pending)
                if self.step % _REPORT_EVERY == 0 or self.step == self.config.n_steps:
                    report(self.step, total, f"loss {float(self._recent(_REPORT_EVERY).mean()):.4e}")
                now = time.monotonic()
                if self._folder and (signals.pending or now > due):
                    self._save(self._folder)
                    taken = time.monotonic() - now
                    due = now + max(_CHECKPOINT_SECONDS, _CHECKPOINT_SHARE * taken)
                if signals.pending:
                    break
            if self._folder and self._is_over():
                # What follows, the held-out loss and the final files, can be repeated from here.
                self._save(self._folder)

    def _agreed(self, pending: signal.Signals | None) -> signal.Signals | None:
        """Returns a signal that any of several processes has got, so that all stop after the same step."""
        return signal.Signals(number) if (number := self._ranks.highest(pending or 0)) else None

    def _save(self, folder: Path) -> None:
        tensors = {"losses": self.losses[: self.step], "ends": self._ends, **self._engine.state()}
        checkpoint.write(folder, self.step, tensors, self._identity)

    def _advance(self) -> None:
        """Does one step."""
        device, dtype = self._placement
        generator = torch_generator(self.seed, "batch", self.step, device=device)
        batch = self.features.sample_sparse(self.config.batch_size, generator, dtype=dtype)
        self.losses[self.step] = self._engine.advance(batch, self.step)
        self.step += 1

    def _is_over(self) -> bool:
        return bool((self._ends[:, 0] >= 0).all())

    def _note_ends(self) -> None:
        """Finds the models whose training ends here."""
        window = self.config.stop_window or self.config.n_steps
        if self.step < self.config.n_steps and self.step % _REPORT_EVERY and self.step % window:
            return
        for index, model in enumerate(self.models):
            reason = self._stopped(index, model.n_hidden) if self._ends[index, 0] < 0 else None
            if reason is not None:
                self._ends[index] = torch.tensor([_REASONS.index(reason), self.step])
                self._engine.freeze(index)

    def _stopped(self, index: int, n_hidden: int) -> Stopped | None:
        """Returns why to stop a model here, if so."""
        window = self.config.stop_window
        if self.step % _REPORT_EVERY == 0:
            recent = float(self._recent(_REPORT_EVERY)[index])
            constant = weighted_linear_loss(self.features, 0)
            if not isfinite(recent):
                return "diverged"
            if window is None and self.step >= _COLLAPSED_BY * self.config.n_steps:
                linear = weighted_linear_loss(self.features, n_hidden)
                if abs(recent - constant) < _AT_CONSTANT * (constant - linear):
                    return "collapsed"
        if window and self.step >= 2 * window and self.step % window == 0:
            before = self.losses[self.step - 2 * window : self.step - window, index].mean(dtype=torch.float64)
            if not self._recent(window)[index] < before:
                return "plateau"
        if self.step >= self.config.n_steps:
            return "step limit" if window else "completed"
        return None

    def _recent(self, window: int) -> Tensor:
        """Returns each model's mean loss over the last batches."""
        return self.losses[max(0, self.step - window) : self.step].mean(dim=0, dtype=torch.float64)


def _collapsed(loss: float, features: SparseFeatures, n_hidden: int) -> bool:
    """Whether a loss is not even half way from the constant prediction to the linear optimum."""
    return loss > (weighted_linear_loss(features, 0) + weighted_linear_loss(features, n_hidden)) / 2
