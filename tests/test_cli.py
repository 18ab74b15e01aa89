"""The command line as a user types it: output, exit codes, one-line errors, nothing lost."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow.parquet as pq
import pytest

import superposition as sp
from superposition import Autoencoder, load, save, theory
from superposition.cli import main
from superposition.cli.quantities import AXES, QUANTITIES, option
from superposition.features import Constant, JoinedFeatures, SparseFeatures, Uniform
from superposition.models import TopK

TRAIN = [
    "train",
    "--n-features",
    "32",
    "--ratio",
    "0.25",
    "--probability",
    "0.05",
    "--n-steps",
    "80",
    "--n-held-out",
    "500",
]


def run(capsys, *arguments):
    try:
        code = main(list(arguments))
    except SystemExit as exit_:
        code = exit_.code
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def refused(capsys, *arguments):
    """Runs a command that must fail on its input, and returns its one line."""
    code, out, err = run(capsys, *arguments)
    lines = [line for line in err.splitlines() if line.startswith("superposition: ")]
    assert (code, len(lines)) == (2, 1), (code, out, err)
    return lines[0]


def printed(out):
    """Cells of the table that was printed, as text, by column."""
    (names,), rows = (
        [[cell.strip() for cell in line.strip()[1:-1].split(bar)] for line in out.splitlines() if line[:1] == bar]
        for bar in "┃│"
    )
    return dict(zip(names, zip(*rows, strict=True), strict=True))


class TestOutput:
    def test_version(self, capsys):
        assert run(capsys, "--version")[1].startswith("superposition 0.")

    def test_train_diagnose_and_load(self, capsys, tmp_path):
        folder = tmp_path / "demo"
        code, out, _ = run(capsys, *TRAIN, "--out", str(folder))
        assert code == 0
        assert "completed after 80 steps" in out
        assert sorted(path.name for path in folder.iterdir()) == [
            "config.json", "curve.parquet", "model.safetensors", "record.json",
        ]  # fmt: skip
        code, out, _ = run(capsys, "diagnose", str(folder), "--n-held-out", "500")
        assert code == 0
        assert "diagonal W_ii" in out
        assert "mean-field prediction" in out

    def test_hidden_noise_is_trained_saved_and_held_against_its_own_theory(self, capsys, tmp_path):
        code, out, _ = run(capsys, *TRAIN, "--hidden-noise", "0.5", "--out", str(tmp_path / "noisy"))
        assert code == 0
        assert f"{theory.symmetric_optimum(0.25, 0.05, hidden_noise=0.5).loss:.7g}" in out
        assert f"{theory.linear_loss(0.25, 0.05, hidden_noise=0.5):.7g}" in out
        assert load(tmp_path / "noisy").hidden_noise == 0.5
        code, out, _ = run(capsys, "diagnose", str(tmp_path / "noisy"), "--n-held-out", "500")
        assert code == 0
        assert "Where the loss comes from" in out
        assert "`hidden_noise` must be" in refused(capsys, *TRAIN, "--hidden-noise", "-1")

    def test_a_model_is_diagnosed_whose_features_are_of_several_laws(self, capsys, tmp_path):
        joined = JoinedFeatures(SparseFeatures(6, 0.1), SparseFeatures(2, 0.2, Constant()))
        save(Autoencoder(8, 3), tmp_path / "relu", features=joined)
        save(Autoencoder(8, 3, activation=TopK(2)), tmp_path / "topk", features=joined)
        code, relu, _ = run(capsys, "diagnose", str(tmp_path / "relu"), "--n-held-out", "500")
        assert code == 0
        assert f"{theory.allocate(joined, 3).loss:.7g}" in relu
        assert "Where the loss comes from" in relu
        code, topk, _ = run(capsys, "diagnose", str(tmp_path / "topk"), "--n-held-out", "500")
        assert code == 0
        assert "it is left out for topk" in topk

    @pytest.mark.parametrize("compare", [True, False])
    def test_the_papers_protocol_is_shown_beside_the_default(self, compare, capsys):
        arguments = ("--n-features", "6", "--n-hidden", "2", "--probability", "0.4", "--batch-size", "16")
        more = () if compare else ("--no-compare",)
        code, out, _ = run(capsys, "train", *arguments, "--n-held-out", "100", "--protocol", "paper", *more)
        assert code == 0
        assert "plateau after" in out
        assert ("Protocols" in out) == compare
        assert ("2500" in out) == compare

    @pytest.mark.parametrize("kind", ["Autoencoder", "PersianRug", "LinearAutoencoder"])
    @pytest.mark.parametrize("per_feature", [False, True])
    def test_diagnose_prints_numbers_of_the_library(self, capsys, tmp_path, kind, per_feature):
        import superposition as sp

        features = SparseFeatures(64, np.linspace(0.1, 0.3, 64) if per_feature else 0.2)
        model = {
            "Autoencoder": lambda: sp.Autoencoder(64, 16),
            "PersianRug": lambda: sp.PersianRug.fit(SparseFeatures(64, 0.2), 16),
            "LinearAutoencoder": lambda: sp.LinearAutoencoder.fit(features, 16),
        }[kind]()
        sp.save(model, tmp_path, features=features)
        code, out, _ = run(capsys, "diagnose", str(tmp_path), "--n-held-out", "333")
        assert code == 0
        found = sp.diagnostics.interference(model, features)
        split = sp.diagnostics.loss_split(model, features, n_samples=334)
        assert str(split.loss) in out
        assert str(split.on_bias) in out
        assert f"{split.beyond_gaussian}" in out
        assert f"at c = {sp.diagnostics.spectrum(model).scale:.5f}" in out
        assert "features in antipodal pairs" in out
        assert ("(theory)" in out) == (not per_feature)
        if kind != "LinearAutoencoder":  # which has no interference
            assert f"{found.pooled_skewness:z.4f}" in out
        assert "nan" not in out
        # Titles may be padded, tables are not wider than a terminal of 100 columns.
        assert max(len(line.rstrip()) for line in out.splitlines()) <= 100

    def test_diagnose_leaves_out_a_spectrum_that_takes_minutes(self, capsys, tmp_path, monkeypatch):
        import superposition as sp
        from superposition.cli import models

        sp.save(sp.Autoencoder(16, 8), tmp_path, features=SparseFeatures(16, 0.2))
        assert "eigenvalues" in run(capsys, "diagnose", str(tmp_path), "--n-held-out", "1")[1]
        monkeypatch.setattr(models, "_LARGEST_SPECTRUM", 7)
        code, out, _ = run(capsys, "diagnose", str(tmp_path), "--n-held-out", "1")
        assert code == 0
        assert "eigenvalues" not in out

    def test_rug_saves_its_rows(self, capsys, tmp_path):
        import superposition as sp

        arguments = ("--n-features", "256", "--ratio", "0.25", "--probability", "0.045", "--n-held-out", "500")
        code, out, _ = run(capsys, "rug", *arguments, "--out", str(tmp_path / "rug"))
        assert code == 0
        assert "1.28921" in out
        assert sp.load(tmp_path / "rug").rows.tolist() == sp.PersianRug.draw(256, 64).rows.tolist()

    def test_rug_prints_numbers_of_the_library(self, capsys, monkeypatch):
        import superposition as sp

        fit = sp.PersianRug.fit

        def another(*arguments, **options):
            """A rug of scale and bias that are not the prediction's."""
            rug = fit(*arguments, **options)
            rug.scale.data.mul_(0.9)
            rug.bias.data.add_(0.01)
            return rug

        monkeypatch.setattr(sp.PersianRug, "fit", another)
        arguments = ("--n-features", "64", "--ratio", "0.25", "--probability", "0.045", "--n-held-out", "500")
        code, out, _ = run(capsys, "rug", *arguments, "--seed", "3")
        assert code == 0
        features = SparseFeatures(64, 0.045)
        rug, best = another(features, 16, seed=3), theory.symmetric_optimum(0.25, 0.045)
        loss = sp.held_out_loss(rug, features, n_samples=500, seed=4)
        bias = float(rug.bias) + float(rug.scale) * float(rug.interference_mean(features))
        assert "n = 64, n_hidden = 16" in out
        assert printed(out) == {
            "": ("held-out loss", "scale a", "bias b, mean of ν absorbed", "linear optimum"),
            "Persian Rug": (str(loss), f"{float(rug.scale):.5f}", f"{bias:.5f}", ""),
            "mean-field prediction": (
                f"{best.loss:.7g}", f"{best.scale:.5f}", f"{best.bias:.5f}", f"{theory.linear_loss(0.25, 0.045):.7g}",
            ),
        }  # fmt: skip

    @pytest.mark.slow
    def test_rug_fitted_by_the_papers_protocol(self, capsys, monkeypatch):
        from superposition.training import rug_fit

        # Two epochs instead of some ten a fit: where they lead is seen in training/test_rug.py.
        monkeypatch.setattr(rug_fit, "PROTOCOL", rug_fit.PROTOCOL.replace(n_steps=2 * 200))
        arguments = ("--n-features", "64", "--n-hidden", "16", "--probability", "0.1", "--fit", "paper")
        code, out, _ = run(capsys, "rug", *arguments)
        assert code == 0
        assert "scale a" in out

    def test_a_collapsed_run_is_a_failure(self, capsys):
        arguments = [*TRAIN[:-4], "--n-steps", "1", "--n-held-out", "500", "--protocol", "default"]
        code, _, err = run(capsys, *arguments, "--seed", "3", "--batch-size", "1")
        assert code == 1
        assert "the run collapsed" in err


