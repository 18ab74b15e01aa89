"""The commands that make and measure models: train, rug, diagnose."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, final

import tyro

import superposition as sp
from superposition._text import say
from superposition.cli import costs
from superposition.cli.command import Costly, Sized, ended, interrupted
from superposition.cli.exit_codes import INTERRUPTED
from superposition.cli.tables import (
    interference_table,
    loss_table,
    new_table,
    show,
    split_table,
    structure_table,
    symmetry_table,
)

if TYPE_CHECKING:
    import torch

    from superposition.features import SparseFeatures
    from superposition.models import Activation
    from superposition.training import Run, TrainingConfig

# Of more dimensions than these the eigenvalues take minutes.
_LARGEST_SPECTRUM = 2048


@final
@dataclass(frozen=True, kw_only=True)
class Train(Sized):
    """Train an autoencoder; print its held-out loss and symmetry beside the prediction.

    With --out, Ctrl-C saves a checkpoint and --resume goes on from it, bit for bit. Several GPUs share every batch:
    torchrun --nproc-per-node 4 -m superposition train --device cuda …
    """

    out: Path | None = None
    """Folder for config.json, model.safetensors, record.json and curve.parquet; nothing is saved without it."""
    protocol: Literal["default", "fast", "paper"] = "default"
    """default: warm-up and cosine decay in 2500 steps; fast: 400 steps at a high rate, W_dec kept at W_encᵀ; paper:
    constant rate 3e-3/√n until its stop rule, beside which the default protocol is then shown."""
    compare: bool = True
    """With protocol paper, train by the default protocol too, for comparison; that model is not saved."""
    n_steps: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Number of steps (the most steps, with protocol paper); the protocol's own if not given."""
    batch_size: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Samples a step, ≥ 1; the protocol's own, 1024, if not given."""
    hidden_noise: float = 0.0
    """Standard deviation of noise on every hidden unit, in training and in the held-out loss, over the root mean square
    of theirs without it."""
    activation: Annotated[str, tyro.conf.arg(metavar="NAME[:SETTING]")] = "relu"
    """relu; topk:K, batchtopk:K; jumprelu, gated or trec, with :BANDWIDTH of the rectangle in the place of the jump's
    derivative; none; or one of your own."""
    precision: Literal["float32", "bfloat16"] | None = None
    """bfloat16 rounds the factors of dense products: several times faster where there are units for it; the protocol's
    own, float32, if not given."""
    n_held_out: Annotated[int, tyro.conf.arg(metavar="N")] = 100_000
    """Samples of the held-out loss, ≥ 1."""
    device: str = "cpu"
    """Torch device, such as cpu or cuda."""
    resume: bool = False
    """Go on from the checkpoint in --out."""

    def run(self) -> int:
        """Trains, saves and prints a summary."""
        config = sp.TrainingConfig.named(self.protocol).replace(**self.given("n_steps", "batch_size", "precision"))
        if self.resume and self.out is None:
            raise ValueError("--resume must come with --out, the folder of the unfinished run")
        sp._checks.whole_number("n_held_out", self.n_held_out)
        wanted, _ = sp._devices.device_of(self.device), self._activation()
        features = self.features()
        cost = costs.of_training(self.n_features, self.width(), features.density, config, self.n_held_out)
        cost.refuse(force=self.force, device=self.device)
        # The summary shows it: what it refuses is refused before the work.
        if features.is_symmetric:
            ratio, noise = self.width() / self.n_features, self.hidden_noise
            sp.theory.symmetric_optimum(ratio, features.probability, features.law, hidden_noise=noise)
        with sp.training.ranks.launched(wanted) as device:
            speaks = sp.training.ranks.Ranks.current(device).is_first
            return self._train(config, features, device, speaks=speaks)

    def _activation(self) -> "Activation":
        """Returns the activation that the option names; raises ValueError if there is none."""
        name, _, setting = self.activation.partition(":")
        try:
            value = float(setting) if setting else None
        except ValueError:
            raise ValueError(
                f"`activation` must be a name, and a number after a colon, got {self.activation}"
            ) from None
        return sp.models.activation_named(name, value, n_features=self.n_features)

    def _train(
        self, config: "TrainingConfig", features: "SparseFeatures", device: "torch.device", *, speaks: bool
    ) -> int:
        """Trains on a device; the first of several processes speaks."""

        def train_by(protocol: sp.training.config.Protocol, config: sp.TrainingConfig, **folder: Any) -> "Run":
            model = sp.Autoencoder(
                self.n_features,
                self.width(),
                seed=self.seed,
                initialization=sp.training.config.INITIALIZATION[protocol],
                activation=self._activation(),
                hidden_noise=self.hidden_noise,
            ).to(device)
            seed, n_held_out = self.seed, self.n_held_out
            return sp.train(model, features, config, seed=seed, progress=speaks, n_held_out=n_held_out, **folder)

        try:
            run = train_by(self.protocol, config, folder=self.out, resume=self.resume)
        except KeyboardInterrupt:
            return interrupted(self.out) if speaks else INTERRUPTED
        runs: dict[str, Run] = {self.protocol: run}
        if self.protocol == "paper" and self.compare:
            runs["default"] = train_by("default", sp.TrainingConfig(**self.given("batch_size", "precision")))
        if not speaks:
            return 0
        result = _summarise(run, self.out)
        if len(runs) > 1:
            _compare(runs)
        return result


