"""Signals that wait for a safe moment."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass
class Deferred:
    """Which of SIGINT and SIGTERM has arrived, if any."""

    pending: signal.Signals | None = None


@contextlib.contextmanager
def deferred_signals() -> Iterator[Deferred]:
    """Holds SIGINT and SIGTERM back within the block and raises them again at its end.

    The block looks at `pending` where its state is consistent and leaves. A second signal acts at once.
    Outside the main thread, where Python allows no handlers, nothing is held back.
    """
    deferred = Deferred()
    if threading.current_thread() is not threading.main_thread():
        yield deferred
        return
    kinds = (signal.SIGINT, signal.SIGTERM)
    handlers = {kind: signal.getsignal(kind) for kind in kinds}
    # An ignored signal stays ignored; None is a handler that Python did not install and cannot restore.
    previous = {kind: handler for kind, handler in handlers.items() if handler not in (signal.SIG_IGN, None)}

    def restore() -> None:
        for kind, handler in previous.items():
            signal.signal(kind, handler)

    def hold(number: int, _frame: object) -> None:
        deferred.pending = signal.Signals(number)
        restore()

    for kind in previous:
        signal.signal(kind, hold)
    try:
        yield deferred
    finally:
        restore()
        if deferred.pending is not None:
            signal.raise_signal(deferred.pending)
