"""config.tied is obeyed or refused by every engine, in either precision."""

import pytest

from superposition import Autoencoder, SparseFeatures, TrainingConfig, train
from superposition.training import Reconstruction, train_many


@pytest.mark.parametrize("shape", [(12, 3), (1024, 64)], ids=["dense", "over entries"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("engine", ["by hand", "many", "autograd"])
def test_every_engine_keeps_weights_tied_or_refuses(shape, precision, engine):
    features = SparseFeatures(shape[0], 0.05)
    config = TrainingConfig.fast().replace(n_steps=8, batch_size=32, precision=precision)
    if engine == "autograd" and precision == "bfloat16":
        with pytest.raises(ValueError, match="`precision` must be float32 for a model trained by autograd"):
            train(Autoencoder(*shape), features, config, objective=Reconstruction())
        return
    if engine == "many":
        runs = train_many([Autoencoder(*shape), Autoencoder(shape[0], 2)], features, config, n_held_out=10)
    else:
        objective = Reconstruction() if engine == "autograd" else None
        runs = [train(Autoencoder(*shape), features, config, objective=objective, n_held_out=10)]
    for run in runs:
        W_enc, W_dec = run.model.W_enc.detach(), run.model.W_dec.detach()
        moved = float((W_enc - Autoencoder(*W_enc.T.shape).W_enc.detach()).abs().max())
        assert moved > 0.01
        # Of many, Adam passes over one vector, and may round its parts otherwise: by some ulps of weights of order 1.
        assert float((W_enc.T - W_dec).abs().max()) <= (1e-5 if engine == "many" else 0.0)


def test_weights_that_are_not_tied_are_refused():
    with pytest.raises(ValueError, match=r"`model` must start with W_dec = W_enc\.T to be trained tied"):
        train(Autoencoder(12, 3, initialization="linear"), SparseFeatures(12, 0.1), TrainingConfig.fast())
