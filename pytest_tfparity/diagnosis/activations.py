"""Both graphs in one TensorFlow graph: by how much every pair of nodes differs, and whose fault it is.

The reference is there once, the export twice: on its own, and with every value that both sides have taken
from the reference. What differs in the first copy may come from anywhere before it; a node that differs in
the second got the reference's inputs and is itself at fault. Differences are reduced inside TensorFlow
to a few scalars for each node, so no intermediate tensor leaves it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from ..errors import ModelError
from ..graph.graph import Array, Node, TensorName
from ..graph.proof import Side
from ..graph.writer import node_bytes
from ..models import ops
from ..models.importing import first_line
from ..models.session import session_config
from ..models.tensorflow import tensorflow
from .splice import Half, Splice

MEMORY = 2 << 30
"""Bytes of intermediate tensors that one run may have to keep."""
ROUNDING = 1e-5
"""Share of a tensor's largest value within which the same op, given the same inputs, may still differ."""
_MOST_FAILURES = 12
"""Nodes that may fail to run before the measurement is given up."""
_REFERENCE, _EXPORT, _OWN = "reference", "export", "own"

Library: TypeAlias = Callable[[], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """How the values of two corresponding nodes differ.

    ``accumulated`` is the largest absolute difference of both sides run on their own, ``own`` that of
    the export's node given the reference's values as inputs, ``scale`` the reference's largest
    absolute value. A difference is infinite where shapes differ, one side is not finite, or
    the export's node cannot be run; ``own`` is None where it could not be measured. ``finite`` says whether
    all values are: of the reference, of the export on its own.
    """

    reference: str
    export: str
    accumulated: float
    own: float | None
    scale: float
    finite: tuple[bool, bool] = (True, True)

    @property
    def at_fault(self) -> bool:
        """Whether the node differs by more than rounding although its inputs are the reference's."""
        return self.own is not None and self.own > ROUNDING * self.scale

    @property
    def differs(self) -> bool:
        """Whether the values differ by more than rounding when each side runs on its own."""
        return self.accumulated > ROUNDING * self.scale


def measure(
    reference: Side,
    export: Side,
    aligned: Mapping[str, str],
    inputs: Mapping[TensorName, Array],
    *,
    libraries: tuple[Library, Library] = (lambda: None, lambda: None),
    memory: int = MEMORY,
) -> tuple[Activation, ...]:
    """Run both sides on ``inputs`` (by the reference's names) and compare each pair of ``aligned`` nodes.

    ``aligned`` maps nodes of the reference to nodes of the export. ``libraries`` give the functions of
    both sides as a ``FunctionDefLibrary``, asked for only where a side has functions. One run measures
    all nodes whose tensors fit into ``memory`` bytes. In the order of the export. Raises ModelError
    where TensorFlow loads or runs one of the graphs not at all.
    """
    splice = Splice.of(reference, export, aligned)
    if not splice.pairs:
        return ()
    joined = _Joined(splice, inputs, libraries)
    try:
        joined.load()
        return tuple(joined.measured(memory))
    except tensorflow().errors.OpError as error:
        raise ModelError(f"The two graphs cannot be run side by side: {first_line(error)}.") from None
    finally:
        joined.close()


@dataclass(slots=True)
class _Pair:
    """A pair of tensors in the joined graph, and what is fetched for it."""

    names: tuple[TensorName, TensorName]
    tensors: tuple[Any, Any, Any]
    bytes: int
    fetches: dict[str, str] = field(default_factory=dict)
    other_shape: tuple[bool, bool] = (False, False)
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class _Joined:
    splice: Splice
    inputs: Mapping[TensorName, Array]
    libraries: tuple[Library, Library]
    graph: Any = None
    session: Any = None
    feeds: dict[str, Array] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    unmatched: set[TensorName] = field(default_factory=set)

    def load(self) -> None:
        """Import both graphs; where TensorFlow refuses that, with an open number of rows, and with the
        reference's values only in places of the same shape."""
        tf = tensorflow()
        attempts = [(False, True), (True, True), (False, False), (True, False)]
        for open_rows, any_shape in attempts:
            self.graph, self.feeds, self.unmatched = tf.Graph(), {}, set()
            try:
                with self.graph.as_default():
                    self._import(open_rows, any_shape)
            except (ValueError, TypeError, KeyError, tf.errors.OpError) as error:
                if (open_rows, any_shape) == attempts[-1]:
                    raise ModelError(
                        f"TensorFlow {tf.__version__} does not load the two graphs side by side: {first_line(error)}."
                    ) from None
            else:
                break
        self.session = tf.compat.v1.Session(graph=self.graph, config=session_config("graph"))
        self._initialise()

    def close(self) -> None:
        if self.session is not None:
            self.session.close()

    # --- the joined graph

    def _import(self, open_rows: bool, any_shape: bool) -> None:
        ours, theirs = self.splice.reference, self.splice.export
        shared = [self._placeholder(tensor, open_rows) for tensor in ours.side.inputs]
        reference = {**_constants(ours.side), **dict(zip(ours.side.inputs, shared, strict=True))}
        export = {**_constants(theirs.side), **dict(zip(theirs.side.inputs, shared, strict=True))}
        self._copy(_REFERENCE, ours, ours.nodes, reference, self.libraries[0])
        self._copy(_EXPORT, theirs, theirs.nodes, export, self.libraries[1])
        own = dict(export)
        for ours_tensor, tensor in self.splice.pairs:
            found = self._matching(ours_tensor, tensor, any_shape)
            if found is not None:
                own[tensor] = found
            else:
                self.unmatched.add(tensor)
        for node in self.splice.own.values():
            for source in node.inputs:
                if source not in own and source.node not in self.splice.own:
                    own[source] = self.tensor(_EXPORT, source)
        self._copy(_OWN, theirs, self.splice.own, own, self.libraries[1])

    def _placeholder(self, tensor: TensorName, open_rows: bool) -> Any:
        tf = tensorflow()
        value = np.asarray(self.inputs[tensor])
        dtype = tf.string if value.dtype == object else tf.as_dtype(value.dtype)
        shape = [None, *value.shape[1:]] if open_rows and value.ndim else list(value.shape)
        made = tf.compat.v1.placeholder(dtype, shape, "input")
        self.feeds[made.name] = value
        return made

    def _copy(
        self,
        prefix: str,
        half: Half,
        nodes: Mapping[str, Node],
        given: Mapping[TensorName, Any],
        library: Library,
    ) -> None:
        tf = tensorflow()
        definition = tf.compat.v1.GraphDef()
        definition.versions.producer = half.side.graph.producer
        renamed = self.renamed if prefix != _REFERENCE else {}
        for node in nodes.values():
            kept = tuple(control for control in node.controls if control in nodes)
            attrs = _attributes(prefix, node)
            made = Node(node.name, renamed.get(node.op, node.op), node.inputs, kept, attrs)
            definition.node.add().ParseFromString(node_bytes(made))
        if half.side.graph.functions:
            self._add_functions(prefix, definition, half, library)
        read = {source for node in nodes.values() for source in node.inputs}
        mapped = {str(tensor): value for tensor, value in given.items() if tensor in read}
        tf.import_graph_def(definition, name=prefix, input_map=mapped)

    def _add_functions(self, prefix: str, definition: Any, half: Half, library: Library) -> None:
        """The functions of one side; the export's have names of their own."""
        found = library()
        if found is None:
            return
        if prefix == _REFERENCE:
            for name in half.side.graph.functions:
                self.renamed[name] = f"{name}_of_export"
            definition.library.CopyFrom(found)
            return
        own = {function.signature.name: f"{function.signature.name}_of_export" for function in found.function}
        self.renamed.update(own)
        definition.library.CopyFrom(found)
        for function in definition.library.function:
            function.signature.name = own[function.signature.name]
            _rename(function.node_def, own)
        for gradient in definition.library.gradient:
            gradient.function_name = own.get(gradient.function_name, gradient.function_name)
            gradient.gradient_func = own.get(gradient.gradient_func, gradient.gradient_func)
        _rename(definition.node, own)

    def tensor(self, prefix: str, name: TensorName) -> Any:
        """A tensor of one copy."""
        return self.graph.get_tensor_by_name(f"{prefix}/{name}")

    def _matching(self, ours: TensorName, theirs: TensorName, any_shape: bool) -> Any:
        """The reference's tensor as the export's readers can take it, or None if they cannot."""
        reference, export = self.tensor(_REFERENCE, ours), self.tensor(_EXPORT, theirs)
        if not any_shape and not reference.shape.is_compatible_with(export.shape):
            return None
        if reference.dtype == export.dtype:
            return reference
        if _measurable(reference) and _measurable(export):
            return tensorflow().cast(reference, export.dtype)
        return None

    def _initialise(self) -> None:
        """Put the reference's values into its variables and fill the lookup tables."""
        tf = tensorflow()
        half = self.splice.reference
        live = {name: half.side.variables[name] for name in half.nodes if name in half.side.variables}
        assigns, feeds = [], {}
        with self.graph.as_default():
            for name, value in live.items():
                variable = self.tensor(_REFERENCE, TensorName(name, 0))
                dtype = tf.as_dtype(value.dtype.number % 100)
                given = tf.compat.v1.placeholder(dtype, value.shape)
                feeds[given] = _fed(value.array, dtype)
                if variable.dtype == tf.resource:
                    assigns.append(tf.raw_ops.AssignVariableOp(resource=variable, value=given))
                else:
                    assigns.append(tf.raw_ops.Assign(ref=variable, value=given, validate_shape=False).op)
        if assigns:
            self.session.run(assigns, feeds)
        fills = [
            self.graph.get_operation_by_name(f"{prefix}/{name}")
            for prefix, side in ((_REFERENCE, half), (_EXPORT, self.splice.export))
            for name in side.part.initialisers
        ]
        if fills:
            self.session.run(fills)

    # --- measuring

    def measured(self, memory: int) -> Iterator[Activation]:
        """What was found for each node of the export, its outputs taken together."""
        pairs = self._pairs()
        with self.graph.as_default():
            self._add_reductions(pairs)
        failures = _Failures(self.graph)
        for group in _groups(pairs, memory):
            self._run(group, failures)
        found: dict[str, Activation] = {}
        unfair = self._unfair()
        for pair in pairs:
            each = _activation(pair)
            if pair.names[1].node in unfair:
                each = replace(each, own=None)
            name = pair.names[1].node
            found[name] = _worse(found[name], each) if name in found else each
        return iter(found.values())

    def _unfair(self) -> set[str]:
        """The nodes of the export that did not get the reference's values, though there were some."""
        matched = {theirs for _, theirs in self.splice.pairs} - self.unmatched
        found: set[str] = set()
        for name, node in self.splice.own.items():
            for source in node.inputs:
                if source in self.unmatched or (source not in matched and source.node in found):
                    found.add(name)
        return found

    def _pairs(self) -> list[_Pair]:
        rows = max((value.shape[0] for value in self.feeds.values() if np.ndim(value)), default=1)
        pairs = []
        for ours, theirs in self.splice.pairs:
            tensors = (
                self.tensor(_REFERENCE, ours),
                self.tensor(_EXPORT, theirs),
                self.tensor(_OWN, theirs),
            )
            if all(map(_measurable, tensors)):
                pairs.append(_Pair(names=(ours, theirs), tensors=tensors, bytes=_bytes(tensors[0], rows)))
        return pairs

    def _add_reductions(self, pairs: Sequence[_Pair]) -> None:
        tf = tensorflow()
        definition = tf.compat.v1.GraphDef()
        plan = _Reductions(definition)
        given: dict[str, Any] = {}
        for index, pair in enumerate(pairs):
            for role, tensor in zip("rao", pair.tensors, strict=True):
                given[f"{role}{index}:0"] = tensor
            plan.add(index, pair)
        tf.import_graph_def(definition, name="measure", input_map=given)

    def _run(self, pairs: Sequence[_Pair], failures: _Failures) -> None:
        """One run for all pairs, and one more for each node that cannot be run."""
        while True:
            fetches = {
                (index, what): self.graph.get_tensor_by_name(f"measure/{name}:0")
                for index, pair in enumerate(pairs)
                for what, name in pair.fetches.items()
                if f"measure/{name}" not in failures.lost
            }
            if not fetches:
                return
            try:
                values = self.session.run(list(fetches.values()), self.feeds)
            except tensorflow().errors.OpError as error:
                if not failures.add(error):
                    raise
                continue
            for (index, what), value in zip(fetches, values, strict=True):
                pairs[index].values[what] = value
            return


@dataclass(slots=True)
class _Failures:
    """Nodes of the export that cannot be run, and what depends on them."""

    graph: Any
    count: int = 0
    lost: set[str] = field(default_factory=set)

    def add(self, error: Any) -> bool:
        """Leave out what depends on the node that failed; False if there is nothing to be done."""
        name = error.node_def.name if error.node_def is not None else ""
        if self.count >= _MOST_FAILURES or not name.startswith((f"{_EXPORT}/", f"{_OWN}/", "measure/")):
            return False
        self.count += 1
        stack = [self.graph.get_operation_by_name(name)]
        while stack:
            operation = stack.pop()
            if operation.name not in self.lost:
                self.lost.add(operation.name)
                stack.extend(reader for tensor in operation.outputs for reader in tensor.consumers())
        return True


class _Reductions:
    """Writes the nodes that reduce a pair of tensors to scalars."""

    def __init__(self, definition: Any) -> None:
        self.definition = definition
        self._axes: set[str] = set()
        self._dtype = _FLOAT

    def add(self, index: int, pair: _Pair) -> None:
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

    def _shape(self, role: str, index: int, pair: _Pair) -> str:
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


_FLOAT, _DOUBLE, _INT32 = 1, 2, 3
_NARROW = frozenset(["float16", "bfloat16", "float32", "int8", "int16", "uint8", "uint16", "bool"])
_WIDE = frozenset(["float64", "int32", "int64", "uint32", "uint64"])


def _measurable(tensor: Any) -> bool:
    return tensor.dtype.base_dtype.name in _NARROW | _WIDE


def _constants(side: Side) -> dict[TensorName, Any]:
    return {tensor: tensorflow().constant(value) for tensor, value in side.feeds.items()}


def _attributes(prefix: str, node: Node) -> Mapping[str, Any]:
    """The attributes of a node in one copy: what is shared by name gets names of its own."""
    attrs = {key: value for key, value in node.attrs.items() if key not in ("_class", "_output_shapes")}
    if node.op in ops.ENTERS:
        frame = attrs["frame_name"]
        attrs["frame_name"] = b"%s/%s" % (prefix.encode(), frame if isinstance(frame, bytes) else b"")
    shared = attrs.get("shared_name")
    if isinstance(shared, bytes) and shared:
        attrs["shared_name"] = b"%s/%s" % (prefix.encode(), shared)
    return attrs


def _rename(nodes: Iterable[Any], names: Mapping[str, str]) -> None:
    """Call functions by other names."""
    for node in nodes:
        node.op = names.get(node.op, node.op)
        for value in node.attr.values():
            for function in (value.func, *value.list.func) if value.HasField("func") else value.list.func:
                function.name = names.get(function.name, function.name)


def _fed(value: Array, dtype: Any) -> Any:
    """A value as it is fed; types that numpy lacks are held as their bits."""
    wanted = dtype.as_numpy_dtype
    return value if value.dtype == wanted or value.dtype == object else value.view(wanted)


def _bytes(tensor: Any, rows: int) -> int:
    """What three copies of a tensor and their difference take, an unknown dimension counted as the batch."""
    if tensor.shape.rank is None:
        return 0
    dims = [rows if size is None else size for size in tensor.shape.as_list()]
    return 4 * math.prod(dims) * int(tensor.dtype.base_dtype.size or 4)


def _groups(pairs: Sequence[_Pair], memory: int) -> Iterator[list[_Pair]]:
    """Pairs that are measured in one run, neighbours together."""
    group: list[_Pair] = []
    held = 0
    for pair in pairs:
        if group and held + pair.bytes > memory:
            yield group
            group, held = [], 0
        group.append(pair)
        held += pair.bytes
    if group:
        yield group


def _activation(pair: _Pair) -> Activation:
    values = pair.values
    finite = bool(values.get("finite r", True)), bool(values.get("finite a", True))
    accumulated = _difference(pair, "a", 0)
    own = _difference(pair, "o", 1)
    scale = float(values.get("scale", 0.0))
    return Activation(
        reference=pair.names[0].node,
        export=pair.names[1].node,
        accumulated=math.inf if accumulated is None else accumulated,
        own=own,
        scale=max(scale, 0.0) if finite[0] else math.inf,
        finite=finite,
    )


def _difference(pair: _Pair, role: str, which: int) -> float | None:
    """The difference of one copy from the reference; None where it was not measured."""
    values = pair.values
    if pair.other_shape[which]:
        return math.inf
    if f"difference {role}" not in values:
        return None
    shapes = values.get("shape r"), values.get(f"shape {role}")
    if shapes[0] is not None and shapes[1] is not None and list(shapes[0]) != list(shapes[1]):
        return math.inf
    if bool(values["finite r"]) and bool(values[f"finite {role}"]):
        return max(float(values[f"difference {role}"]), 0.0)
    return 0.0 if not values["finite r"] and not values[f"finite {role}"] else math.inf


def _worse(one: Activation, other: Activation) -> Activation:
    """Of two outputs of a node the one that differs more, for its size."""

    def badness(each: Activation) -> tuple[bool, bool, float]:
        return each.at_fault, each.differs, each.own if each.own is not None else -1.0

    return max(one, other, key=badness)
