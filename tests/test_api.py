"""`import scmrl`: its names, that they are light and silent, their examples, and that a command
says the same.
"""

import ast
import doctest
import inspect
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from places import ROOT

import scmrl as api
from scmrl.core.bundle import Bundle
from scmrl.core.samples import GIVEN, NONE, TRUE, Origin
from scmrl.system.errors import BundleError, DataError, ScmrlError, UsageError

FUNCTIONS = (
    "train",
    "tune",
    "evaluate",
    "load",
    "import_nir",
    "export",
    "deploy",
    "verify",
    "energy",
    "place",
    "count",
)
MODULES = ("profiles", "data", "zoo", "nodes")
CLASSES = ("Network", "DataSpec", "ScmrlError")
HEAVY = {"numpy", "torch", "click", "rich", "lava", "matplotlib", "numba", "scipy", "librosa"}
TIMES = ("seconds", "startup_s")


def python(code: str, *arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True
    )


def without_times(table: object) -> object:
    if isinstance(table, dict):
        return {k: without_times(v) for k, v in table.items() if k not in TIMES}
    return [*map(without_times, table)] if isinstance(table, list) else table


def plain(report) -> dict:
    """A report as a command prints it."""
    return json.loads(json.dumps(report.to_json()))


# The names.


def test_the_names_are_these():
    names = {*FUNCTIONS, *CLASSES, *MODULES, "__version__"}
    assert set(api.__all__) == names == set(dir(api))
    assert api.ScmrlError is ScmrlError
    assert all(inspect.isfunction(getattr(api, name)) for name in FUNCTIONS)
    assert all(inspect.ismodule(getattr(api, name)) for name in MODULES)
    assert all(inspect.isclass(getattr(api, name)) for name in CLASSES)
    with pytest.raises(AttributeError, match="depoly"):
        api.depoly  # noqa: B018


def test_type_checkers_see_the_names_where_they_are():
    """The block for type checkers imports each name from where the table finds it."""
    tree = ast.parse(Path(api.__file__).read_text(encoding="utf-8"))
    (block,) = [n for n in tree.body if isinstance(n, ast.If) and n.test.id == "TYPE_CHECKING"]
    seen = {
        alias.asname: f"scmrl.{node.module or ''}".rstrip(".")
        for node in block.body
        for alias in node.names
    }
    assert set(seen) == set(api.__all__) - {"__version__"}
    for name, module in seen.items():
        found = getattr(api, name)
        expected = (
            found.__name__.rpartition(".")[0] if inspect.ismodule(found) else found.__module__
        )
        assert expected == module, name
    assert (ROOT / "scmrl" / "py.typed").is_file()
    assert '"py.typed"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_every_function_is_typed_and_takes_no_unknown_word():
    for name in FUNCTIONS:
        signature = inspect.signature(getattr(api, name))
        assert signature.return_annotation is not inspect.Signature.empty, name
        for parameter in signature.parameters.values():
            assert parameter.annotation is not inspect.Parameter.empty, (name, parameter)
            assert parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)


def test_import_loads_nothing_heavy():
    done = python("import scmrl, sys; print(*{m.split('.')[0] for m in sys.modules})")
    assert done.returncode == 0 and not HEAVY & set(done.stdout.split())


@pytest.mark.parametrize("name", [n for n in FUNCTIONS if n not in ("train", "tune", "import_nir")])
def test_what_needs_no_training_loads_no_torch(name):
    done = python(f"import scmrl, sys; scmrl.{name}; print('torch' in sys.modules)")
    assert done.stdout == "False\n", done.stderr


def test_functions_keep_their_names_when_their_rooms_are_loaded():
    done = python(
        "import scmrl.train.config, scmrl.deploy.jobs, scmrl, inspect\n"
        "from scmrl.deploy import jobs\n"
        "print(inspect.isfunction(scmrl.train), scmrl.deploy is jobs.deploy)"
    )
    assert done.stdout == "True True\n", done.stderr


# What they do.


