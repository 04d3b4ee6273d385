"""Several workers on one database, PostgreSQL where Debian's server is there: no trial twice,
nothing lost.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from sweeping import TINY, children, gone, sweep, until  # noqa: F401 (sweep is a fixture)

from scmrl.sweep import worker
from scmrl.sweep.study import Sweep
from scmrl.system.errors import BackendError, ScmrlError

pytest.importorskip("optuna", reason="sweeps need optuna")
PASSWORD = "geheim{1}%&@/:?"
QUOTED = "geheim%7B1%7D%25%26%40%2F%3A%3F"
DRAW = """
import sys
from pathlib import Path
from scmrl.sweep.study import Sweep
from scmrl.sweep.worker import Worker
axes = ("model.steps=1,2,3,4", "model.width=8..9", "train.epochs=1,2")
worker = Worker(Sweep(axes, storage=sys.argv[1], trials=20), Path(sys.argv[2]), print)
print("ready", flush=True)
input()
while record := worker._claim()[0]:
    print(record.number, *record.settings.values(), flush=True)
"""


def server() -> Path | None:
    """The directory of PostgreSQL's programs."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    return max(
        Path("/usr/lib/postgresql").glob("*/bin"),
        key=lambda path: float(path.parent.name),
        default=None,
    )


@pytest.fixture(scope="module")
def postgres():
    """The URL of an empty server on loopback, which ends with the tests."""
    programs = server()
    if programs is None:
        pytest.skip("no PostgreSQL server here (Debian's package postgresql)")
    psycopg = pytest.importorskip("psycopg", reason="PostgreSQL needs psycopg")
    folder = Path(tempfile.mkdtemp(prefix="scmrl-postgres-"))
    who = {"user": "postgres"} if os.geteuid() == 0 else {}  # the server refuses to be root
    try:
        if who:
            shutil.chown(folder, "postgres")
        (folder / "password").write_text(PASSWORD)
        (folder / "password").chmod(0o644)
        subprocess.run(
            [
                programs / "initdb",
                "-D",
                folder / "data",
                "-A",
                "scram-sha-256",
                "-U",
                "me",
                "--no-sync",
                "--pwfile",
                folder / "password",
            ],
            check=True,
            capture_output=True,
            cwd=folder,
            timeout=120,
            **who,
        )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with open(folder / "log", "wb") as log:
            process = subprocess.Popen(
                [
                    programs / "postgres",
                    "-D",
                    folder / "data",
                    "-p",
                    str(port),
                    "-F",
                    "-c",
                    "listen_addresses=127.0.0.1",
                    "-c",
                    "unix_socket_directories=",
                ],
                stdout=log,
                stderr=log,
                cwd=folder,
                **who,
            )
        try:
            end = time.monotonic() + 60
            while True:
                try:
                    psycopg.connect(
                        host="127.0.0.1", port=port, user="me", password=PASSWORD, dbname="postgres"
                    ).close()
                    break
                except psycopg.OperationalError:
                    assert process.poll() is None and time.monotonic() < end, (
                        folder / "log"
                    ).read_text()
                    time.sleep(0.05)
            yield f"postgresql://me:{QUOTED}@127.0.0.1:{port}/"
        finally:
            process.send_signal(signal.SIGINT)  # a fast end that cleans up
            process.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def base(postgres):
    """The URL of a database of its own."""
    import psycopg

    name = f"base{time.monotonic_ns()}"
    with psycopg.connect(
        postgres.replace("postgresql+psycopg", "postgresql") + "postgres", autocommit=True
    ) as server:
        server.execute(f"CREATE DATABASE {name}")
    return postgres + name


@pytest.fixture(params=["postgresql", "sqlite"])
def any_base(request, tmp_path):
    return (
        request.getfixturevalue("base")
        if request.param == "postgresql"
        else f"sqlite:///{tmp_path}/shared.db"
    )


def test_no_trial_twice_where_many_decide_at_once(any_base, tmp_path):
    """Also on a database that all of them make at once, and where the space ends before the trials
    wanted.
    """
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", DRAW, any_base, tmp_path / str(i)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(3)
    ]
    for process in workers:
        assert process.stdout.readline() == "ready\n", process.stderr.read()
    for process in workers:
        print(file=process.stdin, flush=True)
    lines = [
        line.split()
        for process in workers
        for line in process.communicate(timeout=120)[0].splitlines()
    ]
    assert sorted(int(number) for number, *_ in lines) == list(range(16))
    assert len({tuple(settings) for _, *settings in lines}) == 16


