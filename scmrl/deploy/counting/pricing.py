"""What a counted network costs: at 45 nm as papers have it, and on the chips whose rules admit it.

    energy  = AC * e_ac + MAC * e_mac          where a profile prices arithmetic (0.9 and 4.6 pJ at
              45 nm, Horowitz 2014)
            = AC * e_synop + MAC * e_synop_graded    on a chip
    updates = neuron updates * e_neuron        from "all have nothing to do" to "all are active",
              apart, since papers leave them out

Nothing else is in it: no messages, memory, static or host power, which `scmrl energy` has for a
network that is placed on a chip. What a profile does not publish is None, and `why_not` says what.

A chip admits what its rules let pass, as far as a run shows them: messages of `input_bits` bits
and the number of neurons; and no chip has a synapse between two streams, so none takes attention by
products. What a run does not show, cores, memory and fan-out, `scmrl place` checks of a network of
scmrl.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...core.report.text import figure
from ...hw_profiles.limits import most_chips
from ...hw_profiles.profile import Profile
from .found import ADD, NORM, PRODUCT, Found, Layer

PJ_TO_UJ = 1e-6


@dataclass(frozen=True)
class Price:
    """uJ per sample; `admitted` is None where a profile states no rule."""

    title: str
    admitted: bool | None
    why_not: tuple[str, ...]
    operations_uj: float | None
    updates_uj: tuple[float, float] | None
    as_spikes_uj: float | None
    not_published: tuple[str, ...]


def uj(profile: Profile, acs: float, macs: float) -> float | None:
    """Energy of that many operations; None where the profile has none for them."""
    ac, mac = _coefficients(profile)
    if (acs and ac is None) or (macs and mac is None):
        return None
    return PJ_TO_UJ * (acs * (ac or 0.0) + macs * (mac or 0.0))


def price(found: Found, profile: Profile) -> Price:
    """What a network costs by a profile, or why it does not."""
    acs, macs = (sum(getattr(layer, name) for layer in found.layers) for name in ("acs", "macs"))
    why = tuple(_refusals(found, profile))
    energy = None if why else uj(profile, acs, macs)
    sent = [layer for layer in found.layers if layer.macs and layer.unary_acs]
    unary = None if why else _as_spikes(found, profile)
    return Price(
        profile.title,
        not why if profile.limits else None,
        why,
        energy,
        None if why else _updates(found, profile),
        unary if sent else energy,
        () if why else tuple(_missing(profile, acs, macs)),
    )


def _coefficients(profile: Profile) -> tuple[float | None, float | None]:
    """pJ of an addition and of a multiplication with one."""
    e = profile.energy
    if "ac" in e:
        return e["ac"].value, e["mac"].value if "mac" in e else None
    synop = e["synop"].value if "synop" in e else None
    return synop, e["synop_graded"].value if "synop_graded" in e else synop


def _as_spikes(found: Found, profile: Profile) -> float | None:
    """Energy if every integer k came as k spikes."""
    acs = sum(layer.unary_acs for layer in found.layers)
    return uj(profile, acs, sum(layer.macs for layer in found.layers if not layer.unary_acs))


def _updates(found: Found, profile: Profile) -> tuple[float, float] | None:
    """Energy if no neuron, and if every neuron has something to do at every step."""
    names, e = ("neuron_inactive", "neuron_active"), profile.energy
    if any(name not in e for name in names):
        return None
    updates = sum(neurons.updates for neurons in found.neurons)
    low, high = sorted(PJ_TO_UJ * updates * e[name].value for name in names)
    return low, high


def _missing(profile: Profile, acs: float, macs: float) -> Iterator[str]:
    ac, mac = _coefficients(profile)
    if acs and ac is None:
        yield "no energy of an addition is published"
    if macs and mac is None:
        yield "no energy of a multiplication is published"


def _refusals(found: Found, profile: Profile) -> Iterator[str]:
    """Why a chip does not take the network; nothing where it states no rules."""
    if not profile.limits:
        return
    streams = [layer for layer in found.layers if len(layer.reads) == 2 and layer.kind != ADD]
    if streams:
        yield f"no synapse multiplies two streams: {_named(streams)}"
    norms = [layer for layer in found.layers if layer.kind == NORM and not layer.folded]
    if norms:
        yield f"batch norm that folds into no weights: {_named(norms)}"
    yield from _messages(found, profile)
    yield from _sizes(found, profile)


def _messages(found: Found, profile: Profile) -> Iterator[str]:
    """Numbers that do not fit a message."""
    limit = profile.limits.get("input_bits")
    if limit is None:
        return
    largest = (1 << int(limit.value)) - 1
    wide = [
        layer
        for layer in found.layers
        if layer.kind == PRODUCT
        and (layer.largest is not None and layer.largest > largest or largest == 1)
        and not layer.reads_spikes
    ]
    if wide:
        what = "spikes only" if largest == 1 else f"integers up to {largest}"
        yield f"takes {what}, and {_named(wide)} read {_what(wide[0])}"


def _sizes(found: Found, profile: Profile) -> Iterator[str]:
    neurons = sum(each.neurons for each in found.neurons)
    for name, value in (("neurons_per_chip", neurons), ("hidden_neurons", neurons)):
        if name in profile.limits:
            chips = most_chips(profile) if name == "neurons_per_chip" else 1
            limit = int(profile.limits[name].value) * chips
            if value > limit:
                yield f"{name.replace('_', ' ')}: {figure(neurons)} neurons, limit {limit:,}"


def _what(layer: Layer) -> str:
    return "values" if layer.largest is None else f"integers up to {layer.largest}"


def _named(layers: list[Layer]) -> str:
    """The first of some layers, and how many more."""
    more = f" and {len(layers) - 1} more" if len(layers) > 1 else ""
    return f"{layers[0].name}{more}"
