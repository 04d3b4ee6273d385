"""A population with its incoming synapses, prepared for the simulator; bounds tell which sums are
exact.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from ....core.fixed_point import BIAS_FITS, CURRENT_SHIFT, DECAY_ONE, EVERY_STATE_FITS
from ....core.graph import Graph, Population, Synapse

State = tuple[np.ndarray, np.ndarray]  # u and v of a population [S, neurons]


class PreparedLayer:
    """What a layer needs to know, whichever way it computes. `advance` is the way."""

    def __init__(self, graph: Graph, population: Population):
        self.population = population
        self.synapses = graph.incoming(population.name)
        self.sources = {synapse.source: graph[synapse.source] for synapse in self.synapses}
        self.bias = population.bias
        du, dv = population.decays
        self.keep_u, self.keep_v = self._each(DECAY_ONE - 1 - du), self._each(DECAY_ONE - dv)
        self.threshold = self._each(population.vth << CURRENT_SHIFT)
        self.subtracts = population.reset == "subtract"
        self.worst = graph.worst_activation(population.name)
        self.fits_24_bits = (
            self.worst <= EVERY_STATE_FITS and int(np.abs(self.bias).max()) <= BIAS_FITS
        )

    @staticmethod
    def flat(values: np.ndarray) -> np.ndarray:
        """Values of a population's shape in the order that the layer uses: [neurons]."""
        raise NotImplementedError

    def _each(self, values: int | np.ndarray) -> int | np.ndarray:
        """A parameter as the layer uses it: one number for all neurons, or int64 [neurons]."""
        if isinstance(values, np.ndarray):
            return self.flat(self.population.per_neuron(values))
        return int(values)

    def largest_sum(self, synapse: Synapse) -> int:
        """Upper bound of |a| that one synapse can cause: all sources of a target at their largest
        value.
        """
        source = self.sources[synapse.source]
        sums = synapse.per_target(source.shape, self.population.shape, np.abs)
        return int(sums.max()) * (source.largest << int(synapse.exponent))

    def can_hold(self, static: set[str]) -> bool:
        """Whether a[t] is the same at every step because every source is a static input."""
        return all(s.source in static and s.delay == 0 for s in self.synapses)

    def offset(self, states: dict[str, State], number: DTypeLike) -> np.ndarray:
        """What a step adds to v beside u: the bias, and the membrane of a joined population. [1 or
        S, neurons].
        """
        bias = self.bias.reshape(1, -1)
        return (
            bias + states[self.population.adds][1].astype(number) if self.population.adds else bias
        )

    def bytes_per_step(self) -> int:
        """Scratch memory of one sample and step."""
        raise NotImplementedError

    def state(self, samples: int) -> State:
        """u and v at the start of a sample."""
        raise NotImplementedError

    def advance(
        self,
        values: dict[str, np.ndarray],
        states: dict[str, State],
        first: int,
        last: int,
        held: bool,
    ) -> int:
        """Compute steps first..last-1 of `values[population]` [S, T, neurons]; returns the overflow
        count.

        `states`: of every population, advanced in place; where this one adds another's membrane,
        that one stands at the same step, so these are single steps. `held`: a[first] stands for
        every one of these steps.
        """
        raise NotImplementedError
