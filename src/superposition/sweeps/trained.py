"""Trained models: the cell, how it is trained and measured, and its model read back."""

import shutil
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, final

from superposition import _checks, _files, models, theory, training
from superposition.estimate import Estimate
from superposition.models.hadamard_constructions import check_order
from superposition.sweeps.cell import BatchCell, Row, Workplace
from superposition.sweeps.described import DescribedCell
from superposition.sweeps.store import Store, StoredCell
from superposition.sweeps.symmetry import measure_symmetry

if TYPE_CHECKING:
    from superposition.models import Activation, Autoencoder
    from superposition.training import Curve, TrainingConfig

# Raised whenever the same cell would train to another model, or be measured otherwise, by other code than its
# configuration, so that stored models are not mistaken for it.
TRAINING_VERSION = 2

# The part of a cell's folder that is as `superposition train --out` makes it.
RUN = "run"

# What `sweeps.symmetry` measures, which needs torch: of each of four statistics, and of W.
_SPREAD = ("mean", "mean_square", "mean_square_standard_error", "root_mean_square", "extent")
_SYMMETRY: Mapping[str, type] = {
    **{f"{name}_{of}": float for name in ("diagonal", "bias", "noise_mean", "noise_variance") for of in _SPREAD},
    "non_gaussianity": float, "dead_features": int, "pooled_skewness": float, "pooled_excess_kurtosis": float,
    "paired_share": float,
}  # fmt: skip

# Features of models that leave a processor idle one at a time.
_SMALL = 512


