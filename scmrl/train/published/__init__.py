"""S-CMRL as published, in float, and the baselines of its paper: for training and comparison, not for a spiking chip."""
