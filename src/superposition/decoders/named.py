"""Decoders by name, for the command line and for descriptions of sweeps."""

from typing import get_args

from superposition import _checks
from superposition._names import DecoderName
from superposition.decoders.amp import AMP
from superposition.decoders.base import Decoder
from superposition.decoders.basis_pursuit import BasisPursuit
from superposition.decoders.bayes import Bayes, OracleSupport
from superposition.decoders.elementwise import Elementwise
from superposition.decoders.oamp import OAMP
from superposition.decoders.omp import OMP
from superposition.decoders.threshold_least_squares import ThresholdLeastSquares
from superposition.models.activations import activation_named


def decoder_named(name: DecoderName, k: int, *, noise_variance: float = 0.0) -> Decoder:
    """The decoder of a name, not fitted.

    Args:
        name: Of the decoder.
        k: Number of active features that lemma 1 and the pursuit assume, ≥ 1.
        noise_variance: s² ≥ 0 of the hidden activations, feature units squared, for decoders that know it.

    Raises:
        ValueError: There is no decoder of that name.

    >>> decoder_named("oamp", 3).name
    'OAMP'
    """
    match _checks.choice("decoder", name, get_args(DecoderName)):
        case "bayes":
            return Bayes(noise_variance)
        case "oracle":
            return OracleSupport(noise_variance=noise_variance)
        case "lemma1":
            return ThresholdLeastSquares(k)
        case "pursuit":
            return ThresholdLeastSquares(k, rounds=20)
        case "omp":
            return OMP()
        case "basis-pursuit":
            return BasisPursuit()
        case "amp":
            return AMP(noise_variance=noise_variance)
        case "oamp":
            return OAMP(noise_variance=noise_variance)
    return Elementwise(activation_named(name))
