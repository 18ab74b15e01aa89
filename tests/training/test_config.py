import dataclasses
from math import cos, inf, pi, sqrt

import pytest
import torch

from superposition import Autoencoder, SparseFeatures, TrainingConfig, train
from tests.rounding import gamma

# A formula of a few operations in float64.
FEW = gamma(16, float)

BASE = TrainingConfig(n_steps=30, batch_size=16, learning_rate=0.3, rate_cap=1.0)
FEATURES = SparseFeatures(12, 0.2)


def weights(config):
    model = Autoencoder(12, 3)
    run = train(model, FEATURES, config, n_held_out=10)
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()]), run.steps


@pytest.mark.parametrize(
    "change",
    [
        {"n_steps": 31},
        {"batch_size": 17},
        {"learning_rate": 0.2},
        {"rate_cap": 0.1},
        {"betas": (0.8, 0.99)},
        {"betas": (0.9, 0.98)},
        {"epsilon": 1e-3},
        {"warm_up": 0.5},
        {"decay": "none"},
        {"stop_window": 1},
        {"precision": "bfloat16"},
        {"tied": True},
        {"cooldown": 0.3},
    ],
    ids=str,
)
def test_every_field_is_read(change):
    assert not torch.equal(weights(BASE)[0], weights(BASE.replace(**change))[0])


def test_every_field_is_in_the_test_above():
    mark = next(mark for mark in test_every_field_is_read.pytestmark if mark.name == "parametrize")
    assert {key for change in mark.args[1] for key in change} == {field.name for field in dataclasses.fields(BASE)}


def test_known_values_of_the_paper():
    paper = TrainingConfig.paper()
    assert dataclasses.asdict(paper) == {
        "n_steps": 500_000, "batch_size": 1024, "learning_rate": 3e-3, "rate_cap": inf, "betas": (0.9, 0.999),
        "epsilon": 1e-8, "warm_up": 0.0, "decay": "none", "stop_window": 200, "precision": "float32", "tied": False,
        "cooldown": None,
    }  # fmt: skip
    assert paper.peak_rate(512, 128, 0.045) == pytest.approx(3e-3 / sqrt(512), rel=FEW)
    assert {paper.rate_factor(step) for step in (0, 1, 1000, 499_999)} == {1.0}
    assert TrainingConfig.named("paper") == paper
    assert TrainingConfig.named("default") == TrainingConfig()
    assert TrainingConfig.named("fast") == TrainingConfig.fast()


def test_naive_twin_rates():
    config = TrainingConfig(n_steps=100, warm_up=0.1)
    assert [config.rate_factor(step) for step in range(10)] == pytest.approx([0.1 * k for k in range(1, 11)], rel=FEW)
    for step in (10, 55, 99):
        assert config.rate_factor(step) == pytest.approx((1 + cos(pi * (step - 10) / 90)) / 2, abs=FEW)
    assert config.rate_factor(99) < 0.001
    linear = config.replace(decay="linear")
    assert [linear.rate_factor(step) for step in (9, 10, 55, 99)] == pytest.approx([1, 1, 0.5, 1 / 90], rel=FEW)
    assert TrainingConfig(n_steps=1).rate_factor(0) == 1.0
    late = linear.replace(cooldown=0.2)
    assert late.constant_until == 80
    assert [late.rate_factor(step) for step in (0, 9, 79, 80, 90, 99)] == pytest.approx(
        [0.1, 1, 1, 1, 0.5, 0.05], rel=FEW
    )
    assert [config.constant_until, config.replace(decay="none").constant_until] == [10, 100]
    assert TrainingConfig(n_steps=3, warm_up=0.0, cooldown=0.1).constant_until == 2


def test_the_lower_of_the_two_bounds_holds():
    config = TrainingConfig(learning_rate=0.2, rate_cap=0.8)
    assert config.peak_rate(100, 10, 0.01) == pytest.approx(0.02, rel=FEW)
    assert config.peak_rate(10_000, 5000, 0.5) == pytest.approx(0.8 / sqrt(2.5e7), rel=FEW)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_steps": 0}, "`n_steps` must be a whole number of at least 1, got 0"),
        ({"batch_size": -1}, "`batch_size` must be"),
        ({"learning_rate": 0.0}, r"`learning_rate` must be in \(0, inf\), got 0"),
        ({"learning_rate": inf}, "`learning_rate` must be in"),
        ({"learning_rate": float("nan")}, "`learning_rate` must be in .* got nan"),
        ({"rate_cap": 0.0}, "`rate_cap` must be in"),
        ({"betas": (0.9, 1.0)}, r"`betas` must be in \[0, 1\), got 1 at index 1"),
        ({"betas": (-0.1, 0.9)}, "`betas` must be in .* at index 0"),
        ({"epsilon": 0.0}, "`epsilon` must be in"),
        ({"warm_up": 1.0}, "`warm_up` must be in"),
        ({"stop_window": 0}, "`stop_window` must be"),
        ({"cooldown": 0.0}, r"`cooldown` must be in \(0, 0\.9\], got 0"),
        ({"cooldown": 0.95}, r"`cooldown` must be in \(0, 0\.9\], got 0\.95"),
        ({"cooldown": 0.5, "decay": "none"}, "`decay` must be linear or cosine with a cooldown, got 'none'"),
    ],
)
def test_bad_fields_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        TrainingConfig(**change)
