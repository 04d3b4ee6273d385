"""netx -> bundle: every spike of every layer as lava-dl's own netx gives it on Lava, and as slayer
gives it that trained the network; what they would change is refused by name.
"""

import json

import numpy as np
import pytest
from conformance.graphs.networks import flat_graph, image_graph
from hypothesis import given, settings
from hypothesis import strategies as st

h5py = pytest.importorskip("h5py", reason="netx files are HDF5")

from netx_files import even, layer, netx, of_slayer, on_lava, write

from scmrl.convert.frame.hdf5 import kind_of
from scmrl.convert.netx import lowering
from scmrl.convert.netx.importer import import_netx
from scmrl.convert.netx.layers import Layer, layers
from scmrl.convert.netx.reading import COUNTS, INPUT, graph_of
from scmrl.core import bundle as bundles
from scmrl.core.graph import Dense, Graph
from scmrl.core.reference import run
from scmrl.core.samples import GIVEN, MADE_UP, NONE, TRUE, Origin
from scmrl.system.errors import BundleError, DataError, GraphError, ScmrlError, UsageError

STEPS = 12


def spikes(random: np.random.Generator, *shape: int, rate: float = 0.3) -> np.ndarray:
    """[1, T, *shape]."""
    return (random.random((1, STEPS, *shape)) < rate).astype(np.uint8)


def image_layers(random: np.random.Generator, **conv) -> list[dict]:
    """Two convolutions, the second grouped and dilated, and a dense readout that fires."""
    return [
        layer("input", shape=np.array([2, 9, 8])),
        layer("conv", {}, shape=np.array([4, 5, 4]), weight=even(random, 4, 2, 3, 3, 1) // 4 * 2,
              stride=[2, 2], padding=[1, 1], dilation=[1, 1], groups=1,
              bias=np.array([2.0, -4, 0, 6]), kernelSize=[3, 3], inChannels=2, outChannels=4),
        layer("conv", {"vThMant": 200}, shape=np.array([6, 3, 4]), weight=even(random, 6, 2, 2, 3),
              stride=np.array([2, 1]), padding=np.array([1, 2]), dilation=[2, 2], groups=2),
        layer("flatten", shape=np.array([72, 1, 1])),
        layer("dense", {"vThMant": 300, "iDecay": 4096}, shape=np.array([5]),
              weight=even(random, 5, 72), bias=np.array([-2, 0, 4, 300, 8])),
    ]  # fmt: skip


def dense_layers(random: np.random.Generator, delay: object, **more) -> list[dict]:
    return [
        layer("dense", {}, shape=np.array([7]), weight=even(random, 7, 6), inFeatures=6),
        layer("dense", {"vThMant": 150}, shape=np.array([5]), weight=even(random, 5, 7).ravel(),
              delay=delay, **more),
    ]  # fmt: skip


def recurrent_layers(random: np.random.Generator) -> list[dict]:
    return [
        layer("dense_rec", {}, shape=np.array([7]), weight=even(random, 7, 6),
              weight_rec=even(random, 7, 7)),
        layer("dense", {"iDecay": 0, "vDecay": 4096, "vThMant": 90}, shape=np.array([5]),
              weight=even(random, 5, 7)),
    ]  # fmt: skip


def encoder_layers(random: np.random.Generator, **neuron) -> list[dict]:
    """A graded image times 3 plus 5 drives neurons, as in lava-dl's PilotNet."""
    parameters = {"iDecay": 4096, "vDecay": 400, "vThMant": 60} | neuron
    return [
        layer("input", parameters, shape=np.array([1, 5, 4]), weight=3.0, bias=5.0),
        *image_layers(random)[1:2],
    ]


def equals_lava(path, x, bits: int = 1) -> Graph:
    """Every spike of every layer, of the graph and of netx on Lava; some fire and some do not."""
    bundle, _ = import_netx(path, samples={"x": x})
    got = run(bundle.graph, bundle.inputs)
    wanted = on_lava(path, x[0].reshape(STEPS, *bundle.graph[INPUT].shape), bits)
    names = [p.name for p in bundle.graph.populations if p.name not in (INPUT, COUNTS)]
    assert len(names) == len(wanted)
    for name, frames in zip(names, wanted):
        if bundle.graph[name].fires:
            assert 0 < frames.mean() < 1, name
            np.testing.assert_array_equal(
                got.spikes[name][0], frames.reshape(got.spikes[name][0].shape)
            )
    return bundle.graph


