"""Hardware profiles: every number of a chip with its unit, source and kind, read from TOML.

A profile has sections of quantities: `energy` (per operation), `time` (per operation, and the floor of a
step), `power` (a used core, the host), `error` (of core-dynamic estimates against measurements) and `limits`
(what a graph may not exceed; see `scmrl.hw_profiles.limits`). `base = "other"` takes every quantity that is
not given from another profile.

To add a chip: copy a file of this folder, change the numbers and their sources, and pass its path where a
profile's name is asked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError, nearest

FOLDER = Path(__file__).parent
KINDS = ("measured", "published", "vendor", "derived", "assumed")
UNITS = {
    "energy": dict.fromkeys(("synop", "synop_graded", "neuron_active", "neuron_inactive", "spike"), "pJ"),
    "time": dict.fromkeys(("synop", "neuron_active", "neuron_inactive", "spike", "barrier"), "ns")
    | {"step_floor": "us"},
    "power": {"core_static": "mW", "host": "mW"},
    "error": {"core_dynamic_low": "1", "core_dynamic_high": "1"},
    "limits": dict.fromkeys(("weight_bits", "weight_exponent", "decay_bits", "threshold_bits", "input_bits",
                             "bias_mantissa_bits", "bias_exponent", "state_bits", "synapse_memory_per_core"),
                            "bits")
    | {"cores": "cores", "neurons_per_core": "neurons", "neurons_per_chip": "neurons",
       "axons_in_per_core": "axons", "delay_steps": "steps"},
}
REQUIRED = {"energy": ("synop", "neuron_active", "neuron_inactive")}
TOGETHER = {"error": tuple(UNITS["error"])}         # given both or not at all
TEXTS = ("title", "chip", "basis")


@dataclass(frozen=True)
class Quantity:
    """`value` in `unit`, where it comes from, and the `range` (low, high) in which it has been seen."""

    value: float
    unit: str
    source: str
    kind: str
    range: tuple[float, float] | None = None

    @property
    def low(self) -> float:
        return self.range[0] if self.range else self.value

    @property
    def high(self) -> float:
        return self.range[1] if self.range else self.value


@dataclass(frozen=True)
class Profile:
    """The quantities of one chip by section and name; a quantity that nobody knows is absent."""

    name: str
    title: str
    chip: str
    basis: str
    energy: dict[str, Quantity]
    time: dict[str, Quantity]
    power: dict[str, Quantity]
    error: dict[str, Quantity]
    limits: dict[str, Quantity]

    def quantities(self) -> dict[str, Quantity]:
        """All quantities by 'section.name'."""
        return {f"{section}.{key}": q for section in UNITS for key, q in getattr(self, section).items()}


def names() -> tuple[str, ...]:
    """The profiles that come with scmrl."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def load(name_or_path: str | Path) -> Profile:
    """A profile by name, or from the path of a TOML file. Raises `UsageError` naming the file and the key."""
    path = _locate(str(name_or_path))
    sections, texts = _resolve(path, ())
    for section, keys in REQUIRED.items():
        for key in keys:
            if key not in sections[section]:
                raise UsageError("quantity is missing", where=f"{path.name}: {section}.{key}",
                                 fix=f"give value, unit ({UNITS[section][key]}), source and kind")
    for section, keys in TOGETHER.items():
        if sections[section] and set(sections[section]) != set(keys):
            raise UsageError("these quantities belong together", where=f"{path.name}: {section}",
                             limit=", ".join(keys), value=", ".join(sections[section]))
    return Profile(name=path.stem, **texts, **sections)


def _locate(name: str) -> Path:
    if name in names():
        return FOLDER / f"{name}.toml"
    path = Path(name)
    if path.suffix != ".toml":
        raise UsageError("no such hardware profile", where=name, fix=nearest(name, names()))
    return path


def _resolve(path: Path, seen: tuple[Path, ...]) -> tuple[dict, dict]:
    """Quantities by section and the texts of a file, on top of those of its base."""
    if path in seen:
        raise UsageError("profiles are each other's base", where=path.name)
    table = _read(path)
    sources = _texts(path, "sources", table.pop("sources", {}))
    base = table.pop("base", None)
    if base is None:
        sections = {section: {} for section in UNITS}
    elif isinstance(base, str):
        sections = _resolve(_locate(base), (*seen, path))[0]
    else:
        raise UsageError("must be the name of a profile", where=f"{path.name}: base", value=base)
    texts = _texts(path, "", {key: table.pop(key, None) for key in TEXTS})
    for section, entries in table.items():
        if section not in UNITS:
            raise UsageError("unknown key", where=f"{path.name}: {section}",
                             fix=nearest(section, (*UNITS, *TEXTS, "sources", "base")))
        if not isinstance(entries, dict):
            raise UsageError("must be a table of quantities", where=f"{path.name}: {section}", value=entries)
        for key, entry in entries.items():
            if key not in UNITS[section]:
                raise UsageError("unknown key", where=f"{path.name}: {section}.{key}",
                                 fix=nearest(key, UNITS[section]))
            where = f"{path.name}: {section}.{key}"
            sections[section][key] = _quantity(where, entry, UNITS[section][key], sources)
    return sections, texts


def _read(path: Path) -> dict:
    try:
        import tomllib
    except ModuleNotFoundError:                     # Python 3.10
        import tomli as tomllib
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError("cannot read the hardware profile", where=path, value=error.strerror,
                         fix=f"give a file or one of: {', '.join(names())}") from None
    except ValueError as error:                     # not TOML, not UTF-8
        raise UsageError("the hardware profile is not TOML", where=path, value=error) from None


def _texts(path: Path, section: str, entries: object) -> dict[str, str]:
    if not isinstance(entries, dict):
        raise UsageError("must be a table of texts", where=f"{path.name}: {section}", value=entries)
    for key, text in entries.items():
        if not isinstance(text, str) or not text:
            where = f"{path.name}: {section}.{key}" if section else f"{path.name}: {key}"
            raise UsageError("must be a text", where=where, value=text)
    return entries


def _number(where: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise UsageError("must be a number", where=where, value=value)
    return value


def _quantity(where: str, entry: object, unit: str, sources: dict[str, str]) -> Quantity:
    fields = ("value", "unit", "source", "kind", "range")
    if not isinstance(entry, dict):
        raise UsageError("must be a table with value, unit, source and kind", where=where, value=entry)
    for key in entry:
        if key not in fields:
            raise UsageError("unknown key", where=f"{where}.{key}", fix=nearest(key, fields))
    for key in fields[:4]:
        if key not in entry:
            raise UsageError(f"{key} is missing", where=where)
    for key, known in (("unit", [unit]), ("kind", KINDS), ("source", sources)):
        if not isinstance(entry[key], str) or entry[key] not in known:
            raise UsageError(f"unknown {key}", where=where, value=entry[key],
                             fix=nearest(str(entry[key]), known))
    value = _number(f"{where}.value", entry["value"])
    span = entry.get("range")
    if span is not None:
        if not isinstance(span, list) or len(span) != 2:
            raise UsageError("must be [low, high]", where=f"{where}.range", value=span)
        span = tuple(_number(f"{where}.range", end) for end in span)
        if not span[0] <= value <= span[1]:
            raise UsageError("value lies outside its range", where=where, limit=list(span), value=value)
    return Quantity(value, unit, sources[entry["source"]], entry["kind"], span)
