"""Published measurements, and what this package's coefficients make of the published counts behind
them.

    complete   every count that the estimate needs is public       range: what scmrl prints for such
               a value
    bounded    a count is not public but lies between two limits   range: the estimates at those
               limits
    floor      only a part of the work is public                   range: upwards from the energy of
               that part
    fitted     the measurement went into the coefficient itself    shown, never counted as evidence

What scmrl prints for a core dynamic energy E is E / (1 + error_high) .. E / (1 + error_low), the
errors being the profile's. No coefficient was changed for a case; every figure that goes in says
where it is from.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ...hw_profiles import profile as profiles
from ...hw_profiles.profile import Profile
from ..energy.energy import dynamic_uj
from .lsnn import IMAGES, Run

KINDS = ("complete", "bounded", "floor", "fitted")
Ends = tuple[float, float]
DAVIES, SANAFE, LOIHI_2 = "loihi1", "loihi1-sanafe", "loihi2"
CORE = "core dynamic energy"

FRADY = "Frady et al. 2020, doi 10.1145/3381755.3398695"
PILOTNET = "benchmark notebook of PilotNet LIF, lava-dl 0.6.0"
LSNN = "intel-nrc-ecosystem/models, nxsdk_modules_ncl/lsnn"
QUARTZ = "biphasic/Quartz-on-Loihi and arXiv 2309.16795"
NXTF = "Rueckauer et al. 2021, arXiv 2101.04261"
NTIDIGITS = "intel-nrc-ecosystem/models, spytorch2loihi, ntidigitsEnergy notebook"
KWS = "Blouw et al. 2019, arXiv 1812.01739, and its logs (abr/power_benchmarks)"
BRAILLE = "Braille RSNN, energy probes of its published notebooks"
CEOLINI = (
    "Ceolini et al. 2020, doi 10.3389/fnins.2020.00637, figures recalled and not read again; "
    "Enny1991/dvs_emg_fusion"
)
SANAFE_PAPER = "Boyle et al. 2025, doi 10.1109/TCAD.2025.3537971, snn/dvs.yaml; plot"
TRUENORTH = "Akopyan et al. 2015, Fig. 17, as quoted"
ODIN = "Frenkel et al. 2019, arXiv 1804.07858"

# Published cases from which nothing can be computed, and what is missing.
NOT_COMPUTABLE = {
    "Quartz CIFAR-10, 1,753 cores, core dynamic": (
        "compartments of its neuron blocks: bounds far apart"
    ),
    "RelNet, 22 chips, core dynamic and static": (
        "spikes, and how many cores of the 22 chips are used"
    ),
    "PilotNet SDNN on Loihi 2": "limited by the host: its dynamic energy comes out below zero",
    "S4D, SHD and SSC, CLP-SNN, YOLO on Loihi 2": (
        "counts, and static apart from dynamic: totals alone"
    ),
    "CarSNN, robot dodging, olfaction, EMG, SDDPG on Loihi": "counts",
    "Speck, Akida, BrainScaleS-2, Xylo": "energy of an operation: none published, nothing to test",
}


@dataclass(frozen=True)
class Figure:
    """A published figure that an estimate takes, `kind` as in the profiles; ends where it is a
    range.
    """

    name: str
    value: float | Ends
    unit: str
    kind: str
    source: str

    @property
    def low(self) -> float:
        return self.value[0] if isinstance(self.value, tuple) else self.value

    @property
    def high(self) -> float:
        return self.value[1] if isinstance(self.value, tuple) else self.value


@dataclass(frozen=True)
class Case:
    """Estimate against measurement, both in `unit`. `high` ends are None where there is none.

    `network` names what cases share: two measurements of one network are not independent of each
    other.
    """

    name: str
    network: str
    chip: str
    quantity: str
    unit: str
    profile: str
    kind: str
    estimate: tuple[float, float | None]
    range: tuple[float | None, float | None]
    measured: float
    measured_by: str
    missing: str
    figures: tuple[Figure, ...]

    @property
    def error(self) -> tuple[float, float | None]:
        """Estimate over measurement, minus one, of both ends."""
        low, high = self.estimate
        return low / self.measured - 1, None if high is None else high / self.measured - 1

    @property
    def counts(self) -> bool:
        """Whether the case is evidence: it has a range, and the coefficients do not come from
        it.
        """
        return self.kind != "fitted" and self.range[0] is not None

    @property
    def inside(self) -> bool | None:
        """Whether the range contains the measurement; None where there is no range."""
        low, high = self.range
        return (
            None
            if low is None
            else low <= self.measured and (high is None or self.measured <= high)
        )


def core_uj(
    profile: Profile,
    *,
    synops: float,
    active: float = 0.0,
    inactive: float = 0.0,
    spikes: float = 0.0,
    form: str = "",
) -> float:
    """Core dynamic energy of counts; `form`: dense, sparse or conv, for profiles that tell formats
    apart.
    """
    return dynamic_uj(
        profile, synops={form: synops}, active=active, inactive=inactive, spikes=spikes
    )


def printed(profile: Profile, estimate: Ends) -> tuple[float | None, float | None]:
    """The measurements that scmrl says an estimate stands for."""
    if not profile.error:
        return None, None
    return (
        estimate[0] / (1 + profile.error["core_dynamic_high"].value),
        estimate[1] / (1 + profile.error["core_dynamic_low"].value),
    )


def published() -> tuple[Case, ...]:
    """Every case that needs no data beside this file."""
    return (
        *(k_nn(name) for name in (DAVIES, SANAFE)),
        *(pilotnet(name) for name in (LOIHI_2, SANAFE)),
        truenorth(),
        *quartz(),
        nxtf_mnist(),
        nxtf_nmnist(),
        nxtf_cifar(),
        ntidigits(),
        kws(),
        *braille(),
        gesture(),
        *ceolini(),
        *fitted(),
    )


# ---- every count public --------------------------------------------------------------------------


def k_nn(name: str) -> Case:
    """k nearest neighbours: each input spike goes to all neurons; which format stores that is not
    public.
    """
    neurons = Figure("neurons", 76_800, "", "published", FRADY)
    spikes = Figure("input spikes", (667, 750), "", "published", FRADY)
    steps = Figure("steps", 60, "", "published", FRADY)
    profile, updates = profiles.load(name), neurons.low * steps.low
    ends = (
        core_uj(profile, synops=spikes.low * neurons.low, inactive=updates, form="sparse"),
        core_uj(profile, synops=spikes.high * neurons.low, inactive=updates, form="dense"),
    )
    return Case(
        "k-NN on 768 chips",
        "k-NN",
        "Loihi 1",
        CORE,
        "uJ",
        name,
        "complete",
        ends,
        printed(profile, ends),
        1330,
        f"measured, {FRADY}, Table 2",
        "the spikes of the run (a range is published); the synapse format",
        (neurons, spikes, steps),
    )


def pilotnet(name: str) -> Case:
    """PilotNet: counts and power of one run of 10,000 steps; which updates were active is not
    public.
    """
    synops = Figure(
        "synaptic operations in 10,000 steps",
        22.88e9,
        "",
        "derived",
        f"{PILOTNET}: read off its plot, +-2 %",
    )
    neurons = Figure("neurons", 158_509, "", "derived", PILOTNET)
    steps = Figure("steps", 16, "", "published", PILOTNET)
    profile, updates, each = profiles.load(name), neurons.low * steps.low, steps.low / 10_000
    ends = (
        core_uj(profile, synops=synops.low * each, inactive=updates, form="conv"),
        core_uj(profile, synops=synops.low * each, active=updates, form="conv"),
    )
    return Case(
        "PilotNet LIF",
        "PilotNet",
        "Loihi 2",
        CORE,
        "uJ",
        name,
        "complete",
        ends,
        printed(profile, ends),
        683_500 * each,
        f"measured, {PILOTNET}: 0.6835 J in 10,000 steps",
        "which neuron updates were active; whether embedded processors are inside the measured"
        " power",
        (synops, neurons, steps),
    )


def lsnn(run: Run) -> tuple[Case, ...]:
    """The LSNN, counted by this package, against both published measurements, for both coefficient
    sets.
    """
    whole = {"synops": run.total_synops, "updates": run.updates, "active": run.nonzero}
    copy = {
        "synops": run.total_synops - run.synops["host->relay"],
        "updates": run.updates_recurrent,
        "active": run.nonzero_recurrent,
    }
    measured = (
        (
            "sMNIST LSNN, energy probe",
            whole,
            22.145,
            (
                f"measured, {LSNN}: 1.58346 mW x 13.98556 ms; NxSDK's split of cores and x86 is not"
                " published"
            ),
        ),
        (
            "sMNIST LSNN, slope over copies",
            copy,
            35.6,
            f"measured, {LSNN}: 2.73 mW x 13.05 ms a copy; may hold static power: 29 to 55 uJ",
        ),
    )
    return tuple(
        _lsnn(profile, name, counts | {"messages": run.messages}, uj, by)
        for name, counts, uj, by in measured
        for profile in (DAVIES, SANAFE)
    )


def _lsnn(profile_name: str, name: str, counts: dict[str, float], measured: float, by: str) -> Case:
    """The estimate: from no update active to all; the range: that of the count which scmrl
    makes.
    """
    profile = profiles.load(profile_name)

    def uj(active: float) -> float:
        return core_uj(
            profile,
            synops=counts["synops"],
            active=active,
            inactive=counts["updates"] - active,
            spikes=counts["messages"],
            form="sparse",
        )

    figures = tuple(
        Figure(text, counts[key], "", "measured", f"counted by scmrl, {IMAGES} images, a mean")
        for key, text in (
            ("synops", "synaptic operations"),
            ("updates", "neuron updates"),
            ("active", "of them with non-zero state or input"),
            ("messages", "messages"),
        )
    )
    return Case(
        name,
        "LSNN",
        "Loihi 1",
        CORE,
        "uJ",
        profile_name,
        "complete",
        (uj(0), uj(counts["updates"])),
        printed(profile, (uj(counts["active"]),) * 2),
        measured,
        by,
        "which neuron updates Davies et al. call active",
        figures,
    )


def lsnn_readings(run: Run) -> dict[str, dict[str, float]]:
    """Energy of the LSNN in uJ by coefficient set and by what 'active' means: its widest
    uncertainty.
    """
    readings = {
        "none": 0.0,
        "receiving a spike": run.receiving,
        "non-zero state or input": run.nonzero,
        "all": float(run.updates),
    }
    return {
        name: {
            text: core_uj(
                profiles.load(name),
                synops=run.total_synops,
                active=active,
                inactive=run.updates - active,
                spikes=run.messages,
                form="sparse",
            )
            for text, active in readings.items()
        }
        for name in (DAVIES, SANAFE)
    }


def truenorth() -> Case:
    """The point of a sweep over firing rates that the profile's straight line was not fitted to."""
    profile = profiles.load("truenorth")
    rate = Figure("firing rate", 20.07, "Hz", "published", TRUENORTH)
    synapses = Figure("synapses", 1_048_576 * 128, "", "published", TRUENORTH)
    mw = profile.power["chip_fixed"].value + 1e-3 * core_uj(profile, synops=rate.low * synapses.low)
    return Case(
        "TrueNorth sweep, held-out point",
        "TrueNorth sweep",
        "TrueNorth",
        "power",
        "mW",
        "truenorth",
        "complete",
        (mw, mw),
        (None, None),
        71,
        f"measured, {TRUENORTH}",
        "nothing; the profile has no evidence for an error, so it prints no range",
        (rate, synapses),
    )


