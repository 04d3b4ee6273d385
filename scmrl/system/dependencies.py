"""Every library that scmrl can use: which versions, what for, and how it is installed. None is
imported before `require` asks for it.

The one place that says so: errors about what is missing, `scmrl doctor` and `scmrl doctor
--install` read it. Commands name the libraries themselves, since scmrl lies on no index.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from .errors import MissingDependency

PYTHON = ((3, 10), (3, 13))  # oldest and newest that scmrl is tested on
PIP = "pip install"
ALONE = f"{PIP} --no-deps"
LAVA = f"{ALONE} --ignore-requires-python"
TORCH = "torch==2.13.0"


@dataclass(frozen=True)
class Library:
    """`versions` as in pyproject.toml; `others` are distributions that bring the same; `since` is
    the oldest Python that it has a build for.
    """

    name: str
    versions: str
    enables: str
    command: str = ""
    others: tuple[str, ...] = ()
    since: tuple[int, int] = PYTHON[0]

    @property
    def install(self) -> str:
        """The command or the way to get it."""
        exact = self.versions.startswith("==") or not self.versions
        named = self.name + self.versions
        return self.command or f"pip install {named if exact else repr(named)}"


# Its archive is on no index.
BOARD = (
    "pip install ARCHIVE, beside lava-nc, with the archive that members of Intel's Neuromorphic"
    " Research Community get (neuromorphic.intel.com, inrc_interest@intel.com), on a host of"
    " theirs; then give --partition or --board (SLURM), or --host; without a board `--backend"
    " loihi-sim` runs the same processes on Lava's simulator"
)
MEMBERS = (
    "not public: become a member of the Intel Neuromorphic Research Community"
    " (inrc_interest@intel.com), which hands it out"
)
LIBRARIES = (
    Library("numpy", ">=1.26", "everything"),
    Library("click", ">=8.1", "the scmrl command"),
    Library("rich", ">=13", "tables on the terminal"),
    Library("numba", ">=0.59", "the fast simulator, training"),
    Library("matplotlib", ">=3.8", "pictures"),
    Library("jinja2", ">=3.1", "pages (--html), exports as C and Verilog"),
    Library("scipy", ">=1.10", "the Lava backends"),
    Library("networkx", ">=2.8", "the Lava backends"),
    Library("asteval", ">=0.9.33", "the Lava backends"),
    Library("lava-nc", "==0.10.0", "the Lava backends", f"{LAVA} lava-nc==0.10.0"),
    Library("lava-dl", "==0.6.0", "running netx files", f"{LAVA} lava-dl==0.6.0"),
    Library("lava-loihi", "", "Loihi hardware", MEMBERS),
    Library("torch", ">=2.6", "training", f"{PIP} {TORCH}"),
    # It names torchvision, which pulls another torch with CUDA packages.
    Library(
        "norse",
        ">=1.1",
        "training, running NIR files in norse",
        f"{ALONE} norse==1.1.0 nirtorch==2.6",
    ),
    Library("lightning", ">=2.4", "training"),
    Library("tensorboard", ">=2.15", "training curves"),
    Library("optuna", ">=3.6", "sweeps"),
    Library("sqlalchemy", ">=2", "sweeps"),
    Library(
        "psycopg",
        ">=3.1",
        "sweeps that several machines share",
        "pip install 'psycopg[binary]>=3.1'",
    ),
    Library("librosa", ">=0.10", "audio front-ends"),
    Library("soundfile", ">=0.12", "reading sound"),
    Library("pillow", ">=10", "reading images"),
    Library("av", ">=14", "reading videos (scmrl data prepare)"),
    Library("scikit-learn", ">=1.3", "the digit images of the demo"),
    Library("h5py", ">=3", "NIR, netx and HDF5 files"),
    Library("sounddevice", "", "live sound (--microphone)"),
    Library(
        "opencv-python",
        "",
        "live images (--camera)",
        "pip install opencv-python-headless",
        ("opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless"),
    ),
    Library("onnx", ">=1.17", "ONNX files"),
    Library("onnxruntime", ">=1.19", "running ONNX files (Python 3.11 and newer)", since=(3, 11)),
    Library("nir", ">=1.0.8", "NIR files"),
    Library("nirtorch", ">=2.6", "running NIR files in other simulators", f"{ALONE} nirtorch==2.6"),
    Library("snntorch", ">=1.0", "running NIR files in snntorch", f"{ALONE} snntorch==1.0.0"),
    Library(
        "spikingjelly",
        ">=2.0",
        "running NIR files in spikingjelly",
        f"{ALONE} spikingjelly==2.0.0 loguru; pip install tqdm requests",
        since=(3, 11),
    ),
)
BY_NAME = {library.name: library for library in LIBRARIES}
MODULES = {"PIL": "pillow", "sklearn": "scikit-learn", "cv2": "opencv-python"}  # other names
# What `scmrl doctor --install` takes. pyproject.toml declares those of the same names, without the
# libraries that pip would get wrong by itself.
EXTRAS: dict[str, tuple[str, ...]] = {
    "fast": ("numba",),
    "plot": ("matplotlib", "jinja2"),
    "deploy": ("scipy", "networkx", "asteval", "lava-nc"),
    "onnx": ("onnx", "onnxruntime"),
    "nir": ("nir", "h5py"),
    "data": ("librosa", "soundfile", "pillow", "scikit-learn", "h5py"),
    "video": ("av",),
    "live": ("sounddevice", "opencv-python"),
}
EXTRAS["netx"] = (*EXTRAS["deploy"], "h5py", "lava-dl")
EXTRAS["train"] = (
    *("torch", "lightning", "tensorboard", "norse", "nirtorch"),
    *(name for extra in ("data", "fast", "nir", "plot") for name in EXTRAS[extra]),
)
EXTRAS["sweep"] = (*EXTRAS["train"], "optuna", "sqlalchemy", "psycopg")
EXTRAS["peers"] = (*EXTRAS["nir"], "torch", "norse", "nirtorch", "snntorch", "spikingjelly")
EXTRAS["all"] = tuple(dict.fromkeys(name for names in EXTRAS.values() for name in names))


def members(extra: str) -> tuple[Library, ...]:
    """The libraries of an extra that this Python can have, torch before what names it."""
    here = sys.version_info[:2]
    return tuple(each for each in LIBRARIES if each.name in EXTRAS[extra] and here >= each.since)


def require(module: str, enables: str) -> Any:
    """The imported `module` of a library, or MissingDependency that says what it `enables`."""
    name = MODULES.get(top := module.partition(".")[0], top)
    try:
        return import_module(module)
    except ImportError:
        raise MissingDependency(name, enables=enables) from None
    except OSError as error:  # it is there, and what it loads is not: PortAudio, libsndfile
        how = f"your system's package of it ({error})"
        raise MissingDependency(f"the C library of {name}", enables=enables, install=how) from None


def extra(name: str) -> str:
    """How all that an extra needs is installed at once."""
    return f"scmrl doctor --install {name}"


def install(name: str) -> str:
    """How a library is installed; one that is not listed by its own name."""
    return BY_NAME[name].install if name in BY_NAME else f"pip install {name}"


def hint(name: str) -> str:
    """How a library is installed, alone or with the others that serve the same."""
    together = next((extra for extra, names in EXTRAS.items() if name in names), "")
    if len(EXTRAS.get(together, ())) < 2:
        return install(name)
    return f"{install(name)}, or all that {together} needs with: {extra(together)}"
