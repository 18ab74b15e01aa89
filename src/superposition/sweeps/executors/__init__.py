"""Where units of work run: in this process, in processes of this machine, or on a cluster."""

from superposition.sweeps.executors.base import Executor
from superposition.sweeps.executors.embedded import Embedded

__all__ = ["Embedded", "Executor"]
