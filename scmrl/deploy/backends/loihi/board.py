"""The way to a Loihi 2 board: what must be installed, SLURM or a host, Lava's runtime there, its
profiler.

What is called here is open Lava's own: `lava.utils.loihi`, `lava.utils.slurm`, `Loihi2HwCfg`,
`lava.utils.profiler.Profiler`. Behind them stands lava-loihi, which only members of Intel's
research community have; the attributes read from its profilers are those that Intel's PilotNet
benchmark notebook and public users of the profiler name. scmrl was never run on a board.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import logging
import os
import shutil
import subprocess
import threading
import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ....system import dependencies
from ....system.errors import BackendError, MissingDependency
from ..lava.processes import LavaProcesses
from ..lava.session import LavaProcessError, ProcessSession

if TYPE_CHECKING:
    from .loihi import Board

NEEDED = (
    "lava.utils.loihi2_profiler",
    "lava.magma.core.model.nc.model",
    "lava.magma.core.model.c.model",
    "lava.proc.embedded_io.spike",
    "lava.proc.embedded_io.state",
)
LISTS = "`sinfo -N` lists the boards with their partitions"
SLURM_LIMIT_S = 10.0
STOP_LIMIT_S = 60.0  # for a board to hand in its last results

log = logging.getLogger(__name__)


def missing() -> list[str]:
    """The modules of lava-loihi that are not there."""
    return [name for name in NEEDED if not _is_there(name)]


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def version() -> str:
    for name in ("lava-loihi", "lava_loihi"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(name)
    return "of unknown version"


def reach(board: Board) -> str:
    """Point Lava at a board, by its environment variables; returns which, in words.

    SLURM, BOARD, PARTITION, LOIHI_GEN, or NOSLURM, NXSDKHOST, HOST_BINARY, LOIHI_GEN are set as
    Lava does it. Raises `MissingDependency` without lava-loihi, `BackendError` where no such board
    answers.
    """
    absent = missing()
    if absent:
        log.debug("modules of lava-loihi that are missing: %s", ", ".join(absent))
        raise MissingDependency(
            "lava-loihi", enables="runs on a Loihi 2 board", install=dependencies.BOARD
        )
    from lava.utils import loihi

    generation = loihi.ChipGeneration[board.generation]
    try:
        if board.host:
            loihi.use_ethernet_host(board.host, loihi_gen=generation)
            return f"Loihi 2 {board.generation} at {board.host}"
        if shutil.which("sinfo") is None:
            raise BackendError(
                "SLURM is not here (no sinfo), so no board can be asked for",
                where="loihi",
                fix="run on a host of the research community, or give --host ADDRESS",
            )
        # Lava forgets both where they are not named; where they are, it fails on sinfo's last,
        # empty line.
        asked = {
            "BOARD": board.board or os.environ.get("BOARD"),
            "PARTITION": board.partition or os.environ.get("PARTITION"),
        }
        wanted = {name: value for name, value in asked.items() if value}
        _require_up(wanted)
        loihi.use_slurm_host(loihi_gen=generation)
        os.environ.update(wanted)
        place = (
            ", ".join(f"{name.lower()} {value}" for name, value in wanted.items()) or "any board"
        )
        return f"Loihi 2 {board.generation} by SLURM, {place}"
    except (ValueError, OSError, subprocess.SubprocessError) as error:
        raise BackendError(f"no board there: {error}", where="loihi", fix=LISTS) from None


def _require_up(wanted: dict[str, str]) -> None:
    """Raise `BackendError` where SLURM knows no board of that name and partition that is up."""
    listed = subprocess.run(
        ["sinfo", "-N"], capture_output=True, text=True, timeout=SLURM_LIMIT_S, check=False
    )
    rows = [line.split() for line in listed.stdout.splitlines()[1:]]
    rows = [row for row in rows if len(row) >= 4 and not row[3].startswith(("down", "drain"))]
    column = {"BOARD": 0, "PARTITION": 2}
    if not any(
        all(row[column[name]].rstrip("*") == value for name, value in wanted.items())
        for row in rows
    ):
        up = ", ".join(sorted({f"{row[0]} ({row[2]})" for row in rows}))
        raise BackendError(
            "no such board is up",
            where="loihi",
            limit=up or None,
            fix=LISTS,
            value=", ".join(wanted.values()) or "none listed",
        )


def run_configuration() -> Any:
    """Lava's hardware configuration: what it has for the chip first, the host's source in
    integers.
    """
    from lava.magma.core.run_configs import Loihi2HwCfg
    from lava.proc.io.source import PySendModelFixed, RingBuffer

    return Loihi2HwCfg(exception_proc_model_map={RingBuffer: PySendModelFixed})


class BoardSession(ProcessSession):
    """Lava's runtime with a board; ends by Lava's own stop, so that the board is given back."""

    def __init__(self, processes: LavaProcesses, end: float, run_cfg: object | None = None):
        super().__init__(processes, end, run_cfg or run_configuration())

    def _compile(self) -> Any:
        """Raises `BackendError` where Lava would compute neurons or synapses on the host's
        processor.
        """
        from lava.magma.core.model.nc.model import AbstractNcProcessModel
        from lava.proc.dense.process import Dense
        from lava.proc.lif.process import LIFReset
        from lava.proc.sparse.process import Sparse

        executable = super()._compile()
        for process in executable.proc_builders:
            if isinstance(process, (LIFReset, Dense, Sparse)) and not issubclass(
                process.model_class, AbstractNcProcessModel
            ):
                raise BackendError(
                    "Lava has no model of this process for the chip, and would run it on the host",
                    where=process.name,
                    value=process.model_class.__name__,
                    fix="use the lava-loihi that belongs to this lava-nc",
                )
        return executable

    def _build_infrastructure(self) -> None:
        """Lava's own: channels to the board may ask for shared memory by its name."""
        self._runtime._build_message_infrastructure()

    def __exit__(self, *error: object) -> None:
        try:
            if error[0] is None:
                self._stop()
        finally:
            self.close()

    def _stop(self) -> None:
        """Lava's stop, in which probes hand in what they measured; it can hang, and so has a
        deadline.
        """
        failure: list[BaseException] = []
        self._release_ports()  # processes that end now are no failure

        def stop() -> None:
            try:
                self._runtime.stop()
            except BaseException as caught:  # reported by the waiting thread
                failure.append(caught)

        thread = threading.Thread(target=stop, daemon=True)
        thread.start()
        thread.join(max(STOP_LIMIT_S, self.end - time.monotonic()))
        if thread.is_alive():
            raise TimeoutError
        if failure:
            raise LavaProcessError(f"Lava did not stop: {failure[0]}", where="loihi")


