"""`python -m scmrl`, and the `scmrl` command: signals are taken care of before anything is
imported.
"""

import sys

from .system import interrupts


def main() -> None:
    """The command in a process of its own; the exit code is that of `scmrl.cli.main`."""
    interrupts.take()
    try:
        from .cli import main as command

        command()
    except KeyboardInterrupt:  # outside the command: while it was imported, or when it was done
        print("interrupted", file=sys.stderr)
        raise SystemExit(interrupts.INTERRUPTED) from None
    except interrupts.Terminated:
        print("terminated", file=sys.stderr)
        raise
    finally:
        interrupts.last()


if __name__ == "__main__":
    main()
