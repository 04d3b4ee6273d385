"""The `scmrl` command: parse, one call, render, exit code. Nothing heavy is imported before a
command needs it.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import click

from . import __version__
from .core.report import progress
from .core.report.progress import Progress
from .options import COUNT, SEED, Positive, Source, listed
from .system import interrupts
from .system.errors import (
    BackendError,
    BundleError,
    DataError,
    GraphError,
    MismatchError,
    ScmrlError,
    UsageError,
    one_line,
    quoted,
)

PIPE_CLOSED = 141  # as every tool of Unix that SIGPIPE ends

BACKENDS = (
    "reference, simulator, lava, lava-inprocess, loihi-sim, loihi, onnx, onnx-step, netx, norse,"
    " snntorch, spikingjelly"
)


def tell(line: str) -> None:
    """Progress and hints go to standard error: standard output holds reports only."""
    click.echo(one_line(line), err=True)


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


class Commands(click.Group):
    """Errors become one line and their exit code; Ctrl-C becomes 130; commands keep the order of
    the work.
    """

    def make_context(self, info_name, args, parent=None, **extra):
        with writing():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx):
        with writing():
            return super().invoke(ctx)

    def list_commands(self, ctx):
        return list(self.commands)

    def parse_args(self, ctx, args):
        if not args:  # the bare command shows what there is
            click.echo(ctx.get_help(), color=ctx.color)
            ctx.exit()
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx, args):
        from .system.errors import nearest

        if args and args[0] not in self.commands and not args[0].startswith("-"):
            raise UsageError("no such command", value=args[0], fix=nearest(args[0], self.commands))
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="scmrl")
def commands() -> None:
    """Train an audio-visual spiking transformer, and run the very same spikes on Loihi.

    \b
    scmrl demo                                the whole way on embedded data, in minutes
    scmrl train --dataset digits-av --out runs/a
    scmrl evaluate runs/a                     the whole test set, on the simulator
    scmrl export runs/a --target lava         a directory that a host without torch can run
    scmrl deploy runs/a --backend lava        spikes, accuracy, comparison with training
    scmrl verify runs/a --backends simulator,lava
    scmrl place runs/a                        cores, chips, traffic between them
    scmrl energy runs/a                       per chip, per layer
    """
    progress.show()


def sample_options(command):
    command = click.option(
        "--input",
        "file",
        type=Source(DataError),
        metavar="NPZ",
        help="Other samples: arrays named as the inputs (or x), [S, T, ...]; optional labels y.",
    )(command)
    return click.option(
        "--samples", type=COUNT, metavar="N", help="How many samples (default: all there are)."
    )(command)


class Target(click.Path):
    """A file or directory to write: refused, before any work, where it would replace what it may
    not.

    `kind`: see `scmrl.system.targets`. `asks`: something of scmrl's own is replaced with --force alone.
    """

    def __init__(self, kind: str, *, asks: bool = True):
        super().__init__(path_type=Path)
        self.kind, self.asks = kind, asks

    def convert(
        self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path:
        path = super().convert(value, param, ctx)
        if os.environ.get("RANK", "0") == "0":  # of several processes the first one writes
            may_write(path, self.kind, asks=self.asks)
        return path


def may_write(path: Path, kind: str, *, asks: bool = True) -> None:
    """Refuse a target that may not be written; say what is not scmrl's and stays there."""
    from .system import targets

    targets.check(path, kind, force=forced() or not asks)
    if kind in targets.REPLACED_WHOLE and (kept := targets.strangers(path)):
        tell(f"kept in {path}, since scmrl did not write it: {', '.join(kept)}")


def _force(context: click.Context, _option: click.Parameter, given: bool) -> None:
    context.meta["force"] = given


def forced() -> bool:
    """Whether --force was given."""
    return click.get_current_context().meta.get("force", False)


