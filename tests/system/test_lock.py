"""One owner of a directory: it is named, a dead one's lock is taken over, nothing is left."""

import dataclasses
import errno
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from scmrl.system import lock
from scmrl.system.errors import ScmrlError, UsageError, quoted

HOLDER = """
import sys, time
from pathlib import Path
from scmrl.system import lock
with lock.hold(Path(sys.argv[1]), "training"):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(directory):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    return process


def as_owner(path, **changed):
    """A lock file of this process's making with other words in it."""
    with lock.hold(path.parent, "sweep"):
        table = json.loads(path.read_text())
    path.write_text(json.dumps({**table, **changed}))


@pytest.fixture
def unlockable(monkeypatch):
    def refused(_descriptor, _kind):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock.fcntl, "flock", refused)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(lock, "PATIENCE_S", 0.1)


def test_a_second_owner_is_refused_and_told_who_is_there(tmp_path):
    first = holder(tmp_path / "run")
    try:
        with pytest.raises(UsageError, match=f"training, process {first.pid} on .* since 20"):
            with lock.hold(tmp_path / "run", "training"):
                pass
        assert lock.owner(tmp_path / "run").pid == first.pid
    finally:
        first.communicate("")
    assert lock.owner(tmp_path / "run") is None and not (tmp_path / "run").exists()


def test_one_process_does_not_own_a_directory_twice(tmp_path):
    with lock.hold(tmp_path, "training"):
        with pytest.raises(UsageError, match=f"process {os.getpid()}"):
            with lock.hold(tmp_path, "sweep"):
                pass
        assert lock.owner(tmp_path).what == "training"
    assert not list(tmp_path.iterdir())


def test_the_lock_of_a_killed_owner_is_taken_over(tmp_path):
    first = holder(tmp_path)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert (tmp_path / lock.NAME).exists() and lock.owner(tmp_path) is None
    with lock.hold(tmp_path, "training"):
        assert lock.owner(tmp_path).pid == os.getpid()
    assert not list(tmp_path.iterdir())


def test_a_forked_child_does_not_keep_the_lock(tmp_path):
    script = HOLDER.replace(
        'print("held"',
        'child = __import__("os").fork()\n    if child == 0:\n'
        '        time.sleep(60)\n    print("held", child',
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    child = int(process.stdout.readline().split()[1])
    try:
        process.send_signal(signal.SIGKILL)
        process.wait()
        with lock.hold(tmp_path, "training"):
            os.kill(child, 0)  # it lives, and owns nothing
    finally:
        os.kill(child, signal.SIGKILL)
        process.stdin.close(), process.stdout.close()


def test_of_many_at_once_one_gets_it(tmp_path):
    inside, most, refused, lots = [], [0], [], threading.Barrier(8)

    def work():
        lots.wait()
        for _ in range(30):
            try:
                with lock.hold(tmp_path / "run", "training"):
                    inside.append(1)
                    most[0] = max(most[0], len(inside))
                    inside.pop()
            except Exception as error:
                refused.append(type(error))

    threads = [threading.Thread(target=work) for _ in range(8)]
    [t.start() for t in threads], [t.join() for t in threads]
    assert most[0] == 1 and set(refused) <= {UsageError} and not list(tmp_path.glob("run/*"))


@pytest.mark.parametrize("error", [FileExistsError, FileNotFoundError])
def test_a_directory_that_its_last_owner_removes_meanwhile_is_made_again(
    tmp_path, monkeypatch, error
):
    """mkdir finds it there, and a moment later it is no directory; or it is gone before the lock is
    opened.
    """
    made, times = Path.mkdir, []

    def mkdir(path, *args, **kwargs):
        times.append(path)
        if len(times) == 1:
            raise error(path)
        made(path, *args, **kwargs)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with lock.hold(tmp_path / "run", "training"):
        assert (tmp_path / "run" / lock.NAME).exists()


def test_a_file_in_the_place_of_the_directory_is_told(tmp_path):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(ScmrlError, match="run/scmrl.lock: cannot write .got File exists."):
        with lock.hold(tmp_path / "run", "training"):
            pass


def test_an_owner_on_another_machine_is_believed(tmp_path):
    path = tmp_path / lock.NAME
    as_owner(path, host="elsewhere", boot="another")
    with pytest.raises(UsageError, match=f"sweep, process .* on elsewhere .*remove {quoted(path)}"):
        with lock.hold(tmp_path, "training"):
            pass
    assert lock.owner(tmp_path).host == "elsewhere"
    path.unlink()
    with lock.hold(tmp_path, "training"):
        pass


@pytest.mark.parametrize(
    "changed",
    [{"boot": "an earlier one"}, {"started": 1}, {"pid": 2**22 + 1}],
    ids=lambda c: next(iter(c)),
)
def test_without_locks_a_dead_owner_is_known_by_its_start(tmp_path, unlockable, changed):
    path = tmp_path / lock.NAME
    as_owner(path)
    with pytest.raises(UsageError, match=f"sweep, process {os.getpid()}"):
        with lock.hold(tmp_path, "training"):
            pass
    assert lock.owner(tmp_path).pid == os.getpid()
    as_owner_again = {**json.loads(path.read_text()), **changed}
    path.write_text(json.dumps(as_owner_again))
    assert lock.owner(tmp_path) is None
    with lock.hold(tmp_path, "training"):
        assert lock.owner(tmp_path).what == "training"
    assert not list(tmp_path.iterdir())


def test_a_strangers_file_of_that_name_survives(tmp_path):
    (tmp_path / lock.NAME).write_text("my notes")
    with pytest.raises(UsageError, match="not a lock of scmrl"):
        with lock.hold(tmp_path, "training"):
            pass
    assert (tmp_path / lock.NAME).read_text() == "my notes"
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / lock.NAME).symlink_to(tmp_path / lock.NAME)
    with pytest.raises(Exception, match="cannot write"):
        with lock.hold(tmp_path / "run", "training"):
            pass
    assert (tmp_path / lock.NAME).read_text() == "my notes"


def test_hints_can_be_copied(scmrl, model, tmp_path):
    there = tmp_path / "my runs; all"
    model.rename(there)
    code, _, err = scmrl("energy", there, "--profile", "loihi2")
    assert code == 0
    code, _, err = scmrl("verify", there, "--backends", "simulator", "--samples", "1")
    assert code == 0 and f"next: scmrl energy '{there}'" in err


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="looks into /proc")
def test_an_owner_that_ended_is_dead_although_its_parent_has_not_asked_how():
    child = os.fork()
    if child == 0:
        signal.pause()
    owner = dataclasses.replace(
        lock.Owner.here("training"), pid=child, started=lock._started(child)
    )
    try:
        assert owner.alive
        os.kill(child, signal.SIGKILL)
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        os.kill(child, 0)  # its number is still taken
        assert not owner.alive
    finally:
        os.waitpid(child, 0)
