"""Features of several laws and kinds side by side: their moments, samples and files, and what is measured on them."""

import json

import numpy as np
import pytest
import torch

from superposition import (
    Autoencoder,
    Constant,
    Exponential,
    LinearAutoencoder,
    PersianRug,
    SparseFeatures,
    TrainingConfig,
    Uniform,
    held_out_loss,
    save,
    symmetry,
    theory,
    train,
)
from superposition.diagnostics import interference, loss_split
from superposition.features import Features, JoinedFeatures
from superposition.models import HiddenActivations, load_with_features, realise
from superposition.theory import allocate
from tests.features.test_own_features import Twins, Unsaved
from tests.statistics import Z_BOUND

LAWS = Uniform(), Constant(0.5), Exponential(2.0)
ALONE = [SparseFeatures(1, 0.3, law) for law in LAWS]
JOINED = JoinedFeatures(
    SparseFeatures(2, 0.3, importance=2.0),
    SparseFeatures(3, np.array([0.1, 0.9, 0.5]), Constant(0.5), importance=2.0),
    SparseFeatures(1, 0.01, Exponential(2.0), importance=2.0),
)


def test_a_law_for_each_feature():
    joined = JoinedFeatures(*ALONE)
    assert joined.n_features == 3
    assert joined.mean.tolist() == [part.mean for part in ALONE]
    assert joined.variance.tolist() == [part.variance for part in ALONE]
    assert joined.importance == 1.0
    assert joined.covariance is None
    assert joined.density == pytest.approx(0.3)
    assert not joined.is_symmetric


def test_naive_twin_of_the_moments():
    p = np.array([0.3, 0.3, 0.1, 0.9, 0.5, 0.01])
    laws = [LAWS[0]] * 2 + [LAWS[1]] * 3 + [LAWS[2]]
    assert JOINED.mean.tolist() == [each * law.mean for each, law in zip(p, laws, strict=True)]
    assert JOINED.variance.tolist() == [law.sparse_variance(each) for each, law in zip(p, laws, strict=True)]
    assert JOINED.importance == 2.0
    assert JoinedFeatures(JOINED, SparseFeatures(1, 0.5)).importance.tolist() == [2.0] * 6 + [1.0]
    assert JOINED.density == pytest.approx(p.mean())


def test_joined_once_more_it_is_the_same():
    nested = JoinedFeatures(JoinedFeatures(*JOINED.parts[:2]), JOINED.parts[2])
    assert nested == JOINED
    assert hash(nested) == hash(JOINED)
    assert nested != JoinedFeatures(*JOINED.parts[::-1])
    assert len(nested.parts) == 3


def test_its_repr_is_short():
    assert repr(JoinedFeatures(*ALONE[:1])).endswith("; 1 features in 1 parts)")
    assert "…; 900 features in 900 parts)" in repr(JoinedFeatures(*(ALONE * 300)))
    assert len(repr(JoinedFeatures(*(ALONE * 300)))) < 400


def test_parts_of_kinds_without_a_name_are_told_apart():
    class Other(Unsaved):
        pass

    assert JoinedFeatures(Unsaved(4, 0.3)) == JoinedFeatures(Unsaved(4, 0.3))
    assert JoinedFeatures(Unsaved(4, 0.3)) != JoinedFeatures(Other(4, 0.3))


def test_dependent_parts_keep_their_covariance():
    joined = JoinedFeatures(SparseFeatures(1, 0.5, Constant()), Twins(2, 0.3))
    covariance = np.array([[0.25, 0, 0], [0, 0.21, 0.21], [0, 0.21, 0.21]])
    assert np.allclose(joined.covariance, covariance, rtol=1e-15, atol=0)