def _model(_context: click.Context, _argument: click.Parameter, path: Path) -> Path:
    from .core.bundle import is_stale, locate, source_of
    from .system.errors import BundleError
    from .system.targets import kind_of

    with contextlib.suppress(BundleError):  # the command itself says what is wrong
        if is_stale(path):
            source = source_of(path)
            tell(
                f"warning: {path} was made from another bundle than {source}; make it anew with:"
                f" scmrl export {quoted(source)} --target {kind_of(locate(path))} --out"
                f" {quoted(path)} --force"
            )
    return path


as_json = click.option("--json", "json_", is_flag=True, help="One JSON object on standard output.")
layers_option = click.option("--layers", is_flag=True, help="Show the tables by population too.")
force_option = click.option(
    "--force",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_force,
    help="Replace what scmrl wrote there before; never anything else.",
)
picture_option = click.option(
    "--picture",
    type=Target("picture"),
    metavar="FILE",
    help="Write a picture (.png, .svg or .pdf).",
)
page_option = click.option(
    "--html",
    "page",
    type=Target("page"),
    metavar="FILE",
    help="Write the report as one self-contained HTML page.",
)
model_argument = click.argument("model", type=click.Path(path_type=Path), callback=_model)
deadline_option = click.option(
    "--deadline", type=Positive(), metavar="SECONDS", help="Stop a Lava run after that time."
)


def board_options(command):
    """Where a Loihi 2 board is, and what to measure there."""
    for option in reversed(
        (
            click.option("--board", metavar="NAME", help="Loihi 2 board (SLURM node)."),
            click.option("--partition", metavar="NAME", help="SLURM partition of the boards."),
            click.option(
                "--host", metavar="ADDRESS", help="A board on the network, without SLURM."
            ),
            click.option(
                "--loihi-gen",
                "generation",
                metavar="GEN",
                help="N3B2, N3B3 (default), N3C1 or N3D1.",
            ),
            click.option(
                "--profile-energy", is_flag=True, help="Measure power and time on the board."
            ),
            click.option("--profile-activity", is_flag=True, help="Count operations on the board."),
        )
    ):
        command = option(command)
    return command


def stream_options(command):
    """What a stream is fed with."""
    for option in reversed(
        (
            click.option(
                "--stream",
                "streaming",
                is_flag=True,
                help="Step by step; --input is then [T, ...].",
            ),
            click.option(
                "--wav", type=Source(DataError), metavar="FILE", help="Recording to stream."
            ),
            click.option(
                "--image", type=Source(DataError), metavar="FILE", help="Image beside it."
            ),
            click.option(
                "--events",
                type=Source(DataError),
                metavar="FILE",
                help="Event-camera recording (N-MNIST's .bs2, or .aedat).",
            ),
            click.option("--microphone", is_flag=True, help="Live sound (needs sounddevice)."),
            click.option(
                "--camera", type=click.IntRange(0), metavar="N", help="Live images (needs OpenCV)."
            ),
            click.option(
                "--hop",
                type=Positive(),
                metavar="S",
                help="Seconds between one-second windows (default 1).",
            ),
            click.option("--carry", is_flag=True, help="Keep the state from window to window."),
        )
    ):
        command = option(command)
    return command


def render(report, json_: bool, *next_commands: str, layers: bool = False) -> None:
    """Show a report, then name what to try next."""
    if json_:
        click.echo(json.dumps(report.to_json(), indent=1))
        return
    report.show(layers=layers)
    if report.has_layers and not layers:
        tell("by population: give --layers")
    for command in next_commands:
        tell(f"next: {command}")


