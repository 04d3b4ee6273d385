"""What is done with a frozen model, by `import scmrl` and by the commands of the same names.

    deploy    on one backend: spikes, accuracy, energy, comparison with training
    verify    on several: are they equal in every bit?
    energy    on chips: energy and time of one inference, estimated from exact counts
    place     on the cores of a chip: does it fit, and what travels between them?

A `Model` is a bundle, `zoo:NAME`, or the directory of a run, an export or a bundle. It runs on the
first `samples` of those that it holds, or of `inputs` (integers [S, T, *shape] by input, or values
where the model has a scale for them, or an npz file of such arrays, with classes [S] as `y`).
`progress` is called with (done, in all); `picture` and `page` are files to write. None needs torch,
prints, or ends the process. Raises, of `scmrl.system.errors`, BundleError for a model that is
missing or damaged, UsageError for a name or number that is none, DataError for samples that do not
fit, MissingDependency, GraphError where a target cannot hold the network, BackendError where it
fails or is past `deadline_s` seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..core.activity import Activity
from ..core.bundle import Bundle
from ..core.comparison import compare
from ..core.graph import Graph
from ..core.report.report import Figure
from ..hw_profiles import profile as profiles
from ..system.errors import BackendError, GraphError, MissingDependency, UsageError
from . import running
from .backends.backend import Progress
from .counts.counts import count
from .counts.sampling import groups
from .energy import run as run_model
from .energy.modes import ALONE, require
from .energy.operations import fired
from .energy.trace import Trace, Work
from .placement import traffic as traffic_model
from .placement.cores import Placement
from .placement.fit import capacity, fit
from .placement.layout import window
from .placement.placement import require_cores
from .registry import backend_class
from .reports.deploy import DeployReport, Refusal, VerifyReport, deploy_report, verify_report
from .reports.energy import EnergyReport, energy_report
from .reports.placement import PlacementReport
from .reports.placing import placement_report
from .running import Model, opened
from .samples import Given, Samples, choose

DEPLOY_PROFILES = ("loihi1", "loihi2")
Reported = TypeVar("Reported", DeployReport, VerifyReport, EnergyReport, PlacementReport)


def several(names: str | Sequence[str]) -> list[str]:
    """One name, or several, each once."""
    return [names] if isinstance(names, str) else list(dict.fromkeys(names))


def deploy(
    model: Model,
    backend: str = "simulator",
    *,
    samples: int | None = None,
    inputs: Given | None = None,
    labels: np.ndarray | None = None,
    deadline_s: float | None = None,
    compared: bool = True,
    board: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    picture: Path | None = None,
    page: Path | None = None,
) -> DeployReport:
    """Run a model or an export on a backend of `scmrl.deploy.registry`; compare with the reference
    if `compared`, and with training where its spikes are stored.

    `labels` [S] are classes, of `inputs`. `board`: see `run`.

    >>> report = scmrl.deploy("runs/a", backend="simulator", samples=8)
    >>> report.samples, report.bit_exact, report.mismatches
    (8, True, 0)
    """
    bundle, name = opened(model)
    chosen = choose(bundle, samples, inputs, labels)
    chips = [profiles.load(name) for name in DEPLOY_PROFILES]
    activity = running.run(
        model,
        bundle.graph,
        backend,
        chosen.inputs,
        deadline_s=deadline_s,
        progress=progress,
        board=board,
    )
    comparison = None
    if compared and backend != "reference":
        comparison = compare(
            bundle.graph, running.run(model, bundle.graph, "reference", chosen.inputs), activity
        )
    mode = activity.measured.mode if activity.measured else ALONE  # beside a measurement, its own
    counted = run_model.counted(bundle.graph, chosen.inputs, activity)
    counts, estimates = counted.counts, run_model.estimates(counted, chips, mode)
    _draw(bundle.graph, chosen, activity, counts, estimates, picture)
    report = deploy_report(
        bundle.graph,
        chosen.labels,
        activity,
        counts,
        model=name,
        selection=chosen.selection,
        origin=chosen.origin,
        trained=chosen.trained,
        comparison=comparison,
        exact=backend_class(backend).exact,
        energy=estimates,
        measured=activity.measured,
        over_samples=counted.over_samples,
    )
    return _paged(report, bundle, page, chosen, activity)


def _paged(
    report: Reported,
    bundle: Bundle,
    page: Path | None,
    chosen: Samples | None = None,
    activity: Activity | None = None,
    figures: Sequence[Figure] = (),
) -> Reported:
    """The report with the bundle it speaks of, its page written to the file `page` if one is asked
    for; with the run, if there was one.
    """
    report = replace(report, bundle=bundle.hash)
    if page is not None:
        from ..core.report import html
        from .reports.figures import run_figures
        from .reports.run import provenance

        selection, drawn = "", list(figures)
        if chosen is not None and activity is not None:
            selection = chosen.selection
            drawn += run_figures(
                bundle.graph, chosen.inputs, activity, chosen.labels, chosen.origin
            )
        html.save(page, report, drawn, provenance(bundle, selection))
    return report


def _draw(
    graph: Graph,
    chosen: Samples,
    activity: Activity,
    counts: list,
    estimates: list,
    picture: Path | None,
) -> None:
    if picture is not None:
        from ..core.report import drawing
        from .reports.figures import run_picture

        figures = run_picture(graph, chosen.inputs, activity, 0, counts, estimates)
        drawing.save(picture, *figures)


def verify(
    model: Model,
    backends: str | Sequence[str] = ("simulator", "lava-inprocess"),
    *,
    samples: int | None = None,
    inputs: Given | None = None,
    labels: np.ndarray | None = None,
    deadline_s: float | None = None,
    progress: Progress | None = None,
    page: Path | None = None,
) -> VerifyReport:
    """Compare backends, and training's stored spikes, with the reference: every population, sample
    and step.

    Of several backends one that cannot run is a `Refusal` of the report; one alone raises.

    >>> report = scmrl.verify("runs/a", backends=["simulator"], samples=4)
    >>> [(match.backend, match.mismatches) for match in report.backends]
    [('training', 0), ('simulator', 0)]
    """
    bundle, name = opened(model)
    chosen = choose(bundle, samples, inputs, labels)
    backends = several(backends)
    exact = {b: backend_class(b).exact for b in backends}  # refuses an unknown name before any run
    reference = running.run(model, bundle.graph, "reference", chosen.inputs)
    trained = chosen.trained
    runs = [] if trained is None else [(trained, compare(bundle.graph, reference, trained))]
    refused = []
    for backend in backends:
        try:
            activity = running.run(
                model,
                bundle.graph,
                backend,
                chosen.inputs,
                deadline_s=deadline_s,
                progress=progress,
            )
        except (GraphError, MissingDependency, BackendError) as error:
            if len(backends) == 1:
                raise
            refused.append(Refusal(backend, str(error), error.exit_code))
        else:
            runs.append((activity, compare(bundle.graph, reference, activity)))
    counts = count(bundle.graph, chosen.inputs, reference)
    report = verify_report(
        bundle.graph,
        chosen.labels,
        reference,
        counts,
        runs,
        model=name,
        selection=chosen.selection,
        origin=chosen.origin,
        float_backends=[b for b in backends if not exact[b]],
        refused=refused,
    )
    return _paged(report, bundle, page, chosen, reference)


def energy(
    model: Model,
    chips: str | Sequence[str] = ("loihi1", "loihi1-sanafe", "loihi2"),
    *,
    mode: str = ALONE,
    samples: int | None = None,
    inputs: Given | None = None,
    labels: np.ndarray | None = None,
    progress: Progress | None = None,
    picture: Path | None = None,
    page: Path | None = None,
) -> EnergyReport:
    """Energy (uJ) and latency (us) of one inference on each of the `chips`: names of
    `scmrl.profiles`, files, or "all". Estimates, from exact counts on the simulator, in the `mode`
    "alone" (one sample, T + depth steps) or "streamed" (samples back to back).

    `progress` counts the chips. A chip that does not hold the network has no total.

    >>> report = scmrl.energy("runs/a", chips=["loihi2"], samples=4)
    >>> report.profiles[0].profile, report.profiles[0].core_dynamic_uj > 0
    ('loihi2', True)
    """
    bundle, name = opened(model)
    require(bundle.graph, mode)
    priced = [profiles.load(chip) for chip in chip_names(several(chips))]
    twice = [chip.name for chip in priced if [c.name for c in priced].count(chip.name) > 1]
    if twice:
        raise UsageError(
            "two chips have one name",
            where="--profile",
            value=twice[0],
            fix="rename one of the files",
        )
    chosen = choose(bundle, samples, inputs, labels)
    activity = running.run(model, bundle.graph, "simulator", chosen.inputs)
    counted = run_model.counted(bundle.graph, chosen.inputs, activity)
    counts, estimates = counted.counts, run_model.estimates(counted, priced, mode, progress)
    zeros = {input_: np.zeros_like(x[:1]) for input_, x in chosen.inputs.items()}
    still = running.run(model, bundle.graph, "simulator", zeros)
    idle = run_model.counted(bundle.graph, zeros, still)
    _draw(bundle.graph, chosen, activity, counts, estimates, picture)
    report = energy_report(
        bundle.graph,
        chosen.labels,
        chosen.inputs,
        activity,
        counts,
        estimates,
        model=name,
        selection=chosen.selection,
        mode=mode,
        origin=chosen.origin,
        over_samples=counted.over_samples,
        idle=run_model.estimates(idle, priced, mode),
    )
    return _paged(report, bundle, page, chosen, activity)


def chip_names(names: Sequence[str]) -> list[str]:
    """Profiles by name, each once; "all" is every one that prices synaptic operations or has
    limits.
    """
    known = map(profiles.load, profiles.names() if "all" in names else ())
    every = [chip.name for chip in known if "synop" in chip.energy or chip.limits]
    return list(dict.fromkeys([*(name for name in names if name != "all"), *every]))


def place(
    model: Model,
    chip: str = "loihi2",
    *,
    system: str | None = None,
    chip_count: int | None = None,
    packed: bool = False,
    place_inputs: bool = False,
    optimised: bool = True,
    mode: str = ALONE,
    samples: int | None = None,
    inputs: Given | None = None,
    picture: Path | None = None,
    page: Path | None = None,
) -> PlacementReport:
    """Place a model on the cores of a chip, with its traffic on samples, and say whether it fits a
    `system` or `chip_count` chips (default: the largest system of the profile). Where there are too
    few cores, nothing is run.

    `mode`: of the traffic, that of one sample "alone", what biases fire before and after it
    included, or "streamed";
    `packed`: small populations share cores; `place_inputs`: the input populations take cores too;
    `optimised`: with the order of cores that saves traffic beside that of the network.

    >>> report = scmrl.place("runs/a", chip="loihi2", samples=4)
    >>> report.fits, report.cores < 128
    (True, True)
    """
    bundle, name = opened(model)
    graph, profile = bundle.graph, profiles.load(chip)
    if system is not None and chip_count is not None:
        raise UsageError(
            "a system says how many chips it has", where="--chips", fix="give --system or --chips"
        )
    require_cores(profile)
    require(graph, mode)
    room = capacity(profile, system, chip_count)
    found = fit(graph, profile, packed=packed, inputs=place_inputs, room=room)
    placed = found.placement
    if placed is None or any(v.rule == "cores" for v in found.violations):
        return _paged(
            placement_report(graph, found, model=name, packed=packed, inputs=place_inputs),
            bundle,
            page,
        )
    chosen = choose(bundle, samples, inputs)
    activity = running.run(model, graph, "simulator", chosen.inputs)
    run = Work(graph, chosen.inputs, activity)
    trace = run.trace(found.line, window(run.steps, profile))
    naive = (placed, _traffic(trace, placed, mode))
    parts = [(len(part), _traffic(trace.of(part), placed, mode)) for part in groups(run.samples)]
    better = None
    if optimised:
        placed = traffic_model.improve(*naive)
        better = (placed, traffic_model.rerouted(placed, naive[1]))
    from ..core.report import drawing
    from .reports.core_map import core_map

    best = better or naive
    if picture is not None:
        drawing.save(picture, core_map(trace.hardware_steps(mode), *best))
    report = placement_report(
        graph,
        found,
        naive=naive,
        optimised=better,
        parts=parts,
        samples=chosen.selection,
        origin=chosen.origin,
        mode=mode,
        steps=trace.hardware_steps(mode),
        model=name,
        packed=packed,
        inputs=place_inputs,
    )
    maps = [core_map(trace.hardware_steps(mode), *best)] if best[0].mesh else []
    return _paged(report, bundle, page, chosen, activity, maps)


def _traffic(trace: Trace, placed: Placement, mode: str) -> traffic_model.Traffic:
    """The traffic of a run on a placement of what the chip runs of the graph."""
    return traffic_model.traffic(trace.line.graph, placed, fired(trace, mode))
