"""A part of the embedded data, for the shortest epochs of a real training."""

import numpy as np

PARTS = {"train": 80, "test": 24}


def patch(put):
    """`put(place, name, value)` makes training read a part of each split."""
    from scmrl import data
    from scmrl.train import feed

    loaded = {}

    def load(name, *, split, **how):
        if name != "digits-av":
            return data.load(name, split=split, **how)
        if split not in loaded:
            pairs = data.load(name, split=split, **how)
            rows = np.linspace(0, len(pairs) - 1, PARTS[split]).astype(int)
            loaded[split] = pairs.take(np.unique(rows))
        return loaded[split]

    put(feed, "load", load)
