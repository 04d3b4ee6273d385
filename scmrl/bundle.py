"""A frozen model on disk: everything that deployment needs, and the proof to hold it to. numpy only.

    bundle.json   schema version, hashes of the other files, front-end, metrics, training settings, profile
    graph.json    populations and synapses
    tensors.npz   their arrays
    samples.npz   inputs `x/<input>` uint [S, T, *shape], labels `y` [S], and the spikes that training's own
                  quantised forward gave for them: bits `s/<population>` (np.packbits) and membranes `v/<readout>`

A run directory holds its bundle as `RUN/bundle`; an export is a bundle with files of its target beside it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from . import __version__
from .activity import Activity, check_inputs
from .errors import BundleError, ScmrlError
from .files import put_arrays, put_json, read_arrays, read_json, sha256, whole_directory
from .graph import Graph, from_tables, to_tables
from .samples import KINDS, LABELS, Origin, origin_of
from .storage import clear
from .targets import real

SCHEMA = 1
FILES = ("graph.json", "tensors.npz", "samples.npz")


@dataclass(frozen=True)
class Bundle:
    """A graph with samples of an `origin`, training's spikes for them, and what is known about it."""

    graph: Graph
    inputs: dict[str, np.ndarray]               # {input: uint [S, T, *shape]}
    labels: np.ndarray                          # int64 [S]
    trained: Activity | None = None             # training's own quantised forward on `inputs`
    frontend: dict = field(default_factory=dict)
    metrics: dict = field(default_factory=dict)
    training: dict = field(default_factory=dict)
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

    def save(self, path: Path) -> None:
        """Write the bundle `path`, whole; a former one is replaced. Raises as `whole_directory`."""
        with whole_directory(path, "bundle") as directory:
            self.write(directory)

    def write(self, directory: Path) -> None:
        """Write the files into an existing directory (an exporter adds its own beside them)."""
        table, arrays = to_tables(self.graph)
        put_json(directory / "graph.json", table)
        put_arrays(directory / "tensors.npz", arrays)
        put_arrays(directory / "samples.npz", self._sample_arrays())
        put_json(directory / "bundle.json", {
            "schema": SCHEMA, "scmrl": __version__, "hash": self.hash, "profile": self.profile,
            "frontend": self.frontend, "metrics": self.metrics, "training": self.training,
            "origin": asdict(self.origin),
            "trained_by": None if self.trained is None else [self.trained.backend, self.trained.version],
            "sha256": {name: sha256(directory / name) for name in FILES}})

    def _sample_arrays(self) -> dict[str, np.ndarray]:
        arrays = {f"x/{name}": x for name, x in self.inputs.items()} | {"y": np.asarray(self.labels, np.int64)}
        if self.trained is not None:
            arrays |= {f"s/{name}": np.packbits(s) for name, s in self.trained.spikes.items()}
            arrays |= {f"v/{name}": v for name, v in self.trained.membrane.items()}
        return arrays


def locate(path: str | Path) -> Path:
    """The bundle of a run directory, an export, or the bundle itself. Raises `BundleError` with what was looked for."""
    path = Path(path)
    for place in (path, path / "bundle"):               # what a killed write put aside comes back
        clear(real(place).parent)
    for candidate in (path, path / "bundle"):
        if (candidate / "bundle.json").is_file():
            return candidate
    if (path / "metrics.json").is_file():
        raise BundleError("a float model as published: it multiplies rates and reads future steps, which no spiking "
                          "chip does", where=path, fix="its figures are in metrics.json; for a chip train with "
                          "--set model.attention=binary")
    raise BundleError("no frozen model here", where=path, limit="bundle.json",
                      fix="give a run directory, an export or a bundle; `scmrl train` makes one")


def origin(path: str | Path) -> Path | None:
    """The bundle of the run (or of the import) that an export lies in, or None where it lies in none."""
    directory = locate(path)
    for candidate in (directory.parent / "bundle", directory.parent):
        if (candidate / "bundle.json").is_file() and candidate.resolve() != directory.resolve():
            return candidate
    return None


def is_stale(path: str | Path) -> bool:
    """Whether an export was made from another bundle than the run that it lies in has now."""
    source = origin(path)
    return source is not None and not same(locate(path), source)


