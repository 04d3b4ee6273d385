"""Training learns rightly: every part against its equation, written out plainly beside it."""

import csv
import itertools
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")

from torch.nn import functional as F

from scmrl.core.fixed_point import lif_step
from scmrl.hw_profiles.precision import Precision
from scmrl.network.kernels import neuron, rows
from scmrl.network.nodes.layer import Layer
from scmrl.network.nodes.maps import Conv2d, Dense, Shared
from scmrl.network.nodes.node import ONE, Term
from scmrl.network.nodes.readout import Readout
from scmrl.train import config as config_module
from scmrl.train import epochs, loss, training
from scmrl.train.published import alignment as published
from scmrl.train.run import loop


def built(node, *sources):
    """A node alone, for sources of these shapes."""
    node.shape = node.outline(dict(enumerate(sources)))
    node.build([(source,) for source in sources], Precision())
    return node


def normed_layer(linear, channels_in=12, channels=9):
    """A layer whose moments are those of its input, far from 0 and 1, with gains and offsets of its
    own.
    """
    torch.manual_seed(4)
    side = () if linear is Shared else (6, 6)
    layer = built(Layer(linear(channels)), (channels_in, *side))
    (weight,) = layer.weights.weight
    weight.data += 0.3
    layer.gamma.data.uniform_(0.5, 1.5)
    layer.beta.data.uniform_(-0.8, 0.8)
    x = (torch.rand(1, 50, channels_in, *side) < 0.5).float()
    y = layer.weights.map(0).apply(x, weight).detach()
    over = [d for d in range(y.dim()) if d != 2]
    layer.mean.copy_(y.mean(over))
    layer.variance.copy_(y.var(over, correction=0))
    return layer, x, y


@pytest.mark.parametrize("linear", [Shared, Conv2d], ids=["map", "convolution"])
@pytest.mark.parametrize("gain", [1.0, 0.5])
def test_the_folded_layer_is_the_live_norm_in_float(linear, gain):
    """W' x + b' in thresholds is gamma (W x - mean) / sqrt(variance + eps) + beta, up to 8 bits of
    the weights.
    """
    layer, x, y = normed_layer(linear)
    assert float(layer.mean.abs().min()) > 0.5  # a wrong sign of the mean would be seen
    normal = F.batch_norm(
        y.flatten(0, 1), None, None, layer.gamma, layer.beta, True, 0, rows.EPSILON
    ).view(y.shape)
    folded = layer.fold([{gain: gain}])
    per_channel = (1, 1, -1) + (1,) * (y.dim() - 3)
    drive = layer.weights.map(0).apply(x, folded.weights[0][gain]) / folded.vth
    bias = folded.bias / (neuron.UNIT * folded.vth)
    got = drive / gain + bias.view(per_channel)
    assert (
        float((got - normal).detach().abs().max()) < 0.06 and float(normal.detach().abs().max()) > 2
    )
    live = layer.train()([[Term(1.0, ONE, x)]], 1)
    assert torch.equal(live[0], ((normal[0] * 4096).round() > 4096).float())
    close = (normal[0] - 1).abs() > 0.06  # where rounding of the weights cannot decide
    layer.eval()
    assert torch.equal(layer([[Term(gain, gain, x / gain)]], 1)[0][close], live[0][close])


def surrogate(x):
    """Slope of the surrogate at x thresholds from the threshold (of width 1): SuperSpike with slope
    2.
    """
    return neuron.SLOPE / (neuron.SLOPE * abs(x) + 1) ** 2


