"""Values as integers: fitted on one part, applied by every command, the same from disk."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from scmrl.core.bundle import load
from scmrl.core.graph import Dense, Graph, Population
from scmrl.data.features.frontend import FrontEnd, Quantiser
from scmrl.data.features.values import (
    ValueEncoding,
    ValueScale,
    encoding_of,
    in_steps,
)
from scmrl.deploy import jobs
from scmrl.deploy.samples import choose
from scmrl.system.errors import DataError, ScmrlError, UsageError

FLOATS = st.floats(-1e6, 1e6, width=32)


# --- the scale ------------------------------------------------------------------------------------


@given(
    hnp.arrays(np.float64, hnp.array_shapes(min_dims=1, max_dims=3, max_side=8), elements=FLOATS),
    st.integers(1, 16),
)
@settings(max_examples=200)
def test_a_value_comes_back_to_half_a_step(x, bits):
    try:
        scale = ValueScale.fit(x, bits)
    except DataError as error:
        assert "alike" in str(error)
        assert np.ptp(x) == 0 or np.ptp(x) / max(abs(x).max(), 1) < 1e-9
        return
    q = scale.encode(x)
    assert q.dtype == (np.uint8 if scale.bits <= 8 else np.uint16) and q.shape == x.shape
    assert scale.bits <= bits and q.max() <= scale.largest
    back = (q.astype(float) - scale.zero) * scale.step
    clipped = (q == 0) | (q == scale.largest)
    assert (np.abs(back - x)[~clipped] <= 0.5001 * scale.step + 1e-9).all()
    assert scale.encode(np.zeros(1))[0] == np.clip(scale.zero, 0, scale.largest)


@given(hnp.arrays(np.int64, st.integers(1, 30), elements=st.integers(-100, 155)))
def test_whole_numbers_stay_as_they_are(x):
    scale = ValueScale.fit(x, 8)
    if x.max(initial=0) - x.min(initial=0) < 256:
        assert scale.step == 1
        assert (scale.encode(x).astype(int) - scale.zero == x).all() and scale.beyond(x) == 0


def test_spikes_stay_one_bit():
    spikes = np.random.default_rng(0).integers(0, 2, (9, 5, 3))
    for x in (spikes, spikes.astype(bool), spikes.astype(np.float32), 0 * spikes):
        assert ValueScale.fit(x, 8) == ValueScale(1.0, 0, 1)


def test_an_outlier_does_not_take_the_range():
    x = np.random.default_rng(0).random((100, 50, 2))
    x[3, 4] = 1e4
    scale = ValueScale.fit(x, 8)
    assert scale.step < 1.01 / 255 and 2 <= scale.beyond(x) <= 0.003 * x.size
    assert ValueScale.of(x, 8).step > 10 / 255  # an import's range holds all values


def test_silence_is_no_part_of_the_percentiles_and_stays_exact():
    x = np.zeros((1000, 100))
    x[:3, :10] = np.linspace(-1, 2, 30).reshape(3, 10)  # 0.03 % of the values
    scale = ValueScale.fit(x, 8)
    assert abs(scale.step - 3 / 255) < 1e-3 and (scale.encode(x)[3:] == scale.zero).all()
    far = 280 + 30 * np.random.default_rng(0).random(1000)  # and no zero, where there is none
    assert ValueScale.fit(far, 8).step < 31 / 255 and ValueScale.fit(far, 8).zero < 0


def test_counts_wider_than_the_bits_are_scaled():
    pixels = np.arange(256, dtype=np.uint8)
    assert ValueScale.fit(pixels, 8) == ValueScale(1.0, 0, 8)
    assert ValueScale.fit(pixels, 4).step == pytest.approx(17, rel=0.01)


@pytest.mark.parametrize(
    "x, words",
    [
        (np.array([0.5, np.nan]), "x: values must be finite .got nan at .1., 1 such values"),
        (np.array([np.inf, 1.0]), "x: values must be finite"),
        (np.full(5, 0.25), "x: all values are alike"),
        (np.array(["a"]), "x: not an array of numbers"),
        (np.array([1j]), "x: not an array of numbers .got complex128"),
        (np.array([None, 1]), "x: not an array of numbers .got object"),
        ([[1, 2], [3]], "x: not an array .got setting"),
        (np.zeros((0, 4)), "x: no values to fit a scale on"),
    ],
)
def test_what_has_no_scale_is_refused(x, words):
    with pytest.raises(DataError, match=words):
        ValueEncoding.fit({"x": x}, 8)


def test_bits_have_bounds():
    for bits in (0, 17):
        with pytest.raises(UsageError, match="1 to 16"):
            ValueEncoding.fit({"x": np.arange(3)}, bits)


# --- on disk --------------------------------------------------------------------------------------

SCALES = st.builds(
    ValueScale,
    st.floats(1e-6, 1e6),
    st.integers(-(1 << 40), 1 << 40),
    st.integers(1, 16),
)


@given(st.dictionaries(st.text(max_size=9), SCALES, max_size=4))
def test_json_and_back(scales):
    encoding = ValueEncoding(scales)
    table = json.loads(json.dumps(encoding.to_dict()))
    assert ValueEncoding.from_dict(table) == encoding
    assert encoding.bits == {name: scale.bits for name, scale in scales.items()}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["kind", "inputs", "x", "step", "zero", "bits"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["kind", "inputs", "audio"]), JSON, max_size=3), JSON)
@settings(max_examples=300)
def test_a_hostile_front_end_is_one_line(table, inputs):
    for settings_ in (table, {"kind": "values", "inputs": inputs}):
        try:
            made = ValueEncoding.from_dict(settings_)
        except DataError as error:
            assert "\n" not in str(error)
        else:
            assert ValueEncoding.from_dict(made.to_dict()) == made


# --- in a model -----------------------------------------------------------------------------------

SHAPE, STEPS = (3, 4), 5


def network(bits: int = 8) -> Graph:
    weight = np.random.default_rng(3).integers(-90, 91, (2, 12)).astype(np.int16)
    return Graph(
        (Population("x", SHAPE, "input", bits=bits), Population("out", (2,), "readout")),
        (Dense("x", "out", weight),),
        STEPS,
        ("a", "b"),
    ).check()


@pytest.fixture
def values():
    random = np.random.default_rng(1)
    return random.normal(size=(7, STEPS, *SHAPE)), random.integers(0, 2, 7)


@pytest.fixture
def model(small_bundle, values, tmp_path):
    """A model whose samples are `values`, encoded; with their scale."""
    x, y = values
    encoding = ValueEncoding.fit({"x": x}, 8)
    bundle = dataclasses.replace(
        small_bundle,
        graph=network(),
        inputs=encoding.encode({"x": x}),
        labels=y,
        trained=None,
        frontend=encoding.to_dict(),
        training={},
    )
    bundle.save(tmp_path / "model")
    return tmp_path / "model"


def saved(path, **arrays):
    np.savez(path, **arrays)
    return path


ENCODED = "given samples 1 to 7 of a.npz, floats encoded by the model's scale"


@pytest.mark.parametrize(
    "command",
    [("deploy",), ("verify", "--backends", "simulator"), ("energy",), ("place",)],
    ids=lambda words: words[0],
)
def test_every_command_takes_values_and_says_so(scmrl, model, values, tmp_path, command):
    x, y = values
    file = saved(tmp_path / "a.npz", x=x.astype(np.float32), y=y)
    code, out, err = scmrl(command[0], model, *command[1:], "--input", file, "--json")
    assert code == 0, err
    found = json.loads(out)
    said = found.get("selection") or found["samples"]
    assert str(said).startswith(ENCODED)
    own = json.loads(scmrl(command[0], model, *command[1:], "--json")[1])
    assert found.get("accuracy") == own.get("accuracy")


def test_the_same_integers_whatever_way_they_are_given(model, values):
    x, _ = values
    bundle = load(model)
    wanted = bundle.inputs["x"]
    for given_, words in (
        (x, "floats encoded"),
        (x.reshape(7, STEPS, 12), "floats encoded"),
        (wanted, "integers taken as encoded already"),
        (wanted.astype(np.int64), "integers taken as encoded already"),
    ):
        chosen = choose(bundle, None, {"x": given_})
        assert (chosen.inputs["x"] == wanted).all() and words in chosen.selection
    still = choose(bundle, None, {"x": x[:, 0]}).inputs["x"]
    assert still.shape == wanted.shape and (still == wanted[:, :1]).all()
    beyond = np.full_like(x, 0.5)
    beyond[0] = 1e5
    assert (
        "scale, 14.29 % of them beyond it and clipped"
        in choose(bundle, None, {"x": beyond}).selection
    )


def test_values_of_another_kind_are_refused(model, values):
    x, _ = values
    bundle = load(model)
    for wrong, words in (
        (
            (100 * x).astype(np.int64),
            r"x: integers are neither the model's own nor on its scale .*or -2.*as floats",
        ),
        (np.where(x > 1, np.nan, x), "x: values must be finite"),
        (x[:, :, :2], "x: input has the wrong shape"),
        (x.astype(str), "x: not an array of numbers"),
    ):
        with pytest.raises(DataError, match=words):
            choose(bundle, None, {"x": wrong})
    plain = dataclasses.replace(bundle, frontend={})
    with pytest.raises(DataError, match="x: input must be integers .got float64"):
        choose(plain, None, {"x": x})
    with pytest.raises(DataError, match="wrong shape"):  # and nothing is reshaped there
        choose(plain, None, {"x": bundle.inputs["x"].reshape(7, STEPS, 12)})


def test_integers_beyond_the_bits_are_values_where_the_scale_holds_them(model):
    """Pixels 0 to 255 on a scale of four bits, as own data bring them."""
    x = np.random.default_rng(0).integers(0, 256, (4, STEPS, *SHAPE)).astype(np.uint8)
    encoding = ValueEncoding.fit({"x": x}, 4)
    bundle = dataclasses.replace(load(model), frontend=encoding.to_dict(), graph=network(4))
    for pixels in (x, x.astype(np.int32), x.astype(float)):
        chosen = choose(bundle, None, {"x": pixels})
        assert (chosen.inputs["x"] == encoding.encode({"x": x})["x"]).all()
        assert "encoded by the model's scale" in chosen.selection
    chosen = choose(bundle, None, {"x": x // 17})
    assert (chosen.inputs["x"] == x // 17).all() and "encoded already" in chosen.selection
    with pytest.raises(DataError, match="neither the model's own nor on its scale"):
        choose(bundle, None, {"x": 4 * x.astype(np.int64)})


def test_whole_numbers_below_zero_are_values(model):
    bundle = dataclasses.replace(
        load(model), frontend=ValueEncoding({"x": ValueScale(1.0, 2, 3)}).to_dict()
    )
    x = np.random.default_rng(0).integers(-2, 6, (4, STEPS, *SHAPE))
    for given_ in (x, x.astype(float), np.abs(x)):
        chosen = choose(bundle, None, {"x": given_})
        assert (chosen.inputs["x"] == given_ + 2).all()
        assert "encoded by the model's scale" in chosen.selection
    own = choose(bundle, None, {"x": (x + 2).astype(np.uint8)})
    assert (own.inputs["x"] == x + 2).all() and "encoded already" in own.selection
    with pytest.raises(DataError, match="x: the input takes whole numbers.*got .*5"):
        choose(bundle, None, {"x": x + 0.5})


def test_spikes_are_as_they_were(model):
    bundle = dataclasses.replace(
        load(model), frontend=ValueEncoding({"x": ValueScale()}).to_dict(), graph=network(1)
    )
    x = np.random.default_rng(0).integers(0, 2, (4, STEPS, *SHAPE))
    for kind in (np.uint8, np.int64, bool):
        chosen = choose(bundle, None, {"x": x.astype(kind)})
        assert chosen.selection == "given samples 1 to 4 of 4" and (chosen.inputs["x"] == x).all()
    with pytest.raises(DataError, match="out of range"):
        choose(bundle, None, {"x": 2 * x})


def test_an_import_of_before_has_its_scale_too(model):
    bundle = load(model)
    rows = {n: {"name": n, **s} for n, s in bundle.frontend["inputs"].items()}
    old = dataclasses.replace(bundle, frontend={}, training={"imported": "a.nir", "inputs": rows})
    assert encoding_of(old) == encoding_of(bundle)
    assert encoding_of(dataclasses.replace(bundle, frontend={})) is None
    unit = Quantiser(0.0, 1.0, 0.0, 1.0)
    recordings = FrontEnd(audio=unit, visual=unit).to_dict()
    assert encoding_of(dataclasses.replace(old, frontend=recordings)) is None


def test_a_stream_takes_values(scmrl, model, values, tmp_path):
    x, _ = values
    file = saved(tmp_path / "a.npz", x=x)
    code, out, err = scmrl("deploy", model, "--stream", "--input", file, "--json")
    assert code == 0, err
    report = json.loads(out.splitlines()[-1])
    assert "floats encoded by the model's scale" in json.dumps(report)
    assert report["steps"] == 7 * STEPS


def test_a_model_of_values_has_no_front_end_of_recordings(model):
    with pytest.raises(DataError, match="takes values, no recordings"):
        FrontEnd.from_dict(load(model).frontend)
    with pytest.raises(ScmrlError):
        jobs.deploy(dataclasses.replace(load(model), frontend={"kind": "values"}), inputs={"x": 1})


def test_in_steps():
    p = Population("x", (2, 6), "input", bits=4)
    x = np.arange(3 * 12).reshape(3, 2, 6)
    for still in (x, x.reshape(3, 12), x.reshape(3, 4, 3)):
        assert in_steps(still, p, 5).shape == (3, 5, 2, 6)
        assert (in_steps(still, p, 5)[:, 4] == x).all()
    moving = np.arange(3 * 4 * 12).reshape(3, 4, 2, 6)
    for over in (moving, moving.reshape(3, 4, 12), moving.reshape(3, 4, 2, 1, 6)):
        assert (in_steps(over, p, 5) == moving).all()
    assert in_steps(np.zeros((3, 5)), p, 5).shape == (3, 5)
    one = Population("x", (1,), "input")
    assert in_steps(np.zeros(3), one, 5).shape == (3, 5, 1)
    assert in_steps(np.zeros((3, 4)), one, 5).shape == (3, 4, 1)


# --- an imported network --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["floats", "negative counts", "spikes"])
def test_deploy_takes_the_file_that_import_was_calibrated_with(scmrl, tmp_path, kind):
    """The very file, the accuracy that the bundle's own samples have; and `--steps` cuts both."""
    nir = pytest.importorskip("nir", reason="nir is not installed")
    random = np.random.default_rng(4)
    rates = random.normal(size=(2, 6, 1))
    y = random.integers(0, 2, 40)
    x = rates[y, None] + 0.2 * random.normal(size=(40, 9, 6, 1))
    x = {"floats": x, "negative counts": np.rint(2 * x), "spikes": x > 0.3}[kind]
    weight = rates[:, :, 0].astype(np.float32)  # the network knows the patterns
    graph = nir.NIRGraph(
        {
            "in": nir.Input(np.array([6])),
            "w": nir.Linear(weight),
            "n": nir.IF(r=np.ones(2), v_threshold=np.ones(2), v_reset=np.zeros(2)),
            "out": nir.Output(np.array([2])),
        },
        [("in", "w"), ("w", "n"), ("n", "out")],
    )
    nir.write(tmp_path / "net.nir", graph)
    file = saved(tmp_path / "cal.npz", x=x if kind != "floats" else x.astype(np.float32), y=y)
    model = tmp_path / "model"
    code, _, err = scmrl("import", tmp_path / "net.nir", "--calibrate", file, "--out", model)
    assert code == 0, err
    bundle = load(model)
    assert bundle.frontend["kind"] == "values" and "inputs" not in bundle.training
    chosen = choose(bundle, None, file)
    assert {n: a.tolist() for n, a in chosen.inputs.items()} == {
        n: a.tolist() for n, a in bundle.inputs.items()
    }
    own = json.loads(scmrl("deploy", model, "--json")[1])
    found = json.loads(scmrl("deploy", model, "--input", file, "--json")[1])
    assert found["accuracy"] == own["accuracy"] and found["accuracy"] > 0.6
