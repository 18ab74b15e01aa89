from . import servers as servers
from .base import Executor as Executor
from .cluster import ClusterLostError as ClusterLostError
from .embedded import Embedded as Embedded
from .local import LocalWorkers as LocalWorkers
from .remote import RemoteScheduler as RemoteScheduler
from .security import Credentials as Credentials
from .slurm import SlurmJobs as SlurmJobs
