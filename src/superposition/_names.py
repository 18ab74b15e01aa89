"""Names by which commands and descriptions of sweeps call things; loads nothing."""

from typing import Literal

DecoderName = Literal[
    "relu", "jumprelu", "gated", "trec", "topk", "batchtopk", "bayes", "oracle", "lemma1", "pursuit", "omp",
    "basis-pursuit", "amp", "oamp",
]  # fmt: skip
# rug: rows of a Hadamard matrix; gaussian: independent entries; harmonic: rows of a Fourier matrix.
EncoderName = Literal["rug", "gaussian", "harmonic"]
Verdict = Literal["holds", "does not hold", "not tested at this size", "not trained long enough"]
