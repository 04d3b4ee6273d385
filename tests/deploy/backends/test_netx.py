"""netx: a chain trained here, stored as HDF5 and run by lava-dl's loader, gives the reference's
spikes.
"""

import dataclasses
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conformance.equality import assert_equal_in_every_bit, assert_equals_the_reference
from conformance.graphs.networks import flat_graph, image_graph, weight
from hypothesis import given, settings
from hypothesis import strategies as st

h5py = pytest.importorskip("h5py", reason="netx files are HDF5")

from scmrl.convert.netx import lowering
from scmrl.convert.netx.export import export
from scmrl.convert.netx.lowering import MODEL, lower
from scmrl.core import reference
from scmrl.core.bundle import Bundle, load
from scmrl.core.graph import Conv2d, Dense, Graph, OneToOne, Pointwise, Population, Window
from scmrl.system.errors import BackendError, BundleError, GraphError, MissingDependency, UsageError

CHAIN = {"modalities": ("audio",), "branches": False, "bias_exp_min": 6}


@pytest.fixture(scope="module")
def netx():
    """The backend, where Lava and lava-dl are installed."""
    pytest.importorskip("lava.proc", reason="Lava is not installed")
    from scmrl.deploy.backends.netx.netx import Netx

    try:
        from scmrl.deploy.backends.netx import blocks

        blocks.load()
    except MissingDependency as missing:
        pytest.skip(str(missing))
    return Netx


def trained(**options):
    """A chain after a few steps of training on random frames, and the frames."""
    torch = pytest.importorskip("torch", reason="training needs torch")
    from scmrl.network.model import SCMRL
    from scmrl.network.settings import ModelConfig

    torch.manual_seed(1)
    model = SCMRL(ModelConfig(width=16, **CHAIN | options), {"audio": (1, 16, 16)}, 10)
    random = np.random.default_rng(2)
    frames = (
        random.integers(0, 64, (6, 1, 16, 16)) * (random.random((6, 1, 16, 16)) < 0.3)
    ).astype(np.uint8)
    for layer in model.layers():  # most neurons are to fire
        layer.gamma.data.fill_(2.0)
        layer.beta.data.fill_(0.3)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
    for step in range(8):
        if step == 6:
            model.fold_norms()
        out = model.train()({"audio": torch.from_numpy(frames).float().unsqueeze(0)})
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(out.logits, torch.arange(6)).backward()
        optimizer.step()
    return model, {"audio": frames}


def frozen(model, frames) -> Bundle:
    from scmrl.train.freeze import freeze

    return freeze(
        model,
        frames,
        np.arange(6),
        tuple("0123456789"),
        frontend={},
        metrics={},
        training={},
        profile="loihi2",
    )


@pytest.fixture(scope="module")
def chain() -> Bundle:
    return frozen(*trained())


def wide_graph() -> Graph:
    """128 channels, and an image of 130 columns: beyond the 8 bits in which Lava keeps sizes."""
    return Graph(
        (
            Population("x", (1, 1, 130), "input"),
            Population("a", (128, 1, 130), vth=50),
            Population("b", (128, 1, 65), vth=0, memoryless=True),
        ),
        (Pointwise("x", "a", weight(128, 1)), Window("a", "b", 1, (1, 2), (1, 2))),
        2,
    ).check()


def samples(graph: Graph, count: int = 5) -> dict[str, np.ndarray]:
    random = np.random.default_rng(3)
    (p,) = graph.of_kind("input")
    shape = (count, graph.steps, *p.shape)
    return {
        p.name: (random.integers(1, 1 << p.bits, shape) * (random.random(shape) < 0.4)).astype(
            np.uint8
        )
    }


def bundle(graph: Graph) -> Bundle:
    return Bundle(graph, samples(graph), np.zeros(5, np.int64))


@pytest.mark.parametrize(
    "options",
    [{}, {"embedding": "deep"}, {"embedding": "shallow"}, {"steps": 1}, {"fusion": "add"}],
    ids=str,
)
def test_chain_that_was_trained_is_frozen_to_its_own_spikes(options):
    b = frozen(*trained(**options))
    lower(b.graph)
    biases = [p.bias for p in b.graph.populations]
    assert any(bias.any() for bias in biases) and not any((bias % 64).any() for bias in biases)
    got = reference.run(b.graph, b.inputs)
    assert_equal_in_every_bit(b.graph, got, b.trained)
    assert (
        sum(got.values(p.name).any() for p in b.graph.populations[1:])
        == len(b.graph.populations) - 1
    )


