"""Temporary directories go with their run; what a killed one left goes with the next, and nobody
else's does.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from scmrl.system import lock, temporary


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def killed(place: Path) -> Path:
    """A directory with a file and a folder that a killed process left."""
    code = """
import os
from scmrl.system import temporary
with temporary.directory("netx") as path:
    (path / "model.net").write_bytes(b"x")
    (path / "more").mkdir()
    print(path, flush=True)
    os.kill(os.getpid(), 9)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "TMPDIR": str(place)},
    )
    left = Path(done.stdout.strip())
    assert sorted(p.name for p in left.iterdir()) == ["model.net", "more", lock.NAME], done.stderr
    return left


def test_a_directory_is_gone_at_the_end_whatever_ends_it(place):
    with pytest.raises(ValueError), temporary.directory("netx") as path:
        (path / "more").mkdir()
        (path / "more" / "file").write_text("x")
        assert path.parent == place and path.name.startswith("scmrl-netx-")
        raise ValueError
    assert list(place.iterdir()) == []


def test_the_next_removes_what_a_killed_one_left_and_keeps_what_lives(place):
    left = killed(place)
    with temporary.directory("nir") as alive:
        assert not left.exists()
        assert temporary.reclaim() == [] and alive.is_dir()
        killed_beside = killed(place)
        assert temporary.reclaim() == [killed_beside]


def test_nothing_of_strangers_is_removed(place):
    (place / "scmrl-notes").mkdir()
    (place / "scmrl-notes" / "mine.txt").write_text("x")
    (place / "scmrl-lock").mkdir()
    (place / "scmrl-lock" / lock.NAME).write_text("no lock of ours")
    (place / "scmrl-new").mkdir()
    (place / "scmrl-netx-young").mkdir()  # its owner is about to lock it
    (place / "scmrl-file").write_text("x")
    left = killed(place)
    elsewhere = shutil.move(left, place / "kept")
    (place / "scmrl-link").symlink_to(elsewhere, target_is_directory=True)
    before = sorted(place.rglob("*"))
    assert temporary.reclaim() == []
    assert sorted(place.rglob("*")) == before


def test_an_empty_directory_goes_when_it_is_old(place):
    (place / "scmrl-netx-old").mkdir()
    os.utime(place / "scmrl-netx-old", (0, 0))
    assert temporary.reclaim() == [place / "scmrl-netx-old"]


@pytest.mark.skipif(
    not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give a directory away"
)
def test_another_users_stays(place):
    left = killed(place)
    os.chown(left, 12345, 12345)
    assert temporary.reclaim() == [] and left.is_dir()
