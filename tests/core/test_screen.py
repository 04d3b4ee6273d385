"""Every report begins with its answer, on at most ten lines, and is whole at 80 columns."""

import ast
import dataclasses
import importlib
import io
import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from test_report import COUNTS, GRAPH, LABELS, REPORTS, WHAT
from test_validation import RUN as LSNN

import scmrl
from scmrl.convert.netx.report import LayerRow, NetxReport
from scmrl.convert.nir.importer.report import ImportReport, PopulationChange
from scmrl.core import zoo
from scmrl.core.report.compare import compare
from scmrl.core.report.report import HEADLINE, Report, table
from scmrl.core.samples import GIVEN, TRUE, Origin
from scmrl.data.check import DataReport, Modality, Split
from scmrl.data.prepare.prepare import PrepareReport
from scmrl.deploy import export, jobs
from scmrl.deploy.counting.found import Found, Layer, Neurons, NotCounted
from scmrl.deploy.counting.pricing import price
from scmrl.deploy.counting.report import PAPERS, CountReport, totals
from scmrl.deploy.demo import DemoReport
from scmrl.deploy.reports.evaluate import evaluate_report
from scmrl.deploy.robustness.report import RobustnessReport
from scmrl.deploy.robustness.study import FAULTS, Point
from scmrl.deploy.stream.feed import Asked
from scmrl.deploy.stream.run import stream
from scmrl.deploy.validation import study
from scmrl.hw_profiles import profile as profiles
from scmrl.sweep.report import SweepReport
from scmrl.sweep.trials import Trial
from scmrl.train.run.report import TrainReport, TuneReport
from scmrl.train.run.settings import ConfigReport

COLUMNS = 80
LONG = "audio.stage12.attention.complement.of.visual"
PACKAGE = Path(scmrl.__file__).parent


def lines(report, monkeypatch, *, layers=True, columns=COLUMNS):
    monkeypatch.setenv("COLUMNS", str(columns))
    out = io.StringIO()
    report.show(out, layers=layers)
    return out.getvalue().splitlines()


def compared(tmp_path):
    one, two = (REPORTS["energy"]().to_json() | {"accuracy": accuracy} for accuracy in (0.9, 0.8))
    two["totals"] = {name: 2 * value for name, value in two["totals"].items() if value}
    for name, report in (("a", one), ("b", two)):
        (tmp_path / f"{name}.json").write_text(json.dumps(report))
    return compare(tmp_path / "a.json", tmp_path / "b.json")


def exported(model):
    pytest.importorskip("onnxruntime")
    return export.export(model, ["onnx"])


def streamed(model, small_bundle):
    file = model / "steps.npz"
    np.savez(file, **{name: x[0] for name, x in small_bundle.inputs.items()})
    return stream(model, Asked(arrays=file))


def imported_netx():
    shape = (128, 16, 16)
    rows = tuple(
        LayerRow(f"{LONG}{i}", "lif", shape, "123456", "4095", "0..4095", 1234567, 62, 0.5, 12)
        for i in range(3)
    )
    numbers = (32, 12, 1234567, 123456789, 8, 100, 8)
    return NetxReport("oxford", "a" * 40 + ".net", *numbers, Origin(GIVEN, TRUE), rows, (LONG,))


def imported():
    rows = [
        PopulationChange(
            f"{LONG}{i}",
            "lif",
            (128, 16, 16),
            1234.5678,
            123456,
            0.951229,
            0.951234,
            0.980199,
            0.98021,
            0.0123,
            0.99999,
            0.1,
            0.11,
            1234567,
            0.55,
            0.6,
        )
        for i in range(3)
    ]
    return ImportReport(
        1e-3,
        32,
        "spikingjelly",
        "subtract",
        True,
        100,
        0.97,
        0.5,
        0.6,
        95,
        93,
        tuple(rows),
        ({"name": "input", "step": 0.0123, "zero": 128, "bits": 8},),
        ("one decay was rounded",),
    )


