"""All steps of a neuron in one kernel are the neuron stepped: spikes in every bit, gradients to
float32.
"""

from __future__ import annotations

import itertools

import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("numba", reason="training needs numba")
pytest.importorskip("norse", reason="training needs norse")

import numpy as np

from scmrl.network.kernels import rows, scan
from scmrl.network.nodes.neurons import LIF, Neurons

SHAPE, STEPS, BATCH = (5, 3, 7), 9, 4
BY_NEURON = np.random.default_rng(0).integers(500, 4000, SHAPE)
KINDS = [
    LIF(2048, du, reset, trained, per, gradient=gradient)
    for (du, reset), gradient, (trained, per) in itertools.product(
        [(4095, "zero"), (3000, "zero"), (3000, "subtract"), (4095, "subtract"), (4095, "late")],
        ["local", "time"],
        [((), "channel"), (("dv",), "population"), (("dv",), "neuron")],
    )
    if (reset, gradient, trained, du) != ("zero", "local", (), 4095)
] + [
    LIF(BY_NEURON, BY_NEURON, "subtract", gradient="time"),
    LIF(1000, 3500, "zero", ("du", "dv"), "channel", gradient="time"),
    LIF(memoryless=True, gradient="time"),
    *(LIF(1000, 3500, gradient="time", surrogate=name) for name in scan.SURROGATES),
]


def run(kind: LIF, a, vth, once: bool):
    torch.manual_seed(0)
    neurons = Neurons(kind, SHAPE)
    x = (a[:1] if once else a).clone().requires_grad_()
    bias = (torch.arange(5.0) * 64).requires_grad_()
    weight = torch.randn(STEPS, BATCH, *SHAPE)
    spikes = neurons(x, bias, vth, STEPS)
    spikes.backward(weight)
    return spikes.detach(), [x.grad, bias.grad, *(p.grad for p in neurons.parameters())]


@pytest.mark.parametrize("once", [False, True])
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_kernel_is_the_neuron_stepped(kind, once, monkeypatch):
    torch.manual_seed(1)
    a = (60 * torch.randn(STEPS, BATCH, *SHAPE) + 20).round()
    vth = np.arange(60, 160, 20)
    spikes, gradients = run(kind, a, vth, once)
    monkeypatch.setattr(rows, "fused", lambda x: False)
    wanted, expected = run(kind, a, vth, once)
    assert torch.equal(spikes, wanted) and 0.02 < float(spikes.mean()) < 0.9
    for got, right in zip(gradients, expected):
        assert float((got - right).abs().max()) <= 1e-5 * float(right.abs().max()) + 1e-12


@pytest.mark.parametrize("reset", ["zero", "subtract", "late"])
def test_borders_are_the_chips(reset, monkeypatch):
    """u wraps and v saturates; a saturated membrane passes no gradient on."""
    torch.manual_seed(2)
    a = (2e5 * torch.randn(STEPS, BATCH, *SHAPE)).round()
    kind = LIF(300, 4095 if reset == "late" else 2000, reset, gradient="time")
    spikes, gradients = run(kind, a, 90_000, False)
    monkeypatch.setattr(rows, "fused", lambda x: False)
    wanted, expected = run(kind, a, 90_000, False)
    assert torch.equal(spikes, wanted) and 0.02 < float(spikes.mean()) < 0.9
    for got, right in zip(gradients, expected):
        assert float((got - right).abs().max()) <= 1e-5 * float(right.abs().max())


def test_numbers_do_not_depend_on_the_threads():
    import numba

    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("one thread only")
    before, results = numba.get_num_threads(), []
    a = (60 * torch.randn(STEPS, BATCH, *SHAPE)).round()
    for threads in (1, 2):
        numba.set_num_threads(threads)
        results.append(run(LIF(1000, 3500, "zero", ("du",), gradient="time"), a, 90, False))
    numba.set_num_threads(before)
    assert all(torch.equal(x, y) for x, y in zip(results[0][1], results[1][1]))
