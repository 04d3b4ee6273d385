"""scmrl: train an audio-visual spiking transformer in PyTorch, and run the very same spikes on
Loihi.
"""

__version__ = "0.2.0"
