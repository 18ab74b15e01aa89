"""Every public function of the theory at extreme and at hostile arguments: `python -m tests.hostile.theory`."""

import itertools
import json

from superposition import theory
from superposition.features import SparseFeatures, Uniform
from tests.hostile.arguments import COUNTS, JUNK, LAWS, NOISES, PROBABILITIES, RATIOS
from tests.hostile.attempts import faults, not_finite, of_points

_SCALES = (1e-320, 1e-300, 1e-100, 0.5, 1.3, 1e50, 1e100, 1e300)
_BIASES = (0.0, -1e-320, -0.45, 1e150, -1e150, 1e300)
_Z = (0.0, 1e-320, -1e-160, 0.6, -3.0, 1e150, -1e150, 1e300)
_FEW_LAWS = (None, Uniform(0, 1e100))


def _some(*axes, count=60):
    """Every so many of all combinations, about `count` in all."""
    points = list(itertools.product(*axes))
    step = max(1, len(points) // count)
    while step > 1 and any(len(axis) % step == 0 for axis in axes):
        step += 1
    return points[::step]


def _features():
    for p, law, importance in itertools.product((1e-15, 0.05, 1.0), LAWS[1:4], (1e-300, [1e-300, 1e300, 1.0, 1.0])):
        yield SparseFeatures(4, p, law, importance), 2


RP = {"ratio": JUNK, "probability": JUNK, "law": JUNK[1:]}
NP = {"noise_std": JUNK, "probability": JUNK, "law": JUNK[1:]}
_RATIO = {"ratio": 0.25, "probability": 0.045, "law": None}
_NOISE = {"noise_std": 0.2, "probability": 0.045, "law": None}
_MESSAGE = {"ratio": 0.25, "probability": 0.05, "noise_variance": 1e-3}
_PASSING = (RATIOS[2:6], (1e-200, 1e-15, 0.05, 1.0), (0.0, 1e-300, 1e-3, 1e15, 1e300))

# Of each function: extreme arguments, a good call, hostile values of its arguments, what need not be finite.
TABLE = {
    "allocate": (
        _features(),
        {"features": SparseFeatures(4, 0.1), "n_hidden": 2},
        {"features": JUNK, "n_hidden": JUNK, "hidden_noise": JUNK},
        ("noise_std",),
    ),
    "mean_field_loss": (
        _features(),
        {"features": SparseFeatures(4, 0.1), "n_hidden": 2},
        {"features": JUNK, "n_hidden": JUNK, "hidden_noise": JUNK},
        (),
    ),
    "amp_threshold": (
        _some((1e-300, 1e-15, 0.5, 1.0), LAWS[:3]),
        {"probability": 0.05},
        {"probability": JUNK, "law": JUNK[1:]},
        (),
    ),
    "antipodal_loss": (
        _some(RATIOS, PROBABILITIES, (1.0, 3.0, 1e300)),
        {"ratio": 0.5, "probability": 0.045},
        {"ratio": JUNK, "probability": JUNK, "stretch": JUNK},
        (),
    ),
    "bayes_denoiser": (_some(_Z, NOISES, PROBABILITIES, LAWS), {"z": 0.6, **_NOISE}, {"z": JUNK, **NP}, ()),
    "bayes_loss": (_some(NOISES, PROBABILITIES, LAWS), _NOISE, NP, ()),
    "explicit_upper_bound": (
        _some(RATIOS, PROBABILITIES),
        {"ratio": 0.25, "probability": 0.045},
        {"ratio": JUNK, "probability": JUNK},
        (),
    ),
    "hull_optimum": (_some(RATIOS, (1e-200, 1e-15, 0.5, 1.0), _FEW_LAWS, count=12), _RATIO, RP, ()),
    "measurements": ([], {"n_features": 10, "k": 2}, {"n_features": JUNK, "k": JUNK, "law": JUNK[1:]}, ()),
    "l1_threshold": ([], {"ratio": 0.5, "nonnegative": True}, {"ratio": (*JUNK, *RATIOS), "nonnegative": JUNK}, ()),
    "linear_loss": (_some(RATIOS, PROBABILITIES, LAWS), _RATIO, {**RP, "hidden_noise": (*JUNK, *NOISES)}, ()),
    "loss_bounds": (
        _some(RATIOS, PROBABILITIES, count=30),
        {"ratio": 0.25, "probability": 0.045},
        {"ratio": JUNK, "probability": JUNK},
        (),
    ),
    "loss_gradients": (_some(RATIOS, PROBABILITIES, LAWS), _RATIO, RP, ()),
    "loss_parts": (
        _some(_SCALES, _BIASES, NOISES, LAWS, count=200),
        {"scale": 1.0, "bias": 0.0, "noise_std": 0.2, "law": None},
        {"scale": JUNK, "bias": JUNK, "noise_std": JUNK, "law": JUNK[1:]},
        (),
    ),
    "loss_parts_bound": (
        _some(NOISES, _BIASES),
        {"noise_std": 0.2, "bias": -0.1},
        {"noise_std": JUNK, "bias": JUNK},
        (),
    ),
    "lower_bound": (
        _some(NOISES, PROBABILITIES),
        {"noise_std": 0.2, "probability": 0.045},
        {"noise_std": JUNK, "probability": JUNK},
        (),
    ),
    "minimal_noise_variance": (
        _some(RATIOS, PROBABILITIES, LAWS),
        _RATIO,
        {**RP, "hidden_noise": (*JUNK, *NOISES)},
        (),
    ),
    "optimal_relu": (_some(NOISES, PROBABILITIES, LAWS), _NOISE, NP, ()),
    "optimal_scale": (
        _some(_BIASES, NOISES, PROBABILITIES, LAWS, count=200),
        {"threshold": 0.0, **_NOISE},
        {"threshold": JUNK, **NP},
        (),
    ),
    "oracle_support_loss": (_some(NOISES, PROBABILITIES, LAWS), _NOISE, NP, ()),
    "relu_loss": (
        _some(_SCALES, _BIASES, NOISES, PROBABILITIES, LAWS, count=400),
        {"scale": 1.0, "bias": 0.0, **_NOISE},
        {"scale": JUNK, "bias": JUNK, **NP},
        (),
    ),
    "replica_mmse": (_some(*_PASSING, count=10), _MESSAGE, {"noise_variance": JUNK, "ensemble": JUNK, **RP}, ()),
    "scaling": (_some(PROBABILITIES, RATIOS, LAWS), _RATIO, RP, ("probability_exponent", "ratio_exponent")),
    "state_evolution": (
        _some(*_PASSING, count=10),
        {**_MESSAGE, "n_steps": 5},
        {"noise_variance": JUNK, "ensemble": JUNK, "n_steps": JUNK[:12], **RP},
        (),
    ),
    "support_thresholds": (
        _some((0.0, 1e-320, 0.5, 1.0), (1, 2.5, 1e300), _SCALES, _SCALES),
        {"coherence": 0.1, "k": 2, "least": 0.5},
        {"coherence": JUNK, "k": JUNK, "least": JUNK, "largest": JUNK},
        ("most_active",),
    ),
    "symmetric_optimum": (_some(RATIOS, PROBABILITIES, LAWS), _RATIO, {**RP, "hidden_noise": (*JUNK, *NOISES)}, ()),
    "upper_bound": (_some(RATIOS, PROBABILITIES, LAWS), _RATIO, RP, ()),
    "weighted_linear_loss": (
        _features(),
        {"features": SparseFeatures(4, 0.1), "n_hidden": 2},
        {"features": JUNK, "n_hidden": JUNK, "hidden_noise": (*JUNK, *NOISES)},
        (),
    ),
    "welch_bound": (
        _some(COUNTS, COUNTS),
        {"n_features": 8, "n_hidden": 4},
        {"n_features": JUNK, "n_hidden": JUNK},
        (),
    ),
    "zero_ratio_relu": (
        _some(NOISES, _BIASES, PROBABILITIES, LAWS, count=200),
        {"threshold": 0.0, **_NOISE},
        {"threshold": JUNK, **NP},
        (),
    ),
    "zero_ratio_loss": (_some(PROBABILITIES, LAWS), {"probability": 0.045}, {"probability": JUNK, "law": JUNK[1:]}, ()),
}


def main():
    """Prints what was tried and found of each function, as JSON."""
    found = {}
    for name, (points, good, hostile, allowed) in TABLE.items():
        function, fault_of = getattr(theory, name), not_finite(*allowed)
        answers = [of_points(function, points, fault_of=fault_of), faults(function, good, hostile)]
        found[name] = [sum(tried for tried, _ in answers), [fault for _, those in answers for fault in those]]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
