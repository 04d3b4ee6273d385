"""What attention is judged against: joint and broadcast are their formulas, as large as binary
attention, and the same spikes on Lava.
"""

import importlib.util
import re
import sys

import numpy as np
import pytest
from places import ROOT

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("norse", reason="training needs norse")

from scmrl.core.fixed_point import lif_step
from scmrl.data.features.scenes import SCENES
from scmrl.deploy.registry import open_backend
from scmrl.network.model import SCMRL
from scmrl.network.settings import ModelConfig
from scmrl.system.errors import UsageError

SHAPES = {"audio": (1, 32, 32), "visual": (1, 32, 32)}
STEPS, BATCH = 3, 5


def awake(attention, shapes=SHAPES, **settings):
    """An untrained network of width 16 whose neurons fire; its frames [B, C, H, W]."""
    torch.manual_seed(1)
    net = SCMRL(ModelConfig(width=16, steps=STEPS, attention=attention, **settings), shapes, 10)
    random = np.random.default_rng(2)
    frames = {
        m: (random.integers(0, 64, (BATCH, *shape)) * (random.random((BATCH, *shape)) < 0.3))
        for m, shape in shapes.items()
    }
    for layer in net.layers():
        layer.gamma.data.fill_(2.0)
    x = {m: torch.from_numpy(f).float()[None] for m, f in frames.items()}
    for _ in range(5):  # moves the running statistics of the norms
        net.train()(x)
    return net.eval(), frames


def run_in_torch(net, frames):
    """Spikes int64 [T, B, C, N] of every node, [T, B, C] without positions."""
    x = {m: torch.from_numpy(f).float()[None] for m, f in frames.items()}
    with torch.no_grad():
        spikes = net(x).spikes
    return {n: (s.flatten(3) if s.dim() > 3 else s).numpy().astype(int) for n, s in spikes.items()}


def lif(drive, folded, dv):
    """Spikes of the drive [T, B, C, N] by the definition of the chip."""
    u = v = np.zeros(drive.shape[1:], np.int64)
    bias = folded.bias.detach().numpy().astype(int)[:, None]
    out = []
    for a in drive:
        u, v, s, _ = lif_step(u, v, a, du=4095, dv=dv, vth=folded.vth, bias=bias)
        out.append(s)
    return np.stack(out)


def layer_by_hand(net, name, sums, dv):
    """Spikes of a layer whose signals bring `sums` [T, B, C, N]."""
    folded = net.node(name).fold([{1.0: 1.0}] * len(sums))
    weights = [w[1.0].detach().numpy().astype(int) for w in folded.weights]
    drive = sum(np.einsum("oc,tbcn->tbon", w, x) for w, x in zip(weights, sums))
    return lif(drive, folded, dv)


def test_joint_is_two_layers_over_all_tokens_side_by_side():
    net, frames = awake("joint")
    s, dv = run_in_torch(net, frames), net.config.dv
    tokens = [s[f"{m}.{part}"] for m in SHAPES for part in ("stage4", "position")]
    hidden = layer_by_hand(net, "joint.hidden", tokens, dv)
    assert np.array_equal(hidden, s["joint.hidden"]) and 0 < hidden.mean() < 1
    out = layer_by_hand(net, "joint.out", [hidden], dv)
    assert np.array_equal(out, s["joint.out"]) and 0 < out.mean() < 1
    assert hidden.shape[2] == 2 * 2 * 16 and out.shape[2] == 16
    assert [x.node for x in net.sources("readout")] == ["joint.out"]
    assert not net.complements and not [n for n in net.reads if "mlp" in n or "attention" in n]


