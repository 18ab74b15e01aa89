"""The commands decode and sensing as a user types them."""

import numpy as np
import pytest

import superposition as sp
from superposition.cli import main
from superposition.theory import measurements

DECODE = ("decode", "--n-features", "256", "--ratio", "0.5", "--probability", "0.05", "--n-samples", "20")


def run(capsys, *arguments):
    code = main(list(arguments))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize("encoder", ["rug", "gaussian", "harmonic"])
def test_decode_shows_every_decoder(capsys, encoder):
    names = ("relu", "jumprelu", "gated", "trec", "topk", "batchtopk", "bayes", "oracle", "lemma1", "pursuit", "omp")
    more = ("basis-pursuit", "amp", "oamp")
    code, out, _ = run(capsys, *DECODE, "--encoder", encoder, "--seconds", "1", "--decoders", *names, *more)
    assert code == 0
    for name in (
        "ReLU",
        "JumpReLU",
        "Gated",
        "TRec",
        "TopK",
        "BatchTopK",
        "Bayes",
        "OracleSupport",
        "OMP",
        "AMP",
        "OAMP",
    ):
        assert name in out
    assert "rounds=20" in out
    assert "BasisPursuit" in out
    assert f"recovers without noise from ratio {sp.theory.amp_threshold(0.05):.4f} on" in out
    assert max(len(line.rstrip()) for line in out.splitlines()) <= 110


@pytest.mark.parametrize("probability", [0.1, np.linspace(0.05, 0.2, 16)], ids=["alike", "each its own"])
def test_decode_takes_the_features_of_a_saved_model(capsys, tmp_path, probability):
    features = sp.SparseFeatures(16, probability, sp.Constant(2.0))
    model = sp.Autoencoder(16, 8)
    sp.save(model, tmp_path, features=features)
    command = ("decode", "--model", str(tmp_path), "--decoders", "relu", "--n-samples", "400")
    code, out, _ = run(capsys, *command)
    assert code == 0
    own = next(line for line in out.splitlines() if "as it is" in line)
    expected = sp.compare_decoders(model, features, [], 400, seed=1)[0].loss
    assert str(expected) in own
    assert ("least loss of any" in out) == features.is_symmetric
    sp.save(model, tmp_path, overwrite=True)
    code, _, err = run(capsys, *command)
    assert code == 2
    assert "--probability must be given for" in err


def test_decode_a_saved_model(capsys, tmp_path):
    sp.save(sp.PersianRug.draw(256, 128, seed=9), tmp_path)
    code, out, _ = run(capsys, *DECODE, "--model", str(tmp_path), "--decoders", "oamp", "--noise", "0.05")
    assert code == 0
    assert "OAMP" in out
    assert str(tmp_path) in out
    short = ("decode", "--probability", "0.05", "--n-samples", "20", "--decoders", "oamp", "--model", str(tmp_path))
    for sizes in ((), ("--n-features", "256"), ("--n-hidden", "128"), ("--ratio", "0.5")):
        code, out, _ = run(capsys, *short, *sizes)
        assert code == 0
        assert "n = 256, n_hidden = 128" in " ".join(out.split())  # the title is as long as the path
    for sizes, wanted in (
        (("--n-features", "512"), (512, 128)),
        (("--n-features", "512", "--ratio", "0.5"), (512, 256)),
        (("--n-hidden", "64"), (256, 64)),
        (("--ratio", "0.25"), (256, 64)),
    ):
        code, _, err = run(capsys, *short, *sizes)
        assert code == 2
        assert f"`model` must have n_features = {wanted[0]} and n_hidden = {wanted[1]}, got 256 and 128" in err


def test_sensing_shows_the_numbers_of_the_library(capsys):
    code, out, _ = run(capsys, "sensing", "--n-features", "1000", "--k", "10")
    assert code == 0
    found = measurements(1000, 10)
    for number in (
        found.information,
        found.message_passing,
        found.l1_nonnegative,
        found.l1_signed,
        found.l1_sufficient,
    ):
        assert f" {number} " in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sensing", "--n-features", "10", "--k", "10"), "`k` must be a whole number in [1, 9], got 10"),
        ((*DECODE, "--noise", "-1"), "`noise` must be in [0, 1e+15], got -1"),
        ((*DECODE, "--decoders"), "decoders"),
        ((*DECODE, "--n-samples", "0"), "`n_samples` must be a whole number of at least 1, got 0"),
        (("decode", "--ratio", "0.5", "--probability", "0.1"), "--n-features must be given, or --model"),
        (("decode", "--ratio", "0.5", "--n-features", "64"), "--probability must be given, or --model"),
        (
            ("decode", "--n-features", "102", "--ratio", "0.5", "--probability", "0.1"),
            "must be the order of a Hadamard",
        ),
    ],
)
def test_bad_input_is_one_line_and_code_2(capsys, arguments, message):
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert message in err
    assert len(err.splitlines()) == 1
