"""Both Lava backends at other steps and samples, and that every run ends: in time, cleanly, in one
line.
"""

import dataclasses
import gc
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from conformance.equality import assert_equals_the_reference
from conformance.graphs import GRAPHS
from conformance.graphs.networks import any_values as inputs
from conformance.graphs.networks import attention_graph
from conftest import SharedNames

from scmrl.core.graph import Graph, OneToOne, Population
from scmrl.system import memory
from scmrl.system.errors import BackendError, DataError, GraphError

pytest.importorskip("lava", reason="lava-nc is not installed")

from scmrl.deploy.backends.lava import compat, lava, session
from scmrl.deploy.backends.lava.lava import LavaInProcess, LavaRuntime
from scmrl.deploy.stream import lava as stream_lava

BACKENDS = (LavaInProcess, LavaRuntime)


@pytest.mark.parametrize("steps", [1, 2, 3, 11])
def test_samples_shorter_and_longer_than_the_network_is_deep(steps):
    graph = attention_graph()
    assert_equals_the_reference(LavaInProcess(graph), inputs(graph, 4, steps))


def test_other_steps_than_the_layouts_are_noted():
    graph = attention_graph(steps=4)
    assert LavaInProcess(graph).run(inputs(graph, 1)).notes == ()
    assert "7 steps" in LavaInProcess(graph).run(inputs(graph, 1, steps=7)).notes[0]


def test_samples_of_a_second_run_of_lava_join_the_first(monkeypatch):
    monkeypatch.setattr(lava, "BATCH_BYTES", 4000)
    graph = attention_graph()
    assert_equals_the_reference(LavaInProcess(graph), inputs(graph, 7))


def test_activity_says_which_lava_ran_and_how_long():
    graph, seen = attention_graph(), []
    activity = LavaRuntime(graph).run(inputs(graph, 5), progress=lambda *count: seen.append(count))
    assert (activity.backend, activity.version) == ("lava", "0.10.0")
    assert activity.seconds > 0 and activity.startup_s > 0
    assert seen == [(done, 5) for done in range(1, 6)]


def test_bad_inputs_and_parameters_are_refused_before_lava_starts():
    graph = attention_graph()
    with pytest.raises(DataError, match="image: input value out of range"):
        LavaRuntime(graph).run({**inputs(graph, 1), "image": np.full((1, 4, 2, 4, 4), 256)})
    floats = dataclasses.replace(graph["k"], vth=60.5)
    populations = tuple(floats if p.name == "k" else p for p in graph.populations)
    with pytest.raises(GraphError, match="k: vth must be an integer"):
        LavaRuntime(dataclasses.replace(graph, populations=populations))


# --- every run ends


def relay_graph() -> Graph:
    return Graph(
        (
            Population("x", (2,), kind="input"),
            Population("a", (2,)),
            Population("out", (2,), kind="readout"),
        ),
        (OneToOne("x", "a", 1), OneToOne("a", "out", 1)),
        steps=4,
    )


@pytest.fixture
def leaves_nothing():
    """No child, no thread, no file and no shared memory of this test's outlives it."""
    compat.load()
    from lava.magma.core.process.process import ProcessServer

    def files() -> int:
        gc.collect()
        return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0

    threads, registered, opened = threading.active_count(), len(ProcessServer().processes), files()
    yield
    assert multiprocessing.active_children() == []
    assert threading.active_count() == threads
    assert len(ProcessServer().processes) == registered
    assert files() == opened


@pytest.mark.usefixtures("leaves_nothing")
def test_run_leaves_no_child_thread_or_registry_entry():
    LavaRuntime(relay_graph()).run(inputs(relay_graph(), 2))


@pytest.mark.usefixtures("leaves_nothing")
@pytest.mark.parametrize("backend", BACKENDS)
def test_deadline_ends_the_run_with_one_line(backend):
    with pytest.raises(BackendError, match=r"did not end in time \(limit 0.01 s") as failure:
        backend(relay_graph(), deadline_s=0.01).run(inputs(relay_graph(), 300))
    assert "\n" not in str(failure.value)


