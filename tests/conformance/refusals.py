"""What each backend refuses of the small hard graphs, and the limit that it names: the only table.

A row for every name of `scmrl.deploy.registry`, {graph: what the line says after the name of the
population, synapse or loop}. It is strict: a refusal that is not here fails, and so does one that
is here and no longer happens. `DIFFERS` has what a float backend takes and computes otherwise.
"""

from conformance.graphs import JOINED


def refused(limit: str, *graphs: str) -> dict[str, str]:
    return dict.fromkeys(graphs, limit)


def no_joins(target: str) -> dict[str, str]:
    return refused(
        rf"{target} has no form for joined compartments \(got adds the membrane of", *sorted(JOINED)
    )


SUBTRACT = (  # but `subtract_without_memory`: there the reset leaves nothing
    "subtract",
    "subtract_and_fire_at_every_step",
    "subtract_with_leak",
    "subtract_with_current_memory",
    "subtract_by_neuron",
    "subtract_in_a_loop",
)


def no_subtraction(target: str, *graphs: str) -> dict[str, str]:
    limit = rf"{target} resets the membrane to zero \(got reset \"subtract\"\); .*simulator"
    return refused(limit, *graphs or SUBTRACT)


def one_value(target: str, *graphs: str) -> dict[str, str]:
    return refused(
        rf"{target} holds one (vth|du|dv) a population \(limit one value, got \d+ values", *graphs
    )


LAVA = {
    **no_joins("Lava's LIF"),
    **no_subtraction("Lava's LIF"),
    **refused(
        r"loop is too fast for a chip, .*\(limit a total delay of 2 or more, got 1\)",
        "recurrent_faster_than_its_layers",
    ),
    **refused(
        r"current and bias can leave Lava's 32 bits \(limit 2147483647, got \d{10}\)",
        "largest_legal_sum",
        "sums_beyond_24_bits",
        "current_beyond_32_bits",
    ),
}

LOIHI_SIM = {
    **LAVA,
    **refused(
        r"does not fit Loihi 2, it breaks loop: loop is too fast for a chip, .*got 1\)",
        "recurrent_faster_than_its_layers",
    ),
    **one_value(
        "the readout process of Loihi 2",
        "leaks_by_neuron_within_a_chip",
    ),
    **refused(
        r"does not fit Loihi 2, it breaks weight_exponent.*\(limit 7 bits, got \d+\)",
        "current_wraps_up",
        "current_wraps_down",
        "current_at_border",
        "current_at_border_below_saturation",
        "current_at_negative_border",
        "current_far_beyond_border",
        "current_wraps_by_memory",
        "current_beyond_32_bits",
        "membrane_saturates_up",
        "membrane_saturates_down",
        "membrane_saturates_and_fires",
        "joined_chain",
        "borders_by_neuron",
        "subtract_and_fire_at_every_step",
    ),
    **refused(
        r"does not fit Loihi 2, it breaks decay_bits.*\(limit 12 bits, got (-1|4096)\)",
        "current_never_decays",
        "membrane_fully_leaks",
        "borders_of_a_wide_input",
        "decays_by_neuron",
        "subtract_by_neuron",
    ),
    **refused(
        r"does not fit Loihi 2, it breaks weight_bits.*\(limit 8 bits, got \d+\)",
        "attention",
        "largest_legal_sum",
    ),
    **refused(
        r"does not fit Loihi 2, it breaks bias_mantissa_bits.*\(limit 13 bits, got 30000\)",
        "sums_beyond_24_bits",
    ),
}

LOIHI = {
    **LOIHI_SIM,
    **refused(
        r"biases of a network with delays .* would have to be switched on step by step",
        "delays_and_loops",
        "recurrent_over_two_layers",
    ),
}

ONNX = no_joins("the ONNX export")

NIR = {
    **no_joins("NIR"),
    **no_subtraction("NIR's CubaLIF"),
    **refused(
        r"importers of NIR drop or refuse a delay \(limit delay 0, got \d\)",
        "all_samples_static",
        "delay_3_skip",
        "delay_beyond_the_sample",
        "delayed_cross_links",
        "recurrent",
        "recurrent_over_two_layers",
        "recurrent_faster_than_its_layers",
        "delays_and_loops",
        "chain_with_a_delay",
        "parameters_by_token_in_a_loop",
    ),
    **refused(
        r"a bias on a current with memory .*\(limit du = 4095, or no bias, got du = \d+\)",
        "attention",
        "chain_of_images",
        "sums_beyond_24_bits",
    ),
}

