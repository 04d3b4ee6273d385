"""How long a browser takes to show a report: a page of a network with 200 populations, headless
Chromium.

    python benchmarks/page.py [--populations 200] [--runs 5]

Prints the page's size, and the time from the start of navigation until the whole page is parsed and
laid out.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from scmrl.core import bundle, reference
from scmrl.core.graph import Dense, Graph, Population
from scmrl.deploy import jobs

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SCRIPT = (
    "<script>const tall=document.documentElement.getBoundingClientRect().height;"
    "document.title=JSON.stringify({shown:performance.now(),tall:tall})</script>"
)


def chain(populations: int, steps: int) -> tuple[Graph, dict[str, np.ndarray]]:
    random = np.random.default_rng(1)
    parts = [
        Population("audio", (1, 16, 16), "input"),
        *(Population(f"audio.layer{i}", (256,), vth=60, dv=400) for i in range(populations - 2)),
        Population("readout", (10,), "readout"),
    ]
    synapses = tuple(
        Dense(a.name, b.name, random.integers(-20, 24, (b.neurons, a.neurons)).astype(np.int16))
        for a, b in zip(parts, parts[1:])
    )
    graph = Graph(tuple(parts), synapses, steps, tuple("0123456789")).check()
    return graph, {"audio": (random.random((4, steps, 1, 16, 16)) < 0.3).astype(np.uint8)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--populations", type=int, default=200)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        raise SystemExit("no chromium on this machine")
    graph, inputs = chain(options.populations, steps=8)
    with tempfile.TemporaryDirectory() as folder:
        model, page = Path(folder) / "model", Path(folder) / "page.html"
        bundle.Bundle(graph, inputs, np.zeros(4, np.int64), reference.run(graph, inputs)).save(
            model
        )
        jobs.deploy(model, "simulator", page=page)
        page.write_text(page.read_text().replace("</body>", SCRIPT + "</body>"))
        times = []
        for run in range(options.runs):
            dom = subprocess.run(
                [
                    browser,
                    *FLAGS,
                    f"--user-data-dir={folder}/profile{run}",
                    "--dump-dom",
                    page.as_uri(),
                ],
                capture_output=True,
                text=True,
                timeout=120,
                check=True,
            ).stdout
            times.append(
                json.loads(re.search(r"<title>(\{.*?\})</title>", dom.replace("&quot;", '"'))[1])
            )
        print(
            f"{options.populations} populations, {page.stat().st_size / 1e6:.2f} MB,"
            f" {times[0]['tall']:,.0f} pixels tall: laid out after"
            f" {statistics.median(t['shown'] for t in times):.0f} ms (median of {options.runs})"
        )


if __name__ == "__main__":
    main()
