"""Shapes that the nodes of a file state, and nodes that TensorFlow refuses because shapes do not fit.

TensorFlow's importer infers the shape of every output and merges it with what ``_output_shapes`` says of it
(``GraphConstructor::ValidateShape``, graph_constructor.cc). What is stated is therefore known to TensorFlow, and each
node can be held against what is stated of its inputs, by the shape functions of what training graphs have beside the
network: variables, what initialises, updates and saves them, arithmetic (``array_ops.cc``, ``state_ops.cc``,
``resource_variable_ops.cc``, ``random_ops.cc``, ``io_ops.cc``, ``BroadcastBinaryOpShapeFn`` of common_shape_fns.cc).
Where nothing is stated, and of other ops, nothing is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from operator import mul
from typing import TypeAlias

from ...errors import ModelError, UnreadableFile
from ..graph import DType, Node, Shape, Tensor, TensorName
from ..signatures import types_of
from . import messages
from .tensors import shape_of

Dims: TypeAlias = "tuple[int, ...] | None"
"""Sizes, -1 where one is unknown; None for an unknown rank."""
_Rule: TypeAlias = "Callable[[Node, Sequence[Dims], Mapping[str, Node]], Dims]"
"""The shape of a node's first output, of the shapes of its inputs. Raises :class:`_Misfit`."""

_MOST_DIMS = 254
_ELEMENTS = 1 << 63
"""``TensorShape::MaxDimensions`` and the elements from which on a shape is too large (tensor_shape.cc)."""
_SIZES = (DType(3), DType(9))
"""int32 and int64, of which a shape may be."""
_CONSTANTS = frozenset({"Const", "HostConst"})
_OTHERS = ("s", "i", "f", "b", "type", "tensor", "func")
"""What else a list may hold."""


class _Misfit(Exception):
    """A clause about a node: which shapes do not fit."""


def is_possible(dims: Dims) -> bool:
    """Whether there are tensors of this shape (``TensorShapeBase::IsValid``)."""
    if dims is None:
        return True
    if len(dims) > _MOST_DIMS or min(dims, default=0) < -1:
        return False
    return -1 in dims or all(count < _ELEMENTS for count in accumulate(dims, mul))


class StatedShapes:
    """What the nodes of a file say of the shapes of their outputs, noted as they are read."""

    def __init__(self) -> None:
        self._entries: dict[str, bytes] = {}
        self._read: dict[bytes, tuple[Dims, ...] | None] = {}
        self._known: dict[TensorName, Dims] = {}

    def note(self, name: str, entry: bytes) -> None:
        """Note the attribute ``_output_shapes`` of a node, a serialized map entry."""
        self._entries[name] = entry

    def misfits(self, nodes: Mapping[str, Node]) -> Iterator[str]:
        """A clause for each of ``nodes`` that TensorFlow refuses because of shapes."""
        told: dict[object, str | None] = {}
        for name, node in nodes.items():
            rule = _RULES.get(node.op)
            if rule is None:
                if name in self._entries and not self._is_possible(node, self._entries[name]):
                    yield f"{node.op} ({name}) has _output_shapes that no output can have"
                continue
            inputs = [self._of(nodes, source) for source in node.inputs]
            entry = self._entries.get(name)
            # Most nodes are like others: the same op on the same shapes.
            key: object = name
            if rule is _constant:
                key = (rule, entry, _own(node))
            elif rule in _OF_INPUTS:
                key = (rule, entry, *inputs)
            if key not in told:
                told[key] = self._misfit(rule, node, inputs, nodes, entry)
            if (clause := told[key]) is not None:
                yield f"{node.op} ({name}) {clause}"

    def _misfit(
        self,
        rule: _Rule,
        node: Node,
        inputs: Sequence[Dims],
        nodes: Mapping[str, Node],
        entry: bytes | None,
    ) -> str | None:
        """Why TensorFlow refuses a node because of shapes, a clause; None if it does not."""
        try:
            own = rule(node, inputs, nodes)
        except _Misfit as misfit:
            return str(misfit)
        if entry is None or node.op in _WITHOUT_OUTPUT or self._is_said(entry, own):
            return None
        return "has _output_shapes that are not those of its output"

    def _is_said(self, entry: bytes, own: Dims) -> bool:
        """Whether a node's first output may have the shape ``own`` by what the node says of it."""
        said = self._said(entry)
        if said is None:
            return True
        return bool(said) and is_possible(said[0]) and _fit(own, said[0])

    def _is_possible(self, node: Node, entry: bytes) -> bool:
        """Whether there are tensors of what a node of any op says of its first output, if it has one."""
        said = self._said(entry)
        if not said or is_possible(said[0]):
            return True
        types = types_of(node.op, node.attrs)
        return types is None or not types[1]

    def _said(self, entry: bytes) -> tuple[Dims, ...] | None:
        """What an entry says of each output; None for one that is no list of shapes, which is passed over."""
        if entry not in self._read:
            value = messages.RawAttrEntry.FromString(entry).value
            # No value at all is an empty list (``AttrValueHasType``, attr_value_util.cc).
            other = value.WhichOneof("value") not in ("list", None) or any(
                getattr(value.list, kind) for kind in _OTHERS
            )
            self._read[entry] = None if other else tuple(shape_of(each).dims for each in value.list.shape)
        return self._read[entry]

    def _of(self, nodes: Mapping[str, Node], source: TensorName) -> Dims:
        """What is stated of the shape of a tensor."""
        if source not in self._known:
            self._known[source] = self._stated_of(nodes, source)
        return self._known[source]

    def _stated_of(self, nodes: Mapping[str, Node], source: TensorName) -> Dims:
        node = nodes.get(source.node)
        if node is None or node.op in _FORGIVEN:
            return None
        own = _own(node) if not source.port else None
        if own is None and source.node in self._entries:
            said = self._said(self._entries[source.node]) or ()
            return said[source.port] if source.port < len(said) else None
        return own


