"""What training a configuration takes at least, known before any data are read or memory is taken.

    bytes >= 4 (4 parameters + steps batch modalities (width tokens populations))

Weights, gradients and two moments are float32, and so are the spikes of the populations of width C,
over the fewest tokens that an image of 32 x 32 becomes; of all neurons of a network of one's own.
"""

from __future__ import annotations

import math
import os

import torch

from ...network.model import SCMRL
from ...network.network import Network
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
    samples = _kept(model.steps, config) * config.train.batch * len(model.modalities)
    spikes = samples * model.width * TOKENS * POPULATIONS
    return weights, FLOAT_BYTES * (COPIES * weights + spikes)


def require_network(network: Network, config: Config, steps: int) -> None:
    """Raise UsageError where this machine cannot hold the training of a network that is there."""
    neurons = sum(math.prod(network.node(name).shape) for name in network.reads)
    weights, kept = network.parameters_total, _kept(steps, config)
    spikes = kept * config.train.batch * neurons
    large = f"{neurons} neurons, {steps} steps, train.batch={config.train.batch}"
    _require(large, weights, FLOAT_BYTES * (COPIES * weights + spikes))


def _kept(steps: int, config: Config) -> int:
    """Steps whose spikes are there at a time."""
    return min(steps, config.train.checkpoint_steps or steps)


def memory() -> int:
    """Bytes of this machine, 0 where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0


def require(config: Config) -> None:
    """Raise UsageError where this machine cannot hold it."""
    model = config.model
    large = f"model.width={model.width}, model.steps={model.steps}"
    _require(f"{large}, train.batch={config.train.batch}", *at_least(config))


def _require(large: str, weights: int, needed: int) -> None:
    there = memory()
    if there and needed > there:
        raise UsageError(
            "training this would need more memory than there is",
            where=large,
            limit=f"{there / 1e9:.1f} GB",
            value=f"{weights / 1e6:.1f} million parameters, at least {needed / 1e9:.1f} GB",
            fix="lower one of them",
        )
