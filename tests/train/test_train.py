"""Training: its forward pass is the chip's, its settings are checked, its runs can be interrupted
and repeated.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="training needs torch")

from scmrl.core import bundle, reference
from scmrl.core.fixed_point import lif_step
from scmrl.hw_profiles.precision import Precision
from scmrl.hw_profiles.profile import load
from scmrl.network.kernels import neuron
from scmrl.network.model import SCMRL
from scmrl.network.nodes.layer import Layer, quantise_bias
from scmrl.network.nodes.maps import Shared
from scmrl.network.settings import ModelConfig
from scmrl.system.errors import UsageError
from scmrl.train import config as config_module
from scmrl.train.feed import shifted
from scmrl.train.freeze import freeze
from scmrl.train.loss import alignment
from scmrl.train.run import loop

SMALL = {
    "train.epochs": 2,
    "model.width": 16,
    "train.held_out": 4,
    "model.steps": 2,
    "train.batch": 16,
}


def chip_spikes(a, bias, dv, vth):
    """Spikes [T, B, C, P] by the definition."""
    u = v = np.zeros(a.shape[1:], np.int64)
    spikes = []
    for t in range(len(a)):
        u, v, s, _ = lif_step(u, v, a[t], du=4095, dv=dv, vth=vth, bias=bias[None, :, None])
        spikes.append(s)
    return np.stack(spikes)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 4096), st.integers(0, 131071), st.integers(1, 17))
def test_training_neuron_is_the_chips_neuron(seed, dv, vth, bits):
    random = np.random.default_rng(seed)
    a = random.integers(-(1 << bits), (1 << bits) + 1, (5, 2, 3, 4))
    bias = random.integers(-(1 << bits), (1 << bits) + 1, 3) * 64
    wanted = chip_spikes(a, bias, dv, vth)
    arguments = (torch.from_numpy(a).float(), torch.from_numpy(bias).float())
    got = neuron.lif(*arguments, steps=5, dv=dv, vth=vth)
    assert np.array_equal(got.numpy().astype(bool), wanted)
    plain = neuron._scan_torch(
        arguments[0].reshape(5, 6, 4), torch.from_numpy(bias), 5, dv, vth << 6
    )
    assert np.array_equal(plain.numpy().reshape(wanted.shape) > 0, wanted)


def test_gradient_is_local_in_time_and_reaches_drive_and_bias():
    a = torch.full((3, 1, 1, 1), 10.0, requires_grad=True)
    bias = torch.zeros(1, requires_grad=True)
    neuron.lif(a, bias, steps=3, dv=2048, vth=16)[1].sum().backward()
    assert a.grad[1].item() > 0 and a.grad[0].item() == a.grad[2].item() == 0
    assert bias.grad.item() == pytest.approx(a.grad.sum().item() / 64)


def test_one_step_of_drive_stands_for_a_constant_one():
    a = torch.randint(-50, 80, (1, 2, 3, 4)).float().requires_grad_()
    repeated = a.detach().repeat(4, 1, 1, 1).requires_grad_()
    once, four = (neuron.lif(x, torch.zeros(3), steps=4, dv=1000, vth=60) for x in (a, repeated))
    once.sum().backward(), four.sum().backward()
    assert torch.equal(once, four)
    torch.testing.assert_close(a.grad, repeated.grad.sum(0, keepdim=True))


def some_model(**settings) -> tuple[SCMRL, dict]:
    torch.manual_seed(1)
    modalities = settings.pop("modalities", ("audio", "visual"))
    model = SCMRL(
        ModelConfig(modalities=modalities, width=16, **settings),
        dict.fromkeys(modalities, (1, 32, 32)),
        10,
    )
    random = np.random.default_rng(2)
    frames = {
        m: (
            (random.integers(0, 64, (6, 1, 32, 32)) * (random.random((6, 1, 32, 32)) < 0.3)).astype(
                np.uint8
            )
        )
        for m in modalities
    }
    for layer in model.layers():  # untrained, yet most neurons are to fire
        layer.gamma.data.fill_(2.0)
    model.train()
    for _ in range(5):  # moves the running statistics of the norms
        model({m: torch.from_numpy(x).float().unsqueeze(0) for m, x in frames.items()})
    return model, frames


def frozen(model, frames) -> bundle.Bundle:
    return freeze(
        model,
        frames,
        np.zeros(6),
        tuple("0123456789"),
        frontend={},
        metrics={},
        training={},
        profile="loihi2",
    )


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"embedding": "deep"},
        {"embedding": "shallow"},
        {"fusion": "add"},
        {"attention": "none"},
        {"attention": "joint"},
        {"attention": "broadcast"},
        {"modalities": ("audio",)},
        {"steps": 1},
        {"alpha": 0.5, "dv": 1000},
        {"alpha": 1.0},
        {"modalities": ("audio", "visual", "event"), "fusion": "add"},
    ],
    ids=lambda s: "-".join(f"{k}={v}" for k, v in s.items()) or "default",
)
def test_frozen_graph_gives_trainings_own_spikes(settings):
    b = frozen(*some_model(**settings))
    got = reference.run(b.graph, b.inputs)
    fired = 0
    for p in b.graph.populations:
        if p.kind != "input":
            assert np.array_equal(got.values(p.name), b.trained.values(p.name)), p.name
            fired += int(got.values(p.name).any())
    assert fired > len(b.graph.populations) / 2


def test_training_with_folded_norm_is_evaluation():
    model, frames = some_model()
    x = {m: torch.from_numpy(f).float().unsqueeze(0) for m, f in frames.items()}
    model.fold_norms()
    with torch.no_grad():
        in_training, in_evaluation = model(x), model.eval()(x)
    assert torch.equal(in_training.membrane, in_evaluation.membrane)


def test_every_parameter_learns_in_both_phases():
    model, frames = some_model()
    x = {m: torch.from_numpy(f).float().unsqueeze(0) for m, f in frames.items()}
    for fold in (False, True):
        if fold:
            model.fold_norms()
        model.zero_grad()
        model.train()(x).logits.pow(2).sum().backward()
        without = [
            name
            for name, p in model.named_parameters()
            if p.grad is None or not p.grad.abs().sum() > 0
        ]
        assert not without


def test_integers_keep_to_the_precision():
    model, frames = some_model()
    layer = model.node("audio.mlp.hidden")
    layer.weights.weight[0].data *= 40
    folded = layer.fold([{1.0: 1.0, 1.5: 1.5}])
    assert max(float(w.abs().max()) for w in folded.weights[0].values()) <= 127
    assert folded.vth >= 1 and float(folded.bias_mant.abs().max()) <= 4095


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_bias_mantissa_and_exponent(low, high):
    precision = Precision()
    mantissa, exponent = quantise_bias(torch.tensor([low, high]), precision)
    assert (
        0 <= exponent <= precision.bias_exp_max
        and float(mantissa.abs().max()) <= precision.bias_mant_max
    )
    fits = max(abs(low), abs(high)) <= precision.bias_mant_max << precision.bias_exp_max
    if fits:
        error = (mantissa * (1 << exponent) - torch.tensor([low, high])).abs().max()
        assert float(error) <= (1 << exponent) / 2 * 1.001 + 1e-2


def test_layer_reads_alpha_from_its_own_integer_weight():
    torch.manual_seed(0)
    layer = Layer(Shared(5)).eval()
    layer.shape = layer.outline({0: (4,)})
    layer.build([((4,),)], Precision())
    (weights,) = layer.fold([{1.0: 1.0, 1.5: 1.5}]).weights
    assert torch.equal(weights[1.5], (weights[1.5]).round())
    ratio = weights[1.5] / weights[1.0].where(weights[1.0].abs() > 20, torch.nan)
    assert torch.nanmean(ratio).item() == pytest.approx(1.5, abs=0.05)


def test_alignment_prefers_equal_classes_to_meet():
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    pattern = (torch.rand(3, 8, generator=torch.Generator().manual_seed(3)) > 0.5).float()
    z = pattern[labels].view(1, 6, 8, 1)
    crossed = pattern[(labels + 1) % 3].view(1, 6, 8, 1)
    assert alignment({"a": z, "b": z}, labels, 0.1) < alignment({"a": z, "b": crossed}, labels, 0.1)
    assert torch.isfinite(alignment({"a": z * 0, "b": z * 0}, labels, 0.1))


def test_shift_moves_frames_and_brings_in_zeros():
    x = np.zeros((50, 1, 8, 8), np.uint8)
    x[:, :, 4, 4] = 9
    moved = shifted(x, 2, np.random.default_rng(0))
    assert moved.shape == x.shape and (moved.reshape(50, -1).sum(1) == 9).all()
    assert len({tuple(np.argwhere(m)[0]) for m in moved}) > 10


def test_unknown_key_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'alpha'"):
        config_module.from_dict({"model": {"alhpa": 1.0}})
    with pytest.raises(UsageError, match="train.epochs.*limit int"):
        config_module.from_dict({"train": {"epochs": "many"}})
    with pytest.raises(UsageError, match="model.dv: out of range .limit 0..4095, got 5000"):
        config_module.from_dict({"model": {"dv": 5000}})


def test_configuration_survives_its_file(tmp_path):
    config = config_module.read(None, {"train.epochs": 3, "model.alpha": 2, "hard": True})
    (tmp_path / "config.toml").write_text(config_module.to_toml(config))
    assert config_module.read(tmp_path / "config.toml", {}) == config


@pytest.fixture(scope="module")
def small_run(few, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "whole"
    lines = []
    outcome = loop.train(config_module.read(None, SMALL), run, tell=lines.append)
    return run, outcome, lines


def test_run_directory_is_complete(small_run):
    run, outcome, lines = small_run
    b = bundle.load(run)
    assert b.samples == 4 and b.metrics["test_samples"] == 24
    assert 0 <= outcome.metrics["test_accuracy"] <= 1 and set(outcome.metrics["rates"]) == set(
        b.trained.spikes
    )
    assert lines[0] == "reading digits-av"  # before anything slow
    assert lines[1].startswith(
        "training on digits-av: 72 samples, 8 for validation, 24 for test; cpu"
    )
    assert "parameters; 2 epochs of 4 steps" in lines[1]
    ended = [line for line in lines if line.startswith("epoch") and "  loss " in line]
    assert len(ended) == 2 and all("samples/s" in line and "left" in line for line in ended)
    header = (run / "logs" / "metrics.csv").read_text().splitlines()[0]
    assert "rate/audio.attention.complement" in header and "validation_accuracy" in header
    assert list((run / "logs").glob("events.out.tfevents*"))
    got = reference.run(b.graph, b.inputs)
    assert all(
        np.array_equal(got.values(n), b.trained.values(n)) for n in [*b.trained.spikes, "readout"]
    )


def test_training_stops_early_and_names_dead_populations(few, tmp_path):
    settings = {
        "train.epochs": 9,
        "train.patience": 1,
        "train.fold_fraction": 0.9,
        "train.lr": 1e-12,
        "model.width": 8,
        "model.steps": 1,
        "model.spatial_vth": 1000,
        "train.held_out": 2,
        "train.batch": 16,
    }
    lines = []
    outcome = loop.train(config_module.read(None, settings), tmp_path / "run", tell=lines.append)
    epochs = [line for line in lines if line.startswith("epoch") and "loss" in line]
    assert len(epochs) == 3  # the first folded one, and one that is not better
    warning = next(line for line in lines if "dead" in line)
    assert "audio.attention.visual.mask_spatial" in warning
    assert "visual.attention.audio.gate_spatial" in outcome.metrics["dead"]


def test_what_no_system_has_cores_for_is_not_trained(few, scmrl, tmp_path):
    """Every neuron and synapse is within the limits; only the placement shows that the cores are
    too few.
    """
    chip = tmp_path / "one core.toml"
    systems = "".join(
        f'[systems."{name}"]\nchips = {{ value = 1, unit = "chips", source = "mine", kind ='
        ' "assumed" }\ncores = { value = 1, unit = "cores", source = "mine", kind = "assumed"'
        " }\n"
        for name in load("loihi2").systems
    )
    chip.write_text(
        'title = "one core"\nbase = "loihi2"\n[sources]\nmine = "choice of this'
        f' project"\n{systems}'
    )
    words = [f"--set={key}={value}" for key, value in SMALL.items()]
    code, _, err = scmrl("train", "--out", tmp_path / "run", "--profile", chip, *words)
    assert code == 5 and "breaks cores" in err.splitlines()[-1] and "limit 1 cores" in err
    assert not list((tmp_path / "run").rglob("*.ckpt"))
