"""Many runs as one program: the same as alone, learning what it should, measured on samples it never saw."""

import copy
from math import sqrt

import numpy as np
import pytest
import torch

from superposition import SparseFeatures, TrainingConfig, held_out_loss
from superposition._random import torch_generator
from superposition.compression import QuantizedPair, inspect, learn, learn_from, linear_loss
from superposition.compression.engine import ManyNetworks
from superposition.compression.network import linear_layers
from superposition.compression.stack import NetworkStack
from superposition.sweeps import LearnedCell
from superposition.sweeps.cell import Workplace
from superposition.training import loop
from tests.rounding import Bounded, assert_within, through_layers, trained_bound, unit_roundoff
from tests.statistics import Z_BOUND

PAIR = SparseFeatures(2, 1.0)
CONFIG = TrainingConfig.networks()
SHORT = CONFIG.replace(n_steps=30, batch_size=64)
FEW = {"config": SHORT, "n_held_out": 1000}
SLOW = SHORT.replace(learning_rate=1e-3 * sqrt(2))


@pytest.fixture(scope="module")
def found():
    return learn(PAIR, (2, 9, 1), (1, 9, 2), n_runs=8, config=CONFIG.replace(n_steps=2000))


@pytest.fixture
def frequent(monkeypatch):
    """A checkpoint after every step."""
    monkeypatch.setattr(loop, "_CHECKPOINT_SECONDS", 0)
    monkeypatch.setattr(loop, "_CHECKPOINT_SHARE", 0)


def parameters_of(perceptron):
    return [(layer.weight, layer.bias) for layer in linear_layers(perceptron)]


def trained_alone(network, config):
    """Loss and weights of one network, trained by the loop's batches and torch's Adam: the naive twin."""
    network = copy.deepcopy(network)
    optimizer = torch.optim.Adam(network.parameters(), betas=config.betas, eps=config.epsilon)
    for step in range(config.n_steps):
        x = PAIR.sample(config.batch_size, torch_generator(4, "batch", step), dtype=torch.float64)
        optimizer.param_groups[0]["lr"] = config.learning_rate / sqrt(2) * config.rate_factor(step)
        loss = (network(x) - x).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return list(network.parameters())


def together_and_alone(networks, config):
    """Weights of networks that are trained side by side, and of each by itself, and their bounds.

    In float64, so that what is not rounding shows. A sum over the batch has the most terms.
    """
    together = learn_from(networks, PAIR, config=config, seed=4, n_held_out=10)
    for network, mine in zip(networks, together.networks, strict=True):
        bounds = trained_bound(
            lambda one: trained_alone(one, config), network, config.n_steps, config.batch_size, np.float64
        )
        yield zip(mine.parameters(), trained_alone(network, config), bounds, strict=True)


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
        in_double = [copy.deepcopy(network).double() for network in networks]
        for each in together_and_alone(in_double, SLOW):
            for found, expected, bound in each:
                assert_within(found, expected, bound, resolution=1e-6)
        together = learn_from(networks, PAIR, config=SLOW, n_held_out=10)
        assert inspect(together.networks[0]).levels == 2
        # The neurons that were added have no weights still.
        engine = ManyNetworks(networks, PAIR, SLOW)
        for step in range(5):
            engine.advance(PAIR.sample_sparse(64, torch_generator(0, "batch", step)), step)
        first, second = engine._stack.weights[:2]
        assert (first[0, :, 3:] == 0).all()
        assert (second[0, 3:] == 0).all()
        assert (first[1, :, 3:] != 0).any()

    def test_trained_together_as_alone(self, generator):
        stack = NetworkStack.drawn((2, 5, 1), (1, 5, 2), 3, generator)
        for each in together_and_alone([stack.network(run).double() for run in range(3)], SHORT):
            for found, expected, bound in each:
                assert_within(found, expected, bound, resolution=1e-6)


