"""A frozen model on disk: what is written comes back, what is damaged is refused in one line,
nothing is half-written.
"""

import dataclasses
import json
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scmrl.core import bundle
from scmrl.core.comparison import compare
from scmrl.core.graph_tables import from_tables, to_tables
from scmrl.core.reference import run
from scmrl.system.errors import BundleError, GraphError, ScmrlError
from scmrl.system.reading import read_arrays, sha256
from scmrl.system.storage import put_arrays


def test_bundle_comes_back_whole(small_bundle, model):
    b = bundle.load(model)
    assert b.metrics == small_bundle.metrics and b.training == small_bundle.training
    assert np.array_equal(b.labels, small_bundle.labels)
    for name, x in small_bundle.inputs.items():
        assert np.array_equal(b.inputs[name], x)
    for name in [*small_bundle.trained.spikes, "readout"]:
        assert np.array_equal(b.trained.values(name), small_bundle.trained.values(name))
    assert b.trained.backend == small_bundle.trained.backend
    assert b.trained.version == small_bundle.trained.version
    for one, other in zip(b.graph.synapses, small_bundle.graph.synapses):
        assert type(one) is type(other) and np.array_equal(one.weight, other.weight)


def test_nothing_here_says_what_was_looked_for(tmp_path):
    with pytest.raises(BundleError, match="no frozen model.*bundle.json.*scmrl train"):
        bundle.load(tmp_path)


@pytest.mark.parametrize("name", ["graph.json", "tensors.npz", "samples.npz"])
def test_missing_truncated_and_changed_files_are_named(model, name):
    path = model / "bundle" / name
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BundleError, match=f"{name}.*corrupt"):
        bundle.load(model)
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(BundleError, match=f"{name}.*corrupt"):
        bundle.load(model)
    path.unlink()
    with pytest.raises(BundleError, match=f"{name}.*missing"):
        bundle.load(model)


def test_other_schema_is_refused(model):
    path = model / "bundle" / "bundle.json"
    path.write_text(path.read_text().replace('"schema": 2', '"schema": 99'))
    with pytest.raises(BundleError, match="another schema.*limit 1 to 2, got 99"):
        bundle.load(model)


# What scmrl 0.1 wrote: files of schema 1, a graph without a format and without names of synapses.
OLD_GRAPH = {
    "steps": 2,
    "classes": ["no", "yes"],
    "populations": [
        {"name": "x", "shape": [3], "kind": "input", "vth": 0, "du": 4095, "dv": 0, "bias_mant": 0}
        | {"bias_exp": 0, "memoryless": False, "bits": 1},
        {"name": "out", "shape": [2], "kind": "readout", "vth": 0, "du": 4095, "dv": 1024}
        | {"bias_mant": {"array": "population/out.bias_mant"}, "bias_exp": 3}
        | {"memoryless": False, "bits": 1},
    ],
    "synapses": [
        {"kind": "Dense", "source": "x", "target": "out", "exponent": 0, "delay": delay}
        | {"weight": {"array": f"synapse/{delay}.weight"}}
        for delay in (0, 1)
    ],
}
OLD_TENSORS = {
    "population/out.bias_mant": np.array([1, -2], np.int16),
    "synapse/0.weight": np.array([[1, -2, 3], [4, 5, -6]], np.int16),
    "synapse/1.weight": np.array([[7, 0, 0], [0, 7, 7]], np.int16),
}
OLD_SAMPLES = {
    "x/x": np.array([[[1, 0, 1], [0, 1, 1]]], np.uint8),
    "y": np.array([1]),
    "v/out": np.array([[[264, -144], [718, 260]]]),
}
OLD_HASH = (
    "5719a395c0a575f804b5f483606b94fead5145dd05a8ccf52a67490d5e85062f"  # what scmrl 0.1 recorded
)


