"""The estimates of `scmrl energy`, computed a second time: numpy alone, from a bundle's files and a
profile's TOML. Nothing of scmrl is imported; only what its documentation says is used.

    python second.py BUNDLE PROFILE.toml alone|streamed        one JSON object

Every synapse is a matrix here; the chip is stepped as a whole, neuron by neuron, spikes and all:
alone from rest, streamed for some rounds over the samples, of which the last is taken. It knows
what the demo needs: no delays or joins in the graph, no relays, no core with too many output axons.
"""

import itertools
import json
import math
import sys
from pathlib import Path

import numpy as np

try:
    import tomllib
except ImportError:  # before Python 3.11
    import tomli as tomllib

SHARED = ("Conv2d", "Pointwise", "Window")
CODES = (1, 2, 3, 4, 5, 6, 8)  # bits of a weight that Loihi 1 has a format for


# ---- the files


def profile_of(path):
    """{section: {name: value}}, with what its base says."""
    table = tomllib.loads(Path(path).read_text())
    base = {}
    if "base" in table:
        base = profile_of(Path(path).with_name(table["base"] + ".toml"))
    found = {
        s: base.get(s, {}) | {name: q["value"] for name, q in table.get(s, {}).items()}
        for s in ("energy", "time", "power", "limits")
    }
    return found | {"mapping": table.get("mapping", base.get("mapping"))}


class Graph:
    def __init__(self, folder):
        folder = Path(folder)
        table = json.loads((folder / "graph.json").read_text())
        arrays = dict(np.load(folder / "tensors.npz"))
        samples = dict(np.load(folder / "samples.npz"))

        def value(x):
            return arrays[x["array"]] if isinstance(x, dict) else x

        self.steps = table["steps"]
        self.populations = {
            p["name"]: {k: value(x) for k, x in p.items()} for p in table["populations"]
        }
        for p in self.populations.values():
            p["n"], p["shape"] = math.prod(p["shape"]), tuple(p["shape"])
            assert not p.get("adds") and p.get("reset", "zero") == "zero"
        self.synapses = [{k: value(x) for k, x in s.items()} for s in table["synapses"]]
        for s in self.synapses:
            assert s["delay"] == 0
            source, target = (self.populations[s[end]]["shape"] for end in ("source", "target"))
            s["matrix"] = matrix(s, source, target).astype(float)
            s["reaches"] = s["matrix"] != 0
            s["walks"] = matrix(s | {"weight": listed(s["weight"])}, source, target) != 0
        self.inputs = {n[2:]: x.astype(float) for n, x in samples.items() if n[:2] == "x/"}
        self.samples = len(samples["y"])
        self.trained = {n[2:]: x for n, x in samples.items() if n[:2] == "s/"}
        self.own = [n for n, p in self.populations.items() if p["kind"] != "input"]
        self.depth = dict.fromkeys(self.populations, 0)
        for _ in self.populations:
            for s in self.synapses:
                self.depth[s["target"]] = max(self.depth[s["target"]], self.depth[s["source"]] + 1)
        self.latest = max(self.depth.values())
        for s in self.synapses:
            given = self.populations[s["source"]]["kind"] == "input"
            s["wait"] = 0 if given else self.depth[s["target"]] - self.depth[s["source"]] - 1

    def into(self, name):
        return [s for s in self.synapses if s["target"] == name]


def listed(weight):
    """Ones for the weights of a source's list that is stored with its zeros."""
    some = np.asarray(weight) != 0
    if some.ndim > 1:
        some = some.any(axis=(0, *range(2, some.ndim)), keepdims=True)
    return np.broadcast_to(some, np.shape(weight)).astype(np.int64)


def matrix(s, source, target):
    """[targets, sources], flattened."""
    kind, weight = s["kind"], np.asarray(s["weight"]).astype(np.int64) << int(s["exponent"])
    n, m = math.prod(target), math.prod(source)
    if kind == "Dense":
        return weight
    out = np.zeros((*target, *source), np.int64)
    if kind == "OneToOne":
        return weight * np.eye(n, dtype=np.int64)
    if kind == "Pointwise":
        for at in np.ndindex(*source[1:]):
            out[(slice(None), *at, slice(None), *at)] = weight
    elif kind == "SumTokens":
        for c in range(source[0]):
            out[c, c] = weight
    elif kind == "Broadcast":
        for c in range(source[0]):
            out[c, ..., c] = weight
    else:
        (sh, sw), (ph, pw) = s["stride"], s["padding"]
        if kind == "Window":
            kernel = np.zeros((source[0], source[0], *s["kernel"]), np.int64)
            kernel[range(source[0]), range(source[0])] = weight
        else:
            assert s["groups"] == 1
            kernel = weight
        for i, j in np.ndindex(*target[1:]):
            for a, b in np.ndindex(*kernel.shape[2:]):
                y, x = i * sh + a - ph, j * sw + b - pw
                if 0 <= y < source[1] and 0 <= x < source[2]:
                    out[:, i, j, :, y, x] += kernel[:, :, a, b]
    return out.reshape(n, m)


