"""Hardware profiles: every number of a chip with its unit, source and kind, read from TOML.

A profile has sections of quantities: `energy` and `time` (per operation), `power`, `error` (of
core-dynamic estimates against measurements) and `limits` (what a graph may not exceed, see
`scmrl.hw_profiles.limits`, and what placement needs); then `systems` (boards of several chips) and
`cases` (published figures of one inference). A quantity that nobody has published is absent, never
0. `base = "other"` takes what is not given from another profile.

To add a chip: fill in what `scmrl profiles --template FILE` writes, or copy a file of this folder,
and pass its path where a profile's name is asked for.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..system.errors import UsageError, nearest
from ..system.reading import read_toml

FOLDER = Path(__file__).parent
KINDS = ("measured", "published", "vendor", "derived", "assumed")
OPERATIONS = (
    "synop",
    "synop_dense",
    "synop_sparse",
    "synop_conv",
    "synop_graded",
    "neuron_active",
    "neuron_inactive",
    "spike",
    "spike_out",
    "axon_out",
    "hop_ew",
    "hop_ns",
    "mac",
    "ac",
)
INTEGERS = (
    "weight_bits",
    "decay_bits",
    "threshold_bits",
    "input_bits",
    "bias_mantissa_bits",
    "state_bits",
)
EXPONENTS = ("weight_exponent", "bias_exponent")
FLAGS = (
    "mixed_signs",
    "leak",
    "current_memory",
    "membrane_memory",
    "state_reset",
    "any_decay",
    "any_stride",
    "even_kernels",
)  # 1 where a chip can, 0 where it cannot
UNITS = {
    # synop: any storage format, where dense, sparse or conv has no figure of its own; spike: a
    # message within its tile; spike_out: a neuron fires; axon_out: one message to one core; sram_*,
    # dram: one 64-bit access; synop_all_in: all power of a chip over its operations at one
    # operating point, for reading only
    "energy": dict.fromkeys(
        (*OPERATIONS, "synop_all_in", "sram_8kb", "sram_32kb", "sram_1mb", "dram"), "pJ"
    ),
    "time": dict.fromkeys((*OPERATIONS, "barrier"), "ns") | {"step_floor": "us"},
    # chip_fixed: the part that is always on where energies are marginal
    "power": dict.fromkeys(("core_static", "chip_static", "chip_fixed", "host"), "mW"),
    "error": {"core_dynamic_low": "1", "core_dynamic_high": "1"},
    "limits": {
        # the integers of a network
        **dict.fromkeys((*INTEGERS, *EXPONENTS), "bits"),
        "delay_steps": "steps",
        **dict.fromkeys(FLAGS, "1"),
        # its shape
        **dict.fromkeys(
            (
                "inputs",
                "neurons_per_core",
                "neurons_per_chip",
                "hidden_neurons",
                "readouts",
                "fan_out",
                "dense_inputs",
                "conv_tile_neurons",
            ),
            "neurons",
        ),
        **dict.fromkeys(("synapses_per_chip", "synapses_per_entry"), "synapses"),
        **dict.fromkeys(("axons_in_per_core", "axons_out_per_core"), "axons"),
        # its layers
        **dict.fromkeys(("layers", "layer_targets"), "layers"),
        **dict.fromkeys(("channels", "input_channels", "biases_per_layer"), "channels"),
        **dict.fromkeys(
            ("kernel_size", "stride", "padding", "input_width", "layer_width"), "pixels"
        ),
        # its memory and how synapses are laid out there
        **dict.fromkeys(
            (
                "synapse_memory_per_core",
                "memory_per_core",
                "memory_per_chip",
                "synapse_bits",
                "index_bits",
                "skip_bits",
                "entry_prefix_bits",
            ),
            "bits",
        ),
        **dict.fromkeys(
            (
                "synapse_words_per_core",
                "words_per_axon",
                "kernel_words_per_core",
                "neuron_words_per_core",
            ),
            "words",
        ),
        "synapse_formats_per_core": "formats",
        **dict.fromkeys(("destination_groups_per_core", "neuron_groups_per_core"), "groups"),
        # its cores
        **dict.fromkeys(("cores", "cores_per_tile"), "cores"),
        "mesh_columns": "tiles",
        "mesh_rows": "tiles",
    },
}
TABLES = {  # sections of named tables: their units, what each needs
    "systems": ({"chips": "chips", "cores": "cores", "power": "W"}, ("chips",)),
    "cases": ({"energy": "uJ", "latency": "us", "power": "mW", "accuracy": "%"}, ()),
}
TOGETHER = {"error": tuple(UNITS["error"])}  # given both or not at all
TEXTS = ("title", "chip", "basis", "energy_basis", "mapping")
FIELDS = ("value", "unit", "source", "kind", "range", "each")
MOST_FAULTS = 20  # listed of one file
LARGEST = 10**15  # beyond it a float is no exact integer
BOUNDS = {  # of limits; where nothing is said: from 1
    **dict.fromkeys(INTEGERS, (1, 64)),
    **dict.fromkeys(EXPONENTS, (0, 64)),
    **dict.fromkeys(FLAGS, (0, 1)),
    **dict.fromkeys(
        ("delay_steps", "padding", "entry_prefix_bits", "index_bits", "skip_bits"), (0, LARGEST)
    ),
}
CHOICES = {"energy_basis": ("marginal", "all_in"), "mapping": ("loihi1", "loihi2")}


@dataclass(frozen=True)
class Quantity:
    """`value` in `unit`, where it comes from, and the `range` (low, high) in which it has been
    seen.

    `each` lists the values of a chip's cores in order where they differ; `value` is then the
    largest.
    """

    value: float
    unit: str
    source: str
    kind: str
    range: tuple[float, float] | None = None
    each: tuple[float, ...] | None = None

    @property
    def low(self) -> float:
        return self.range[0] if self.range else self.value

    @property
    def high(self) -> float:
        return self.range[1] if self.range else self.value


Quantities = dict[str, Quantity]


@dataclass(frozen=True)
class Profile:
    """The quantities of one chip by section and name; a quantity that nobody knows is absent.

    `energy_basis` says what the energies are: "marginal" (one more operation), "all_in" (all power
    of a chip over its operations; never to be added to others), "" where there are none. `mapping`
    names the rule by which layers are laid out on cores, "" where none is known. `systems` and
    `cases` hold the quantities of each board and of each published inference by their names.
    """

    name: str
    title: str
    chip: str
    basis: str
    energy_basis: str
    mapping: str
    energy: Quantities
    time: Quantities
    power: Quantities
    error: Quantities
    limits: Quantities
    systems: dict[str, Quantities]
    cases: dict[str, Quantities]

    def quantities(self) -> Quantities:
        """All quantities of the chip by 'section.name'; those of its systems and cases are not
        among them.
        """
        return {
            f"{section}.{key}": q for section in UNITS for key, q in getattr(self, section).items()
        }

    def published(self) -> Quantities:
        """The quantities of systems and cases by 'section.name.key'."""
        return {
            f"{section}.{name}.{key}": q
            for section in TABLES
            for name, entries in getattr(self, section).items()
            for key, q in entries.items()
        }


def names() -> tuple[str, ...]:
    """The profiles that come with scmrl."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


