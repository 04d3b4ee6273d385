"""A file's values are held to the table of its kinds: each border, each place named."""

import pytest

from scmrl.core.schema import (
    Anything,
    Choice,
    Either,
    Flag,
    Integer,
    List,
    Map,
    Maybe,
    Number,
    Table,
    Text,
)
from scmrl.system.errors import BundleError

GOOD = [
    (Integer(), -(1 << 63)),
    (Integer(), (1 << 63) - 1),
    (Integer(2, 3), 2),
    (Integer(2, 3), 3),
    (Number(), -1e300),
    (Number(), 1e300),
    (Number(0, 1), 1),
    (Text(), ""),
    (Text(printable=True), "a"),
    (Choice(("a", "b")), "b"),
    (Flag(), False),
    (Anything(), object()),
    (Maybe(Integer()), None),
    (Maybe(Integer()), 3),
    (Either(Text(), Table({"a": Text()})), "a"),
    (Either(Text(), Table({"a": Text()})), {"a": "b"}),
    (List(Integer(), 1, 2), [1]),
    (List(Integer(), 1, 2), (1, 2)),
    (Map(Text()), {"a": "b"}),
    (Table({"a": Text()}, {"b": Text()}), {"a": "c", "b": "d"}),
    (Table({"a": Text()}, open=True), {"a": "c", "z": 3}),
]
BAD = [
    (Integer(), -(1 << 63) - 1, "f: is out of range"),
    (Integer(), 1 << 63, "f: is out of range"),
    (Integer(2, 3), 1, r"f: is out of range \(limit 2\.\.3, got 1\)"),
    (Integer(2, 3), 4, "f: is out of range"),
    (Integer(), True, r"f: must be an integer \(got bool True\)"),
    (Integer(), 1.0, r"f: must be an integer \(got float 1.0\)"),
    (Number(), 2e300, "f: is out of range"),
    (Number(), -2e300, "f: is out of range"),
    (Number(0, 1), 1.5, r"f: is out of range \(limit 0 to 1, got 1.5\)"),
    (Number(), True, "f: must be a number"),
    (Number(), "1", "f: must be a number"),
    (Text(), 3, "f: must be text"),
    (Text(printable=True), "", "f: must be printable text"),
    (Text(printable=True), "\n", "f: must be printable text"),
    (Choice(("right", "left")), "rihgt", r"f: unknown word \(got rihgt\).*right"),
    (Flag(), 1, "f: must be true or false"),
    (Maybe(Integer()), "a", "f: must be an integer"),
    (Either(Text(), Table({"a": Text()})), 3, "f: must be text"),
    (Either(Text(), Table({"a": Text()})), {"a": 3}, "f.a: must be text"),
    (List(Integer(), 1, 2), [], r"f: must have another length \(limit 1 to 2, got 0\)"),
    (List(Integer(), 1, 2), [1, 2, 3], "f: must have another length"),
    (List(Integer()), {"0": 1}, "f: must be a list"),
    (List(Integer()), [1, "a"], "f.1: must be an integer"),
    (Map(Text()), ["a"], "f: must be a table"),
    (Map(Text()), {"a": 3}, "f.a: must be text"),
    (Table({"a": Text()}), ["a"], "f: must be a table"),
    (Table({"a": Text()}), {}, "f.a: is missing"),
    (Table({"a": Text()}), {"a": "b", "c": 1}, r"f: unknown key \(got c\)"),
    (Table({"a": Text()}, {"b": Text()}), {"a": "c", "b": 3}, "f.b: must be text"),
]


@pytest.mark.parametrize(("kind", "value"), GOOD)
def test_what_is_of_a_kind_passes(kind, value):
    kind.check(value, "f", BundleError)


@pytest.mark.parametrize(("kind", "value", "words"), BAD)
def test_what_is_not_is_named_with_its_place(kind, value, words):
    with pytest.raises(BundleError, match=f"^{words}"):
        kind.check(value, "f", BundleError)


def test_a_key_of_a_file_stands_after_a_colon():
    with pytest.raises(BundleError, match="bundle.json: a: is missing"):
        Table({"a": Text()}).check({}, "bundle.json", BundleError)