def test_a_call_is_silent_and_leaves_signals_alone(model, capfd):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    api.deploy(model)
    api.verify(model, "simulator")
    api.energy(model, "loihi2")
    api.place(model)
    assert capfd.readouterr() == ("", "")
    assert before == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda m: api.deploy(m, samples=4), ["deploy", "--samples", 4]),
        (lambda m: api.deploy(m, compared=False), ["deploy", "--no-compare"]),
        (lambda m: api.deploy(m, inputs=m / "x.npz"), ["deploy", "--input", "x.npz"]),
        (lambda m: api.verify(m, ["simulator"]), ["verify", "--backends", "simulator"]),
        (lambda m: api.energy(m, "loihi2"), ["energy", "--profile", "loihi2"]),
        (lambda m: api.energy(m), ["energy"]),
        (lambda m: api.place(m), ["place"]),
        (
            lambda m: api.place(m, "loihi2", chip_count=2, packed=True, place_inputs=True),
            ["place", "--profile", "loihi2", "--chips", 2, "--packed", "--inputs"],
        ),
        (lambda m: api.place(m, optimised=False), ["place", "--order", "naive"]),
    ],
    ids=lambda part: " ".join(map(str, part)) if isinstance(part, list) else "",
)
def test_the_command_says_the_same(call, words, scmrl, model, small_bundle, monkeypatch):
    monkeypatch.chdir(model)
    np.savez(model / "x.npz", **small_bundle.inputs, y=small_bundle.labels)
    code, out, err = scmrl(words[0], model, *words[1:], "--json")
    assert code == 0, err
    assert without_times(json.loads(out)) == without_times(plain(call(model)))


def test_export_and_its_command_say_the_same(scmrl, model):
    pytest.importorskip("onnxruntime")
    report = plain(api.export(model, "onnx", samples=3))
    with pytest.raises(UsageError, match="--force"):
        api.export(str(model), "onnx", samples=3)
    code, out, err = scmrl("export", model, "--target", "onnx", "--samples", 3, "--force", "--json")
    assert code == 0, err
    assert without_times(json.loads(out)) == without_times(report)
    assert report["targets"][0]["bit_exact"] is True


def test_import_and_its_command_say_the_same(scmrl, model, tmp_path):
    pytest.importorskip("nir"), pytest.importorskip("h5py")
    api.export(model, "nir", verify=False)
    file = model / "nir" / "nir" / "model.nir"
    bundle, report = api.import_nir(file, out=tmp_path / "a", steps=3)
    code, out, err = scmrl("import", file, "--out", tmp_path / "b", "--steps", 3, "--json")
    assert code == 0, err
    assert json.loads(out) == plain(report)
    assert api.load(tmp_path / "a").hash == api.load(tmp_path / "b").hash == bundle.hash
    with pytest.raises(UsageError, match="--force"):
        api.import_nir(file, out=tmp_path / "a", steps=3)
    (tmp_path / "bad.nir").write_bytes(b"\x89HDF\r\n nothing")
    with pytest.raises(BundleError, match="bad.nir"):
        api.import_nir(tmp_path / "bad.nir")


def test_a_bundle_in_memory_is_a_model(model, small_bundle, tmp_path):
    for call in (api.deploy, api.energy, api.place, lambda m: api.verify(m, "simulator")):
        here, there = plain(call(small_bundle)), plain(call(model))
        assert here.pop("model") == "in memory" and there.pop("model") == str(model)
        assert without_times(here) == without_times(there)
    pytest.importorskip("onnxruntime")
    with pytest.raises(UsageError, match="out"):
        api.export(small_bundle, "onnx")
    (row,) = api.export(small_bundle, "onnx", tmp_path / "made").targets
    assert row.bit_exact and api.load(row.path).hash == small_bundle.hash


def test_arrays_are_samples(model, small_bundle, tmp_path):
    inputs = {name: x[:4] for name, x in small_bundle.inputs.items()}
    report = api.deploy(model, inputs=inputs, labels=[0, 1, 2, 3], samples=3)
    assert (report.samples, report.selection) == (3, "given samples 1 to 3 of 4")
    assert report.origin == Origin(GIVEN, TRUE)
    np.savez(tmp_path / "x.npz", **inputs, y=np.arange(4))
    of_file = api.deploy(model, inputs=tmp_path / "x.npz", samples=3)
    assert of_file.accuracy == report.accuracy and of_file.populations == report.populations
    assert api.deploy(model, inputs=inputs).origin == Origin(GIVEN, NONE)


