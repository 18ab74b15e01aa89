"""Runs of several lengths that have their constant part in common."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from superposition import _checks
from superposition._progress import Report, reporting
from superposition.features import Features
from superposition.models import Autoencoder
from superposition.training import storage
from superposition.training.config import TrainingConfig
from superposition.training.engine import OneModel
from superposition.training.loop import Loop
from superposition.training.result import Run
from superposition.training.trainers import by_hand, check_start, has_own_step, kept, released


def train_lengths(
    model: Autoencoder,
    features: Features,
    config: TrainingConfig,
    lengths: Sequence[int],
    *,
    seed: int = 0,
    progress: bool | Report = False,
    n_held_out: int = 100_000,
) -> list[Run]:
    """Trains for several numbers of steps at the price of the longest: one run at a constant rate, and its branches.

    A run of N steps with a cooldown has the constant rate in its first part, and therefore that part in common with
    longer ones. Each run is that of `train` with `config.replace(n_steps=N)`, bit for bit, unless that is found to
    have collapsed in its constant part and stops there. Loss against the length of training, without the noise of the
    constant rate.

    Args:
        model: A ReLU autoencoder, trained in place to where the longest run lowers its rate; the runs have copies.
        features: What it sees.
        config: Of all, but for `n_steps`: with a cooldown, and neither warm-up nor stop rule.
        lengths: Numbers of steps, each ≥ 1 and once.
        seed: Seed of batches and held-out samples, ≥ 0.
        progress: True shows a bar on standard error; a function gets (done, total, detail).
        n_held_out: Samples behind each `run.loss`, ≥ 1.

    Returns:
        A run for each length, in their order; `seconds` are those of its cooldown.

    Raises:
        ValueError: The configuration has no cooldown, or a warm-up or stop rule, or lengths are none.

    Reference: Hägele et al. 2024, Scaling laws and compute-optimal training beyond fixed training durations.

    >>> config = TrainingConfig(warm_up=0.0, decay="linear", cooldown=0.2)
    >>> from superposition import SparseFeatures
    >>> runs = train_lengths(Autoencoder(8, 2), SparseFeatures(8, 0.1), config, [20, 40], n_held_out=10)
    >>> [run.steps for run in runs]
    [20, 40]
    """
    lengths = [_checks.whole_number("lengths", length) for length in _checks.sequence("lengths", lengths, "numbers")]
    made = {run.config.n_steps: run for run in branches(model, features, config, lengths, seed, progress, n_held_out)}
    return [made[length] for length in lengths]


def branches(
    model: Autoencoder,
    features: Features,
    config: TrainingConfig,
    lengths: Sequence[int],
    seed: int = 0,
    progress: bool | Report = False,
    n_held_out: int = 100_000,
    *,
    folders: Mapping[int, Path] | None = None,
    trunk: Path | None = None,
) -> Iterator[Run]:
    """Yields the runs of `train_lengths` by length, each saved in its folder when it is done.

    Args:
        model: As there, as what follows.
        features: What it sees.
        config: Of all.
        lengths: Numbers of steps.
        seed: Seed.
        progress: As there.
        n_held_out: Samples behind each loss.
        folders: Where each run is kept; what is finished there already is not trained again, nor yielded.
        trunk: Folder for checkpoints of the part in common, from which the same call goes on; it stays.
    """
    _checks.instance("config", config, TrainingConfig, "a TrainingConfig")
    if config.cooldown is None or config.warm_up > 0 or config.stop_window is not None:
        raise ValueError("`config` must have a cooldown, and neither a warm-up nor a stop rule, to share steps")
    if not lengths or len(set(lengths)) < len(lengths):
        raise ValueError(f"`lengths` must be distinct numbers of steps, at least one, got {_checks.shown(lengths)}")
    _checks.instance("model", model, Autoencoder, "an Autoencoder")
    if not has_own_step(model):
        raise ValueError(f"`model` must have a ReLU, got {model.activation.kind}: train each length by itself")
    configs = [config.replace(n_steps=length) for length in sorted(lengths)]
    check_start(model, features, configs[-1])

    def loop_of(its: Autoencoder, config: TrainingConfig) -> tuple[OneModel, Loop]:
        engine = OneModel(its, features, config, seed)
        return engine, Loop([its], engine, features, config, seed, about=by_hand(model))

    what = f"training n={model.n_features} n_hidden={model.n_hidden}"
    engine, common = loop_of(model, configs[-1])
    with released(engine), reporting(progress, what) as report, kept(trunk, resume=True) as place:
        if place:
            common.keep_in(place)
        for config in configs:
            folder = folders[config.n_steps] if folders else None
            if folder and (folder / storage.RECORD).exists():
                continue
            if common.step > config.constant_until:
                raise ValueError(f"{folder} must hold the run of {config.n_steps} steps: remove {trunk} to start again")
            common.run_to(config.constant_until, report)
            its, loop = loop_of(copy.deepcopy(model), config)
            loop.take_over(common)
            with released(its), kept(folder, resume=True) as own:
                (run,) = loop.conclude(own, report, n_held_out)
                if own:
                    storage.save_run(run, own)
            yield run
        engine.release()
