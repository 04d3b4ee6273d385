"""`count`: run a torch module once, and say what it did and costs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...hw_profiles import profile as profiles
from ...hw_profiles.profile import Profile
from ...system import dependencies, usercode
from ...system.errors import DataError, UsageError
from ...system.reading import read_arrays

if TYPE_CHECKING:
    import torch

    from .found import Found
    from .report import CountReport

Given = Any  # an array or a tensor, {argument: array}, or an npz file of them
WHAT = "a torch module, or a function that makes one,"
LABELS = "y"


def count(
    module: torch.nn.Module | str,
    inputs: Given,
    *,
    batch_axis: int = 0,
    chips: str | Sequence[str] = "all",
    page: Path | None = None,
) -> CountReport:
    """Operations and energy per sample of a torch spiking network of any library: a module, or
    "FILE.py:NAME" of one or of a function that makes it. It runs once on `inputs` as it stands, in
    evaluation mode, without gradients; a state that it keeps is yours to reset. Copies of it run on
    groups of the samples, for the standard errors.

    `inputs`: an array, {argument: array}, or an npz file of x or of arguments by name, with the
    samples along `batch_axis` (0; 1 for [T, N, ...]). Floats and integers become the module's
    floating type; integers stay where it has an embedding. `chips`: names of `scmrl.profiles`,
    files, or "all"; `page`: an HTML file to write. Raises UsageError for code that fails, or gives
    no spikes, DataError for inputs that are not its arguments.

    >>> from torch import nn, ones
    >>> class Fire(nn.Module):
    ...     def forward(self, x):
    ...         return (x > 1).float()
    >>> net = nn.Sequential(nn.Linear(4, 3, bias=False), Fire(), nn.Linear(3, 2))
    >>> report = scmrl.count(net, ones(2, 4))
    >>> report.samples, report.totals.acs >= 12
    (2, True)
    """
    from .sampled import copied, sampled

    torch = dependencies.require("torch", "counting the operations of torch networks")
    priced = [profiles.load(chip) for chip in _chip_names(chips)]
    net, name, code = _module(torch, module)
    arguments = _arguments(torch, net, inputs)
    samples = _samples(arguments, batch_axis)
    fresh = copied(net, samples)
    found = _watched(code, net, arguments, samples)
    if not found.neurons and not found.not_counted:
        what = "no layer of it gives spikes: nothing compares with a threshold"
        raise UsageError(what, where=name, fix="scmrl counts networks that pass spikes along")
    report = _report(net, name, found, priced, samples, batch_axis, arguments)
    watched = partial(_watched, code)
    errors = sampled(fresh, watched, arguments, batch_axis, found, priced, report.papers)
    report = replace(report, over_samples=errors)
    if page is not None:
        from ...core.report import html

        html.save(page, report)
    return report


def _chip_names(chips: str | Sequence[str]) -> list[str]:
    """Profiles by name, each once; "all" is every one that prices operations or has limits."""
    names = [chips] if isinstance(chips, str) else list(chips)
    known = map(profiles.load, profiles.names() if "all" in names else ())
    every = [chip.name for chip in known if "synop" in chip.energy or chip.limits]
    return list(dict.fromkeys([*(name for name in names if name != "all"), *every]))


def _module(torch: Any, module: Any) -> tuple[torch.nn.Module, str, Callable[..., Any]]:
    """The module, its name, and the function whose file is the user's."""
    if isinstance(module, torch.nn.Module):
        return module, f"{type(module).__name__} in memory", type(module).forward
    if not isinstance(module, str):
        raise UsageError(f"{WHAT} is needed", value=type(module).__name__)
    made = usercode.load(module, WHAT)
    if isinstance(made, torch.nn.Module):
        return made, module, type(made).forward
    net = usercode.call(made, what=module.rpartition(":")[2])
    if not isinstance(net, torch.nn.Module):
        what = "must give a torch module"
        raise UsageError(what, where=usercode.place(made), value=type(net).__name__)
    return net, module, made


