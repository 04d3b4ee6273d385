"""The memories of the core: how many words they have, and their images as `$readmemh` reads them.

A word of most memories has a part for each of the P engines, the first engine's lowest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ...system.errors import GraphError

# Words of the core that is simulated, the largest: `scmrl.deploy.backends.verilog`. Its parameters
# have these names in capitals.
LARGEST = {
    "schedule": 1 << 16,
    "queue": 1 << 17,
    "graded": 1 << 16,
    "places": 1 << 16,
    "weights": 1 << 20,
    "sums": 1 << 14,
    "currents": 1 << 16,
    "membranes": 1 << 16,
    "levels": 1 << 16,
    "decays": 1 << 16,
    "populations": 1 << 12,
}
WIDEST = {"bias": 32, "position": 16, "group": 14, "taps": 16}  # bits of fields
SMALLEST = 2  # words of a memory: an address has a bit
THRESHOLD, KEEP, WEIGHT, SUM, CURRENT = 23, 13, 8, 25, 25  # bits


@dataclass
class Memory:
    """Words that are given out from the first on; equal ones are shared where they have content."""

    name: str
    words: int = 0
    rows: list[np.ndarray] = field(default_factory=list)
    _known: dict[bytes, int] = field(default_factory=dict)

    def take(self, words: int, where: str) -> int:
        """Where `words` new ones begin. Raises `GraphError` where the largest core has no room."""
        start, self.words = self.words, self.words + words
        limit = LARGEST[self.name]
        if self.words > limit:
            raise GraphError(
                f"no room in the core's memory of {self.name}",
                where=where,
                limit=f"{limit:,} words",
                value=f"{self.words:,} with those before it",
                fix="use the target or backend c, or a narrower network",
            )
        return start

    def put(self, rows: np.ndarray, where: str) -> int:
        """Where the words `rows` [words, ...] lie, new or the same."""
        key = rows.dtype.str.encode() + str(rows.shape).encode() + rows.tobytes()
        if key not in self._known:
            self._known[key] = self.take(len(rows), where)
            self.rows.append(rows)
        return self._known[key]


def bits(largest: int) -> int:
    """Bits of an unsigned field that holds 0 to `largest`, one at least."""
    return max(1, int(largest).bit_length())


def packed(fields: Sequence[tuple[int, int]]) -> int:
    """One word of (value, bits), the first lowest; values that are negative as two's complement."""
    word, at = 0, 0
    for value, width in fields:
        word |= (value & ((1 << width) - 1)) << at
        at += width
    return word


def image(words: Sequence[str]) -> str:
    """Words in hexadecimal as `$readmemh` reads them, as many at least as the smallest memory."""
    return "".join(f"{word}\n" for word in [*words, *["0"] * (SMALLEST - len(words))])


def spelt(words: Sequence[int], width: int) -> list[str]:
    """Words in hexadecimal, all as long as the widest could be."""
    return [f"{word:0{-(-width // 4)}x}" for word in words]


def spelt_bytes(rows: np.ndarray) -> list[str]:
    """Words of bytes [words, P], int8, the first lowest, in hexadecimal."""
    digits, step = np.ascontiguousarray(rows[:, ::-1]).tobytes().hex(), 2 * rows.shape[1]
    return [digits[i : i + step] for i in range(0, len(digits), step)]