@pytest.mark.parametrize("kernels", [True, False])
@pytest.mark.parametrize("given", [4, 1])
def test_gradients_of_the_neuron_are_its_equation(kernels, given, monkeypatch):
    """dL/da[t] = dL/ds[t] g((v[t] - 64 vth) / (64 scale)) / scale; dL/dbias = sum dL/da / 64."""
    monkeypatch.setattr(rows, "fused", lambda x: kernels)
    random, steps, dv, vth, scale = np.random.default_rng(1), 4, 1500, 60, 25.0
    a = random.integers(-50, 100, (given, 3, 5, 2))
    bias = random.integers(-1000, 1000, 5)
    weight = random.normal(size=(steps, 3, 5, 2)).astype(np.float32)
    u = v = np.zeros(a.shape[1:], np.int64)
    wanted = np.zeros((steps, *a.shape[1:]))
    for t in range(steps):
        leaked = np.sign(v) * (np.abs(v) * (4096 - dv) >> 12)
        charged = leaked + (a[min(t, given - 1)] << 6) + bias[:, None]
        wanted[t] = weight[t] * surrogate((charged / 64 - vth) / scale) / scale
        u, v, spikes, _ = lif_step(
            u, v, a[min(t, given - 1)], du=4095, dv=dv, vth=vth, bias=bias[:, None]
        )
        assert np.array_equal(spikes, charged > 64 * vth)
    drive = torch.from_numpy(a).float().requires_grad_()
    offset = torch.from_numpy(bias).float().requires_grad_()
    (
        neuron.lif(drive, offset, steps=steps, dv=dv, vth=vth, scale=scale)
        * torch.from_numpy(weight)
    ).sum().backward()
    by_step = wanted if given == steps else wanted.sum(0, keepdims=True)
    np.testing.assert_allclose(drive.grad.numpy(), by_step, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        offset.grad.numpy(), wanted.sum((0, 1, 3)) / 64, rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("steps", [1, 4])
def test_the_default_width_of_the_surrogate_is_the_threshold(steps):
    a = torch.tensor([[[30.0]]]).requires_grad_()
    neuron.lif(a, torch.zeros(1), steps=1, dv=0, vth=50).sum().backward()
    assert a.grad.item() == pytest.approx(surrogate((30 - 50) / 50) / 50, rel=1e-5)


@pytest.mark.parametrize("kernels", [True, False])
def test_gradients_through_the_live_norm_are_autograds(kernels, monkeypatch):
    """One step, so that v is the drive: autograd through batch norm in float64, with the
    surrogate's slope.
    """
    monkeypatch.setattr(rows, "fused", lambda x: kernels)
    torch.manual_seed(5)
    y, gamma, beta = 3 * torch.randn(1, 40, 6, 3) + 2, torch.rand(6) + 0.5, torch.randn(6)
    weight = torch.randn(1, 40, 6, 3)
    found = []
    for exact in (False, True):
        kind = torch.float64 if exact else torch.float32
        inputs = [x.detach().clone().to(kind).requires_grad_() for x in (y, gamma, beta)]
        running = torch.zeros(6, dtype=kind), torch.ones(6, dtype=kind)
        if exact:
            drive = F.batch_norm(
                inputs[0].flatten(0, 1), *running, *inputs[1:], True, rows.MOMENTUM, rows.EPSILON
            )
            slope = surrogate((drive.detach() - 1).numpy())
            (drive.view(y.shape) * torch.from_numpy(slope).view(y.shape) * weight).sum().backward()
        else:
            spikes = neuron.norm_lif(*inputs, running, steps=1, dv=2048, limit=30.0, fine=4096)
            (spikes * weight).sum().backward()
        found.append([x.grad.double() for x in inputs] + [x.double() for x in running])
    for got, wanted in zip(*found):
        torch.testing.assert_close(got, wanted, rtol=2e-3, atol=2e-3 * float(wanted.abs().max()))


def test_logits_are_the_mean_drive_of_the_readout():
    """logits = W mean_t s[t] + b, whatever the number of steps; the membrane adds up."""
    torch.manual_seed(6)
    readout = built(Readout(Dense(5)), (7,), (7,))
    readout.bias.data.uniform_(-0.2, 0.2)
    features = [torch.randint(0, 9, (3, 4, 7)).float() for _ in "ab"]

    def signals(values):
        return [[Term(1.0, ONE, x), Term(0.5, 0.5, x)] for x in values]

    membrane = readout(signals(features), 3)
    logits = readout.logits(membrane)
    weighed = zip(features, readout.weights.weight)
    wanted = sum(1.5 * x.mean(0) @ weight.T for x, weight in weighed) + readout.bias
    assert float((logits - wanted).detach().abs().max()) < 0.03 * float(wanted.abs().max())
    once = readout.logits(readout(signals([x[:1] for x in features]), 1))
    grown = readout(signals([x[:1].repeat(3, 1, 1) for x in features]), 3)
    torch.testing.assert_close(once, readout.logits(grown))
    torch.testing.assert_close(grown[1], 2 * grown[0])
    scale = readout.fold([{1.0: 1.0, 0.5: 0.5}] * 2)[3]
    torch.testing.assert_close(logits, membrane[-1] / (64 * scale * 3))


def features(z):
    """Centred, normalised rates by hand: [B, C] of z [T, B, C, N]."""
    rates = z.mean((0, 3))
    centred = rates - rates.mean(0)
    return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-3)


