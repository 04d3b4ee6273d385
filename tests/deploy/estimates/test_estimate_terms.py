"""Every term of an estimate by hand: prices, times, hops and links, words of memory, means of a
report.
"""

import dataclasses

import numpy as np
import pytest
from test_energy import INPUT, estimated, links_of, network
from test_placement_borders import chip, relays

from scmrl.core.graph import Dense, Graph, OneToOne, Pointwise, Population, whole
from scmrl.core.report import drawing
from scmrl.deploy.energy.energy import dynamic_uj
from scmrl.deploy.energy.operations import Operations, unpriced
from scmrl.deploy.energy.terms import span
from scmrl.deploy.placement.fit import fit
from scmrl.deploy.placement.mesh import Mesh, mesh_of
from scmrl.deploy.placement.placement import place
from scmrl.deploy.placement.synapse_memory import SynapseMemory
from scmrl.deploy.placement.traffic import improve, rerouted, traffic
from scmrl.deploy.reports import core_map
from scmrl.deploy.reports.energy import EnergyReport
from scmrl.deploy.reports.placing import placement_report
from scmrl.hw_profiles.profile import load

# ---- prices

PRICES = {
    "loihi1": {
        "synops": 23.6,
        "active": 81,
        "inactive": 52,
        "spikes": 1.7,
        "hops_ew": 3.0,
        "hops_ns": 4.0,
    },
    "loihi1-sanafe": {
        "synops": 33.6,
        "active": 72.8,
        "inactive": 51.2,
        "spikes": 69.3 + 111,
        "messages": 111,
        "hops_ew": 3.0,
        "hops_ns": 4.2,
    },
}


@pytest.mark.parametrize(
    ("name", "what"), [(name, what) for name in PRICES for what in PRICES[name]]
)
def test_each_operation_has_its_own_price(name, what):
    """A million of one operation, in uJ; a spike is one message where nothing else is said."""
    done = {"synops": 0} | {what: 1e6}
    assert dynamic_uj(load(name), **done) == pytest.approx(PRICES[name][what])


def test_what_was_not_done_needs_no_price():
    arithmetic = load("generic-45nm")
    assert unpriced(arithmetic, Operations({"": 1.0})) == ()
    assert unpriced(arithmetic, Operations({"": 1.0}, messages=1.0)) == ("energy of a message",)
    assert unpriced(arithmetic, Operations({"": 1.0}, hops_ns=1.0)) == ("energy of hop_ns",)


@pytest.mark.parametrize(
    ("low", "high", "is_"),
    [(1.0, 2.0, (1.0, 2.0)), (None, 2.0, None), (1.0, None, None), (2.0, 2.0, None)],
)
def test_a_range_has_two_ends(low, high, is_):
    assert span({"low": low, "high": high}) == is_


# ---- times


def test_the_work_of_a_core_by_hand():
    """SANA-FE prices every part. Two messages of the host come to `hidden` in hardware steps 0, 1
    and 3, where they meet 8 synapses; a step later its four neurons are active and fire, each to
    one core; the readout hears them at once, and a step later it is active and stays so. A core
    takes what its busiest unit takes: synapses, neurons with their spikes, messages in, or out.
    """
    times = {"dense": 3.8, "sparse": 4.7, "conv": 3.1}
    graph = network()
    first, second = (times[form] for form in place(graph, load("loihi1-sanafe")).formats)
    e = estimated("loihi1-sanafe")
    fires, idle, hears = 4 * 9.7 + 4 * 30, 4 * 6.0, max(8 * first, 2 * 16)
    hidden = [hears, fires, fires, hears, fires, idle, idle]
    active, told = 2 * 9.7, max(8 * second, 4 * 16)
    readout = [2 * 6.0, told, told, active, told, active, active]
    assert fires > max(hears, 4 * 5.1) and told > active
    assert [layer.work_us_per_step for layer in e.populations[1:]] == pytest.approx(
        [1e-3 * sum(hidden) / 7, 1e-3 * sum(readout) / 7]
    )
    assert e.busiest.work_us_per_step == pytest.approx(1e-3 * sum(hidden) / 7)
    assert e.bound_us_per_step == pytest.approx(0.6)  # the barrier takes longer than any of it
    free = dataclasses.replace(load("loihi1-sanafe"), time=load("loihi1-sanafe").time.copy())
    del free.time["barrier"], free.time["step_floor"]
    assert estimated(free).latency_us == pytest.approx(1e-3 * sum(map(max, hidden, readout)))


