"""The commands of `scmrl`, a family a file: options, one call, render, exit code. `scmrl.cli` has
their table.
"""