def test_every_parameter_of_a_chain_learns():
    torch = pytest.importorskip("torch", reason="training needs torch")
    model, frames = trained()
    model.zero_grad()
    out = model.train()({"audio": torch.from_numpy(frames["audio"]).float().unsqueeze(0)})
    out.logits.pow(2).sum().backward()
    assert not [
        name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0
    ]


def test_chain_of_two_modalities_and_exponents_of_four_bits_are_refused():
    pytest.importorskip("torch", reason="training needs torch")
    from scmrl.train import config

    with pytest.raises(UsageError, match="branches.*one modality.*audio.*visual"):
        config.from_dict({"model": {"branches": False}})
    with pytest.raises(UsageError, match="bias_exp_min.*0..7.*8"):
        config.from_dict({"model": {"bias_exp_min": 8}})
    assert not config.from_dict({"model": CHAIN}).model.branches


def test_trained_chain_runs_in_lava_dl_bit_for_bit(chain, tmp_path, netx):
    summary = export(chain, tmp_path / "out")
    json.dumps(summary)
    assert summary["layers"] == 7 and {p["label"] for p in summary["populations"]} == {"exact"}
    assert load(tmp_path / "out").samples == chain.samples and netx.exported(tmp_path / "out")
    done = []
    with netx.from_export(tmp_path / "out") as backend:
        got = backend.run(chain.inputs, progress=lambda *counts: done.append(counts))
    assert_equal_in_every_bit(chain.graph, chain.trained, got)
    assert (
        got.backend == "netx"
        and "lava-dl 0.6.0" in got.version
        and done == [(n, 6) for n in range(1, 7)]
    )
    readme = (tmp_path / "out" / "README.txt").read_text()
    assert "reset_interval=4, reset_offset=1, input_message_bits=6" in readme


def test_sizes_beyond_those_that_lava_keeps_in_8_bits(netx):
    graph = wide_graph()
    inputs = samples(graph, 3)
    with netx(graph) as backend:
        got = assert_equals_the_reference(backend, inputs)
    assert all(got.values(p.name).any() for p in graph.populations[1:])


def test_other_numbers_of_steps_run_on_the_same_file(netx):
    graph = flat_graph()
    inputs = {"x": samples(graph, 4)["x"].reshape(2, 10, 6)}
    with netx(graph) as backend:
        assert_equals_the_reference(backend, inputs)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(-128, 127), st.integers(-128, 127), st.integers(0, 6))
def test_what_is_accepted_survives_netx_scaling_of_weights(netx, seed, one, other, shift):
    from lava.lib.dl.netx.utils import optimize_weight_bits
    from lava.utils.weightutils import clip_weights, determine_sign_mode, truncate_weights

    low, high = sorted((one, other))
    w = np.random.default_rng(seed).integers(low, high + 1, (2, 3)) >> shift << shift
    w = np.clip(w, -128, 127)
    try:
        lowering._check_dense_weight(w, "w")
        accepted = True
    except GraphError:
        accepted = False
    if not w.any():
        assert not accepted
        return
    with np.errstate(divide="ignore"):
        scaled, bits, exponent, _ = optimize_weight_bits(w)
    mode = determine_sign_mode(scaled)
    held = truncate_weights(clip_weights(scaled, mode, num_bits=8), mode, bits)
    assert np.array_equal(held / 2.0**-exponent, w) == accepted


def change(graph: Graph, synapse: str, **values) -> Graph:
    return dataclasses.replace(
        graph,
        synapses=tuple(
            dataclasses.replace(s, **values) if s.name == synapse else s for s in graph.synapses
        ),
    )


def more(graph: Graph, *synapses) -> Graph:
    return dataclasses.replace(graph, synapses=(*graph.synapses, *synapses))


