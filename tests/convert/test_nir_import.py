"""NIR networks come in as integers: from every exporter, on every backend, with the same classes;
hostile files do not.
"""

import contextlib
import importlib
import importlib.util
import io
import os
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scmrl.core import reference
from scmrl.core.activity import predictions
from scmrl.core.comparison import compare
from scmrl.deploy.registry import open_backend
from scmrl.hw_profiles import limits
from scmrl.hw_profiles import profile as profiles
from scmrl.system.errors import BundleError, DataError, GraphError, ScmrlError, UsageError

nir = pytest.importorskip("nir", reason="nir is not installed")
h5py = pytest.importorskip("h5py", reason="h5py is not installed")

from scmrl.convert.nir.importer import CONVENTIONS, import_graph, import_nir, network, read, run
from scmrl.convert.nir.importer.floats.convention import convention_of
from scmrl.convert.nir.importer.floats.maps import compose, conv

RANDOM = 7
T, CLASSES = 24, 4


# --- networks and samples -------------------------------------------------------------------------


def shown(report) -> str:
    """The report as it stands on a terminal, its lines joined."""
    out = io.StringIO()
    report.show(out, layers=True)
    return " ".join(out.getvalue().split())


def chain(*nodes, shape):
    """A sequential NIR graph, untyped, with Input and Output."""
    names = ["input", *(f"n{i}" for i in range(len(nodes))), "output"]
    last = nir.Output(np.array([1]))
    return nir.NIRGraph(
        dict(zip(names, [nir.Input(np.array(shape)), *nodes, last])),
        list(pairwise(names)),
        type_check=False,
    )


def conv2d(weight, stride=1, padding=0, dilation=1, groups=1, bias=None):
    weight = np.asarray(weight, np.float32)
    return nir.Conv2d(
        None,
        weight,
        stride,
        padding,
        dilation,
        groups,
        np.zeros(len(weight), np.float32) if bias is None else np.asarray(bias, np.float32),
    )


def neurons_if(*shape, threshold=1.0):
    return nir.IF(r=np.ones(shape), v_threshold=np.full(shape, threshold), v_reset=np.zeros(shape))


def neurons_lif(*shape, decay=0.9, threshold=1.0, dt=1e-4):
    one = np.ones(shape)
    return nir.LIF(
        tau=one * dt / (1 - decay),
        r=one / (1 - decay),
        v_leak=0 * one,
        v_threshold=one * threshold,
        v_reset=0 * one,
    )


def neurons_cuba(*shape, alpha=0.6, beta=0.9, threshold=1.0, dt=1e-4):
    one = np.ones(shape)
    return nir.CubaLIF(
        tau_syn=one * dt / (1 - alpha),
        tau_mem=one * dt / (1 - beta),
        r=one / (1 - beta),
        v_leak=0 * one,
        v_threshold=one * threshold,
        v_reset=0 * one,
        w_in=one / (1 - alpha),
    )


def weights(*shape, gain=1.0, seed=RANDOM, mean=0.3):
    random = np.random.default_rng(seed)
    fan_in = np.prod(shape[1:])
    return (gain * (random.normal(size=shape) + mean) / np.sqrt(fan_in)).astype(np.float32)


