"""`place`, `energy` and the chip's simulator give one answer to whether a chip holds a network."""

import json

import numpy as np
import pytest
from conformance.graphs import GRAPHS
from test_profiles import CASES, LOIHI1, LOIHI2, network

from scmrl.core.bundle import Bundle
from scmrl.core.graph import Dense, Graph, OneToOne, Population
from scmrl.deploy.backends.loihi.loihi import LoihiSim
from scmrl.deploy.placement.fit import Room, capacity, fit, require
from scmrl.deploy.reports.placing import placement_report
from scmrl.hw_profiles import limits
from scmrl.hw_profiles.profile import load, names
from scmrl.system.errors import GraphError

RULES = [rule for rule, (chip, *_) in CASES.items() if chip is LOIHI2]


def saved(graph, folder):
    """The network as a bundle with one sample of zeros."""
    readout = [Population("readout", (2,), "readout")] if graph.readout is None else []
    last = graph.populations[-1]
    graph = Graph(
        (*graph.populations, *readout),
        (
            *graph.synapses,
            *(Dense(last.name, p.name, np.ones((2, last.neurons), int)) for p in readout),
        ),
        graph.steps,
    ).check()
    inputs = {
        p.name: np.zeros((1, graph.steps, *p.shape), np.uint8) for p in graph.of_kind("input")
    }
    Bundle(graph, inputs, np.zeros(1, np.int64)).save(folder / "bundle")
    return folder


def loop(steps):
    """A loop of two synapses that delays by so many steps."""
    weight = np.array([[2, 3], [1, -1]])
    return Graph(
        (
            Population("x", (2,), "input"),
            Population("a", (2,), vth=1),
            Population("b", (2,), vth=1),
            Population("readout", (2,), "readout"),
        ),
        (
            Dense("x", "a", weight),
            Dense("a", "b", weight),
            Dense("b", "a", weight, delay=steps),
            Dense("a", "readout", weight),
        ),
        8,
    )


def steep(vth):
    return Graph(
        (
            Population("x", (2,), "input"),
            Population("a", (2,), vth=vth),
            Population("readout", (2,), "readout"),
        ),
        (
            Dense("x", "a", np.array([[2, 3], [1, -1]])),
            Dense("a", "readout", np.array([[2, 3], [1, -1]])),
        ),
        8,
    )


@pytest.mark.parametrize(
    ("graph", "parts"),
    [
        (loop(1), ("a -> b -> a", "breaks loop", "limit a total delay of 2 or more", "got 1")),
        (steep(1 << 17), ("a", "threshold_bits", "limit 17 bits", "got 131072")),
    ],
    ids=["loop", "threshold"],
)
def test_three_commands_refuse_with_rule_limit_and_value(scmrl, tmp_path, graph, parts):
    model = saved(graph, tmp_path)
    for command in (
        ("place", model),
        ("energy", model),
        ("energy", model, "--profile", "loihi2"),
        ("deploy", model, "--backend", "loihi-sim"),
        ("verify", model, "--backends", "loihi-sim"),
    ):
        code, _, err = scmrl(*command)
        if command[0] != "verify":
            assert code == 5, command
            assert all(part in err.splitlines()[-1] for part in parts), (command, err)
        else:
            assert code in (1, 5)


@pytest.mark.parametrize("graph", [loop(2), steep((1 << 17) - 1)], ids=["loop", "threshold"])
def test_three_commands_take_the_last_value(scmrl, tmp_path, graph):
    model = saved(graph, tmp_path)
    for command in (
        ("place", model),
        ("energy", model),
        ("deploy", model, "--backend", "loihi-sim"),
    ):
        assert scmrl(*command)[0] == 0, command


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_of_the_chip_is_heard_by_its_simulator(rule):
    """Where a rule is broken, neither the answer nor the simulator lets the network pass."""
    _, _, beyond, where, value = CASES[rule]
    found = fit(beyond, LOIHI2)
    assert found.fits is False and rule in [v.rule for v in found.violations]
    with pytest.raises(GraphError, match="does not fit Loihi 2") as refused:
        LoihiSim(beyond)
    first = found.violations[0]
    assert (
        first.rule in str(refused.value)
        and refused.value.where == first.where
        and refused.value.value == first.value
    )


