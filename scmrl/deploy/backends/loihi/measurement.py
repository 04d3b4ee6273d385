"""Means over a measured run on a board -> what an inference takes. Numbers only, no Lava."""

from __future__ import annotations

from ....convert.lava.network import LavaNetwork
from ....core.activity import Measurement


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
        value = values.get(name)
        return None if value is None else value / inferences

    cores = values.get("cores")
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
        cores=None if cores is None else int(cores),
        synops=each("synops"),
        updates=each("updates"),
    )
