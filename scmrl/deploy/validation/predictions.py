"""Predictions written down before the measurement was looked up, and the measurements after it.

`predictions.toml` holds of every network what is public of it, the counts that follow, and what the
estimator of that day made of them. `sha256` is the hash of the whole row without it; a measurement
in `measurements.toml` names the hash of the prediction that it was held against, so a row that is
edited afterwards is refused. That the prediction came first, the history of the repository shows:
the commit that adds a measurement is later than the one that adds its prediction.

    core dynamic   operations * energies, at both ends of the counts, in the range that scmrl prints
    step           max(bound of the busiest core, floor of a step), over the floor's range
    latency        (T + depth) * step
    static         power of a used core * cores, of a chip where the profile has none of a core
    total          core dynamic + (static + host + fixed) * latency

`estimated` makes the same of a row with the estimator of today: once a measurement is known that is
a recomputation, no longer a prediction.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...hw_profiles import profile as profiles
from ...hw_profiles.profile import Profile
from ...system.errors import DataError
from ...system.reading import read_toml
from ..energy.energy import dynamic_uj, priced_uj

FOLDER = Path(__file__).parent
ENDS = ("low", "value", "high")
US_TO_MS = NS_TO_US = NJ_TO_UJ = 1e-3
CORE, STEP, LATENCY = "core dynamic energy, uJ", "time of a step, us", "latency, ms"
STATIC, CHIP, HOST = "static power, mW", "static power of the chip, mW", "host power, mW"
TOTAL, WHOLE = "total energy, uJ", "total energy with the whole chip, uJ"
CORE_POWER, ALL_POWER = "core dynamic power, mW", "total power, mW"
POWER, DYNAMIC = "dynamic power with the host, mW", "dynamic energy with the host, uJ"
Interval = tuple[float, float, float]  # low, value, high


@dataclass(frozen=True)
class Prediction:
    """A row of `predictions.toml`: counts as (low, high), `intervals` by quantity as written then.

    `network` names what rows share that are not independent; `busiest` is, of the
    busiest core in a step, its synaptic operations as (low, high) and its updates.
    """

    name: str
    network: str
    chip: str
    profile: str
    estimator: str
    specification: str
    source: str
    derivation: str
    steps: int
    depth: int
    chips: int
    cores: tuple[int, int]
    synops: tuple[float, float]
    updates: tuple[float, float]
    busiest: tuple[float, float, float]
    format: str
    intervals: dict[str, Interval]
    sha256: str


@dataclass(frozen=True)
class Outcome:
    """A measurement of a predicted quantity. `blind`: whether it was unknown when predicted; else
    `note` says how it was known.
    """

    prediction: Prediction
    quantity: str
    measured: float
    source: str
    note: str
    blind: bool

    @property
    def interval(self) -> Interval:
        return self.prediction.intervals[self.quantity]

    @property
    def inside(self) -> bool:
        low, _, high = self.interval
        return low <= self.measured <= high


def digest(row: Mapping[str, object]) -> str:
    """SHA-256 of what a row says, without its own hash: JSON with sorted keys, no blanks, UTF-8."""
    content = {key: value for key, value in row.items() if key != "sha256"}
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def predictions(path: Path = FOLDER / "predictions.toml") -> tuple[Prediction, ...]:
    """Every prediction. Raises `DataError` where one is not what its hash was made of."""
    return tuple(_prediction(row, path) for row in read_toml(path).get("prediction", []))


def _prediction(row: dict, path: Path) -> Prediction:
    if digest(row) != row["sha256"]:
        raise DataError(
            f"prediction {row['name']!r} is not what was committed",
            where=path.name,
            value=digest(row),
            limit=row["sha256"],
            fix="restore the row from the history: a prediction is never edited",
        )
    fields: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in row.items()}
    return Prediction(**fields)


def outcomes(path: Path = FOLDER / "measurements.toml") -> tuple[Outcome, ...]:
    """Every measurement beside its prediction. Raises `DataError` where it was held against another
    one than stands there now, or against none.
    """
    known = {p.name: p for p in predictions()}
    found = []
    for row in read_toml(path).get("measured", []):
        prediction = known.get(row["prediction"])
        if prediction is None or prediction.sha256 != row["sha256"]:
            raise DataError(
                f"the measurement of {row['prediction']!r} was held against another prediction",
                where=path.name,
                value=prediction and prediction.sha256,
                limit=row["sha256"],
                fix="restore the prediction from the history",
            )
        each = row["quantities"].items()
        found += [
            Outcome(prediction, quantity, value, row["source"], row["note"], row["blind"])
            for quantity, value in each
        ]
    return tuple(found)


def apart(path: Path = FOLDER / "measurements.toml") -> dict[str, str]:
    """Of predictions without a measurement by name: what was found instead, or that nothing was."""
    return {row["prediction"]: row["what"] for row in read_toml(path).get("apart", [])}


def refused(path: Path = FOLDER / "measurements.toml") -> dict[str, str]:
    """Published measurements that were no candidates, and why."""
    return dict(read_toml(path).get("refused", {}))


# ---- what the estimator makes of a row -----------------------------------------------------------


def estimated(row: Prediction, coefficients: Profile | None = None) -> dict[str, Interval]:
    """Every quantity that the profile (or other `coefficients`) gives, as low, value, high."""
    profile = coefficients or profiles.load(row.profile)
    energy = _core(row, profile)
    found = {CORE: energy}
    if "step_floor" not in profile.time:
        return {name: _rounded(ends) for name, ends in found.items()}
    step = _step(row, profile)
    low, value, high = (US_TO_MS * (row.steps + row.depth) * us for us in step)
    latency = low, value, high
    cores = (row.cores[0], sum(row.cores) / 2, row.cores[1])
    chips = (row.chips,) * 3
    host = _added(_power(profile, "host", chips), _power(profile, "chip_fixed", chips))
    chip, core = _power(profile, "chip_static", chips), _power(profile, "core_static", cores)
    core = core if "core_static" in profile.power else chip
    found |= {STEP: step, LATENCY: latency, HOST: host, STATIC: core, CHIP: chip}
    power = energy[0] / latency[2], energy[1] / latency[1], energy[2] / latency[0]
    found[CORE_POWER] = power
    found[POWER] = _added(power, host)
    found[ALL_POWER] = _added(power, host, core)
    found[DYNAMIC] = _sum(energy, (host,), latency)
    found[TOTAL] = _sum(energy, (host, core), latency)
    found[WHOLE] = _sum(energy, (host, chip), latency)
    return {name: _rounded(ends) for name, ends in found.items()}


def _core(row: Prediction, profile: Profile) -> Interval:
    least, most = (
        priced_uj(profile, dynamic_uj(profile, synops={row.format: synops}, **{kind: updates}))
        for synops, updates, kind in zip(row.synops, row.updates, ("inactive", "active"))
    )
    low, high = least, most
    if error := profile.error:
        low = least / (1 + error["core_dynamic_high"].value)
        high = most / (1 + error["core_dynamic_low"].value)
    return low, (least * most) ** 0.5, high


def _step(row: Prediction, profile: Profile) -> Interval:
    least, most, neurons = row.busiest

    def at(end: str, synops: float) -> float:
        time = {name: getattr(quantity, end) for name, quantity in profile.time.items()}
        ns = time["barrier"] + synops * time["synop"] + neurons * time["neuron_inactive"]
        return max(NS_TO_US * ns, time["step_floor"])

    return at("low", least), at("value", (least + most) / 2), at("high", most)


def _power(profile: Profile, name: str, number: tuple[float, float, float]) -> Interval:
    if name not in profile.power:
        return 0.0, 0.0, 0.0
    low, value, high = (getattr(profile.power[name], end) * n for end, n in zip(ENDS, number))
    return low, value, high


def _added(*powers: Interval) -> Interval:
    low, value, high = (sum(ends) for ends in zip(*powers))
    return low, value, high


def _sum(energy: Interval, powers: tuple[Interval, ...], latency: Interval) -> Interval:
    """uJ of the operations and of mW over ms, end by end."""
    low, value, high = (
        energy[i] + sum(power[i] for power in powers) * latency[i] for i in range(3)
    )
    return low, value, high


def _rounded(ends: tuple[float, ...]) -> Interval:
    """To four digits: as a prediction is written down."""
    low, value, high = (float(f"{number:.4g}") for number in ends)
    return low, value, high