@final
@dataclass(frozen=True)
class TrainedCell(DescribedCell, BatchCell):
    """One model to train: its held-out loss and symmetry beside the prediction.

    Cells of at most 512 features that differ in n_hidden alone are trained together, on the same batches. Cells with a
    cooldown that differ in n_steps alone are branches of one run.

    Args:
        n_features: Number of features.
        n_hidden: Width of the bottleneck, in [1, n_features].
        probability: Probability that a feature is active, in [1e-15, 1]; or zipf:MEAN:EXPONENT.
        protocol: Training protocol; "paper" starts at the initialization of torch.nn.Linear.
        n_steps: Steps of the default protocol (the most steps of the paper's), its own number if not given.
        n_held_out: Samples behind the held-out loss.
        seed: Seed of weights, batches and held-out samples.
        law: Of active values, such as half-normal or beta:0.5:3.
        importance: A number, decay:FACTOR or two-level:ALPHA (appendix H, eq. 47); see `features_of`.
        batch_size: Samples a step, the protocol's own number if not given.
        learning_rate: Peak rate times √n_features, the protocol's own if not given.
        rate_cap: Peak rate times √(n_hidden·n_features·p), the protocol's own if not given.
        stop_window: Batches of the stop rule, the protocol's own if not given.
        precision: Of the products: float32 or bfloat16.
        activation: Of the model, by its name: relu, topk, batchtopk, jumprelu, gated, trec, none or one of your own;
            another than the ReLU is trained by autograd.
        setting: k of topk and batchtopk; of jumprelu, gated and trec the width of the rectangle in the place of the
            jump's derivative, feature units.
        hidden_noise: Standard deviation of noise on every hidden unit, in [0, 1e15], over the root mean square over
            hidden units of theirs without it.
        start: Weights to begin with: "tied" or "linear" as of Autoencoder, "rug" those of a Persian Rug with the scale
            and bias of mean field; the protocol's own if not given.
        cooldown: Share of the steps, at the end, in which the rate falls linearly to 0; before, it is the protocol's
            peak rate, without warm-up or stop rule. In (0, 1]; the protocol's own schedule if not given.

    Raises:
        ValueError: A value is out of its range: there is no such model.
    """

    measure: ClassVar[str] = "trained"
    version: ClassVar[int] = TRAINING_VERSION
    columns: ClassVar[Mapping[str, type]] = {
        "ratio": float, "loss": Estimate, "mean_field_loss": float, "linear_loss": float, "stopped": str, "steps": int,
        **_SYMMETRY,
    }  # fmt: skip
    headline: ClassVar[tuple[str, ...]] = ("loss", "loss_standard_error", "mean_field_loss", "linear_loss", "stopped")

    n_features: int
    n_hidden: int
    probability: float | str
    protocol: Literal["default", "fast", "paper"] = "default"
    n_steps: int | None = None
    n_held_out: int = 100_000
    seed: int = 0
    law: str = "uniform"
    importance: float | str = 1.0
    batch_size: int | None = None
    learning_rate: float | None = None
    rate_cap: float | None = None
    stop_window: int | None = None
    precision: Literal["float32", "bfloat16"] = "float32"
    activation: str = "relu"
    setting: float | None = None
    hidden_noise: float = 0.0
    start: Literal["tied", "linear", "rug"] | None = None
    cooldown: float | None = None

    def __post_init__(self) -> None:
        self._settle_counts("n_features", "n_held_out")
        self._settle(hidden_noise=_checks.one("hidden_noise", _checks.hidden_noise(self.hidden_noise)))
        self._settle_features()
        activation = self._activation()
        if activation.setting is not None and self.setting is None:
            raise ValueError(f"`setting` must be given for {activation.kind}: its {activation.setting}")
        # A former name is not another cell.
        self._settle(activation=activation.kind, setting=None if self.setting is None else float(self.setting))
        self.config()  # which checks the rest
        if self.start is not None:
            _checks.choice("start", self.start, ("tied", "linear", "rug"))
        if self.start == "rug":
            if self.activation != "relu" or self.hidden_noise:
                raise ValueError("`start` must be tied or linear with hidden noise or another activation, got rug")
            check_order(self.n_features)
            self.features().check_symmetric("a rug")

    def content(self) -> dict[str, Any]:
        """Returns the sizes and seeds, and all that the training configuration comes to."""
        protocol = {name: str(value) for name, value in self.config().fields().items()}
        names = ("n_features", "n_hidden", "n_held_out", "seed")
        content = {name: getattr(self, name) for name in names} | {"relative_importance": 1.0} | self.described()
        content |= {"initialization": self._start(), "training": protocol}
        if self.activation != "relu":
            content |= {"activation": self.activation, "setting": self.setting}
        if self.hidden_noise:
            content["hidden_noise"] = self.hidden_noise
        return content

    def model(self) -> "Autoencoder":
        """Returns the model before training."""
        start = self._start()
        if start == "rug":
            return models.Autoencoder.from_model(models.PersianRug.fit(self.features(), self.n_hidden, seed=self.seed))
        return models.Autoencoder(
            self.n_features,
            self.n_hidden,
            seed=self.seed,
            initialization=start,
            activation=self._activation(),
            hidden_noise=self.hidden_noise,
        )

    def config(self) -> "TrainingConfig":
        """Returns the training configuration."""
        names = ("n_steps", "batch_size", "learning_rate", "rate_cap", "stop_window", "precision")
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        config = training.TrainingConfig.named(self.protocol).replace(**given)
        if self.cooldown is None:
            return config
        return config.replace(cooldown=self.cooldown, decay="linear", warm_up=0.0, stop_window=None)

    def batch(self) -> Hashable | None:
        """Returns the cell but for its width, or its length; None for a model that goes alone.

        That is one that fills a processor or has no step of its own.
        """
        if self.activation != "relu":
            return None
        if self.cooldown is not None:
            return replace(self, n_steps=None)
        return None if self.n_features > _SMALL else replace(self, n_hidden=1)

    @classmethod
    def prepare(cls, cells: "Sequence[TrainedCell]", places: Sequence[Workplace], shared: Workplace) -> None:
        """Trains models on the same batches; what was interrupted goes on from its checkpoint."""
        folders = [place.folder / RUN for place in places]
        if all((folder / training.storage.RECORD).exists() for folder in folders):
            return
        first = cells[0]
        if first.cooldown is not None:
            _train_branches(cells, places, shared)
            return
        runs = training.train_many(
            [cell.model().to(shared.device) for cell in cells],
            first.features(),
            first.config(),
            seed=first.seed,
            checkpoints=shared.folder,
            progress=shared.report,
            n_held_out=first.n_held_out,
        )
        for folder, run in zip(folders, runs, strict=True):
            if not (folder / training.storage.RECORD).exists():
                # What a run that was killed here had written; this folder is of nobody else.
                shutil.rmtree(folder, ignore_errors=True)
                training.storage.save_run(run, training.storage.open_folder(folder, resume=False))

    def row(self, place: Workplace) -> Row:
        """Trains, unless that was done together with others, and measures."""
        folder = place.folder / RUN
        if not (folder / training.storage.RECORD).exists():
            training.train(
                self.model().to(place.device),
                self.features(),
                self.config(),
                seed=self.seed,
                folder=folder,
                resume=True,
                progress=place.report,
                n_held_out=self.n_held_out,
            )
        return _measured(self, place)

    def _activation(self) -> "Activation":
        return models.activation_named(self.activation, self.setting, n_features=self.n_features)

    def _start(self) -> Literal["tied", "linear", "rug"]:
        return self.start or training.config.INITIALIZATION[self.protocol]


