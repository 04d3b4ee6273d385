"""The parts of the kernels by themselves, against numpy and the definition, at every border: the
24-bit arithmetic, the neuron through time, blocks of rows and batch norm, and trained delays.
"""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
numba = pytest.importorskip("numba", reason="training needs numba")
pytest.importorskip("norse", reason="training needs norse")

from scmrl.core import fixed_point
from scmrl.core.fixed_point import DECAY_ONE, STATE_LIMIT, STATE_MAX
from scmrl.network.kernels import delays, integers, processes, rows, through
from scmrl.network.kernels.integers import UNIT

RNG = np.random.default_rng(7)
AT = (0, 1, 4095, 4096, STATE_MAX - 1, STATE_MAX, STATE_LIMIT, STATE_LIMIT + 1)
NUMBERS = np.array(
    [sign * n for n in (*AT, 2 * STATE_LIMIT - 1) for sign in (1, -1)]
    + RNG.integers(-STATE_MAX, STATE_MAX, 40).tolist()
)
KEEPS = (0, 1, 2, 2048, 4095, 4096)


@numba.njit
def _each(values, keep):
    """kept, wrapped, saturated, plus and times of each."""
    out = np.empty((5, len(values)), np.int64)
    for i in range(len(values)):
        v = np.int32(values[i])
        out[0, i] = integers.kept(v, np.int32(keep))
        out[1, i] = integers.wrapped(v)
        out[2, i] = integers.saturated(v)
        out[3, i] = integers.plus(v, np.int32(keep))
        out[4, i] = integers.times(np.int32(v % 997), np.int32(keep))
    return out


@pytest.mark.parametrize("keep", KEEPS)
def test_whole_numbers_in_kernels_are_the_definitions(keep):
    kept, wrapped, saturated, plus, times = _each(NUMBERS, keep)
    states = np.abs(NUMBERS) <= STATE_LIMIT
    expected = fixed_point.decay(NUMBERS.astype(np.int64), DECAY_ONE - keep)
    assert np.array_equal(kept[states], expected[states])
    assert np.array_equal(wrapped, fixed_point.wrap(NUMBERS))
    assert np.array_equal(saturated, np.clip(NUMBERS, -STATE_MAX, STATE_MAX))
    assert np.array_equal(plus, NUMBERS + keep)
    assert np.array_equal(times, (NUMBERS % 997) * keep)


def stepped(a, bias, c, steps):
    """The neuron of `through` as its equations say, number by number, in Python's integers."""
    _, batch, neurons = a.shape
    out, before = np.zeros((steps, batch, neurons)), np.zeros((steps, batch, neurons), int)
    for b in range(batch):
        for i in range(neurons):
            u = v = fired = 0
            for t in range(steps):
                if c.memoryless:
                    u = v = 0
                drive = int(np.rint(a[t if len(a) > 1 else 0, b, i])) - int(c.back[i]) * fired
                u = int(np.fix(u * int(c.keep_u[i]) / DECAY_ONE)) + UNIT * drive
                u = int(fixed_point.wrap(np.array(u)))
                v = int(np.fix(v * int(c.keep_v[i]) / DECAY_ONE)) + u + int(bias[i])
                v = max(-STATE_MAX, min(STATE_MAX, v))
                fired = sum(v > theta for theta in c.thetas[:, i])
                out[t, b, i] = fired if len(c.thetas) else v
                before[t, b, i] = v
                if fired:
                    v = v - int(c.thetas[0, i]) if c.subtract else 0
    return out, before


def backward(grad, v, c, once):
    """The gradients of `through` as its equations say."""
    steps, batch, neurons = grad.shape
    da, dbias = np.zeros((steps, batch, neurons)), np.zeros((batch, neurons))
    du, dv = np.zeros((batch, neurons)), np.zeros((batch, neurons))
    for t in reversed(range(steps)):
        h = sum(1 / ((np.abs(v[t] - x) / c.width + 1) ** 2 * c.width) for x in c.thetas)
        fired = v[t] > c.thetas[0] if len(c.thetas) else np.zeros_like(v[t], bool)
        kept = np.where(fired & (not c.subtract), 0.0, c.keep_v / DECAY_ONE)
        own = grad[t] * h if len(c.thetas) else grad[t]
        dv = own if c.memoryless else own + kept * dv
        dv = np.where(np.abs(v[t]) >= STATE_MAX, 0.0, dv)
        du = dv if c.memoryless else dv + c.keep_u / DECAY_ONE * du
        da[t] = UNIT * du
        dbias += dv
    return (da.sum(0, keepdims=True) if once else da), dbias.sum(0)


NEURONS = 6
THETAS = np.array([[640, 64, 1280, 640, 6400, 0]])


