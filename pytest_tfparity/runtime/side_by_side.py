"""Both graphs joined in one TensorFlow graph, the reference once and the export twice, to be measured together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from ..errors import ModelError
from ..graph import ops
from ..graph.edit.pruning import endless_calls
from ..graph.edit.writer import node_bytes
from ..graph.effects import does_more
from ..graph.graph import Array, Node, Tensor, TensorName
from ..graph.proof.proof import Side
from .batches import first_of_lists
from .importing import first_line
from .matching import Half, Splice
from .reductions import measurable
from .restoring import assign_values
from .session_config import session_config
from .tensorflow import tensorflow
from .weights import add_weight, set_weights, weights_of

REFERENCE, EXPORT, OWN = "reference", "export", "own"

Library: TypeAlias = Callable[[], Any]


@dataclass(slots=True)
class SideBySide:
    """Both sides of a splice in one graph; its session is open from ``load`` to ``close``.

    ``inputs`` are by the reference's names; ``libraries`` give the functions of both sides when they are asked
    for. ``unmatched`` are the export's tensors that could not take the reference's values.
    """

    splice: Splice
    inputs: Mapping[TensorName, Array]
    libraries: tuple[Library, Library]
    graph: Any = None
    session: Any = None
    feeds: dict[str, Array] = field(default_factory=dict)
    weights: dict[str, Mapping[str, Tensor]] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    unmatched: set[TensorName] = field(default_factory=set)

    def load(self) -> None:
        """Import both graphs; where TensorFlow refuses that, with an open number of rows, and with the
        reference's values only in places of the same shape. Raises ModelError, also for a node that is never run."""
        tf = tensorflow()
        for half in (self.splice.reference, self.splice.export):
            for more in does_more(half.side.graph, half.nodes.values()):
                if more.node in half.part.initialisers:
                    continue
                raise ModelError(f"{more.op} ({more.node}) does more than compute, and is not run.")
            endless = endless_calls(half.side.graph, half.part)
            if endless is not None:
                raise ModelError(f"The two graphs cannot be run side by side: {endless}.")
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
        """Close the session."""
        if self.session is not None:
            self.session.close()

    def _import(self, open_rows: bool, any_shape: bool) -> None:
        reference, export = self.splice.reference, self.splice.export
        self.inputs = first_of_lists(reference.side.graph, self.inputs)
        shared = [self._placeholder(tensor, open_rows) for tensor in reference.side.inputs]
        given = {**_constants(reference.side), **dict(zip(reference.side.inputs, shared, strict=True))}
        self._copy(REFERENCE, reference, reference.nodes, given, self.libraries[0])
        given = {**_constants(export.side), **dict(zip(export.side.inputs, shared, strict=True))}
        self._copy(EXPORT, export, export.nodes, given, self.libraries[1])
        given |= self._given_to_own(given, any_shape)
        self._copy(OWN, export, self.splice.own, given, self.libraries[1])

    def _given_to_own(self, given: Mapping[TensorName, Any], any_shape: bool) -> dict[TensorName, Any]:
        """What the second copy of the export reads: the reference's values where they fit, else the first copy's."""
        found: dict[TensorName, Any] = {}
        for of_reference, of_export in self.splice.pairs:
            matching = self._matching(of_reference, of_export, any_shape)
            if matching is not None:
                found[of_export] = matching
            else:
                self.unmatched.add(of_export)
        for node in self.splice.own.values():
            for source in node.inputs:
                if source not in found and source not in given and source.node not in self.splice.own:
                    found[source] = self.tensor(EXPORT, source)
        return found

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
        renamed = self.renamed if prefix != REFERENCE else {}
        weights = weights_of(half.part, {*half.side.outputs, *given})
        weights = {name: value for name, value in weights.items() if name in nodes and not half.depth[name]}
        for node in nodes.values():
            if node.name in weights:
                add_weight(definition, node.name, weights[node.name], prefix)
                continue
            kept = tuple(control for control in node.controls if control in nodes)
            attrs = _attributes(prefix, node)
            made = Node(node.name, renamed.get(node.op, node.op), node.inputs, kept, attrs)
            definition.node.add().ParseFromString(node_bytes(made))
        if half.side.graph.functions:
            self._add_functions(prefix, definition, half, library)
        read = {source for node in nodes.values() for source in node.inputs}
        mapped = {str(tensor): value for tensor, value in given.items() if tensor in read}
        tf.import_graph_def(definition, name=prefix, input_map=mapped)
        self.weights[prefix] = weights

    def _add_functions(self, prefix: str, definition: Any, half: Half, library: Library) -> None:
        """The functions of one side; the export's have names of their own."""
        found = library()
        if found is None:
            return
        if prefix == REFERENCE:
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

    def _matching(self, of_reference: TensorName, of_export: TensorName, any_shape: bool) -> Any:
        """The reference's tensor as the export's readers can take it, or None if they cannot."""
        reference, export = self.tensor(REFERENCE, of_reference), self.tensor(EXPORT, of_export)
        if not any_shape and not reference.shape.is_compatible_with(export.shape):
            return None
        if reference.dtype == export.dtype:
            return reference
        if measurable(reference) and measurable(export):
            return tensorflow().cast(reference, export.dtype)
        return None

    def _initialise(self) -> None:
        """Put the values of both sides into their variables and fill the lookup tables."""
        for prefix, weights in self.weights.items():
            set_weights(self.session, weights, prefix)
        reference, export = self.splice.reference, self.splice.export
        copies = (
            (REFERENCE, reference.nodes, reference.side),
            (EXPORT, export.nodes, export.side),
            (OWN, self.splice.own, export.side),
        )
        values = {
            f"{prefix}/{name}:0": side.variables[name]
            for prefix, nodes, side in copies
            for name in nodes
            if name in side.variables
        }
        assign_values(self.session, values)
        fills = [
            self.graph.get_operation_by_name(f"{prefix}/{name}")
            for prefix, side in ((REFERENCE, reference), (EXPORT, export))
            for name in side.part.initialisers
        ]
        if fills:
            self.session.run(fills)

    def unfair(self) -> set[str]:
        """The nodes of the export that did not get the reference's values, though there were some."""
        matched = {of_export for _, of_export in self.splice.pairs} - self.unmatched
        found: set[str] = set()
        for name, node in self.splice.own.items():
            for source in node.inputs:
                if source in self.unmatched or (source not in matched and source.node in found):
                    found.add(name)
        return found


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