@final
@dataclass(frozen=True, kw_only=True)
class Rug(Sized):
    """Build a Persian Rug, fit its scale and bias, and measure its loss; matrix-free at any order 2^k."""

    out: Path | None = None
    """Folder for config.json and model.safetensors; nothing is saved without it."""
    fit: Literal["closed-form", "paper"] = "closed-form"
    """closed-form: the mean-field optimum; paper: Adam on fresh batches, the best of five row sets."""
    hidden_noise: float = 0.0
    """As for `superposition train`; with the closed form, which allows for it."""
    n_held_out: Annotated[int, tyro.conf.arg(metavar="N")] = 20_000
    """Samples of the held-out loss, ≥ 1."""

    def run(self) -> int:
        """Fits, measures, saves and prints."""
        features, n_hidden = self.features(), self.width()
        sp._checks.whole_number("n_held_out", self.n_held_out)
        costs.of_rug(self.n_features, self.n_held_out, is_learned=self.fit == "paper").refuse(force=self.force)
        if self.out is not None:
            sp._files.vacant(self.out, sp.models.storage.CONFIG, sp.models.storage.UNFINISHED)
        if self.fit == "closed-form":
            rug = sp.PersianRug.fit(features, n_hidden, seed=self.seed, hidden_noise=self.hidden_noise)
        elif self.hidden_noise:
            raise ValueError("--hidden-noise must come with --fit closed-form, which allows for it")
        else:
            with sp._progress.Display() as display:
                rug = sp.fit_rug(features, n_hidden, seed=self.seed, report=display.task("stochastic fits")).rug
        loss = sp.held_out_loss(rug, features, n_samples=self.n_held_out, seed=self.seed + 1)
        ratio = n_hidden / self.n_features
        noise = self.hidden_noise
        best = sp.theory.symmetric_optimum(ratio, features.probability, features.law, hidden_noise=noise)
        bias = float(rug.bias + rug.scale * rug.interference_mean(features))
        table = new_table(
            "",
            "Persian Rug",
            "mean-field prediction",
            title=f"Persian Rug, n = {self.n_features}, n_hidden = {n_hidden}",
        )
        table.add_row("held-out loss", str(loss), f"{best.loss:.7g}")
        table.add_row("scale a", f"{float(rug.scale):.5f}", f"{best.scale:.5f}")
        table.add_row("bias b, mean of ν absorbed", f"{bias:.5f}", f"{best.bias:.5f}")
        table.add_row(
            "linear optimum", "", f"{sp.theory.weighted_linear_loss(features, n_hidden, hidden_noise=noise):.7g}"
        )
        show(table)
        if self.out is not None:
            say(f"saved in {sp.save(rug, self.out, features=features)}")
        return 0


@final
@dataclass(frozen=True, kw_only=True)
class Diagnose(Costly):
    """Print the symmetry and interference of a saved model, and where its loss comes from, beside the prediction."""

    folder: tyro.conf.Positional[Path]
    """Folder of a saved model."""
    n_held_out: Annotated[int, tyro.conf.arg(metavar="N")] = 20_000
    """Samples of the held-out loss, ≥ 1."""

    def run(self) -> int:
        """Prints the tables."""
        loaded = sp.models.load_with_features(self.folder)
        model = sp._checks.instance("model", loaded.model, sp.Model, "a model with a bottleneck")
        if loaded.features is None:
            raise ValueError(
                f"{self.folder} must hold the features too, but only the model was saved: save with features="
            )
        features = loaded.features
        sp.features.sparse_parts(features)
        sp._checks.whole_number("n_held_out", self.n_held_out)
        costs.of_diagnosis(model.n_features, model.n_hidden, self.n_held_out).refuse(force=self.force)
        loss = sp.held_out_loss(model, features, n_samples=self.n_held_out)
        kind = model.kind
        show(loss_table(str(loss), features, model, kind))
        show(symmetry_table(sp.symmetry(model, features), features, model, kind))
        found = sp.diagnostics.interference(model, features)
        n_samples = self.n_held_out + self.n_held_out % 2  # pairs
        split = None
        if sp.diagnostics.can_split_loss(model):
            split = sp.diagnostics.loss_split(model, features, n_samples=n_samples, interference=found)
        values = sp.diagnostics.spectrum(model) if model.rows_are_alike or model.n_hidden <= _LARGEST_SPECTRUM else None
        show(interference_table(found, sp.diagnostics.berry_esseen(model, features)))
        show(structure_table(found, split, values, features, model.n_hidden))
        if split is None:
            say(f"the split of the loss is that of a ReLU: it is left out for {model.activation.kind}")
        else:
            show(split_table(split))
        return 0


def _compare(runs: "dict[str, Run]") -> None:
    """Prints where runs by several protocols ended."""
    table = new_table("protocol", "held-out loss", "ended", "steps", "seconds", title="Protocols")
    for name, run in runs.items():
        table.add_row(name, str(run.loss), run.stopped, str(run.steps), f"{run.seconds:.0f}")
    show(table)


def _summarise(run: "Run", out: Path | None) -> int:
    """Prints a run's summary and returns the exit code."""
    model = sp._checks.instance("model", run.model, sp.Model, "a model with a bottleneck")
    features = sp._checks.instance("features", run.features, sp.SparseFeatures, "a SparseFeatures")
    show(loss_table(str(run.loss), features, model, "trained"))
    if run.stopped != "diverged":
        show(symmetry_table(sp.symmetry(model, features), features, model, "trained"))
    advice = {
        "diverged": "diverged, a loss was not finite: use the default protocol, or another --batch-size",
        "collapsed": "collapsed, it predicts little more than the mean: raise --n-steps or --batch-size",
        "step limit": "reached its last step before its stop rule fired: raise --n-steps",
    }
    return ended(run, out, advice)
