"""The C99 program: the same bits under every compiler, portable, bounded in memory, and never taken
from a stranger.

`python tests/deploy/backends/test_c.py N` runs N random graphs.
"""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from conformance.demo import demo_graph, demo_inputs
from conformance.equality import assert_equal_in_every_bit, assert_equals_the_reference
from conformance.graphs import GRAPHS, graph, random_graph, random_inputs, random_loops, source
from conformance.graphs.extreme import extreme_neurons
from hosts import blocked
from hypothesis import HealthCheck, given, settings
from places import ROOT

from scmrl.convert.c.export import export
from scmrl.convert.c.program import FILES, Program
from scmrl.convert.c.size import measure
from scmrl.convert.c.words import identifiers, said
from scmrl.core import reference
from scmrl.core.activity import predictions
from scmrl.core.bundle import Bundle
from scmrl.core.graph import Conv2d, Dense, Graph, OneToOne, Population, Window
from scmrl.core.samples import HELD_OUT, TRUE, Origin
from scmrl.deploy.backends.c import c as backend
from scmrl.deploy.backends.c import compiler
from scmrl.deploy.backends.c.c import Compiled
from scmrl.system.errors import BackendError, BundleError, GraphError, MissingDependency

pytest.importorskip("jinja2", reason="jinja2 is not installed")
if not shutil.which("cc"):
    pytest.skip("no C compiler on this machine", allow_module_level=True)

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror")
COMPILERS = ("gcc", "clang")


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    """Nothing that is compiled here stays."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def quick(network: Graph) -> Compiled:
    return Compiled(network, level="-O1")


def present(name: str) -> str:
    if not shutil.which(name):
        pytest.skip(f"no {name} on this machine")
    return name


def bundle_of(network: Graph, inputs: dict) -> Bundle:
    samples = len(next(iter(inputs.values())))
    narrow = {n: x.astype(np.uint8 if x.max() < 256 else np.uint16) for n, x in inputs.items()}
    return Bundle(network, narrow, np.zeros(samples, int), origin=Origin(HELD_OUT, TRUE))


def demo(samples: int) -> Bundle:
    """The shape that training gives, smaller images; training's spikes are the reference's."""
    network = demo_graph(size=16, channels=(4, 4, 8, 8)).check()
    made = bundle_of(network, demo_inputs(network, samples))
    return dataclasses.replace(made, trained=reference.run(network, made.inputs))


def compiled(*arguments: object, **how: object) -> subprocess.CompletedProcess:
    return subprocess.run([*map(str, arguments)], capture_output=True, text=True, **how)


# ---- the same bits -------------------------------------------------------------------------------


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(drawn=extreme_neurons())
def test_extreme_neurons(drawn):
    network, inputs = drawn
    try:
        network.check()
    except GraphError:
        return
    assert_equals_the_reference(quick(network), inputs)


@pytest.mark.parametrize("level", ["-O2", "-O3"])
@pytest.mark.parametrize("name", COMPILERS)
def test_optimised_for_this_processor(name, level, monkeypatch):
    """gcc 12.2 -O3 adds bytes of windows wrongly where the sums are an array of their own."""
    monkeypatch.setenv("CC", present(name))
    network = graph(
        source(8, 4, 4),
        Population("pool", (8, 2, 2), vth=3, memoryless=True),
        Population("conv", (16, 2, 2), vth=60, dv=1000),
        Window("x", "pool", 1, (3, 3), (2, 2), (1, 1)),
        Conv2d("pool", "conv", np.arange(1152).reshape(16, 8, 3, 3) % 90 - 40, padding=(1, 1)),
    )
    assert_equals_the_reference(Compiled(network, level=level), random_inputs(network))


def test_samples_and_steps_are_free_and_chunks_do_not_meet(monkeypatch):
    network, _ = GRAPHS["recurrent_over_two_layers"]()
    monkeypatch.setattr(backend, "CHUNK", 1)
    opened = quick(network)
    for samples, steps in ((1, 1), (7, 4), (2, 30)):
        inputs = random_inputs(dataclasses.replace(network, steps=steps), samples)
        assert_equals_the_reference(opened, inputs)


def test_a_delay_line_goes_round_for_ever():
    """Thousands of steps, and a delay whose line is no power of two long."""
    network = graph(
        source(2),
        Population("y", (2,), vth=3, dv=50),
        Dense("x", "y", np.array([[3, -2], [1, 2]]), delay=2),
        Dense("y", "y", np.array([[0, 2], [-1, 0]]), delay=6),
        steps=5000,
    )
    assert_equals_the_reference(quick(network), random_inputs(network, samples=1))


def test_two_of_one_graph_and_threads_do_not_meet(small_bundle):
    from concurrent.futures import ThreadPoolExecutor

    opened = [quick(small_bundle.graph), quick(small_bundle.graph)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: opened[i % 2].run(small_bundle.inputs), range(24)))
    for got in found:
        assert_equal_in_every_bit(small_bundle.graph, small_bundle.trained, got)


# ---- any compiler --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMPILERS)
def test_compilers_have_nothing_to_say(name, tmp_path):
    cc, files = present(name), []
    for case in GRAPHS:
        network, _ = GRAPHS[case]()
        (tmp_path / case).mkdir()
        for file, text in Program(network).render(*FILES).items():
            (tmp_path / case / file).write_text(text)
        files.append(tmp_path / case / "model.c")
    done = compiled(cc, *STRICT, "-fsyntax-only", *files)
    assert done.returncode == 0 and not done.stderr, done.stderr[:2000]
    export(demo(2), tmp_path / "demo", self_test=2)
    for flags in (("-O2",), ("-O3", "-funsigned-char"), ("-x", "c++", "-std=c++17")):
        strict = STRICT if "c++" not in flags else ("-Wall", "-Wextra", "-Werror")
        if flags[0] != "-x":
            done = compiled(cc, *strict, *flags, "-c", "model.c", cwd=tmp_path / "demo" / "c")
        else:  # the header alone is for C++ too
            text = '#include "model.h"\nint main() { model_reset(); return 0; }'
            done = compiled(
                cc, *strict, *flags, "-fsyntax-only", "-", input=text, cwd=tmp_path / "demo" / "c"
            )
        assert done.returncode == 0 and not done.stderr, done.stderr[:2000]


SANITIZED = (
    "attention",
    "borders_of_a_wide_input",
    "conv_grouped",
    "conv_with_wide_padding",
    "current_beyond_32_bits",
    "current_wraps_by_memory",
    "delay_beyond_the_sample",
    "joined_chain",
    "largest_legal_sum",
    "membrane_saturates_down",
    "pool_of_odd_size",
    "single_connections",
    "subtract_by_neuron",
    "sums_beyond_24_bits",
)


@pytest.mark.parametrize("case", SANITIZED)
def test_sanitizers_find_nothing_and_the_self_test_agrees(case, tmp_path):
    sanitized(bundle_of(*GRAPHS[case]()), tmp_path)


def sanitized(bundle: Bundle, place: Path) -> None:
    """Run the self-test of an export under the address and undefined-behaviour sanitizers."""
    export(bundle, place / "out", self_test=bundle.samples)
    program = place / "self_test"
    checks = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    done = compiled(
        *("gcc", *STRICT, "-O1", "-g", *checks, "-o", program),
        *("self_test.c", "model.c"),
        cwd=place / "out" / "c",
    )
    assert done.returncode == 0, done.stderr
    done = compiled(program)
    assert done.returncode == 0, done.stderr


def test_the_self_test_notices_one_weight(small_bundle, tmp_path):
    export(small_bundle, tmp_path / "out", self_test=6)
    folder = tmp_path / "out" / "c"
    text = (folder / "weights.h").read_text()
    changed = re.sub(r"(weight_visual_conv_to_readout\[\d+\] = \{\n)(-?\d+)", r"\g<1>99", text)
    assert changed != text
    for words, code in ((text, 0), (changed, 1)):
        (folder / "weights.h").write_text(words)
        done = compiled("cc", "-std=c99", "-o", "test", "self_test.c", "model.c", cwd=folder)
        assert done.returncode == 0, done.stderr
        assert compiled(folder / "test").returncode == code


def test_the_class_is_that_of_the_reference(small_bundle, tmp_path):
    """`model_classify` in a program of a user's own, and what RAM it takes, by the compiler."""
    export(small_bundle, tmp_path / "out", self_test=6)
    folder = tmp_path / "out" / "c"
    (folder / "main.c").write_text(
        '#include <stdio.h>\n#include "model.h"\n#include "samples.h"\n'
        "int main(void)\n{\n"
        '    for (int i = 0; i < 6; i++) printf("%d ", model_classify(samples[i]));\n'
        "    (void)expected;\n"
        "    int ram = sizeof(model_state) + sizeof(model_inputs) + sizeof(model_outputs);\n"
        '    printf("%d", ram);\n'
        "    return 0;\n}\n"
    )
    done = compiled("cc", *STRICT, "-o", "main", "main.c", "model.c", cwd=folder)
    assert done.returncode == 0, done.stderr
    *classes, ram = compiled(folder / "main").stdout.split()
    expected = predictions(small_bundle.graph, small_bundle.trained)
    assert list(map(int, classes)) == expected.tolist()
    assert int(ram) == measure(Program(small_bundle.graph), small_bundle).ram