def test_images_equal_lava(tmp_path):
    random = np.random.default_rng(1)
    path = write(tmp_path / "a.net", *image_layers(random))
    graph = equals_lava(path, spikes(random, 2, 9, 8))
    assert {s.exponent for s in graph.synapses} == {0, 1}  # slayer's weights are even, to 254


DELAYS = {
    "one": 3,
    "none": 0.0,
    "by output": np.array([4.0, 0, 1, 2, 1]),
    "by input": np.arange(7),
    "by synapse": np.arange(35).reshape(5, 7) % 4,
}


@pytest.mark.parametrize("delay", DELAYS.values(), ids=DELAYS)
def test_delays_equal_lava(tmp_path, delay):
    random = np.random.default_rng(2)
    path = write(tmp_path / "a.net", *dense_layers(random, delay))
    graph = equals_lava(path, spikes(random, 6))
    assert {s.delay for s in graph.synapses if s.target == "dense1"} == set(np.unique(delay))


def test_recurrence_equals_lava(tmp_path):
    random = np.random.default_rng(3)
    graph = equals_lava(write(tmp_path / "a.net", *recurrent_layers(random)), spikes(random, 6))
    (loop,) = [s for s in graph.synapses if s.source == s.target]
    assert loop.delay == 1


def test_an_input_with_neurons_equals_lava(tmp_path):
    random = np.random.default_rng(4)
    layers_ = encoder_layers(random)
    layers_[1] |= {"shape": np.array([4, 3, 2]), "weight": even(random, 4, 1, 3, 3)}
    path = write(tmp_path / "a.net", *layers_)
    x = random.integers(0, 16, (1, STEPS, 1, 5, 4)).astype(np.uint8)
    graph = equals_lava(path, x)
    assert graph[INPUT].bits == 4


def test_graded_values_equal_lava(tmp_path):
    random = np.random.default_rng(5)
    path = write(tmp_path / "a.net", *dense_layers(random, 1))
    x = spikes(random, 6) * random.integers(1, 6, (1, STEPS, 6))
    equals_lava(path, x.astype(np.float32), bits=3)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(-260, 260), min_size=1, max_size=6), st.integers(0, 3))
def test_a_matrix_is_taken_where_netx_keeps_it(values, shift):
    """The rule against netx's and Lava's own functions: what they make of a matrix of a file."""
    netx()
    from lava.lib.dl.netx.utils import optimize_weight_bits
    from lava.utils.weightutils import clip_weights, determine_sign_mode, truncate_weights

    weight = np.array([values]) << shift
    if not weight.any():
        return
    scaled, bits, exponent, _ = optimize_weight_bits(weight.copy())
    mode = determine_sign_mode(scaled)
    runs = truncate_weights(clip_weights(scaled, mode, num_bits=8), mode, bits) >> -exponent
    group = {"0": {"type": "dense", "shape": np.array([1]), "weight": weight}}
    try:
        graph, _ = graph_of(layers(group, "a.net"), 1)
    except GraphError as error:
        assert "netx changes" in str(error)
        assert (runs != weight).any()
    else:
        (s,) = [s for s in graph.synapses if isinstance(s, Dense)]
        np.testing.assert_array_equal(s.weight.astype(int) << s.exponent, runs)


SLAYER = {
    "conv, pool, delay, loop": [
        ("Conv", [2, 4, 3], {"stride": 2, "padding": 1, "weight_scale": 2}),
        ("Pool", [2], {"neuron": {"threshold": 0.1}}),
        ("Flatten", [], {}),
        ("Dense", [24, 12], {"delay": True, "weight_scale": 4}),
        ("Recurrent", [12, 12], {"weight_scale": 3}),
        ("Dense", [12, 5], {"weight_scale": 4}),
    ],
    "graded input": [
        ("Input", [], {"weight": 0.3, "neuron": {"current_decay": 0.5}}),
        ("Conv", [2, 4, 3], {"weight_scale": 2}),
    ],
    "bias, weight norm, groups": [
        ("Conv", [2, 4, 3], {"groups": 2, "weight_scale": 3, "neuron": {"norm": True}}),
        ("Flatten", [], {}),
        ("Dense", [168, 9], {"weight_norm": True, "weight_scale": 6}),
    ],
}


