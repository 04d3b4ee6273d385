"""SIGTERM and Ctrl-C end a command at any moment in 143 and 130, in one line, with nothing left."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from conftest import SharedNames

from scmrl.system import interrupts

CODES = {signal.SIGTERM: 143, signal.SIGINT: 130}
KILLS = int(os.environ.get("SCMRL_KILLS", 12))  # moments of the test of a whole command
SEED = int(os.environ.get("SCMRL_KILLS_SEED", 7))
linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def python(body: str) -> subprocess.Popen:
    code = "from scmrl.system import interrupts\n" + textwrap.dedent(body)
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ended(process: subprocess.Popen, *numbers: int, pause: float = 0.0) -> tuple[int, str]:
    """Send the signals when the process has said that it is ready: (exit code, what it wrote on
    both streams).
    """
    try:
        assert process.stdout.readline() == "ready\n"
        for number in numbers:
            process.send_signal(number)
            time.sleep(pause)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    return process.returncode, out + err


@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize(
    "body",
    [
        "time.sleep(60)",
        "while True: pass",
        """
class Noisy:
    def __del__(self): print("ready", flush=True); time.sleep(60)
Noisy()
time.sleep(60)""",
        """
import weakref
class Thing: pass
thing = Thing()
reference = weakref.ref(thing, lambda _: (print("ready", flush=True), time.sleep(60)))
del thing
time.sleep(60)""",
    ],
    ids=["sleep", "loop", "destructor", "callback"],
)
def test_no_signal_is_swallowed(number, body):
    ready = "" if "ready" in body else 'print("ready", flush=True)'
    process = python(f"""
import time
def command():
    {ready or "pass"}
    exec({body!r}, globals())
import scmrl.cli
scmrl.cli.commands.main = lambda *_, **__: command()
from scmrl.__main__ import main
main()
""")
    code, said = ended(process, number)
    assert (code, said) == (
        CODES[number],
        "terminated\n" if number == signal.SIGTERM else "interrupted\n",
    )


@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize(
    "slow", ["interrupts._again", "sys.__unraisablehook__"], ids=["its-own", "of-another"]
)
def test_no_signal_is_swallowed_where_python_reports_a_lost_exception(number, slow):
    """The report takes longer than the signal takes to come again, or a first signal comes
    meanwhile.
    """
    process = python(f"""
        import sys, time
        before = {slow}
        def slowly(*call):
            {slow} = before                             # once
            before(*call)
            if {slow == "sys.__unraisablehook__"}: print("ready", flush=True)
            time.sleep(0.5)
        {slow} = slowly
        class Noisy:
            def __del__(self):
                if {slow == "sys.__unraisablehook__"}: raise ValueError("lost")
                print("ready", flush=True)
                time.sleep(60)
        def command():
            Noisy()
            time.sleep(60)
        import scmrl.cli
        scmrl.cli.commands.main = lambda *_, **__: command()
        from scmrl.__main__ import main
        main()
    """)
    code, said = ended(process, number)
    assert code == CODES[number] and said.endswith(
        "terminated\n" if number == signal.SIGTERM else "interrupted\n"
    )


def test_sigterm_comes_again_where_a_bare_except_catches_it():
    code, said = ended(
        python("""
        import time
        interrupts.take()
        try:
            print("ready", flush=True)
            time.sleep(60)
        except:
            pass
        time.sleep(60)
    """),
        signal.SIGTERM,
    )
    assert (code, said) == (143, "")


def test_a_caught_ctrl_c_stays_caught():
    code, said = ended(
        python("""
        import time
        interrupts.take()
        try:
            print("ready", flush=True)
            time.sleep(60)
        except KeyboardInterrupt:
            pass
        time.sleep(0.5)
        print("summary")
    """),
        signal.SIGINT,
    )
    assert (code, said) == (0, "summary\n")


@pytest.mark.parametrize("number", CODES)
def test_a_second_signal_does_not_cut_the_clean_up_short(number):
    code, said = ended(
        python("""
        import time
        interrupts.take()
        try:
            print("ready", flush=True)
            time.sleep(60)
        finally:
            time.sleep(0.5)
            print("cleaned", flush=True)
            interrupts.last()
    """),
        number,
        number,
        number,
        pause=0.1,
    )
    assert said.startswith("cleaned\n") and code in (CODES[number], -number)


def test_a_hanging_clean_up_is_left():
    code, said = ended(
        python("""
        import time
        interrupts.GRACE_S = 0.3
        interrupts.take()
        try:
            print("ready", flush=True)
            time.sleep(60)
        finally:
            time.sleep(60)
    """),
        signal.SIGTERM,
    )
    assert (code, said) == (143, "")


def test_signals_wait_for_the_end_of_a_deferred_block():
    code, said = ended(
        python("""
        import time
        interrupts.take()
        with interrupts.deferred(), interrupts.deferred():
            print("ready", flush=True)
            time.sleep(0.5)
            print("done", flush=True)
        print("not reached", flush=True)
    """),
        signal.SIGTERM,
    )
    assert (code, said) == (143, "done\n")


def test_other_lost_exceptions_are_still_told():
    code, said = ended(
        python("""
        interrupts.take()
        class Broken:
            def __del__(self): raise ValueError("lost")
        Broken()
        print("ready", flush=True)
    """)
    )
    assert code == 0 and "ValueError: lost" in said


@pytest.mark.parametrize("number", CODES)
def test_a_signal_within_an_exec_of_text_leaves_its_exit_code(number):
    """Python would end itself by SIGINT then, although the exception was handled."""
    code, said = ended(
        python("""
        import scmrl.cli
        sleeps = 'import time; print("ready", flush=True); time.sleep(60)'
        scmrl.cli.commands.main = lambda *_, **__: exec(sleeps)
        from scmrl.__main__ import main
        main()
    """),
        number,
    )
    assert (code, said) == (
        CODES[number],
        "terminated\n" if number == signal.SIGTERM else "interrupted\n",
    )


def test_handlers_come_back():
    before = [signal.getsignal(number) for number in CODES], sys.unraisablehook
    with interrupts.taken():
        assert signal.getsignal(signal.SIGTERM) is not before[0][0]
    assert ([signal.getsignal(number) for number in CODES], sys.unraisablehook) == before


def test_ctrl_c_stays_ignored_where_it_was():
    code, said = ended(
        python("""
        import signal, time
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        interrupts.take()
        print("ready", flush=True)
        time.sleep(0.5)
        interrupts.last()
    """),
        signal.SIGINT,
    )
    assert (code, said) == (0, "")


# --- a whole command on Lava


def caught(pid: int) -> bool:
    """Whether the process has a handler for SIGTERM."""
    rows = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    mask = next(row.split()[1] for row in rows if row.startswith("SigCgt:"))
    return bool(int(mask, 16) >> (signal.SIGTERM - 1) & 1)


def group(leader: int) -> list[str]:
    """Living processes of a process group."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")
        except OSError:
            continue
        state, _, pgrp = rest.split()[:3]
        if int(pgrp) == leader and state != "Z":
            found.append(name)
    return found