CORTEX_M = Path(__file__).with_name("cortex_m")


def test_a_microcontroller_gives_the_same_spikes(tmp_path):
    """20 samples on an emulated Cortex-M3, without an operating system; what the linker counts is
    what the export said.
    """
    cc, qemu = present("arm-none-eabi-gcc"), present("qemu-system-arm")
    made = demo(20)
    assert sum(s.sum() for s in made.trained.spikes.values()) > 1000
    export(made, tmp_path / "out", self_test=20)
    size = measure(Program(made.graph), made)
    folder, program = tmp_path / "out" / "c", tmp_path / "self_test.elf"
    build = (cc, *STRICT, "-O2", "-mcpu=cortex-m3", "-mthumb")
    done = compiled(*build, "-c", "model.c", cwd=folder)
    assert done.returncode == 0, done.stderr
    counted = compiled("arm-none-eabi-size", "-A", "model.o", cwd=folder).stdout
    found = {name: int(n) for name, n in re.findall(r"^\.([a-z]+)\S*\s+(\d+)", counted, re.M)}
    assert found["bss"] == size.ram - size.buffers + 4 * 10  # what model_classify gives to a step
    constants = size.flash - size.code
    assert constants <= found["rodata"] <= constants + 100 and found["text"] <= size.code

    def differing() -> int:
        done = compiled(
            *(*build, "-nostartfiles", "--specs=nosys.specs", "-DMODEL_NO_MAIN"),
            *("-T", CORTEX_M / "mps2.ld", "-o", program),
            *(CORTEX_M / "start.c", "self_test.c", "model.c"),
            cwd=folder,
        )
        assert done.returncode == 0, done.stderr
        board = ("-M", "mps2-an385", "-semihosting", "-nographic", "-icount", "shift=0")
        done = compiled(qemu, *board, "-kernel", program, timeout=120)
        assert int(done.stderr) > 10_000, done.stderr  # ticks: it ran
        return done.returncode

    assert differing() == 0
    weights = (folder / "weights.h").read_text()
    changed = re.sub(r"(bias_readout\[\d+\] = \{\n)-?\d+", r"\g<1>99", weights)
    (folder / "weights.h").write_text(changed)
    assert differing() == 1


