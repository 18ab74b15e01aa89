"""Every public function of the other rooms at hostile arguments: `python -m tests.hostile.library ROOM`."""

import copy
import dataclasses
import json
import sys

import numpy as np
import torch

import superposition as sp
from superposition import compression, decoders, diagnostics, models, training
from superposition.features import JoinedFeatures, register_law
from superposition.features.exactly_sparse import sparse_vectors
from superposition.models.encoders import DenseEncoder
from superposition.models.frames import projection_root
from superposition.training import learn_dictionary, learn_dictionary_by_sklearn, match_columns
from tests.hostile.arguments import JUNK, NAN, tensors
from tests.hostile.attempts import dishonest, faults

FEATURES = sp.SparseFeatures(8, 0.2)
RUG = sp.PersianRug.draw(8, 4)
W = torch.nn.functional.normalize(torch.randn(4, 8, generator=torch.Generator().manual_seed(0)), dim=0)
HIDDEN = torch.rand(3, 4, generator=torch.Generator().manual_seed(1))
# Of which nothing, everything, too much or too little is to be learnt.
STRANGE = (
    *JUNK[:9],
    sp.SparseFeatures(7, 0.1),
    sp.SparseFeatures(8, 1e-300),
    sp.SparseFeatures(8, 1.0, sp.Constant()),
    *(sp.SparseFeatures(8, 0.1, sp.Constant(value)) for value in (1e-100, 1e-12, 1e12, 1e30, 1e100)),
    sp.SparseFeatures(8, 0.1, importance=1e300),
    sp.SparseFeatures(8, np.array([0.1] * 7 + [1.0])),
    models.HiddenActivations(torch.eye(8), sp.SparseFeatures(8, 0.1)),
    JoinedFeatures(sp.SparseFeatures(4, 0.1), sp.SparseFeatures(4, 1e-300, sp.Constant(1e30), importance=1e200)),
    JoinedFeatures(models.HiddenActivations(torch.eye(4), sp.SparseFeatures(4, 0.1)), sp.SparseFeatures(4, 1.0)),
)
DECODERS = (
    *(
        decoders.Elementwise(activation)
        for activation in (
            *(models.ReLU(), models.JumpReLU(threshold=0.1), models.Gated(), models.TRec(), models.NoActivation()),
            *(models.TopK(2), models.BatchTopK(2)),
        )
    ),
    decoders.Bayes(),
    decoders.ThresholdLeastSquares(2, rounds=5),
    decoders.OMP(k=2),
    decoders.BasisPursuit(),
    decoders.BasisPursuit(nonnegative=False),
    decoders.OAMP(n_steps=10),
    decoders.OAMP(n_steps=10, noise_variance=None),
    decoders.AMP(n_steps=10, damping=0.5),
)


def _model(change=None, **arguments):
    model = sp.Autoencoder(8, 4, **arguments)
    if change is not None:
        with torch.no_grad():
            change(model)
    return model


MODELS = (
    *JUNK,
    _model(lambda model: model.W_enc[0, 0].fill_(NAN)),
    _model(lambda model: model.b_dec[0].fill_(float("inf"))),
    _model(lambda model: model.W_enc.mul_(1e30)),
    _model(lambda model: model.W_enc.zero_()),
    _model().bfloat16(),
    _model().double(),
    RUG,
    sp.LinearAutoencoder.fit(FEATURES, 4),
)


REGISTERED = {
    "register_model": sp.Autoencoder, "register_activation": models.ReLU, "register_law": sp.Uniform
}  # fmt: skip


def decoding():
    sizes = [HIDDEN * size for size in (1e10, 1e18, 1e19, 1e25, 1e30, 3e38)]
    for decoder in DECODERS:
        for place, encoder in (("dense", W), ("rug", RUG)):
            good = {"hidden": HIDDEN, "W_enc": encoder, "features": FEATURES}
            hostile = {"hidden": (*tensors(3, 4), *sizes, *JUNK[:3])}
            if place == "dense":
                hostile |= {"W_enc": (*tensors(4, 8), *JUNK[:6], torch.ones(4, 8)), "features": STRANGE}
            yield f"{decoder.name} {place}", decoder, good, hostile, dishonest


