"""Values at the last place where they still fit, in every lowering: one more, or one sign, and the
spikes are others.
"""

import numpy as np
import pytest

from scmrl.convert.lava import lowering
from scmrl.core import reference
from scmrl.core.comparison import compare
from scmrl.core.fixed_point import ACTIVATION_LIMIT, STATE_LIMIT
from scmrl.core.graph import Dense, Graph, OneToOne, Population
from scmrl.deploy.registry import open_backend
from scmrl.system.errors import GraphError, MissingDependency


def agree(graph, inputs, *backends):
    """The reference's run, which every backend that is installed equals in every bit."""
    expected = reference.run(graph, inputs)
    for name in backends:
        try:
            with open_backend(name, graph) as backend:
                compare(graph, expected, backend.run(inputs)).require()
        except MissingDependency:
            pytest.skip(f"{name} is not installed")
    return expected


@pytest.mark.parametrize("less", [0, 1])
def test_a_membrane_of_2_to_the_31_is_no_negative_one(less):
    """u + bias = 2^31, or the next below that the bias can make, from a spike: far above the
    threshold.
    """
    bias = {"bias_mant": 65504 - less, "bias_exp": 15}
    graph = Graph(
        (Population("x", (1,), "input"), Population("n", (1,), vth=100, dv=4096, **bias)),
        (Dense("x", "n", np.array([[16384]])),),
        3,
    ).check()
    assert less or (16384 << 6) + (65504 << 15) == 1 << 31
    inputs = {"x": np.array([1, 0, 1], np.uint8).reshape(1, 3, 1)}
    assert agree(graph, inputs, "simulator", "onnx", "onnx-step").spikes["n"].ravel().tolist() == [
        1,
        1,
        1,
    ]


@pytest.mark.parametrize("mantissa", [-65504, 65504])
def test_a_membrane_that_is_kept_and_pushed_past_the_border_is_clipped(mantissa):
    graph = Graph(
        (
            Population("x", (1,), "input"),
            Population("r", (1,), "readout", bias_mant=mantissa, bias_exp=15),
        ),
        (Dense("x", "r", np.array([[16384]])),),
        3,
    ).check()
    inputs = {"x": np.array([1, 0, 1], np.uint8).reshape(1, 3, 1)}
    v = agree(graph, inputs, "simulator", "onnx", "onnx-step").membrane["r"].ravel()
    assert v.tolist() == [np.sign(mantissa) * (STATE_LIMIT - 1)] * 3


@pytest.mark.parametrize("over", [0, 1])
def test_the_largest_sum_of_a_message_passes_and_one_more_does_not(over):
    weight = np.array([[ACTIVATION_LIMIT - 2, 1 + over]])
    graph = Graph(
        (Population("x", (2,), "input"), Population("n", (1,), vth=1)), (Dense("x", "n", weight),)
    )
    if over:
        with pytest.raises(
            GraphError, match=f"limit {ACTIVATION_LIMIT - 1}, got {ACTIVATION_LIMIT}"
        ):
            graph.check()
    else:
        assert graph.check().worst_activation("n") == ACTIVATION_LIMIT - 1


def test_worst_activation_counts_bits_exponents_and_both_signs():
    graph = Graph(
        (Population("x", (2,), "input", bits=4), Population("h", (1,)), Population("n", (1,))),
        (
            Dense("x", "n", np.array([[3, -5]]), exponent=2),
            Dense("x", "h", np.array([[1, 1]])),
            OneToOne("h", "n", -7, exponent=1),
        ),
    )
    assert graph.worst_activation("n") == (3 + 5) * 15 * 4 + 7 * 2


@pytest.mark.parametrize("bits, width", [(1, 1), (2, 8), (8, 8), (9, 16), (16, 16)])
def test_messages_are_as_wide_as_the_values_they_carry(bits, width):
    graph = Graph(
        (
            Population("x", (2,), "input", bits=bits),
            Population("n", (3,), vth=5),
            Population("r", (2,), "readout"),
        ),
        (Dense("x", "n", np.ones((3, 2), np.int8)), Dense("n", "r", np.ones((2, 3), np.int8))),
    ).check()
    found = {(w.source == lowering.SOURCE): w.message_bits for w in lowering.lower(graph).weights}
    assert found == {True: width, False: 1}


def test_lava_takes_16_bit_bias_mantissas_and_no_more():
    def graph(mantissa):
        return Graph(
            (Population("x", (1,), "input"), Population("n", (1,), bias_mant=mantissa)),
            (Dense("x", "n", np.array([[1]])),),
        ).check()

    for mantissa in (-(1 << 15), (1 << 15) - 1):
        assert lowering.lower(graph(mantissa)).neurons[0].bias_mant.tolist() == [mantissa]
    for mantissa in (-(1 << 15) - 1, 1 << 15):
        with pytest.raises(GraphError, match="16 bits"):
            lowering.lower(graph(mantissa))


@pytest.mark.parametrize(
    "bias", [float("nan"), float("inf"), -float("inf"), 1e30, -(2.0**63), (4095 << 15) + 1.0]
)
def test_a_bias_beyond_every_exponent_is_refused_before_it_is_cast(bias):
    from scmrl.convert.nir.importer.rounding import whole_units

    with np.errstate(all="raise"), pytest.raises(GraphError, match="n: bias is too large"):
        whole_units(np.array([0.0, bias]), "n")
