"""Which reading of a file is its network: what NIR does not say, judged by what the framework or
the labels say.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .comparison import Observed, observe, reading_agreement
from .floats.convention import Convention
from .floats.network import Network
from .floats.reading import network
from .samples import Golden

# Of one reading's cross-entropy, that another one must come below to be believed. Measured on 40
# networks of snntorch: none that resets to zero and learnt its task comes below with subtraction.
LESS = 0.64
RESOLVED = 0.01  # nats, that a hundred samples do not tell from none
SHARPNESS = np.geomspace(0.03, 10, 60)  # of the counts, among which the best one is taken


@dataclass(frozen=True)
class Choice:
    """The network of the reading that was chosen, its run, and why."""

    network: Network
    observed: Observed


def choose(
    graph: Any,
    first: Network,
    conventions: tuple[Convention, ...],
    data: dict[str, np.ndarray],
    labels: np.ndarray | None,
    golden: Golden,
) -> Choice:
    """Runs every reading where there is something to judge by; else the first one, and says what
    was assumed.
    """
    best = Choice(first, observe(first, data))
    if len(conventions) == 1:
        return best
    judged = bool(golden) or labels is not None
    for other in conventions[1:]:
        if not judged:
            text = f"assumed: reset {first.convention.words}; NIR does not say it; it may be"
            note = f"{text} {other.words}: give labels y, golden results, or --reset"
            return replace(best, network=best.network.noted(note))
        dt = first.dt
        net = network(graph, dt=dt, convention=other)
        net = replace(net, notes=first.notes, warnings=first.warnings)
        best = _better(best, Choice(net, observe(net, data)), labels, golden)
    return best


def _better(one: Choice, two: Choice, labels: np.ndarray | None, golden: Golden) -> Choice:
    """The better of two, with a note. Labels must speak for the second clearly: right as often,
    with much less doubt; a warning where they speak clearly for neither.
    """
    unsure = False
    if golden:
        by = "agreement with the framework's own results"
        scores = [reading_agreement(c.observed, golden) or 0.0 for c in (one, two)]
        better, shown = scores[1] > scores[0], [f"{100 * s:.2f} %" for s in scores]
    elif labels is None:
        return one
    else:
        by = "labels"
        right = [float((c.observed.classes == labels).mean()) for c in (one, two)]
        doubt = [_cross_entropy(c.observed.scores, labels) for c in (one, two)]
        better = right[1] >= right[0] and doubt[1] < LESS * doubt[0]
        resets = {c.network.convention.reset for c in (one, two)}
        unsure = not better and LESS * doubt[1] < doubt[0] and len(resets) > 1
        shown = [f"{100 * r:.1f} %, {d:.3f} nats" for r, d in zip(right, doubt)]
    chosen, other = (two, one) if better else (one, two)
    texts = shown[::-1] if better else shown
    note = (
        f"assumed: reset {chosen.network.convention.words}, by {by} ({texts[0]}); NIR does not say "
        f"it; the other reading is {other.network.convention.words} ({texts[1]}): --reset tells"
    )
    net = chosen.network.noted(note)
    if unsure:
        words = (
            f"labels hardly tell how neurons reset: {chosen.network.convention.words} is assumed"
        )
        text = f"{words}; {other.network.convention.words} may be as likely"
        told = f"{text}. Give --reset, or the framework's own results (--golden)"
        net = replace(net, warnings=(*net.warnings, told))
    return replace(chosen, network=net)


def _cross_entropy(scores: np.ndarray, labels: np.ndarray) -> float:
    """Of the classes' values, at the sharpness that suits them: what a framework trained them by,
    counts or rates, is not known.
    """
    known = labels < scores.shape[1]
    if not known.all():
        return float("inf")
    log = SHARPNESS[:, None, None] * (scores - scores.max(1, keepdims=True))
    log -= np.log(np.exp(log).sum(2, keepdims=True))
    return float(-log[:, np.arange(len(labels)), labels].mean(1).max()) + RESOLVED
