"""A chip's number stands in its profile or in the arithmetic's definition; elsewhere it has a name,
or a reason.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from places import ROOT

from scmrl.core import fixed_point as fp
from scmrl.hw_profiles.profile import load

PACKAGE = ROOT / "scmrl"
ROOMS = ("core", "network", "train", "convert", "deploy", "sweep")  # system and data know no chip
HOMES = ("core/fixed_point.py",)
# The definition's borders, by either side, and the limits of both chips that are no round number of
# something else (128 is a batch, 1,024 and its powers bytes).
ARITHMETIC = {
    *(fp.DECAY_ONE, fp.DECAY_ONE - 1),
    *(fp.THRESHOLD_MAX, fp.THRESHOLD_MAX + 1),
    *(fp.STATE_LIMIT, fp.STATE_MAX),
    *(2 * fp.DECAY_ONE, 2 * fp.DECAY_ONE - 1),
    fp.signed(fp.WEIGHT_BITS)[1],
}
LIMITS = {
    int(quantity.value)
    for chip in ("loihi1", "loihi2")
    for quantity in load(chip).limits.values()
    if quantity.value > 1024 and quantity.value != 1 << 20
}
CHIP = ARITHMETIC | LIMITS
# {file: {number: why it is no chip's number there, or why it may stand}}
REASONS = {
    "core/graph.py": dict.fromkeys(
        (4095, 4096, 8388607), "what a graph may hold at all, by the arithmetic: its own table"
    ),
    "convert/verilog/memories.py": dict.fromkeys(
        (4096, 16384, 131072), "words of memories of a core of our own"
    ),
    "deploy/counting/stream.py": {4096: "numbers of a tensor that are looked at first"},
    "deploy/robustness/perturbation.py": {127: "a byte of memory, of which bits are flipped"},
    "deploy/validation/lsnn.py": {127: "a threshold of the published network"},
    "convert/nir/importer/floats/reading.py": {4096: "routes that are followed"},
    "deploy/backends/lava/session.py": {4096: "bytes of a message"},
    "network/kernels/integers.py": {
        4095: "the low half of a product in a compiled kernel, typed to 32 bits"
    },
    "network/kernels/neuron.py": {4096: "resolution of the drive while batch norm is live"},
    "sweep/run.py": {16384: "bytes of a log"},
    "sweep/study.py": {127: "the character DEL"},
    "network/kernels/rows.py": {127: "exponent bias of a float32"},
    "train/checkpoint.py": {4096: "threads of a machine"},
}


def value(node: ast.AST) -> int | None:
    """The integer of a constant expression such as `(1 << 17) - 1`; None for any other."""
    if isinstance(node, ast.Constant):
        return node.value if type(node.value) is int else None
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = value(node.operand)
        return None if inner is None else -inner
    if isinstance(node, ast.BinOp):
        left, right = value(node.left), value(node.right)
        if left is None or right is None:
            return None
        if isinstance(node.op, (ast.LShift, ast.Pow)):
            return left << right if isinstance(node.op, ast.LShift) and right < 64 else None
        kinds = {ast.Add: int.__add__, ast.Sub: int.__sub__, ast.Mult: int.__mul__}
        return kinds[type(node.op)](left, right) if type(node.op) in kinds else None
    return None


def integers(node: ast.AST) -> Iterator[int]:
    """The whole constants of a tree: `1 << 17` is one of them, its 1 and its 17 are not."""
    found = value(node)
    if found is not None:
        yield found
        return
    for child in ast.iter_child_nodes(node):
        yield from integers(child)


def files() -> list[Path]:
    return [
        path
        for room in ROOMS
        for path in sorted((PACKAGE / room).rglob("*.py"))
        if path.relative_to(PACKAGE).as_posix() not in HOMES
    ]


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_chips_number_has_a_name_or_a_reason(path):
    here = path.relative_to(PACKAGE).as_posix()
    found = {abs(n) for n in integers(ast.parse(path.read_text(encoding="utf-8")))}
    assert found & CHIP <= REASONS.get(here, {}).keys()


@pytest.mark.parametrize(
    "text, number",
    [
        ("vth_max = (1 << 17) - 1", 131071),
        ("f(dv=4096)", 4096),
        ("low, high = -127, 127", 127),
        ("if 1 << 23 > x: pass", 1 << 23),
        ("cores = 8192", 8192),
    ],
)
def test_the_scan_sees_a_number_however_it_is_written(text, number):
    assert {abs(n) for n in integers(ast.parse(text))} & CHIP == {number}


def test_reasons_are_for_files_that_there_are():
    assert all((PACKAGE / here).is_file() for here in REASONS)
    assert all(numbers.keys() <= CHIP for numbers in REASONS.values())