class Faults:
    """All that is wrong with a file, to be told at once: an error within `with faults:` is kept,
    not raised.
    """

    def __init__(self) -> None:
        self.found: list[UsageError] = []

    def __enter__(self) -> Faults:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, _trace: object) -> bool:
        if isinstance(error, UsageError):
            self.found.append(error)
        return isinstance(error, UsageError)

    def tell(self, name: str) -> None:
        """Raise what was found: the one error, or one that lists them."""
        if len(self.found) == 1:
            raise self.found[0]
        if self.found:
            more = len(self.found) - MOST_FAULTS
            listed = " | ".join(map(str, self.found[:MOST_FAULTS])) + (
                f" | and {more} more" if more > 0 else ""
            )
            raise UsageError(f"{len(self.found)} faults: {listed}", where=name)


def load(name_or_path: str | Path) -> Profile:
    """A profile by name, or from the path of a TOML file. Raises `UsageError` naming the file and
    every key that is wrong.
    """
    path, faults = _locate(str(name_or_path)), Faults()
    sections, texts = _resolve(path, (), faults)
    for section, keys in TOGETHER.items():
        if sections[section] and set(sections[section]) != set(keys):
            with faults:
                raise UsageError(
                    "these quantities belong together",
                    where=f"{path.name}: {section}",
                    limit=", ".join(keys),
                    value=", ".join(sections[section]),
                )
    for section, entries in (*((s, sections[s]) for s in UNITS), *_named(sections)):
        for key, quantity in entries.items():
            with faults:
                _check_size(f"{path.name}: {section}.{key}", section, key, quantity)
    for key in TEXTS:
        if (
            key not in texts
            and key not in CHOICES
            and not any(f"{path.name}: {key}" == f.where for f in faults.found)
        ):
            with faults:
                raise UsageError("must be a text", where=f"{path.name}: {key}")
    faults.tell(path.name)
    return Profile(name=path.stem, **dict.fromkeys(CHOICES, "") | texts, **sections)