@pytest.fixture
def old(tmp_path):
    """A bundle as scmrl 0.1 wrote it."""
    (tmp_path / "graph.json").write_text(json.dumps(OLD_GRAPH))
    put_arrays(tmp_path / "tensors.npz", OLD_TENSORS)
    put_arrays(tmp_path / "samples.npz", OLD_SAMPLES)
    table = {
        "schema": 1,
        "scmrl": "0.1.0",
        "profile": "loihi2",
        "frontend": {},
        "metrics": {},
        "training": {"dataset": "av-mnist"},
        "trained_by": ["training", "0.1.0, torch 2.6"],
        "sha256": {name: sha256(tmp_path / name) for name in bundle.FILES},
    }
    (tmp_path / "bundle.json").write_text(json.dumps(table))
    return tmp_path


def test_a_bundle_of_0_1_is_read_and_keeps_its_hash(old, tmp_path):
    b = bundle.load(old)
    assert b.hash == OLD_HASH
    assert [s.name for s in b.graph.synapses] == ["x->out", "x->out#2"]
    assert b.graph["out"].bias.tolist() == [8, -16] and b.origin.samples == "held out"
    assert b.trained.backend == "training" and b.labels.tolist() == [1]
    compare(b.graph, b.trained, run(b.graph, b.inputs)).require()
    b.save(tmp_path / "new")
    assert json.loads((tmp_path / "new" / "graph.json").read_text())["format"] == 2
    again = bundle.load(tmp_path / "new")
    assert again.hash == OLD_HASH and bundle.same(tmp_path / "new", tmp_path / "new")


def reverse(value):
    """JSON with the keys of all its tables in the opposite order."""
    if isinstance(value, dict):
        return {key: reverse(value[key]) for key in reversed(value)}
    return [reverse(part) for part in value] if isinstance(value, list) else value


def test_loading_does_not_depend_on_the_order_of_keys(small_bundle, model):
    frontend = {"audio": {"bins": 8, "hop": 2}, "visual": {}}
    small_bundle = dataclasses.replace(small_bundle, frontend=frontend)
    small_bundle.save(model / "bundle")
    directory = model / "bundle"
    for name in ("graph.json", "bundle.json"):
        path = directory / name
        path.write_text(json.dumps(reverse(json.loads(path.read_text()))))
        if name == "graph.json":
            damaged(model, name, path.read_bytes())
    for name in ("tensors.npz", "samples.npz"):
        arrays = read_arrays(directory / name)
        put_arrays(directory / name, dict(reversed(arrays.items())))
        damaged(model, name, (directory / name).read_bytes())
    again = bundle.load(model)
    assert again.hash == small_bundle.hash
    assert repr(again.graph) == repr(small_bundle.graph)
    assert list(again.inputs) == list(small_bundle.inputs)


def test_names_of_synapses_come_back_and_need_not_be_said(small_bundle, tmp_path):
    first, *others = small_bundle.graph.synapses
    named = dataclasses.replace(first, label="the first")
    graph = dataclasses.replace(small_bundle.graph, synapses=(named, *others))
    table = to_tables(graph)[0]
    assert [entry.get("label") for entry in table["synapses"]] == ["the first"] + [None] * len(
        others
    )
    dataclasses.replace(small_bundle, graph=graph).save(tmp_path / "b")
    again = bundle.load(tmp_path / "b")
    assert [s.name for s in again.graph.synapses] == [s.name for s in graph.synapses]
    assert again.hash != small_bundle.hash


def damaged(model, name, content: bytes):
    """Replace a file and its recorded hash, so that the reader itself must notice."""
    directory = model / "bundle"
    (directory / name).write_bytes(content)
    table = json.loads((directory / "bundle.json").read_text())
    table["sha256"][name] = sha256(directory / name)
    (directory / "bundle.json").write_text(json.dumps(table))


@pytest.fixture(scope="module")
def disposable(small_bundle, tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    small_bundle.save(path / "bundle")
    return path, {
        name: (path / "bundle" / name).read_bytes() for name in (*bundle.FILES, "bundle.json")
    }


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(bundle.FILES), st.integers(0, 10**9), st.integers(0, 255), st.binary(max_size=8)
)
def test_any_damage_is_a_scmrl_error_or_harmless(disposable, name, where, value, more):
    path, whole = disposable
    for file, content in whole.items():
        (path / "bundle" / file).write_bytes(content)
    content = bytearray(whole[name])
    content[where % len(content)] = value
    content[where % len(content) : where % len(content)] = more
    damaged(path, name, bytes(content))
    try:
        bundle.load(path)
    except ScmrlError as error:
        assert "\n" not in str(error)