def leave_one_out(cases: Iterable[Case], *, by_network: bool) -> dict[str, tuple[Ends, bool]]:
    """For each core dynamic measurement of the default coefficients: the range it would have been
    given by the errors of the others alone, and whether that contains it. `by_network` leaves out
    its network's other measurement too.
    """
    tested = [
        c
        for c in cases
        if c.kind == "complete" and c.quantity == CORE and c.profile in (DAVIES, LOIHI_2)
    ]
    found = {}
    for case in tested:
        others = [
            c
            for c in tested
            if (c.network if by_network else c.name) != (case.network if by_network else case.name)
        ]
        if others:
            low, high = min(c.error[0] for c in others), max(c.error[1] for c in others)
            ends = case.estimate[0] / (1 + high), case.estimate[1] / (1 + low)
            found[case.name] = ends, ends[0] <= case.measured <= ends[1]
    return found


# ---- a count bounded -----------------------------------------------------------------------------


def quartz() -> tuple[Case, ...]:
    """Time-to-first-spike MNIST at five lengths: neurons from below, what the cores hold from
    above.
    """
    profile = profiles.load(DAVIES)
    neurons = Figure("neurons of 6c5-p-12c5-p-120c4-10", 5410, "", "derived", QUARTZ)
    cores = Figure("cores", 11, "", "published", QUARTZ)
    connections = Figure("connections", 230_064, "", "derived", QUARTZ)
    spikes = Figure("spikes a neuron", (0, 3), "", "published", QUARTZ)
    places = cores.low * profile.limits["neurons_per_core"].value
    cases = []
    for steps, us, mw in (
        (51, 96.0, 6.89),
        (91, 53.9, 9.29),
        (171, 28.8, 17.41),
        (331, 17.4, 24.14),
        (651, 13.3, 33.5),
    ):
        ends = (
            core_uj(profile, synops=spikes.low * connections.low, inactive=neurons.low * steps),
            core_uj(profile, synops=spikes.high * connections.low, active=places * steps),
        )
        length = Figure("steps", steps, "", "published", QUARTZ)
        cases.append(
            Case(
                f"Quartz MNIST, {steps} steps",
                "Quartz MNIST",
                "Loihi 1",
                CORE,
                "uJ",
                DAVIES,
                "bounded",
                ends,
                ends,
                mw * steps * us * 1e-3,
                f"measured, {QUARTZ}: {mw} mW, {us} us a step",
                "helper compartments of its neuron blocks: from none to as many as 11 cores hold",
                (neurons, cores, connections, spikes, length),
            )
        )
    return tuple(cases)


