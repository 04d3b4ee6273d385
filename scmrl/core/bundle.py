"""A frozen model on disk: all that deployment needs, and the proof to hold it to. numpy only.

    bundle.json   schema version, hashes of the other files, front-end, metrics, training settings,
                  profile
    graph.json    populations and synapses (`graph_tables`)
    tensors.npz   their arrays
    samples.npz   inputs `x/<input>` uint [S, T, *shape], labels `y` [S], and what training's own
                  quantised forward gave for them: spikes as bits `s/<population>` (np.packbits),
                  membranes `v/<readout>`
    source.nir    of an import: the network as it came, for tuning (not in every bundle)

A run directory holds its bundle as `RUN/bundle`; an export is a bundle with files of its target
beside it.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..system.errors import BundleError, DataError, quoted
from ..system.reading import read_arrays, read_json, sha256
from ..system.storage import clear, put_arrays, put_json, whole_directory
from ..system.targets import real
from . import zoo
from .activity import Activity, check_inputs, check_labels
from .graph import Graph
from .graph_tables import FORMAT, from_tables, to_tables
from .samples import KINDS, LABELS, Origin, origin_of
from .schema import Anything, Choice, Flag, Integer, List, Map, Maybe, Number, Table, Text

SCHEMA, OLDEST = 2, 1  # what is written, and the oldest that is read: that of scmrl 0.1
Json = dict[str, Any]
FILES = ("graph.json", "tensors.npz", "samples.npz")
SOURCE = "source.nir"
SHARE, COUNT, SECONDS = Number(0, 1), Integer(0), Number(0)
METRICS = Table(
    {},
    {
        "test_accuracy": SHARE,
        "validation_accuracy": SHARE,
        "last_test_accuracy": SHARE,
        "class_agreement": SHARE,
        "test_correct": COUNT,
        "test_samples": COUNT,
        "validation_correct": COUNT,
        "validation_samples": COUNT,
        "import_samples": COUNT,
        "parameters": COUNT,
        "train_seconds": SECONDS,
        "samples_per_s": SECONDS,
        "rates": Map(Number(0)),
        "dead": List(Text()),
    },
    open=True,
)
TRAINING = Table(
    {},
    {
        "dataset": Maybe(Text()),
        "hard": Flag(),
        "spoil": Text(),
        "task": Text(),
        "profile": Text(),
        "model": Map(Anything()),
        "train": Map(Anything()),
        "event_bits": Integer(1, 8),
        "imported": Text(),
        "format": Text(),
        "dt": SECONDS,
        "convention": Text(),
        "reset": Text(),
        "labels": Text(),
        "inputs": Map(Map(Anything())),
    },
    open=True,
)
BUNDLE = Table(
    {
        "schema": Integer(OLDEST, SCHEMA),
        "profile": Text(),
        "frontend": Map(Anything()),
        "metrics": METRICS,
        "training": TRAINING,
        "sha256": Table({name: Text() for name in FILES}, {SOURCE: Text()}),
    },
    {
        "scmrl": Text(),
        "hash": Text(),
        "trained_by": Maybe(List(Text(), 2, 2)),
        "origin": Table({"samples": Choice(tuple(KINDS)), "labels": Choice(tuple(LABELS))}),
    },
    open=True,
)


@dataclass(frozen=True)
class Bundle:
    """A graph with samples of an `origin`, training's spikes for them, and what is known of it."""

    graph: Graph
    inputs: dict[str, np.ndarray]  # {input: uint [S, T, *shape]}
    labels: np.ndarray  # int64 [S]
    trained: Activity | None = None  # training's own quantised forward on `inputs`
    frontend: Json = field(default_factory=dict)
    metrics: Json = field(default_factory=dict)
    training: Json = field(default_factory=dict)
    profile: str = "loihi2"
    origin: Origin = Origin()

    @property
    def samples(self) -> int:
        return len(self.labels)

    @cached_property
    def hash(self) -> str:
        """What tells this network with its samples from any other, on every machine: sha256 over
        the graph, its arrays, the samples, training's spikes for them, the front-end and the chip.
        Figures and settings of training do not count, nor how the files are packed."""
        table, arrays = to_tables(self.graph)
        said = json.dumps([table, self.frontend, self.profile], sort_keys=True)
        digest = hashlib.sha256(said.encode())
        for name, array in sorted((arrays | self._sample_arrays()).items()):
            digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def save(self, path: Path, source: Path | None = None) -> None:
        """Write the bundle `path`, whole; a former one is replaced. Raises as `whole_directory`."""
        with whole_directory(path, "bundle") as directory:
            self.write(directory, source)

    def write(self, directory: Path, source: Path | None = None) -> None:
        """Write the files into an existing directory (an exporter adds its own beside them)."""
        files = FILES if source is None else (*FILES, SOURCE)
        if source is not None:
            shutil.copyfile(source, directory / SOURCE)
        table, arrays = to_tables(self.graph)
        put_json(directory / "graph.json", {"format": FORMAT, **table})
        put_arrays(directory / "tensors.npz", arrays)
        put_arrays(directory / "samples.npz", self._sample_arrays())
        put_json(
            directory / "bundle.json",
            {
                "schema": SCHEMA,
                "scmrl": __version__,
                "hash": self.hash,
                "profile": self.profile,
                "frontend": self.frontend,
                "metrics": self.metrics,
                "training": self.training,
                "origin": asdict(self.origin),
                "trained_by": (
                    None if self.trained is None else [self.trained.backend, self.trained.version]
                ),
                "sha256": {name: sha256(directory / name) for name in files},
            },
        )

    def _sample_arrays(self) -> dict[str, np.ndarray]:
        arrays = {f"x/{name}": x for name, x in self.inputs.items()} | {
            "y": np.asarray(self.labels, np.int64)
        }
        if self.trained is not None:
            arrays |= {f"s/{name}": np.packbits(s) for name, s in self.trained.spikes.items()}
            arrays |= {f"v/{name}": v for name, v in self.trained.membrane.items()}
        return arrays


