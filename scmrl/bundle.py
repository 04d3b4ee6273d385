"""A frozen model on disk: everything that deployment needs, and the proof to hold it to. numpy only.

    bundle.json   schema version, hashes of the other files, front-end, metrics, training settings, profile
    graph.json    populations and synapses
    tensors.npz   their arrays
    samples.npz   held-out inputs `x/<input>` uint [S, T, *shape], labels `y` [S], and the spikes that training's own
                  quantised forward gave for them: bits `s/<population>` (np.packbits) and membranes `v/<readout>`

A run directory holds its bundle as `RUN/bundle`; an export is a bundle with files of its target beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from . import __version__
from .activity import Activity, check_inputs
from .errors import BundleError, ScmrlError
from .files import read_arrays, read_json, sha256, whole_directory, write_arrays, write_json
from .graph import Graph, from_tables, to_tables

SCHEMA = 1
FILES = ("graph.json", "tensors.npz", "samples.npz")


@dataclass(frozen=True)
class Bundle:
    """A graph with its held-out samples, training's spikes for them, and what is known about it."""

    graph: Graph
    inputs: dict[str, np.ndarray]               # {input: uint [S, T, *shape]}
    labels: np.ndarray                          # int64 [S]
    trained: Activity | None = None             # training's own quantised forward on `inputs`
    frontend: dict = field(default_factory=dict)
    metrics: dict = field(default_factory=dict)
    training: dict = field(default_factory=dict)
    profile: str = "loihi2"

    @property
    def samples(self) -> int:
        return len(self.labels)

    def save(self, path: Path) -> None:
        with whole_directory(path) as directory:
            self.write(directory)

    def write(self, directory: Path) -> None:
        """Write the files into an existing directory (an exporter adds its own beside them)."""
        table, arrays = to_tables(self.graph)
        write_json(directory / "graph.json", table)
        write_arrays(directory / "tensors.npz", arrays)
        write_arrays(directory / "samples.npz", self._sample_arrays())
        write_json(directory / "bundle.json", {
            "schema": SCHEMA, "scmrl": __version__, "profile": self.profile, "frontend": self.frontend,
            "metrics": self.metrics, "training": self.training,
            "trained_by": None if self.trained is None else [self.trained.backend, self.trained.version],
            "sha256": {name: sha256(directory / name) for name in FILES}})

    def _sample_arrays(self) -> dict[str, np.ndarray]:
        arrays = {f"x/{name}": x for name, x in self.inputs.items()} | {"y": self.labels}
        if self.trained is not None:
            arrays |= {f"s/{name}": np.packbits(s) for name, s in self.trained.spikes.items()}
            arrays |= {f"v/{name}": v for name, v in self.trained.membrane.items()}
        return arrays


def locate(path: str | Path) -> Path:
    """The bundle of a run directory, an export, or the bundle itself. Raises `BundleError` with what was looked for."""
    path = Path(path)
    for candidate in (path, path / "bundle"):
        if (candidate / "bundle.json").is_file():
            return candidate
    if (path / "metrics.json").is_file():
        raise BundleError("a float model as published: it multiplies rates and reads future steps, which no spiking "
                          "chip does", where=path, fix="its figures are in metrics.json; for a chip train with "
                          "--set model.attention=binary")
    raise BundleError("no frozen model here", where=path, limit="bundle.json",
                      fix="give a run directory, an export or a bundle; `scmrl train` makes one")


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
                  table["profile"])


def _trained(graph: Graph, arrays: dict[str, np.ndarray], by: list | None, count: int, steps: int) -> Activity | None:
    if by is None:
        return None
    spikes = {}
    for p in graph.of_kind("lif"):
        size = count * steps * p.neurons
        spikes[p.name] = np.unpackbits(arrays[f"s/{p.name}"], count=size).reshape(count, steps, *p.shape)
    membrane = {p.name: arrays[f"v/{p.name}"].reshape(count, steps, *p.shape) for p in graph.of_kind("readout")}
    return Activity(spikes, membrane, backend=str(by[0]), version=str(by[1]))