@pytest.mark.parametrize("features", [JOINED, JoinedFeatures(Twins(4, 0.3), SparseFeatures(2, 0.05))])
def test_simulation_samples_have_the_moments(features, generator):
    x = features.sample(60_000, generator.manual_seed(2), dtype=torch.float64)
    batch = features.sample_sparse(60_000, generator.manual_seed(2), dtype=torch.float64)
    assert torch.equal(batch.to_dense(), x)
    assert (batch.positions.diff() > 0).all()
    error = np.sqrt(features.variance / len(x))
    assert (np.abs(x.mean(dim=0).numpy() - features.mean) < Z_BOUND * error).all()
    assert (Z_BOUND * error < 0.3 * np.sqrt(features.variance)).all()
    # The parts are independent: correlations between them are 0 within their error, 1/√N.
    found = np.corrcoef(x.T.numpy())
    first = features.parts[0].n_features
    assert np.abs(found[:first, first:]).max() < Z_BOUND / np.sqrt(len(x))


def test_each_part_is_drawn_of_its_own_law(generator):
    x = JOINED.sample(20_000, generator)
    assert x[:, :2].max() <= 1
    assert set(x[:, 2:5].unique().tolist()) == {0.0, 0.5}
    assert x[:, 5].max() > 2


def test_the_best_linear_model_is_that_of_the_variances():
    model = LinearAutoencoder.fit(JOINED, 3)
    kept = set(np.argsort(-JOINED.variance)[:3].tolist())
    assert set(model.W_enc.nonzero()[:, 1].tolist()) == kept
    loss = held_out_loss(model, JOINED)
    assert abs(loss.z_score(theory.weighted_linear_loss(JOINED, 3))) < Z_BOUND


def test_training_saves_and_goes_on_with_them(tmp_path):
    config = TrainingConfig(n_steps=60, batch_size=64)
    run = train(Autoencoder(6, 3), JOINED, config, folder=tmp_path / "run", n_held_out=2000)
    assert run.stopped == "completed"
    assert load_with_features(tmp_path / "run").features == JOINED
    with pytest.raises(ValueError, match="of a kind that can be loaded, got Unsaved"):
        save(Autoencoder(3, 2), tmp_path / "no", features=JoinedFeatures(ALONE[0], Unsaved(2, 0.3)))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (None, "`parts` must be a list of features, got None"),
        ([], "`parts` must be features, one or more, got none"),
        ([1], "`features` must be a table of plain data, got 1"),
        ([{"kind": "joined", "parts": []}], "joined features must have `parts` alone, not joined again"),
        (
            [{"kind": "unheard"}],
            "`features` must be .*joined.*, got 'unheard'",
        ),
    ],
)
def test_a_file_that_holds_something_else_is_refused(tmp_path, parts, message):
    folder = save(Autoencoder(6, 3), tmp_path / "model", features=JOINED)
    config = json.loads((folder / "config.json").read_text())
    config["features"]["parts"] = parts
    with pytest.raises(ValueError, match=message):
        JoinedFeatures.from_config({"parts": parts})
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="features"):
        load_with_features(folder)


def test_no_parts_at_all_are_refused():
    with pytest.raises(ValueError, match="`parts` must be features, one or more, got none"):
        JoinedFeatures()


class TestMeasured:
    def test_parts_of_one_law_are_as_the_whole(self):
        """Split in two, the same features are measured and served alike."""
        whole = SparseFeatures(8, np.linspace(0.1, 0.8, 8), importance=np.linspace(1, 2, 8))
        halves = JoinedFeatures(
            *(SparseFeatures(4, whole.probability[s], importance=whole.importance[s]) for s in np.s_[:4, 4:])
        )
        model = Autoencoder(8, 3, seed=1)
        for measure in (symmetry, interference):
            assert str(measure(model, halves)) == str(measure(model, whole))
        one, other = loss_split(model, halves, n_samples=2), loss_split(model, whole, n_samples=2)
        assert (one.gaussian_off, one.gaussian_on) == (other.gaussian_off, other.gaussian_on)
        assert np.array_equal(allocate(halves, 3).capacity, allocate(whole, 3).capacity)

    @pytest.mark.parametrize("law", LAWS[1:], ids=str)
    def test_the_gaussian_loss_is_that_of_every_feature_under_its_law(self, law):
        joined = JoinedFeatures(SparseFeatures(4, 0.3), SparseFeatures(4, 0.3, law))
        model = Autoencoder(8, 5, seed=3)
        found, noise = loss_split(model, joined, n_samples=2), interference(model, joined)
        each = [
            theory.relu_loss(scale, bias, std / scale, 0.3, LAWS[0] if i < 4 else law)
            for i, (scale, bias, std) in enumerate(
                zip(noise.diagonal, noise.effective_bias, noise.output_std, strict=True)
            )
        ]
        assert (noise.diagonal > 0.05).all()
        assert found.gaussian == pytest.approx(np.mean(each), rel=1e-12)
        other = loss_split(model, SparseFeatures(8, 0.3), n_samples=2)
        assert found.gaussian != pytest.approx(other.gaussian, rel=1e-2)

    def test_simulation_the_split_adds_up(self):
        model = Autoencoder(6, 3)
        found, loss = loss_split(model, JOINED, n_samples=40_000), held_out_loss(model, JOINED, n_samples=40_000)
        assert abs(found.loss.value - loss.value) < Z_BOUND * np.hypot(found.loss.standard_error, loss.standard_error)

    def test_what_is_not_sparse_is_refused(self):
        dependent = JoinedFeatures(SparseFeatures(4, 0.3), HiddenActivations(torch.eye(4), SparseFeatures(4, 0.3)))
        with pytest.raises(ValueError, match="`features` must be a SparseFeatures"):
            interference(PersianRug.draw(8, 4), dependent)


