"""HTML reports: complete without script, safe against hostile names, quiet and without requests in
a real browser.
"""

from __future__ import annotations

import builtins
import dataclasses
import json
import re
import shutil
import subprocess
from decimal import Decimal
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

from scmrl.core import bundle
from scmrl.core.activity import Activity
from scmrl.core.graph import Dense, Graph, Population
from scmrl.core.report import html
from scmrl.core.report.compare import ComparisonReport, compare
from scmrl.core.report.drawing import svg
from scmrl.core.report.report import Report, table
from scmrl.deploy import jobs
from scmrl.deploy.reports.figures import confusion, run_figures
from scmrl.system.errors import DataError, MissingDependency, UsageError
from scmrl.train.run.report import TrainReport

BROWSER = next(
    (
        found
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (found := shutil.which(name))
    ),
    None,
)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
)
NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
HOSTILE = '<script>alert("x")</script>&\'é'


class Tags(HTMLParser):
    """Every tag with its attributes, and that what is opened is closed."""

    VOID = {"meta", "link", "input", "rect", "path", "line", "polyline", "br", "wbr"}

    def __init__(self, text: str):
        super().__init__()
        self.seen, self.open = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


class Shown(HTMLParser):
    """What a reader sees: facts by name, and tables as rows of cells, heads first."""

    def __init__(self, text: str):
        super().__init__()
        self.facts, self.tables, self.all = {}, [], []
        self.name = self.cell = None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th", "dt", "dd", "p", "caption", "figcaption"):
            self.cell = ""

    def handle_data(self, data):
        self.cell = None if self.cell is None else self.cell + data

    def handle_endtag(self, tag):
        if self.cell is None or tag not in ("td", "th", "dt", "dd", "p", "caption", "figcaption"):
            return
        if tag in ("td", "th"):
            self.tables[-1][-1].append(self.cell)
        elif tag == "dt":
            self.name = self.cell
        elif tag == "dd":
            self.facts[self.name] = self.cell
        self.all.append(self.cell)
        self.cell = None

    def rows(self, head: str) -> dict[str, list[str]]:
        """The first table with that first head: cells by the first cell."""
        found = next(t for t in self.tables if t[0][0] == head)
        return {row[0]: row[1:] for row in found[1:]}


def written(x: float | None) -> str:
    """A number as a page is to write it, worked out apart from scmrl: four digits, whole numbers
    in full, no exponent.
    """
    if x is None:
        return "-"
    exact = Decimal(x)
    places = 0 if exact == exact.to_integral_value() else max(0, 3 - exact.adjusted())
    return f"{exact.quantize(Decimal(1).scaleb(-places)):,f}"


def in_percent(x: float | None) -> str:
    return "-" if x is None else f"{(100 * Decimal(x)).quantize(Decimal('0.01')):f} %"


class Small(Report):
    """A report of given blocks."""

    command = "small"

    def __init__(self, *blocks, answer=None, drawn=()):
        self.blocks, self.answer, self.drawn = blocks, answer or {"answer": "42"}, drawn

    def headline(self):
        return self.answer

    def details(self):
        yield from self.blocks

    def figures(self):
        yield from self.drawn


def wide_graph(populations: int, steps: int = 6) -> tuple[Graph, dict[str, np.ndarray]]:
    """A chain with that many populations."""
    random = np.random.default_rng(1)
    parts = [Population("audio", (1, 6, 6), "input")]
    parts += [Population(f"audio.layer{i}", (30,), vth=30, dv=400) for i in range(populations - 2)]
    parts.append(Population("readout", (3,), "readout"))
    synapses = tuple(
        Dense(a.name, b.name, random.integers(-20, 60, (b.neurons, a.neurons)).astype(np.int16))
        for a, b in zip(parts, parts[1:])
    )
    graph = Graph(tuple(parts), synapses, steps, ("a", "b", "c")).check()
    return graph, {"audio": (random.random((4, steps, 1, 6, 6)) < 0.4).astype(np.uint8)}


@pytest.fixture(params=["deploy", "energy", "place", "verify"])
def page_of(request, model, tmp_path):
    path = tmp_path / f"{request.param}.html"
    call = {
        "deploy": lambda: jobs.deploy(model, "simulator", page=path),
        "energy": lambda: jobs.energy(model, ["loihi2"], page=path),
        "place": lambda: jobs.place(model, "loihi2", page=path),
        "verify": lambda: jobs.verify(model, ["simulator"], page=path),
    }[request.param]
    return call(), path


