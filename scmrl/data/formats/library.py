"""Libraries of the data extra, imported only when something needs them."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from ...system.errors import MissingDependency


def library(module: str, package: str, enables: str) -> ModuleType:
    """The imported `module` of `package`, or MissingDependency that says what it `enables`."""
    try:
        return import_module(module)
    except (ImportError, OSError):  # OSError: the C library behind it is not there
        raise MissingDependency(package, enables=enables) from None
