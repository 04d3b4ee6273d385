"""Checkpoints: tensors and plain values in torch's archive; reading one never runs anything.

    checkpoints/last.ckpt       all that training needs to go on: weights, moments, where it stands
    checkpoints/best.ckpt       the weights that validation chose so far

Whenever the process or the machine dies, the last whole one is there (`scmrl.system.storage`). They are
read with torch's weights-only loader, and what was read is held to what was written: keys, types,
shapes, finite numbers.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import torch
from torch import Tensor, nn

from ..system.errors import BundleError, ScmrlError
from ..system.storage import whole_file

FORMAT = 1
SLACK_BYTES = 64 << 20
FIX = "train without --resume, with --force, or put back a copy of it"


def write(path: Path, state: dict) -> None:
    """Replace the checkpoint at `path` as a whole; a write that fails leaves the old one."""
    try:
        with whole_file(path) as temporary:
            torch.save({"format": FORMAT, **state}, temporary)
    except RuntimeError as error:  # of torch's archive writer
        raise ScmrlError(
            "cannot write",
            where=path,
            value=str(error).splitlines()[0],
            fix="free some space; the last whole one is still there",
        ) from None


def read(path: Path, expected: dict[str, type], module: nn.Module) -> dict:
    """The values of `expected` {key: type} from a checkpoint of `module`'s training, of which there
    are at most weights and two moments. Raises BundleError; never runs code."""
    try:
        _bounded(path, SLACK_BYTES + 4 * sum(x.nbytes for x in module.state_dict().values()))
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise BundleError("cannot read", where=path, value=error.strerror or error) from None
    except MemoryError:
        raise BundleError("does not fit into the memory", where=path, fix=FIX) from None
    except BundleError:
        raise
    except Exception as error:  # zipfile, pickle and torch raise a dozen kinds on such bytes
        raise BundleError(
            "not a checkpoint of scmrl",
            where=path,
            fix=FIX,
            value=f"{type(error).__name__}: {str(error).strip()[:80]}",
        ) from None
    if type(state) is not dict or state.get("format") != FORMAT:
        found = state.get("format") if type(state) is dict else type(state).__name__
        raise BundleError(
            "a checkpoint of another format",
            where=path,
            limit=FORMAT,
            value=found,
            fix="train anew, or with the version of scmrl that wrote it",
        )
    for key, kind in expected.items():
        if type(state.get(key)) is not kind:
            raise BundleError(
                "wrong type in the checkpoint",
                where=f"{path}: {key}",
                limit=kind.__name__,
                value=type(state.get(key)).__name__,
                fix=FIX,
            )
    return {key: state[key] for key in expected}


def _bounded(path: Path, limit: int) -> None:
    """Refuse what is too large, or unpacks to more than it is: torch's archives are not
    compressed.
    """
    if not path.is_file():
        raise BundleError("no checkpoint here", where=path)
    if path.stat().st_size > limit:
        raise BundleError(
            "too large for a checkpoint of this model",
            where=path,
            fix=FIX,
            limit=f"{limit} bytes",
            value=path.stat().st_size,
        )
    if not zipfile.is_zipfile(path):
        raise BundleError("not a checkpoint of scmrl", where=path, limit="a torch archive", fix=FIX)
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    if (
        any(member.compress_type != zipfile.ZIP_STORED for member in members)
        or sum(member.file_size for member in members) > path.stat().st_size
    ):
        raise BundleError(
            "not a checkpoint of scmrl", where=path, limit="stored, not compressed", fix=FIX
        )


def same_form(path: Path, where: str, found: object, wanted: object) -> None:
    """Raise BundleError where `found` has not the keys, types, shapes or finite numbers of
    `wanted`.
    """
    if isinstance(wanted, dict):
        if not isinstance(found, dict) or set(found) != set(wanted):
            raise BundleError(
                "other entries than this model has", where=f"{path}: {where}", fix=FIX
            )
        for key, value in wanted.items():
            same_form(path, f"{where}.{key}", found[key], value)
    elif isinstance(wanted, (list, tuple)):
        if type(found) is not type(wanted) or len(found) != len(wanted):
            raise BundleError(
                "other entries than this model has", where=f"{path}: {where}", fix=FIX
            )
        for i, value in enumerate(wanted):
            same_form(path, f"{where}.{i}", found[i], value)
    elif isinstance(wanted, Tensor):
        _same_tensor(path, where, found, wanted)
    elif type(found) is not type(wanted):
        raise BundleError(
            "wrong type in the checkpoint",
            where=f"{path}: {where}",
            limit=type(wanted).__name__,
            value=type(found).__name__,
            fix=FIX,
        )


def _same_tensor(path: Path, where: str, found: object, wanted: Tensor) -> None:
    form = (tuple(wanted.shape), wanted.dtype)
    if (
        not isinstance(found, Tensor)
        or found.layout != torch.strided
        or (tuple(found.shape), found.dtype) != form
    ):
        got = (
            (tuple(found.shape), found.dtype) if isinstance(found, Tensor) else type(found).__name__
        )
        raise BundleError(
            "another tensor than this model has",
            where=f"{path}: {where}",
            limit=form,
            value=got,
            fix=FIX,
        )
    if found.is_floating_point() and not bool(torch.isfinite(found).all()):
        raise BundleError("not finite", where=f"{path}: {where}", fix=FIX)


def load_weights(path: Path, module: nn.Module, weights: dict) -> None:
    """Give `module` the checkpoint's weights."""
    same_form(path, "model", weights, dict(module.state_dict()))
    module.load_state_dict(weights)