@pytest.mark.parametrize("recipe", SLAYER.values(), ids=SLAYER)
def test_networks_of_slayer_give_its_own_spikes(tmp_path, recipe):
    """Exported by slayer itself; layer d of its forward is d steps late."""
    x = (np.random.default_rng(0).random((2, 24, 2, 9, 8)) < 0.3).astype(np.uint8)
    x *= 3 if recipe[0][0] == "Input" else 1
    path, wanted = of_slayer(tmp_path, x, *recipe)
    bundle, report = import_netx(path, samples={"x": x})
    got = run(bundle.graph, bundle.inputs)
    names = [p.name for p in bundle.graph.of_kind("lif")]
    assert len(names) == len(wanted) and not report.dead
    for d, (name, frames) in enumerate(zip(names, wanted), 1):
        frames = frames.reshape(got.spikes[name].shape)
        np.testing.assert_array_equal(got.spikes[name][:, :-d], frames[:, d:], err_msg=name)
        assert 0 < frames.mean() < 1


@pytest.mark.parametrize("graph", [image_graph, flat_graph], ids=["image", "flat"])
def test_our_own_export_comes_back_as_the_same_network(tmp_path, graph):
    graph = graph()
    path = tmp_path / "a.net"
    lowering.write(lowering.lower(graph), path)
    (source,) = graph.of_kind("input")
    shape = (4, graph.steps, *source.shape)
    x = np.random.default_rng(1).integers(0, 1 << source.bits, shape).astype(np.uint8)
    bundle, _ = import_netx(path, samples={"x": x})
    wanted, got = run(graph, {source.name: x}), run(bundle.graph, bundle.inputs)
    ours = [p for p in graph.order() if p.kind != "input"]
    assert graph.readout is not None or bundle.graph.readout.name == COUNTS
    for p, q in zip(ours, bundle.graph.order()[1:]):
        a, b = wanted.values(p.name), got.values(q.name)
        np.testing.assert_array_equal(a.reshape(b.shape), b, err_msg=p.name)
    if graph.readout is None:
        return
    lowering.lower(bundle.graph)  # and out again


def changed(number: int, **datasets) -> list[dict]:
    """The image network with datasets of one layer replaced, or gone where None."""
    found = image_layers(np.random.default_rng(1))
    found[number] = {k: v for k, v in (found[number] | datasets).items() if v is not None}
    return found


REFUSED = {
    "a refractory period": (changed(1, **{"neuron/refDelay": 2}), "layer/1/neuron/refDelay"),
    "graded spikes": (changed(1, **{"neuron/gradedSpike": True}), "gradedSpike"),
    "batch norm": (changed(4, **{"neuron/weight_exp": [-2.0]}), "neuron/weight_exp"),
    "sigma-delta": (changed(1, **{"neuron/type": "SDNN"}), "sigma-delta"),
    "resonate-and-fire": (changed(1, **{"neuron/type": "RF_PHASE"}), "resonate-and-fire"),
    "adaptive": (changed(1, **{"neuron/type": "ALIF"}), "adaptive-threshold"),
    "no neuron": (changed(1, **{"neuron/type": "CABA"}), "unknown kind of neuron"),
    "unknown parameter": (changed(1, **{"neuron/tau": 3}), "layer/1/neuron/tau"),
    "unknown dataset": (changed(1, wait=3), "layer/1/wait"),
    "unknown layer": ([*changed(1), layer("add")], "layer/5"),
    "average": ([*changed(1), layer("average", shape=[5])], "netx does not run"),
    "transposed": ([*changed(1), layer("convT", {})], "convT"),
    "delayed conv": (changed(1, delay=np.array([0, 1, 0, 2])), "netx leaves out"),
    "fractions": (changed(4, weight=np.full((5, 72), 0.5)), "not whole numbers"),
    "nan": (changed(4, weight=np.full((5, 72), np.nan)), "out of range"),
    "complex": (changed(4, weight=None, **{"weight/real": 1, "weight/imag": 1}), "complex"),
    "bias": (changed(1, bias=np.full(4, 40000)), "wraps"),
    "bias's shape": (changed(1, bias=np.ones(3)), "layer/1/bias"),
    "kernel": (changed(1, weight=np.ones((4, 2, 30, 3))), "larger than its image"),
    "dilation": (changed(1, dilation=[1 << 20, 1]), "larger than its image"),
    "groups": (changed(1, groups=0), "layer/1/groups"),
    "stride": (changed(1, stride=[0, 0]), "stride"),
    "shape": (changed(1, shape=np.array([4, 4, 4])), "differ in shape"),
    "threshold": (changed(1, **{"neuron/vThMant": -64}), "layer/1/neuron/vThMant"),
    "decay": (changed(1, **{"neuron/iDecay": 4097}), "layer/1/neuron/iDecay"),
    "no decay": (changed(1, **{"neuron/iDecay": None}), "layer/1/neuron/iDecay"),
    "no flatten": (changed(3, type="input"), "layer/3"),
    "columns": (changed(4, weight=np.ones((5, 71))), "layer/4/weight"),
    "rows": (changed(4, weight=np.ones((6, 72))), "layer/4/weight"),
    "range": (changed(4, weight=np.tile([255, -3], (5, 36))), "netx changes"),
    "delay": (changed(4, delay=63), "layer/4/delay"),
    "delay's shape": (changed(4, delay=np.zeros(3)), "layer/4/delay"),
    "input alone": (changed(1)[:1], "no layer with neurons"),
    "overlapping pool": ([*changed(1)[:2], layer("pool", {}, shape=[4, 4, 3], stride=[1, 1],
                          padding=[0, 0], dilation=[1, 1], weight=np.ones((1, 1, 2, 2)))],
                         "one channel into the next"),
    "pool with a rest": ([*changed(1)[:2], layer("pool", {}, shape=[4, 2, 1], stride=[3, 3],
                          padding=[0, 0], dilation=[1, 1], weight=np.ones((1, 1, 3, 3)))],
                         "one channel into the next"),
    "conv on a dense": (dense_layers(np.random.default_rng(1), 0)[:1] + changed(1)[1:2],
                        "reads no image"),
    "delayed loop": ([recurrent_layers(np.random.default_rng(1))[0] | {"delay": 2}], "recurrent"),
    "no size of the input": (changed(1)[1:], "size of its input"),
    "input bias": (encoder_layers(np.random.default_rng(1), iDecay=1000), "layer/0/bias"),
}  # fmt: skip


