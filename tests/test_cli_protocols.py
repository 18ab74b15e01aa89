"""What a protocol has of its own holds, but for what the user gives: of the run, and of the one beside it."""

import pytest

from superposition import TrainingConfig
from superposition.cli import main
from superposition.training import loop

TRAIN = ("train", "--n-features", "8", "--n-hidden", "4", "--probability", "0.4", "--n-held-out", "10")


@pytest.fixture
def configs(monkeypatch):
    """Configurations of the runs that a command makes, each of them a step long."""
    seen = []
    make = loop.Loop.__init__

    def noted(self, models, engine, features, config, *rest):
        seen.append(config)
        make(self, models, engine, features, config.replace(n_steps=1, stop_window=None), *rest)

    monkeypatch.setattr(loop.Loop, "__init__", noted)
    return seen


@pytest.mark.parametrize("protocol", ["default", "fast", "paper"])
def test_a_protocols_own_batch_size_and_precision_hold(configs, monkeypatch, protocol):
    own = TrainingConfig.named(protocol).replace(batch_size=24, precision="bfloat16")
    named = TrainingConfig.named
    monkeypatch.setattr(TrainingConfig, "named", lambda name: own if name == protocol else named(name))
    main([*TRAIN, "--protocol", protocol, "--no-compare"])
    assert configs == [own]
    main([*TRAIN, "--protocol", protocol, "--no-compare", "--batch-size", "16", "--precision", "float32"])
    assert configs[1] == own.replace(batch_size=16, precision="float32")


def test_the_run_beside_the_papers_protocol_has_what_the_user_gave(configs):
    main([*TRAIN, "--protocol", "paper"])
    assert configs == [TrainingConfig.paper(), TrainingConfig()]
    main([*TRAIN, "--protocol", "paper", "--batch-size", "16", "--precision", "bfloat16"])
    given = {"batch_size": 16, "precision": "bfloat16"}
    assert configs[2:] == [TrainingConfig.paper().replace(**given), TrainingConfig(**given)]
