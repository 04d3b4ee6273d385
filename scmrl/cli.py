"""The `scmrl` command: which commands there are, and what becomes of their errors.

A command is loaded when it is asked for, and loads nothing heavy before it is run. To add one:
write it in a file of `scmrl.commands`, and give it a line below.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, TextIO

import click

from . import __version__
from .core.report import progress
from .system import interrupts
from .system.errors import BackendError, ScmrlError, UsageError, nearest, one_line

PIPE_CLOSED = 141  # as every tool of Unix that SIGPIPE ends
COMMANDS = {  # in the order of the work
    "train": "scmrl.commands.train:train",
    "tune": "scmrl.commands.tune:tune",
    "sweep": "scmrl.commands.sweep:sweep",
    "config": "scmrl.commands.train:config",
    "evaluate": "scmrl.commands.evaluate:evaluate",
    "export": "scmrl.commands.exchange:export",
    "import": "scmrl.commands.exchange:import_",
    "deploy": "scmrl.commands.deploy:deploy",
    "verify": "scmrl.commands.deploy:verify",
    "energy": "scmrl.commands.estimates:energy",
    "place": "scmrl.commands.estimates:place",
    "count": "scmrl.commands.estimates:count",
    "validate": "scmrl.commands.estimates:validate",
    "robustness": "scmrl.commands.evaluate:robustness",
    "compare": "scmrl.commands.inspection:compare",
    "profiles": "scmrl.commands.inspection:profiles",
    "zoo": "scmrl.commands.inspection:zoo",
    "data": "scmrl.cli:data",
    "doctor": "scmrl.commands.inspection:doctor",
    "demo": "scmrl.commands.demo:demo",
}
OF_DATA = {
    "prepare": "scmrl.commands.inspection:data_prepare",
    "check": "scmrl.commands.inspection:data_check",
}


class ReaderGone(Exception):
    """Who read our output has closed it, as `head` does: what is left unsaid is not an error of
    ours.
    """


@contextlib.contextmanager
def writing() -> Iterator[None]:
    """What is printed inside is flushed; `ReaderGone` where nobody reads it. (click's own answer is
    exit code 1.)
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        if _unread(sys.stdout):
            raise ReaderGone from None
        raise BackendError("another process closed its pipe") from None


def _unread(stream: TextIO) -> bool:
    """Whether a stream goes to a pipe that nobody reads."""
    import select

    try:
        poll = select.poll()
        poll.register(stream.fileno(), select.POLLOUT)
        return any(events & select.POLLERR for _, events in poll.poll(0))
    except (AttributeError, OSError, ValueError):  # a system without poll, a stream that is no file
        return True


class Table(Mapping[str, click.Command]):
    """Commands by name, from "module:attribute"."""

    def __init__(self, places: Mapping[str, str]):
        self.places = places

    def __getitem__(self, name: str) -> click.Command:
        module, attribute = self.places[name].split(":")
        return getattr(import_module(module), attribute)

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)


class Commands(click.Group):
    """Errors become one line and their exit code; Ctrl-C becomes 130; commands keep the order of
    the work.
    """

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        with writing():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with writing():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args:  # the bare command shows what there is
            click.echo(ctx.get_help(), color=ctx.color)
            ctx.exit()
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            raise UsageError("no such command", value=args[0], fix=nearest(args[0], self.commands))
        return super().resolve_command(ctx, args)


@click.group(
    cls=Commands,
    commands=Table(COMMANDS),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="scmrl")
def commands() -> None:
    """Train an audio-visual spiking transformer, and run the very same spikes on Loihi.

    \b
    scmrl demo                                the whole way on embedded data, in minutes
    scmrl zoo                                 models that are there: scmrl deploy zoo:where
    scmrl train --dataset digits-av --out runs/a
    scmrl evaluate runs/a                     the whole test set, on the simulator
    scmrl export runs/a --target lava         a directory that a host without torch can run
    scmrl deploy runs/a --backend lava        spikes, accuracy, comparison with training
    scmrl verify runs/a --backends simulator,lava
    scmrl place runs/a                        cores, chips, traffic between them
    scmrl energy runs/a                       per chip, per layer
    scmrl count net.py:make --input x.npz     operations and energy of any torch network
    """
    progress.show()


@click.group("data", cls=Commands, commands=Table(OF_DATA))
def data() -> None:
    """Prepare data for training, and look at them."""


def main(arguments: list[str] | None = None) -> None:
    """Entry point. Exit codes: 0 well, 1 mismatch or failure, 2 usage, 3 data, 4 model file, 5
    network does not fit, 6 library missing, 7 backend failed, 130 interrupted, 141 the reader of
    the output closed it, 143 terminated.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a character that the terminal has not is written out
            stream.reconfigure(errors="backslashreplace")
    with interrupts.taken():
        _run(arguments)


def _run(arguments: list[str] | None) -> None:
    try:
        code = commands.main(arguments, standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except ScmrlError as error:
        _leave(f"error: {error}", error.exit_code)
    except click.ClickException as error:
        of = getattr(error, "ctx", None)
        where = f"; see `{of.command_path} --help`" if of else ""
        _leave(f"error: {error.format_message()}{where}", 2)
    except (KeyboardInterrupt, click.Abort):
        _leave("interrupted", interrupts.INTERRUPTED)
    except interrupts.Terminated:
        _leave("terminated", interrupts.TERMINATED)
    except ReaderGone:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # what Python still holds goes nowhere
        sys.exit(PIPE_CLOSED)
    except OSError as error:  # disk full, no permission
        where = f"{error.filename}: " if error.filename else ""
        _leave(f"error: {where}{error.strerror or error}", 1)
    except MemoryError:
        _leave("error: out of memory; run fewer samples at a time with --samples", 1)


def _leave(line: str, code: int) -> None:
    click.echo(one_line(line), err=True)
    sys.exit(code)
