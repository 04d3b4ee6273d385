"""The chip's layout equals the definition in every bit; the way to a board is clear; a board is
held to it.

A board and lava-loihi cannot be had here: `lava_loihi_double` stands in for them, and says what it
is.
"""

import inspect
import json
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from conformance.demo import demo_graph
from conformance.double import DOUBLE, environment
from conformance.equality import assert_equals_the_reference
from conformance.graphs import GRAPHS, case, source, weights

from scmrl.core import reference
from scmrl.core.graph import Dense, OneToOne, Population
from scmrl.system.errors import GraphError, UsageError

pytest.importorskip("lava", reason="lava-nc is not installed")

from scmrl.deploy.backends.lava import compat
from scmrl.deploy.backends.lava.processes import source_values
from scmrl.deploy.backends.lava.session import ProcessSession
from scmrl.deploy.backends.loihi.loihi import GENERATIONS, Board, LoihiSim, padded
from scmrl.deploy.backends.loihi.lowering import lower, lowest_activation, window
from scmrl.deploy.backends.loihi.measurement import measurement
from scmrl.deploy.backends.loihi.process_models import Direct, Latency, _wrapped, probe

# ---- the layout ----------------------------------------------------------------------------------


def test_a_run_says_what_the_layout_takes():
    graph, inputs = GRAPHS["one_step"]()
    assert "2 LIF processes" in LoihiSim(graph).run(inputs).notes[0]


def test_every_process_has_what_a_chip_holds():
    graph = demo_graph(size=16, channels=(4, 4, 8, 8)).check()
    loihi = lower(graph)
    fired = {p.name for p in graph.of_kind("lif")}
    assert {c.name.split("@")[0] for c in loihi.cells} == fired | {"readout"}
    for c in loihi.cells:
        assert 0 <= c.vth <= 131071 and 0 <= c.du <= 4095 and 0 <= c.dv <= 4095, c.name
        assert c.interval & (c.interval - 1) == 0 and 0 <= c.bias_exp <= 7
        assert np.abs(c.bias_mant).max(initial=0) <= 4096
    assert all(-8 <= w.exponent - 1 <= 7 for w in loihi.network.weights)
    # pooling, AND and masks forget by dv = 4095 alone: they never hold 64 or more
    assert all(c.interval == loihi.network.steps for c in loihi.cells)


def test_neurons_that_differ_are_processes_of_one_value_under_one_name():
    graph, inputs = GRAPHS["parameters_by_channel"]()
    loihi = lower(graph)
    counts = {c.name: c.count for c in loihi.cells}
    assert counts == {**{f"y@0#{i}": 20 for i in range(3)}, "readout": 3} | {
        f"pool@0#{i}": 4 for i in range(3)
    }
    assert [c.vth for c in loihi.cells if c.name.startswith("y@")] == [20, 70, 150]
    assert_equals_the_reference(LoihiSim(graph), inputs)


def test_neurons_that_alternate_come_back_in_their_order():
    """Values by turns, a neuron that nothing reaches, a loop, and waits behind the cut."""
    vth = np.array([90, 20, 90, 20, 20, 7])
    graph, inputs = case(
        source(5),
        Population("y", (6,), vth=vth, dv=np.array([0, 9, 0, 9, 9, 0]), bias_mant=np.arange(6)),
        Population("z", (4,), vth=30),
        Population("out", (3,), "readout"),
        Dense("x", "y", weights(6, 5) * np.array([1, 1, 1, 1, 1, 0])[:, None]),
        Dense("y", "y", weights(6, 6, low=-90, high=40), delay=3),
        Dense("y", "z", weights(4, 6)),
        Dense("y", "out", weights(3, 6)),
        Dense("z", "out", weights(3, 4)),
        steps=9,
    )
    loihi = lower(graph)
    assert loihi.order["y"].tolist() == [5, 1, 3, 4, 0, 2] and loihi.network.relays == 0
    waits = {
        (w.source.split("@")[0], w.target.split("@")[0], w.delay) for w in loihi.network.weights
    }
    assert {w for w in waits if w[2]} == {("y", "y", 2), ("y", "readout", 1)}
    assert {c.name: c.count for c in loihi.cells if c.name.startswith("y@0")} == {
        "y@0#0": 1,
        "y@0#1": 3,
        "y@0#2": 2,
    }
    assert_equals_the_reference(LoihiSim(graph), inputs)


