"""Three architectures around any library's neuron: an MLP, a convolutional and a residual one."""

import torch
from torch import nn

STEPS, SAMPLES = 5, 3


class Mlp(nn.Module):
    """x [N, 12], one step."""

    shape = (12,)

    def __init__(self, fire):
        super().__init__()
        self.fc1, self.fire1 = nn.Linear(12, 20), fire()
        self.fc2, self.fire2 = nn.Linear(20, 16), fire()
        self.head = nn.Linear(16, 4)

    def forward(self, x):
        return self.head(self.fire2(self.fc2(self.fire1(self.fc1(x)))))


class Conv(nn.Module):
    """x [N, 2, 9, 8], one step: strides, borders, groups, batch norm and pooling."""

    shape = (2, 9, 8)

    def __init__(self, fire):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(2, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.fire1, self.pool = fire(), nn.MaxPool2d(2)
        self.conv2, self.norm2 = (
            nn.Conv2d(6, 8, 3, stride=2, padding=1, groups=2),
            nn.BatchNorm2d(8),
        )
        self.fire2, self.head = fire(), nn.Linear(32, 4)

    def forward(self, x):
        x = self.pool(self.fire1(self.norm1(self.conv1(x))))
        return self.head(self.fire2(self.norm2(self.conv2(x))).flatten(1))


class Residual(nn.Module):
    """x [N, 2, 6, 6], one step: spikes are added to spikes, so that conv3 reads 0, 1 and 2."""

    shape = (2, 6, 6)

    def __init__(self, fire):
        super().__init__()
        self.conv1, self.fire1 = nn.Conv2d(2, 6, 3, padding=1), fire()
        self.conv2, self.norm2, self.fire2 = (
            nn.Conv2d(6, 6, 3, padding=1),
            nn.BatchNorm2d(6),
            fire(),
        )
        self.conv3, self.fire3 = nn.Conv2d(6, 4, 3), fire()
        self.head = nn.Linear(64, 4)

    def forward(self, x):
        first = self.fire1(self.conv1(x))
        both = first + self.fire2(self.norm2(self.conv2(first)))
        return self.head(self.fire3(self.conv3(both)).flatten(1))


ARCHITECTURES = {"mlp": Mlp, "conv": Conv, "residual": Residual}


class Stepped(nn.Module):
    """x [N, T, ...], a step after the other."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return torch.stack([self.net(x[:, t]) for t in range(x.shape[1])], 1)


def network(name, fire):
    """One of the architectures, always with the same weights, loud enough that all neurons fire."""
    torch.manual_seed(7)
    net = ARCHITECTURES[name](fire)
    for p in net.parameters():
        p.data = 5 * p.data if p.dim() > 1 else p.data + 0.3
    return Stepped(net).eval()


def spikes(name):
    """Spikes [N, T, ...] for one of them."""
    drawn = torch.Generator().manual_seed(3)
    shape = (SAMPLES, STEPS, *ARCHITECTURES[name].shape)
    return (torch.rand(shape, generator=drawn) < 0.3).float()


class Threshold(nn.Module):
    """The least of all neurons: it fires where its input is above `level`."""

    def __init__(self, level=0.0):
        super().__init__()
        self.level = level

    def forward(self, x):
        return (x > self.level).float()


def made(*layers):
    """Layers one after the other, then neurons."""
    return nn.Sequential(*layers, Threshold())