@commands.command()
@click.option(
    "--dataset",
    metavar="NAME",
    help="digits-av (embedded), av-mnist, nmnist-fsdd, triple-digits, crema-d, ...",
)
@click.option("--data-dir", metavar="DIR", help="Where its recordings lie; the run remembers it.")
@click.option(
    "--hard",
    is_flag=True,
    default=None,
    help="Noise on every modality (0 dB, a quarter of the pixels, a tenth of the events).",
)
@click.option(
    "--out", type=Target("run", asks=False), required=True, metavar="RUN", help="The run directory."
)
@click.option(
    "--config", type=Source(UsageError), metavar="TOML", help="Settings; flags come after it."
)
@click.option("--epochs", type=COUNT, help="Short for --set train.epochs=N.")
@click.option("--seed", type=SEED, help="Short for --set train.seed=N.")
@click.option("--profile", metavar="NAME", help="Chip whose integer limits training keeps to.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Any setting of `scmrl config`, e.g. model.alpha=1.0.",
)
@click.option(
    "--resume", is_flag=True, help="Go on from RUN/checkpoints/last.ckpt with RUN/config.toml."
)
@force_option
@page_option
@layers_option
@as_json
def train(
    dataset,
    data_dir,
    hard,
    out,
    config,
    epochs,
    seed,
    profile,
    settings,
    resume,
    page,
    layers,
    json_,
):
    """Train a model and freeze it to RUN/bundle."""
    overrides = given(dataset=dataset, hard=hard, profile=profile) | {
        f"train.{key}": value
        for key, value in (("epochs", epochs), ("seed", seed))
        if value is not None
    }
    settings_file = out / "config.toml"
    if resume and (overrides or settings or config):
        raise UsageError(
            "--resume goes on with the settings of the run", fix="give --out and --data-dir only"
        )
    if resume and not settings_file.is_file():
        raise UsageError(
            "nothing to resume", where=out, limit="config.toml", fix="train without --resume"
        )
    require_train()
    from .train import config as config_module

    chosen = config_module.read(
        settings_file if resume else config, {**overrides, **config_module.assignments(settings)}
    )
    from .deploy.placement import fit
    from .train.run.loop import train as run_training  # seconds: after what can be refused at once

    try:
        outcome = run_training(
            chosen,
            out,
            data_dir=data_dir,
            resume=resume,
            force=forced(),
            held=fit.require,
            tell=tell,
        )
    except (KeyboardInterrupt, SystemExit):
        if (out / "checkpoints" / "last.ckpt").is_file():
            tell(
                "nothing is lost up to the last finished epoch; go on with: scmrl train --resume"
                f" --out {quoted(out)}"
            )
        raise
    if outcome is None:  # one of several processes, not the first
        return
    from .core.report import html
    from .train.run.report import TrainReport

    report = TrainReport(str(out), outcome.metrics, outcome.bundle)
    if page:
        html.save(page, report)
    steps = (
        (f"scmrl evaluate {quoted(out)}", f"scmrl export {quoted(out)} --target lava")
        if report.bundle
        else ()
    )
    if report.bundle:
        tell_stale(out)
    render(report, json_, *steps, layers=layers)


