"""Cells of features that words describe: a row of a table holds words and numbers, and no objects."""

from typing import Any

from superposition import _checks
from superposition.features import SparseFeatures, Uniform, features_of, law_of
from superposition.features.words import settled
from superposition.sweeps.cell import Cell

_WORDS = "probability", "law", "importance"


class DescribedCell(Cell):
    """A cell that has the fields of `features_of`, or some of them; the others are as they are there.

    Attributes:
        n_features: Number of features.
        probability: Probability that a feature is active, in [1e-15, 1]; or zipf:MEAN:EXPONENT.
        law: Of active values.
        importance: A number, decay:FACTOR or two-level:ALPHA.
    """

    n_features: int
    probability: float | str
    law: str = "uniform"
    importance: float | str = 1.0

    def features(self) -> SparseFeatures:
        """What the model sees."""
        return features_of(self.n_features, self.probability, self.law, self.importance)

    def content(self) -> dict[str, Any]:
        """Returns the fields, and what the words mean."""
        return {name: value for name, value in super().content().items() if name not in _WORDS} | self.described()

    def described(self) -> dict[str, Any]:
        """Returns what the words mean, as plain data, but for a law or an importance that is the default."""
        found: dict[str, Any] = {"probability": self.probability}
        if self.law != "uniform" and (law := law_of(self.law)) != Uniform():
            found["law"] = law.to_config()
        if self.importance != 1:
            name, _, alpha = str(self.importance).partition(":")
            found |= {"relative_importance": float(alpha)} if name == "two-level" else {"importance": self.importance}
        return found

    def fields(self) -> dict[str, Any]:
        """Returns the fields; the probability is the mean one, words of several kinds are one column each."""
        found = super().fields()
        if isinstance(self.probability, str):
            found |= {"probability": self.features().density, "probabilities": self.probability}
        return found | {"importance": str(found["importance"])} if "importance" in found else found

    def _settle_features(self) -> None:
        """Checks the words and makes those equal that mean the same."""
        self._settle(probability=settled(self.probability))
        if "importance" in super().fields():
            self._settle(importance=settled(self.importance))
        _checks.in_interval("probability", self.features().probability, _checks.LEAST_PROBABILITY, 1)
