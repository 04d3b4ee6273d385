"""Kill scmrl at random moments, cut the power, start again, and look at what is left.

    python benchmarks/kills.py [--kills N] [--places train-epoch,export-lava,...] [--seed S]
                               [--write docs/faults.md]

For each place a command runs once undisturbed; the epochs that it finished and the files that it
wrote are landmarks. Then, N times: a moment is drawn uniformly over the span of that place, the
command starts anew and is killed (SIGKILL) at that moment, counted from the last landmark before
it, so that a slow machine changes nothing. What was not flushed to the disk is then emptied, as by
a power cut (`powercut/sitecustomize.py`). Judged:

 1. what stands under the target's name is a whole copy, or nothing where nothing was;
 2. the next start (`--resume`, or the command again) ends well, and as the undisturbed run does;
 3. then nothing hidden, no process and no shared memory of the killed one is left.

Exits with 1 where one of the three fails. `--without fsync` and `--without rename` take a safeguard
out of scmrl and must make it fail.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from written import add_force, may_write

from scmrl.system.storage import whole_file

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
POWERCUT = Path(__file__).resolve().parent / "powercut"
SCMRL = [sys.executable, "-m", "scmrl"]
EPOCHS = 5
TINY = [
    word
    for setting in (
        "model.width=8",
        "model.steps=2",
        "train.held_out=8",
        "train.validation=0.5",
        "train.batch=128",
    )
    for word in ("--set", setting)
]
CHAIN = [
    "--set",
    'model.modalities=["audio"]',
    "--set",
    "model.branches=false",
    "--set",
    "model.bias_exp_min=6",
]
MADE = ("model", "net.nir", "place.json")  # by `prepare`, for every trial
NIR_FILE = Path("nir", "model.nir")
MARK = re.compile(r"epoch \d+/\d+\s+loss")  # a finished epoch, on standard error
PATIENCE_S = 400.0  # of one command that nobody kills
GONE_S = 20.0  # after this nothing of a killed command may be left
VARYING = re.compile(r"seconds|samples_per_s|version|created|sha256|hash|path|_dir$")
UNDER_WAY = re.compile(r"\..*|.*\.part")  # names of writes under way


@dataclass(frozen=True)
class Place:
    """A command, the span of it in which it is killed, and how it goes on.

    command, again: words of `scmrl` given the directory of the trial; `again` is tried in order
    until one ends well. after, before: numbers of finished epochs between which moments are drawn;
    0 and None are start and end. writing: moments lie in writes to this directory instead. victim:
    "parent", "child" or "group". older: an older copy of the target is there every other time.
    """

    name: str
    command: Callable[[Path], list[str]]
    again: Callable[[Path], list[list[str]]]
    target: str = ""
    after: int = 0
    before: int | None = None
    writing: str = ""
    victim: str = "parent"
    older: bool = False


def _train(run: Path) -> list[str]:
    return [
        "train",
        "--dataset",
        "digits-av",
        "--epochs",
        str(EPOCHS),
        *TINY,
        "--out",
        str(run / "run"),
    ]


def _resume(run: Path) -> list[list[str]]:
    return [["train", "--resume", "--out", str(run / "run")]]


def _train_anew(run: Path) -> list[list[str]]:
    """A run that was killed before its first checkpoint has nothing to go on from."""
    return [*_resume(run), [*_train(run), "--force"], _train(run)]


def _sweep(run: Path) -> list[str]:
    return [
        "sweep",
        "--out",
        str(run / "sweep"),
        "--space",
        "model.alpha=0.0..2.0",
        "--trials",
        "3",
        "--seed",
        "7",
        "--set",
        "train.epochs=2",
        *TINY,
    ]


def _sweep_on(run: Path) -> list[list[str]]:
    return [["sweep", "--resume", "--out", str(run / "sweep"), "--trials", "3"], _sweep(run)]


def _lava(run: Path) -> list[str]:
    return ["deploy", str(run / "model"), "--backend", "lava", "--samples", "2"]


def _writes(
    name: str, *words: str, option: str = "--out", target: str = "out", writing: str = ""
) -> Place:
    """A command that writes one target, killed from its start to its end, or in the writing
    itself.
    """

    def command(run: Path) -> list[str]:
        return [str(run / word[1:]) if word.startswith("@") else word for word in words] + [
            option,
            str(run / target),
        ]

    return Place(
        name, command, lambda run: [[*command(run), "--force"]], target, writing=writing, older=True
    )


PLACES = {
    place.name: place
    for place in (
        Place("train-start", _train, _train_anew, "run/bundle", before=1),
        Place("train-epoch", _train, _resume, "run/bundle", after=1, before=EPOCHS),
        Place(
            "train-checkpoint", _train, _resume, "run/bundle", after=1, writing="run/checkpoints"
        ),
        Place("train-freeze", _train, _resume, "run/bundle", after=EPOCHS),
        *(
            _writes(f"export-{target}", "export", "@model", "--target", target, "--samples", "2")
            for target in ("lava", "nir", "onnx", "netx", "c")
        ),
        _writes("export-write", "export", "@model", "--no-verify", writing="."),
        _writes("import", "import", "@net.nir"),
        _writes(
            "deploy-page", "deploy", "@model", "--samples", "4", option="--html", target="out.html"
        ),
        _writes(
            "page-write",
            "compare",
            "@place.json",
            "@place.json",
            option="--html",
            target="out.html",
            writing=".",
        ),
        _writes("validate", "validate", option="--write", target="out.md"),
        Place("sweep-parent", _sweep, _sweep_on, "sweep"),
        Place("sweep-child", _sweep, _sweep_on, "sweep", victim="child"),
        Place("lava-group", _lava, lambda run: [_lava(run)], victim="group"),
    )
}


@dataclass
class Watched:
    """A running command: its landmarks, in seconds since its start, and how it ended."""

    process: subprocess.Popen
    started: float
    marker: str
    marks: list[float] = field(default_factory=list)
    writes: list[tuple[float, float]] = field(default_factory=list)  # begin and end of a write
    said: list[str] = field(default_factory=list)
    heard: threading.Condition = field(default_factory=threading.Condition)
    ended: float = 0.0

    @property
    def now(self) -> float:
        return time.monotonic() - self.started

    def listen(self) -> None:
        for line in self.process.stderr:
            with self.heard:
                self.said.append(line.rstrip())
                if MARK.search(line):
                    self.marks.append(self.now)
                self.heard.notify_all()

    def watch(self, directory: Path) -> None:
        """Note writes in a directory: while a name of one under way is there."""
        begun = None
        while self.process.poll() is None:
            try:
                under_way = any(map(UNDER_WAY.fullmatch, os.listdir(directory)))
            except OSError:
                under_way = False
            if under_way and begun is None:
                begun = self.now
                with self.heard:
                    self.writes.append((begun, begun))
                    self.heard.notify_all()
            elif not under_way and begun is not None:
                self.writes[-1], begun = (begun, self.now), None
            time.sleep(0.0003)

    def wait_for(self, landmarks: list, number: int) -> bool:
        """Wait for the landmark of that number; False where the command ended before."""
        with self.heard:
            while len(landmarks) < number and self.process.poll() is None:
                self.heard.wait(0.05)
        return len(landmarks) >= number

    def finish(self) -> int:
        try:
            code = self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            code = self.process.wait()
            self.said.append(f"hung for {PATIENCE_S:.0f} s")
        self.ended = self.now
        return code


class Trials:
    """Kills of one place, in a directory of their own."""

    def __init__(self, place: Place, prepared: Path, random: np.random.Generator, without: str):
        self.place, self.prepared, self.random, self.without = place, prepared, random, without
        self.log = prepared / "flushed.log"

    def start(self, run: Path, words: list[str]) -> Watched:
        marker = f"{os.getpid()}-{time.monotonic_ns()}"
        environment = {
            **os.environ,
            "KILLS_RUN": marker,
            "KILLS_LOG": str(self.log),
            "KILLS_WITHOUT": self.without,
            "PYTHONPATH": os.pathsep.join([str(POWERCUT), str(ROOT)]),
            "OMP_NUM_THREADS": "1",
        }
        process = subprocess.Popen(
            [*SCMRL, *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,
            cwd=run,
        )
        watched = Watched(process, time.monotonic(), marker)
        threading.Thread(target=watched.listen, daemon=True).start()
        if self.place.writing:
            threading.Thread(
                target=watched.watch, args=(run / self.place.writing,), daemon=True
            ).start()
        return watched

    def fresh(self) -> Path:
        run = Path(tempfile.mkdtemp(prefix="kill-", dir=self.prepared))
        for name in MADE:
            os.symlink(self.prepared / name, run / name)
        return run

    def undisturbed(self) -> str:
        """Run once whole; keeps its landmarks and the hash of what it makes."""
        run = self.fresh()
        whole = self.start(run, self.place.command(run))
        if whole.finish():
            raise SystemExit(f"{self.place.name} fails undisturbed: {' '.join(whole.said[-2:])}")
        self.whole, self.result = whole, outcome(run, self.place)
        self.copy = run / self.place.target if self.place.target else None
        return self.result

    def moment(self) -> tuple[str, int, float, float]:
        """(what to wait for, its number, seconds after it, seconds from the start in the
        undisturbed run).
        """
        place, whole = self.place, self.whole
        if place.writing:
            since = whole.marks[place.after - 1] - 0.5 if place.after else 0.0
            later = [i for i, (begin, _) in enumerate(whole.writes) if begin > since]
            i = int(self.random.choice(later))
            begin, end = whole.writes[i]
            late = float(self.random.uniform(0, end - begin))
            return "writes", i + 1, late, begin + late
        begin = whole.marks[place.after - 1] if place.after else 0.0
        end = whole.ended if place.before is None else whole.marks[place.before - 1]
        at = float(self.random.uniform(begin, end))
        passed = [mark for mark in whole.marks if mark <= at]
        return "marks", len(passed), at - (passed[-1] if passed else 0.0), at

    def kill(self, number: int) -> tuple[float, list[str]]:
        """One kill: (its moment, what is wrong after it)."""
        run, place = self.fresh(), self.place
        older = place.older and number % 2 == 1
        if older:
            copy = shutil.copytree if self.copy.is_dir() else shutil.copy2
            copy(self.copy, run / place.target)
        self.log.unlink(missing_ok=True)
        kind, landmark, late, at = self.moment()
        shared, began = set(os.listdir("/dev/shm")), time.time_ns()
        words = place.again(run)[0] if older else place.command(run)
        watched = self.start(run, words)
        if watched.wait_for(getattr(watched, kind), landmark):
            time.sleep(late)
        strike(watched, place.victim, self.random)
        if place.victim == "child":
            watched.finish()
        wrong = [] if gone(watched.marker) else ["a process lives on"]
        if place.victim != "child":
            watched.process.wait(GONE_S)
            cut_power(run, self.log, began)
        if place.older and (why := unlike(run / place.target, self.copy, older)):
            wrong.append(why)
        wrong += self.go_on(run)
        left = settled(lambda: set(os.listdir("/dev/shm")) - shared)
        if left:
            wrong.append(f"shared memory {sorted(left)[:3]}")
        if not wrong:
            shutil.rmtree(run)
        return at, wrong

    def go_on(self, run: Path) -> list[str]:
        """The next start, and what is wrong after it."""
        said = ""
        for words in self.place.again(run):
            watched = self.start(run, words)
            if watched.finish() == 0:
                break
            said = said or " ".join(watched.said[-1:])
        else:
            return [f"does not go on: {said}"]
        wrong = (
            [] if outcome(run, self.place) == self.result else ["another result than undisturbed"]
        )
        hidden = [
            str(path.relative_to(run))
            for path in run.rglob("*")
            if path.name.startswith(".") or path.name.endswith((".part", ".tmp"))
        ]
        return wrong + ([f"left behind: {', '.join(hidden[:3])}"] if hidden else [])


def strike(watched: Watched, victim: str, random: np.random.Generator) -> None:
    """SIGKILL to the command, one of its children, or the whole group."""
    pids = [watched.process.pid]
    if victim == "child":
        pids = [pid for pid in relatives(watched.marker) if pid != watched.process.pid] or []
        pids = [int(random.choice(pids))] if pids else []
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if victim == "group" else os.kill)(pid, signal.SIGKILL)


def relatives(marker: str) -> list[int]:
    """Processes that carry the marker in their environment."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            if (
                entry.isdigit()
                and f"KILLS_RUN={marker}".encode() in Path("/proc", entry, "environ").read_bytes()
            ) and Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                found.append(int(entry))
        except OSError:
            continue
    return found