def test_page_is_well_formed_and_fetches_nothing(page_of):
    _, path = page_of
    text = path.read_text()
    tags = Tags(text)
    assert not tags.open and tags.seen[0][0] == "html"
    for tag, attributes in tags.seen:
        assert (
            tag not in ("img", "iframe", "object")
            and "src" not in attributes
            and "onload" not in attributes
        )
        assert attributes.get("href", "data:,") == "data:,"
    words = r"<dd>.*?</dd>|<td.*?</td>|<p>.*?</p>"
    assert not re.search(r"https?://", re.sub(words, "", text, flags=re.DOTALL))
    levels = [int(tag[1]) for tag, _ in tags.seen if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and all(b <= a + 1 for a, b in zip(levels, levels[1:]))
    assert all(attributes.get("aria-label") for tag, attributes in tags.seen if tag == "svg")


def test_numbers_on_the_page_are_the_reports(page_of):
    report, path = page_of
    text, r = path.read_text(), json.loads(json.dumps(report.to_json()))
    page = Shown(text)
    rows = page.rows("population")
    for p in r["populations"]:
        expected = {
            "deploy": ("neurons", "spikes_per_inference", "rate", "synops_per_inference"),
            "verify": ("neurons", "spikes_per_inference"),
            "energy": ("spikes_per_inference", "synops_per_inference", "active_per_inference"),
            "place": ("cores",),
        }[r["command"]]
        first = r["command"] in ("deploy", "verify")  # the shape stands before
        cells = rows[p["name"]][first : first + len(expected)]
        assert cells == [written(p[name]) for name in expected]
    chips = page.rows("profile") if r.get("profiles") else {}
    for name, estimate in (r.get("profiles") or {}).items():
        if estimate["core_dynamic_uj"] is not None:
            ends = " .. ".join(map(written, estimate["ranges"]["core_dynamic_uj"]))
            error = estimate["over_samples"]["core_dynamic_uj"]["error"]
            cell = f"{written(estimate['core_dynamic_uj'])}\n{ends}\n± {written(error)}"
            assert cell in chips[name]
        sources = {quantity["source"] for quantity in estimate["coefficients"].values()}
        assert sources <= {cell for t in page.tables for row in t for cell in row}
    if "map" in r:
        assert text.count("<title>core ") == 2 * len(r["map"])


def test_every_number_on_the_page_is_in_the_json(page_of):
    report, path = page_of
    r = json.loads(json.dumps(report.to_json()))
    ways = set()

    def gather(value):
        if isinstance(value, dict):
            for name, part in value.items():
                gather(name), gather(part)
        elif isinstance(value, list):
            for part in value:
                gather(part)
        elif isinstance(value, str):
            ways.update(NUMBER.findall(value))
        elif value is not None:
            for words in (
                written(value),
                in_percent(value),
                f"{value:,}",
                f"{100 * value:.1f}",
                written(round(value)),
                f"{100 * value:.5f}",
                written(value / 1000),
            ):
                ways.update(NUMBER.findall(words))

    gather(r)
    body = path.read_text().split("<h2>Where this comes from")[0]
    seen = set(NUMBER.findall(" ".join(Shown(body).all)))
    fixed = {"24"}  # "24-bit border"
    assert seen - ways <= fixed and len(seen) > 20


def test_hostile_names_stay_text(model, tmp_path):
    loaded = bundle.load(model)
    old = loaded.graph.of_kind("lif")[0].name
    new = HOSTILE
    populations = tuple(
        dataclasses.replace(p, name=new) if p.name == old else p for p in loaded.graph.populations
    )
    synapses = tuple(
        dataclasses.replace(
            s,
            source=new if s.source == old else s.source,
            target=new if s.target == old else s.target,
        )
        for s in loaded.graph.synapses
    )
    graph = dataclasses.replace(loaded.graph, populations=populations, synapses=synapses)
    dataclasses.replace(loaded, graph=graph, trained=None).save(tmp_path / "hostile")
    jobs.deploy(tmp_path / "hostile", "simulator", page=tmp_path / "p.html")
    text = (tmp_path / "p.html").read_text()
    assert (
        "<script>alert" not in text
        and "&lt;script&gt;alert" in text
        and text.count("<script>") == 1
    )
    Tags(text)


def test_page_needs_the_ending_of_one(model, tmp_path):
    with pytest.raises(UsageError, match="page.pdf.*html"):
        jobs.deploy(model, "simulator", page=tmp_path / "page.pdf")
    assert not (tmp_path / "page.pdf").exists()


def test_chip_without_a_mesh_and_a_network_that_does_not_fit_have_pages(model, tmp_path):
    jobs.place(model, "odin", page=tmp_path / "odin.html")
    text = (tmp_path / "odin.html").read_text()
    assert "The cores" in text and "by utilisation" not in text
    report = jobs.place(model, "loihi2", chip_count=1, page=tmp_path / "one.html")
    assert report.fits and "cores by utilisation" in (tmp_path / "one.html").read_text()
    big = Graph(
        (Population("x", (40_000,), "input"), Population("out", (2,), "readout")),
        (Dense("x", "out", np.ones((2, 40_000), np.int16)),),
        1,
        ("a", "b"),
    ).check()
    bundle.Bundle(big, {"x": np.ones((1, 1, 40_000), np.uint8)}, np.zeros(1, np.int64)).save(
        tmp_path / "big"
    )
    report = jobs.place(tmp_path / "big", "loihi1", page=tmp_path / "big.html")
    text = (tmp_path / "big.html").read_text()
    assert not report.fits and "What does not fit" in text and "40,000" in text
    Tags(text)


def raster(spikes: np.ndarray) -> np.ndarray:
    """Opacities [neurons, T] of the raster of spikes [T, 10], as they stand on a page."""
    import base64
    import io

    from matplotlib.image import imread

    graph = Graph(
        (Population("x", (2,), "input"), Population("p", (10,), vth=1)),
        (Dense("x", "p", np.ones((10, 2), np.int16)),),
        len(spikes),
    )
    inputs = {"x": np.zeros((1, len(spikes), 2), np.uint8)}
    run = Activity({"p": spikes[None]}, {}, "simulator", "1")
    (drawn,) = [f for f in run_figures(graph, inputs, run) if f.name == "p"]
    inside = svg(drawn).inside
    (image,) = re.findall(r"data:image/png;base64,\s*([A-Za-z0-9+/=\s]+)", inside)
    return imread(io.BytesIO(base64.b64decode(image)))[..., 3]


def test_raster_marks_what_fired():
    spikes = np.zeros((5, 10), np.uint8)
    assert not raster(spikes).any()
    spikes[2, 3] = 1
    marks = raster(spikes)
    assert marks.shape == (10, 5) and marks.sum() == marks[3, 2] == 1


def test_confusion_matrix_holds_every_count():
    (drawn,) = confusion(np.array([[7, 2], [0, 11]]), ("cat", "dog"))
    inside = svg(drawn).inside
    assert "cat answered as dog: 2" in inside and "dog answered as dog: 11" in inside
    assert ">0</text>" not in inside and ">11</text>" in inside


def test_table_hides_nothing_and_escapes():
    text = html.page(Small(table(("a", "b"), [("<x>", "-"), ("y", "2")], footer=("sum", "2"))))
    shown = Shown(text)
    assert shown.rows("a") == {"<x>": ["-"], "y": ["2"], "sum": ["2"]}
    assert "<x>" not in text and "<tfoot>" in text
    assert not Shown(html.page(Small(table(("a",), [])))).tables


def test_control_characters_are_written_out():
    text = html.page(Small("\x1b[31mred\u202e", answer={"a\x00": "b\x07"}))
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202e]", text)
    assert "\\x1b[31mred\\u202e" in text and Shown(text).facts["a\\x00"] == "b\\x07"


