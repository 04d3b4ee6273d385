"""Checkpoints: tensors and plain values in torch's archive; reading one never runs anything.

    checkpoints/last.ckpt       all that training needs to go on: weights, moments, where it stands
    checkpoints/best.ckpt       the weights that validation chose so far

Whenever the process or the machine dies, the last whole one is there (`system.storage`). They are
read with torch's weights-only loader, and what was read is held to what was written: keys, types,
shapes, finite numbers.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..system.errors import BundleError, ScmrlError
from ..system.storage import whole_file

FORMAT = 1
SLACK_BYTES = 64 << 20
FIX = "train without --resume, with --force, or put back a copy of it"


def damaged(
    what: str, path: Path, part: str = "", *, limit: object = None, value: object = None
) -> BundleError:
    """What to raise for a checkpoint, or a `part` of it, that cannot be gone on from."""
    where = f"{path}: {part}" if part else path
    return BundleError(what, where=where, limit=limit, value=value, fix=FIX)


def write(path: Path, state: dict[str, Any]) -> None:
    """Replace the checkpoint at `path` as a whole; a write that fails leaves the old one."""
    try:
        with whole_file(path) as temporary:
            torch.save({"format": FORMAT, **state}, temporary)
    except RuntimeError as error:  # of torch's archive writer
        why, fix = str(error).splitlines()[0], "free some space; the last whole one is still there"
        raise ScmrlError("cannot write", where=path, value=why, fix=fix) from None


def read(path: Path, expected: dict[str, type], module: nn.Module) -> dict[str, Any]:
    """The values of `expected` {key: type} from a checkpoint of `module`'s training, of which there
    are at most weights and two moments. Raises BundleError; never runs code."""
    try:
        _bounded(path, SLACK_BYTES + 4 * sum(x.nbytes for x in module.state_dict().values()))
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise BundleError("cannot read", where=path, value=error.strerror or error) from None
    except MemoryError:
        raise damaged("does not fit into the memory", path) from None
    except BundleError:
        raise
    except Exception as error:  # zipfile, pickle and torch raise a dozen kinds on such bytes
        why = f"{type(error).__name__}: {str(error).strip()[:80]}"
        raise damaged("not a checkpoint of scmrl", path, value=why) from None
    if type(state) is not dict or state.get("format") != FORMAT:
        found = state.get("format") if type(state) is dict else type(state).__name__
        fix = "train anew, or with the version of scmrl that wrote it"
        what = "a checkpoint of another format"
        raise BundleError(what, where=path, limit=FORMAT, value=found, fix=fix)
    for key, kind in expected.items():
        _same_type(path, key, type(state.get(key)), kind)
    return {key: state[key] for key in expected}


def _same_type(path: Path, part: str, found: type, wanted: type) -> None:
    if found is not wanted:
        limit, value = wanted.__name__, found.__name__
        raise damaged("wrong type in the checkpoint", path, part, limit=limit, value=value)


def _bounded(path: Path, limit: int) -> None:
    """Refuse what is too large, or unpacks to more than it is: torch does not compress."""
    if not path.is_file():
        raise BundleError("no checkpoint here", where=path)
    if (size := path.stat().st_size) > limit:
        what = "too large for a checkpoint of this model"
        raise damaged(what, path, limit=f"{limit} bytes", value=size)
    if not zipfile.is_zipfile(path):
        raise damaged("not a checkpoint of scmrl", path, limit="a torch archive")
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    stored = all(member.compress_type == zipfile.ZIP_STORED for member in members)
    if not stored or sum(member.file_size for member in members) > size:
        raise damaged("not a checkpoint of scmrl", path, limit="stored, not compressed")


def same_form(path: Path, where: str, found: object, wanted: object) -> None:
    """Raise BundleError where keys, types, shapes are not those of `wanted`, or not finite."""
    if isinstance(wanted, dict):
        if not isinstance(found, dict) or set(found) != set(wanted):
            raise damaged("other entries than this model has", path, where)
        for key, value in wanted.items():
            same_form(path, f"{where}.{key}", found[key], value)
    elif isinstance(wanted, (list, tuple)):
        if type(found) is not type(wanted) or len(found) != len(wanted):
            raise damaged("other entries than this model has", path, where)
        for i, value in enumerate(wanted):
            same_form(path, f"{where}.{i}", found[i], value)
    elif isinstance(wanted, Tensor):
        _same_tensor(path, where, found, wanted)
    else:
        _same_type(path, where, type(found), type(wanted))


def _same_tensor(path: Path, where: str, found: object, wanted: Tensor) -> None:
    form, what = (tuple(wanted.shape), wanted.dtype), "another tensor than this model has"
    if not isinstance(found, Tensor):
        raise damaged(what, path, where, limit=form, value=type(found).__name__)
    got = (tuple(found.shape), found.dtype)
    if found.layout != torch.strided or got != form:
        raise damaged(what, path, where, limit=form, value=got)
    if found.is_floating_point() and not bool(torch.isfinite(found).all()):
        raise damaged("not finite", path, where)


def load_weights(path: Path, module: nn.Module, weights: dict[str, Any]) -> None:
    """Give `module` the checkpoint's weights."""
    same_form(path, "model", weights, dict(module.state_dict()))
    module.load_state_dict(weights)


def load_moments(path: Path, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Give `optimizer` the checkpoint's moments: step, mean and mean square for every parameter."""
    ours = optimizer.state_dict()
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    wanted = {
        i: {"step": torch.zeros(()), "exp_avg": p.detach(), "exp_avg_sq": p.detach()}
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
        raise damaged("no state of random numbers", path, "random") from None


def same_state(path: Path, state: dict[str, Any], *, epochs: int, batches: int) -> None:
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
            limit, value = f"{low}..{high}", state[name]
            raise damaged("out of range in the checkpoint", path, name, limit=limit, value=value)
    rows, epoch = state["history"], state["epoch"]
    if len(rows) != epoch:
        what = "a row for each finished epoch is missing"
        raise damaged(what, path, "history", limit=epoch, value=len(rows))
    for row in rows:
        keys = row if isinstance(row, dict) else ()
        kinds = {key: 0 if key in ("epoch", "step") else 0.0 for key in keys}
        same_form(path, "history", row, kinds)
    same_form(path, "sums", state["sums"], [0.0, 0.0, 0.0])
