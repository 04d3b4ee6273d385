"""Equal to the counters of spikingjelly, sinabs and NeuroBench on the same networks; where not, the
rule that says why.
"""

import pytest

torch = pytest.importorskip("torch")

from counted import ARCHITECTURES, SAMPLES, Threshold, network, spikes
from torch import nn

import scmrl
from scmrl.deploy.counting.found import PRODUCT

NAMES = tuple(ARCHITECTURES)
GRADED = {"mlp": [], "conv": [], "residual": ["net.conv3"]}  # by the data


def products(report):
    rows = [layer for layer in report.counted if layer.kind == PRODUCT]
    assert all(layer.acs + layer.macs > 0 for layer in rows), "a silent layer shows nothing"
    return rows


def total(rows, name):
    """Of all samples; each row is a whole number divided by them."""
    return sum(round(SAMPLES * getattr(row, name)) for row in rows)


def theirs_by_scope(net, x):
    """spikingjelly's synaptic operations of all samples, by module."""
    from spikingjelly.activation_based.op_counter import DispatchCounterMode, SynOpCounter

    counter = SynOpCounter()
    with torch.no_grad(), DispatchCounterMode([counter]):
        net(x)
    return {scope: sum(each.values()) for scope, each in counter.get_counts().items()}


@pytest.mark.parametrize("name", NAMES)
def test_equals_spikingjellys_counter(name):
    pytest.importorskip("spikingjelly")
    from spikingjelly.activation_based.neuron import LIFNode

    class Whole(nn.Module):
        """All steps in one call of each layer, as spikingjelly's multi-step mode has it."""

        def __init__(self):
            super().__init__()
            self.net = network(name, LIFNode).net

        def forward(self, x):
            return self.net(x.flatten(0, 1))

    report = scmrl.count(Whole().eval(), spikes(name))
    rows = products(report)
    assert [row.name for row in rows if not row.reads_spikes] == GRADED[name]
    theirs = theirs_by_scope(Whole().eval(), spikes(name))
    # What reads integers is no synaptic operation to it at all, to us a multiplication.
    assert theirs["Global"] == total(rows, "acs")
    for row in rows:
        (scope,) = [scope for scope in theirs if scope.endswith(row.name)]
        assert theirs[scope] == total([row], "acs"), row.name


def test_spikingjelly_counts_zero_weights_and_we_do_not():
    pytest.importorskip("spikingjelly")
    net = network("mlp", Threshold).net.fc1
    net.weight.data[:5] = 0.0
    x = spikes("mlp").flatten(0, 1)
    whole, live = theirs_by_scope(net, x)["Global"], 20 - 5
    assert whole == 20 * x.sum()
    module = nn.Sequential(net, Threshold())
    (row,) = [r for r in scmrl.count(module, x).counted if r.kind == PRODUCT]
    assert row.acs * len(x) == live * x.sum()


@pytest.mark.parametrize("name", NAMES)
def test_equals_sinabs_analyser(name):
    """sinabs adds a weight k times for an integer k, which is our unary count."""
    pytest.importorskip("sinabs")
    from sinabs.synopcounter import SNNAnalyzer

    class Lif(nn.Module):
        """One step of sinabs' neuron."""

        def __init__(self):
            super().__init__()
            self.lif = _lif()

        def forward(self, x):
            return self.lif(x.unsqueeze(1)).squeeze(1)

    report = scmrl.count(network(name, Lif), spikes(name))
    rows = products(report)
    net = network(name, Lif)
    with pytest.warns(DeprecationWarning):
        analyser = SNNAnalyzer(net)
    with torch.no_grad():
        net(spikes(name))
    modules = dict(net.named_modules())
    for row in rows:
        theirs = float(modules[row.name].accumulated_synops)
        assert row.unary_acs == pytest.approx(theirs, rel=1e-5), row.name
        assert row.macs == 0 or row.macs < theirs  # an integer is one multiplication
    assert [row.name for row in rows if row.macs] == GRADED[name]
    del analyser


def _lif():
    import sinabs.layers as sl
    from sinabs.activation import SingleSpike

    return sl.LIF(tau_mem=8.0, spike_fn=SingleSpike, norm_input=False)