def patterns(shape, samples=100, seed=RANDOM):
    """Spikes [S, T, *shape] drawn from one rate pattern a class, and their classes [S]."""
    random = np.random.default_rng(seed)
    coarse = [-(-n // 6) for n in shape[1:]]  # 6 x 6 patches: what a convolution does not blur
    rates = random.random((CLASSES, shape[0], *(-(-n // k) for n, k in zip(shape[1:], coarse))))
    rates = np.where(rates < 0.3, 0.7, 0.03)
    for axis, k in enumerate(coarse):
        rates = rates.repeat(k, axis + 2)
    rates = rates[(slice(None), *map(slice, shape))]
    y = np.arange(samples) % CLASSES
    return (random.random((samples, T, *shape)) < rates[y][:, None]).astype(np.float32), y


def taught(build, shape, hidden, **settings_):
    """build(weight) with a last weight that tells the classes of `patterns` apart, regressed from
    the hidden spikes.

    hidden: [classes, features] of the last weight. Returns graph, samples, labels.
    """
    x, y = patterns(shape)
    probe = network(build(np.eye(*hidden, dtype=np.float32)), **settings_)
    last = [n for n in probe.neurons if n.kind == "spiking"][-1]
    route = next(r for r in probe.routes if r.target == last.name and r.source != r.target)
    rates = run(probe, {n.name: x for n in probe.inputs}).values[route.source].mean(1)
    if rates[0].size != hidden[1]:  # 2 x 2 pooling on the way
        samples, channels, height, width = rates.shape
        rates = rates.reshape(samples, channels, height // 2, 2, width // 2, 2).mean((3, 5))
    rates = rates.reshape(len(x), -1)
    target = np.eye(CLASSES)[y] - 0.3
    weight = np.linalg.solve(rates.T @ rates + 0.5 * np.eye(hidden[1]), rates.T @ target).T
    own = (rates @ weight.T)[np.arange(len(y)), y].mean()
    drive = 0.6 * np.mean(last.threshold) * np.mean(1 - last.alpha) / np.mean(last.gain)
    return build((weight * drive / own).astype(np.float32)), x, y


def spiking(report):
    return [p for p in report.populations if p.kind == "lif"]


def assert_comes_in(graph, x, y, *, backends=("simulator", "lava-inprocess"), **settings_):
    """Calibrated on half of the samples it keeps the classes of the others; backends agree in every
    bit.
    """
    seen, held_out = x[:50], x[50:]
    integers, report = import_graph(graph, calibration=seen, **settings_)
    assert all(0 < p.rate < 1 and p.overflow == 0 for p in spiking(report)), shown(report)
    floats = network(graph, dt=report.dt, convention=settings_.get("convention", "nir"))
    wanted = run(floats, {n.name: held_out for n in floats.inputs}).classes(floats)
    assert (wanted == y[50:]).mean() > 0.8, "nothing to decide"
    inputs = {
        p.name: held_out.reshape(*held_out.shape[:2], *p.shape).astype(np.uint8)
        for p in integers.of_kind("input")
    }
    kept = (predictions(integers, reference.run(integers, inputs)) == wanted).mean()
    assert kept >= 0.98 and report.class_agreement >= 0.98, shown(report)
    assert_backends_agree(integers, x, backends)
    return integers, report


def assert_backends_agree(graph, x, backends, samples=2):
    inputs = {
        p.name: x[:samples].reshape(samples, x.shape[1], *p.shape).astype(np.uint8)
        for p in graph.of_kind("input")
    }
    expected = reference.run(graph, inputs)
    for name in backends:
        if name.startswith("lava") and importlib.util.find_spec("lava") is None:
            continue
        with open_backend(name, graph, deadline_s=60 if name == "lava" else None) as backend:
            compare(graph, expected, backend.run(inputs)).require()


# --- exporters ------------------------------------------------------------------------------------


def norse_conv(last):
    import norse.torch as norse
    import torch

    p = norse.LIFBoxParameters(tau_mem_inv=torch.tensor(200.0), v_th=torch.tensor(0.1))
    first, head = torch.nn.Conv2d(2, 4, 3, padding=1), torch.nn.Conv2d(4, CLASSES, 6)
    model = norse.SequentialState(
        first, norse.LIFBoxCell(p, dt=1e-3), head, norse.LIFBoxCell(p, dt=1e-3)
    )
    assign(first, weights(4, 2, 3, 3))
    assign(head, last.reshape(CLASSES, 4, 6, 6))
    return norse.to_nir(
        model, torch.zeros(1, 2, 6, 6), dt=1.0
    )  # norse's dt / tau_mem_inv wants 1 for seconds


def norse_cuba(last):
    import norse.torch as norse
    import torch

    p = norse.LIFParameters(v_th=torch.tensor(0.1))
    first, head = torch.nn.Linear(24, 32), torch.nn.Linear(32, CLASSES)
    model = norse.SequentialState(first, norse.LIFCell(p), head, norse.LIFCell(p))
    assign(first, weights(32, 24))
    assign(head, last)
    return norse.to_nir(model, torch.zeros(1, 24), dt=1.0)


def snntorch_export(model, sample):
    import torch
    from snntorch.export_nir import export_to_nir

    with contextlib.redirect_stdout(io.StringIO()):
        return export_to_nir(model, torch.zeros(*sample))


def snntorch_conv(last):
    import snntorch as snn
    import torch

    first, head = torch.nn.Conv2d(2, 8, 3), torch.nn.Linear(8 * 2 * 2, CLASSES)
    assign(first, weights(8, 2, 3, 3))
    assign(head, last)
    one = torch.ones
    return snntorch_export(
        torch.nn.Sequential(
            first,
            snn.Leaky(beta=0.9 * one(8, 4, 4), threshold=one(8, 4, 4), init_hidden=True),
            torch.nn.AvgPool2d(2),
            torch.nn.Flatten(0),
            head,
            snn.Leaky(
                beta=0.9 * one(CLASSES), threshold=one(CLASSES), init_hidden=True, output=True
            ),
        ),
        (2, 6, 6),
    )


def snntorch_synaptic(beta, threshold, n):
    import snntorch as snn
    import torch

    return snn.Synaptic(
        alpha=0.6 * torch.ones(n),
        beta=beta * torch.ones(n),
        threshold=threshold * torch.ones(n),
        init_hidden=True,
    )


def snntorch_cuba(last):
    import torch

    first, head = torch.nn.Linear(24, 32), torch.nn.Linear(32, CLASSES, bias=False)
    assign(first, weights(32, 24))
    assign(head, last)
    return snntorch_export(
        torch.nn.Sequential(
            first, snntorch_synaptic(0.9, 2.0, 32), head, snntorch_synaptic(0.9, 2.0, CLASSES)
        ),
        (24,),
    )


def snntorch_recurrent(last):
    import snntorch as snn
    import torch

    first, head = torch.nn.Linear(24, 32), torch.nn.Linear(32, CLASSES)
    layer = snn.RSynaptic(alpha=0.6, beta=0.9, threshold=2.0, linear_features=32, init_hidden=True)
    assign(first, weights(32, 24))
    assign(layer.recurrent, weights(32, 32, seed=8) * 0.3)
    assign(head, last)
    return snntorch_export(
        torch.nn.Sequential(first, layer, head, snntorch_synaptic(0.9, 2.0, CLASSES)), (24,)
    )


def spikingjelly_export(model, sample):
    import torch
    from spikingjelly.activation_based.nir_exchange import export_to_nir

    return export_to_nir(model, torch.zeros(1, *sample))


def spikingjelly_conv(last):
    import torch
    from spikingjelly.activation_based import layer, neuron

    first, second = layer.Conv2d(2, 4, 3, padding=1), layer.Conv2d(4, 4, 3, padding=1)
    head = layer.Linear(4 * 3 * 3, CLASSES)
    assign(first, weights(4, 2, 3, 3))
    assign(second, weights(4, 4, 3, 3, seed=8, gain=3.0))
    assign(head, last)
    return spikingjelly_export(
        torch.nn.Sequential(
            first,
            neuron.LIFNode(tau=2.0, decay_input=False),
            layer.AvgPool2d(2, 2),
            second,
            neuron.IFNode(),
            layer.Flatten(),
            head,
            neuron.LIFNode(tau=4.0, decay_input=False),
        ),
        (2, 6, 6),
    )


def spikingjelly_cuba(last):
    import torch
    from spikingjelly.activation_based import layer, neuron

    first, head = layer.Linear(24, 32), layer.Linear(32, CLASSES)
    assign(first, weights(32, 24))
    assign(head, last)
    return spikingjelly_export(
        torch.nn.Sequential(
            first,
            neuron.CUBALIFNode(0.6, 0.9, v_threshold=2.0, v_reset=0.0),
            head,
            neuron.CUBALIFNode(0.6, 0.9, v_threshold=2.0, v_reset=0.0),
        ),
        (24,),
    )


def sinabs_conv(last):
    import sinabs.nir
    import torch
    from sinabs import layers

    first, second = torch.nn.Conv2d(2, 4, 3, padding=1), torch.nn.Conv2d(4, 4, 3, padding=1)
    head = torch.nn.Linear(4 * 3 * 3, CLASSES)
    assign(first, weights(4, 2, 3, 3))
    assign(second, weights(4, 4, 3, 3, seed=8))
    assign(head, last)
    model = torch.nn.Sequential(
        first,
        layers.IAFSqueeze(batch_size=1),
        layers.SumPool2d(2),
        second,
        layers.IAFSqueeze(batch_size=1),
        torch.nn.Flatten(),
        head,
        layers.IAFSqueeze(batch_size=1),
    )
    model(torch.zeros(1, 2, 6, 6))
    return sinabs.nir.to_nir(model, torch.zeros(1, 2, 6, 6))


def sinabs_lif(last):
    import sinabs.nir
    import torch
    from sinabs import layers

    first, head = torch.nn.Linear(24, 32), torch.nn.Linear(32, CLASSES)
    assign(first, weights(32, 24))
    assign(head, last)
    model = torch.nn.Sequential(
        first,
        layers.LIF(tau_mem=torch.tensor(10.0), norm_input=False),
        head,
        layers.LIF(tau_mem=torch.tensor(10.0), norm_input=False),
    )
    return sinabs.nir.to_nir(model, torch.zeros(1, 1, 24))


def assign(module, weight):
    import torch

    with torch.no_grad():
        module.weight.copy_(torch.tensor(np.asarray(weight)))
        if module.bias is not None:
            module.bias.zero_().add_(0.01)


EXPORTERS = {  # name: (build, library, sample shape, shape of the last weight, settings)
    "norse-conv": (
        norse_conv,
        "norse",
        (2, 6, 6),
        (CLASSES, 144),
        {"convention": "norse", "dt": 1e-3},
    ),
    "norse-cuba": (norse_cuba, "norse", (24,), (CLASSES, 32), {"convention": "norse", "dt": 1e-3}),
    "snntorch-conv": (
        snntorch_conv,
        "snntorch",
        (2, 6, 6),
        (CLASSES, 32),
        {"convention": "snntorch"},
    ),
    "snntorch-cuba": (snntorch_cuba, "snntorch", (24,), (CLASSES, 32), {"convention": "snntorch"}),
    "snntorch-recurrent": (
        snntorch_recurrent,
        "snntorch",
        (24,),
        (CLASSES, 32),
        {"convention": "snntorch"},
    ),
    "spikingjelly-conv": (
        spikingjelly_conv,
        "spikingjelly",
        (2, 6, 6),
        (CLASSES, 36),
        {"convention": "spikingjelly"},
    ),
    "spikingjelly-cuba": (
        spikingjelly_cuba,
        "spikingjelly",
        (24,),
        (CLASSES, 32),
        {"convention": "spikingjelly"},
    ),
    "sinabs-conv": (sinabs_conv, "sinabs", (2, 6, 6), (CLASSES, 36), {"convention": "sinabs"}),
    "sinabs-lif": (sinabs_lif, "sinabs", (24,), (CLASSES, 32), {"convention": "sinabs"}),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", EXPORTERS)
def test_exported_networks_keep_their_classes(name, tmp_path):
    build, library, shape, hidden, settings_ = EXPORTERS[name]
    try:
        importlib.import_module(library)
    except ImportError as error:
        pytest.skip(f"{library} is not installed: {error}")
    graph, x, y = taught(build, shape, hidden, **settings_)
    if name not in (
        "norse-conv",
        "sinabs-conv",
    ):  # nir cannot write a convolution without its input_shape
        nir.write(tmp_path / "net.nir", graph, compression=None)
        graph = read(tmp_path / "net.nir")
    integers, _ = assert_comes_in(graph, x, y, **settings_)
    if "recurrent" in name:
        assert any(s.source == s.target and s.delay == 1 for s in integers.synapses)


# --- structures like the published graphs ---------------------------------------------------------


def event_digits(last):
    """Conv net with IF neurons and sum pooling, as for event-camera digits."""

    def w(*shape, seed):
        return weights(*shape, seed=seed, gain=1.5, mean=0.05)

    return chain(
        conv2d(w(8, 2, 5, 5, seed=7), stride=2, padding=1),
        neurons_if(8, 8, 8),
        conv2d(w(8, 8, 3, 3, seed=8), padding=1),
        neurons_if(8, 8, 8),
        nir.SumPool2d((2, 2), (2, 2), (0, 0)),
        conv2d(w(8, 8, 3, 3, seed=9), padding=1),
        neurons_if(8, 4, 4),
        nir.SumPool2d((2, 2), (2, 2), (0, 0)),
        nir.Flatten({"input": np.array([8, 2, 2])}, 0, -1),
        nir.Affine(w(32, 32, seed=10), np.zeros(32)),
        neurons_if(32),
        nir.Affine(last, np.zeros(CLASSES)),
        neurons_if(CLASSES),
        shape=(2, 17, 17),
    )


def braille(last):
    """Recurrent CubaLIF network as a flat cyclic graph, as for reading braille."""
    nodes = {
        "input": nir.Input(np.array([12])),
        "fc1": nir.Affine(weights(38, 12), np.zeros(38)),
        "lif1.lif": neurons_cuba(38),
        "lif1.w_rec": nir.Affine(weights(38, 38, seed=8) * 0.3, np.full(38, -0.01)),
        "fc2": nir.Affine(last, np.zeros(CLASSES)),
        "lif2": neurons_cuba(CLASSES),
        "output": nir.Output(np.array([4])),
    }
    edges = [
        ("fc1", "lif1.lif"),
        ("fc2", "lif2"),
        ("input", "fc1"),
        ("lif1.lif", "fc2"),
        ("lif1.lif", "lif1.w_rec"),
        ("lif1.w_rec", "lif1.lif"),
        ("lif2", "output"),
    ]
    return nir.NIRGraph(nodes, edges, type_check=False)


@pytest.mark.parametrize(
    "build, shape, hidden",
    [(event_digits, (2, 17, 17), (CLASSES, 32)), (braille, (12,), (CLASSES, 38))],
)
def test_published_structures_come_in(build, shape, hidden):
    graph, x, y = taught(build, shape, hidden)
    integers, _ = assert_comes_in(graph, x, y, backends=("simulator", "lava-inprocess", "lava"))
    assert not limits.check(integers, profiles.load("loihi2"))
    if build is event_digits:
        kinds = [type(s).__name__ for s in integers.synapses]
        assert kinds == ["Conv2d", "Conv2d", "Conv2d", "Dense", "Dense", "OneToOne"]


# --- the arithmetic -------------------------------------------------------------------------------


def test_integers_in_integers_out():
    """Weights on a lattice without leak: not one spike differs, pooling and groups included."""
    random = np.random.default_rng(1)
    graph = chain(
        conv2d(random.integers(-3, 5, (4, 1, 3, 3)), padding=1, groups=2),
        neurons_if(4, 6, 6, threshold=4.5),
        nir.SumPool2d((2, 2), (2, 2), (0, 0)),
        conv2d(random.integers(-2, 4, (3, 4, 3, 2)), dilation=(1, 2)),
        neurons_if(3, 1, 1, threshold=6.0),
        shape=(2, 6, 6),
    )
    x = (random.random((8, 30, 2, 6, 6)) < 0.4).astype(float)
    for convention in ("nir", "spikingjelly"):
        _, report = import_graph(graph, calibration=x, convention=convention, dt=1.0)
        assert [p.agreement for p in spiking(report)] == [1.0, 1.0]
        assert all(p.rate > 0 for p in spiking(report)) and report.class_agreement == 1.0


def test_reset_by_subtraction_is_exact():
    """Float and integer network agree in every spike; reset to zero is another network."""
    random = np.random.default_rng(2)
    graph = chain(
        nir.Affine(random.integers(-3, 6, (9, 7)).astype(float), np.full(9, 1.0)),
        neurons_if(9, threshold=5.0),
        shape=(7,),
    )
    x = (random.random((6, 40, 7)) < 0.5).astype(float)
    integers, subtracted = import_graph(
        graph, calibration=x, reset="subtract", convention="spikingjelly", dt=1.0
    )
    _, zeroed = import_graph(graph, calibration=x, convention="spikingjelly", dt=1.0)
    assert spiking(subtracted)[0].agreement == 1.0
    assert spiking(subtracted)[0].rate_float > 1.1 * spiking(zeroed)[0].rate_float
    assert_backends_agree(integers, x, ("simulator", "lava-inprocess"))


def test_reset_by_subtraction_with_leak():
    x, _ = patterns((12,), samples=16)
    graph = chain(nir.Linear(weights(20, 12)), neurons_lif(20, threshold=0.7), shape=(12,))
    _, report = import_graph(graph, calibration=x, reset="subtract", weight_bits=14)
    assert spiking(report)[0].agreement > 0.99 and spiking(report)[0].rate > 0.05


def test_reset_by_subtraction_beside_a_current_is_the_populations_own():
    """Both states are in use: no synapse can give back what a spike takes."""
    x, _ = patterns((12,), samples=16)
    graph = chain(nir.Linear(weights(20, 12)), neurons_cuba(20, threshold=0.7), shape=(12,))
    integers, report = import_graph(graph, calibration=x, reset="subtract", weight_bits=14)
    assert integers["n1"].reset == "subtract" and "Lava and chips refuse it" in shown(report)
    assert spiking(report)[0].agreement > 0.99 and spiking(report)[0].rate > 0.05
    assert_backends_agree(integers, x, ("simulator",))


def test_thresholds_and_resistances_may_differ_per_neuron():
    x, _ = patterns((12,), samples=16)
    node = neurons_lif(20)
    node.v_threshold = np.linspace(0.5, 2.0, 20)
    node.r = node.r * np.linspace(1.0, 1.5, 20)
    _, report = import_graph(
        chain(nir.Linear(weights(20, 12)), node, shape=(12,)), calibration=x, dt=1e-4
    )
    assert spiking(report)[0].agreement > 0.98 and spiking(report)[0].rate > 0.05


def test_reset_potential_and_leak_become_bias():
    """v_reset = v_leak = -0.5 is the same network as zero with a threshold 0.5 higher."""
    x, _ = patterns((12,), samples=16)
    shifted, plain = neurons_lif(20, threshold=0.5), neurons_lif(20, threshold=1.0)
    shifted.v_leak = shifted.v_reset = np.full(20, -0.5)
    graphs = [
        import_graph(chain(nir.Linear(weights(20, 12)), n, shape=(12,)), calibration=x)[0]
        for n in (shifted, plain)
    ]
    results = [reference.run(g, {"input": x.astype(np.uint8)}).spikes["n1"] for g in graphs]
    assert np.array_equal(*results) and results[0].any()


def test_leaky_readout_is_the_network_output():
    x, _ = patterns((12,), samples=16)
    one = np.ones(4)
    for last in (
        nir.LI(tau=one * 1e-3, r=one, v_leak=0 * one),
        nir.CubaLI(tau_syn=one * 3e-4, tau_mem=one * 1e-3, r=one, v_leak=0 * one, w_in=one),
    ):
        graph = chain(
            nir.Linear(weights(20, 12)),
            neurons_lif(20),
            nir.Affine(weights(4, 20, seed=8), 0.1 * one),
            last,
            shape=(12,),
        )
        integers, report = import_graph(graph, calibration=x, dt=1e-4)
        assert integers.readout.name == "n3" and integers.readout.dv > 0
        assert report.class_agreement >= 0.9


def test_delays_one_for_all_and_each_its_own():
    x, _ = patterns((4,), samples=4)
    for delays, expected in ((np.full(4, 3e-4), [3]), (np.array([0, 1e-4, 1e-4, 2e-4]), [0, 1, 2])):
        graph = chain(
            nir.Delay(delays), nir.Linear(np.eye(4)), neurons_if(4, threshold=0.5), shape=(4,)
        )
        integers, report = import_graph(graph, calibration=x, dt=1e-4, convention="norse")
        assert sorted(s.delay for s in integers.synapses if s.target == "n2") == expected
        assert spiking(report)[0].agreement == 1.0
        spikes = reference.run(integers, {"input": x.astype(np.uint8)}).spikes["n2"]
        late = np.rint(delays / 1e-4).astype(int)
        for i, d in enumerate(late):
            assert np.array_equal(spikes[:, d:, i], x[:, : T - d, i])


def test_convolutions_over_time_series():
    x, _ = patterns((3, 20), samples=16)
    node = nir.Conv1d(None, weights(5, 3, 4), 1, "same", 2, 1, np.zeros(5, np.float32))
    integers, report = import_graph(
        chain(node, neurons_lif(5, 20, threshold=0.7), shape=(3, 20)), calibration=x
    )
    assert type(integers.synapses[0]).__name__ == "Conv2d" and spiking(report)[0].agreement > 0.98
    torch = pytest.importorskip("torch", reason="torch is not installed")
    expected = torch.nn.functional.conv1d(
        torch.tensor(x[0]), torch.tensor(node.weight), padding="same", dilation=2
    )
    floats = network(chain(node, neurons_lif(5, 20), shape=(3, 20)))
    assert np.allclose(floats.routes[0].map.apply(x[0])[:, :, 0], expected.numpy(), atol=1e-5)


def test_scale_threshold_and_subgraph():
    x, _ = patterns((6,), samples=16)
    inner = nir.NIRGraph(
        {
            "in": nir.Input(np.array([6])),
            "w": nir.Linear(np.eye(6)),
            "t": nir.Threshold(np.full(6, 1.5)),
            "out": nir.Output(np.array([6])),
        },
        [("in", "w"), ("w", "t"), ("t", "out")],
        type_check=False,
    )
    graph = chain(nir.Scale(np.array([1.0, 2, 1, 2, 1, 2])), inner, shape=(6,))
    integers, report = import_graph(graph, calibration=x)
    spikes = reference.run(integers, {"input": x.astype(np.uint8)}).spikes["n1.t"]
    assert np.array_equal(spikes, x * [0, 1, 0, 1, 0, 1]) and integers["n1.t"].memoryless
    assert spiking(report)[0].agreement == 1.0


def test_analog_inputs_are_graded_with_an_exact_zero():
    random = np.random.default_rng(3)
    x = random.normal(size=(20, T, 12)) * (random.random((20, T, 12)) < 0.5)
    graph = chain(
        nir.Affine(weights(20, 12), np.full(20, 0.05)),
        neurons_lif(20),
        nir.Linear(weights(4, 20, seed=8)),
        neurons_lif(4),
        shape=(12,),
    )
    integers, report = import_graph(graph, calibration=x, input_bits=8)
    assert integers["input"].bits == 8 and report.inputs[0]["zero"] > 0
    assert all(p.agreement > 0.98 for p in spiking(report)) and spiking(report)[0].rate > 0.02


def test_wider_weights_come_nearer():
    x, _ = patterns((12,), samples=32)
    graph = chain(
        nir.Linear(weights(40, 12)),
        neurons_lif(40),
        nir.Linear(weights(40, 40, seed=8)),
        neurons_lif(40),
        shape=(12,),
    )
    errors = [
        1 - spiking(import_graph(graph, calibration=x, weight_bits=bits)[1])[-1].agreement
        for bits in (4, 8, 12)
    ]
    assert errors[0] > 2 * errors[1] > 0 and errors[2] < errors[1]


def test_every_convention_has_its_own_spikes():
    """r, the threshold itself and the reset separate the conventions as their frameworks do."""
    graph = chain(
        nir.Linear(np.eye(3)),
        nir.IF(r=np.full(3, 2.0), v_threshold=np.array([2.0, 1.0, 1.5])),
        shape=(3,),
    )
    x = np.ones((1, 4, 3))
    counts = {
        name: (
            run(network(graph, dt=1.0, convention=name), {"input": x})
            .values["n1"][0]
            .sum(0)
            .tolist()
        )
        for name in CONVENTIONS
    }
    assert counts == {
        "nir": [2, 4, 4],
        "norse": [1, 2, 2],
        "snntorch": [2, 4, 4],
        "spikingjelly": [4, 4, 4],
        "sinabs": [2, 4, 2],
    }


@settings(max_examples=60)
@given(st.data())
def test_composed_convolutions_equal_one_after_the_other(data):
    draw = data.draw
    sizes, small = st.integers(1, 4), st.integers(0, 2)
    size = (draw(st.integers(4, 9)), draw(st.integers(4, 9)))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    try:
        groups = draw(st.sampled_from([1, 2]))
        first = conv(
            "a",
            (2, *size),
            random.normal(size=(4, 2 // groups, draw(sizes), draw(sizes))),
            (draw(sizes), draw(sizes)),
            (draw(small), draw(small)),
            groups=groups,
        )
        second = conv(
            "b",
            first.target,
            random.normal(size=(3, 4, draw(sizes), draw(sizes))),
            (draw(sizes), draw(sizes)),
            (draw(small), draw(small)),
        )
    except GraphError:
        return  # kernel larger than its input
    x = random.normal(size=(2, 2, *size))
    assert np.allclose(compose(second, first).apply(x), second.apply(first.apply(x)))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("library", ["norse", "snntorch", "spikingjelly"])
def test_conventions_equal_their_frameworks(library):
    """The float interpreter gives the spikes of the framework's own importer, on LIF and
    CubaLIF.
    """
    try:
        torch = importlib.import_module("torch")
        importlib.import_module(library)
    except ImportError as error:
        pytest.skip(f"{library} is not installed: {error}")
    x, _ = patterns((12,), samples=1)
    lif = (
        neurons_lif(20, threshold=0.8)
        if library != "norse"
        else nir.LIF(
            tau=np.full(20, 1e-3),
            r=np.ones(20),
            v_leak=np.zeros(20),
            v_threshold=np.full(20, 0.1),
            v_reset=np.zeros(20),
        )
    )
    graph = chain(
        nir.Affine(weights(20, 12), np.full(20, 0.02)),
        lif,
        nir.Affine(weights(8, 20, seed=8), np.zeros(8)),
        neurons_cuba(8),
        shape=(12,),
    )
    graph.nodes["output"] = nir.Output(np.array([8]))
    expected = framework_spikes(torch, library, graph, x[0])
    got = run(network(graph, dt=1e-4, convention=library), {"input": x}).values["n3"][0]
    assert expected.any() and np.array_equal(got, expected)


def framework_spikes(torch, library, graph, x):
    if library == "norse":
        import norse.torch

        model = norse.torch.from_nir(graph, dt=1e-4, ignore_warnings=True)
    elif library == "snntorch":
        from snntorch.import_nir import import_from_nir

        with contextlib.redirect_stdout(io.StringIO()):
            model = import_from_nir(graph)
    else:
        from spikingjelly.activation_based.nir_exchange import import_from_nir

        model = import_from_nir(graph, dt=1e-4, step_mode="s")
    state, out = None, []
    with torch.no_grad():
        for frame in x:
            y, state = model(torch.tensor(frame[None], dtype=torch.float32), state)
            out.append(y[0].numpy())
    return np.stack(out)


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path):
    graph, x, y = taught(braille, (12,), (CLASSES, 38))
    nir.write(tmp_path / "net.nir", graph)
    np.savez(tmp_path / "data.npz", x=x, y=y)
    return tmp_path / "net.nir"


def test_import_makes_a_bundle_that_every_job_takes(file, tmp_path):
    from scmrl.core.bundle import load
    from scmrl.deploy import jobs

    bundle, report = import_nir(file, samples=file.with_name("data.npz"))
    bundle.save(tmp_path / "bundle")
    assert load(tmp_path / "bundle").training["convention"] == "nir"
    assert (
        load(tmp_path / "bundle").origin == report.origin and report.origin.samples == "calibration"
    )
    assert jobs.verify(tmp_path / "bundle", ["simulator"], samples=2).bit_exact
    assert jobs.energy(tmp_path / "bundle", ["loihi2"], samples=2).to_json()
    assert (
        report.correct_integer
        == (
            predictions(bundle.graph, reference.run(bundle.graph, bundle.inputs)) == bundle.labels
        ).sum()
    )
    import json

    text = shown(report)
    table = json.loads(json.dumps(report.to_json()))
    assert table["command"] == "import" and f"{100 * table['class_agreement']:.2f} %" in text
    assert "closes a cycle" in text and "dt = 0.0001 s (from r = tau / dt" in text


def test_import_without_data_says_so(file):
    bundle, report = import_nir(file, steps=5)
    assert bundle.graph.steps == 5 and not report.calibrated and bundle.graph["input"].bits == 1
    assert "random spikes" in shown(report)
    assert bundle.training["labels"] == "classes of the float network"
    assert report.to_json()["origin"] == {"samples": "made up", "labels": "float network"}
    assert (bundle.origin.samples, bundle.origin.labels) == ("made up", "float network")


@pytest.mark.parametrize(
    "arguments, kind, words",
    [
        ({"reset": "soft"}, UsageError, "known: subtract, zero"),
        ({"convention": "nores"}, UsageError, "'norse'"),
        ({"steps": 0}, UsageError, "steps"),
        ({"dt": -1.0}, GraphError, "dt must be"),
        ({"dt": 1.0}, GraphError, "smaller dt"),
        ({"weight_bits": 1}, UsageError, "2 to 16"),
        ({"samples": "no.npz"}, DataError, "no.npz"),
    ],
)
def test_wrong_arguments(file, arguments, kind, words):
    with pytest.raises(kind, match=words):
        import_nir(file, **arguments)


def test_wrong_calibration(file):
    for arrays in (
        {"x": np.zeros((2, 5, 11))},
        {"z": np.zeros((2, 5, 12))},
        {"x": np.full((2, 5, 12), np.nan)},
        {"x": np.zeros((2, 5, 12)), "y": np.zeros(3, int)},
    ):
        np.savez(file.with_name("wrong.npz"), **arrays)
        with pytest.raises(DataError):
            import_nir(file, samples=file.with_name("wrong.npz"))


def mixed(**change):
    node = neurons_lif(3)
    for name, value in change.items():
        setattr(node, name, value)
    return node


@pytest.mark.parametrize(
    "nodes, words",
    [
        ([mixed(v_threshold=np.array([1.0, -1.0, 1.0]))], "n0: a threshold at or below rest"),
        ([mixed(tau=np.array([1e-3, np.nan, 1e-3]))], "n0: tau is not finite"),
        ([mixed(tau=np.ones(7))], "n0: tau does not fit"),
        (
            [nir.LI(tau=np.full(3, 1e-3), r=np.ones(3), v_leak=np.zeros(3)), neurons_if(3)],
            "n0: a membrane can be the network's output and nothing else",
        ),
        ([nir.Linear(np.ones((3, 4)))], "n0: weight does not fit"),
        ([conv2d(np.ones((2, 1, 3, 3)))], "n0: convolution does not fit"),
        ([nir.Delay(np.full(3, -1.0))], "n0: delays cannot be expressed"),
        (
            [SimpleNamespace()],
            "n0: node type is not supported .got SimpleNamespace.; supported: Input",
        ),
    ],
)
def test_what_cannot_be_expressed_names_its_node(nodes, words):
    with pytest.raises(GraphError, match=words):
        import_graph(chain(*nodes, shape=(3,)), dt=1e-4)


def test_structures_without_meaning_are_refused():
    one, w = (
        {"input": nir.Input(np.array([3])), "output": nir.Output(np.array([3]))},
        nir.Linear(np.eye(3)),
    )
    with pytest.raises(GraphError, match="without a neuron"):
        import_graph(
            nir.NIRGraph(
                one | {"a": w, "b": w},
                [("input", "a"), ("a", "b"), ("b", "a"), ("b", "output")],
                type_check=False,
            )
        )
    with pytest.raises(GraphError, match="exactly one Output"):
        import_graph(
            nir.NIRGraph(
                one | {"other": nir.Output(np.array([3]))},
                [("input", "output"), ("input", "other")],
                type_check=False,
            )
        )
    with pytest.raises(GraphError, match="no Input"):
        import_graph(nir.NIRGraph({"output": one["output"]}, [], type_check=False))


# --- hostile files --------------------------------------------------------------------------------


def top_group(path):
    f = h5py.File(path, "w")
    node = f.create_group("node")
    node["type"] = "NIRGraph"
    return f, node


def bomb(path):
    f, node = top_group(path)
    node.create_dataset(
        "weight", (1 << 20, 1 << 20), np.float64, chunks=(1024, 1024), compression="gzip"
    )
    f.close()


def chunk_bomb(path):
    f, node = top_group(path)
    node.create_dataset(
        "weight",
        (4, 4),
        np.float64,
        maxshape=(None, None),
        chunks=(1 << 14, 1 << 14),
        compression="gzip",
    )
    f.close()


def string_bomb(path):
    f, node = top_group(path)
    node.create_dataset(
        "edges", data=np.array(["x" * (1 << 16)] * 4000, object), dtype=h5py.string_dtype()
    )
    f.close()


def external_link(path):
    f, node = top_group(path)
    node["nodes"] = h5py.ExternalLink("/etc/hostname", "/node")
    f.close()


def soft_link(path):
    f, node = top_group(path)
    node["nodes"] = h5py.SoftLink("/node")
    f.close()


def cycle(path):
    f, node = top_group(path)
    node.create_group("nodes")["again"] = node
    f.close()


def deep(path):
    f, node = top_group(path)
    for _ in range(200):
        node = node.create_group("nodes")
    f.close()


def external_storage(path):
    f, node = top_group(path)
    node.create_dataset("weight", (4,), np.float64, external=[("/etc/hostname", 0, 32)])
    f.close()


def virtual(path):
    f, node = top_group(path)
    layout = h5py.VirtualLayout((4,), np.float64)
    layout[:] = h5py.VirtualSource("/etc/hostname", "x", (4,))
    node.create_virtual_dataset("weight", layout)
    f.close()


def foreign(path):
    with h5py.File(path, "w") as f:
        f["data"] = np.arange(5)


def compound(path):
    f, node = top_group(path)
    node["nodes"] = np.zeros(3, [("a", "i4"), ("b", "f8")])
    f.close()


def empty(path):
    path.write_bytes(b"")


def no_hdf5(path):
    path.write_bytes(os.urandom(4096))


@pytest.mark.parametrize(
    "make",
    [
        bomb,
        chunk_bomb,
        string_bomb,
        external_link,
        soft_link,
        cycle,
        deep,
        external_storage,
        virtual,
        foreign,
        compound,
        empty,
        no_hdf5,
    ],
)
def test_hostile_files_are_one_line(make, tmp_path):
    path = tmp_path / "hostile.nir"
    make(path)
    with pytest.raises(BundleError) as caught:
        read(path, limit=64 << 20)
    assert "hostile.nir" in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(BundleError):
        read(tmp_path / "missing.nir")


def test_truncated_and_flipped_files_never_raise_anything_else(file, monkeypatch):
    monkeypatch.setattr(
        "scmrl.convert.nir.importer.file.READ_SECONDS", 3
    )  # HDF5 hangs on some of them
    whole = file.read_bytes()
    random = np.random.default_rng(0)
    for i in range(18):
        data = bytearray(whole)
        if i % 3 == 0:
            data = data[: int(random.integers(len(data)))]
        else:
            for at in random.integers(0, len(data) if i % 3 == 1 else 4096, 8):
                data[at] = random.integers(256)
        file.write_bytes(bytes(data))
        try:
            import_graph(read(file, limit=16 << 20), steps=2)
        except ScmrlError as error:
            assert "\n" not in str(error)


def test_a_dead_network_is_a_warning_and_no_agreement():
    """A threshold that nothing reaches: neither the float network nor the integers fire."""
    graph = chain(
        nir.Affine(np.full((2, 3), 0.01), np.zeros(2)),
        nir.LIF(np.full(2, 1e-2), np.ones(2), np.zeros(2), np.full(2, 50.0)),
        nir.Affine(np.ones((2, 2)), np.zeros(2)),
        nir.LI(np.full(2, 1e-2), np.ones(2), np.zeros(2)),
        shape=(3,),
    )
    x = np.ones((4, 10, 3))
    _, report = import_graph(graph, dt=1e-3, calibration=x)
    first = next(iter(report.headline().items()))
    assert (
        first[0] == "WARNING"
        and "no population fires at all" in first[1]
        and report.dead == ("n1",)
    )
    assert "agree" not in str(report.headline()) and "100" not in str(report.headline())


def test_spikes_agree_or_not_beside_the_values():
    graph, (x, _) = (
        chain(
            nir.Affine(np.array([[1.0, 0.3], [0.2, 1.1]]), np.zeros(2)),
            nir.LIF(np.full(2, 5e-3), np.ones(2), np.zeros(2), np.full(2, 0.6)),
            shape=(2,),
        ),
        (np.random.default_rng(3).random((6, 30, 2)), None),
    )
    integers, report = import_graph(graph, dt=1e-3, calibration=x)
    (row,) = spiking(report)
    floats = network(graph, dt=report.dt)
    wanted = run(floats, {floats.inputs[0].name: x}).values[row.name].reshape(6, 30, 2) != 0
    assert 0 < wanted.mean() < 1 and 0 < row.recall <= 1 and 0 < row.precision <= 1
    assert row.recall * wanted.sum() == pytest.approx(
        row.precision * row.rate * wanted.size
    )  # both are the hits
    assert (report.spike_recall, report.spike_precision) == (row.recall, row.precision)


@pytest.mark.parametrize("size", [(1, 2), (2, 1), (2, 2), (4, 3), (3, 4)])
def test_same_padding_of_an_even_kernel_is_more_on_the_far_side(size):
    """As torch: of k - 1 zeros, (k - 1) // 2 lie before and the rest behind."""
    random = np.random.default_rng(1)
    weight, x = random.normal(size=(2, 1, *size)), random.normal(size=(1, 1, 5, 6))
    pads = [((k - 1) // 2, k - 1 - (k - 1) // 2) for k in size]
    padded = np.pad(x, ((0, 0), (0, 0), *pads))
    expected = np.zeros((1, 2, 5, 6))
    for o, i, j in np.ndindex(2, 5, 6):
        expected[0, o, i, j] = (padded[0, 0, i : i + size[0], j : j + size[1]] * weight[o, 0]).sum()
    found = conv("c", (1, 5, 6), weight, (1, 1), "same").apply(x)
    assert np.allclose(found, expected)


@pytest.mark.parametrize(
    "name, counts",
    [
        ("nir", True),
        ("spikingjelly", True),
        ("norse", False),
        ("snntorch", False),
        ("sinabs", False),
    ],
)
def test_a_reset_potential_counts_where_the_framework_reads_it(name, counts):
    """From v_reset = 0.5 an integrator needs half as many spikes for the next."""

    def spikes(v_reset):
        neuron = neurons_if(1, threshold=1.0)
        neuron.v_reset = np.full(1, v_reset)
        net = network(
            chain(nir.Linear(np.array([[0.26]])), neuron, shape=(1,)),
            dt=1.0,
            convention=convention_of(name, "zero"),
        )
        return run(net, {"input": np.ones((1, 24, 1))}).values["n1"].sum()

    assert (spikes(0.5) > 1.5 * spikes(0.0)) == counts and (spikes(0.5) == spikes(0.0)) != counts


@pytest.mark.parametrize("tau, dt", [(2e-2, 1e-4), (5e-5, 5e-5), (1e-4, 1e-4), (2.0, 1.0)])
def test_a_step_that_nobody_names_is_a_tenth_of_a_millisecond_and_no_longer_than_the_fastest_neuron(
    tau, dt
):
    neuron = nir.LIF(
        tau=np.array([tau, 3 * tau]),
        r=np.array([0.7, 1.0]),
        v_leak=np.zeros(2),
        v_threshold=np.ones(2),
        v_reset=np.zeros(2),
    )
    assert network(chain(nir.Linear(np.ones((2, 3))), neuron, shape=(3,))).dt == dt


@pytest.mark.parametrize("reset, words", [("zero", "to zero"), ("subtract", "by subtraction")])
def test_the_report_says_which_reset(reset, words):
    x, _ = patterns((4,), samples=4)
    report = import_graph(
        chain(nir.Linear(weights(3, 4)), neurons_if(3), shape=(4,)), calibration=x, reset=reset
    )[1]
    out = io.StringIO()
    report.show(out)
    assert f"reset {words}" in " ".join(out.getvalue().split())