@commands.command()
@click.option(
    "--out",
    type=Target("sweep", asks=False),
    required=True,
    metavar="DIR",
    help="Where the sweep lives.",
)
@click.option(
    "--space",
    "axes",
    multiple=True,
    metavar="KEY=VALUES",
    help=(
        "An axis: model.alpha=0.0..2.0, train.lr=1e-4..1e-2:log, model.steps=2,4,6,"
        " limits.weight_bits=4,8."
    ),
)
@click.option(
    "--trials",
    type=click.IntRange(1, 100_000),
    metavar="N",
    help="Ended trials wanted (default: 20).",
)
@click.option(
    "--grid",
    is_flag=True,
    help="Every combination of the listed values, once, instead of --trials.",
)
@click.option(
    "--energy", "chip", metavar="PROFILE", help="Second objective: energy on this chip (estimate)."
)
@click.option("--config", type=Source(UsageError), metavar="TOML", help="Settings of every trial.")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="A setting of every trial."
)
@click.option(
    "--data-dir", type=click.Path(path_type=Path), metavar="DIR", help="Where the recordings lie."
)
@click.option(
    "--storage",
    metavar="URL",
    help=(
        "A database that several machines share: postgresql://USER@HOST/NAME (default:"
        " OUT/study.db)."
    ),
)
@click.option(
    "--seed", type=click.IntRange(0, 2**64 - 1), metavar="N", help="Of the search (default: 42)."
)
@click.option(
    "--jobs",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    metavar="N",
    help="Trials at the same time.",
)
@click.option("--resume", is_flag=True, help="Go on with the sweep of OUT, or help with it.")
@as_json
def sweep(
    out, axes, trials, grid, chip, config, settings, data_dir, storage, seed, jobs, resume, json_
):
    """Search settings for accuracy, or accuracy against energy; can be killed and resumed, and
    shared.
    """
    require_train()
    from .sweep.picture import draw
    from .sweep.report import SweepReport
    from .sweep.study import Sweep, request, resumed
    from .sweep.worker import Worker

    given = {
        "trials": trials,
        "storage": storage,
        "data_dir": data_dir and str(data_dir.absolute()),
    }
    fixed = {
        "axes": axes,
        "settings": settings,
        "config": config and str(config.absolute()),
        "grid": grid,
        "chip": chip,
        "seed": seed,
    }
    wanted: Sweep = resumed(out, given, fixed) if resume else request(out, {**given, **fixed})
    worker = Worker(wanted, out, tell)
    try:
        rows = worker.run(jobs)
    except (KeyboardInterrupt, interrupts.Terminated):
        tell(
            f"interrupted; go on with: scmrl sweep --resume --out {quoted(out)}"
            + (f" --jobs {jobs}" if jobs > 1 else "")
            + (" (with the password in --storage or PGPASSWORD)" if worker.database.secret else "")
        )
        raise
    pictures = draw(wanted.parsed, rows, out, wanted.chip)
    report = SweepReport(
        str(out),
        wanted.chip,
        wanted.axes,
        tuple(rows),
        tuple(map(str, pictures)),
        worker.wanted,
        worker.exhausted,
    )
    best = report.best
    chosen = out / f"trial-{best.number:04d}" if best else out
    render(
        report,
        json_,
        *([f"scmrl export {quoted(chosen)} --target lava"] if best and chosen.is_dir() else []),
    )
    report.require_ended()


def tell_stale(run: Path) -> None:
    """Say which exports and reports in a run are of the model that was there before."""
    from .core.bundle import stale

    for path in stale(run):
        tell(f"warning: {path} is of the model that was here before: make it anew, or remove it")


@commands.command("config")
@as_json
def config_(json_):
    """List every setting of training: meaning, default, range; --set KEY=VALUE and a TOML file
    change them.
    """
    from .train.run.settings import ConfigReport

    render(ConfigReport.of_defaults(), json_)


def require_train() -> None:
    import importlib.util

    from .system.errors import MissingDependency

    for name in ("torch", "lightning", "norse", "numba"):
        if importlib.util.find_spec(name) is None:
            raise MissingDependency(name, enables="training")


@commands.command()
@model_argument
@click.option("--dataset", metavar="NAME", help="Another dataset than the one trained on.")
@click.option("--data-dir", metavar="DIR", help="Where its recordings lie.")
@click.option("--split", type=click.Choice(["train", "test"]), default="test", show_default=True)
@click.option(
    "--silence",
    metavar="PATTERN",
    help="Cut these populations off; '*.attention.complement' is alpha = 0.",
)
@layers_option
@as_json
def evaluate(model, dataset, data_dir, split, silence, layers, json_):
    """Run a whole split on the simulator."""
    from .deploy import jobs

    report = jobs.evaluate(
        model,
        dataset=dataset,
        data_dir=data_dir,
        split=split,
        silence=silence,
        progress=Progress("samples"),
    )
    render(
        report,
        json_,
        f"scmrl export {quoted(model)} --target lava",
        f"scmrl energy {quoted(model)}",
        layers=layers,
    )
    if report.equals_training is False:
        raise MismatchError(
            "not the figure that training reported for these samples",
            value=report.correct,
            limit=report.training_correct,
            fix="report this with the bundle",
        )