@pytest.mark.parametrize("name", NAMES)
def test_equals_neurobenchs_metric(name):
    """It decides at every call, we for the whole run: a step whose sums happen to be 0 and 1 alone
    is additions to it.
    """
    pytest.importorskip("neurobench"), pytest.importorskip("snntorch")
    import snntorch
    from neurobench.hooks.layer import LayerHook
    from neurobench.metrics.workload import SynapticOperations

    def leaky():
        return snntorch.Leaky(0.8, init_hidden=True)

    rows = products(scmrl.count(network(name, leaky), spikes(name)))
    net = network(name, leaky)

    class Hooked:
        connection_hooks = [
            LayerHook(part) for part in net.modules() if isinstance(part, (nn.Linear, nn.Conv2d))
        ]

    with torch.no_grad():
        predicted = net(spikes(name))
    theirs = SynapticOperations()(Hooked, predicted, (spikes(name), None))
    acs, macs, dense = (total(rows, kind) for kind in ("acs", "macs", "dense"))
    theirs = {name: round(SAMPLES * value) for name, value in theirs.items()}
    assert acs + macs == theirs["Effective_ACs"] + theirs["Effective_MACs"]
    assert dense == theirs["Dense"] and theirs["Effective_MACs"] <= macs
    assert (theirs["Effective_MACs"] > 0) == (macs > 0) == bool(GRADED[name])
    if not GRADED[name]:
        assert acs == theirs["Effective_ACs"]


@pytest.fixture(scope="module")
def spikformer():
    """spikingjelly's own Spikformer, small, with random weights that let it fire."""
    pytest.importorskip("spikingjelly")
    from spikingjelly.activation_based.model.spikformer import Spikformer

    def make():
        torch.manual_seed(0)
        net = Spikformer(
            T=2, img_size_h=16, img_size_w=16, patch_size=4, num_classes=10, embed_dims=32,
            num_heads=4, depths=1,
        )  # fmt: skip
        for part in net.modules():
            if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
                nn.init.normal_(part.bias, 0.5), nn.init.normal_(part.weight, 1.0)
        return net.eval()

    x = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    return scmrl.count(make(), x), theirs_by_scope(make(), x)


def test_a_spikformer_has_its_attention_apart_and_its_integers_named(spikformer):
    report, _ = spikformer
    assert report.not_counted == ()
    rows = {row.name: row for row in report.counted}
    scores, mixed = rows["blocks.0.attn.product1"], rows["blocks.0.attn.product2"]
    assert scores.reads == ("spikes", "spikes") and mixed.reads == ("integers", "spikes")
    assert scores.acs > 0 and mixed.acs > 0 and scores.macs == mixed.macs == 0
    assert report.totals.streams_acs == scores.acs + mixed.acs
    assert rows["patch_embed.stages.0.conv_bn.block.0"].reads == ("values",)
    for name in ("blocks.0.mlp.fc1.0", "head"):  # what is overlooked: sums of spikes
        assert rows[name].reads == ("integers",) and rows[name].macs > 0 == rows[name].acs
    assert rows["blocks.0.add1"].gives == "integers"
    assert all(row.folded for row in report.counted if row.kind == "norm")
    assert len(report.populations) == 10 and all(n.kind == "LIFNode" for n in report.populations)
    for attended in report.prices["loihi2"], report.prices["truenorth"]:
        assert attended.admitted is False and "multiplies two streams" in attended.why_not[0]


def test_a_spikformer_is_spikingjellys_layer_by_layer(spikformer):
    """Where values or integers come in it counts nothing; where integers meet spikes it counts each
    spike with every row, those of zeros too.
    """
    report, theirs = spikformer
    for row in report.counted:
        if row.kind == PRODUCT and not row.is_product_of_streams:
            (scope,) = [scope for scope in theirs if scope.endswith(f".{row.name}")] or [None]
            assert theirs.get(scope, 0) == pytest.approx(report.samples * row.acs, rel=1e-12), (
                row.name
            )
    (scope,) = [scope for scope in theirs if scope.endswith("blocks.0.attn")]
    inside = [
        s for s in theirs if s.startswith(f"{scope}.") and s.count(".") == scope.count(".") + 1
    ]
    attention = theirs[scope] - sum(theirs[s] for s in inside)
    assert attention >= report.samples * report.totals.streams_acs
