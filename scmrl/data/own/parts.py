"""Training, validation and test part of the user's samples.

A part that is not given is drawn from the training samples: whole groups (a sample without a group
is one by itself) in random order, g_c samples of class c, g in all. One is taken where it brings
the part, n_c of N_c samples so far, nearer to its share of every class,

    sum over c of |n_c + g_c - share N_c|               becomes smaller;

then, in a second round, where that and |n + g - share N| together become smaller, so that many
small classes are not all rounded to nothing; never the last group of a class. So each class is
alike in all parts to one sample, but for groups, and what was held out never meets training.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from ...system.errors import DataError, UsageError

PARTS = ("train", "validation", "test")


def parted(
    labels: np.ndarray,
    given: np.ndarray | None,
    group: np.ndarray | None,
    shares: Mapping[str, float],
    seed: int,
    classes: Sequence[str],
) -> np.ndarray:
    """The part of each sample [S], of classes `labels` int64 [S]. See `OwnData.split`."""
    for name, share in shares.items():
        if not (isinstance(share, (int, float)) and math.isfinite(share) and 0 <= share < 1):
            raise UsageError("a share of the samples", where=name, limit="0 to 1", value=share)
    if sum(shares.values()) >= 1:
        value = " + ".join(f"{share:g}" for share in shares.values())
        raise UsageError("nothing is left to train on", where=" + ".join(shares), value=value)
    if seed < 0:
        raise UsageError("a seed is not negative", where="seed", value=seed)
    if not len(labels):
        raise DataError("there are no samples")
    part = np.full(len(labels), PARTS[0], dtype="<U10") if given is None else given.astype("<U10")
    _, member = np.unique(np.arange(len(labels)) if group is None else group, return_inverse=True)
    _check_groups(part, member.ravel(), group)
    pool = part == PARTS[0]
    _check_classes(labels[pool], classes)
    for name, share in shares.items():
        if share and not np.any(part == name):
            random = np.random.default_rng([seed, PARTS.index(name)])
            held = _held_out(labels, member.ravel(), pool, part == PARTS[0], share, random)
            if not held.any():
                what, fix = "too few samples to hold any out", f"give more, or {name} = 0"
                raise DataError(what, where=name, value=int(pool.sum()), fix=fix)
            part[held] = name
    return part


def _check_classes(training: np.ndarray, classes: Sequence[str]) -> None:
    """Raise where a class is not among the labels of the training samples: it cannot be learnt."""
    absent = sorted(set(range(len(classes))) - set(training.tolist()))
    if absent or not len(training):
        named = ", ".join(classes[c] for c in absent[:3]) or "no training sample at all"
        more = f" and {len(absent) - 3} more" if len(absent) > 3 else ""
        fix = "give each class a training sample, or leave it out of classes"
        raise DataError("classes without a training sample", value=named + more, fix=fix)


def _check_groups(part: np.ndarray, member: np.ndarray, group: np.ndarray | None) -> None:
    """Raise where a group stands in two parts: what is tested has been trained on."""
    if group is None:
        return
    first = np.zeros(member.max() + 1, np.int64)
    first[member[::-1]] = np.arange(len(member))[::-1]  # each group's first sample
    other = part != part[first[member]]
    if other.any():
        at = int(np.argmax(other))
        value = f"group {group[at]} in {part[first[member[at]]]} and {part[at]}"
        raise DataError("a group stands in two parts", where="group", value=value)


def _held_out(
    labels: np.ndarray,
    member: np.ndarray,
    pool: np.ndarray,
    free: np.ndarray,
    share: float,
    random: np.random.Generator,
) -> np.ndarray:
    """Which of the `free` samples are held out: `share` of the `pool`. Booleans [S]."""
    rows = np.flatnonzero(free)
    rows = rows[np.argsort(member[rows], kind="stable")]
    groups = np.split(rows, np.flatnonzero(np.diff(member[rows])) + 1)
    wanted = share * np.bincount(labels[pool], minlength=int(labels.max()) + 1)
    left = np.bincount(labels[free], minlength=len(wanted))
    lacks, all_lacks = wanted.copy(), float(wanted.sum())
    held = np.zeros(len(labels), bool)
    order = random.permutation(len(groups))
    for weight, i in ((w, i) for w in (0, 1) for i in order):
        if held[groups[i][0]]:
            continue
        kinds, counts = np.unique(labels[groups[i]], return_counts=True)
        size = len(groups[i])
        nearer = np.abs(lacks[kinds] - counts).sum() - np.abs(lacks[kinds]).sum()
        nearer += weight * (abs(all_lacks - size) - abs(all_lacks))
        if nearer < -1e-9 and np.all(counts < left[kinds]):
            lacks[kinds] -= counts
            left[kinds] -= counts
            all_lacks -= size
            held[groups[i]] = True
    return held
