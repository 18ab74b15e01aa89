"""Signals that wait for a safe moment, and a Ctrl-C that is answered in any case."""

import contextlib
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

from superposition._text import complain

_INTERRUPTED = 130
# How long a Ctrl-C may go unanswered, because a library is in one long call or because closing takes its time.
_PATIENCE_SECONDS = 20.0
# When a Ctrl-C that was dropped comes again: the callback in which it came has ended by then.
_AGAIN_SECONDS = 0.02

_Handler = Callable[[int, FrameType | None], Any] | signal.Handlers


@dataclass
class Deferred:
    """Which of SIGINT and SIGTERM has arrived, if any."""

    pending: signal.Signals | None = None


@dataclass
class Interrupts:
    """What has become of Ctrl-C in this process.

    Attributes:
        arrived: Whether it was pressed, so that an error which follows is none.
        held: Whether it waits for a safe moment.
        expected: How many signals are on their way that nobody pressed: those that were held and are raised again.
    """

    arrived: bool = False
    held: bool = False
    expected: int = 0


_interrupts = Interrupts()


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
        _interrupts.held = True
        deferred.pending = signal.Signals(number)
        restore()

    for kind in previous:
        signal.signal(kind, hold)
    try:
        yield deferred
    finally:
        restore()
        _interrupts.held = False
        if deferred.pending is not None:
            _interrupts.expected += deferred.pending == signal.SIGINT
            signal.raise_signal(deferred.pending)


@contextlib.contextmanager
def answered_interrupts(then: _Handler = signal.default_int_handler) -> Iterator[Interrupts]:
    """Answers Ctrl-C within the block, whatever goes on there.

    The first is a KeyboardInterrupt, raised once more where Python drops it, as in a destructor. A second ends the
    process at once; so does a first after which the block has not been left in 20 seconds, unless it is held back.
    Where Ctrl-C is ignored, or has another handler, nothing changes.

    Args:
        then: The handler of SIGINT after the block.
    """
    global _interrupts
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield Interrupts()
        return
    state = _interrupts = Interrupts()
    ours, pythons = socket.socketpair()
    pythons.setblocking(False)

    def interrupt(number: int, frame: FrameType | None) -> None:
        if state.arrived:
            time.sleep(_PATIENCE_SECONDS)  # while the watcher ends the process
        state.arrived = True
        signal.default_int_handler(number, frame)

    watcher = threading.Thread(target=_watch, args=(ours, state), name="Ctrl-C", daemon=True)
    watcher.start()
    # Written by the system's handler: Python's own runs only when the main thread comes back to Python.
    before = signal.set_wakeup_fd(pythons.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGINT, interrupt)
    try:
        with _never_dropped(state):
            yield state
    finally:
        signal.signal(signal.SIGINT, then)
        signal.set_wakeup_fd(before)
        pythons.close()
        watcher.join()
        ours.close()


@contextlib.contextmanager
def _never_dropped(state: Interrupts) -> Iterator[None]:
    """Raises a KeyboardInterrupt again that came in a destructor or a callback, where Python drops what is raised."""
    before, threads = sys.unraisablehook, list[threading.Timer]()

    def again(what: "sys.UnraisableHookArgs") -> None:
        if not isinstance(what.exc_value, KeyboardInterrupt):
            before(what)
            return
        state.arrived = False
        state.expected += 1
        threads.append(threading.Timer(_AGAIN_SECONDS, signal.pthread_kill, (main, signal.SIGINT)))
        threads[-1].daemon = True
        threads[-1].start()

    main = threading.get_ident()
    sys.unraisablehook = again
    try:
        yield
    finally:
        sys.unraisablehook = before
        for thread in threads:
            thread.cancel()


def _watch(signals: socket.socket, state: Interrupts) -> None:
    """Ends the process on a second SIGINT, or after a first that was not answered in time."""
    pressed = 0
    while True:
        ready, _, _ = select.select([signals], [], [], _PATIENCE_SECONDS if pressed else None)
        if not ready:
            if not state.held:
                end_at_once()
            continue
        numbers = signals.recv(64)
        if not numbers:
            return
        for number in numbers:
            if number == signal.SIGINT and state.expected:
                state.expected -= 1
            else:
                pressed += number == signal.SIGINT
        if pressed > 1:
            end_at_once()


def end_at_once() -> None:
    """Ends the process as interrupted, without tidying up; whatever is on the disk is whole at any moment."""
    with contextlib.suppress(Exception):
        sys.stdout.flush()
    with contextlib.suppress(Exception):
        complain("superposition: interrupted")
    os._exit(_INTERRUPTED)
