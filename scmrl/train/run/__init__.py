"""A training run, from its settings to the frozen model."""

import os

# Threads that wait for each other (libgomp) give up their core soon: beside another program on the
# same cores a step takes half the time so, alone it takes the same. Read by libgomp when torch is
# first imported.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
