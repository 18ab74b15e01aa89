"""The command that learns a dictionary from hidden activations: dictionary."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, final

import tyro

import superposition as sp
from superposition.cli import costs
from superposition.cli.command import OptionalCount, ended, interrupted
from superposition.cli.encoding import OfAnEncoder
from superposition.cli.tables import new_table, show


@final
@dataclass(frozen=True, kw_only=True)
class LearnDictionary(OfAnEncoder):
    """Learn the columns of an encoder from its hidden activations alone; print how many are found.

    What learns is a ReLU autoencoder of the hidden activations with tied unit columns, the atoms, and a penalty on its
    codes. With --out, Ctrl-C saves a checkpoint and --resume goes on from it, bit for bit.
    """

    n_atoms: OptionalCount = None
    """Columns to find, at least n_features, which it is if not given."""
    penalty: Annotated[float, tyro.conf.arg(metavar="X")] = 0.3
    """Weight of the sum of a code, ≥ 0, in units of the mean active value."""
    n_steps: OptionalCount = None
    """Number of steps of 512 samples; 2000 if not given."""
    n_held_out: Annotated[int, tyro.conf.arg(metavar="N")] = 20_000
    """Samples of the held-out loss, ≥ 1."""
    out: Path | None = None
    """Folder for the dictionary, record.json and curve.parquet; nothing is saved without it."""
    resume: bool = False
    """Go on from the checkpoint in --out."""

    def run(self) -> int:
        """Learns, saves and prints the table."""
        if self.resume and self.out is None:
            raise ValueError("--resume must come with --out, the folder of the unfinished run")
        sp._checks.whole_number("n_held_out", self.n_held_out)
        config = sp.TrainingConfig.dictionary().replace(**self.given("n_steps"))
        source, features = self.source()
        try:
            found = sp.training.learn_dictionary(
                source, features, n_atoms=self.n_atoms, penalty=self.penalty, config=config, seed=self.seed,
                folder=self.out, resume=self.resume, progress=True, n_held_out=self.n_held_out,
            )  # fmt: skip
        except KeyboardInterrupt:
            return interrupted(self.out)
        assert found.run is not None
        encoder, n_atoms = sp.models.encoder_of(source), found.columns.shape[1]
        table = new_table(
            "", "found",
            title=f"Dictionary of {self.model or self.encoder}, n = {encoder.n_features}, "
            f"n_hidden = {encoder.n_hidden}, {n_atoms} atoms",
        )  # fmt: skip
        table.add_row("mean cosine between planted columns and their matches", f"{found.mean_cosine:.4f}")
        table.add_row("planted columns found, of a cosine above 0.95", f"{found.recovered:.1%}")
        table.add_row("held-out loss, share of the variance of hidden", str(found.loss))
        show(table)
        how = found.run.stopped
        return ended(found.run, self.out, {how: f"{how}: give a smaller --penalty or more --n-steps"})

    def refuse_absurd(self, n_features: int, n_hidden: int, *, is_dense: bool) -> None:
        """Raises ValueError if the work is more than this machine can do."""
        n_atoms = (
            n_features if self.n_atoms is None else sp._checks.whole_number("n_atoms", self.n_atoms, low=n_features)
        )
        n_steps = sp._checks.whole_number("n_steps", self.n_steps or sp.TrainingConfig.dictionary().n_steps)
        cost = costs.of_dictionary(n_features, n_hidden, n_atoms, n_steps, self.n_held_out, is_dense=is_dense)
        cost.refuse(force=self.force)
