"""Every quantity and text that a profile may hold, with its unit, its bounds and its meaning.

Where no meaning is said, the rule of that name in `limits` says it. A limit is a whole number from
1 where no bounds are said.
"""

from __future__ import annotations

from dataclasses import dataclass

LARGEST = 10**15  # beyond it a float is no exact integer
KINDS = ("measured", "published", "vendor", "derived", "assumed")
FIELDS = (
    "value",
    "unit",
    "source",
    "kind",
    "range",
    "each",
)  # of a quantity; the first four needed


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
class Entry:
    """What a quantity of some name is. `bounds`: those of a whole number; None for others."""

    unit: str
    meaning: str = ""
    bounds: tuple[int, int] | None = None


Entries = dict[str, Entry]


def _entries(unit: str, *lines: str, bounds: tuple[int, int] | None = None) -> Entries:
    """Entries of lines `name` or `name: meaning`."""
    named = (line.partition(": ") for line in lines)
    return {key: Entry(unit, meaning, bounds) for key, _, meaning in named}


def _limits(unit: str, *lines: str, low: int = 1, high: int = LARGEST) -> Entries:
    return _entries(unit, *lines, bounds=(low, high))


OPERATIONS = (
    "synop: a synaptic operation, in any format without a figure of its own",
    "synop_dense: a synaptic operation of a dense layer",
    "synop_sparse: of a sparse layer",
    "synop_conv: of a layer of shared weights",
    "synop_graded: with a graded value: a multiplication",
    "neuron_active: update of a neuron that has something to do",
    "neuron_inactive: update of a neuron that has nothing to do",
    "spike: a message within its tile",
    "spike_out: a neuron fires",
    "axon_out: one message to one core",
    "hop_ew: a hop east or west",
    "hop_ns: a hop north or south",
    "mac: a multiplication and addition without spikes",
    "ac: an addition without spikes",
)
ENERGY = _entries(
    "pJ",
    *OPERATIONS,
    "synop_all_in: all power of a chip over its operations, for reading only",
    "sram_8kb: a 64-bit access to 8 KB",
    "sram_32kb: a 64-bit access to 32 KB",
    "sram_1mb: a 64-bit access to 1 MB",
    "dram: a 64-bit access to DRAM",
)
TIME = _entries("ns", *OPERATIONS, "barrier: all cores agree that a step is over")
TIME |= _entries(
    "us",
    "step_floor: least time of a step that was seen",
    "host_step: a step in which the host moves spikes, a case of its own",
)
POWER = _entries(
    "mW",
    "core_static: a core that is used",
    "chip_static: a chip, where no core's is known",
    "chip_fixed: a chip that runs, whatever it does, where energies are marginal",
    "host: the host's share of a chip",
)
ERROR = _entries(
    "1",
    "core_dynamic_low: lowest estimate over measurement, minus one",
    "core_dynamic_high: highest estimate over measurement, minus one",
    "total_low: the same of the total energy, each source left out in turn",
    "total_high: its highest",
    "total_timed_low: the same where the time of a step is known",
    "total_timed_high: its highest",
)
INTEGERS = (
    _limits("bits", "weight_bits", "decay_bits", "threshold_bits", "input_bits", high=64)
    | _limits("bits", "bias_mantissa_bits", "state_bits", high=64)
    | _limits("bits", "weight_exponent", "bias_exponent", low=0, high=64)
    | _limits("steps", "delay_steps: longest delay of a synapse; relays wait what is longer", low=0)
)
ABILITIES = _limits(  # 1 where a chip can, 0 where it cannot
    "1",
    *("mixed_signs", "leak", "current_memory", "membrane_memory", "state_reset", "any_decay"),
    *("any_stride", "even_kernels"),
    low=0,
    high=1,
)
SHAPE = (
    _limits("neurons", "inputs", "neurons_per_core: neurons of a core", "neurons_per_chip")
    | _limits("neurons", "hidden_neurons", "readouts", "fan_out", "dense_inputs")
    | _limits("neurons", "conv_tile_neurons: neurons of a tile of a convolution, less than this")
    | _limits(
        "synapses", "synapses_per_chip", "synapses_per_entry: synapses of one entry of a list"
    )
    | _limits("axons", "axons_in_per_core", "axons_out_per_core")
    | _limits(
        "accumulators",
        "accumulators_per_core: dendritic accumulators; a neuron takes 2^bits of its longest delay",
    )
    | _limits("layers", "layers", "layer_targets")
    | _limits("channels", "channels", "input_channels", "biases_per_layer")
    | _limits("pixels", "kernel_size", "stride")
    | _limits("pixels", "padding", low=0)
    | _limits("pixels", "input_width", "layer_width")
)
MEMORY = (  # and how synapses are laid out there
    _limits("bits", "synapse_memory_per_core", "memory_per_core: all memory of a core")
    | _limits("bits", "memory_per_chip: all memory of a chip")
    | _limits("bits", "synapse_bits: a dense synapse as it is stored")
    | _limits("bits", "index_bits: index of a sparse entry", low=0)
    | _limits("bits", "skip_bits: skip of a run-length entry", low=0)
    | _limits("bits", "entry_prefix_bits: head of an entry", low=0)
    | _limits("words", "synapse_words_per_core", "words_per_axon: words behind one input axon")
    | _limits("words", "kernel_words_per_core", "neuron_words_per_core")
    | _limits("formats", "synapse_formats_per_core: formats of synapses on one core")
    | _limits("groups", "destination_groups_per_core: groups of targets of one core")
    | _limits("groups", "neuron_groups_per_core: populations on one core")
)
CORES = (
    _limits("cores", "cores: cores of a chip that a network may use")
    | _limits("cores", "cores_per_tile: cores of a tile of the mesh")
    | _limits("tiles", "mesh_columns: tiles of the mesh, east to west")
    | _limits("tiles", "mesh_rows: tiles of the mesh, north to south")
)
LIMITS = INTEGERS | ABILITIES | SHAPE | MEMORY | CORES
SECTIONS = {"energy": ENERGY, "time": TIME, "power": POWER, "error": ERROR, "limits": LIMITS}
NAMED = {  # sections of tables with names of their own
    "systems": _limits("chips", "chips: chips of a board")
    | _limits("cores", "cores: cores of all of them, if not chips x cores")
    | _entries("W", "power: power of the board, at most"),
    "cases": _entries("uJ", "energy: of one inference")
    | _entries("us", "latency: of one inference")
    | _entries("mW", "power: mean power of it")
    | _entries("%", "accuracy: on its test set"),
}
REQUIRED = {"systems": ("chips",), "cases": ()}  # in each of their tables
TOGETHER = {  # of a section: given both or not at all
    "error": [(f"{name}_low", f"{name}_high") for name in ("core_dynamic", "total", "total_timed")]
}
TEXTS = {
    "title": "one line, for tables",
    "chip": "its name",
    "basis": "what estimates rest on, in a sentence or two",
    "energy_basis": "of the energies, where there are any",
    "mapping": "how layers are laid out on cores, if known",
}
CHOICES = {"energy_basis": ("marginal", "all_in"), "mapping": ("loihi1", "loihi2")}