def locate(path: str | Path) -> Path:
    """The bundle of a run directory, an export, `zoo:NAME`, or the bundle itself. Raises
    `BundleError` with what was looked for.
    """
    if (kept := zoo.place(path)) is not None:
        return kept
    path = Path(path)
    for place in (path, path / "bundle"):  # what a killed write put aside comes back
        clear(real(place).parent)
    for candidate in (path, path / "bundle"):
        if (candidate / "bundle.json").is_file():
            return candidate
    if (path / "metrics.json").is_file():
        raise BundleError(
            "a float model as published: it multiplies rates and reads future steps, which no"
            " spiking chip does",
            where=path,
            fix="its figures are in metrics.json; for a chip train with"
            " --set model.attention=binary",
        )
    raise _no_model(path)


MISTAKEN = {  # what people give for a model, by its ending: what it is, what to do
    ".nir": ("a NIR network", "turn it into a model first: scmrl import {path} --out DIR"),
    ".onnx": ("an exported network", "give the directory of the export"),
    ".net": ("a netx network", "turn it into a model first: scmrl import {path} --out DIR"),
    ".ckpt": (
        "a checkpoint of training",
        "give the run directory, or finish it: scmrl train --resume --out RUN",
    ),
    ".json": ("a file of JSON", "give the directory that bundle.json lies in"),
    ".npz": ("a file of arrays", "give the model's directory; samples go to --input"),
    ".toml": ("a file of settings", "train with it first: scmrl train --config {path} --out RUN"),
}


def _no_model(path: Path) -> BundleError:
    """What lies at `path` instead of a model, and the command to use."""
    if not path.exists():
        fix = "give a run directory, an export, a bundle or zoo:NAME (`scmrl zoo`)"
        return BundleError("no such file or directory", where=path, fix=fix)
    if path.is_file():
        what, fix = MISTAKEN.get(
            path.suffix.lower(), ("a file", "give a run directory, an export or a bundle")
        )
        return BundleError(
            f"{what}, not the directory of a frozen model",
            where=path,
            fix=fix.format(path=quoted(path)),
        )
    if (path / "sweep.json").is_file():
        return BundleError(
            "a sweep, no frozen model", where=path, fix=f"give one of its trials: {path}/trial-0000"
        )
    if (path / "config.toml").is_file():
        what = "a run that is not finished: no frozen model here"
        fix = f"go on with: scmrl train --resume --out {quoted(path)}"
        return BundleError(what, where=path, fix=fix)
    fix = "give a run directory, an export or a bundle; `scmrl train` makes one"
    return BundleError("no frozen model here", where=path, limit="bundle.json", fix=fix)


def source_of(path: str | Path) -> Path | None:
    """The bundle of the run (or of the import) that an export lies in, or None where it lies in
    none.
    """
    directory = locate(path)
    for candidate in (directory.parent / "bundle", directory.parent):
        if (candidate / "bundle.json").is_file() and candidate.resolve() != directory.resolve():
            return candidate
    return None


def is_stale(path: str | Path) -> bool:
    """Whether an export was made from another bundle than the run that it lies in has now."""
    source = source_of(path)
    return source is not None and not same(locate(path), source)


def same(one: Path, other: Path) -> bool:
    """Whether two directories hold the same network and samples, by what they recorded."""
    tables = [read_json(directory / "bundle.json") for directory in (one, other)]
    hashes = [table.get("hash") for table in tables]
    if None not in hashes:
        return hashes[0] == hashes[1]
    return tables[0].get("sha256") == tables[1].get("sha256")  # scmrl 0.1 recorded those alone


