import copy
import json
from math import inf, isnan

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from superposition import Autoencoder, Constant, Estimate, SparseFeatures, TrainingConfig, held_out_loss, load, train
from superposition.models import load_with_features
from superposition.theory import linear_loss, weighted_linear_loss
from superposition.training import Curve, loop, train_many
from superposition.training.loop import Loop
from tests.rounding import assert_within, gamma, trained_bound, unit_roundoff
from tests.statistics import Z_BOUND

EXPLOSIVE = TrainingConfig(batch_size=16, learning_rate=1e30, rate_cap=inf, warm_up=0.0)


def test_naive_twin_autograd_and_a_plain_adam(small):
    """In float64, in which nothing but rounding may tell them apart."""
    from superposition._random import torch_generator

    def results(model):
        run = train(model, small.features, small.config, seed=5, n_held_out=10)
        return [run.curve.loss, *run.model.parameters()]

    twin = small.model().double()
    # The loss of a batch is the longest sum, of 16 · 12 terms.
    bounds = trained_bound(results, twin, small.config.n_steps, 16 * 12, np.float64)
    curve, *trained = results(copy.deepcopy(twin))
    optimizer = torch.optim.Adam(twin.parameters(), lr=1.0, betas=small.config.betas, eps=small.config.epsilon)
    losses = []
    for step in range(small.config.n_steps):
        x = small.features.sample(small.config.batch_size, torch_generator(5, "batch", step), dtype=torch.float64)
        optimizer.param_groups[0]["lr"] = small.config.peak_rate(12, 3, 0.2) * small.config.rate_factor(step)
        loss = (twin(x) - x).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    # Losses are noted in float32.
    noted = bounds[0] + unit_roundoff(np.float32) * max(losses)
    assert_within(curve, [np.mean(losses[:50]), np.mean(losses[50:])], noted, resolution=1e-6)
    for mine, theirs, bound in zip(trained, twin.parameters(), bounds[1:], strict=True):
        assert_within(mine, theirs, bound, resolution=1e-6)
    run = train(small.model(), small.features, small.config, seed=5, n_held_out=10)
    assert run.curve.step == (50, 60)


def test_curve_is_the_means_of_windows():
    losses = torch.rand(23, generator=torch.Generator().manual_seed(0))
    curve = Curve.of(losses, window=10)
    assert curve.step == (10, 20, 23)
    parts = [losses[:10].double().numpy(), losses[10:20].double().numpy(), losses[20:].double().numpy()]
    # Means and squares of ten positive numbers in float64.
    np.testing.assert_allclose(curve.loss, [part.mean() for part in parts], rtol=gamma(32, float))
    errors = [part.std(ddof=1) / np.sqrt(len(part)) for part in parts]
    # Through sums of squares or of deviations: Var = E y² − (E y)², which is a tenth of E y² here.
    np.testing.assert_allclose(curve.standard_error, errors, rtol=20 * gamma(32, float))
    assert Curve.of(torch.zeros(0)) == Curve((), (), ())
    assert isnan(Curve.of(torch.zeros(1)).standard_error[0])


def test_the_run_says_what_was_done(small):
    run = train(small.model(), small.features, small.config, seed=2, n_held_out=500)
    assert (run.stopped, run.steps, run.seed, run.succeeded) == ("completed", 60, 2, True)
    assert run.loss == held_out_loss(run.model, small.features, n_samples=500, seed=2)
    assert run.config == small.config
    assert run.features == small.features
    assert run.seconds > 0


def test_seeds(small, same_weights):
    runs = [train(small.model(), small.features, small.config, seed=seed, n_held_out=10) for seed in (0, 0, 1)]
    assert same_weights(runs[0].model, runs[1].model)
    assert not same_weights(runs[0].model, runs[2].model)


def test_training_beats_the_linear_optimum():
    features = SparseFeatures(64, 0.05)
    run = train(Autoencoder(64, 16), features, TrainingConfig(n_steps=400, batch_size=256), n_held_out=20_000)
    assert run.succeeded
    expected = linear_loss(0.25, 0.05)
    assert run.loss.z_score(0.7 * expected) < -Z_BOUND
    assert run.curve.loss[-1] < 0.5 * run.curve.loss[0]


