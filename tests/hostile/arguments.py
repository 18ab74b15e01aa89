"""Arguments that nobody should give, and those that are legal and extreme."""

import numpy as np
import torch

from superposition.features import Beta, Constant, Empirical, Exponential, HalfNormal, Uniform

NAN, INF = float("nan"), float("inf")


class Nameless:
    """An object whose own name is an error."""

    def __repr__(self):
        raise ZeroDivisionError


# Of a wrong type, a wrong range, or no number at all; of some functions one or the other is right.
JUNK = (
    None, "x", b"x", object(), Nameless(), [], {}, (1, 2), [[1], [1, 2]], NAN, INF, -INF, -1, 0, 0.5, True, 1j, 2**63,
    10**30, 10**5000, np.array([1.0, 2.0]), np.array([]), np.ma.masked_array([1.0, 2.0], [0, 1]), np.datetime64("2020"),
    torch.tensor([1.0, 2.0], requires_grad=True), abs, int,
)  # fmt: skip


def tensors(*shape):
    """Tensors in the place of one of this shape: not finite, of other types, shapes, layouts and devices."""
    plain = torch.rand(*shape, generator=torch.Generator().manual_seed(0))

    def ending(value):
        other = plain.clone()
        other.view(-1)[-1] = value
        return other

    double = plain.double()
    return (
        ending(NAN), ending(INF), ending(-INF), plain * 1e38, plain * 1e-38, plain * 1e19, plain * 1e13, plain * 0,
        double * 1e300, double * 1e150, double, plain.half(), plain.bfloat16(), plain.long(), plain > 0.5,
        plain.to(torch.complex64), plain.clone().requires_grad_(), plain.to("meta"), plain.to_sparse(), plain[None],
        torch.tensor(1.0), torch.empty(0), torch.empty(0, *shape[1:]), torch.empty(*shape[:-1], 0),
        torch.rand([size + 1 for size in shape]), torch.rand(shape[::-1]).permute(*reversed(range(len(shape)))),
        plain.numpy(), plain.tolist(),
    )  # fmt: skip


# Legal or hardly so; below and above are numbers of float64 that the domains leave out.
PROBABILITIES = (1e-320, 1e-300, 1e-200, 1e-16, 1e-15, 1e-6, 0.045, 0.5, 1 - 1e-12, 1 - 2.0**-53, 1.0)
RATIOS = (1e-320, 1e-300, 1e-100, 1e-15, 1e-12, 0.25, 1 - 1e-12, 1 - 2.0**-53, 1.0)
NOISES = (0.0, 1e-320, 1e-300, 1e-120, 1e-8, 0.2, 1e8, 1e150, 1e300, INF)
COUNTS = (1, 2, 3, 10**9, 2**31 - 1)
LAWS = (
    None, Constant(1e-100), Constant(1e100), Uniform(0, 1e100), Uniform(1e3, 1e3 + 1e-9), Exponential(1e-100),
    HalfNormal(1e100), Beta(1e-3, 1e-3), Empirical([1e-100, 1e100]), Empirical([0.0, 1e-320, 1.0]),
)  # fmt: skip
