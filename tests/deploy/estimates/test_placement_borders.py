"""Exactly full and one more: cores, systems, packing, output axons, and an order of the cores
across all tiles.
"""

import dataclasses
import itertools

import numpy as np
import pytest

from scmrl.core.graph import Conv2d, Dense, Graph, OneToOne, Population
from scmrl.deploy.placement.fit import capacity, fit
from scmrl.deploy.placement.placement import place
from scmrl.deploy.placement.traffic import cost, improve, rerouted, traffic
from scmrl.hw_profiles.limits import check
from scmrl.hw_profiles.profile import Quantity, load


def chip(name, drop=(), **limits):
    """A chip with other limits, and without those in `drop`."""
    base = load(name)
    changed = {
        key: Quantity(value, "1", "made up for this test", "assumed")
        for key, value in limits.items()
    }
    return dataclasses.replace(
        base, limits={k: q for k, q in (base.limits | changed).items() if k not in drop}
    )


def relays(number, neurons=4, exponents=None, links=()):
    """Relays of one input, and `links` between them."""
    names = [f"p{i}" for i in range(number)]
    return Graph(
        (
            Population("x", (neurons,), "input"),
            *(Population(name, (neurons,), vth=0, memoryless=True) for name in names),
        ),
        (
            *(
                OneToOne("x", name, 1, exponent=exponents[i] if exponents else 0)
                for i, name in enumerate(names)
            ),
            *(OneToOne(names[a], names[b], 1) for a, b in links),
        ),
    ).check()


# ---- cores and systems


@pytest.mark.parametrize(("neurons", "cores"), [(7, 1), (8, 1), (9, 2), (16, 2), (17, 3)])
def test_a_core_is_full_at_its_last_neuron(neurons, cores):
    for name in ("loihi1", "loihi2"):
        tight = chip(name, neurons_per_core=8, conv_tile_neurons=8)
        assert len(place(relays(1, neurons), tight).cores) == cores


@pytest.mark.parametrize(
    ("neurons", "chips", "system"),
    [
        (8, 1, "Kapoho Bay"),
        (16, 1, "Kapoho Bay"),
        (17, 2, "Kapoho Bay"),
        (32, 2, "Kapoho Bay"),
        (33, 3, "Nahuku"),
        (512, 32, "Nahuku"),
        (513, 33, "Pohoiki Springs"),
    ],
)
def test_a_system_is_full_at_its_last_core(neurons, chips, system):
    """Chips of two cores of eight neurons: 2 chips have four cores, 32 have 64."""
    tight = chip("loihi1", neurons_per_core=8, cores=2, neurons_per_chip=16)
    placement = place(relays(1, neurons), tight)
    assert (placement.chips, placement.system) == (chips, system)
    assert fit(relays(1, neurons), tight, room=capacity(tight, system)).fits


def test_one_core_more_than_the_largest_system():
    tight = chip("loihi1", neurons_per_core=1, cores=1, neurons_per_chip=1)
    assert fit(relays(1, 768), tight).fits
    found = fit(relays(1, 769), tight)
    assert not found.fits and found.placement.system is None
    assert [(v.rule, v.value) for v in found.violations] == [
        ("neurons_per_chip", "769"),
        ("cores", "769"),
    ]


@pytest.mark.parametrize(
    ("limits", "drop", "cores"),
    [
        ({"synapse_words_per_core": 10}, (), 1),
        ({"synapse_words_per_core": 9}, (), 2),
        ({"synapse_words_per_core": 9, "synapse_memory_per_core": 64 * 100}, (), 2),
        ({"synapse_memory_per_core": 64 * 10}, ("synapse_words_per_core",), 1),
        ({"synapse_memory_per_core": 64 * 10 - 1}, ("synapse_words_per_core",), 2),
    ],
)
def test_words_of_a_core_are_those_of_the_users_chip(limits, drop, cores):
    """Five sources of four synapses: ceil((4 * 16 + 10) / 64) = 2 words each; on two cores one word
    each.
    """
    graph = Graph(
        (Population("x", (5,), "input"), Population("y", (4,))),
        (Dense("x", "y", np.ones((4, 5), int)),),
    )
    placement = place(graph, chip("loihi2", drop, **limits))
    words = sum(core.synapse_words for core in placement.cores)
    assert len(placement.cores) == cores and words == 10
    assert placement.cores[0].limits["synapse_words"] == limits.get(
        "synapse_words_per_core", limits.get("synapse_memory_per_core", 0) // 64
    )


