"""The published S-CMRL and its baselines against formulas written out in numpy, and against the
published sizes.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("lightning", reason="training needs lightning")

from scmrl.network.settings import ModelConfig
from scmrl.system.errors import UsageError
from scmrl.train.config import from_dict
from scmrl.train.epochs import by_epoch
from scmrl.train.published import layers
from scmrl.train.published.alignment import alignment
from scmrl.train.published.cost import Counter
from scmrl.train.published.lif import lif, lif_loop
from scmrl.train.published.model import AudioVisualSpikformer, Complementary, Released

SHAPES = {"audio": (1, 32, 32), "visual": (1, 32, 32)}


def model(shapes=SHAPES, *, aligned=True, classes=10, **settings) -> AudioVisualSpikformer:
    torch.manual_seed(3)
    config = dataclasses.replace(
        ModelConfig(),
        fusion="add",
        alpha=1.5,
        **{"attention": "ccssa", "embedding": "shallow"} | settings,
    )
    return AudioVisualSpikformer(config, shapes, classes, aligned)


# The oracle: numpy, from the formulas.


def np_lif(current: np.ndarray) -> np.ndarray:
    v, out = np.zeros_like(current[0]), np.zeros_like(current)
    for t in range(len(current)):
        v = v + (current[t] - v) / 2
        out[t] = v >= 1
        v = v * (1 - out[t])
    return out


def np_layer(layer: layers.Layer, x: np.ndarray) -> np.ndarray:
    """LIF(BN(W x)) of [T, B, C, N] with the batch norm's running statistics."""
    w = layer.synapses.weight.detach().numpy()[:, :, 0].astype(np.float64)
    y = np.einsum("oc,tbcn->tbon", w, x)
    if layer.synapses.bias is not None:
        y = y + layer.synapses.bias.detach().numpy()[:, None]
    n = layer.norm
    scale = n.weight.detach().numpy() / np.sqrt(n.running_var.numpy() + n.eps)
    return np_lif(
        (y - n.running_mean.numpy()[:, None]) * scale[:, None] + n.bias.detach().numpy()[:, None]
    )


