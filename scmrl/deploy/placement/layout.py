"""The network that a chip runs: what is placed and priced, and what the Loihi backends build.

    chip with cores    a pipeline (`convert.frame.pipeline`): skips wait in delays of synapses up to
                       the profile's `delay_steps`, beyond it and without it in relays
    arithmetic alone   the graph itself

Convolutions are stored as the way to the chip stores them: shared as kernels, or *expanded*, every
connection on its own. Lava's way to Loihi 2 expands them (its Conv has no delay and leaves out the
weights' exponent); all other chips are taken by their own tools, which share. State is cleared
every `window` steps, of which a sample takes the first.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...convert.frame.pipeline import Pipeline, at_once, pipeline
from ...core.graph import Graph
from ...hw_profiles.profile import Profile
from .placement import placeable

EXPANDED = ("loihi2",)  # mappings
POWERS_OF_TWO = ("loihi2",)


@dataclass(frozen=True)
class Layout:
    """The network that is placed, inputs apart. `waiting`: its synapses, from population to
    population, that delay by one step or more, `longest_wait` the most; `processes` of LIF neurons,
    each with one set of parameters; `streams`: samples may follow each other back to back.
    `cores_if_shared`: the cores if convolutions could be stored shared, None where they are, or
    would fit no core.
    """

    neurons: int
    relays: int  # of the neurons
    processes: int
    waiting: int
    longest_wait: int
    delay_steps: int | None  # of the chip, where that is known
    depth: int
    streams: bool
    convolutions: str  # shared, expanded or none
    cores: int | None
    cores_if_shared: int | None


def delay_steps(profile: Profile) -> int | None:
    """By how many steps the synapses of a chip can delay, where that is known."""
    limit = profile.limits.get("delay_steps")
    return None if limit is None else int(limit.value)


def window(steps: int, profile: Profile) -> int:
    """Every how many steps state is cleared between samples of `steps` steps: a chip that Lava
    drives clears at powers of two alone.
    """
    return 1 << (steps - 1).bit_length() if profile.mapping in POWERS_OF_TWO else steps


def laid_out(graph: Graph, profile: Profile) -> Pipeline:
    """What runs on a chip. Raises `NoPipeline`."""
    return pipeline(graph, delay_steps(profile) or 0) if placeable(profile) else at_once(graph)


def expands(profile: Profile) -> bool:
    """Whether the way to the chip stores convolutions connection by connection."""
    return profile.mapping in EXPANDED
