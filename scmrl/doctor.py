"""What is installed, what each library is for, and how to install what is missing. Imports none of them."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import sys
from dataclasses import dataclass

PYTHON = ((3, 10), (3, 13))                     # oldest and newest that scmrl is tested on
LAVA = "pip install --no-deps --ignore-requires-python"
NORSE = "pip install --no-deps norse==1.1.0 nirtorch==2.6"  # it declares torchvision, which pulls CUDA in
LOIHI = ("not public: become a member of the Intel Neuromorphic Research Community "
         "(inrc_interest@intel.com), which hands it out")


@dataclass(frozen=True)
class Component:
    """A library, its `state` (installed, too old, untested, missing), and the command or way to get it."""

    name: str
    version: str | None
    state: str
    enables: str
    install: str


# name, oldest version (as in pyproject.toml), what it enables, how to install it
LIBRARIES = (
    ("numpy", "1.26", "everything", "pip install scmrl"),
    ("click", "8.1", "the scmrl command", "pip install scmrl"),
    ("rich", "13", "tables on the terminal", "pip install scmrl"),
    ("numba", "0.59", "the fast simulator", "pip install 'scmrl[fast]'"),
    ("matplotlib", "3.8", "pictures of spikes and energy", "pip install 'scmrl[plot]'"),
    ("scipy", "1.10", "the Lava backends", "pip install 'scmrl[deploy]'"),
    ("networkx", "2.8", "the Lava backends", "pip install 'scmrl[deploy]'"),
    ("asteval", "0.9.33", "the Lava backends", "pip install 'scmrl[deploy]'"),
    ("lava-nc", "0.10", "the Lava backends", f"{LAVA} lava-nc==0.10.0"),
    ("lava-loihi", None, "Loihi hardware", LOIHI),
    ("torch", "2.6", "training", "pip install torch==2.13.0"),
    ("norse", "1.1", "training", NORSE),
    ("lightning", "2.4", "training", "pip install 'scmrl[train]'"),
    ("tensorboard", "2.15", "training curves", "pip install 'scmrl[train]'"),
    ("optuna", "3.6", "sweeps", "pip install 'scmrl[sweep]'"),
    ("librosa", "0.10", "audio front-ends", "pip install 'scmrl[data]'"),
    ("soundfile", "0.12", "reading audio", "pip install 'scmrl[data]'"),
    ("pillow", "10", "reading images", "pip install 'scmrl[data]'"),
    ("scikit-learn", "1.3", "the digit images of the demo", "pip install 'scmrl[data]'"),
    ("onnx", "1.17", "export to ONNX", "pip install 'scmrl[onnx]'"),
    ("onnxruntime", "1.19", "running an ONNX export", "pip install 'scmrl[onnx]'"),
    ("nir", "1.0.8", "export to NIR and import", "pip install 'scmrl[nir]'"),
    ("nirtorch", "2.6", "running a NIR export in norse, snntorch, spikingjelly", "pip install --no-deps nirtorch==2.6"),
    ("snntorch", "1.0", "running a NIR export in snntorch", "pip install --no-deps snntorch==1.0.0"),
    ("spikingjelly", "2.0", "running a NIR export in spikingjelly",
     "pip install --no-deps spikingjelly==2.0.0 loguru; pip install tqdm requests"),
    ("lava-dl", None, "reading netx exports back", f"{LAVA} lava-dl==0.6.0"),
)


def examine() -> list[Component]:
    """Python and every library that scmrl can use, in the order of `LIBRARIES`."""
    return [_python(), *(_library(*entry) for entry in LIBRARIES)]


def _python() -> Component:
    oldest, newest = (".".join(map(str, version)) for version in PYTHON)
    here = sys.version_info[:2]
    state = "too old" if here < PYTHON[0] else "untested" if here > PYTHON[1] else "installed"
    return Component("python", platform.python_version(), state, "everything",
                     f"use Python {oldest} to {newest}")


def _library(name: str, oldest: str | None, enables: str, install: str) -> Component:
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Component(name, None, "missing", enables, install)
    old = oldest is not None and _release(version) < _release(oldest)
    return Component(name, version, "too old" if old else "installed", enables, install)


def _release(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: '2.13.0+cpu' is (2, 13, 0)."""
    leading = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in leading.group().split(".")) if leading else ()
