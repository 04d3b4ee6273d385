"""Bundles and reports of strangers: refused at load by the field, or they run; never a traceback, a
bomb or a trick.
"""

import dataclasses
import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from places import BENCHMARKS

from scmrl.core import bundle
from scmrl.core.activity import check_labels
from scmrl.core.graph import (
    NEURONS,
    Broadcast,
    Conv2d,
    Dense,
    Graph,
    GraphError,
    Population,
    Window,
)
from scmrl.system.errors import BundleError, DataError, ScmrlError, visible
from scmrl.system.reading import read_arrays, sha256

TRICKS = "\x1b[31m\x9b2J\u202e\0\n\r\u2028\udc80\u200b"
SHOWN = ("\\x1b", "\\x9b", "\\u202e", "\\udc80")


def rehash(directory):
    table = json.loads((directory / "bundle.json").read_text())
    table["sha256"] = {name: sha256(directory / name) for name in bundle.FILES}
    (directory / "bundle.json").write_text(json.dumps(table))


def change_json(model, file, change):
    path = model / "bundle" / file
    table = json.loads(path.read_text())
    change(table)
    path.write_text(json.dumps(table))
    rehash(model / "bundle")


def change_arrays(model, file, change):
    path = model / "bundle" / file
    arrays = read_arrays(path)
    change(arrays)
    np.savez(path, **arrays)
    rehash(model / "bundle")


def refused(scmrl, model, *words, code=4):
    """Every command that reads a model ends with one line that names the field."""
    for command in ("deploy", "place", "energy", "verify", "evaluate", "robustness", "export"):
        got, out, err = scmrl(command, model)
        assert (got, out) == (code, "") and err.count("\n") == 1, (command, got, err)
        assert all(word in err for word in words), (command, err)


@pytest.mark.parametrize(
    "file, key, value, words",
    [
        ("graph.json", ("classes",), ["a", "b", "c"], ["classes", "limit 4, got 3"]),
        ("graph.json", ("classes", 3), -(1 << 63), ["classes.3", "must be text", "int"]),
        (
            "graph.json",
            ("populations", 2, "vth"),
            [3],
            ["populations.2.vth", "must be an integer", "list"],
        ),
        (
            "graph.json",
            ("populations", 2, "bits"),
            {"array": "x"},
            ["populations.2.bits", "must be an integer", "dict"],
        ),
        (
            "graph.json",
            ("populations", 2, "vth"),
            {"array": "x"},
            ["populations.2.vth", "array is missing"],
        ),
        ("graph.json", ("populations", 2, "reset"), 0, ["reset", "unknown word"]),
        (
            "graph.json",
            ("populations", 2, "bias_exp"),
            "\x1b[31m",
            ["populations.2.bias_exp", "\\x1b[31m"],
        ),
        (
            "graph.json",
            ("populations", 2, "memoryless"),
            1,
            ["populations.2.memoryless", "true or false"],
        ),
        (
            "graph.json",
            ("populations", 2, "shape"),
            [3, 8.0, 8],
            ["populations.2.shape.1", "integer", "float"],
        ),
        ("graph.json", ("populations", 2, "name"), "a\nb", ["populations.2.name", "printable"]),
        ("graph.json", ("synapses", 0, "stride"), [1], ["synapses.0.stride", "length"]),
        ("graph.json", ("synapses", 0, "weight"), 3, ["synapses.0.weight", "must be a table"]),
        (
            "graph.json",
            ("synapses", 4, "weight"),
            {"array": "synapse/0.weight"},
            ["synapses.4.weight", "integer"],
        ),
        ("graph.json", ("synapses", 0, "kind"), "Conv", ["synapses.0.kind", "Conv2d"]),
        ("graph.json", ("steps",), True, ["steps", "must be an integer"]),
        ("bundle.json", ("metrics",), [], ["metrics", "must be a table"]),
        (
            "bundle.json",
            ("metrics", "test_correct"),
            "3",
            ["metrics.test_correct", "must be an integer"],
        ),
        ("bundle.json", ("metrics", "test_accuracy"), 50.0, ["metrics.test_accuracy", "range"]),
        ("bundle.json", ("metrics", "dead"), [1], ["metrics.dead.0", "must be text"]),
        ("bundle.json", ("training", "dataset"), {}, ["training.dataset", "must be text"]),
        ("bundle.json", ("training", "hard"), "no", ["training.hard", "true or false"]),
        ("bundle.json", ("profile",), None, ["profile", "must be text"]),
        ("bundle.json", ("trained_by",), "training", ["trained_by", "must be a list"]),
        ("bundle.json", ("schema",), 3, ["another schema"]),
        ("graph.json", ("format",), 3, ["format", "limit 2..2"]),
    ],
)
def test_a_wrong_field_is_refused_by_every_command(scmrl, model, file, key, value, words):
    def change(table):
        for part in key[:-1]:
            table = table[part]
        table[key[-1]] = value

    change_json(model, file, change)
    refused(scmrl, model, *words, code=5 if "got 3" in words[-1] else 4)