class Deploy:
    """`scmrl deploy` on Lava in a process group and a temporary directory of its own."""

    def __init__(self, model: Path, temporary: Path):
        self.temporary, self.names = temporary, SharedNames()
        temporary.mkdir(exist_ok=True)
        command = [
            sys.executable,
            "-c",
            self.names.first + "from scmrl.__main__ import main; main()",
            "deploy",
            str(model),
            "--backend",
            "lava",
            "--json",
        ]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "TMPDIR": str(temporary)},
        )
        while not caught(self.process.pid):
            time.sleep(0.001)
        self.started = time.monotonic()

    def wait(self) -> tuple[int, str, str]:
        try:
            out, err = self.process.communicate(timeout=60)
        finally:
            if group(self.process.pid):
                time.sleep(1)  # children of a killed parent end a little later
            for_good = group(self.process.pid)
            if self.process.poll() is None or for_good:
                os.killpg(self.process.pid, signal.SIGKILL)
        assert for_good == []
        assert os.listdir(self.temporary) == []
        return self.process.returncode, out, err


def outcome(
    model: Path, temporary: Path, moment: float, number: int, twice: bool, whole_group: bool
) -> str:
    """One signal at `moment` s after the handlers are there; returns what came of it, in words."""
    run = Deploy(model, temporary)
    time.sleep(max(0.0, run.started + moment - time.monotonic()))
    for _ in range(1 + twice):
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if whole_group else os.kill)(run.process.pid, number)
    code, out, err = run.wait()
    assert "Traceback" not in err and "Exception ignored" not in err, (moment, err)
    assert run.names.left() == []
    if code == 0 and '"bit_exact": true' in out:
        return "had ended"
    if number == signal.SIGKILL:
        assert code == -number
        return "killed"
    # At the very end, when the interpreter has put its own handlers back, the signal itself ends
    # the process.
    assert code in (CODES[number], -number), (moment, code, out, err)
    return f"{code}: {err.strip() or 'silent'}"


@linux
def test_a_deploy_on_lava_ends_at_any_moment_with_nothing_left(model, tmp_path, capsys):
    pytest.importorskip("lava", reason="lava-nc is not installed")
    run = Deploy(model, tmp_path / "tmp")
    assert run.wait()[0] == 0
    span, draw, table = time.monotonic() - run.started, random.Random(SEED), {}
    for kill in range(KILLS):
        number = (signal.SIGTERM, signal.SIGINT, signal.SIGTERM, signal.SIGKILL)[kill % 4]
        moment, twice, whole = draw.uniform(0, span), kill % 3 == 2, kill % 2 == 1
        whole = whole or number == signal.SIGKILL
        came = outcome(model, tmp_path / "tmp", moment, number, twice, whole)
        row = f"{signal.Signals(number).name}{' twice' * twice}{' to the group' * whole}: {came}"
        table[row] = table.get(row, 0) + 1
        if KILLS > 12:
            print(f"{moment:.3f} s  {row}", file=sys.__stderr__, flush=True)
    with capsys.disabled():
        if KILLS > 12:
            print(
                f"\nseed {SEED}, {KILLS} signals over {span:.2f} s",
                *sorted(table.items()),
                sep="\n",
            )
    assert sum(count for row, count in table.items() if "had ended" not in row) >= KILLS // 2