def test_what_goes_wrong_with_the_server_is_one_line_without_the_password(base, tmp_path):
    def refused(url):
        with pytest.raises(BackendError) as error:
            worker.Worker(Sweep(("model.steps=1,2",), storage=url), tmp_path, print)
        assert "geheim" not in str(error.value) and "\n" not in str(error.value)
        return str(error.value)

    assert "authentication failed" in refused(base.replace(QUOTED, "geheim"))
    assert "PGPASSWORD" in refused(base.replace(f":{QUOTED}", ""))
    assert "does not exist" in refused(base + "x")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert "refused" in refused(f"postgresql://me:{QUOTED}@127.0.0.1:{free.getsockname()[1]}/x")
    assert not any(tmp_path.iterdir())


def test_tables_of_another_program_are_left_alone(base, tmp_path):
    import psycopg

    with psycopg.connect(base, autocommit=True) as server:
        server.execute("CREATE TABLE trials (mine INT)")
        with pytest.raises(ScmrlError, match="tables of another program"):
            worker.Worker(Sweep(("model.steps=1,2",), storage=base), tmp_path, print)
        names = server.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        ).fetchall()
    assert names == [("trials",)]


def test_a_server_that_goes_away_ends_the_sweep_in_one_line(base, tmp_path):
    import psycopg

    run = worker.Worker(Sweep(("model.steps=1,2",), storage=base), tmp_path, print)
    run._claim()
    with psycopg.connect(base.rpartition("/")[0] + "/postgres", autocommit=True) as server:
        server.execute(f"DROP DATABASE {base.rpartition('/')[2]} WITH (FORCE)")
    with pytest.raises(
        BackendError, match="the sweep's database failed.*(terminating connection|does not exist)"
    ):
        run._claim()
    with pytest.raises(BackendError):
        run.table()


def test_two_workers_of_two_jobs_one_killed(sweep, request, tmp_path):  # noqa: F811
    """Four trials, two of which no training takes; the killed worker's are gone on with from their
    checkpoints.
    """
    with contextlib.suppress(pytest.skip.Exception):
        url = request.getfixturevalue("base")
    url = locals().get("url") or f"sqlite:///{tmp_path}/shared.db"
    out, said = tmp_path / "out", []
    options = [
        "--space=limits.weight_bits=4,8",
        "--space=model.width=8,12",
        "--grid",
        "--jobs=2",
        *(option for option in TINY if "width" not in option),
        "--set=train.epochs=2",
    ]
    one = sweep(f"--out={out}", f"--storage={url}", *options)
    until((out / "sweep.json").exists, one)
    two = sweep(f"--out={out}", "--resume", f"--storage={url}", "--jobs=2", "--json")
    hit = until(
        lambda: [
            n
            for n in range(4)
            if (out / f"trial-{n:04d}" / "checkpoints" / "last.ckpt").exists()
            and any(
                f"trial-{n:04d}" in Path(f"/proc/{pid}/cmdline").read_text()
                for pid in children(one.pid)
            )
        ],
        one,
    )
    trainings = children(one.pid)
    one.kill()
    assert gone(trainings, 5)
    said.append(one.communicate()[1])
    result, err = two.communicate(timeout=500)
    assert two.returncode == 0, err
    report = json.loads(result)
    said += [result, err, (out / "sweep.json").read_text()]
    trials = {
        (t["parameters"]["limits.weight_bits"], t["parameters"]["model.width"]): t
        for t in report["trials"]
    }
    assert {key: t["state"] for key, t in trials.items()} == {
        (bits, width): "complete" if width == 8 else "fail" for bits in (4, 8) for width in (8, 12)
    }
    assert len(report["trials"]) == 4 and all(
        "multiple of 8" in trials[bits, 12]["why"] for bits in (4, 8)
    )
    assert {t["number"] for t in report["trials"] if t["retries"]} >= set(hit)
    for number in hit:  # its first epoch was not trained again
        starts = (out / f"trial-{number:04d}.log").read_text().split("training on")[1:]
        assert len(starts) > 1 and "epoch 1/2" not in starts[-1]
    from scmrl.core.bundle import load

    largest = {}
    for bits in (4, 8):
        graph = load(out / f"trial-{trials[bits, 8]['number']:04d}").graph
        largest[bits] = max(abs(s.weight).max() for s in graph.synapses if hasattr(s.weight, "max"))
    assert largest[4] <= 7 < largest[8] <= 127
    assert not any("geheim" in text for text in said)
    assert not any(b"geheim" in path.read_bytes() for path in out.rglob("*") if path.is_file())