def swept():
    trials = [
        Trial(
            i,
            "complete",
            {
                "model.attention.threshold": 0.12345678,
                "train.lr": 1e-3,
                "model.steps": 10,
                "limits.weight_bits": 8,
            },
            0.9,
            1.2345,
            123456.7,
            12.0,
            i == 0,
            "",
        )
        for i in range(25)
    ]
    return SweepReport(
        "runs/sweep", "loihi2", ("model.alpha=0..1",), tuple(trials), ("a.svg",), 30, True
    )


def robust():
    points = [Point("clean", 0.0, 0.98, 0.0, 1)] + [
        Point(kind, level, 0.5, 0.012, 3) for kind, levels in FAULTS.items() for level in levels
    ]
    return RobustnessReport("runs/a", "nmnist-fsdd, test split", 1000, 3, 10, tuple(points))


def checked():
    modality = Modality("visual", "frames", (3, 128, 128), "float32", -123.456, 123.456, 0.5)
    return DataReport(
        "urbansound8k-av",
        "/data/urbansound8k-av",
        (
            Split("train", 8000, 12, tuple(range(900, 930)), (modality, modality), 12.3),
            Split(
                "test", fault="/data/urbansound8k-av/metadata.csv: file is missing; fetch it again"
            ),
        ),
    )


def counted():
    """A transformer as papers have it: values in, sums of spikes between, attention."""
    wide, spikes = 123456789.5, ("spikes",)

    def layer(name, kind, reads, largest, acs, macs, *, gives="values", folded=False):
        counts = (0.123, wide, acs, macs, 12.0, wide, acs or wide)
        given = (gives, 3 if gives == "integers" else None, folded, 12345)
        line = "spiking_transformer.py:1234"
        return Layer(name, kind, (4, 8, 128, 32, 32), reads, largest, *counts, *given, line)

    found = Found(
        (
            layer(f"{LONG}.conv", "product", ("values",), None, 0.0, wide),
            layer(f"{LONG}.norm", "norm", ("values",), None, 0.0, 0.0, folded=True),
            layer(f"{LONG}.product1", "product", spikes * 2, 1, wide, 0.0, gives="integers"),
            layer(f"{LONG}.product2", "product", ("integers", "values"), 64, 0.0, wide),
            layer(f"{LONG}.add", "add", spikes * 2, 1, wide, 0.0, gives="integers"),
            layer(f"{LONG}.fc", "product", ("integers",), 3, 0.0, wide),
        ),
        (
            Neurons(f"{LONG}.lif", "LIFNode", 131072.0, wide, wide, 0.1, "spikes", 1),
            Neurons(f"{LONG}.dead", "LIFNode", 131072.0, wide, 0.0, 0.0, "silent", 0),
        ),
        (NotCounted(LONG, "operation library::some_long_kernel_name", 12),) * 2,
    )
    papers = profiles.load(PAPERS)
    prices = {name: price(found, profiles.load(name)) for name in ("loihi2", "odin", PAPERS)}
    sums = totals(found, papers, 12345678)
    model, inputs = "spiking_transformer.py:make_the_network", {"x": (4, 8, 3, 224, 224)}
    rows = (found.layers, found.neurons, found.not_counted)
    return CountReport(model, 8, 1, inputs, sums, *rows, prices, papers)


def prepared():
    left_out = tuple(f"1001_DFA_ANG_X{i}: no video" for i in range(9))
    counts = {"train": 6690, "test": 743}, {"train": 6698, "test": 744}
    return PrepareReport(
        "crema-d",
        "/data/of/all/of/us/prepared/crema-d",
        *counts,
        9,
        True,
        7000,
        433,
        left_out,
        ("1064_IEO_DIS_MD: lasts 61 s",),
    )


def evaluated():
    return evaluate_report(
        GRAPH,
        LABELS,
        np.array([0, 1, 1, 0, 2]),
        [COUNTS],
        [5],
        **WHAT,
        version="1",
        training_correct=3,
    )