def load_moments(path: Path, optimizer: torch.optim.Optimizer, state: dict) -> None:
    """Give `optimizer` the checkpoint's moments: step, mean and mean square for every parameter."""
    ours = optimizer.state_dict()
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    moments = {"step": torch.zeros(()), "exp_avg": None, "exp_avg_sq": None}
    wanted = {
        i: moments | {"exp_avg": p.detach(), "exp_avg_sq": p.detach()}
        for i, p in enumerate(parameters)
    }
    found = state.get("state")
    some = {i: wanted[i] for i in found if i in wanted} if isinstance(found, dict) else wanted
    same_form(path, "optimizer.state", found, some)
    same_form(path, "optimizer.param_groups", state.get("param_groups"), ours["param_groups"])
    optimizer.load_state_dict({"state": found, "param_groups": ours["param_groups"]})


def load_random(path: Path, state: Tensor) -> None:
    """Take up torch's random numbers where the checkpoint left them."""
    same_form(path, "random", state, torch.get_rng_state())
    try:
        torch.set_rng_state(state)
    except RuntimeError:
        raise BundleError("no state of random numbers", where=f"{path}: random", fix=FIX) from None


def same_state(path: Path, state: dict, *, epochs: int, batches: int) -> None:
    """Raise BundleError where the counts of a state are outside of what such a run can reach."""
    bounds = {
        "epoch": (0, epochs),
        "batch": (0, batches - 1),
        "threads": (1, 1 << 12),
        "best_epoch": (-1, epochs),
        "waited": (0, epochs),
        "best": (-1, 1),
        "seconds": (0, 1e12),
    }
    for name, (low, high) in bounds.items():
        if not low <= state[name] <= high:
            raise BundleError(
                "out of range in the checkpoint",
                where=f"{path}: {name}",
                limit=f"{low}..{high}",
                value=state[name],
                fix=FIX,
            )
    if len(state["history"]) != state["epoch"]:
        raise BundleError(
            "a row for each finished epoch is missing",
            where=f"{path}: history",
            limit=state["epoch"],
            value=len(state["history"]),
            fix=FIX,
        )
    for row in state["history"]:
        same_form(
            path,
            "history",
            row,
            {key: 0 if key in ("epoch", "step") else 0.0 for key in row}
            if isinstance(row, dict)
            else {},
        )
    same_form(path, "sums", state["sums"], [0.0, 0.0, 0.0])