NETX = {
    **no_joins("netx"),
    **no_subtraction("netx"),
    **one_value(
        "netx",
        "thresholds_by_neuron",
        "decays_by_neuron",
        "leaks_by_neuron_within_a_chip",
        "parameters_by_channel",
        "parameters_by_pixel",
        "parameters_by_token_in_a_loop",
        "memoryless_with_thresholds_by_neuron",
        "borders_by_neuron",
    ),
    **refused(
        r"netx does not hold branches \(limit one synapse, got .+, .+\)",
        "threshold_equality",
        "bias_with_exponent",
        "graded_input_of_8_bits_and_a_skip",
        "two_synapses_between_the_same_populations",
        "synapse_exponents",
        "zero_weights",
        "skips_of_several_depths",
        "readout_with_bias_and_long_skips",
        "delay_3_skip",
        "delay_beyond_the_sample",
        "delays_and_loops",
        "borders_of_a_wide_input",
        "sums_beyond_24_bits",
    ),
    **refused(
        r"netx does not hold several inputs \(limit 1, got [23]\)",
        "all_samples_static",
        "two_inputs_of_different_shapes",
        "three_modalities",
        "two_sources",
        "both",
        "gate_by_broadcast",
        "delayed_cross_links",
        "attention",
        "largest_legal_sum",
    ),
    **refused(
        r"netx does not hold a population with several synapses \(limit one synapse, got .+, .+\)",
        "bias_only",
        "recurrent",
        "recurrent_over_two_layers",
        "recurrent_faster_than_its_layers",
    ),
    **refused(
        r"netx does not hold a \w+ synapse from [123] axes \(limit Dense, or Conv2d, Window and",
        "small_negative_membrane_vanishes",
        "negative_current_decays_toward_zero",
        "one_to_one_between_shapes",
        "k_of_n",
        "single_connections",
        "mask_with_slow_leak",
        "pointwise_tokens",
    ),
    **refused(
        r"netx does not hold weights of more than 8 bits \(limit -128..127, got",
        "current_wraps_up",
        "current_wraps_down",
        "current_at_border",
        "current_at_border_below_saturation",
        "current_at_negative_border",
        "current_far_beyond_border",
        "current_wraps_by_memory",
        "current_beyond_32_bits",
        "membrane_saturates_up",
        "membrane_saturates_down",
        "membrane_saturates_and_fires",
        "highest_threshold",
    ),
    **refused(
        r"netx does not hold a memoryless population whose membrane can reach 4096 \(limit 4095",
        "memoryless_with_bias",
        "memoryless_ignores_decays",
        "subtract_without_memory",
    ),
    **refused(
        r"netx does not hold a bias between multiples of 64 membrane units \(got -?\d+\)",
        "bias_positive",
        "bias_negative",
        "bias_per_channel",
        "bias_per_neuron_deep",
        "zero_input",
        "fewer_steps_than_layers",
    ),
}

SNNTORCH = {
    **NIR,
    **one_value(
        "snntorch's importer",
        "thresholds_by_neuron",
        "parameters_by_channel",
        "parameters_by_pixel",
        "memoryless_with_thresholds_by_neuron",
        "borders_by_neuron",
    ),
}

SPIKINGJELLY = {
    **NIR,
    **one_value(
        "spikingjelly's importer",
        "thresholds_by_neuron",
        "decays_by_neuron",
        "leaks_by_neuron_within_a_chip",
        "parameters_by_channel",
        "parameters_by_pixel",
        "memoryless_with_thresholds_by_neuron",
        "borders_by_neuron",
    ),
}

VERILOG = refused(
    r"a current with memory can leave the core's 24 bits \(limit a synaptic sum of 262144, got",
    "largest_legal_sum",
    "sums_beyond_24_bits",
    "current_beyond_32_bits",
)

REFUSALS: dict[str, dict[str, str]] = {
    "reference": {},
    "simulator": {},
    "c": {},
    "verilog": VERILOG,
    "lava": LAVA,
    "lava-inprocess": LAVA,
    "loihi-sim": LOIHI_SIM,
    "loihi": LOIHI,
    "onnx": ONNX,
    "onnx-step": ONNX,
    "netx": NETX,
    "norse": NIR,
    "snntorch": SNNTORCH,
    "spikingjelly": SPIKINGJELLY,
}

# NIR has no 24-bit borders: {graph: populations that differ}; values that never round are equal.
NO_BORDERS = {"current_wraps_by_memory": {"y"}, "borders_of_a_wide_input": {"a"}}
DIFFERS: dict[str, dict[str, set[str]]] = dict.fromkeys(
    ("norse", "snntorch", "spikingjelly"), NO_BORDERS
) | {"norse": {**NO_BORDERS, "borders_by_neuron": {"y"}}}