@pytest.mark.parametrize(
    "names",
    [
        ("int", "float", "double"),
        ("a.b", "a_b", "a b"),
        ('x */ #include "y" /*', "??/", "\\"),
        ("名", "ʼ", "1st"),
        ("s_x", "model", "in"),
    ],
)
def test_any_name_makes_a_program(names, tmp_path):
    populations = (source(3, name=names[0]), *(Population(n, (3,), vth=2) for n in names[1:]))
    network = Graph(
        populations, tuple(OneToOne(a, b, 3) for a, b in zip(names, names[1:])), 3
    ).check()
    inputs = random_inputs(network)
    assert_equals_the_reference(quick(network), inputs)
    sanitized(bundle_of(network, inputs), tmp_path)
    assert len(set(identifiers(names).values())) == 3
    assert "*/" not in said("".join(names)) and "\\" not in said("".join(names))


def test_a_network_of_inputs_alone_is_refused():
    with pytest.raises(GraphError, match="graph: nothing to compute"):
        Compiled(Graph((source(3),), (), 1).check())


# ---- memory --------------------------------------------------------------------------------------


def test_what_does_not_fit_is_refused_with_what_would(scmrl, model, small_bundle, tmp_path):
    size = measure(Program(small_bundle.graph), small_bundle)
    out = tmp_path / "out"
    command = ("export", model, "--target", "c", "--out", out, "--no-verify", "--force")
    for option, needed in (("--flash", size.flash), ("--ram", size.ram)):
        code, _, err = scmrl(*command, option, needed - 1)
        assert code == 5 and not out.exists(), err
        assert f"limit {needed - 1:,} bytes, got {needed:,}" in err
        assert f"--flash {size.flash} and --ram {size.ram} hold it" in err and "conv" in err
    code, _, err = scmrl(*command, "--flash", size.flash, "--ram", size.ram)
    assert code == 0 and (out / "c" / "model.c").is_file(), err


