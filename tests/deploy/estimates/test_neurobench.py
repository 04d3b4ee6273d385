"""Our figures are NeuroBench's own on the same model: a graph, and the same network in PyTorch."""

import dataclasses

import numpy as np
import pytest
from conformance.graphs import graph, random_inputs, source

from scmrl.core import reference
from scmrl.core.graph import Conv2d, Dense, Graph, OneToOne, Pointwise, Population, Window
from scmrl.deploy.counts.counts import count
from scmrl.deploy.counts.neurobench import neurobench, parameters
from scmrl.deploy.counts.updates import count_updates

NEURONS = ("a", "pool", "b", "c", "hidden")


def sparse_weight(random, *shape, largest=100):
    """Integers of which about a quarter is zero."""
    return random.integers(-largest, largest + 1, shape) * (random.random(shape) < 0.75)


def shared_network() -> Graph:
    """Graded input, convolutions, pooling by OR, a pointwise and two dense layers, biases."""
    random = np.random.default_rng(11)
    bias = random.integers(-90, 90, (4, 1, 1))
    return graph(
        source(2, 6, 7, bits=4),
        Population("a", (4, 6, 7), vth=500, bias_mant=bias, bias_exp=4, du=3000, dv=700),
        Population("pool", (4, 3, 3), vth=0, memoryless=True),
        Population("b", (6, 2, 2), vth=60, dv=2048),
        Population("c", (5, 2, 2), vth=90, bias_mant=700),
        Population("hidden", (8,), vth=150, dv=512),
        Population("out", (3,), "readout"),
        Conv2d("x", "a", sparse_weight(random, 4, 2, 3, 3), padding=(1, 1)),
        Window("a", "pool", 1, (2, 2), (2, 2)),
        Conv2d("pool", "b", sparse_weight(random, 6, 2, 2, 2), groups=2),
        Pointwise("b", "c", sparse_weight(random, 5, 6)),
        Dense("c", "hidden", sparse_weight(random, 8, 20, largest=300)),
        Dense("hidden", "out", sparse_weight(random, 3, 8)),
        steps=6,
    )


def samples(network: Graph) -> dict:
    """Graded values, but in the second step zeros and ones alone."""
    inputs = random_inputs(network, samples=7)
    inputs["x"][:, 1] = inputs["x"][:, 1] > 0
    return inputs


def figures(network: Graph, inputs: dict):
    activity = reference.run(network, inputs)
    return neurobench(
        network,
        inputs,
        activity,
        count(network, inputs, activity, count_updates(network, inputs, activity)),
    ), activity


def in_torch(network: Graph):
    """The same network as snntorch modules would make it: integer weights, neurons with a membrane
    `mem`.
    """
    import torch
    from snntorch import SpikingNeuron
    from torch import nn
    from torch.nn import functional

    def tensor(array):
        narrow = next(
            k for k in (np.int8, np.int16, np.int32) if np.array_equal(array.astype(k), array)
        )
        return nn.Parameter(torch.from_numpy(array.astype(narrow)), requires_grad=False)

    class Linear(nn.Linear):
        def forward(self, x):
            return functional.linear(x, self.weight.to(x.dtype))

    class Conv(nn.Conv2d):
        def forward(self, x):
            return functional.conv2d(
                x,
                self.weight.to(x.dtype),
                None,
                self.stride,
                self.padding,
                self.dilation,
                self.groups,
            )

    class Lif(SpikingNeuron):
        """A population's own equation; exact, since all numbers stay far below 2^53."""

        def __init__(self, p: Population):
            nn.Module.__init__(self)
            self.init_hidden, self.output, self.population = True, False, p
            self.shift = tensor(np.asarray(p.bias_mant)) if np.any(p.bias_mant) else None
            self.clear()

        def clear(self):
            self.u = self.mem = torch.zeros(1, *self.population.shape, dtype=torch.float64)

        def forward(self, a):
            p = self.population
            keep_u, keep_v = (0, 0) if p.memoryless else (4096 - (p.du + 1), 4096 - p.dv)
            bias = 0 if self.shift is None else self.shift.double() * 2**p.bias_exp
            self.u = torch.trunc(self.u * keep_u / 4096) + a * 64
            v = torch.trunc(self.mem * keep_v / 4096) + self.u + bias
            spikes = (v > p.vth * 64).double()
            self.mem = torch.where(spikes > 0, 0.0, v)
            return spikes

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            weight = {s.source: s.weight for s in network.synapses}
            self.conv_a = Conv(2, 4, 3, padding=1, bias=False)
            self.conv_b, self.point = Conv(4, 6, 2, groups=2, bias=False), Conv(6, 5, 1, bias=False)
            self.dense, self.head = Linear(20, 8, bias=False), Linear(8, 3, bias=False)
            for layer, array in (
                (self.conv_a, weight["x"]),
                (self.conv_b, weight["pool"]),
                (self.point, weight["b"][:, :, None, None]),
                (self.dense, weight["c"]),
                (self.head, weight["hidden"]),
            ):
                layer.weight = tensor(array)
            self.a, self.pool, self.b, self.c, self.hidden = (
                Lif(network[name]) for name in NEURONS
            )
            self.reset()

        def reset(self):
            self.total = 0.0
            for module in (self.a, self.pool, self.b, self.c, self.hidden):
                module.clear()

        def forward(self, x):
            a = self.a(self.conv_a(x))
            b = self.b(self.conv_b(self.pool(functional.avg_pool2d(a, 2) * 4)))
            c = self.c(self.point(b))
            self.total = self.total + self.head(self.hidden(self.dense(c.flatten(1))))
            return self.total, self.total

    return Network()


