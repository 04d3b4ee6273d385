"""The operations of any torch spiking network, seen as it runs: what `scmrl count` says.

stream      what a tensor carries, by its data: spikes, integers or values
rules       how many operations one call of a torch operation is
seeing      what runs, operation by operation, and in which module
layers      what was seen, as layers and neurons, and what could not be counted
found       the words for it, without torch
fused       torch's fused attention, taken apart
pricing     energies at 45 nm and by chips
report      how it is said
job         `count`
"""