@commands.command()
@model_argument
@click.option(
    "--target",
    default="lava",
    show_default=True,
    metavar="A,B",
    help="lava, nir, onnx, netx, or all (that can hold it).",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Default: MODEL/TARGET; of several targets: DIR/TARGET.",
)
@click.option(
    "--samples",
    type=COUNT,
    metavar="N",
    help="How many of the model's samples to verify on (default: all).",
)
@click.option("--no-verify", is_flag=True, help="Do not run the exported model.")
@force_option
@as_json
def export(model, target, out, samples, no_verify, json_):
    """Write a frozen model for targets, and verify it there on the model's own samples.

    With several targets, one that cannot hold the network is a row with the reason. Exit code 1
    where an exported model differs, or a target that was asked for by name was refused.
    """
    from .convert import TARGETS, exporter
    from .core.bundle import locate
    from .deploy.exchange import RUNS_ON, place
    from .deploy.exchange import export as write
    from .system.targets import apart

    named = listed(target, "--target")
    targets = list(TARGETS) if "all" in named else named
    for name in targets:
        exporter(name)  # refuses an unknown target before anything is read
    for name in targets:
        path = place(model, name, targets, out)
        apart(path, locate(model))
        may_write(path, name)
    report = write(model, targets, out, verify=not no_verify, samples=samples)
    written = [row for row in report.targets if row.written]
    render(
        report,
        json_,
        *(f"scmrl deploy {quoted(row.path)} --backend {RUNS_ON[row.target]}" for row in written),
    )
    wrong = [row.target for row in written if row.exact and row.bit_exact is False]
    if wrong:
        raise MismatchError(
            f"exported to {', '.join(wrong)}, which differs from the original",
            fix="report this with the bundle",
        )
    if any(row.equals_training is False for row in written):
        raise MismatchError(
            "the network does not give the spikes that training recorded",
            where=model,
            fix="freeze the model again, or report this with the bundle",
        )
    refused = [row for row in report.targets if not row.written]
    if refused and ("all" not in named or not written):
        raise ScmrlError(
            "not exported to all targets",
            where=", ".join(row.target for row in refused),
            value=refused[0].why,
        )


@commands.command("import")
@click.argument("file", type=Source(BundleError))
@click.option(
    "--out", type=Target("bundle"), required=True, metavar="BUNDLE", help="The bundle to write."
)
@click.option(
    "--calibrate",
    type=Source(DataError),
    metavar="NPZ",
    help="Samples that set the scales: x [S, T, ...] or an array per input, optional labels y.",
)
@click.option(
    "--steps", type=COUNT, metavar="T", help="Steps of a sample (default: those of the samples)."
)
@click.option(
    "--dt", type=Positive(), metavar="S", help="Step in seconds (default: from the file)."
)
@click.option(
    "--reset",
    type=click.Choice(["zero", "subtract"]),
    help="Reset rule (default: the convention's).",
)
@click.option(
    "--convention",
    default="nir",
    show_default=True,
    metavar="NAME",
    help="Whose reading of the equations: nir, norse, snntorch, spikingjelly, sinabs.",
)
@click.option("--weight-bits", type=click.IntRange(2, 16), default=8, show_default=True)
@click.option("--input-bits", type=click.IntRange(1, 16), default=8, show_default=True)
@layers_option
@force_option
@as_json
def import_(
    file, out, calibrate, steps, dt, reset, convention, weight_bits, input_bits, layers, json_
):
    """Turn any NIR network into an integer bundle for every backend, and say what that changed."""
    from .convert.nir.importer import run_import

    bundle, report = run_import(
        file,
        calibrate=calibrate,
        steps=steps,
        dt=dt,
        reset=reset,
        convention=convention,
        weight_bits=weight_bits,
        input_bits=input_bits,
    )
    bundle.save(out)
    render(
        report,
        json_,
        f"scmrl verify {quoted(out)} --backends simulator,lava",
        f"scmrl energy {quoted(out)}",
        layers=layers,
    )


