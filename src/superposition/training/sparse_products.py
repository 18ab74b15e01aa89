"""Products of a sparse matrix with a dense table over the sparse matrix's entries alone."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy.sparse
import torch
from jaxtyping import Float, Int
from torch import Tensor

# What of a table is read at a time, so that it stays in a core's own cache: of rows, and of columns, which lie apart.
_CACHE_BYTES = 2**21
_COLUMN_BYTES = 2**19
# What of a result is made at a time.
_RESULT_BYTES = 2**22
# Bytes that each value read from a block of the table has to stand for, to pay for adding up one row more.
_WORTH_A_BLOCK = 24


@dataclass(frozen=True)
class SparseRows:
    """A sparse matrix on the processor, its entries in order of rows.

    Attributes:
        columns: Column of each entry.
        values: Value of each entry.
        starts: Place of each row's first entry, and at last the number of entries.
        n_columns: Number of columns.
    """

    columns: Int[Tensor, " entries"]
    values: Float[Tensor, " entries"]
    starts: Int[Tensor, " rows_and_one"]
    n_columns: int

    @classmethod
    def of(cls, positions: Int[Tensor, " entries"], values: Float[Tensor, " entries"], shape: tuple[int, int]) -> Self:
        """Returns the matrix with entries at increasing flat positions row · n_columns + column."""
        n_rows, n_columns = shape
        starts = torch.searchsorted(positions, torch.arange(n_rows + 1) * n_columns, out_int32=True)
        return cls((positions % n_columns).int(), values, starts, n_columns)

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.starts) - 1

    def transposed(self) -> "SparseRows":
        """Returns the transpose, again in order of rows."""
        arrays = (self.values.numpy(), self.columns.numpy(), self.starts.numpy())
        turned = scipy.sparse.csr_array(arrays, shape=(self.n_rows, self.n_columns)).tocsc()
        columns, values, starts = (torch.from_numpy(array) for array in (turned.indices, turned.data, turned.indptr))
        return SparseRows(columns.int(), values, starts.int(), self.n_rows)

    def row_sums(self) -> Float[Tensor, " rows"]:
        """Returns the sum of each row."""
        return torch.segment_reduce(self.values, "sum", offsets=self.starts.long(), initial=0)

    def times(
        self, table: Float[Tensor, "columns width"], out: Float[Tensor, "rows width"]
    ) -> Float[Tensor, "rows width"]:
        """Writes the product with a table to `out`, reading cache-sized parts of the table one after another.

        The values are rounded to the table's precision; what is written keeps that of `out`.
        """
        size = table.element_size()
        height = max(1, _CACHE_BYTES // (size * table.shape[1]))
        if len(table) <= height:
            return self._gather(table, out)
        if self.n_rows <= self.n_columns:
            pays = size * len(self.columns) >= _WORTH_A_BLOCK * self.n_rows * self.n_columns / height
            return self._times_blocks(table, height, out) if pays else self._gather(table, out)
        width = max(64, _COLUMN_BYTES // (size * len(table)))
        for part, result in zip(torch.split(table, width, dim=1), torch.split(out, width, dim=1), strict=True):
            self._gather(part.contiguous(), result)
        return out

    def _times_blocks(self, table: Tensor, height: int, out: Tensor) -> Tensor:
        """Adds up the products with blocks of so many of the table's rows."""
        out.zero_()
        n_blocks = -(-self.n_columns // height)
        columns = self.columns.numpy()
        block = (columns // height).astype(np.uint16)
        order = np.argsort(block, kind="stable")
        row = np.repeat(np.arange(self.n_rows), np.diff(self.starts.numpy()))
        counts = np.bincount(block.astype(np.int64) * self.n_rows + row, minlength=n_blocks * self.n_rows)
        starts = torch.from_numpy(np.concatenate([[0], counts.cumsum()]).astype(np.int32))
        within, values = torch.from_numpy((columns % height)[order]), self.values[torch.from_numpy(order)]
        for index, rows_of_table in enumerate(torch.split(table, height)):
            here = starts[index * self.n_rows : (index + 1) * self.n_rows + 1]
            SparseRows(within, values, here, height)._gather(rows_of_table, out, add=True)
        return out

    def _gather(self, table: Tensor, out: Tensor, *, add: bool = False) -> Tensor:
        """Writes or adds Σ value · table[column] over the entries of each row to `out`.

        Some rows at a time: a small result is still in the cache when it is copied, and is no fresh memory.
        """
        height = max(1, _RESULT_BYTES // (table.element_size() * table.shape[1]))
        for at, result in enumerate(torch.split(out, height)):
            starts = self.starts[at * height : at * height + len(result) + 1]
            first, last = int(starts[0]), int(starts[-1])
            sums = torch.nn.functional.embedding_bag(
                self.columns[first:last],
                table,
                starts - first,
                mode="sum",
                per_sample_weights=self.values[first:last].to(table.dtype),
                include_last_offset=True,
            )
            result.add_(sums) if add else result.copy_(sums)
        return out
