"""A run's folder: checkpoints while it trains, then the model, record.json and curve.parquet."""

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

    save(run.model, folder, features=run.features, overwrite=True)
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
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        columns = pq.read_table(folder / CURVE).to_pydict()
        return Curve(*(tuple(columns[name]) for name in ("step", "loss", "standard_error")))
    except (OSError, KeyError, pa.ArrowInvalid) as error:
        raise ValueError(
            f"{folder / CURVE} must be the curve of a run ({error}): remove the folder and run again"
        ) from None
