"""A chip file to fill in: every text and quantity of `profile` with its unit, its meaning and its
bounds.

As written it holds no number; it loads as it is, and after any of its lines was filled in.
"""

from __future__ import annotations

import inspect
from pathlib import Path

from ..system.storage import whole_file
from ..system.targets import check
from .limits import RULES
from .profile import BOUNDS, CHOICES, FLAGS, KINDS, LARGEST, TABLES, UNITS

MEANINGS = {
    "energy": {
        "synop": "a synaptic operation, in any format without a figure of its own",
        "synop_dense": "a synaptic operation of a dense layer",
        "synop_sparse": "of a sparse layer",
        "synop_conv": "of a layer of shared weights",
        "synop_graded": "with a graded value: a multiplication",
        "neuron_active": "update of a neuron that has something to do",
        "neuron_inactive": "update of a neuron that has nothing to do",
        "spike": "a message within its tile",
        "spike_out": "a neuron fires",
        "axon_out": "one message to one core",
        "hop_ew": "a hop east or west",
        "hop_ns": "a hop north or south",
        "mac": "a multiplication and addition without spikes",
        "ac": "an addition without spikes",
        "synop_all_in": "all power of a chip over its operations, for reading only",
        "sram_8kb": "a 64-bit access to 8 KB",
        "sram_32kb": "a 64-bit access to 32 KB",
        "sram_1mb": "a 64-bit access to 1 MB",
        "dram": "a 64-bit access to DRAM",
    },
    "time": {
        "barrier": "all cores agree that a step is over",
        "step_floor": "least time of a step that was seen",
    },
    "power": {
        "core_static": "a core that is used",
        "chip_static": "a chip, where no core's is known",
        "chip_fixed": "always on, where energies are marginal",
        "host": "the host's share of a chip",
    },
    "error": {
        "core_dynamic_low": "lowest estimate over measurement, minus one",
        "core_dynamic_high": "highest estimate over measurement, minus one",
    },
    "limits": {
        "cores": "cores of a chip that a network may use",
        "neurons_per_core": "neurons of a core",
        "conv_tile_neurons": "neurons of a tile of a convolution, less than this",
        "synapses_per_entry": "synapses of one entry of a list",
        "memory_per_core": "all memory of a core",
        "memory_per_chip": "all memory of a chip",
        "synapse_bits": "a dense synapse as it is stored",
        "index_bits": "index of a sparse entry",
        "skip_bits": "skip of a run-length entry",
        "entry_prefix_bits": "head of an entry",
        "words_per_axon": "words behind one input axon",
        "synapse_formats_per_core": "formats of synapses on one core",
        "destination_groups_per_core": "groups of targets of one core",
        "neuron_groups_per_core": "populations on one core",
        "cores_per_tile": "cores of a tile of the mesh",
        "mesh_columns": "tiles of the mesh, east to west",
        "mesh_rows": "tiles of the mesh, north to south",
    },
    "systems": {
        "chips": "chips of a board",
        "cores": "cores of all of them, if not chips x cores",
        "power": "power of the board, at most",
    },
    "cases": {
        "energy": "of one inference",
        "latency": "of one inference",
        "power": "mean power of it",
        "accuracy": "on its test set",
    },
}
TEXTS = {
    "title": "one line, for tables",
    "chip": "its name",
    "basis": "what estimates rest on, in a sentence or two",
    "energy_basis": "of the energies, where there are any",
    "mapping": "how layers are laid out on cores, if known",
}
HEAD = """\
# A chip for scmrl. Fill in what is known, delete the rest: what nobody has published is left out, never 0.
# A quantity is uncommented and given its number:   synop = {{ value = 1.5, unit = "pJ", source = "here", kind = "assumed" }}
#   source  a name of [sources] below
#   kind    {kinds}
#   range   optional: [low, high] in which it has been seen;   each   optional: its values core by core
# Use it by its path:   scmrl energy RUN --profile {name}

# base = "loihi2"                  # optional: what is not given here is as there; then every line below is optional
"""


def meaning(section: str, key: str) -> str:
    """What a quantity is, in one line: of a limit that a rule checks, the rule."""
    if section == "time" and key not in MEANINGS["time"]:
        return MEANINGS["energy"][key]
    if key in MEANINGS[section]:
        return MEANINGS[section][key]
    text = " ".join((inspect.getdoc(RULES[key]) or key).split("Remedy:")[0].split()).rstrip(".")
    return f"{text}: 1 where it may be broken, 0 where not" if key in FLAGS else text


def text(name: str) -> str:
    """The template as TOML, for a file of that name."""
    lines = [HEAD.format(kinds=", ".join(KINDS), name=name)]
    for key, words in TEXTS.items():
        known = f": {' or '.join(CHOICES[key])}" if key in CHOICES else ""
        value = CHOICES[key][0] if key in CHOICES else f"my {key}"
        lines.append(f'{"# " if key in CHOICES else ""}{key} = "{value}"    # {words}{known}')
    lines += [
        "",
        "[sources]",
        'here = "where the numbers are from: a paper with its doi, a data sheet, a measurement"',
    ]
    for section, units in UNITS.items():
        lines += ["", f"[{section}]", *(_line(section, key, unit) for key, unit in units.items())]
    for section, (units, _) in TABLES.items():
        lines += [
            "",
            f'# [{section}."a name"]',
            *(_line(section, key, unit) for key, unit in units.items()),
        ]
    return "\n".join(lines) + "\n"


def _line(section: str, key: str, unit: str) -> str:
    low, high = BOUNDS.get(key, (1, LARGEST))
    bounds = (
        ""
        if section != "limits"
        else f" ({low} or more)"
        if high == LARGEST
        else f" ({low} to {high})"
    )
    return (
        f'# {key} = {{ value = ?, unit = "{unit}", source = "here", kind = "assumed" }}'
        f"    # {meaning(section, key)}{bounds}"
    )


def write(path: Path) -> None:
    """Write the template to a new file. Raises `UsageError` for another ending or a file that is
    there.
    """
    check(path, "profile")
    with whole_file(path, "profile") as file:
        file.write_text(text(path.name), encoding="utf-8")
