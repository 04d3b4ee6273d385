"""What the reader of HDF5 files takes, to the last group, object, byte and letter: its walk, in
this process.
"""

from pathlib import Path

import numpy as np
import pytest

h5py = pytest.importorskip("h5py", reason="h5py is not installed")

from scmrl.convert.frame import hdf5
from scmrl.convert.frame.hdf5 import ANY, READ_LIMIT_BYTES
from scmrl.system.errors import BundleError


def walked(place, fill, kind="netx", limit=READ_LIMIT_BYTES, root="layer"):
    """The arrays of a file whose root group `fill` fills."""
    with h5py.File(place / "a.h5", "w") as file:
        fill(file.create_group(root))
    with h5py.File(place / "a.h5", "r") as file:
        return hdf5._Walk(h5py, Path("a.h5"), kind, limit).read(file)


def refused(place, fill, said, **how):
    with pytest.raises(BundleError, match=f"a.h5: .*{said}"):
        walked(place, fill, **how)


def test_arrays_by_their_place(tmp_path):
    def fill(root):
        root["a/b/c"] = np.arange(6).reshape(2, 3)
        root["d"] = 2.5
        root["e"] = "word"
        root["f"] = np.array([b"one", b"two"])
        root["g"] = np.array([True, False])

    found = walked(tmp_path, fill)
    assert {name: x.tolist() for name, x in found.items()} == {
        "/a/b/c": [[0, 1, 2], [3, 4, 5]],
        "/d": 2.5,
        "/e": "word",
        "/f": ["one", "two"],
        "/g": [True, False],
    }


@pytest.mark.parametrize("root, kind", [("node", "NIR"), ("layer", "netx")])
def test_the_root_tells_the_format(root, kind, tmp_path):
    def fill(group):
        group["x"] = 1

    assert walked(tmp_path, fill, root=root, kind=ANY)[kind] == root
    assert walked(tmp_path, fill, root=root, kind=kind)["/x"] == 1
    other = {"NIR": "netx", "netx": "NIR"}[kind]
    refused(tmp_path, fill, f"not a {other} file.*no group /", root=root, kind=other)
    refused(tmp_path, fill, "not a NIR or netx file.*/node or /layer", root="other", kind=ANY)


@pytest.mark.parametrize("over", [0, 1])
def test_groups_nest_to_a_depth(over, tmp_path):
    def fill(root):
        root["/".join("g" * (hdf5.MAX_DEPTH + over)) + "/x"] = 1

    if over:
        refused(tmp_path, fill, "nest too deep.*limit 64")
    else:
        assert len(walked(tmp_path, fill)) == 1


@pytest.mark.parametrize("over", [0, 1])
def test_objects_are_counted(over, tmp_path, monkeypatch):
    monkeypatch.setattr(hdf5, "MAX_OBJECTS", 7)  # two groups, and what is in them

    def fill(root):
        for i in range(5 + over):
            root[f"{'ab'[i % 2]}/{i}"] = i

    if over:
        refused(tmp_path, fill, "too many objects.*limit 7, got 8")
    else:
        assert len(walked(tmp_path, fill)) == 5


@pytest.mark.parametrize("over", [0, 1])
def test_bytes_are_counted_before_they_are_read(over, tmp_path):
    """Whole arrays, their chunks besides, 64 bytes a string and 4 a letter."""

    def plain(root):
        root["x"] = np.zeros((3, 5), np.float32)

    def chunked(root):
        root.create_dataset("x", data=np.zeros((4, 6), np.int16), chunks=(2, 4), compression="gzip")

    def fixed(root):
        root["x"] = np.array([b"abc", b"de"])

    def word(root):
        root.create_dataset("x", data="four", dtype=h5py.string_dtype())

    pointer = h5py.string_dtype().itemsize
    for fill, size in (
        (plain, 60),
        (chunked, 48 + 16),
        (fixed, 2 * 64 * 3 + 4 * 5),
        (word, 64 * pointer + 16),
    ):
        if over:
            refused(tmp_path, fill, f"unpacks to too much.*limit {size - 1} bytes", limit=size - 1)
        else:
            walked(tmp_path, fill, limit=size)


@pytest.mark.parametrize("over", [0, 1])
def test_strings_among_others_are_counted_and_short(over, tmp_path, monkeypatch):
    def long(root):
        words = np.array(["x" * (hdf5.MAX_NAME + over), "y"], object)
        root.create_dataset("x", data=words, dtype=h5py.string_dtype())

    def many(root):
        words = np.array(["x"] * (3 + over), object)
        root.create_dataset("x", data=words, dtype=h5py.string_dtype())

    if over:
        refused(tmp_path, long, "string is too long.*limit 1024, got .*1025")
    else:
        assert len(walked(tmp_path, long)["/x"][0]) == hdf5.MAX_NAME
    monkeypatch.setattr(hdf5, "MAX_OBJECTS", 3)
    if over:
        refused(tmp_path, many, "too many strings.*4")
    else:
        assert walked(tmp_path, many)["/x"].tolist() == ["x"] * 3


def soft(root):
    root["x"] = 1
    root["y"] = h5py.SoftLink("/layer/x")


def outside(root):
    root["y"] = h5py.ExternalLink("other.h5", "/x")


def again(root):
    root.create_group("x")["z"] = 1
    root["y"] = root["x"]


def cycle(root):
    root["y"] = root


def typed(root):
    root["y"] = np.dtype("i4")  # a named type: neither a group nor a dataset


def compound(root):
    root["y"] = np.zeros(2, [("a", "i4"), ("b", "f4")])


def nothing(root):
    root["y"] = h5py.Empty("f4")


def scaled(root):
    root.create_dataset("y", data=np.zeros((4, 4), np.int32), chunks=(2, 2), scaleoffset=3)


@pytest.mark.parametrize(
    "fill, said",
    [
        (soft, "links elsewhere"),
        (outside, "links elsewhere"),
        (again, "cycle, repeat"),
        (cycle, "cycle, repeat"),
        (typed, "neither a group nor a dataset"),
        (compound, "type that netx does not use"),
        (nothing, "dataset is empty"),
        (scaled, "stored in a way that is not followed"),
    ],
)
def test_nothing_else_is_followed(fill, said, tmp_path):
    refused(tmp_path, fill, said)


@pytest.mark.parametrize("how", ["gzip", "lzf"])
def test_the_filters_that_hdf5_brings_are_read(how, tmp_path):
    x = np.arange(24).reshape(4, 6)

    def fill(root):
        kept = {"compression": how, "shuffle": True, "fletcher32": True}
        root.create_dataset("x", data=x, chunks=(2, 3), **kept)

    assert np.array_equal(walked(tmp_path, fill)["/x"], x)


@pytest.mark.parametrize(
    "argument, code, said",
    [("netx", 0, ""), ("NIR", 4, "not a NIR file"), ("text", 4, "not a sound netx file")],
)
def test_the_child_ends_with_a_line_and_a_code(argument, code, said, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(hdf5, "_confine", lambda limit, seconds: None)  # it is this process
    file = tmp_path / "a.h5"
    with h5py.File(file, "w") as made:
        made["layer/x"] = np.arange(3)
    if argument == "text":
        file.write_text("no HDF5")
        argument = "netx"
    assert hdf5.main(argument, str(file), "1000", "5", str(tmp_path / "out.npz")) == code
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == bool(code)
    if not code:
        with np.load(tmp_path / "out.npz") as arrays:
            assert arrays["/x"].tolist() == [0, 1, 2]
