import os
import signal
import threading
import time

import pytest

from superposition._interrupts import answered_interrupts, deferred_signals


@pytest.fixture(autouse=True)
def handlers_are_restored():
    before = {kind: signal.getsignal(kind) for kind in (signal.SIGINT, signal.SIGTERM)}
    yield
    after = {kind: signal.getsignal(kind) for kind in before}
    for kind, handler in before.items():
        signal.signal(kind, handler)
    assert after == before


def test_sigint_is_held_back_and_raised_at_the_end():
    reached = []

    def block():
        with deferred_signals() as signals:
            assert signals.pending is None
            os.kill(os.getpid(), signal.SIGINT)
            reached.append(signals.pending)

    with pytest.raises(KeyboardInterrupt):
        block()
    assert reached == [signal.SIGINT]


def test_a_second_signal_acts_at_once():
    reached = []

    def block():
        with deferred_signals():
            os.kill(os.getpid(), signal.SIGINT)
            reached.append("first")
            os.kill(os.getpid(), signal.SIGINT)
            reached.append("second")

    with pytest.raises(KeyboardInterrupt):
        block()
    assert reached == ["first"]


def test_sigterm_reaches_the_earlier_handler():
    arrived = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: arrived.append(number))
    with deferred_signals() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        assert arrived == []
        assert signals.pending == signal.SIGTERM
    assert arrived == [signal.SIGTERM]
    signal.signal(signal.SIGTERM, before)


def test_a_signal_that_was_ignored_stays_ignored():
    # A background job of a shell script, or one under nohup, starts with SIGINT ignored.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    with deferred_signals() as signals:
        os.kill(os.getpid(), signal.SIGINT)
        assert signals.pending is None
    signal.signal(signal.SIGINT, before)


def test_without_a_signal_nothing_happens():
    with deferred_signals() as signals:
        pass
    assert signals.pending is None


def test_one_that_was_held_back_is_one_press():
    """Raised again at the end of the block, it does not count as a second, which would end the process at once."""

    def block():
        with deferred_signals() as signals:
            os.kill(os.getpid(), signal.SIGINT)
            assert signals.pending == signal.SIGINT
            assert not state.arrived

    with answered_interrupts() as state:
        with pytest.raises(KeyboardInterrupt):
            block()
        assert state.arrived
        time.sleep(0.2)  # the watcher would have ended the process


def test_an_error_in_the_block_passes_through():
    with pytest.raises(RuntimeError, match="mine"), deferred_signals():
        raise RuntimeError("mine")


def test_other_threads_hold_nothing_back():
    seen = []

    def work():
        with deferred_signals() as signals:
            seen.append((signals.pending, signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(None, signal.getsignal(signal.SIGINT))]


class Pressed:
    """Something in whose destructor Ctrl-C is pressed."""

    def __del__(self):
        signal.raise_signal(signal.SIGINT)


def test_one_that_python_drops_comes_again(capsys):
    """Python prints what a destructor raises, and goes on."""
    reached = []

    def block():
        pressed = Pressed()
        del pressed
        reached.append("after the destructor")
        time.sleep(5)
        reached.append("the end")

    with answered_interrupts() as state:
        with pytest.raises(KeyboardInterrupt):
            block()
        assert state.arrived
        time.sleep(0.2)  # the watcher would have ended the process, had it counted two
    assert "the end" not in reached
    assert capsys.readouterr().err == ""
