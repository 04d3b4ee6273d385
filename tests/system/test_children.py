"""A bound child takes its command's place, and ends with its parent whatever ends that."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from scmrl.system import children

linux = pytest.mark.skipif(sys.platform != "linux", reason="a death signal is Linux's alone")


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_bound_command_keeps_its_streams_words_and_exit_code():
    code = "import sys; print(sys.argv[1:]); sys.exit(len(sys.stdin.read()))"
    done = subprocess.run(
        children.bound([sys.executable, "-c", code, "a b", "--", "-I"]),
        input="four",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (4, "['a b', '--', '-I']\n", "")


@linux
@pytest.mark.parametrize("stopped", [False, True])
def test_a_bound_command_is_killed_with_its_parent(stopped):
    parent = textwrap.dedent("""
        import subprocess, sys, time
        from scmrl.system import children
        words = [sys.executable, "-c", "print(flush=True); input()"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        child = subprocess.Popen(children.bound(words), **pipes)
        child.stdout.readline()                 # the command itself runs
        print(child.pid, flush=True)
        time.sleep(600)
    """)
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True)
    try:
        child = int(process.stdout.readline())
        assert alive(child)
        if stopped:
            os.kill(child, signal.SIGSTOP)
    finally:
        process.kill()
        process.communicate()
    end = time.monotonic() + 20
    while alive(child) and time.monotonic() < end:
        time.sleep(0.02)
    assert not alive(child)


@linux
def test_a_command_whose_parent_has_ended_does_not_start():
    command = children.bound([sys.executable, "-c", "print('started')"])
    command[command.index(str(os.getpid()))] = "1"
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
