"""The board backend on the double of lava-loihi, in a process of its own: the double's modules join
Lava's own packages, and are to be seen by no other test.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

from conformance.equality import Inputs
from places import ROOT, TESTS

from scmrl.core.activity import Activity
from scmrl.core.graph import Graph
from scmrl.system.errors import GraphError

DOUBLE = TESTS / "deploy" / "backends" / "lava_loihi_double"


def environment(double: Path | None = DOUBLE, **more: str) -> dict[str, str]:
    """Of a process that finds scmrl, these tests, no real board, and the double and its `sinfo`."""
    theirs = ("BOARD", "PARTITION", "NXSDKHOST")
    places, programs = [ROOT, TESTS], [os.environ["PATH"]]
    if double is not None:
        places.append(double)
        programs.insert(0, str(double / "bin"))
    return {
        **{name: value for name, value in os.environ.items() if name not in theirs},
        "PYTHONPATH": os.pathsep.join(map(str, places)),
        "PATH": os.pathsep.join(programs),
        **more,
    }


class OnTheDouble:
    """Runs graphs one after the other. A context manager."""

    def __enter__(self) -> OnTheDouble:
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(),
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=60)

    def run(self, graph: Graph, inputs: Inputs) -> Activity:
        """Raises `GraphError` where the board refuses the graph."""
        pickle.dump((graph, inputs), self._process.stdin)
        self._process.stdin.flush()
        activity, refusal = pickle.load(self._process.stdout)
        if refusal is not None:
            raise GraphError(refusal)
        return activity


def serve() -> None:
    """Answer (graph, inputs) on standard input by (activity, None) or (None, what is refused)."""
    from scmrl.deploy.backends.loihi import loihi

    measured = []

    def once(*arguments):
        """How long the adapters take is theirs, not the graph's."""
        return measured[0] if measured else measured.append(probe(*arguments)) or measured[0]

    probe, loihi.probe = loihi.probe, once
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    while True:
        try:
            graph, inputs = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            with loihi.Loihi(graph) as board:
                answer = board.run(inputs), None
        except GraphError as error:
            answer = None, str(error)
        pickle.dump(answer, answers)
        answers.flush()


if __name__ == "__main__":
    serve()
