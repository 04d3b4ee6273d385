"""The published LSNN: its code of images, its graph against an emulation by explicit loops, and the
chip's own run.
"""

import dataclasses
import functools

import numpy as np
import pytest
from places import SHARED

from scmrl.core import reference
from scmrl.deploy.backends.simulator.simulator import Simulator
from scmrl.deploy.validation import lsnn
from scmrl.system.errors import DataError

DATA = SHARED
needs_data = pytest.mark.skipif(
    not (DATA / "lsnn" / "w_in.npy").is_file(), reason=f"no LSNN weights in {DATA}"
)
STEPS = 120


@functools.cache
def chip_run() -> lsnn.Run:
    """The 200 images of the chip's benchmark, run once for all tests."""
    return lsnn.run(DATA)


def random_weights(seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)

    def sparse(shape, share):
        return random.integers(-254, 255, shape) * (random.random(shape) < share)

    return {
        "w_in": sparse((80, 240), 0.3),
        "w_rec": sparse((240, 240), 0.2),
        "w_out": sparse((240, 10), 0.4),
    }


def decay(v: int, by: int) -> int:
    return int(v * (4096 - by) / 4096)  # exact below 2^53, and rounds toward zero


def emulate(w_in, w_rec, w_out, injected):
    """One sample by the specification, compartment by compartment: spikes, potentials, and what the
    chip does.
    """
    steps, v, aux, out = len(injected), [0] * 240, [0] * 100, [0] * 10
    relay, fired = np.zeros(80, int), np.zeros(240, int)
    arriving_relay, spikes, potentials = np.zeros(80, int), [], []
    did = {"synops": 0, "receiving": 0, "nonzero": 0}
    for t in range(steps):
        new_relay = arriving_relay.copy()  # injected one step ago
        received = (w_in != 0).T @ relay + (w_rec != 0).T @ fired
        a = w_in.T @ relay + w_rec.T @ fired
        did["receiving"] += int((received > 0).sum() + arriving_relay.sum() + fired[140:].sum())
        did["receiving"] += int((((w_out != 0).T @ fired) > 0).sum())
        did["nonzero"] += int(arriving_relay.sum())
        now = np.zeros(240, int)
        for n in range(240):
            joined = 0
            if n >= 140:
                did["nonzero"] += bool(aux[n - 140] or fired[n])
                aux[n - 140] = decay(aux[n - 140], 5) - 384 * int(fired[n])
                joined = aux[n - 140]
            did["nonzero"] += bool(v[n] or received[n] or joined)
            v[n] = decay(v[n], 204) + int(a[n]) * (64 if n < 140 else 256) + joined
            if v[n] > (127 * 64 if n < 140 else 508 * 64):
                now[n], v[n] = 1, 0
        heard = w_out.T @ fired
        for k in range(10):
            did["nonzero"] += bool(out[k] or ((w_out[:, k] != 0) & (fired > 0)).any())
            out[k] = decay(out[k], 204) + int(heard[k]) * 64
        did["synops"] += int(
            injected[t].sum()
            + (w_in != 0).sum(1) @ new_relay
            + (w_rec != 0).sum(1) @ now
            + (w_out != 0).sum(1) @ now
            + now[140:].sum()
        )
        relay, fired, arriving_relay = new_relay, now, injected[t].astype(int)
        spikes.append(now)
        potentials.append(out.copy())
    return np.array(spikes), np.array(potentials), did


@pytest.fixture(scope="module")
def small():
    weights = random_weights(3)
    graph = dataclasses.replace(lsnn.network(**weights), steps=STEPS)
    injected = (np.random.default_rng(4).random((2, STEPS, 80)) < 0.05).astype(np.uint8)
    return weights, graph, injected


def test_the_graph_equals_an_emulation_by_loops(small):
    weights, graph, injected = small
    expected = reference.run(graph, {"host": injected})
    got = Simulator(graph).run({"host": injected})
    for name in (*expected.spikes, *expected.membrane):
        assert np.array_equal(got.values(name), expected.values(name)), name
    for sample in range(2):
        spikes, potentials, _ = emulate(**weights, injected=injected[sample])
        assert spikes[:, :140].sum() > 100 and spikes[:, 140:].sum() > 100
        assert np.array_equal(expected.spikes["regular"][sample], spikes[:, :140])
        assert np.array_equal(expected.spikes["adaptive"][sample], spikes[:, 140:])
        assert np.array_equal(expected.membrane[lsnn.PROBE][sample], potentials)