# Of each quantity, by its name before the comma: a command line, and its columns as functions of the axes' columns.
THEORY = {
    "optimum, noise": (
        "--ratio 0.1 0.4 --probability 0.05 0.2 --hidden-noise 0 0.5",
        lambda c: {
            "loss": theory.symmetric_optimum(c["ratio"], c["p"], hidden_noise=c["hidden noise ω"]).loss,
            "linear loss": theory.linear_loss(c["ratio"], c["p"], hidden_noise=c["hidden noise ω"]),
        },
    ),
    "optimum": (
        "--ratio 0.1 0.4 --probability 0.05 0.2",
        lambda c: {
            "loss": theory.symmetric_optimum(c["ratio"], c["p"]).loss,
            "scale a": theory.symmetric_optimum(c["ratio"], c["p"]).scale,
            "bias b": theory.symmetric_optimum(c["ratio"], c["p"]).bias,
            "noise σ": np.sqrt(theory.minimal_noise_variance(c["ratio"], c["p"])),
            "linear loss": theory.linear_loss(c["ratio"], c["p"]),
        },
    ),
    "bounds": (
        "--ratio 0.1 0.4 --probability 0.05 0.2",
        lambda c: {
            "oracle support loss": theory.oracle_support_loss(noise(c), c["p"]),
            "Bayes loss": theory.bayes_loss(noise(c), c["p"]),
            "loss": theory.symmetric_optimum(c["ratio"], c["p"]).loss,
            "upper bound loss": theory.upper_bound(c["ratio"], c["p"]),
            "explicit upper bound loss": theory.explicit_upper_bound(c["ratio"], c["p"]),
            "linear loss": theory.linear_loss(c["ratio"], c["p"]),
            "constant loss": theory.zero_ratio_loss(c["p"]),
        },
    ),
    "hull": (
        "--ratio 0.1 0.4 --probability 0.05 0.2",
        lambda c: {
            "hull loss": theory.hull_optimum(c["ratio"], c["p"]).loss,
            "loss": theory.symmetric_optimum(c["ratio"], c["p"]).loss,
            "share kept": theory.hull_optimum(c["ratio"], c["p"]).kept,
            "threshold h": theory.hull_optimum(c["ratio"], c["p"]).threshold,
        },
    ),
    "gradients": (
        "--ratio 0.1 0.4 --probability 0.05 0.2",
        lambda c: {
            "loss": theory.symmetric_optimum(c["ratio"], c["p"]).loss,
            "dL/dr": theory.loss_gradients(c["ratio"], c["p"]).ratio,
            "dL/dp": theory.loss_gradients(c["ratio"], c["p"]).probability,
        },
    ),
    "scaling": (
        "--ratio 0.1 0.2 0.4 --probability 0.001 0.01",
        lambda c: {
            "loss": theory.symmetric_optimum(c["ratio"], c["p"]).loss,
            "p²/r": c["p"] ** 2 / c["ratio"],
            "p²/r log(1/p)": -(c["p"] ** 2) / c["ratio"] * np.log(c["p"]),
            "∂ log loss / ∂ log p": theory.scaling(c["p"], c["ratio"]).probability_exponent,
            "∂ log loss / ∂ log r": theory.scaling(c["p"], c["ratio"]).ratio_exponent,
            "residual": theory.scaling(c["p"], c["ratio"]).spread,
        },
    ),
    "pairs": (
        "--ratio 0.4 0.5 0.6 --probability 0.05 0.2",
        lambda c: {
            "antipodal loss": theory.antipodal_loss(c["ratio"], c["p"]),
            "loss": theory.symmetric_optimum(c["ratio"], c["p"]).loss,
            "linear loss": theory.linear_loss(c["ratio"], c["p"]),
        },
    ),
    "relu, the best": (
        "--noise-std 0.1 0.2 --probability 0.01 0.1",
        lambda c: {
            "scale a": theory.optimal_relu(c["noise σ"], c["p"]).scale,
            "bias b": theory.optimal_relu(c["noise σ"], c["p"]).bias,
            "loss": theory.optimal_relu(c["noise σ"], c["p"]).loss,
        },
    ),
    "relu, given": (
        "--noise-std 0.1 0.2 --probability 0.01 --scale 1 1.3 --bias -0.4 -1e-1",
        lambda c: {
            "loss": theory.relu_loss(c["scale a"], c["bias b"], c["noise σ"], c["p"]),
            "best loss": theory.optimal_relu(c["noise σ"], c["p"]).loss,
        },
    ),
    "noise": (
        "--noise-std 0 0.1 0.2 --probability 0.01 0.1",
        lambda c: {
            "lower bound loss": theory.lower_bound(c["noise σ"], c["p"]),
            "oracle support loss": theory.oracle_support_loss(c["noise σ"], c["p"]),
            "Bayes loss": theory.bayes_loss(c["noise σ"], c["p"]),
            "loss": theory.optimal_relu(c["noise σ"], c["p"]).loss,
        },
    ),
    "parts, the best": (
        "--noise-std 0.1 0.2 --probability 0.01 0.1",
        lambda c: parts_of(
            c, theory.optimal_relu(c["noise σ"], c["p"]).scale, theory.optimal_relu(c["noise σ"], c["p"]).bias
        ),
    ),
    "parts, given": (
        "--noise-std 0.1 0.2 --probability 0.01 --scale 1 1.3 --bias -0.4 -1e-1",
        lambda c: parts_of(c, c["scale a"], c["bias b"]),
    ),
    "scale": (
        "--threshold 0 -0.3 --noise-std 0.1 0.2 --probability 0.01 0.1",
        lambda c: {
            "scale a": theory.optimal_scale(c["threshold β"], c["noise σ"], c["p"]),
            "scale a as r → 0": theory.zero_ratio_relu(c["noise σ"], c["threshold β"], c["p"]).scale,
            "loss": theory.relu_loss(c["scale a"], c["scale a"] * c["threshold β"], c["noise σ"], c["p"]),
            "r → 0 loss": theory.zero_ratio_relu(c["noise σ"], c["threshold β"], c["p"]).loss,
        },
    ),
    "denoiser": (
        "--z -0.2 0 0.3 0.8 --noise-std 0.1 0.2 --probability 0.01 0.1",
        lambda c: {
            "posterior mean": theory.bayes_denoiser(c["z"], c["noise σ"], c["p"]).mean,
            "posterior variance": theory.bayes_denoiser(c["z"], c["noise σ"], c["p"]).variance,
        },
    ),
    "welch": (
        "--n-hidden 8 16 32 --n-features 64 128",
        lambda c: {"Welch bound": np.sqrt((c["n_features"] / c["n_hidden"] - 1) / (c["n_features"] - 1))},
    ),
    "allocate": (
        "--n-features 60 --n-hidden 15 --importance 1 0.25 0.1 --probability 0.04",
        lambda c: by_class(60, 15, c["importance"], c["p"]),
    ),
}