def test_the_busiest_core_is_that_of_the_most_time_and_without_times_of_the_most_synapses():
    graph = Graph(
        (
            Population("in", (200,), "input"),
            Population("many", (900,), vth=9999, du=4095, dv=4096, bias_mant=1),
            Population("heard", (4,), vth=9999),
        ),
        (Dense("in", "heard", np.ones((4, 200), int)),),
        5,
    )
    inputs, timed = {"in": np.ones((1, 5, 200), int)}, load("loihi1")
    timeless = dataclasses.replace(timed, time={})
    assert estimated(timed, graph, inputs).busiest.population == "many"
    busiest = estimated(timeless, graph, inputs, "streamed").busiest
    assert (busiest.population, busiest.synops_per_step) == ("heard", 800)


def test_a_format_has_its_own_time():
    """The same network on a chip whose formats take other times."""
    base = load("loihi1-sanafe")
    slow = {
        name: dataclasses.replace(q, value=100 * q.value, range=None)
        for name, q in base.time.items()
        if name in ("synop_dense", "synop_sparse", "synop_conv")
    }
    one, two = (
        estimated(dataclasses.replace(base, time=base.time | more), mode="streamed")
        for more in ({}, slow)
    )
    (form,) = {
        form
        for form, synapse in zip(place(network(), base).formats, network().synapses)
        if synapse.target == "hidden"
    }
    # of three steps with 8 synapses one has the spikes of the step before, else the longest
    each = 8 * base.time[f"synop_{form}"].value
    extra = (3 * 100 * each - 2 * max(each, 2 * 16) - (4 * 9.7 + 4 * 30)) / 5
    assert two.populations[1].work_us_per_step - one.populations[
        1
    ].work_us_per_step == pytest.approx(1e-3 * extra)


def test_core_and_link_work_at_the_same_time():
    graph = Graph(
        (
            Population("in", (8000,), "input"),
            Population("a", (8000,), memoryless=True),
            Population("b", (8000,), "readout"),
        ),
        (OneToOne("in", "a", 1), OneToOne("a", "b", 1)),
        1,
    )
    inputs = {"in": np.ones((1, 1, 8000), int)}
    e = estimated("loihi1", graph, inputs, "streamed")
    links = links_of(graph, inputs, load("loihi1"))
    ew, ns = (
        max(links[a].max(), links[b].max()) for a, b in (("east", "west"), ("north", "south"))
    )
    link = 1e-3 * max(ew * 4.1, ns * 6.5)
    assert link > 0 and e.busiest.work_us_per_step > 0
    assert e.bound_us_per_step == pytest.approx(max(0.113, link, e.busiest.work_us_per_step))


# ---- the mesh

MESH = Mesh(
    columns=2, rows=3, cores_per_tile=1, cores=6, chips=4, cost_ew=3.0, cost_ns=4.0
)  # chips two by two


@pytest.mark.parametrize(
    ("a", "b", "hops", "crossings"),
    [
        (0, 1, (1, 0), 0),
        (0, 2, (0, 1), 0),
        (5, 6, (1, 2), 1),
        (0, 23, (3, 5), 2),
        (23, 0, (3, 5), 2),
        (0, 12, (0, 3), 1),
        (6, 12, (2, 3), 2),
        (7, 7, (0, 0), 0),
    ],
)
def test_hops_and_borders_by_hand(a, b, hops, crossings):
    """Slot 6 is the first of the chip to the east, 12 of that below, 18 of that across."""
    a, b = np.array([a]), np.array([b])
    assert tuple(int(x[0]) for x in MESH.hops(a, b)) == hops
    assert int(MESH.crossings(a, b)[0]) == crossings
    assert float(MESH.cost(a, b)[0]) == 3 * hops[0] + 4 * hops[1]


