"""Every form of a linear map is one matrix: what it says of itself is what that matrix says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scmrl.convert.nir.importer.floats import maps
from scmrl.convert.nir.importer.floats.maps import (
    MAX_ENTRIES,
    Chain,
    Conv,
    Diagonal,
    Matrix,
    check_size,
    compose,
    conv,
    identity,
)
from scmrl.system.errors import GraphError


def matrix_of(m):
    """[targets, sources], by the map's own values for each source alone."""
    sources = int(np.prod(m.source))
    return m.apply(np.eye(sources).reshape(sources, *m.source)).reshape(sources, -1).T


def drawn(random, *shape):
    """Whole numbers, of both signs and zero: sums of them are exact."""
    return random.integers(-3, 4, shape).astype(float)


def image(random, source, largest=3):
    """A convolution on an image, with or without groups, stride and padding."""
    groups = random.choice([g for g in (1, 2, 3) if source[0] % g == 0])
    padding = tuple(int(n) for n in random.integers(0, 3, 2))
    room = [min(largest, n + 2 * p) for n, p in zip(source[1:], padding)]
    kernel = [int(random.integers(1, n + 1)) for n in room]
    outs = int(groups * random.integers(1, 3))
    weight = drawn(random, outs, source[0] // groups, *kernel)
    stride = tuple(int(n) for n in random.integers(1, 4, 2))
    return conv("c", source, weight, stride, padding, groups=int(groups))


def some(random, kind, source):
    """A map of a kind on `source`, of three axes where it is an image."""
    size = int(np.prod(source))
    if kind == "diagonal":
        return Diagonal("d", source, source, drawn(random, size))
    if kind == "channels":
        each = np.repeat(drawn(random, source[0]), size // source[0])
        return Diagonal("d", source, source, each)
    if kind == "one":
        return Diagonal("d", source, source, np.full(size, float(random.integers(-3, 4))))
    if kind == "matrix":
        outs = int(random.integers(1, 7))
        return Matrix("m", source, (outs,), drawn(random, outs, size))
    if kind == "chain":
        first = image(random, source)
        last = Diagonal("d", first.target, first.target, drawn(random, int(np.prod(first.target))))
        return Chain("x", source, first.target, (first, last))
    return image(random, source)


KINDS = ("diagonal", "channels", "one", "matrix", "conv", "chain")
SEEDS = st.integers(0, 1 << 32)
FEW = settings(max_examples=12)


def source_of(random):
    return tuple(int(n) for n in (random.integers(1, 4), *random.integers(2, 6, 2)))


@pytest.mark.parametrize("kind", KINDS)
@FEW
@given(seed=SEEDS)
def test_a_map_says_what_its_matrix_says(kind, seed):
    random = np.random.default_rng(seed)
    m = some(random, kind, source_of(random))
    whole = matrix_of(m)
    assert whole.shape == (np.prod(m.target), np.prod(m.source))
    for chunk in (5, maps.ROWS):  # the rows that are looked at together are no matter
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(maps, "ROWS", chunk * whole.shape[1])
            rows, columns, weights = m.coordinates()
        again = np.zeros_like(whole)
        again[rows, columns] = weights
        assert np.array_equal(again, whole)
        assert len(rows) == np.count_nonzero(whole) and np.all(np.diff(rows) >= 0)
    y = drawn(random, 2, len(whole))
    assert np.array_equal(m.adjoint(y.reshape(2, *m.target)), y @ whole)
    assert np.array_equal(m.row_sums(np.square), np.square(whole).sum(1))
    assert np.array_equal(m.row_peaks(), np.abs(whole).max(1))
    x = drawn(random, 3, *m.source)
    assert m.apply(x).shape == (3, *m.target)
    assert np.array_equal(m.apply(x.reshape(3, -1)).reshape(3, -1), x.reshape(3, -1) @ whole.T)
    assert set(np.unique(whole)) - {0} <= set(np.unique(m.values()))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("by", ["output", "channel", "all"])
@FEW
@given(seed=SEEDS)
def test_rows_are_scaled(kind, by, seed):
    random = np.random.default_rng(seed)
    m = some(random, kind, source_of(random))
    shape = {"output": m.target, "channel": (m.target[0], *(1,) * (len(m.target) - 1)), "all": ()}
    factor = drawn(random, *shape[by])
    scaled = m.rows_scaled(factor)
    each = np.broadcast_to(factor, m.target).reshape(-1, 1)
    assert np.array_equal(matrix_of(scaled), each * matrix_of(m))
    rows, columns, weights = scaled.coordinates()
    again = np.zeros_like(matrix_of(m))
    again[rows, columns] = weights
    assert np.array_equal(again, matrix_of(scaled))
    if kind == "conv":  # a factor for each channel goes into the kernel
        uneven = np.ptp(each.reshape(m.target[0], -1), axis=1).any()
        assert isinstance(scaled, Chain if uneven else Conv)


@pytest.mark.parametrize("second", KINDS)
@pytest.mark.parametrize("first", KINDS)
@FEW
@given(seed=SEEDS)
def test_two_maps_become_one(first, second, seed):
    random = np.random.default_rng(seed)
    a = some(random, first, source_of(random))
    between = a.target if len(a.target) == 3 else (a.target[0], 1, 1)
    b = some(random, second, between)
    one = compose(b, a)
    assert one.source == a.source and np.prod(one.target) == np.prod(b.target)
    assert np.array_equal(matrix_of(one), matrix_of(b) @ matrix_of(a))
    assert one.name == f"{a.name}, {b.name}"
    if "matrix" in (first, second) and "diagonal" not in (first, second):
        assert isinstance(one, Matrix) or first == second == "chain"


@FEW
@given(seed=SEEDS)
def test_a_factor_of_a_channel_before_a_convolution_goes_into_its_kernel(seed):
    random = np.random.default_rng(seed)
    source = (4, 3, 3)
    second = conv("c", source, drawn(random, 4, 2, 2, 2), (1, 1), (0, 0), groups=2)
    for scale in (np.full(4, 2.0), np.array([1.0, 2.0, 3.0, 2.0])):
        one = compose(second, Diagonal("d", source, source, np.repeat(scale, 9)))
        assert isinstance(one, Conv)
        assert one.groups == (2 if np.ptp(scale) == 0 else 1)
    one = compose(second, Diagonal("d", source, source, np.arange(36.0)))
    assert isinstance(one, Chain)


@FEW
@given(seed=SEEDS)
def test_convolutions_without_padding_between_stay_a_convolution(seed):
    random = np.random.default_rng(seed)
    first = image(random, (2, 6, 7), largest=2)
    second = conv("c", first.target, drawn(random, 2, first.target[0], 1, 1), (1, 2), (0, 0))
    assert isinstance(compose(second, first), Conv)


@pytest.mark.parametrize("padding", ["same", "valid", (0, 1), (2, 0)])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 1), (1, 3)])
@FEW
@given(seed=SEEDS)
def test_a_convolution_is_torchs(padding, dilation, seed):
    torch = pytest.importorskip("torch", reason="compares with torch")
    random = np.random.default_rng(seed)
    groups, kernel = int(random.integers(1, 3)), [int(n) for n in random.integers(1, 4, 2)]
    weight = drawn(random, 2 * groups, 2, *kernel)
    stride = (1, 1) if padding == "same" else tuple(int(n) for n in random.integers(1, 4, 2))
    x = drawn(random, 2, 2 * groups, 7, 8)
    m = conv("c", x.shape[1:], weight, stride, padding, dilation, groups)
    expected = torch.nn.functional.conv2d(
        torch.as_tensor(x), torch.as_tensor(weight), None, stride, padding, dilation, groups
    ).numpy()
    assert m.target == expected.shape[1:]
    assert np.array_equal(m.apply(x), expected)