def parts_of(columns, scale, bias):
    parts = theory.loss_parts(scale, bias, columns["noise σ"])
    return {
        "scale a": scale,
        "bias b": bias,
        "off loss": parts.off,
        "E_r loss": parts.rectified,
        "E_ν loss": parts.noise,
        "E_r/E_ν": parts.ratio,
        "loss": theory.relu_loss(scale, bias, columns["noise σ"], columns["p"]),
    }


def noise(columns):
    return np.sqrt(theory.minimal_noise_variance(columns["ratio"], columns["p"]))


def by_class(n_features, n_hidden, importance, p):
    """Columns of an allocation, from its features one by one."""
    size = n_features // len(importance)
    features = SparseFeatures(n_features, np.repeat(p, size), importance=np.repeat(importance, size))
    found = theory.allocate(features, n_hidden)
    first = slice(0, n_features, size)  # of a class at the margin the first features are kept
    losses = [
        theory.symmetric_optimum(h, q).loss if h > 0 else theory.zero_ratio_loss(q)
        for h, q in zip(found.capacity, features.probability, strict=True)
    ]
    return {
        "class": np.arange(len(importance)) + 1,
        "kept": [(found.capacity[i : i + size] > 0).sum() for i in range(0, n_features, size)],
        "capacity h": found.capacity[first],
        "noise σ": found.noise_std[first],
        "scale a": found.scale[first],
        "bias b": found.bias[first],
        "loss": [np.mean(losses[i : i + size]) for i in range(0, n_features, size)],
        "n_features": n_features,
        "n_hidden": n_hidden,
        "price": found.price,
        "total loss": np.mean(features.importance * losses),
        "total linear loss": theory.weighted_linear_loss(features, n_hidden),
    }


