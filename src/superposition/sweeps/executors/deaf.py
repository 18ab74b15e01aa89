"""Loaded by local workers: Ctrl-C reaches all processes of a terminal, and only the driver may act on it."""

import signal


def dask_setup(worker: object) -> None:  # noqa: ARG001  (Dask calls it so)
    """Leaves SIGINT to the driver, which stops the workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