@pytest.mark.parametrize("over", [0, 1])
def test_the_largest_map_is_taken_and_one_more_is_not(over):
    if not over:
        return check_size(MAX_ENTRIES, "n")
    with pytest.raises(
        GraphError, match=f"n: .*limit {MAX_ENTRIES} weights, got {MAX_ENTRIES + 1}"
    ):
        check_size(MAX_ENTRIES + 1, "n")


@pytest.mark.parametrize("side", ["first", "second"])
@pytest.mark.parametrize("over", [0, 1])
def test_no_form_is_larger_than_the_limit(side, over, monkeypatch):
    """A matrix of 2 x 12 entries beside a map of 12; a kernel; and ungrouped weights."""
    matrix = Matrix("m", (12,), (2,), np.ones((2, 12)))
    image_ = conv("c", (3, 2, 2), np.ones((3, 1, 1, 1)), (1, 1), (0, 0), groups=3)
    back = conv("c", (2, 1, 1), np.ones((12, 2, 1, 1)), (1, 1), (0, 0))
    a, b = (image_, matrix) if side == "first" else (matrix, back)
    monkeypatch.setattr(maps, "MAX_ENTRIES", int(np.prod(a.source) * np.prod(b.target)) - over)
    if over:
        with pytest.raises(GraphError, match="linear map is too large"):
            compose(b, a)
    else:
        assert isinstance(compose(b, a), Matrix)


