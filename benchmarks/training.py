"""The training step beside the field's plain one, and the default protocol beside the paper's; ratios in one run.

    python benchmarks/training.py step [--sizes 8192x2048 ...] [--probabilities 0.01 0.045]
    python benchmarks/training.py grid
    python benchmarks/training.py protocol [--n-features 1024]

`step` times whole steps, sampling and Adam included, at the weights where training ends; counts the multiplications and
bytes that ours needs, and the share that it reaches of what this machine does in a large dense product. `grid` times
models trained together against one after the other. `protocol` trains by both protocols to the loss at which the
paper's stop rule ends its own.
"""

import argparse
import os
import time
from collections.abc import Callable

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the program sets it

import numpy as np
import torch

from superposition import Autoencoder, SparseFeatures, TrainingConfig, theory
from superposition._random import torch_generator
from superposition.training.engine import ManyModels, OneModel

BATCH = 1024


def best_times(functions: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Least time of each function in seconds, in turns, so that a busy machine is busy for all."""
    best = dict.fromkeys(functions, float("inf"))
    for _ in range(rounds):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def settled_model(n: int, m: int, probability: float) -> Autoencoder:
    """A random tight frame with the optimal scale and bias: as sparse in its outputs as a trained model."""
    best = theory.symmetric_optimum(m / n, probability)
    model = Autoencoder(n, m)
    frame = torch.linalg.qr(torch.randn(n, m, generator=torch_generator(0, "frame")))[0]
    frame = torch.nn.functional.normalize(frame, dim=1)
    interference = float((frame @ frame.sum(0)).mean() - 1) * probability / 2
    with torch.no_grad():
        model.W_enc.copy_(frame.T)
        model.W_dec.copy_(frame * best.scale)
        model.b_dec.fill_(best.bias - best.scale * interference)
    return model


def naive_step(model: Autoencoder, probability: float) -> Callable[[], None]:
    """The field's loop: dense sampling, dense products, autograd, torch's Adam as it comes."""
    n = model.n_features
    W_enc, W_dec, b_dec = (
        torch.nn.Parameter(parameter.detach().clone(memory_format=torch.contiguous_format))
        for parameter in (model.W_enc, model.W_dec, model.b_dec)
    )
    optimizer = torch.optim.Adam([W_enc, W_dec, b_dec], lr=1e-9)

    def step() -> None:
        x = torch.rand(BATCH, n) * (torch.rand(BATCH, n) < probability)
        loss = (torch.relu(x @ W_enc.T @ W_dec.T + b_dec) - x).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def our_step(model: Autoencoder, features: SparseFeatures, precision: str) -> Callable[[], None]:
    """Ours, with a rate so small that the weights stay."""
    config = TrainingConfig(n_steps=10**6, learning_rate=1e-9, precision=precision)
    twin = Autoencoder(model.n_features, model.n_hidden)
    twin.load_state_dict(model.state_dict())
    engine, count = OneModel(twin, features, config), iter(range(10**6))

    def step() -> None:
        index = next(count)
        engine.advance(features.sample_sparse(BATCH, torch_generator(0, "batch", index)), index)

    return step


def step_table(sizes: list[tuple[int, int]], probabilities: list[float], rounds: int) -> None:
    """Prints whole steps, the decode product alone, and the share of the machine's product rate."""
    has_bf16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    print("| n | n_hidden | p | outputs on | naive | float32 | bfloat16 | decode product alone | share of peak |")
    print("|---|---|---|---|---|---|---|---|---|")
    for n, m in sizes:
        for p in probabilities:
            features, model = SparseFeatures(n, p), settled_model(n, m, p)
            hidden, output = torch.randn(BATCH, m), torch.empty(BATCH, n)
            W_dec = model.W_dec.detach()
            square, product = torch.randn(4096, 4096), torch.empty(4096, 4096)
            steps = {
                "naive": naive_step(model, p),
                "float32": our_step(model, features, "float32"),
                "decode": lambda h=hidden, W=W_dec, out=output: torch.mm(h, W.T, out=out),
                "peak": lambda square=square, out=product: torch.mm(square, square, out=out),
            }
            if has_bf16:
                steps["bfloat16"] = our_step(model, features, "bfloat16")
            times = best_times(steps, rounds)
            with torch.no_grad():
                on = float((model(features.sample(BATCH, torch_generator(0, "on"))) > 0).float().mean())
            # Multiply-adds: one dense product; four over entries, two of features and two of outputs.
            flops = 2 * BATCH * n * m * (1 + 2 * min(p, 1) + 2 * on)
            share = flops / times["float32"] / (2 * 4096**3 / times["peak"])
            ratio = {name: times["naive"] / value for name, value in times.items()}
            print(
                f"| {n} | {m} | {p:g} | {on:.3f} | 1 | {ratio['float32']:.2f} | "
                f"{ratio.get('bfloat16', float('nan')):.2f} | {ratio['decode']:.2f} | {share:.2f} |",
                flush=True,
            )
            adam_bytes = 7 * 4 * 2 * n * m
            gathered = 4 * m * BATCH * n * 2 * (p + on)
            print(f"    {flops / 1e9:.1f} GFLOP; Adam moves {adam_bytes / 1e9:.2f} GB, gathers {gathered / 1e9:.2f} GB")


def grid_table(n: int, rounds: int) -> None:
    """Prints what training together gains."""
    widths = [max(2, round(ratio * n)) for ratio in np.geomspace(2 / n, 0.8, 20)]
    config = TrainingConfig(n_steps=10**6)
    print("| n | p | 20 widths together, against one after the other |")
    print("|---|---|---|")
    for p in (0.01, 0.1, 0.5):
        features = SparseFeatures(n, p)
        together = ManyModels([Autoencoder(n, width) for width in widths], features, config)
        alone = [OneModel(Autoencoder(n, width), features, config) for width in widths]

        def batch(step: int, features: SparseFeatures = features) -> object:
            return features.sample_sparse(BATCH, torch_generator(0, "batch", step))

        def all_together(engine: ManyModels = together) -> None:
            for step in range(10):
                engine.advance(batch(step), step)

        def one_by_one(engines: list[OneModel] = alone) -> None:
            for engine in engines:
                for step in range(10):
                    engine.advance(batch(step), step)

        times = best_times({"together": all_together, "alone": one_by_one}, rounds)
        print(f"| {n} | {p:g} | {times['alone'] / times['together']:.2f} |", flush=True)
        print(f"    400 models, 2500 steps: {times['together'] / 10 * 2500 * 20 / 60:.0f} min on this machine now")


def protocol_table(n: int, probability: float, loss_to_reach: float, naive_steps: int) -> None:
    """Wall-clock of the fast and the default protocol, against the naive step times the paper's number of steps."""
    from superposition import held_out_loss, train

    features, m = SparseFeatures(n, probability), n // 4
    naive = best_times({"naive": naive_step(settled_model(n, m, probability), probability)}, 8)["naive"]
    print("| protocol | steps | held-out loss | below the paper's | faster than the naive loop | seconds |")
    print("|---|---|---|---|---|---|")
    runs = [("fast", TrainingConfig.fast().replace(n_steps=n_steps)) for n_steps in (350, 400)]
    runs += [("default", TrainingConfig(n_steps=n_steps)) for n_steps in (500, 1000, 2500)]
    for protocol, config in runs:
        start = time.perf_counter()
        run = train(Autoencoder(n, m), features, config, n_held_out=1)
        seconds = time.perf_counter() - start
        loss = held_out_loss(run.model, features, n_samples=100_000)
        reached, ratio = loss.value <= loss_to_reach, naive * naive_steps / seconds
        print(f"| {protocol} | {run.steps} | {loss} | {reached} | {ratio:.0f} | {seconds:.1f} |", flush=True)


def main() -> None:
    """Runs the benchmark that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("step", "grid", "protocol"))
    parser.add_argument("--sizes", nargs="+", default=["128x32", "512x128", "1024x256", "2048x512", "8192x2048"])
    parser.add_argument("--probabilities", nargs="+", type=float, default=[0.01, 0.045])
    parser.add_argument("--n-features", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=6)
    given = parser.parse_args()
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, batch {BATCH}\n")
    if given.what == "step":
        sizes = [tuple(map(int, size.split("x"))) for size in given.sizes]
        step_table(sizes, given.probabilities, given.rounds)
    elif given.what == "grid":
        grid_table(given.n_features or 128, given.rounds)
    else:
        protocol_table(given.n_features or 1024, 0.045, loss_to_reach=3.89e-3, naive_steps=11_600)


if __name__ == "__main__":
    main()