@pytest.mark.parametrize("key", ["schema", "profile", "frontend", "metrics", "training", "sha256"])
def test_a_bundle_without_one_of_its_fields_is_refused(model, key):
    path = model / "bundle" / "bundle.json"
    table = json.loads(path.read_text())
    del table[key]
    path.write_text(json.dumps(table))
    with pytest.raises(
        BundleError, match="another schema" if key == "schema" else f"{key}: is missing"
    ):
        bundle.load(model)


@pytest.mark.parametrize(
    "name, value, words",
    [
        ("y", lambda y: y[:-1], r"\[6\], got int64 \[5\]"),
        ("y", lambda y: y[None], "one for each sample"),
        ("y", lambda y: y.astype(float), "float64"),
        ("y", lambda y: y + 100, r"0\.\.3, got 100\.\.103"),
        ("y", lambda y: y - 5, r"0\.\.3"),
        ("y", lambda y: y.astype("u8") + np.uint64(1 << 63), r"0\.\.3"),
        ("s/both", lambda s: s[None], "s/both"),
        ("s/both", lambda s: s[:-1], "s/both"),
        ("s/both", lambda s: s.astype("u2"), "s/both"),
        ("s/both", lambda s: np.r_[s, s], "s/both"),
        ("v/readout", lambda v: v.astype(float), "v/readout"),
        ("v/readout", lambda v: v.ravel(), "v/readout"),
        ("v/readout", lambda v: v.astype([("a", "<i4")]), "no array of numbers"),
        ("x/audio", lambda x: x[:, :, 0], "x/audio|audio"),
        ("x/audio", lambda x: x.astype("f4"), "integers"),
        ("x/audio", lambda x: x + 200, "out of range"),
        ("x/other", lambda _: np.zeros(3), "other"),
        ("s/other", lambda _: np.zeros(3, np.uint8), "belongs to no population"),
    ],
)
def test_samples_that_are_not_the_networks_are_refused(scmrl, model, name, value, words):
    change_arrays(
        model, "samples.npz", lambda arrays: arrays.update({name: value(arrays.get(name))})
    )
    with pytest.raises(BundleError, match=words):
        bundle.load(model)
    assert scmrl("deploy", model)[0] == 4


@pytest.mark.parametrize("name", ["y", "s/both", "v/readout", "x/audio"])
def test_samples_that_lack_an_array_are_refused(model, name):
    change_arrays(model, "samples.npz", lambda arrays: arrays.pop(name))
    with pytest.raises(BundleError, match="missing"):
        bundle.load(model)


def test_labels_at_the_borders_are_labels(small_bundle):
    graph = small_bundle.graph
    assert list(check_labels(graph, np.array([0, 3], np.uint8), 2, where="y")) == [0, 3]
    for wrong in ([-1, 3], [0, 4]):
        with pytest.raises(DataError, match="not classes"):
            check_labels(graph, np.array(wrong), 2, where="y")


# ---- bombs ---------------------------------------------------------------------------------------


def bomb(model, populations, synapse):
    """A graph of a few lines in place of the model's."""

    def change(table):
        table["classes"] = []
        table["populations"] = [{"name": "x", "shape": [1], "kind": "input"}, *populations]
        table["synapses"] = [synapse]

    change_json(model, "graph.json", change)


@pytest.mark.parametrize(
    "shape, synapse",
    [
        ([1, 10_000_000], {"kind": "Broadcast", "source": "x", "target": "big", "weight": 1}),
        ([1, 1 << 30, 1 << 30], {"kind": "Broadcast", "source": "x", "target": "big", "weight": 1}),
        (
            [1, 1, 1],
            {
                "kind": "Window",
                "source": "x",
                "target": "big",
                "weight": 1,
                "kernel": [65535, 65535],
                "stride": [1, 1],
                "padding": [65535, 65535],
            },
        ),
    ],
)
@pytest.mark.parametrize("command", ["deploy", "place", "energy", "verify", "export"])
def test_a_tiny_graph_that_would_fill_the_memory_is_refused_at_once(
    scmrl, model, command, shape, synapse
):
    bomb(model, [{"name": "big", "shape": shape}], synapse)
    started = time.monotonic()
    code, out, err = scmrl(command, model)
    assert code in (4, 5) and err.count("\n") == 1
    assert time.monotonic() - started < 1
    if len(shape) == 2:
        assert code == 5 and f"limit {NEURONS}" in err and "SCMRL_LIMIT_FACTOR=5" in err


