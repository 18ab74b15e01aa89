"""The command line: parse, call, print. Heavy packages load in the command that needs them."""

import abc
import dataclasses
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, final

import tyro

if TYPE_CHECKING:
    from rich.table import Table

    from superposition.diagnostics import Symmetry
    from superposition.features import SparseFeatures
    from superposition.training import Run

_BAD_INPUT, _FAILED, _INTERRUPTED = 2, 1, 130

Ratio = Annotated[float, tyro.conf.arg(metavar="(0,1]")]
Probability = Annotated[float, tyro.conf.arg(metavar="(0,1]")]


@dataclass(frozen=True, kw_only=True)
class Command(abc.ABC):
    """A command of the program: its options, and what it does."""

    config: Path | None = None
    """TOML file with any of these options, spelt as here with underscores; the command line wins over it."""

    @abc.abstractmethod
    def run(self) -> int:
        """Does it and returns the exit code."""


@final
@dataclass(frozen=True, kw_only=True)
class Theory(Command):
    """Print the mean-field optimum: loss, scale a, bias b, noise σ, and the linear loss.

    Losses are per feature in squared feature units; a has no unit; b and σ are in feature units.
    """

    ratio: tuple[Ratio, ...]
    """Compression ratios n_hidden / n_features."""
    probability: tuple[Probability, ...]
    """Probabilities that a feature is active; every ratio is shown with every probability."""
    law: Literal["uniform", "constant"] = "uniform"
    """Law of active values: uniform on [0, 1], or constantly 1."""

    def run(self) -> int:
        """Prints the table."""
        from superposition import theory
        from superposition.features import Constant, Uniform

        law = Uniform() if self.law == "uniform" else Constant()
        table = _table("ratio", "p", "loss", "scale a", "bias b", "noise σ", "linear loss", title="Mean-field optimum")
        for p in self.probability:
            for r in self.ratio:
                best = theory.symmetric_optimum(r, p, law)
                linear = theory.linear_loss(r, p, law)
                numbers = f"{best.loss:.6e} {best.scale:.5f} {best.bias:.5f} {best.noise_std:.5f} {linear:.6e}"
                table.add_row(f"{r:g}", f"{p:g}", *numbers.split())
        _print(table)
        return 0


@dataclass(frozen=True, kw_only=True)
class _Sized(Command):
    """Options that say how large a model is and what it sees."""

    n_features: Annotated[int, tyro.conf.arg(metavar="N")]
    """Number of features, ≥ 1."""
    ratio: Ratio | None = None
    """n_hidden / n_features; n_hidden is rounded to a whole number. Give this or --n-hidden."""
    n_hidden: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Width of the bottleneck, in [1, n_features]."""
    probability: Probability
    """Probability that a feature is active."""
    seed: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Seed of all randomness, ≥ 0."""

    def width(self) -> int:
        """Returns n_hidden from whichever option was given."""
        from superposition import _checks

        n_features = _checks.whole_number("n_features", self.n_features)
        if (self.ratio is None) == (self.n_hidden is None):
            raise ValueError("exactly one of --ratio and --n-hidden must be given")
        if self.ratio is None:
            return _checks.hidden_width(self.n_hidden, n_features)
        n_hidden = round(float(_checks.ratio(self.ratio)) * n_features)
        if n_hidden < 1:
            raise ValueError(f"`ratio` must leave at least one hidden dimension, got {self.ratio:g} of {n_features}")
        return n_hidden

    def features(self) -> "SparseFeatures":
        """Returns the features."""
        from superposition.features import SparseFeatures

        return SparseFeatures(self.n_features, self.probability)


