"""Every number of every chip is that of its source: `chip_numbers.csv`, which knows nothing of the
chip files.
"""

import csv
from pathlib import Path

import pytest

from scmrl.hw_profiles.profile import load, names

ROWS = list(
    csv.DictReader((Path(__file__).parent / "chip_numbers.csv").open(encoding="utf-8", newline=""))
)


def floats(text):
    return tuple(map(float, text.split()))


@pytest.mark.parametrize("name", names())
def test_numbers_are_those_of_the_source(name):
    chip = load(name)
    found = {
        key: (q.value, q.range or (), q.each or (), q.unit)
        for key, q in (chip.quantities() | chip.published()).items()
    }
    expected = {
        row["key"]: (
            float(row["value"]),
            floats(f"{row['low']} {row['high']}"),
            floats(row["each"]),
            row["unit"],
        )
        for row in ROWS
        if row["profile"] == name
    }
    assert found == expected


def test_every_number_names_its_source_and_every_chip_is_there():
    assert {row["profile"] for row in ROWS} == set(names())
    assert all(len(row["source"]) > 10 for row in ROWS)