@pytest.fixture(scope="module")
def libraries():
    for name in ("torch", "snntorch", "neurobench"):
        pytest.importorskip(name, reason=f"{name} is not installed")


@pytest.mark.parametrize("batch", [7, 3])
def test_every_figure_equals_neurobenchs_on_the_same_model(libraries, batch):
    import torch
    from neurobench.benchmarks import Benchmark
    from neurobench.metrics.static import ConnectionSparsity, Footprint, ParameterCount
    from neurobench.metrics.workload import ActivationSparsity, MembraneUpdates, SynapticOperations
    from neurobench.models import SNNTorchModel

    network = shared_network()
    inputs = samples(network)
    ours, activity = figures(network, inputs)
    x = torch.from_numpy(inputs["x"]).double()
    model = SNNTorchModel(in_torch(network))
    membrane = model(x)  # it is the same network: [S, T, K]
    assert np.array_equal(64 * membrane.numpy(), activity.membrane["out"])
    assert all(spikes.any() for spikes in activity.spikes.values())
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(x, torch.zeros(7)), batch_size=batch
    )
    metrics = [
        [Footprint, ConnectionSparsity, ParameterCount],
        [ActivationSparsity, MembraneUpdates, SynapticOperations],
    ]
    theirs = Benchmark(model, loader, [], [], metrics).run(quiet=True)
    operations = theirs["SynapticOperations"]
    assert (
        ours.footprint_bytes == theirs["Footprint"] and ours.parameters == theirs["ParameterCount"]
    )
    assert round(ours.connection_sparsity, 4) == theirs["ConnectionSparsity"] > 0.2
    assert ours.activation_sparsity == pytest.approx(theirs["ActivationSparsity"], rel=1e-12)
    assert ours.membrane_updates == pytest.approx(theirs["MembraneUpdates"], rel=1e-12)
    assert ours.effective_acs == pytest.approx(operations["Effective_ACs"], rel=1e-12)
    assert ours.effective_macs == pytest.approx(operations["Effective_MACs"], rel=1e-12) != 0
    assert ours.dense == operations["Dense"]


def test_figures_by_hand():
    network = graph(
        source(3, bits=4),
        Population("y", (2,), vth=2, memoryless=True, bias_mant=300),
        Population("z", (1,), "readout"),
        Dense("x", "y", np.array([[1, 0, 2], [0, 0, 200]])),
        OneToOne("y", "y2", 1),
        Population("y2", (2,), memoryless=True),
        Dense("y2", "z", np.array([[5, -6]])),
        steps=2,
    )
    inputs = {"x": np.array([[[1, 1, 0], [0, 0, 7]]])}
    ours, _ = figures(network, inputs)
    # y: 64 + 300 > 128 and 300 > 128 fire at once; then both again
    assert ours.footprint_bytes == 6 * 2 + 2 * 1 + 2 * 1  # 200 and 300 take two bytes
    assert ours.parameters == 6 + 2 + 1 and ours.connection_sparsity == 3 / 8
    assert ours.activation_sparsity == 1 - 8 / 8
    assert (ours.effective_acs, ours.effective_macs) == (
        1 + 0 + 4,
        2,
    )  # the first step holds 0 and 1 alone
    assert ours.dense == 2 * (6 + 2) and ours.membrane_updates == 4


def test_a_network_without_weights_or_biases_has_none():
    network = graph(source(2), Population("y", (2,), vth=5), OneToOne("x", "y", 1), steps=2)
    ours, _ = figures(network, {"x": np.zeros((1, 2, 2), int)})
    assert parameters(network) == [] and ours.footprint_bytes == 0 == ours.dense
    assert (ours.connection_sparsity, ours.activation_sparsity) == (1, 1)


def test_without_followed_state_there_are_no_membrane_updates():
    network = shared_network()
    inputs = samples(network)
    activity = reference.run(network, inputs)
    ours = neurobench(network, inputs, activity, count(network, inputs, activity))
    whole, _ = figures(network, inputs)
    assert ours == dataclasses.replace(whole, membrane_updates=None)
