"""The `scmrl` command: parse, one call, render, exit code. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import click

from . import __version__
from .errors import MismatchError, ScmrlError, UsageError

INTERRUPTED, TERMINATED = 130, 143
BACKENDS = "reference, simulator, lava, lava-inprocess, onnx, onnx-step, netx, norse, snntorch, spikingjelly"


def tell(line: str) -> None:
    """Progress and hints go to standard error: standard output holds reports only."""
    click.echo(line, err=True)


class Progress:
    """One line on a terminal's standard error with count, rate and time left; silent where it is not a terminal."""

    def __init__(self, what: str):
        self.what, self.started, self.live = what, time.monotonic(), sys.stderr.isatty()

    def __call__(self, done: int, total: int) -> None:
        if not self.live:
            return
        rate = done / max(time.monotonic() - self.started, 1e-9)
        left = (total - done) / rate if rate else 0
        click.echo(f"\r\033[K{self.what} {done}/{total}  {rate:.1f}/s  {left:.0f} s left", err=True, nl=done >= total)


class Commands(click.Group):
    """Errors become one line and their exit code; Ctrl-C becomes 130; commands keep the order of the work."""

    def list_commands(self, ctx):
        return list(self.commands)

    def resolve_command(self, ctx, args):
        from .errors import nearest
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
    scmrl energy runs/a                       per chip, per layer
    """


def sample_options(command):
    command = click.option("--input", "file", type=click.Path(path_type=Path), metavar="NPZ",
                           help="Other samples: arrays named as the inputs (or x), [S, T, ...]; optional labels y.")(
        command)
    return click.option("--samples", type=int, metavar="N", help="How many samples (default: all there are).")(command)


as_json = click.option("--json", "json_", is_flag=True, help="One JSON object on standard output.")
picture_option = click.option("--picture", type=click.Path(path_type=Path), metavar="FILE",
                              help="Write a picture (.png, .svg or .pdf).")
model_argument = click.argument("model", type=click.Path(path_type=Path))
deadline_option = click.option("--deadline", type=float, metavar="SECONDS", help="Stop a Lava run after that time.")


def listed(names: str) -> list[str]:
    """The words of a comma-separated list."""
    return [name.strip() for name in names.split(",") if name.strip()]


def render(report, json_: bool, *next_commands: str) -> None:
    """Show a report, then name what to try next."""
    if json_:
        click.echo(json.dumps(report.to_json(), indent=1))
        return
    report.show()
    for command in next_commands:
        tell(f"next: {command}")


def _assignments(settings: tuple[str, ...]) -> dict[str, object]:
    """--set key=value, the value as in TOML (a bare word is a string)."""
    from .train.config import parse_value
    values = {}
    for setting in settings:
        key, separator, text = setting.partition("=")
        if not separator or not key:
            raise UsageError("expected key=value", where="--set", value=setting, fix="for example train.epochs=10")
        values[key] = parse_value(text)
    return values


@commands.command()
@click.option("--dataset", metavar="NAME", help="digits-av (embedded) or av-mnist (FSDD + MNIST).")
@click.option("--data-dir", metavar="DIR", help="Where the recordings of av-mnist lie.")
@click.option("--hard", is_flag=True, default=None, help="Noise on both modalities (0 dB, a quarter of the pixels).")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="RUN", help="The run directory.")
@click.option("--config", type=click.Path(path_type=Path), metavar="TOML", help="Settings; flags come after it.")
@click.option("--epochs", type=int, help="Short for --set train.epochs=N.")
@click.option("--seed", type=int, help="Short for --set train.seed=N.")
@click.option("--profile", metavar="NAME", help="Chip whose integer limits training keeps to.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any setting, e.g. model.alpha=1.0.")
@click.option("--resume", is_flag=True, help="Go on from RUN/checkpoints/last.ckpt with RUN/config.toml.")
@click.option("--force", is_flag=True, help="Replace a run that is there.")
@as_json
def train(dataset, data_dir, hard, out, config, epochs, seed, profile, settings, resume, force, json_):
    """Train a model and freeze it to RUN/bundle."""
    overrides = {"dataset": dataset, "hard": hard, "profile": profile, "train.epochs": epochs, "train.seed": seed}
    overrides = {key: value for key, value in overrides.items() if value is not None}
    settings_file = out / "config.toml"
    if resume:
        if overrides or settings or config:
            raise UsageError("--resume goes on with the settings of the run", fix="give --out and --data-dir only")
        if not settings_file.is_file():
            raise UsageError("nothing to resume", where=out, limit="config.toml", fix="train without --resume")
    elif settings_file.exists() and not force:
        raise UsageError("a run is there already", where=out, fix="give --resume, --force or another --out")
    require_train()
    from .train import config as config_module
    from .train.loop import train as run_training
    chosen = config_module.read(settings_file if resume else config, {**overrides, **_assignments(settings)})
    try:
        outcome = run_training(chosen, out, data_dir=data_dir, resume=resume, tell=tell)
    except KeyboardInterrupt:
        hint = f" --data-dir {data_dir}" if data_dir else ""
        tell(f"interrupted; nothing is lost up to the last finished epoch: scmrl train --resume --out {out}{hint}")
        raise
    metrics = outcome.metrics
    if json_:
        click.echo(json.dumps({"command": "train", "run": str(out), **metrics}, indent=1))
        return
    click.echo(f"test accuracy {100 * metrics['test_accuracy']:.2f} % ({metrics['test_correct']} of "
               f"{metrics['test_samples']}), integer model; {metrics['parameters']} parameters, "
               f"{metrics['train_seconds']:.0f} s; frozen to {out / 'bundle'}")
    if metrics["dead"]:
        click.echo(f"dead populations: {', '.join(metrics['dead'])}")
    tell(f"next: scmrl evaluate {out}")
    tell(f"next: scmrl export {out} --target lava")


def require_train() -> None:
    import importlib.util

    from .errors import MissingDependency
    lines = {"torch": "pip install torch==2.13.0", "lightning": "pip install 'scmrl[train]'",
             "norse": "pip install --no-deps norse==1.1.0 nirtorch==2.6", "numba": "pip install 'scmrl[train]'"}
    for name, install in lines.items():
        if importlib.util.find_spec(name) is None:
            raise MissingDependency(name, enables="training", install=install)


@commands.command()
@model_argument
@click.option("--dataset", metavar="NAME", help="Another dataset than the one trained on.")
@click.option("--data-dir", metavar="DIR", help="Where its recordings lie.")
@click.option("--split", type=click.Choice(["train", "test"]), default="test", show_default=True)
@click.option("--silence", metavar="PATTERN",
              help="Cut these populations off; '*.attention.complement' is alpha = 0.")
@as_json
def evaluate(model, dataset, data_dir, split, silence, json_):
    """Run a whole split on the simulator."""
    from .deploy import jobs
    report = jobs.evaluate(model, dataset=dataset, data_dir=data_dir, split=split, silence=silence,
                           progress=Progress("samples"))
    render(report, json_, f"scmrl export {model} --target lava", f"scmrl energy {model}")


@commands.command()
@model_argument
@click.option("--target", default="lava", show_default=True, metavar="NAME", help="lava, nir, onnx, netx, or all.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Default: MODEL/TARGET.")
@click.option("--samples", type=int, metavar="N", help="How many held-out samples to verify on (default: all).")
@click.option("--no-verify", is_flag=True, help="Do not run the exported model.")
@as_json
def export(model, target, out, samples, no_verify, json_):
    """Write a frozen model for a target, and verify it there on held-out samples."""
    from .convert import TARGETS, exporter
    from .exchange import RUNS_ON
    from .exchange import export as write
    targets = list(TARGETS) if target == "all" else [target]
    exporter(targets[0])                # refuses an unknown target before anything is read
    report = write(model, targets, out, verify=not no_verify, samples=samples)
    written = [row for row in report.targets if row.written]
    render(report, json_, *(f"scmrl deploy {row.path} --backend {RUNS_ON[row.target]}" for row in written))
    wrong = [row.target for row in written if row.exact and row.bit_exact is False]
    if wrong:
        raise MismatchError(f"exported to {', '.join(wrong)}, which differs from the original",
                            fix="report this with the bundle")


@commands.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="BUNDLE", help="The bundle to write.")
@click.option("--calibrate", type=click.Path(path_type=Path), metavar="NPZ",
              help="Samples that set the scales: x [S, T, ...] or an array per input, optional labels y.")
@click.option("--steps", type=int, metavar="T", help="Steps of a sample (default: those of the samples).")
@click.option("--dt", type=float, metavar="S", help="Step in seconds (default: from the file).")
@click.option("--reset", type=click.Choice(["zero", "subtract"]), help="Reset rule (default: the convention's).")
@click.option("--convention", default="nir", show_default=True, metavar="NAME",
              help="Whose reading of the equations: nir, norse, snntorch, spikingjelly, sinabs.")
@click.option("--weight-bits", type=int, default=8, show_default=True)
@click.option("--input-bits", type=int, default=8, show_default=True)
@as_json
def import_(file, out, calibrate, steps, dt, reset, convention, weight_bits, input_bits, json_):
    """Turn any NIR network into an integer bundle for every backend, and say what that changed."""
    from .convert.nir_import import run_import
    bundle, report = run_import(file, calibrate=calibrate, steps=steps, dt=dt, reset=reset, convention=convention,
                                weight_bits=weight_bits, input_bits=input_bits)
    bundle.save(out)
    render(report, json_, f"scmrl verify {out} --backends simulator,lava", f"scmrl energy {out}")


@commands.command()
@model_argument
@click.option("--backend", default="simulator", show_default=True, metavar="NAME", help=BACKENDS)
@sample_options
@deadline_option
@click.option("--no-compare", is_flag=True, help="Do not run the reference beside it.")
@picture_option
@as_json
def deploy(model, backend, samples, file, deadline, no_compare, picture, json_):
    """Run a model or an export on a backend: spikes, accuracy, energy, comparison with training."""
    from .deploy import jobs
    report = jobs.deploy(model, backend, samples=samples, file=file, deadline_s=deadline, progress=Progress("samples"),
                         compared=not no_compare, picture=picture)
    render(report, json_, f"scmrl verify {model} --backends simulator,lava", f"scmrl energy {model}")
    if report.exact and report.bit_exact is False:
        raise MismatchError(f"{backend} differs from the reference", value=f"{report.mismatches} values",
                            fix="report this with the bundle")


@commands.command()
@model_argument
@click.option("--backends", default="simulator,lava-inprocess", show_default=True, metavar="A,B", help=BACKENDS)
@sample_options
@deadline_option
@as_json
def verify(model, backends, samples, file, deadline, json_):
    """Compare backends, and training's own spikes, with the reference: every population and step."""
    from .deploy import jobs
    report = jobs.verify(model, listed(backends), samples=samples, file=file, deadline_s=deadline,
                         progress=Progress("samples"))
    render(report, json_, f"scmrl energy {model}")
    if report.bit_exact is False:
        raise MismatchError("not bit-exact", value=f"first at {report.first_difference}",
                            fix="report this with the bundle")


