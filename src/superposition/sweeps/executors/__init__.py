"""Where units of work run: in this process, in processes of this machine, or on a cluster."""

from superposition.sweeps.executors.base import Executor
from superposition.sweeps.executors.cluster import ClusterLostError
from superposition.sweeps.executors.embedded import Embedded
from superposition.sweeps.executors.local import LocalWorkers
from superposition.sweeps.executors.remote import RemoteScheduler
from superposition.sweeps.executors.security import Credentials
from superposition.sweeps.executors.slurm import SlurmJobs

__all__ = ["ClusterLostError", "Credentials", "Embedded", "Executor", "LocalWorkers", "RemoteScheduler", "SlurmJobs"]
