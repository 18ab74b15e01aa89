"""The training loop: fresh batches, an engine that learns from them, resumable bit for bit."""

import signal
import time
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from superposition._interrupts import deferred_signals
from superposition._progress import Report
from superposition._random import torch_generator
from superposition.diagnostics.loss import held_out_loss, placement
from superposition.features import Features
from superposition.models import Reconstructor
from superposition.theory import weighted_linear_loss
from superposition.training import checkpoint
from superposition.training.config import TrainingConfig
from superposition.training.engine import Engine
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


class Loop:
    """The state of a run between two steps."""

    def __init__(
        self,
        models: Sequence[Reconstructor],
        engine: Engine,
        features: Features,
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
        # Losses of the best constant and of each model's linear optimum, between which it is told to have collapsed.
        self._constant = weighted_linear_loss(features, 0)
        self._linear = [
            weighted_linear_loss(features, min(model.n_hidden, features.n_features), hidden_noise=model.hidden_noise)
            for model in models
        ]

    def conclude(self, folder: Path | None, report: Report, n_held_out: int) -> list[Run]:
        """Trains to the end, with checkpoints in a folder if given, and measures."""
        started = time.monotonic()
        if folder:
            self.keep_in(folder)
        self.start_as_first()
        ends = self.run(report)
        self._engine.release()
        runs = []
        for index, (model, (stopped, steps)) in enumerate(zip(self.models, ends, strict=True)):
            loss = held_out_loss(model, self.features, n_samples=n_held_out, seed=self.seed)
            if not isfinite(loss.value):
                stopped = "diverged"
            elif _collapsed(loss.value, self._constant, self._linear[index]):
                stopped = "collapsed"
            curve = Curve.of(self.losses[:steps, index])
            seconds = time.monotonic() - started
            runs.append(Run(model, self.features, self.config, self.seed, loss, curve, stopped, steps, seconds))
        return runs

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
            self._run_until_signal(report, self.config.n_steps)
        return [(_REASONS[reason], steps) for reason, steps in self._ends.tolist()]

    def run_to(self, step: int, report: Report) -> None:
        """Trains to a step, short of the end, whatever becomes of the models; its checkpoint is kept."""
        while self.step < step:
            self._run_until_signal(report, step)

    def take_over(self, other: "Loop") -> None:
        """Goes on from where another run of the same models has got to, which goes its own way."""
        self.step = other.step
        self.losses[: self.step] = other.losses[: self.step]
        self._engine.restore({name: tensor.clone() for name, tensor in other._engine.state().items()}, self.step)

    def _run_until_signal(self, report: Report, last: int) -> None:
        """Trains until all models have ended, to a step, or until a signal arrives, raised again after a checkpoint."""
        due = time.monotonic() + _CHECKPOINT_SECONDS
        # How far a stop rule will go is unknown.
        total = 0 if self.config.stop_window else self.config.n_steps
        with deferred_signals() as signals:
            while not self._is_over() and self.step < last:
                self._advance()
                if last == self.config.n_steps:
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
            if self._folder and (self._is_over() or self.step == last):
                # What follows, the held-out loss and the final files, or a branch, can be repeated from here.
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
        for index in range(len(self.models)):
            reason = self._stopped(index) if self._ends[index, 0] < 0 else None
            if reason is not None:
                self._ends[index] = torch.tensor([_REASONS.index(reason), self.step])
                self._engine.freeze(index)

    def _stopped(self, index: int) -> Stopped | None:
        """Returns why to stop a model here, if so."""
        window = self.config.stop_window
        if self.step % _REPORT_EVERY == 0:
            recent = float(self._recent(_REPORT_EVERY)[index])
            if not isfinite(recent):
                return "diverged"
            is_at_constant = abs(recent - self._constant) < _AT_CONSTANT * (self._constant - self._linear[index])
            if is_at_constant and window is None and self.step >= _COLLAPSED_BY * self.config.n_steps:
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


def _collapsed(loss: float, constant: float, linear: float) -> bool:
    """Whether a loss is not even half way from the constant prediction to the linear optimum."""
    return loss > (constant + linear) / 2