@pytest.mark.usefixtures("leaves_nothing")
def test_error_in_a_lava_process_is_shown_at_once(monkeypatch):
    """A float threshold past all checks: Lava's process raises before it sends; Lava would wait for
    ever.
    """
    from scmrl.deploy.backends.lava import processes

    def with_float_threshold(n, network):
        return original(dataclasses.replace(n, vth=n.vth + 0.5), network)

    original = processes._neurons
    monkeypatch.setattr(processes, "_neurons", with_float_threshold)
    with pytest.raises(BackendError, match="left_shift.*not supported") as failure:
        LavaRuntime(relay_graph(), deadline_s=60).run(inputs(relay_graph(), 2))
    assert "\n" not in str(failure.value)
    assert "Traceback" in failure.value.child_traceback
    assert failure.value.where in ("phase1", "readout")
    with pytest.raises(BackendError, match="left_shift"):
        LavaInProcess(relay_graph()).run(inputs(relay_graph(), 2))


@pytest.mark.usefixtures("leaves_nothing")
def test_killed_lava_process_ends_the_run():
    def kill_one(done, total):
        next(
            c for c in multiprocessing.active_children() if type(c).__name__ == "SystemProcess"
        ).kill()

    with pytest.raises(
        BackendError, match="was killed by SIGKILL .exit code -9., as .* where memory runs out"
    ):
        LavaRuntime(relay_graph(), deadline_s=60).run(inputs(relay_graph(), 300), progress=kill_one)


def children() -> list:
    """Lava's processes of this one, the runtime service last."""
    return sorted(multiprocessing.active_children(), key=lambda child: child.pid)


@pytest.fixture
def stop(monkeypatch):
    """Stops some of a run's processes; from then on the run has half a second."""
    sessions = []

    class Session(session.ProcessSession):
        def __enter__(self):
            sessions.append(self)
            return super().__enter__()

    def stop_some(which: slice) -> None:
        for child in children()[which]:
            os.kill(child.pid, signal.SIGSTOP)
        sessions[-1].end = time.monotonic() + 0.5

    monkeypatch.setattr(lava, "ProcessSession", Session)
    return stop_some


@pytest.mark.usefixtures("leaves_nothing")
@pytest.mark.parametrize(
    "which", [slice(0, 1), slice(-1, None), slice(None)], ids=["one", "service", "all"]
)
def test_deadline_holds_for_stopped_processes(which, stop):
    with pytest.raises(
        BackendError, match=r"did not end in time \(limit 60 s, got 1 of 300 samples"
    ):
        LavaRuntime(relay_graph(), deadline_s=60).run(
            inputs(relay_graph(), 300), lambda *_: stop(which)
        )


@pytest.mark.usefixtures("leaves_nothing")
def test_deadline_holds_where_a_bias_is_set_in_a_stopped_process(stop, monkeypatch):
    def stop_first(self, name, mantissa):
        stop(slice(-1, None))
        set_bias(self, name, mantissa)

    set_bias = session.ProcessSession.set_bias
    monkeypatch.setattr(session.ProcessSession, "set_bias", stop_first)
    graph, x = GRAPHS["delays_and_loops"]()
    with pytest.raises(BackendError, match="did not end in time"):
        LavaRuntime(graph, deadline_s=60).run(x)


@pytest.mark.usefixtures("leaves_nothing")
def test_deadline_holds_for_a_start_that_hangs(monkeypatch):
    from lava.proc.lif import models

    monkeypatch.setattr(
        models.PyLifResetModelBitAcc, "__init__", lambda *_: os.kill(os.getpid(), signal.SIGSTOP)
    )
    with pytest.raises(BackendError, match="did not end in time .limit 2 s, got 0 of 2 samples"):
        LavaRuntime(relay_graph(), deadline_s=2).run(inputs(relay_graph(), 2))


