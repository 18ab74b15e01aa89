"""The command dictionary as a user types it."""

import os
import re
import signal

import pytest

import superposition as sp
from superposition.cli import main
from superposition.training import Dictionary, learn_dictionary, loop

DICTIONARY = ("dictionary", "--n-features", "32", "--n-hidden", "20", "--probability", "0.05", "--n-held-out", "500")


def run(capsys, *arguments):
    code = main(list(arguments))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_it_prints_what_the_library_finds(capsys):
    code, out, _ = run(capsys, *DICTIONARY, "--n-steps", "300", "--seed", "3", "--penalty", "0.2")
    config = sp.TrainingConfig.dictionary().replace(n_steps=300)
    rug = sp.PersianRug.draw(32, 20, seed=3)
    found = learn_dictionary(rug, sp.SparseFeatures(32, 0.05), penalty=0.2, config=config, seed=3, n_held_out=500)
    assert code == 0
    for text in (f"{found.mean_cosine:.4f}", f"{found.recovered:.1%}", str(found.loss), "32 atoms", "after 300 steps"):
        assert text in out
    assert max(len(line.rstrip()) for line in out.splitlines()) <= 100


def test_a_saved_model_interrupted_and_gone_on(capsys, tmp_path, monkeypatch):
    sp.save(sp.Autoencoder(16, 8), tmp_path / "model", features=sp.SparseFeatures(16, 0.1))
    command = ("dictionary", "--model", str(tmp_path / "model"), "--n-steps", "60", "--n-held-out", "50")
    code, whole, _ = run(capsys, *command, "--n-atoms", "20")
    assert code == 0
    advance = loop.Loop._advance

    def stop(self):
        advance(self)
        if self.step == 7:
            os.kill(os.getpid(), signal.SIGINT)

    kept = ("--n-atoms", "20", "--out", str(tmp_path / "out"))
    with monkeypatch.context() as patch:
        patch.setattr(loop.Loop, "_advance", stop)
        code, _, err = run(capsys, *command, *kept)
    assert (code, "the same command with --resume goes on" in err) == (130, True)
    code, out, _ = run(capsys, *command, *kept, "--resume")
    assert code == 0
    strip = [re.sub(r"in \d+ s.*", "", text) for text in (out, whole)]
    assert strip[0] == strip[1]
    loaded = sp.load(tmp_path / "out")
    assert isinstance(loaded, Dictionary)
    assert loaded.n_hidden == 20
    code, _, err = run(capsys, "diagnose", str(tmp_path / "out"))
    assert code == 2
    assert "`model` must be a model with a bottleneck, got Dictionary" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--n-atoms", "31"), "`n_atoms` must be a whole number of at least 32, got 31"),
        (("--penalty", "-1"), "`penalty` must be finite and not negative, got -1"),
        (("--n-steps", "0"), "`n_steps` must be a whole number of at least 1, got 0"),
        (("--n-held-out", "0"), "`n_held_out` must be a whole number of at least 1, got 0"),
        (("--resume",), "--resume must come with --out"),
        (("--n-hidden", "2000000000", "--n-features", "2000000000", "--encoder", "gaussian"), "would need about"),
        (("--n-steps", "2147483647", "--n-features", "8192", "--n-hidden", "4096"), "this would take"),
    ],
)
def test_bad_input_is_one_line(capsys, arguments, message):
    code, out, err = run(capsys, *DICTIONARY, *arguments)
    assert (code, out) == (2, "")
    lines = [line for line in err.splitlines() if line]
    assert len(lines) == 1
    assert message in lines[0]
