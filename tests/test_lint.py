"""The rules of ruff and mypy hold: what `make lint` runs, one test a command."""

import re
import subprocess
import sys

import pytest
from places import ROOT

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
HOOKS = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
COMMANDS = re.findall(r"-m ((?:ruff|mypy).*)", MAKEFILE)


def test_a_commit_and_make_lint_run_the_same():
    assert {command.split()[0] for command in COMMANDS} == {"ruff", "mypy"}
    assert re.findall(r"-m ((?:ruff|mypy).*)", HOOKS) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_lint(command):
    tool = command.split()[0]
    pytest.importorskip(tool, reason=f"{tool} is not installed")
    words = [sys.executable, "-m", *command.split()]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
