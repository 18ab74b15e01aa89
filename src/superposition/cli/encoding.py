"""The options of commands that take an encoder, drawn or of a saved model, and what it encodes."""

import abc
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from superposition._names import EncoderName
from superposition.cli.command import OfOneWidth, OptionalCount, OptionalShare

if TYPE_CHECKING:
    from superposition.features import SparseFeatures
    from superposition.models import Encoder, Model


@dataclass(frozen=True, kw_only=True)
class OfAnEncoder(OfOneWidth):
    """Options that say which encoder, and what it encodes."""

    n_features: OptionalCount = None
    """Number of features, ≥ 1; with --model, this and the width are the model's if not given."""
    encoder: EncoderName = "rug"
    """rug: rows of a Hadamard matrix, by fast transforms; gaussian: independent entries; harmonic: rows of a Fourier
    matrix."""
    model: Path | None = None
    """Folder of a saved model, whose encoder is taken."""
    probability: OptionalShare = None
    """Probability that a feature is active; with --model, the features that were saved with it if not given."""

    @abc.abstractmethod
    def refuse_absurd(self, n_features: int, n_hidden: int, *, is_dense: bool) -> None:
        """Raises ValueError if the work on an encoder, drawn as a matrix or not, is more than this machine can do."""

    def source(self) -> "tuple[Encoder | Model, SparseFeatures]":
        """Returns what encodes, and what it encodes."""
        from superposition.features import SparseFeatures
        from superposition.models import encoder_named

        if self.model is not None:
            return self._saved(self.model)
        if self.n_features is None:
            raise ValueError("--n-features must be given, or --model, which has it")
        if self.probability is None:
            raise ValueError("--probability must be given, or --model, which has it")
        features = SparseFeatures(self.n_features, self.probability)
        n_features, width = self.n_features, self.width_of(self.n_features)
        self.refuse_absurd(n_features, width, is_dense=self.encoder != "rug")
        return encoder_named(self.encoder, n_features, width, seed=self.seed), features

    def _saved(self, folder: Path) -> "tuple[Model, SparseFeatures]":
        """Returns a saved model and its features; raises ValueError if it contradicts a size that was given."""
        from superposition import _checks
        from superposition.features import SparseFeatures
        from superposition.models import Model, load_with_features

        loaded = load_with_features(folder)
        model = _checks.instance("model", loaded.model, Model, "a model with a bottleneck")
        self.refuse_absurd(model.n_features, model.n_hidden, is_dense=False)
        n_features = model.n_features if self.n_features is None else self.n_features
        has_width = self.ratio is not None or self.n_hidden is not None
        width = self.width_of(n_features) if has_width else model.n_hidden
        if (model.n_features, model.n_hidden) != (n_features, width):
            raise ValueError(
                f"`model` must have n_features = {n_features} and n_hidden = {width}, got "
                f"{model.n_features} and {model.n_hidden} in {folder}"
            )
        if self.probability is not None:
            return model, SparseFeatures(model.n_features, self.probability)
        if loaded.features is None:
            raise ValueError(f"--probability must be given for {folder}, which was saved without its features")
        return model, _checks.instance("features", loaded.features, SparseFeatures, "a SparseFeatures")
