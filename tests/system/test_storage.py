"""Writing: whole or not at all, durable, with the right permissions, and nothing hidden stays."""

import dataclasses
import errno
import json
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scmrl.convert import exporter
from scmrl.core import bundle
from scmrl.core.graph import Dense, Graph, Population
from scmrl.core.report.html import write as write_page
from scmrl.system import lock, storage, targets
from scmrl.system.errors import ScmrlError, UsageError
from scmrl.system.storage import put_json, whole_directory, whole_file, write_figure, write_json


@pytest.fixture
def umask():
    before = os.umask(0o027)
    yield
    os.umask(before)


@pytest.fixture(params=[True, False], ids=["exchange", "aside"])
def swapping(request, monkeypatch):
    """Both ways of replacing a directory: where the system exchanges names, and where it cannot."""
    if not request.param:
        monkeypatch.setattr(storage, "exchange", lambda one, other: False)
    return request.param


def put(path: Path, text: str, kind: str = "lava") -> None:
    """A directory of scmrl with two files."""
    with whole_directory(path, kind) as directory:
        (directory / "a").write_text(text)
        (directory / "sub").mkdir()
        (directory / "sub" / "b").write_text(text)


def tree(path: Path) -> dict[str, str | None]:
    """Every name below a directory, with the text of files."""
    return {
        p.relative_to(path).as_posix(): p.read_text() if p.is_file() else None
        for p in sorted(path.rglob("*"))
        if p.name != targets.MANIFEST
    }


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_failed_writes_leave_the_old_and_nothing_else(tmp_path):
    (tmp_path / "file.txt").write_text("old")
    put(tmp_path / "directory", "old")
    with pytest.raises(RuntimeError):
        with whole_file(tmp_path / "file.txt") as temporary:
            temporary.write_text("half")
            raise RuntimeError
    with pytest.raises(RuntimeError):
        with whole_directory(tmp_path / "directory", "lava") as temporary:
            (temporary / "a").write_text("half")
            raise RuntimeError
    assert sorted(os.listdir(tmp_path)) == ["directory", "file.txt"]
    assert (tmp_path / "file.txt").read_text() == "old"
    assert tree(tmp_path / "directory") == {"a": "old", "sub": None, "sub/b": "old"}


def test_permissions_are_those_of_the_umask_or_of_what_was_there(tmp_path, umask, swapping):
    write_json(tmp_path / "f.json", {})
    put(tmp_path / "d", "1")
    assert mode(tmp_path / "f.json") == 0o640 and mode(tmp_path / "d") == 0o750
    assert mode(tmp_path / "d" / "sub") == 0o750 and mode(tmp_path / "d" / "sub" / "b") == 0o640
    (tmp_path / "f.json").chmod(0o600)
    (tmp_path / "d").chmod(0o700)
    write_json(tmp_path / "f.json", {"a": 1})
    put(tmp_path / "d", "2")
    assert mode(tmp_path / "f.json") == 0o600 and mode(tmp_path / "d") == 0o700


def test_links_stay_and_what_they_name_is_written(tmp_path, swapping):
    (tmp_path / "far").mkdir()
    (tmp_path / "near").mkdir()
    for name in ("f.json", "d"):
        (tmp_path / "near" / name).symlink_to(tmp_path / "far" / name)
    for text in ("1", "2"):
        write_json(tmp_path / "near" / "f.json", {"text": text})
        put(tmp_path / "near" / "d", text)
        assert text in (tmp_path / "far" / "f.json").read_text()
        assert (tmp_path / "far" / "d" / "a").read_text() == text
    assert all((tmp_path / "near" / name).is_symlink() for name in ("f.json", "d"))
    assert (
        sorted(os.listdir(tmp_path / "near"))
        == sorted(os.listdir(tmp_path / "far"))
        == ["d", "f.json"]
    )


