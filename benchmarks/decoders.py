"""Decoders against what they are built of, and against scikit-learn; ratios in one run.

    python benchmarks/decoders.py transform [--sizes 4096x256 1048576x1]
    python benchmarks/decoders.py recovery
    python benchmarks/decoders.py evolution

`transform` times a step of OAMP on a rug against two bare fast Walsh–Hadamard transforms of the same batch, over runs
of few and of many steps, so that what is done once a run cancels. `recovery` times the recovery of 1000 samples at
n = 4096, m = 1024, k = 40, by lemma 1 and by further rounds of it, against scikit-learn's orthogonal matching pursuit
on the same data, and compares supports. `evolution` times state evolution at 10 000 points on one thread.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch

from superposition import PersianRug, SparseFeatures, hadamard_transform
from superposition.decoders import OAMP, ThresholdLeastSquares
from superposition.decoders.fitting import observed
from superposition.features.exactly_sparse import sparse_vectors
from superposition.models import DenseEncoder, encoder_of
from superposition.theory import state_evolution


def best_times(functions: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Least processor time of each function in seconds: of a busy machine, long runs get a smaller share than short."""
    best = dict.fromkeys(functions, float("inf"))
    for _ in range(rounds):
        for name, function in functions.items():
            start = time.process_time()
            function()
            best[name] = min(best[name], time.process_time() - start)
    return best


def transform_table(sizes: list[tuple[int, int]], rounds: int) -> None:
    """Prints the time of a step in units of two transforms."""
    print("| n | batch | noise s² | two transforms (ms) | a step of OAMP (ms) | ratio |")
    print("|---|---|---|---|---|---|")
    for n, count in sizes:
        for noise in (1e-2, 1e-4):  # of the later steps, at a noise that keeps every sample in the batch
            encoder, features = encoder_of(PersianRug.draw(n, n // 4)), SparseFeatures(n, 0.05)
            x, hidden = observed(encoder, features, count, noise, 0, "benchmark")
            steps = 2, 10
            runs = {
                f"{number} steps": lambda number=number, s2=noise, encoder=encoder, hidden=hidden, features=features: (
                    OAMP(n_steps=number, tolerance=1e-15, noise_variance=s2)(hidden, encoder, features)
                )
                for number in steps
            }
            both = {**runs, "transforms": lambda x=x: hadamard_transform(hadamard_transform(x))}
            best_times(both, 1)
            times = best_times(both, rounds)
            step = (times["10 steps"] - times["2 steps"]) / 8
            bare = times["transforms"]
            print(
                f"| {n} | {count} | {noise:g} | {1e3 * bare:.2f} | {1e3 * step:.2f} | {step / bare:.2f} |", flush=True
            )


def recovery_table(rounds: int) -> None:
    """Prints lemma 1 beside scikit-learn's pursuit."""
    from sklearn.linear_model import orthogonal_mp_gram

    n, m, k, count = 4096, 1024, 40, 1000
    print(
        "| encoder | values | lemma 1 (s) | with rounds (s) | scikit-learn (s) | ratios | equal supports | "
        "lemma 1 right | with rounds | scikit-learn |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name, encoder in (
        ("rug", encoder_of(PersianRug.draw(n, m, seed=1))),
        ("Gaussian", DenseEncoder.gaussian(n, m, seed=1)),
    ):
        for lowest in (0.0, 0.5):
            features = SparseFeatures(n, k / n)
            once, decoder = (ThresholdLeastSquares(k, rounds=rounds_) for rounds_ in (1, 20))
            x = sparse_vectors(n, k, count, seed=1, lowest=lowest)
            hidden, W_enc = encoder.encode(x), encoder.columns(torch.arange(n)).T.numpy()
            found = {}

            def ours(found=found, decoder=decoder, hidden=hidden, encoder=encoder, features=features) -> None:
                found["ours"] = decoder(hidden, encoder, features).features

            def lemma(found=found, decoder=once, hidden=hidden, encoder=encoder, features=features) -> None:
                found["lemma"] = decoder(hidden, encoder, features).features

            def theirs(found=found, W_enc=W_enc, hidden=hidden) -> None:
                found["theirs"] = orthogonal_mp_gram(W_enc.T @ W_enc, W_enc.T @ hidden.numpy().T, n_nonzero_coefs=k).T

            times = best_times({"ours": ours, "lemma": lemma}, rounds) | best_times({"theirs": theirs}, 1)
            supports = {name: np.asarray(values) != 0 for name, values in found.items()}
            right = {name: (support == (x != 0).numpy()).all(axis=1) for name, support in supports.items()}
            equal = (supports["ours"] == supports["theirs"]).all(axis=1)
            print(
                f"| {name} | {lowest}–1 | {times['lemma']:.2f} | {times['ours']:.2f} | {times['theirs']:.1f} | "
                f"{times['theirs'] / times['lemma']:.0f}, {times['theirs'] / times['ours']:.0f} | {equal.mean():.3f} | "
                f"{right['lemma'].mean():.3f} | {right['ours'].mean():.3f} | {right['theirs'].mean():.3f} |",
                flush=True,
            )


def evolution_table() -> None:
    """Prints the time of 10 000 trajectories with their fixed points."""
    rng = np.random.default_rng(0)
    ratio, probability = rng.uniform(0.05, 1, 10_000), np.exp(rng.uniform(np.log(1e-3), np.log(0.5), 10_000))
    for ensemble in ("gaussian", "orthogonal"):
        start = time.process_time()
        found = state_evolution(ratio, probability, ensemble=ensemble)
        print(
            f"{ensemble}: {time.process_time() - start:.1f} s of one core, up to {len(found.noise) - 1} steps",
            flush=True,
        )


def main() -> None:
    """Runs the benchmark that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("transform", "recovery", "evolution"))
    parser.add_argument("--sizes", nargs="+", default=["4096x256", "65536x16", "1048576x1"])
    parser.add_argument("--rounds", type=int, default=8)
    given = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    if given.what == "transform":
        sizes = [tuple(map(int, size.split("x"))) for size in given.sizes]
        transform_table(sizes, given.rounds)
    elif given.what == "recovery":
        recovery_table(given.rounds)
    else:
        evolution_table()


if __name__ == "__main__":
    main()