def _named(sections: dict) -> Iterator[tuple[str, Quantities]]:
    for section in TABLES:
        for name, entries in sections[section].items():
            yield f"{section}.{name}", entries


def _check_size(where: str, section: str, key: str, quantity: Quantity) -> None:
    """Errors lie above -100 %, limits and chips are whole numbers in their bounds, nothing else is
    negative.
    """
    numbers = (quantity.low, quantity.value, quantity.high, *(quantity.each or ()))
    if section == "error":
        if min(numbers) <= -1:
            raise UsageError(
                "an estimate cannot err by -100 % or less", where=where, value=min(numbers)
            )
        return
    if min(numbers) < 0:
        raise UsageError("must not be negative", where=where, value=min(numbers))
    if section != "limits" and key not in ("chips", "cores"):
        return
    low, high = BOUNDS.get(key, (1, LARGEST))
    for number in (quantity.value, *(quantity.each or ())):
        if number != int(number):
            raise UsageError("must be a whole number", where=where, value=number)
        if not low <= number <= high:
            raise UsageError("out of bounds", where=where, limit=f"{low}..{high}", value=number)


def _locate(name: str, where: str | None = None) -> Path:
    if name in names():
        return FOLDER / f"{name}.toml"
    path = Path(name)
    if path.suffix != ".toml":
        raise UsageError(
            "no such hardware profile",
            where=where or name,
            value=where and name,
            fix=nearest(name, names()),
        )
    return path


def _resolve(path: Path, seen: tuple[Path, ...], faults: Faults) -> tuple[dict, dict]:
    """Quantities by section and the texts of a file, on top of those of its base."""
    try:
        key = path.resolve()
    except (OSError, ValueError, RuntimeError) as error:  # a loop of links, a null character
        raise UsageError(
            "cannot read the hardware profile", where=ascii(str(path)), value=error
        ) from None
    if key in seen:
        raise UsageError("profiles are each other's base", where=path.name)
    table = _read(path)
    sections, texts = _base(path, table, (*seen, key), faults)
    texts |= _own_texts(path, table, faults)
    sources = _texts(path, "sources", table.pop("sources", {}), faults)
    for section, entries in table.items():
        where = f"{path.name}: {section}"
        with faults:
            if section in UNITS:
                sections[section] |= _quantities(where, entries, UNITS[section], sources, faults)
            elif section in TABLES:
                sections[section] |= _tables(where, entries, *TABLES[section], sources, faults)
            else:
                raise UsageError(
                    "unknown key",
                    where=where,
                    fix=nearest(section, (*UNITS, *TABLES, *TEXTS, "sources", "base")),
                )
    return sections, texts


def _base(path: Path, table: dict, seen: tuple[Path, ...], faults: Faults) -> tuple[dict, dict]:
    """What a file takes from its base: all quantities, and the texts that do not speak of its own
    numbers; its title says so.
    """
    base = table.pop("base", None)
    if base is None:
        return {section: {} for section in (*UNITS, *TABLES)}, {}
    if not isinstance(base, str):
        raise UsageError("must be the name of a profile", where=f"{path.name}: base", value=base)
    beside = base not in names() and base.endswith(".toml")
    found = path.parent / base if beside else _locate(base, f"{path.name}: base")
    sections, texts = _resolve(found, seen, faults)
    own = ("basis", "energy_basis") if table.get("energy") else ()
    texts = {key: text for key, text in texts.items() if key not in own}
    return sections, texts | {"title": f"{texts.get('title', base)}, as {path.stem} changes it"}


def _own_texts(path: Path, table: dict, faults: Faults) -> dict[str, str]:
    texts = _texts(path, "", {key: table.pop(key) for key in TEXTS if key in table}, faults)
    if table.get("energy") and "energy_basis" not in texts:
        with faults:
            raise UsageError(
                "must be said where energies are given",
                where=f"{path.name}: energy_basis",
                limit=" or ".join(CHOICES["energy_basis"]),
            )
    for key, known in CHOICES.items():
        if texts.get(key, known[0]) not in known:
            with faults:
                raise UsageError(
                    "unknown word",
                    where=f"{path.name}: {key}",
                    value=texts[key],
                    fix=nearest(texts[key], known),
                )
    return texts