_FORGIVEN = frozenset({"RefSwitch", "RefEnter", "RefNextIteration", "RefMerge", "RefIdentity"})
"""Ops that hand values on and whose ``_output_shapes`` are passed over where they are wrong (``ValidateShape``)."""


def _own(node: Node) -> Dims:
    """The shape that a node without inputs says it has."""
    if node.op in _CONSTANTS:
        value = node.attrs.get("value")
        return value.shape if isinstance(value, Tensor) else None
    return _attribute(node) if node.op in _OF_ATTRIBUTE else None


def _attribute(node: Node) -> Dims:
    shape = node.attrs.get("shape")
    return shape.dims if isinstance(shape, Shape) else None


def _fit(one: Dims, other: Dims) -> bool:
    """Whether a tensor may have both shapes."""
    if one is None or other is None or one == other:
        return True
    return len(one) == len(other) and all(
        first == second or -1 in (first, second) for first, second in zip(one, other, strict=True)
    )


def _same(one: Dims, other: Dims) -> Dims:
    """What is known of a tensor that has both shapes, which must fit."""
    if not _fit(one, other):
        raise _Misfit(f"takes shapes that do not fit, {_text(one)} and {_text(other)}")
    if one is None or other is None:
        return other if one is None else one
    return tuple(map(max, one, other))


def _of_rank(dims: Dims, rank: int) -> None:
    if dims is not None and len(dims) != rank:
        raise _Misfit(f"takes a shape {_text(dims)} where one of {rank} dimensions is needed")


def _text(dims: Dims) -> str:
    return "unknown" if dims is None else f"[{','.join('?' if size < 0 else str(size) for size in dims)}]"


# --- the shape functions


def _constant(node: Node, inputs: Sequence[Dims], nodes: Mapping[str, Node]) -> Dims:
    dims = _own(node)
    if dims is not None and (-1 in dims or not is_possible(dims)):
        raise _Misfit("has a value of a shape that no value can have")
    return dims


def _stated(node: Node, inputs: Sequence[Dims], nodes: Mapping[str, Node]) -> Dims:
    return _attribute(node)


def _handle(node: Node, inputs: Sequence[Dims], nodes: Mapping[str, Node]) -> Dims:
    return ()


def _with_default(node: Node, inputs: Sequence[Dims], nodes: Mapping[str, Node]) -> Dims:
    dims = _attribute(node)
    if len(inputs) == 1:
        _same(inputs[0], dims)
    return dims


def _ensured(node: Node, inputs: Sequence[Dims], nodes: Mapping[str, Node]) -> Dims:
    dims = _attribute(node)
    if len(inputs) != 1 or inputs[0] is None:
        return dims
    if dims is None:  # which the shape function takes for a rank of -1
        raise _Misfit("states no shape where one is known")
    return _same(inputs[0], dims)


def _unchanged(node: Node, inputs: Sequence[Dims], nodes: Mapping[str, Node]) -> Dims:
    return inputs[0] if inputs else None


def _broadcast(node: Node, inputs: Sequence[Dims], nodes: Mapping[str, Node]) -> Dims:
    if len(inputs) != 2 or inputs[0] is None or inputs[1] is None:
        return None
    rank = max(len(inputs[0]), len(inputs[1]))
    first, second = ((1,) * (rank - len(dims)) + dims for dims in (inputs[0], inputs[1]))
    found = []
    for one, other in zip(first, second, strict=True):
        if -1 in (one, other):
            known = max(one, other)
            found.append(known if known > 1 else -1)  # a size above 1 stays, whatever meets it
        elif one == other or 1 in (one, other):
            found.append(other if one == 1 else one)
        else:
            raise _Misfit(f"takes shapes that do not fit, {_text(inputs[0])} and {_text(inputs[1])}")
    return tuple(found)


def _assigned(node: Node, inputs: Sequence[Dims], nodes: Mapping[str, Node]) -> Dims:
    if len(inputs) != 2:
        return None
    if node.op == "Assign" and node.attrs.get("validate_shape") is False:
        return inputs[1]
    return _same(*inputs)


def _behind(node: Node, nodes: Mapping[str, Node]) -> Dims:
    """The shape of the variable whose handle a node takes first."""
    handle = nodes.get(node.inputs[0].node) if node.inputs else None
    return _attribute(handle) if handle is not None and handle.op == "VarHandleOp" else None