@pytest.mark.usefixtures("leaves_nothing")
def test_a_stream_ends_where_a_process_is_stopped(monkeypatch):
    def frames():
        for step in range(8):
            if step == 3:
                monkeypatch.setattr(stream_lava, "STEP_LIMIT_S", 0.5)
                os.kill(children()[0].pid, signal.SIGSTOP)
            yield {"x": np.ones(2, int)}

    seen = []
    with pytest.raises(BackendError, match="a step did not end .limit 0.5 s"):
        seen.extend(stream_lava.LavaStream(relay_graph(), own_processes=True).run(frames()))
    assert len(seen) == 1


@pytest.mark.usefixtures("leaves_nothing")
def test_deadline_holds_within_a_long_sample_in_process():
    graph = dataclasses.replace(relay_graph(), steps=200_000)
    started = time.monotonic()
    with pytest.raises(BackendError, match="did not end in time .limit 0.2 s, got 0 of 1 samples"):
        LavaInProcess(graph, deadline_s=0.2).run(inputs(graph, 1))
    assert time.monotonic() - started < 20


@pytest.mark.usefixtures("leaves_nothing")
def test_what_a_process_says_before_it_ends_stays_off_the_terminal(monkeypatch, capfd):
    from lava.proc.lif import models

    def crash(self):
        os.write(1, b"noise on 1\n")
        os.write(2, b"noise on 2\n")
        os._exit(3)

    monkeypatch.setattr(models.PyLifResetModelBitAcc, "run_spk", crash)
    with pytest.raises(BackendError, match="ended with exit code 3") as failure:
        LavaRuntime(relay_graph(), deadline_s=60).run(inputs(relay_graph(), 2))
    assert "noise on 1\nnoise on 2\n" in failure.value.child_traceback
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("leaves_nothing")
def test_too_little_memory_is_told_before_the_start(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 2000)
    with pytest.raises(
        BackendError,
        match=r"not enough memory .*limit 2.0 kB available, got \d+\.\d kB.; .*lava-in",
    ):
        LavaRuntime(relay_graph()).run(inputs(relay_graph(), 2))


SCRIPT = """
    import sys
    import numpy as np
    from scmrl.core.graph import Graph, OneToOne, Population
    graph = Graph((Population("x", (2,), kind="input"), Population("a", (2,)),
                   Population("out", (2,), kind="readout")),
                  (OneToOne("x", "a", 1), OneToOne("a", "out", 1)), steps=4)
    x = {"x": np.ones((SAMPLES, 4, 2), int)}
"""


def python(body: str, samples: int = 2, first: str = "") -> list[str]:
    start = first + textwrap.dedent(SCRIPT).replace("SAMPLES", str(samples))
    return [sys.executable, "-c", start + textwrap.dedent(body)]


def running(group: int) -> list[str]:
    """Names of the living (not zombie) processes of a process group."""
    out = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().rpartition(")")
        except OSError:
            continue
        state, _, pgrp = rest.split()[:3]
        if int(pgrp) == group and state != "Z":
            out.append(name)
    return out