def test_a_convolution_takes_all_of_eight_bits_and_no_more():
    graph = image_graph()
    first = next(s for s in graph.synapses if isinstance(s, Conv2d))
    for least, most, fits in ((-128, 127, True), (-129, 127, False), (-128, 128, False)):
        whole = first.weight.astype(np.int16).copy()
        whole.ravel()[:2] = least, most
        wide = change(graph, first.name, weight=whole)
        if fits:
            lower(wide)
        else:
            with pytest.raises(GraphError, match=r"weights of more than 8 bits \(limit -128..127"):
                lower(wide)


SKIP = Dense("a", "out", weight(3, 288))
REFUSED = {
    "branch": (lambda: more(image_graph(), SKIP), r"a: .*branches.*a->b, a->out"),
    "and": (lambda: more(flat_graph(), Pointwise("a", "b", weight(5, 7))), r"a: .*branches"),
    "loop": (
        lambda: more(flat_graph(), Dense("b", "a", weight(7, 5), delay=1)),
        r"a: .*several synapses",
    ),
    "two inputs": (
        lambda: dataclasses.replace(
            flat_graph(), populations=(*flat_graph().populations, Population("y", (2,), "input"))
        ),
        r"x, y: .*several inputs.*limit 1, got 2",
    ),
    "apart": (
        lambda: dataclasses.replace(
            flat_graph(),
            populations=(
                *flat_graph().populations,
                Population("alone", (2,), bias_mant=1, bias_exp=6),
            ),
        ),
        r"alone: .*does not reach",
    ),
    "bias": (
        lambda: image_graph(a={"bias_mant": 70, "bias_exp": 0}),
        r"a: .*multiples of 64.*got 70.*bias_exp_min = 6",
    ),
    "wide bias": (lambda: image_graph(a={"bias_mant": 4096, "bias_exp": 6}), r"a: .*13 bits.*4096"),
    "memoryless": (lambda: image_graph(c={"memoryless": True}), r"c: .*membrane can reach 4096"),
    "weights": (lambda: change(image_graph(), "d->out", exponent=1), r"d->out: .*8 bits"),
    "zeros": (
        lambda: change(image_graph(), "d->out", weight=np.zeros((3, 10), int)),
        r"d->out: .*all zero",
    ),
    "power": (
        lambda: change(image_graph(), "d->out", weight=np.full((3, 10), -64)),
        r"d->out: .*power of two",
    ),
    "delay": (lambda: flat_graph(delay=63), r"x->a: .*delay.*62.*63"),
    "delayed convolution": (
        lambda: change(image_graph(), "a->b", delay=1),
        r"a->b: .*delayed convolution",
    ),
    "delay after bias": (
        lambda: change(image_graph(), "c->d", delay=1),
        r"c->d: .*delay after.*got c",
    ),
    "kind": (
        lambda: Graph(
            (Population("x", (3,), "input"), Population("a", (3,))), (OneToOne("x", "a", 1),)
        ),
        r"x->a: .*OneToOne",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_netx_does_not_hold_is_refused_by_name(case, tmp_path):
    graph, words = REFUSED[case]
    with pytest.raises(GraphError, match=words) as refusal:
        export(Bundle(graph().check(), {}, np.zeros(0, np.int64)), tmp_path / "out")
    assert "--target lava" in str(refusal.value) and "\n" not in str(refusal.value)
    assert not list(tmp_path.iterdir())


def test_model_with_branches_is_refused_by_name():
    b = frozen(*trained(branches=True))
    with pytest.raises(GraphError, match=r"audio.stage4: .*branches.*--target lava"):
        lower(b.graph)


def test_memoryless_is_held_as_long_as_nothing_is_left_over():
    """Sixty-three weights of one leave 63 * 64 = 4032, which dv = 4095 forgets."""

    def graph(count: int) -> Graph:
        return Graph(
            (Population("x", (count,), "input"), Population("a", (1,), vth=99, memoryless=True)),
            (Dense("x", "a", np.ones((1, count), int)),),
        ).check()

    assert lower(graph(63)).datasets["layer/1/neuron/vDecay"] == 4095
    with pytest.raises(GraphError, match="a: .*limit 4095, got 4096"):
        lower(graph(64))


def test_a_bias_of_an_image_one_pixel_wide_is_one_a_channel():
    bias = np.broadcast_to(np.array([3, -5]).reshape(2, 1, 1), (2, 4, 1))
    a = Population("a", (2, 4, 1), du=4095, bias_mant=bias, bias_exp=6)
    weight = np.array([1, 2]).reshape(2, 1, 1, 1)
    graph = Graph((Population("x", (1, 4, 1), "input"), a), (Conv2d("x", "a", weight),)).check()
    assert lower(graph).datasets["layer/1/bias"].tolist() == [3, -5]


def test_a_current_with_memory_has_less_room():
    """24 bits for the sum of a step; where a current piles up, what 32 bits hold of it."""

    def graph(du: int) -> Graph:
        weight = np.array([[100], [3]])
        return Graph(
            (Population("x", (1,), "input", bits=16), Population("a", (2,), du=du)),
            (Dense("x", "a", weight),),
        ).check()

    assert lower(graph(4095)).datasets["layer/1/neuron/iDecay"] == 4096
    with pytest.raises(GraphError, match="a: .*limit 262144, got 6553500"):
        lower(graph(99))


def test_file_is_closed_after_a_run_and_can_be_written_again(tmp_path, netx):
    export(bundle(flat_graph()), tmp_path / "out")
    with netx.from_export(tmp_path / "out") as backend:
        backend.run(samples(flat_graph(), 1))
    lowering.write(lower(image_graph()), tmp_path / "out" / MODEL)
    export(bundle(image_graph()), tmp_path / "out")
    with netx.from_export(tmp_path / "out") as backend:
        assert_equals_the_reference(backend, samples(image_graph(), 2))


def rewrite(path, name, value):
    """Put a value, a link, an empty group ({}) or nothing (None) in the place of what is there."""
    with h5py.File(path, "a") as file:
        if name in file:
            del file[name]
        if isinstance(value, dict):
            file.create_group(name)
        elif value is not None:
            file[name] = value


DAMAGE = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:900]),
    "text": lambda path: path.write_text("no HDF5"),
    "empty": lambda path: path.write_bytes(b""),
    "float threshold": lambda path: rewrite(path, "layer/1/neuron/vThMant", 40.0),
    "weight": lambda path: rewrite(path, "layer/1/weight", weight(7, 6, seed=1)),
    "further group": lambda path: rewrite(path, "layer/4", {}),
    "further layer": lambda path: rewrite(path, "layer/4/type", b"add"),
    "further link": lambda path: rewrite(path, "layer/4", h5py.ExternalLink("/etc/passwd", "/")),
    "link to the same": lambda path: (
        shutil.copy(path, path.with_name("copy")),
        rewrite(path, "layer/1", h5py.ExternalLink("copy", "/layer/1")),
    ),
    "group in place": lambda path: rewrite(path, "layer/1/weight", {}),
    "dataset in place": lambda path: rewrite(path, "layer/1/neuron", 1),
    "missing layer": lambda path: rewrite(path, "layer/2", None),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_file_that_is_not_the_models_is_refused_in_one_line(damage, tmp_path, netx):
    export(bundle(flat_graph()), tmp_path / "out")
    DAMAGE[damage](tmp_path / "out" / MODEL)
    with pytest.raises(BundleError, match="model.net.*export the model again") as refusal:
        netx.from_export(tmp_path / "out")
    assert "\n" not in str(refusal.value)


def test_run_past_its_deadline_is_given_up(netx):
    with (
        netx(flat_graph(), deadline_s=1e-3) as backend,
        pytest.raises(BackendError, match="netx: .*in time"),
    ):
        backend.run(samples(flat_graph()))


def test_missing_h5py_is_named_with_its_command(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingDependency, match="pip install 'h5py>=3'"):
        export(bundle(flat_graph()), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_neither_torch_nor_stand_ins_stay_behind(tmp_path, netx):
    """A host without torch runs the export, and lava-dl's training library can be imported
    afterwards.
    """
    export(bundle(flat_graph()), tmp_path / "out")
    program = (
        "import sys; from scmrl.core.bundle import load\n"
        "from scmrl.deploy.backends.netx.netx import Netx\n"
        "with Netx.from_export(sys.argv[1]) as b: b.run(load(sys.argv[1]).inputs)\n"
        "print([m for m in sys.modules if m.split('.')[0] == 'torch' or 'slayer' in m])\n"
        "print([f for f in sys.meta_path if 'scmrl' in type(f).__module__])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "out")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["[]", "[]"] and "Warning" not in done.stderr