@pytest.mark.parametrize("layers_, words", REFUSED.values(), ids=REFUSED)
def test_what_is_not_exact_is_refused_by_name(tmp_path, layers_, words):
    with pytest.raises(GraphError, match=words.replace("/", "/")) as caught:
        import_netx(write(tmp_path / "a.net", *layers_))
    assert "\n" not in str(caught.value)


def test_channels_of_their_own_come_in_as_arrays():
    """Decays by channel, as slayer writes them for shared_param=False."""
    from scmrl.convert.netx.layers import neuron

    group = {"type": "CUBA", "iDecay": np.array([1, 2]), "vDecay": np.array([7, 7]), "vThMant": 9}
    found = neuron(Layer(1, "conv", {"shape": np.array([2, 3, 4]), "neuron": group}))
    assert found["du"].tolist() == [[[0]], [[1]]] and (found["dv"], found["vth"]) == (7, 9)
    found = neuron(Layer(1, "dense", {"shape": np.array([2]), "neuron": group}))
    assert found["du"].tolist() == [0, 1]


def test_layers_without_neurons_or_that_never_fire_are_the_readout(tmp_path):
    random = np.random.default_rng(6)
    first = dense_layers(random, 0)[0]
    affine = layer("dense", {"vThMant": (1 << 18) - 1}, shape=[3], weight=even(random, 3, 7))
    bare = layer("dense", shape=[3], weight=even(random, 3, 7))
    for last in (affine, bare):
        graph = import_netx(write(tmp_path / "a.net", first, last))[0].graph
        assert graph.readout.name == "dense1" and COUNTS not in [p.name for p in graph.populations]
    assert (graph.readout.du, graph.readout.dv) == (-1, 4096)


def test_samples_and_labels_stay_in_the_bundle(tmp_path):
    random = np.random.default_rng(7)
    path = write(tmp_path / "a.net", *image_layers(random))
    x = np.concatenate([spikes(random, 2, 9, 8)] * 3)
    np.savez(tmp_path / "x.npz", x=x.reshape(3, STEPS, -1).astype(float), y=np.array([0, 1, 4]))
    bundle, report = import_netx(path, samples=tmp_path / "x.npz", out=tmp_path / "b", steps=5)
    assert bundles.load(tmp_path / "b").hash == report.bundle == bundle.hash
    np.testing.assert_array_equal(bundle.inputs[INPUT], x[:, :5])
    assert bundle.labels.tolist() == [0, 1, 4] and bundle.origin == Origin(GIVEN, TRUE)
    assert import_netx(path)[0].origin == Origin(MADE_UP, NONE)
    size_from_samples = write(tmp_path / "c.net", *image_layers(random)[1:])
    assert import_netx(size_from_samples, samples={"x": x})[0].graph[INPUT].shape == (2, 9, 8)
    for wrong, error in [
        ({"x": x + 0.5}, DataError),
        ({"x": x * -1.0}, DataError),
        ({"x": x[..., :4]}, DataError),
        ({"x": x, "z": x}, DataError),
        ({"x": x, "y": np.array([0, 1, 5])}, DataError),
        ({"x": x[0, 0, 0]}, DataError),
    ]:
        with pytest.raises(error):
            import_netx(path, samples=wrong)
    with pytest.raises(UsageError):
        import_netx(path, samples={"x": x}, steps=STEPS + 1)
    with pytest.raises(UsageError):
        import_netx(path, out=tmp_path / "b")