@pytest.mark.parametrize("once", [False, True])
@pytest.mark.parametrize("memoryless", [False, True])
@pytest.mark.parametrize("subtract", [False, True])
@pytest.mark.parametrize("times", [0, 1, 3])
@pytest.mark.parametrize("large", [1, 40, 1 << 17])
def test_the_neuron_through_time_is_its_equations(times, subtract, memoryless, once, large):
    random = np.random.default_rng(times + 10 * large)
    c = through.Constants(
        np.array([0, 1, 2048, 4095, 4096, 3000]),
        np.array([4096, 2048, 0, 4095, 1, 3000]),
        np.concatenate([THETAS + 640 * k for k in range(times)] or [THETAS[:0]]),
        random.integers(0, 3, NEURONS),
        random.uniform(50, 500, NEURONS),
        subtract,
        memoryless,
    )
    steps = 8
    a = torch.as_tensor(random.normal(0.5, 10 * large, (1 if once else steps, 3, NEURONS)))
    bias = torch.as_tensor(random.normal(0, 100 * large, NEURONS))
    a.requires_grad_(), bias.requires_grad_()
    rest = torch.zeros(3, 3, NEURONS, dtype=torch.float64)
    out, _ = through.through(a, bias, c, steps, rest)
    wanted, v = stepped(a.detach().numpy(), np.rint(bias.detach().numpy()), c, steps)
    assert np.array_equal(out.detach().numpy(), wanted.astype(np.float32))
    grad = torch.as_tensor(random.normal(size=out.shape), dtype=torch.float32)
    out.backward(grad)
    da, dbias = backward(grad.numpy().astype(float), v, c, once)
    assert np.allclose(a.grad, da, rtol=1e-9, atol=1e-9 * np.abs(da).max())
    assert np.allclose(bias.grad, dbias, rtol=1e-9, atol=1e-9 * np.abs(dbias).max())


@pytest.mark.parametrize("channels", [1, 3, 511, 512, 513])
def test_values_of_channels_fill_a_block(channels):
    values = RNG.normal(size=channels).astype(np.float32)
    tiled = rows.tile(values)
    assert len(tiled) % channels == 0 and np.array_equal(tiled, np.resize(values, len(tiled)))
    assert tiled.dtype == np.float32 and rows.spread(3.5) == 3.5
    assert np.array_equal(rows.spread(values), tiled)
    assert rows.at(values, channels - 1) == values[-1] and rows.at(2.5, 7) == 2.5


@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 3, 4, 5), (1, 2, 3, 4, 5)])
def test_rows_are_channels_last_and_back(shape):
    x = torch.as_tensor(RNG.normal(size=shape), dtype=torch.float32)
    flat = rows.of(x)
    wanted = np.moveaxis(x.numpy(), 2, -1).reshape(shape[0], -1, shape[2])
    assert np.array_equal(flat.numpy(), wanted)
    assert torch.equal(rows.back(flat, shape[1], shape[3:]), x)
    assert np.array_equal(rows.flat(x), x.numpy().reshape(shape[0], -1))


@pytest.mark.parametrize("wanted, x", [(True, torch.zeros(1)), (False, torch.zeros(1).double())])
def test_kernels_take_float32_of_a_cpu(wanted, x):
    assert rows.fused(x) is wanted
    assert not rows.fused(torch.zeros(1, device="meta"))


