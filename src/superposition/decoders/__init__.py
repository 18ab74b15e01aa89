"""From hidden activations back to features: one algorithm a file, compared under one protocol."""

from superposition.decoders.amp import AMP
from superposition.decoders.as_it_is import AsItIs
from superposition.decoders.base import Decoded, Decoder
from superposition.decoders.basis_pursuit import BasisPursuit
from superposition.decoders.bayes import Bayes, OracleSupport
from superposition.decoders.certificates import DualCertificate, SupportCertificate
from superposition.decoders.comparison import DecoderResult, compare_decoders
from superposition.decoders.fitting import fit_decoder
from superposition.decoders.gated import Gated
from superposition.decoders.jump_relu import JumpReLU
from superposition.decoders.named import decoder_named
from superposition.decoders.oamp import OAMP
from superposition.decoders.omp import OMP
from superposition.decoders.recovery import Recovery, recover
from superposition.decoders.relu import ReLU
from superposition.decoders.threshold_least_squares import ThresholdLeastSquares
from superposition.decoders.top_k import TopK
from superposition.decoders.trec import TRec

__all__ = [
    "AMP",
    "OAMP",
    "OMP",
    "AsItIs",
    "BasisPursuit",
    "Bayes",
    "Decoded",
    "Decoder",
    "DecoderResult",
    "DualCertificate",
    "Gated",
    "JumpReLU",
    "OracleSupport",
    "ReLU",
    "Recovery",
    "SupportCertificate",
    "TRec",
    "ThresholdLeastSquares",
    "TopK",
    "compare_decoders",
    "decoder_named",
    "fit_decoder",
    "recover",
]