def test_the_command_takes_netx_by_ending_or_content(tmp_path, scmrl):
    random = np.random.default_rng(8)
    path = write(tmp_path / "a.net", *image_layers(random))
    code, out, _ = scmrl("import", path, "--out", tmp_path / "b", "--layers")
    assert code == 0 and "nothing rounded" in out and "conv1" in out and "Lava's step t + d" in out
    other = path.rename(tmp_path / "a.h5")
    assert kind_of(other) == "netx"
    code, out, _ = scmrl("import", other, "--out", tmp_path / "b", "--force", "--json")
    report = json.loads(out)
    assert code == 0 and report["format"] == "netx" and report["origin"]["labels"] == "none"
    code, out, _ = scmrl("deploy", tmp_path / "b")
    assert code == 0 and "not known: no labels" in out
    for option in (["--dt", "1"], ["--reset", "zero"], ["--input-bits", "8"]):
        code, _, err = scmrl("import", other, "--out", tmp_path / "c", *option)
        assert code == 2 and option[0] in err and not (tmp_path / "c").exists()


def cyclic(path):
    with h5py.File(path, "w") as file:
        file["layer/0/neuron"] = file.create_group("layer")


def linked(path):
    with h5py.File(path, "w") as file:
        file.create_group("layer/0")
        file["layer/0/weight"] = h5py.ExternalLink("/etc/passwd", "/x")


def bomb(path):
    with h5py.File(path, "w") as file:
        group = file.create_group("layer/0")
        group.create_dataset("weight", (1 << 40,), "f4", chunks=(1 << 20,), compression="gzip")


def numbers(path):
    with h5py.File(path, "w") as file:
        file.create_group("layer/1")


def text(path):
    path.write_bytes(b"not HDF5 at all")


def of_nir(path):
    with h5py.File(path, "w") as file:
        file.create_group("node")


@pytest.mark.parametrize("make", [cyclic, linked, bomb, numbers, text, of_nir])
def test_hostile_files_are_one_line(make, tmp_path):
    path = tmp_path / "hostile.net"
    make(path)
    with pytest.raises(BundleError) as caught:
        import_netx(path, limit=64 << 20)
    assert "hostile.net" in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(BundleError):
        import_netx(tmp_path / "missing.net")


ODD = (-1, 0, 3.5, np.nan, 1 << 40, "text", b"\xff", np.zeros((2, 0, 3)), np.ones((3, 3)), True)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_layers_of_any_content_give_a_graph_or_one_line(data):
    """Datasets of another type, shape or value, or gone, past the reading of the file."""
    found = image_layers(np.random.default_rng(1)) + dense_layers(np.random.default_rng(1), 1)[1:]
    found[-1]["weight"] = np.ones((5, 5))
    groups = {}
    for i, datasets in enumerate(found):
        group: dict = {"neuron": {}}
        for name, value in datasets.items():
            place = group["neuron"] if name.startswith("neuron/") else group
            place[name.removeprefix("neuron/")] = np.asarray(value)
        groups[str(i)] = (
            group if group["neuron"] else {k: v for k, v in group.items() if k != "neuron"}
        )
    for _ in range(data.draw(st.integers(1, 2))):
        group = groups[data.draw(st.sampled_from(sorted(groups)))]
        if isinstance(group.get("neuron"), dict) and data.draw(st.booleans()):
            group = group["neuron"]
        name = data.draw(st.sampled_from(sorted(group)))
        group[name] = np.asarray(data.draw(st.sampled_from(ODD)))
        if data.draw(st.booleans()):
            del group[name]
    try:
        graph_of(layers(groups, "a.net"), 2)
    except ScmrlError as error:
        assert "\n" not in str(error)
