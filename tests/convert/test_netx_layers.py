"""The layers of a netx file, value by value: the last that is taken, the first that is not, and
what stands in the graph for it. Without a file: as `read` gives them.
"""

import numpy as np
import pytest

from scmrl.convert.netx import importer, reading
from scmrl.convert.netx.layers import LAYERS, NOT_RUN, Layer, layers, neuron, shown
from scmrl.convert.netx.reading import graph_of
from scmrl.core import reference
from scmrl.core.fixed_point import ACTIVATION_LIMIT
from scmrl.core.graph import Conv2d, Window
from scmrl.system.errors import BundleError, DataError, GraphError, UsageError

CUBA = {"type": "CUBA", "iDecay": 1024, "vDecay": 128, "vThMant": 80}
RNG = np.random.default_rng(3)


def layer(type_, number=1, **datasets):
    return Layer(number, type_, {"type": type_, **datasets})


def dense(outs, weight, number=0, neurons=CUBA, type_="dense", **more):
    shape = np.array([outs])
    return layer(type_, number, shape=shape, neuron=dict(neurons), weight=np.array(weight), **more)


def weights(synapse):
    """Its weights, the exponent in them."""
    return synapse.integers() << synapse.exponent


def image(number=0, shape=(2, 4, 5)):
    return layer("input", number, shape=np.array(shape))


def conv(weight, shape, number=1, type_="conv", neurons=CUBA, **more):
    sizes = np.array(shape)
    return layer(type_, number, shape=sizes, neuron=dict(neurons), weight=np.array(weight), **more)


@pytest.mark.parametrize(
    "value, taken",
    [
        (3, True),
        (3.0, True),
        (True, True),
        ([[1, -2]], True),
        (ACTIVATION_LIMIT - 1, True),
        (1 - ACTIVATION_LIMIT, True),
        (ACTIVATION_LIMIT, False),
        (-ACTIVATION_LIMIT, False),
        (float("nan"), False),
        (float("inf"), False),
        (0.5, False),
        ([1.0, 2.5], False),
        ("word", False),
        ([], False),
        (None, False),
        ({"real": 1}, False),
    ],
)
def test_numbers_are_whole_and_within_24_bits(value, taken):
    one = layer("dense", n=value)
    if taken:
        found = one.numbers("n")
        assert found.dtype == np.int32 and np.array_equal(found, np.asarray(value))
    else:
        with pytest.raises(GraphError, match="^layer/1/n: "):
            one.numbers("n")


@pytest.mark.parametrize("value, taken", [(2, True), (5, True), (1, False), (6, False)])
def test_a_number_of_a_range(value, taken):
    one = layer("dense", n=np.array([value]), two=np.array([3, 3]))
    if taken:
        assert one.number_of("n", 2, 5) == value
    else:
        with pytest.raises(GraphError, match=f"layer/1/n: not a number in range.*2..5.*{value}"):
            one.number_of("n", 2, 5)
    with pytest.raises(GraphError, match="layer/1/two: not a number in range"):
        one.number_of("two", 2, 5)


@pytest.mark.parametrize(
    "value, found",
    [(3, (3, 3)), ([1, 2], (1, 2)), ([0], (0, 0)), ([1, 2, 3], None), ([-1, 2], None)],
)
def test_a_pair_of_sizes(value, found):
    one = layer("conv", stride=np.array(value))
    if found is None:
        with pytest.raises(GraphError, match="layer/1/stride: not one or two sizes"):
            one.pair("stride", 7)
    else:
        assert one.pair("stride", 7) == found
    assert one.pair("padding", 7) == (7, 7)


