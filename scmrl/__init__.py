"""scmrl: train an audio-visual spiking transformer in PyTorch, and run the very same spikes on
Loihi.

    train, evaluate       a dataset in, a frozen integer model out; its accuracy on a whole split
    tune                  a model that is there, trained further on its own integers
    Network, nodes        a network of your own, said once; DataSpec: what it is built for
    load, import_nir      a model from its directory, or from a NIR file of another framework
    export                for Lava, NIR, ONNX, netx or any processor (C)
    deploy, verify        on one backend; on several, compared bit by bit
    energy, place         on a chip: what an inference costs, which cores it takes
    count                 operations and energy of any torch spiking network
    profiles, data        the chips (names, load) and the datasets (load)
    zoo                   the models that travel with scmrl (names, card): "zoo:NAME" is a model

    bundle = scmrl.load("runs/a")
    report = scmrl.deploy(bundle, backend="lava", samples=8)
    report.accuracy, report.bit_exact, report.to_json()

A name is loaded when it is first used: `import scmrl` needs neither numpy nor torch. Nothing here
prints, handles signals, or ends the process; every error is a `ScmrlError`. Modules are imported as
`from scmrl.deploy import jobs`: `scmrl.deploy` and `scmrl.train` by themselves are the functions.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # as in typing, which takes longer to import than all of this
if TYPE_CHECKING:
    from . import data as data
    from .convert.nir.importer import import_nir as import_nir
    from .core import zoo as zoo
    from .core.bundle import load as load
    from .deploy.counting.job import count as count
    from .deploy.evaluation import evaluate as evaluate
    from .deploy.export import export as export
    from .deploy.jobs import deploy as deploy
    from .deploy.jobs import energy as energy
    from .deploy.jobs import place as place
    from .deploy.jobs import verify as verify
    from .deploy.training import train as train
    from .deploy.tuning import tune as tune
    from .hw_profiles import profile as profiles  # noqa: F401
    from .network import nodes as nodes
    from .network.network import Network as Network
    from .network.spec import DataSpec as DataSpec
    from .system.errors import ScmrlError as ScmrlError

__version__ = "0.2.0"

# Name -> "module:attribute", or a module.
_NAMES = {
    "train": "scmrl.deploy.training:train",
    "tune": "scmrl.deploy.tuning:tune",
    "evaluate": "scmrl.deploy.evaluation:evaluate",
    "load": "scmrl.core.bundle:load",
    "import_nir": "scmrl.convert.nir.importer:import_nir",
    "export": "scmrl.deploy.export:export",
    "deploy": "scmrl.deploy.jobs:deploy",
    "verify": "scmrl.deploy.jobs:verify",
    "energy": "scmrl.deploy.jobs:energy",
    "place": "scmrl.deploy.jobs:place",
    "count": "scmrl.deploy.counting.job:count",
    "profiles": "scmrl.hw_profiles.profile",
    "data": "scmrl.data",
    "zoo": "scmrl.core.zoo",
    "Network": "scmrl.network.network:Network",
    "nodes": "scmrl.network.nodes",
    "DataSpec": "scmrl.network.spec:DataSpec",
    "ScmrlError": "scmrl.system.errors:ScmrlError",
}
__all__ = ["__version__", *_NAMES]

# A room takes its name in this package when it is loaded, once: these two are loaded now (nearly
# empty as they are), so that the functions of the same names stay.
for _room in ("deploy", "train"):
    import_module(f"{__name__}.{_room}")
    globals().pop(_room, None)


def __getattr__(name: str) -> object:
    if name not in _NAMES:
        raise AttributeError(f"module 'scmrl' has no attribute '{name}'")
    module, _, attribute = _NAMES[name].partition(":")
    found = import_module(module)
    globals()[name] = found = getattr(found, attribute) if attribute else found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