def _train_branches(cells: Sequence[TrainedCell], places: Sequence[Workplace], shared: Workplace) -> None:
    """Trains models that differ in the number of steps; what is finished stays, what was interrupted goes on."""
    first = cells[0]
    folders = {cell.config().n_steps: place.folder / RUN for cell, place in zip(cells, places, strict=True)}
    for place in places:
        place.folder.mkdir(exist_ok=True)
    made = training.lengths.branches(
        first.model().to(shared.device),
        first.features(),
        first.config(),
        list(folders),
        seed=first.seed,
        progress=shared.report,
        n_held_out=first.n_held_out,
        folders=folders,
        trunk=shared.folder,
    )
    for _ in made:
        pass


@dataclass(frozen=True)
class StoredRun:
    """A stored trained cell with its model.

    Attributes:
        stored: The cell.
        curve: Its training curve.
    """

    stored: StoredCell
    curve: "Curve"

    @cached_property
    def model(self) -> "Autoencoder":
        """The trained model, on the CPU; raises ValueError if it is damaged, or diverged and has none."""
        folder = self.stored.folder / RUN
        if not isinstance(model := models.load(folder), models.Autoencoder):
            raise ValueError(f"{folder} must hold an Autoencoder, got {type(model).__name__}: remove the cell's folder")
        return model

    @property
    def row(self) -> dict[str, Any]:
        """Its columns by name."""
        return self.stored.row

    @property
    def loss(self) -> Estimate:
        """Held-out loss."""
        return self.stored.estimate("loss")


def stored_run(store: Store, cell: TrainedCell) -> StoredRun:
    """Returns a trained cell of a store with its model and curve.

    Raises:
        ValueError: It is not there or damaged.
    """
    stored = store.get(cell)
    return StoredRun(stored, training.storage.read_curve(stored.folder / RUN))


def _measured(cell: TrainedCell, place: Workplace) -> Row:
    """Returns the row of a finished run."""
    record = _files.read_json(place.folder / RUN / training.storage.RECORD, "trained model")
    features, noise = cell.features(), cell.hidden_noise
    row: Row = {
        "ratio": cell.n_hidden / cell.n_features,
        "loss": Estimate.from_config(record["loss"]),
        "mean_field_loss": theory.mean_field_loss(features, cell.n_hidden, hidden_noise=noise),
        "linear_loss": theory.weighted_linear_loss(features, cell.n_hidden, hidden_noise=noise),
        "stopped": record["stopped"],
        "steps": record["steps"],
    }
    if record["stopped"] == "diverged":  # there are no weights to measure
        return row
    model = _checks.instance("model", models.load(place.folder / RUN), models.Autoencoder, "an Autoencoder")
    return {**row, **measure_symmetry(model, features, place.folder)}
