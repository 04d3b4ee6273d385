"""Whatever lies on disk ends as data or as one line: regular files alone, bounded before they are
read.
"""

import ast
import io
import json
import os
import socket
import struct
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

import scmrl
from scmrl.core.report.compare import compare
from scmrl.data.formats.events import read_bs2
from scmrl.data.formats.picture import read_picture
from scmrl.data.formats.sound import read_sound
from scmrl.hw_profiles import profile
from scmrl.system import reading
from scmrl.system.errors import BundleError, DataError, ScmrlError, UsageError
from scmrl.system.reading import read_arrays, read_json, read_toml

PACKAGE = Path(scmrl.__file__).parent
OPENERS = {
    "open",
    "read_text",
    "read_bytes",
    "load",
    "loads",
    "File",
    "ZipFile",
    "SoundFile",
    "fromfile",
    "memmap",
    "loadtxt",
    "genfromtxt",
    "read",
}
MODULES = {
    "np",
    "numpy",
    "json",
    "tomllib",
    "h5py",
    "zipfile",
    "gzip",
    "soundfile",
    "Image",
    "nir",
    "onnx",
    "torch",
    "pickle",
    "os",
    "wave",
}
ALLOWED = {  # file: what it reads by itself, and why that is right
    "system/reading.py": "the door",
    "system/lock.py": "its own lock files and /proc",
    "system/storage.py": "its own directories, to sync them",
    "system/targets.py": "looks at what lies where it is about to write: lstat first, bounded",
    "system/memory.py": "the system's own figures",
    "cli.py": "/dev/null",
    "data/sets/digits_av.py": "the embedded data set",
    "data/formats/video.py": "decodes what the door has opened",
    "data/prepare/spoken_spikes.py": "looked at by the door",
    "data/formats/idx.py": "unpacks what the door has opened",
    "data/formats/picture.py": "has been looked at by the door",
    "data/formats/sound.py": "decodes what the door has opened",
    "data/sets/mnistdvs_ntidigits.py": "looked at by the door",
    "deploy/backends/peers.py": "looked at by the door",
    "convert/frame/__init__.py": "its own templates",
    "system/doctor.py": "what pip says",
    "convert/verilog/synthesis.py": "what the tools left in a directory of its own",
    "deploy/backends/verilog/verilator.py": "its own driver, and the core that was made of it",
    "deploy/backends/verilog/verilog.py": "what the core left in a directory of its own",
    "convert/netx/lowering.py": "looked at by the door",
    "convert/frame/hdf5.py": (
        "in a child whose memory and time are bounded, looked at by the door"
    ),
    "sweep/database.py": "locks its own folder",
    "sweep/run.py": "writes its logs",
    "sweep/trials.py": "writes its table",
    "train/checkpoint.py": "torch's weights-only loader",
    "train/keep.py": "writes its table",
    "train/run/loop.py": "torch's loader",
    "deploy/validation/lsnn.py": "in memory, its hash is known",
}


