"""The step in seconds, where nobody names it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .....system.errors import GraphError
from .convention import Convention
from .neurons import NEURONS
from .parameters import numbers, positive

CONSTANTS = ("tau", "tau_mem", "tau_syn")


class Step(NamedTuple):
    """`seconds` and `why`; `guessed`: the file does not say it."""

    seconds: float
    why: str
    guessed: bool = False


def choose(graph: Any, nodes: dict[str, Any], convention: Convention) -> Step:
    """Metadata, then r = tau / dt, then the framework's own, then the time constants. Raises
    `GraphError` where a delay has no other scale.
    """
    metadata = getattr(graph, "metadata", None)
    if isinstance(metadata, dict) and "dt" in metadata:
        return Step(positive(metadata["dt"], "dt in the metadata"), "from the file's metadata")
    kinds = {name: type(node).__name__ for name, node in nodes.items()}
    leaky = [name for name in nodes if kinds[name] in ("LI", "LIF", "CubaLI", "CubaLIF")]
    if (seconds := _from_resistances(nodes, kinds, leaky)) is not None:
        return Step(seconds, "from r = tau / dt of the neurons")
    taus = {
        name: np.concatenate([_flat(nodes[name], what) for what in CONSTANTS]) for name in leaky
    }
    if not taus:
        for name, node in nodes.items():
            if kinds[name] == "Delay" and np.any(numbers(node.delay, name, "delay")):
                raise GraphError(
                    "a delay in seconds needs the step, which nothing in the graph says",
                    where=name,
                    value=f"{float(np.max(node.delay)):g} s",
                    fix="give dt (--dt)",
                )
        return Step(1.0, "nothing in the graph depends on it")
    smallest = min(float(tau.min()) for tau in taus.values())
    if (own := convention.step) is not None:
        scaled = f"its exporter multiplied the time constants by its step of {own:g} s"
        return Step(own * own, scaled) if smallest < own else Step(own, "the framework's own")
    if smallest >= 1.0:
        return Step(1.0, "time constants of a second and more are taken as steps", True)
    usual = "as NIR importers usually take it; give dt where another was trained with"
    return Step(min(1e-4, smallest), usual, True)


def _flat(node: Any, what: str) -> np.ndarray:
    """A parameter as it stands, or nothing."""
    value = getattr(node, what, None)
    return np.zeros(0) if value is None else np.ravel(value).astype(float)


def _from_resistances(
    nodes: dict[str, Any], kinds: dict[str, str], leaky: list[str]
) -> float | None:
    """dt where every neuron has the one ratio tau / r (an IF 1 / r), as exporters write it."""
    resistances = {name: _flat(node, "r") for name, node in nodes.items() if kinds[name] in NEURONS}
    membrane = {
        name: np.ravel(getattr(nodes[name], "tau_mem", getattr(nodes[name], "tau", np.nan)))
        for name in leaky
    }
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = [tau.astype(float) / resistances[name] for name, tau in membrane.items()]
        ratios += [1 / r for name, r in resistances.items() if kinds[name] == "IF"]
    ratio = np.concatenate([np.ravel(r) for r in ratios]) if ratios else np.ones(1)
    scaled = any(np.any(r > 1) for r in resistances.values())
    if scaled and np.all(ratio > 0) and np.allclose(ratio, ratio[0], rtol=0.01):
        return float(ratio[0])
    return None
