"""A recurrent network of one's own that remembers: which symbol was shown 24 steps ago?

    scmrl train --model examples/recurrent_memory.py:build \
        --dataset examples/recurrent_memory.py:data \
        --set train.lr=0.02 --set train.epochs=10 --out runs/memory
    scmrl verify runs/memory --backends simulator,lava-inprocess

Measured: 100 % of 240 held-out samples (seed 42, 10 epochs, 32 s on one CPU core), integers, no
differing value on Lava. Without `recurrent` it stays at chance.
"""

import numpy as np
import torch

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
    """A layer whose neurons read themselves a step later, which is all that remembers: membranes
    forget half in a step, and the readout tells what it gets in the last one.
    """
    net = Network(data.steps, precision=data.precision)
    x = net.add("x", nodes.Input(data.shapes["x"], data.bits["x"]))
    neuron = nodes.LIF(dv=2048, gradient="time")
    layer = nodes.Layer(nodes.Dense(48), neuron, norm=False, recurrent="one-to-one")
    h = net.add("memory", layer, x)
    torch.nn.init.ones_(layer.own)  # thresholds: a neuron that fired nearly fires again
    net.add("readout", nodes.Readout(nodes.Dense(data.outputs), dv=4095), h)
    return net