def stale(run: Path) -> list[Path]:
    """The exports and saved JSON reports in a run that come from another bundle than its own now.

    Raises `BundleError` where the run has no bundle.
    """
    source = locate(run)
    now = read_json(source / "bundle.json").get("hash")
    return [
        path
        for path in sorted(Path(run).iterdir())
        if path.resolve() != source.resolve()
        and (_stale_export(path, source) if path.is_dir() else _stale_report(path, now))
    ]


def _stale_export(path: Path, source: Path) -> bool:
    try:
        return (path / "bundle.json").is_file() and not same(path, source)
    except BundleError:  # damaged: not the run's, in any case
        return True


def _stale_report(path: Path, now: str | None) -> bool:
    if path.suffix != ".json" or not path.is_file():
        return False
    try:
        made_from = read_json(path).get("bundle")
    except BundleError:  # no report
        return False
    return isinstance(made_from, str) and made_from != now


def load(path: str | Path) -> Bundle:
    """Read and verify the bundle of a run, an export, `zoo:NAME` or its own directory: schema,
    hashes, graph, samples. Raises `BundleError` or `GraphError`.

    >>> bundle = scmrl.load("runs/a")
    >>> bundle.samples == len(bundle.labels)
    True
    """
    directory = locate(path)
    table = _table(directory)
    graph = from_tables(
        read_json(directory / "graph.json"),
        read_arrays(directory / "tensors.npz"),
        str(directory / "graph.json"),
        BundleError,
    )
    file = directory / "samples.npz"
    arrays = read_arrays(file)
    given = {k[2:]: arrays.pop(k) for k in list(arrays) if k.startswith("x/")}
    try:
        inputs = check_inputs(graph, given)
    except DataError as error:
        raise error.at(file, BundleError) from None
    count, steps = next(iter(inputs.values())).shape[:2]
    y = _taken(arrays, "y", file)
    labels = check_labels(graph, y, count, where=f"{file}: y", error=BundleError)
    by = table.get("trained_by")
    trained = None if by is None else _trained(graph, arrays, by, (count, steps), file)
    if arrays:
        raise BundleError("array belongs to no population", where=file, value=next(iter(arrays)))
    return Bundle(
        graph,
        inputs,
        labels,
        trained,
        table["frontend"],
        table["metrics"],
        table["training"],
        table["profile"],
        Origin(**table["origin"]) if "origin" in table else origin_of(table["training"]),
    )


def _table(directory: Path) -> Json:
    """bundle.json, and the hashes in it held to the other files."""
    file = directory / "bundle.json"
    table = read_json(file)
    schema = table.get("schema")
    if schema not in range(OLDEST, SCHEMA + 1):
        raise BundleError(
            "bundle has another schema",
            where=directory,
            limit=f"{OLDEST} to {SCHEMA}",
            value=schema,
            fix="use the scmrl version that wrote it, or freeze the model again",
        )
    BUNDLE.check(table, str(file), BundleError)
    for name in table["sha256"]:
        if not (directory / name).is_file():
            raise BundleError("file is missing", where=directory / name)
        if sha256(directory / name) != table["sha256"][name]:
            raise BundleError(
                "file is corrupt: its hash is not the one recorded",
                where=directory / name,
                fix="copy the bundle again, or freeze the model again",
            )
    return table


def _taken(arrays: dict[str, np.ndarray], name: str, file: Path) -> np.ndarray:
    if name not in arrays:
        raise BundleError("array is missing", where=file, value=name)
    return arrays.pop(name)


def _trained(
    graph: Graph, arrays: dict[str, np.ndarray], by: list[str], size: tuple[int, int], file: Path
) -> Activity:
    """Training's spikes and membranes of [S, T] = `size`, taken out of `arrays`."""
    spikes, membrane = {}, {}
    for p in graph.of_kind("lif"):
        bits, count = _taken(arrays, f"s/{p.name}", file), math.prod(size) * p.neurons
        if bits.dtype != np.uint8 or bits.shape != (-(-count // 8),):
            raise BundleError(
                "spikes do not fit the population",
                where=f"{file}: s/{p.name}",
                limit=f"uint8 [{-(-count // 8)}]",
                value=f"{bits.dtype} {list(bits.shape)}",
            )
        spikes[p.name] = np.unpackbits(bits, count=count).reshape(*size, *p.shape)
    for p in graph.of_kind("readout"):
        v, shape = _taken(arrays, f"v/{p.name}", file), (*size, *p.shape)
        if v.dtype.kind != "i" or v.shape != shape:
            raise BundleError(
                "membrane does not fit the readout",
                where=f"{file}: v/{p.name}",
                limit=f"integers {list(shape)}",
                value=f"{v.dtype} {list(v.shape)}",
            )
        membrane[p.name] = v.astype(np.int64)
    return Activity(spikes, membrane, backend=by[0], version=by[1])
