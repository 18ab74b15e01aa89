import itertools

import numpy as np
import pytest
import torch

from superposition._random import derived_seed, numpy_rng, torch_generator


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((0, "weights"), 676567779),
        ((0, "batch", 0), 471470343),
        ((7, "batch", 41), 3513680224),
        ((1, "held-out", 3), 1329864981),
    ],
)
def test_known_values_never_change(arguments, expected):
    assert derived_seed(*arguments) == expected


def test_every_seed_and_purpose_has_its_own_stream():
    purposes = [
        ("weights",),
        ("rug rows",),
        *(("batch", i) for i in range(200)),
        *(("held-out", i) for i in range(200)),
    ]
    seeds = [derived_seed(seed, *purpose) for seed, purpose in itertools.product(range(10), purposes)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_streams_depend_on_the_arguments_alone():
    first = numpy_rng(3, "a").random(5)
    np.random.default_rng(0).random(100)
    assert (numpy_rng(3, "a").random(5) == first).all()
    one, other = (torch.rand(5, generator=torch_generator(3, "a", i)) for i in (0, 1))
    assert not torch.equal(one, other)
    assert torch.equal(one, torch.rand(5, generator=torch_generator(3, "a", 0)))


def test_torch_keeps_all_32_bits_of_a_seed():
    draws = {float(torch.rand(1, generator=torch.Generator().manual_seed(1 << bit))) for bit in range(32)}
    assert len(draws) == 32


@pytest.mark.parametrize("seed", [-1, 1.5, None])
def test_bad_seeds_are_refused(seed):
    with pytest.raises((ValueError, TypeError), match="seed"):
        derived_seed(seed, "weights")