def configurations():
    number, floats = {"scale": JUNK, "bias": JUNK}, (*tensors(8, 4), *JUNK[1:6])
    passing = dict.fromkeys(("n_steps", "damping", "tolerance", "noise_variance"), JUNK)
    for kind, good, hostile in (
        (decoders.Elementwise, {"activation": models.ReLU()}, {"activation": JUNK, **number, "W_dec": floats}),
        (models.JumpReLU, {}, {"n_features": JUNK[1:], "bandwidth": JUNK, "threshold": JUNK}),
        (models.Gated, {}, {"n_features": JUNK[1:], "bandwidth": JUNK, "gate_bias": JUNK}),
        (models.TRec, {}, {"bandwidth": JUNK}),
        (models.TopK, {}, {"k": JUNK}),
        (models.BatchTopK, {}, {"k": JUNK}),
        (decoders.Bayes, {}, {"noise_variance": JUNK}),
        (decoders.OracleSupport, {}, {"active": (*tensors(2, 8), *JUNK), "noise_variance": JUNK}),
        (decoders.ThresholdLeastSquares, {"k": 2}, {"k": JUNK, "rounds": JUNK, **number, "W_dec": floats}),
        (decoders.OMP, {}, {"k": JUNK, "tolerance": JUNK}),
        (decoders.BasisPursuit, {}, {"nonnegative": JUNK, "tolerance": JUNK}),
        (decoders.AMP, {}, passing),
        (decoders.OAMP, {}, passing),
        (sp.TrainingConfig, {}, dict.fromkeys(sp.TrainingConfig.__dataclass_fields__, JUNK)),
        (sp.TrainingConfig.named, {"protocol": "fast"}, {"protocol": JUNK}),
    ):
        yield kind.__qualname__, kind, good, hostile


def fitting():
    encoders, common = (*tensors(4, 8), *JUNK), {"seed": JUNK, "noise_variance": (*JUNK, 1e30, 1e300)}
    good = {"decoder": decoders.Elementwise(models.ReLU()), "encoder": W, "features": FEATURES, "n_samples": 8}
    hostile = {
        "decoder": (*JUNK, *DECODERS, decoders.Elementwise(models.TopK())),
        "encoder": encoders,
        "features": STRANGE,
        **common,
    }
    yield "fit_decoder", decoders.fit_decoder, good, {**hostile, "n_samples": JUNK[:18]}
    yield "decoder_named", decoders.decoder_named, {"name": "lemma1", "k": 2}, {"name": JUNK, "k": JUNK}
    yield "decoder_named amp", decoders.decoder_named, {"name": "amp", "k": 2}, {"noise_variance": JUNK}
    good = {"encoder": W, "features": FEATURES, "decoders": [decoders.Elementwise(models.ReLU())], "n_samples": 4}
    hostile = {"encoder": encoders, "features": STRANGE, "decoders": JUNK, "seconds": JUNK, **common}
    yield "compare_decoders", decoders.compare_decoders, good, {**hostile, "n_samples": JUNK[:17]}


