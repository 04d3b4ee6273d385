"""Weights rounded one after the other, so that what each loses the next ones make up for, on the
calibration data (the sequential rounding of Frantar and others' GPTQ).

    x[t] = kept x[t-1] + s[t]            what a membrane has heard of its sources
    C = mean of x x^T                    of these traces, with a little added to its diagonal
    U^T U = C^-1,  U upper triangular
    for j:  q_j = round(w_j),  w_k -= (w_j - q_j) U_jk / U_jj  for k > j

which makes (w - q)^T C (w - q), the error of the membrane, small where plain rounding adds noise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from ....core.convolution import Convolution
from .floats.maps import Conv, Map, Matrix
from .floats.network import Network, Route
from .floats.products import columns

MOST = 2048  # sources of one neuron: their moments are a matrix
SAMPLES, STEPS = 32, 32  # of which moments are taken, steps in each sample
IMAGES, PLACES = 8, 64  # for a convolution: steps in each sample, and places
LONGEST = 0.7  # kept in a step, at most: a spike forgets
DAMPING = 0.03  # of the mean of the diagonal

Frames = Callable[[str, int], np.ndarray]  # values [T, *shape] of a node in one sample


class Moments:
    """C of the sources of a route. `frames` gives integer steps of inputs, spikes of others."""

    def __init__(self, network: Network, frames: Frames, samples: int):
        self.network, self.frames = network, frames
        self.samples = np.unique(np.linspace(0, samples - 1, min(SAMPLES, samples)).astype(int))

    def __call__(self, r: Route, m: Map) -> np.ndarray | None:
        """float64 [n, n] over what one target neuron reads; None where that is not one thing, or
        too much.
        """
        if isinstance(m, Conv) and m.groups == 1:
            size = m.weight[0].size
        elif isinstance(m, Matrix):
            size = m.weight.shape[1]
        else:
            return None
        if not 1 < size <= MOST:
            return None
        total, count = np.zeros((size, size)), 0
        for traces in self._traces(r):
            rows = _patches(m, traces) if isinstance(m, Conv) else traces.reshape(len(traces), -1)
            total += rows.T @ rows
            count += len(rows)
        return total / count

    def _traces(self, r: Route) -> Iterable[np.ndarray]:
        """x at some steps of each sample, [steps, *source]."""
        n = self.network[r.target]
        kept = min(LONGEST, float(np.mean(np.maximum(n.alpha, n.beta))))
        random = np.random.default_rng(0)
        for sample in self.samples:
            s = self.frames(r.source, int(sample))
            wanted = set(random.permutation(len(s))[:STEPS].tolist())
            x, found = np.zeros(s.shape[1:]), []
            for t, frame in enumerate(s):
                x = kept * x + frame
                if t in wanted:
                    found.append(x)
            yield np.array(found)


def _patches(m: Conv, traces: np.ndarray) -> np.ndarray:
    """What a kernel reads at some places, [places, taps]."""
    form = Convolution(m.weight, m.stride, m.padding)
    some = np.moveaxis(traces.reshape(-1, *m.source)[:IMAGES], 0, -1)
    read = columns(form, some, m.target).reshape(m.weight[0].size, -1)
    chosen = np.random.default_rng(1).permutation(read.shape[1])[: IMAGES * PLACES]
    return read[:, chosen].T


def compensated(weight: np.ndarray, moment: np.ndarray, top: int) -> np.ndarray:
    """weight [targets, n] in mantissa units -> whole mantissas within -top..top, float64."""
    energy = np.diag(moment)
    if not energy.any():
        return np.clip(np.rint(weight), -top, top)
    order = np.argsort(-energy, kind="stable")
    damped = moment[np.ix_(order, order)] + DAMPING * energy.mean() * np.eye(len(moment))
    upper = np.linalg.cholesky(np.linalg.inv(damped)).T
    rest, out = weight[:, order].astype(float), np.zeros(weight.shape)
    for j in range(len(moment)):
        out[:, j] = np.clip(np.rint(rest[:, j]), -top, top)
        lost = (rest[:, j] - out[:, j]) / upper[j, j]
        rest[:, j + 1 :] -= lost[:, None] * upper[j, j + 1 :]
    back = np.empty_like(out)
    back[:, order] = out
    return back