class TestTheory:
    def read(self, path):
        table = pq.read_table(path)
        return {name: table.column(name).to_numpy() for name in table.column_names}

    def test_prints_the_papers_numbers(self, capsys):
        code, out, _ = run(capsys, "theory", "--ratio", "0.25", "0.5", "--probability", "0.045")
        assert code == 0
        for number in ("4.855798e-03", "1.28921", "-0.44583", "1.087031e-02", "1.571601e-03"):
            assert number in out

    def test_every_quantity_is_tested_here(self):
        assert {name.split(",")[0] for name in THEORY} == set(QUANTITIES)

    @pytest.mark.parametrize("name", THEORY)
    def test_prints_writes_and_draws_the_librarys_numbers(self, capsys, tmp_path, name):
        options, expected = THEORY[name]
        grid, plot = tmp_path / "grid.parquet", tmp_path / "plot.png"
        arguments = [
            "theory",
            "--quantity",
            name.split(",")[0],
            *options.split(),
            "--grid",
            str(grid),
            "--plot",
            str(plot),
        ]
        code, out, err = run(capsys, *arguments)
        assert (code, err) == (0, "")
        columns = self.read(grid)
        for column, values in expected(columns).items():
            np.testing.assert_allclose(columns[column], values, rtol=1e-12, atol=0, err_msg=column)
        table = printed(out)
        once = [name for name in columns if name not in table]
        assert list(table) == [name for name in columns if name not in once]
        for column, values in columns.items():
            if column in once:
                (text,) = (line.split(": ")[1].strip() for line in out.splitlines() if line.startswith(f"{column}:"))
                assert len(set(values.tolist())) == 1
            texts = [text] * len(values) if column in once else table[column]
            # Seven digits of losses and of what is as small, six of others.
            rounded = 0.5e-6 if column.endswith("loss") else 0.5e-5
            np.testing.assert_allclose([float(text) for text in texts], values, rtol=rounded, atol=0, err_msg=column)
        assert plot.read_bytes().startswith(b"\x89PNG")

    def test_shows_every_value_with_every_value_of_the_others(self, capsys, tmp_path):
        grid = tmp_path / "grid.parquet"
        options, _ = THEORY["relu, given"]
        assert run(capsys, "theory", "--quantity", "relu", *options.split(), "--grid", str(grid))[0] == 0
        columns = self.read(grid)
        axes = list(zip(*(columns[name] for name in ("bias b", "scale a", "p", "noise σ")), strict=True))
        assert list(columns) == ["noise σ", "p", "scale a", "bias b", "loss", "best loss"]
        assert axes == list(itertools.product((-0.4, -0.1), (1.0, 1.3), (0.01,), (0.1, 0.2)))

    def test_classes_are_named_one_by_one_or_once_for_all(self, capsys, tmp_path):
        grid = tmp_path / "grid.parquet"
        options = ["--n-features", "40", "--ratio", "0.25", "--importance", "1", "0.5", "--probability", "0.1", "0.02"]
        assert run(capsys, "theory", "--quantity", "allocate", *options, "--grid", str(grid))[0] == 0
        columns = self.read(grid)
        np.testing.assert_array_equal(columns["p"], [0.1, 0.02])
        for column, values in by_class(40, 10, columns["importance"], columns["p"]).items():
            np.testing.assert_allclose(columns[column], values, rtol=1e-12, err_msg=column)

    @pytest.mark.parametrize("name", [name for name in THEORY if name not in ("pairs", "welch")])
    @pytest.mark.parametrize("law", ["constant", "exponential", "half-normal", "beta:2:5"])
    def test_prints_every_quantity_of_every_law(self, capsys, name, law):
        arguments = (*THEORY[name][0].split(), "--law", law)
        code, out, _ = run(capsys, "theory", "--quantity", name.split(",")[0], *arguments)
        assert code == 0
        assert f"{law} law" in out
        assert "nan" not in out

    def test_parameters_make_another_law(self, capsys, tmp_path):
        grid = tmp_path / "grid.parquet"
        options = ["--ratio", "0.25", "--probability", "0.045", "--law", "uniform:0.5:2"]
        assert run(capsys, "theory", *options, "--grid", str(grid))[0] == 0
        assert self.read(grid)["loss"] == theory.symmetric_optimum(0.25, 0.045, Uniform(0.5, 2.0)).loss

    def test_one_number_over_all_rows_is_printed_once(self, capsys):
        options, _ = THEORY["allocate"]
        _, out, _ = run(capsys, "theory", "--quantity", "allocate", *options.split())
        assert out.count("price") == out.count("total linear loss") == 1

    def test_overwrites_nothing_and_writes_nothing_if_it_cannot_draw(self, capsys, tmp_path):
        grid, plot = tmp_path / "grid.parquet", tmp_path / "plot.png"
        arguments = ("theory", "--ratio", "0.1", "--probability", "0.05")
        bad = ("--grid", str(grid), "--plot", str(tmp_path / "plot.bmp"))
        assert "`plot` must end in .png, .svg or .pdf, got 'plot.bmp'" in refused(capsys, *arguments, *bad)
        assert not grid.exists()
        assert run(capsys, *arguments, "--grid", str(grid), "--plot", str(plot))[0] == 0
        for written, path in (("--grid", grid), ("--plot", plot)):
            assert "exists already" in refused(capsys, *arguments, written, str(path))

    @pytest.mark.parametrize("name", QUANTITIES)
    def test_asks_for_each_axis_that_is_missing_and_refuses_each_that_is_foreign(self, capsys, name):
        given = {"--n-features": "12", "--n-hidden": "3"}
        needs = [option(axis) for axis in QUANTITIES[name].needs]
        takes = [option(axis) for axis in QUANTITIES[name].takes]
        for missing in needs:
            others = [word for axis in needs if axis != missing for word in (axis, given.get(axis, "0.5"))]
            line = refused(capsys, "theory", "--quantity", name, *others)
            assert f"--quantity {name} must come with at least one value of {missing}" in line
        complete = [word for axis in needs for word in (axis, given.get(axis, "0.5"))]
        for foreign in {option(axis) for axis in AXES} - set(takes):
            line = refused(capsys, "theory", "--quantity", name, *complete, foreign, given.get(foreign, "0.5"))
            assert f"--quantity {name} must come without {foreign}: it takes {', '.join(takes)}" in line

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ("best", "`quantity` must be one of optimum, bounds, hull"),
            ("relu --noise-std 0.1 --probability 0.1 --scale 1", "--scale and --bias must be given together"),
            ("relu --noise-std 0.1 --probability 0.1 --scale 0 --bias 0", "`scale` must be positive, got 0"),
            ("noise --noise-std -1 --probability 0.1", "`noise_std` must be finite and not negative, got -1"),
            ("denoiser --z 0 --noise-std 0 --probability 0.1", "`noise_std` must be"),
            ("welch --n-features 8 --n-hidden 9", "`n_hidden` must be a whole number in [1, 8], got 9"),
            (
                "welch --n-features 8 --n-hidden 4 --law constant",
                "--quantity welch must have the law uniform on [0, 1]",
            ),
            ("pairs --ratio 0.5 --probability 0.1 --law constant", "--quantity pairs must have the law uniform on"),
            (
                "optimum --ratio 0.5 --probability 0.1 --law beta",
                "`law` beta must have alpha and beta after colons, got 'beta'",
            ),
            (
                "optimum --ratio 0.5 --probability 0.1 --law constant:1:2",
                "`law` constant must have value after colons, got 'constant:1:2'",
            ),
            (
                "optimum --ratio 0.5 --probability 0.1 --law beta:0:1",
                "`alpha` must be in",
            ),
            (
                "allocate --n-features 8 --n-hidden 2 --importance 1 2 --probability 0.1 0.2 0.3",
                "`importance` must have one value or one for each of 3 classes, got 2",
            ),
            (
                "allocate --n-features 9 --n-hidden 2 --importance 1 2 --probability 0.1",
                "`n_features` must be one multiple of 2, the number of classes, got 9",
            ),
            (
                "allocate --n-features 8 16 --n-hidden 2 --importance 1 2 --probability 0.1",
                "`n_features` must be one multiple of 2, the number of classes, got 8, 16",
            ),
            ("allocate --n-features 8 --importance 1 --probability 0.1", "exactly one of --ratio and --n-hidden"),
            (
                "allocate --n-features 8 --ratio 0.5 --n-hidden 4 --importance 1 --probability 0.1",
                "exactly one of --ratio and --n-hidden",
            ),
            (
                "allocate --n-features 8 --ratio 1.5 --importance 1 --probability 0.1",
                "`ratio` must be in (0, 1], got 1.5",
            ),
            ("allocate --n-features 0 --ratio 0.5 --importance 1 --probability 0.1", "`n_features` must be a whole"),
        ],
    )
    def test_refuses(self, capsys, options, message):
        assert message in refused(capsys, "theory", "--quantity", *options.split())

    def test_takes_its_options_from_a_file(self, capsys, tmp_path):
        path = tmp_path / "run.toml"
        path.write_text('quantity = "relu"\nnoise_std = [0.1]\nprobability = [0.5]\n')
        code, out, _ = run(capsys, "theory", "--config", str(path), "--probability", "0.01")
        assert code == 0
        assert f"{theory.optimal_relu(0.1, 0.01).loss:.6e}" in out