def features():
    generator = torch.Generator().manual_seed(0)
    words = {"probability": JUNK, "law": JUNK, "importance": JUNK}
    yield "features_of", sp.features.features_of, {"n_features": 4, "probability": 0.1}, {"n_features": JUNK, **words}
    yield "law_of", sp.features.law_of, {"word": "uniform"}, {"word": JUNK}
    yield "Estimate", sp.Estimate, {"value": 1.0, "standard_error": 0.1, "count": 3}, {
        "value": JUNK, "standard_error": JUNK, "count": JUNK}  # fmt: skip
    yield "Estimate.from_sums", sp.Estimate.from_sums, {"total": 1.0, "total_of_squares": 2.0, "count": 3}, {
        "total": (*JUNK, 1e300), "total_of_squares": (*JUNK, 1e300), "count": JUNK}  # fmt: skip
    yield "Estimate.from_config", sp.Estimate.from_config, {"config": sp.Estimate(1.0, 0.1, 3).to_config()}, {
        "config": (*JUNK, {"value": "x", "standard_error": 1, "count": 1})}  # fmt: skip
    for law in (sp.Uniform(), sp.Constant(), sp.Exponential(), sp.HalfNormal(), sp.Beta(1, 2), sp.Empirical([1, 2])):
        fields = {field.name: getattr(law, field.name) for field in dataclasses.fields(law)}
        yield type(law).__name__, type(law), fields, dict.fromkeys(fields, JUNK)
        yield f"{type(law).__name__}.draw", law.draw, {"n": 2, "generator": generator, "dtype": torch.float32}, {
            "n": JUNK[:18], "generator": JUNK, "dtype": (*JUNK, torch.float16, torch.long)}  # fmt: skip
        yield f"{type(law).__name__}.nodes", law.nodes, {"kink": 0.3, "width": 0.1}, {"kink": JUNK, "width": JUNK}
    yield "SparseFeatures", sp.SparseFeatures, {"n_features": 2, "probability": 0.1}, {
        "n_features": JUNK, "probability": JUNK, "law": JUNK, "importance": JUNK}  # fmt: skip
    yield "SparseFeatures.from_config", sp.SparseFeatures.from_config, {"config": FEATURES.to_config()}, {
        "config": JUNK}  # fmt: skip
    for size in (1e-100, 1e-12, 1.0, 1e12, 1e100):
        strange = sp.SparseFeatures(4, 0.5, sp.Constant(size))
        yield f"sample {size}", strange.sample, {"n_samples": 2, "generator": generator}, {
            "n_samples": JUNK[:18], "generator": JUNK,
            "dtype": (*JUNK, torch.float16, torch.bfloat16, torch.float64, torch.long)}, _finite  # fmt: skip


def _finite(batch):
    return None if bool(torch.isfinite(batch).all()) else "the batch is not finite"


def weights():
    yield "Autoencoder", sp.Autoencoder, {"n_features": 4, "n_hidden": 2}, {
        "n_features": JUNK, "n_hidden": JUNK, "seed": JUNK, "initialization": JUNK,
        "activation": (*JUNK[1:], torch.nn.ReLU(), models.JumpReLU(3)), "hidden_noise": JUNK}  # fmt: skip
    plain = {"W_enc": torch.rand(2, 4), "W_dec": torch.rand(4, 2), "b_dec": torch.rand(4)}
    yield "Autoencoder.from_model", sp.Autoencoder.from_model, {"model": RUG}, {"model": JUNK}
    yield "LinearAutoencoder", sp.LinearAutoencoder, plain, {
        **{name: (*tensors(*tensor.shape), *JUNK) for name, tensor in plain.items()}, "hidden_noise": JUNK
    }  # fmt: skip
    sizes = {"features": STRANGE, "n_hidden": JUNK}
    yield "LinearAutoencoder.fit", sp.LinearAutoencoder.fit, {"features": FEATURES, "n_hidden": 2}, sizes
    yield "PersianRug.fit", sp.PersianRug.fit, {"features": FEATURES, "n_hidden": 4}, {**sizes, "seed": JUNK}
    yield "PersianRug", sp.PersianRug, {"n_features": 8, "rows": torch.arange(4)}, {
        "n_features": JUNK, "rows": (*tensors(4), *JUNK, torch.tensor([0, 0]), torch.tensor([9]), torch.tensor([-1])),
        "scale": JUNK, "bias": JUNK}  # fmt: skip
    drawn = {"n_features": JUNK, "n_hidden": JUNK, "seed": JUNK}
    yield "PersianRug.draw", sp.PersianRug.draw, {"n_features": 8, "n_hidden": 4}, {**drawn, "hidden_noise": JUNK}
    for kind in ("gaussian", "harmonic"):
        make = getattr(DenseEncoder, kind)
        yield f"DenseEncoder.{kind}", make, {"n_features": 8, "n_hidden": 4}, {**drawn, "dtype": JUNK}
    yield (
        "encoder_named",
        models.encoder_named,
        {"name": "rug", "n_features": 8, "n_hidden": 4},
        {"name": JUNK, **drawn},
    )
    yield "activation_named", models.activation_named, {"kind": "topk", "setting": 2}, {
        "kind": JUNK, "setting": JUNK, "n_features": JUNK}  # fmt: skip
    yield "activation_named jumprelu", models.activation_named, {"kind": "jumprelu"}, {
        "setting": JUNK, "n_features": JUNK}  # fmt: skip
    for register in (models.register_model, models.register_activation, register_law):
        yield register.__name__, register, {"kind": REGISTERED[register.__name__]}, {"kind": (*JUNK, torch.nn.Linear)}
    yield "encoder_of", models.encoder_of, {"source": W}, {"source": (*tensors(4, 8), *JUNK)}
    yield "DenseEncoder", DenseEncoder, {"W_enc": W}, {"W_enc": (*tensors(4, 8), *JUNK)}
    yield "hadamard_transform", sp.hadamard_transform, {"x": torch.rand(8)}, {"x": (*tensors(8), *JUNK)}
    yield "paired_frame", models.paired_frame, {"n_features": 16, "n_hidden": 4, "coherence": 0.5}, {
        "n_features": JUNK, "n_hidden": JUNK, "coherence": JUNK, "variance": JUNK[1:], "seed": JUNK}  # fmt: skip
    yield "factorise", models.factorise, {"W": torch.ones(8, 8), "n_hidden": 2}, {
        "W": (*tensors(8, 8), *JUNK), "n_hidden": JUNK}  # fmt: skip
    yield "hadamard_orders", models.hadamard_orders, {"most": 40}, {"most": JUNK}
    yield "realise", models.realise, {"allocation": sp.theory.allocate(FEATURES, 4), "features": FEATURES}, {
        "allocation": JUNK, "features": STRANGE, "hidden_noise": JUNK[1:], "seed": JUNK}  # fmt: skip
    yield "projection_root", projection_root, {"capacity": [0.5, 0.5]}, {"capacity": JUNK, "seed": JUNK}
    for model in (_model(), RUG, MODELS[-1]):
        yield f"{type(model).__name__}.forward", model.forward, {"x": torch.rand(3, 8)}, {"x": (*tensors(3, 8), *JUNK)}


