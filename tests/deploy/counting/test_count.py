"""`scmrl count`, from a user's file to the table: what it says, and one line for every mistake."""

import json
import re

import numpy as np
import pytest
from test_cli import fails
from test_docs import DOCS, carry_out

torch = pytest.importorskip("torch")

from counted import Threshold, made
from torch import nn

import scmrl as api
from scmrl.core.report.markup import latex, markdown
from scmrl.core.report.report import table
from scmrl.hw_profiles import profile as profiles
from scmrl.system.errors import DataError, UsageError

FILE = """
import numpy
import torch
from torch import nn


class Fire(nn.Module):
    def forward(self, x):
        return (x > 0.0).float()


def net():
    torch.manual_seed(0)
    print("made")
    return nn.Sequential(nn.Linear(4, 6), Fire(), nn.Linear(6, 3))


class Named(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right, self.fire = nn.Linear(4, 5), nn.Linear(3, 5), Fire()

    def forward(self, sound, image, gain=1.0):
        return self.fire(self.left(sound) + self.right(image))


ready = net()
number = 3


def ann():
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))


def broken():
    raise ValueError("no weights")


class Fails(nn.Module):
    def forward(self, x):
        x = x + 1
        raise KeyError("step")


def something():
    return [1, 2]
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(FILE)
    np.savez("x.npz", x=np.array([[1, 0, 1, 1], [0, 0, 1, 0]]), y=np.zeros(2, int))
    return tmp_path


def counted(scmrl, *words):
    code, out, err = scmrl("count", *words, "--json")
    assert code == 0, err
    return json.loads(out)


def test_the_command_counts_a_users_network(scmrl, place):
    found = counted(scmrl, "mine.py:net", "--input", "x.npz")
    assert (found["command"], found["samples"]) == ("count", 2)
    first, second = found["layers"]
    assert first["name"] == "0" and first["reads"] == ["spikes"] and first["acs"] == 6 * 4 / 2
    assert first["dense"] == 24 and first["parameters"] == 30
    assert second["reads"] == ["spikes"] and second["macs"] == 0
    (fire,) = found["populations"]
    assert (fire["name"], fire["kind"], fire["neurons"], fire["updates"]) == ("1", "Fire", 6, 6)
    total = found["totals"]
    assert total["energy_uj"] == pytest.approx(0.9e-6 * total["acs"], rel=1e-12)
    by_rate = 0.9e-6 * sum(row["rate"] * row["dense"] for row in found["layers"])
    assert total["by_rate_uj"] == pytest.approx(by_rate, rel=1e-12)
    assert total["dense_uj"] == pytest.approx(4.6e-6 * (24 + 18), rel=1e-12)
    assert total["parameters"] == 30 + 21 and found["not_counted"] == []
    assert counted(scmrl, "mine.py:ready", "--input", "x.npz")["layers"] == found["layers"]


def test_the_call_says_the_same(scmrl, place):
    found = counted(scmrl, "mine.py:net", "--input", "x.npz", "--profile", "loihi2,odin")
    report = api.count("mine.py:net", "x.npz", chips=["loihi2", "odin"])
    assert json.loads(json.dumps(report.to_json())) == found
    assert list(found["prices"]) == ["loihi2", "odin"]


def test_the_answer_comes_first_and_then_the_layers(scmrl, place, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = scmrl("count", "mine.py:net", "--input", "x.npz")
    lines = out.splitlines()
    assert code == 0 and lines[0].startswith("energy") and "uJ a sample at 45 nm" in lines[0]
    answer = lines[: next(i for i, line in enumerate(lines) if not line.strip())]
    assert len(answer) <= 10 and max(map(len, lines)) <= 80
    assert "operations a sample" in " ".join(lines[len(answer) + 1 :][:2])


def test_tables_for_papers(scmrl, place):
    code, out, _ = scmrl("count", "mine.py:net", "--input", "x.npz", "--table", "latex")
    assert code == 0 and out.startswith("\\begin{tabular}{llrrrr}") and "\\%" in out
    code, out, _ = scmrl("count", "mine.py:net", "--input", "x.npz", "--table", "markdown")
    assert code == 0 and len(out.splitlines()) == 5 and out.startswith("| layer | reads |")
    fails(
        scmrl("count", "mine.py:net", "--input", "x.npz", "--table", "latex", "--json"),
        2,
        "--table stands alone",
    )
    odd = table(("a_b", "n"), [("50 % & x_1|y", "1")], words=("a_b",), footer=("all", "1"))
    assert r"50 \% \& x\_1|y & 1 \\" in latex(odd) and r"a\_b & n \\" in latex(odd)
    assert r"| 50 % & x\_1\|y | 1 |" in markdown(odd) and "| **all** | **1** |" in markdown(odd)


def test_a_page_is_written(scmrl, place):
    pytest.importorskip("jinja2")
    code, _, err = scmrl("count", "mine.py:net", "--input", "x.npz", "--html", "page.html")
    assert code == 0 and "operations a sample" in (place / "page.html").read_text(), err


def test_the_page_of_the_documentation_runs(tmp_path):
    carry_out(DOCS / "how-to" / "count.md", tmp_path)


def test_arguments_by_name(scmrl, place):
    np.savez("two.npz", sound=np.ones((2, 4), bool), image=np.ones((2, 3)) / 3)
    found = counted(scmrl, "mine.py:Named", "--input", "two.npz")
    assert [row["name"] for row in found["layers"]] == ["left", "right", "add"]
    assert found["given"] == {"sound": [2, 4], "image": [2, 3]}
    np.savez("one.npz", sound=np.ones((2, 4)))
    fails(scmrl("count", "mine.py:Named", "--input", "one.npz"), 3, "missing", "image")
    np.savez("more.npz", sound=np.ones((2, 4)), image=np.ones((2, 3)), smell=np.ones((2, 1)))
    fails(scmrl("count", "mine.py:Named", "--input", "more.npz"), 3, "smell", "sound, image")
    np.savez("odd.npz", sound=np.ones((2, 4)), image=np.ones((3, 3)))
    fails(scmrl("count", "mine.py:Named", "--input", "odd.npz"), 3, "same number of samples")


@pytest.mark.parametrize(
    "name, words",
    [
        ("mine.py:ann", ("mine.py:ann", "gives spikes")),
        ("mine.py:broken", ("mine.py:36", "ValueError: no weights")),
        ("mine.py:Fails", ("mine.py:42", "KeyError", "x [2, 4]")),
        ("mine.py:something", ("torch module", "list")),
        ("mine.py:number", ("not a function", "number")),
        ("mine.py:nett", ("did you mean 'net'",)),
        ("none.py:net", ("none.py",)),
        ("mine.py", ("FILE.py:NAME",)),
    ],
)
def test_what_is_no_spiking_network_is_one_line(scmrl, place, name, words):
    fails(scmrl("count", name, "--input", "x.npz"), 2, *words)


def test_inputs_that_do_not_fit_are_one_line(scmrl, place):
    np.savez("wide.npz", x=np.ones((2, 5)))
    outcome = scmrl("count", "mine.py:net", "--input", "wide.npz")
    fails(outcome, 2, "mine.py", "[2, 5]", "shapes cannot be multiplied")
    np.savez("none.npz", x=np.ones((0, 4)))
    fails(scmrl("count", "mine.py:net", "--input", "none.npz"), 3, "number of samples")
    np.savez("nan.npz", x=np.full((2, 4), np.nan))
    fails(scmrl("count", "mine.py:net", "--input", "nan.npz"), 3, "nan.npz: input", "finite")
    np.savez("empty.npz", y=np.ones(3))
    fails(scmrl("count", "mine.py:net", "--input", "empty.npz"), 3, "no array")
    (place / "bad.npz").write_bytes(b"nothing")
    fails(scmrl("count", "mine.py:net", "--input", "bad.npz"), 3, "bad.npz")
    fails(scmrl("count", "mine.py:net", "--input", "x.npz", "--batch-axis", 2), 2, "--batch-axis")
    fails(scmrl("count", "mine.py:net", "--input", "x.npz", "--profile", "loihi3"), 2, "loihi")
    fails(scmrl("count", "mine.py:net"), 2, "--input")


def test_a_call_refuses_what_is_no_module_and_no_numbers():
    with pytest.raises(UsageError, match="torch module.*got int"):
        api.count(3, np.ones((1, 2)))
    with pytest.raises(DataError, match="numbers"):
        api.count(made(nn.Linear(2, 2)), np.array([["a", "b"]]))


# What cannot be counted is named.


class Numpy(torch.autograd.Function):
    """A function of its own that torch does not see into."""

    @staticmethod
    def forward(ctx, x, weight):
        return torch.from_numpy(x.numpy() @ weight.numpy())


class Leaves(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4, 2))

    def forward(self, x):
        return Numpy.apply(x, self.weight)


class Filled(nn.Module):
    """What a kernel behind a pointer does: it writes where torch does not look."""

    def forward(self, x):
        out = torch.empty(len(x), 2)
        np.from_dlpack(out)[:] = 1.0
        return out * 2


def lost(net, x):
    return {(n.where, n.what) for n in api.count(net, x).not_counted}


def test_a_function_that_leaves_torch_is_named():
    found = lost(made(Leaves()), torch.ones(2, 4))
    assert ("0", "a stream that leaves torch by .numpy()") in found


def test_a_tensor_that_torch_did_not_fill_is_named():
    assert lost(made(Filled()), torch.ones(2, 4)) == {
        ("0", "a tensor that no operation of torch filled")
    }


def test_an_operation_of_another_library_is_named():
    @torch.library.custom_op("scmrltest::triple", mutates_args=())
    def triple(x: torch.Tensor) -> torch.Tensor:
        return x * 3

    class Triple(nn.Module):
        def forward(self, x):
            return triple(x)

    report = api.count(made(nn.Linear(4, 3), Triple()), torch.ones(2, 4))
    assert ("1", "operation scmrltest::triple") in {(n.where, n.what) for n in report.not_counted}
    assert next(iter(report.headline())) == "NOT COUNTED"
    assert report.headline()["energy"].startswith("at least")


def test_an_operation_of_torch_without_a_rule_is_named():
    assert lost(made(nn.Linear(4, 3), nn.GELU()), torch.ones(2, 4)) == {("1", "gelu of a stream")}


def test_a_layer_that_is_never_reached_is_named():
    class Spare(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.spare, self.fire = nn.Linear(4, 3), nn.Linear(4, 3), Threshold()

        def forward(self, x):
            return self.fire(self.used(x))

    assert lost(Spare(), torch.ones(2, 4)) == {("spare", "Linear that was never reached")}


# Neurons, and how they are told.


class WrittenOut(nn.Module):
    """No module for its neurons."""

    def __init__(self, steps=3):
        super().__init__()
        self.steps, self.fc, self.head = steps, nn.Linear(4, 6), nn.Linear(6, 2)

    def forward(self, x):
        v, out = torch.zeros(len(x), 6), 0.0
        for _ in range(self.steps):
            v = 0.9 * v + self.fc(x)
            spikes = (v > 0.1).float()
            v = v - 0.1 * spikes
            out = out + self.head(spikes)
        return out


def test_neurons_that_are_written_out_are_found_and_their_sums_are_no_layers():
    report = api.count(WrittenOut(), torch.ones(2, 4))
    (neurons,) = report.populations
    assert (neurons.kind, neurons.neurons, neurons.updates) == ("written out", 6, 18)
    assert re.fullmatch(r"neurons \(test_count.py:\d+\)", neurons.name)
    assert [row.name for row in report.counted] == ["fc", "head"]
    assert report.counted[0].acs == 3 * 24 and report.not_counted == ()


@pytest.mark.parametrize("library", ["spikingjelly", "snntorch", "norse", "sinabs"])
def test_neurons_of_every_library_are_neurons(library):
    pytest.importorskip(library)
    if library == "spikingjelly":
        from spikingjelly.activation_based.neuron import LIFNode as Lif
    elif library == "snntorch":
        from functools import partial

        from snntorch import Leaky

        Lif = partial(Leaky, 0.9, init_hidden=True)
    elif library == "norse":
        from norse.torch import LIFBoxCell

        class Lif(nn.Module):
            def __init__(self):
                super().__init__()
                self.cell, self.state = LIFBoxCell(), None

            def forward(self, x):
                spikes, self.state = self.cell(x, self.state)
                return spikes
    else:
        from sinabs.layers import IAF

        class Lif(nn.Module):
            def __init__(self):
                super().__init__()
                self.iaf = IAF()

            def forward(self, x):
                return self.iaf(x[:, None])[:, 0]

    class Steps(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.fire, self.head = nn.Linear(4, 6), Lif(), nn.Linear(6, 2)
            nn.init.constant_(self.fc.weight, 20.0)

        def forward(self, x):
            return sum(self.head(self.fire(self.fc(x))) for _ in range(5))

    report = api.count(Steps(), torch.ones(2, 4))
    (neurons,) = report.populations
    assert (neurons.neurons, neurons.updates) == (6, 30) and neurons.spikes > 0
    assert [row.name for row in report.counted] == ["fc", "head", "add"]  # of the last: logits
    assert report.not_counted == ()


def test_silent_neurons_are_a_warning():
    report = api.count(made(nn.Linear(4, 3), Threshold(99.0), nn.Linear(3, 2)), torch.ones(2, 4))
    assert next(iter(report.headline())) == "WARNING"


def test_a_run_leaves_a_module_as_it_was():
    net = made(nn.Linear(4, 3), nn.BatchNorm1d(3)).train()
    before = {name: x.clone() for name, x in net.state_dict().items()}
    attention = nn.functional.scaled_dot_product_attention
    api.count(net, torch.rand(3, 4))
    assert net.training and all(part.training for part in net.modules())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in net.modules())
    assert all(torch.equal(before[name], x) for name, x in net.state_dict().items())
    assert nn.functional.scaled_dot_product_attention is attention


def test_samples_lie_along_an_axis():
    x = torch.ones(5, 2, 4)  # [T, N, ...]
    report = api.count(made(nn.Linear(4, 3)), x, batch_axis=1)
    assert report.samples == 2 and report.counted[0].acs == 5 * 4 * 3


# Prices.


def test_chips_that_take_spikes_alone_refuse_values():
    net = made(nn.Linear(4, 3))
    values = api.count(net, torch.tensor([[0.1, 0.73, 0.419, 0.2]])).prices
    spikes = api.count(net, torch.ones(1, 4)).prices
    assert values["truenorth"].admitted is False and "spikes only" in values["truenorth"].why_not[0]
    assert "0 read values" in values["truenorth"].why_not[0]
    assert values["loihi2"].admitted and spikes["truenorth"].admitted
    assert spikes["generic-45nm"].admitted is None  # no chip: no rules
    many = api.count(made(nn.Linear(4, 300)), torch.ones(1, 4)).prices["odin"]
    assert many.admitted is False and "300 neurons, limit 256" in many.why_not[0]


def test_prices_are_counts_times_the_profiles_numbers():
    x = torch.tensor([[0.0, 1.0, 2.0, 3.0]])
    report = api.count(made(nn.Linear(4, 5)), x)
    e = profiles.load("generic-45nm").energy
    price = report.prices["generic-45nm"]
    assert price.operations_uj == pytest.approx(1e-6 * 15 * e["mac"].value, rel=1e-12)
    assert price.as_spikes_uj == pytest.approx(1e-6 * 30 * e["ac"].value, rel=1e-12)
    assert price.updates_uj == pytest.approx((4.5e-6, 4.5e-6), rel=1e-12)
    loihi = profiles.load("loihi2").energy
    low, high = report.prices["loihi2"].updates_uj
    assert low == pytest.approx(5e-6 * loihi["neuron_inactive"].value) and low < high
    none = report.prices["generic-22nm"]
    assert none.operations_uj is None and "multiplication" in none.not_published[0]


# ---- standard errors -----------------------------------------------------------------------------


def test_the_error_of_a_count_is_that_of_its_samples_counted_one_by_one():
    torch.manual_seed(0)
    net, x = nn.Sequential(nn.Linear(6, 8), Threshold(), nn.Linear(8, 3)), torch.randn(9, 6)
    found = api.count(net, x).over_samples
    alone = [api.count(net, x[[i]]).totals for i in range(9)]
    for name in ("energy_uj", "acs", "spikes"):
        values = np.array([getattr(each, name) for each in alone])
        assert found.totals[name].error == pytest.approx(values.std(ddof=1) / 3), name
    assert found.prices["generic-45nm"].error == pytest.approx(found.totals["energy_uj"].error)
    assert not found.unknown and api.count(net, x[:1]).over_samples.unknown.startswith("one sample")


def test_what_a_module_keeps_from_a_first_run_stays_out_of_the_errors():
    """The groups run on copies from before: neither they nor the module see each other's state."""

    class Keeps(nn.Module):
        def __init__(self):
            super().__init__()
            self.fire, self.past = Threshold(), 0.0

        def forward(self, x):
            self.past = self.past + float(x.abs().sum())
            return self.fire(x * (1 if self.past < 1e6 else 0))

    net = nn.Sequential(Keeps(), nn.Linear(6, 3))
    x = torch.randn(4, 6)
    report = api.count(net, x)
    assert net[0].past == pytest.approx(float(x.abs().sum()))  # the module itself ran once
    assert report.over_samples.totals["spikes"].groups == 4


def test_a_module_that_cannot_be_copied_or_cut_says_so():
    class Held(nn.Module):
        def __init__(self, held=None):
            super().__init__()
            self.fire, self.held = Threshold(), held

        def forward(self, x):
            assert len(x) == 4, "four samples or none"
            return self.fire(x)

    x = torch.randn(4, 6)
    whole = api.count(nn.Sequential(Held(iter([1])), nn.Linear(6, 3)), x)
    assert whole.totals.spikes > 0 and not whole.over_samples.totals
    assert "fewer samples" in whole.over_samples.unknown
    stuck = api.count(nn.Sequential(Held(i for i in ()), nn.Linear(6, 3)), x)
    assert "cannot be copied" in stuck.over_samples.unknown