def test_importance_decides_which_features_are_kept():
    features = SparseFeatures(8, 0.3, importance=np.array([10.0] * 4 + [0.01] * 4))
    run = train(Autoencoder(8, 4), features, TrainingConfig(n_steps=600, batch_size=128), n_held_out=5000)
    diagonal = torch.diagonal(run.model.W_rows(0, 8))
    assert diagonal[:4].min() > 0.8
    assert run.loss.value < 0.3 * weighted_linear_loss(features, 0)


@pytest.mark.parametrize(
    ("losses", "window", "n_steps", "stopped_at", "reason"),
    [
        (lambda k: 1 / (k + 1), 5, 50, 50, "step limit"),
        (lambda k: 1 / (k + 1), None, 50, 50, "completed"),
        (lambda _: 1.0, 5, 50, 10, "plateau"),  # equal is not below
        (lambda k: 1 / (k + 1) if k < 17 else 9.0, 5, 50, 20, "plateau"),
        (lambda k: 1 / (k + 1) if k != 12 else 1.5, 5, 50, 15, "plateau"),
        (lambda k: 1 / (k + 1) if k < 10 else 2.0, 10, 50, 20, "plateau"),
        (lambda k: float("nan") if k > 2 else 1.0, None, 100, 50, "diverged"),
    ],
)
def test_known_sequences_stop_where_the_rule_says(small, monkeypatch, losses, window, n_steps, stopped_at, reason):
    def advance(self):
        self.losses[self.step] = losses(self.step)
        self.step += 1

    monkeypatch.setattr(Loop, "_advance", advance)
    monkeypatch.setattr(loop, "_collapsed", lambda *_: False)
    config = small.config.replace(n_steps=n_steps, stop_window=window)
    run = train(small.model(), small.features, config, n_held_out=10)
    assert run.stopped == reason
    assert run.steps == stopped_at


@pytest.mark.parametrize(
    ("share", "window", "stopped_at", "reason"),
    [
        (0.019, None, 200, "collapsed"),
        (-0.019, None, 200, "collapsed"),  # worse than the constant, by as little
        (0.021, None, 500, "completed"),
        (-0.021, None, 500, "completed"),
        (0.019, 1000, 500, "step limit"),  # a plateau is its stop rule's to see
    ],
)
def test_a_run_that_sits_at_the_constant_prediction_is_given_up(small, monkeypatch, share, window, stopped_at, reason):
    """Within 2% of the way to the linear optimum after 30% of the steps: at the first look after 170 of 560."""
    n_steps = 560
    constant, linear = (weighted_linear_loss(small.features, n_hidden) for n_hidden in (0, 3))

    def advance(self):
        self.losses[self.step] = constant - share * (constant - linear)
        self.step += 1

    monkeypatch.setattr(Loop, "_advance", advance)
    monkeypatch.setattr(loop, "_collapsed", lambda *_: False)
    config = small.config.replace(n_steps=n_steps, stop_window=window)
    run = train(small.model(), small.features, config, n_held_out=10)
    assert (run.stopped, run.steps) == (reason, stopped_at if reason == "collapsed" else n_steps)
    assert run.succeeded == (reason == "completed")


@pytest.mark.parametrize(("share", "reason"), [(0.49, "collapsed"), (0.51, "completed"), (-0.1, "collapsed")])
def test_a_run_that_ends_less_than_half_way_to_the_linear_optimum_has_collapsed(small, monkeypatch, share, reason):
    constant, linear = (weighted_linear_loss(small.features, n_hidden) for n_hidden in (0, 3))
    loss = Estimate(constant - share * (constant - linear), 1e-6, 10)
    monkeypatch.setattr(loop, "held_out_loss", lambda *_, **__: loss)
    run = train(small.model(), small.features, small.config, n_held_out=10)
    assert (run.stopped, run.loss) == (reason, loss)
    assert run.succeeded == (reason == "completed")


