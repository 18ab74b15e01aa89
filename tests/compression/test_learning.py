"""Many runs as one program: the same as alone, learning what it should, measured on samples it never saw."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from superposition import SparseFeatures
from superposition.compression import Learning, QuantizedPair, inspect, learn, learn_from, linear_loss
from superposition.compression.learning import held_out_losses, train_stack
from superposition.compression.network import linear_layers
from superposition.compression.stack import NetworkStack
from tests.rounding import Bounded, assert_within, through_layers, trained_bound, unit_roundoff
from tests.statistics import Z_BOUND

PAIR = SparseFeatures(2, 1.0)
SHORT = Learning(n_steps=30, batch_size=64, n_held_out=1000)


@pytest.fixture(scope="module")
def found():
    return learn(PAIR, (2, 9, 1), (1, 9, 2), n_runs=8, learning=Learning(n_steps=2000))


def parameters_of(perceptron):
    return [(layer.weight, layer.bias) for layer in linear_layers(perceptron)]


def together_and_alone(networks, learning):
    """Losses and weights of networks that are trained side by side, and of each by itself, and their bounds.

    In float64, so that what is not rounding shows. A sum over the batch has the most terms.
    """
    together = train_stack(NetworkStack.of(networks), PAIR, learning, seed=4)
    for run, network in enumerate(networks):
        one = NetworkStack.of([network])

        def train(stack):
            learned = train_stack(stack, PAIR, learning, seed=4)
            return [learned.losses[0].value, *stack.network(0).parameters()]

        bounds = trained_bound(train, one, learning.n_steps, learning.batch_size, np.float64)
        expected = train(one)
        padded = together.stack.network(run).parameters()
        found = [part[tuple(map(slice, like.shape))] for part, like in zip(padded, expected[1:], strict=True)]
        yield zip([together.losses[run].value, *found], expected, bounds, strict=True)


class TestStack:
    def test_runs_together_as_alone(self, generator):
        stack = NetworkStack.drawn((3, 5, 4, 2), (2, 6, 3), 4, generator)
        x = torch.rand(10, 3, generator=generator)
        with torch.no_grad():
            together = stack(x)
        for run in range(4):
            network = stack.network(run)
            code = through_layers(parameters_of(network.encoder), Bounded.given(x, np.float32))
            exact = through_layers(parameters_of(network.decoder), code)
            assert_within(together[run], exact.value, exact.error)
            assert_within(network(x), exact.value, exact.error)
            with pytest.raises(AssertionError, match="out of bounds"):
                assert_within(together[run - 1], exact.value, exact.error)

    def test_a_stack_of_its_own_networks_is_itself(self, generator):
        stack = NetworkStack.drawn((2, 5, 1), (1, 5, 2), 3, generator)
        again = NetworkStack.of([stack.network(run) for run in range(3)])
        x = torch.rand(10, 2, generator=generator)
        assert torch.equal(stack(x), again(x))

    def test_narrower_networks_are_padded_and_train_as_alone(self):
        networks = [QuantizedPair(levels, 0.1).to_network("minimal") for levels in (2, 4)]
        slow = replace(SHORT, learning_rate=1e-3)
        in_double = [copy.deepcopy(network).double() for network in networks]
        for each in together_and_alone(in_double, slow):
            for found, expected, bound in each:
                assert_within(found, expected, bound, resolution=1e-6)
        # The neurons that were added have no weights still.
        together = learn_from(networks, PAIR, learning=slow)
        assert (together.stack.weights[0][0, :, 3:] == 0).all()
        assert (together.stack.weights[1][0, 3:] == 0).all()
        assert inspect(together.stack.network(0)).levels == 2

    def test_trained_together_as_alone(self, generator):
        stack = NetworkStack.drawn((2, 5, 1), (1, 5, 2), 3, generator)
        for each in together_and_alone([stack.network(run).double() for run in range(3)], SHORT):
            for found, expected, bound in each:
                assert_within(found, expected, bound, resolution=1e-6)


class TestLearn:
    def test_beats_linear_with_eighteen_neurons(self, found):
        assert found.share_below(linear_loss()).value >= 0.75
        assert found.losses[found.best].value < 0.6 * linear_loss()
        assert found.stack.network(0).n_neurons == 18
        assert inspect(found.stack.network(found.best)).n_pieces > 2

    def test_untrained_networks_do_not(self):
        assert learn(PAIR, (2, 9, 1), (1, 9, 2), n_runs=8, learning=SHORT).share_below(linear_loss()).value == 0

    def test_one_decoder_neuron_never_beats_linear(self):
        # Its reconstructions lie on a straight line, and the features vary as much across every line.
        losses = learn(PAIR, (2, 9, 1), (1, 1, 2), n_runs=8, learning=Learning(n_steps=600)).losses
        assert all(loss.z_score(linear_loss()) > -Z_BOUND for loss in losses)

    def test_held_out_losses_are_those_of_the_network(self, found):
        x = torch.rand(100_000, 2, generator=torch.Generator().manual_seed(99))
        with torch.no_grad():
            errors = (found.stack.network(2)(x) - x).square().mean(1)
        other, mine = found.losses[2], errors.mean().item()
        assert abs(other.value - mine) < Z_BOUND * np.hypot(other.standard_error, errors.std().item() / len(x) ** 0.5)
        assert Z_BOUND * other.standard_error < 0.05 * other.value
        assert other.count == 65536

    def test_the_same_seed_gives_the_same_and_another_another(self):
        first, again, other = (
            learn(PAIR, (2, 4, 1), (1, 4, 2), n_runs=2, learning=SHORT, seed=seed).losses for seed in (1, 1, 2)
        )
        assert first == again != other

    def test_progress_is_reported_to_its_end(self):
        seen = []
        learn(PAIR, (2, 4, 1), (1, 4, 2), n_runs=2, learning=SHORT, report=lambda *report: seen.append(report))
        assert seen[-1][:2] == (30, 30)


class TestLearnFrom:
    def test_a_construction_gets_better_and_keeps_its_levels(self):
        scheme = QuantizedPair(3, 0.1)
        network = scheme.to_network("minimal")
        after = learn_from([network], PAIR, learning=Learning(n_steps=1500, learning_rate=1e-3))
        read = inspect(after.stack.network(0))
        assert (read.kind, read.levels) == ("sawtooth", 3)
        assert after.losses[0].value < 0.7 * scheme.expected_loss()
        # The network that was given is as it was.
        assert inspect(network).ramp == pytest.approx(0.1, abs=2.01 * unit_roundoff(np.float32))

    def test_rate_that_is_too_high_destroys_it(self):
        after = learn_from(
            [QuantizedPair(3, 0.1).to_network("minimal")], PAIR, learning=Learning(n_steps=300, learning_rate=1.0)
        )
        assert after.losses[0].value > linear_loss() / 2

    def test_measured_before_training_it_is_the_scheme(self):
        scheme = QuantizedPair(4, 0.05)
        loss = held_out_losses(NetworkStack.of([scheme.to_network()]), PAIR, 200_000, seed=0)[0]
        assert abs(loss.z_score(scheme.expected_loss())) < Z_BOUND
        assert Z_BOUND * loss.standard_error < 0.05 * scheme.expected_loss()


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (
            lambda: learn(PAIR, (3, 4, 1), (1, 4, 2)),
            "`encoder` must begin and `decoder` end with 2 features, got 3 and 2",
        ),
        (
            lambda: learn(PAIR, (2, 4, 1), (2, 4, 2)),
            "`decoder` must begin with the encoder's 1 hidden dimensions, got 2",
        ),
        (lambda: learn(PAIR, (2,), (2,)), "`encoder` must have at least two widths"),
        (lambda: learn(PAIR, (2, 0, 1), (1, 4, 2)), "`encoder` must be a whole number of at least 1, got 0"),
        (lambda: learn(PAIR, (2, 4, 1), (1, 4, 2), n_runs=0), "`n_runs` must be a whole number of at least 1, got 0"),
        (lambda: Learning(n_steps=0), "`n_steps` must be a whole number of at least 1, got 0"),
        (lambda: Learning(n_held_out=1), "`n_held_out` must be a whole number of at least 2, got 1"),
        (lambda: Learning(learning_rate=float("nan")), "`learning_rate` must be in .*got nan"),
        (lambda: Learning(warm_up=1.0), r"`warm_up` must be in \[0, 1\), got 1"),
        (
            lambda: learn_from([QuantizedPair(2, 0.1).to_network()], SparseFeatures(3, 1.0)),
            "must have 3 features, got 2",
        ),
        (
            lambda: learn_from(
                [learn(PAIR, (2, *h, 1), (1, 4, 2), learning=SHORT).stack.network(0) for h in ((4,), (4, 4))], PAIR
            ),
            "`networks` must be of one depth and have the same features, got 2 kinds",
        ),
    ],
)
def test_bad_input_is_refused(use, message):
    with pytest.raises(ValueError, match=message):
        use()