@commands.command()
@model_argument
@click.option("--profile", "names", default="loihi1,loihi2", show_default=True, metavar="A,B",
              help="Names of `scmrl profiles`, or files.")
@sample_options
@picture_option
@as_json
def energy(model, names, samples, file, picture, json_):
    """Estimate energy and latency per inference, per chip and per layer."""
    from .deploy import jobs
    report = jobs.energy(model, listed(names), samples=samples, file=file, picture=picture)
    render(report, json_, "scmrl profiles loihi2")


@commands.command()
@click.argument("name", required=False)
@as_json
def profiles(name, json_):
    """List the hardware profiles, or show every number of one with its source."""
    from .deploy.report import ProfilesReport
    from .hw_profiles import profile
    shown = [profile.load(n) for n in ([name] if name else profile.names())]
    render(ProfilesReport(tuple(shown)), json_)


@commands.command()
@as_json
def doctor(json_):
    """Say what is installed, what is missing, what that would enable, and how to install it."""
    from .deploy.report import DoctorReport
    from .doctor import examine
    render(DoctorReport(tuple(examine())), json_)


@commands.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/demo"), show_default=True, metavar="RUN")
@click.option("--samples", type=int, default=24, show_default=True, metavar="N", help="Samples on Lava.")
def demo(out, samples):
    """The whole way on embedded data: train, evaluate, export, deploy on Lava, verify, energy."""
    require_train()
    from .demo import run_demo
    run_demo(out, samples, tell, Progress)


def main(arguments: list[str] | None = None) -> None:
    """Entry point. Exit codes: 0 well, 1 mismatch or failure, 2 usage, 3 data, 4 model file, 5 network does not fit,
    6 library missing, 7 backend failed, 130 interrupted, 143 terminated."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))       # so that children and files are cleaned up
    try:
        code = commands.main(arguments, standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except ScmrlError as error:
        _leave(f"error: {error}", error.exit_code)
    except click.ClickException as error:
        where = f"; see `{error.ctx.command_path} --help`" if getattr(error, "ctx", None) else ""
        _leave(f"error: {error.format_message()}{where}", 2)
    except (KeyboardInterrupt, click.Abort):
        _leave("interrupted", INTERRUPTED)
    except BrokenPipeError:                 # the reader of our output went away
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:                # disk full, no permission
        where = f"{error.filename}: " if error.filename else ""
        _leave(f"error: {where}{error.strerror or error}", 1)
    except MemoryError:
        _leave("error: out of memory; run fewer samples at a time with --samples", 1)


def _leave(line: str, code: int) -> None:
    click.echo(line, err=True)
    sys.exit(code)