@pytest.mark.parametrize("name", GRAPHS)
def test_the_answer_is_that_of_the_simulator(name):
    """What fits runs there or is refused for another reason than a limit of the profile."""
    graph, _ = GRAPHS[name]()
    found = fit(graph, LOIHI2)
    try:
        LoihiSim(graph).close()
    except GraphError as error:
        assert ("does not fit Loihi 2" in str(error)) == (not found.fits)
    else:
        assert found.fits


def test_all_populations_that_do_not_fit_are_named():
    graph = Graph(
        (
            Population("x", (5000,), "input", bits=2),
            Population("a", (2,)),
            Population("b", (3,)),
            Population("out", (2,), "readout"),
        ),
        (
            Dense("x", "a", np.ones((2, 5000), int)),
            Dense("x", "b", np.ones((3, 5000), int)),
            Dense("a", "out", np.ones((2, 2), int), delay=63),  # in a relay
        ),
        4,
    )
    found = fit(graph, LOIHI1)
    assert [(v.rule, v.where) for v in found.violations] == [
        ("input_bits", "x"),
        ("axons_in_per_core", "a"),
        ("axons_in_per_core", "b"),
    ]
    assert [m.population for m in found.misfits] == ["a", "b"] and found.placement is None
    report = placement_report(graph, found, model="m")
    lines = [part for part in report.details() if isinstance(part, str)]
    for violation in found.violations:
        assert any(
            violation.rule in line and violation.where in line and violation.value in line
            for line in lines
        )
    with pytest.raises(
        GraphError, match="x: does not fit Loihi 1, it breaks input_bits .and 2 more"
    ):
        require(graph, LOIHI1)


def test_cores_beyond_the_largest_system_are_a_broken_limit():
    """Loihi 1 has 1,024 neurons a core: two cores fit one of two, not one; exactly full fits."""
    graph = Graph(
        (Population("x", (1,), "input"), Population("a", (2048,))),
        (Dense("x", "a", np.ones((2048, 1), int)),),
    )
    assert fit(graph, LOIHI1, room=Room("two cores", 2, 1)).fits
    found = fit(graph, LOIHI1, room=Room("one core", 1, 1))
    (violation,) = found.violations
    assert (violation.rule, violation.limit, violation.value) == (
        "cores",
        "1 cores",
        "2",
    ) and not found.fits
    assert found.placement is not None and found.misfits == ()


def test_more_neurons_than_a_chip_has_fit_several_chips():
    graph = network(neurons=131_073, sources=1)
    assert fit(graph, LOIHI1).fits
    one = fit(graph, LOIHI1, room=capacity(LOIHI1, chips=1))
    assert [v.rule for v in one.violations] == ["neurons_per_chip", "cores"]
    assert fit(network(neurons=131_072, sources=1), LOIHI1, room=capacity(LOIHI1, chips=1)).fits
    limits.require(graph, LOIHI1)  # what training asks first: the same answer
    with pytest.raises(GraphError, match="neurons_per_chip"):
        limits.require(network(neurons=257, sources=1), load("odin"))
    assert [
        v.limit for v in limits.check(network(neurons=262_145, sources=1), LOIHI1, chips=2)
    ] == ["262144 neurons"]


def test_the_largest_system_is_the_room_where_nothing_is_asked():
    assert capacity(LOIHI2) == Room(None, 140_544, 1152)
    assert capacity(LOIHI2, chips=3) == Room("3 chips of Loihi 2", 360, 3)
    assert capacity(load("truenorth")) == Room(None, None, 1)


