"""Training that goes on from a model that is there, on the chip's integers."""