@pytest.mark.parametrize(
    "type_, value, found",
    [
        ("conv", [2, 3, 4], (2, 3, 4)),
        ("pool", [1, 1, 1], (1, 1, 1)),
        ("conv", [2, 3], None),
        ("pool", [6], None),
        ("input", [2, 3], (6,)),
        ("input", [2, 3, 4], (2, 3, 4)),
        ("dense", [2, 3, 4], (24,)),
        ("dense_rec", [5], (5,)),
        ("dense", [0], None),
        ("dense", [1, 1, 1, 1], None),
    ],
)
def test_the_size_of_a_layer(type_, value, found):
    one = layer(type_, shape=np.array(value))
    if found is None:
        with pytest.raises(GraphError, match="layer/1/shape: "):
            one.shape()
    else:
        assert one.shape() == found


def test_what_is_shown_of_numbers():
    assert shown(np.array([1, 2, 3, 4])) == "1, 2, 3, 4"
    assert shown(np.array([[1, 2], [3, 4], [5, 6]])) == "1, 2, 3, 4, ..."


@pytest.mark.parametrize(
    "groups, said",
    [
        ({}, "no layers"),
        ({"0": {"type": "flatten"}, "2": {"type": "flatten"}}, "no group layer/1"),
        ({"0": 3}, "no group layer/0"),
    ],
)
def test_layers_are_numbered_from_0(groups, said):
    with pytest.raises(BundleError, match=f"a.net: not a sound netx file.*{said}"):
        layers(groups, "a.net")


@pytest.mark.parametrize("name", [*LAYERS, *NOT_RUN, "denze", ""])
def test_the_types_of_layers(name):
    group = {"0": {"type": np.array([name]), "shape": np.array([2])}}
    if name in LAYERS:
        assert [(each.number, each.type) for each in layers(group, "a")] == [(0, name)]
        return
    with pytest.raises(GraphError, match="^layer/0: a layer that netx does not") as caught:
        layers(group, "a")
    assert "dense" in str(caught.value) or name in NOT_RUN


@pytest.mark.parametrize("type_", ["conv", "pool"])
@pytest.mark.parametrize("delay", [0, [0, 0], 1, [0, 3]])
def test_a_delay_of_an_image_is_nothing_or_refused(type_, delay):
    group = {"0": {"type": type_, "delay": np.array(delay)}}
    if not np.any(delay):
        assert len(layers(group, "a")) == 1
    else:
        with pytest.raises(GraphError, match=f"layer/0/delay: a delay of a {type_}"):
            layers(group, "a")


def test_datasets_that_netx_does_not_know_are_refused():
    for type_, known in LAYERS.items():
        assert layers({"0": {name: np.array([0]) for name in known} | {"type": type_}}, "a")
        with pytest.raises(GraphError, match="layer/0/wieght: a dataset that netx does not know"):
            layers({"0": {"type": type_, "wieght": 1}}, "a")
    with pytest.raises(GraphError, match="layer/0/weight: complex"):
        layers({"0": {"type": "dense", "weight": {"real": 1}}}, "a")


RANGES = {"iDecay": 4096, "vDecay": 4096, "vThMant": (1 << 23) - 1}


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("over", [0, 1])
def test_the_range_of_a_neurons_numbers(name, over):
    for value in (-over, RANGES[name] + over):
        one = layer("dense", shape=np.array([2]), neuron={**CUBA, name: value})
        if over:
            with pytest.raises(GraphError, match=f"neuron/{name}: out of range.*0..{RANGES[name]}"):
                neuron(one)
        else:
            found = neuron(one)
            key = {"iDecay": "du", "vDecay": "dv", "vThMant": "vth"}[name]
            assert found[key] == value - (name == "iDecay")


AT_REST = {"refDelay": 1, "gradedSpike": 0, "weight_exp": 0, "wgtExp": 0}


@pytest.mark.parametrize("name", AT_REST)
def test_what_netx_ignores_has_to_be_at_rest(name):
    neuron(layer("dense", shape=np.array([2]), neuron={**CUBA, name: AT_REST[name]}))
    for value in (AT_REST[name] + 1, AT_REST[name] - 1, [AT_REST[name], 5]):
        one = layer("dense", shape=np.array([2]), neuron={**CUBA, name: np.array(value)})
        with pytest.raises(GraphError, match=f"layer/1/neuron/{name}: .*limit {AT_REST[name]}"):
            neuron(one)