# ---- the chip, step by step


class Chip:
    """All neurons of the pipeline; a synapse passes in a step what fired one hop and its wait
    before.
    """

    def __init__(self, graph, window):
        self.graph, self.window, self.h = graph, window, 0
        self.u = {n: np.zeros(graph.populations[n]["n"]) for n in graph.own}
        self.v = {n: np.zeros(graph.populations[n]["n"]) for n in graph.own}
        self.past = {n: [] for n in graph.populations}  # what each fired, newest first

    def step(self, given):
        """`given(name, t, s)`: values that an input sends on a synapse when its target is at own
        step t. Returns what was fired, what inputs sent by synapse, and active updates.
        """
        g, fired, active, injected = self.graph, {}, {}, {}
        for name in g.own:
            p, own = g.populations[name], self.h - g.depth[name]
            if own % self.window == 0 or p["memoryless"]:
                self.u[name][:], self.v[name][:] = 0, 0
            a, arrived = np.zeros(p["n"]), np.zeros(p["n"], bool)
            for s in g.into(name):
                if s["source"] in g.inputs:
                    x = given(s["source"], own)
                else:
                    x = self.fired_before(s["source"], 1 + s["wait"])
                a += s["matrix"] @ x
                arrived |= s["reaches"] @ (x != 0) > 0
            bias = np.broadcast_to(np.asarray(p["bias_mant"]) * (1 << p["bias_exp"]), p["shape"])
            bias = bias.ravel().astype(float)
            keeps_u, keeps_v = (self.u[name] != 0) & (p["du"] < 4095), self.v[name] != 0
            active[name] = arrived | (bias != 0) | keeps_u | (keeps_v & (p["dv"] < 4096))
            u = np.trunc(self.u[name] * (4095 - p["du"]) / 4096) + 64 * a
            v = np.trunc(self.v[name] * (4096 - p["dv"]) / 4096) + u + bias
            assert max(abs(u).max(), abs(v).max()) < 1 << 23, "no state leaves 24 bits"
            if p["kind"] == "lif":
                fired[name] = v > 64 * p["vth"]
                v = np.where(fired[name], 0, v)
            self.u[name], self.v[name] = u, v
        for i, s in enumerate(g.synapses):  # for the step to come of its target
            if s["source"] in g.inputs:
                injected[i] = given(s["source"], self.h + 1 - g.depth[s["target"]]) != 0
        for name, x in fired.items():
            self.past[name] = [x, *self.past[name][: self.graph.latest]]
        self.h += 1
        return fired, injected, active

    def fired_before(self, name, steps):
        past = self.past[name]
        return (
            past[steps - 1] if steps <= len(past) else np.zeros(self.graph.populations[name]["n"])
        )


