"""A convolutional network of one's own on images: handwritten digits of 8 x 8 pixels.

    scmrl train --model examples/conv_images.py:build --dataset examples/conv_images.py:data \
        --out runs/conv
    scmrl verify runs/conv --backends simulator,lava-inprocess --samples 16

Measured: 98.6 % of 359 held-out digits (seed 42, 6 epochs, CPU), no differing value on Lava.
"""

from sklearn.datasets import load_digits

from scmrl import Network, nodes


def data():
    """1,797 digits: x [S, 1, 8, 8] of whole numbers 0..16, y [S]."""
    digits = load_digits()
    return {"x": digits.images[:, None].astype("uint8"), "y": digits.target}


def build(data):
    """Two convolutions, the second of stride 2, and a readout of all neurons."""
    net = Network(data.steps, precision=data.precision)
    x = net.add("x", nodes.Input(data.shapes["x"], data.bits["x"]))
    h = net.add("conv1", nodes.Layer(nodes.Conv2d(16)), x)
    h = net.add("conv2", nodes.Layer(nodes.Conv2d(32, stride=2)), h)
    net.add("readout", nodes.Readout(nodes.Dense(data.outputs)), h)
    return net
