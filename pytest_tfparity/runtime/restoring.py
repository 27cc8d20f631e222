"""The variables of a session, restored from a checkpoint by ops of our own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import ModelError
from ..graph import ops
from ..graph.edit.pruning import Part
from ..graph.graph import Array, DType, Node, Tensor
from ..graph.read.restore import RestoredKey
from .tensorflow import tensorflow
from .weights import portions


def restore(session: Any, part: Part, keys: Mapping[str, RestoredKey], prefix: str) -> None:
    """Give the variables of ``part`` their values from the checkpoint ``prefix`` (as TensorFlow wants it).

    ``keys`` says which tensor each variable is restored from; others stay as they are. Nothing of the graph's
    own saver is run. Raises OpError of TensorFlow, ModelError.
    """
    tf = tensorflow()
    live = {
        name: keys[name] for name, node in part.nodes.items() if node.op in ops.VARIABLES and name in keys
    }
    if not live:
        return
    with session.graph.as_default():
        values = tf.raw_ops.RestoreV2(
            prefix=prefix,
            tensor_names=[key.key for key in live.values()],
            shape_and_slices=[key.slice for key in live.values()],
            dtypes=[_dtype(part.nodes[name]) for name in live],
        )
        assigns = [
            _assign(session.graph.get_tensor_by_name(f"{name}:0"), value, key)
            for (name, key), value in zip(live.items(), values, strict=True)
        ]
    session.run(assigns)


def assign(session: Any, part: Part, values: Mapping[str, Tensor]) -> None:
    """Give the variables of ``part`` their ``values``, by node. Raises OpError of TensorFlow, ModelError."""
    assign_values(session, {f"{name}:0": values[name] for name in part.nodes if name in values})


def assign_values(session: Any, values: Mapping[str, Tensor]) -> None:
    """Give variables their values, by the names of their tensors. Raises OpError of TensorFlow."""
    tf = tensorflow()
    given, assigns = {}, {}
    with session.graph.as_default():
        for name, value in values.items():
            variable = session.graph.get_tensor_by_name(name)
            if not (variable.dtype == tf.resource or variable.dtype._is_ref_dtype):
                continue  # it was made a constant
            dtype = tf.as_dtype(value.dtype.number % 100)
            given[name] = tf.compat.v1.placeholder(dtype, value.shape)
            if variable.dtype == tf.resource:
                assigns[name] = tf.raw_ops.AssignVariableOp(resource=variable, value=given[name])
            else:
                assigns[name] = tf.raw_ops.Assign(ref=variable, value=given[name], validate_shape=False).op
    for portion in portions({name: values[name] for name in assigns}):
        feeds = {given[name]: _as_taken(value, given[name].dtype) for name, value in portion.items()}
        session.run([assigns[name] for name in portion], feeds)


def _as_taken(value: Array, dtype: Any) -> Any:
    """A value as it is fed; types that numpy lacks are held as their bits."""
    wanted = dtype.as_numpy_dtype
    return value if value.dtype == wanted or value.dtype == object else value.view(wanted)


def _dtype(variable: Node) -> Any:
    dtype = variable.attrs.get("dtype")
    if not isinstance(dtype, DType):
        raise ModelError(
            f"The variable {variable.name} states no dtype: the graph is damaged. Write it again."
        )
    return tensorflow().as_dtype(dtype.number)


def _assign(variable: Any, value: Any, key: RestoredKey) -> Any:
    tf = tensorflow()
    if key.shape is not None:
        value = tf.reshape(value, key.shape)
    if variable.dtype == tf.resource:
        return tf.raw_ops.AssignVariableOp(resource=variable, value=value)
    return tf.raw_ops.Assign(ref=variable, value=value, validate_shape=False).op
