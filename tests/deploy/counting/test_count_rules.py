"""What one operation is: by hand, and by sending every number through the layer alone."""

import pytest

torch = pytest.importorskip("torch")

from counted import Threshold, made
from torch import nn
from torch.nn import functional

import scmrl
from scmrl.deploy.counting.found import INTEGERS, SILENT, SPIKES, VALUES
from scmrl.deploy.counting.stream import Seen, look

DRAWN = torch.Generator().manual_seed(5)


def binary(*shape):
    return (torch.rand(shape, generator=DRAWN) < 0.4).float()


def first(net, x, **options):
    """The first layer of a network on x, and that nothing of it was lost."""
    report = scmrl.count(net, x, **options)
    assert report.not_counted == ()
    return report.counted[0]


def one_by_one(layer, x):
    """Outputs that each number of x that is not zero reaches, each sent through alone."""
    reached = 0
    with torch.no_grad():
        for place in x.nonzero():
            alone = torch.zeros_like(x)
            alone[tuple(place)] = 1.0
            reached += int(torch.count_nonzero(layer(alone)))
    return reached


LAYERS = {
    "linear": (lambda: nn.Linear(7, 5, bias=False), (7,)),
    "linear of tokens": (lambda: nn.Linear(7, 5, bias=False), (3, 7)),
    "conv1d": (lambda: nn.Conv1d(2, 4, 3, stride=2, padding=2, bias=False), (2, 9)),
    "conv2d": (lambda: nn.Conv2d(4, 6, 3, padding=1, groups=2, bias=False), (4, 5, 4)),
    "conv2d, dilated": (lambda: nn.Conv2d(2, 3, 2, dilation=2, stride=2, bias=False), (2, 7, 6)),
    "conv2d, same": (lambda: nn.Conv2d(2, 3, (3, 5), padding="same", bias=False), (2, 4, 5)),
    "conv3d": (lambda: nn.Conv3d(2, 2, 2, padding=1, bias=False), (2, 3, 3, 3)),
    "transposed": (lambda: nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, 2, bias=False), (4, 4, 3)),
    "mean pool": (lambda: nn.AvgPool2d(3, 2, 1), (2, 6, 5)),
    "mean pool, ceil": (lambda: nn.AvgPool2d(2, ceil_mode=True), (2, 5, 5)),
    "mean pool 1d": (lambda: nn.AvgPool1d(3, 2), (2, 7)),
    "mean pool 3d": (lambda: nn.AvgPool3d(2, 1), (1, 3, 4, 3)),
    "adaptive": (lambda: nn.AdaptiveAvgPool2d((2, 3)), (2, 5, 7)),
    "adaptive, all": (lambda: nn.AdaptiveAvgPool2d(1), (2, 5, 7)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_every_number_reaches_what_it_reaches_alone(name):
    make, shape = LAYERS[name]
    torch.manual_seed(1)
    layer, x = make(), binary(2, *shape)
    row = first(made(layer), x)
    assert row.acs == one_by_one(layer, x) / 2 and row.macs == 0
    assert row.dense == one_by_one(layer, torch.ones_like(x)) / 2
    assert row.spikes == x.sum() / 2 and row.rate == pytest.approx(float(x.mean()), rel=1e-6)
    if "pool" not in name and "adaptive" not in name:
        values = x * torch.rand(x.shape, generator=DRAWN)
        same = first(made(layer), values)
        assert same.reads == ("values",) and (same.acs, same.macs) == (0, row.acs)
        assert row.parameters == sum(p.numel() for p in layer.parameters())


def test_a_zero_weight_is_no_operation():
    layer = nn.Conv2d(1, 2, 3, bias=False)
    layer.weight.data[0] = 0.0
    assert first(made(layer), torch.ones(1, 1, 3, 3)).acs == 9


def test_biases_are_no_operations_and_are_parameters():
    row = first(made(nn.Linear(4, 3)), torch.ones(1, 4))
    assert row.acs == 12 and row.parameters == 15


@pytest.mark.parametrize(
    "numbers, kind, largest",
    [
        ([0, 0], SILENT, 0),
        ([0, 1, 1], SPIKES, 1),
        ([0, -1, 1], SPIKES, 1),
        ([0, 0.3, 0.3], SPIKES, 1),  # a magnitude that belongs to the weights
        ([0, 1, 2], INTEGERS, 2),
        ([0.25, 0.5, 0.75], INTEGERS, 3),
        ([k / 255 for k in range(256)], INTEGERS, 255),
        ([k / 9 for k in range(10)], INTEGERS, 9),
        ([0.2, 0.3], INTEGERS, 3),
        ([0.1, 0.37123, 0.9331], VALUES, None),
        ([1, 300], VALUES, None),
        ([1, float("inf")], VALUES, None),
    ],
)
def test_what_a_stream_carries_is_told_by_its_numbers(numbers, kind, largest):
    seen = look(torch.tensor(numbers, dtype=torch.float32))
    assert (seen.kind, seen.largest) == (kind, largest)


def test_a_stream_is_judged_over_all_its_calls():
    one, two, half = (look(torch.tensor([0.0, x])) for x in (1.0, 2.0, 0.5))
    assert (one + two).kind == INTEGERS and (one + two).largest == 2
    assert (one + half).largest == 2 and (one + one).kind == SPIKES
    assert (Seen() + one).kind == SPIKES and (one + look(torch.zeros(3))).rate == 1 / 5
    assert (one + look(torch.tensor([0.1234567, 0.7654321, 0.333]))).kind == VALUES


def test_integers_multiply_and_are_additions_as_spikes():
    x = torch.tensor([[0.0, 1.0, 2.0, 3.0]])
    row = first(made(nn.Linear(4, 5)), x)
    assert (row.reads, row.largest, row.macs, row.acs) == (("integers",), 3, 15, 0)
    assert row.unary_acs == 30


class Attention(nn.Module):
    """Two products of streams in one line, in four ways to write them."""

    def __init__(self, how):
        super().__init__()
        self.how, self.fire = how, Threshold(0.0)

    def forward(self, x):
        q, k, v = x.unbind(1)
        if self.how == "matmul":
            y = torch.matmul(torch.matmul(q, k.transpose(-2, -1)), v)
        elif self.how == "@":
            y = (q @ k.transpose(-2, -1)) @ v
        elif self.how == "bmm":
            y = torch.bmm(torch.bmm(q, k.mT), v)
        else:
            y = torch.einsum("bnm,bmc->bnc", torch.einsum("bnc,bmc->bnm", q, k), v)
        return self.fire(y)


@pytest.mark.parametrize("how", ["matmul", "@", "bmm", "einsum"])
def test_products_of_streams_have_their_own_rule(how):
    x = binary(3, 3, 5, 6)
    q, k, v = x.unbind(1)
    scores, mixed = scmrl.count(Attention(how), x).counted
    assert scores.is_product_of_streams and mixed.is_product_of_streams
    assert scores.reads == ("spikes", "spikes") and mixed.reads == ("integers", "spikes")
    assert scores.acs * 3 == (q @ k.mT).sum()  # where both fire
    assert mixed.acs * 3 == (((q @ k.mT) != 0).float() @ v).sum()
    assert scores.dense == 5 * 6 * 5 and scores.macs == mixed.macs == 0


def test_products_of_values_multiply():
    x = torch.rand(2, 3, 4, 4, generator=DRAWN)
    scores, mixed = scmrl.count(Attention("@"), x).counted
    assert (scores.acs, scores.macs) == (0, 64) == (mixed.acs, mixed.macs)


def test_a_fused_attention_is_taken_apart():
    class Fused(nn.Module):
        def __init__(self):
            super().__init__()
            self.fire = Threshold(0.1)

        def forward(self, x):
            return self.fire(functional.scaled_dot_product_attention(*x.unbind(1)))

    report = scmrl.count(Fused(), binary(2, 3, 5, 4))
    rows = [row for row in report.counted if row.is_product_of_streams]
    assert len(rows) == 2 and rows[0].acs > 0
    assert [n.what for n in report.not_counted] == ["_softmax of a stream"]


def test_multihead_attention_has_its_layers_and_its_products():
    class Attend(nn.Module):
        def __init__(self):
            super().__init__()
            self.attend = nn.MultiheadAttention(8, 2, batch_first=True)
            self.fire = Threshold(0.0)

        def forward(self, x):
            return self.fire(self.attend(x, x, x, need_weights=False)[0])

    report = scmrl.count(Attend(), binary(2, 5, 8))
    products = [row for row in report.counted if row.kind == "product"]
    assert [row.is_product_of_streams for row in products] == [False, True, True, False]
    assert products[0].reads == ("spikes",) and products[0].parameters == 3 * 8 * 8
    assert products[1].macs == 5 * 5 * 8  # values, after the projections
    assert report.totals.parameters == 4 * 8 * 8 + 4 * 8


def test_a_gate_of_spikes_chooses_and_a_product_of_values_multiplies():
    class Gate(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = Threshold(0.3), Threshold(0.6)

        def forward(self, x):
            return self.a(x) * self.b(x), x * x.flip(1)

    x = torch.rand(2, 9, generator=DRAWN)
    gate, values = scmrl.count(Gate(), x).counted
    assert (gate.kind, gate.acs, gate.macs) == ("gate", 0, 0)
    assert gate.gates * 2 == (x > 0.6).sum() and values.macs == 9


def test_residuals_are_additions_where_both_fire_and_are_shown():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.head = Threshold(0.3), Threshold(0.6), nn.Linear(9, 2)

        def forward(self, x):
            return self.head(self.a(x) + self.b(x))

    x = torch.rand(2, 9, generator=DRAWN)
    add, head = scmrl.count(Residual(), x).counted
    assert add.acs * 2 == (x > 0.6).sum() and (add.gives, add.gives_largest) == ("integers", 2)
    assert head.reads == ("integers",) and head.macs * 2 == 2 * (x > 0.3).sum()


def test_batch_norm_folds_behind_weights_and_nowhere_else():
    behind = scmrl.count(made(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)), binary(2, 2, 5, 5)).counted
    assert behind[1].folded and (behind[1].acs, behind[1].macs) == (0, 0)
    alone = first(made(nn.BatchNorm1d(6)), binary(4, 6))
    assert not alone.folded and alone.macs == 6


def test_a_look_up_reads_a_row():
    x = torch.randint(0, 5, (2, 4), generator=DRAWN)
    row = first(made(nn.Embedding(5, 3)), x)
    assert (row.kind, row.acs, row.macs, row.parameters) == ("look-up", 0, 0, 15)


def test_a_sum_over_time_adds_what_is_there():
    class Rate(nn.Module):
        def __init__(self):
            super().__init__()
            self.fire = Threshold(0.5)

        def forward(self, x):
            return self.fire(x).mean(1)

    x = torch.rand(2, 6, 4, generator=DRAWN)
    row = first(Rate(), x)
    assert row.kind == "sum" and row.acs * 2 == (x > 0.5).sum()