@final
@dataclass(frozen=True, kw_only=True)
class Train(_Sized):
    """Train an autoencoder; print its held-out loss and symmetry beside the prediction.

    With --out, Ctrl-C saves a checkpoint and --resume goes on from it, bit for bit.
    """

    out: Path | None = None
    """Folder for config.json, model.safetensors, record.json and curve.parquet; nothing is saved without it."""
    protocol: Literal["default", "paper"] = "default"
    """default: warm-up and cosine decay in 2500 steps; paper: constant rate 3e-3/√n until its stop rule."""
    n_steps: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Number of steps (the most steps, with protocol paper); the protocol's own if not given."""
    batch_size: Annotated[int, tyro.conf.arg(metavar="N")] = 1024
    """Samples a step, ≥ 1."""
    n_held_out: Annotated[int, tyro.conf.arg(metavar="N")] = 100_000
    """Samples of the held-out loss, ≥ 1."""
    device: str = "cpu"
    """Torch device, such as cpu or cuda."""
    resume: bool = False
    """Go on from the checkpoint in --out."""

    def run(self) -> int:
        """Trains, saves and prints a summary."""
        from superposition.models import Autoencoder
        from superposition.training import TrainingConfig, train
        from superposition.training.config import INITIALIZATION

        config = TrainingConfig.named(self.protocol).replace(batch_size=self.batch_size)
        if self.n_steps is not None:
            config = config.replace(n_steps=self.n_steps)
        if self.resume and self.out is None:
            raise ValueError("--resume must come with --out, the folder of the unfinished run")
        features = self.features()
        initialization = INITIALIZATION[self.protocol]
        model = Autoencoder(self.n_features, self.width(), seed=self.seed, initialization=initialization)
        try:
            run = train(
                model.to(_device(self.device)),
                features,
                config,
                seed=self.seed,
                folder=self.out,
                resume=self.resume,
                progress=True,
                n_held_out=self.n_held_out,
            )
        except KeyboardInterrupt:
            if self.out is not None and self.out.exists():
                print(
                    f"interrupted; {self.out} holds a checkpoint: the same command with --resume goes on",
                    file=sys.stderr,
                )
            return _INTERRUPTED
        return _summarise(run, self.out)


@final
@dataclass(frozen=True, kw_only=True)
class Rug(_Sized):
    """Build a Persian Rug, fit its scale and bias, and measure its loss; matrix-free at any order 2^k."""

    out: Path | None = None
    """Folder for config.json and model.safetensors; nothing is saved without it."""
    fit: Literal["closed-form", "paper"] = "closed-form"
    """closed-form: the mean-field optimum; paper: Adam on fresh batches, the best of five row sets."""
    n_held_out: Annotated[int, tyro.conf.arg(metavar="N")] = 20_000
    """Samples of the held-out loss, ≥ 1."""

    def run(self) -> int:
        """Fits, measures, saves and prints."""
        from superposition import _files, theory
        from superposition._progress import Display
        from superposition.diagnostics import held_out_loss
        from superposition.models import PersianRug, save
        from superposition.models.storage import CONFIG
        from superposition.training import fit_rug

        features, n_hidden = self.features(), self.width()
        if self.out is not None:
            _files.vacant(self.out, CONFIG)
        if self.fit == "closed-form":
            rug = PersianRug.fit(features, n_hidden, seed=self.seed)
        else:
            with Display() as display:
                rug = fit_rug(features, n_hidden, seed=self.seed, report=display.task("stochastic fits")).rug
        loss = held_out_loss(rug, features, n_samples=self.n_held_out, seed=self.seed + 1)
        ratio = n_hidden / self.n_features
        best = theory.symmetric_optimum(ratio, self.probability)
        bias = float(rug.bias + rug.scale * rug.interference_mean(features))
        table = _table(
            "",
            "Persian Rug",
            "mean-field prediction",
            title=f"Persian Rug, n = {self.n_features}, n_hidden = {n_hidden}",
        )
        table.add_row("held-out loss", str(loss), f"{best.loss:.7f}")
        table.add_row("scale a", f"{float(rug.scale):.5f}", f"{best.scale:.5f}")
        table.add_row("bias b, mean of ν absorbed", f"{bias:.5f}", f"{best.bias:.5f}")
        table.add_row("linear optimum", "", f"{theory.linear_loss(ratio, self.probability):.7f}")
        _print(table)
        if self.out is not None:
            print(f"saved in {save(rug, self.out, features=features)}")
        return 0


@final
@dataclass(frozen=True, kw_only=True)
class Diagnose(Command):
    """Print the symmetry statistics of a saved model beside the mean-field prediction."""

    folder: tyro.conf.Positional[Path]
    """Folder of a saved model."""
    n_held_out: Annotated[int, tyro.conf.arg(metavar="N")] = 20_000
    """Samples of the held-out loss, ≥ 1."""

    def run(self) -> int:
        """Prints the tables."""
        from superposition.diagnostics import held_out_loss, symmetry
        from superposition.models import load_with_features

        loaded = load_with_features(self.folder)
        if loaded.features is None:
            raise ValueError(
                f"{self.folder} must hold the features too, but only the model was saved: save with features="
            )
        loss = held_out_loss(loaded.model, loaded.features, n_samples=self.n_held_out)
        kind = type(loaded.model).__name__
        _print(_loss_table(str(loss), loaded.features, loaded.model.n_hidden, kind))
        _print(_symmetry_table(symmetry(loaded.model, loaded.features), loaded.features, loaded.model.n_hidden, kind))
        return 0