def nxtf_mnist() -> Case:
    """Total energy of a four-layer network, spikes from none to all neurons at every step."""
    profile = profiles.load(DAVIES)
    neurons = Figure("neurons", 4000, "", "published", f"{NXTF}, about")
    connections = Figure("connections", 341_000, "", "published", NXTF)
    steps = Figure("steps", 100, "", "published", NXTF)
    cores, ms = (
        Figure("cores", 14, "", "published", NXTF),
        Figure("latency", 6.65, "ms", "measured", NXTF),
    )
    updates = neurons.low * steps.low
    low, high = _beside_dynamic(profile, cores, 1, ms)
    ends = (
        low + core_uj(profile, synops=0, inactive=updates),
        high + core_uj(profile, synops=connections.low * steps.low, active=updates),
    )
    return Case(
        "NxTF MNIST",
        "NxTF MNIST",
        "Loihi 1",
        "total energy",
        "uJ",
        DAVIES,
        "bounded",
        ends,
        ends,
        660,
        f"measured, {NXTF}",
        "sizes of its layers; spikes: from none to one a neuron and step",
        (neurons, connections, steps, cores, ms),
    )


def _beside_dynamic(profile: Profile, cores: Figure, chips: int, ms: Figure) -> Ends:
    """Static energy of the cores used and energy of the host processors over that time, uJ
    (mW ms).
    """
    static, host = profile.power["core_static"], profile.power["host"]
    return (
        ms.low * (static.low * cores.low + host.low * chips),
        ms.high * (static.high * cores.high + host.high * chips),
    )


