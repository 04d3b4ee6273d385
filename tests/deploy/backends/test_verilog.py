"""The open core: the same bits for every number of engines, in two simulators, in a core that is
fitted to its network, whatever stalls; and never a design of a stranger.

`python tests/deploy/backends/test_verilog.py N` runs N random graphs of each family.
"""

import dataclasses
import functools
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conformance.demo import demo_graph, demo_inputs
from conformance.equality import assert_equals_the_reference
from conformance.graphs import GRAPHS, graph, random_graph, random_inputs, random_loops, source
from conformance.graphs.extreme import extreme_neurons
from hosts import blocked
from hypothesis import HealthCheck, given, settings

from scmrl.convert.verilog import synthesis
from scmrl.convert.verilog.export import export
from scmrl.convert.verilog.memories import LARGEST
from scmrl.convert.verilog.program import Program
from scmrl.core.bundle import Bundle
from scmrl.core.graph import Conv2d, Dense, Graph, OneToOne, Population
from scmrl.core.samples import HELD_OUT, TRUE, Origin
from scmrl.deploy.backends.verilog import verilator
from scmrl.deploy.backends.verilog import verilog as backend
from scmrl.deploy.backends.verilog.verilog import Simulated
from scmrl.system.errors import BackendError, BundleError, GraphError

pytest.importorskip("jinja2", reason="jinja2 is not installed")