@pytest.mark.skipif(
    sys.platform != "linux", reason="children are bound to their parent on Linux only"
)
@pytest.mark.parametrize(
    "number, send",
    [
        (signal.SIGINT, os.killpg),
        (signal.SIGINT, os.kill),
        (signal.SIGTERM, os.killpg),
        (signal.SIGTERM, os.kill),
        (signal.SIGKILL, os.kill),
        (signal.SIGKILL, os.killpg),
    ],
)
def test_interrupted_run_leaves_no_process_and_no_shared_memory(number, send):
    """Ctrl-C in a terminal reaches the whole group; `kill` only the parent."""
    names = SharedNames()
    script = python(
        """
        import multiprocessing
        from scmrl.deploy.backends.lava.lava import LavaRuntime
        def progress(done, total):
            if done == 3:
                processes = multiprocessing.active_children()
                maps = [open(f"/proc/{child.pid}/maps").read() for child in processes]
                shared = "".join(maps).count("/dev/shm")
                print("running", len(processes), shared, file=sys.stderr, flush=True)
        LavaRuntime(graph).run(x, progress)
    """,
        samples=100_000,
        first=names.first,
    )
    process = subprocess.Popen(
        script, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        first = process.stderr.readline()
        send(process.pid, number)
        out, err = process.communicate(timeout=20)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert first == "running 8 0\n", first + err
    assert out == ""
    if number == signal.SIGINT:
        assert err.rstrip().endswith("KeyboardInterrupt") and err.count("Traceback") == 1

    end = time.monotonic() + 10
    while running(process.pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert running(process.pid) == []
    assert names.left() == []


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a file system over /dev/shm")
def test_runs_where_dev_shm_is_full():
    """A container's is small, or another program has filled it; in a mount namespace of its own."""
    script = python(
        """
        from scmrl.deploy.backends.lava.lava import LavaRuntime
        assert sum(os.stat(f"/dev/shm/{name}").st_size for name in os.listdir("/dev/shm")) == 8192
        try:
            multiprocessing.Semaphore(0)
        except OSError as error:
            print(error.strerror)
        print(LavaRuntime(graph).run(x).spikes["a"].sum())
    """.replace("from", "import multiprocessing, os\n        from", 1)
    )
    fill = (
        "mount -t tmpfs -o size=8k tmpfs /dev/shm && head -c 8192 /dev/zero > /dev/shm/full && exec"
        ' "$@"'
    )
    namespace = ["unshare", "--mount", "--map-root-user"]
    if (
        shutil.which("unshare") is None
        or subprocess.run(
            [*namespace, "sh", "-c", fill, "sh", "true"], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("no mount namespace may be made here")
    out = subprocess.run(
        [*namespace, "sh", "-c", fill, "sh", *script], capture_output=True, text=True, timeout=60
    )
    assert (out.returncode, out.stdout) == (0, "No space left on device\n16\n"), out.stderr


def test_works_without_torch_and_writes_nothing_to_stdout():
    out = subprocess.run(
        python("""
        sys.modules["torch"] = None
        from scmrl.deploy.backends.lava.lava import LavaInProcess, LavaRuntime
        a, b = LavaRuntime(graph).run(x), LavaInProcess(graph).run(x)
        assert a.spikes["a"].all() and (a.membrane["out"] == b.membrane["out"]).all()
    """),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (out.returncode, out.stdout, out.stderr) == (0, "", "")


@pytest.mark.parametrize(
    "module, line",
    [
        ("lava", "pip install --no-deps --ignore-requires-python lava-nc==0.10.0"),
        ("networkx", "pip install 'networkx>=2.8'"),
    ],
)
def test_missing_library_is_named_with_its_install_command(module, line):
    out = subprocess.run(
        python(f"""
        sys.modules["{module}"] = None
        from scmrl.deploy.backends.lava.lava import LavaRuntime
        from scmrl.system.errors import MissingDependency
        try:
            LavaRuntime(graph)
        except MissingDependency as error:
            print(error)
    """),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert line in out.stdout and "the Lava backends" in out.stdout, out.stderr


def test_another_start_method_is_refused():
    out = subprocess.run(
        python("""
        import multiprocessing
        multiprocessing.set_start_method("spawn")
        from scmrl.deploy.backends.lava.lava import LavaRuntime
        from scmrl.system.errors import BackendError
        try:
            LavaRuntime(graph)
        except BackendError as error:
            print(error)
    """),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "start method 'fork'" in out.stdout and "spawn" in out.stdout, out.stderr


def test_lava_loads_after_others_have_used_multiprocessing():
    out = subprocess.run(
        python("""
        import multiprocessing
        multiprocessing.Queue()
        multiprocessing.set_start_method("fork", force=True)
        from scmrl.deploy.backends.lava.lava import LavaInProcess
        print(LavaInProcess(graph).run(x).spikes["a"].sum())
    """),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert out.stdout.strip() == "16", out.stderr


def test_runs_from_another_thread():
    results = []
    graph = relay_graph()
    thread = threading.Thread(
        target=lambda: results.append(LavaRuntime(graph).run(inputs(graph, 1)))
    )
    thread.start()
    thread.join(60)
    assert results[0].spikes["a"].shape == (1, 4, 2)


def test_version_is_lavas_own():
    assert compat.load() == "0.10.0"