@settings(max_examples=100)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["steps", "classes", "populations", "synapses", "kind", "name", "shape"]
                ),
                inner,
                max_size=4,
            )
        ),
    )
)
def test_any_json_is_a_graph_or_a_graph_error(table):
    with pytest.raises(GraphError):
        from_tables(table, {})


def test_graph_with_one_value_replaced_never_crashes(small_bundle):
    table, arrays = to_tables(small_bundle.graph)
    for bad in (None, -1, 1.5, "x", [], {}, {"array": "no"}, 10**30, True):
        for part in ("populations", "synapses"):
            for key in table[part][2]:
                copy = json.loads(json.dumps(table))
                copy[part][2][key] = bad
                try:
                    from_tables(copy, arrays)
                except GraphError as error:
                    assert "\n" not in str(error)


def test_archive_that_unpacks_to_too_much_is_refused(tmp_path):
    put_arrays(tmp_path / "bomb.npz", {"x": np.zeros(10**6, np.int64)})
    assert (tmp_path / "bomb.npz").stat().st_size < 10**5
    with pytest.raises(BundleError, match="unpacks to too much"):
        read_arrays(tmp_path / "bomb.npz", limit=10**6)


def test_pickles_are_never_read(tmp_path):
    np.savez(tmp_path / "evil.npz", x=np.array([{"a": 1}], dtype=object))
    with pytest.raises(BundleError, match="not a valid npz"):
        read_arrays(tmp_path / "evil.npz")
    with zipfile.ZipFile(tmp_path / "text.npz", "w") as archive:
        archive.writestr("x.npy", b"hello")
    with pytest.raises(BundleError, match="not a valid npz"):
        read_arrays(tmp_path / "text.npz")


# ---- python tests/core/test_bundle.py N: N damaged bundles, each refused or harmless -------------


def fuzz(count: int, bundle_bytes: dict[str, bytes], path, seed: int = 0) -> dict[str, int]:
    """Damage one file of a bundle `count` times (its recorded hash follows, so that the readers
    meet the damage).
    """
    random = np.random.default_rng(seed)
    found = {"refused": 0, "harmless": 0}
    for _ in range(count):
        for file, content in bundle_bytes.items():
            (path / "bundle" / file).write_bytes(content)
        name = bundle.FILES[random.integers(len(bundle.FILES))]
        content = bytearray(bundle_bytes[name])
        for _ in range(random.integers(1, 4)):
            at, kind = random.integers(len(content)), random.integers(4)
            if kind == 0:
                content[at] = random.integers(256)
            elif kind == 1:
                del content[at : at + random.integers(1, 64)]
            elif kind == 2:
                content[at:at] = random.bytes(random.integers(1, 16))
            else:
                content[at] ^= 1 << random.integers(8)
        damaged(path, name, bytes(content))
        try:
            bundle.load(path)
            found["harmless"] += 1
        except ScmrlError as error:
            assert "\n" not in str(error)
            found["refused"] += 1
    return found


def test_many_damaged_bundles(disposable):
    path, whole = disposable
    found = fuzz(300, whole, path, seed=1)
    assert found["refused"] > 100


if __name__ == "__main__":
    import resource
    import sys
    import tempfile
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).parents[1]))
    from conftest import small_bundle as fixture

    with tempfile.TemporaryDirectory() as directory:
        model = (
            fixture.__wrapped__()
            if hasattr(fixture, "__wrapped__")
            else fixture._fixture_function()
        )
        model.save(Path(directory) / "bundle")
        content = {
            n: (Path(directory) / "bundle" / n).read_bytes() for n in (*bundle.FILES, "bundle.json")
        }
        print(
            fuzz(int(sys.argv[1]), content, Path(directory)),
            f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB",
        )