# ---- cores that populations share


@pytest.mark.parametrize(("populations", "cores"), [(7, 1), (8, 1), (9, 2)])
def test_packing_stops_at_the_last_population_of_a_core(populations, cores):
    graph = relays(populations)
    assert len(place(graph, load("loihi2"), packed=True).cores) == cores
    assert len(place(graph, load("loihi2")).cores) == populations


@pytest.mark.parametrize(("formats", "cores"), [(6, 1), (7, 1), (8, 2)])
def test_packing_stops_at_the_last_format_of_a_core(formats, cores):
    """Loihi 1 keeps seven formats of synapses a core; another exponent is another format."""
    graph = relays(formats, exponents=range(formats))
    assert len(place(graph, load("loihi1"), packed=True).cores) == cores
    assert len(place(relays(formats), load("loihi1"), packed=True).cores) == 1


@pytest.mark.parametrize(("neurons", "cores"), [(8, 1), (7, 2)])
def test_packing_fills_a_core_to_its_last_neuron(neurons, cores):
    """Two populations of four."""
    assert (
        len(place(relays(2, 4), chip("loihi2", neurons_per_core=neurons), packed=True).cores)
        == cores
    )


# ---- output axons


def sender(*synapses):
    """Sixteen neurons `a` that one core of `b` hears."""
    return Graph(
        (
            Population("x", (1, 4, 4), "input"),
            Population("a", (1, 4, 4), vth=0, memoryless=True),
            Population("b", (2, 4, 4)),
        ),
        (OneToOne("x", "a", 1), *synapses),
    ).check()


DENSE = Dense("a", "b", np.ones((32, 16), int))
SHARED = Conv2d("a", "b", np.ones((2, 1, 3, 3), int), padding=(1, 1))


@pytest.mark.parametrize(
    ("synapses", "here", "elsewhere"),
    [((DENSE,), 1, 2), ((SHARED,), 2, 3), ((DENSE, SHARED), 2, 3)],
)
def test_output_axons_of_loihi1_by_hand(synapses, here, elsewhere):
    """One for each neuron and core; one more where weights are shared, one more on the way to
    another chip.
    """
    assert place(sender(*synapses), load("loihi1")).of("a")[0].axons_out == 16 * here
    assert place(sender(*synapses), chip("loihi1", cores=1)).of("a")[0].axons_out == 16 * elsewhere


@pytest.mark.parametrize(("limit", "cores"), [(32, 1), (31, 2)])
def test_output_axons_are_full_at_the_last(limit, cores):
    assert len(place(sender(SHARED), chip("loihi1", axons_out_per_core=limit)).of("a")) == cores


# ---- boxes


@pytest.mark.parametrize(
    ("most", "extent"), [(16, (4, 2, 1)), (33, (4, 8, 1)), (80, (4, 8, 2)), (300, (4, 8, 8))]
)
def test_an_image_on_loihi2_is_cut_by_width_then_height_channels_together(most, extent):
    """Fewer than `most` neurons a core, along the width a power of two."""
    graph = Graph(
        (Population("x", (1, 8, 8), "input"), Population("a", (4, 8, 8))),
        (Conv2d("x", "a", np.ones((4, 1, 1, 1), int)),),
    ).check()
    cores = place(graph, chip("loihi2", conv_tile_neurons=most)).of("a")
    sizes = {tuple(b - a for a, b in piece.box) for core in cores for piece in core.pieces}
    assert sizes == {extent} and len(cores) * np.prod(extent) == 256


