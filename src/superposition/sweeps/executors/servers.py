"""Dask's servers without a web server: it would listen beside the port that is encrypted, and we need nothing of it."""

from typing import Any, final

import distributed


@final
class Scheduler(distributed.Scheduler):
    """A scheduler that opens one port only."""

    def start_http_server(self, *arguments: Any, **options: Any) -> None:
        """Opens none."""


@final
class Worker(distributed.Worker):
    """A worker that opens one port only."""

    def start_http_server(self, *arguments: Any, **options: Any) -> None:
        """Opens none."""
