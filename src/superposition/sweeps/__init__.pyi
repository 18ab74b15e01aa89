from . import arrow as arrow, executors as executors
from .cell import BatchCell as BatchCell, Cell as Cell, Row as Row, Value as Value, Workplace as Workplace
from .compressed import LearnedCell as LearnedCell, RefinedCell as RefinedCell
from .constructed import PrecisionCell as PrecisionCell, SchemeCell as SchemeCell
from .decoding import DecoderCell as DecoderCell, RecoveryCell as RecoveryCell
from .description import read_slurm as read_slurm, read_sweep as read_sweep, register_cell as register_cell
from .executors import (
    ClusterLostError as ClusterLostError,
    Credentials as Credentials,
    Embedded as Embedded,
    Executor as Executor,
    LocalWorkers as LocalWorkers,
    RemoteScheduler as RemoteScheduler,
    SlurmJobs as SlurmJobs,
)
from .frames import FrameCell as FrameCell
from .growth import GrowthCell as GrowthCell
from .guarantees import GuaranteeCell as GuaranteeCell
from .measured_rug import RugCell as RugCell
from .run import Result as Result, run_sweep as run_sweep
from .sql import query as query
from .store import Store as Store, StoredCell as StoredCell
from .sweep import Plan as Plan, Sweep as Sweep
from .trained import StoredRun as StoredRun, TrainedCell as TrainedCell, stored_run as stored_run
