"""One trial as a training run: a directory, a process that ends with the sweep, and the figures it
leaves.

A run is gone on with, or taken as it is, only where its settings are those of the trial: what else
lies in the directory is another sweep's.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..system import lock
from ..system.children import bound
from ..system.errors import ScmrlError, UsageError
from ..system.reading import TOML_BYTES, opened, read_text
from ..system.storage import whole_file
from .sampling import Settings
from .trials import LONGEST

if TYPE_CHECKING:
    from ..train.config import Config
    from .study import Sweep

PATIENCE_S = 5.0  # between asking a child to end and killing it
TAIL = 1 << 14  # bytes at the end of a log that are looked at
EPOCH = re.compile(r"epoch (\d{1,6})/(\d{1,6})\b")
PROFILE = """\
base = "{base}"
title = "{base} with other limits"
[sources]
sweep = "an axis of this sweep"
[limits]
{limits}"""


class Run:
    """Trial `number` of a sweep in `out`, with the values of its axes."""

    def __init__(self, sweep: Sweep, out: Path, number: int, settings: Settings):
        self.sweep, self.settings = sweep, settings
        self.directory = out / f"trial-{number:04d}"
        self.log = Path(f"{self.directory}.log")
        self.profile = Path(f"{self.directory}.profile.toml").absolute()

    @property
    def busy(self) -> bool:
        """Whether somebody trains in the directory."""
        return lock.owner(self.directory) is not None

    def config(self) -> Config:
        """What the trial trains."""
        from ..train.config import assignments, read

        limits, plain = self._split()
        if limits:
            self._profile_text(limits)
        more = {"profile": str(self.profile)} if limits else {}
        return read(self.sweep.file, {**assignments(self.sweep.settings), **plain, **more})

    def _split(self) -> tuple[Settings, Settings]:
        """(limits of the chip, settings of training)"""
        limits = {key: value for key, value in self.settings.items() if key.startswith("limits.")}
        return limits, {key: value for key, value in self.settings.items() if key not in limits}

    def start(self) -> subprocess.Popen[bytes]:
        """Train in a child process, which ends with the thread that calls this."""
        command, nothing = bound(self.command()), subprocess.DEVNULL
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log, "a", encoding="utf-8") as file:
            return subprocess.Popen(
                command, stdin=nothing, stdout=file, stderr=file, start_new_session=True
            )

    def command(self) -> list[str]:
        """The training of the trial, from its last checkpoint if any; its profile is written."""
        from ..train.config import literal

        command = [sys.executable, "-m", "scmrl", "train", f"--out={self.directory}"]
        if self.sweep.data_dir:
            command.append(f"--data-dir={self.sweep.data_dir}")
        if self._began() and (self.directory / "checkpoints" / "last.ckpt").is_file():
            return [*command, "--resume"]
        limits, plain = self._split()
        command += ["--force", *([f"--config={self.sweep.config}"] if self.sweep.config else [])]
        command += [f"--set={setting}" for setting in self.sweep.settings]
        command += [f"--set={key}={literal(value)}" for key, value in plain.items()]
        if limits:
            self._write_profile(limits)
            command.append(f"--profile={self.profile}")
        return command

    def _began(self) -> bool:
        """Whether what lies in the directory was begun with the settings of this trial."""
        from ..train.config import read

        limits, _ = self._split()
        with contextlib.suppress(ScmrlError, OSError):
            same = not limits or read_text(self.profile, TOML_BYTES) == self._profile_text(limits)
            return same and read(self.directory / "config.toml", {}) == self.config()
        return False

    @property
    def finished(self) -> bool:
        """Whether the directory holds the finished run of this trial."""
        from ..core.bundle import load
        from ..train.config import from_dict, to_dict

        frozen = (self.directory / "bundle" / "bundle.json").is_file()
        if not frozen or not self._began() or self.busy:
            return False
        with contextlib.suppress(ScmrlError):
            trained = load(self.directory).training
            own = {key: x for key, x in trained.items() if key not in ("own", "targets")}
            return to_dict(from_dict(own)) == to_dict(self.config())
        return False

    def _write_profile(self, limits: Settings) -> None:
        with whole_file(self.profile) as temporary:
            temporary.write_text(self._profile_text(limits), encoding="utf-8")

    def _profile_text(self, limits: Settings) -> str:
        """A profile of the trial: the base chip's with other limits, which training keeps to."""
        from ..hw_profiles import profile
        from ..train.config import assignments, read

        base = read(self.sweep.file, assignments(self.sweep.settings)).profile
        known = profile.load(base).limits
        lines = []
        for key, value in limits.items():
            name = key.removeprefix("limits.")
            if name not in known:
                raise UsageError("the chip has no such limit", where=f"--space {key}", value=base)
            fields = f'value = {value}, unit = "{known[name].unit}", kind = "assumed"'
            lines.append(f'{name} = {{ {fields}, source = "sweep" }}\n')
        return PROFILE.format(base=base, limits="".join(lines))

    def why(self) -> str:
        """The last line of the log: what training ended with."""
        lines = _tail(self.log).strip().splitlines()
        return "".join(c if c.isprintable() else "?" for c in lines[-1])[:LONGEST] if lines else ""

    def figures(self) -> dict[str, Any]:
        """Figures of the finished run; raises `ScmrlError` where there is nothing to choose by."""
        from ..core.bundle import load
        from ..deploy import jobs

        bundle, chip = load(self.directory), self.sweep.chip
        if "validation_accuracy" not in bundle.metrics:
            what, fix = "the run has no validation accuracy", "set train.validation above 0"
            raise ScmrlError(what, where=self.directory, fix=fix)
        report = jobs.energy(self.directory, [chip] if chip else [])
        energy = report.profiles[0].core_dynamic_uj if chip else None
        error = report.profiles[0].over_samples.get("core_dynamic_uj") if chip else None
        if chip and energy is None:
            what = "the chip's profile gives no core energy of this network"
            raise ScmrlError(what, where=self.directory, value=chip)
        return {
            "validation_accuracy": bundle.metrics["validation_accuracy"],
            "energy_uj": energy,
            "energy_error_uj": error and error.error,
            "synops_per_inference": report.totals.synops_per_inference,
            "seconds": bundle.metrics["train_seconds"],
        }


def share(out: Path, number: int) -> float:
    """How much of its training a running trial has behind it, in whole epochs."""
    found = EPOCH.findall(_tail(out / f"trial-{number:04d}.log"))
    done, epochs = map(int, found[-1]) if found else (0, 1)
    return min(done / epochs, 1.0) if epochs else 0.0


def _tail(path: Path) -> str:
    try:
        with opened(path, None) as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            return file.read().decode("utf-8", errors="replace")
    except (ScmrlError, OSError):
        return ""


def stop(children: Iterable[subprocess.Popen[bytes]]) -> None:
    """Ask the processes to end, then kill what of their groups is left."""
    children = list(children)
    _send(children, signal.SIGTERM)
    end = time.monotonic() + PATIENCE_S
    try:
        while time.monotonic() < end and any(child.poll() is None for child in children):
            time.sleep(0.05)
    finally:
        _send(children, signal.SIGKILL)


def _send(children: Iterable[subprocess.Popen[bytes]], number: int) -> None:
    """A signal to the process groups of the children, each of which leads its own."""
    for child in children:
        with contextlib.suppress(OSError):
            if hasattr(os, "killpg"):
                os.killpg(child.pid, number)
            else:
                child.kill()
