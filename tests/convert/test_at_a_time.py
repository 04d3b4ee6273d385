"""How much is worked on at a time is no matter: rows of a matrix, samples, steps (`SPEED` of
benchmarks/mutants.py).
"""

import numpy as np
import pytest

from scmrl.convert.nir.importer.floats.convention import CONVENTIONS
from scmrl.convert.nir.importer.floats.maps import Matrix
from scmrl.convert.nir.importer.floats.network import Network, Neurons, Route
from scmrl.convert.nir.importer.runs import interpreter
from scmrl.core import synapse
from scmrl.core.synapse import Dense

RNG = np.random.default_rng(5)


@pytest.mark.parametrize("rows", [1, 7, 30])
def test_rows_of_a_dense_synapse(rows, monkeypatch):
    weight = RNG.integers(-3, 4, (12, 5))
    dense, box = Dense("x", "n", weight), ((1, 3), (0, 4))
    whole = dense.per_target((5,), (3, 4), np.abs)
    region, counts = dense.arrivals((5,), (3, 4), box)
    monkeypatch.setattr(synapse, "ROWS", rows)
    assert np.array_equal(dense.per_target((5,), (3, 4), np.abs), whole)
    assert np.array_equal(whole.ravel(), np.abs(weight).sum(1))
    again, parts = dense.arrivals((5,), (3, 4), box)
    assert again == region and np.array_equal(parts, counts)
    assert np.array_equal(counts, np.count_nonzero(weight[4:], axis=0))


def stepped(parts, routes, constants, x, reset, inclusive, several, floor):
    """The recurrence as `network` says it, step by step: values, and the largest |u| and |v|."""
    samples, steps = x.shape[:2]
    values = {"x": x, **{n.name: np.zeros((samples, steps, *n.shape)) for n in parts[1:]}}
    state = {n.name: np.zeros((3, samples, *n.shape)) for n in parts[1:]}
    peaks = {n.name: np.zeros((2, *n.shape)) for n in parts}
    for t in range(steps):
        for n in parts[1:]:
            current = sum(
                (c for late, c in constants.get(n.name, {}).items() if t >= late), np.zeros(n.shape)
            )
            for r in routes:
                if r.target == n.name and t >= r.delay:
                    current = current + r.map.apply(values[r.source][:, t - r.delay])
            u, v, owed = state[n.name]
            u = n.alpha * u + n.gain * current
            v = n.beta * v + u + n.bias - owed
            peaks[n.name] = np.maximum(peaks[n.name], np.abs([u, v]).max(1))
            fired = np.zeros(v.shape)
            if n.kind == "spiking":
                over = v >= n.threshold if inclusive else v > n.threshold
                fired = over.astype(float)
                if several:
                    fired = np.maximum(np.floor(v / n.threshold), 0)
                values[n.name][:, t] = fired
            owed = np.zeros(v.shape)
            if n.kind == "spiking" and reset == "zero":
                v = np.where(fired > 0, 0, v)
            elif reset == "subtract":
                v = v - n.threshold * fired
            elif reset == "late":
                owed = n.threshold * fired
            if floor and n.kind == "spiking":
                v = np.maximum(v, -n.threshold)
            if n.kind == "integrator":
                values[n.name][:, t] = v
            state[n.name] = np.stack([u, v, owed])
    return values, peaks


@pytest.mark.parametrize("values, block", [(1, 1), (40, 7), (1 << 26, 1 << 22)])
@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("late", [0, 2])
@pytest.mark.parametrize(
    "how",
    [
        {},
        {"inclusive": True},
        {"reset": "subtract"},
        {"reset": "late"},
        {"reset": "subtract", "several": True, "inclusive": True},
        {"reset": "subtract", "floor": True},
    ],
    ids=str,
)
def test_samples_and_steps_of_a_float_run(how, late, recurrent, values, block, monkeypatch):
    """Numbers are eighths: sums of them are exact, and thresholds are met exactly."""
    said = {"reset": "zero", "inclusive": False, "several": False, "floor": False, **how}
    neuron = {"alpha": 0.5, "beta": 0.5, "bias": 0.25, "threshold": np.array([1.0, 0.5, 2.0])}
    parts = (
        Neurons("x", (4,), "input"),
        Neurons("a", (3,), "spiking", **neuron, **said),
        Neurons("z", (2,), "integrator", beta=1.0),
    )
    into = RNG.integers(-4, 9, (3, 4)) / 4
    routes = [
        Route("x", "a", Matrix("m", (4,), (3,), into), late),
        Route("a", "z", Matrix("m", (3,), (2,), RNG.integers(-4, 5, (2, 3)) / 4)),
    ]
    if recurrent:
        routes.append(Route("a", "a", Matrix("m", (3,), (3,), np.eye(3)[::-1] / 4), 1, True))
    constants = {"a": {0: np.array([0.25, 0.0, 0.5]), 3: np.array([0.0, 0.5, 0.0])}}
    network = Network(parts, tuple(routes), constants, "z", 1.0, CONVENTIONS["nir"])
    x = RNG.integers(0, 2, (5, 9, 4)).astype(float)
    wanted, peaks = stepped(parts, routes, constants, x, **said)
    monkeypatch.setattr(interpreter, "VALUES", values)
    monkeypatch.setattr(interpreter, "BLOCK", block)
    seen = []
    for part, found in interpreter.chunks(network, {"x": x}):
        seen += range(5)[part]
        for name in ("a", "z"):
            assert np.array_equal(found.values[name], wanted[name][part]), name
        assert np.array_equal(found.scores(network), wanted["z"][part, -1])
        assert np.array_equal(found.classes(network), wanted["z"][part, -1].argmax(1))
    whole = interpreter.run(network, {"x": x})
    for name, (u, v) in peaks.items():
        assert np.array_equal(whole.peaks[name][0], u) and np.array_equal(whole.peaks[name][1], v)
    assert seen == list(range(5)) and wanted["a"].any()