# ---- a floor -------------------------------------------------------------------------------------


def _floor(
    name: str,
    network: str,
    uj: float,
    measured: float,
    by: str,
    missing: str,
    figures: tuple[Figure, ...],
    *,
    quantity: str = CORE,
    unit: str = "uJ",
) -> Case:
    return Case(
        name,
        network,
        "Loihi 1",
        quantity,
        unit,
        DAVIES,
        "floor",
        (uj, None),
        (uj, None),
        measured,
        by,
        missing,
        figures,
    )


def _updates(neurons: Figure, steps: Figure) -> float:
    """uJ of updating so many neurons, all inactive, without a single synaptic operation."""
    return core_uj(profiles.load(DAVIES), synops=0, inactive=neurons.low * steps.low)


def nxtf_nmnist() -> Case:
    cores = Figure("cores", (10, 17), "", "published", f"{NXTF}: 17 with input cores")
    ms = Figure("latency", 6.46, "ms", "measured", NXTF)
    low, _ = _beside_dynamic(profiles.load(DAVIES), cores, 1, ms)
    return _floor(
        "NxTF N-MNIST",
        "NxTF N-MNIST",
        low,
        290,
        f"measured, {NXTF}",
        "steps and spikes: static and host alone",
        (cores, ms),
        quantity="total energy",
    )


def nxtf_cifar() -> Case:
    cores, ms = (
        Figure("cores", 861, "", "published", NXTF),
        Figure("latency", 340, "ms", "measured", NXTF),
    )
    low, _ = _beside_dynamic(profiles.load(DAVIES), cores, 7, ms)
    return _floor(
        "NxTF CIFAR-10 MobileNet",
        "NxTF MobileNet",
        low,
        102_000,
        f"measured, {NXTF}",
        "layers and spikes: static of 861 cores and host of 7 chips alone",
        (cores, ms),
        quantity="total energy",
    )


def ntidigits() -> Case:
    neurons = Figure("neurons", 754, "", "published", NTIDIGITS)
    steps = Figure("steps", 3000, "", "published", NTIDIGITS)
    return _floor(
        "NTIDIGITS, a copy",
        "NTIDIGITS",
        _updates(neurons, steps),
        576,
        f"measured, {NTIDIGITS}: 10.9 mW a copy",
        "spikes of its inputs: updates alone",
        (neurons, steps),
    )


