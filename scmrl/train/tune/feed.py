"""Data of the user's own for a model that is there: its encoding, its inputs, its classes."""

from __future__ import annotations

import numpy as np

from ...core.graph import Graph, Population
from ...data.features.values import encoding_of
from ...data.own import OwnData, load
from ...data.own.tested import fitted, for_inputs, trained_and_tested
from ...system.errors import DataError, UsageError
from ..config import Config
from ..feed import Batches
from ..own.feed import drawn, held_out_by, in_order
from ..score import Accuracy, Score
from .start import Start


class TuneFeed:
    """Training, validation and test part; batches hold the teacher's scores [S, K] beside the
    labels. Raises DataError for data that the model does not take.
    """

    digit_classes = 0

    def __init__(self, config: Config, start: Start):
        self.config, self.graph = config, start.bundle.graph
        self.said = held_out_by(config) | start.origin
        self.teacher = start.teacher
        encoding = encoding_of(start.bundle)
        if encoding is None:
            what, fix = "the model has no encoding of values", "import it again with this version"
            raise UsageError(what, where=config.tune.start, fix=fix)
        self.frontend, self.bits = encoding, encoding.bits
        self.shapes = {p.name: p.shape for p in self.graph.of_kind("input")}
        self.steps, self.outputs = self.graph.steps, _readout(self.graph).neurons
        data = read(config, self.graph)
        self.labelled = not config.tune.distil or bool(data.y.any())
        self.classes = self._classes(data)
        rest, test = trained_and_tested(data, config.data.test)
        parts = rest.split(config.train.seed, validation=config.train.validation, test=0.0)
        self._own = self.fixed(parts["train"])
        self.validation, self.test = self.fixed(parts["validation"]), self.fixed(test)

    def __len__(self) -> int:
        return len(self._own.labels)

    def score(self) -> Score:
        return Accuracy()

    def _classes(self, data: OwnData) -> tuple[str, ...]:
        """A name for each neuron of the readout."""
        if data.regression:
            raise UsageError("tuning is for classes, and the data have targets", where="y")
        if len(data.classes) > self.outputs:
            what = "the data have more classes than the model"
            raise DataError(what, where="y", limit=self.outputs, value=len(data.classes))
        named = self.graph.classes or data.classes
        return named if len(named) == self.outputs else tuple(map(str, range(self.outputs)))

    def fixed(self, data: OwnData) -> Batches:
        """A part in order."""
        encoded = self.frontend.encode(data.inputs)
        shaped = {name: fitted(x, self.graph[name], self.steps) for name, x in encoded.items()}
        scores = np.zeros((len(data), 0), np.float32)
        if self.teacher is not None and len(data):
            scores = np.asarray(self.teacher(data.inputs), np.float32)
        labels = data.y if self.labelled or not len(data) else scores.argmax(1)
        return in_order(shaped, labels.astype(np.int64), scores, self.shapes, self.steps)

    def epoch(self, epoch: int, done: int = 0) -> Batches:
        """Training batches of an epoch from batch `done` on; only seed and epoch matter."""
        return drawn(self._own, self.config.train, epoch, done)


def _readout(graph: Graph) -> Population:
    if graph.readout is None:
        raise UsageError("a model without a readout has nothing to tune for")
    return graph.readout


def read(config: Config, graph: Graph) -> OwnData:
    """The data that the settings name, by the names of the model's inputs; to distil takes no
    labels. Raises as `data.own.load`.
    """
    labelled = not config.tune.distil
    data = load(config.dataset, steps=graph.steps, labelled=labelled, **config.data.reading)
    return for_inputs(data, [p.name for p in graph.of_kind("input")])
