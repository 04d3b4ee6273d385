"""`scmrl compare`, `profiles`, `data check` and `doctor`: a look at what is there."""

from __future__ import annotations

from pathlib import Path

import click

from ..system.errors import DataError, UsageError, quoted
from .options import Source, Target, as_json, force_option, page_option, picture_option
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


@click.command()
@click.option(
    "--install",
    "extra",
    is_flag=False,
    flag_value="all",
    metavar="[EXTRA]",
    help="Install what is missing for deploy, train, data, onnx, nir, netx, sweep, peers, live,"
    " plot, fast, or all (default); shows each command and asks first.",
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
