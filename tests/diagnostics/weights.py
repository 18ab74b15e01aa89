"""Models of given weights."""

import numpy as np
import torch

from superposition import Autoencoder


def autoencoder(W_enc, W_dec, b=None, dtype=torch.float64):
    """An autoencoder of these factors, in double precision."""
    model = Autoencoder(W_enc.shape[1], W_enc.shape[0]).to(dtype)
    b = np.zeros(W_enc.shape[1]) if b is None else b
    factors = {"W_enc": W_enc, "W_dec": W_dec, "b_dec": b}
    model.load_state_dict({name: torch.tensor(value, dtype=dtype) for name, value in factors.items()})
    return model


def of_matrix(W, b=None):
    """An autoencoder with this W, in as many dimensions as features."""
    return autoencoder(np.eye(len(W)), W, b)


def of_pairs(n_pairs, alpha=1.0, sign=-1.0, b=None):
    """Blocks [[1, sign·alpha], [sign/alpha, 1]], a dimension each."""
    encode, decode = np.array([[1.0, sign * alpha]]), np.array([[1.0], [sign / alpha]])
    return autoencoder(np.kron(np.eye(n_pairs), encode), np.kron(np.eye(n_pairs), decode), b)
