"""The living definition of a graph: a plain interpreter in numpy. Slow, short, and right by
agreement.

For every population at step t, in an order in which zero-delay synapses go forward:

    a[t] = sum over incoming synapses of (weight << exponent) . s_source[t - delay]
    u, v, s = lif_step(u, v, a[t], bias + v_join[t])                     (scmrl.core.fixed_point)
    v_join: membrane of the population that this one `adds`, after its step; else 0

Nothing fires before t = 0. State starts at zero for every sample. Every other backend must equal
this in every bit, population and step.
"""

from __future__ import annotations

import time

import numpy as np

from .. import __version__
from .activity import Activity, check_inputs
from .fixed_point import lif_step
from .graph import Graph


def run(graph: Graph, inputs: dict[str, np.ndarray]) -> Activity:
    """Interpret `graph` on inputs {name: integer [S, T, *shape]}; returns the `Activity` of every
    population.
    """
    inputs = check_inputs(graph, inputs)
    samples, steps = next(iter(inputs.values())).shape[:2]
    started = time.perf_counter()
    values = {p.name: np.zeros((samples, steps, *p.shape), np.int64) for p in graph.populations}
    current = {p.name: np.zeros((samples, *p.shape), np.int64) for p in graph.populations}
    membrane = {p.name: np.zeros((samples, *p.shape), np.int64) for p in graph.populations}
    order = [p for p in graph.order() if p.kind != "input"]
    overflow = {p.name: 0 for p in order}
    for t in range(steps):
        for name, x in inputs.items():
            values[name][:, t] = x[:, t]
        for p in order:
            a = np.zeros((samples, *p.shape), np.int64)
            for synapse in graph.incoming(p.name):
                if t >= synapse.delay:
                    s = values[synapse.source][:, t - synapse.delay]
                    a += synapse.apply(s, p.shape) << synapse.exponent
            if p.memoryless:
                current[p.name][:], membrane[p.name][:] = 0, 0
            bias = p.bias + membrane[p.adds] if p.adds else p.bias
            u, v, s, border = lif_step(
                current[p.name],
                membrane[p.name],
                a,
                du=p.du,
                dv=p.dv,
                vth=p.vth,
                bias=bias,
                fires=p.fires,
                reset=p.reset,
            )
            current[p.name], membrane[p.name] = u, v
            values[p.name][:, t] = s if p.fires else v
            overflow[p.name] += border
    return Activity(
        spikes={p.name: values[p.name].astype(np.uint8) for p in graph.of_kind("lif")},
        membrane={p.name: values[p.name] for p in graph.of_kind("readout")},
        backend="reference",
        version=__version__,
        overflow=overflow,
        seconds=time.perf_counter() - started,
    )
