"""Shared fixtures: a small frozen model that needs no training and no torch."""

import dataclasses
import os
import secrets
import signal
import time

if "PYTEST_XDIST_WORKER" in os.environ:  # several files at a time: each keeps to one core
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import settings

from scmrl import cli
from scmrl.core import reference
from scmrl.core.bundle import Bundle
from scmrl.core.graph import Conv2d, Dense, Graph, OneToOne, Population, Window
from scmrl.core.samples import HELD_OUT, TRUE, Origin

settings.register_profile("ci", derandomize=True, deadline=None)
settings.load_profile("ci")
# A shell that starts tests in the background has them ignore Ctrl-C, and so would every process
# that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


# Files that take half a minute or more start first, so that no process waits at the end for
# another's; the first trains in its own process, which compiles the kernels for all the processes
# that the others start.
LONG = (
    "test_learning",
    "test_conformance",
    "test_placement",
    "test_lava",
    "test_docs",
    "test_sweep",
    "test_benchmarks",
    "test_sweep_shared",
    "test_resume",
    "test_processes",
    "test_kills",
    "test_published",
    "test_lint",
    "test_interrupts",
)


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))


if os.environ.get("SCMRL_CI"):
    import skips

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport():
        report = yield
        skips.refuse(report)
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report():
        report = yield
        skips.refuse(report)
        return report


@pytest.fixture
def scmrl(capsys):
    """Run a command in this process: (exit code, stdout, stderr)."""

    def run(*arguments):
        with pytest.raises(SystemExit) as leaving:
            cli.main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return leaving.value.code, out, err

    return run


@pytest.fixture(scope="module")
def few():
    """Training on a part of the embedded data."""
    from few import patch

    with pytest.MonkeyPatch.context() as patched:
        patch(patched.setattr)
        yield


@pytest.fixture(scope="session")
def small_bundle() -> Bundle:
    """Two graded inputs, convolution, pooling, AND, skips of two depths and a readout; 6 samples of
    3 steps.
    """
    random = np.random.default_rng(5)

    def weight(*shape):
        return random.integers(-100, 128, shape).astype(np.int16)

    populations = (
        Population("audio", (1, 8, 8), "input", bits=6),
        Population("visual", (1, 8, 8), "input", bits=6),
        Population(
            "audio.conv",
            (3, 8, 8),
            vth=4000,
            dv=2048,
            bias_mant=np.array([[[50]], [[-20]], [[0]]]),
            bias_exp=6,
        ),
        Population("visual.conv", (3, 8, 8), vth=3000, dv=1000),
        Population("audio.pool", (3, 4, 4), vth=0, memoryless=True),
        Population("visual.pool", (3, 4, 4), vth=0, memoryless=True),
        Population("both", (3, 4, 4), vth=1, memoryless=True),
        Population("readout", (4,), "readout", bias_mant=np.array([1, -2, 3, 0]), bias_exp=5),
    )
    synapses = (
        Conv2d("audio", "audio.conv", weight(3, 1, 3, 3), padding=(1, 1)),
        Conv2d("visual", "visual.conv", weight(3, 1, 3, 3), padding=(1, 1)),
        Window("audio.conv", "audio.pool", 1, (3, 3), (2, 2), (1, 1)),
        Window("visual.conv", "visual.pool", 1, (3, 3), (2, 2), (1, 1)),
        OneToOne("audio.pool", "both", 1),
        OneToOne("visual.pool", "both", 1),
        Dense("both", "readout", weight(4, 48)),
        Dense("audio.pool", "readout", weight(4, 48)),
        Dense("visual.conv", "readout", weight(4, 192)),
    )
    graph = Graph(populations, synapses, 3, ("a", "b", "c", "d")).check()
    inputs = {
        name: (
            random.integers(0, 64, (6, 3, 1, 8, 8)) * (random.random((6, 3, 1, 8, 8)) < 0.5)
        ).astype(np.uint8)
        for name in ("audio", "visual")
    }
    trained = dataclasses.replace(reference.run(graph, inputs), backend="training")
    return Bundle(
        graph,
        inputs,
        np.array([0, 1, 2, 3, 0, 1]),
        trained,
        metrics={"test_accuracy": 0.5, "test_correct": 3},
        training={"dataset": "digits-av"},
        origin=Origin(HELD_OUT, TRUE),
    )


@pytest.fixture
def model(small_bundle, tmp_path):
    """The small model on disk, as a run directory."""
    small_bundle.save(tmp_path / "run" / "bundle")
    return tmp_path / "run"


class SharedNames:
    """The names in shared memory that one program and its children make, told from those of others
    by how they begin: a test beside this one has its own there, mapped or not.

    `first` is the Python to run first of all in that program.
    """

    def __init__(self) -> None:
        mark = secrets.token_hex(3)  # short: shared_memory's names have 14 characters in all
        self.first = (
            "import multiprocessing.process, multiprocessing.shared_memory\n"
            f"multiprocessing.shared_memory._SHM_NAME_PREFIX = '/{mark}_'\n"
            f"multiprocessing.process.current_process()._config['semprefix'] = '/{mark}'\n"
        )
        self._begins = (mark, f"sem.{mark}")

    def left(self, seconds: float = 10) -> list[str]:
        """The names that are still there after at most `seconds`."""
        end = time.monotonic() + seconds
        while names := [name for name in os.listdir("/dev/shm") if name.startswith(self._begins)]:
            if time.monotonic() > end:
                break
            time.sleep(0.05)
        return names