def same(one: Path, other: Path) -> bool:
    """Whether two directories hold the same network and samples, by what they recorded."""
    tables = [read_json(directory / "bundle.json") for directory in (one, other)]
    hashes = [table.get("hash") for table in tables]
    if None not in hashes:
        return hashes[0] == hashes[1]
    return tables[0].get("sha256") == tables[1].get("sha256")           # scmrl 0.1 recorded those alone


def stale(run: Path) -> list[Path]:
    """The exports and saved JSON reports in a run that come from another bundle than its own now.

    Raises `BundleError` where the run has no bundle.
    """
    source = locate(run)
    now = read_json(source / "bundle.json").get("hash")
    return [path for path in sorted(Path(run).iterdir()) if path.resolve() != source.resolve()
            and (_stale_export(path, source) if path.is_dir() else _stale_report(path, now))]


def _stale_export(path: Path, source: Path) -> bool:
    try:
        return (path / "bundle.json").is_file() and not same(path, source)
    except BundleError:                                 # damaged: not the run's, in any case
        return True


def _stale_report(path: Path, now: str | None) -> bool:
    if path.suffix != ".json" or not path.is_file():
        return False
    try:
        made_from = read_json(path).get("bundle")
    except BundleError:                                 # no report
        return False
    return isinstance(made_from, str) and made_from != now


def load(path: str | Path) -> Bundle:
    """Read and verify a bundle: schema, hashes, graph, samples. Raises `BundleError` or `GraphError`."""
    directory = locate(path)
    table = read_json(directory / "bundle.json")
    if table.get("schema") != SCHEMA:
        raise BundleError("bundle has another schema", where=directory, limit=SCHEMA, value=table.get("schema"),
                          fix="use the scmrl version that wrote it, or freeze the model again")
    for key, kind in (("sha256", dict), ("frontend", dict), ("metrics", dict), ("training", dict), ("profile", str)):
        if not isinstance(table.get(key), kind):
            raise BundleError(f"'{key}' is missing or of the wrong type", where=directory / "bundle.json")
    for name in FILES:
        if not (directory / name).is_file():
            raise BundleError("file is missing", where=directory / name)
        if sha256(directory / name) != table["sha256"].get(name):
            raise BundleError("file is corrupt: its hash is not the one recorded", where=directory / name,
                              fix="copy the bundle again, or freeze the model again")
    graph = from_tables(read_json(directory / "graph.json"), read_arrays(directory / "tensors.npz"))
    arrays = read_arrays(directory / "samples.npz")
    try:
        inputs = check_inputs(graph, {k[2:]: a for k, a in arrays.items() if k.startswith("x/")})
        labels = np.asarray(arrays["y"], np.int64)
        count, steps = next(iter(inputs.values())).shape[:2]
        if labels.shape != (count,):
            raise BundleError("labels and samples differ in number", where=directory, value=labels.shape, limit=count)
        trained = _trained(graph, arrays, table.get("trained_by"), count, steps)
    except (KeyError, ValueError, TypeError) as error:
        raise BundleError("samples.npz does not belong to this graph", where=directory, value=error) from None
    except ScmrlError as error:
        raise BundleError(str(error), where=directory / "samples.npz") from None
    return Bundle(graph, inputs, labels, trained, table["frontend"], table["metrics"], table["training"],
                  table["profile"], _origin(table, directory))


def _origin(table: dict, directory: Path) -> Origin:
    if "origin" not in table:
        return origin_of(table["training"])
    said = table["origin"]
    if isinstance(said, dict) and said.keys() == {"samples", "labels"} and all(
            isinstance(word, str) for word in said.values()) and Origin(**said).known:
        return Origin(**said)
    raise BundleError("'origin' does not say what the samples are", where=directory / "bundle.json", value=said,
                      limit=f"samples: {', '.join(KINDS)}; labels: {', '.join(LABELS)}")


def _trained(graph: Graph, arrays: dict[str, np.ndarray], by: list | None, count: int, steps: int) -> Activity | None:
    if by is None:
        return None
    spikes = {}
    for p in graph.of_kind("lif"):
        size = count * steps * p.neurons
        spikes[p.name] = np.unpackbits(arrays[f"s/{p.name}"], count=size).reshape(count, steps, *p.shape)
    membrane = {p.name: arrays[f"v/{p.name}"].reshape(count, steps, *p.shape) for p in graph.of_kind("readout")}
    return Activity(spikes, membrane, backend=str(by[0]), version=str(by[1]))