def recovery():
    encoders = (*tensors(4, 8), *JUNK)
    yield "coherence", diagnostics.coherence, {"encoder": W}, {"encoder": encoders}
    yield "restricted_isometry", diagnostics.restricted_isometry, {"encoder": W, "k": 2}, {
        "encoder": encoders, "k": JUNK, "n_samples": JUNK, "seed": JUNK}  # fmt: skip
    yield "sparse_vectors", sparse_vectors, {"n_features": 10, "k": 2, "n_samples": 3}, {
        "n_features": JUNK, "k": JUNK, "n_samples": JUNK, "seed": JUNK, "lowest": JUNK,
        "dtype": (*JUNK, torch.float16, torch.long)}  # fmt: skip
    for model in (_model(), RUG):
        yield f"recover {type(model).__name__}", decoders.recover, {"model": model, "y": HIDDEN, "k": 2}, {
            "model": MODELS, "y": (*tensors(3, 4), *JUNK), "k": JUNK, "rounds": JUNK}  # fmt: skip


def measuring():
    of_model, common = {"model": MODELS, "features": STRANGE}, {"n_samples": JUNK[:17], "seed": JUNK}
    good = {"model": _model(), "features": FEATURES}
    yield "held_out_loss", diagnostics.held_out_loss, {**good, "n_samples": 4}, {**of_model, **common}
    split = {**of_model, **common, "interference": JUNK[1:]}
    yield "loss_split", diagnostics.loss_split, {**good, "n_samples": 4}, split
    yield "interference", diagnostics.interference, good, of_model
    yield "berry_esseen", diagnostics.berry_esseen, good, of_model
    yield "third_absolute_moment", diagnostics.third_absolute_moment, {"features": FEATURES}, {"features": STRANGE}
    yield "symmetry", diagnostics.symmetry, good, of_model
    yield "can_split_loss", diagnostics.can_split_loss, {"model": good["model"]}, {"model": JUNK}
    yield "spectrum", diagnostics.spectrum, {"model": good["model"]}, {"model": MODELS}
    yield "cumulants", diagnostics.cumulants, {"features": FEATURES}, {"features": STRANGE}
    yield "predicted_symmetry", diagnostics.predicted_symmetry, {"features": FEATURES, "n_hidden": 4}, {
        "features": STRANGE, "n_hidden": JUNK}  # fmt: skip
    bare = {"W": torch.rand(8, 8), "b_dec": torch.rand(8), "features": FEATURES}
    yield "symmetry_of_weights", diagnostics.symmetry_of_weights, bare, {
        "W": (*tensors(8, 8), *JUNK), "b_dec": (*tensors(8), *JUNK), "features": STRANGE}  # fmt: skip
    yield "Spread.of", diagnostics.Spread.of, {"values": [1.0, 2.0]}, {"values": JUNK}


