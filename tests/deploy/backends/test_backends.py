"""Backends by name: all of one shape, opened on use, and clear about what is wrong."""

import inspect

import numpy as np
import pytest
from conformance.graphs import GRAPHS

from scmrl.core import reference
from scmrl.deploy.registry import BACKENDS, backend_class, open_backend
from scmrl.system.errors import BackendError, UsageError

HERE = ("reference", "simulator")


def test_an_unknown_backend_is_refused_with_the_nearest():
    graph, _ = GRAPHS["single_neuron"]()
    with pytest.raises(
        UsageError,
        match="simulatr: no such backend; did you mean 'simulator'.*lava, lava-inprocess",
    ):
        open_backend("simulatr", graph)


@pytest.mark.parametrize("name", BACKENDS)
def test_all_backends_are_opened_and_run_alike(name):
    kind = backend_class(name)
    opened = inspect.signature(kind).parameters
    assert next(iter(opened)) == "graph"
    deadline = opened["deadline_s"]
    assert deadline.kind is inspect.Parameter.KEYWORD_ONLY and deadline.default is None
    assert not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in opened.values())
    assert list(inspect.signature(kind.run).parameters) == ["self", "inputs", "progress"]
    assert callable(kind.close) and callable(kind.__enter__) and callable(kind.__exit__)


@pytest.mark.parametrize("name", HERE)
def test_a_run_says_who_ran_and_how_far_it_is(name):
    graph, inputs = GRAPHS["skips_of_several_depths"]()
    told = []
    with open_backend(name, graph) as backend:
        activity = backend.run(inputs, progress=lambda done, total: told.append((done, total)))
    assert activity.backend == name and activity.version.startswith("0.")
    assert told[-1] == (3, 3) and told == sorted(told)


@pytest.mark.parametrize("name", HERE)
def test_the_deadline_stops_a_run(name):
    graph, inputs = GRAPHS["skips_of_several_depths"]()
    inputs = {k: np.repeat(x, 50, 0) for k, x in inputs.items()}
    late = pytest.raises(BackendError, match=f"{name}: .*deadline.*1e-06 s")
    with open_backend(name, graph, deadline_s=1e-6) as backend, late:
        backend.run(inputs)


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_deadline_must_be_positive(seconds):
    graph, _ = GRAPHS["single_neuron"]()
    with pytest.raises(UsageError, match="deadline must be positive"):
        open_backend("simulator", graph, deadline_s=seconds)


def test_the_reference_backend_is_the_reference():
    graph, inputs = GRAPHS["current_wraps_by_memory"]()
    expected, got = reference.run(graph, inputs), open_backend("reference", graph).run(inputs)
    assert (
        np.array_equal(expected.spikes["y"], got.spikes["y"]) and expected.overflow == got.overflow
    )