@pytest.mark.parametrize("missing", ["jinja2", "matplotlib"])
def test_a_missing_library_is_named_and_nothing_is_written(missing, model, tmp_path, monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.split(".")[0] == missing:
            raise ModuleNotFoundError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingDependency, match=f"(?i)pip install '{missing}>="):
        jobs.deploy(model, "simulator", page=tmp_path / "p.html")
    assert not (tmp_path / "p.html").exists()
    assert jobs.deploy(model, "simulator").to_json()["bit_exact"]


# Comparison.


def test_compare_puts_what_changed_most_first(model, tmp_path):
    report = jobs.energy(model, ["loihi2"]).to_json()
    other = json.loads(json.dumps(report))
    other["totals"]["synops_per_inference"] *= 2
    other["populations"][1]["spikes_per_inference"] += 1e-3
    other["populations"][2]["synops_per_inference"] = (
        10 * report["populations"][2]["synops_per_inference"] + 1
    )
    for name, table_ in (("a", report), ("b", other)):
        (tmp_path / f"{name}.json").write_text(json.dumps(table_))
    result = compare(tmp_path / "a.json", tmp_path / "b.json")
    head = {row["name"]: row for row in result.head}
    assert head["totals.synops_per_inference"]["ratio"] == 2
    assert (
        "synops" in result.changes[0]["name"] and len(result.changes) == 2 and not result.only_first
    )
    same = compare(tmp_path / "a.json", tmp_path / "a.json")
    assert not same.changes and same.equal > 50
    page = html.page(result)
    Tags(page)
    assert (
        "totals.synops_per_inference, first (% of the larger): 50 %" in page
        and "larger): 100 %" in html.page(same)
    )
    one, two = (written(n * report["totals"]["synops_per_inference"]) for n in (1, 2))
    assert Shown(page).rows("figure")["totals.synops_per_inference"][:2] == [one, two]


