"""Search over training settings: accuracy against energy, resumable, on one machine or many."""
