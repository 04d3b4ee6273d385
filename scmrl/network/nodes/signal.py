"""What a node reads: a sum of other nodes' spikes, each with a gain and a delay.

    x + 0.5 * z          the residual: one weight W reads x, and W / 2 reads z
    h.delayed(1)         the spikes of the step before
    x.channels(0, 8)     a part of the channels

Synapses are linear, so a sum needs no adder on the chip: each source has synapses of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ...system.errors import UsageError


@dataclass(frozen=True)
class Source:
    """The spikes of a node: `gain` times them (or the trained gain of that name), `delay` steps
    late (or the trained delays of that name), of the channels first..last-1 or of all.
    """

    node: str
    gain: float | str = 1.0
    delay: int | str = 0
    part: tuple[int, int] | None = None

    @property
    def late(self) -> bool:
        """Whether a delay of at least one step is sure."""
        return isinstance(self.delay, int) and self.delay > 0


@dataclass(frozen=True)
class Signal:
    """A sum of sources. Signals are added, multiplied by numbers, delayed; none is changed."""

    sources: tuple[Source, ...]

    def __add__(self, other: Signal) -> Signal:
        return Signal(self.sources + other.sources)

    def __mul__(self, gain: float) -> Signal:
        def louder(s: Source) -> Source:
            if isinstance(s.gain, str):
                what = "a trained gain takes no factor"
                raise UsageError(what, where=s.node, value=s.gain, fix="multiply first")
            return replace(s, gain=s.gain * float(gain))

        return self._changed(louder)

    __rmul__ = __mul__

    def gained(self, name: str) -> Signal:
        """The same with the trained gain `name` (`Network.gain`)."""
        return self._changed(lambda s: replace(s, gain=name))

    def delayed(self, steps: int | str) -> Signal:
        """The same, `steps` later, or by the trained delays of that name (`Network.delays`)."""
        number = isinstance(steps, int) and not isinstance(steps, bool)
        if not isinstance(steps, str) and not (number and 0 <= steps < 1 << 16):
            raise UsageError("a delay is a number of steps", value=steps, limit="0..65535")

        def later(s: Source) -> Source:
            if isinstance(steps, str) or isinstance(s.delay, str):
                if s.delay != 0:
                    what = "trained delays stand alone"
                    raise UsageError(what, where=s.node, value=s.delay, fix="give one of the two")
                return replace(s, delay=steps)
            return replace(s, delay=s.delay + steps)

        return self._changed(later)

    def channels(self, first: int, last: int) -> Signal:
        """Of each source the channels first..last-1 alone."""
        if not 0 <= first < last:
            raise UsageError(
                "no such channels", value=f"{first}..{last}", limit="0 <= first < last"
            )

        def part(s: Source) -> Source:
            low = s.part[0] if s.part else 0
            return replace(s, part=(low + first, low + last))

        return self._changed(part)

    def _changed(self, change: Callable[[Source], Source]) -> Signal:
        return Signal(tuple(map(change, self.sources)))


def after(node: str, steps: int = 1) -> Signal:
    """The spikes of a node, added already or later, `steps` later: what closes a cycle."""
    return Signal((Source(node),)).delayed(steps)