def calls(tree: ast.AST):
    """Names of all calls that open or decode files."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        f = node.func
        if (
            isinstance(f, ast.Name)
            and f.id == "open"
            or isinstance(f, ast.Attribute)
            and f.attr in ("read_text", "read_bytes", "open")
            or isinstance(f, ast.Attribute)
            and f.attr in OPENERS
            and isinstance(f.value, ast.Name)
            and f.value.id in MODULES
        ):
            yield node.lineno


def test_every_file_is_read_through_the_door():
    others = [
        f"{path.relative_to(PACKAGE)}:{line}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.relative_to(PACKAGE).as_posix() not in ALLOWED
        for line in calls(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert others == []


READERS = {
    "json": read_json,
    "toml": read_toml,
    "npz": read_arrays,
    "profile": lambda path: profile.load(str(path)),
    "report": lambda path: compare(path, path),
    "wav": read_sound,
    "png": read_picture,
    "bs2": read_bs2,
}


def special(kind: str, tmp_path: Path) -> Path:
    path = tmp_path / "x.toml"
    if kind == "zero":
        path.symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    else:
        path.mkdir()
    return path


@pytest.mark.parametrize("kind", ["zero", "pipe", "socket", "directory"])
@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_file_is_refused_at_once(reader, kind, tmp_path):
    path, started = special(kind, tmp_path), time.monotonic()
    with pytest.raises(ScmrlError, match="regular files"):
        READERS[reader](path)
    assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    "command", ["deploy", "place", "energy", "export", "verify", "evaluate", "robustness"]
)
@pytest.mark.parametrize("kind", ["zero", "pipe", "socket"])
def test_no_command_waits_for_a_model_that_is_no_directory(scmrl, command, kind, tmp_path):
    code, out, err = scmrl(command, special(kind, tmp_path))
    assert code == 4 and out == "" and err.count("\n") == 1


def test_a_file_of_a_bundle_that_is_a_pipe_is_refused(scmrl, model):
    for name in ("graph.json", "tensors.npz", "samples.npz"):
        path = model / "bundle" / name
        whole = path.read_bytes()
        path.unlink()
        os.mkfifo(path)
        assert scmrl("place", model)[0] == 4
        path.unlink()
        path.write_bytes(whole)
    assert scmrl("place", model)[0] == 0


@pytest.mark.parametrize(
    "text, why",
    [
        ('{"a": 1, "a": 2}', "twice"),
        ('{"a": [NaN]}', "a.0: must be a finite"),
        ('{"a": 1e999}', "a: must be a finite"),
        ('{"a": {"b": 18446744073709551616}}', "a.b: integer does not fit"),
        ('{"a": ' + "9" * 5000 + "}", "JSON"),
        ('{"a": ' + "[" * 150 + "]" * 150 + "}", "nested too deep"),
        ("[" * 100_000, "JSON"),
        ("[1]", "a JSON object"),
        ('{"a": "\udcff"}', "UTF-8"),
        ("", "JSON"),
        ('{"a": [' + "[]," * 1_000_001 + "1]}", "too many values"),
    ],
)
def test_json_that_breaks_a_rule_is_refused_by_the_field(tmp_path, text, why):
    (tmp_path / "x.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(BundleError, match=why) as refusal:
        read_json(tmp_path / "x.json")
    assert len(str(refusal.value)) < 1000


def test_json_at_its_borders_is_read(tmp_path):
    table = {
        "low": -(1 << 63),
        "high": (1 << 64) - 1,
        "float": 1.7e308,
        "deep": json.loads("[" * 98 + "]" * 98),
    }
    (tmp_path / "x.json").write_text(json.dumps(table))
    assert read_json(tmp_path / "x.json") == table


@pytest.mark.parametrize(
    "text, why",
    [
        ("a = nan", "a: must be a finite"),
        ("a = 99999999999999999999", "64 bits"),
        ("a = 1979-05-27", "must be a number"),
        ("a" + ".a" * 1000 + " = 1", "too many dots"),
        ("a = " + "[" * 5000, "TOML"),
        ("#" * (257 << 10), "too large"),
    ],
)
def test_toml_that_breaks_a_rule_is_refused_in_no_time(tmp_path, text, why):
    (tmp_path / "x.toml").write_text(text)
    started = time.monotonic()
    with pytest.raises(UsageError, match=why):
        read_toml(tmp_path / "x.toml")
    assert time.monotonic() - started < 1


def test_one_variable_raises_every_bound(tmp_path, monkeypatch):
    (tmp_path / "x.toml").write_text("#" * (257 << 10))
    with pytest.raises(
        UsageError, match=r"limit 262144 bytes, got 263168\); .* SCMRL_LIMIT_FACTOR=2"
    ):
        read_toml(tmp_path / "x.toml")
    monkeypatch.setenv("SCMRL_LIMIT_FACTOR", "2")
    assert read_toml(tmp_path / "x.toml") == {}
    for wrong in ("0.5", "x", "nan", "1e9"):
        monkeypatch.setenv("SCMRL_LIMIT_FACTOR", wrong)
        with pytest.raises(UsageError, match="SCMRL_LIMIT_FACTOR"):
            read_toml(tmp_path / "x.toml")


def npz(path: Path, name: str, content: bytes, kind: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", kind) as archive:
        archive.writestr(name, content)
    return path


def npy(header: str, data: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data


@pytest.mark.parametrize(
    "content, why",
    [
        (
            npy("{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }", b"\0" * 15),
            "15 bytes do not make",
        ),
        (
            npy("{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }", b"\0" * 17),
            "17 bytes do not make",
        ),
        (npy("{'descr': '|u1', 'fortran_order': False, 'shape': (1 << 40,), }"), "not a valid npz"),
        (
            npy("{'descr': '|u1', 'fortran_order': False, 'shape': (1099511627776,), }"),
            "do not make",
        ),
        (
            npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", b"\0" * 8),
            "no array of numbers",
        ),
        (
            npy("{'descr': [('a', '<i4')], 'fortran_order': False, 'shape': (1,), }", b"\0" * 4),
            "no array of numbers",
        ),
        (
            npy("{'descr': '<c16', 'fortran_order': False, 'shape': (1,), }", b"\0" * 16),
            "no array of numbers",
        ),
        (
            npy("{'descr': '<U4', 'fortran_order': False, 'shape': (1,), }", b"\0" * 16),
            "no array of numbers",
        ),
        (b"\x93NUMPY\x03\x00" + b"\0" * 20, "format"),
        (b"", "not a valid npz"),
    ],
)
def test_an_array_is_what_its_header_says_or_refused(tmp_path, content, why):
    with pytest.raises(BundleError, match=why):
        read_arrays(npz(tmp_path / "x.npz", "a.npy", content))


def test_other_ways_of_packing_are_refused(tmp_path):
    buffer = io.BytesIO()
    np.save(buffer, np.arange(3))
    for kind in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with pytest.raises(BundleError, match="another way"):
            read_arrays(npz(tmp_path / "x.npz", "a.npy", buffer.getvalue(), kind))


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("x.npy", "w") as member:
            member.write(npy("{'descr': '|u1', 'fortran_order': False, 'shape': (629145600,), }"))
            for _ in range(600):
                member.write(bytes(1 << 20))
    started = time.monotonic()
    with pytest.raises(DataError, match="unpacks to too much.*SCMRL_LIMIT_FACTOR=2"):
        read_arrays(tmp_path / "x.npz", error=DataError)
    assert time.monotonic() - started < 1


def test_too_many_members_are_counted_before_they_are_listed(tmp_path, monkeypatch):
    np.savez(tmp_path / "x.npz", **{f"a{i}": np.zeros(1) for i in range(5)})
    monkeypatch.setattr(reading, "MEMBERS", 4)
    with pytest.raises(BundleError, match="too many members.*limit 4 members, got 5"):
        read_arrays(tmp_path / "x.npz")


def test_arrays_come_back_in_the_machines_own_order(tmp_path):
    arrays = {
        "swapped": np.arange(5, dtype=">i4"),
        "columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "empty": np.zeros((0, 3)),
        "scalar": np.array(2.5),
        "large": np.arange(300_000),
    }
    np.savez_compressed(tmp_path / "x.npz", **arrays)
    found = read_arrays(tmp_path / "x.npz")
    assert all(
        np.array_equal(found[name], array)
        and found[name].shape == array.shape
        and found[name].dtype.isnative
        for name, array in arrays.items()
    )
    np.savez(tmp_path / "text.npz", a=np.array(["x"]))
    assert read_arrays(tmp_path / "text.npz", kinds="U")["a"] == ["x"]
