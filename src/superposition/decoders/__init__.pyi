from .amp import AMP as AMP
from .as_it_is import AsItIs as AsItIs
from .base import Decoded as Decoded, Decoder as Decoder
from .basis_pursuit import BasisPursuit as BasisPursuit
from .bayes import Bayes as Bayes, OracleSupport as OracleSupport
from .certificates import DualCertificate as DualCertificate, SupportCertificate as SupportCertificate
from .comparison import DecoderResult as DecoderResult, compare_decoders as compare_decoders
from .elementwise import Elementwise as Elementwise
from .fitting import fit_decoder as fit_decoder
from .named import decoder_named as decoder_named
from .oamp import OAMP as OAMP
from .omp import OMP as OMP
from .recovery import Recovery as Recovery, recover as recover
from .threshold_least_squares import ThresholdLeastSquares as ThresholdLeastSquares