def naive_losses(h, p, law):
    return np.where(h > 0, theory.symmetric_optimum(np.where(h > 0, h, 1), p, law).loss, theory.zero_ratio_loss(p, law))


class TestAllocated:
    def test_no_grid_has_better_shares_for_features_of_several_laws(self):
        """Dynamic programming over every capacity that is a multiple of 1/200, feature by feature."""
        joined = JoinedFeatures(
            SparseFeatures(2, 0.1), SparseFeatures(2, 0.3, Constant(0.7)), SparseFeatures(2, 0.05, Exponential(2.0))
        )
        grid = np.linspace(0, 1, 201)
        for n_hidden in (1, 3, 5):
            found = allocate(joined, n_hidden)
            assert found.capacity.sum() == pytest.approx(n_hidden, abs=1e-12)
            best = np.full(n_hidden * 200 + 1, np.inf)
            best[0] = 0.0
            for part in [part for part in joined.parts for _ in range(2)]:
                cost = naive_losses(grid, part.probability, part.law)
                reached = np.full(best.size, np.inf)
                for k in range(201):
                    reached[k:] = np.minimum(reached[k:], best[: best.size - k] + cost[k])
                best = reached
            assert found.loss <= best[-1] / 6 * (1 + 1e-9)
            assert found.loss > 0.98 * best[-1] / 6
        # Of large values more is lost: they are worth more dimensions.
        assert found.capacity[4] > found.capacity[0]

    def test_control_one_law_for_all_shares_worse(self):
        parts = SparseFeatures(64, 0.05), SparseFeatures(64, 0.05, Constant())
        found = allocate(JoinedFeatures(*parts), 32)
        other = allocate(SparseFeatures(128, 0.1), 32).capacity

        def loss(h):
            halves = zip((h[:64], h[64:]), parts, strict=True)
            return float(np.mean([naive_losses(half, 0.05, part.law) for half, part in halves]))

        assert loss(found.capacity) == pytest.approx(found.loss, rel=1e-9)
        assert loss(other) > 1.1 * found.loss

    def test_simulation_the_weights_of_an_allocation_lose_what_it_says(self):
        joined = JoinedFeatures(SparseFeatures(1024, 0.05), SparseFeatures(1024, 0.05, Constant()))
        best = allocate(joined, 512)
        loss = held_out_loss(realise(best, joined), joined, n_samples=4000)
        # 2% for what mean field leaves out at this size, less than what equal shares lose more.
        assert abs(loss.value - best.loss) < Z_BOUND * loss.standard_error + 0.02 * best.loss
        equal = np.mean([theory.symmetric_optimum(0.25, 0.05, part.law).loss for part in joined.parts])
        assert equal > 1.2 * best.loss


def test_a_users_features_have_one_part():
    assert Twins(4, 0.3).parts[0].n_features == 4
    assert Twins(4, 0.3) == Twins(4, 0.3) != Twins(4, 0.2)
    assert isinstance(JoinedFeatures(Twins(4, 0.3)), Features)
