"""A run's folder: checkpoints while it trains, then the model, record.json and curve.parquet."""

import itertools
from pathlib import Path

from superposition import _files
from superposition.models import save
from superposition.models.storage import CONFIG
from superposition.training import checkpoint
from superposition.training.result import Curve, Run

RECORD, CURVE = "record.json", "curve.parquet"


def open_folder(folder: Path, *, resume: bool) -> Path:
    """Returns a folder ready for a run, made if missing.

    Raises:
        FileExistsError: It holds a finished run, or an unfinished one and `resume` is false.
        OSError: It cannot be written.
    """
    if not checkpoint.exists(folder):
        _files.vacant(folder, RECORD, CONFIG)
    elif not resume:
        raise FileExistsError(f"{folder} holds an unfinished run: resume it (--resume) or choose another folder")
    _files.remove_partial(folder)
    return folder


def save_run(run: Run, folder: Path) -> None:
    """Writes the model, curve and record, and removes the checkpoints once all is in place."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    save(run.model, folder, features=run.features if run.features.kind else None, overwrite=True)
    curve = pa.table({"step": run.curve.step, "loss": run.curve.loss, "standard_error": run.curve.standard_error})
    with _files.replacing(folder / CURVE) as temporary:
        pq.write_table(curve, temporary)
    _files.write_json(folder / RECORD, run.record())
    checkpoint.remove(folder)


def read_curve(folder: Path) -> Curve:
    """Returns the curve of a finished run.

    Raises:
        ValueError: It is not there or damaged.
    """
    kinds = {"step": "int64", "loss": "double", "standard_error": "double"}
    table = _files.read_table(folder / CURVE, "curve of a run", kinds)
    step, loss, error = (tuple(table.column(name).to_pylist()) for name in kinds)
    if not all(before < after for before, after in itertools.pairwise((0, *step))):
        raise ValueError(f"{folder / CURVE} must have increasing steps: remove the folder and run again")
    return Curve(step, loss, error)