@pytest.mark.parametrize(
    "wrong, error, words",
    [
        (lambda m: api.load("nowhere"), BundleError, "no such file"),
        (lambda m: api.deploy(m, "lawa"), UsageError, "did you mean 'lava'"),
        (lambda m: api.deploy(m, samples=7), UsageError, "limit 6, got 7"),
        (lambda m: api.deploy(m, labels=[0]), UsageError, "labels without samples"),
        (lambda m: api.deploy(m, inputs={"audio": np.zeros((1, 3))}), DataError, "visual: input"),
        (lambda m: api.deploy(m, board={"host": "x"}), UsageError, "loihi"),
        (lambda m: api.deploy(m, "loihi", board={"hots": "x"}), UsageError, "'host'"),
        (lambda m: api.verify(m, ["simulator", "lawa"]), UsageError, "did you mean 'lava'"),
        (lambda m: api.energy(m, "loihi3"), UsageError, "loihi"),
        (lambda m: api.place(m, chip_count=1, system="x"), UsageError, "how many chips"),
        (lambda m: api.export(m, "onix"), UsageError, "did you mean 'onnx'"),
        (lambda m: api.evaluate(m, dataset="digits"), UsageError, "digits-av"),
        (lambda m: api.data.load("digits", split="test"), UsageError, "digits-av"),
        (lambda m: api.profiles.load("loihi3"), UsageError, "loihi"),
        (lambda m: api.train("digits", out=m / "new"), UsageError, "digits-av"),
        (lambda m: api.train(out=m / "new", settings={"a": 1}), UsageError, "unknown.*key"),
        (lambda m: api.train(out=m, resume=True), UsageError, "nothing to resume"),
        (lambda m: api.train("x", out=m, resume=True), UsageError, "settings of the run"),
    ],
)
def test_a_mistake_is_a_scmrl_error(wrong, error, words, model):
    if "train" in inspect.getsource(wrong):
        pytest.importorskip("lightning"), pytest.importorskip("norse")
    with pytest.raises(error, match=words):
        wrong(model)
    assert issubclass(error, api.ScmrlError) and not (model / "new").exists()


# Real training, and the examples.


@pytest.fixture(scope="module")
def runs(few, tmp_path_factory):
    """A directory with the trained run runs/a."""
    pytest.importorskip("lightning"), pytest.importorskip("norse")
    from scmrl.deploy import evaluation
    from scmrl.train import feed

    here, told = tmp_path_factory.mktemp("api"), []
    settings = {"train.epochs": 2, "model.width": 16, "model.steps": 2}
    report = api.train("digits-av", out=here / "runs" / "a", settings=settings, tell=told.append)
    assert any("epoch 2/2" in line for line in told)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(evaluation, "load", feed.load)  # the part that training had
        yield here, report


def test_training_gives_the_figures_of_a_model_that_can_be_loaded(runs, capfd):
    here, report = runs
    bundle = api.load(here / "runs" / "a")
    assert isinstance(bundle, Bundle) and bundle.hash == report.bundle
    assert bundle.graph.steps == 2 and bundle.training["train"]["epochs"] == 2
    whole = api.evaluate(here / "runs" / "a")
    assert whole.correct == report.metrics["test_correct"] and whole.equals_training is True
    with pytest.raises(UsageError, match="a run is there already"):
        api.train(out=here / "runs" / "a")


def test_evaluate_and_its_command_say_the_same(runs, scmrl):
    run = runs[0] / "runs" / "a"
    code, out, err = scmrl("evaluate", run, "--split", "test", "--json")
    assert code == 0, err
    assert without_times(json.loads(out)) == without_times(plain(api.evaluate(run)))


def test_chips_and_data_are_there(few):
    assert "loihi2" in api.profiles.names() and api.profiles.load("loihi2").limits
    pairs = api.data.load("digits-av", split="test")
    assert len(pairs) == len(pairs.label) > 0


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_example_of_each_function_runs(name, runs, monkeypatch):
    """In a directory with runs/a, net.nir, data.npz, imported and mine.npz."""
    monkeypatch.chdir(runs[0])
    if name == "export":
        pytest.importorskip("lava", reason="Lava is not installed")
    if name in ("import_nir", "tune"):
        nir = pytest.importorskip("nir")
        nodes = {
            "input": nir.Input(np.array([3])),
            "fc": nir.Affine(np.eye(3, dtype=float)[:2], np.zeros(2)),
            "lif": nir.IF(r=np.ones(2), v_threshold=np.ones(2)),
            "output": nir.Output(np.array([2])),
        }
        edges = [("input", "fc"), ("fc", "lif"), ("lif", "output")]
        nir.write("net.nir", nir.NIRGraph(nodes, edges))
        np.savez("data.npz", x=np.random.default_rng(0).random((5, 4, 3)))
    if name == "tune":
        api.import_nir("net.nir", out="imported", samples="data.npz", force=True)
        np.savez("mine.npz", x=np.random.default_rng(1).random((60, 4, 3)), y=np.arange(60) % 2)
    function = getattr(api, name)
    examples = doctest.DocTestParser().get_doctest(
        function.__doc__, {"scmrl": api}, name, inspect.getsourcefile(function), 0
    )
    assert examples.examples
    said: list[str] = []
    result = doctest.DocTestRunner().run(examples, out=said.append)
    assert result.failed == 0, "".join(said)