def waiting():
    """Skips, a loop and a delay beyond the chip's 62 steps: sparse and whole matrices that wait,
    and a relay before one.
    """
    few = weights(4, 5, low=-20, high=60) * (np.arange(20).reshape(4, 5) % 3 == 0)
    return case(
        source(5),
        Population("a", (5,), vth=60, dv=300, bias_mant=3),
        Population("b", (4,), vth=50, dv=900),
        Population("c", (4,), vth=50, bias_mant=60),
        Population("z", (3,), "readout"),
        Dense("x", "a", weights(5, 5)),
        Dense("a", "a", weights(5, 5, low=-90, high=20), delay=6),
        Dense("a", "b", weights(4, 5, low=-20, high=60)),
        Dense("b", "c", weights(4, 4, low=-20, high=60)),
        Dense("a", "c", few),
        Dense("a", "z", weights(3, 5)),
        Dense("b", "z", weights(3, 4), delay=64),
        Dense("c", "z", weights(3, 4)),
        steps=80,
    )


@pytest.mark.parametrize("how", ["ours", "lava's"])
def test_what_waits_is_lavas_to_the_bit(how, monkeypatch):
    """The models of one delay, and Lava's own delayed models, which build a matrix a step."""
    graph, inputs = waiting()
    compat.load()
    from scmrl.deploy.backends.lava import delays

    if how == "lava's":
        monkeypatch.setattr(delays, "MODELS", {})
    backend = LoihiSim(graph)
    network = backend.loihi(graph.steps).network
    assert network.relays == 4 and {w.delay for w in network.weights} == {0, 1, 2, 5, 62}
    got = assert_equals_the_reference(backend, {name: x[:1] for name, x in inputs.items()})
    assert all(0.01 < s.mean() < 0.5 for s in got.spikes.values())


@pytest.mark.parametrize("vth, interval", [(63, 8), (64, 1), (24000, 1)])
def test_a_membrane_below_64_thresholds_is_forgotten_and_one_above_is_cleared(vth, interval):
    """What does not fire is at most vth << 6; dv = 4095 leaves nothing of less than 4096."""
    graph, inputs = case(
        source(6),
        Population("y", (5,), vth=vth, memoryless=True),
        Dense("x", "y", np.full((5, 6), 100)),
    )
    assert [c.interval for c in lower(graph).cells if c.name == "y@0"] == [interval]
    assert_equals_the_reference(LoihiSim(graph), inputs)


def test_what_holds_more_than_a_step_forgets_is_cleared_before_each_step():
    graph, inputs = case(
        source(6),
        Population("big", (5,), vth=20, memoryless=True),
        Population("small", (6,), vth=1, memoryless=True),
        Dense("x", "big", weights(5, 6)),
        OneToOne("x", "small", 1),
    )
    loihi = lower(graph)
    assert {c.name: c.interval for c in loihi.cells} == {"big@0": 1, "small@0": 8}
    assert (
        "cleared before every step: big"
        in assert_equals_the_reference(LoihiSim(graph), inputs).notes
    )
    assert lowest_activation(graph, "small") == 0 and lowest_activation(graph, "big") < -64


