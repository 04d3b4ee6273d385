"""The kill harness in small: killed writes and runs leave nothing half done, and the harness
notices when they do.
"""

import os
import subprocess
import sys

import pytest
from places import ROOT

pytest.importorskip("nir", reason="the harness prepares a NIR file")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@pytest.fixture(scope="module")
def kill(small_bundle, tmp_path_factory):
    """Run the harness on the small model: (exit code, what it said)."""
    model = tmp_path_factory.mktemp("kills") / "model"
    small_bundle.save(model)

    def run(places, kills, *more):
        done = subprocess.run(
            [
                sys.executable,
                ROOT / "benchmarks" / "kills.py",
                "--places",
                places,
                "--kills",
                str(kills),
                "--model",
                model,
                *more,
            ],
            capture_output=True,
            text=True,
            timeout=300,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        return done.returncode, done.stdout + done.stderr

    return run


def test_killed_writes_and_runs_leave_nothing_half_done(kill):
    code, said = kill("page-write,export-write", 3)
    assert code == 0, said
    assert said.count("3 kills, 0 failures") == 2


def test_a_killed_group_of_lava_leaves_nothing(kill):
    pytest.importorskip("lava", reason="runs on Lava")
    code, said = kill("lava-group", 2)
    assert code == 0, said


@pytest.mark.parametrize(
    ("safeguard", "place", "why"),
    [
        ("fsync", "page-write", "another result|half a copy"),
        ("rename", "page-write", "half a copy"),
    ],
)
def test_the_harness_fails_without_a_safeguard(kill, safeguard, place, why):
    code, said = kill(place, 4, "--without", safeguard, "--seed", "3")
    assert code == 1, said
    assert any(word in said for word in why.split("|")), said
