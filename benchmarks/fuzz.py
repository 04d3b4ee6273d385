"""Damaged files against every reader, and against what the commands do with what was read.

    python benchmarks/fuzz.py [--inputs 150000] [--seed 1] [--only bundle,wav] [--state FILE.json]

Each input is a sound file with a few random changes: bytes, fields of a JSON or TOML table, arrays
of an npz. Hashes are recomputed, so that a change gets past them. The outcome of an input is

    read        it was taken                    refused     one line and an exit code
    traceback   anything else was raised        raw         a line with control characters, or
                several lines
    hang        over 20 s                       crash       the process died

Every reader runs in a process of its own, watched from outside; input i of a reader depends on the
seed and i alone, so that it can be had again: `--only NAME --first i --inputs 1`. The state file is
written after every 2,000 inputs; a run that was cut off goes on from it.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import dataclasses
import functools
import io
import json
import multiprocessing.connection
import os
import resource
import shutil
import struct
import tempfile
import time
import traceback
import wave
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from scmrl import cli
from scmrl.core import bundle, reference
from scmrl.core.bundle import Bundle
from scmrl.core.graph import (
    Broadcast,
    Conv2d,
    Dense,
    Graph,
    OneToOne,
    Pointwise,
    Population,
    SumTokens,
    Window,
)
from scmrl.system.errors import ScmrlError
from scmrl.system.reading import read_arrays, sha256

HANG_S = 20
EVERY = 2000
TRIES = 8
ODD = (
    None,
    True,
    -1,
    0,
    1,
    2,
    1.5,
    -0.0,
    1e300,
    float("nan"),
    1 << 31,
    -(1 << 63),
    1 << 64,
    10**30,
    "",
    "x",
    "\x1b[31m\x9b\u202e\0\n",
    "\udc80",
    "a" * 5000,
    [],
    {},
    [[]],
    [1, 2],
    {"array": "no"},
    {"a": {}},
)
INTERESTING = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)


# ---- sound files ---------------------------------------------------------------------------------


@functools.cache
def sound_bundle() -> Bundle:
    """Every kind of synapse, a join, two inputs, spikes of training; small."""
    random = np.random.default_rng(3)
    populations = (
        Population("audio", (1, 6, 6), "input", bits=2),
        Population("visual", (5,), "input"),
        Population("conv", (2, 3, 3), vth=3, dv=100),
        Population("pool", (2, 2, 2), memoryless=True),
        Population(
            "point",
            (3, 2, 2),
            vth=2,
            dv=2048,
            bias_mant=np.array([[[1]], [[-1]], [[0]]]),
            bias_exp=3,
        ),
        Population("tokens", (3,), vth=0, memoryless=True),
        Population("spread", (3, 2, 2), vth=1, du=1000),
        Population("each", (3, 2, 2), vth=1, adds="spread"),
        Population("dense", (6,), vth=4, dv=512),
        Population("out", (4,), "readout", bias_mant=np.arange(4)),
    )
    synapses = (
        Conv2d("audio", "conv", random.integers(-3, 9, (2, 1, 2, 2)), stride=(2, 2)),
        Window("conv", "pool", 1, (2, 2), (1, 1)),
        Pointwise("pool", "point", random.integers(-2, 5, (3, 2))),
        SumTokens("point", "tokens", 1),
        Broadcast("tokens", "spread", 2),
        OneToOne("point", "each", 1),
        Dense("visual", "dense", random.integers(-5, 9, (6, 5)), exponent=1),
        Dense("each", "dense", random.integers(-5, 9, (6, 12)), delay=1),
        Dense("dense", "out", random.integers(-9, 9, (4, 6))),
    )
    graph = Graph(populations, synapses, 4, ("a", "b", "c", "d")).check()
    inputs = {
        "audio": random.integers(0, 4, (3, 4, 1, 6, 6)).astype(np.uint8),
        "visual": random.integers(0, 2, (3, 4, 5)).astype(np.uint8),
    }
    trained = dataclasses.replace(reference.run(graph, inputs), backend="training")
    return Bundle(
        graph,
        inputs,
        np.array([0, 1, 2]),
        trained,
        metrics={"test_accuracy": 0.5, "dead": ["conv"]},
        training={"dataset": "digits-av", "hard": False, "task": "name"},
    )


def chain_bundle() -> Bundle:
    """One input and dense layers: what every export takes."""
    random = np.random.default_rng(4)
    graph = Graph(
        (
            Population("x", (8,), "input"),
            Population("h", (6,), vth=2, dv=256),
            Population("out", (3,), "readout"),
        ),
        (
            Dense("x", "h", random.integers(-4, 8, (6, 8))),
            Dense("h", "out", random.integers(-4, 8, (3, 6))),
        ),
        4,
        ("a", "b", "c"),
    ).check()
    inputs = {"x": random.integers(0, 2, (3, 4, 8)).astype(np.uint8)}
    trained = dataclasses.replace(reference.run(graph, inputs), backend="training")
    return Bundle(graph, inputs, np.array([0, 1, 2]), trained, training={"dataset": "digits-av"})


def sound_wav() -> bytes:
    memory = io.BytesIO()
    with wave.open(memory, "wb") as writer:
        writer.setparams((1, 2, 8000, 0, "NONE", ""))
        writer.writeframes((3000 * np.sin(np.arange(400) / 5)).astype("<i2").tobytes())
    return memory.getvalue()


def sound_picture(kind: str) -> bytes:
    from PIL import Image

    memory = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (12, 12), np.uint8)).save(
        memory, kind
    )
    return memory.getvalue()


def sound_aedat() -> bytes:
    random = np.random.default_rng(0)
    events = np.stack([random.integers(0, 1 << 15, 40), np.sort(random.integers(0, 10**6, 40))], 1)
    return b"#!AER-DAT2.0\r\n# a comment\r\n" + events.astype(">u4").tobytes()


def sound_bs2() -> bytes:
    random = np.random.default_rng(0)
    return b"".join(
        bytes([random.integers(34), random.integers(34)]) + struct.pack(">I", t)[1:]
        for t in np.sort(random.integers(0, 300_000, 40))
    )


def sound_idx() -> bytes:
    import gzip

    return gzip.compress(
        bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 3]) + bytes(18), mtime=0
    )


# ---- changes -------------------------------------------------------------------------------------


def change_bytes(random: np.random.Generator, data: bytes) -> bytes:
    """A few bytes replaced, put in, taken out, repeated; or the end cut off."""
    out = bytearray(data)
    for _ in range(random.integers(1, 5)):
        at, kind = int(random.integers(len(out) + 1)), random.integers(6)
        if kind == 0 and at < len(out):
            out[at] = random.integers(256)
        elif kind == 1:
            out[at:at] = random.bytes(int(random.integers(1, 9)))
        elif kind == 2:
            del out[at : at + int(random.integers(1, 17))]
        elif kind == 3:
            width = int(random.choice((1, 2, 4)))
            number = INTERESTING[random.integers(len(INTERESTING))] & ((1 << 8 * width) - 1)
            out[at : at + width] = number.to_bytes(width, "little" if random.integers(2) else "big")
        elif kind == 4:
            out[at:at] = out[at : at + int(random.integers(1, 33))]
        elif random.integers(3) == 0:
            del out[at:]
    return bytes(out)


def change_table(random: np.random.Generator, table: object) -> object:
    """One to three fields of a table replaced, taken out, doubled or put in."""
    table = copy.deepcopy(table)
    for _ in range(random.integers(1, 4)):
        place = table
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = keys[random.integers(len(keys))]
            if isinstance(place[key], (dict, list)) and place[key] and random.integers(5):
                place = place[key]
                continue
            kind, odd = random.integers(8), copy.deepcopy(ODD[random.integers(len(ODD))])
            if kind == 0:
                del place[key]
            elif kind == 1 and isinstance(place, dict):
                place[str(odd)] = place[key]
            elif kind == 1:
                place.insert(int(random.integers(len(place) + 1)), copy.deepcopy(place[key]))
            elif kind == 2 and isinstance(place[key], int):
                place[key] += int(random.integers(-3, 4))
            else:
                place[key] = odd
            break
    return table


def change_arrays(
    random: np.random.Generator, arrays: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """One array of another type, shape or value, taken out, renamed or put in."""
    arrays = dict(arrays)
    name = list(arrays)[random.integers(len(arrays))]
    array, kind = arrays[name], random.integers(8)
    if kind == 0:
        del arrays[name]
    elif kind == 1:
        word = str(ODD[random.integers(10, len(ODD))])[:50].replace("\0", "")
        arrays[word.encode("utf-8", "replace").decode() or "y"] = array
    elif kind == 2:
        arrays[name] = array.astype(
            random.choice(["f4", "f8", "i1", "u8", ">i2", "c8", "U3", "?", "f2"])
        )
    elif kind == 3:
        arrays[name] = array.reshape(-1) if random.integers(2) else array[None]
    elif kind == 4:
        arrays[name] = (
            array[: int(random.integers(0, len(array) + 1))] if array.ndim else array[None]
        )
    elif kind == 5:
        arrays[name] = np.array([(1,)], [("a", "<i4")])
    elif kind == 6:
        arrays[name] = np.array(random.choice([-(1 << 62), 1 << 62, -1, 0, 255]))
    elif array.size:
        arrays[name] = array.copy()
        arrays[name].reshape(-1)[random.integers(array.size)] = random.choice([-128, 127, 99])
    return arrays


# ---- readers -------------------------------------------------------------------------------------

Reader = Callable[[np.random.Generator, Path], object]


def rehash(directory: Path) -> None:
    """Record the hashes of the files as they are now, where there is still a table to record them
    in.
    """
    try:
        table = json.loads((directory / "bundle.json").read_text())
        table["sha256"] = {name: sha256(directory / name) for name in bundle.FILES}
        (directory / "bundle.json").write_text(json.dumps(table))
    except (ValueError, TypeError, UnicodeError):
        pass


class Bundles:
    """A bundle of which one file is changed: read, or given to a command."""

    def __init__(self, whole: Bundle, then: tuple[tuple[str, ...], ...] = (), target: str = ""):
        self.whole, self.then, self.target = whole, then, target
        self.files: dict[str, bytes] = {}

    def __call__(self, random: np.random.Generator, place: Path) -> object:
        model = place / "model"
        if not self.files:
            if self.target:
                command(
                    "export",
                    self.whole_at(place / "whole"),
                    "--target",
                    self.target,
                    "--out",
                    model,
                    "--no-verify",
                )
            else:
                self.whole.save(model)
            self.files = {
                str(f.relative_to(model)): f.read_bytes() for f in model.rglob("*") if f.is_file()
            }
        for _ in range(
            TRIES if self.then else 1
        ):  # what a command gets is to get past the reader, if it can
            self.change(random, model)
            if not self.then:
                return bundle.load(model)
            with contextlib.suppress(ScmrlError):
                bundle.load(model)
                break
        words = self.then[random.integers(len(self.then))]
        return command(
            *(str(model) if w == "MODEL" else w.replace("PLACE", str(place)) for w in words)
        )

    def change(self, random: np.random.Generator, model: Path) -> None:
        """The whole files, and then one of them changed."""
        shutil.rmtree(model, ignore_errors=True)
        for name, data in self.files.items():
            (model / name).parent.mkdir(parents=True, exist_ok=True)
            (model / name).write_bytes(data)
        own = (
            [name for name in self.files if name.startswith(f"{self.target}/")]
            if self.target
            else [
                name
                for name in self.files
                if name.endswith((".json", ".npz")) and name != "manifest.json"
            ]
        )
        change_file(random, model / own[random.integers(len(own))])
        rehash(model)

    def whole_at(self, path: Path) -> Path:
        self.whole.save(path)
        return path


def change_file(random: np.random.Generator, path: Path) -> None:
    """Bytes, or fields, or arrays of a file."""
    if path.suffix == ".json" and random.integers(4):
        with contextlib.suppress(ValueError):
            path.write_text(json.dumps(change_table(random, json.loads(path.read_text()))))
            return
    if path.suffix == ".npz" and random.integers(4):
        np.savez(path, **change_arrays(random, read_arrays(path)))
        return
    path.write_bytes(change_bytes(random, path.read_bytes()))


def command(*words: object) -> object:
    """A command as the shell gives it; what it would print goes to nobody. Returns its exit
    code.
    """
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            cli.main([str(word) for word in words])
            code = 0
        except SystemExit as end:
            code = end.code
    said = out.getvalue() + err.getvalue()
    if any(not (c.isprintable() or c == "\n") for c in said) or "Traceback" in said:
        raise Raw(repr(said[-300:]))
    return code


class Raw(Exception):
    """A line with characters that a terminal obeys."""


def of_bytes(suffix: str, whole: bytes, read: Callable[[Path], object]) -> Reader:
    def reader(random: np.random.Generator, place: Path) -> object:
        path = place / f"x{suffix}"
        path.write_bytes(change_bytes(random, whole))
        return read(path)

    return reader


def of_table(whole: dict, read: Callable[[Path], object], name: str = "x.json") -> Reader:
    def reader(random: np.random.Generator, place: Path) -> object:
        text = json.dumps(change_table(random, whole)).encode()
        (place / name).write_bytes(change_bytes(random, text) if not random.integers(5) else text)
        return read(place / name)

    return reader


def of_report(random: np.random.Generator, place: Path) -> object:
    from scmrl.core.report import html
    from scmrl.core.report.compare import compare

    report = {
        "command": "energy",
        "samples": 3,
        "populations": [{"name": "a", "rate": 0.5}, {"name": "b", "rate": 0.1}],
        "profiles": {
            "loihi2": {"core_dynamic_uj": 1.5, "cores": 3, "ranges": {"total_uj": [1, 2]}}
        },
    }
    for name in ("a", "b"):
        text = json.dumps(change_table(random, report)).encode()
        (place / name).write_bytes(change_bytes(random, text) if not random.integers(5) else text)
    result = compare(place / "a", place / "b")
    result.show(io.StringIO())
    return html.page(result), json.dumps(result.to_json())


def of_input(random: np.random.Generator, place: Path) -> object:
    from scmrl.deploy import samples

    path = place / "x.npz"
    np.savez(path, **change_arrays(random, sound_bundle().inputs | {"y": np.array([0, 1, 2])}))
    if not random.integers(3):
        path.write_bytes(change_bytes(random, path.read_bytes()))
    return samples.choose(sound_bundle(), None, path)


def of_nir(random: np.random.Generator, place: Path) -> object:
    import nir

    from scmrl.convert.nir.importer import import_nir

    path = place / "x.nir"
    if not (place / "whole.nir").exists():
        nodes = {
            "input": nir.Input(input_type=np.array([8])),
            "w": nir.Affine(np.ones((6, 8)), np.zeros(6)),
            "n": nir.LIF(np.full(6, 1e-2), np.ones(6), np.zeros(6), np.ones(6)),
            "output": nir.Output(output_type=np.array([6])),
        }
        edges = [("input", "w"), ("w", "n"), ("n", "output")]
        nir.write(place / "whole.nir", nir.NIRGraph(nodes, edges))
    if random.integers(2):
        path.write_bytes(change_bytes(random, (place / "whole.nir").read_bytes()))
    else:
        change_hdf5(random, place / "whole.nir", path)
    return import_nir(path, steps=4)


def of_netx(random: np.random.Generator, place: Path) -> object:
    from scmrl.convert.netx.importer import import_netx
    from scmrl.convert.netx.lowering import lower, write
    from scmrl.core.graph import Conv2d, Dense, Graph, Population

    path = place / "x.net"
    if not (place / "whole.net").exists():
        populations = (
            Population("x", (1, 6, 6), "input"),
            Population("a", (2, 4, 4), vth=4, bias_mant=1, bias_exp=6),
            Population("b", (3,), "readout"),
        )
        synapses = (
            Conv2d("x", "a", np.ones((2, 1, 3, 3), np.int8)),
            Dense("a", "b", np.ones((3, 32), np.int8)),
        )
        write(lower(Graph(populations, synapses, 2)), place / "whole.net")
    if random.integers(2):
        path.write_bytes(change_bytes(random, (place / "whole.net").read_bytes()))
    else:
        change_hdf5(random, place / "whole.net", path)
    return import_netx(path, steps=4)


def change_hdf5(random: np.random.Generator, whole: Path, path: Path) -> None:
    """One dataset of another type, shape or value, or gone."""
    import h5py

    shutil.copyfile(whole, path)
    with h5py.File(path, "r+") as file:
        names: list[str] = []
        file.visititems(
            lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None
        )
        name, odd = names[random.integers(len(names))], ODD[random.integers(len(ODD))]
        del file[name]
        if random.integers(5):
            with contextlib.suppress(TypeError, ValueError, OverflowError):
                file[name] = odd if not isinstance(odd, (dict, list)) else np.zeros((2, 0, 3))


def readers() -> dict[str, tuple[float, Reader]]:
    """Name: (share of the inputs, reader)."""
    from scmrl.data.formats.aedat import read_aedat
    from scmrl.data.formats.events import read_bs2
    from scmrl.data.formats.idx import read_idx
    from scmrl.data.formats.picture import grey
    from scmrl.data.formats.sound import read_sound
    from scmrl.hw_profiles import profile
    from scmrl.sweep.study import Sweep
    from scmrl.train import config

    folder = Path(profile.__file__).parent
    after = (
        ("deploy", "MODEL"),
        ("deploy", "MODEL", "--samples", "1", "--json"),
        ("place", "MODEL", "--layers"),
        ("energy", "MODEL", "--html", "PLACE/p.html", "--layers"),
        ("verify", "MODEL", "--backends", "simulator"),
        ("place", "MODEL", "--html", "PLACE/p.html"),
        ("deploy", "MODEL", "--html", "PLACE/p.html"),
        ("export", "MODEL", "--target", "lava", "--no-verify", "--out", "PLACE/e"),
        ("deploy", "MODEL", "--backend", "lava-inprocess", "--samples", "1"),
    )
    sweep = {
        "axes": ["model.alpha=0.0..2.0", "model.steps=2,4"],
        "settings": ["train.epochs=1"],
        "config": None,
        "data_dir": None,
        "storage": None,
        "chip": "",
        "grid": False,
        "seed": 42,
    }
    settings = config.to_toml(config.from_dict({})).encode()
    return {
        "bundle": (7, Bundles(sound_bundle())),
        "after load": (0.4, Bundles(sound_bundle(), after)),
        "onnx export": (
            0.1,
            Bundles(
                chain_bundle(),
                (
                    ("deploy", "MODEL", "--backend", "onnx"),
                    ("deploy", "MODEL", "--backend", "onnx-step"),
                ),
                "onnx",
            ),
        ),
        "c export": (
            0.1,
            Bundles(chain_bundle(), (("deploy", "MODEL", "--backend", "c"),), "c"),
        ),
        "netx export": (
            0.25,
            Bundles(
                chain_bundle(),
                (("deploy", "MODEL", "--backend", "netx", "--samples", "1"),),
                "netx",
            ),
        ),
        "lava export": (
            0.25,
            Bundles(
                chain_bundle(),
                (("deploy", "MODEL", "--backend", "lava-inprocess", "--samples", "1"),),
                "lava",
            ),
        ),
        "nir import": (0.06, of_nir),
        "netx import": (0.06, of_netx),
        "input npz": (6, of_input),
        "report": (8, of_report),
        "sweep.json": (
            4,
            of_table(sweep, lambda path: Sweep.load(path.parent).parsed, "sweep.json"),
        ),
        "configuration": (6, of_bytes(".toml", settings, lambda path: config.read(path, {}))),
        "profile": (
            4,
            of_bytes(
                ".toml", (folder / "loihi2.toml").read_bytes(), lambda path: profile.load(str(path))
            ),
        ),
        "wav": (22, of_bytes(".wav", sound_wav(), read_sound)),
        "png": (12, of_bytes(".png", sound_picture("PNG"), lambda path: grey(path, 28))),
        "jpeg": (12, of_bytes(".jpg", sound_picture("JPEG"), lambda path: grey(path, 28))),
        "aedat": (8, of_bytes(".aedat", sound_aedat(), read_aedat)),
        "bs2": (8, of_bytes(".bs2", sound_bs2(), read_bs2)),
        "idx": (4, of_bytes(".gz", sound_idx(), lambda path: read_idx(path, 3))),
    }


# ---- running -------------------------------------------------------------------------------------


def outcome(reader: Reader, random: np.random.Generator, place: Path) -> tuple[str, str]:
    """What came of one input, and what was said."""
    try:
        code = reader(random, place)
        return ("refused", "") if isinstance(code, int) and code else ("read", "")
    except ScmrlError as error:
        return ("refused", "") if str(error).isprintable() else ("raw", repr(str(error)))
    except Raw as error:
        return "raw", str(error)
    except MemoryError:
        return "traceback", "MemoryError"
    except Exception:
        return "traceback", traceback.format_exc()[-1500:]


def work(
    name: str, seed: int, first: int, count: int, tell: multiprocessing.connection.Connection
) -> None:
    """Inputs `first` .. `first + count` of a reader; tells each, with the peak memory so far in
    MiB.
    """
    number, reader = list(readers()).index(name), readers()[name][1]
    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        for i in range(first, first + count):
            tell.send(
                (
                    i,
                    *outcome(reader, np.random.default_rng([seed, number, i]), Path(place)),
                    resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                )
            )
    tell.close()


def fuzz(name: str, seed: int, first: int, count: int, done: dict) -> None:
    """Run inputs of a reader in a watched process, and another after one that hung or crashed; adds
    up in `done`.
    """
    context, end = multiprocessing.get_context("spawn"), first + count
    while first < end:
        here, there = context.Pipe(duplex=False)
        child = context.Process(target=work, args=(name, seed, first, end - first, there))
        child.start()
        there.close()
        started = time.monotonic()
        while first < end:
            try:
                if not here.poll(
                    HANG_S + 60 * (time.monotonic() - started < 60)
                ):  # it may be starting
                    note(done, first, "hang", f"over {HANG_S} s")
                    child.kill()
                    break
                i, what, said, memory = here.recv()
            except EOFError:
                child.join()
                note(done, first, "crash", f"exit code {child.exitcode}")
                break
            note(done, i, what, said)
            done["memory_mib"] = max(done.get("memory_mib", 0), memory)
            first = i + 1
            continue
        else:
            child.join()
            return
        child.join()
        first += 1


def note(done: dict, i: int, what: str, said: str) -> None:
    done["outcomes"] = dict(Counter(done.get("outcomes", {})) + Counter([what]))
    if what not in ("read", "refused"):
        done.setdefault("faults", []).append({"input": i, "what": what, "said": said})


def run(inputs: int, seed: int, only: list[str], state: Path | None, first: int = 0) -> dict:
    """All readers, a chunk each in turn, until each has its share. Returns what came of them."""
    shares = {name: share for name, (share, _) in readers().items() if not only or name in only}
    table = json.loads(state.read_text()) if state and state.exists() else {}
    wanted = {
        name: max(1, round(inputs * share / sum(shares.values()))) for name, share in shares.items()
    }
    while waiting := [
        name for name in shares if table.get(name, {}).get("inputs", 0) < wanted[name]
    ]:
        for name in waiting:
            done = table.setdefault(name, {"inputs": 0, "seconds": 0.0})
            count, started = min(EVERY, wanted[name] - done["inputs"]), time.monotonic()
            fuzz(name, seed, first + done["inputs"], count, done)
            done["inputs"] += count
            done["seconds"] += time.monotonic() - started
            if state:
                state.with_suffix(".new").write_text(json.dumps(table, indent=1))
                os.replace(state.with_suffix(".new"), state)
    return table


def show(table: dict) -> str:
    """The figures as the table of docs/fuzzing.md."""
    kinds = ("read", "refused", "traceback", "raw", "hang", "crash")
    lines = [
        "| reader | inputs | " + " | ".join(kinds) + " | s | peak MiB |",
        "|---|" + "---:|" * (len(kinds) + 3),
    ]
    total: Counter = Counter()
    for name, done in table.items():
        counts = [done["outcomes"].get(kind, 0) for kind in kinds]
        total.update(dict(zip(kinds, counts)), inputs=done["inputs"], s=round(done["seconds"]))
        lines.append(
            f"| {name} | {done['inputs']:,} | "
            + " | ".join(f"{n:,}" for n in counts)
            + f" | {done['seconds']:.0f} | {done.get('memory_mib', 0):.0f} |"
        )
    peak = max((done.get("memory_mib", 0) for done in table.values()), default=0)
    lines.append(
        f"| all | {total['inputs']:,} | "
        + " | ".join(f"{total[kind]:,}" for kind in kinds)
        + f" | {total['s']} | {peak:.0f} |"
    )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=150_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--only", default="", help="readers, with commas")
    parser.add_argument("--state", type=Path, help="where the figures are kept")
    given = parser.parse_args()
    table = run(
        given.inputs,
        given.seed,
        [name for name in given.only.split(",") if name],
        given.state,
        given.first,
    )
    print(show(table))
    for name, done in table.items():
        for fault in done.get("faults", ())[:20]:
            print(f"\n{name} {fault['input']}: {fault['what']}\n{fault['said']}")


if __name__ == "__main__":
    main()
