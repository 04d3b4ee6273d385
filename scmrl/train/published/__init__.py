"""S-CMRL as published, in float, and the baselines of its paper: not for a spiking chip.

The recipe of the paper is a set of settings (the learning rate is 5e-3 batch / 1024):

    [model]
    attention = "ccssa"
    embedding = "deep"
    fusion = "add"
    alpha = 1.5
    [train]
    epochs = 100
    batch = 128
    lr = 6.25e-4
    weight_decay = 1e-4
    schedule = "epoch"
    clip = 0.0
    alignment = 1.0
    swap_partners = false
    shift = 0

The paper reports the epoch that is best on the test set; here validation chooses it, and the last
one is given too.
"""
