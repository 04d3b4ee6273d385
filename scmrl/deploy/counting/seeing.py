"""What runs in a module, operation by operation: each call of torch's own operations, the module
that it belongs to, the place in the code that made it, and whether what it takes depends on the
input.

Nothing of the module is changed: its layers are watched by hooks that are taken off again. A place
is the module and the calls between its `forward` and the operation, so that a loop over time is one
place, and two products in one line are two.

    origin of a tensor: constant (weights, buffers, what is made of them), stream (depends on the
    input), linear (a stream, straight out of a layer with weights), unfilled (nothing wrote it yet)
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from . import fused, rules
from .stream import Seen, look

CONSTANT, STREAM, LINEAR, UNFILLED = "constant", "stream", "linear", "unfilled"
TORCH = os.path.dirname(torch.__file__) + os.sep
CALL = os.path.join(TORCH, "nn", "modules", "module.py")
SDPA = functional.scaled_dot_product_attention
LEAVING = ("numpy", "__array__", "data_ptr", "tolist", "__dlpack__")  # methods of a tensor


@dataclass
class Site:
    """One place: what its calls did, added up."""

    path: str
    rule: str
    code: str
    calls: int = 0
    done: int = 0
    dense: int = 0
    unary: float = 0.0  # of the stream, where there is one only
    folded: bool = True
    shape: tuple[int, ...] = ()
    inputs: dict[int, Seen] = field(default_factory=dict)  # the operands that are streams
    result: Seen = Seen()
    weights: set[str] = field(default_factory=set)

    @property
    def streams(self) -> list[Seen]:
        """What its streams carried, in the order of the operands."""
        return [self.inputs[i] for i in sorted(self.inputs)]


@dataclass
class Part:
    """A module, over its calls: what is in it, and what comes out where it thresholds."""

    path: str
    kind: str
    calls: int = 0
    products: bool = False
    arithmetic: bool = False
    thresholds: bool = False  # in it
    direct: bool = False  # in its own code, not in a module of it
    units: int = 0  # numbers that one comparison compares
    out: Seen = Seen()


@dataclass
class Run:
    """All that was seen: sites by place, parts by name, reasons by what is not counted."""

    sites: dict[tuple, Site] = field(default_factory=dict)
    parts: dict[str, Part] = field(default_factory=dict)
    unknown: dict[tuple[str, str], int] = field(default_factory=dict)
    aside: dict[tuple[str, str], int] = field(default_factory=dict)
    fires: dict[tuple, tuple[str, str, int, Seen]] = field(default_factory=dict)


class Watch(TorchDispatchMode):
    """Sees every operation while it is entered."""

    def __init__(self, module: torch.nn.Module, inputs: list[torch.Tensor]):
        super().__init__()
        self.run, self.stack, self.busy = Run(), [""], False
        self.origin: dict[int, str] = {}
        self.held: dict[int, tuple] = {}  # a comparison's result, until it becomes spikes
        self.names = {_storage(p): name for name, p in module.named_parameters()}
        for name, part in module.named_modules():
            self.run.parts[name] = Part(name, type(part).__name__)
            for x in tensors_of(part):
                self.origin[_storage(x)] = CONSTANT
        for x in inputs:
            self.origin[_storage(x)] = STREAM

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if not self.busy:
            with self.unseen():
                self.see(func, args, kwargs or {}, out)
        return out

    @contextmanager
    def unseen(self) -> Iterator[None]:
        """What is done here is ours, and not the module's."""
        self.busy = True
        try:
            yield
        finally:
            self.busy = False

    def see(self, func: Any, args: tuple, kwargs: dict[str, Any], out: Any) -> None:
        """One operation that was done: note it, and where what it gives comes from."""
        name = func._schema.name.partition("::")[2].rstrip("_")
        given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        written = set(map(_storage, _written(func, args, kwargs)))
        streams = [x for x in given if self.is_stream(x)]
        for x in given:
            if (
                _storage(x) not in written
                and self.origin.get(_storage(x)) == UNFILLED
                and x.numel()
            ):
                self.lost("a tensor that no operation of torch filled")
                streams.append(x)
        linear = False
        if streams and name not in rules.MAKES:
            linear = self.note(func, name, args, out, streams)
        self.mark(name, given, written, streams, out, linear)

    def is_stream(self, x: torch.Tensor) -> bool:
        return self.origin.get(_storage(x)) in (STREAM, LINEAR)

    def note(
        self, func: Any, name: str, args: tuple, out: Any, streams: list[torch.Tensor]
    ) -> bool:
        """Count an operation on streams, or say why not; whether it gives a layer's sums."""
        part, aten = self.run.parts[self.stack[-1]], func.namespace == "aten"
        operands = [x for x in args[:2] if isinstance(x, torch.Tensor)]
        two = len(operands) == 2 and all(self.is_stream(x) and x.dim() for x in operands)
        if name in rules.TWO or name == "where" or (name == "_to_copy" and _floats(out)):
            for x in operands:
                self.fire(x)
        if not aten:
            self.lost(f"operation {func._schema.name}")
        elif name in rules.THRESHOLDS or func._overloadname.endswith("_mode"):
            self.threshold(name, out)
        elif name in rules.RULES and (two or name not in rules.TWO):
            return self.count(name, args, out)
        elif name in rules.SCALING and not (name == "div" and two):
            part.arithmetic = True
            return self.of(streams[0]) == LINEAR
        elif name not in rules.FREE:
            part.arithmetic = True
            key = (part.path, f"{name} of a stream")
            self.run.aside[key] = self.run.aside.get(key, 0) + 1
        return False

    def of(self, x: torch.Tensor) -> str | None:
        return self.origin.get(_storage(x))

    def count(self, name: str, args: tuple, out: Any) -> bool:
        """Add a call to its site."""
        result = out[0] if isinstance(out, (tuple, list)) else out
        path = self.stack[-1]
        try:
            work = rules.RULES[name](args, result)
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            self.lost(f"operation {name} in a form without a rule ({error})")
            return False
        chain, code = _place()
        key = (path, work.rule, chain)
        site = self.run.sites.setdefault(key, Site(path, work.rule, code))
        streams = [x for x in work.operands if self.is_stream(x)]
        if not streams:  # a bias alone is one
            return False
        for i, x in enumerate(work.operands):
            if self.is_stream(x):
                site.inputs[i] = site.inputs.get(i, Seen()) + look(x)
        site.calls, site.done = site.calls + 1, site.done + work.done
        site.dense += work.dense
        site.unary += sum(u for u, x in zip(work.unary, work.operands) if self.is_stream(x))
        site.shape, site.result = tuple(streams[0].shape), site.result + look(result)
        site.folded &= work.rule == rules.NORM and self.of(args[0]) == LINEAR
        tensors = (*work.operands, *work.also)
        site.weights |= {self.names[_storage(x)] for x in tensors if _storage(x) in self.names}
        if work.rule in (rules.ADD, rules.GATE):
            self.run.parts[path].arithmetic = True
        if work.rule == rules.PRODUCT:
            for place in self.stack:
                self.run.parts[place].products = True
            return len(streams) == 1
        straight = work.rule == rules.POOL and self.of(args[0]) == LINEAR
        return straight or (work.rule == rules.NORM and site.folded)

    def threshold(self, name: str, out: torch.Tensor) -> None:
        """A comparison that may be a neuron's."""
        self.run.parts[self.stack[-1]].direct = True
        for place in self.stack:
            part = self.run.parts[place]
            part.thresholds, part.units = True, max(part.units, out.numel())
        chain, code = _place()
        self.held[_storage(out)] = (self.stack[-1], name, chain, code)
        if out.dtype != torch.bool:
            self.fire(out)

    def fire(self, x: torch.Tensor) -> None:
        """What a comparison gave is used as numbers: spikes."""
        if (held := self.held.pop(_storage(x), None)) is not None:
            path, name, chain, code = held
            key, seen = (path, name, chain), look(x)
            if key in self.run.fires:
                seen = self.run.fires[key][3] + seen
            self.run.fires[key] = (path, code, x.numel(), seen)

    def mark(
        self,
        name: str,
        given: list[torch.Tensor],
        written: set[int],
        streams: list[torch.Tensor],
        out: Any,
        linear: bool,
    ) -> None:
        """Where what an operation gives, or writes into, comes from."""
        aliases = set(map(_storage, given))
        moved = name in rules.MOVING and any(self.of(x) == LINEAR for x in streams)
        origin = CONSTANT
        if streams and name not in rules.MAKES:
            origin = LINEAR if linear or moved else STREAM
        for x in (x for x in tree_leaves(out) if isinstance(x, torch.Tensor)):
            place = _storage(x)
            if place in aliases and place not in written:
                continue  # a view
            self.origin[place] = UNFILLED if name in rules.UNFILLED and x.numel() else origin
            if name not in rules.THRESHOLDS:
                self.held.pop(place, None)
        for place in written:
            if origin != CONSTANT or self.origin.get(place) == UNFILLED:
                self.origin[place] = origin

    def lost(self, what: str) -> None:
        key = (self.stack[-1], what)
        self.run.unknown[key] = self.run.unknown.get(key, 0) + 1

    @contextmanager
    def watching(self, module: torch.nn.Module) -> Iterator[Run]:
        """The hooks, the modes, and torch's fused paths off, as long as it is entered."""
        fast = torch.backends.mha.get_fastpath_enabled()
        training = [part for part in module.modules() if part.training]
        with ExitStack() as stack:
            stack.callback(torch.backends.mha.set_fastpath_enabled, fast)
            torch.backends.mha.set_fastpath_enabled(False)
            for part in training:
                stack.callback(setattr, part, "training", True)
            module.eval()
            for name, part in module.named_modules():
                before = part.register_forward_pre_hook(self._enter(name))
                after = part.register_forward_hook(self._leave(name), always_call=True)
                stack.callback(before.remove)
                stack.callback(after.remove)
            stack.callback(setattr, functional, SDPA.__name__, SDPA)
            setattr(functional, SDPA.__name__, fused.attention)  # other functions of torch call it
            stack.enter_context(torch.no_grad())
            stack.enter_context(_Calls(self))
            stack.enter_context(self)
            yield self.run

    def _enter(self, name: str) -> Any:
        def enter(module: torch.nn.Module, args: Any) -> None:
            self.stack.append(name)
            self.run.parts[name].calls += 1

        return enter

    def _leave(self, name: str) -> Any:
        def leave(module: torch.nn.Module, args: Any, out: Any) -> None:
            self.stack.pop()
            part = self.run.parts[name]
            if part.direct or (part.thresholds and not part.products):
                with self.unseen():
                    seen = [look(x) for x in tree_leaves(out) if isinstance(x, torch.Tensor)]
                spiking = [each for each in seen if each.unit is not None] or [Seen(unit=None)]
                part.out = part.out + spiking[0]

        return leave