def learning():
    steps, counts = sp.TrainingConfig(n_steps=3, batch_size=4), {"seed": JUNK, "n_held_out": JUNK[:17]}
    configs = (*JUNK[1:], steps.replace(learning_rate=1e30), steps.replace(precision="bfloat16"))

    def train(model=None, **arguments):
        return training.train(_model() if model is None else copy.deepcopy(model), **arguments)

    good = {"features": FEATURES, "config": steps, "n_held_out": 4}
    models_ = (*JUNK[1:], MODELS[-1], RUG)
    yield "train", train, good, {
        "model": models_, "features": STRANGE, "config": configs, "objective": JUNK[1:], **counts}  # fmt: skip
    yield "Reconstruction", training.Reconstruction, {"sparsity": 0.1}, {"sparsity": JUNK, "weight_decay": JUNK}
    yield "train_many", training.train_many, {**good, "models": [_model()]}, {
        "models": (*JUNK, [RUG], [_model(), _model().double()]), "features": STRANGE, "config": configs[:20], **counts,
    }  # fmt: skip
    short = steps.replace(warm_up=0.0, cooldown=0.5)
    yield "train_lengths", training.train_lengths, {
        "model": _model(), "features": FEATURES, "config": short, "lengths": [2, 4], "n_held_out": 2}, {
        "model": models_, "features": STRANGE, "config": configs, "lengths": (*JUNK, [3, 3]), **counts}  # fmt: skip
    yield "growth_rate", training.growth_rate, {
        "model": _model(), "features": FEATURES, "n_samples": 2048, "n_iterations": 2}, {
        "model": models_, "features": STRANGE, "config": configs[:20], "n_iterations": JUNK[:17]}  # fmt: skip
    yield "fit_rug", training.fit_rug, {"features": FEATURES, "n_hidden": 9}, {
        "features": STRANGE, "n_hidden": (*JUNK, 0, 9), "n_models": JUNK, "n_held_out": JUNK}  # fmt: skip
    yield "Curve.of", training.Curve.of, {"losses": torch.rand(3)}, {"losses": JUNK, "window": JUNK}
    yield "learn_dictionary", learn_dictionary, {
        "encoder": W, "features": FEATURES, "config": sp.TrainingConfig(n_steps=1), "n_held_out": 2}, {
        "encoder": (*tensors(4, 8), *JUNK), "features": STRANGE, "n_atoms": JUNK, "penalty": JUNK,
        "config": configs[:20], "seed": JUNK, "n_held_out": JUNK[:17]}  # fmt: skip
    yield "learn_dictionary_by_sklearn", learn_dictionary_by_sklearn, {
        "encoder": W, "features": FEATURES, "n_samples": 20, "max_iter": 1}, {
        "encoder": (*tensors(4, 8), *JUNK), "features": STRANGE, "penalty": JUNK, "n_samples": JUNK[:17],
        "max_iter": JUNK[:17], "seed": JUNK}  # fmt: skip
    yield "match_columns", match_columns, {"planted": W, "found": W}, {
        "planted": (*tensors(4, 8), *JUNK), "found": (*tensors(4, 8), *JUNK)}  # fmt: skip


