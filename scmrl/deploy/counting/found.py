"""What was seen, as layers and neurons: what a report and a price are made of. No torch."""

from __future__ import annotations

from dataclasses import dataclass, replace

# What a stream carries, see `stream`.
SILENT, SPIKES, INTEGERS, VALUES = KINDS = ("silent", "spikes", "integers", "values")
BINARY = (SPIKES, SILENT)
# What an operation is, see `rules`.
PRODUCT, POOL, SUM, ADD = "product", "pool", "sum", "add"
GATE, NORM, LOOK_UP = "gate", "norm", "look-up"


@dataclass(frozen=True)
class Layer:
    """Means per sample, but for shares and what is one. `reads`: the kind of each stream that comes
    in, `largest` the largest integer of the first (1 for spikes, None for values), `gives` the kind
    of what goes out. `gates`: products that choose and do not calculate. `unary_acs`: the additions
    if every integer k came as k spikes.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    reads: tuple[str, ...]
    largest: int | None
    rate: float
    spikes: float
    acs: float
    macs: float
    gates: float
    dense: float
    unary_acs: float
    gives: str
    gives_largest: int | None
    folded: bool
    parameters: int
    code: str

    @property
    def is_product_of_streams(self) -> bool:
        """Attention: both sides are streams."""
        return self.kind == PRODUCT and len(self.reads) == 2

    @property
    def reads_spikes(self) -> bool:
        """Whether all that comes in is spikes (or nothing)."""
        return all(kind in BINARY for kind in self.reads)


@dataclass(frozen=True)
class Neurons:
    """Neurons of a module or of a place in the code; updates and spikes per sample."""

    name: str
    kind: str
    neurons: float
    updates: float
    spikes: float
    rate: float
    gives: str
    largest: int | None


@dataclass(frozen=True)
class NotCounted:
    """What no rule is known for: where, what, how many calls."""

    where: str
    what: str
    calls: int


@dataclass(frozen=True)
class Found:
    """All of a run."""

    layers: tuple[Layer, ...]
    neurons: tuple[Neurons, ...]
    not_counted: tuple[NotCounted, ...]


def as_in(whole: Found, part: Found) -> Found:
    """What was seen of some samples, each layer with the kind of operation that it has over all of
    them: a layer that met only zeros adds nothing, and is no other layer for it.
    """
    kinds = {layer.name: _operation(layer) for layer in whole.layers}
    return replace(part, layers=tuple(_as(layer, kinds.get(layer.name)) for layer in part.layers))


def _operation(layer: Layer) -> str | None:
    return next((kind for kind in ("acs", "macs", "gates") if getattr(layer, kind)), None)


def _as(layer: Layer, kind: str | None) -> Layer:
    own = _operation(layer)
    if own is None or kind is None or own == kind:
        return layer
    return replace(layer, **{own: 0.0, kind: getattr(layer, own)})