def test_compare_reads_reports_of_the_version_before_and_refuses_those_to_come(tmp_path):
    now = {"command": "deploy", "schema_version": 2, "accuracy": 0.5}
    for name, report in (
        ("now", now),
        ("before", {"command": "deploy", "accuracy": 0.25}),
        ("later", now | {"schema_version": 3}),
    ):
        (tmp_path / f"{name}.json").write_text(json.dumps(report))
    result = compare(tmp_path / "before.json", tmp_path / "now.json")
    assert [row["ratio"] for row in result.head] == [2.0]
    assert not result.only_first and not result.only_second and not result.equal
    with pytest.raises(DataError, match="later.json: schema_version.*limit 1..2, got 3"):
        compare(tmp_path / "now.json", tmp_path / "later.json")


def test_compare_refuses_what_does_not_go_together(model, tmp_path):
    (tmp_path / "e.json").write_text(json.dumps(jobs.energy(model, ["loihi2"]).to_json()))
    (tmp_path / "v.json").write_text(json.dumps(jobs.verify(model, ["simulator"]).to_json()))
    (tmp_path / "x.json").write_text("[1]")
    for second, said in (
        ("v.json", "different commands.*energy, verify"),
        ("x.json", "x.json"),
        ("none.json", "none.json"),
    ):
        with pytest.raises(DataError, match=said):
            compare(tmp_path / "e.json", tmp_path / second)


# A real browser.