@commands.command()
@model_argument
@click.option("--backend", default="simulator", show_default=True, metavar="NAME", help=BACKENDS)
@sample_options
@deadline_option
@click.option("--no-compare", is_flag=True, help="Do not run the reference beside it.")
@board_options
@stream_options
@picture_option
@page_option
@layers_option
@force_option
@as_json
def deploy(
    model,
    backend,
    samples,
    file,
    deadline,
    no_compare,
    board,
    partition,
    host,
    generation,
    profile_energy,
    profile_activity,
    streaming,
    wav,
    image,
    events,
    microphone,
    camera,
    hop,
    carry,
    picture,
    page,
    layers,
    json_,
):
    """Run a model or an export on a backend: spikes, accuracy, energy, comparison with training."""
    boards = given(
        board=board,
        partition=partition,
        host=host,
        generation=generation,
        energy=profile_energy,
        activity=profile_activity,
    )
    asked = given(
        wav=wav, image=image, events=events, microphone=microphone, camera=camera, hop=hop
    )
    if streaming:
        refuse("--stream", given(samples=samples, deadline=deadline) | boards)
        stream(
            model,
            backend,
            {**asked, **given(arrays=file)},
            json_,
            carry=carry,
            compared=not no_compare,
            picture=picture,
            page=page,
        )
        return
    if asked or carry:
        raise UsageError(
            "this feeds a stream", where=f"--{next(iter(asked), 'carry')}", fix="add --stream"
        )
    from .deploy import jobs

    report = jobs.deploy(
        model,
        backend,
        samples=samples,
        file=file,
        deadline_s=deadline,
        progress=Progress("samples"),
        compared=not no_compare,
        picture=picture,
        page=page,
        board=boards,
    )
    render(
        report,
        json_,
        f"scmrl verify {quoted(model)} --backends simulator,lava",
        f"scmrl energy {quoted(model)}",
        layers=layers,
    )
    if report.exact and report.bit_exact is False:
        raise MismatchError(
            f"{backend} differs from the reference",
            value=f"{report.mismatches} values",
            fix="report this with the bundle",
        )


def given(**options) -> dict[str, object]:
    """The options that were given on the command line."""
    return {
        name: value for name, value in options.items() if value is not None and value is not False
    }


def refuse(where: str, options: dict[str, object]) -> None:
    """Raise `UsageError` where one of these was given."""
    for name in options:
        raise UsageError(
            "does not go with a stream", where=f"--{name}", fix=f"leave it or {where} out"
        )


def stream(model, backend, asked, json_, **how):
    """`deploy --stream`: what is there step by step, then the summary."""
    from .core.bundle import load
    from .deploy.stream import run as stream_run
    from .deploy.stream import view
    from .deploy.stream.feed import Asked

    with view.view(load(model).graph.class_names, json_) as show:
        report = stream_run.stream(model, Asked(**asked), backend=backend, show=show, **how)
    if json_:
        click.echo(json.dumps(report.to_json()))
    else:
        report.show()
    if report.mismatches:
        raise MismatchError(
            f"{backend} differs from the {report.compared_with}",
            value=f"{report.mismatches} values",
            fix="report this with the bundle",
        )
    if report.interrupted:
        raise KeyboardInterrupt


@commands.command()
@model_argument
@click.option(
    "--backends",
    default="simulator,lava-inprocess",
    show_default=True,
    metavar="A,B",
    help=BACKENDS,
)
@sample_options
@deadline_option
@page_option
@layers_option
@force_option
@as_json
def verify(model, backends, samples, file, deadline, page, layers, json_):
    """Compare backends, and training's own spikes, with the reference: every population and step.

    With several backends, one that cannot run is a row with the reason, and the others run. Exit
    code 0 where all ran and agreed, 1 where one differs or could not run; where none could run, the
    code of the first refusal (5 the network does not fit, 6 a library is missing, 7 the backend
    failed).
    """
    from .deploy import jobs

    report = jobs.verify(
        model,
        listed(backends, "--backends"),
        samples=samples,
        file=file,
        deadline_s=deadline,
        progress=Progress("samples"),
        page=page,
    )
    render(report, json_, f"scmrl energy {quoted(model)}", layers=layers)
    if report.bit_exact is False:
        raise MismatchError(
            "not bit-exact",
            value=f"first at {report.first_difference}",
            fix="report this with the bundle",
        )
    report.require_all()


