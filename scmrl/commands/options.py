"""What several commands take: numbers, lists and files, checked before any work."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import click

from ..system.errors import BundleError, DataError, ScmrlError, UsageError, quoted
from .output import tell

LARGEST_SEED = 2**32 - 1


class Positive(click.ParamType):
    """A finite number above zero."""

    name = "float"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number = click.FLOAT.convert(value, param, ctx)
        if not (math.isfinite(number) and number > 0):
            self.fail(f"{value} is not a finite number above 0", param, ctx)
        return number


class Source(click.Path):
    """A file to read: a device or a pipe is refused, with `error`, before any library is loaded."""

    def __init__(self, error: type[ScmrlError]):
        super().__init__(path_type=Path)
        self.error = error

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Path:
        from ..system.reading import refuse_special

        path = cast(Path, super().convert(value, param, ctx))
        refuse_special(path, error=self.error)
        return path


COUNT = click.IntRange(1, 2**31 - 1)
SEED = click.IntRange(0, LARGEST_SEED)


def listed(names: str, option: str) -> list[str]:
    """The words of a comma-separated list, each once. Raises `UsageError` where there is none."""
    words = list(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    if not words:
        raise UsageError(
            "a name is needed",
            where=option,
            value=repr(names),
            fix="give one, or several with commas",
        )
    return words


def given(**options: object) -> dict[str, Any]:
    """The options that were given on the command line."""
    return {
        name: value for name, value in options.items() if value is not None and value is not False
    }


class Target(click.Path):
    """A file or directory to write: refused, before any work, where it would replace what it may
    not. `kind`: see `scmrl.system.targets`; `asks`: what is scmrl's own is replaced with --force
    alone.
    """

    def __init__(self, kind: str, *, asks: bool = True):
        super().__init__(path_type=Path)
        self.kind, self.asks = kind, asks

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Path:
        path = cast(Path, super().convert(value, param, ctx))
        if os.environ.get("RANK", "0") == "0":  # of several processes the first one writes
            may_write(path, self.kind, asks=self.asks)
        return path


def may_write(path: Path, kind: str, *, asks: bool = True) -> None:
    """Refuse a target that may not be written; say what is not scmrl's and stays there."""
    from ..system import targets

    targets.check(path, kind, force=forced() or not asks)
    if kind in targets.REPLACED_WHOLE and (kept := targets.strangers(path)):
        tell(f"kept in {path}, since scmrl did not write it: {', '.join(kept)}")


def _force(context: click.Context, _option: click.Parameter, given: bool) -> None:
    context.meta["force"] = given


def forced() -> bool:
    """Whether --force was given."""
    return click.get_current_context().meta.get("force", False)


def _model(_context: click.Context, _argument: click.Parameter, path: Path) -> Path:
    from ..core.bundle import is_stale, locate, source_of
    from ..system.targets import kind_of

    with contextlib.suppress(BundleError):  # the command itself says what is wrong
        if is_stale(path):
            source = source_of(path)
            tell(
                f"warning: {path} was made from another bundle than {source}; make it anew with:"
                f" scmrl export {quoted(source)} --target {kind_of(locate(path))} --out"
                f" {quoted(path)} --force"
            )
    return path


def together(*options: Callable) -> Callable:
    """Several options as one decorator; the help lists them in this order."""

    def decorate(command: Callable) -> Callable:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


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
mode_option = click.option(
    "--mode",
    type=click.Choice(["alone", "streamed"]),
    default="alone",
    show_default=True,
    help="One sample from a chip at rest to its answer, or samples back to back.",
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
sample_options = together(
    click.option(
        "--samples", type=COUNT, metavar="N", help="How many samples (default: all there are)."
    ),
    click.option(
        "--input",
        "file",
        type=Source(DataError),
        metavar="NPZ",
        help="Other samples: arrays named as the inputs (or x), [S, T, ...]; optional labels y."
        " Integers, or values where the model has a scale for them (an import, own data).",
    ),
)
# Where a Loihi 2 board is, and what to measure there.
board_options = together(
    click.option("--board", metavar="NAME", help="Loihi 2 board (SLURM node)."),
    click.option("--partition", metavar="NAME", help="SLURM partition of the boards."),
    click.option("--host", metavar="ADDRESS", help="A board on the network, without SLURM."),
    click.option(
        "--loihi-gen",
        "generation",
        metavar="GEN",
        help="N3B2, N3B3 (default), N3C1 or N3D1.",
    ),
    click.option("--profile-energy", is_flag=True, help="Measure power and time on the board."),
    click.option("--profile-activity", is_flag=True, help="Count operations on the board."),
)
# What a stream is fed with.
stream_options = together(
    click.option(
        "--stream",
        "streaming",
        is_flag=True,
        help="Step by step; --input is then [T, ...].",
    ),
    click.option("--wav", type=Source(DataError), metavar="FILE", help="Recording to stream."),
    click.option("--image", type=Source(DataError), metavar="FILE", help="Image beside it."),
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
