"""The pooling kernel: features of pixels summed over map cells, as one sparse-times-dense product.

    out[cell, channel] = sum over (pixel, bin) in the cell of  weight[pixel, bin] * feature[pixel, channel]

Consecutive bins of a ray that fall in one cell are a *run*; their weights are summed first, so the matrix (cells x
pixels) has one value a run. Pixels x bins x channels is never made, forward or backward.
"""

import warnings
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

with warnings.catch_warnings():  # torch warns once a process that its compressed sparse tensors are in beta
    warnings.simplefilter("ignore", UserWarning)
    torch.sparse_csr_tensor(torch.tensor([0, 0]), torch.tensor([], dtype=torch.int64), torch.tensor([]), (1, 1))


@dataclass(frozen=True, eq=False)
class CSRPattern:
    """Where the values of a sparse matrix (cells x pixels) lie, in both orders, so that no product transposes it.

    Attributes:
        cells: number of rows.
        pixels: number of columns.
        pixel_pointer: (pixels + 1,) int32; values of pixel p are pixel_pointer[p]:pixel_pointer[p + 1].
        cell: (values,) int32 row of each value, ordered by pixel.
        cell_pointer: (cells + 1,) int32.
        pixel: (values,) int32 column of each value, ordered by cell.
        order: (values,) int64 that takes values from the order by pixel to the order by cell.
    """

    cells: int
    pixels: int
    pixel_pointer: Tensor
    cell: Tensor
    cell_pointer: Tensor
    pixel: Tensor
    order: Tensor

    @classmethod
    def from_entries(cls, pixel: Tensor, cell: Tensor, pixels: int, cells: int) -> "CSRPattern":
        """Return the pattern of values ordered by pixel.

        Args:
            pixel: (values,) integer column of each value, rising.
            cell: (values,) integer row of each value.
            pixels: number of columns.
            cells: number of rows.

        Raises:
            ValueError: more than 32-bit indices can hold.
        """
        if max(cells, pixels, len(cell)) >= 2**31:
            raise ValueError(f"{cells} cells x {pixels} pixels with {len(cell)} values; lift fewer cameras at once")
        cell = cell.int()
        by_cell, order = cell.sort(stable=True)
        return cls(cells, pixels, _pointer(pixel, pixels), cell, _pointer(by_cell, cells), pixel.int()[order], order)

    @property
    def nbytes(self) -> int:
        """Bytes that the indices hold."""
        return sum(t.nbytes for t in (self.pixel_pointer, self.cell, self.cell_pointer, self.pixel, self.order))

    def matrix(self, values: Tensor) -> Tensor:
        """Return (cells, pixels) compressed sparse rows.

        Args:
            values: (values,) ordered by pixel.
        """
        return torch.sparse_csr_tensor(self.cell_pointer, self.pixel, values[self.order], (self.cells, self.pixels))

    def transposed(self, values: Tensor) -> Tensor:
        """Return (pixels, cells) compressed sparse rows.

        Args:
            values: (values,) ordered by pixel.
        """
        return torch.sparse_csr_tensor(self.pixel_pointer, self.cell, values, (self.pixels, self.cells))