def test_options_of_c_are_for_c(scmrl, model):
    code, _, err = scmrl("export", model, "--target", "onnx", "--ram", 10)
    assert code == 2 and "ram: is for the target c" in err
    code, _, err = scmrl("export", model, "--target", "c", "--self-test", 7)
    assert code == 2 and "fewer samples (limit 6, got 7)" in err and not (model / "c").exists()


def test_constants_and_operations_are_counted(small_bundle):
    """Weights once, whatever the positions; operations as spikes times connections."""
    size = measure(Program(small_bundle.graph), small_bundle)
    rows = {row.name: row for row in size.rows}
    assert rows["visual.conv"].flash == 3 * 1 * 9
    assert rows["both"].operations * 6 == sum(
        small_bundle.trained.spikes[name].sum() for name in ("audio.pool", "visual.pool")
    )
    assert rows["audio.conv"].updates == 192 * 3 and rows["audio"].operations == 0


def test_the_summary_says_what_it_takes(scmrl, model):
    code, out, err = scmrl("export", model, "--target", "c", "--self-test", 2, "--json")
    assert code == 0, err
    (row,) = json.loads(out)["targets"]
    assert row["bit_exact"] is True and row["backend"] == "c"
    assert row["summary"]["ram_bytes"] > 3000 and row["summary"]["flash_bytes"] > 1500
    said = (model / "c" / "c" / "README.md").read_text()
    assert "| audio.conv | [8][8][3] |" in said and "int class = model_classify(window);" in said


# ---- what is not there, and what is not ours -----------------------------------------------------


def test_a_changed_program_is_never_compiled(model, small_bundle, scmrl):
    export(small_bundle, model / "c")
    with Compiled.from_export(model / "c") as opened:
        got = opened.run(small_bundle.inputs)
    assert_equal_in_every_bit(small_bundle.graph, small_bundle.trained, got)
    for name in FILES:
        path = model / "c" / "c" / name
        text = path.read_text()
        path.write_text(text + "/* mine */\n")
        with pytest.raises(BundleError, match="not the program of this graph"):
            Compiled.from_export(model / "c")
        path.write_text(text)
    (model / "c" / "c" / "weights.h").unlink()
    code, _, err = scmrl("deploy", model / "c", "--backend", "c")
    assert code == 4 and "weights.h" in err