def compressing():
    pair, few = compression.QuantizedPair(3, 0.1), sp.TrainingConfig(n_steps=1, batch_size=2)
    nested, network, dense = compression.NestedScheme(4, 2, pair), pair.to_network(), sp.SparseFeatures(2, 1.0)
    yield "QuantizedPair", compression.QuantizedPair, {"levels": 3, "ramp": 0.1}, {
        "levels": JUNK, "ramp": (*JUNK, 1e-300), "units": JUNK, "alignment": JUNK}  # fmt: skip
    yield "QuantizedPair.encode", pair.encode, {"x": 0.1, "y": 0.2}, {"x": JUNK, "y": JUNK}
    yield "QuantizedPair.decode", pair.decode, {"t": 0.1}, {"t": JUNK}
    yield "QuantizedPair.to_network", pair.to_network, {}, {"construction": JUNK}
    yield "best_levels", compression.best_levels, {"ramp": 0.1}, {
        "ramp": (*JUNK, 1e-300, 1e-6), "units": JUNK, "alignment": JUNK}  # fmt: skip
    yield "NestedScheme", compression.NestedScheme, {"n_features": 4, "n_hidden": 2, "pair": pair}, {
        "n_features": JUNK, "n_hidden": JUNK, "pair": JUNK}  # fmt: skip
    yield "NestedScheme.encode", nested.encode, {"x": [0.1] * 4}, {"x": JUNK}
    yield "NestedScheme.decode", nested.decode, {"codes": [0.1] * 2}, {"codes": JUNK}
    yield "NestedScheme.sampled_loss", nested.sampled_loss, {"n_samples": 4}, {"n_samples": JUNK[:17], "seed": JUNK}
    words = {"precision": JUNK, "place": JUNK, "n_samples": JUNK[:17], "seed": JUNK}
    good = {"precision": "float32", "n_samples": 4}
    yield "loss_at_precision", compression.loss_at_precision, {**good, "scheme": nested}, {"scheme": JUNK, **words}
    yield "best_at_precision", compression.best_at_precision, {
        **good, "n_features": 2, "n_hidden": 1, "levels": 3}, {
        "n_features": JUNK, "n_hidden": JUNK, "levels": JUNK, **words}  # fmt: skip
    yield "levels_carried", compression.levels_carried, {"precision": "float16", "levels": (2, 3)}, {"levels": JUNK}
    yield "sparse_construction", compression.sparse_construction, {
        "features": FEATURES, "n_hidden": 2, "n_neurons": 10}, {
        "features": STRANGE, "n_hidden": JUNK, "n_neurons": JUNK}  # fmt: skip
    yield "learn", compression.learn, {
        "features": dense, "encoder": (2, 3, 1), "decoder": (1, 3, 2), "n_runs": 2, "config": few, "n_held_out": 2}, {
        "features": STRANGE, "encoder": JUNK, "decoder": JUNK, "n_runs": JUNK[:17], "config": JUNK[1:], "seed": JUNK,
    }  # fmt: skip
    yield "learn_from", compression.learn_from, {
        "networks": [network], "features": dense, "config": few, "n_held_out": 2}, {
        "networks": JUNK, "features": STRANGE, "config": JUNK[1:], "n_held_out": JUNK[:17], "seed": JUNK}  # fmt: skip
    yield "inspect", compression.inspect, {"network": network}, {"network": JUNK}
    yield "CompressionNetwork", compression.CompressionNetwork, {
        "encoder": network.encoder, "decoder": network.decoder}, {"encoder": JUNK, "decoder": JUNK}  # fmt: skip
    yield "CompressionNetwork.forward", network.forward, {"x": torch.rand(3, 2)}, {"x": (*tensors(3, 2), *JUNK)}
    layers = {"first": [(torch.rand(1, 2), torch.rand(1))], "second": [(torch.rand(2, 1), torch.rand(2))]}

    def from_layers(first, second):
        return compression.CompressionNetwork.from_layers(first, second)

    yield "CompressionNetwork.from_layers", from_layers, layers, {"first": JUNK, "second": JUNK}


ROOMS = {
    room.__name__: room
    for room in (decoding, configurations, fitting, features, weights, recovery, measuring, learning, compressing)
}


def main(room):
    """Prints what was tried and found of each function, as JSON."""
    found = {}
    for name, function, good, hostile, *fault_of in ROOMS[room]():
        found[name] = faults(function, good, hostile, **dict(zip(("fault_of",), fault_of, strict=False)))
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
