"""Write locks/pythonX.Y.txt: the version of every package that scripts/setup.sh installs, for one
or more Pythons.

    python scripts/lock.py python3.10 python3.11 ...

pip resolves the newest versions that pyproject.toml admits (nothing is installed); torch stays at
the version that setup.sh pins, since a newer one may come as another build. The packages that are
installed without their dependencies are resolved the same way. A lock is a file of constraints: it
names versions, never where they come from.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TORCH = "torch==2.13.0"
ALONE = ("norse", "nirtorch", "lava-nc", "lava-dl")
ALONE += ("snntorch", "sinabs", "pbr", "neurobench", "tonic", "importrosbag")
SINCE_311 = ("spikingjelly", "loguru")
BUILDS = re.compile(
    r"torch|triton|nvidia-.*|cuda-.*|scmrl"
)  # of this machine, or pinned in setup.sh


def resolved(python: str, *arguments: str) -> dict[str, str]:
    """{package: version} of what pip would install."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        subprocess.run(
            [
                python,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--dry-run",
                "--ignore-installed",
                "--report",
                str(report),
                *arguments,
            ],
            check=True,
            cwd=ROOT,
        )
        installs = json.loads(report.read_text(encoding="utf-8"))["install"]
    return {
        re.sub(r"[-_.]+", "-", i["metadata"]["name"]).lower(): i["metadata"]["version"]
        for i in installs
    }


def version_of(python: str) -> str:
    line = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.run(
        [python, "-c", line], check=True, capture_output=True, text=True
    ).stdout.strip()


def lock(python: str) -> Path:
    version = version_of(python)
    packages = resolved(python, TORCH, "setuptools", ".[torch,train,video,deploy,onnx,sweep,test]")
    packages = {name: v for name, v in packages.items() if not BUILDS.fullmatch(name)}
    alone = ALONE if version == "3.10" else ALONE + SINCE_311
    packages |= resolved(python, "--no-deps", "--ignore-requires-python", *alone)
    path = ROOT / "locks" / f"python{version}.txt"
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        f"# Written by scripts/lock.py for Python {version}.\n"
        + "".join(f"{name}=={v}\n" for name, v in sorted(packages.items())),
        encoding="utf-8",
    )
    return path


def main() -> None:
    for python in sys.argv[1:] or [sys.executable]:
        print(lock(python))


if __name__ == "__main__":
    main()
