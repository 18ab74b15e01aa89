from .amp import AMP as AMP
from .as_it_is import AsItIs as AsItIs
from .base import Decoded as Decoded, Decoder as Decoder
from .basis_pursuit import BasisPursuit as BasisPursuit
from .bayes import Bayes as Bayes, OracleSupport as OracleSupport
from .certificates import DualCertificate as DualCertificate, SupportCertificate as SupportCertificate
from .comparison import DecoderResult as DecoderResult, compare_decoders as compare_decoders
from .fitting import fit_decoder as fit_decoder
from .gated import Gated as Gated
from .jump_relu import JumpReLU as JumpReLU
from .named import decoder_named as decoder_named
from .oamp import OAMP as OAMP
from .omp import OMP as OMP
from .recovery import Recovery as Recovery, recover as recover
from .relu import ReLU as ReLU
from .threshold_least_squares import ThresholdLeastSquares as ThresholdLeastSquares
from .top_k import TopK as TopK
from .trec import TRec as TRec
