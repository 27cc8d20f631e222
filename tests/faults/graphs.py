"""What scripts and passes do to a frozen graph: right and wrong folds, renames, pruning, rewrites.

An edit is a function of a ``GraphDef`` and the checkpoint's tensors by name; it changes the graph in place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from faults.weights import Weights

v1 = tf.compat.v1
Edit: TypeAlias = Callable[[Any, Weights], None]


def node_of(graph: Any, name: str) -> Any:
    return next(node for node in graph.node if node.name == name)


def value_of(node: Any) -> np.ndarray:
    return tf.make_ndarray(node.attr["value"].tensor)


def hold(node: Any, value: np.ndarray) -> None:
    """Put ``value`` into a Const node."""
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))


def add(graph: Any, op: str, name: str, *inputs: str, **types: Any) -> Any:
    """A new node; ``types`` are attributes that are dtypes."""
    node = graph.node.add(name=name, op=op, input=inputs)
    for key, dtype in types.items():
        node.attr[key].type = dtype.as_datatype_enum
    return node


def add_const(graph: Any, name: str, value: Any) -> str:
    array = np.asarray(value)
    node = add(graph, "Const", name, dtype=tf.as_dtype(array.dtype))
    hold(node, array)
    return name


def plain(tensor: str) -> str:
    return tensor.removeprefix("^").partition(":")[0]


def reroute(graph: Any, old: str, new: str, *, but: tuple[str, ...] = ()) -> None:
    """Every reader of node ``old``, but for those named, reads ``new``."""
    for node in graph.node:
        if node.name not in but:
            for position, source in enumerate(node.input):
                if source in (old, f"{old}:0"):
                    node.input[position] = new


def end_of(graph: Any, norm: str) -> tuple[Any, str]:
    """The last node of a batch norm, and the tensor that it normalises."""
    names = {node.name: node for node in graph.node}
    fused = names.get(f"{norm}/FusedBatchNormV3")
    if fused is not None:
        return fused, fused.input[0]
    return names[f"{norm}/batchnorm/add_1"], names[f"{norm}/batchnorm/mul_1"].input[0]


def folded(
    kernel: str,
    norm: str,
    *,
    epsilon: float = 1e-3,
    axis: int = -1,
    mean: bool = True,
    kept: bool = False,
    formula: Callable[[Weights], np.ndarray] | None = None,
) -> Edit:
    """Batch norm ``norm`` folded into constant ``kernel``; rightly, but for what the options say.

    ``axis`` is the kernel's axis that is scaled, ``mean`` whether the bias counts in the mean, ``kept``
    whether the batch norm stays in place, ``formula`` what makes the scale of gamma and the others.
    """

    def edit(graph: Any, checkpoint: Weights) -> None:
        part = {
            name: checkpoint[f"{norm}/{name}"] for name in ("gamma", "beta", "moving_mean", "moving_variance")
        }
        scale = part["gamma"] / np.sqrt(part["moving_variance"] + np.float32(epsilon))
        if formula is not None:
            scale = formula(part)
        const = node_of(graph, kernel)
        weights = value_of(const)
        shape = [1] * weights.ndim
        shape[axis] = -1
        hold(const, (weights * scale.reshape(shape)).astype(np.float32))
        if kept:
            return
        bias = part["beta"] - part["moving_mean"] * scale if mean else part["beta"]
        end, source = end_of(graph, norm)
        name = end.name
        end.Clear()
        end.name, end.op = name, "BiasAdd"
        end.input.extend([source, add_const(graph, f"{norm}/folded_bias", bias.astype(np.float32))])
        end.attr["T"].type = tf.float32.as_datatype_enum

    return edit


def several(*edits: Edit) -> Edit:
    """One edit after another."""

    def edit(graph: Any, checkpoint: Weights) -> None:
        for each in edits:
            each(graph, checkpoint)

    return edit


def epsilon(norm: str, value: float) -> Edit:
    """The epsilon of a batch norm is another one, however it is spelt."""

    def edit(graph: Any, checkpoint: Weights) -> None:
        for node in graph.node:
            if node.name == f"{norm}/FusedBatchNormV3":
                node.attr["epsilon"].f = value
            if node.name == f"{norm}/batchnorm/add/y":
                hold(node, np.float32(value))

    return edit


def renamed(prefix: str) -> Edit:
    """Every node but the placeholders is imported under ``prefix``."""

    def edit(graph: Any, checkpoint: Weights) -> None:
        new = {node.name: f"{prefix}/{node.name}" for node in graph.node if node.op != "Placeholder"}
        for node in graph.node:
            node.name = new.get(node.name, node.name)
            for position, source in enumerate(node.input):
                control = "^" if source.startswith("^") else ""
                name, colon, port = source.removeprefix("^").partition(":")
                node.input[position] = f"{control}{new.get(name, name)}{colon}{port}"
            move_beside(node, new)

    return edit


def move_beside(node: Any, new: Mapping[str, str]) -> None:
    """Nodes that are placed beside others name them: TensorFlow refuses a graph that lacks such a name."""
    places = node.attr["_class"].list.s if "_class" in node.attr else []
    for position, place in enumerate(places):
        name = place.decode().removeprefix("loc:@")
        places[position] = f"loc:@{new.get(name, name)}".encode()


def scrambled(graph: Any, checkpoint: Weights) -> None:
    """No node but the placeholders and outputs keeps its name; the nodes stand in another order."""
    read = {plain(source) for node in graph.node for source in node.input}
    new = {
        node.name: f"n{number}"
        for number, node in enumerate(graph.node)
        if node.op != "Placeholder" and node.name in read
    }
    for node in graph.node:
        node.name = new.get(node.name, node.name)
        for position, source in enumerate(node.input):
            name, colon, port = source.removeprefix("^").partition(":")
            node.input[position] = ("^" if source[0] == "^" else "") + new.get(name, name) + colon + port
        move_beside(node, new)
    nodes = list(reversed(graph.node))
    del graph.node[:]
    graph.node.extend(nodes)


def with_identities(graph: Any, checkpoint: Weights) -> None:
    """An Identity behind every constant of floats."""
    for node in list(graph.node):
        if node.op == "Const" and node.attr["dtype"].type == tf.float32.as_datatype_enum:
            name = f"{node.name}/read_again"
            reroute(graph, node.name, name)
            add(graph, "Identity", name, node.name, T=tf.float32)


def without_identities(graph: Any, checkpoint: Weights) -> None:
    """Identities that are read by something are gone, as ``remove_training_nodes`` leaves it."""
    read = {plain(source) for node in graph.node for source in node.input}
    for node in list(graph.node):
        if node.op == "Identity" and node.name in read and len(node.input) == 1:
            reroute(graph, node.name, node.input[0])
            graph.node.remove(node)


def with_dead_weight(graph: Any, checkpoint: Weights) -> None:
    """Nodes that no output needs."""
    noise = add_const(graph, "left_over/weights", np.ones([3, 3], np.float32))
    add(graph, "Sqrt", "left_over/Sqrt", noise, T=tf.float32)


def phase_fixed(name: str, value: bool = False) -> Edit:
    """The default of a phase placeholder is ``value``."""

    def edit(graph: Any, checkpoint: Weights) -> None:
        placeholder = node_of(graph, name)
        hold(node_of(graph, plain(placeholder.input[0])), np.asarray(value))

    return edit


def cut_at(name: str, shape: tuple[int, ...]) -> Edit:
    """``strip_unused``: node ``name`` becomes an input, and what came before it is gone."""

    def edit(graph: Any, checkpoint: Weights) -> None:
        node = node_of(graph, name)
        node.Clear()
        node.name, node.op = name, "Placeholder"
        node.attr["dtype"].type = tf.float32.as_datatype_enum
        node.attr["shape"].shape.CopyFrom(tf.TensorShape([None, *shape]).as_proto())
        prune(graph)

    return edit


def prune(graph: Any) -> None:
    """Placeholders that nothing reads are gone, and what only led to nothing."""
    while True:
        read = {plain(source) for node in graph.node for source in node.input}
        dead = [node for node in graph.node if node.name not in read and node.op in ("Const", "Placeholder")]
        if not dead:
            return
        for node in dead:
            graph.node.remove(node)


def half_compute(*names: str) -> Edit:
    """These nodes, each of two inputs, compute in float16, between casts."""

    def edit(graph: Any, checkpoint: Weights) -> None:
        for name in names:
            node = node_of(graph, name)
            for position, source in enumerate(node.input):
                down = f"{name}/down_{position}"
                add(graph, "Cast", down, source, SrcT=tf.float32, DstT=tf.float16)
                node.input[position] = down
            node.attr["T"].type = tf.float16.as_datatype_enum
            up = f"{name}/up"
            reroute(graph, name, up)
            add(graph, "Cast", up, name, SrcT=tf.float16, DstT=tf.float32)

    return edit


def quantised(*kernels: str) -> Edit:
    """These constants are eight bits and a Dequantize, as ``quantize_weights`` leaves them."""

    def edit(graph: Any, checkpoint: Weights) -> None:
        for name in kernels:
            const = node_of(graph, name)
            value = value_of(const)
            low, high = min(float(value.min()), 0.0), float(value.max())
            levels = np.round((value - low) / (high - low) * 255).astype(np.uint8)
            const.name = f"{name}/quantized_const"
            const.attr["dtype"].type = tf.quint8.as_datatype_enum
            tensor = const.attr["value"].tensor
            tensor.Clear()
            tensor.dtype = tf.quint8.as_datatype_enum
            tensor.tensor_shape.CopyFrom(tf.TensorShape(levels.shape).as_proto())
            tensor.tensor_content = levels.tobytes()
            ends = [
                add_const(graph, f"{name}/{end}", np.float32(v)) for end, v in (("low", low), ("high", high))
            ]
            node = add(graph, "Dequantize", name, const.name, *ends, T=tf.quint8)
            node.attr["mode"].s = b"MIN_FIRST"

    return edit


def unfrozen(kernel: str) -> Edit:
    """A constant is a variable again, as a freeze leaves it that did not know it."""

    def edit(graph: Any, checkpoint: Weights) -> None:
        const = node_of(graph, kernel)
        shape = value_of(const).shape
        const.Clear()
        const.name, const.op = kernel, "VariableV2"
        const.attr["dtype"].type = tf.float32.as_datatype_enum
        const.attr["shape"].shape.CopyFrom(tf.TensorShape(shape).as_proto())

    return edit


def custom_op(name: str, op: str) -> Edit:
    """Node ``name`` is an op that no library here has."""

    def edit(graph: Any, checkpoint: Weights) -> None:
        node = node_of(graph, name)
        sources = list(node.input)
        node.Clear()
        node.name, node.op = name, op
        node.input.extend(sources)

    return edit


def scaled(name: str, factor: float) -> Edit:
    """A Mul by a scalar behind node ``name``."""

    def edit(graph: Any, checkpoint: Weights) -> None:
        product = f"{name}/rescaled"
        reroute(graph, name, product)
        add(graph, "Mul", product, name, add_const(graph, f"{product}/y", np.float32(factor)), T=tf.float32)

    return edit


def removed(name: str) -> Edit:
    """``remove_nodes``: readers of node ``name`` read its input."""

    def edit(graph: Any, checkpoint: Weights) -> None:
        node = node_of(graph, name)
        reroute(graph, name, node.input[0])
        graph.node.remove(node)

    return edit


def updating(mean: str) -> Edit:
    """The update of a moving mean is left in front of it, as references: such a graph cannot be loaded."""

    def edit(graph: Any, checkpoint: Weights) -> None:
        node_of(graph, mean)
        zeros = add_const(graph, f"{mean}/delta", np.zeros_like(checkpoint[mean]))
        phase = add_const(graph, f"{mean}/phase", np.asarray(False))
        switch = f"{mean}/AssignMovingAvg/Switch"
        step = f"{mean}/AssignMovingAvg"
        reroute(graph, mean, step)
        add(graph, "RefSwitch", switch, mean, phase, T=tf.float32)
        add(graph, "AssignSub", step, switch, zeros, T=tf.float32)

    return edit


def fused_pad(resize: str | None, pad: str | None, conv: str) -> Edit:
    """A convolution fused with the padding and resizing before it, as ``optimize_for_inference`` does it."""

    def edit(graph: Any, checkpoint: Weights) -> None:
        node = node_of(graph, conv)
        kernel = node.input[1]
        first = node_of(graph, resize or pad or "")
        inputs = [first.input[0]]
        if resize is not None:
            inputs.append(first.input[1])
        if pad is not None:
            inputs.append(node_of(graph, pad).input[1])
        else:
            inputs.append(add_const(graph, f"{conv}/paddings", np.zeros([4, 2], np.int32)))
        attributes = {key: node.attr[key] for key in ("strides", "padding")}
        kept = tf.compat.v1.NodeDef()
        kept.name = conv
        kept.op = "FusedResizeAndPadConv2D" if resize is not None else "FusedPadConv2D"
        kept.input.extend([*inputs, kernel])
        kept.attr["T"].type = tf.float32.as_datatype_enum
        kept.attr["mode"].s = b"REFLECT"
        if resize is not None:
            kept.attr["resize_align_corners"].b = first.attr["align_corners"].b
        for key, value in attributes.items():
            kept.attr[key].CopyFrom(value)
        node.CopyFrom(kept)

    return edit
