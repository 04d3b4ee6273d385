"""A sweep: settings are proposed, each trial is a training run in a process of its own, a database
remembers.

    maximise validation accuracy
    optionally minimise core dynamic energy per inference, one sample alone (estimate)

A trial's proposal depends on the seed, its number and the trials before it, so a sequential sweep
that was killed goes on exactly as it would have; the trial that was running then is finished first,
from its last checkpoint. Test data choose nothing: the first objective is that of the held-out part
of training; energy is counted on the bundle's samples without their labels.

OUT/sweep.json       what was asked for            OUT/trials.csv     one line per trial
OUT/study.db         Optuna's database             OUT/trial-0007/    the run directory of trial 7
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..system.errors import DataError, UsageError
from ..system.reading import read_json
from ..system.storage import write_json
from . import space, url

TRIALS = 20  # wanted where nobody says
LARGEST_SEED = 2**64 - 1
MOST_TRIALS, MOST_AXES, MOST_SETTINGS = 100_000, 50, 1000
LONGEST = 10_000  # characters of a text in sweep.json


@dataclass(frozen=True)
class Sweep:
    """What to search: `axes` in the words of `space`, further `settings` KEY=VALUE of every trial,
    the objectives.

    `chip` names the profile whose energy is the second objective, or is empty.
    """

    axes: tuple[str, ...]
    settings: tuple[str, ...] = ()
    config: str | None = None
    data_dir: str | None = None
    storage: str | None = None  # URL of a database; default: OUT/study.db
    chip: str = ""
    grid: bool = False
    seed: int = 42
    trials: int = TRIALS  # ended ones wanted; a grid has its own number

    @property
    def file(self) -> Path | None:
        return Path(self.config) if self.config else None

    @property
    def parsed(self) -> tuple[space.Axis, ...]:
        return space.parse_all(self.axes)

    @property
    def directions(self) -> list[str]:
        return ["maximize", "minimize"] if self.chip else ["maximize"]

    @property
    def wanted(self) -> int:
        return len(space.grid(self.parsed)) if self.grid else self.trials

    def save(self, out: Path) -> None:
        open_part = {"storage": url.without_password(self.storage)}
        write_json(out / "sweep.json", asdict(self) | open_part)

    @staticmethod
    def load(out: Path) -> Sweep:
        """OUT/sweep.json, of this version or 0.1.0. Raises `DataError` naming the field."""
        path = out / "sweep.json"
        table = read_json(path, error=DataError)
        known = [field.name for field in dataclasses.fields(Sweep)]
        for name in table:
            if name not in known:
                what, fields = "not a field of a sweep", ", ".join(known)
                raise DataError(what, where=path, value=name[:100], limit=fields)
        if "axes" not in table:
            raise DataError("a field is missing", where=path, value="axes")
        values = {name: _field(f"{path}: {name}", name, value) for name, value in table.items()}
        sweep = Sweep(**values)
        try:
            sweep.check()
        except UsageError as error:
            error.where = error.where or "axes, settings"
            raise error.at(path, DataError) from None
        return sweep

    def check(self) -> None:
        """Refuse, before any work, what no training takes. Raises `UsageError`."""
        from ..hw_profiles import profile
        from ..train.config import assignments, read

        for name, value, low, high in (
            ("--seed", self.seed, 0, LARGEST_SEED),
            ("--trials", self.trials, 1, MOST_TRIALS),
        ):
            if not low <= value <= high:
                raise UsageError("out of range", where=name, limit=f"{low}..{high}", value=value)
        if not 1 <= len(self.axes) <= MOST_AXES:
            raise UsageError(
                "a sweep needs an axis",
                where="--space",
                limit=f"1 to {MOST_AXES}",
                value=len(self.axes),
                fix="for example --space model.alpha=0.0..2.0",
            )
        axes, settings = self.parsed, assignments(self.settings)
        if self.grid:
            space.grid(axes)
        for axis in axes:
            if axis.key in settings:
                where = f"--space {axis.key}"
                raise UsageError("set as well as swept", where=where, fix="give it once")
        for axis in axes:
            self._check_axis(axis, settings)
        part, swept = "train.validation", {axis.key for axis in axes}
        if part not in swept and not read(self.file, settings).train.validation:
            what = "without a validation part there is nothing to choose by"
            raise UsageError(what, where=part, value=0)
        if self.storage:
            url.parse(self.storage)
        if self.chip:
            profile.load(self.chip)

    def _check_axis(self, axis: space.Axis, settings: dict[str, object]) -> None:
        """Refuse an axis none of whose values training takes, or a limit that the chip has not."""
        from ..hw_profiles import profile
        from ..train.config import read

        if axis.key.startswith("limits."):
            chip, where = profile.load(read(self.file, settings).profile), f"--space {axis.key}"
            if axis.key.removeprefix("limits.") not in chip.limits:
                raise UsageError("the chip has no such limit", where=where, value=chip.name)
            return
        *others, last = axis.choices or (axis.low, axis.high)
        for value in others:
            with contextlib.suppress(UsageError):
                read(self.file, {**settings, axis.key: value})
                return
        read(self.file, {**settings, axis.key: last})

    def asked(self) -> dict[str, object]:
        """What all workers agree on: axes, objectives and the settings around the axes."""
        from ..train.config import assignments, read, to_dict

        table = to_dict(read(self.file, assignments(self.settings)))
        flat = {key: value for key, value in table.items() if not isinstance(value, dict)}
        for section, values in table.items():
            if isinstance(values, dict):
                flat |= {f"{section}.{key}": value for key, value in values.items()}
        for axis in self.parsed:
            flat.pop(axis.key, None)
        axes = [f"{axis.key}={axis.text()}" for axis in self.parsed]
        energy = self.chip and f"{self.chip}, alone"  # the mode of `deploy.energy.modes`
        return {"axes": axes, "energy": energy, "grid": self.grid, **flat}


def request(out: Path, options: dict[str, Any]) -> Sweep:
    """The checked sweep that the command line asks for; what nobody gave is None or empty."""
    if (out / "sweep.json").exists():
        fix = "give --resume or another --out"
        raise UsageError("a sweep is there already", where=out, fix=fix)
    if options["grid"] and (trials := options["trials"]):
        what, fix = "a grid has its own number of trials", "leave --trials or --grid out"
        raise UsageError(what, where="--trials", value=trials, fix=fix)
    sweep = Sweep(**{name: value for name, value in options.items() if value is not None})
    sweep.check()
    return sweep


def resumed(out: Path, given: dict[str, Any], fixed: dict[str, object]) -> Sweep:
    """The sweep of OUT with what may be `given` anew; what is `fixed` may not."""
    if any(value or value == 0 for value in fixed.values() if value is not False):
        fix = "give --out, --trials, --jobs, --data-dir and --storage only"
        raise UsageError("--resume goes on with what the sweep was asked for", fix=fix)
    if not (out / "sweep.json").exists():
        fix = "sweep without --resume"
        raise UsageError("nothing to resume", where=out, limit="sweep.json", fix=fix)
    anew = {name: value for name, value in given.items() if value is not None}
    sweep = dataclasses.replace(Sweep.load(out), **anew)
    sweep.check()
    return sweep


def _wrong_type(where: str, wanted: str, value: object) -> DataError:
    return DataError("wrong type", where=where, limit=wanted, value=type(value).__name__)


def _field(where: str, name: str, value: object) -> Any:
    """A checked field of sweep.json. Raises `DataError`."""
    if name in ("axes", "settings"):
        if not isinstance(value, list):
            raise _wrong_type(where, "a list of texts", value)
        if len(value) > MOST_SETTINGS:
            raise DataError("too many", where=where, limit=MOST_SETTINGS, value=len(value))
        return tuple(_text(f"{where}[{i}]", text) for i, text in enumerate(value))
    if name in ("seed", "trials", "grid"):
        kind = bool if name == "grid" else int
        if type(value) is not kind:
            raise _wrong_type(where, kind.__name__, value)
        return value
    return None if value is None and name != "chip" else _text(where, value)


def _text(where: str, value: object) -> str:
    if not isinstance(value, str):
        raise _wrong_type(where, "a text", value)
    if len(value) > LONGEST:
        raise DataError("too long", where=where, limit=f"{LONGEST} characters", value=len(value))
    if any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in value):
        raise DataError("control characters in a text", where=where)
    try:
        os.fsencode(value)  # it becomes an argument of a process
    except UnicodeEncodeError:
        raise DataError("characters that are none", where=where) from None
    return value
