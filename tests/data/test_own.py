"""Data of the user's own: an npz, a folder of class folders, a function; its parts; what is wrong
with it, in one line.
"""

import dataclasses
import json
import os
import sys
import wave

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scmrl.core.graph import Dense, Graph, Population
from scmrl.core.samples import fingerprint
from scmrl.data.features.values import ValueEncoding
from scmrl.data.own import OwnData, load
from scmrl.deploy.evaluation import evaluate
from scmrl.system.errors import BundleError, DataError, ScmrlError, UsageError

PARTS = ("train", "validation", "test")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """An empty working directory; the modules that are loaded there are forgotten."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith(("user_", "mine")):
            del sys.modules[name]


def arrays(samples=20, classes=4, seed=0):
    random = np.random.default_rng(seed)
    return {
        "x": random.normal(size=(samples, 6, 3)).astype(np.float32),
        "y": np.arange(samples) % classes,
    }


# --- an npz ---------------------------------------------------------------------------------------


def test_an_npz():
    np.savez("mine.npz", **arrays())
    data = load("mine.npz")
    assert (data.name, len(data), data.steps, data.shapes) == ("mine", 20, 1, {"x": (6, 3)})
    assert data.classes == ("0", "1", "2", "3") and data.y.dtype == np.int64
    assert data.inputs["x"].dtype == np.float32 and not data.regression
    over = load("mine.npz", time=True)
    assert (over.steps, over.shapes) == (6, {"x": (3,)})
    np.savez("mine.npz", **arrays(), time=True)
    assert load("mine.npz").steps == 6 and load("mine.npz", time=False).steps == 1


def test_every_key_of_an_npz():
    a = arrays()
    group = np.array([f"speaker {i // 2}" for i in range(20)])
    part = np.array(["train"] * 12 + ["test"] * 8)
    np.savez(
        "mine.npz",
        audio=a["x"],
        visual=np.ones((20, 6, 1, 4, 4), bool),
        y=a["y"],
        classes=np.array(["a", "b", "c", "d"]),
        group=group,
        part=part,
        time=np.array(1),
    )
    data = load("mine.npz")
    assert data.shapes == {"audio": (3,), "visual": (1, 4, 4)} and data.steps == 6
    assert data.inputs["visual"].dtype == np.uint8
    assert data.classes == ("a", "b", "c", "d")
    assert (data.group == group).all() and (data.part == part).all()


def test_targets_of_a_regression():
    x = np.zeros((6, 2))
    np.savez("mine.npz", x=x, y=np.linspace(0, 1, 6))
    data = load("mine.npz")
    assert data.regression and data.y.shape == (6, 1) and data.classes == ()
    np.savez("mine.npz", x=x, y=np.zeros((6, 3), np.float32))
    assert load("mine.npz").y.shape == (6, 3)
    sizes = {name: len(p) for name, p in load("mine.npz").split(0, 0.2, 0.3).items()}
    assert sizes == {"train": 3, "validation": 1, "test": 2}


GOOD = arrays()
WRONG = {
    "NaN": ({"x": np.where(GOOD["x"] > 1, np.nan, GOOD["x"])}, "x: values must be finite .got nan"),
    "infinity": ({"x": np.full((20, 2), np.inf)}, "x: values must be finite .got inf"),
    "complex": ({"x": GOOD["x"] * 1j}, "complex"),
    "texts": ({"x": GOOD["x"].astype(str)}, "x: not an array of numbers"),
    "objects": ({"x": GOOD["x"].astype(object)}, "holds object, which is no array of numbers"),
    "no labels": ({"y": None}, "no labels: key y is missing"),
    "no input": ({"x": None}, "inputs: there is no input; give x"),
    "fewer labels": (
        {"y": GOOD["y"][:-1]},
        r"y: not one for each sample .limit \[20\], got \[19\]",
    ),
    "labels of two axes": ({"y": GOOD["y"][:, None]}, r"y: not one for each sample"),
    "labels as texts": ({"y": GOOD["y"].astype(str)}, "y: not an array of numbers"),
    "a label below": ({"y": GOOD["y"] - 1}, "y: labels are no classes .*got -1..2"),
    "a label beyond": (
        {"classes": np.array(["a", "b"])},
        r"y: labels are no classes .limit 0..1, got 0..3",
    ),
    "a label far beyond": ({"y": GOOD["y"] + 10**9}, "y: labels are no classes"),
    "two classes of one name": ({"classes": np.array(list("abca"))}, "two classes of one name"),
    "classes as floats": ({"classes": np.ones(4)}, "classes: texts or integers .got float64"),
    "classes of targets": (
        {"y": np.zeros(20), "classes": np.array(["a"])},
        "classes: targets have no classes",
    ),
    "NaN targets": ({"y": np.full(20, np.nan)}, "y: values must be finite"),
    "unequal inputs": ({"z": np.zeros((19, 2))}, "inputs differ in samples"),
    "unequal steps": ({"z": np.zeros((20, 5, 2)), "time": True}, "inputs differ in samples or st"),
    "empty": ({"x": np.zeros((0, 3)), "y": np.zeros(0, int)}, "there are no samples"),
    "no values": ({"x": np.zeros((20, 0))}, r"x: wrong shape .limit \[S, ...\], got \[20, 0\]"),
    "no steps": ({"x": np.zeros(20), "time": True}, r"x: wrong shape .limit \[S, T, ...\]"),
    "a scalar": ({"x": np.float32(3)}, "x: wrong shape"),
    "time": ({"time": np.array("yes")}, "time: true or false .got yes"),
    "a part of another name": ({"part": np.array(["train", "tset"] * 10)}, "part: .* got tset"),
    "fewer parts": ({"part": np.array(["train"])}, "part: not one for each sample"),
    "groups as floats": ({"group": np.ones(20)}, "group: texts or integers .got float64"),
}


@pytest.mark.parametrize("change, words", WRONG.values(), ids=WRONG)
def test_data_that_make_no_sense_are_one_line(change, words):
    made = {name: x for name, x in {**GOOD, **change}.items() if x is not None}
    np.savez("mine.npz", **made)
    with pytest.raises(DataError, match=words) as refused:
        load("mine.npz")
    assert str(refused.value).startswith("mine.npz: ") and "\n" not in str(refused.value)


def test_what_is_not_there():
    for where, kind, words in (
        ("no.npz", DataError, "no.npz: cannot read"),
        ("nothing", UsageError, "nothing: no such data; give an npz, a folder"),
        ("nowhere_at_all:load", UsageError, "nowhere_at_all: no such module"),
        ("no.py:load", UsageError, "no.py: cannot read"),
    ):
        with pytest.raises(kind, match=words):
            load(where)
    with open("torn.npz", "wb") as file:
        file.write(b"PK\x03\x04 torn")
    with pytest.raises(DataError, match="torn.npz: not a valid npz"):
        load("torn.npz")


# --- a function -----------------------------------------------------------------------------------


def written(*lines):
    with open("mine.py", "w", encoding="utf-8") as file:
        file.write("\n".join(["import numpy as np", *lines]) + "\n")


def test_a_function_returns_a_dict_or_own_data():
    written(
        "from scmrl.data.own import OwnData",
        "def table():",
        "    return {'x': [[0, 1], [1, 0], [0.5, 1]], 'y': [0, 1, 1], 'classes': ['a', 'b']}",
        "def data():",
        "    return OwnData({'x': np.zeros((3, 4, 2))}, np.arange(3), time=True, name='my own')",
    )
    assert load("mine.py:table").classes == ("a", "b") and len(load("mine:table")) == 3
    data = load("mine.py:data")
    assert (data.name, data.steps, load("mine.py:data", time=False).steps) == ("my own", 4, 1)


def test_tensors_are_arrays():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    written(
        "import torch",
        "def data():",
        "    return {'x': torch.ones(3, 2), 'y': torch.arange(3)}",
        "def tracked():",
        "    return {'x': torch.ones(3, 2, requires_grad=True), 'y': torch.arange(3)}",
    )
    assert load("mine.py:data").inputs["x"].dtype == np.float32 and torch
    with pytest.raises(
        DataError, match="mine.py:5: tracked: x: not an array .got Can't call numpy"
    ):
        load("mine.py:tracked")


@pytest.mark.parametrize(
    "lines, kind, words",
    [
        (
            ["    raise ValueError('no disk')"],
            UsageError,
            "mine.py:3: data raised ValueError: no d",
        ),
        (["    return np.load('no.npy')"], UsageError, "mine.py:3: data raised FileNotFoundError"),
        (["    pass"], DataError, "mine.py:2: data: a function .* returns them .*got nothing"),
        (["    return np.zeros(3)"], DataError, "mine.py:2: data: .*got ndarray"),
        (["    return {}"], DataError, "mine.py:2: data: there are no labels"),
        (
            ["    return {'x': [[1], [2, 3]], 'y': [0, 1]}"],
            DataError,
            "mine.py:2: data: x: not an array",
        ),
        (["    return {'x': [[1j]], 'y': [0]}"], DataError, "mine.py:2: data: x: .*complex128"),
        (
            ["    return {'x': [[1]], 'Y': [0]}"],
            DataError,
            "data: there are no labels: key y is missing; known: Y, x",
        ),
        (["    return {'x': [[np.nan]], 'y': [0]}"], DataError, "mine.py:2: data: x: values must"),
        (["    return {'x': [], 'y': []}"], DataError, "mine.py:2: data: "),
        (["    return x"], UsageError, "mine.py:3: data raised NameError"),
        (["    return {'x': [[1]], 'y': [0], 'time': 'no'}"], DataError, "time: true or false"),
    ],
)
def test_a_function_that_goes_wrong_names_its_place(lines, kind, words):
    written("def data():", *lines)
    with pytest.raises(kind, match=words) as refused:
        load("mine.py:data")
    assert "\n" not in str(refused.value)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.binary(),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(["x", "y", "classes", "group", "part", "time", "z"])


@given(st.dictionaries(KEYS, VALUES, max_size=5) | VALUES)
@settings(max_examples=300)
def test_whatever_a_function_returns_is_data_or_one_line(made):
    sys.modules["mine_made"] = type(sys)("mine_made")
    sys.modules["mine_made"].made = lambda: made
    sys.modules["mine_made"].__spec__ = type("Spec", (), {"origin": None})
    try:
        data = load("mine_made:made")
    except ScmrlError as error:
        assert "\n" not in str(error)
    else:
        assert len(data) == len(data.inputs["x" if "x" in data.inputs else "z"]) > 0


# --- parts ----------------------------------------------------------------------------------------


@given(
    st.integers(0, 5),
    st.lists(st.integers(0, 3), min_size=30, max_size=80),
    st.floats(0.05, 0.4),
    st.floats(0.05, 0.4),
    st.integers(1, 6) | st.none(),
)
@settings(max_examples=150)
def test_parts_are_whole_alike_and_apart(seed, labels, validation, test, members):
    y = np.array([*range(4), *range(4), *labels])
    group = None if members is None else np.arange(len(y)) // members
    data = OwnData({"x": np.arange(len(y))[:, None]}, y, group=group)
    try:
        parts = data.split(seed, validation, test)
    except DataError as error:
        assert "too few samples to hold any out" in str(error)
        return
    assert tuple(parts) == PARTS
    rows = [part.inputs["x"][:, 0] for part in parts.values()]
    assert sorted(np.concatenate(rows)) == list(range(len(y)))
    assert set(parts["train"].y) == set(range(4))
    if group is None:
        for name, share in (("validation", validation), ("test", test)):
            assert abs(len(parts[name]) - share * len(y)) <= 2 + 1e-9
            for c in range(4):
                assert abs((parts[name].y == c).sum() - share * (y == c).sum()) < 1 + 1e-9
    else:
        owners = [set(part.group.tolist()) for part in parts.values()]
        assert sum(map(len, owners)) == len(set.union(*owners))
    again = data.split(seed, validation, test)
    assert all((again[name].y == part.y).all() for name, part in parts.items())
    assert all((part.part == name).all() for name, part in parts.items())


def test_another_seed_draws_others_and_the_test_part_does_not_depend_on_validation():
    data = OwnData({"x": np.arange(200)[:, None]}, np.arange(200) % 4)
    tests = [
        data.split(seed, v, 0.2)["test"].inputs["x"] for seed, v in ((0, 0.1), (0, 0.3), (1, 0))
    ]
    assert (tests[0] == tests[1]).all() and not (tests[0] == tests[2]).all()
    assert len(data.split(0, 0, 0)["train"]) == 200 and len(data.split(0, 0, 0)["test"]) == 0


def test_given_parts_stay_and_only_the_rest_is_made():
    y = np.arange(40) % 4
    part = np.array(["train"] * 30 + ["test"] * 10)
    data = OwnData({"x": np.arange(40)[:, None]}, y, part=part)
    parts = data.split(3, 0.2, 0.5)
    assert parts["test"].inputs["x"].ravel().tolist() == list(range(30, 40))
    assert len(parts["validation"]) == 6 and parts["validation"].inputs["x"].max() < 30


def test_what_cannot_be_split_is_one_line():
    x = {"x": np.zeros((8, 1))}
    y = np.arange(8) % 4
    whole = OwnData(x, y)
    for arguments, kind, words in (
        ((0, 0.5, 0.5), UsageError, "nothing is left to train on"),
        ((0, -0.1, 0.1), UsageError, "validation: a share of the samples"),
        ((0, 0.1, float("nan")), UsageError, "test: a share of the samples"),
        ((-1, 0.1, 0.1), UsageError, "seed"),
        ((0, 0.01, 0.2), DataError, "validation: too few samples to hold any out .got 8"),
    ):
        with pytest.raises(kind, match=words):
            whole.split(*arguments)
    with pytest.raises(DataError, match="without a training sample .got d.*; give each"):
        OwnData(x, np.arange(8) % 3, tuple("abcd")).split()
    halves = np.array(["train"] * 4 + ["test"] * 4)
    with pytest.raises(DataError, match="without a training sample .got 2, 3"):
        OwnData(x, np.arange(8) // 2, part=halves).split(0, 0, 0.1)
    with pytest.raises(DataError, match="stands in two parts .got group 1 in train and test"):
        OwnData(x, y, part=halves, group=np.array([0, 0, 0, 1, 1, 2, 2, 2])).split()
    with pytest.raises(DataError, match="without a training sample .got no tr"):
        OwnData(x, np.zeros((8, 1)), part=np.array(["test"] * 8)).split()


def test_the_scale_is_that_of_the_training_part():
    data = OwnData({"x": np.linspace(0, 1, 50)[:, None]}, np.arange(50) % 2)
    parts = data.split(0, 0.1, 0.2)
    encoding = ValueEncoding.fit(parts["train"].inputs, 6)
    assert encoding.bits == {"x": 6}
    assert encoding.encode(parts["test"].inputs)["x"].max() <= 63


# --- a folder -------------------------------------------------------------------------------------


def filled(place, kind, write, classes=("cat", "dog"), per=3, root=""):
    for c, name in enumerate(classes):
        folder = place / root / name
        folder.mkdir(parents=True)
        for i in range(per):
            write(folder / f"{i}{kind}", c, i)


def npy(path, c, i):
    np.save(path, np.full((4, 3), c + i / 10))


def png(path, c, i):
    Image = pytest.importorskip("PIL.Image", reason="pillow is not installed")
    Image.fromarray(np.full((6, 8), 10 * c + i, np.uint8)).save(path)


def wav(path, c, i):
    sound = 8000 * np.sin(np.arange(3000 + 500 * i) * (c + 1) / 5)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(sound.astype("<i2").tobytes())


def bs2(path, c, i):
    t = np.arange(40) * 1000
    rows = [bytes([c, i, t_ >> 16, t_ >> 8 & 255, t_ & 255]) for t_ in t.tolist()]
    path.write_bytes(b"".join(rows))


def test_arrays_in_class_folders(place):
    filled(place / "d", ".npy", npy)
    (place / "d" / ".hidden").touch()
    data = load("d")
    assert (data.name, data.classes, len(data)) == ("d", ("cat", "dog"), 6)
    assert data.y.tolist() == [0, 0, 0, 1, 1, 1] and data.group is None and data.part is None
    assert data.inputs["x"][4, 0, 0] == 1.1 and (data.steps, data.shapes) == (1, {"x": (4, 3)})
    assert (load("d", time=True).steps, load("d", time=True).shapes) == (4, {"x": (3,)})


def test_parts_and_groups_are_folders(place):
    for part in ("train", "test"):
        for speaker in ("ann", "bob"):
            filled(
                place / "d",
                ".npy",
                npy,
                (f"cat/{part} {speaker}", f"dog/{part} {speaker}"),
                root=part,
            )
    data = load("d")
    assert data.classes == ("cat", "dog") and len(data) == 24
    assert set(data.group) == {f"{p} {s}" for p in ("train", "test") for s in ("ann", "bob")}
    parts = data.split(0, 0.5, 0.5 - 1e-9)
    assert {name: len(part) for name, part in parts.items()} == {
        "train": 6,
        "validation": 6,
        "test": 12,
    }


def test_pictures(place):
    filled(place / "d", ".png", png)
    data = load("d")
    assert data.shapes == {"x": (1, 6, 8)} and data.inputs["x"].dtype == np.uint8
    assert data.inputs["x"][5].max() == 12 and load("d", side=4).shapes == {"x": (1, 4, 4)}
    from PIL import Image

    Image.fromarray(np.dstack([np.full((6, 8), v, np.uint8) for v in (1, 2, 3)])).save(
        "d/cat/9.png"
    )
    coloured = load("d").inputs["x"]
    assert coloured.shape == (7, 3, 6, 8) and coloured[3, :, 0, 0].tolist() == [1, 2, 3]
    assert (coloured[6] == 12).all()
    Image.fromarray(np.zeros((5, 8), np.uint8)).save("d/cat/8.png")
    with pytest.raises(DataError, match=r"8.png: of another length or shape, \[1, 5, 8\].*side"):
        load("d")
    assert load("d", side=4).shapes == {"x": (3, 4, 4)}


def test_sounds(place):
    pytest.importorskip("soundfile", reason="soundfile is not installed")
    pytest.importorskip("librosa", reason="librosa is not installed")
    filled(place / "d", ".wav", wav)
    frames = load("d")
    assert frames.shapes == {"x": (1, 32, 32)} and frames.steps == 1
    assert frames.inputs["x"].dtype == np.float32
    heard = load("d", sound="cochlea", steps=5)
    assert (heard.steps, heard.shapes) == (5, {"x": (1, 32, 32)}) and heard.time
    assert set(np.unique(heard.inputs["x"])) == {0, 1}
    with pytest.raises(UsageError, match="unknown form of sound .got cochlear.; did you mean"):
        load("d", sound="cochlear")


def test_events(place):
    filled(place / "d", ".bs2", bs2)
    data = load("d", steps=4)
    assert (data.steps, data.shapes, data.time) == (4, {"x": (2, 34, 34)}, True)
    assert data.inputs["x"].sum((1, 2, 3, 4)).tolist() == 6 * [40]
    assert (data.inputs["x"][5, :, 0, 2, 1] == 10).all()  # equal steps; x 1, y 2
    assert load("d", side=32).shapes == {"x": (2, 32, 32)}
    for steps in (0, 5000):
        with pytest.raises(UsageError, match="steps: out of range"):
            load("d", steps=steps)


def test_a_folder_that_makes_no_sense_is_one_line(place):
    filled(place / "d", ".npy", npy, per=2)

    def refused(words, folder="d"):
        with pytest.raises(DataError, match=words) as error:
            load(folder)
        assert "\n" not in str(error.value)

    (place / "d" / "cat" / "a.txt").touch()
    refused(r"d/cat/a.txt: no kind of file that is read .limit .wav")
    (place / "d" / "cat" / "a.txt").rename(place / "d" / "cat" / "a.wav")
    refused("d: files of several kinds .got array cat/0.npy, sound cat/a.wav.; keep one kind")
    (place / "d" / "cat" / "a.wav").rename(place / "d" / "a.npy")
    refused("d/a.npy: a file beside the class folders; put it")
    (place / "d" / "a.npy").rename(place / "d" / "cat" / "torn.npy")
    refused("d: 1 missing or damaged: d/cat/torn.npy: not a valid npy file")
    np.save("d/cat/torn.npy", np.zeros((5, 3)))
    refused(r"torn.npy: of another length or shape, \[5, 3\], the first one \[4, 3\]")
    np.save("d/cat/torn.npy", np.full((4, 3), np.nan))
    refused("d/cat/torn.npy: values must be finite")
    np.save("d/cat/torn.npy", np.array([None]), allow_pickle=True)
    refused("torn.npy: not a valid npy file .got ValueError torn.npy: holds object")
    (place / "d" / "cat" / "torn.npy").unlink()
    (place / "d" / "empty").mkdir()
    refused("d/empty: a class folder without a file")
    (place / "one" / "cat").mkdir(parents=True)
    np.save("one/cat/a.npy", np.zeros(3))
    refused("one: too few classes .limit 2 class folders at least, got 1", "one")
    (place / "none").mkdir()
    refused("none: too few classes .*got 0", "none")
    deep = place / "d" / "empty" / "group" / "deeper"
    deep.mkdir(parents=True)
    refused("d/empty/group/deeper: a folder within a group")


@given(st.binary(max_size=400))
@settings(max_examples=60)
def test_a_torn_file_is_one_line(tmp_path_factory, content):
    place = tmp_path_factory.mktemp("torn")
    filled(place, ".npy", npy, per=1)
    (place / "cat" / "0.npy").write_bytes(b"\x93NUMPY\x01\x00" + content)
    with pytest.raises(DataError) as refused:
        load(place)
    assert "0.npy" in str(refused.value) and "\n" not in str(refused.value)


# --- a model evaluated on them --------------------------------------------------------------------


@pytest.fixture
def model(small_bundle, place):
    """A model of one input of [6, 3] that was trained on mine.npz, whose test part it tells from
    the rest by its readout.
    """
    random = np.random.default_rng(0)
    y = np.arange(60) % 2
    x = np.where(y == 1, 1.0, -1.0)[:, None, None] + 0.1 * random.normal(size=(60, 6, 3))
    np.savez("mine.npz", x=x, y=y, classes=np.array(["down", "up"]))
    parts = load("mine.npz").split(3, 0.1, 0.3)
    encoding = ValueEncoding.fit(parts["train"].inputs, 6)
    weight = np.concatenate([-np.ones((1, 18)), np.ones((1, 18))]).astype(np.int16)
    bias = -weight.sum(1) * encoding.scales["x"].zero
    graph = Graph(
        (
            Population("x", (6, 3), "input", bits=6),
            Population("out", (2,), "readout", bias_mant=bias, bias_exp=6),
        ),
        (Dense("x", "out", weight),),
        4,
        ("down", "up"),
    ).check()
    encoded = encoding.encode(parts["test"].inputs)
    bundle = dataclasses.replace(
        small_bundle,
        graph=graph,
        inputs={"x": np.repeat(encoded["x"][:, None], 4, 1)},
        labels=parts["test"].y,
        trained=None,
        frontend=encoding.to_dict(),
        metrics={
            "test_sha256": fingerprint(encoded, parts["test"].y),
            "test_correct": len(parts["test"]),
        },
        training={
            "dataset": "mine.npz",
            "own": {"seed": 3, "validation": 0.1, "test": 0.3},
        },
    )
    bundle.save(place / "model")
    return bundle


def test_evaluate_takes_the_test_part_that_training_held_out(scmrl, model):
    code, out, err = scmrl("evaluate", "model", "--json")
    found = json.loads(out)
    assert code == 0, err
    assert (found["samples"], found["accuracy"], found["equals_training"]) == (18, 1.0, True)
    assert found["origin"] == {"samples": "held out", "labels": "true"}
    assert found["selection"] == "mine.npz, test split"
    trained = json.loads(scmrl("evaluate", "model", "--split", "train", "--json")[1])
    assert (trained["samples"], trained["origin"]["samples"]) == (36, "training")
    assert evaluate(model, dataset="mine.npz").samples == 18


def test_deploy_takes_the_npz_of_the_training_data(scmrl, model):
    """Its keys beside x and y, and samples without time, included."""
    data = dict(np.load("mine.npz"))
    np.savez("keys.npz", **data, group=np.arange(60), part=np.array(["train"] * 60), time=False)
    code, out, err = scmrl("deploy", "model", "--input", "keys.npz", "--json")
    found = json.loads(out)
    assert code == 0 and found["accuracy"] == 1.0, err
    assert "floats encoded by the model's scale" in found["selection"]


def test_evaluate_takes_other_data(scmrl, model, place):
    x = np.ones((5, 6, 3))
    np.savez("other.npz", x=-x, y=np.zeros(5, int), part=np.array(["test"] * 2 + ["train"] * 3))
    found = json.loads(scmrl("evaluate", "model", "--dataset", "other.npz", "--json")[1])
    assert (found["samples"], found["accuracy"], found["origin"]["samples"]) == (2, 1.0, "given")
    written(  # classes in another order
        "def data():",
        "    return {'z': np.ones((5, 6, 3)), 'y': [0] * 5, 'classes': ['up', 'down']}",
    )
    found = json.loads(scmrl("evaluate", "model", "--dataset", "mine.py:data", "--json")[1])
    assert (found["samples"], found["accuracy"]) == (5, 1.0)
    assert found["selection"] == "mine.py:data, all samples"


@pytest.mark.parametrize(
    "change, words",
    [
        (
            {"classes": np.array(["down", "left"])},
            "the network has no such class .got left.; known: down",
        ),
        ({"z": np.ones((4, 2))}, "x: input has the wrong shape"),
        ({"x": np.full((4, 6, 3), "a")}, "x: not an array of numbers"),
        ({"y": np.zeros(4)}, "y: targets of a regression are no classes"),
        ({"x": np.zeros((4, 5, 3))}, "x: input has the wrong shape"),
        ({"y": np.array([0, 1, 2, 0])}, "labels are not classes of this network"),
    ],
    ids=["class", "input", "texts", "targets", "shape", "label"],
)
def test_data_that_do_not_fit_the_model_are_one_line(model, change, words):
    good = {"x": np.zeros((4, 6, 3)), "y": np.array([0, 1, 0, 1])}
    good = {n: v for n, v in (good | change).items() if not ("z" in change and n == "x")}
    np.savez("other.npz", **good)
    with pytest.raises(DataError, match=words) as refused:
        evaluate(model, dataset="other.npz")
    assert "\n" not in str(refused.value)


def test_a_model_never_runs_code_that_it_names(model):
    written("open('ran', 'w')", "def data():", "    return {}")
    changed = dataclasses.replace(model, training={"dataset": "mine.py:data"})
    with pytest.raises(UsageError, match="mine.py:data: .*made by code of its user; name them"):
        evaluate(changed)
    assert not os.path.exists("ran")
    for own in ({"seed": "3"}, {"seeds": 3}, {"test": 7.0}, []):
        with pytest.raises(BundleError, match="training.own"):
            evaluate(dataclasses.replace(model, training={"dataset": "mine.npz", "own": own}))
    with pytest.raises(DataError, match="digits-av: the model takes values, no recordings"):
        evaluate(model, dataset="digits-av")
    with pytest.raises(UsageError, match="--data-dir"):
        evaluate(model, data_dir="x")


def test_robustness_studies_the_faults_of_the_chip(scmrl, model):
    code, out, err = scmrl("robustness", "model", "--samples", "4", "--repeats", "1", "--json")
    assert code == 0, err
    report = json.loads(out)
    assert report["samples"] == 4 and report["data"] == "mine.npz, test split"
    kinds = {point["kind"] for point in report["points"]}
    assert {"clean", "bit flips"} <= kinds and not {"audio SNR", "image SNR"} & kinds