@final
@dataclass(frozen=True, kw_only=True)
class Reproduce(Command):
    """Make the paper's figures: tables, pictures, and one self-contained report.html.

    Exit code 0 means that everything was made; a claim that does not hold is a result, and is reported.
    """

    figures: tuple[int, ...] = (1, 2, 3, 4)
    """Which figures of the paper, of 1 2 3 4."""
    preset: Literal["quick"] = "quick"
    """quick: n = 128 and 512, some minutes on two cores."""
    out: Path = Path("results")
    """Folder of the results; models that are there already are not trained again."""
    redraw: bool = False
    """Check and draw the stored tables again, without training or measuring."""

    def run(self) -> int:
        """Makes the figures and the report."""
        from superposition.figures import FIGURES, PRESETS, reproduce
        from superposition.report import write_report

        by_number = {figure.number: figure for figure in FIGURES}
        for number in self.figures:
            if number not in by_number:
                raise ValueError(f"`figures` must be among {', '.join(map(str, by_number))}, got {number}")
        try:
            chosen = [by_number[number] for number in sorted(set(self.figures))]
            outcomes = reproduce(chosen, PRESETS[self.preset], self.out, redraw=self.redraw)
        except KeyboardInterrupt:
            print(f"interrupted; the same command goes on from what is in {self.out}", file=sys.stderr)
            return _INTERRUPTED
        table = _table("figure", "claim", "measured", "holds", title="Claims", right=False)
        for outcome in outcomes:
            for check in outcome.checks:
                claim = f"{check.claim} [{'paper' if check.source == 'paper' else 'this project'}]"
                table.add_row(str(outcome.figure.number), claim, check.measured, "yes" if check.holds else "no")
        _print(table)
        print(f"report: {write_report(self.out)}")
        return 0


_COMMANDS: dict[str, Any] = {
    "theory": Theory,
    "train": Train,
    "rug": Rug,
    "diagnose": Diagnose,
    "reproduce": Reproduce,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program and returns its exit code: 0 done, 1 a run failed, 2 bad input, 130 interrupted.

    Set SUPERPOSITION_TRACEBACK=1 to see where an error came from.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    # Read when torch loads. Threads that spin for long while they wait make a step up to ten times slower as
    # soon as another process wants a core; threads that never spin make a small step three times slower.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    try:
        return _parse(arguments).run()
    except (ValueError, OSError) as error:
        if os.environ.get("SUPERPOSITION_TRACEBACK") == "1":
            raise
        print(f"superposition: {' '.join(str(error).split())}", file=sys.stderr)
        return _BAD_INPUT
    except (MemoryError, RuntimeError) as error:
        # torch has no type of its own for a failed allocation on the CPU.
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        print(f"superposition: out of memory ({str(error).splitlines()[0]}): choose a smaller size", file=sys.stderr)
        return _BAD_INPUT
    except KeyboardInterrupt:
        return _INTERRUPTED


def _parse(arguments: list[str]) -> Command:
    """Returns the command that the arguments, and a config file among them, describe."""
    name = arguments[0] if arguments else ""
    if name in _COMMANDS and (path := _config_path(arguments)) is not None:
        default = _from_file(_COMMANDS[name], path)
        found = tyro.cli(_COMMANDS[name], args=arguments[1:], default=default, prog=f"superposition {name}")
    else:
        found = tyro.extras.subcommand_cli_from_dict(
            _COMMANDS,
            args=arguments or ["--help"],
            prog="superposition",
            description="Solve, build, train and measure toy models of superposition.",
            sort_subcommands=False,
        )
    assert isinstance(found, Command)
    return found


def _config_path(arguments: list[str]) -> Path | None:
    for index, argument in enumerate(arguments):
        if argument == "--config" and index + 1 < len(arguments):
            return Path(arguments[index + 1])
        if argument.startswith("--config="):
            return Path(argument.removeprefix("--config="))
    return None


def _from_file(command: type[Command], path: Path) -> Any:
    """Returns the command with the file's options set and the others at their defaults or missing.

    Raises:
        ValueError: The file cannot be read, or has an unknown key or a value of another type.
    """
    import tomllib

    import pydantic

    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"`config` must be a readable file, got {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no TOML file: {error}") from None
    fields = {field.name: field for field in dataclasses.fields(command) if field.name != "config"}
    optional: dict[str, Any] = {name: (field.type, None) for name, field in fields.items()}
    schema = pydantic.create_model(command.__name__, __config__=pydantic.ConfigDict(extra="forbid"), **optional)
    try:
        valid = schema.model_validate(given, strict=False)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            raise ValueError(f"{path}: `{key}` must be one of {', '.join(sorted(fields))}: no such option") from None
        raise ValueError(f"{path}: `{key}` is not valid, got {first['input']!r}: {first['msg']}") from None
    values = {name: getattr(valid, name) if name in given else _default(field) for name, field in fields.items()}
    return command(**values, config=path)