@commands.command()
@model_argument
@click.option(
    "--profile",
    "names",
    default="loihi1,loihi1-sanafe,loihi2",
    show_default=True,
    metavar="A,B",
    help="Names of `scmrl profiles`, or files; all: every chip.",
)
@sample_options
@picture_option
@page_option
@layers_option
@force_option
@as_json
def energy(model, names, samples, file, picture, page, layers, json_):
    """Estimate energy and latency per inference, per chip and per layer.

    Exit code 5 where none of the chips asked for holds the network; where some do, the others are
    rows that say so, without a total.
    """
    from .deploy import jobs

    report = jobs.energy(
        model,
        listed(names, "--profile"),
        samples=samples,
        file=file,
        picture=picture,
        page=page,
        progress=Progress("chips"),
    )
    render(report, json_, "scmrl profiles loihi2", layers=layers)
    report.require_a_chip()


@commands.command()
@model_argument
@click.option(
    "--profile", default="loihi2", show_default=True, metavar="NAME", help="A chip with cores."
)
@click.option("--system", metavar="NAME", help="A system it has to fit, such as 'Kapoho Point'.")
@click.option("--chips", type=COUNT, metavar="N", help="A number of chips it has to fit.")
@click.option(
    "--packed", is_flag=True, help="Small populations share cores (the chips can, Lava does not)."
)
@click.option(
    "--inputs",
    is_flag=True,
    help="Place the input populations too (default: the host injects them).",
)
@click.option(
    "--order",
    type=click.Choice(["naive", "optimised"]),
    default="optimised",
    show_default=True,
    help="Cores in the order of the network, or with less traffic.",
)
@sample_options
@picture_option
@page_option
@layers_option
@force_option
@as_json
def place(
    model,
    profile,
    system,
    chips,
    packed,
    inputs,
    order,
    samples,
    file,
    picture,
    page,
    layers,
    json_,
):
    """Place a model on cores and chips: what binds, what it would fit, and the traffic between
    cores.
    """
    from .deploy import jobs

    report = jobs.place(
        model,
        profile,
        system=system,
        chips=chips,
        packed=packed,
        inputs=inputs,
        order=order,
        samples=samples,
        file=file,
        picture=picture,
        page=page,
    )
    render(
        report, json_, f"scmrl energy {quoted(model)} --profile {quoted(profile)}", layers=layers
    )
    if not report.fits:
        raise GraphError(f"does not fit: {report.why()}", fix=report.remedy())