def _put(node: Node, inputs: Sequence[Dims], nodes: Mapping[str, Node]) -> Dims:
    if len(inputs) == 2:
        _same(_behind(node, nodes), inputs[1])
    return None


def _read(node: Node, inputs: Sequence[Dims], nodes: Mapping[str, Node]) -> Dims:
    return _behind(node, nodes)


def _filled(node: Node, inputs: Sequence[Dims], nodes: Mapping[str, Node]) -> Dims:
    """Of an op whose first input is the shape of its output."""
    if not inputs:
        return None
    if node.op == "Fill" and len(inputs) == 2:
        _of_rank(inputs[1], 0)
    source = nodes.get(node.inputs[0].node)
    value = source.attrs.get("value") if source is not None and source.op in _CONSTANTS else None
    if isinstance(value, Tensor):
        return _held(value)
    _of_rank(inputs[0], 1)
    rank = inputs[0][0] if inputs[0] is not None else -1
    return (-1,) * rank if 0 <= rank <= _MOST_DIMS else None


def _held(value: Tensor) -> Dims:
    """The shape that a constant holds as its value."""
    none = _Misfit("takes its shape from a constant that is none")
    if len(value.shape) != 1 or value.shape[0] > _MOST_DIMS or value.dtype not in _SIZES:
        raise none
    try:
        return tuple(value.array.tolist())
    except (ModelError, UnreadableFile):
        raise none from None


def _saved(node: Node, inputs: Sequence[Dims], nodes: Mapping[str, Node]) -> Dims:
    """Of SaveV2 and RestoreV2: the file's name, the names of tensors, their slices."""
    if len(inputs) < 3:
        return None
    _of_rank(inputs[0], 0)
    for each in inputs[1:3]:
        _of_rank(each, 1)
    listed = _same(inputs[1], inputs[2])
    if node.op == "SaveV2":
        _same(listed, (len(inputs) - 3,))
    return None


def _product(node: Node, inputs: Sequence[Dims], nodes: Mapping[str, Node]) -> Dims:
    """Of MatMul."""
    if len(inputs) != 2:
        return None
    sides = []
    for dims, name in zip(inputs, ("transpose_a", "transpose_b"), strict=True):
        _of_rank(dims, 2)
        rows, columns = dims or (-1, -1)
        sides.append((columns, rows) if node.attrs.get(name) is True else (rows, columns))
    _same(sides[0][1:], sides[1][:1])
    return sides[0][0], sides[1][1]


_OF_ATTRIBUTE = frozenset({"Placeholder", "VariableV2", "TemporaryVariable"})
_OF_INPUTS: frozenset[_Rule] = frozenset({_unchanged, _broadcast})
"""Rules that ask for nothing but the shapes of the inputs."""
_PUTS = ("AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp")
_WITHOUT_OUTPUT = frozenset({"SaveV2", *_PUTS})
_RULES: Mapping[str, _Rule] = {
    **dict.fromkeys(_CONSTANTS, _constant),
    **dict.fromkeys(_OF_ATTRIBUTE, _stated),
    "PlaceholderWithDefault": _with_default,
    "EnsureShape": _ensured,
    "VarHandleOp": _handle,
    "ReadVariableOp": _read,
    **dict.fromkeys(_PUTS, _put),
    **dict.fromkeys(("Assign", "AssignAdd", "AssignSub"), _assigned),
    **dict.fromkeys(
        ("Fill", "RandomUniform", "RandomUniformInt", "RandomStandardNormal", "TruncatedNormal"), _filled
    ),
    **dict.fromkeys(("SaveV2", "RestoreV2"), _saved),
    "MatMul": _product,
    **dict.fromkeys(
        (
            "Add",
            "AddV2",
            "Sub",
            "Mul",
            "RealDiv",
            "Div",
            "Maximum",
            "Minimum",
            "Pow",
            "SquaredDifference",
            "DivNoNan",
            "FloorDiv",
            "FloorMod",
            "Mod",
            "Less",
            "LessEqual",
            "Greater",
            "GreaterEqual",
            "LogicalAnd",
            "LogicalOr",
        ),
        _broadcast,
    ),
    **dict.fromkeys(
        (
            "Identity",
            "StopGradient",
            "PreventGradient",
            "CheckNumerics",
            "Snapshot",
            "Cast",
            "ZerosLike",
            "OnesLike",
            "Relu",
            "Relu6",
            "Elu",
            "Selu",
            "LeakyRelu",
            "Softplus",
            "Softsign",
            "Sigmoid",
            "Tanh",
            "Neg",
            "Abs",
            "Sign",
            "Sqrt",
            "Rsqrt",
            "Square",
            "Exp",
            "Log",
            "Log1p",
            "Erf",
            "Sin",
            "Cos",
            "Floor",
            "Ceil",
            "Round",
            "Reciprocal",
            "Softmax",
            "LogSoftmax",
            "LogicalNot",
        ),
        _unchanged,
    ),
}
