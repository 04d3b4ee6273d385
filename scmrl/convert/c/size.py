"""What a program takes and does: bytes of flash and RAM, operations of an inference, by population;
and whether that fits.

Constants and state are exact. Code is an estimate: what arm-none-eabi-gcc 12.2 -O2 made for a
Cortex-M3 of a network of 43 populations and 70 synapses (16,280 bytes), of six small ones, and
rounded up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...core import reference
from ...core.bundle import Bundle
from ...core.graph import Synapse
from ...system.errors import GraphError
from .program import Member, Program
from .words import size_of

CODE_BYTES = 256, 180  # of a program, and of each population and synapse
OBSERVED = 4  # samples that are run where training left no spikes


@dataclass(frozen=True)
class Row:
    """One population: bytes of its constants and its state; of an inference the synaptic operations
    that reach it, and its updates.
    """

    name: str
    layout: str
    flash: int
    ram: int
    operations: float
    updates: int


@dataclass(frozen=True)
class Size:
    """A whole program: `code` is an estimate; `scratch` sums and events, which populations share;
    `buffers` the inputs and outputs of a step, which the caller holds. `samples` were counted.
    """

    rows: tuple[Row, ...]
    code: int
    scratch: int
    buffers: int
    samples: int

    @property
    def flash(self) -> int:
        return sum(row.flash for row in self.rows) + self.code

    @property
    def ram(self) -> int:
        return sum(row.ram for row in self.rows) + self.scratch + self.buffers

    def require(self, flash: int | None, ram: int | None) -> None:
        """Raise `GraphError` where the program takes more than what is given of either (None: no
        limit), with what would fit.
        """
        for what, limit, value in (("flash", flash, self.flash), ("RAM", ram, self.ram)):
            if limit is not None and value > limit:
                rows = sorted(self.rows, key=lambda r: -(r.flash if what == "flash" else r.ram))
                most = ", ".join(
                    f"{r.name} {r.flash if what == 'flash' else r.ram:,}" for r in rows[:3]
                )
                raise GraphError(
                    f"the network does not fit the {what} that is given",
                    where="c",
                    limit=f"{limit:,} bytes",
                    value=f"{value:,}, most of it {most}",
                    fix=f"--flash {self.flash} and --ram {self.ram} hold it; give that, or train"
                    " a narrower network",
                )


def measure(program: Program, bundle: Bundle) -> Size:
    """The size of a bundle's program; operations are counted in training's spikes for the bundle's
    samples, else in a run of a few.
    """
    activity, samples = bundle.trained, bundle.samples
    if activity is None:
        samples = min(OBSERVED, samples)
        few = {name: x[:samples] for name, x in bundle.inputs.items()}
        activity = reference.run(bundle.graph, few)
    values = {name: x[:samples] for name, x in bundle.inputs.items()} | activity.spikes
    rows = []
    for p in program.everyone:
        maps = program.maps.get(p.id, [])
        operations = sum(_operations(program, m.synapse, values) for m in maps)
        tables = [*(t for m in maps for t in m.tables), *p.tables]
        rows.append(
            Row(
                p.name,
                p.layout,
                sum(t.bytes for t in tables) if maps or p in program.neurons else 0,
                _bytes(p.state()),
                operations / samples,
                0 if p.population.kind == "input" else p.count * bundle.graph.steps,
            )
        )
    buffers = _struct([(p.value_type, "x", p.count) for p in program.inputs])
    kinds = [(p, p.value_type if p.population.fires else "int32_t") for p in program.outputs]
    buffers += _struct([(kind, "out", p.count) for p, kind in kinds])
    whole, each = CODE_BYTES
    code = whole + each * (len(program.neurons) + len(program.graph.synapses))
    whole_state = _struct([*program.state, *_union(program.scratch)])
    scratch = whole_state - sum(row.ram for row in rows)
    return Size(tuple(rows), code, scratch, buffers, samples)


def _bytes(members: Sequence[Member]) -> int:
    return sum(size_of(kind) * count for kind, _, count in members)


def _union(members: Sequence[Member]) -> list[Member]:
    """One array as large as the largest, of the widest type, which comes first."""
    largest = max((_bytes([member]) for member in members), default=0)
    return [(kind, name, -(-largest // size_of(kind))) for kind, name, _ in members[:1]]


def _struct(members: Sequence[Member]) -> int:
    """Bytes of a struct where every number lies at a multiple of its own size."""
    end, widest = 0, 1
    for kind, _, count in members:
        size = size_of(kind)
        end = -(-end // size) * size + size * count
        widest = max(widest, size)
    return -(-end // widest) * widest


def _operations(program: Program, synapse: Synapse, values: dict[str, np.ndarray]) -> float:
    """Synaptic operations of all samples: spikes times their connections, those that arrive in
    time.
    """
    spikes = values[synapse.source] != 0
    arrive = spikes[:, : max(spikes.shape[1] - int(synapse.delay), 0)].sum((0, 1)).ravel()
    return float(arrive @ program.graph.fan_out(synapse))
