"""What a board's own instruments measured, in the fields of an energy estimate. Numbers only, no
Lava.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from ....convert.lava.network import LavaNetwork


@dataclass(frozen=True)
class Measurement:
    """What Lava's profiler measured on a board, per inference, in the fields of an energy estimate.

    Powers in W, energies in uJ, times in us; None where it was not asked for or not delivered. The
    chip runs samples back to back: an inference is one window of `window` steps.
    """

    chip: str
    board: str
    versions: str
    steps: int  # T
    window: int
    depth: int
    measured_steps: int
    us_per_step: float | None = None
    latency_us: float | None = None  # (T + depth) steps
    core_dynamic_uj: float | None = None
    core_static_uj: float | None = None
    total_uj: float | None = None
    power_w: dict[str, float] | None = (
        None  # total, static, dynamic, and the rails vdd, vddm, vddio
    )
    cores: int | None = None
    synops: float | None = None
    updates: float | None = None
    basis: str = (
        "measured by Lava's profiler: power and time in runs of their own, inputs sent by the host "
        "at every step, nothing read back; power of all chips of the board"
    )

    def facts(self) -> dict[str, str]:
        """What was measured, in words."""
        names = (
            "us_per_step",
            "latency_us",
            "core_dynamic_uj",
            "core_static_uj",
            "total_uj",
            "cores",
            "synops",
            "updates",
        )
        shown = {name: getattr(self, name) for name in names}
        shown |= {f"power {name} W": watts for name, watts in (self.power_w or {}).items()}
        values = ", ".join(
            f"{name} {value:.4g}" for name, value in shown.items() if value is not None
        )
        return {
            "MEASURED": f"{values}; per inference, on {self.board}, {self.measured_steps} steps",
            "how": self.basis,
        }

    def to_json(self) -> dict:
        return asdict(self) | {"kind": "measured"}


def measurement(
    values: dict[str, float | None],
    *,
    steps: int,
    network: LavaNetwork,
    measured_steps: int,
    board: str,
    versions: str,
) -> Measurement:
    """Per inference, from means over a run: W times us is uJ.

    `values`: us_per_step, the powers total, static, vdd, vddm, vddio in W, and of the whole run
    cores, synops and updates; None where unknown.
    """
    us, total, static = (values.get(name) for name in ("us_per_step", "total", "static"))
    inference_us = None if us is None else us * network.steps
    inferences = measured_steps / network.steps

    def energy(power: float | None) -> float | None:
        return None if power is None or inference_us is None else power * inference_us

    def each(name: str) -> float | None:
        return None if values.get(name) is None else values[name] / inferences

    dynamic = None if total is None or static is None else total - static
    power = {name: values.get(name) for name in ("total", "static", "vdd", "vddm", "vddio")}
    power["dynamic"] = dynamic
    return Measurement(
        chip="Loihi 2",
        board=board,
        versions=versions,
        steps=steps,
        window=network.steps,
        depth=network.depth,
        measured_steps=measured_steps,
        us_per_step=us,
        latency_us=None if us is None else us * (steps + network.depth),
        core_dynamic_uj=energy(dynamic),
        core_static_uj=energy(static),
        total_uj=energy(total),
        power_w={name: watts for name, watts in power.items() if watts is not None} or None,
        cores=values.get("cores"),
        synops=each("synops"),
        updates=each("updates"),
    )