def settled(left: Callable[[], object]) -> object:
    """What is still left after a while, if anything."""
    end = time.monotonic() + GONE_S
    while (found := left()) and time.monotonic() < end:
        time.sleep(0.1)
    return found


def gone(marker: str) -> bool:
    left = settled(lambda: relatives(marker))
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    return not left


def cut_power(run: Path, log: Path, began_ns: int) -> None:
    """Empty every file that changed since `began_ns` and was not flushed after its last change."""
    flushed = set(log.read_text().splitlines()) if log.exists() else set()
    for path in run.rglob("*"):
        if path.is_symlink() or not path.is_file():
            continue
        status = path.stat()
        if (
            status.st_mtime_ns > began_ns
            and f"{status.st_dev} {status.st_ino} {status.st_mtime_ns}" not in flushed
        ):
            os.truncate(path, 0)


def unlike(target: Path, copy: Path, older: bool) -> str:
    """Why what stands under the target's name is no whole copy, or "" where it is."""
    if not target.exists():
        return "the older copy is gone" if older else ""
    return "" if digest(target) == digest(copy) else "half a copy under the target's name"


def outcome(run: Path, place: Place) -> str:
    """The hash of what a place's command makes; of a sweep, of every trial's model by its
    settings.
    """
    if place.target != "sweep":
        return digest(run / place.target) if place.target else ""
    models = {}
    for trial in sorted((run / "sweep").glob("trial-????")):
        settings = tomllib.loads((trial / "config.toml").read_text(encoding="utf-8"))
        if (trial / "bundle").is_dir():
            models[repr(settings["model"]["alpha"])] = digest(trial / "bundle")
    return json.dumps(models, sort_keys=True)


