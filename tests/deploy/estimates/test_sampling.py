"""Standard errors over samples: the textbook's, right on average for groups, printed everywhere."""

import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_energy import network

from scmrl.core import reference
from scmrl.core.bundle import Bundle
from scmrl.deploy import jobs
from scmrl.deploy.counts import sampling
from scmrl.deploy.counts.sampling import GROUPS, Moments, groups, of_each, over_samples
from scmrl.deploy.energy import run as energy_run
from scmrl.hw_profiles.profile import load


def test_one_sample_a_group_is_the_textbooks_standard_error():
    x = np.array([3.0, 5.0, 4.0, 8.0, 1.5])
    found = over_samples(list(x), [1] * 5)
    assert found.error == pytest.approx(x.std(ddof=1) / math.sqrt(5))
    assert (found.samples, found.groups) == (5, 5)
    assert found.share == pytest.approx(found.error / x.mean())
    assert found.needed == math.ceil((x.std(ddof=1) / (0.01 * x.mean())) ** 2)


@given(st.integers(1, 500))
def test_groups_are_every_sample_once_and_of_one_size(samples):
    drawn = groups(samples)
    assert sorted(np.concatenate(drawn)) == list(range(samples))
    assert len(drawn) == min(samples, GROUPS)
    assert max(map(len, drawn)) - min(map(len, drawn)) <= 1


@pytest.mark.parametrize("order", ["drawn", "sorted"])
@pytest.mark.parametrize("samples", [23, 64])
def test_batch_means_are_right_on_average_in_whatever_order_the_samples_come(
    order, samples, monkeypatch
):
    """Mean of SE^2 over many draws of the groups against s^2 / n. Contiguous groups of sorted
    samples would give several times as much.
    """
    random, ratios = np.random.default_rng(4), []
    for seed in range(2000):
        monkeypatch.setattr(sampling, "SEED", seed)
        x = random.gamma(2.0, size=samples)
        x = np.sort(x) if order == "sorted" else x
        drawn = groups(samples)
        found = over_samples([x[part].mean() for part in drawn], [len(part) for part in drawn])
        ratios.append(found.error**2 / (x.var(ddof=1) / samples))
    assert np.mean(ratios) == pytest.approx(1, abs=0.03)


def test_a_single_group_has_no_error_and_equal_ones_none_at_all():
    assert over_samples([4.2], [1]) is None and of_each([{"x": 4.2}], [1]) == {}
    assert over_samples([0.1 + 0.2, 0.3, 0.3], [1, 1, 1]).error == 0
    nothing = over_samples([0.0, 0.0], [1, 1])
    assert (nothing.error, nothing.share, nothing.needed) == (0, None, None)
    assert of_each([{"x": 1.0, "y": None}, {"x": 2.0, "y": 3.0}], [1, 1]).keys() == {"x"}


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=40))
def test_moments_are_those_of_all_numbers_together(x):
    found = Moments()
    for each in x:
        found += each
    together = over_samples(x, [1] * len(x))
    assert found.mean == pytest.approx(np.mean(x))
    assert found.over_samples.error == pytest.approx(together.error, rel=1e-6, abs=1e-6)


# ---- of a run ------------------------------------------------------------------------------------


def inputs(samples):
    random = np.random.default_rng(1)
    rates = random.random((samples, 1, 1))
    return {"in": (random.random((samples, 5, 3)) < rates).astype(np.int64)}


def counted(samples):
    graph, given = network(), inputs(samples)
    return graph, energy_run.counted(graph, given, reference.run(graph, given))


def sizes_of(run):
    return [len(part) for part in run.groups]


@pytest.mark.parametrize("samples", [1, 7, 33])
def test_error_of_an_energy_is_that_of_the_samples_priced_one_by_one(samples):
    graph, run = counted(samples)
    (e,) = energy_run.estimates(run, [load("loihi1")])
    if samples == 1:
        assert e.over_samples == {} and run.over_samples == {}
        return
    alone = []
    for i in range(samples):
        given = {"in": inputs(samples)["in"][[i]]}
        one = energy_run.counted(graph, given, reference.run(graph, given))
        alone += energy_run.estimates(one, [load("loihi1")])
    for name in ("core_dynamic_uj", "total_uj"):
        uj, found = np.array([getattr(one, name) for one in alone]), e.over_samples[name]
        assert getattr(e, name) == pytest.approx(uj.mean()) and found.samples == samples
        means = [uj[part].mean() for part in groups(samples)]
        assert found.error == pytest.approx(over_samples(means, sizes_of(run)).error)
        exact = uj.std(ddof=1) / math.sqrt(samples)
        assert found.error == pytest.approx(exact, rel=1e-6 if samples <= GROUPS else 0.5)
    assert e.over_samples["latency_us"].error == 0  # the floor of a step, whatever the sample


def test_error_of_a_count_is_that_of_the_samples_counted_one_by_one():
    graph, run = counted(33)
    given, names = inputs(33)["in"], run.over_samples.keys()
    each = [
        energy_run.counted(graph, {"in": x[None]}, reference.run(graph, {"in": x[None]})).counts
        for x in given
    ]
    assert names == {"spikes_per_inference", "synops_per_inference", "active_per_inference"}
    for name in names:
        sums = np.array([sum(getattr(c, name) or 0 for c in counts) for counts in each])
        found = over_samples([sums[part].mean() for part in run.groups], sizes_of(run))
        assert run.over_samples[name] == found and found.error > 0


# ---- three parts, apart --------------------------------------------------------------------------


def test_constants_and_model_are_apart_and_neither_holds_the_other():
    graph, run = counted(7)
    profile = load("loihi2")
    (e,) = energy_run.estimates(run, [profile])
    assert e.constants["core_dynamic_uj"] == e.coefficient_range
    assert e.model["core_dynamic_uj"] == e.ranges["core_dynamic_uj"]
    sharp = dataclasses.replace(
        profile,
        **{
            section: {
                name: dataclasses.replace(q, range=None)
                for name, q in getattr(profile, section).items()
            }
            for section in ("energy", "time", "power")
        },
    )
    (sure,) = energy_run.estimates(run, [sharp])
    assert set(sure.constants.values()) == {None}  # no constant with a range: nothing of them
    assert sure.model["core_dynamic_uj"] == e.model["core_dynamic_uj"]
    (exact,) = energy_run.estimates(run, [dataclasses.replace(profile, error={})])
    assert set(exact.model.values()) == {None}
    assert exact.constants == e.constants


# ---- printed everywhere --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bundle():
    graph, given = network(), inputs(12)
    return Bundle(graph, given, np.zeros(12, np.int64), reference.run(graph, given))


@pytest.mark.parametrize("job", [jobs.energy, jobs.deploy, jobs.place])
def test_every_report_of_an_estimate_says_its_error_over_the_samples(job, bundle, capsys):
    report = job(bundle)
    report.show()
    shown = capsys.readouterr().out
    table = json.loads(json.dumps(report.to_json()))
    if job is jobs.place:
        found = table["optimised"]["over_samples"]["messages"]
    else:
        found = table["profiles"]["loihi2"]["over_samples"]["total_uj"]
        assert table["over_samples"]["synops_per_inference"]["needed"] > 1
    assert found["samples"] == 12 and found["groups"] == 12 and found["error"] > 0
    assert "±" in shown