def test_what_strangers_put_into_a_directory_goes_along(tmp_path, swapping):
    put(tmp_path / "d", "old")
    (tmp_path / "d" / "notes.txt").write_text("mine")
    (tmp_path / "d" / "sub" / "deep" / "er").mkdir(parents=True)
    (tmp_path / "d" / "sub" / "deep" / "er" / "x").write_text("mine too")
    (tmp_path / "d" / "sub" / "deep").chmod(0o500)
    (tmp_path / "d" / "link").symlink_to("nowhere")
    os.mkfifo(tmp_path / "d" / "pipe")
    node = (tmp_path / "d" / "notes.txt").stat().st_ino
    assert targets.strangers(tmp_path / "d") == ["link", "notes.txt", "pipe", "sub/deep"]
    put(tmp_path / "d", "new")
    assert targets.strangers(tmp_path / "d") == ["link", "notes.txt", "pipe", "sub/deep"]
    assert (tmp_path / "d" / "notes.txt").stat().st_ino == node  # the file itself, not a copy
    assert (tmp_path / "d" / "sub" / "deep" / "er" / "x").read_text() == "mine too"
    assert mode(tmp_path / "d" / "sub" / "deep") == 0o500
    assert os.readlink(tmp_path / "d" / "link") == "nowhere"
    assert (tmp_path / "d" / "a").read_text() == "new" and os.listdir(tmp_path) == ["d"]


def test_what_strangers_do_meanwhile_is_kept(tmp_path, swapping, monkeypatch):
    """A file that comes, and one that changes, after the others were taken along."""
    put(tmp_path / "d", "old")
    (tmp_path / "d" / "notes.txt").write_text("first")
    real = storage._sync_all

    def meanwhile(directory):
        real(directory)
        (tmp_path / "d" / "late.txt").write_text("late")
        (tmp_path / "notes").write_text("second")
        os.replace(tmp_path / "notes", tmp_path / "d" / "notes.txt")

    monkeypatch.setattr(storage, "_sync_all", meanwhile)
    put(tmp_path / "d", "new")
    found = tree(tmp_path / "d")
    assert found["late.txt"] == "late" and found["notes.txt"] == "second" and found["a"] == "new"


def test_what_is_being_written_is_nobody_elses_to_read(tmp_path):
    with whole_file(tmp_path / "f.txt") as file:
        assert mode(file.parent.parent) == 0o700


def test_where_the_second_of_two_renames_fails_the_old_is_put_back(tmp_path, monkeypatch):
    put(tmp_path / "d", "old")
    rename = os.rename

    def fails(one, other):
        if Path(one).parent.name == "new":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        rename(one, other)

    monkeypatch.setattr(storage, "exchange", lambda one, other: False)
    monkeypatch.setattr(os, "rename", fails)
    with pytest.raises(ScmrlError, match="d: cannot write.*error"):
        put(tmp_path / "d", "new")
    assert tree(tmp_path / "d") == {"a": "old", "sub": None, "sub/b": "old"} and os.listdir(
        tmp_path
    ) == ["d"]


def test_file_systems_without_hard_links_get_copies(tmp_path, monkeypatch):
    def no_links(*_, **__):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    put(tmp_path / "d", "old")
    (tmp_path / "d" / "notes.txt").write_text("mine")
    monkeypatch.setattr(os, "link", no_links)
    put(tmp_path / "d", "new")
    assert tree(tmp_path / "d") == {"a": "new", "notes.txt": "mine", "sub": None, "sub/b": "new"}


def test_a_stranger_that_has_the_name_of_a_new_file_is_never_replaced(tmp_path):
    put(tmp_path / "d", "old")
    (tmp_path / "d" / "c").write_text("mine")
    with pytest.raises(UsageError, match="d/c: not written by scmrl.*needs its name"):
        with whole_directory(tmp_path / "d", "lava") as directory:
            (directory / "c").write_text("theirs")
    assert tree(tmp_path / "d") == {"a": "old", "c": "mine", "sub": None, "sub/b": "old"}
    assert os.listdir(tmp_path) == ["d"]