def test_no_compiler_is_one_line(scmrl, model, monkeypatch, tmp_path):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    code, _, err = scmrl("deploy", model, "--backend", "c")
    assert code == 6 and err.count("\n") == 1 and "a C compiler (cc) is not installed" in err
    code, out, _ = scmrl("export", model, "--target", "c")
    assert code == 0 and "not verified: a C compiler" in " ".join(out.split())
    monkeypatch.setenv("CC", "my-own-cc")
    with pytest.raises(MissingDependency, match="my-own-cc is not installed"):
        quick(GRAPHS["single_neuron"]()[0])


def test_no_jinja2_is_one_line(model):
    done = blocked(
        ["jinja2"],
        """
        from scmrl import cli
        cli.main(["export", sys.argv[1], "--target", "c"])
        """,
        str(model),
    )
    assert done.returncode == 6 and done.stderr.count("\n") == 1
    assert "jinja2 is not installed; it enables exports as C; install it with: pip" in done.stderr


def test_a_compiler_that_fails_is_one_line(monkeypatch, tmp_path):
    broken = tmp_path / "cc"
    broken.write_text("#!/bin/sh\ncase $* in *-o*) echo 'x.c:1: error: no'>&2; exit 1;; esac\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CC", str(broken))
    with pytest.raises(BackendError, match="cc: the C compiler failed with exit code 1.*error: no"):
        quick(GRAPHS["single_neuron"]()[0])


# ---- the cache -----------------------------------------------------------------------------------


RUN = """
from conformance.equality import assert_equals_the_reference
from conformance.graphs import GRAPHS
from scmrl.deploy.backends.c.c import Compiled
network, inputs = GRAPHS["attention"]()
assert_equals_the_reference(Compiled(network, level="-O1"), inputs)
"""
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "tests")))}


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "scmrl" / "c"


def test_a_graph_is_compiled_once(cache, monkeypatch):
    network, inputs = GRAPHS["attention"]()
    quick(network)
    (made,) = cache.iterdir()
    monkeypatch.setattr(compiler.Compiler, "_compile", lambda *_: pytest.fail("compiled again"))
    assert_equals_the_reference(quick(network), inputs)
    assert list(cache.iterdir()) == [made]


def test_what_is_no_shared_object_is_compiled_anew(cache):
    network, inputs = GRAPHS["attention"]()
    quick(network)
    (made,) = cache.iterdir()
    (cache / "cut").write_bytes(made.read_bytes()[:100])
    os.replace(cache / "cut", made)  # this process has the former one in use
    done = compiled(
        sys.executable, "-c", RUN, env={**ENVIRONMENT, "XDG_CACHE_HOME": str(cache.parents[1])}
    )
    assert done.returncode == 0, done.stderr
    assert len(list(cache.iterdir())) == 1


def test_processes_may_compile_the_same_at_once(cache):
    running = [
        subprocess.Popen(
            [sys.executable, "-c", RUN],
            env={**ENVIRONMENT, "XDG_CACHE_HOME": str(cache.parents[1])},
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in running:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    assert len(list(cache.iterdir())) == 1


def test_the_cache_forgets_what_was_not_used_for_longest(cache, monkeypatch):
    monkeypatch.setattr(compiler, "KEPT", 2)
    for name in ("single_neuron", "both", "either"):
        quick(GRAPHS[name]()[0])
    assert len(list(cache.iterdir())) == 2


def test_without_a_place_for_a_cache_it_runs(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("no directory")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    network, inputs = GRAPHS["attention"]()
    assert_equals_the_reference(quick(network), inputs)
    assert os.listdir(tmp_path) == ["file"]


DRAWN = (
    random_graph,
    partial(random_graph, recurrent=True),
    partial(random_graph, joined=True),
    partial(random_graph, recurrent=True, joined=True),
    partial(random_graph, recurrent=True, subtract=True),
    partial(random_graph, joined=True, subtract=True),
    random_loops,
)

if __name__ == "__main__":
    count = int(sys.argv[1])
    os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp()
    for seed in range(count):
        network, inputs = DRAWN[seed % len(DRAWN)](seed)
        assert_equals_the_reference(quick(network), inputs)
    shutil.rmtree(os.environ["XDG_CACHE_HOME"])
    print(f"{count} graphs, every population and membrane equal")
