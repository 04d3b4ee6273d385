"""Every figure of `energy` and `place` stays what it is: of two networks, on every chip.

    python tests/deploy/estimates/test_figures.py      where a change of the estimates is meant

writes `figures.json` anew; what it changes there is what the change does, and belongs in the
changelog. That the figures are right is for the other tests, which compute terms by hand.
"""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))
from conformance.graphs.drawn import random_graph
from conformance.graphs.networks import attention_graph
from figures import check, keep, numbers

from scmrl.core import reference
from scmrl.core.bundle import Bundle
from scmrl.deploy import jobs
from scmrl.hw_profiles import profile

KEPT = Path(__file__).with_name("figures.json")
PLACED = ("loihi1", "loihi1-sanafe", "loihi2", "truenorth")
NETWORKS = {
    "attention": attention_graph,
    "drawn": lambda: random_graph(8)[0],
}


def bundle_of(graph):
    random = np.random.default_rng(2)
    inputs = {
        p.name: (
            random.integers(0, 1 << p.bits, (3, graph.steps, *p.shape))
            * (random.random((3, graph.steps, *p.shape)) < 0.4)
        ).astype(np.uint16)
        for p in graph.of_kind("input")
    }
    return Bundle(graph, inputs, np.zeros(3, np.int64), reference.run(graph, inputs))


def figures(name):
    """All numbers but zero of a network's reports, nested as there, by path where they are kept."""
    bundle = bundle_of(NETWORKS[name]())
    said = {"energy": jobs.energy(bundle, sorted(profile.names())).to_json()}
    return numbers(
        said | {f"place on {chip}": jobs.place(bundle, chip).to_json() for chip in PLACED}
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_figures_stay_what_they_are(name):
    check(KEPT, name, figures(name))


if __name__ == "__main__":
    keep(KEPT, {name: figures(name) for name in NETWORKS})
