"""`scmrl export` and `scmrl import`: to and from other frameworks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from ..system.errors import BundleError, DataError, MismatchError, ScmrlError, UsageError, quoted
from .options import (
    COUNT,
    Positive,
    Source,
    Target,
    as_json,
    force_option,
    forced,
    layers_option,
    listed,
    may_write,
    model_argument,
)
from .output import render

if TYPE_CHECKING:
    from ..core.report.report import Report


@click.command()
@model_argument
@click.option(
    "--target",
    default="lava",
    show_default=True,
    metavar="A,B",
    help="lava, nir, onnx, netx, c, verilog, or all (that can hold it).",
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
@click.option("--flash", type=COUNT, metavar="BYTES", help="Target c: refuse what takes more.")
@click.option("--ram", type=COUNT, metavar="BYTES", help="Target c: refuse what takes more.")
@click.option(
    "--self-test",
    type=COUNT,
    metavar="N",
    help="Targets c, verilog: add what checks itself on N of the model's samples.",
)
@click.option(
    "--engines", type=click.IntRange(1, 8), help="Target verilog: of the core (default: 4)."
)
@click.option(
    "--synth",
    metavar="FPGA",
    help="Target verilog: synthesise it with yosys and nextpnr; ecp5. Takes minutes.",
)
@force_option
@as_json
def export(
    model: Path,
    target: str,
    out: Path | None,
    samples: int | None,
    no_verify: bool,
    flash: int | None,
    ram: int | None,
    self_test: int | None,
    engines: int | None,
    synth: str | None,
    json_: bool,
) -> None:
    """Write a frozen model for targets, and verify it there on the model's own samples.

    With several targets, one that cannot hold the network is a row with the reason. Exit code 1
    where an exported model differs, or a target that was asked for by name was refused.
    """
    from ..deploy import export as exports

    named = listed(target, "--target")
    places = exports.places(model, named, out)
    for name, path in places.items():
        may_write(path, name)
    report = exports.export(
        model,
        named,
        out,
        verify=not no_verify,
        samples=samples,
        force=forced(),
        flash=flash,
        ram=ram,
        self_test=self_test,
        engines=engines,
        synth=synth,
    )
    written = [row for row in report.targets if row.written]
    render(
        report,
        json_,
        *(
            f"scmrl deploy {quoted(row.path)} --backend {exports.RUNS_ON[row.target]}"
            for row in written
        ),
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


NETX_TAKES = ("file", "out", "force", "calibrate", "steps", "layers", "json_")


@click.command("import")
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
@click.option(
    "--input-bits",
    type=click.IntRange(1, 16),
    help="Of inputs that are no whole numbers (default: by the error of the first layer).",
)
@click.option(
    "--golden",
    type=Source(DataError),
    metavar="NPZ",
    help="The framework's own results on the samples: spikes by node, or classes.",
)
@layers_option
@force_option
@as_json
def import_(
    file: Path,
    out: Path,
    calibrate: Path | None,
    steps: int | None,
    dt: float | None,
    reset: str | None,
    convention: str,
    weight_bits: int,
    input_bits: int | None,
    golden: Path | None,
    layers: bool,
    json_: bool,
) -> None:
    """Turn a NIR network into an integer bundle for every backend, and say what that changed; or a
    netx file of lava-dl (.net), which is integers already.

    What it says comes before the bundle is written. Exit code 1 where the integers are not the
    network: classes that agree on less than half of the calibration samples, a threshold of zero.
    """
    if _is_netx(file):
        _import_netx(file, out, calibrate, steps, layers, json_)
        return
    from ..convert.nir.importer import import_nir

    may_write(out, "bundle")
    bundle, report = import_nir(
        file,
        samples=calibrate,
        steps=steps,
        dt=dt,
        reset=reset,
        convention=convention,
        weight_bits=weight_bits,
        input_bits=input_bits,
        golden=golden,
    )
    _render(report, out, layers, json_)
    bundle.save(out, file)
    if report.wrong:
        raise MismatchError(
            f"these integers are not the network: {report.wrong}",
            where=out,
            fix="look at the warnings; give calibration data that is like the data to come",
        )


def _is_netx(file: Path) -> bool:
    """By its ending; a file with neither's is looked into."""
    from ..convert.frame.hdf5 import kind_of

    ending = file.suffix.lower()
    return ending == ".net" or (ending != ".nir" and kind_of(file) == "netx")


def _import_netx(
    file: Path, out: Path, samples: Path | None, steps: int | None, layers: bool, json_: bool
) -> None:
    """Refuses options that say how floats become integers: there are none."""
    from ..convert.netx.importer import import_netx

    context = click.get_current_context()
    for option in context.command.params:
        source = context.get_parameter_source(option.name or "")
        if option.name not in NETX_TAKES and source is ParameterSource.COMMANDLINE:
            raise UsageError(
                "a netx file is integers already: it takes no such option", where=option.opts[0]
            )
    _, report = import_netx(file, out=out, samples=samples, steps=steps, force=forced())
    _render(report, out, layers, json_)


def _render(report: Report, out: Path, layers: bool, json_: bool) -> None:
    render(
        report,
        json_,
        f"scmrl verify {quoted(out)} --backends simulator,lava",
        f"scmrl energy {quoted(out)}",
        layers=layers,
    )