LINT = ("-Wall", "-Wno-WIDTH", "-Wno-DECLFILENAME", "-Wno-UNUSEDSIGNAL", "-Wno-PINCONNECTEMPTY")


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    """Nothing that is compiled here stays."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def present(name: str) -> str:
    if not shutil.which(name):
        pytest.skip(f"no {name} on this machine")
    return name


def simulated(network: Graph, engines: int = 3, **how: int) -> Simulated:
    present("verilator"), present("g++"), present("make")
    return Simulated(network, engines=engines, **how)


def bundle_of(network: Graph, inputs: dict) -> Bundle:
    samples = len(next(iter(inputs.values())))
    narrow = {n: x.astype(np.uint8 if x.max() < 256 else np.uint16) for n, x in inputs.items()}
    return Bundle(network, narrow, np.zeros(samples, int), origin=Origin(HELD_OUT, TRUE))


def called(*arguments: object, **how: object) -> str:
    done = subprocess.run([*map(str, arguments)], capture_output=True, text=True, **how)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# ---- the same bits -------------------------------------------------------------------------------

REFUSED = ("largest_legal_sum", "sums_beyond_24_bits", "current_beyond_32_bits")


@pytest.mark.parametrize("engines", [3, 8])  # tests/conformance has 4
def test_any_number_of_engines(engines):
    for case in set(GRAPHS) - set(REFUSED):
        network, inputs = GRAPHS[case]()
        assert_equals_the_reference(simulated(network, engines), inputs)


@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(drawn=extreme_neurons())
def test_extreme_neurons(drawn):
    network, inputs = drawn
    try:
        network.check()
        opened = simulated(network)
    except GraphError:
        return
    assert_equals_the_reference(opened, inputs)


def test_streams_that_stall_change_nothing_but_the_time():
    network, inputs = GRAPHS["attention"]()
    at_once, stalled = simulated(network), simulated(network, seed=7)
    for opened in (at_once, stalled):
        assert_equals_the_reference(opened, inputs)
    assert (stalled.cycles > at_once.cycles).all() and (at_once.cycles > 0).all()


def test_samples_and_steps_are_free_and_chunks_do_not_meet(monkeypatch):
    network, _ = GRAPHS["recurrent_over_two_layers"]()
    monkeypatch.setattr(backend, "CHUNK", 1)
    opened = simulated(network)
    for samples, steps in ((1, 1), (3, 4), (2, 30)):
        inputs = random_inputs(dataclasses.replace(network, steps=steps), samples)
        assert_equals_the_reference(opened, inputs)
        assert opened.cycles.shape == (samples,)


def test_events_that_follow_each_other_into_one_sum_are_all_added():
    """One target: the sum that a spike needs has just been written."""
    network = graph(
        source(64),
        Population("z", (1,), "readout", dv=4096),
        Dense("x", "z", np.arange(-32, 32)[None]),
    )
    assert_equals_the_reference(simulated(network), random_inputs(network, density=0.9))


def test_more_engines_take_fewer_cycles():
    network = demo_graph(size=16, channels=(4, 4, 8, 8)).check()
    inputs = demo_inputs(network, 2)
    cycles = []
    for engines in (3, 8):
        opened = simulated(network, engines)
        got = assert_equals_the_reference(opened, inputs)
        assert got.notes == (f"{opened.cycles.mean():,.0f} cycles a sample, {engines} engines",)
        cycles.append(opened.cycles.mean())
    assert cycles[1] < 0.7 * cycles[0]


def test_the_deadline_stops_a_run():
    network, inputs = GRAPHS["attention"]()
    opened = simulated(network)
    opened.deadline_s = 1e-6
    with pytest.raises(BackendError, match="verilog: .*deadline.*1e-06 s"):
        opened.run(inputs)


# ---- plain Verilog, for the network alone --------------------------------------------------------

FITTED = ("attention", "delays_and_loops", "conv_grouped", "joined_chain", "decays_by_neuron")


@pytest.mark.parametrize("engines", [1, 2, 5])
@pytest.mark.parametrize("case", FITTED)
def test_a_core_as_small_as_its_network_sends_the_same(case, engines, tmp_path):
    """In another simulator, which knows values that nobody has set."""
    present("iverilog")
    made = bundle_of(*GRAPHS[case]())
    export(made, tmp_path / "out", engines=engines, self_test=made.samples)
    folder = tmp_path / "out" / "verilog"
    design = ("bench.v", "model.v", "core.v")
    called("iverilog", "-g2005", "-o", "bench", *design, cwd=folder)
    assert called("vvp", "bench", cwd=folder).startswith(f"equal: {made.samples} samples, ")
    changed = (folder / "levels.hex").read_text().replace("0", "1")
    (folder / "levels.hex").write_text(changed)
    assert "differs" in called("vvp", "bench", cwd=folder)


@pytest.mark.parametrize("engines", [1, 6])
def test_verilator_has_nothing_to_say(engines, tmp_path):
    present("verilator")
    for case in FITTED:
        for name, text in Program(GRAPHS[case]()[0], engines).files().items():
            (tmp_path / name).write_text(text)
        told = ("--language", "1364-2005", "--top-module", "scmrl_model", "model.v", "core.v")
        called("verilator", "--lint-only", *LINT, *told, cwd=tmp_path)


@pytest.mark.parametrize("names", [("verilator x", "a\\"), ("synopsys translate_off", "*/")])
def test_any_name_makes_a_design(names, tmp_path):
    present("verilator")
    parts = (source(3, name=names[0]), Population(names[1], (3,), vth=2))
    network = Graph(parts, (OneToOne(*names, 3),), 3).check()
    for name, text in Program(network).files().items():
        (tmp_path / name).write_text(text)
    told = ("--top-module", "scmrl_model", "model.v", "core.v")
    called("verilator", "--lint-only", "-Wno-WIDTH", *told, cwd=tmp_path)
    assert_equals_the_reference(simulated(network), random_inputs(network))


def test_weights_of_a_convolution_lie_there_once():
    network = graph(
        source(4, 16, 16),
        Population("y", (8, 16, 16), vth=60),
        Conv2d("x", "y", np.arange(288).reshape(8, 4, 3, 3) % 90 - 40, padding=(1, 1)),
    )
    memories = Program(network, 2).memories
    assert memories["weights"].words == 8 * 4 * 9 / 2
    assert memories["membranes"].words == 8 * 16 * 16 / 2 and memories["currents"].words == 0


# ---- what it cannot hold -------------------------------------------------------------------------


def test_a_network_of_inputs_alone_is_refused():
    with pytest.raises(GraphError, match="graph: nothing to compute"):
        Program(Graph((source(3),), (), 1).check())


def test_what_the_core_has_no_room_for_is_refused_by_name():
    wide = graph(
        source(1100), Population("y", (1000,), vth=3), Dense("x", "y", np.ones((1000, 1100), int))
    )
    with pytest.raises(GraphError, match="x->y: no room .* weights .*1,048,576 .*got 1,100,000"):
        Program(wide, 1)
    assert Program(wide, 2).memories["weights"].words == 550_000
    long = Population("y", (2, LARGEST["sums"] // 2 + 1), vth=3, bias_mant=7)
    many = Population("y", (1 << 14,), vth=3, bias_mant=7)
    with pytest.raises(GraphError, match="y: no room in the core's memory of sums"):
        Program(graph(source(1), long), 1)
    with pytest.raises(GraphError, match="y: more groups .*limit 16383, got 16384"):
        Program(graph(source(1), many), 1)


# ---- the export ----------------------------------------------------------------------------------


def test_the_export_is_verified_and_says_what_it_takes(scmrl, model):
    present("verilator"), present("g++")
    options = ("--self-test", 2, "--engines", 3, "--json")
    code, out, err = scmrl("export", model, "--target", "verilog", *options)
    assert code == 0, err
    (row,) = json.loads(out)["targets"]
    assert row["bit_exact"] is True and row["backend"] == "verilog"
    assert row["summary"]["engines"] == 3 and row["summary"]["memory_kbit"] > 5
    folder = model / "verilog" / "verilog"
    assert "| weights |" in (folder / "README.md").read_text()
    assert (folder / "bench.v").is_file() and ".P(3)" in (folder / "model.v").read_text()
    with Simulated.from_export(model / "verilog") as opened:
        assert opened.program.engines == 3


def test_options_of_verilog_are_for_verilog(scmrl, model):
    code, _, err = scmrl("export", model, "--target", "c", "--engines", 2)
    assert code == 2 and "engines: is for the target verilog" in err
    code, _, err = scmrl("export", model, "--target", "onnx", "--self-test", 2)
    assert code == 2 and "self_test: is for the target c and verilog" in err
    code, _, err = scmrl("export", model, "--target", "verilog", "--synth", "ecp6")
    assert code == 2 and "no such FPGA" in err and not (model / "verilog").exists()
    code, _, err = scmrl("export", model, "--target", "verilog", "--self-test", 7)
    assert code == 2 and "fewer samples (limit 6, got 7)" in err


def test_a_changed_design_is_never_compiled(model, small_bundle):
    export(small_bundle, model / "verilog")
    for name in ("core.v", "model.v", "weights.hex"):
        path = model / "verilog" / "verilog" / name
        text = path.read_text()
        path.write_text(text + "\n")
        with pytest.raises(BundleError, match="not the program of this graph"):
            Simulated.from_export(model / "verilog")
        path.write_text(text)


def test_synthesis_counts_what_the_design_takes(scmrl, model, monkeypatch):
    """Without nextpnr, which Debian has not for this FPGA, there is no clock."""
    present("yosys")
    real = shutil.which
    monkeypatch.setattr(synthesis.shutil, "which", lambda n: None if "nextpnr" in n else real(n))
    options = ("--synth", "ecp5", "--engines", 1, "--no-verify", "--json")
    code, out, err = scmrl("export", model, "--target", "verilog", *options)
    assert code == 0, err
    found = json.loads(out)["targets"][0]["summary"]
    assert 500 < found["luts"] < 20_000 and 5 <= found["block_rams"] < 40
    assert 5 <= found["multipliers"] < 15 and found["fmax_mhz"] is None
    monkeypatch.setattr(synthesis.shutil, "which", lambda _: None)
    code, _, err = scmrl("export", model, "--target", "verilog", "--synth", "ecp5", "--force")
    assert code == 6 and err.count("\n") == 1 and "yosys is not installed" in err


# ---- what is not there ---------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["verilator", "make", "g++"])
def test_no_verilator_is_one_line(missing, scmrl, model, monkeypatch):
    monkeypatch.setattr(
        verilator.shutil, "which", lambda name: None if name == missing else f"/usr/bin/{name}"
    )
    code, _, err = scmrl("deploy", model, "--backend", "verilog")
    assert code == 6 and err.count("\n") == 1 and f"{missing} is not installed" in err
    code, out, _ = scmrl("export", model, "--target", "verilog")
    assert code == 0 and f"not verified: {missing} is not installed" in " ".join(out.split())


def test_no_jinja2_is_one_line(model):
    done = blocked(
        ["jinja2"],
        """
        from scmrl import cli
        cli.main(["export", sys.argv[1], "--target", "verilog"])
        """,
        str(model),
    )
    assert done.returncode == 6 and done.stderr.count("\n") == 1
    assert "jinja2 is not installed; it enables exports as Verilog" in done.stderr


def test_a_verilator_that_fails_is_one_line(monkeypatch, tmp_path):
    broken = tmp_path / "verilator"
    broken.write_text("#!/bin/sh\ncase $* in *--cc*) echo '%Error: no'>&2; exit 1;; esac\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(BackendError, match="verilator failed with exit code 1.*%Error: no"):
        simulated(GRAPHS["single_neuron"]()[0])


def test_a_core_is_compiled_once(monkeypatch):
    network, inputs = GRAPHS["attention"]()
    simulated(network)
    real = verilator.said

    def said(command, *rest):
        assert "--build" not in command, "compiled again"
        return real(command, *rest)

    monkeypatch.setattr(verilator, "said", said)
    other, given = GRAPHS["conv_grouped"]()
    assert_equals_the_reference(simulated(network), inputs)
    assert_equals_the_reference(simulated(other), given)


FAMILIES = {
    "graphs": random_graph,
    "recurrent": functools.partial(random_graph, recurrent=True),
    "joined": functools.partial(random_graph, recurrent=True, joined=True),
    "subtract": functools.partial(random_graph, joined=True, subtract=True),
    "loops": random_loops,
}


def main(count: int) -> None:
    """Random graphs, 1 to 8 engines, every third with streams that stall."""
    equal = refused = 0
    for family in FAMILIES.values():
        for seed in range(count):
            network, inputs = family(seed)
            try:
                opened = Simulated(network, engines=1 + seed % 8, seed=seed % 3)
            except GraphError:
                refused += 1
                continue
            assert_equals_the_reference(opened, inputs)
            equal += 1
    print(f"{equal} equal, {refused} refused")


if __name__ == "__main__":
    main(int(sys.argv[1]))
