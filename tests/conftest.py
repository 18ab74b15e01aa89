import signal

import numpy as np
import pytest
import torch
from hypothesis import settings

from tests import tiers

settings.register_profile("fixed", deadline=None, derandomize=True, database=None, max_examples=50)
settings.load_profile("fixed")
# A shell starts jobs in the background with SIGINT ignored, and then Python does not listen to it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(items):
    for item in items:
        if tiers.is_long(item.nodeid, getattr(item, "fixturenames", ())):
            item.add_marker("long")


@pytest.fixture
def rng():
    return np.random.default_rng(20240607)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(20240607)