@dataclass(frozen=True, eq=False)
class PoolingPlan:
    """The plan of a pooling: how weights (pixels x bins) become values of a sparse matrix.

    Attributes:
        bins: number of bins.
        offsets: (all runs + 1,) int64 into the flat weights; runs that fall nowhere are among them.
        kept: (values,) int64 which runs have a cell.
        pattern: their cells.
    """

    bins: int
    offsets: Tensor
    kept: Tensor
    pattern: CSRPattern

    @property
    def nbytes(self) -> int:
        """Bytes that the indices hold."""
        return self.pattern.nbytes + self.offsets.nbytes + self.kept.nbytes

    @classmethod
    def from_cells(cls, index: Tensor, cells: int) -> "PoolingPlan":
        """Return the plan for the cells that nodes fall in.

        Args:
            index: (pixels, bins) int32 flat cell index of each node, -1 for nowhere.
            cells: number of cells.
        """
        pixels, bins = index.shape
        begins = torch.ones_like(index, dtype=torch.bool)
        torch.ne(index[:, 1:], index[:, :-1], out=begins[:, 1:])
        offsets = begins.reshape(-1).nonzero()[:, 0]
        cell = index.reshape(-1)[offsets]
        kept = (cell >= 0).nonzero()[:, 0]
        pattern = CSRPattern.from_entries(offsets[kept] // bins, cell[kept], pixels, cells)
        return cls(bins, torch.cat([offsets, offsets.new_tensor([pixels * bins])]), kept, pattern)


def pool_features(weights: Tensor, features: Tensor, plan: PoolingPlan) -> tuple[Tensor, Tensor]:
    """Sum weighted features over cells, and the weights themselves.

    Args:
        weights: (pixels, bins) depth weights.
        features: (pixels, channels).
        plan: which cells they go to.

    Returns:
        (cells, channels) features and (cells,) weight, with gradients to both inputs; float32 for half-precision
        inputs, else the wider type of the two.

    Raises:
        ValueError: shapes that are not the plan's.
    """
    pixels = plan.pattern.pixels
    if weights.shape != (pixels, plan.bins) or features.ndim != 2 or len(features) != pixels:
        raise ValueError(
            f"weights {tuple(weights.shape)} and features {tuple(features.shape)} do not fit a plan of {pixels} pixels "
            f"x {plan.bins} bins; make the plan for this feature map and these bins"
        )
    weights, features = _common_dtype(weights, features)
    with torch.autocast(features.device.type, enabled=False):
        pooled, weight = cast(Any, _Pool).apply(weights, features, plan)
    return pooled, weight


def weighted_sum(values: Tensor, features: Tensor, pattern: CSRPattern) -> Tensor:
    """Return (cells, channels) sums of features with fixed weights, with gradients to the features.

    Args:
        values: (values,) weights, ordered by pixel.
        features: (pixels, channels).
        pattern: which pixel and cell each value is of.
    """
    _, features = _common_dtype(features, features)
    with torch.autocast(features.device.type, enabled=False):
        summed: Tensor = cast(Any, _WeightedSum).apply(values.to(features.dtype), features, pattern)
    return summed


class _Pool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weights: Tensor, features: Tensor, plan: PoolingPlan) -> tuple[Tensor, Tensor]:
        sums = torch.segment_reduce(weights.contiguous().reshape(-1), "sum", offsets=plan.offsets, unsafe=True)
        values = sums[plan.kept]
        features = features.contiguous()
        ctx.save_for_backward(values, features)
        ctx.set_materialize_grads(False)
        ctx.plan = plan
        matrix = plan.pattern.matrix(values)
        # one column, not a vector: without MKL torch has sparse times matrix only
        return matrix @ features, (matrix @ features.new_ones(len(features), 1))[:, 0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, pooled: Tensor | None, weight: Tensor | None) -> tuple[Tensor | None, Tensor | None, None]:
        """From the gradients of both outputs; None for one that nobody used."""
        with torch.autocast(ctx.saved_tensors[0].device.type, enabled=False):  # backward may be called under autocast
            return _pool_gradients(ctx, pooled, weight)


class _WeightedSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, features: Tensor, pattern: CSRPattern) -> Tensor:
        ctx.save_for_backward(values)
        ctx.pattern = pattern
        return pattern.matrix(values) @ features.contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, None]:
        (values,) = ctx.saved_tensors
        with torch.autocast(values.device.type, enabled=False):
            return None, ctx.pattern.transposed(values) @ gradient.contiguous(), None


def _pool_gradients(
    ctx: Any, pooled: Tensor | None, weight: Tensor | None
) -> tuple[Tensor | None, Tensor | None, None]:
    values, features = ctx.saved_tensors
    plan: PoolingPlan = ctx.plan
    pooled = None if pooled is None else pooled.contiguous()
    to_weights = to_features = None
    if ctx.needs_input_grad[0]:
        of_values = torch.zeros_like(values)
        if pooled is not None:
            # a run's value has the gradient <gradient of its cell, feature of its pixel>: only these are computed
            products = plan.pattern.transposed(of_values)
            of_values = torch.sparse.sampled_addmm(products, features, pooled.t(), beta=0.0).values()
        if weight is not None:
            of_values = of_values + weight[plan.pattern.cell]
        of_runs = values.new_zeros(len(plan.offsets) - 1).index_copy_(0, plan.kept, of_values)
        size = plan.pattern.pixels * plan.bins
        to_weights = of_runs.repeat_interleave(plan.offsets.diff(), output_size=size).reshape(-1, plan.bins)
    if ctx.needs_input_grad[1] and pooled is not None:
        to_features = plan.pattern.transposed(values) @ pooled
    return to_weights, to_features, None


def _pointer(sorted_index: Tensor, size: int) -> Tensor:
    """(size + 1,) int32: where each index begins among sorted ones."""
    pointer = torch.zeros(size + 1, dtype=torch.int64, device=sorted_index.device)
    torch.cumsum(torch.bincount(sorted_index, minlength=size), 0, out=pointer[1:])
    return pointer.int()


def _common_dtype(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Sparse products exist for float32 and float64."""
    dtype = torch.promote_types(torch.promote_types(a.dtype, b.dtype), torch.float32)
    return a.to(dtype), b.to(dtype)
