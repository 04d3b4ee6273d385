"""Verilator, and simulated cores that it made, one for each number of engines, kept by what they
were made from.

    $XDG_CACHE_HOME/scmrl/verilog/KEY.core      KEY: sha256 of the core, the driver, the parameters,
                                                and what both compilers say of themselves
"""

from __future__ import annotations

import functools
import shutil
from dataclasses import dataclass
from pathlib import Path

from ....convert.frame.tools import said
from ....convert.verilog.memories import LARGEST, WIDEST
from ....convert.verilog.program import render
from ....system import temporary
from ....system.errors import MissingDependency
from .. import cache

TOP = "scmrl_core"
FLAGS = (
    *("--cc", "--exe", "--build", "-O3", "-Wno-WIDTH", "-CFLAGS", "-O2", "--x-initial", "0"),
    *("--x-assign", "fast", "--language", "1364-2005", "--top-module", TOP, "--prefix", "Vcore"),
)
KEPT = 16  # cores
SECONDS = 600  # of one compilation


@dataclass(frozen=True)
class Verilator:
    """The program at `path`, and what it and the C++ compiler say of themselves."""

    path: str
    version: str
    compiler: str

    def core(self, engines: int) -> bytes:
        """The simulated core of that many engines, a program of driver.cpp, from the cache or
        compiled. Raises `BackendError` where that fails.
        """
        source = render({}, "core.v")["core.v"]
        driver = Path(__file__).with_name("driver.cpp").read_text(encoding="utf-8")
        parameters = [f"-G{name.upper()}={n}" for name, n in (LARGEST | WIDEST).items()]
        flags = (*FLAGS, f"-GP={engines}", *parameters)
        made_of = (self.version, self.compiler, source, driver, *flags)

        def make(new: Path) -> None:
            with temporary.directory("verilog") as directory:
                (directory / "core.v").write_text(source, encoding="utf-8")
                (directory / "driver.cpp").write_text(driver, encoding="utf-8")
                files = (str(directory / name) for name in ("core.v", "driver.cpp"))
                said([self.path, *flags, "-Mdir", str(directory / "made"), *files], SECONDS)
                new.write_bytes((directory / "made" / "Vcore").read_bytes())

        place = cache.place("verilog") / f"{cache.key(made_of)}.core"
        return cache.opened(place, make, Path.read_bytes, KEPT)


def find() -> Verilator:
    """Verilator and the C++ compiler and make that it calls, of this system. Raises
    `MissingDependency`.
    """
    for name in ("verilator", "make", "g++"):
        if not shutil.which(name):
            raise MissingDependency(
                name,
                enables="the backend verilog",
                install="your system's packages of verilator, make and g++",
            )
    return _examined(str(shutil.which("verilator")), str(shutil.which("g++")))


@functools.cache
def _examined(path: str, compiler: str) -> Verilator:
    lines = (said([program, "--version"], SECONDS).splitlines() for program in (path, compiler))
    return Verilator(path, *((each or [""])[0] for each in lines))