class TestBadInput:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["theory", "--ratio", "1.5", "--probability", "0.1"], "`ratio` must be in (0, 1], got 1.5"),
            (["theory", "--ratio", "0.5", "--probability", "nan"], "`probability` must be in (0, 1], got nan"),
            (["theory", "--ratio", "0.5", "--probability", "0"], "`probability` must be in (0, 1], got 0"),
            (["train", "--n-features", "8", "--n-hidden", "9", "--probability", "0.1"], "`n_hidden` must be"),
            (["train", "--n-features", "8", "--probability", "0.1"], "exactly one of --ratio and --n-hidden"),
            ([*TRAIN, "--n-hidden", "4"], "exactly one of --ratio and --n-hidden"),
            ([*TRAIN, "--seed", "-1"], "`seed` must be a whole number of at least 0, got -1"),
            ([*TRAIN, "--device", "nowhere"], "`device` must be one that is there, got 'nowhere'"),
            ([*TRAIN, "--resume"], "--resume must come with --out"),
            (
                ["train", "--n-features", "8", "--ratio", "0.01", "--probability", "0.1"],
                "at least one hidden dimension",
            ),
            (["rug", "--n-features", "102", "--ratio", "0.5", "--probability", "0.1"], "use 100 or 104"),
            (["diagnose", "/nowhere"], "config.json is not there"),
            (["reproduce", "--figures", "16"], "`figures` must be among 1, 2, 3,"),
            (
                ["reproduce", "--figures"],
                "`figures` must have at least one name, got none: leave the option out for all",
            ),
            (["train", "--config", "/nowhere.toml"], "config must be in /, but nowhere.toml is not there"),
            (["theory", "--ratio", "--probability", "0.1"], "must come with at least one value of --ratio"),
            (["theory", "--ratio", "x", "--probability", "0.1"], "ratio"),
            ([*TRAIN, "--n-held-out", "9" * 400], "`n_held_out` must be a whole number in [1, 2147483647]"),
            (["compress", "--learn", "--n-steps", "9" * 400], "`n_steps` must be a whole number in [1, 2147483647]"),
            ([*TRAIN, "--batch-size", "9" * 20], "`batch_size` must be a whole number in [1, 2147483647]"),
            (["nonsense"], "superposition: Unrecognized options: nonsense"),
            (
                ["train", "--protocol", "best"],
                "superposition: invalid choice 'best' for argument '--protocol'. Expected",
            ),
        ],
    )
    def test_is_one_line_that_names_the_value(self, capsys, arguments, message):
        assert message in refused(capsys, *arguments)

    def test_finished_run_is_not_overwritten(self, capsys, tmp_path):
        assert run(capsys, *TRAIN, "--out", str(tmp_path))[0] == 0
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        for extra in ([], ["--resume"]):
            assert "already holds a result" in refused(capsys, *TRAIN, "--out", str(tmp_path), *extra)
        rug = ["rug", "--n-features", "32", "--ratio", "0.25", "--probability", "0.05"]
        assert "already holds a result" in refused(capsys, *rug, "--out", str(tmp_path))
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before

    def test_unfinished_run_and_its_place_are_not_overwritten(self, capsys, tmp_path):
        (tmp_path / "checkpoint-000000000.safetensors").write_bytes(b"")
        rug = ["rug", "--n-features", "32", "--ratio", "0.25", "--probability", "0.05"]
        assert "already holds a result" in refused(capsys, *rug, "--out", str(tmp_path))
        assert "unfinished run" in refused(capsys, *TRAIN, "--out", str(tmp_path))

    def test_folder_in_use_is_refused(self, capsys, tmp_path):
        import fcntl

        with (tmp_path / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            assert "in use by another process" in refused(capsys, *TRAIN, "--out", str(tmp_path))

    def test_file_in_the_folders_place(self, capsys, tmp_path):
        (tmp_path / "taken").write_text("mine")
        assert "is a file, not a folder" in refused(capsys, *TRAIN, "--out", str(tmp_path / "taken"))
        assert (tmp_path / "taken").read_text() == "mine"


class TestPaths:
    """~ is what it is in a shell."""

    @pytest.fixture(autouse=True)
    def home(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        monkeypatch.chdir(tmp_path)

    def save(self, capsys, *path):
        code, _, err = run(capsys, "theory", "--ratio", "0.5", "--probability", "0.1", *path)
        assert (code, err) == (0, "")

    def test_on_the_command_line(self, capsys, tmp_path):
        self.save(capsys, "--grid", "~/a/x.parquet")
        self.save(capsys, "--grid=~/b.parquet")
        self.save(capsys, "--grid", "./~/c.parquet")
        self.save(capsys, "--grid", "~nobody_of_this_name/d.parquet")
        self.save(capsys, "--grid", "e~/~.parquet")
        found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.parquet"))
        assert found == [
            "e~/~.parquet", "home/a/x.parquet", "home/b.parquet", "~/c.parquet", "~nobody_of_this_name/d.parquet"
        ]  # fmt: skip

    def test_of_and_in_a_config_file(self, capsys, tmp_path):
        (tmp_path / "home").mkdir()
        (tmp_path / "home" / "run.toml").write_text('ratio = [0.5]\nprobability = [0.1]\ngrid = "~/x.parquet"')
        self.save(capsys, "--config", "~/run.toml")
        self.save(capsys, "--config=~/run.toml", "--grid", "~/y.parquet")
        assert sorted(path.name for path in (tmp_path / "home").iterdir()) == ["run.toml", "x.parquet", "y.parquet"]

    def test_one_that_is_no_text_is_refused_before_anything_is_written(self, capsys, tmp_path):
        line = refused(capsys, *TRAIN, "--out", "name\udcff")
        assert "a path must be text in UTF-8, got name\\udcff: choose another name" in line
        assert list(tmp_path.iterdir()) == []

    def test_an_empty_one_is_refused(self, capsys, tmp_path):
        message = "a path must have at least one character, got none"
        assert "--grid" in refused(capsys, "theory", "--ratio", "0.5", "--probability", "0.1", "--grid", "")
        (tmp_path / "run.toml").write_text('grid = ""')
        assert message in refused(capsys, "theory", "--config", "run.toml")


class TestConfigFile:
    def write(self, tmp_path, text):
        path = tmp_path / "run.toml"
        path.write_text(text)
        return str(path)

    def test_gives_options_and_the_command_line_wins(self, capsys, tmp_path):
        path = self.write(
            tmp_path, "n_features = 16\nratio = 0.25\nprobability = 0.05\nn_steps = 999\nn_held_out = 100\n"
        )
        code, out, _ = run(capsys, "train", "--config", path, "--n-steps", "40")
        assert code == 0
        assert "n = 16, n_hidden = 4" in out
        assert "after 40 steps" in out

    def test_unknown_key(self, capsys, tmp_path):
        path = self.write(tmp_path, "n_features = 16\nratioo = 0.25\n")
        assert "`ratioo` must be one of" in refused(capsys, "train", "--config", path)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("n_features = 'many'", "`n_features` is not valid, got 'many'"),
            ("n_features = '32'", "`n_features` is not valid, got '32': input should be a valid integer"),
            ("n_features = 32.0", "`n_features` is not valid, got 32.0"),
            ("n_features = [32]", "`n_features` is not valid, got [32]"),
            ("resume = 1", "`resume` is not valid, got 1"),
            ("protocol = 'best'", "`protocol` is not valid, got 'best'"),
            ("n-features = 32", "`n-features` must be one of"),
            ("n-features = 32", "did you mean n_features?"),
            ("config = 'other.toml'", "`config` must be one of"),
            ("x = " + "[" * 5000, "is no TOML file"),
        ],
    )
    def test_what_is_no_option_is_explained(self, capsys, tmp_path, text, message):
        assert message in refused(capsys, "train", "--config", self.write(tmp_path, text))

    @pytest.mark.parametrize(
        ("given", "width"), [((), 4), (("--n-hidden", "3"), 3), (("--n-hidden=3",), 3), (("--ratio", "0.5"), 8)]
    )
    def test_an_option_takes_the_place_of_its_alternative_in_the_file(self, capsys, tmp_path, given, width):
        path = self.write(tmp_path, "n_features = 16\nratio = 0.25\nprobability = 0.1\nn_steps = 1\nn_held_out = 9\n")
        assert f"n_hidden = {width}," in run(capsys, "train", "--config", path, *given)[1]

    def test_two_files_are_refused(self, capsys):
        assert "--config must be given once, got a and b" in refused(capsys, "train", "--config", "a", "--config=b")

    @pytest.mark.parametrize("kind", ["pipe", "folder", "device", "link to itself"])
    def test_what_is_no_file(self, capsys, tmp_path, kind):
        path = tmp_path / "run.toml"
        make = {
            "pipe": lambda: os.mkfifo(path),
            "folder": path.mkdir,
            "device": lambda: path.symlink_to("/dev/zero"),
            "link to itself": lambda: path.symlink_to(path),
        }
        make[kind]()
        for arguments in (("train", "--config", str(path)), ("sweep", str(path))):
            assert "must be in a" in refused(capsys, *arguments)

    def test_no_toml(self, capsys, tmp_path):
        assert "is no TOML file" in refused(capsys, "train", "--config", self.write(tmp_path, "n_features: 16"))

    def test_missing_required_option_is_asked_for(self, capsys, tmp_path):
        code, _, err = run(capsys, "train", "--config", self.write(tmp_path, "n_features = 16\n"))
        assert code == 2
        assert "--probability" in err


