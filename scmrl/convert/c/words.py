"""Words of C: names, types and constant tables. numpy only.

Neurons lie channels last, [positions][C]: the weights into all channels of a position then lie side
by side.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

TYPES = ("int8_t", "int16_t", "int32_t", "int64_t")
PLACES = ("uint8_t", "uint16_t", "uint32_t")
LINE = 100  # characters of a line of numbers


def size_of(kind: str) -> int:
    """Bytes of one number of a type."""
    return int(kind.strip("uint_")) // 8


def integer(low: int, high: int) -> str:
    """The narrowest signed type that holds both."""
    return next(
        t for t in TYPES if -(1 << (8 * size_of(t) - 1)) <= low and high < 1 << 8 * size_of(t) - 1
    )


def place(high: int, kinds: Sequence[str] = PLACES) -> str:
    """The narrowest unsigned type that holds 0 to `high`."""
    return next(t for t in kinds if high < 1 << 8 * size_of(t))


@dataclass(frozen=True)
class Table:
    """A constant array: its name, type and numbers."""

    name: str
    type: str
    values: np.ndarray

    @property
    def bytes(self) -> int:
        return size_of(self.type) * len(self.values)

    @property
    def text(self) -> str:
        return wrapped(self.values)


def wrapped(values: np.ndarray) -> str:
    """Numbers, in lines of a bearable length."""
    lines, line = [], ""
    for word in map(str, values.tolist()):
        if len(line) + len(word) > LINE:
            lines.append(line)
            line = ""
        line += f"{word},"
    return "\n".join([*lines, line])


def integers(name: str, values: np.ndarray) -> Table:
    """A table of signed numbers in the narrowest type."""
    flat = np.ascontiguousarray(values).ravel()
    return Table(name, integer(int(flat.min()), int(flat.max())), flat)


def places(name: str, values: np.ndarray) -> Table:
    """A table of indices in the narrowest type."""
    return Table(name, place(int(values.max(initial=0))), values)


def last(values: np.ndarray) -> np.ndarray:
    """Values of a population's shape [C, ...], channels last: [neurons]."""
    return np.moveaxis(values, 0, -1).ravel()


def order(shape: tuple[int, ...]) -> np.ndarray:
    """Where each neuron of the graph's order lies, channels last: int64 [neurons]."""
    where = np.arange(np.prod(shape)).reshape(*shape[1:], shape[0])
    return np.moveaxis(where, -1, 0).ravel()


def brackets(shape: tuple[int, ...]) -> str:
    """A shape [C, H, W] as C has it, channels last: [H][W][C]."""
    return "".join(f"[{n}]" for n in (*shape[1:], shape[0]))


def said(name: str) -> str:
    """A name as a comment may hold it, whoever chose it: nothing that ends or splices one."""
    return re.sub(r"[^\w .,:;#<>()\[\]+=-]", "_", name, flags=re.ASCII)


def identifiers(names: Iterable[str]) -> dict[str, str]:
    """A name of C for each, none twice: "audio.conv" is audio_conv."""
    found: dict[str, str] = {}
    for name in names:
        word = re.sub(r"\W+", "_", name.replace("->", "_to_"), flags=re.ASCII).strip("_") or "n"
        number, unique = 1, word
        while unique in found.values():
            number += 1
            unique = f"{word}_{number}"
        found[name] = unique
    return found
