"""How many threads compute: their number decides how sums are rounded, so a run keeps it."""

import numba
import torch


def use(count: int) -> None:
    """One setting for torch and the fused kernels. Numba goes first: where it starts OpenMP, it
    gives every user of OpenMP in the process, torch too, as many threads as there are cores.
    """
    numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))
    torch.set_num_threads(count)