def supervised(a, b, labels, temperature):
    total = 0.0
    for i in range(len(labels)):
        scores = a[i] @ b.T / temperature
        log_p = scores - np.log(np.exp(scores - scores.max()).sum()) - scores.max()
        positive = [log_p[j] for j in range(len(labels)) if labels[j] == labels[i]]
        total -= sum(positive) / len(positive)
    return total / len(labels)


def spikes_of(seed, *shape):
    return (np.random.default_rng(seed).random(shape) < 0.4).astype(np.float32)


@pytest.mark.parametrize("modalities", [2, 3])
def test_alignment_is_its_formula(modalities):
    labels = np.array([0, 1, 1, 2, 0, 2, 1])
    z = {f"m{i}": spikes_of(i, 3, 7, 6, 4) for i in range(modalities)}
    wanted = np.mean(
        [
            supervised(features(z[a]), features(z[b]), labels, 0.3)
            for a, b in itertools.permutations(z, 2)
        ]
    )
    got = loss.alignment(
        {m: torch.from_numpy(x) for m, x in z.items()}, torch.from_numpy(labels), 0.3
    )
    assert float(got) == pytest.approx(wanted, rel=1e-5)


def test_published_alignment_is_its_formula():
    labels = np.array([0, 1, 1, 2, 0, 2, 1])
    a, b = spikes_of(1, 3, 7, 6, 4), spikes_of(2, 3, 7, 6, 4)
    scores = a.mean((0, 3)) @ b.mean((0, 3)).T / 0.3
    log_p = scores - np.log(np.exp(scores).sum(1, keepdims=True))
    wanted = -np.sum((labels[:, None] == labels) * log_p) / 49
    got = published.alignment(
        {"a": torch.from_numpy(a), "b": torch.from_numpy(b)}, torch.from_numpy(labels), 0.3
    )
    assert float(got) == pytest.approx(wanted, rel=1e-5)


def cross_entropy(logits, labels, smoothing=0.0):
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    target = np.full(logits.shape, smoothing / logits.shape[1])
    target[np.arange(len(labels)), labels] += 1 - smoothing
    return float(-(target * log_p).sum(1).mean())


@pytest.mark.parametrize("weight", [0.0, 0.7])
def test_the_objective_is_its_formula(weight):
    labels, logits = np.array([0, 1, 1, 2, 0, 2, 1]), np.random.default_rng(3).normal(size=(7, 4))
    z = {m: torch.from_numpy(spikes_of(i, 3, 7, 6, 4)) for i, m in enumerate("ab")}
    total, part = loss.objective(
        torch.from_numpy(logits),
        z,
        torch.from_numpy(labels),
        label_smoothing=0.2,
        weight=weight,
        temperature=0.3,
    )
    aligned = float(loss.alignment(z, torch.from_numpy(labels), 0.3)) if weight else 0.0
    assert float(part) == pytest.approx(aligned)
    assert float(total) == pytest.approx(
        cross_entropy(logits, labels, 0.2) + weight * aligned, rel=1e-5
    )


def test_naming_is_its_formula():
    torch.manual_seed(7)
    naming = loss.Naming(6, 4, ("a", "b"))
    rates = {"a": torch.rand(5, 6, 1), "b": torch.rand(5, 6, 3)}
    digits = torch.randint(0, 4, (5, 4))
    wanted = sum(
        cross_entropy(
            (4 * rates[m][..., p] @ naming.heads[m].weight.T + naming.heads[m].bias)
            .detach()
            .numpy(),
            digits[:, i].numpy(),
        )
        for i, (m, p) in enumerate([("a", 0), ("b", 0), ("b", 1), ("b", 2)])
    )
    assert float(naming(rates, digits)) == pytest.approx(wanted, rel=1e-5)


def test_the_warm_up_and_the_cosine():
    rate = epochs.by_step(100)
    assert [rate(step) for step in (0, 4, 9)] == pytest.approx([0.1, 0.5, 1.0])
    assert rate(10) == pytest.approx(1.0) and rate(55) == pytest.approx(0.5)
    assert rate(99) == pytest.approx(max(0.5 * (1 + math.cos(math.pi * 89 / 90)), 0.01)) == 0.01
    assert epochs.schedule("step", 10, 10, 1.0)(3, 5) == rate(35)
    published_rate = epochs.schedule("epoch", 100, 7, 1e-3)
    assert published_rate(0, 6) == pytest.approx(1e-3) and published_rate(5, 0) == published_rate(
        5, 6
    )


SMALL = {
    "train.epochs": 5,
    "model.width": 8,
    "train.held_out": 2,
    "model.steps": 1,
    "train.fold_fraction": 0.6,
    "train.batch": 16,
}