def browse(path: Path, tmp_path: Path, script: str, width: int) -> tuple[str, str, set[str]]:
    """(DOM, standard error, requests over the network but the browser's own) of a copy of the page
    with one more script.
    """
    copy, log = tmp_path / "copy.html", tmp_path / "net.json"
    copy.write_text(path.read_text().replace("</body>", f"<script>{script}</script></body>"))
    done = subprocess.run(
        [
            BROWSER,
            *FLAGS,
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--window-size={width},900",
            f"--log-net-log={log}",
            "--virtual-time-budget=3000",
            "--dump-dom",
            copy.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-500:]
    urls = {
        (event.get("params") or {}).get("url", "")
        for event in json.loads(log.read_text())["events"]
    }
    own = re.compile(r"[a-z]+://([a-z0-9-]+\.)*(google|googleapis|gstatic)\.com/")
    return (
        done.stdout,
        done.stderr,
        {url for url in urls if url.startswith(("http", "ws")) and not own.match(url)},
    )


MEASURE = (
    "addEventListener('load',()=>{document.title=JSON.stringify({wide:document.documentElement.scrollWidth,view:innerWidth,figures:document.querySelectorAll('figure"
    " svg').length,headings:document.querySelectorAll('h2').length})});"
)


@needs_browser
def test_browser_tells_of_a_page_that_fetches_or_fails(tmp_path):
    """The test below can fail: an image, and an error in a script, are seen."""
    (tmp_path / "bad.html").write_text(
        "<html><head><title>x</title></head><body><script>nothing()</script>"
        "<img src=http://127.0.0.1:9/x.png><p style='width:2000px'>x</p></body></html>"
    )
    dom, errors, requests = browse(tmp_path / "bad.html", tmp_path, MEASURE, 900)
    assert (
        requests == {"http://127.0.0.1:9/x.png"}
        and "CONSOLE" in errors
        and '"wide":2' in dom.replace("&quot;", '"')
    )


@needs_browser
@pytest.mark.parametrize("width", [1200, 500])
def test_browser_shows_200_populations_without_an_error_or_a_request(tmp_path, width):
    graph, inputs = wide_graph(200)
    from scmrl.core import reference

    activity = reference.run(graph, inputs)
    model = tmp_path / "model"
    bundle.Bundle(graph, inputs, np.array([0, 1, 2, 0]), activity).save(model)
    jobs.deploy(model, "simulator", page=tmp_path / "page.html")
    dom, errors, requests = browse(tmp_path / "page.html", tmp_path, MEASURE, width)
    seen = json.loads(re.search(r"<title>(.*?)</title>", dom)[1].replace("&quot;", '"'))
    assert "CONSOLE" not in errors, [line for line in errors.splitlines() if "CONSOLE" in line][:3]
    assert not requests and "google" not in (tmp_path / "page.html").read_text()
    assert seen["figures"] >= 200 and seen["headings"] >= 6 and seen["wide"] <= seen["view"]


ON_A_PHONE = """addEventListener('load',()=>{
const page=document.querySelector('iframe').contentDocument;
const over=[...page.querySelectorAll('.wide,figure')].map(e=>e.scrollWidth-e.clientWidth);
document.title=JSON.stringify([page.documentElement.scrollWidth,over.length,Math.max(...over)])});
"""


@needs_browser
def test_curves_bars_and_names_of_many_parts_fit_a_phone(tmp_path, monkeypatch):
    name = "audio.attention.of.visual.mask_temporal"
    report = TrainReport(
        "runs/a",
        {
            "test_accuracy": 0.5,
            "test_samples": 2,
            "test_correct": 1,
            "parameters": 3,
            "train_seconds": 1,
            "rates": {name: 0.123456},
        },
        None,
    )
    curves = {"loss": [(1, 2.0), (2, 1.0)], "validation_accuracy": [(1, 0.5), (2, 0.6)]}
    monkeypatch.setattr(TrainReport, "_curves", curves)
    rows = [[f"{name}.spikes_per_inference", *["12,345.67"] * 3]]
    monkeypatch.setattr(
        TrainReport, "layers", lambda _: [table(("population", "a", "b", "c"), rows)]
    )
    bars = ComparisonReport(
        "a",
        "b",
        "energy",
        ({"name": name, "first": 1.0, "second": 2.0},),
        (),
        0,
        (),
        (),
        (None, None),
    )
    html.save(tmp_path / "page.html", report, bars.figures())
    frame = escape((tmp_path / "page.html").read_text(), quote=True)
    (tmp_path / "phone.html").write_text(
        f'<html><head><title></title></head><body><iframe width=405 height=900 srcdoc="{frame}">'
        "</iframe></body></html>"  # 390, and a scroll bar, which takes no room on a phone
    )
    dom, _, _ = browse(tmp_path / "phone.html", tmp_path, ON_A_PHONE, 900)
    wide, count, over = json.loads(re.search(r"<title>(.*?)</title>", dom)[1])
    assert wide <= 390 and count >= 4 and over == 0


@needs_browser
def test_filter_hides_the_other_populations(model, tmp_path):
    jobs.deploy(model, "simulator", page=tmp_path / "page.html")
    name = bundle.load(model).graph.populations[1].name
    script = (
        f"const box=document.querySelector('input[type=search]');box.value={json.dumps(name)};"
        "box.dispatchEvent(new"
        " Event('input'));document.title=[...document.querySelectorAll('figure[data-name]')]"
        ".filter(f=>!f.hidden).map(f=>f.dataset.name).join('|');"
    )
    dom, _, _ = browse(tmp_path / "page.html", tmp_path, script, 900)
    assert all(name in shown for shown in re.search(r"<title>(.*?)</title>", dom)[1].split("|"))