@commands.command()
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder with lsnn/*.npy and mnist/t10k-*.gz: runs the LSNN too.",
)
@click.option(
    "--write",
    type=Target("table"),
    metavar="FILE",
    help="Write the findings as a page, and its picture beside it (docs/validation.md).",
)
@force_option
@as_json
def validate(data_dir, write, json_):
    """Recompute published measurements of chips: energy, time and cores, estimate against
    measurement.
    """
    from .deploy.validation import page as pages
    from .deploy.validation.study import validate as recompute

    if write:
        may_write(pages.picture_of(write), "picture")
    report = recompute(data_dir, progress=Progress("LSNN images"))
    for path in pages.write_page(report, write) if write else ():
        tell(f"wrote {path}")
    render(report, json_)
    if report.lsnn is not None and not report.lsnn.as_on_the_chip:
        raise MismatchError(
            "the LSNN's answers are not the chip's",
            value=f"{report.lsnn.correct} correct",
            limit="189 correct, the same 11 mistakes",
            fix="report this",
        )


@commands.command()
@model_argument
@click.option("--data-dir", metavar="DIR", help="Where the recordings of its dataset lie.")
@click.option(
    "--samples", type=click.IntRange(1), metavar="N", help="How many test samples (default: all)."
)
@click.option(
    "--repeats",
    type=click.IntRange(1, 1000),
    default=3,
    show_default=True,
    help="Draws of each perturbation.",
)
@picture_option
@force_option
@as_json
def robustness(model, data_dir, samples, repeats, picture, json_):
    """Accuracy under noise, without a modality, and with faults of the chip: bit flips, dead
    neurons, lost spikes.
    """
    from .core.bundle import load
    from .data.remembered import data_dir_of
    from .deploy.robustness import noise, study
    from .deploy.robustness.report import RobustnessReport
    from .deploy.robustness.report import picture as draw

    bundle = load(model)
    data_dir = data_dir or data_dir_of(model, None, bundle.training.get("dataset"))
    inputs, labels, noisy = noise.samples(bundle, data_dir, samples, repeats)
    points = study.study(bundle.graph, inputs, labels, noisy=noisy, repeats=repeats, tell=tell)
    report = RobustnessReport(
        str(model),
        f"{bundle.training['dataset']}, test split",
        len(labels),
        repeats,
        len(bundle.graph.classes),
        tuple(points),
        bundle.hash,
    )
    if picture:
        draw(report, picture)
    render(report, json_)


@commands.command()
@click.argument("first", type=Source(DataError))
@click.argument("second", type=Source(DataError))
@page_option
@force_option
@as_json
def compare(first, second, page, json_):
    """Set two saved JSON reports of one command side by side: what changed, and by how much."""
    from .core.report import html
    from .core.report.compare import compare as compare_reports

    report = compare_reports(first, second)
    if page:
        html.save(page, report)
    render(report, json_)


@commands.command()
@click.argument("name", required=False)
@click.option(
    "--template",
    type=Target("profile"),
    metavar="FILE",
    help="Write a chip file to fill in: every quantity with its unit and meaning.",
)
@as_json
def profiles(name, template, json_):
    """List the hardware profiles and what each can do, or show every number of one (a name, or a
    file).
    """
    if template is not None:
        if name is not None or json_:
            raise UsageError("--template stands alone", fix="leave the other arguments out")
        from .hw_profiles.template import write

        write(template)
        tell(f"wrote {template}; fill it in, then: scmrl profiles {quoted(template)}")
        return
    from .deploy.reports.profiles import ProfilesReport
    from .hw_profiles import profile

    shown = [profile.load(n) for n in ([name] if name is not None else profile.names())]
    render(ProfilesReport(tuple(shown)), json_)


@commands.group("data", cls=Commands)
def data_group():
    """Look at the data before training."""


@data_group.command("check")
@click.argument("name")
@click.option("--data-dir", metavar="DIR", help="Where its recordings lie.")
@picture_option
@force_option
@as_json
def data_check(name, data_dir, picture, json_):
    """What of a dataset is there, what is missing or damaged (exit code 3), and what its samples
    are.
    """
    from .data.check import check
    from .system.errors import DataError

    report = check(name, data_dir, picture)
    render(report, json_)
    if report.faults:
        raise DataError(
            f"{name} cannot be used as it is", fix="see what is missing or damaged above"
        )


@commands.command()
@as_json
def doctor(json_):
    """Say what is installed, what is missing, what that would enable, and how to install it."""
    from .deploy.reports.profiles import DoctorReport
    from .system.doctor import examine, leftovers, room

    removed = leftovers()
    render(DoctorReport(tuple(examine()), room(), removed), json_)


@commands.command()
@click.option(
    "--out", type=Target("run"), default=Path("runs/demo"), show_default=True, metavar="RUN"
)
@click.option(
    "--samples", type=COUNT, default=24, show_default=True, metavar="N", help="Samples on Lava."
)
@force_option
@as_json
def demo(out, samples, json_):
    """The whole way on embedded data: train, evaluate, export, deploy on Lava, verify, energy."""
    require_train()
    from .demo import run_demo

    report = run_demo(out, samples, tell, Progress, None if json_ else lambda part: part.show())
    render(
        report, json_, f"scmrl deploy {quoted(out / 'lava')} --backend lava --picture spikes.png"
    )
    report.require_exact()


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
        where = f"; see `{error.ctx.command_path} --help`" if getattr(error, "ctx", None) else ""
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