class TestLearn:
    def test_beats_linear_with_eighteen_neurons(self, found):
        assert found.share_below(linear_loss()).value >= 0.75
        assert found.losses[found.best].value < 0.6 * linear_loss()
        assert found.networks[0].n_neurons == 18
        assert inspect(found.networks[found.best]).n_pieces > 2

    def test_untrained_networks_do_not(self):
        assert learn(PAIR, (2, 9, 1), (1, 9, 2), n_runs=8, **FEW).share_below(linear_loss()).value == 0

    def test_one_decoder_neuron_never_beats_linear(self):
        # Its reconstructions lie on a straight line, and the features vary as much across every line.
        losses = learn(PAIR, (2, 9, 1), (1, 1, 2), n_runs=8, config=CONFIG.replace(n_steps=600)).losses
        assert all(loss.z_score(linear_loss()) > -Z_BOUND for loss in losses)

    def test_held_out_losses_are_those_of_the_network(self, found):
        x = torch.rand(100_000, 2, generator=torch.Generator().manual_seed(99))
        with torch.no_grad():
            errors = (found.networks[2](x) - x).square().mean(1)
        other, mine = found.losses[2], errors.mean().item()
        assert abs(other.value - mine) < Z_BOUND * np.hypot(other.standard_error, errors.std().item() / len(x) ** 0.5)
        assert Z_BOUND * other.standard_error < 0.05 * other.value
        assert other.count == 65536

    def test_the_same_seed_gives_the_same_and_another_another(self):
        first, again, other = (
            learn(PAIR, (2, 4, 1), (1, 4, 2), n_runs=2, **FEW, seed=seed).losses for seed in (1, 1, 2)
        )
        assert first == again != other

    def test_progress_is_reported_to_its_end(self):
        seen = []
        learn(PAIR, (2, 4, 1), (1, 4, 2), n_runs=2, **FEW, progress=lambda *report: seen.append(report))
        assert seen[-1][:2] == (30, 30)

    def test_importance_weighs_the_errors(self):
        light = SparseFeatures(2, 1.0, importance=np.array([1.0, 0.0]))
        losses = learn(light, (2, 4, 1), (1, 4, 2), n_runs=4, config=CONFIG.replace(n_steps=400)).losses
        # One of two features is kept whole by one dimension.
        assert min(loss.value for loss in losses) < 0.2 * linear_loss()

    @pytest.mark.usefixtures("frequent")
    def test_an_interrupted_training_goes_on_bit_for_bit(self, tmp_path):
        config = SHORT.replace(n_steps=120)

        def pressed(done, *_):
            if done == 50:
                raise KeyboardInterrupt

        def learnt(**options):
            return learn(PAIR, (2, 4, 1), (1, 4, 2), n_runs=3, config=config, n_held_out=100, **options)

        whole = learnt()
        with pytest.raises(KeyboardInterrupt):
            learnt(checkpoints=tmp_path, progress=pressed)
        for shape in (((2, 4, 1), (1, 5, 2)), ((2, 5, 1), (1, 4, 2))):
            with pytest.raises(ValueError, match="`widths` must be that of the unfinished run"):
                learn(PAIR, *shape, n_runs=3, config=config, checkpoints=tmp_path)
        cut = learnt(checkpoints=tmp_path)
        assert cut.losses == whole.losses
        assert [run.curve for run in cut.runs] == [run.curve for run in whole.runs]
        for mine, its in zip(cut.networks, whole.networks, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(mine.parameters(), its.parameters(), strict=True))

    @pytest.mark.usefixtures("frequent")
    def test_an_interrupted_cell_goes_on_from_its_checkpoint(self, tmp_path, monkeypatch):
        cell = LearnedCell(2, 1, encoder="4", decoder="4", n_runs=2, n_steps=120, n_held_out=100)
        (tmp_path / "whole").mkdir()
        whole = cell.row(Workplace(tmp_path / "whole"))

        def pressed(done, *_):
            if done == 50:
                raise KeyboardInterrupt

        (tmp_path / "cut").mkdir()
        with pytest.raises(KeyboardInterrupt):
            cell.row(Workplace(tmp_path / "cut", report=pressed))
        assert list((tmp_path / "cut" / "checkpoints").glob("checkpoint-*"))
        steps = []
        advance = loop.Loop._advance
        monkeypatch.setattr(loop.Loop, "_advance", lambda self: (steps.append(self.step), advance(self)))
        assert cell.row(Workplace(tmp_path / "cut")) == whole
        assert steps[0] in (49, 50)
        assert sorted(path.name for path in (tmp_path / "cut").iterdir()) == ["curve.parquet", "runs.parquet"]

    def test_a_network_that_has_ended_stays_as_it_is(self):
        networks = list(learn(PAIR, (2, 4, 1), (1, 4, 2), n_runs=3, **FEW).networks)
        before = copy.deepcopy(networks)
        engine = ManyNetworks(networks, PAIR, SHORT)
        engine.freeze(1)
        engine.advance(PAIR.sample_sparse(64, torch_generator(0, "batch")), 5)
        engine.release()
        same = [
            all(torch.equal(a, b) for a, b in zip(mine.parameters(), its.parameters(), strict=True))
            for mine, its in zip(networks, before, strict=True)
        ]
        assert same == [False, True, False]


class TestLearnFrom:
    def test_a_construction_gets_better_and_keeps_its_levels(self):
        scheme = QuantizedPair(3, 0.1)
        network = scheme.to_network("minimal")
        after = learn_from([network], PAIR, config=SLOW.replace(n_steps=1500, batch_size=256))
        read = inspect(after.networks[0])
        assert (read.kind, read.levels) == ("sawtooth", 3)
        assert after.losses[0].value < 0.7 * scheme.expected_loss()
        # The network that was given is as it was.
        assert inspect(network).ramp == pytest.approx(0.1, abs=2.01 * unit_roundoff(np.float32))

    def test_rate_that_is_too_high_destroys_it(self):
        after = learn_from(
            [QuantizedPair(3, 0.1).to_network("minimal")], PAIR, config=CONFIG.replace(n_steps=300, learning_rate=1.4)
        )
        assert after.losses[0].value > linear_loss() / 2

    def test_measured_before_training_it_is_the_scheme(self):
        scheme = QuantizedPair(4, 0.05)
        loss = held_out_loss(scheme.to_network(), PAIR, n_samples=200_000)
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
        (
            lambda: learn(PAIR, (2, 4, 1), (1, 4, 2), n_held_out=0),
            "`n_held_out` must be a whole number of at least 1, got 0",
        ),
        (
            lambda: learn(PAIR, (2, 4, 1), (1, 4, 2), config=SHORT.replace(precision="bfloat16")),
            "`precision` must be float32 for networks that compress, got bfloat16",
        ),
        (lambda: learn(PAIR, (2, 4, 1), (1, 4, 2), config=SHORT.replace(tied=True)), "to be trained tied"),
        (
            lambda: learn(PAIR, (2, 4, 1), (1, 4, 2), config=SHORT.replace(tied=True, precision="bfloat16")),
            "`precision` must be float32",
        ),
        (
            lambda: learn_from([QuantizedPair(2, 0.1).to_network()], SparseFeatures(3, 1.0)),
            "`features` must have the model's n_features = 2, got 3",
        ),
        (
            lambda: learn_from([learn(PAIR, (2, *h, 1), (1, 4, 2), **FEW).networks[0] for h in ((4,), (4, 4))], PAIR),
            "`networks` must be of one depth and have the same features, got 2 kinds",
        ),
    ],
)
def test_bad_input_is_refused(use, message):
    with pytest.raises(ValueError, match=message):
        use()
