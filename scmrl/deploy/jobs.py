"""The jobs behind the commands: a frozen model and samples in, a report out.

Everything here works without torch; the reference, the simulator and Lava are opened by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..core.activity import Activity, check_inputs, check_labels, predictions
from ..core.bundle import Bundle, load, locate
from ..core.comparison import compare
from ..core.graph import Graph
from ..core.samples import (
    GIVEN,
    HELD_OUT,
    NONE,
    OTHER,
    TRAINING,
    TRUE,
    Origin,
    fingerprint,
    read_samples,
)
from ..data import FrontEnd
from ..data import load as load_pairs
from ..data.features import tasks
from ..data.features.corruption import corruption
from ..data.remembered import data_dir_of
from ..hw_profiles import profile as profiles
from ..system.errors import BackendError, DataError, GraphError, MissingDependency, UsageError
from .backends.backend import Progress
from .counts.counts import PopulationCount, count
from .counts.updates import count_updates
from .energy import energy as energy_model
from .placement import traffic as traffic_model
from .placement.fit import capacity, fit
from .placement.placement import require_cores
from .registry import backend_class, open_backend
from .reports.energy import EnergyReport, energy_report
from .reports.placement import PlacementReport, placement_report
from .reports.report import (
    DeployReport,
    EvaluateReport,
    Refusal,
    Report,
    VerifyReport,
    deploy_report,
    evaluate_report,
    verify_report,
)

DEPLOY_PROFILES = ("loihi1", "loihi2")
CHUNK = 256  # samples that the whole-set evaluation holds at once


@dataclass(frozen=True)
class Samples:
    """Inputs {name: int [S, T, *shape]}, labels int64 [S] or None, training's spikes for them or
    None, which they are in words, and where they come from.
    """

    inputs: dict[str, np.ndarray]
    labels: np.ndarray | None
    trained: Activity | None
    selection: str
    origin: Origin


def choose(bundle: Bundle, wanted: int | None, file: Path | None) -> Samples:
    """The first `wanted` samples of the bundle, or of an npz `file` with `x` [S, T, ...] or an
    array per input, and optionally labels `y` [S].
    """
    if wanted is not None and wanted < 1:
        raise UsageError("at least one sample is needed", where="--samples", value=wanted)
    if file is None:
        available = bundle.samples
        if wanted is not None and wanted > available:
            raise UsageError(
                "more samples than the model holds",
                where="--samples",
                limit=available,
                value=wanted,
                fix="give other samples with --input, or train with a larger held_out",
            )
        n = wanted or available
        trained = bundle.trained and Activity(
            {name: s[:n] for name, s in bundle.trained.spikes.items()},
            {name: v[:n] for name, v in bundle.trained.membrane.items()},
            bundle.trained.backend,
            bundle.trained.version,
        )
        return Samples(
            {name: x[:n] for name, x in bundle.inputs.items()},
            bundle.labels[:n],
            trained,
            f"{bundle.origin.adjective} samples 1 to {n} of {available}",
            bundle.origin,
        )
    names = [p.name for p in bundle.graph.of_kind("input")]
    arrays, labels = read_samples(file, names)
    inputs = check_inputs(bundle.graph, arrays)
    there = len(next(iter(inputs.values())))
    if wanted is not None and wanted > there:
        raise UsageError(
            "more samples than the file holds", where="--samples", limit=there, value=wanted
        )
    total = wanted or there
    inputs = {name: x[:total] for name, x in inputs.items()}
    if labels is not None:
        labels = check_labels(bundle.graph, labels, there, where=f"{file}: y")[:total]
    return Samples(
        inputs,
        labels,
        None,
        f"given samples 1 to {total} of {Path(file).name}",
        Origin(GIVEN, NONE if labels is None else TRUE),
    )


def run(
    model: Path,
    graph: Graph,
    backend: str,
    inputs: dict[str, np.ndarray],
    *,
    deadline_s: float | None = None,
    progress: Progress | None = None,
    board: dict | None = None,
) -> Activity:
    """Run `graph` on a backend; a backend that reads its own export takes what it finds in `model`.

    `board`: the settings of `scmrl.deploy.backends.loihi.loihi.Board`, for the backend "loihi" alone.
    """
    kind = backend_class(backend)
    if board:
        if backend != "loihi":
            raise UsageError(
                "board settings are for the backend 'loihi'", where="--backend", value=backend
            )
        from .backends.loihi.loihi import Board

        opened = kind(graph, deadline_s=deadline_s, board=Board(**board))
    elif hasattr(kind, "from_export") and kind.exported(locate(model)):
        opened = kind.from_export(model, deadline_s=deadline_s)
    else:
        opened = kind(graph, deadline_s=deadline_s)
    with opened:
        return opened.run(inputs, progress=progress)


def deploy(
    model: Path,
    backend: str,
    *,
    samples: int | None = None,
    file: Path | None = None,
    deadline_s: float | None = None,
    progress: Progress | None = None,
    compared: bool = True,
    picture: Path | None = None,
    page: Path | None = None,
    board: dict | None = None,
) -> DeployReport:
    """Run a frozen model or export on a backend; compare with the reference, and with training
    where it is stored.

    `board`: see `run`. `picture` and `page`: files to write.
    """
    bundle = load(model)
    chosen = choose(bundle, samples, file)
    chips = [profiles.load(name) for name in DEPLOY_PROFILES]
    activity = run(
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
            bundle.graph, run(model, bundle.graph, "reference", chosen.inputs), activity
        )
    counts, estimates = _estimates(bundle.graph, chosen.inputs, activity, chips)
    _draw(bundle.graph, chosen, activity, counts, estimates, picture)
    report = deploy_report(
        bundle.graph,
        chosen.labels,
        activity,
        counts,
        model=str(model),
        selection=chosen.selection,
        origin=chosen.origin,
        trained=chosen.trained,
        comparison=comparison,
        exact=backend_class(backend).exact,
        energy=estimates,
        measured=getattr(activity, "measured", None),
    )
    return _paged(report, bundle, page, chosen, activity)


def _paged(
    report: Report,
    bundle: Bundle,
    page: Path | None,
    chosen: Samples | None = None,
    activity: Activity | None = None,
) -> Report:
    """The report with the bundle it speaks of, its page written to the file `page` if one is asked
    for; with the run, if there was one.
    """
    report = replace(report, bundle=bundle.hash)
    if page is not None:
        from .reports.page.pages import Evidence, save

        save(
            page,
            report,
            None
            if chosen is None
            else Evidence(bundle.graph, chosen.inputs, activity, chosen.labels),
        )
    return report


def _estimates(
    graph: Graph,
    inputs: dict[str, np.ndarray],
    activity: Activity,
    chips: Sequence[profiles.Profile],
    progress: Progress | None = None,
) -> tuple[list[PopulationCount], list[energy_model.EnergyEstimate]]:
    """Counts of a run, and what they cost on each chip."""
    counts = count(graph, inputs, activity, count_updates(graph, inputs, activity))
    fired, estimates = traffic_model.fired(graph, inputs, activity), []
    for chip in chips:
        estimates.append(energy_model.on_chip(graph, counts, fired, chip))
        if progress:
            progress(len(estimates), len(chips))
    return counts, estimates


def _draw(
    graph: Graph,
    chosen: Samples,
    activity: Activity,
    counts: list,
    estimates: list,
    picture: Path | None,
) -> None:
    if picture is not None:
        from .reports.picture import report_picture

        report_picture(graph, chosen.inputs, activity, 0, counts, estimates, picture)


def verify(
    model: Path,
    backends: Sequence[str],
    *,
    samples: int | None = None,
    file: Path | None = None,
    deadline_s: float | None = None,
    progress: Progress | None = None,
    page: Path | None = None,
) -> VerifyReport:
    """Compare backends, and training's stored spikes, with the reference: every population, sample
    and step.

    Of several backends one that cannot run is a `Refusal` of the report; one alone raises.
    """
    bundle = load(model)
    chosen = choose(bundle, samples, file)
    exact = {
        name: backend_class(name).exact for name in backends
    }  # refuses an unknown name before any run
    reference = run(model, bundle.graph, "reference", chosen.inputs)
    runs = (
        []
        if chosen.trained is None
        else [(chosen.trained, compare(bundle.graph, reference, chosen.trained))]
    )
    refused = []
    for name in backends:
        try:
            activity = run(
                model, bundle.graph, name, chosen.inputs, deadline_s=deadline_s, progress=progress
            )
        except (GraphError, MissingDependency, BackendError) as error:
            if len(backends) == 1:
                raise
            refused.append(Refusal(name, str(error), error.exit_code))
        else:
            runs.append((activity, compare(bundle.graph, reference, activity)))
    counts = count(bundle.graph, chosen.inputs, reference)
    report = verify_report(
        bundle.graph,
        chosen.labels,
        reference,
        counts,
        runs,
        model=str(model),
        selection=chosen.selection,
        origin=chosen.origin,
        float_backends=[name for name in backends if not exact[name]],
        refused=refused,
    )
    return _paged(report, bundle, page, chosen, reference)


def energy(
    model: Path,
    profile_names: Sequence[str],
    *,
    samples: int | None = None,
    file: Path | None = None,
    picture: Path | None = None,
    page: Path | None = None,
    progress: Progress | None = None,
) -> EnergyReport:
    """Energy and latency per inference for each profile, from exact counts on the simulator.

    The name "all" stands for every chip that scmrl knows; `progress` counts the chips.
    """
    bundle = load(model)
    chips = [profiles.load(name) for name in chip_names(profile_names)]
    twice = [chip.name for chip in chips if [other.name for other in chips].count(chip.name) > 1]
    if twice:
        raise UsageError(
            "two chips have one name",
            where="--profile",
            value=twice[0],
            fix="rename one of the files",
        )
    chosen = choose(bundle, samples, file)
    activity = run(model, bundle.graph, "simulator", chosen.inputs)
    counts, estimates = _estimates(bundle.graph, chosen.inputs, activity, chips, progress)
    drawn = [estimate for estimate in estimates if estimate.core_dynamic_uj is not None]
    _draw(bundle.graph, chosen, activity, counts, drawn, picture)
    report = energy_report(
        bundle.graph,
        chosen.labels,
        chosen.inputs,
        activity,
        counts,
        estimates,
        model=str(model),
        selection=chosen.selection,
        origin=chosen.origin,
    )
    return _paged(report, bundle, page, chosen, activity)


def chip_names(names: Sequence[str]) -> list[str]:
    """Profiles by name, each once; "all" is every one that prices synaptic operations or has
    limits.
    """
    if "all" not in names:
        return list(dict.fromkeys(names))
    known = map(profiles.load, profiles.names())
    return list(
        dict.fromkeys(
            [
                *(name for name in names if name != "all"),
                *(p.name for p in known if "synop" in p.energy or p.limits),
            ]
        )
    )


def place(
    model: Path,
    profile_name: str,
    *,
    system: str | None = None,
    chips: int | None = None,
    packed: bool = False,
    inputs: bool = False,
    order: str = "optimised",
    samples: int | None = None,
    file: Path | None = None,
    picture: Path | None = None,
    page: Path | None = None,
) -> PlacementReport:
    """Place a model on the cores of a chip, with its traffic on samples, and say whether it fits a
    `system` or a number of `chips` (default: the largest system of the profile). Where there are
    too few cores, nothing is run.
    """
    bundle = load(model)
    graph, chip = bundle.graph, profiles.load(profile_name)
    if system is not None and chips is not None:
        raise UsageError(
            "a system says how many chips it has", where="--chips", fix="give --system or --chips"
        )
    require_cores(chip)
    fields = {"model": str(model), "packed": packed, "inputs": inputs}
    found = fit(graph, chip, packed=packed, inputs=inputs, room=capacity(chip, system, chips))
    placed = found.placement
    if placed is None or any(v.rule == "cores" for v in found.violations):
        return _paged(placement_report(graph, found, **fields), bundle, page)
    chosen = choose(bundle, samples, file)
    activity = run(model, graph, "simulator", chosen.inputs)
    naive = (
        placed,
        traffic_model.traffic(graph, placed, traffic_model.fired(graph, chosen.inputs, activity)),
    )
    optimised = None
    if order == "optimised":
        better = traffic_model.improve(*naive)
        optimised = (better, traffic_model.rerouted(better, naive[1]))
    if picture is not None:
        from .reports.core_map import core_map

        best = optimised or naive
        core_map(graph, best[0], picture, traffic=best[1])
    report = placement_report(
        graph,
        found,
        naive=naive,
        optimised=optimised,
        samples=chosen.selection,
        origin=chosen.origin,
        **fields,
    )
    return _paged(report, bundle, page, chosen, activity)


def dataset_samples(
    bundle: Bundle, dataset: str | None, data_dir: str | None, split: str
) -> tuple[dict, np.ndarray, str]:
    """Encoded samples {input: uint8 [S, C, H, W], over time [S, T, C, H, W]} and labels of a
    dataset, corrupted and related as the model was trained.
    """
    name = dataset or bundle.training.get("dataset")
    if not isinstance(name, str):
        raise UsageError(
            "the model does not say which dataset it was trained on", fix="give --dataset"
        )
    hard, task = bool(bundle.training.get("hard")), bundle.training.get("task", "name")
    noise = corruption(hard, bundle.training.get("spoil", "all"))
    pairs = load_pairs(name, split=split, data_dir=data_dir, steps=bundle.graph.steps)
    tasks.check_classes(task, pairs, bundle.graph)
    encoded = FrontEnd.from_dict(bundle.frontend).encode_pairs(noise.apply(pairs, 0))
    wanted = [p.name for p in bundle.graph.of_kind("input")]
    missing = sorted(set(wanted) - set(encoded))
    if missing:
        raise DataError("the dataset lacks a modality of the model", where=name, value=missing)
    encoded, labels, _ = tasks.pose(
        task, {n: encoded[n] for n in wanted}, pairs.label, tasks.fixed()
    )
    words = [name, *(["--hard"] if hard else []), *([f"task {task}"] if task != "name" else [])]
    return encoded, labels, f"{' '.join(words)}, {split} split"


def over_steps(x: np.ndarray, steps: int) -> np.ndarray:
    """[S, T, C, H, W] of frames: those of [S, C, H, W] stand still for all steps."""
    return np.broadcast_to(x[:, None], (len(x), steps, *x.shape[1:])) if x.ndim == 4 else x


def _tested_by_training(
    bundle: Bundle, encoded: dict[str, np.ndarray], labels: np.ndarray, data_dir: str | None
) -> bool:
    """Whether these are the very samples of training's test. A bundle of scmrl 0.1 does not hold
    their hash: there, as many samples from the place that training would look in are taken for the
    same.
    """
    metrics = bundle.metrics
    if "test_sha256" in metrics:
        return metrics["test_sha256"] == fingerprint(encoded, labels)
    return data_dir is None and metrics.get("test_samples", len(labels)) == len(labels)


def evaluate(
    model: Path,
    *,
    dataset: str | None = None,
    data_dir: str | None = None,
    split: str = "test",
    silence: str | None = None,
    progress: Progress | None = None,
) -> EvaluateReport:
    """Run a whole split on the simulator, chunk by chunk, with the front-end stored in the model.

    Its recordings lie in `data_dir`, or where the run remembers them. `silence` cuts the
    populations of that name pattern off, to see what they contribute.
    """
    bundle = load(model)
    graph = bundle.graph.silenced(silence) if silence else bundle.graph
    data_dir = data_dir or data_dir_of(model, dataset, bundle.training.get("dataset"))
    encoded, labels, which = dataset_samples(bundle, dataset, data_dir, split)
    check_labels(graph, labels, len(labels), where=which)
    steps, found, parts, weights = graph.steps, [], [], []
    with open_backend("simulator", graph) as simulator:
        for start in range(0, len(labels), CHUNK):
            frames = {name: x[start : start + CHUNK] for name, x in encoded.items()}
            inputs = {name: over_steps(x, steps) for name, x in frames.items()}
            activity = simulator.run(inputs)
            found.append(predictions(graph, activity))
            parts.append(count(graph, inputs, activity))
            weights.append(len(found[-1]))
            if progress:
                progress(start + weights[-1], len(labels))
    own = dataset in (None, bundle.training.get("dataset"))
    same = (
        own
        and split == "test"
        and not silence
        and _tested_by_training(bundle, encoded, labels, data_dir)
    )
    origin = Origin(OTHER if not own else HELD_OUT if split == "test" else TRAINING, TRUE)
    report = evaluate_report(
        graph,
        labels,
        np.concatenate(found),
        parts,
        weights,
        model=str(model),
        selection=which + (f", {silence} silenced" if silence else ""),
        version=activity.version,
        origin=origin,
        training_correct=bundle.metrics.get("test_correct") if same else None,
    )
    return replace(report, bundle=bundle.hash)