@pytest.mark.parametrize(("steps", "expected"), [(1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (9, 16)])
def test_the_window_is_a_power_of_two(steps, expected):
    assert window(steps) == expected


def test_other_numbers_of_steps_than_trained():
    graph, _ = GRAPHS["skips_of_several_depths"]()
    random = np.random.default_rng(0)
    for steps in (1, 3, 8, 11):
        inputs = {
            p.name: random.integers(0, 2, (2, steps, *p.shape)) for p in graph.of_kind("input")
        }
        assert_equals_the_reference(LoihiSim(graph), inputs)


@pytest.mark.parametrize("exponent, needed", [(0, 7), (1, 8), (7, 14)])
def test_a_weight_beyond_the_exponent_is_named(exponent, needed):
    """What two weights sum to beyond eight bits is a weight of its own, eight exponents up."""
    graph, _ = case(
        source(3),
        Population("y", (2,), vth=30),
        Dense("x", "y", weights(2, 3) | 64, exponent=exponent),
        Dense("x", "y", weights(2, 3) | 64, exponent=exponent),
    )
    if needed <= 7:
        assert max(w.exponent for w in lower(graph).network.weights) - 1 == needed
        return
    words = f"source->y.*beyond the chip's exponent.*limit 7, got {needed}"
    with pytest.raises(GraphError, match=words):
        lower(graph)


def test_inputs_that_start_again_are_those_of_the_samples_in_turn():
    graph, inputs = GRAPHS["skips_of_several_depths"]()
    network = lower(graph).network
    inputs = padded(inputs, network.steps)
    period = 3 * network.steps
    once = _wrapped(source_values(network, inputs), period)
    thrice = source_values(network, {name: np.concatenate([x] * 3) for name, x in inputs.items()})
    np.testing.assert_array_equal(once, thrice[:, period : 2 * period])


# ---- open Lava's interfaces ----------------------------------------------------------------------


def test_lava_has_what_the_board_path_calls():
    compat.load()
    from lava.magma.core.run_configs import Loihi2HwCfg
    from lava.utils import loihi, slurm

    assert {"callback_fxs", "exception_proc_model_map"} <= inspect.signature(
        Loihi2HwCfg
    ).parameters.keys()
    assert {"partition", "board", "loihi_gen"} <= inspect.signature(
        loihi.use_slurm_host
    ).parameters.keys()
    assert {"host_address", "loihi_gen"} <= inspect.signature(
        loihi.use_ethernet_host
    ).parameters.keys()
    assert set(GENERATIONS) <= set(loihi.ChipGeneration.__members__)
    assert callable(slurm.enable)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says at import that there is none
        from lava.utils.profiler import Profiler
    assert list(inspect.signature(Profiler.init).parameters) == ["run_cfg"]


def test_the_probe_finds_no_latency_where_there_are_no_adapters():
    import time

    compat.load()
    with compat.nothing_left():
        found = probe(Direct(), lambda processes: ProcessSession(processes, time.monotonic() + 60))
    assert found == Latency(0, 0, 0) and found.total == 0


# ---- the way to a board --------------------------------------------------------------------------


def scmrl(model, *arguments, double=None, **variables):
    command = [
        sys.executable,
        "-m",
        "scmrl",
        "deploy",
        str(model),
        "--backend",
        "loihi",
        *arguments,
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, env=environment(double, **variables)
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith(("error", "Traceback"))]
    return done, lines


def test_without_lava_loihi_one_line_says_how_to_get_there(model):
    if any((Path(p) / "lava/utils/loihi2_profiler.py").exists() for p in sys.path):
        pytest.skip("lava-loihi is installed")
    done, lines = scmrl(model)
    assert done.returncode == 6 and len(done.stderr.strip().splitlines()) == 1
    for word in (
        "lava-loihi",
        "inrc_interest@intel.com",
        "--partition",
        "--board",
        "--host",
        "loihi-sim",
    ):
        assert word in lines[0]


@pytest.mark.parametrize(
    ("settings", "word"), [({"generation": "N3B9"}, "N3B3"), ({"host": "a", "board": "b"}, "SLURM")]
)
def test_settings_that_make_no_sense(settings, word):
    with pytest.raises(UsageError, match=word):
        Board(**settings)


def test_board_settings_are_for_the_board(scmrl, model):
    code, _, error = scmrl("deploy", model, "--board", "x")
    assert code == 2 and "loihi" in error


# ---- with the double -----------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path):
    """A model whose processes are few, so that the double is quick: two layers, a skip, a bias, a
    readout.
    """
    import dataclasses

    from scmrl.core.bundle import Bundle

    graph, inputs = case(
        source(6, bits=4),
        Population("a", (5,), vth=300, dv=700, bias_mant=40, bias_exp=2),
        Population("b", (4,), vth=50, memoryless=True),
        Population("z", (3,), "readout", dv=100),
        Dense("x", "a", weights(5, 6)),
        Dense("a", "b", weights(4, 5)),
        Dense("b", "z", weights(3, 4)),
        Dense("a", "z", weights(3, 5)),
        steps=3,
    )
    trained = dataclasses.replace(reference.run(graph, inputs), backend="training")
    Bundle(
        graph, {name: x.astype(np.uint8) for name, x in inputs.items()}, np.zeros(3, int), trained
    ).save(tmp_path / "small" / "bundle")
    return tmp_path / "small"


def test_a_board_that_agrees_is_bit_exact(small):
    done, _ = scmrl(small, "--partition", "oheogulch", "--json", double=DOUBLE)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (
        report["bit_exact"] is True and report["backend"] == "loihi" and report["measured"] is None
    )
    assert any(
        "partition oheogulch" in note and "2 steps in, 1 out" in note for note in report["notes"]
    )


def test_a_board_that_differs_is_a_mismatch(small):
    done, lines = scmrl(
        small, "--board", "ncl-ext-og-01", "--json", double=DOUBLE, DOUBLE_FAULT="1"
    )
    assert done.returncode == 1 and "loihi differs from the reference" in lines[0]
    assert json.loads(done.stdout)["mismatches"] > 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--board", "ncl-ext-og-02"), "no such board is up"),
        (("--partition", "nahuku"), "ncl-ext-og-01 (oheogulch)"),
        (("--host", "192.0.2.1"), "no board there"),
    ],
)
def test_a_board_that_is_not_there(small, arguments, words):
    done, lines = scmrl(small, *arguments, double=DOUBLE)
    assert done.returncode == 7 and words in lines[0] and len(lines) == 1