def test_the_counts_are_those_of_the_emulation(small):
    weights, graph, injected = small
    tally = lsnn._Tally(graph)
    tally.add({"host": injected}, reference.run(graph, {"host": injected}))
    means = tally.means(1)
    did = [emulate(**weights, injected=x)[2] for x in injected]
    assert sum(means["synops"].values()) == sum(d["synops"] for d in did)
    assert means["receiving"] == sum(d["receiving"] for d in did)
    assert means["nonzero"] == sum(d["nonzero"] for d in did)
    assert means["updates"] == 430 * STEPS and means["updates_recurrent"] == 350 * STEPS


def test_a_spike_takes_two_steps_to_the_network_and_adaptation_one():
    weights = {name: np.zeros(shape, int) for name, shape in lsnn.SHAPES.items()}
    weights["w_in"][5, 139:141] = 200  # the last regular and the first adaptive neuron
    graph = dataclasses.replace(lsnn.network(**weights), steps=6)
    injected = np.zeros((1, 6, 80), np.uint8)
    injected[0, 0, 5] = 1
    spikes = reference.run(graph, {"host": injected}).spikes
    assert np.argwhere(spikes["relay"][0]).tolist() == [[1, 5]]
    assert np.argwhere(spikes["regular"][0]).tolist() == [[2, 139]]
    assert np.argwhere(spikes["adaptive"][0]).tolist() == [[2, 0]]


def test_images_become_crossings_of_levels():
    images = np.random.default_rng(0).integers(0, 256, (2, 28, 28), np.uint8)
    images[0, 0, :3] = 0, 255, 255  # up through all levels, and a pixel of 255 followed by another
    spikes = lsnn.encode(images)
    level = [int(255 * k / 39) for k in range(40)]
    expected = np.zeros((2, 840, 80), int)
    for s, pixels in enumerate(images.reshape(2, 784).astype(int)):
        for i in range(783):
            for k in range(1, 39):
                expected[s, i, 2 * k] = pixels[i] < level[k] <= pixels[i + 1]
                expected[s, i, 2 * k + 1] = pixels[i] >= level[k] > pixels[i + 1]
            expected[s, i, 78] = pixels[i] == 255
    expected[:, 784:, 79] = 1
    assert np.array_equal(spikes, expected)
    assert spikes[0, 0, 2:78:2].all() and not spikes[..., :2].any() and spikes[0, 1, 78] == 1


def test_missing_and_other_weights_are_named(tmp_path):
    with pytest.raises(DataError, match="w_in.npy: no such file"):
        lsnn.weights(tmp_path)
    (tmp_path / "lsnn").mkdir()
    np.save(tmp_path / "lsnn" / "w_in.npy", np.zeros((80, 240)))
    with pytest.raises(DataError, match="not the published weights"):
        lsnn.weights(tmp_path)


@needs_data
def test_the_chips_answers_and_counts():
    """189 of 200 correct, the chip's 11 mistakes in their order, and the counts recomputed
    independently of scmrl.
    """
    run = chip_run()
    assert run.correct == 189 and run.mistakes == lsnn.CHIP_MISTAKES and run.as_on_the_chip
    assert round(run.total_synops) == 638_821 and run.updates == 361_200
    assert (round(run.receiving), round(run.nonzero)) == (124_191, 237_358)
    assert {name: round(n, 3) for name, n in run.spikes.items()} == {
        "host": 2013.02,
        "relay": 2012.02,
        "regular": 5729.095,
        "aux": 0,
        "adaptive": 4795.055,
        "output": 0.015,
    }
    synops = {name: round(n) for name, n in run.synops.items()}
    assert (synops["host->relay"], synops["relay->regular"], synops["relay->adaptive"]) == (
        2013,
        68_042,
        41_223,
    )
    assert synops["adaptive->aux"] == 4795
    assert round(run.synops["regular->regular"] + run.synops["adaptive->regular"]) == 291_469
    assert round(run.synops["regular->adaptive"] + run.synops["adaptive->adaptive"]) == 191_926
    assert round(run.synops["regular->output"] + run.synops["adaptive->output"]) == 39_353
    assert round(run.messages) == 12_536
