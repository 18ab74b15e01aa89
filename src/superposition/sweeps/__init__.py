"""Sweeps: cells to measure, the store of their rows, and executors that run what is missing."""

from superposition.sweeps.cell import BatchCell, Cell, Row, Value, Workplace
from superposition.sweeps.compressed import LearnedCell, RefinedCell
from superposition.sweeps.decoding import DecoderCell, RecoveryCell
from superposition.sweeps.description import read_sweep
from superposition.sweeps.executors import (
    ClusterLostError,
    Credentials,
    Embedded,
    Executor,
    LocalWorkers,
    RemoteScheduler,
    SlurmJobs,
)
from superposition.sweeps.measured_rug import RugCell
from superposition.sweeps.run import Result, run_sweep
from superposition.sweeps.sql import query
from superposition.sweeps.store import Store, StoredCell
from superposition.sweeps.sweep import Plan, Sweep
from superposition.sweeps.trained import StoredRun, TrainedCell, stored_run

__all__ = [
    "BatchCell",
    "Cell",
    "ClusterLostError",
    "Credentials",
    "DecoderCell",
    "Embedded",
    "Executor",
    "LearnedCell",
    "LocalWorkers",
    "Plan",
    "RecoveryCell",
    "RefinedCell",
    "RemoteScheduler",
    "Result",
    "Row",
    "RugCell",
    "SlurmJobs",
    "Store",
    "StoredCell",
    "StoredRun",
    "Sweep",
    "TrainedCell",
    "Value",
    "Workplace",
    "query",
    "read_sweep",
    "run_sweep",
    "stored_run",
]
