"""Tests in forks of one process that holds the libraries: whether they pass, what they call.

benchmarks/mutants.py starts it with the Python of the tests, names the libraries, and asks, a line
of JSON each:

    {"place": folder, "tests": [files or test ids], "env": {}, "changed": whether the code is,
     "reach": whether to say what tests call, "cpu_s": most, "wall_s": most}

The answer, a line too: {"code": pytest's, or null past a limit, "failed": the first test that did,
"reached": {file: {"setup_s", "tests": {id: {"s", "calls": ["path::function"]}}}} if asked for}.
Tests run in the order asked. The limit that counts is of processor time: a busy machine is slow,
and no change of the code.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import resource
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest


def spent() -> float:
    """Seconds of processor time of this process and the children that ended."""
    return sum(os.times()[:4])


class Run:
    """A pytest plugin: the tests asked for, in that order; what failed first; what each called."""

    def __init__(self, place: Path, tests: list[str], reach: bool):
        self.place, self.tests, self.reach = f"{place}{os.sep}scmrl{os.sep}", tests, reach
        self.failed = ""
        self.reached: dict[str, dict] = {}
        self.codes: set = set()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list) -> None:
        files = list(dict.fromkeys(test.partition("::")[0] for test in self.tests))
        whole, ids = set(self.tests) & set(files), set(self.tests)
        ids = {i.nodeid for i in items if i.nodeid in ids or i.nodeid.partition("::")[0] in whole}
        items[:] = [item for item in items if item.nodeid in ids]
        items.sort(key=lambda item: files.index(item.nodeid.partition("::")[0]))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> object:
        start, self.codes = spent(), set()
        result = yield
        kept = self.reached.setdefault(
            item.nodeid.partition("::")[0], {"setup_s": 0.0, "setup": set(), "tests": {}}
        )
        kept["setup_s"] += spent() - start
        kept["setup"] |= self.codes
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> object:
        start, self.codes = spent(), set()
        result = yield  # a test that fails is not kept
        kept = self.reached[item.nodeid.partition("::")[0]]["tests"]
        kept[item.nodeid] = {"s": spent() - start, "calls": self.codes}
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed = self.failed or report.nodeid

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.failed = self.failed or report.nodeid

    def called(self, frame: object, event: str, _: object) -> None:
        self.codes.add(frame.f_code)  # and no lines of it

    def functions(self, codes: set) -> list[str]:
        """The outermost functions and methods that these codes stand in: "core/graph.py::A.f"."""
        here = (code for code in codes if code.co_filename.startswith(self.place))
        names = {
            (code.co_filename[len(self.place) :], getattr(code, "co_qualname", code.co_name))
            for code in here
        }
        return sorted({f"scmrl/{file}::{name.partition('.<locals>')[0]}" for file, name in names})

    def said(self) -> dict:
        return {
            file: {
                "setup_s": round(kept["setup_s"], 3),
                "setup": self.functions(kept["setup"]),
                "tests": {
                    name: {"s": round(test["s"], 3), "calls": self.functions(test["calls"])}
                    for name, test in kept["tests"].items()
                },
            }
            for file, kept in self.reached.items()
        }


def child(asked: dict, answer: str) -> None:
    """Run the tests of a request, and write the answer."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    limit = int(asked["cpu_s"]) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
    os.environ.update(asked["env"])
    with contextlib.suppress(ImportError):
        from numba.core import config

        config.reload_config()
    place = Path(asked["place"])
    os.chdir(place)
    sys.path[:0] = [str(place)]
    sys.dont_write_bytecode = asked["changed"]
    run = Run(place, asked["tests"], asked["reach"])
    files = list(dict.fromkeys(test.partition("::")[0] for test in asked["tests"]))
    words = ["-p", "no:cacheprovider", "--tb=no", *files] + ([] if run.reach else ["-x"])
    if run.reach:
        threading.settrace(run.called)
        sys.settrace(run.called)
    code = int(pytest.main(words, plugins=[run]))
    sys.settrace(None)
    said = {"code": code, "failed": run.failed, "reached": run.said() if run.reach else {}}
    Path(answer).write_text(json.dumps(said), encoding="utf-8")


def waited(pid: int, seconds: float) -> int:
    """A child's status; it and its children are killed when it ends or the time is over."""
    end = time.monotonic() + seconds
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended or time.monotonic() > end:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            return status if ended else os.waitpid(pid, 0)[1]
        time.sleep(0.05)


def main() -> None:
    for name in sys.argv[1:]:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    gc.freeze()
    sys.path[:] = [path for path in sys.path if path != str(Path(__file__).parent)]
    for line in sys.stdin:
        asked = json.loads(line)
        with tempfile.TemporaryDirectory() as folder:
            answer = Path(folder) / "answer.json"
            if not (pid := os.fork()):
                try:
                    child(asked, str(answer))
                finally:
                    os._exit(0)
            waited(pid, asked["wall_s"])
            late = {"code": None, "failed": "", "reached": {}}
            said = json.loads(answer.read_text(encoding="utf-8")) if answer.exists() else late
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
