"""`python -m scmrl` is the `scmrl` command."""

from .cli import main

if __name__ == "__main__":
    main()
