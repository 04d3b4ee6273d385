"""Training: torch, norse and lightning live here."""


def require() -> None:
    """Raise MissingDependency where a library of training is not installed."""
    import importlib.util

    from ..system.errors import MissingDependency

    for name in ("torch", "lightning", "norse", "numba"):
        if importlib.util.find_spec(name) is None:
            raise MissingDependency(name, enables="training")
