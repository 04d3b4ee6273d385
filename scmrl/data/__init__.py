"""Datasets of spoken and written symbols, tasks on them, their corruption, and the front-end.

pairs = load("digits-av", split="train")
front_end = FrontEnd.fit(pairs)
inputs = front_end.encode_pairs(pairs)  # {"audio": uint8 [S, 1, 32, 32], "visual": likewise}
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from ..system.errors import UsageError, nearest
from .features.corruption import CLEAN, HARD, Corruption
from .features.frontend import FrontEnd
from .features.pairs import Pairs
from .prepared.reading import held

__all__ = ["CLEAN", "DATASETS", "HARD", "Corruption", "FrontEnd", "Pairs", "load"]

# Name -> "module:function" of load(split, data_dir, seed, steps), imported when asked for.
DATASETS = {
    "digits-av": "scmrl.data.sets.digits_av:load",
    "av-mnist": "scmrl.data.sets.av_mnist:load",
    "nmnist-fsdd": "scmrl.data.sets.nmnist_fsdd:load",
    "triple-digits": "scmrl.data.sets.triple_digits:load",
    "crema-d": "scmrl.data.sets.crema_d:load",
    "crema-d-speakers": "scmrl.data.sets.crema_d:load_by_speaker",
    "crema-d-audio": "scmrl.data.prepared.reading:prepared_only",
    "urbansound8k-av": "scmrl.data.sets.urbansound8k_av:load",
    "mnistdvs-ntidigits": "scmrl.data.sets.mnistdvs_ntidigits:load",
    "ave": "scmrl.data.sets.ave:load",
    "n-mnist": "scmrl.data.prepared.reading:prepared_only",
    "shd": "scmrl.data.prepared.reading:prepared_only",
    "ssc": "scmrl.data.prepared.reading:prepared_only",
}

STEPS_MOST = 4096


def load(
    name: str, *, split: str, data_dir: str | Path | None = None, seed: int = 0, steps: int = 4
) -> Pairs:
    """The `split` ("train" or "test") of a dataset; `seed` decides which recording goes with which
    image, `steps` into how many frames an event recording is cut.

    Raises UsageError for an unknown name or split, or steps out of range, DataError for data that
    are missing or damaged.
    """
    if name not in DATASETS:
        raise UsageError("unknown dataset", value=name, fix=nearest(name, DATASETS))
    if not 1 <= steps <= STEPS_MOST:
        limit = f"1 to {STEPS_MOST}"
        raise UsageError("a recording is cut into steps", where="steps", limit=limit, value=steps)
    if (prepared := held(name, split, data_dir, steps)) is not None:
        return prepared
    module, attribute = DATASETS[name].split(":")
    return getattr(import_module(module), attribute)(split, data_dir, seed, steps)