def _read(path: Path) -> dict:
    if not os.path.exists(path):
        raise UsageError(
            "cannot read the hardware profile",
            where=path,
            value="No such file or directory",
            fix=f"give a file or one of: {', '.join(names())}",
        )
    return read_toml(path)


def _texts(path: Path, section: str, entries: object, faults: Faults) -> dict[str, str]:
    if not isinstance(entries, dict):
        with faults:
            raise UsageError(
                "must be a table of texts", where=f"{path.name}: {section}", value=entries
            )
        return {}
    good = {key: text for key, text in entries.items() if isinstance(text, str) and text.strip()}
    for key in entries.keys() - good.keys():
        with faults:
            where = f"{path.name}: {section}.{key}" if section else f"{path.name}: {key}"
            raise UsageError("must be a text", where=where, value=entries[key])
    return good


def _tables(
    where: str,
    entries: object,
    units: dict[str, str],
    required: tuple[str, ...],
    sources: dict[str, str],
    faults: Faults,
) -> dict[str, Quantities]:
    """The named tables of `systems` or `cases`."""
    if not isinstance(entries, dict):
        raise UsageError("must be a table of named tables", where=where, value=entries)
    tables = {}
    for name, table in entries.items():
        with faults:
            tables[name] = _quantities(f"{where}.{name}", table, units, sources, faults)
            missing = [key for key in required if key not in table]
            if missing:
                raise UsageError(f"{_are(missing)} missing", where=f"{where}.{name}")
    return tables


def _are(names: list[str]) -> str:
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'}"


def _quantities(
    where: str, entries: object, units: dict[str, str], sources: dict[str, str], faults: Faults
) -> Quantities:
    if not isinstance(entries, dict):
        raise UsageError("must be a table of quantities", where=where, value=entries)
    found = {}
    for key, entry in entries.items():
        with faults:
            if key not in units:
                raise UsageError("unknown key", where=f"{where}.{key}", fix=nearest(key, units))
            found[key] = _quantity(f"{where}.{key}", entry, units[key], sources)
    return found


def _number(where: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UsageError("must be a number", where=where, value=value)
    if abs(value) > LARGEST:  # first: an endless integer is no float
        raise UsageError("number is too large", where=where, limit=LARGEST)
    if math.isnan(value):
        raise UsageError("must be a number", where=where, value=value)
    return value


def _quantity(where: str, entry: object, unit: str, sources: dict[str, str]) -> Quantity:
    if not isinstance(entry, dict):
        raise UsageError(
            "must be a table with value, unit, source and kind", where=where, value=entry
        )
    for key in entry:
        if key not in FIELDS:
            raise UsageError("unknown key", where=f"{where}.{key}", fix=nearest(key, FIELDS))
    missing = [key for key in FIELDS[:4] if key not in entry]
    if missing:
        raise UsageError(f"{_are(missing)} missing", where=where)
    for key, known in (("unit", [unit]), ("kind", KINDS), ("source", sources)):
        if not isinstance(entry[key], str) or entry[key] not in known:
            raise UsageError(
                f"unknown {key}", where=where, value=entry[key], fix=nearest(str(entry[key]), known)
            )
    value = _number(f"{where}.value", entry["value"])
    span = _range(f"{where}.range", entry.get("range"), value)
    return Quantity(
        value,
        unit,
        sources[entry["source"]],
        entry["kind"],
        span,
        _each(f"{where}.each", entry.get("each"), value),
    )


def _range(where: str, span: object, value: float) -> tuple[float, float] | None:
    if span is None:
        return None
    if not isinstance(span, list) or len(span) != 2:
        raise UsageError("must be [low, high]", where=where, value=span)
    low, high = (_number(where, end) for end in span)
    if not low <= value <= high:
        raise UsageError(
            "value lies outside its range",
            where=where.removesuffix(".range"),
            limit=[low, high],
            value=value,
        )
    return low, high


def _each(where: str, values: object, value: float) -> tuple[float, ...] | None:
    if values is None:
        return None
    if not isinstance(values, list) or not values:
        raise UsageError("must be a list of numbers", where=where, value=values)
    numbers = tuple(_number(where, number) for number in values)
    if max(numbers) != value:
        raise UsageError(
            "value must be the largest of them", where=where, limit=max(numbers), value=value
        )
    return numbers
