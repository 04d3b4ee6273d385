"""What all exports have in common; what all importers of HDF5 have is in `hdf5`.

DIR/bundle.json, graph.json, tensors.npz, samples.npz     the bundle, unchanged
DIR/TARGET/...                                            the files of the target
DIR/README.txt                                            TARGET.txt beside this file, filled in
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from string import Template
from typing import Any

from ...core.bundle import Bundle
from ...core.graph import Graph, Population
from ...system.storage import whole_directory

Facts = dict[str, Any]  # JSON


def export(
    bundle: Bundle, path: Path, target: str, fill: Callable[[Path], tuple[Facts, Facts]]
) -> Facts:
    """Write the export to directory `path`, whole. `fill` writes the target's files into the
    directory that it is given, in which the bundle lies, and returns the summary of the export,
    which is returned, and the words of its README.
    """
    with whole_directory(path, target) as directory:
        bundle.write(directory)
        (directory / target).mkdir()
        summary, words = fill(directory)
        template = Template(Path(__file__).with_name(f"{target}.txt").read_text(encoding="utf-8"))
        (directory / "README.txt").write_text(template.substitute(words), encoding="utf-8")
    return summary


def summary(
    target: str, graph: Graph, facts: Facts, populations: Iterable[tuple[Population, bool, Facts]]
) -> Facts:
    """What was exported, for reports: `facts` of the target, and of every population its label
    (whether it is exact) and facts.
    """
    entries = [
        {"name": p.name, "label": "exact" if exact else "approximate", "kind": p.kind} | more
        for p, exact, more in populations
    ]
    return {"target": target, "steps": graph.steps} | facts | {"populations": entries}