def test_what_appears_during_the_work_is_not_replaced(tmp_path):
    with pytest.raises(UsageError, match="holds files that scmrl did not write"):
        with whole_directory(tmp_path / "d", "lava") as directory:
            (directory / "a").write_text("ours")
            (tmp_path / "d").mkdir()
            (tmp_path / "d" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="did not write as a page"):
        with whole_file(tmp_path / "p.html", "page") as file:
            file.write_text("ours")
            (tmp_path / "p.html").write_text("mine")
    assert tree(tmp_path) == {"d": None, "d/notes.txt": "mine", "p.html": "mine"}


# ---- durable -------------------------------------------------------------------------------------


@pytest.fixture
def recorded(monkeypatch, tmp_path):
    """The calls that make a write durable, in their order: ("sync" or "name", path)."""
    calls = []
    fsync, rename, replace, exchange = os.fsync, os.rename, os.replace, storage.exchange

    def synced(descriptor):
        calls.append(("sync", os.readlink(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    def named(function):
        def call(one, other):
            calls.append(("name", str(other)))
            return function(one, other)

        return call

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "rename", named(rename))
    monkeypatch.setattr(os, "replace", named(replace))
    monkeypatch.setattr(storage, "exchange", named(exchange))
    return calls


def durable(calls: list[tuple[str, str]], place: Path, files: set[str]) -> None:
    """Every file and folder was flushed before the name was taken, and the directory after it."""
    names = [i for i, call in enumerate(calls) if call == ("name", str(place))]
    assert len(names) == 1, calls
    before = {Path(path) for what, path in calls[: names[0]] if what == "sync"}
    for name in files:
        assert any(
            path.parts[-2 - name.count("/") :] == (place.name, *name.split("/")) for path in before
        ), name
    assert ("sync", str(place.parent)) in calls[names[0] + 1 :]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="no /proc")
def test_a_file_is_flushed_before_it_takes_its_name_and_its_directory_after(tmp_path, recorded):
    place = tmp_path / "f.json"
    for _ in range(2):
        recorded.clear()
        write_json(place, {})
        names = [i for i, call in enumerate(recorded) if call == ("name", str(place))]
        assert len(names) == 1
        assert any(
            what == "sync" and path.endswith("/f.json") for what, path in recorded[: names[0]]
        )
        assert ("sync", str(tmp_path)) in recorded[names[0] + 1 :]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="no /proc")
def test_a_directory_is_flushed_before_it_takes_its_name_and_its_parent_after(tmp_path, recorded):
    place = tmp_path / "new" / "d"
    for text in ("new", "again"):
        recorded.clear()
        put(place, text)
        durable(recorded, place, {"a", "sub/b", "sub", targets.MANIFEST})
    assert tree(place)["a"] == "again"


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="no /proc")
def test_new_parents_are_durable_too(tmp_path, recorded):
    write_json(tmp_path / "one" / "two" / "f.json", {})
    synced = [path for what, path in recorded if what == "sync"]
    assert str(tmp_path) in synced and str(tmp_path / "one") in synced


# ---- leftovers -----------------------------------------------------------------------------------


def leftover(directory: Path, *names: str) -> Path:
    """What a killed write leaves: a hidden directory without a living owner."""
    stage = directory / ".scmrl-0123456789ab"
    for name in names:
        (stage / name).parent.mkdir(parents=True, exist_ok=True)
        (stage / name).write_text("half")
    stage.mkdir(exist_ok=True)
    return stage


@pytest.mark.parametrize("names", [(), ("new/f.json",), ("new/d/a", "old/d/a"), ("scmrl.lock",)])
def test_leftovers_go_with_the_next_write(tmp_path, names):
    leftover(tmp_path, *names)
    if "scmrl.lock" in names:  # as an owner that was killed leaves it
        (tmp_path / ".scmrl-0123456789ab" / "scmrl.lock").write_text("")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a").write_text("the successor")
    write_json(tmp_path / "f.json", {})
    assert sorted(os.listdir(tmp_path)) == ["d", "f.json"] and tree(tmp_path / "d") == {
        "a": "the successor"
    }


