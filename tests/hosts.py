"""Hosts that lack libraries."""

import subprocess
import sys
import textwrap

HEAVY = ["torch", "norse", "lightning", "librosa", "sklearn", "matplotlib", "onnx", "nir"]


def blocked(libraries: list[str], code: str, *arguments: str) -> subprocess.CompletedProcess:
    """Run `code` in a process in which those libraries cannot be imported."""
    program = textwrap.dedent(f"""
        import sys

        class Blocked:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] in {libraries!r}:
                    raise ModuleNotFoundError(f"No module named {{name!r}} (blocked)", name=name)

        sys.meta_path.insert(0, Blocked())
        """) + textwrap.dedent(code)
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=120
    )