def kws() -> Case:
    neurons = Figure("neurons of a layer", 256, "", "published", KWS)
    steps = Figure("steps", 10, "", "published", KWS)
    return _floor(
        "keyword spotting, slope a layer",
        "keyword spotting",
        _updates(neurons, steps),
        1.72,
        f"derived, {KWS}: 0 to 10 branches of ten layers",
        "firing rates: updates alone",
        (neurons, steps),
    )


def braille() -> tuple[Case, Case]:
    profile = profiles.load(DAVIES)
    neurons, steps = (
        Figure("neurons", 478, "", "published", BRAILLE),
        Figure("steps", 270, "", "published", BRAILLE),
    )
    cores = Figure("cores", 53, "", "published", BRAILLE)
    static = profile.power["core_static"]
    return (
        _floor(
            "Braille RSNN",
            "Braille",
            _updates(neurons, steps),
            132.4,
            f"measured, {BRAILLE}: dynamic, all of it",
            "its events: updates alone",
            (neurons, steps),
        ),
        Case(
            "Braille RSNN, static power",
            "Braille",
            "Loihi 1",
            "static power",
            "mW",
            DAVIES,
            "complete",
            (static.value * cores.low,) * 2,
            (static.low * cores.low, static.high * cores.low),
            89.1,
            f"measured, {BRAILLE}",
            "whether the probe counts the unused cores of the chip: the whole chip has "
            f"{profile.power['chip_static'].value:g} mW in the profile",
            (cores,),
        ),
    )


def gesture() -> Case:
    neurons = Figure("neurons", 17_654, "", "published", SANAFE_PAPER)
    step = Figure("steps", 1, "", "published", SANAFE_PAPER)
    return _floor(
        "DVS gesture, one step",
        "DVS gesture",
        _updates(neurons, step),
        1.0,
        f"published, {SANAFE_PAPER}: 1 to 4 uJ",
        "raw data of the plot, spikes: updates alone",
        (neurons, step),
    )


def ceolini() -> tuple[Case, ...]:
    steps = Figure("steps", 200, "", "published", CEOLINI)
    return tuple(
        _floor(
            f"Ceolini {name}",
            f"Ceolini {name}",
            _updates(neurons, steps),
            measured,
            f"published, {CEOLINI}",
            "its recordings (Zenodo 3228846) and one layer's weights: updates alone",
            (neurons, steps),
        )
        for name, neurons, measured in (
            ("EMG", Figure("neurons", 261, "", "published", CEOLINI), 173.2),
            ("DVS", Figure("neurons", 27_717, "", "derived", CEOLINI), 815.3),
        )
    )


# ---- measurements that made the coefficient ------------------------------------------------------


def fitted() -> tuple[Case, ...]:
    """Figures of the profiles' own sources: agreement shows that they were read right, and no
    more.
    """
    odin, loihi = profiles.load("odin"), profiles.load(DAVIES)
    static, host = loihi.power["core_static"], loihi.power["host"]

    def odin_at(mhz: float, sops: float, uw: float) -> Case:
        clock = Figure("clock", mhz, "MHz", "published", ODIN)
        rate = Figure("synaptic operations a second", sops, "1/s", "published", ODIN)
        estimate = 27.3 + 1.78 * mhz + core_uj(odin, synops=sops)
        return Case(
            f"ODIN at {mhz:g} MHz",
            "ODIN",
            "ODIN",
            "power",
            "uW",
            "odin",
            "fitted",
            (estimate,) * 2,
            (None, None),
            uw,
            f"measured, {ODIN}: the paper of the formula",
            "nothing",
            (clock, rate),
        )

    def power(
        name: str, quantity: str, per: object, number: int, what: str, mw: float, source: str
    ) -> Case:
        figure = Figure(what, number, "", "published", source)
        return Case(
            f"{name}, {quantity}",
            name,
            "Loihi 1",
            quantity,
            "mW",
            DAVIES,
            "fitted",
            (per.value * number,) * 2,
            (per.low * number, per.high * number),
            mw,
            f"measured, {source}",
            "nothing",
            (figure,),
        )

    return (
        odin_at(75, 37.5e6, 477),
        odin_at(1.3, 650e3, 35),
        power("sMNIST LSNN", "static power", static, 2, "cores", 1.006, LSNN),
        power("Quartz MNIST", "static power", static, 11, "cores", 5.08, QUARTZ),
        power("Quartz CIFAR-10", "static power", static, 1753, "cores", 1271.8, QUARTZ),
        power("Quartz MNIST", "host power", host, 1, "chips", 22.6, QUARTZ),
        power(
            "RelNet",
            "host power",
            host,
            22,
            "chips",
            407,
            "RelNet notebook, intel-nrc-ecosystem/models",
        ),
    )