def test_the_papers_protocol_stops_on_a_plateau():
    features = SparseFeatures(6, 0.5)
    config = TrainingConfig.paper().replace(batch_size=32, learning_rate=0.1, n_steps=20_000)
    run = train(Autoencoder(6, 2, initialization="linear"), features, config, n_held_out=1000)
    assert run.stopped == "plateau"
    assert run.steps % 200 == 0
    assert 400 <= run.steps < 20_000


@pytest.mark.parametrize("n_steps", [30, 50, 51, 100])
@pytest.mark.parametrize("window", [None, 7, 50])
def test_divergence_is_reported(small, n_steps, window):
    config = EXPLOSIVE.replace(n_steps=n_steps, stop_window=window)
    run = train(small.model(), small.features, config, n_held_out=100)
    assert run.stopped in ("diverged", "collapsed")
    assert not run.succeeded
    assert np.isfinite(run.loss.value) or run.stopped == "diverged"


def test_collapse_is_reported(small):
    config = TrainingConfig(n_steps=100, batch_size=16, learning_rate=30.0, rate_cap=inf)
    run = train(small.model(), SparseFeatures(12, 0.9, Constant()), config, n_held_out=1000)
    assert run.stopped in ("diverged", "collapsed")
    untrained = train(small.model(), small.features, TrainingConfig(n_steps=1, learning_rate=1e-9), n_held_out=1000)
    assert untrained.stopped == "collapsed"
    assert not untrained.succeeded


def test_round_trip_folder(small, tmp_path, same_weights):
    folder = tmp_path / "a" / "run"
    run = train(small.model(), small.features, small.config, seed=3, folder=folder, n_held_out=200)
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "curve.parquet",
        "model.safetensors",
        "record.json",
    ]
    assert same_weights(load(folder), run.model)
    assert load_with_features(folder).features == small.features
    record = json.loads((folder / "record.json").read_text())
    assert record["loss"] == {
        "value": run.loss.value,
        "standard_error": run.loss.standard_error,
        "count": 200,
    }
    assert (record["stopped"], record["steps"], record["seed"], record["n_hidden"]) == ("completed", 60, 3, 3)
    assert SparseFeatures.from_config(record["features"]) == small.features
    assert {**record["config"], "betas": tuple(record["config"]["betas"])} == {
        **small.config.fields(),
        "rate_cap": record["config"]["rate_cap"],
    }
    assert float(record["config"]["rate_cap"]) == small.config.rate_cap
    assert {"superposition", "torch", "numpy", "python"} <= record["versions"].keys()
    assert record["commit"] is None or len(record["commit"].removesuffix("+changes")) == 40
    curve = pq.read_table(folder / "curve.parquet").to_pydict()
    assert curve == {
        "step": list(run.curve.step),
        "loss": list(run.curve.loss),
        "standard_error": list(run.curve.standard_error),
    }


@pytest.mark.parametrize("n_held_out", [1, 50])
def test_failed_runs_are_kept_too(small, tmp_path, n_held_out):
    run = train(small.model(), small.features, EXPLOSIVE.replace(n_steps=100), folder=tmp_path, n_held_out=n_held_out)
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["stopped"] == run.stopped
    assert not list(tmp_path.glob("checkpoint-*"))


def test_one_held_out_sample_is_enough_for_a_record(small, tmp_path):
    train(small.model(), small.features, small.config, folder=tmp_path, n_held_out=1)
    assert json.loads((tmp_path / "record.json").read_text())["loss"]["standard_error"] is None


def test_models_in_double_precision_train(small):
    run = train(small.model().double(), small.features, small.config, n_held_out=100)
    assert run.model.W_enc.dtype == torch.float64
    assert np.isfinite(run.loss.value)


def test_one_hidden_dimension_trains_and_is_saved(tmp_path):
    features = SparseFeatures(2, 0.1)
    config = TrainingConfig(n_steps=600, batch_size=256)
    run = train(Autoencoder(2, 1, seed=3), features, config, folder=tmp_path, n_held_out=20_000)
    assert load(tmp_path).W_enc.shape == (1, 2)
    assert run.loss.value < linear_loss(0.5, 0.1)