def test_a_layer_without_neurons_never_fires_where_netx_takes_one():
    found = neuron(layer("dense", shape=np.array([2])))
    assert found == {"vth": reading.NEVER, "du": -1, "dv": 4096}
    for type_ in ("conv", "pool"):
        with pytest.raises(GraphError, match="layer/1/neuron: missing"):
            neuron(layer(type_, shape=np.array([2, 1, 1])))
    with pytest.raises(GraphError, match="layer/1/neuron: not a group"):
        neuron(layer("dense", shape=np.array([2]), neuron=3))


@pytest.mark.parametrize("kind", ["LOIHI", "CUBA"])
def test_both_names_of_the_neuron(kind):
    assert neuron(layer("dense", shape=np.array([2]), neuron={**CUBA, "type": kind}))["vth"] == 80


@pytest.mark.parametrize("over", [0, 1])
def test_the_bias_is_16_bits(over):
    for bias in (-(1 << 15) - over, (1 << 15) - 1 + over):
        found = [dense(2, np.ones((2, 3)), bias=np.array([bias, 0]))]
        if over:
            with pytest.raises(GraphError, match="layer/0/bias: Lava wraps.*-32768..32767"):
                graph_of(found, 3)
        else:
            graph, _ = graph_of(found, 3)
            assert graph["dense0"].bias.ravel().tolist() == [64 * bias, 0]


def test_a_neurons_values_by_channel_and_by_place():
    places = np.arange(24).reshape(4, 3, 2)  # netx's W, H, C
    one = conv(np.ones((2, 2, 1, 1)), (2, 3, 4), bias=places)
    graph, _ = graph_of([image(shape=(2, 3, 4)), one], 2)
    assert np.array_equal(graph["conv1"].bias, 64 * places.transpose())
    one = conv(np.ones((2, 2, 1, 1)), (2, 3, 4), bias=np.array([5, 6]))
    graph, _ = graph_of([image(shape=(2, 3, 4)), one], 2)
    assert graph["conv1"].bias[:, 2, 3].tolist() == [320, 384]
    for wrong in (np.ones(3), places.transpose(), np.ones((2, 3, 4, 1))):
        one = conv(np.ones((2, 2, 1, 1)), (2, 3, 4), bias=wrong)
        with pytest.raises(GraphError, match="layer/1/bias: does not fit the layer"):
            graph_of([image(shape=(2, 3, 4)), one], 2)


@pytest.mark.parametrize("delay", [0, 62, [0, 1], [0, 5, 2], [[1, 0, 2], [0, 3, 0]]])
def test_a_delay_is_of_all_or_of_an_output_or_an_input_or_each(delay):
    weight = np.array([[2, -3, 4], [5, 6, -7]])
    graph, _ = graph_of([dense(2, weight, delay=np.array(delay))], 70)
    array = np.asarray(delay)
    each = np.broadcast_to(array[:, None] if array.shape == (2,) else array, (2, 3))
    found = np.zeros((3, 2, 3), int)
    for s in graph.synapses:
        if s.target == "dense0":
            mask = weights(s) != 0
            found[0] += weights(s)
            found[1] += mask * s.delay
            found[2] += mask
    assert np.array_equal(found[0], weight) and np.array_equal(found[1], each)
    assert (found[2] == 1).all()
    delays = [s.delay for s in graph.synapses if s.target == "dense0"]
    assert delays == sorted(set(np.unique(each)))


@pytest.mark.parametrize("delay", [63, -1, [0, 63, 0], [0, 0, 0, 0], [[0, 1]]])
def test_a_delay_that_netx_cuts_or_that_does_not_fit(delay):
    with pytest.raises(GraphError, match="layer/0/delay: (netx cuts off.*0..62|does not fit)"):
        graph_of([dense(2, np.ones((2, 3)), delay=np.array(delay))], 70)