class _Calls(TorchFunctionMode):
    """Sees a stream's numbers handed to something else than torch, and takes fused calls apart."""

    def __init__(self, watch: Watch):
        super().__init__()
        self.watch = watch

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        if name in LEAVING and not self.watch.busy and self.watch.is_stream(args[0]):
            self.watch.lost(f"a stream that leaves torch by .{name}()")
        if func is SDPA:
            return fused.attention(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def tensors_of(part: torch.nn.Module) -> Iterator[torch.Tensor]:
    """Parameters, buffers and plain attributes of one module, in lists and dicts as well."""
    yield from part.parameters(recurse=False)
    yield from part.buffers(recurse=False)
    for each in tree_leaves({key: x for key, x in vars(part).items() if key[:1] != "_"}):
        if isinstance(each, torch.Tensor):
            yield each


def _floats(out: Any) -> bool:
    return isinstance(out, torch.Tensor) and out.is_floating_point()


def _storage(x: torch.Tensor) -> int:
    """Where the numbers lie: the same for all views of a tensor."""
    return x.untyped_storage()._cdata if x.layout == torch.strided else id(x)


def _written(func: Any, args: tuple, kwargs: dict[str, Any]) -> Iterator[torch.Tensor]:
    """The tensors that an operation writes into."""
    for i, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            x = args[i] if i < len(args) else kwargs.get(argument.name)
            yield from (each for each in tree_leaves(x) if isinstance(each, torch.Tensor))


def _place() -> tuple[tuple, str]:
    """The calls from `forward` to the operation, and the line of the first that is not torch's."""
    chain, line, frame = [], "", inspect.currentframe()
    while frame is not None and frame.f_code.co_filename != CALL:
        file = frame.f_code.co_filename
        if file != __file__:
            chain.append((frame.f_code, frame.f_lasti))
            if not (line or file.startswith((TORCH, os.path.dirname(__file__)))):
                line = f"{os.path.basename(file)}:{frame.f_lineno}"
        frame = frame.f_back
    return tuple(chain), line