def test_progress_is_reported(small, capsys):
    seen = []
    train(small.model(), small.features, small.config, progress=lambda *args: seen.append(args), n_held_out=10)
    assert [(done, total) for done, total, _ in seen] == [(50, 60), (60, 60)]
    assert all(detail.startswith("loss ") for *_, detail in seen)
    train(small.model(), small.features, small.config, progress=True, n_held_out=10)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features": SparseFeatures(11, 0.2)}, "must have the model's n_features = 12, got 11"),
        ({"n_held_out": 0}, "`n_held_out` must be a whole number"),
        ({"seed": -1}, "`seed` must be a whole number of at least 0, got -1"),
    ],
)
def test_bad_arguments_are_refused_before_training(small, arguments, message, monkeypatch):
    monkeypatch.setattr(Loop, "_advance", lambda _: pytest.fail("trained"))
    with pytest.raises(ValueError, match=message):
        train(small.model(), **{"features": small.features, "config": small.config, **arguments})


class TestTied:
    CONFIG = TrainingConfig.fast().replace(n_steps=80, batch_size=32)

    def test_naive_twin_one_matrix(self, small):
        """A tied model is the model whose decoder is its encoder's transpose, with half its gradient."""
        from superposition._random import torch_generator

        config = self.CONFIG

        def results(model):
            with torch.no_grad():
                model.W_dec.copy_(model.W_enc.T)
            return train(model, small.features, config, seed=5, n_held_out=10).model.parameters()

        # In float64; the loss of a batch is the longest sum.
        bounds = trained_bound(results, small.model().double(), config.n_steps, 32 * 12, np.float64)
        W_enc, W_dec, b_dec = results(small.model().double())
        W = small.model().double().W_enc.detach().clone().requires_grad_()
        bias = torch.zeros(12, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.Adam([W, bias], betas=config.betas, eps=config.epsilon)
        for step in range(config.n_steps):
            x = small.features.sample(config.batch_size, torch_generator(5, "batch", step), dtype=torch.float64)
            optimizer.param_groups[0]["lr"] = config.peak_rate(12, 3, 0.2) * config.rate_factor(step)
            loss = (torch.relu(x @ W.T @ W + bias) - x).square().mean()
            optimizer.zero_grad()
            loss.backward()
            W.grad /= 2
            optimizer.step()
        for found, expected, bound in zip((W_enc, W_dec, b_dec), (W, W.T, bias), bounds, strict=True):
            assert_within(found, expected, bound, resolution=1e-6)

    @pytest.mark.parametrize("shape", [(12, 3), (1024, 64)])
    def test_weights_stay_tied_whichever_step_is_used(self, shape):
        run = train(Autoencoder(*shape), SparseFeatures(shape[0], 0.05), self.CONFIG.replace(n_steps=8), n_held_out=10)
        assert torch.equal(run.model.W_dec, run.model.W_enc.T)
        assert not torch.equal(run.model.W_enc, Autoencoder(*shape).W_enc)

    def test_models_trained_together_stay_tied(self):
        def both(wide):
            models = [Autoencoder(12, 2).double(), wide]
            with torch.no_grad():
                wide.W_dec.copy_(wide.W_enc.T)
            run = train_many(models, SparseFeatures(12, 0.2), self.CONFIG, n_held_out=10)[1]
            return run.model.W_enc.T, run.model.W_dec

        bounds = trained_bound(both, Autoencoder(12, 5).double(), self.CONFIG.n_steps, 32 * 12, np.float64)
        W_enc, W_dec = both(Autoencoder(12, 5).double())
        assert_within(W_dec, W_enc, bounds[0] + bounds[1], resolution=1e-6)

    def test_mutant_the_default_protocol_unties(self, small):
        run = train(small.model(), small.features, small.config, n_held_out=10)
        assert not torch.allclose(run.model.W_dec, run.model.W_enc.T, rtol=1e-2)

    def test_a_model_that_is_not_tied_is_refused(self, small):
        model = Autoencoder(12, 3, initialization="linear")
        with pytest.raises(ValueError, match=r"`model` must start with W_dec = W_enc\.T"):
            train(model, small.features, self.CONFIG)