def test_broadcast_is_own_tokens_beside_the_others_pooled():
    net, frames = awake("broadcast")
    s, dv = run_in_torch(net, frames), net.config.dv
    for own, other in (("audio", "visual"), ("visual", "audio")):
        at, parts = f"{own}.attention", ("stage4", "position")
        shown = [s[f"{other}.{part}"].any(-1).astype(int) for part in parts]
        for part, pooled in zip(parts, shown):
            assert np.array_equal(pooled, s[f"{at}.{other}.{part}.any"])
        everywhere = np.repeat(sum(shown)[..., None], 4, 3)
        tokens = sum(s[f"{own}.{part}"] for part in parts)
        hidden = layer_by_hand(net, f"{at}.hidden", [tokens, everywhere], dv)
        assert np.array_equal(hidden, s[f"{at}.hidden"]) and 0 < hidden.mean() < 1
        z = layer_by_hand(net, f"{at}.complement", [hidden], dv)
        assert np.array_equal(z, s[f"{at}.complement"]) and 0 < z.mean() < 1
        read = {x.node: x.gain for x in net.sources(f"{own}.mlp.hidden")}
        gains = {f"{own}.stage4": 1, f"{own}.position": 1, f"{at}.complement": 0.5}
        assert read == gains


def tables():
    """{table: (width, shapes, classes, axis)} of the tables of docs/results.md with joint rows."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        spec = importlib.util.spec_from_file_location("_", ROOT / "benchmarks" / "comparison.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))
    classes = {"correspondence": 2, "sum": 19, "where": 4, "when": 4}
    found = {}
    for name, (data, models) in module.TABLES.items():
        if "ours, joint" in models:
            (width,) = re.findall(r"model\.width=(\d+)", " ".join(models["ours"])) or [64]
            channels = 2 if "--dataset=nmnist-fsdd" in data else 1
            shapes = {"audio": (1, 32, 32), "visual": (channels, 32, 32)}
            axis = SCENES[name].axis if name in SCENES else ""
            found[name] = int(width), shapes, classes.get(name, 10), axis
    return found


@pytest.mark.parametrize("attention", ["joint", "broadcast"])
def test_both_have_the_parameters_of_binary_attention_in_every_table(attention):
    found = {}
    for name, (width, shapes, classes, axis) in tables().items():
        sizes = [
            SCMRL(
                ModelConfig(width=width, attention=kind), shapes, classes, axis=axis
            ).parameters_total
            for kind in (attention, "binary")
        ]
        found[name] = sizes[0] / sizes[1]
    assert len(found) >= 6 and all(abs(ratio - 1) < 0.05 for ratio in found.values()), found


@pytest.mark.parametrize("attention", ["joint", "broadcast"])
@pytest.mark.parametrize(
    "embedding, backend", [("strided", "lava-inprocess"), ("shallow", "simulator")]
)
def test_both_are_the_same_spikes_on_lava_and_simulator(attention, embedding, backend):
    if backend == "lava-inprocess":
        pytest.importorskip("lava", reason="runs on Lava")
    net, frames = awake(attention, embedding=embedding)
    spikes = run_in_torch(net, frames)
    graph = net.graph(tuple("0123456789"))
    inputs = {m: np.repeat(f[:2, None], STEPS, 1) for m, f in frames.items()}
    with open_backend(backend, graph) as opened:
        got = opened.run(inputs)
    names = [p.name for p in graph.populations if p.kind == "lif"]
    assert set(names) == set(spikes)
    for name in names:
        values = got.spikes[name].reshape(2, STEPS, *spikes[name].shape[2:]).swapaxes(0, 1)
        assert np.array_equal(values, spikes[name][:, :2]), name
        assert spikes[name].any(), name


def test_broadcast_takes_any_number_of_tokens_and_joint_refuses_it():
    shapes = {"audio": (1, 32, 32), "visual": (2, 34, 34), "event": (2, 64, 32)}
    net, frames = awake("broadcast", shapes)
    s = run_in_torch(net, frames)
    assert [s[f"{m}.attention.complement"].shape[3] for m in shapes] == [4, 9, 8]
    with pytest.raises(
        UsageError, match="model.attention: joint needs.*audio 2x2, visual 3x3"
    ) as e:
        awake("joint", shapes)
    assert "\n" not in str(e.value) and "broadcast" in str(e.value)


@pytest.mark.parametrize("attention", ["joint", "broadcast"])
def test_every_parameter_learns_in_both_phases(attention):
    net, frames = awake(attention)
    x = {m: torch.from_numpy(f).float()[None] for m, f in frames.items()}
    for fold in (False, True):
        if fold:
            net.fold_norms()
        net.zero_grad()
        net.train()(x).logits.pow(2).sum().backward()
        still = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()]
        assert not still
