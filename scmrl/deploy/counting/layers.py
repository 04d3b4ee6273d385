"""What was seen of a run, as layers, neurons, and what could not be counted; means per sample.

A neuron is told by what it does: it compares a stream with a threshold, and gives spikes. The
module in which that happens, with what only serves it (a surrogate), is the neuron; the sums inside
are its own and no layers. Where a neuron is written out in the code of a larger module, the
comparison stands for it, and what is added there counts where both sides are spikes or integers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from . import rules
from .found import BINARY, INTEGERS, SPIKES, Found, Layer, Neurons, NotCounted
from .seeing import Part, Run, Site
from .stream import Seen


def interpret(run: Run, samples: int, sizes: dict[str, int]) -> Found:
    """What a run of that many samples was; `sizes`: numbers of each parameter by name."""
    whole = set(_neuron_modules(run))
    closed = {p for p in whole if not run.parts[p].products}
    sites = [s for s in run.sites.values() if s.calls and _is_layer(run, s, closed)]
    names = _named(sites)
    layers = tuple(_layer(site, name, samples, sizes) for site, name in zip(sites, names))
    neurons = (*_of_modules(run, whole, samples), *_of_places(run, whole, samples))
    fail = {key: n for key, n in run.aside.items() if not _within(key[0], closed)} | run.unknown
    lost = [NotCounted(where or "forward", what, n) for (where, what), n in fail.items()]
    return Found(layers, neurons, (*lost, *_never_reached(run, sizes)))


def _parent(path: str) -> str:
    return path.rpartition(".")[0]


def _within(path: str, places: set[str]) -> bool:
    """Whether a module is one of `places` or lies in one."""
    while path and path not in places:
        path = _parent(path)
    return path in places


def _neuron_modules(run: Run) -> Iterator[str]:
    """Modules that are neurons."""
    for part in run.parts.values():
        if not part.direct:
            continue
        if part.products:
            if (
                part.path
                and part.out.unit is not None
                and part.out.numbers == part.units * part.calls
            ):
                yield part.path  # recurrent: its own product is a layer, all else is the neuron
            continue
        while part.path and _serves(run, run.parts[_parent(part.path)]):
            part = run.parts[_parent(part.path)]
        if part.out.unit is not None and part.out.numbers:
            yield part.path


def _serves(run: Run, part: Part) -> bool:
    """Whether the module around a comparison belongs to the neuron: it calculates, has no product,
    and holds one comparison alone.
    """
    if not (part.thresholds and part.arithmetic) or part.products:
        return False
    return sum(p.direct and _within(p.path, {part.path}) for p in run.parts.values()) == 1


def _is_layer(run: Run, site: Site, closed: set[str]) -> bool:
    """Whether a site is a layer, and no part of a neuron."""
    if _within(site.path, closed):
        return False
    if site.rule in (rules.ADD, rules.GATE) and run.parts[site.path].direct:
        return all(seen.kind in (SPIKES, INTEGERS) for seen in site.streams)
    return True


def _named(sites: list[Site]) -> list[str]:
    """The module's name where it is one thing, else with what it is, numbered."""
    in_module = Counter(site.path for site in sites)
    alike = Counter((site.path, site.rule) for site in sites)
    so_far: Counter[tuple[str, str]] = Counter()
    names = []
    for site in sites:
        so_far[site.path, site.rule] += 1
        if site.path and in_module[site.path] == 1 and site.rule not in (rules.ADD, rules.GATE):
            names.append(site.path)
            continue
        number = so_far[site.path, site.rule] if alike[site.path, site.rule] > 1 else ""
        names.append(f"{site.path}.{site.rule}{number}".lstrip("."))
    return names


def _layer(site: Site, name: str, samples: int, sizes: dict[str, int]) -> Layer:
    first, links = site.streams[0], [seen.kind in BINARY for seen in site.streams]
    acs = macs = gates = 0
    if site.rule == rules.PRODUCT:
        acs, macs = (site.done, 0) if any(links) else (0, site.done)
    elif site.rule in (rules.POOL, rules.SUM, rules.ADD):
        acs = site.done
    elif site.rule == rules.GATE:
        gates, macs = (site.done, 0) if any(links) else (0, site.done)
    elif site.rule == rules.NORM and not site.folded:
        macs = site.done
    unary = float(acs)
    if macs and len(site.streams) == 1 and first.kind == INTEGERS and first.unit:
        unary = site.unary / first.unit
    return Layer(
        name,
        site.rule,
        site.shape,
        tuple(seen.kind for seen in site.streams),
        first.largest,
        first.rate,
        first.nonzero / samples,
        acs / samples,
        macs / samples,
        gates / samples,
        site.dense / samples,
        unary / samples,
        site.result.kind,
        site.result.largest,
        site.folded,
        sum(sizes[weight] for weight in site.weights),
        site.code,
    )


def _of_modules(run: Run, modules: set[str], samples: int) -> Iterator[Neurons]:
    for path, part in run.parts.items():
        if path in modules:
            yield _neurons(path or "forward", part.kind, part.units, part.out, samples)


def _of_places(run: Run, modules: set[str], samples: int) -> Iterator[Neurons]:
    """Neurons that are written out in a module, by the comparisons that become spikes."""
    for path, code, units, seen in run.fires.values():
        if not _within(path, modules) and seen.unit is not None:
            name = f"{path}.neurons" if path else "neurons"
            yield _neurons(f"{name} ({code})", "written out", units, seen, samples)


def _neurons(name: str, kind: str, units: int, out: Seen, samples: int) -> Neurons:
    updates = out.numbers / samples
    return Neurons(
        name,
        kind,
        min(units / samples, updates),
        updates,
        out.nonzero / samples,
        out.rate,
        out.kind,
        out.largest,
    )


def _never_reached(run: Run, sizes: dict[str, int]) -> Iterator[NotCounted]:
    """Modules with parameters of their own that nothing called and nothing used."""
    used = {weight for site in run.sites.values() for weight in site.weights}
    owners: dict[str, set[str]] = {}
    for weight in sizes:
        owners.setdefault(_parent(weight), set()).add(weight)
    for path, weights in owners.items():
        if not run.parts[path].calls and not weights & used:
            yield NotCounted(path, f"{run.parts[path].kind} that was never reached", 0)