@pytest.mark.parametrize(
    "weight, taken",
    [
        ([[255, 0]], True),
        ([[256, 0]], False),
        ([[254, -1]], True),
        ([[255, -1]], False),
        ([[1, -256]], True),
        ([[1, -257]], False),
        ([[-255, -1]], True),
        ([[-255, -2]], True),
        ([[-256, -2]], False),
        ([[-128, -1]], False),
        ([[-129, -1]], True),
        ([[-130, 0]], True),
        ([[-129, 0]], False),
        ([[-127, 0]], True),
        ([[-64, 0]], False),
        ([[0, 0]], True),
    ],
)
def test_a_matrix_that_netx_keeps(weight, taken):
    if taken:
        graph, _ = graph_of([dense(1, weight)], 2)
        assert weights(graph.synapses[0]).tolist() == weight
    else:
        with pytest.raises(GraphError, match="layer/0/weight: a matrix that netx changes"):
            graph_of([dense(1, weight)], 2)


def test_a_loop_is_scaled_with_what_comes_in_and_takes_a_step():
    one = dense(
        2, [[3, -4, 5], [6, 7, 8]], type_="dense_rec", weight_rec=np.array([[1, 2], [3, 4]])
    )
    graph, _ = graph_of([one], 4)
    loop = next(s for s in graph.synapses if s.source == s.target)
    assert loop.delay == 1 and weights(loop).tolist() == [[1, 2], [3, 4]]
    for wrong, said in (
        ({"weight_rec": np.array([[255, 2], [3, 4]])}, "a matrix that netx changes"),
        ({"weight_rec": np.array([[1, 2], [3, 4]]), "delay": 1}, "a delay of a recurrent layer"),
    ):
        one = dense(2, [[3, -4, 5], [6, 7, 8]], type_="dense_rec", **wrong)
        with pytest.raises(GraphError, match=said):
            graph_of([one], 4)


@pytest.mark.parametrize(
    "weight, exponent",
    [([[254, -256]], 1), ([[127, -128]], 0), ([[253, -1]], 0), ([[2, 0]], 0), ([[0, 255]], 0)],
)
def test_even_weights_are_mantissas_of_8_bits_and_an_exponent(weight, exponent):
    graph, _ = graph_of([dense(1, weight)], 2)
    synapse = graph.synapses[0]
    assert synapse.exponent == exponent and weights(synapse).tolist() == weight
    assert (synapse.weight.dtype == np.int8) == (
        np.abs(weight).max() <= 128 << exponent and (np.max(weight) < 128 << exponent)
    )


def test_a_flat_weight_is_by_rows_and_another_shape_is_refused():
    graph, _ = graph_of([dense(2, [1, 2, 3, 4, 5, 6])], 2)
    assert weights(graph.synapses[0]).tolist() == [[1, 2, 3], [4, 5, 6]]
    for weight in (np.ones(5), np.ones((3, 2)), np.ones((3, 4))):
        with pytest.raises(GraphError, match="layer/0/weight: does not fit the layer.*2 rows"):
            graph_of([dense(2, weight)], 2)