def test_bounds_of_a_graph_are_the_last_that_pass(monkeypatch):
    def graph(n, steps=1):
        return Graph(
            (Population("x", (1,), "input"), Population("big", (1, n))),
            (Broadcast("x", "big", 1),),
            steps,
        )

    monkeypatch.setattr("scmrl.core.graph.NEURONS", 1000)
    graph(999).check()
    with pytest.raises(GraphError, match="too many neurons .limit 1000 neurons, got 1001"):
        graph(1000).check()
    monkeypatch.setattr("scmrl.core.graph.VALUES", 4000)
    graph(999, 4).check()
    with pytest.raises(GraphError, match="for its steps"):
        graph(999, 5).check()
    monkeypatch.setattr("scmrl.core.graph.WEIGHTS", 998)
    with pytest.raises(GraphError, match="too many synapses .limit 998 synapses, got 999"):
        graph(999).check()
    monkeypatch.setenv("SCMRL_LIMIT_FACTOR", "2")
    graph(999).check()


def test_synapses_are_counted_as_they_are_written_out():
    shapes = ((2, 5, 5), (3, 4, 4))
    conv = Conv2d("a", "b", np.ones((3, 2, 2, 2), np.int8))
    window = Window("a", "b", 1, (2, 2), (1, 1))
    assert conv.count(*shapes) == len(conv.coordinates(*shapes)[0]) == 3 * 2 * 4 * 16
    assert (
        window.count((2, 5, 5), (2, 4, 4))
        == len(window.coordinates((2, 5, 5), (2, 4, 4))[0])
        == 4 * 32
    )
    assert Dense("a", "b", np.zeros((3, 2))).count((2,), (3,)) == 6


def test_many_samples_of_a_large_graph_are_refused_before_they_run(small_bundle, monkeypatch):
    monkeypatch.setattr(
        "scmrl.core.activity.RUN_VALUES",
        18 * sum(p.neurons for p in small_bundle.graph.populations) - 1,
    )
    from scmrl.core.activity import check_inputs

    with pytest.raises(DataError, match="--samples"):
        check_inputs(small_bundle.graph, small_bundle.inputs)


# ---- tricks of the terminal ----------------------------------------------------------------------


@pytest.fixture
def tricky(small_bundle, tmp_path):
    """A bundle whose every free text moves the cursor, turns the direction, ends lines."""
    graph = dataclasses.replace(
        small_bundle.graph, classes=tuple(f"{name}{TRICKS}" for name in "abcd")
    )
    path = tmp_path / "m"
    dataclasses.replace(small_bundle, graph=graph).save(path)
    table = json.loads((path / "bundle.json").read_text())
    table |= {"trained_by": [f"training{TRICKS}", TRICKS], "note": TRICKS, "scmrl": TRICKS}
    table["training"] |= {"imported": TRICKS, "task": TRICKS}
    table["metrics"] |= {"dead": [TRICKS], TRICKS: TRICKS}
    (path / "bundle.json").write_text(json.dumps(table))
    return path


def plain(text):
    return all(c.isprintable() or c == "\n" for c in text)


@pytest.mark.parametrize(
    "arguments",
    [
        ("deploy", "--layers"),
        ("verify", "--backends", "simulator", "--layers"),
        ("place", "--layers"),
        ("energy", "--layers"),
        ("evaluate",),
        ("deploy", "--json"),
        ("deploy", "--stream", "--input", "S.npz"),
        ("robustness",),
    ],
)
def test_nothing_of_a_file_reaches_the_terminal_as_it_is(scmrl, tricky, arguments, tmp_path):
    np.savez(tmp_path / "S.npz", **{name: x[0] for name, x in bundle.load(tricky).inputs.items()})
    arguments = [str(tmp_path / word) if word == "S.npz" else word for word in arguments]
    code, out, err = scmrl(arguments[0], tricky, *arguments[1:])
    assert code in (0, 1, 2, 3) and plain(out) and plain(err), (code, out, err)


def test_pages_show_tricks_written_out(scmrl, tricky, tmp_path):
    code, _, err = scmrl("deploy", tricky, "--html", tmp_path / "p.html")
    text = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert (
        code == 0
        and plain(err)
        and plain(text.replace("\t", ""))
        and all(word in text for word in SHOWN)
    )


