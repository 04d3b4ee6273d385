"""The standard error of what `count` counts: the module runs once more, on groups of the samples.

Each group runs on a copy of the module as it was before, since modules keep state; see
`scmrl.deploy.counts.sampling`. Where that cannot be had, `SampledCount.unknown` says why.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...hw_profiles.profile import Profile
from ...system.errors import ScmrlError
from ..counts.sampling import groups, of_each
from .found import Found, as_in
from .pricing import price
from .report import TOTALLED, SampledCount, totals

if TYPE_CHECKING:
    import torch

ONE = "one sample alone has no standard error"


def copied(net: torch.nn.Module, samples: int) -> torch.nn.Module | str:
    """The module as it is, or why there is no copy of it."""
    if samples < 2:
        return ONE
    try:
        return copy.deepcopy(net)
    except Exception as error:  # a user's module may hold anything
        return f"the module cannot be copied ({type(error).__name__})"


def sampled(
    fresh: torch.nn.Module | str,
    watched: Callable[[torch.nn.Module, Mapping[str, torch.Tensor], int], Found],
    arguments: Mapping[str, torch.Tensor],
    axis: int,
    whole: Found,
    profiles: Sequence[Profile],
    papers: Profile,
) -> SampledCount:
    """Run each group of the samples, along `axis` of the arguments, on a copy of its own."""
    if isinstance(fresh, str):
        return SampledCount(unknown=fresh)
    samples = next(iter(arguments.values())).shape[axis]
    drawn = groups(samples)
    try:
        parts = [
            as_in(whole, watched(copy.deepcopy(fresh), _taken(arguments, axis, part), len(part)))
            for part in drawn
        ]
    except ScmrlError as error:
        return SampledCount(unknown=f"the module does not run on fewer samples: {error}")
    sizes = [len(part) for part in drawn]
    sums = [totals(part, papers, 0) for part in parts]
    tables = [{name: getattr(each, name) for name in TOTALLED} for each in sums]
    prices = [{p.name: price(part, p).operations_uj for p in profiles} for part in parts]
    return SampledCount(of_each(tables, sizes), of_each(prices, sizes))


def _taken(
    arguments: Mapping[str, torch.Tensor], axis: int, part: np.ndarray
) -> dict[str, torch.Tensor]:
    """Those samples of every argument."""
    import torch

    chosen = torch.from_numpy(part)
    return {n: x.index_select(axis, chosen.to(x.device)) for n, x in arguments.items()}