def program(*arguments, **options):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "superposition", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        **options,
    )


def finished(*arguments):
    with program(*arguments, stdout=subprocess.DEVNULL) as process:
        process.communicate()
        return process.returncode


LONG = [*TRAIN[:-4], "--n-steps", "4000", "--n-held-out", "500", "--out"]


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A long run that nobody stopped."""
    folder = tmp_path_factory.mktemp("straight") / "run"
    assert finished(*LONG, str(folder)) == 0
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_signal_saves_and_resume_goes_on_to_the_same_weights(tmp_path, straight, kind, code):
    stopped = tmp_path / "stopped"
    process = program(*LONG, str(stopped), stdout=subprocess.DEVNULL)
    while not stopped.exists():
        time.sleep(0.01)
    time.sleep(0.3)
    process.send_signal(kind)
    _, err = process.communicate()
    assert process.returncode == code, err
    assert list(stopped.glob("checkpoint-*.safetensors")), "stopped before it was finished, with a checkpoint"
    assert finished(*LONG, str(stopped), "--resume") == 0
    assert (stopped / "model.safetensors").read_bytes() == (straight / "model.safetensors").read_bytes()
    losses = [json.loads((folder / "record.json").read_text())["loss"] for folder in (stopped, straight)]
    assert losses[0] == losses[1]


def test_help_loads_nothing_heavy():
    script = (
        "import sys; from superposition.cli import main\n"
        "try: main(['train', '--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'scipy', 'matplotlib', 'pyarrow', 'pydantic', 'numpy'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "[]"


def test_a_picture_of_the_theory_needs_no_torch(tmp_path):
    script = (
        "import sys; from superposition.cli import main\n"
        f"main(['theory', '--ratio', '0.1', '0.2', '--probability', '0.1', '--plot', {str(tmp_path / 'plot.svg')!r}])\n"
        "print(sorted({'torch', 'dask', 'pyarrow', 'duckdb'} & set(sys.modules)), 'matplotlib' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "[] True"


def test_no_folder_is_made_to_go_back_through(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(capsys, "theory", "--ratio", "0.5", "--probability", "0.1", "--grid", "a/../b.parquet")[0] == 0
    assert [path.name for path in tmp_path.iterdir()] == ["b.parquet"]


class TestFeatures:
    """The options of all commands that say what a model sees."""

    QUICK = ("--n-features", "16", "--ratio", "0.5", "--n-steps", "5", "--n-held-out", "50")

    def seen(self, capsys, folder, *options):
        assert run(capsys, "train", *self.QUICK, *options, "--out", str(folder))[0] == 0
        return sp.models.load_with_features(folder).features

    def test_words(self, capsys, tmp_path):
        words = "--probability", "zipf:0.1:1", "--law", "half-normal:2", "--importance", "decay:0.9"
        expected = sp.features.features_of(16, "zipf:0.1:1", "half-normal:2", "decay:0.9")
        assert self.seen(capsys, tmp_path / "run", *words) == expected

    def test_files(self, capsys, tmp_path):
        p, importance = np.linspace(0.05, 0.2, 16), np.linspace(1, 0.5, 16)
        np.save(tmp_path / "p.npy", p)
        (tmp_path / "m.csv").write_text(",".join(map(repr, importance.tolist())))
        (tmp_path / "values.txt").write_text("1 2\n2.5\n")
        files = [f"--{name}={tmp_path / file}" for name, file in
                 (("probability", "p.npy"), ("importance", "m.csv"), ("law", "values.txt"))]  # fmt: skip
        expected = sp.SparseFeatures(16, p, sp.Empirical([1, 2, 2.5]), importance)
        assert self.seen(capsys, tmp_path / "run", *files) == expected

    def test_a_config_file(self, capsys, tmp_path):
        (tmp_path / "c.toml").write_text('probability = "zipf:0.1:1"\nimportance = 2\nlaw = "exponential"\n')
        found = self.seen(capsys, tmp_path / "run", "--config", str(tmp_path / "c.toml"))
        assert found == sp.features.features_of(16, "zipf:0.1:1", "exponential", 2.0)

    def test_unequal_features_are_held_against_the_best_allocation(self, capsys, tmp_path):
        features = self.seen(capsys, tmp_path / "run", "--probability", "0.1", "--importance", "two-level:0.5")
        out = run(capsys, "diagnose", str(tmp_path / "run"), "--n-held-out", "50")[1]
        assert f"{sp.theory.allocate(features, 8).loss:.7g}" in out

    def test_decode_of_any_law(self, capsys):
        options = [
            "--n-features",
            "16",
            "--ratio",
            "0.5",
            "--law",
            "exponential",
            "--n-samples",
            "5",
            "--decoders",
            "relu",
            "--probability",
        ]
        assert run(capsys, "decode", *options, "0.1")[0] == 0
        assert run(capsys, "decode", *options, "zipf:0.1:1")[0] == 0

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (("--probability", "none.npy"), "file of probability must be in ., but none.npy is not there"),
            (
                ("--probability", "FOLDER/short.csv"),
                r"`probability` must be a scalar or have shape (16,), got shape (2,)",
            ),
            (("--probability", "FOLDER/words.txt"), "`probability` must be numbers, but could not convert"),
            (("--probability", "FOLDER/objects.npy"), "`probability` must be numbers, but Object arrays cannot be"),
            (("--probability", "FOLDER/matrix.npy"), "`probability` must be a list of numbers, got shape (2, 8)"),
            (("--probability", "zip:1"), "`probability` must be P, or zipf:MEAN:EXPONENT, got 'zip:1'"),
            (("--probability", "0.1", "--law", "bet"), "`law` must be one of uniform, constant, exponential"),
            (("--probability", "0.1", "--importance", "0"), "`importance` must be positive somewhere"),
        ],
    )
    def test_what_says_nothing_is_refused(self, capsys, tmp_path, options, message):
        (tmp_path / "short.csv").write_text("0.1,0.2")
        (tmp_path / "words.txt").write_text("a b")
        np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
        np.save(tmp_path / "matrix.npy", np.full((2, 8), 0.1))
        options = [option.replace("FOLDER", str(tmp_path)) for option in options]
        code, _, err = run(capsys, "train", *self.QUICK, *options)
        assert (code, err.count("\n")) == (2, 1)
        assert message in err

    def test_a_saved_model_has_its_features(self, capsys, tmp_path):
        self.seen(capsys, tmp_path / "run", "--probability", "0.1")
        code, _, err = run(capsys, "decode", "--model", str(tmp_path / "run"), "--law", "exponential")
        assert code == 2
        assert "--law and --importance must come with --probability" in err


class TestActivations:
    @pytest.mark.parametrize(("word", "kind"), [("relu", "relu"), ("topk:2", "topk"), ("jumprelu:0.2", "jumprelu")])
    def test_any_is_trained_and_saved(self, capsys, tmp_path, word, kind):
        words = (*TestFeatures.QUICK, "--probability", "0.1", "--activation", word, "--out", str(tmp_path / "run"))
        assert run(capsys, "train", *words)[0] == 0
        assert load(tmp_path / "run").activation.kind == kind

    @pytest.mark.parametrize(
        ("word", "message"),
        [
            ("topk:2.5", "`k` must be a whole number in [1, 16], got 2.5"),
            ("relu:1", "`setting` must be left out for relu, got 1"),
            ("jumprelu:x", "`activation` must be a name, and a number after a colon, got jumprelu:x"),
            ("softplus", "`activation` must be none, relu, topk, batchtopk, jumprelu, gated"),
        ],
    )
    def test_what_is_none_is_refused(self, capsys, tmp_path, word, message):
        words = (*TestFeatures.QUICK, "--probability", "0.1", "--activation", word, "--out", str(tmp_path / "run"))
        code, _, err = run(capsys, "train", *words)
        assert code == 2
        assert message in err
        assert not (tmp_path / "run").exists()

    def test_a_rug_allows_for_hidden_noise(self, capsys):
        words = [
            "--n-features",
            "64",
            "--ratio",
            "0.25",
            "--probability",
            "0.1",
            "--n-held-out",
            "100",
            "--hidden-noise",
            "0.5",
        ]
        code, out, _ = run(capsys, "rug", *words)
        assert code == 0
        assert f"{theory.symmetric_optimum(0.25, 0.1, hidden_noise=0.5).loss:.7g}" in out
        assert run(capsys, "rug", *words, "--fit", "paper")[0] == 2
