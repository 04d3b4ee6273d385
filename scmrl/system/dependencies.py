"""Every library that scmrl can use: which versions, what for, and how it is installed. Imports none
of them.

The one place that says so: errors about what is missing and `scmrl doctor` read it. Commands name
the libraries themselves, since scmrl lies on no index; in a checkout `pip install '.[train]'`
installs several at once.
"""

from __future__ import annotations

from dataclasses import dataclass

PYTHON = ((3, 10), (3, 13))  # oldest and newest that scmrl is tested on
LAVA = "pip install --no-deps --ignore-requires-python"


@dataclass(frozen=True)
class Library:
    """`versions` as in pyproject.toml; `others` are distributions that bring the same."""

    name: str
    versions: str
    enables: str
    command: str = ""
    others: tuple[str, ...] = ()

    @property
    def install(self) -> str:
        """The command or the way to get it."""
        exact = self.versions.startswith("==") or not self.versions
        return (
            self.command
            or f"pip install {self.name + self.versions if exact else repr(self.name + self.versions)}"
        )


# Its archive is on no index.
BOARD = (
    "pip install ARCHIVE, beside lava-nc, with the archive that members of Intel's Neuromorphic"
    " Research Community get (neuromorphic.intel.com, inrc_interest@intel.com), on a host of"
    " theirs; then give --partition or --board (SLURM), or --host; without a board `--backend"
    " loihi-sim` runs the same processes on Lava's simulator"
)
LIBRARIES = (
    Library("numpy", ">=1.26", "everything"),
    Library("click", ">=8.1", "the scmrl command"),
    Library("rich", ">=13", "tables on the terminal"),
    Library("numba", ">=0.59", "the fast simulator, training"),
    Library("matplotlib", ">=3.8", "pictures"),
    Library("jinja2", ">=3.1", "pages (--html)"),
    Library("scipy", ">=1.10", "the Lava backends"),
    Library("networkx", ">=2.8", "the Lava backends"),
    Library("asteval", ">=0.9.33", "the Lava backends"),
    Library("lava-nc", "==0.10.0", "the Lava backends", f"{LAVA} lava-nc==0.10.0"),
    Library("lava-dl", "==0.6.0", "running netx files", f"{LAVA} lava-dl==0.6.0"),
    Library(
        "lava-loihi",
        "",
        "Loihi hardware",
        "not public: become a member of the Intel Neuromorphic Research Community "
        "(inrc_interest@intel.com), which hands it out",
    ),
    Library("torch", ">=2.6", "training", "pip install torch==2.13.0"),
    # It names torchvision, which pulls another torch with CUDA packages.
    Library(
        "norse",
        ">=1.1",
        "training, running NIR files in norse",
        "pip install --no-deps norse==1.1.0 nirtorch==2.6",
    ),
    Library("lightning", ">=2.4", "training"),
    Library("tensorboard", ">=2.15", "training curves"),
    Library("optuna", ">=3.6", "sweeps"),
    Library(
        "psycopg",
        ">=3.1",
        "sweeps that several machines share",
        "pip install 'psycopg[binary]>=3.1'",
    ),
    Library("librosa", ">=0.10", "audio front-ends"),
    Library("soundfile", ">=0.12", "reading sound"),
    Library("pillow", ">=10", "reading images"),
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
    Library("onnxruntime", ">=1.19", "running ONNX files (Python 3.11 and newer)"),
    Library("nir", ">=1.0.8", "NIR files"),
    Library(
        "nirtorch",
        ">=2.6",
        "running NIR files in other simulators",
        "pip install --no-deps nirtorch==2.6",
    ),
    Library(
        "snntorch",
        ">=1.0",
        "running NIR files in snntorch",
        "pip install --no-deps snntorch==1.0.0",
    ),
    Library(
        "spikingjelly",
        ">=2.0",
        "running NIR files in spikingjelly",
        "pip install --no-deps spikingjelly==2.0.0 loguru; pip install tqdm requests",
    ),
)
BY_NAME = {library.name: library for library in LIBRARIES}


def extra(name: str) -> str:
    """How several libraries are installed at once, in a checkout of scmrl."""
    return f"pip install '.[{name}]'"


def install(name: str) -> str:
    """How a library is installed; one that is not listed by its own name."""
    return BY_NAME[name].install if name in BY_NAME else f"pip install {name}"