def demo():
    return DemoReport(
        "runs/demo",
        123.4,
        evaluated(),
        REPORTS["deploy"](),
        REPORTS["verify"](),
        REPORTS["energy"](),
    )


HASH = "5a" * 32
NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
METRICS = {
    "test_accuracy": 0.99722,
    "test_samples": 360,
    "test_correct": 359,
    "validation_accuracy": 1.0,
    "validation_samples": 144,
    "parameters": 123456,
    "train_seconds": 83.4,
    "dead": [LONG],
    "rates": {LONG: 0.0, "audio.stage0": 0.0123456},
}
TUNED = {
    "before_accuracy": 0.95,
    "before_agreement": 0.96,
    "float_accuracy": 0.99444,
    "agreement": 0.98,
    "kept_start": True,
}
EXAMPLES = {
    **{
        name: lambda model, tmp_path, small_bundle, make=make: make()
        for name, make in REPORTS.items()
    },
    "evaluate": lambda *_: evaluated(),
    "count": lambda *_: counted(),
    "demo": lambda *_: demo(),
    "train": lambda *_: TrainReport("runs/a", METRICS, HASH),
    "tune": lambda *_: TuneReport("runs/a", {**METRICS, **TUNED}, HASH, HASH, True),
    "train, float": lambda *_: TrainReport(
        "runs/a",
        {
            k: METRICS[k]
            for k in (
                "test_accuracy",
                "test_samples",
                "test_correct",
                "parameters",
                "train_seconds",
            )
        },
        None,
    ),
    "place": lambda model, *_: jobs.place(model, "loihi2"),
    "place, chips": lambda model, *_: jobs.place(model, "loihi1", chip_count=1, packed=True),
    "export": lambda model, *_: exported(model),
    "import": lambda *_: imported(),
    "import, netx": lambda *_: imported_netx(),
    "stream": lambda model, tmp_path, small_bundle: streamed(model, small_bundle),
    "compare": lambda model, tmp_path, _: compared(tmp_path),
    "sweep": lambda *_: swept(),
    "robustness": lambda *_: robust(),
    "zoo": lambda *_: zoo.report(),
    "zoo, one": lambda *_: zoo.report("nmnist-fsdd"),
    "data check": lambda *_: checked(),
    "data prepare": lambda *_: prepared(),
    "config": lambda *_: ConfigReport.of_defaults(),
    "validate": lambda *_: study.recomputed(LSNN),
}


@pytest.fixture(scope="module")
def examples(small_bundle, tmp_path_factory):
    """Report by name, each made once."""
    made, folder = {}, tmp_path_factory.mktemp("reports")
    small_bundle.save(folder / "run" / "bundle")

    def example(name: str) -> Report:
        if name not in made:
            made[name] = EXAMPLES[name](folder / "run", folder, small_bundle)
        return made[name]

    return example


@pytest.fixture(params=EXAMPLES)
def report(request, examples) -> Report:
    return examples(request.param)


def test_report_is_whole_at_80_columns_and_begins_with_its_answer(report, monkeypatch):
    shown = lines(report, monkeypatch)
    assert max(map(len, map(str.rstrip, shown))) <= COLUMNS, max(shown, key=len)
    assert "…" not in "".join(shown)


@pytest.fixture
def headline(report, monkeypatch) -> list[str]:
    monkeypatch.setattr(type(report), "details", lambda self: iter(()))
    return lines(report, monkeypatch, layers=False)


def test_answer_takes_ten_lines(headline):
    assert 1 <= len(headline) <= HEADLINE, "\n".join(headline)


