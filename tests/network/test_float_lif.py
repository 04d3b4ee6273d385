"""The fused kernels of training against the same in plain torch: float neuron, batch norm, chip
neuron, pooling.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
numba = pytest.importorskip("numba", reason="training needs numba")
pytest.importorskip("norse", reason="training needs norse")

from torch.nn import functional as F

from scmrl.network.kernels import neuron, pooling, rows
from scmrl.train.published.lif import lif_loop, norm_lif

SHAPES = [
    (4, 4, 37, 8),
    (4, 1, 500, 8),
    (1, 1, 3, 64),
    (7, 7, 300, 24),
    (2, 2, 9, 1500),
]  # steps, T, M, C


def norm_of(channels: int) -> torch.nn.BatchNorm1d:
    torch.manual_seed(3)
    norm = torch.nn.BatchNorm1d(channels)
    norm.weight.data.uniform_(0.5, 3)
    norm.bias.data.normal_()
    return norm


def close(got, wanted, share: float):
    """Equal up to a share of the largest value."""
    assert float((got - wanted).abs().max()) <= share * float(wanted.abs().max())


@pytest.mark.parametrize("steps, given, places, channels", SHAPES)
def test_norm_and_float_neuron_are_the_plain_loop(steps, given, places, channels):
    torch.manual_seed(1)
    y = (3 * torch.randn(given, places, channels) + 1).requires_grad_()
    weight, fused, plain = (
        torch.randn(steps, places, channels),
        norm_of(channels),
        norm_of(channels),
    )
    spikes = norm_lif(y, fused, steps)
    spikes.backward(weight)
    got, y.grad = y.grad, None
    normal = plain(y.expand(steps, -1, -1).reshape(-1, channels)).view(steps, places, channels)
    wanted = lif_loop(normal, steps)
    wanted.backward(weight)
    assert torch.equal(spikes, wanted) and 0.05 < spikes.mean() < 0.5
    close(got, y.grad, 2e-5)
    for a, b in zip(fused.parameters(), plain.parameters()):
        close(a.grad, b.grad, 2e-5)
    torch.testing.assert_close(fused.running_mean, plain.running_mean)
    torch.testing.assert_close(fused.running_var, plain.running_var)


@pytest.mark.parametrize("steps, given", [(4, 4), (4, 1)])
def test_norm_and_chip_neuron_are_the_torch_operations(steps, given, monkeypatch):
    torch.manual_seed(2)
    y = (3 * torch.randn(given, 5, 24, 4, 4)).requires_grad_()
    weight, results = torch.randn(steps, 5, 24, 4, 4), []
    for kernels in (True, False):
        monkeypatch.setattr(rows, "fused", lambda x, kernels=kernels: kernels)
        gamma, beta = (
            torch.full((24,), 1.5, requires_grad=True),
            torch.full((24,), 0.2, requires_grad=True),
        )
        running, y.grad = (torch.zeros(24), torch.ones(24)), None
        spikes = neuron.norm_lif(
            y, gamma, beta, running, steps=steps, dv=2048, limit=1.5, fine=4096
        )
        spikes.backward(weight)
        results.append((spikes.detach(), y.grad, gamma.grad, beta.grad, *running))
    assert torch.equal(results[0][0], results[1][0]) and 0.05 < results[0][0].mean() < 0.5
    for got, wanted in zip(results[0][1:], results[1][1:]):
        close(got, wanted, 1e-4)


def test_numbers_do_not_depend_on_the_threads():
    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("one thread only")
    y, weight, results, before = (
        torch.randn(2, 900, 24),
        torch.randn(2, 900, 24),
        [],
        numba.get_num_threads(),
    )
    for threads in (1, 2):
        numba.set_num_threads(threads)
        x, norm = y.clone().requires_grad_(), norm_of(24)
        norm_lif(x, norm, 2).backward(weight)
        results.append((x.grad, norm.weight.grad, norm.running_var))
    numba.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*results))


def test_exponential_is_exact_to_float():
    @numba.njit
    def all_of(x):
        out = np.empty_like(x)
        for i in range(len(x)):
            out[i] = rows.exp_of_minus(x[i])
        return out

    x = np.linspace(0, 80, 200_001, dtype=np.float32)
    np.testing.assert_allclose(all_of(x), np.exp(-x.astype(np.float64)), rtol=2e-7)


@pytest.mark.parametrize("shape", [(2, 3, 8, 16, 16), (1, 2, 24, 7, 5), (1, 1, 3, 1, 2)])
def test_pool_is_torchs_forward_and_backward(shape):
    torch.manual_seed(4)
    x = (torch.rand(shape) < 0.2).float().requires_grad_()
    got = pooling.pool(x, *pooling.FUSED)
    weight = torch.randn(got.shape)
    got.backward(weight)
    gradient, x.grad = x.grad, None
    wanted = F.max_pool2d(x.flatten(0, 1), 3, 2, 1).unflatten(0, shape[:2])
    wanted.backward(weight)
    assert torch.equal(got, wanted)
    torch.testing.assert_close(gradient, x.grad)


def test_triton_kernel_is_the_plain_loop():
    pytest.importorskip("triton", reason="no Triton")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and os.environ.get("TRITON_INTERPRET") != "1":
        pytest.skip("no GPU; TRITON_INTERPRET=1 runs the kernel in Triton's interpreter")
    from scmrl.train.published.lif_triton import Spikes

    torch.manual_seed(5)
    for steps, given in ((4, 4), (4, 1)):
        current = (2 * torch.randn(given, 3, 700, device=device)).requires_grad_()
        weight, results = torch.randn(steps, 3, 700, device=device), []
        for run in (Spikes.apply, lif_loop):
            current.grad = None
            spikes = run(current, steps)
            spikes.backward(weight)
            results.append((spikes.detach(), current.grad))
        assert torch.equal(results[0][0], results[1][0])
        torch.testing.assert_close(results[0][1], results[1][1], rtol=1e-5, atol=1e-6)