def test_links_on_the_way_by_hand():
    """First along the row, then along the column; the link is counted at the tile that it
    leaves.
    """
    links = MESH.links(np.array([0, 23]), np.array([23, 0]), np.array([5.0, 7.0]))
    expected = {way: np.zeros((6, 4)) for way in ("east", "west", "south", "north")}
    expected["east"][0, 0:3] = 5
    expected["south"][0:5, 3] = 5
    expected["west"][5, 1:4] = 7
    expected["north"][1:6, 0] = 7
    for way, load_ in expected.items():
        assert np.array_equal(links[way], load_), way


def test_four_limits_of_a_chip_are_a_mesh():
    base = load("loihi2")
    names = ("mesh_columns", "mesh_rows", "cores_per_tile", "cores")
    limits = {name: base.limits[name] for name in names}
    mesh = mesh_of(dataclasses.replace(base, limits=limits), 3)
    assert [getattr(mesh, name.removeprefix("mesh_")) for name in names] == [
        int(limit.value) for limit in limits.values()
    ]
    assert mesh.chips == 3 and mesh == mesh_of(base, 3)
    for name in names:
        rest = {other: limit for other, limit in limits.items() if other != name}
        assert mesh_of(dataclasses.replace(base, limits=rest), 3) is None


# ---- memory


def words(name, synapse, source, target, box=None):
    counts = synapse.arrivals(source, target, box or whole(target))[1]
    return SynapseMemory(load(name)).store(synapse, source, box or whole(target), counts)


def dense(targets, weight=1, connected=None, delay=0):
    weights = np.zeros((targets, 1), int)
    weights[: targets if connected is None else connected] = weight
    return Dense("x", "y", weights, delay=delay)


@pytest.mark.parametrize(
    ("synapse", "expected"),
    [
        (dense(38), 1),
        (dense(39), 2),
        (dense(44), 2),
        (dense(45), 2),  # 58, 59, 64, 65 bits
        (dense(10, 7), 1),
        (dense(10, 15), 2),  # 50, 60 bits
        (dense(4, 127), 1),
        (dense(4, 127, delay=7), 2),
        (dense(4, 127, delay=15), 2),  # 52, 64, 68 bits
        (dense(200, 127, 8), 3),
        (dense(60), 2),
        (dense(61), 3),
    ],
)
def test_words_of_a_list_on_loihi1_by_hand(synapse, expected):
    """Dense: 20 + n (weight + delay) bits; run-length 20 + f (weight + 5); one word more at a rest
    of 0 or from 59 bits; at most 60 synapses an entry.
    """
    n = len(synapse.weight)
    assert words("loihi1", synapse, (1,), (n,)).words == expected


def test_what_reaches_nothing_takes_no_word():
    nothing = Pointwise("x", "y", np.zeros((2, 2), int)), dense(3, connected=0)
    shapes = ((2, 4, 4), (2, 4, 4)), ((1,), (3,))
    for chip_ in ("loihi1", "loihi2"):
        stored = [words(chip_, synapse, *ends) for synapse, ends in zip(nothing, shapes)]
        assert [(s.words, s.longest, s.format) for s in stored] == [
            (0, 0, "conv"),
            (0, 0, "sparse"),
        ]


def test_a_core_stores_no_channel_that_does_not_reach_it():
    synapse = Pointwise("x", "y", np.eye(2, dtype=int))
    assert words("loihi2", synapse, (2, 4, 4), (2, 4, 4), ((0, 1), (0, 4), (0, 4))).words == 1
    assert words("loihi2", synapse, (2, 4, 4), (2, 4, 4)).words == 2


# ---- means of a report