def test_a_chip_without_a_model_of_a_process_is_not_simulated_instead(small, tmp_path):
    """Lava would quietly take its CPU model: then nothing was run on a chip."""
    broken = tmp_path / "double"
    shutil.copytree(DOUBLE, broken)
    shutil.rmtree(broken / "lava" / "proc" / "dense")
    done, lines = scmrl(small, double=broken)
    assert done.returncode == 7 and "run it on the host" in lines[0] and "PyDense" in lines[0]


MEASURE = """
import sys, json
from scmrl.deploy.backends.loihi import loihi
loihi.MEASURED_STEPS = 24
from scmrl.cli import main
main(["deploy", sys.argv[1], "--backend", "loihi", *sys.argv[2:]])
"""


def measured(model, *arguments, **variables):
    return subprocess.run(
        [sys.executable, "-c", MEASURE, str(model), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment(**variables),
    )


def test_what_the_profiler_measures_stands_beside_the_estimate(small):
    done = measured(small, "--profile-energy", "--profile-activity", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    found, estimate = report["measured"], next(iter(report["profiles"].values()))
    assert found["kind"] == "measured" and estimate["kind"] == "estimate"
    assert set(found) & set(estimate) >= {
        "us_per_step",
        "core_dynamic_uj",
        "core_static_uj",
        "total_uj",
        "latency_us",
    }
    # The double: 0.5 W, 0.2 static, 20 us a step; a sample of 3 steps takes a window of 4, at depth
    # 3.
    assert found["us_per_step"] == pytest.approx(20) and found["latency_us"] == pytest.approx(
        20 * (3 + 3)
    )
    assert found["total_uj"] == pytest.approx(0.5 * 20 * 4)
    assert found["core_static_uj"] == pytest.approx(0.2 * 20 * 4)
    assert found["core_dynamic_uj"] == pytest.approx(0.3 * 20 * 4)
    # 10,000 operations and 40,000 updates in 24 steps, 6 windows; two of three cores hold memory.
    assert found["synops"] == pytest.approx(10_000 / 6) and found["updates"] == pytest.approx(
        40_000 / 6
    )
    assert found["cores"] == 2 and found["measured_steps"] == 24


def test_a_board_without_power_measurement_says_so(small):
    done = measured(small, "--profile-energy", DOUBLE_WITHOUT_POWER="1")
    assert done.returncode == 7 and "delivered no number" in done.stderr


def test_measured_values_that_are_unknown_stay_unknown():
    network = lower(GRAPHS["single_neuron"]()[0]).network
    found = measurement(
        {"us_per_step": 10.0}, steps=12, network=network, measured_steps=32, board="b", versions="v"
    )
    assert found.total_uj is None and found.power_w is None and found.synops is None
    assert found.latency_us == 130.0 and found.to_json()["kind"] == "measured"