def test_without_limits_there_is_no_answer():
    graph = loop(2)
    for name in names():
        chip = load(name)
        assert (fit(graph, chip).fits is None) == (
            not limits.RULES.keys() & chip.limits.keys() and "neurons_per_core" not in chip.limits
        ), name


def test_what_holds_it_instead_breaks_no_rule_either():
    """A loop that no pipeline runs: neither another system nor another chip is proposed."""
    graph = loop(1)
    report = placement_report(graph, fit(graph, LOIHI2), model="m")
    assert report.alternatives == () and "one step of delay per synapse" in report.remedy()
    graded = Graph(
        (Population("x", (2,), "input", bits=6), Population("a", (2,))), (OneToOne("x", "a", 1),)
    )
    report = placement_report(graded, fit(graded, LOIHI1), model="m")
    assert [a.chip for a in report.alternatives] == ["Loihi 2"]


def test_energy_of_several_chips_is_rows_and_of_none_that_holds_it_exit_5(scmrl, tmp_path):
    graded = Graph(
        (
            Population("x", (2,), "input", bits=6),
            Population("a", (2,), vth=1),
            Population("readout", (2,), "readout"),
        ),
        (OneToOne("x", "a", 1), OneToOne("a", "readout", 1)),
        4,
    )
    model = saved(graded, tmp_path)
    code, out, _ = scmrl("energy", model, "--profile", "loihi1,loihi2,generic-45nm", "--json")
    rows = json.loads(out)["profiles"]
    assert code == 0
    assert [rows[name]["fits"] for name in ("loihi1", "loihi2", "generic-45nm")] == [
        False,
        True,
        None,
    ]
    assert [rows[name]["total_uj"] is None for name in ("loihi1", "loihi2", "generic-45nm")] == [
        True,
        False,
        True,
    ]
    code, out, err = scmrl("energy", model, "--profile", "loihi1", "--json")
    assert code == 5 and json.loads(out)["profiles"]["loihi1"]["broken"] == ["input_bits"]
    assert "input_bits" in err and "limit 1 bits" in err and "got 6" in err
    assert scmrl("energy", model, "--profile", "loihi1,loihi1-sanafe")[0] == 5
    assert scmrl("energy", model, "--profile", "generic-45nm")[0] == 0


def test_place_answers_on_ten_lines_of_80_columns(scmrl, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    fitting, misfit = saved(loop(2), tmp_path / "fits"), saved(loop(1), tmp_path / "not")
    _, out, _ = scmrl("place", fitting)
    assert (
        len(out.split("model ")[0].strip().splitlines()) <= 10
        and out.startswith("fits ")
        and "yes: 1 chip of Loihi 2" in out
    )
    assert "no population fires at all" in " ".join(out.split())  # the samples are zeros
    _, wrong, _ = scmrl("place", misfit)
    assert len(wrong.split("model ")[0].strip().splitlines()) <= 10 and wrong.startswith(
        "DOES NOT FIT "
    )
    assert max(map(len, (out + wrong).splitlines())) <= 80


def test_a_bundle_that_names_no_dataset_is_placed(scmrl, tmp_path):
    """Its samples are then of unknown kind: nothing says that training held them out."""
    graph = loop(2)
    Bundle(
        graph,
        {"x": np.zeros((1, 8, 2), np.uint8)},
        np.zeros(1, np.int64),
        training={"dataset": None},
    ).save(tmp_path / "bundle")
    table = json.loads((tmp_path / "bundle" / "bundle.json").read_text())
    del table["origin"], table["hash"]  # as scmrl 0.1 wrote it
    (tmp_path / "bundle" / "bundle.json").write_text(json.dumps(table))
    code, out, err = scmrl("energy", tmp_path, "--json")
    assert code == 0, err
    assert json.loads(out)["origin"] == {"samples": "unknown", "labels": "unknown"}
    assert scmrl("place", tmp_path)[0] == 0