def np_attention(a: layers.Attention, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    q, k, v = np_layer(a.query, x), np_layer(a.key, y), np_layer(a.value, y)
    steps, batch, channels, tokens = q.shape
    d, out = channels // 16, np.zeros_like(q)
    for b in range(batch):
        for h in range(16):
            part = slice(h * d, h * d + d)
            if a.over == "space":
                for t in range(steps):
                    scores = q[t, b, part].T @ k[t, b, part]  # [N, N]
                    out[t, b, part] = 0.25 * (scores @ v[t, b, part].T).T
            else:
                for n in range(tokens):
                    scores = q[:, b, part, n] @ k[:, b, part, n].T  # [T, T]
                    out[:, b, part, n] = 0.25 * scores @ v[:, b, part, n]
    return np_layer(a.project, np_lif(out))


def alive(module: torch.nn.Module) -> torch.nn.Module:
    """Random norms, so that untrained layers fire."""
    torch.manual_seed(5)
    for norm in module.modules():
        if isinstance(norm, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
            norm.weight.data.uniform_(1, 2)
            norm.bias.data.uniform_(0.3, 1.5)
            norm.running_mean.uniform_(-0.2, 0.2)
            norm.running_var.uniform_(0.2, 0.5)
    return module.eval()


def tokens(seed: int, steps=4, batch=2, width=32, n=5) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 3, (steps, batch, width, n)).astype(np.float64)


def as_tensor(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(x).float()


@pytest.mark.parametrize("over", ["space", "time"])
def test_attention_is_the_formula(over):
    attention, x, y = alive(layers.Attention(32, over)), tokens(1), tokens(2)
    got = attention(as_tensor(x), as_tensor(y)).detach().numpy()
    assert np.array_equal(got, np_attention(attention, x, y)) and 0 < got.mean() < 1


def np_released(a: layers.Attention, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Temporal attention whose heads [N, B, h, T, d] lie in memory as [N, B, T, C] is read."""
    q, k, v = np_layer(a.query, x), np_layer(a.key, y), np_layer(a.value, y)
    steps, batch, channels, tokens = q.shape
    d = channels // layers.HEADS
    heads = np.zeros((tokens, batch, layers.HEADS, steps, d))
    for n, b, h in np.ndindex(*heads.shape[:3]):
        part = slice(h * d, h * d + d)
        heads[n, b, h] = 0.25 * q[:, b, part, n] @ k[:, b, part, n].T @ v[:, b, part, n]
    read = heads.ravel().reshape(tokens, batch, steps, channels)
    return np_layer(a.project, np_lif(read.transpose(2, 1, 3, 0)))


def of_one_weight() -> tuple[layers.Attention, Released]:
    """Temporal attention of width 64 as in the paper and as released, with the same weights."""
    torch.manual_seed(4)
    paper, released = alive(layers.Attention(64, "time")), Released(64, "time").eval()
    released.load_state_dict(paper.state_dict())
    return paper, released


def test_released_temporal_attention_mixes_heads_and_steps():
    paper, released = of_one_weight()
    x, y = tokens(1, width=64), tokens(2, width=64)
    got = released(as_tensor(x), as_tensor(y)).detach().numpy()
    assert np.array_equal(got, np_released(released, x, y)) and 0 < got.mean() < 1
    assert not np.array_equal(got, np_attention(paper, x, y))


def test_with_one_head_the_released_form_is_that_of_the_paper(monkeypatch):
    monkeypatch.setattr(layers, "HEADS", 1)
    paper, released = of_one_weight()
    x, y = (as_tensor(tokens(seed, width=64)) for seed in (1, 2))
    assert torch.equal(paper(x, y), released(x, y)) and paper(x, y).any()


def test_released_model_differs_from_the_papers_in_its_temporal_branch_alone():
    paper = alive(model(width=64, attention="ccssa"))
    for block in paper.blocks.values():
        block.transform.weight.data.normal_(std=0.6)
        block.transform.bias.data.fill_(0.8)
    released = model(width=64, attention="ccssa-released").eval()
    released.load_state_dict(paper.state_dict())
    x = {m: (torch.rand(1, 3, *shape) < 0.3).float() for m, shape in SHAPES.items()}
    found: list[dict[str, torch.Tensor]] = []
    for net in (paper, released):
        out: dict[str, torch.Tensor] = {}
        for name, module in net.named_modules():
            if isinstance(module, layers.Layer):
                module.register_forward_hook(
                    lambda *a, name=name, out=out: out.update({name: a[2]})
                )
        with torch.no_grad():
            net(x)
        found.append(out)
    differing = {name for name in found[0] if not torch.equal(found[0][name], found[1][name])}
    temporal = {f"blocks.{m}.temporal.project" for m in SHAPES}
    assert temporal <= differing and all(x.any() for x in found[0].values())
    after = {f"mlp.{m}.{part}" for m in SHAPES for part in ("hidden", "out")}
    assert differing <= temporal | after  # through z, what follows may differ too


@pytest.mark.parametrize("kind", ["ccssa", "ccssa-released", "ccssa-spatial", "ccssa-temporal"])
@pytest.mark.parametrize("aligned", [True, False])
def test_complementary_feature_is_the_formula(kind, aligned):
    block, x, y = alive(Complementary(32, kind, aligned)), tokens(3), tokens(4)
    if aligned:
        block.transform.weight.data.normal_(std=0.6)
        block.transform.bias.data.fill_(0.8)
    s = np_attention(block.spatial, x, y) if block.spatial else None
    temporal = np_released if kind == "ccssa-released" else np_attention
    r = temporal(block.temporal, x, y) if block.temporal else None
    m = {
        "ccssa": lambda: s.mean(3, keepdims=True) * r.mean(0, keepdims=True),
        "ccssa-released": lambda: s.mean(3, keepdims=True) * r.mean(0, keepdims=True),
        "ccssa-spatial": lambda: s,
        "ccssa-temporal": lambda: r,
    }[kind]()
    if aligned:
        w, b = block.transform.weight.detach().numpy(), block.transform.bias.detach().numpy()
        m = np_lif(np.einsum("oc,tbcn->tbon", w, m) + b[:, None])
    got = block(as_tensor(x), as_tensor(y)).detach().numpy()
    np.testing.assert_allclose(got, m, atol=1e-6)
    assert got.any()


def test_alignment_is_the_formula():
    random = np.random.default_rng(6)
    a, v = (random.integers(0, 2, (4, 6, 8, 3)).astype(np.float64) for _ in range(2))
    labels = np.array([0, 1, 0, 2, 1, 0])
    fa, fv = a.mean((0, 3)), v.mean((0, 3))
    logits = fa @ fv.T / 0.07
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    expected = -sum(log_p[i, j] for i in range(6) for j in range(6) if labels[i] == labels[j]) / 36
    got = alignment({"audio": as_tensor(a), "visual": as_tensor(v)}, torch.from_numpy(labels), 0.07)
    assert float(got) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("steps, given", [(4, 4), (4, 1), (1, 1), (7, 7)])
def test_fused_neuron_is_the_loop_forward_and_backward(steps, given):
    torch.manual_seed(1)
    current = (3 * torch.randn(given, 3, 50, 7)).requires_grad_()
    weight = torch.randn(steps, 3, 50, 7)
    results = []
    for neuron in (lif, lif_loop):
        current.grad = None
        spikes = neuron(current, steps)
        (spikes * weight).sum().backward()
        results.append((spikes.detach(), current.grad.clone()))
    assert torch.equal(results[0][0], results[1][0])
    torch.testing.assert_close(results[0][1], results[1][1], rtol=1e-5, atol=1e-6)
    assert np.array_equal(
        results[0][0].numpy(), np_lif(current.detach().expand(steps, *current.shape[1:]).numpy())
    )


def test_threshold_is_one_and_reached_from_equality():
    drive = torch.tensor([2.0, 2.0 - 2**-20]).view(1, 1, 2)
    assert lif(drive, 1).view(-1).tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    "settings, published",
    [  # parameters that the published forward uses
        ({"attention": "ccssa"}, 255_818),
        ({"attention": "ccssa-released"}, 255_818),
        ({"attention": "late-float"}, 179_914),
        ({"attention": "ccssa", "aligned": False}, 254_314 - 6_816),
        ({"attention": "ccssa-spatial", "aligned": False}, 220_522 - 6_816),
        ({"attention": "ccssa-temporal", "aligned": False}, 220_522 - 6_816),
        ({"attention": "weight-attention"}, 203_372 - 6_816),
        ({"attention": "sca"}, 220_522 - 6_816),
        (
            {"attention": "cmci"},
            272_126 - 6_816 - 42_048,
        ),  # its second fusion block is computed, never used
        (
            {
                "attention": "ccssa",
                "embedding": "deep",
                "shapes": {"audio": (1, 128, 128), "visual": (3, 128, 128)},
            },
            267_146,
        ),
        (
            {
                "attention": "ccssa",
                "embedding": "deep",
                "width": 256,
                "classes": 6,
                "shapes": {"audio": (1, 128, 128), "visual": (3, 128, 128)},
            },
            4_204_038,
        ),
        (
            {
                "attention": "ccssa",
                "width": 256,
                "shapes": {"audio": (1, 28, 28), "visual": (2, 28, 28)},
            },
            4_022_666,
        ),
        ({"attention": "ccssa", "shapes": {"audio": (1, 28, 28), "visual": (2, 28, 28)}}, 256_106),
    ],
    ids=lambda v: str(v) if isinstance(v, int) else "-".join(map(str, v.values()))[:40],
)
def test_parameters_are_those_of_the_published_network(settings, published):
    assert model(**settings).parameters_total == published


@pytest.mark.parametrize(
    "kind",
    [
        "ccssa",
        "ccssa-released",
        "ccssa-spatial",
        "ccssa-temporal",
        "weight-attention",
        "sca",
        "cmci",
        "late-float",
        "one modality",
    ],
)
def test_every_parameter_learns(kind):
    one = kind == "one modality"
    net = model(
        {"audio": (1, 32, 32)} if one else SHAPES, attention="late-float" if one else kind, width=32
    )
    for module in net.modules():  # a silent branch has no gradient: see docs/results.md
        if isinstance(module, Complementary):
            module.transform.bias.data.fill_(1.5)
        if isinstance(module, layers.Attention):
            for layer in (module.query, module.key, module.value, module.project):
                layer.norm.bias.data.fill_(2.0)
    x = {m: torch.rand(1, 6, *SHAPES[m]) for m in net.modalities}
    out = net.train()(x)
    labels = torch.tensor([0, 1, 0, 1, 2, 2])
    loss = sum(
        torch.nn.functional.cross_entropy(logits, labels) for logits in (out.logits, *out.auxiliary)
    )
    if len(out.complement) == 2:
        loss = loss + alignment(out.complement, labels, 0.1)
    loss.backward()
    biases_before_a_norm = {
        f"{name}.synapses.bias" for name, m in net.named_modules() if isinstance(m, layers.Layer)
    }
    silent = [
        name
        for name, p in net.named_parameters()
        if name not in biases_before_a_norm and (p.grad is None or not p.grad.abs().sum() > 0)
    ]
    assert not silent


def test_operations_equal_a_count_by_hand():
    net = alive(model(width=16, attention="ccssa", aligned=False))
    with torch.no_grad(), Counter(net) as counter:
        layer = net.mlp["audio"].hidden
        x = as_tensor(tokens(9, width=16))
        layer(x, 4)
    assert counter.mac == np.count_nonzero(x.numpy()) * 64 and counter.ac == 0
    attention = net.blocks["audio"].spatial
    x, y = tokens(10, width=16, n=3), tokens(11, width=16, n=3)
    q, k, v = (
        np_layer(layer, s)
        for layer, s in ((attention.query, x), (attention.key, y), (attention.value, y))
    )
    scores = np.einsum("tbcn,tbcm->tbcnm", q, k)  # one channel a head at C = 16
    by_hand = scores.sum() + sum(v[t, b, c, m] for t, b, c, n, m in zip(*np.nonzero(scores)))
    with torch.no_grad(), Counter(net) as counter:
        attention(as_tensor(x), as_tensor(y))
    maps = sum(np.count_nonzero(s) * 16 for s in (x, y, y))
    project_in = np_lif(0.25 * np.einsum("tbcnm,tbcm->tbcn", scores, v))
    assert counter.ac + counter.mac == by_hand + maps + project_in.sum() * 16
    frame = (torch.rand(1, 1, 1, 8, 8) < 0.5).float()
    with torch.no_grad(), Counter(net) as counter:
        net.embedding["audio"].stages[0](frame, 4)
    reads = sum(
        int(frame[0, 0, 0, i, j])
        for i in range(8)
        for j in range(8)
        for a in (-1, 0, 1)
        for b in (-1, 0, 1)
        if 0 <= i + a < 8 and 0 <= j + b < 8
    )
    assert counter.ac == reads * 8 * 4


def test_steps_may_differ_and_sizes_may_be_odd():
    """Event data over T steps, 34 x 34: the same as the loop over a repeated frame where all steps
    are equal.
    """
    net = model({"audio": (1, 34, 34), "visual": (2, 34, 34)}, width=16).eval()
    frame = {
        m: torch.rand(1, 2, *shape)
        for m, shape in (("audio", (1, 34, 34)), ("visual", (2, 34, 34)))
    }
    with torch.no_grad():
        once, steps = (
            net(frame).logits,
            net({m: x.repeat(4, 1, 1, 1, 1) for m, x in frame.items()}).logits,
        )
    torch.testing.assert_close(once, steps)


def test_published_learning_rate_rises_for_five_epochs_then_falls():
    rate = by_epoch(100, 6.25e-4)
    lr = [6.25e-4 * rate(epoch) for epoch in range(101)]
    assert lr[0] == pytest.approx(1e-6) and lr[100] == pytest.approx(1e-5)
    assert lr[50] == pytest.approx((6.25e-4 + 1e-5) / 2) and np.diff(lr[:5]) == pytest.approx(
        (6.25e-4 - 1e-6) / 5
    )


def test_counts_are_complete_on_a_run_of_every_kind():
    for kind in ("ccssa", "ccssa-released", "sca", "cmci", "weight-attention", "late-float"):
        net = alive(model(width=16, attention=kind))
        with torch.no_grad(), Counter(net) as counter:
            net({m: (torch.rand(1, 3, *shape) < 0.3).float() for m, shape in SHAPES.items()})
        figures = counter.per_inference(3)
        assert figures["ac_per_inference"] > 0 and figures["mac_per_inference"] > 0
        both = figures["ac_per_inference"] + figures["mac_per_inference"]
        assert figures["synops_per_inference"] == pytest.approx(both)
        layers_named = {name for name, m in net.named_modules() if isinstance(m, layers.Layer)}
        assert layers_named <= set(counter.rates) and all(
            0 <= rate <= 1 for rate in counter.rates.values()
        )


def test_wrong_use_is_refused():
    with pytest.raises(UsageError, match="16 heads.*24"):
        model(width=24)
    with pytest.raises(UsageError, match="pools.*strided.*model.embedding=deep"):
        from_dict({"model": {"attention": "ccssa"}})
    with pytest.raises(UsageError, match="equally many tokens.*audio 64, visual 81"):
        model({"audio": (1, 32, 32), "visual": (2, 34, 34)})
    with pytest.raises(UsageError, match="one or two modalities"):
        model(SHAPES | {"events": (2, 32, 32)})


def test_run_has_figures_and_no_bundle(tmp_path):
    def scmrl(*words):
        return subprocess.run(
            [sys.executable, "-m", "scmrl", *words], capture_output=True, text=True, timeout=300
        )

    run = tmp_path / "run"
    done = scmrl(
        "train",
        "--dataset",
        "digits-av",
        "--epochs",
        "1",
        "--out",
        str(run),
        "--set=model.attention=ccssa",
        "--set=model.embedding=deep",
        "--set=model.width=16",
        "--set=model.steps=2",
    )
    assert (
        done.returncode == 0 and "float model" in done.stdout and "chip        none" in done.stdout
    ), done.stderr
    metrics = json.loads((run / "metrics.json").read_text())
    assert {
        "test_accuracy",
        "last_test_accuracy",
        "validation_accuracy",
        "synops_per_inference",
        "samples_per_s",
        "rates",
        "test_accuracy_alpha_0",
    } <= set(metrics)
    refused = scmrl("export", str(run))
    assert (
        refused.returncode == 4
        and "model.attention=binary" in refused.stderr
        and "Traceback" not in refused.stderr
    )
