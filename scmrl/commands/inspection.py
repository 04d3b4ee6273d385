"""`scmrl compare`, `profiles`, `zoo`, `data` and `doctor`: a look at what is there."""

from __future__ import annotations

from pathlib import Path

import click

from ..system.errors import DataError, UsageError, quoted
from .options import (
    COUNT,
    SEED,
    Source,
    Target,
    as_json,
    force_option,
    page_option,
    picture_option,
)
from .output import render, tell


@click.command()
@click.argument("first", type=Source(DataError))
@click.argument("second", type=Source(DataError))
@page_option
@force_option
@as_json
def compare(
    first: Path,
    second: Path,
    page: Path | None,
    json_: bool,
) -> None:
    """Set two saved JSON reports of one command side by side: what changed, and by how much."""
    from ..core.report import html
    from ..core.report.compare import compare as compare_reports

    report = compare_reports(first, second)
    if page:
        html.save(page, report)
    render(report, json_)


@click.command()
@click.argument("name", required=False)
@click.option(
    "--template",
    type=Target("profile"),
    metavar="FILE",
    help="Write a chip file to fill in: every quantity with its unit and meaning.",
)
@as_json
def profiles(name: str | None, template: Path | None, json_: bool) -> None:
    """List the hardware profiles and what each can do, or show every number of one (a name, or a
    file).
    """
    if template is not None:
        if name is not None or json_:
            raise UsageError("--template stands alone", fix="leave the other arguments out")
        from ..hw_profiles.template import write

        write(template)
        tell(f"wrote {template}; fill it in, then: scmrl profiles {quoted(template)}")
        return
    from ..deploy.reports.profiles import ProfilesReport
    from ..hw_profiles import profile

    shown = [profile.load(n) for n in ([name] if name is not None else profile.names())]
    render(ProfilesReport(tuple(shown)), json_)


@click.command()
@click.argument("name", required=False)
@as_json
def zoo(name: str | None, json_: bool) -> None:
    """List the small models that travel with scmrl, or show the card of one: data, accuracy,
    energy, licences. `zoo:NAME` is a MODEL of every command.
    """
    from ..core.zoo import report

    shown = report(name)
    render(shown, json_, f"scmrl deploy zoo:{shown.models[0].name} --backend lava-inprocess")


@click.command("check")
@click.argument("name")
@click.option("--data-dir", metavar="DIR", help="Where its recordings lie.")
@picture_option
@force_option
@as_json
def data_check(
    name: str,
    data_dir: str | None,
    picture: Path | None,
    json_: bool,
) -> None:
    """What of a dataset is there, what is missing or damaged (exit code 3), and what its samples
    are.
    """
    from ..data.check import check

    report = check(name, data_dir, picture)
    render(report, json_)
    if report.faults:
        raise DataError(
            f"{name} cannot be used as it is", fix="see what is missing or damaged above"
        )


@click.command("prepare")
@click.argument("name")
@click.option(
    "--from", "source", required=True, metavar="DIR", help="The download, as its publisher has it."
)
@click.option(
    "--out",
    type=Target("dataset", asks=False),
    required=True,
    metavar="DIR",
    help="The directory to write; a former call for it is gone on with.",
)
@click.option("--partial", is_flag=True, help="Train on what is there, whatever is missing.")
@click.option(
    "--test-list",
    type=Source(DataError),
    metavar="FILE",
    help="Of crema-d: the published test clips, one name a line.",
)
@click.option(
    "--seed", type=SEED, default=0, show_default=True, help="Draws the frame of each clip."
)
@click.option("--workers", type=COUNT, help="Processes at once (default: one for each core).")
@as_json
def data_prepare(
    name: str,
    source: str,
    out: Path,
    partial: bool,
    test_list: Path | None,
    seed: int,
    workers: int | None,
    json_: bool,
) -> None:
    """Make a published download ready for training: crema-d, crema-d-audio, ave, urbansound8k-av,
    n-mnist, mnistdvs-ntidigits, shd, ssc.

    Nothing of the download is changed. What is there already stays, and the same command goes on
    where it was stopped. Exit code 3 where samples are missing, without --partial.
    """
    from ..data.prepare.prepare import prepare
    from ..data.prepared.work import Asked

    try:
        report = prepare(
            name,
            Path(source),
            out,
            asked=Asked(seed, test_list),
            partial=partial,
            workers=workers,
        )
    except (KeyboardInterrupt, SystemExit):
        tell("what is made is kept; the same command goes on")
        raise
    usable = partial or not report.missing
    steps = [f"scmrl data check {name} --data-dir {quoted(out)}"] if usable else []
    render(report, json_, *steps)
    if not usable:
        raise DataError(
            f"{report.missing} samples of {name} are missing",
            fix="complete the download and give the same command, or train on what is there with"
            " --partial",
        )


@click.command()
@click.option(
    "--install",
    "extra",
    is_flag=False,
    flag_value="all",
    metavar="[EXTRA]",
    help="Install what is missing for deploy, train, data, video, onnx, nir, netx, sweep, peers,"
    " live, plot, fast, or all (default); shows each command and asks first.",
)
@click.option("--yes", is_flag=True, help="With --install: ask nothing.")
@as_json
def doctor(extra: str | None, yes: bool, json_: bool) -> None:
    """Say what is installed, what is missing, what that would enable, and how to install it."""
    from ..deploy.reports.profiles import DoctorReport
    from ..system.doctor import examine, install, leftovers, room

    if extra:
        install(extra, tell, None if yes else lambda question: click.confirm(question, err=True))
    removed = leftovers()
    render(DoctorReport(tuple(examine()), room(), removed), json_)