def test_only_our_own_leftovers_go(tmp_path):
    kept = [
        ".scmrl-0123456789AB",
        ".scmrl-0123456789abc",
        ".scmrl-012",
        "scmrl-0123456789ab",
        ".f.json.1234",
    ]
    for name in kept:
        (tmp_path / name).mkdir()
    (leftover(tmp_path) / "something else").write_text("mine")
    (tmp_path / ".scmrl-ffffffffffff").symlink_to(tmp_path / kept[0])
    (tmp_path / ".scmrl-eeeeeeeeeeee").write_text("a file")
    write_json(tmp_path / "f.json", {})
    assert sorted(os.listdir(tmp_path)) == sorted(
        [*kept, ".scmrl-0123456789ab", ".scmrl-ffffffffffff", ".scmrl-eeeeeeeeeeee", "f.json"]
    )


def test_the_hidden_directory_of_a_living_write_stays(tmp_path):
    stage = leftover(tmp_path, "new/g.json")
    with lock.hold(stage, "writing"):
        write_json(tmp_path / "f.json", {})
        assert (stage / "new" / "g.json").exists()
    write_json(tmp_path / "f.json", {})
    assert os.listdir(tmp_path) == ["f.json"]


def test_an_old_copy_without_successor_is_put_back(tmp_path, small_bundle):
    """Killed between its two renames, where names cannot be exchanged; a command that reads does it
    too.
    """
    small_bundle.save(tmp_path / "run" / "bundle")
    exporter("onnx")(small_bundle, tmp_path / "run" / "onnx")
    for command in (
        lambda: bundle.load(tmp_path / "run" / "onnx"),
        lambda: exporter("lava")(small_bundle, tmp_path / "run" / "lava"),
    ):
        stage = leftover(tmp_path / "run", "new/onnx/half")
        (stage / "old").mkdir()
        os.rename(tmp_path / "run" / "onnx", stage / "old" / "onnx")
        command()
        assert bundle.load(tmp_path / "run" / "onnx").hash == small_bundle.hash
        assert not stage.exists()


# ---- kills ---------------------------------------------------------------------------------------

KILLS = """
import json, os, random, signal, sys, time
from pathlib import Path
from scmrl.core import bundle; from scmrl.system import storage
from scmrl.convert import exporter
from scmrl.system.storage import write_json

kind, swapped, place, sources = sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4:]
if swapped == "aside":
    storage.exchange = lambda one, other: False
bundles = [bundle.load(source) for source in sources]
write = exporter(kind) if kind != "bundle" else lambda made, path: made.save(path)
for made in bundles:
    started = time.monotonic()
    write(made, place)
span = time.monotonic() - started
(place / "notes.txt").write_text("mine")
moments, seen, left = random.Random(f"{kind} {swapped}"), [], 0
for turn in range(12):
    child = os.fork()
    if child == 0:
        while True:
            for made in bundles:
                write(made, place)
    time.sleep(moments.uniform(0, 4 * span))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    left += any(name.startswith(".") for name in os.listdir(place.parent))
    found = bundle.load(place)              # every hash in it is right
    assert (place / "notes.txt").read_text() == "mine"
    seen.append([made.hash for made in bundles].index(found.hash))
    write_json(place.parent / "next.json", {})
    assert sorted(os.listdir(place.parent)) == ["next.json", place.name], os.listdir(place.parent)
print(json.dumps({"seen": seen, "left": left}))
"""


@pytest.mark.parametrize(
    "kind, swapped", [("bundle", "exchange"), ("lava", "exchange"), ("lava", "aside")]
)
def test_a_kill_at_any_moment_leaves_the_old_or_the_new(kind, swapped, small_bundle, tmp_path):
    """SIGKILL at seeded moments of replacing one export by another with a stranger's file in it."""
    sources = [tmp_path / "one", tmp_path / "two"]
    for source, labels in zip(sources, (small_bundle.labels, small_bundle.labels[::-1])):
        dataclasses.replace(small_bundle, labels=labels).save(source)
    command = [sys.executable, "-c", KILLS, kind, swapped, tmp_path / "out" / "place", *sources]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found["seen"]) == {0, 1} and found["left"] > 3  # kills met writes, and both copies


