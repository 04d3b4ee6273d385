"""Every figure of an import, and the integers that it makes, stay what they are.

    python tests/convert/test_nir_figures.py      where a change of the import is meant

writes `nir_figures.json` anew. That the figures are right is for the other tests.
"""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
nir = pytest.importorskip("nir", reason="nir is not installed")
pytest.importorskip("h5py", reason="h5py is not installed")

from figures import check, keep, numbers
from test_nir_fidelity import DT, chain, conv2d, graph, lif, neurons_if, pool, spikes, weights

from scmrl.convert.nir.importer import import_graph

KEPT = Path(__file__).with_name("nir_figures.json")


def values(*shape):
    return np.random.default_rng(6).normal(size=shape)


def cuba(n):
    one = np.ones(n)
    return nir.CubaLIF(5 * DT * one, 9 * DT * one, 9 * one, 0 * one, one, w_in=5 * one)


def by_neuron(n):
    tau = DT * np.linspace(2, 20, n)
    one = np.ones(n)
    return nir.LIF(tau, tau / DT, 0 * one, np.linspace(0.5, 2, n), 0 * one)


def affine(*shape, seed=3, gain=1.0):
    bias = np.random.default_rng(seed).normal(size=shape[0]) * 0.1
    return nir.Affine(weights(*shape, gain=gain, seed=seed), bias)


def two_layers():
    nodes = affine(16, 12, gain=2.0), by_neuron(16), affine(5, 16, gain=3.0), lif(5)
    return chain(*nodes, shape=(12,)), values(9, 20, 12), {"dt": DT}


def images():
    first, second = weights(4, 1, 3, 3, gain=2.0), affine(5, 36, gain=3.0)
    nodes = (
        conv2d(first),
        neurons_if(4, 6, 6, threshold=3.0),
        pool(),
        nir.Flatten({"input": np.array([4, 3, 3])}, 0, -1),
        second,
        neurons_if(5, threshold=6.0),
    )
    return chain(*nodes, shape=(1, 8, 8)), spikes(6, 15, 1, 8, 8), {"convention": "sinabs"}


def currents():
    late = nir.Delay(np.full(10, 3 * DT))
    nodes = nir.Linear(weights(10, 12, gain=2.0)), cuba(10), late, affine(4, 10, gain=2.0), lif(4)
    return chain(*nodes, shape=(12,)), spikes(9, 20, 12), {"dt": DT, "weight_bits": 6}


def late():
    nodes = (
        nir.Linear(weights(8, 12, gain=2.0)),
        lif(8),
        nir.Linear(weights(3, 8, gain=3.0)),
        lif(3),
    )
    how = {"dt": DT, "convention": "snntorch", "reset": "subtract"}
    return chain(*nodes, shape=(12,)), values(9, 20, 12), how


def outlier():
    """An analog input of one value far beyond the others, beside one of whole numbers."""
    nodes = {
        "x": nir.Input(np.array([6])),
        "y": nir.Input(np.array([4])),
        "a": affine(8, 6, gain=2.0),
        "b": nir.Linear(weights(8, 4, gain=1.0, seed=5)),
        "n": by_neuron(8),
        "c": nir.Linear(weights(3, 8, gain=3.0)),
        "z": lif(3),
        "output": nir.Output(np.array([3])),
    }
    edges = [("x", "a"), ("a", "n"), ("y", "b"), ("b", "n"), ("n", "c"), ("c", "z")]
    x = values(8, 15, 6)
    x[0, 0, 0] = 80.0
    whole = np.random.default_rng(2).integers(0, 200, (8, 15, 4))
    how = {"dt": DT, "labels": np.arange(8) % 3}
    return graph(nodes, [*edges, ("z", "output")]), {"x": x, "y": whole}, how


def loop():
    """A layer that hears itself, read by an integrator; golden classes."""
    one = np.ones(4)
    nodes = {
        "input": nir.Input(np.array([5])),
        "in": nir.Linear(weights(7, 5, gain=3.0)),
        "n": lif(7),
        "again": nir.Linear(weights(7, 7, gain=1.0, seed=4)),
        "out": affine(4, 7, gain=2.0),
        "z": nir.LI(10 * DT * one, 10 * one, 0 * one),
        "output": nir.Output(np.array([4])),
    }
    edges = [("input", "in"), ("in", "n"), ("n", "again"), ("again", "n"), ("n", "out")]
    golden = {"classes": np.array([0, 1, 2, 3, 0, 1])}
    how = {"dt": DT, "golden": golden, "weight_bits": 5}
    return graph(nodes, [*edges, ("out", "z"), ("z", "output")]), spikes(6, 18, 5), how


def either():
    """What the labels tell of the reset that NIR does not say."""
    nodes = nir.Linear(weights(9, 6, gain=2.5)), lif(9), nir.Linear(weights(2, 9, gain=3.0)), lif(2)
    how = {"dt": DT, "convention": "snntorch", "labels": np.arange(10) % 2}
    return chain(*nodes, shape=(6,)), spikes(10, 25, 6), how


def unsampled():
    nodes = nir.Linear(weights(4, 3, gain=2.0)), lif(4), nir.Linear(weights(2, 4, gain=2.0)), lif(2)
    return chain(*nodes, shape=(3,)), None, {"dt": DT, "steps": 9}


EACH = (two_layers, images, currents, late, outlier, loop, either, unsampled)
NETWORKS = {each.__name__: each for each in EACH}


def figures(name):
    nodes, x, how = NETWORKS[name]()
    graph, report = import_graph(nodes, calibration=x, **how)
    said = {"report": report.to_json(), "steps": graph.steps}
    for p in graph.populations:
        parts = {"vth": p.vth, "du": p.du, "dv": p.dv, "bias": p.bias_mant, "by": p.bias_exp}
        said[p.name] = {key: summary(part) for key, part in parts.items()} | {"bits": p.bits}
    for s in graph.synapses:
        said[s.name] = summary(s.weight) | {"exponent": s.exponent, "delay": s.delay}
    return numbers(said)


def summary(whole):
    """Sums of integers that no other integers are likely to have."""
    array = np.asarray(whole, np.int64).ravel()
    place = np.arange(1, len(array) + 1)
    return {"sum": int(array.sum()), "square": int((array**2).sum()), "at": int(array @ place)}


@pytest.mark.parametrize("name", NETWORKS)
def test_figures_stay_what_they_are(name):
    check(KEPT, name, figures(name))


if __name__ == "__main__":
    keep(KEPT, {name: figures(name) for name in NETWORKS})