def uneven():
    """Twelve neurons on two cores of eight, two on a third."""
    graph = Graph(
        (
            Population("x", (2,), "input"),
            Population("a", (12,), vth=0, memoryless=True),
            Population("out", (2,), "readout"),
        ),
        (Dense("x", "a", np.ones((12, 2), int)), Dense("a", "out", np.ones((2, 12), int))),
        5,
    )
    return graph, chip("loihi1", neurons_per_core=8)


def test_utilisation_is_the_mean_and_the_largest_over_the_cores():
    graph, tight = uneven()
    report = placement_report(graph, fit(graph, tight), model="m")
    sizes = [core["neurons"] for core in report.map]
    assert sizes == [6, 6, 2]
    mean, largest = report.utilisation["neurons"]
    assert (mean, largest) == (
        pytest.approx(np.mean(sizes) / 8),
        max(sizes) / 8,
    ) and mean != largest
    row = report.populations[1]
    assert row.utilisation_max == max(max(core["utilisation"].values()) for core in report.map[:2])
    assert row.utilisation_mean == pytest.approx(
        np.mean([max(c["utilisation"].values()) for c in report.map[:2]])
    )


def test_the_binding_limit_is_that_of_the_fullest_core():
    """Two cores of one population: the first is full of neurons, the second holds few with many
    sources each.
    """
    weights = np.zeros((12, 400), int)
    weights[:8, :1] = 1
    weights[8:] = 1
    graph = Graph(
        (Population("x", (400,), "input"), Population("a", (12,))), (Dense("x", "a", weights),), 1
    )
    tight = chip("loihi1", neurons_per_core=8, axons_in_per_core=500)
    report = placement_report(graph, fit(graph, tight), model="m")
    shares = [core["utilisation"] for core in report.map]
    fullest = max(shares, key=lambda share: max(share.values()))
    assert len(shares) > 1 and report.populations[1].binding == max(fullest, key=fullest.get)
    assert len({max(share, key=share.get) for share in shares}) > 1


def test_the_gain_and_the_map_by_hand(tmp_path, monkeypatch):
    graph = dataclasses.replace(relays(8, links=[(0, 7)]), steps=5)
    chip_ = load("loihi2")
    placement = place(graph, chip_)
    naive = (
        placement,
        traffic(graph, placement, {p.name: np.full(4, 5.0) for p in graph.populations}),
    )
    better = improve(*naive)
    report = placement_report(
        graph,
        fit(graph, chip_),
        model="m",
        naive=naive,
        optimised=(better, rerouted(better, naive[1])),
    )
    assert report.naive.cost > 0 == report.optimised.cost and report.gain == 1
    assert report.to_json()["gain"] == 1
    half = dataclasses.replace(
        report, optimised=dataclasses.replace(report.optimised, cost=report.naive.cost / 4)
    )
    assert half.gain == 0.75
    assert report.map[0]["synops_per_step"] == pytest.approx(4 * 5 / graph.steps)
    assert report.map[7]["messages_per_step"] == pytest.approx(2 * 4 * 5 / graph.steps)
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    panels = core_map.shares(graph.steps, placement, naive[1])
    utilisation, activity = panels.values()
    assert activity[0] == pytest.approx(0.5) and activity[7] == 1  # of the busiest
    assert f"{2 * 4 * 5 / graph.steps:g}" in list(panels)[1]  # operations a step there
    assert utilisation[0] == pytest.approx(max(report.map[0]["utilisation"].values()))
    drawn = drawing.svg(core_map.core_map(graph.steps, placement, naive[1])).inside
    opacities = [
        float(part.split("opacity: ")[1].split(";")[0]) if "opacity" in part else None
        for part in drawn.split("<title>core 0:")[1:]
    ]
    assert opacities[1] == pytest.approx(0.5 * drawing.STRONGEST, abs=1e-3)


def test_shares_of_the_populations_add_up():
    for name in ("loihi1", "loihi1-sanafe", "truenorth"):
        e = estimated(name, network(), INPUT)
        shares = EnergyReport.shares(e)
        assert sum(shares.values()) == pytest.approx(1)
        assert shares["hidden"] == pytest.approx(
            e.populations[1].core_dynamic_uj / e.core_dynamic_uj
        )
