"""The training loop: fresh batches, a hand-written step, fused Adam; resumable bit for bit."""

import time
from math import isfinite
from pathlib import Path

import torch
from torch import Tensor

from superposition import _checks, _files
from superposition._interrupts import deferred_signals
from superposition._progress import Display, Report, silent
from superposition._random import torch_generator
from superposition.diagnostics.loss import check_same_width, held_out_loss
from superposition.features import SparseFeatures
from superposition.models import Autoencoder
from superposition.theory import weighted_linear_loss
from superposition.training import checkpoint, storage
from superposition.training.config import TrainingConfig
from superposition.training.result import Curve, Run, Stopped
from superposition.training.step import GradientStep

_REPORT_EVERY = 50
_CHECKPOINT_SECONDS = 30.0


def train(
    model: Autoencoder,
    features: SparseFeatures,
    config: TrainingConfig | None = None,
    *,
    seed: int = 0,
    folder: str | Path | None = None,
    resume: bool = False,
    progress: bool | Report = False,
    n_held_out: int = 100_000,
) -> Run:
    """Trains an autoencoder in place and measures it on held-out samples.

    The batch of a step is drawn from (seed, step) alone, so a resumed run sees the same batches and ends with
    the same weights, bit for bit on the same machine and number of threads.

    Args:
        model: Trained in place, on its own device.
        features: What it sees; n_features must be the model's.
        config: Protocol; TrainingConfig() if not given.
        seed: Seed of batches and held-out samples, ≥ 0.
        folder: Where to keep checkpoints (every 30 s, and on SIGINT or SIGTERM) and at the end the model,
            record.json and curve.parquet. Nothing is written if not given.
        resume: Whether to go on from the checkpoints in `folder`, if there are any.
        progress: True shows a bar on standard error; a function gets (done, total, detail).
        n_held_out: Samples behind `run.loss`, ≥ 1.

    Returns:
        The run. One that diverged or collapsed is returned too: look at `run.stopped` or `run.succeeded`.

    Raises:
        ValueError: Sizes do not match, or the folder's unfinished run is another one or damaged.
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
                seed=seed,
                folder=folder,
                resume=resume,
                progress=report,
                n_held_out=n_held_out,
            )
    _checks.whole_number("n_held_out", n_held_out)
    seed = _checks.whole_number("seed", seed, low=0, high=2**63 - 1)
    check_same_width(model, features)
    loop = _Loop(model, features, config or TrainingConfig(), seed)
    report = progress if callable(progress) else silent
    if folder is None:
        return _finish(loop, report, n_held_out)
    folder = _files.vacant(Path(folder))
    with _files.locked(folder):
        loop.keep_in(storage.open_folder(folder, resume=resume))
        run = _finish(loop, report, n_held_out)
        storage.save_run(run, folder)
    return run


def _finish(loop: "_Loop", report: Report, n_held_out: int) -> Run:
    """Trains to the end and measures."""
    model, features, seed = loop.model, loop.features, loop.seed
    started = time.monotonic()
    stopped = loop.run(report)
    loss = held_out_loss(model, features, n_samples=n_held_out, seed=seed)
    if not isfinite(loss.value):
        stopped = "diverged"
    elif _collapsed(loss.value, features, model.n_hidden):
        stopped = "collapsed"
    curve = Curve.of(loop.losses[: loop.step])
    return Run(model, features, loop.config, seed, loss, curve, stopped, loop.step, time.monotonic() - started)


class _Loop:
    """The state of a run between two steps."""

    def __init__(self, model: Autoencoder, features: SparseFeatures, config: TrainingConfig, seed: int) -> None:
        self.model, self.features, self.config, self.seed = model, features, config, seed
        self.step = 0
        self.losses = torch.zeros(config.n_steps)
        probability = float(features.per_feature(features.probability).mean())
        self._peak = config.peak_rate(model.n_features, model.n_hidden, probability)
        self._gradients = GradientStep(model, features, config.precision)
        self._optimizer = torch.optim.Adam(
            self._gradients.parameters.values(), lr=self._peak, betas=config.betas, eps=config.epsilon, fused=True
        )
        self._folder: Path | None = None
        self._identity = checkpoint.identity(features, config, model.n_hidden, seed)

    def keep_in(self, folder: Path) -> None:
        """Keeps checkpoints in a folder, going on from those it holds."""
        self._folder = folder
        if checkpoint.exists(folder):
            self.step = checkpoint.restore(
                folder, self._gradients.parameters, self._optimizer, self.losses, self._identity
            )
        else:
            # A folder that cannot be written is found out here and not after the training.
            self._save(folder)

    def run(self, report: Report) -> Stopped:
        """Trains until the protocol stops it."""
        stopped = None
        while stopped is None:  # once, unless a signal's own handler lets the process go on
            stopped = self._run_until_signal(report)
        return stopped

    def _run_until_signal(self, report: Report) -> Stopped | None:
        """Trains until the protocol stops it or a signal arrives, which is raised again after a checkpoint."""
        saved = time.monotonic()
        # How far a stop rule will go is unknown.
        total = 0 if self.config.stop_window else self.config.n_steps
        with deferred_signals() as signals:
            while (stopped := self._stopped()) is None:
                self._advance()
                if self.step % _REPORT_EVERY == 0 or self.step == self.config.n_steps:
                    report(self.step, total, f"loss {self._recent(_REPORT_EVERY):.4e}")
                overdue = time.monotonic() - saved > _CHECKPOINT_SECONDS
                if self._folder and (signals.pending or overdue):
                    self._save(self._folder)
                    saved = time.monotonic()
                if signals.pending:
                    break
            if self._folder and stopped:
                # What follows, the held-out loss and the final files, can be repeated from here.
                self._save(self._folder)
        return stopped

    def _save(self, folder: Path) -> None:
        checkpoint.write(folder, self.step, self._gradients.parameters, self._optimizer, self.losses, self._identity)

    def _advance(self) -> None:
        """Does one step."""
        generator = torch_generator(self.seed, "batch", self.step, device=self.model.W_enc.device)
        batch = self.features.sample_sparse(self.config.batch_size, generator, dtype=self.model.W_enc.dtype)
        self._optimizer.param_groups[0]["lr"] = self._peak * self.config.rate_factor(self.step)
        self.losses[self.step] = self._gradients(batch)
        self._optimizer.step()
        self.step += 1

    def _stopped(self) -> Stopped | None:
        """Returns why to stop here, if so."""
        window = self.config.stop_window
        if self.step and self.step % _REPORT_EVERY == 0 and not isfinite(self._recent(_REPORT_EVERY)):
            return "diverged"
        if window and self.step >= 2 * window and self.step % window == 0:
            before = _mean(self.losses[self.step - 2 * window : self.step - window])
            if not self._recent(window) < before:
                return "plateau"
        if self.step >= self.config.n_steps:
            return "step limit" if window else "completed"
        return None

    def _recent(self, window: int) -> float:
        return _mean(self.losses[max(0, self.step - window) : self.step])


def _mean(losses: Tensor) -> float:
    return float(losses.mean(dtype=torch.float64))


def _collapsed(loss: float, features: SparseFeatures, n_hidden: int) -> bool:
    """Whether a loss is not even half way from the constant prediction to the linear optimum."""
    return loss > (weighted_linear_loss(features, 0) + weighted_linear_loss(features, n_hidden)) / 2
