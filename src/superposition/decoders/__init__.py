"""From hidden activations back to features: one algorithm a file, compared under one protocol."""

from superposition.decoders.amp import AMP
from superposition.decoders.as_it_is import AsItIs
from superposition.decoders.base import Decoded, Decoder
from superposition.decoders.basis_pursuit import BasisPursuit
from superposition.decoders.bayes import Bayes, OracleSupport
from superposition.decoders.certificates import DualCertificate, SupportCertificate
from superposition.decoders.comparison import DecoderResult, compare_decoders
from superposition.decoders.elementwise import Elementwise
from superposition.decoders.fitting import fit_decoder
from superposition.decoders.named import decoder_named
from superposition.decoders.oamp import OAMP
from superposition.decoders.omp import OMP
from superposition.decoders.recovery import Recovery, recover
from superposition.decoders.threshold_least_squares import ThresholdLeastSquares

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
    "Elementwise",
    "OracleSupport",
    "Recovery",
    "SupportCertificate",
    "ThresholdLeastSquares",
    "compare_decoders",
    "decoder_named",
    "fit_decoder",
    "recover",
]