def plain(weight, x, stride, padding, dilation, groups):
    """A convolution by its definition: x [C, H, W] -> [O, H', W']."""
    (sh, sw), (ph, pw), (dh, dw) = stride, padding, dilation
    x = np.pad(x, ((0, 0), (ph, ph), (pw, pw)))
    outs, ins, kh, kw = weight.shape
    height = (x.shape[1] - (kh - 1) * dh - 1) // sh + 1
    width = (x.shape[2] - (kw - 1) * dw - 1) // sw + 1
    y = np.zeros((outs, height, width), int)
    for o, c, i, j, h, w in np.ndindex(outs, ins, kh, kw, height, width):
        first = o // (outs // groups) * ins
        y[o, h, w] += weight[o, c, i, j] * x[first + c, h * sh + i * dh, w * sw + j * dw]
    return y


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"stride": (2, 1)},
        {"padding": (1, 2)},
        {"dilation": (1, 3)},
        {"dilation": (2, 1), "padding": (1, 0)},
        {"groups": 2},
        {"stride": (1, 3), "padding": (2, 1), "dilation": (2, 2), "groups": 2},
    ],
    ids=str,
)
@pytest.mark.parametrize("time", [False, True])
def test_a_convolution_is_its_definition(how, time):
    full = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1} | how
    weight = 2 * RNG.integers(-60, 60, (4, 2 // full["groups"], 3, 2))
    x = RNG.integers(0, 2, (2, 6, 7))
    wanted = plain(weight, x, *full.values())
    given = weight[..., None] if time else weight
    one = conv(given, wanted.shape, **{name: np.array(value) for name, value in how.items()})
    graph, _ = graph_of([image(shape=x.shape), one], 1)
    synapse = graph.synapses[0]
    assert isinstance(synapse, Conv2d)
    assert np.array_equal(synapse.apply(x[None], wanted.shape)[0] << synapse.exponent, wanted)


@pytest.mark.parametrize("kernel, fits", [((6, 7), True), ((7, 7), False), ((6, 8), False)])
@pytest.mark.parametrize("pad", [0, 1])
def test_a_kernel_is_no_larger_than_its_image(kernel, fits, pad):
    size = [k + 2 * pad for k in kernel]
    one = conv(np.ones((1, 1, *size)), (1, 1, 1), padding=pad)
    if fits:
        assert graph_of([image(shape=(1, 6, 7)), one], 1)[0]
    else:
        with pytest.raises(GraphError, match="layer/1/weight: a kernel larger than its image"):
            graph_of([image(shape=(1, 6, 7)), one], 1)


@pytest.mark.parametrize("weight", [np.ones((1, 1, 1)), np.ones((1, 1, 1, 1, 2))])
def test_a_kernel_has_four_axes(weight):
    with pytest.raises(GraphError, match="layer/1/weight: not a kernel.*4 axes"):
        graph_of([image(), conv(weight, (1, 4, 5))], 1)


def pool(size, shape, weight=3, **more):
    kernel = np.full((1, 1, *size), weight)
    return conv(kernel, shape, type_="pool", stride=np.array(size), **more)


@pytest.mark.parametrize(
    "size, source, target, whole",
    [
        ((2, 2), (2, 4, 6), (2, 2, 3), True),
        ((1, 3), (3, 2, 6), (3, 2, 2), True),
        ((2, 2), (2, 4, 5), (2, 2, 3), False),
        ((2, 2), (1, 3, 4), (1, 2, 2), False),
        ((2, 3), (2, 4, 5), None, False),
    ],
)
def test_a_pool_is_of_each_channel_with_zeros_behind_the_image(size, source, target, whole):
    x = RNG.integers(0, 2, source)
    behind = [n % k for n, k in zip(source[1:], size)]
    padded = np.pad(x, ((0, 0), (0, behind[0]), (0, behind[1])))
    h, w = ((n // k) for n, k in zip(padded.shape[1:], size))
    wanted = 3 * padded[:, : h * size[0], : w * size[1]].reshape(
        source[0], h, size[0], w, size[1]
    ).sum((2, 4))
    graph, notes = graph_of([image(shape=source), pool(size, target or wanted.shape)], 1)
    synapse = graph.synapses[0]
    assert isinstance(synapse, Window if whole else Conv2d)
    assert np.array_equal(synapse.apply(x[None], wanted.shape)[0] << synapse.exponent, wanted)
    assert any("netx runs no pooling" in note for note in notes)


@pytest.mark.parametrize(
    "more",
    [
        {"stride": np.array([1, 2])},
        {"padding": np.array([1, 0])},
        {"padding": np.array([0, 1])},
        {"dilation": np.array([2, 1])},
        {"dilation": np.array([1, 2])},
        {"weight": np.ones((2, 1, 2, 2))},
        {"weight": np.ones((1, 2, 2, 2))},
    ],
    ids=str,
)
def test_a_pool_whose_windows_overlap_is_refused(more):
    one = pool((2, 2), (2, 2, 2))
    one = Layer(1, "pool", one.datasets | more)
    with pytest.raises(GraphError, match="layer/1/stride: a pool whose windows overlap"):
        graph_of([image(shape=(2, 4, 4)), one], 1)


def test_what_a_layer_reads():
    flat = layer("flatten", 1)
    one = dense(2, np.ones((2, 40)), 1)
    with pytest.raises(GraphError, match="layer/2: a dense layer reads an image with no flatten"):
        graph_of(
            [image(), conv(np.ones((2, 2, 1, 1)), (2, 4, 5)), dense(2, np.ones((2, 40)), 2)], 1
        )
    assert graph_of([image(), one], 1)[0]  # the input may be read as it is
    with pytest.raises(GraphError, match="layer/2: reads no image.*flat"):
        graph_of([image(), flat, conv(np.ones((2, 2, 1, 1)), (2, 4, 5), 2)], 1)
    with pytest.raises(GraphError, match="layer/1: an input behind other layers"):
        graph_of([dense(2, np.ones((2, 3))), image(1)], 1)
    with pytest.raises(GraphError, match="layer/0/weight: does not fit what it reads|differ|41"):
        graph_of([image(), dense(2, np.ones((2, 41)), 1)], 1)


@pytest.mark.parametrize("last", [reading.NEVER - 1, reading.NEVER])
def test_the_last_layer_is_read_where_it_never_fires(last):
    graph, notes = graph_of([dense(2, np.ones((2, 3)), neurons={**CUBA, "vThMant": last})], 2)
    assert graph.readout.name == ("dense0" if last == reading.NEVER else reading.COUNTS)
    assert any("adds up the spikes of dense0" in note for note in notes) == (last != reading.NEVER)


def test_counts_are_the_last_layers_spikes_added_up():
    graph, _ = graph_of([dense(3, np.eye(3) * 100, neurons={**CUBA, "vThMant": 1})], 5)
    x = RNG.integers(0, 2, (4, 5, 3)).astype(np.uint8)
    run = reference.run(graph, {"input": x})
    ones = run.spikes["dense0"].astype(int).cumsum(1)
    assert np.array_equal(run.membrane[reading.COUNTS], 64 * ones) and ones.any()


@pytest.mark.parametrize("over", [0, 1])
def test_a_convolutions_sum_stays_below_24_bits(over):
    """One input of 16 bits: 65535 times the weight is below 2^23, or not."""
    weight = ((1 << 23) - 1) // 65535 + over
    found = [image(shape=(1, 1, 1)), conv(np.full((1, 1, 1, 1), weight), (1, 1, 1))]
    if over:
        with pytest.raises(GraphError, match="conv1: synaptic sum can wrap.*limit 8388607"):
            graph_of(found, 1, 16)
    else:
        assert graph_of(found, 1, 16)[0]


@pytest.mark.parametrize(
    "weight", [None, 64, -5, (1 << 23) - 1, 1 - (1 << 23), 1 << 23, -(1 << 23)]
)
def test_an_input_with_neurons(weight):
    more = {} if weight is None else {"weight": weight}
    one = Layer(0, "input", image(shape=(3, 1, 1)).datasets | {"neuron": dict(CUBA)} | more)
    if weight is not None and abs(weight) >= 1 << 23:
        with pytest.raises(GraphError, match="layer/0/weight: not a number in range"):
            graph_of([one], 2)
        return
    graph, notes = graph_of([one], 2)
    assert int(weights(graph.synapses[0])) == (64 if weight is None else weight)
    assert f"takes {64 if weight is None else weight} times the input as current" in notes[0]


def test_a_bias_of_the_input_needs_a_current_without_memory():
    def graph(decay, bias):
        group = {"neuron": {**CUBA, "iDecay": decay}, "bias": bias}
        return graph_of([Layer(0, "input", image(shape=(3, 1, 1)).datasets | group)], 2)

    with pytest.raises(GraphError, match="layer/0/bias: a bias of the input before a current"):
        graph(1024, 5)
    assert graph(1024, 0)[0]["input0"].bias.max() == 0
    found, notes = graph(4096, 5)
    assert (found["input0"].bias == 320).all() and "plus 5" in notes[0]
    with pytest.raises(GraphError, match="layer/0/bias: not a number in range.*-32768..32767"):
        graph(4096, 1 << 15)


def test_notes_say_what_lava_does_otherwise():
    plain_ = dense(2, np.ones((2, 3)), 0)
    biased = dense(2, np.ones((2, 3)), 0, bias=np.array([1, 0]))
    late = dense(2, np.ones((2, 2)), 1, delay=2)
    loop = dense(2, np.ones((2, 2)), 1, type_="dense_rec", weight_rec=np.ones((2, 2)))

    def notes(*found):
        return [note for note in graph_of(list(found), 4)[1] if "adds up" not in note]

    assert notes(plain_, late) == notes(plain_, loop) == notes(biased) == []
    assert "dense1: on Lava what the bias of dense0" in notes(biased, late)[0]
    assert "through the delay" in notes(biased, late)[0]
    assert "through the loop" in notes(biased, loop)[0]
    own = Layer(1, "dense_rec", loop.datasets | {"bias": np.array([1, 1])})
    said = notes(plain_, own)
    assert "dense_rec1: on Lava what the bias of dense_rec1" in said[0]
    assert said[1].startswith("dense_rec1: its bias begins with the sample")


@pytest.mark.parametrize(
    "x, steps, kind, said",
    [
        (np.zeros((2, 3)), None, DataError, "wrong shape or type"),
        (np.zeros((0, 3, 1)), None, DataError, "wrong shape or type"),
        (np.full((2, 3, 1), "a"), None, DataError, "."),
        (np.full((2, 3, 1), 0.5), None, DataError, "whole numbers from 0 on"),
        (np.full((2, 3, 1), -1), None, DataError, "whole numbers from 0 on.*-1"),
        (np.full((2, 3, 1), 1 << 16), None, DataError, "0..65535"),
        (np.zeros((2, 3, 1)), 4, UsageError, "steps: samples are shorter.*limit 3, got 4"),
        (np.full((2, 3, 1), (1 << 16) - 1), 3, None, np.uint16),
        (np.full((2, 3, 1), 256.0), 2, None, np.uint16),
        (np.full((2, 3, 1), 255), None, None, np.uint8),
        (np.full((2, 3, 1), True), 1, None, np.uint8),
    ],
)
def test_samples_of_an_import(x, steps, kind, said):
    if kind:
        with pytest.raises(kind, match=said):
            importer._samples({"x": x}, steps)
    else:
        found, labels = importer._samples({"x": x}, steps)
        assert found.dtype == said and labels is None
        assert np.array_equal(found, x[:, :steps])


def test_samples_are_of_the_inputs_shape_in_any_grouping():
    x = np.arange(24).reshape(2, 1, 12)
    assert importer._fitting(x, (3, 4)).shape == (2, 1, 3, 4)
    with pytest.raises(DataError, match=r"x: samples do not fit.*\[S, T, 3, 5\]"):
        importer._fitting(x, (3, 5))
    made = importer._stand_in(5, (20, 30))
    assert made.shape == (8, 5, 20, 30) and set(np.unique(made)) == {0, 1}
    assert 0.48 < made.mean() < 0.52
