"""What a command is, and the options that several share."""

import abc
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

import superposition as sp
from superposition._text import complain, say
from superposition.cli.exit_codes import DONE, FAILED, INTERRUPTED
from superposition.cli.features import Importance, LawWord, Probability, features_of

if TYPE_CHECKING:
    from superposition.features import SparseFeatures
    from superposition.sweeps import Credentials, Executor
    from superposition.training import Run

OptionalShare = Annotated[float | None, tyro.conf.arg(metavar="(0,1]")]
Shares = Annotated[tuple[float, ...], tyro.conf.arg(metavar="(0,1] ...")]
Count = Annotated[int, tyro.conf.arg(metavar="N")]
OptionalCount = Annotated[int | None, tyro.conf.arg(metavar="N")]


@dataclass(frozen=True, kw_only=True)
class Command(abc.ABC):
    """A command of the program: its options, and what it does."""

    config: Path | None = None
    """TOML file with any of these options, spelt as here with underscores; the command line wins over it."""
    imports: Annotated[tyro.conf.UseAppendAction[tuple[Path, ...]], tyro.conf.arg(name="import", metavar="FILE")] = ()
    """Python file of yours to run first, which registers laws, activations, models or cells; may be repeated."""

    @abc.abstractmethod
    def run(self) -> int:
        """Does it and returns the exit code."""

    def given(self, *names: str) -> dict[str, Any]:
        """Returns those of some options that were given: what a protocol has of its own holds but for these."""
        return {name: value for name in names if (value := getattr(self, name)) is not None}


def interrupted(out: Path | None) -> int:
    """Says how an interrupted run goes on, and returns the exit code."""
    kept = out is not None and out.exists()
    more = f"; {out} holds a checkpoint: the same command with --resume goes on" if kept else ""
    complain(f"superposition: interrupted{more}")
    return INTERRUPTED


def ended(run: "Run", out: Path | None, advice: dict[str, str]) -> int:
    """Says how a run ended and where it is, and what to do if it failed; returns the exit code."""
    say(f"{run.stopped} after {run.steps} steps in {run.seconds:.0f} s" + (f"; saved in {out}" if out else ""))
    if run.succeeded:
        return DONE
    complain(f"superposition: the run {advice[run.stopped]}")
    return FAILED


@dataclass(frozen=True, kw_only=True)
class Costly(Command):
    """A command that estimates what it would take before it begins."""

    force: bool = False
    """Go on although an estimate says that memory or time will not do."""


@dataclass(frozen=True, kw_only=True)
class Executed(Costly):
    """Options that say where cells are measured."""

    workers: OptionalCount = None
    """Run in this many processes of this machine, on GPUs one each; in this process if not given."""
    scheduler: Annotated[str | None, tyro.conf.arg(metavar="ADDRESS")] = None
    """Run on the Dask scheduler at this address, such as tls://10.0.0.1:8786."""
    scheduler_file: Path | None = None
    """Run on the Dask scheduler that wrote this file."""
    tls_ca_file: Path | None = None
    """Certificate of the authority of a scheduler at a tls:// address, PEM; with --tls-cert and --tls-key."""
    tls_cert: Path | None = None
    """Certificate with which to speak to it, PEM."""
    tls_key: Path | None = None
    """Private key of that certificate, PEM."""
    slurm: Path | None = None
    """Run in Slurm jobs, described in this TOML file."""
    dashboard: bool = False
    """Serve Dask's dashboard on 127.0.0.1, with --workers or --slurm; all users of this machine can see it."""

    @property
    def is_here(self) -> bool:
        """Whether cells are measured on this machine."""
        return self.scheduler is None and self.scheduler_file is None and self.slurm is None

    def executor(self, device: str) -> "Executor":
        """Returns the executor that the options name; a device of this machine must be there."""
        given = [self.workers, self.scheduler, self.scheduler_file, self.slurm]
        if sum(option is not None for option in given) > 1:
            raise ValueError("at most one of --workers, --scheduler, --scheduler-file and --slurm must be given")
        if self.dashboard and self.workers is None and self.slurm is None:
            raise ValueError("--dashboard needs --workers or --slurm: a scheduler that runs already has its own")
        scheduler = self.scheduler_file if self.scheduler is None else self.scheduler
        credentials = self.credentials()
        if scheduler is not None:
            return sp.sweeps.RemoteScheduler(scheduler, credentials)
        if credentials is not None:
            raise ValueError("--tls-ca-file, --tls-cert and --tls-key need --scheduler or --scheduler-file")
        if self.slurm is not None:
            return replace(sp.sweeps.read_slurm(self.slurm), dashboard=self.dashboard)
        sp._devices.device_of(device)
        return sp.sweeps.Embedded() if self.workers is None else sp.sweeps.LocalWorkers(self.workers, self.dashboard)

    def credentials(self) -> "Credentials | None":
        """Returns the credentials that the options name, if they do."""
        ca_file, cert, key = self.tls_ca_file, self.tls_cert, self.tls_key
        if ca_file is None and cert is None and key is None:
            return None
        if ca_file is None or cert is None or key is None:
            raise ValueError("--tls-ca-file, --tls-cert and --tls-key must be given together")
        return sp.sweeps.Credentials(ca_file, cert, key)


@dataclass(frozen=True, kw_only=True)
class OfOneWidth(Costly):
    """Options that say how narrow a model's bottleneck is."""

    ratio: OptionalShare = None
    """n_hidden / n_features; n_hidden is rounded to a whole number. Give this or --n-hidden."""
    n_hidden: OptionalCount = None
    """Width of the bottleneck, in [1, n_features]."""
    seed: Count = 0
    """Seed of all randomness, ≥ 0."""

    def width_of(self, n_features: int) -> int:
        """Returns n_hidden from whichever option was given."""
        sp._checks.whole_number("n_features", n_features)
        if (self.ratio is None) == (self.n_hidden is None):
            raise ValueError("exactly one of --ratio and --n-hidden must be given")
        if self.ratio is None:
            return sp._checks.hidden_width(self.n_hidden, n_features)
        n_hidden = round(float(sp._checks.ratio(self.ratio)) * n_features)
        if n_hidden < 1:
            raise ValueError(f"`ratio` must leave at least one hidden dimension, got {self.ratio:g} of {n_features}")
        return n_hidden


@dataclass(frozen=True, kw_only=True)
class Sized(OfOneWidth):
    """Options that say how large a model is and what it sees."""

    n_features: Count
    """Number of features, ≥ 1."""
    probability: Probability
    """Probability that a feature is active: one for all; p_i ∝ i^−EXPONENT of a mean; or one a feature, a file."""
    law: LawWord = "uniform"
    """Law of active values: uniform[:LOW:HIGH], constant[:X], exponential[:SCALE], half-normal[:SCALE], beta:A:B,
    empirical:X:…, or a file of values (.npy, .csv or .txt, as all files here)."""
    importance: Importance = 1.0
    """What a feature's squared error counts: one for all; FACTOR^i, i ≥ 0; ALPHA in the second half; or a file."""

    def width(self) -> int:
        """Returns n_hidden from whichever option was given."""
        return self.width_of(self.n_features)

    def features(self) -> "SparseFeatures":
        """Returns the features."""
        return features_of(self.n_features, self.probability, self.law, self.importance)
