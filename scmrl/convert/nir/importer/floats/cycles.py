"""Cycles of a network: which routes close them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from .network import Route

Arrow = tuple[str, str]


def with_feedback(names: list[str], routes: list[Route]) -> list[Route]:
    """Depth first from the inputs in edge order: an undelayed route back to an ancestor takes one
    step.
    """
    leaving = {
        name: [i for i, r in enumerate(routes) if r.source == name and r.delay == 0]
        for name in names
    }
    open_, done, back = set(), set(), set()
    for start in names:
        stack = [(start, iter(leaving[start]))] if start not in done else []
        open_.update([start] if stack else [])
        while stack:
            name, rest = stack[-1]
            i = next(rest, None)
            if i is None:
                stack.pop()
                open_.discard(name)
                done.add(name)
            elif routes[i].target in open_:
                back.add(i)
            elif routes[i].target not in done:
                open_.add(routes[i].target)
                stack.append((routes[i].target, iter(leaving[routes[i].target])))
    return [replace(r, delay=1, feedback=True) if i in back else r for i, r in enumerate(routes)]


def within(arrows: Iterable[Arrow], start: str, end: str) -> list[Arrow]:
    """The arrows on some path from `start` to `end`."""
    arrows = list(arrows)
    after = _reached(arrows, start)
    before = _reached([(b, a) for a, b in arrows], end)
    return [(a, b) for a, b in arrows if a in after and b in before]


def _reached(arrows: list[Arrow], start: str) -> set[str]:
    found, waiting = {start}, [start]
    while waiting:
        name = waiting.pop()
        for a, b in arrows:
            if a == name and b not in found:
                found.add(b)
                waiting.append(b)
    return found
