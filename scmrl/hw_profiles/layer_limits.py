"""What chips can hold that run whole layers (convolutions) on cores of their own: Speck, Akida.

A layer is a population with the synapses into it. Shapes are read as (C, H, W); a missing axis is
1. The rules are of the same form as in `scmrl.hw_profiles.limits`. Sources: sinabs (Speck),
BrainChip's hardware constraints (Akida).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

from ..core.convolution import Convolution
from ..core.graph import Graph, Population, Synapse

Offences = Iterator[tuple[str, object]]


def layers(
    graph: Graph,
    limit: int,
    *,
    kernel_words_per_core: Sequence[int] | None = None,
    neuron_words_per_core: Sequence[int] | None = None,
) -> Offences:
    """Every population that is computed has a core of its own with enough memory for kernels and
    neurons.

    Remedy: use fewer or narrower layers.
    """
    computed = computed_populations(graph)
    if len(computed) > limit:
        yield "all populations", len(computed)
    elif kernel_words_per_core and neuron_words_per_core:
        cores = list(zip(kernel_words_per_core, neuron_words_per_core))
        need = {p.name: (kernel_words(graph, p), neuron_words(p)) for p in computed}
        fits = {
            name: [i for i, (kernels, neurons) in enumerate(cores) if k <= kernels and n <= neurons]
            for name, (k, n) in need.items()
        }
        for name in _unplaced(fits):
            yield name, "no free core for {} kernel and {} neuron words".format(*need[name])


def layer_targets(graph: Graph, limit: int) -> Offences:
    """The spikes of a layer go to at most this many others.

    Remedy: let fewer layers read it.
    """
    for p in graph.populations:
        targets = {synapse.target for synapse in graph.synapses if synapse.source == p.name}
        if len(targets) > limit:
            yield p.name, len(targets)


def kernel_words_per_core(graph: Graph, limit: Sequence[int] | int) -> Offences:
    """Kernels fit the memory of a core: C_in * 2^(ceil log2(kx ky) + ceil log2(C_out)) words a
    synapse.

    Remedy: use fewer channels or smaller kernels.
    """
    for p in computed_populations(graph):
        if kernel_words(graph, p) > _largest(limit):
            yield p.name, kernel_words(graph, p)


def neuron_words_per_core(graph: Graph, limit: Sequence[int] | int) -> Offences:
    """Neurons fit the memory of a core: C_out * 2^(ceil log2(H) + ceil log2(W)) words a layer.

    Remedy: use fewer channels or positions.
    """
    for p in computed_populations(graph):
        if neuron_words(p) > _largest(limit):
            yield p.name, neuron_words(p)


def channels(graph: Graph, limit: int) -> Offences:
    """A layer has at most this many channels.

    Remedy: use fewer channels.
    """
    for p in graph.populations:
        if p.shape[0] > limit:
            yield p.name, p.shape[0]


def input_channels(graph: Graph, limit: int) -> Offences:
    """An input image has at most this many channels.

    Remedy: use fewer input channels.
    """
    for p in graph.of_kind("input"):
        if len(p.shape) == 3 and p.shape[0] > limit:
            yield p.name, p.shape[0]


def biases_per_layer(graph: Graph, limit: int) -> Offences:
    """A layer has at most this many biases, one a channel.

    Remedy: use fewer channels.
    """
    for p in computed_populations(graph):
        if p.bias.any() and p.shape[0] > limit:
            yield p.name, p.shape[0]


def input_width(graph: Graph, limit: int) -> Offences:
    """An input image is at most this high and wide.

    Remedy: crop or shrink the images.
    """
    for p in graph.of_kind("input"):
        if max(_chw(p)[1:]) > limit:
            yield p.name, max(_chw(p)[1:])


def layer_width(graph: Graph, limit: int) -> Offences:
    """A layer is at most this high and wide.

    Remedy: use larger strides or fewer tokens.
    """
    for p in computed_populations(graph):
        if max(_chw(p)[1:]) > limit:
            yield p.name, max(_chw(p)[1:])


def kernel_size(graph: Graph, limit: int) -> Offences:
    """A kernel is at most this high and wide.

    Remedy: use smaller kernels.
    """
    for name, form in _convolutions(graph):
        if max(form.kernel) > limit:
            yield name, max(form.kernel)


def even_kernels(graph: Graph, limit: int) -> Offences:
    """A kernel is of odd height and width.

    Remedy: use odd kernels.
    """
    for name, form in _convolutions(graph):
        if not limit and any(size % 2 == 0 for size in form.kernel):
            yield name, "x".join(map(str, form.kernel))


def stride(graph: Graph, limit: int) -> Offences:
    """A stride is at most this.

    Remedy: use a smaller stride.
    """
    for name, form in _convolutions(graph):
        if max(form.stride) > limit:
            yield name, max(form.stride)


def any_stride(graph: Graph, limit: int) -> Offences:
    """A stride is a power of two.

    Remedy: use a stride of 1, 2, 4 or 8.
    """
    for name, form in _convolutions(graph):
        worst = [step for step in form.stride if step & (step - 1)]
        if not limit and worst:
            yield name, max(worst)


def padding(graph: Graph, limit: int) -> Offences:
    """The padding of a convolution is at most this.

    Remedy: use less padding.
    """
    for name, form in _convolutions(graph):
        if max(form.padding) > limit:
            yield name, max(form.padding)


def dense_inputs(graph: Graph, limit: int) -> Offences:
    """A dense layer reads at most this many neurons.

    Remedy: put a convolution with a stride, or a pool, before it.
    """
    for synapse in graph.synapses:
        if synapse.all_to_all and graph[synapse.source].neurons > limit:
            yield synapse.name, graph[synapse.source].neurons


def computed_populations(graph: Graph) -> tuple[Population, ...]:
    """The populations with neurons: all but the inputs."""
    return graph.of_kind("lif") + graph.of_kind("readout")


def kernel_words(graph: Graph, p: Population) -> int:
    """Words of the kernels of all synapses into `p`, each as a convolution from the source's
    channels.
    """
    return sum(
        _chw(graph[s.source])[0] * _power_above(_taps(graph, s)) * _power_above(_outputs(graph, s))
        for s in graph.incoming(p.name)
    )


def neuron_words(p: Population) -> int:
    c, h, w = _chw(p)
    return c * _power_above(h) * _power_above(w)


def _taps(graph: Graph, synapse: Synapse) -> int:
    """Positions of a source channel that one output neuron may read."""
    source, target = graph[synapse.source], graph[synapse.target]
    form = synapse.convolution(source.shape, target.shape)
    if form is not None:
        return prod(form.kernel)
    local = source.shape[1:] == target.shape[1:] and not synapse.all_to_all
    return 1 if local else prod(_chw(source)[1:])


def _outputs(graph: Graph, synapse: Synapse) -> int:
    target = graph[synapse.target]
    return target.neurons if synapse.all_to_all else target.shape[0]


def _unplaced(fits: dict[str, list[int]]) -> list[str]:
    """The layers left over when as many as possible have a core (bipartite matching, augmenting
    paths).
    """
    holder: dict[int, str] = {}

    def place(name: str, tried: set[int]) -> bool:
        for core in fits[name]:
            if core not in tried:
                tried.add(core)
                if core not in holder or place(holder[core], tried):
                    holder[core] = name
                    return True
        return False

    return [name for name, cores in fits.items() if cores and not place(name, set())]


def _convolutions(graph: Graph) -> list[tuple[str, Convolution]]:
    """The synapses that are convolutions, by name."""
    forms = [
        (s.name, s.convolution(graph[s.source].shape, graph[s.target].shape))
        for s in graph.synapses
    ]
    return [(name, form) for name, form in forms if form is not None]


def _chw(p: Population) -> tuple[int, ...]:
    c, *rest = p.shape
    return (c, *rest, 1, 1)[:3] if len(rest) < 3 else (c, rest[0], prod(rest[1:]))


def _power_above(number: int) -> int:
    return 1 << (number - 1).bit_length()


def _largest(limit: Sequence[int] | int) -> int:
    return limit if isinstance(limit, int) else max(limit)


RULES = (
    layers,
    layer_targets,
    kernel_words_per_core,
    neuron_words_per_core,
    channels,
    input_channels,
    biases_per_layer,
    input_width,
    layer_width,
    kernel_size,
    even_kernels,
    stride,
    any_stride,
    padding,
    dense_inputs,
)