# ---- the order of the cores


def test_a_core_moves_to_any_tile_of_its_chip():
    """Nine relays on chips of four tiles in a row, two chips side by side and the third below the
    first. The last relay stands at the west end of the third chip and talks to the second: it moves
    to the east end.
    """
    row = chip("loihi2", cores=4, mesh_columns=4, mesh_rows=1, cores_per_tile=1)
    graph = relays(9, links=[(4, 8)])
    placement = place(graph, row)
    assert placement.chips == 3
    before = traffic(graph, placement, {p.name: np.ones(4) for p in graph.populations})
    assert (before.hops_ew, before.hops_ns) == (4 * 4, 4)
    after = rerouted(improve(placement, before), before)
    assert (after.hops_ew, after.hops_ns) == (4 * 1, 4)


@pytest.mark.parametrize(("cores", "per_tile", "columns"), [(6, 1, 3), (5, 1, 3), (7, 2, 2)])
@pytest.mark.parametrize("seed", range(8))
def test_a_few_cores_stand_as_no_order_of_them_is_better(cores, per_tile, columns, seed):
    """Of relays that talk at random: every order of their places is tried here."""
    random = np.random.default_rng(seed)
    pairs = list(itertools.combinations(range(cores), 2))
    links = [pair for pair in pairs if random.random() < 0.6]
    places = columns * 2 * per_tile
    small = chip("loihi2", cores=places, mesh_columns=columns, mesh_rows=2, cores_per_tile=per_tile)
    graph = relays(cores, links=links)
    placement = place(graph, small)
    spikes = {p.name: random.integers(1, 30, 4).astype(float) for p in graph.populations}
    before = traffic(graph, placement, spikes)
    found = cost(improve(placement, before), before.flows)
    orders = np.array(list(itertools.permutations(range(places), cores)))
    ends = orders[:, before.flows.source], orders[:, before.flows.target]
    assert found == pytest.approx((placement.mesh.cost(*ends) @ before.flows.messages).min())


@pytest.mark.parametrize("cores", [8, 9, 11])
@pytest.mark.parametrize("seed", range(9))
def test_the_last_chips_cores_stand_best_for_where_the_other_chips_are(cores, seed):
    random = np.random.default_rng(seed)
    links = [pair for pair in itertools.combinations(range(cores), 2) if random.random() < 0.5]
    small = chip("loihi2", cores=6, mesh_columns=3, mesh_rows=2, cores_per_tile=1)
    graph = relays(cores, links=links)
    placement = place(graph, small)
    spikes = {p.name: random.integers(1, 30, 4).astype(float) for p in graph.populations}
    before = traffic(graph, placement, spikes)
    better = improve(placement, before)
    slots = np.array([core.slot for core in better.cores])
    orders = np.array(list(itertools.permutations(range(6, 12), cores - 6)))
    every = np.tile(slots, (len(orders), 1))
    every[:, slots >= 6] = orders
    ends = every[:, before.flows.source], every[:, before.flows.target]
    least = (placement.mesh.cost(*ends) @ before.flows.messages).min()
    assert placement.chips == 2 and cost(better, before.flows) == pytest.approx(least)


# ---- limits


@pytest.mark.parametrize(
    ("weights", "worst"),
    [
        ([-200, 300], "300"),
        ([-400, 300], "-400"),
        ([-129, 128], "128"),
        ([-130, 128], "-130"),
        ([-128, 128], "128"),
        ([-129, 127], "-129"),
    ],
)
def test_the_value_farthest_outside_is_named(weights, worst):
    graph = Graph(
        (Population("x", (2,), "input"), Population("y", (1,))),
        (Dense("x", "y", np.array([weights])),),
    )
    assert [v.value for v in check(graph, chip("loihi2")) if v.rule == "weight_bits"] == [worst]
