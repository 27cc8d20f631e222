"""The variables of a session, restored from a checkpoint by ops of our own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import ModelError
from ..graph import ops
from ..graph.edit.pruning import Part
from ..graph.graph import DType, Node
from ..graph.read.restore import RestoredKey
from .tensorflow import tensorflow


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