def digest(path: Path) -> str:
    """A hash of a file's or directory's meaning: without times, versions and places."""
    total = hashlib.sha256()
    for name, data in meaning(path):
        total.update(name.encode() + b"\0" + data + b"\0")
    return total.hexdigest()[:16]


def meaning(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.is_dir():
        for child in sorted(path.iterdir()):
            if child.name not in {"MANIFEST.json", "manifest.json", "scmrl.json"}:
                yield from ((f"{child.name}/{name}", data) for name, data in meaning(child))
        return
    data = path.read_bytes()
    if path.suffix == ".json":
        data = json.dumps(lasting(json.loads(data or b"null")), sort_keys=True).encode()
    elif path.suffix in {".html", ".md", ".svg"}:
        data = re.sub(rb"[0-9.:]+|kill-\w+", b"", data)
    elif path.suffix == ".npz" and data:
        with np.load(io.BytesIO(data)) as arrays:
            data = b"".join(name.encode() + arrays[name].tobytes() for name in sorted(arrays.files))
    elif path.suffix in {".nir", ".net", ".h5"}:
        data = str(len(data)).encode()  # HDF5 keeps times of its own
    yield path.name, data


def lasting(value: object) -> object:
    """A JSON value without what differs from run to run."""
    if isinstance(value, dict):
        return {key: lasting(part) for key, part in value.items() if not VARYING.search(key)}
    return [lasting(part) for part in value] if isinstance(value, list) else value


def prepare(folder: Path, model: Path | None) -> None:
    """What the commands need: a small frozen model (one is trained where none is given), a NIR
    file, a report.
    """

    def run(*words: str) -> str:
        done = subprocess.run([*SCMRL, *words], capture_output=True, text=True, cwd=ROOT)
        if done.returncode:
            raise SystemExit(f"scmrl {' '.join(words)}: {done.stderr.strip().splitlines()[-1]}")
        return done.stdout

    if model is None:
        run(
            "train",
            "--dataset",
            "digits-av",
            "--epochs",
            "1",
            *TINY,
            *CHAIN,
            "--out",
            str(folder / "trained"),
        )
        model = folder / "trained" / "bundle"
    shutil.copytree(model, folder / "model")
    run(
        "export",
        str(folder / "model"),
        "--target",
        "nir",
        "--no-verify",
        "--out",
        str(folder / "nir"),
    )
    shutil.copy(folder / "nir" / NIR_FILE, folder / "net.nir")
    (folder / "place.json").write_text(
        run("place", str(folder / "model"), "--json"), encoding="utf-8"
    )


def study(places: list[str], kills: int, seed: int, without: str, model: Path | None) -> list[dict]:
    """Every place's kills as rows; a line for each place as it ends."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="scmrl-kills-") as folder:
        prepare(Path(folder), model)
        for name in places:
            started = time.monotonic()
            trials = Trials(
                PLACES[name], Path(folder), np.random.default_rng([seed, *name.encode()]), without
            )
            trials.undisturbed()
            found = []
            for number in range(kills):
                found.append(trials.kill(number))
                for why in found[-1][1]:
                    print(
                        f"  {name}: kill {number} at {found[-1][0]:.3f} s: {why}",
                        file=sys.stderr,
                        flush=True,
                    )
            bad = sum(bool(wrong) for _, wrong in found)
            rows.append(
                {
                    "place": name,
                    "span": trials.whole.ended,
                    "kills": kills,
                    "failures": bad,
                    "moments": sorted(at for at, _ in found),
                }
            )
            print(
                f"{name}: {kills} kills, {bad} failures, {time.monotonic() - started:.0f} s",
                file=sys.stderr,
                flush=True,
            )
    return rows


def page(rows: list[dict], seed: int) -> str:
    total, bad = sum(row["kills"] for row in rows), sum(row["failures"] for row in rows)
    lines = [
        "# Kills",
        "",
        (
            f"`python benchmarks/kills.py --kills {rows[0]['kills']} --seed {seed}`: {total} kills"
            f" by SIGKILL, each followed by a power cut, {bad} failures. What is judged stands in"
            " benchmarks/kills.py."
        ),
        "",
        "| place | kills | failures | undisturbed, s | killed at, s |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['place']} | {row['kills']} | {row['failures']} | {row['span']:.1f} | "
        f"{', '.join(f'{at:.2f}' for at in row['moments'])} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=8, help="of each place (default 8)")
    parser.add_argument("--places", default=",".join(PLACES), help="comma-separated (default: all)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--without", choices=["fsync", "rename"], default="", help="take a safeguard out"
    )
    parser.add_argument(
        "--model", type=Path, help="a bundle for the commands that need one (default: train one)"
    )
    parser.add_argument("--write", type=Path, help="write the record to this file")
    add_force(parser)
    options = parser.parse_args()
    may_write(options.write, "table", options)
    rows = study(
        options.places.split(","), options.kills, options.seed, options.without, options.model
    )
    text = page(rows, options.seed)
    print(text, end="")
    if options.write:
        with whole_file(options.write, "table") as file:
            file.write_text(text, encoding="utf-8")
    sys.exit(1 if any(row["failures"] for row in rows) else 0)


if __name__ == "__main__":
    main()