def test_errors_names_and_options_are_written_out(scmrl, tmp_path):
    tricks = TRICKS.replace("\0", "")
    for arguments in (
        (f"x{tricks}",),
        ("place", f"/nowhere/{tricks}"),
        ("place", f"--{tricks}"),
        ("profiles", tricks),
        ("deploy", "x", "--backend", tricks),
        ("compare", tricks, "y"),
    ):
        code, out, err = scmrl(*arguments)
        assert code in (2, 3, 4) and out == "" and plain(err) and err.count("\n") == 1, (
            arguments,
            err,
        )


def test_reports_of_strangers_are_compared_without_their_tricks(scmrl, tmp_path):
    for name, number in (("a", 1), ("b", 2)):
        (tmp_path / name).write_text(
            json.dumps(
                {
                    "command": f"energy{TRICKS}",
                    f"k{TRICKS}": number,
                    "rows": [{"name": TRICKS, "neurons": number}],
                    f"only{name}\x1b": 1,
                }
            )
        )
    code, out, err = scmrl("compare", tmp_path / "a", tmp_path / "b")
    assert code == 0 and plain(out) and plain(err) and "\\x1b" in out
    code, _, err = scmrl("compare", tmp_path / "a", tmp_path / "b", "--html", tmp_path / "p.html")
    assert code == 0 and plain((tmp_path / "p.html").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "text, words",
    [
        ('{"command": "energy", "a": 10000000000000000000000}', "64 bits"),
        ('{"command": "energy", "a": Infinity}', "finite"),
        ('{"command": ["energy"]}', "not a report"),
        ("[]", "JSON object"),
    ],
)
def test_what_is_no_report_is_one_line(scmrl, tmp_path, text, words):
    (tmp_path / "a.json").write_text(text)
    (tmp_path / "b.json").write_text('{"command": "energy", "a": 1}')
    code, out, err = scmrl("compare", tmp_path / "a.json", tmp_path / "b.json")
    assert code == 3 and out == "" and words in err and err.count("\n") == 1


def test_visible_leaves_ordinary_text_alone():
    assert visible("Gewürz 漢字 ≤ 3 µJ") == "Gewürz 漢字 ≤ 3 µJ"
    assert visible("a\tb\x1b\x85\u202e\ud800") == "a\\tb\\x1b\\x85\\u202e\\ud800"
    assert (
        str(ScmrlError("cannot read", where="a\nb", value="x\n  y"))
        == "a\\nb: cannot read (got x y)"
    )
    assert len(str(ScmrlError("w", value="x" * 10**6))) < 1000


# ---- pipes and encodings -------------------------------------------------------------------------


def run(*words, **environment):
    return subprocess.run(
        [sys.executable, "-m", "scmrl", *map(str, words)],
        capture_output=True,
        timeout=60,
        env=os.environ | environment,
    )


@pytest.mark.parametrize(
    "environment",
    [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}],
)
def test_a_terminal_without_unicode_gets_it_written_out(tricky, environment):
    done = run("deploy", tricky, "--layers", **environment)
    assert done.returncode == 0 and b"Traceback" not in done.stderr and done.stdout.isascii()


@pytest.mark.parametrize("words", ["profiles --json", "profiles", "--help"])
def test_a_reader_that_goes_away_ends_the_command_in_141_without_a_word(words):
    script = f"{sys.executable} -m scmrl {words} | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "141" and done.stderr == ""


@pytest.fixture(scope="module")
def fuzz():
    spec = importlib.util.spec_from_file_location("fuzz", BENCHMARKS / "fuzz.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


QUICK = (
    "bundle",
    "report",
    "sweep.json",
    "configuration",
    "profile",
    "wav",
    "png",
    "jpeg",
    "aedat",
    "bs2",
    "idx",
    "input npz",
    "after load",
)


@pytest.mark.parametrize("name", QUICK)
def test_a_few_damaged_files_for_every_quick_reader(fuzz, name, tmp_path):
    reader = fuzz.readers()[name][1]
    found = [
        fuzz.outcome(reader, np.random.default_rng([11, i]), tmp_path)
        for i in range(2 if name == "after load" else 25)
    ]
    assert {what for what, _ in found} <= {"read", "refused"}, [
        fault for fault in found if fault[1]
    ][:1]


def test_the_fuzz_notices_what_it_is_for(fuzz):
    random = np.random.default_rng(0)

    def raises(error):
        def reader(*_):
            raise error

        return reader

    assert fuzz.outcome(raises(KeyError("x")), random, Path("."))[0] == "traceback"
    assert fuzz.outcome(raises(DataError("x")), random, Path("."))[0] == "refused"
    assert fuzz.outcome(lambda *_: 3, random, Path("."))[0] == "refused"
    assert re.search("KeyError", fuzz.outcome(raises(KeyError("x")), random, Path("."))[1])
