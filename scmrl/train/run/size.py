"""What training a configuration takes at least, known before any data are read or memory is taken.

    bytes >= 4 (4 parameters + steps batch modalities (width tokens populations))

Weights, gradients and two moments are float32, and so are the spikes of the populations of width C,
over the fewest tokens that an image of 32 x 32 becomes.
"""

from __future__ import annotations

import os

import torch

from ...network.model import SCMRL
from ...network.settings import FLOAT
from ...system.errors import UsageError
from ..config import Config

FLOAT_BYTES, COPIES = 4, 4  # weights, gradients, two moments
TOKENS, POPULATIONS = 4, 6  # q, k, v, z, the hidden layer and what follows it
SIDE = 32


def parameters(config: Config) -> int:
    """Weights of the network, counted without any memory, but for the input's channels."""
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(config.model.modalities, (1, SIDE, SIDE))
    with torch.device("meta"):
        if config.model.attention in FLOAT:
            from ..published.model import AudioVisualSpikformer

            return AudioVisualSpikformer(config.model, shapes, 10, aligned=True).parameters_total
        return SCMRL(config.model, shapes, 10).parameters_total


def at_least(config: Config) -> tuple[int, int]:
    """(parameters, bytes)."""
    model, weights = config.model, parameters(config)
    samples = model.steps * config.train.batch * len(model.modalities)
    spikes = samples * model.width * TOKENS * POPULATIONS
    return weights, FLOAT_BYTES * (COPIES * weights + spikes)


def memory() -> int:
    """Bytes of this machine, 0 where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0


def require(config: Config) -> None:
    """Raise UsageError where this machine cannot hold it."""
    weights, needed = at_least(config)
    there = memory()
    if there and needed > there:
        model = config.model
        large = f"model.width={model.width}, model.steps={model.steps}"
        raise UsageError(
            "training this would need more memory than there is",
            where=f"{large}, train.batch={config.train.batch}",
            limit=f"{there / 1e9:.1f} GB",
            value=f"{weights / 1e6:.1f} million parameters, at least {needed / 1e9:.1f} GB",
            fix="lower one of them",
        )
