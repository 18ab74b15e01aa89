"""Losses of rugs over draws of their rows: what figures 2 and 15 read from rug cells."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np

from superposition.estimate import Estimate
from superposition.sweeps import RugCell, Store, StoredCell


def pooled_rugs(cells: Sequence[RugCell], store: Store) -> Iterator[tuple[StoredCell, Estimate, int]]:
    """Yields the first row set of each rug as stored, the loss over all of its row sets, and their number.

    Args:
        cells: Row sets of one rug one after the other.
        store: Which has them.
    """
    for _, row_sets in groupby(cells, key=lambda cell: replace(cell, seed=0)):
        stored = [store.get(cell) for cell in row_sets]
        yield stored[0], pooled([each.estimate("loss") for each in stored]), len(stored)


def pooled(losses: Sequence[Estimate]) -> Estimate:
    """Returns the mean over row sets; its error is that of the samples, or of the spread of row sets if larger.

    The spread has the samples in it too, but four values do not tell it well.
    """
    values, errors = (np.array([getattr(loss, name) for loss in losses]) for name in ("value", "standard_error"))
    among = values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else 0.0
    within = np.sqrt((errors**2).sum()) / len(values)
    return Estimate(float(values.mean()), float(max(among, within)), sum(loss.count for loss in losses))
