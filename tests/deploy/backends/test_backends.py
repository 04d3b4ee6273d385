"""Backends by name: all of one shape, opened on use, and clear about what is wrong."""

import ast
import inspect

import numpy as np
import pytest
from conformance.equality import assert_equal_in_every_bit
from conformance.graphs import GRAPHS
from places import ROOT

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


def test_a_name_is_the_backends_own():
    for name in BACKENDS:
        kind = backend_class(name)
        assert kind.name == name and isinstance(kind.exact, bool) and isinstance(kind.file, str)


@pytest.mark.parametrize("command", ["deploy", "verify"])
def test_help_lists_the_registry(scmrl, command):
    _, out, _ = scmrl(command, "--help")
    assert ",".join(BACKENDS) in "".join(out.split())


def test_a_backend_without_a_file_runs_the_bundles_graph(model, small_bundle):
    kind = backend_class("simulator")
    assert not kind.exported(model / "bundle")
    with kind.from_export(model) as backend:
        got = backend.run(small_bundle.inputs)
    assert_equal_in_every_bit(small_bundle.graph, small_bundle.trained, got)


# Attributes that a file asks another's objects for, since the library has no other way to say it.
FOREIGN = {
    "deploy/backends/lava/session.py": "Lava's ports and memory, and this module's own thread",
    "deploy/backends/loihi/board.py": "the profilers of lava-loihi",
    "deploy/backends/peers.py": "snntorch's neurons",
    "deploy/counting/seeing.py": "the name of what torch calls, which not all of it has",
    "deploy/backends/simulator/simulator.py": "a function that not every system has",
}


def test_what_is_asked_of_a_backend_is_in_the_protocol():
    """No part of deploy finds out by trying what an object of scmrl's can do."""
    asking = {
        path.relative_to(ROOT / "scmrl").as_posix()
        for path in (ROOT / "scmrl" / "deploy").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and (node.func.id == "hasattr" or (node.func.id == "getattr" and len(node.args) == 3))
    }
    assert asking == set(FOREIGN)