@pytest.fixture
def chain_bundle() -> bundle.Bundle:
    """A chain, which netx can hold."""
    weights = np.random.default_rng(0).integers(-100, 128, (14, 16)).astype(np.int16)
    graph = Graph(
        (
            Population("x", (16,), "input"),
            Population("hidden", (10,), vth=100, dv=512),
            Population("readout", (4,), "readout"),
        ),
        (Dense("x", "hidden", weights[:10]), Dense("hidden", "readout", weights[10:, :10])),
        3,
    ).check()
    inputs = {"x": (np.random.default_rng(1).random((4, 3, 16)) < 0.5).astype(np.uint8)}
    return bundle.Bundle(graph, inputs, np.arange(4))


# ---- no space ------------------------------------------------------------------------------------


@pytest.fixture
def small_files():
    """No file may grow beyond so many bytes: a real failure of the system's own write."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("target", ["bundle", "c", "lava", "netx", "nir", "onnx", "verilog"])
def test_a_full_disk_is_one_line_and_the_old_stays_whole(
    target, small_bundle, chain_bundle, tmp_path, small_files
):
    needs = {"netx": "h5py", "bundle": "numpy", "lava": "numpy", "c": "jinja2", "verilog": "jinja2"}
    pytest.importorskip(needs.get(target, target))
    model = chain_bundle if target == "netx" else small_bundle
    write = exporter(target) if target != "bundle" else lambda made, path: made.save(path)
    write(model, tmp_path / "out")
    before = {p: p.read_bytes() for p in sorted((tmp_path / "out").rglob("*")) if p.is_file()}
    sizes = sorted({len(content) for content in before.values()})
    for size in (0, sizes[0] - 1, sizes[len(sizes) // 2] - 1, sizes[-1] // 2, sizes[-1] - 1):
        small_files(max(size, 0))
        with pytest.raises(ScmrlError, match="File too large") as refused:
            write(model, tmp_path / "out")
        small_files(1 << 30)
        assert "\n" not in str(refused.value) and type(refused.value) is ScmrlError
        assert {
            p: p.read_bytes() for p in sorted((tmp_path / "out").rglob("*")) if p.is_file()
        } == before
        assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("ending", ["html", "png", "svg", "pdf"])
def test_a_full_disk_is_one_line_for_pages_and_pictures(ending, tmp_path, small_files):
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    place, kind = tmp_path / f"p.{ending}", "page" if ending == "html" else "picture"
    place.write_bytes(targets.MARKS[kind][f".{ending}"][0])
    before, figure = place.read_bytes(), Figure()
    figure.subplots().plot(range(100))
    for size in (0, 3000):
        small_files(size)
        with pytest.raises(ScmrlError, match=f"p.{ending}: cannot write.*File too large"):
            write_page(place, "x" * 5000) if ending == "html" else write_figure(place, figure, 100)
        small_files(1 << 30)
        assert place.read_bytes() == before and os.listdir(tmp_path) == [f"p.{ending}"]


def test_places_that_cannot_be_written_are_one_line(tmp_path):
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file" / "x", tmp_path / ("n" * 300), Path("/proc/scmrl/x")):
        with pytest.raises(ScmrlError, match="cannot write|Not a directory") as refused:
            put(path, "1")
        assert "\n" not in str(refused.value)
        with pytest.raises(ScmrlError, match="cannot write"):
            write_json(path, {})
    assert os.listdir(tmp_path) == ["file"]


def test_a_directory_that_vanishes_is_one_line(tmp_path):
    (tmp_path / "home").mkdir()
    with pytest.raises(ScmrlError, match="home/d: cannot write.*No such file"):
        with whole_directory(tmp_path / "home" / "d", "lava") as directory:
            shutil.rmtree(tmp_path / "home")
            put_json(directory / "a", {})
    assert os.listdir(tmp_path) == []
