"""How few neurons beat the linear optimum: three, and what a linear code can gain at most."""

import torch

from superposition.compression.network import CompressionNetwork

# Found by minimising the exact loss over the direction of the encoder and the two hinges of the decoder.
_DIRECTION = 0.25855856
_HINGES = (0.08906775, 1.02412489)
_START = (-0.0167168, 0.40075807)
_SLOPES = ((0.96293096, -0.47057066), (0.15628128, 1.77549191))


def linear_code_bound() -> float:
    """Least mean square error of a pair whose code is linear, over all decoders, exactly 25/648: 7.4% below linear.

    Given x + a y, 0 ≤ a ≤ 1, the pair is uniform on a segment, whose middle is the best reconstruction. The mean over
    the code of the variances left is (1 + a²)(2 − a)/48 each, 1/24 at a = 0 and a = 1 and least at a = 1/3. One
    neuron in the encoder changes nothing: it keeps the code or cuts it.

    >>> round(linear_code_bound() * 24, 4)
    0.9259
    """
    return 25 / 648


def smallest_network() -> CompressionNetwork:
    """The best network of the least size that beats the linear optimum: 1 + 2 neurons, loss 0.040494.

    Two or fewer cannot. Without neurons one side is constant. One neuron in the decoder puts all reconstructions on a
    straight line, across which a pair, of equal variance in all directions, loses 1/12 in all, as the linear optimum
    does. So the decoder needs two and the encoder one. Where linear paths beside the neurons are free, as in a residual
    stream, one neuron in the decoder does.

    The losses of two neurons in the decoder and a linear code are the exact minimum, found numerically.

    >>> smallest_network().n_neurons
    3
    """
    encoder = [(torch.tensor([[1.0, _DIRECTION]]), torch.zeros(1)), (torch.ones(1, 1), torch.zeros(1))]
    decoder = [(torch.ones(2, 1), -torch.tensor(_HINGES)), (torch.tensor(_SLOPES), torch.tensor(_START))]
    return CompressionNetwork.from_layers(encoder, decoder)
