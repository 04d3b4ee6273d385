"""Lava's delayed synapses with their matrix built once: for synapses that all wait alike.

Lava's own models of DelaySparse and DelayDense make (delay + 1) matrices at every step, one each,
of which all but the last are empty here. Only their product with what arrives is computed
otherwise; buffer, shifts and order are Lava's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.dense.models import PyDelayDenseModelBitAcc
from lava.proc.dense.process import DelayDense
from lava.proc.sparse.models import PyDelaySparseModelBitAcc
from lava.proc.sparse.process import DelaySparse


def _last_column(model: Any, arriving: np.ndarray) -> np.ndarray:
    """Sums [targets, delay + 1], all of them behind the longest delay."""
    sums = np.zeros_like(model.a_buff)
    sums[:, -1] = model.weights.dot(arriving)
    return sums


@implements(proc=DelaySparse, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PySparseOfOneDelay(PyDelaySparseModelBitAcc):
    def calc_act(self, s_in: np.ndarray) -> np.ndarray:
        return _last_column(self, s_in)


@implements(proc=DelayDense, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyDenseOfOneDelay(PyDelayDenseModelBitAcc):
    def calc_act(self, s_in: np.ndarray) -> np.ndarray:
        return _last_column(self, s_in)


MODELS = {DelaySparse: PySparseOfOneDelay, DelayDense: PyDenseOfOneDelay}