def reports() -> set[str]:
    """Names of all classes that are a `Report` and name a command."""
    known = {"Report"}
    sources = {path: ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")}
    while True:
        found = {
            node.name: path
            for path, tree in sources.items()
            for node in tree.body
            if isinstance(node, ast.ClassDef)
            and known & {getattr(base, "id", "") for base in node.bases}
        }
        if found.keys() <= known:
            return {name for name, path in found.items() if hasattr(_class(name, path), "command")}
        known |= found.keys()


def _class(name: str, path: Path) -> type:
    module = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    return getattr(importlib.import_module(module), name)


def test_no_report_is_left_out(examples):
    assert {type(examples(name)).__name__ for name in EXAMPLES} == reports()


def test_a_page_shows_what_the_terminal_shows_answer_first(report, monkeypatch):
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    from scmrl.core.report import html

    text = html.page(report)
    words = unescape(re.sub(r"<[^>]*>", " ", text.split("</style>")[1]))
    terminal = " ".join(lines(report, monkeypatch))
    assert set(NUMBER.findall(terminal)) <= set(NUMBER.findall(words))
    places = [words.index(part) for part in report.headline().values()]
    later = words.index("Details") if "<h2>Details" in text else words.index("Where this comes")
    assert places == sorted(places) and max(places) < later


def test_json_begins_with_command_and_version(report):
    keys = list(report.to_json())
    keys = keys[1:] if keys[0] == "type" else keys  # a line of a stream
    assert keys[:2] == ["command", "schema_version"]
    assert report.to_json()["schema_version"] == 2


def kind(value) -> str:
    if isinstance(value, bool):
        return "yes or no"
    return "number" if isinstance(value, (int, float)) else type(value).__name__


def placed(value, place: str) -> Iterator[tuple[str, str]]:
    """Every place in a report with the type of what is there; rows of a list share their places."""
    if value is not None:
        yield place, kind(value)
    for key, part in value.items() if isinstance(value, dict) else ():
        yield from placed(part, f"{place}.{key}" if place else key)
    for part in value if isinstance(value, list) else ():
        yield from placed(part, f"{place}[]")


def test_a_place_has_one_type_in_all_reports(examples):
    kinds: dict[str, set[str]] = {}
    for name in EXAMPLES:
        for place, found in placed(json.loads(json.dumps(examples(name).to_json())), ""):
            kinds.setdefault(place, set()).add(found)
    assert {place for place, found in kinds.items() if len(found) > 1} == {
        "settings[].default",  # of the setting's own type
        "cases[].figures[].value",  # a published number, or its two ends
    }


def test_wide_table_stands_as_several_that_share_the_first_column(monkeypatch):
    class Wide(Report):
        command = "wide"

        def headline(self):
            return {"answer": "42"}

        def details(self):
            yield table(
                ("name", *(f"number {i}" for i in range(20))),
                [("row one", *["123,456.7"] * 20)],
                words=("name",),
                footer=("total", *["1"] * 20),
            )

    shown = lines(Wide(), monkeypatch)
    assert max(map(len, shown)) <= COLUMNS
    assert (
        sum(line.startswith("row one") for line in shown)
        == sum(line.startswith("total") for line in shown)
        > 1
    )
    assert sum(line.count("123,456.7") for line in shown) == 20
    assert len(lines(Wide(), monkeypatch, columns=400)) < len(shown)


def test_import_names_the_reset():
    report = imported()
    assert "reset by subtraction" in report.headline()["read as"]
    assert "reset to zero" in dataclasses.replace(report, reset="zero").headline()["read as"]


def test_training_names_populations_that_hardly_fire_and_models_that_are_for_no_chip():
    report = TrainReport("runs/a", METRICS, HASH)
    assert next(iter(report.headline())) == "WARNING" and LONG in report.headline()["WARNING"]
    assert "integer model" in report.headline()["accuracy"] and "chip" not in report.headline()
    alive = dataclasses.replace(report, metrics=METRICS | {"dead": []}, bundle=None)
    assert "WARNING" not in alive.headline() and "float model" in alive.headline()["accuracy"]
    assert alive.headline()["chip"].startswith("none") and report.to_json()["test_correct"] == 359