@pytest.mark.parametrize("over", [0, 1])
@pytest.mark.parametrize(
    "entries, make",
    [
        (
            2 * 3 * 3 * 2,
            lambda: conv("c", (3, 4, 4), np.ones((2, 3, 2, 2)), (1, 1), (0, 0), (2, 1)),
        ),
        (4 * 2 * 2 * 2, lambda: grouped().ungrouped()),
        (12, lambda: Chain("x", (12,), (12,), (identity("i", (12,), (12,)),)).coordinates()),
        (
            2 * 3 * 3 * 3,
            lambda: compose(
                conv("b", (2, 3, 3), np.ones((2, 2, 2, 2)), (1, 1), (0, 0)),
                conv("a", (3, 4, 4), np.ones((2, 3, 2, 2)), (1, 1), (0, 0)),
            ),
        ),
    ],
    ids=["dilated", "ungrouped", "chain", "two"],
)
def test_what_is_written_out_is_bounded(entries, make, over, monkeypatch):
    monkeypatch.setattr(maps, "MAX_ENTRIES", entries - over)
    if over:
        with pytest.raises(GraphError, match="linear map is too large"):
            make()
    else:
        make()


def grouped():
    return Conv("c", (2, 3, 3), (4, 2, 2), np.ones((4, 1, 2, 2)), (1, 1), (0, 0), 2)


@pytest.mark.parametrize(
    "weight, source, padding, groups, said",
    [
        ((2, 3, 1, 1), (2, 4, 4), (0, 0), 1, "does not fit its input"),
        ((3, 1, 1, 1), (2, 4, 4), (0, 0), 2, "does not fit its input"),
        ((2, 2, 5, 1), (2, 4, 4), (0, 0), 1, "larger than its padded input"),
        ((2, 2, 1, 7), (2, 4, 4), (0, 1), 1, "larger than its padded input"),
        ((2, 2, 1, 6), (2, 4, 4), (0, 1), 1, None),
        ((2, 2, 4, 4), (2, 4, 4), (0, 0), 1, None),
        ((4, 1, 1, 1), (2, 4, 4), (0, 0), 2, None),
    ],
)
def test_what_fits_a_convolution(weight, source, padding, groups, said):
    if said is None:
        conv("c", source, np.ones(weight), (1, 1), padding, groups=groups)
    else:
        with pytest.raises(GraphError, match=f"c: .*{said}|{said}"):
            conv("c", source, np.ones(weight), (1, 1), padding, groups=groups)


@pytest.mark.parametrize("stride", [(2, 1), (1, 2)])
def test_same_padding_needs_a_stride_of_one(stride):
    with pytest.raises(GraphError, match="padding 'same' needs stride 1"):
        conv("c", (1, 4, 4), np.ones((1, 1, 3, 3)), stride, "same")


@pytest.mark.parametrize("chunk", [1, 1 << 22])
@FEW
@given(seed=SEEDS)
def test_products_are_the_definitions_in_any_parts(chunk, seed):
    """`products.convolve`, some samples at a time, in both types, equals `core.convolution`."""
    from scmrl.convert.nir.importer.floats import products

    random = np.random.default_rng(seed)
    m = image(random, source_of(random))
    x = random.integers(0, 4, (5, *m.source))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(products, "COLUMNS", chunk)
        for number in (np.float32, np.float64):
            y = products.convolve(m.form, x, number)
            assert y.dtype == number and np.array_equal(y, m.form.apply(x))