def run(graph, mode, window):
    """What happens in every charged step: [(fired, injected, active)] of each sample."""
    steps = graph.steps
    if mode == "alone":
        found = []
        for sample in range(graph.samples):

            def given(name, t, sample=sample):
                x = graph.inputs[name][sample]
                return x[t].ravel() if 0 <= t < steps else np.zeros(x[0].size)

            chip = Chip(graph, window)
            found.append([chip.step(given) for _ in range(steps + graph.latest)])
        return found

    def streamed(name, t):
        x = graph.inputs[name]
        sample, own = divmod(t, window)
        inside = t >= 0 and own < steps
        return x[sample % graph.samples, own].ravel() if inside else np.zeros(x[0, 0].size)

    chip, length = Chip(graph, window), graph.samples * window
    rounds = 1 + -(-graph.latest // length)  # until it is full
    every = [chip.step(streamed) for _ in range((rounds + 1) * length)][rounds * length :]
    return [every[i : i + window] for i in range(0, length, window)]


# ---- where it lies


def grid(shape, extent):
    ranges = [[(i, min(i + size, n)) for i in range(0, n, size)] for n, size in zip(shape, extent)]
    return list(itertools.product(*ranges))


def inside(shape, box):
    here = np.zeros(shape, bool)
    here[tuple(slice(*ends) for ends in box)] = True
    return here.ravel()


def bits_of(weight):
    """Of the narrowest integer, without a common power of two."""
    values = [int(w) for w in np.unique(weight)]
    shift = 0
    while any(values) and all(w % 2 ** (shift + 1) == 0 for w in values):
        shift += 1
    low, high = min(values) >> shift, max(values) >> shift
    if low == high == 0:
        return 1
    if low >= 0:
        return high.bit_length()
    if high <= 0:
        return (-low).bit_length()
    return 1 + max(high.bit_length(), (-low - 1).bit_length())


class Layout:
    """The cores of a graph: [{population, box, here}] in order."""

    def __init__(self, graph, profile):
        self.graph, self.limits = graph, {n: int(x) for n, x in profile["limits"].items()}
        self.loihi2 = profile["mapping"] == "loihi2"
        assert all(s["wait"] <= self.limits["delay_steps"] for s in graph.synapses)
        for s in graph.synapses:
            s["bits"] = bits_of(s["weight"])
        self.cores = []
        order = sorted(graph.own, key=lambda n: graph.depth[n])
        for name in order:
            shape = graph.populations[name]["shape"]
            for box in self.ratio(name) if self.loihi2 else self.search(name):
                self.cores.append({"population": name, "here": inside(shape, box)})
        for core in self.cores:  # which neurons of each source it hears
            core["hears"] = {}
            for s in graph.into(core["population"]):
                heard = s["reaches"][core["here"]].any(0)
                known = core["hears"].get(s["source"], False)
                core["hears"][s["source"]] = heard | known
        self.check_axons_out()
        self.formats = []
        for s in graph.synapses:
            core = next(c for c in self.cores if c["population"] == s["target"])
            self.formats.append(self.store(s, core["here"])[2])

    def fits(self, name, box):
        """Words and axons of a box, or None where it does not fit."""
        p = self.graph.populations[name]
        here, lim = inside(p["shape"], box), self.limits
        words, longest, heard, bits = 0, 0, {}, 0
        for s in self.graph.into(name):
            more, list_, _ = self.store(s, here)
            words, longest = words + more, max(longest, list_)
            reached = s["reaches"][here].any(0)
            heard[s["source"]] = heard.get(s["source"], False) | reached
            bits = max(bits, (s["wait"] + 1).bit_length())
        takes = {
            "neurons_per_core": int(here.sum()),
            "synapse_words_per_core": words,
            "axons_in_per_core": sum(int(x.sum()) for x in heard.values()),
            "words_per_axon": longest,
            "accumulators_per_core": int(here.sum()) << bits,
        }
        over = {n: x / lim[n] for n, x in takes.items() if n in lim and x > lim[n]}
        return over, takes["axons_in_per_core"] + words

    def store(self, s, here):
        """Words of a synapse into some neurons, of its longest list, and its format."""
        fans, delay = s["reaches"][here].sum(0), int(s["wait"]).bit_length()
        fans = fans[fans > 0]
        if not len(fans):
            return 0, 0, "conv" if s["kind"] in SHARED and not self.loihi2 else "sparse"
        stored = np.full(len(fans), here.sum()) if s["kind"] == "Dense" else fans
        if self.loihi2:
            each = self.limits["synapse_bits"] + delay
            words = [-(-(int(n) * each + self.limits["entry_prefix_bits"]) // 64) for n in stored]
            return sum(words), max(words), "dense" if s["kind"] == "Dense" else "sparse"
        width = next((c for c in CODES if c >= s["bits"]), s["bits"]) + delay
        taps = 1
        if s["kind"] in SHARED:
            stored, taps = self.kernel(s, here)
            fans = stored
        lists, dense = self.lists(stored, fans, width)
        form = "conv" if s["kind"] in SHARED else "dense" if dense else "sparse"
        return sum(lists), max(lists) * taps, form

    def kernel(self, s, here):
        """Output channels of the box behind every tap of every source channel that it takes, and
        how many taps one pixel meets.
        """
        shape = self.graph.populations[s["target"]]["shape"]
        channels = here.reshape(shape[0], -1).any(1)
        sources = self.graph.populations[s["source"]]["shape"][0]
        if s["kind"] == "Pointwise":
            taken, size, stride = (s["weight"][channels] != 0).any(0), (1, 1), (1, 1)
            fan = channels.sum()
        elif s["kind"] == "Window":
            taken, size, stride, fan = channels, s["kernel"], s["stride"], 1
        else:
            taken, size = (s["weight"][channels] != 0).any((0, 2, 3)), s["weight"].shape[2:]
            stride, fan = s["stride"], channels.sum()
        assert taken.shape == (sources,)
        met = math.prod(-(-k // d) for k, d in zip(size, stride))
        return np.full(int(taken.sum()) * math.prod(size), fan), met

    def lists(self, dense, sparse, width):
        """Words of each list in the format of Loihi 1 that takes the fewest, and whether it is the
        dense one.
        """
        prefix, index, skip = (
            self.limits[n] for n in ("entry_prefix_bits", "index_bits", "skip_bits")
        )
        most = self.limits["synapses_per_entry"]

        def entry(bits):
            return -(-bits // 64) + (bits % 64 == 0 or bits % 64 >= 59)

        def words(n, header, each):
            full, rest = divmod(int(n), most)
            last = entry(header + rest * each) if rest else 0
            return full * entry(header + most * each) + last

        forms = [
            [words(n, prefix + index, width) for n in dense],
            [words(n, prefix, width + index) for n in sparse],
            [words(n, prefix + index, width + skip) for n in sparse],
        ]
        best = min(range(3), key=lambda i: sum(forms[i]))
        return forms[best], best == 0

    def ratio(self, name):
        """Lava's cut of a row of neurons: equal runs, twice as many until they fit."""
        p = self.graph.populations[name]
        over, _ = self.fits(name, tuple((0, n) for n in p["shape"]))
        ratio = math.ceil(max(over.values(), default=1))
        while True:
            left, extent = -(-p["n"] // min(ratio, p["n"])), []
            for n in reversed(p["shape"]):
                extent.insert(0, min(n, max(1, left)))
                left = left // n if left >= n else 1
            boxes = grid(p["shape"], extent)
            if not any(self.fits(name, box)[0] for box in boxes):
                return boxes
            ratio *= 2

    def search(self, name):
        """NxTF's cut: of all equal boxes the fewest, and of these the cheapest."""
        shape = self.graph.populations[name]["shape"]
        sizes = [sorted({-(-n // k) for k in range(1, n + 1)}) for n in shape]
        by_number = {}
        for extent in itertools.product(*sizes):
            number = math.prod(-(-n // size) for n, size in zip(shape, extent))
            by_number.setdefault(number, []).append(extent)
        for number in sorted(by_number):
            fitting = []
            for extent in by_number[number]:
                if math.prod(extent) > self.limits["neurons_per_core"]:
                    continue
                over, cost = self.fits(name, tuple((0, n) for n in extent))
                if over:
                    continue
                boxes = grid(shape, extent)
                if not any(self.fits(name, box)[0] for box in boxes):
                    fitting.append((number * cost, extent, boxes))
            if fitting:
                return min(fitting)[2]
        raise ValueError(name)

    def check_axons_out(self):
        """No core sends to more destinations than it may: else it would be cut again."""
        limit = self.limits["axons_out_per_core"]
        for core in self.cores:
            out = 0
            name, sends = core["population"], core["here"]
            if self.loihi2:
                for target in {s["target"] for s in self.graph.synapses if s["source"] == name}:
                    reached = [
                        s["reaches"].any(0)
                        for s in self.graph.synapses
                        if (s["source"], s["target"]) == (name, target)
                    ]
                    out += int((np.logical_or.reduce(reached) & sends).sum())
            else:
                for other in self.cores:
                    if name in other["hears"]:
                        out += 3 * int((other["hears"][name] & sends).sum())  # at most
            assert out <= limit, (name, out)

    def tile(self, core):
        """Column and row in the grid of all chips."""
        per_chip, lim = self.limits["cores"], self.limits
        chips = -(-len(self.cores) // per_chip)
        across = math.isqrt(max(chips - 1, 0)) + 1
        chip, tile = core // per_chip, core % per_chip // lim["cores_per_tile"]
        column = tile % lim["mesh_columns"] + chip % across * lim["mesh_columns"]
        return column, tile // lim["mesh_columns"] + chip // across * lim["mesh_rows"]


# ---- what it costs


def sums(graph, layout, step):
    """Of one step: by core synaptic operations by form, messages in and out, active, spikes; hops;
    messages over every link.
    """
    fired, injected, active = step
    cores, links = len(layout.cores), {}
    at = {"in": np.zeros(cores), "out": np.zeros(cores), "active": np.zeros(cores)}
    at |= {"spikes": np.zeros(cores), "synops": {f: np.zeros(cores) for f in set(layout.forms)}}
    messages, hops = 0, [0, 0]
    for c, core in enumerate(layout.cores):
        name, here = core["population"], core["here"]
        at["active"][c] = active[name][here].sum()
        at["spikes"][c] = fired[name][here].sum() if name in fired else 0
        waiting = {}
        for i, s in enumerate(graph.synapses):
            if s["target"] == name:
                x = injected[i] if i in injected else fired[s["source"]]
                met = s["reaches"][here].sum(0)
                if layout.formats[i] in ("dense", "conv"):
                    met = np.where(met > 0, s["walks"][here].sum(0), 0)
                at["synops"][layout.forms[i]][c] += (met * x).sum()
                if i in injected:
                    waiting[s["source"]] = s["reaches"][here].any(0) & x
        at["in"][c] += sum(x.sum() for x in waiting.values())
        for source, hears in core["hears"].items():
            if source in graph.inputs:
                continue
            x = fired[source] & hears
            at["in"][c] += x.sum()
            for d, other in enumerate(layout.cores):
                if other["population"] == source and (n := int((x & other["here"]).sum())):
                    at["out"][d] += n
                    messages += n
                    for way, link in route(layout.tile(d), layout.tile(c)):
                        links[way, link] = links.get((way, link), 0) + n
                        hops[way in "ns"] += n
    return at, messages, hops, links


def route(a, b):
    """The links from tile to tile, first along the row."""
    (x, y), (to_x, to_y) = a, b
    while x != to_x:
        yield ("e" if to_x > x else "w"), (x, y)
        x += 1 if to_x > x else -1
    while y != to_y:
        yield ("s" if to_y > y else "n"), (x, y)
        y += 1 if to_y > y else -1


def estimate(folder, profile_path, mode):
    graph, profile = Graph(folder), profile_of(profile_path)
    layout, e, ns = Layout(graph, profile), profile["energy"], profile["time"]
    graded = {n for n in graph.inputs if graph.populations[n]["bits"] > 1}
    layout.forms = [
        "graded" if s["source"] in graded and "synop_graded" in e else form
        for s, form in zip(graph.synapses, layout.formats)
    ]
    window = graph.steps
    if profile["mapping"] == "loihi2":
        window = 1
        while window < graph.steps:
            window *= 2
    neurons = np.array([core["here"].sum() for core in layout.cores])
    pj, times = 0.0, []
    for sample in run(graph, mode, window):
        for step in sample:
            at, messages, hops, links = sums(graph, layout, step)
            idle = neurons - at["active"]
            for form, x in at["synops"].items():
                pj += x.sum() * e.get(f"synop_{form}", e["synop"])
            pj += at["active"].sum() * e["neuron_active"] + idle.sum() * e["neuron_inactive"]
            pj += at["spikes"].sum() * e.get("spike_out", 0)
            pj += messages * (e.get("spike", 0) + e.get("axon_out", 0))
            pj += hops[0] * e["hop_ew"] + hops[1] * e["hop_ns"]
            synapses = sum(
                x * ns.get(f"synop_{form}", ns["synop"]) for form, x in at["synops"].items()
            )
            update = at["active"] * ns["neuron_active"] + idle * ns["neuron_inactive"]
            update += at["spikes"] * ns.get("spike_out", 0)
            hop = {way: ns.get("hop_ns" if way in "ns" else "hop_ew", 0) for way in "ewns"}
            parts = [
                *(synapses, update),
                *(at["in"] * ns.get("spike", 0), at["out"] * ns.get("axon_out", 0)),
                [ns["barrier"], 1e3 * ns.get("step_floor", 0)],
                [n * hop[way] for (way, _), n in links.items()],
            ]
            times.append(1e-3 * max(max(part) for part in parts if len(part)))
    return priced(graph, layout, profile, mode, pj, times)


def priced(graph, layout, profile, mode, pj, times):
    samples, power = graph.samples, profile["power"]
    interval = sum(times) / samples
    latency = interval
    if mode == "streamed":
        length, answer = len(times) // samples, graph.steps + graph.latest
        starts = range(0, len(times), length)
        latency = sum(times[(i + j) % len(times)] for i in starts for j in range(answer)) / samples
    cores, chips = len(layout.cores), -(-len(layout.cores) // layout.limits["cores"])
    static_mw = power["core_static"] * cores if "core_static" in power else None
    if static_mw is None:
        static_mw = power["chip_static"] * chips
    found = {
        "cores": cores,
        "core_dynamic_uj": 1e-6 * pj / samples,
        "core_static_uj": 1e-3 * static_mw * interval,
        "chip_fixed_uj": 1e-3 * power.get("chip_fixed", 0) * chips * interval,
        "host_uj": 1e-3 * power["host"] * chips * interval,
        "latency_us": latency,
        "interval_us": interval,
    }
    energies = [x for name, x in found.items() if name.endswith("_uj")]
    return found | {"static_mw": static_mw, "total_uj": sum(energies)}


if __name__ == "__main__":
    print(json.dumps(estimate(*sys.argv[1:])))