@pytest.mark.parametrize(
    "channels, places", [(1, 1), (3, 1), (3, 170), (3, 171), (5, 1000), (600, 9)]
)
@pytest.mark.parametrize("more", [1, 4])
def test_batch_norm_by_rows_is_torchs(channels, places, more):
    """Of `places` rows, seen `more` times each: the running variance counts them all."""
    y = RNG.normal(2, 3, (places, channels)).astype(np.float32)
    gamma, beta = (torch.as_tensor(RNG.normal(size=channels), dtype=torch.float32) for _ in "ab")
    running = torch.full((channels,), 0.5), torch.full((channels,), 2.0)
    scale, shift, mean, inverse = rows.observe(y.ravel(), (gamma, beta, *running), places * more)
    exact = y.astype(np.float64)
    variance = exact.var(0)
    assert np.allclose(mean, exact.mean(0), rtol=1e-5, atol=1e-5)
    assert np.allclose(inverse, 1 / np.sqrt(variance + 1e-5), rtol=1e-4)
    assert np.allclose(scale, gamma.numpy() * inverse, rtol=1e-6)
    assert np.allclose(shift, beta.numpy() - mean * scale, rtol=1e-5, atol=1e-4)
    count = places * more
    assert np.allclose(running[0], 0.5 + 0.1 * (exact.mean(0) - 0.5), rtol=1e-5, atol=1e-5)
    unbiased = variance * count / max(count - 1, 1)
    assert np.allclose(running[1], 2 + 0.1 * (unbiased - 2), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("channels, places", [(3, 171), (5, 400), (600, 9)])
def test_gradients_of_batch_norm_by_rows_are_autograds(channels, places):
    fine, n = 64, places * channels
    y = torch.as_tensor(RNG.normal(1, 2, (places, channels)), dtype=torch.float64).requires_grad_()
    gamma = torch.as_tensor(RNG.normal(size=channels)).requires_grad_()
    beta = torch.zeros(channels, dtype=torch.float64, requires_grad=True)
    grad = torch.as_tensor(RNG.normal(size=(places, channels)))
    a = fine * torch.nn.functional.batch_norm(y, None, None, gamma, beta, True, 0.0, 1e-5)
    a.backward(grad)
    plain, mean = y.detach().numpy(), y.detach().numpy().mean(0)
    inverse = 1 / np.sqrt(plain.var(0) + 1e-5)
    block = channels * max(1, rows.BLOCK // channels)
    sums = np.zeros((2, rows.CHUNKS, block))
    for i, (g, x) in enumerate(zip(grad.numpy().ravel(), (plain - mean).ravel())):
        sums[0, i // block % rows.CHUNKS, i % block] += g
        sums[1, i // block % rows.CHUNKS, i % block] += g * x
    out = grad.numpy().astype(np.float32).ravel().copy()
    f32 = [part.astype(np.float32) for part in (gamma.detach().numpy() * inverse, mean, inverse)]
    of_gamma, of_beta = rows.norm_back(out, plain.astype(np.float32).ravel(), sums, *f32, fine)
    assert len(out) == n
    for got, right in (
        (out.reshape(y.shape), y.grad),
        (of_gamma, gamma.grad),
        (of_beta, beta.grad),
    ):
        assert np.allclose(got, right, rtol=1e-3, atol=1e-3 * float(right.abs().max()))


@pytest.mark.parametrize("steps", [0, 1, 4, 5, 9])
def test_later_is_shifted_and_nothing_before(steps):
    x = torch.as_tensor(RNG.normal(size=(5, 2, 3)))
    wanted = np.zeros(x.shape)
    wanted[min(steps, 5) :] = x.numpy()[: max(0, 5 - steps)]
    assert np.array_equal(delays.later(x, steps), wanted)


@pytest.mark.parametrize("shape", [(12, 2, 4), (12, 2, 4, 3, 2), (1, 1, 4), (5, 1, 4)])
def test_delays_and_their_gradients_are_their_equations(shape):
    x = torch.as_tensor(RNG.integers(0, 2, shape), dtype=torch.float64).requires_grad_()
    each = torch.tensor([0.0, 0.4, 2.6, 7.0], dtype=torch.float64, requires_grad=True)
    out = delays.delayed(x, each)
    grad = torch.as_tensor(RNG.normal(size=shape))
    out.backward(grad)
    steps, time = [0, 0, 3, 7], np.arange(shape[0])
    reach = np.arange(-6, 7)
    bell = np.exp(-0.5 * (reach / 1.5) ** 2) / np.exp(-0.5 * (reach / 1.5) ** 2).sum()
    plain, g = x.detach().numpy(), grad.numpy()
    for c, d in enumerate(steps):
        wanted, back, change = np.zeros_like(plain[:, :, c]), np.zeros_like(plain[:, :, c]), 0.0
        for t in time:
            if t - d >= 0:
                wanted[t] = plain[t - d, :, c]
                back[t - d] = g[t, :, c]
                for k, weight in zip(reach, bell):  # d/dd of sum over k of g(k) x[t - d - k]
                    if 0 <= t - d - k < len(time):
                        change += (k / 1.5**2 * weight * plain[t - d - k, :, c] * g[t, :, c]).sum()
        assert np.array_equal(out.detach().numpy()[:, :, c], wanted)
        assert np.array_equal(x.grad.numpy()[:, :, c], back)
        assert np.isclose(each.grad[c], change, rtol=1e-9, atol=1e-12)


def test_one_process_is_the_whole(monkeypatch):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    totals = np.array([1.0, 2.0])
    assert (processes.rank(), processes.world()) == (0, 1)
    assert processes.sum_over(totals) == 1 and totals.tolist() == [1, 2]
    assert processes.total([1.0, 2.5]) == [1.0, 2.5]
    assert processes.any_of(True) is True and processes.any_of(False) is False
    part = torch.zeros(2)
    assert processes.whole_batch(part) is part
    assert processes.trainer_options("cpu") == {"devices": 1}
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert (processes.rank(), processes.world()) == (2, 4)
    assert processes.sum_over(totals) == 1 and processes.any_of(True) is True
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    options = processes.trainer_options("cpu")
    assert (options["devices"], options["num_nodes"]) == (2, 2)
