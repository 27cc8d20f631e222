"""The nodes that reduce a pair of tensors to a few scalars, as a GraphDef that is put behind both graphs.

Written node by node: building ten thousand ops through TensorFlow's Python functions takes seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..graph.graph import TensorName

_FLOAT, _DOUBLE, _INT32 = 1, 2, 3
_NARROW = frozenset(["float16", "bfloat16", "float32", "int8", "int16", "uint8", "uint16", "bool"])
_WIDE = frozenset(["float64", "int32", "int64", "uint32", "uint64"])


@dataclass(slots=True)
class Reduction:
    """The tensors of one place (reference, export, own) in the graph of both sides, and what is fetched for it.

    ``other_shape`` says of the export and of its own copy whether it is known to have another shape than the
    reference; ``values`` are filled when the ``fetches`` (what, node) are run.
    """

    names: tuple[TensorName, TensorName]
    tensors: tuple[Any, Any, Any]
    bytes: int
    fetches: dict[str, str] = field(default_factory=dict)
    other_shape: tuple[bool, bool] = (False, False)
    values: dict[str, Any] = field(default_factory=dict)


class Reductions:
    """Writes the nodes that reduce a pair of tensors to scalars."""

    def __init__(self, definition: Any) -> None:
        self.definition = definition
        self._axes: set[str] = set()
        self._dtype = _FLOAT

    def add(self, index: int, pair: Reduction) -> None:
        """Add the nodes for one pair and note what is to be fetched for it."""
        reference, export, own = pair.tensors
        wide = any(tensor.dtype.base_dtype.name in _WIDE for tensor in pair.tensors)
        self._dtype = _DOUBLE if wide else _FLOAT
        flat = {
            role: self._flat(role, index, tensor) for role, tensor in zip("rao", pair.tensors, strict=True)
        }
        pair.fetches["scale"] = self._largest(f"scale{index}", flat["r"])
        pair.fetches["finite r"] = self._finite(f"finite_r{index}", flat["r"])
        others = []
        for role, tensor in (("a", export), ("o", own)):
            known = reference.shape.is_fully_defined() and tensor.shape.is_fully_defined()
            others.append(known and reference.shape != tensor.shape)
            pair.fetches[f"finite {role}"] = self._finite(f"finite_{role}{index}", flat[role])
            if others[-1]:
                continue
            if not known:
                for side in ("r", role):
                    pair.fetches[f"shape {side}"] = self._shape(side, index, pair)
            pair.fetches[f"difference {role}"] = self._difference(
                f"{role}{index}", flat["r"], flat[role], known
            )
        pair.other_shape = (others[0], others[1])

    def _flat(self, role: str, index: int, tensor: Any) -> str:
        """A tensor as a vector of the type that the pair is compared in."""
        source = f"{role}{index}:0"
        number = tensor.dtype.base_dtype.as_datatype_enum
        if number != self._dtype:
            cast = self._node(f"cast_{role}{index}", "Cast", source)
            cast.attr["SrcT"].type, cast.attr["DstT"].type = number, self._dtype
            source = cast.name
        node = self._node(f"flat_{role}{index}", "Reshape", source, self._vector("all", -1))
        node.attr["T"].type, node.attr["Tshape"].type = self._dtype, _INT32
        return str(node.name)

    def _difference(self, name: str, reference: str, other: str, same_size: bool) -> str:
        if not same_size:
            reference, other = self._cut(name, reference, other)
        node = self._node(f"sub_{name}", "Sub", reference, other)
        node.attr["T"].type = self._dtype
        return self._largest(f"difference_{name}", node.name)

    def _cut(self, name: str, *sources: str) -> tuple[str, str]:
        """Both as long as the shorter one."""
        sizes = []
        for which, source in enumerate(sources):
            node = self._node(f"size_{name}_{which}", "Shape", source)
            node.attr["T"].type, node.attr["out_type"].type = self._dtype, _INT32
            sizes.append(node.name)
        least = self._node(f"least_{name}", "Minimum", *sizes)
        least.attr["T"].type = _INT32
        cut = []
        for which, source in enumerate(sources):
            node = self._node(f"cut_{name}_{which}", "Slice", source, self._vector("begin", 0), least.name)
            node.attr["T"].type, node.attr["Index"].type = self._dtype, _INT32
            cut.append(str(node.name))
        return cut[0], cut[1]

    def _largest(self, name: str, source: str) -> str:
        size = self._node(f"abs_{name}", "Abs", source)
        size.attr["T"].type = self._dtype
        return self._reduced(name, "Max", size.name, self._dtype)

    def _finite(self, name: str, source: str) -> str:
        finite = self._node(f"is_{name}", "IsFinite", source)
        finite.attr["T"].type = self._dtype
        return self._reduced(name, "All", finite.name, None)

    def _reduced(self, name: str, op: str, source: str, dtype: int | None) -> str:
        node = self._node(name, op, source, self._vector("begin", 0))
        node.attr["Tidx"].type = _INT32
        if dtype is not None:
            node.attr["T"].type = dtype
        return str(node.name)

    def _shape(self, role: str, index: int, pair: Reduction) -> str:
        name = f"shape_{role}{index}"
        if f"shape {role}" not in pair.fetches:
            node = self._node(name, "Shape", f"{role}{index}:0")
            node.attr["T"].type = pair.tensors["rao".index(role)].dtype.base_dtype.as_datatype_enum
            node.attr["out_type"].type = _INT32
        return name

    def _vector(self, name: str, value: int) -> str:
        if name not in self._axes:
            self._axes.add(name)
            node = self._node(name, "Const")
            node.attr["dtype"].type = _INT32
            node.attr["value"].tensor.dtype = _INT32
            node.attr["value"].tensor.tensor_shape.dim.add(size=1)
            node.attr["value"].tensor.int_val.append(value)
        return name

    def _node(self, name: str, op: str, *inputs: str) -> Any:
        return self.definition.node.add(name=name, op=op, input=inputs)


def measurable(tensor: Any) -> bool:
    """Whether a tensor holds numbers that can be subtracted."""
    return tensor.dtype.base_dtype.name in _NARROW | _WIDE