def run_with(tmp_path, monkeypatch, accuracies, **more):
    """A run whose validation says these accuracies; the rates of learning that it used, step by
    step.
    """
    used, done, said = [], training.Training.step_done, training.Training.on_validation_epoch_end

    def step_done(self):
        used.append([group["lr"] for group in self.trainer.optimizers[0].param_groups])
        done(self)

    def end(self):
        said(self)
        self.validated = accuracies[self.current_epoch]

    monkeypatch.setattr(training.Training, "step_done", step_done)
    monkeypatch.setattr(training.Training, "on_validation_epoch_end", end)
    config = config_module.read(None, {**SMALL, **more})
    loop.train(config, tmp_path / "run")
    return used


@pytest.mark.parametrize(
    "accuracies,chosen",
    [
        ([0.9, 0.9, 0.5, 0.7, 0.6], 4),
        ([0.9, 0.9, 0.6, 0.6, 0.6], 3),
        ([0.1, 0.1, 0.2, 0.3, 0.4], 5),
        ([0.1, 0.1, 0.4, 0.3, 0.2], 3),
    ],
)
def test_the_chosen_epoch_is_the_first_of_the_best_folded_ones(
    few, tmp_path, monkeypatch, accuracies, chosen
):
    """Epochs 3, 4 and 5 train on integers; the others cannot be chosen, however well they do."""
    measured = []
    weights = {}
    epoch_end = training.Training.figures
    monkeypatch.setattr(
        training.Training,
        "figures",
        lambda self: (
            weights.__setitem__(
                self.current_epoch + 1, {k: v.clone() for k, v in self.state_dict().items()}
            ),
            epoch_end(self),
        )[1],
    )
    measure = training.Training.measure
    monkeypatch.setattr(
        training.Training,
        "measure",
        lambda self: (
            measured.append({k: v.clone() for k, v in self.state_dict().items()}),
            measure(self),
        )[1],
    )
    run_with(tmp_path, monkeypatch, accuracies)
    best = torch.load(tmp_path / "run" / "checkpoints" / "best.ckpt", weights_only=True)
    assert best["epoch"] == chosen and len(measured) == 2
    for name, value in weights[chosen].items():  # what is frozen is that epoch's
        assert torch.equal(measured[1][name], value) and torch.equal(
            measured[0][name], weights[5][name]
        )
    with open(tmp_path / "run" / "logs" / "metrics.csv", newline="") as file:
        assert [float(row["validation_accuracy"]) for row in csv.DictReader(file)] == accuracies


def test_training_stops_after_its_patience(few, tmp_path, monkeypatch):
    used = run_with(
        tmp_path,
        monkeypatch,
        [0.1, 0.1, 0.5, 0.5, 0.4, 0.6, 0.7, 0.8],
        **{"train.epochs": 8, "train.patience": 2, "train.fold_fraction": 0.75},
    )
    assert len(used) == 5 * 4  # epoch 3 was the best, 4 and 5 were not better
    assert (
        torch.load(tmp_path / "run" / "checkpoints" / "best.ckpt", weights_only=True)["epoch"] == 3
    )


@pytest.mark.parametrize("kind", ["step", "epoch"])
def test_every_step_has_its_learning_rate(few, tmp_path, monkeypatch, kind):
    used = run_with(tmp_path, monkeypatch, [0.1] * 5, **{"train.schedule": kind, "train.lr": 1e-3})
    rate = epochs.schedule(kind, 5, 4, 1e-3)
    wanted = [1e-3 * rate(epoch, batch) for epoch in range(5) for batch in range(4)]
    assert [lr for lr, _ in used] == pytest.approx(wanted) and all(a == b for a, b in used)
    # each step another one, but for the peak, which two have, and the half of it, met on the way up
    # and down
    assert len(set(wanted)) == (5 if kind == "epoch" else 18)


def test_weights_decay_and_gains_do_not(few, tmp_path):
    from scmrl.train.feed import Feed

    config = config_module.read(None, {**SMALL, "train.weight_decay": 0.25, "train.auxiliary": 0.1})
    module = training.Training(config, Feed(config, None), Precision())
    decayed, plain = module.configure_optimizers().param_groups
    assert decayed["weight_decay"] == 0.25 and plain["weight_decay"] == 0.0
    assert all(p.dim() > 1 for p in decayed["params"]) and all(
        p.dim() <= 1 for p in plain["params"]
    )
    assert sum(map(len, (decayed["params"], plain["params"]))) == len(list(module.parameters()))
