"""Waiting for processes."""

import time


def until(condition, seconds=120):
    """Waits until a condition holds; fails if it never does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
