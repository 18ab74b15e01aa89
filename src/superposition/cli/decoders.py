"""The commands that decode and that count measurements: decode, sensing."""

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Annotated, Literal, final

import tyro

import superposition as sp
from superposition._names import DecoderName
from superposition.cli import costs
from superposition.cli.command import Command, Count
from superposition.cli.encoding import OfAnEncoder
from superposition.cli.exit_codes import FAILED
from superposition.cli.tables import new_table, show

if TYPE_CHECKING:
    from superposition.features import SparseFeatures
    from superposition.models import Encoder

_DEFAULT: tuple[DecoderName, ...] = (
    "relu",
    "jumprelu",
    "trec",
    "topk",
    "bayes",
    "oracle",
    "lemma1",
    "omp",
    "amp",
    "oamp",
)


@final
@dataclass(frozen=True, kw_only=True)
class Decode(OfAnEncoder):
    """Decode fresh samples by several decoders; print the loss of each, its theory, its time.

    relu, jumprelu, gated, trec (ProLU), topk and batchtopk are fitted first. bayes and oracle (which knows whether its
    own feature is active) are the ceilings of decoders that act on each entry by itself. lemma1 keeps the expected
    number of entries and solves for them, pursuit corrects their support in further rounds; omp, basis-pursuit, amp and
    oamp are the algorithms of those names. With --model its own decoder is compared too.
    """

    decoders: Annotated[tuple[DecoderName, ...], tyro.conf.arg(metavar="NAME ...")] = _DEFAULT
    """Which decoders."""
    noise: float = 0.0
    """Standard deviation of noise added to the hidden activations, feature units; the hidden noise ω of a rug's
    training is ω √(Var x / ratio) here. A model's own is not added."""
    n_samples: Count = 1000
    """Samples of each, ≥ 1."""
    seconds: float = 10.0
    """Time for each; one that is too slow sees fewer samples."""

    def run(self) -> int:
        """Prints the table."""
        noise = sp._checks.one("noise", sp._checks.in_interval("noise", self.noise, 0, 1e15)) ** 2
        sp._checks.whole_number("n_samples", self.n_samples)
        sp._checks.in_interval("seconds", self.seconds, 0, float("inf"), open_low=True)
        if not self.decoders:
            raise ValueError("`decoders` must have at least one name")
        source, features = self.source()
        encoder = sp.models.encoder_of(source)
        # Before the work, because what the theory refuses is refused.
        lines = _theory(encoder, features, noise)
        n_active = float(features.per_feature(features.probability).sum())
        k = min(encoder.n_hidden, max(1, round(n_active)))
        decoders = [
            sp.fit_decoder(
                sp.decoders.decoder_named(name, k, noise_variance=noise),
                encoder,
                features,
                noise_variance=noise,
                seed=self.seed,
            )
            for name in self.decoders
        ]
        found = sp.compare_decoders(
            source, features, decoders, self.n_samples, noise_variance=noise, seconds=self.seconds, seed=self.seed + 1
        )
        table = new_table(
            "decoder", "loss per feature", "theory", "ms a sample", "samples", "converged",
            title=f"Decoders of {self.model or self.encoder}, n = {encoder.n_features}, n_hidden = {encoder.n_hidden}, "
            f"p = {n_active / encoder.n_features:g}",
        )  # fmt: skip
        for result in found:
            table.add_row(
                result.decoder,
                str(result.loss),
                "" if result.predicted is None else f"{result.predicted:.5g}",
                f"{1e3 * result.seconds:.3g}",
                str(result.loss.count),
                f"{result.converged:.0%}",
            )
        lines += [f"{result.decoder}: {result.why}" for result in found if result.why]
        table.caption, table.caption_justify = "\n".join(lines), "left"
        show(table)
        return 0 if all(result.loss.value < float("inf") for result in found) else FAILED

    def refuse_absurd(self, n_features: int, n_hidden: int, *, is_dense: bool) -> None:
        """Raises ValueError if the work is more than this machine can do."""
        seconds = len(self.decoders) * self.seconds if isfinite(self.seconds) else 0.0
        is_programme = "basis-pursuit" in self.decoders
        cost = costs.of_encoder(n_features, n_hidden, is_dense=is_dense, seconds=seconds, is_programme=is_programme)
        cost.refuse(force=self.force)


def _theory(encoder: "Encoder", features: "SparseFeatures", noise: float) -> list[str]:
    """Returns what no decoder can beat, where all features are alike."""
    if not features.is_symmetric:
        return []
    p, law = features.probability, features.law
    ensemble: Literal["gaussian", "orthogonal"] = "orthogonal" if encoder.is_tight else "gaussian"
    least = sp.theory.replica_mmse(encoder.n_hidden / encoder.n_features, p, noise, ensemble=ensemble, law=law)
    return [
        f"least loss of any decoder, {ensemble} encoders, n → ∞: {least.loss:.5g}",
        f"which message passing reaches: {'no' if least.hard else 'yes'}; "
        f"it recovers without noise from ratio {sp.theory.amp_threshold(p, law):.4f} on",
    ]


@final
@dataclass(frozen=True, kw_only=True)
class Sensing(Command):
    """Print how many measurements recover k of n features: theorem, ℓ1, message passing, information."""

    n_features: Count
    """Number of features, ≥ 2."""
    k: Count
    """Number of active features, in [1, n_features − 1]."""

    def run(self) -> int:
        """Prints the table."""
        found = sp.theory.measurements(self.n_features, self.k)
        rows = (
            ("information: almost every k-sparse x", found.information, "k + 1, exact"),
            ("message passing (AMP, OAMP), values uniform on [0, 1]", found.message_passing, "n → ∞"),
            ("ℓ1 minimisation, x ≥ 0", found.l1_nonnegative, "n → ∞, Donoho and Tanner"),
            ("ℓ1 minimisation, any sign", found.l1_signed, "n → ∞, Donoho and Tanner"),
            ("ℓ1 minimisation, any sign, half of all draws", found.l1_sufficient, "enough: 2k log(n/k) + 5k/4 + 1"),
            ("stable recovery of every x: order of", found.stable_order, "k log(n/k), but for a constant"),
        )
        table = new_table(
            "recovers", "measurements", "which is",
            title=f"Measurements for k = {self.k} of n = {self.n_features}, without noise",
        )  # fmt: skip
        for row in rows:
            table.add_row(row[0], str(row[1]), row[2])
        show(table)
        return 0
