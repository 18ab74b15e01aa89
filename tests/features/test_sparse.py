import json

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from superposition import Constant, SparseFeatures, Uniform
from superposition.theory import zero_ratio_loss
from tests.rounding import assert_close, gamma
from tests.statistics import agrees

SPREAD = SparseFeatures(4, np.array([0.1, 0.5, 0.9, 1.0]), Uniform(0.5, 2.0), importance=np.array([1, 0, 2.0, 0.5]))


@pytest.mark.parametrize("probability", [0.01, 0.3, 1.0])
@pytest.mark.parametrize("law", [Uniform(), Constant(2.0), Uniform(0.5, 3.0)])
def test_simulation_moments(probability, law, rng):
    features = SparseFeatures(1, probability, law)
    u = law.draw(4_000_000, torch.Generator().manual_seed(7), torch.float64).numpy()
    x = u * (rng.random(4_000_000) < probability)
    for power, exact in ((1, features.mean), (2, features.second_moment)):
        if law.variance == 0 and probability == 1:
            assert (x**power == exact).all()
            continue
        assert agrees(x**power, exact, resolution=0.04)
        assert not agrees(x**power, exact * 1.08, resolution=0.04)
    squares = (x - x.mean()) ** 2
    if features.variance:
        assert agrees(squares, features.variance, resolution=0.04)
        assert not agrees(squares, features.variance * 1.08, resolution=0.04)
    else:
        assert (squares == 0).all()


def test_moments_of_every_feature():
    assert_close(SPREAD.mean, np.array([0.1, 0.5, 0.9, 1.0]) * 1.25, gamma(4, float))
    # The second moment is at most 8 times the variance here.
    assert (SPREAD.second_moment <= 10 * SPREAD.variance).all()
    assert_close(SPREAD.variance, SPREAD.second_moment - SPREAD.mean**2, 10 * gamma(10, float))


@pytest.mark.parametrize(
    ("probability", "law"), [(1.0, Uniform(1000.0, 1000.0001)), (1 - 1e-12, Constant()), (1.0, Constant(0.3))]
)
def test_variance_does_not_cancel(probability, law):
    exact = zero_ratio_loss(probability, law)
    assert_close(SparseFeatures(1, probability, law).variance, exact, gamma(10, float))


def test_symmetry_is_a_matter_of_scalars():
    assert SparseFeatures(3, 0.1).is_symmetric
    assert not SPREAD.is_symmetric
    assert not SparseFeatures(2, 0.1, importance=np.array([1.0, 2.0])).is_symmetric


@pytest.mark.parametrize("features", [SPREAD, SparseFeatures(3, 0.1 + 0.2), SparseFeatures(1, 1.0, Constant(2.0))])
def test_round_trip_config(features):
    again = SparseFeatures.from_config(json.loads(json.dumps(features.to_config())))
    assert again == features
    assert hash(again) == hash(features)
    assert again.to_config() == features.to_config()


def test_equality_sees_every_field():
    one = SparseFeatures(2, 0.5)
    others = [
        SparseFeatures(3, 0.5),
        SparseFeatures(2, 0.4),
        SparseFeatures(2, 0.5, Constant()),
        SparseFeatures(2, 0.5, importance=2.0),
    ]
    assert one == SparseFeatures(2, 0.5)
    assert all(one != other for other in others)
    assert one != "features"


def test_arrays_are_copied_and_frozen():
    mine = np.array([0.1, 0.2])
    features = SparseFeatures(2, mine)
    mine[0] = 0.9
    assert features.probability[0] == 0.1
    with pytest.raises(ValueError, match="read-only"):
        features.probability[0] = 0.5


@given(st.one_of(st.floats(max_value=0.0), st.floats(min_value=1.0, exclude_min=True), st.just(float("nan"))))
def test_property_bad_probabilities_are_refused(probability):
    with pytest.raises(ValueError, match=r"^`probability` must be in \(0, 1\]"):
        SparseFeatures(4, probability)
    with pytest.raises(ValueError, match=r"^`probability` must be in .* at index 2"):
        SparseFeatures(4, np.array([0.5, 1.0, probability, 0.5]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SparseFeatures(0, 0.1), "`n_features` must be a whole number of at least 1, got 0"),
        (lambda: SparseFeatures(3, np.array([0.1, 0.2])), r"`probability` must be a scalar or have shape \(3,\), got"),
        (lambda: SparseFeatures(3, 0.1, importance=np.ones((3, 1))), "`importance` must be a scalar or have shape"),
        (lambda: SparseFeatures(3, 0.1, importance=-1.0), "`importance` must be finite and not negative"),
        (lambda: SparseFeatures(3, 0.1, importance=float("nan")), "`importance` must be finite and not negative"),
        (lambda: SparseFeatures(2, 0.1, importance=np.zeros(2)), "`importance` must be positive somewhere"),
        (lambda: SparseFeatures.from_config({"n_features": 3}), "features must have the keys"),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