def _default(field: "dataclasses.Field[Any]") -> Any:
    return tyro.MISSING if field.default is dataclasses.MISSING else field.default


def _device(name: str) -> Any:
    """Returns a torch device that is there."""
    import torch

    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"`device` must be one that is there, got {name!r}: {str(error).splitlines()[0]}") from None
    return device


def _summarise(run: "Run", out: Path | None) -> int:
    """Prints a run's summary and returns the exit code."""
    from superposition.diagnostics import symmetry

    model, features = run.model, run.features
    _print(_loss_table(str(run.loss), features, model.n_hidden, "trained"))
    if run.stopped != "diverged":
        _print(_symmetry_table(symmetry(model, features), features, model.n_hidden, "trained"))
    print(f"{run.stopped} after {run.steps} steps in {run.seconds:.0f} s" + (f"; saved in {out}" if out else ""))
    if run.succeeded:
        return 0
    advice = {
        "diverged": "a loss was not finite: lower the learning rate",
        "collapsed": "it predicts little more than the mean: train longer or lower the learning rate",
        "step limit": "the stop rule never fired: raise --n-steps",
    }[run.stopped]
    print(f"superposition: the run {run.stopped}: {advice}", file=sys.stderr)
    return _FAILED


def _loss_table(loss: str, features: "SparseFeatures", n_hidden: int, kind: str) -> "Table":
    from superposition import theory

    ratio = n_hidden / features.n_features
    title = f"Loss per feature, n = {features.n_features}, n_hidden = {n_hidden}"
    if features.is_symmetric:
        title += f", p = {features.probability:g}"
    table = _table("", "loss", title=title)
    table.add_row(f"{kind}, held out", loss)
    if features.is_symmetric:
        table.add_row(
            "mean-field prediction",
            f"{theory.symmetric_optimum(ratio, features.probability, features.law).loss:.7f}",
        )
    table.add_row("linear optimum", f"{theory.weighted_linear_loss(features, n_hidden):.7f}")
    table.add_row("constant prediction", f"{theory.weighted_linear_loss(features, 0):.7f}")
    return table


def _symmetry_table(found: "Symmetry", features: "SparseFeatures", n_hidden: int, kind: str) -> "Table":
    from superposition.diagnostics import predicted_symmetry

    predicted = predicted_symmetry(features, n_hidden) if features.is_symmetric else None
    table = _table(
        "statistic",
        f"{kind}: mean",
        "root mean square Δ",
        "mean square Δ",
        "extent Δ₂",
        "mean-field prediction",
        title="Symmetry",
    )
    effective_bias = found.bias.mean + found.diagonal.mean * found.noise_mean.mean
    for name, spread, value in (
        ("diagonal W_ii", found.diagonal, predicted and predicted.diagonal),
        ("bias b_i", found.bias, None),
        ("interference mean E ν_i", found.noise_mean, None),
        ("interference variance Var ν_i", found.noise_variance, predicted and predicted.noise_variance),
    ):
        cells = (
            f"{spread.mean:.5f}",
            f"{spread.root_mean_square:.5f}",
            f"{spread.mean_square:.2e}",
            f"{spread.extent:.5f}",
        )
        table.add_row(name, *cells, "" if value is None else f"{value:.5f}")
    table.add_row(
        "b + a E ν, of the means",
        f"{effective_bias:.5f}",
        "",
        "",
        "",
        f"{predicted.effective_bias:.5f}" if predicted else "",
    )
    table.add_row("non-Gaussianity Λ", f"{found.non_gaussianity:.5f}", "", "", "", "0" if predicted else "")
    table.add_row("dead features", f"{found.dead_features} of {found.n_features}", "", "", "", "0" if predicted else "")
    return table


def _table(*columns: str, title: str, right: bool = True) -> "Table":
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for index, name in enumerate(columns):
        table.add_column(name, justify="right" if right and index else "left")
    return table


def _print(table: "Table") -> None:
    from rich.console import Console

    console = Console()
    # Files and pipes have no width of their own: numbers must not be cut there.
    (console if console.is_terminal else Console(width=160)).print(table)