def _arguments(torch: Any, net: torch.nn.Module, inputs: Given) -> dict[str, torch.Tensor]:
    """Tensors by argument. Raises DataError for what `forward` does not take."""
    where = str(inputs) if isinstance(inputs, (str, Path)) else "inputs"
    if isinstance(inputs, (str, Path)):
        inputs = read_arrays(inputs, error=DataError)
    given = dict(inputs) if isinstance(inputs, Mapping) else {"x": inputs}
    taken = inspect.signature(net.forward).parameters
    given = {n: x for n, x in given.items() if n != LABELS or n in taken}
    if not given:
        raise DataError("no array to run on", where=where, fix="give x, or arguments by name")
    if [*given] == ["x"] and "x" not in taken:
        given = {next(iter(taken), "x"): given["x"]}
    unknown, needed = given.keys() - taken.keys(), [n for n, p in taken.items() if _needed(p)]
    if unknown and not any(p.kind is p.VAR_KEYWORD for p in taken.values()):
        raise DataError(
            "no argument of forward", where=where, limit=", ".join(taken), value=min(unknown)
        )
    if missing := [n for n in needed if n not in given]:
        raise DataError("an argument of forward is missing", where=where, value=missing[0])
    return {name: _tensor(torch, net, x, f"{where}: {name}") for name, x in given.items()}


def _needed(parameter: inspect.Parameter) -> bool:
    kinds = (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    return parameter.default is parameter.empty and parameter.kind not in kinds


def _tensor(torch: Any, net: torch.nn.Module, x: Any, where: str) -> torch.Tensor:
    """An array as the module takes it: a tensor stays as it is."""
    if isinstance(x, torch.Tensor):
        found = x
    else:
        array = np.asarray(x)
        if array.dtype.kind not in "biuf":
            raise DataError("no array of numbers", where=where, value=array.dtype)
        floats = next((p for p in net.parameters() if p.is_floating_point()), torch.zeros(()))
        looks_up = any(isinstance(part, torch.nn.Embedding) for part in net.modules())
        kind = torch.int64 if looks_up and array.dtype.kind in "iu" else floats.dtype
        found = torch.from_numpy(np.ascontiguousarray(array)).to(floats.device, kind)
    if found.is_floating_point() and not bool(torch.isfinite(found).all()):
        raise DataError("must be finite numbers", where=where)
    return found


def _samples(arguments: Mapping[str, torch.Tensor], axis: int) -> int:
    """How many samples there are along `axis`."""
    sizes = {}
    for name, x in arguments.items():
        if not 0 <= axis < x.dim():
            limit = f"0..{x.dim() - 1}, the axes of {name}"
            raise UsageError("no such axis", where="--batch-axis", limit=limit, value=axis)
        sizes[name] = x.shape[axis]
    if len(set(sizes.values())) > 1 or not min(sizes.values()):
        what = "every argument needs the same number of samples, one or more"
        raise DataError(what, where=f"axis {axis}", value=sizes)
    return min(sizes.values())


def _watched(
    code: Callable[..., Any],
    net: torch.nn.Module,
    arguments: Mapping[str, torch.Tensor],
    samples: int,
) -> Found:
    """One run, and what was seen of it."""
    from .layers import interpret
    from .seeing import Watch

    shapes = ", ".join(f"{name} {list(x.shape)}" for name, x in arguments.items())
    with usercode.within(code, f"the module, given {shapes},"):
        watch = Watch(net, list(arguments.values()))
        with watch.watching(net) as run:
            net(**arguments)
    return interpret(run, samples, {name: p.numel() for name, p in net.named_parameters()})


def _report(
    net: torch.nn.Module,
    name: str,
    found: Found,
    priced: Sequence[Profile],
    samples: int,
    batch_axis: int,
    arguments: Mapping[str, torch.Tensor],
) -> CountReport:
    from .pricing import price
    from .report import PAPERS, CountReport, totals

    papers = profiles.load(PAPERS)
    parameters = sum(p.numel() for p in net.parameters())
    return CountReport(
        name,
        samples,
        batch_axis,
        {n: tuple(x.shape) for n, x in arguments.items()},
        totals(found, papers, parameters),
        found.layers,
        found.neurons,
        found.not_counted,
        {profile.name: price(found, profile) for profile in priced},
        papers,
    )