def measure(
    run: Callable[[object], None], steps: int, *, energy: bool, activity: bool
) -> dict[str, float | None]:
    """What Lava's profilers measured while `run(run_cfg)` took `steps` steps; one probe a run.

    A probe of every step slows the chip, and so would change its power. Raises `BackendError` where
    Lava has no profiler or it delivers no number.
    """
    values: dict[str, float | None] = {}
    if energy:
        values |= _power(run, steps)
        values["us_per_step"] = _step_time(run, steps)
    if activity:
        values |= _operations(run)
    return values


def _profiler(run_cfg: object) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lava warns at import where there is none
        from lava.utils.profiler import Profiler
    try:
        return Profiler.init(run_cfg)
    except NotImplementedError as error:
        raise BackendError(
            f"Lava cannot measure here: {error}", where="loihi", fix="run without --profile-energy"
        ) from None


def _power(run: Callable[[object], None], steps: int) -> dict[str, float | None]:
    run_cfg = run_configuration()
    profiler = _profiler(run_cfg)
    profiler.energy_probe(num_steps=steps)
    run(run_cfg)
    names = {
        "total": "power",
        "static": "static_power",
        "vdd": "vdd_power",
        "vddm": "vddm_power",
        "vddio": "vddio_power",
    }
    return {
        name: (_required if name in ("total", "static") else _mean)(profiler, attribute)
        for name, attribute in names.items()
    }


def _step_time(run: Callable[[object], None], steps: int) -> float:
    """Mean time of a step in us; the profiler counts in seconds."""
    run_cfg = run_configuration()
    profiler = _profiler(run_cfg)
    profiler.execution_time_probe(num_steps=steps)
    run(run_cfg)
    return 1e6 * _required(profiler, "execution_time")


def _operations(run: Callable[[object], None]) -> dict[str, float | None]:
    """Synaptic operations and neuron updates of the whole run, summed over the cores, and how many
    cores.
    """
    from lava.utils.loihi2_profiler import Loihi2Activity, Loihi2Memory

    run_cfg = run_configuration()
    activity, memory = Loihi2Activity(), Loihi2Memory()
    run_cfg.callback_fxs += [activity, memory]
    run(run_cfg)
    used = getattr(memory, "total_mpds", None)
    return {
        "synops": _sum(activity, "syn_ops"),
        "updates": _sum(activity, "dendrite_updates"),
        "cores": None if used is None else int(np.count_nonzero(np.asarray(used))),
    }


def _required(probe: object, name: str) -> float:
    """The mean of a probe's number or series, which has to be there."""
    mean = _mean(probe, name)
    if mean is None:
        raise BackendError(
            "Lava's profiler delivered no number",
            where=f"loihi: {name}",
            fix="see whether this board has power measurement",
        )
    return mean


def _mean(probe: object, name: str) -> float | None:
    """The mean of a probe's number or series."""
    value = getattr(probe, name, None)
    numbers = np.asarray([] if value is None else value, float).ravel()
    if numbers.size == 0 or not np.isfinite(numbers).all():
        return None
    return float(numbers.mean())


def _sum(probe: object, name: str) -> float | None:
    value = getattr(probe, name, None)
    return None if value is None else float(np.sum(value))
