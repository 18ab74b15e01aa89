"""Several processes on the loopback interface, against one."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from superposition import Autoencoder, SparseFeatures, TrainingConfig, load, train
from superposition.features.sampling import SparseBatch
from superposition.training.ranks import Ranks
from tests.rounding import assert_within, trained_bound

PROGRAM = """
import os, signal, sys, torch
from superposition import Autoencoder, SparseFeatures, TrainingConfig, train
from superposition.models import save
from superposition.training import loop
from superposition.training.ranks import launched

folder, batch_size, stop_at, device = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), torch.device(sys.argv[4])
with launched(device) as device:
    rank = int(os.environ["RANK"])
    advance = loop.Loop._advance
    def advance_and_stop(self):
        advance(self)
        if rank == 1 and self.step == stop_at:  # one process alone gets the signal
            signal.raise_signal(signal.SIGINT)
    loop.Loop._advance = advance_and_stop
    model = Autoencoder(24, 6, seed=rank).double().to(device)  # the first one's weights count
    config = TrainingConfig(n_steps=40, batch_size=batch_size)
    try:
        train(model, SparseFeatures(24, 0.2), config, seed=3, folder=folder, resume=True, n_held_out=50)
    except KeyboardInterrupt:
        open(f"{folder}-rank-{rank}-stopped", "x").close()
    else:
        save(model, folder + f"-rank-{rank}")
# Threads of torch's may outlive the group for a moment, and abort a process whose interpreter has ended meanwhile.
os._exit(0)
"""


def run_ranks(folder, *, batch_size=33, stop_at=-1, device="cpu"):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python"]
    # One thread each, and a rendezvous that does not look for the machine's name.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    arguments = [sys.executable, "-c", PROGRAM, str(folder), str(batch_size), str(stop_at), device]
    return subprocess.run([*torchrun, *arguments], capture_output=True, text=True, env=environment, timeout=240)


def weights(folder):
    return flat(load(folder))


def flat(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def model_of_all():
    return Autoencoder(24, 6, seed=0).double()


def alone(model=None):
    config = TrainingConfig(n_steps=40, batch_size=33)
    return train(model or model_of_all(), SparseFeatures(24, 0.2), config, seed=3, n_held_out=50).model


def test_same_as_one_process_and_a_signal_to_one_stops_all(tmp_path):
    """In double precision rounding does not grow to be seen; interrupted or not, the bits are equal."""
    stopped = run_ranks(tmp_path / "run", stop_at=17)
    assert stopped.returncode == 0, stopped.stderr
    assert sorted(path.name for path in tmp_path.glob("*-stopped")) == ["run-rank-0-stopped", "run-rank-1-stopped"]
    assert not (tmp_path / "run" / "record.json").exists()
    assert run_ranks(tmp_path / "run").returncode == 0
    one = flat(alone())
    # The loss of a batch is the longest sum.
    (bound,) = trained_bound(lambda model: [flat(alone(model))], model_of_all(), 40, 33 * 24, np.float64)
    assert_within(weights(tmp_path / "run"), one, bound, resolution=1e-6)
    assert torch.equal(weights(tmp_path / "run-rank-0"), weights(tmp_path / "run-rank-1"))
    assert run_ranks(tmp_path / "whole").returncode == 0
    assert torch.equal(weights(tmp_path / "whole"), weights(tmp_path / "run"))
    assert not torch.equal(weights(tmp_path / "whole"), one)  # the sums were shared out indeed


@pytest.mark.cuda
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_two_gpus_stay_equal(tmp_path):
    assert run_ranks(tmp_path / "run", device="cuda").returncode == 0
    assert torch.equal(weights(tmp_path / "run-rank-0"), weights(tmp_path / "run-rank-1"))


@pytest.mark.parametrize("n_samples", [2, 3, 7])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_shares_are_the_whole_batch(n_samples, size):
    x = torch.rand(n_samples, 5, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 0, 1, 0, 1])
    positions = torch.nonzero(x.flatten()).squeeze(1)
    batch = SparseBatch(positions, x.flatten()[positions], (n_samples, 5))
    shares = [Ranks(rank, size).share(batch) for rank in range(size)]
    assert torch.equal(torch.cat([share.to_dense() for share in shares]), x)


def test_a_batch_smaller_than_the_number_of_processes_is_refused(monkeypatch):
    monkeypatch.setattr(Ranks, "current", classmethod(lambda cls, device: cls(0, 2, str(device))))
    with pytest.raises(ValueError, match="`batch_size` must be at least the number of processes, 2, got 1"):
        train(Autoencoder(6, 2), SparseFeatures(6, 0.2), TrainingConfig(batch_size=1))
