"""In which order nodes run: those on a cycle together, what they read before them. No torch."""

from __future__ import annotations

import graphlib
from collections.abc import Iterable, Sequence

import numpy as np

from ..core.graph import longest_paths
from ..system.errors import UsageError

Arrow = tuple[str, str, bool]  # source, target, whether a delay lies between


def components(names: Sequence[str], arrows: Iterable[Arrow]) -> tuple[tuple[str, ...], ...]:
    """Groups of names that reach each other, sources first; within a group, arrows without a delay
    go forward. Raises `UsageError` where those form a cycle.
    """
    arrows = list(arrows)
    place = {name: i for i, name in enumerate(names)}
    reach = np.eye(len(names), dtype=bool)
    for source, target, _ in arrows:
        reach[place[source], place[target]] = True
    for _ in range(max(1, len(names).bit_length())):
        reach = reach @ reach
    together = reach & reach.T
    first = {name: names[int(together[i].argmax())] for i, name in enumerate(names)}
    between = [(first[a], first[b]) for a, b, _ in arrows if first[a] != first[b]]
    depth = longest_paths(sorted(set(first.values()), key=place.__getitem__), between)
    groups: dict[str, list[str]] = {name: [] for name in depth}
    for name in names:
        groups[first[name]].append(name)
    return tuple(_ordered(group, arrows) for group in groups.values())


def _ordered(group: list[str], arrows: list[Arrow]) -> tuple[str, ...]:
    inside = [(a, b) for a, b, late in arrows if a in group and b in group and not late]
    try:
        return tuple(longest_paths(group, inside))
    except graphlib.CycleError as cycle:
        names = ", ".join(sorted(set(cycle.args[1])))
        fix = "read one of them with after(NAME), a step later"
        raise UsageError("nodes form a cycle without delay", where=names, fix=fix) from None
