"""Samples of a bundle as the core's streams have them, and what it has to send."""

from __future__ import annotations

import numpy as np

from ...core import reference
from ...core.bundle import Bundle
from ...system.errors import UsageError
from .neurons import Neurons
from .program import Program, render

END, LAST = 1 << 30, 1 << 31  # of an item's value: a population ends, and the sample with it


def items(
    populations: list[Neurons],
    values: dict[str, np.ndarray],
    *,
    all_of: frozenset[str] = frozenset(),
) -> np.ndarray:
    """A stream as the core takes or sends it: int64 [items, 3], position, channel and value; of
    values [S, T, *shape] what is not zero, or `all_of` a population; those of a step after those of
    the one before, population by population with an item at the end of each.
    """
    samples, steps = values[populations[0].name].shape[:2]
    count, parts, keys = len(populations), [], []
    for i, p in enumerate(populations):
        x = np.moveaxis(values[p.name], 2, -1).reshape(samples * steps, p.positions, -1)
        given = np.nonzero(np.ones_like(x) if p.name in all_of else x)
        step, position, channel = given
        ends = np.zeros((samples * steps, 3), np.int64)
        ends[:, 2] = END
        if i == count - 1:
            ends[steps - 1 :: steps, 2] |= LAST
        parts += [
            np.stack([position, lanes(channel, p.engines), x[given].astype(np.int64)], 1),
            ends,
        ]
        keys += [2 * (count * step + i), 2 * (count * np.arange(samples * steps) + i) + 1]
    order = np.argsort(np.concatenate(keys), kind="stable")
    return np.concatenate(parts)[order]


def lanes(channel: np.ndarray, engines: int) -> np.ndarray:
    """A channel as the streams have it: its group, and in the lowest bits its engine."""
    group, engine = np.divmod(channel, engines)
    return (group << (engines - 1).bit_length()) | engine


def files(program: Program, bundle: Bundle, samples: int) -> dict[str, str]:
    """The test bench with the first `samples` of the bundle. Raises `UsageError` where it has
    fewer, `MissingDependency` without Jinja2.
    """
    if samples > bundle.samples:
        raise UsageError(
            "the model has fewer samples", where="self_test", limit=bundle.samples, value=samples
        )
    inputs = {name: x[:samples] for name, x in bundle.inputs.items()}
    activity = reference.run(bundle.graph, inputs)
    given = items(program.inputs, inputs)
    outputs = {p.name: activity.values(p.name) for p in program.outputs}
    expected = items(program.outputs, outputs, all_of=frozenset(activity.membrane))
    expected[expected[:, 2] >= END, 2] = END  # the core does not say where a sample ends
    words = {
        "program": program,
        "sizes": program.fitted,
        "samples": samples,
        "origin": bundle.origin.samples,
        "given": len(given),
        "expected": len(expected),
    }
    listed = {"bench_in.hex": _listed(given), "bench_out.hex": _listed(expected)}
    return render(words, "bench.v") | listed


def _listed(found: np.ndarray) -> str:
    """Items as `$readmemh` reads them, 64 bits each."""
    word = (found[:, 0] << 48) | (found[:, 1] << 32)
    value = np.where(found[:, 2] >= END, found[:, 2], found[:, 2] & 0xFFFFFF)
    return "".join(f"{int(x):016x}\n" for x in word.astype(np.uint64) | value.astype(np.uint64))
