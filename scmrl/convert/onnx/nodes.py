"""Nodes and constants of an ONNX model as they are written, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np

from ... import __version__
from ...system.errors import MissingDependency

OPSET, IR = 21, 10
Ports = dict[str, tuple[type, tuple[int, ...]]]  # by name: numpy type, shape of a sample (and step)


def library() -> ModuleType:
    """The onnx package; raises `MissingDependency`."""
    try:
        import onnx
    except ImportError:
        raise MissingDependency("onnx", enables="writing and checking ONNX models") from None
    return onnx


class Nodes:
    """Nodes and constants of one model. Nodes go to the model itself, or to a Scan's body while in
    `body`.

    Constants belong to the model: a body reads them from outside, so that they are prepared once.
    """

    def __init__(self, onnx: ModuleType):
        self.onnx = onnx
        self.nodes: list = []
        self.outer = self.nodes  # of the model itself
        self.constants: dict[tuple[Any, ...], Any] = {}
        self.prefix = ""  # of the names in the current scope
        self.batch = ""  # a value whose first axis is S
        self._count = 0

    def op(self, kind: str, *inputs: str, out: str | None = None, **attributes: Any) -> str:
        """Append a node with one output; returns the output's name."""
        self._count += 1
        out = out or f"{self.prefix}n/{self._count}_{kind}"
        self.nodes.append(
            self.onnx.helper.make_node(kind, inputs, [out], name=f"node/{out}", **attributes)
        )
        return out

    @contextmanager
    def outside(self) -> Iterator[None]:
        """What is appended here belongs to the model itself."""
        inner, self.nodes = self.nodes, self.outer
        try:
            yield
        finally:
            self.nodes = inner

    @contextmanager
    def body(self, prefix: str) -> Iterator[list]:
        """What is appended here belongs to a subgraph, whose list of nodes is given."""
        before = self.nodes, self.prefix, self.batch
        self.nodes, self.prefix = [], prefix
        try:
            yield self.nodes
        finally:
            self.nodes, self.prefix, self.batch = before

    def constant(self, value: np.ndarray | np.generic, name: str | None = None) -> str:
        """An initialiser; equal ones without a name of their own are stored once."""
        value = np.asarray(value)
        key = (name, value.dtype.str, value.shape, value.tobytes())
        if key not in self.constants:
            self.constants[key] = self.onnx.numpy_helper.from_array(
                value, name or f"c/{len(self.constants)}"
            )
        return self.constants[key].name

    def cast(self, x: str, dtype: type, out: str | None = None) -> str:
        return self.op("Cast", x, to=self.element(dtype), out=out)

    def element(self, dtype: type) -> int:
        """ONNX's number of a numpy type."""
        return self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))

    def ports(self, table: Ports, *axes: str) -> list:
        """A graph's inputs or outputs, with free axes in front of each shape."""
        make = self.onnx.helper.make_tensor_value_info
        return [
            make(self.prefix + name, self.element(dtype), (*axes, *shape))
            for name, (dtype, shape) in table.items()
        ]

    def scan(
        self, body: Any, inputs: list[str], outputs: list[str], scanned: int, stacked: int
    ) -> None:
        """Run `body` for every entry of axis 1 (T) of the last inputs; stack the last outputs along
        it.
        """
        self.nodes.append(
            self.onnx.helper.make_node(
                "Scan",
                inputs,
                outputs,
                name="steps",
                body=body,
                num_scan_inputs=scanned,
                scan_input_axes=[1] * scanned,
                scan_output_axes=[1] * stacked,
            )
        )

    def model(self, name: str, inputs: list, outputs: list, metadata: dict[str, str]) -> bytes:
        """The checked model, in the same bytes for the same graph."""
        helper = self.onnx.helper
        model = helper.make_model(
            helper.make_graph(self.nodes, name, inputs, outputs, list(self.constants.values())),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR,
            producer_name="scmrl",
            producer_version=__version__,
        )
        helper.set_model_props(model, metadata)
        self.onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString(deterministic=True)

    def reshape(self, x: str, old: tuple[int, ...], new: tuple[int, ...]) -> str:
        """[S, *old] as [S, *new]."""
        if tuple(old) == tuple(new):
            return x
        return self.op("Reshape", x, self.constant(np.array([0, *new], np.int64)))

    def zeros(self, shape: tuple[int, ...], dtype: type, out: str | None = None) -> str:
        """[S, *shape] of zeros."""
        samples = self.op("Shape", self.batch, start=0, end=1)
        size = self.op("Concat", samples, self.constant(np.array(shape, np.int64)), axis=0)
        zero = self.onnx.numpy_helper.from_array(np.zeros(1, dtype))
        return self.op("ConstantOfShape", size, value=zero, out=out)
