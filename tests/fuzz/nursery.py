"""Folders as the program writes them, small, made once a process and copied for each case."""

import contextlib
import functools
import io
import tempfile
import weakref
from pathlib import Path

SWEEP = """\
measure = "trained"
[cells]
n_features = 8
n_hidden = [2, 3]
probability = 0.3
n_steps = 2
batch_size = 4
n_held_out = 20
"""
RUGS = """\
measure = "rug"
cells = { n_features = 8, ratio = [0.25, 0.5], probability = 0.3, n_held_out = 20 }
"""
# The options with which the unfinished run goes on.
UNFINISHED = (
    *("--n-features", "8", "--n-hidden", "2", "--probability", "0.3"),
    *("--n-steps", "4", "--batch-size", "4", "--n-held-out", "20"),
)
# Files of each folder by pattern: what may be forged.
FILES = {
    "run": ("config.json", "model.safetensors", "record.json", "curve.parquet"),
    "rug": ("config.json", "model.safetensors"),
    "linear": ("config.json", "model.safetensors"),
    "unfinished": ("checkpoint-000000001.safetensors", "checkpoint-000000002.safetensors"),
    "runs": (
        "store.json",
        "done/trained/*/record.json",
        "done/trained/*/features.safetensors",
        "done/trained/*/run/config.json",
        "done/trained/*/run/model.safetensors",
        "done/trained/*/run/record.json",
        "done/trained/*/run/curve.parquet",
        "done/rug/*/record.json",
        "tables/trained.parquet",
        "tables/rug.parquet",
    ),
    "results": ("figure-A2.json", "figure-A2.parquet", "figure-A2.svg"),
}


@functools.cache
def nursery() -> Path:
    """Returns a folder that holds every fixture; it is removed with the process."""
    root = Path(tempfile.mkdtemp(prefix="superposition-nursery-"))
    weakref.finalize(nursery, _remove, root)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        _fill(root)
    return root


def _remove(root: Path) -> None:
    import shutil

    shutil.rmtree(root, ignore_errors=True)


def _fill(root: Path) -> None:
    import torch

    import superposition as sp
    from superposition.cli import main
    from superposition.models import LinearAutoencoder, save

    features = sp.SparseFeatures(8, 0.3)
    save(sp.PersianRug.fit(features, 4), root / "rug", features=features)
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(2, 8, generator=generator)
    save(LinearAutoencoder(weights, weights.T.contiguous(), torch.zeros(8)), root / "linear", features=features)
    main(["train", *UNFINISHED, "--out", str(root / "run")])
    _interrupt(root / "unfinished")
    for name, text in (("sweep.toml", SWEEP), ("rugs.toml", RUGS)):
        (root / name).write_text(text, encoding="utf-8")
        main(["sweep", str(root / name), "--out", str(root / "runs")])
    main(["reproduce", "--figures", "A2", "--out", str(root / "results")])
    for name, patterns in FILES.items():
        for pattern in patterns:
            assert any(root.glob(f"{name}/{pattern}")), f"no {pattern} in {name}"


def _interrupt(folder: Path) -> None:
    """Leaves a run with the checkpoints of its first two steps."""
    import superposition as sp
    from superposition.training import checkpoint, loop

    class EnoughError(Exception):
        pass

    write, share, seconds = checkpoint.write, loop._CHECKPOINT_SHARE, loop._CHECKPOINT_SECONDS

    def write_until_two(place, step, *rest, **named):
        write(place, step, *rest, **named)
        if step == 2:
            raise EnoughError

    checkpoint.write, loop._CHECKPOINT_SHARE, loop._CHECKPOINT_SECONDS = write_until_two, 0, 0.0
    try:
        features, config = sp.SparseFeatures(8, 0.3), sp.TrainingConfig(n_steps=4, batch_size=4)
        sp.train(sp.Autoencoder(8, 2, seed=0), features, config, seed=0, folder=folder, n_held_out=20)
    except EnoughError:
        pass
    finally:
        checkpoint.write, loop._CHECKPOINT_SHARE, loop._CHECKPOINT_SECONDS = write, share, seconds
