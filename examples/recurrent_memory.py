"""A recurrent network of one's own that remembers: which symbol was shown 24 steps ago?

    scmrl train --model examples/recurrent_memory.py:build \
        --dataset examples/recurrent_memory.py:data --out runs/memory
"""

import numpy as np

from scmrl import Network, nodes

SYMBOLS, NOISE, STEPS = 4, 4, 25


def data(samples=1200):
    """Spikes x [S, T, 8]: one of four symbols in the first step, then noise on channels beside
    it.
    """
    random = np.random.default_rng(0)
    y = random.integers(0, SYMBOLS, samples)
    x = np.zeros((samples, STEPS, SYMBOLS + NOISE), np.uint8)
    x[np.arange(samples), 0, y] = 1
    x[:, :, SYMBOLS:] = random.random((samples, STEPS, NOISE)) < 0.3
    return {"x": x, "y": y, "time": True}


def build(data):
    """A layer that reads itself a step later. Its membranes forget half in a step, and the readout
    has no memory: what it tells at the last step, the recurrence has kept.
    """
    net = Network(data.steps, precision=data.precision)
    x = net.add("x", nodes.Input(data.shapes["x"], data.bits["x"]))
    neuron = nodes.LIF(dv=2048, gradient="time")
    h = net.add("memory", nodes.Layer(nodes.Dense(48), neuron, recurrent="full"), x)
    net.add("readout", nodes.Readout(nodes.Dense(data.outputs), dv=4095), h)
    return net
