"""A synapse of a graph in torch: the same map, with weights that learn where it has an array.

    y = (W_q << exponent) x,      W_q = clip(round(top w), -top, top)

w is the parameter, a share of the largest integer. Sums are exact: in float32 where all of them
stay below 2^24, else in float64. Of a matrix that is mostly zeros the zeros are no connections, and
stay.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...core.fixed_point import WEIGHT_BITS, signed
from ...core.graph import Conv2d, Dense, OneToOne, Pointwise
from ...core.synapse import Shape, Synapse
from ..kernels.neuron import EXACT
from ..kernels.stepping import rounded

TOP = signed(WEIGHT_BITS)[1]  # wider where the graph is
EMPTY = 0.5  # a matrix with more zeros than that has no connections there


class Held(nn.Module):
    """From a source of one shape to a target of another."""

    def __init__(self, synapse: Synapse, source: Shape, target: Shape):
        super().__init__()
        self.synapse, self.source, self.target = synapse, source, target
        weight = synapse.integers()
        self.top = max(TOP, int(np.abs(weight).max(initial=0)))
        self.learns = weight.ndim > 0 and weight.size > 0
        start = torch.from_numpy(np.asarray(weight / self.top, np.float64)).float()
        if self.learns:
            self.weight = nn.Parameter(start)
        self.there: Tensor | None = None
        if isinstance(synapse, Dense) and np.mean(weight == 0) > EMPTY:
            self.there = torch.from_numpy((weight != 0).astype(np.float32))
        self.fixed = torch.from_numpy(np.asarray(weight, np.float32))
        largest = synapse.per_target(source, target, lambda w: np.full_like(w, self.top)).max()
        self.sums = float(largest) * (1 << synapse.exponent)
        if not isinstance(synapse, (Dense, Conv2d, Pointwise, OneToOne)):
            rows, columns, _ = synapse.coordinates(source, target)
            self.places = torch.from_numpy(np.stack([rows, columns]).astype(np.int64))

    def integers(self) -> Tensor:
        """W_q as float32, with the gradient of w."""
        if not self.learns:
            return self.fixed
        x = self.weight * self.top
        q = rounded(x).clamp(-self.top, self.top)
        return q if self.there is None else q * self.there

    def whole(self) -> np.ndarray | None:
        """W_q int16, or None where it does not learn."""
        return self.integers().detach().numpy().round().astype(np.int16) if self.learns else None

    def forward(self, x: Tensor) -> Tensor:
        """x [T, B, *source] -> [T, B, *target]."""
        weight = self.integers()
        largest = float(x.detach().max()) if x.numel() else 0.0
        if self.sums * max(1.0, largest) >= EXACT:
            x, weight = x.double(), weight.double()
        y = self._mapped(x, weight).reshape(*x.shape[:2], *self.target)
        return y * float(1 << self.synapse.exponent)

    def _mapped(self, x: Tensor, weight: Tensor) -> Tensor:
        s = self.synapse
        if isinstance(s, OneToOne):
            return x * weight
        if isinstance(s, Dense):
            return F.linear(x.flatten(2), weight)
        if isinstance(s, Pointwise):
            return torch.einsum("oc,tbcn->tbon", weight, x.flatten(3))
        if isinstance(s, Conv2d):
            return F.conv2d(x.flatten(0, 1), weight, None, s.stride, s.padding, 1, s.groups)
        values = weight.reshape(-1).expand(self.places.shape[1])
        size = int(np.prod(self.target)), int(np.prod(self.source))
        matrix = torch.sparse_coo_tensor(self.places, values, size, check_invariants=False)
        return torch.sparse.mm(matrix, x.reshape(-1, size[1]).T).T
