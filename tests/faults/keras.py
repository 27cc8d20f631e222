"""Networks that Keras builds: its graph with a checkpoint of TensorFlow 1, and its own way to freeze one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from faults.graphs import Edit, value_of
from faults.layers import Layers
from faults.weights import Weights

v1 = tf.compat.v1
Making = Callable[[Layers], Any]


def small_cnn(layers: Layers) -> Any:
    """A sequence of layers with a batch norm behind a convolution and one behind a dense layer."""
    k = tf.keras.layers
    return tf.keras.Sequential(
        [
            tf.keras.Input((6, 6, 2), name="picture"),
            k.Conv2D(4, 3, padding="same", use_bias=False, name="c1"),
            k.BatchNormalization(name="b1", epsilon=layers.options("b1", epsilon=1e-3)["epsilon"]),
            k.ReLU(name="r1"),
            k.GlobalAveragePooling2D(name="gap"),
            k.Dense(8, name="d1"),
            k.BatchNormalization(name="b2"),
            k.Dropout(0.5, name="drop"),
            k.Dense(3, name="d2"),
        ],
        name="cnn",
    )


def with_skip(layers: Layers) -> Any:
    """A functional model with a skip connection, a depthwise convolution and a layer norm."""
    k = tf.keras.layers
    image = tf.keras.Input((6, 6, 2), name="picture")
    x = k.Conv2D(4, 3, padding="same", name="stem")(image)
    y = k.DepthwiseConv2D(3, padding="same", use_bias=False, name="deep")(x)
    y = k.BatchNormalization(name="deep_norm")(y)
    y = k.Activation(layers.options("act", kind="relu")["kind"], name="act")(y)
    y = k.Conv2D(4, 1, use_bias=False, name="point")(y)
    y = k.BatchNormalization(name="point_norm", scale=layers.options("point_norm", scale=True)["scale"])(y)
    x = k.Add(name="skip")([x, y])
    x = k.LayerNormalization(name="even")(x)
    x = k.Flatten(name="flat")(x)
    return tf.keras.Model(image, k.Dense(4, activation="softmax", name="classes")(x), name="skipping")


def named_variables(model: Any) -> dict[str, Any]:
    """The variables of a model by layer and name."""
    return {
        f"{layer.name}/{variable.name.partition(':')[0].rpartition('/')[2]}": variable
        for layer in model.layers
        for variable in layer.weights
        if "seed" not in variable.name
    }


def traced(model: Any, training: bool) -> Any:
    """The model as a concrete function of one image batch."""
    image = tf.TensorSpec([None, *model.inputs[0].shape[1:]], tf.float32, name="image")
    return tf.function(lambda image: model(image, training=training)).get_concrete_function(image)


def as_graph(make: Making) -> Callable[[Layers], None]:
    """A builder that puts the model into the default graph, its variables by layer and name."""

    def build(layers: Layers) -> None:
        with ThreadPoolExecutor(1) as apart:  # Keras wants to be eager, and graphs are a thread's own
            model = apart.submit(make, layers).result()
            training = layers.options("model", training=False)["training"]
            function = apart.submit(traced, model, training).result()
        handles = {id(_handle(variable)): name for name, variable in named_variables(model).items()}
        trainable = {id(_handle(variable)) for variable in model.trainable_variables}
        inputs = {"image:0": v1.placeholder(tf.float32, function.inputs[0].shape, "image")}
        for outer, inner in function.graph.captures:
            name = handles.get(id(outer), "seed")
            shape = outer._handle_data.shape_and_type[0]
            variable = v1.get_variable(
                name,
                tf.TensorShape(shape.shape),
                tf.as_dtype(shape.dtype),
                initializer=v1.zeros_initializer(),
                trainable=id(outer) in trainable,
                use_resource=True,
            )
            inputs[inner.name] = variable.handle
        graph = function.graph.as_graph_def()
        for node in graph.node:
            kept = [source for source in node.input if not source.startswith("^")]
            del node.input[:]
            node.input.extend(kept)
        (answer,) = tf.import_graph_def(graph, inputs, [function.outputs[0].name], name="")
        tf.identity(answer, name="answer")

    return build


def _handle(variable: Any) -> Any:
    """The resource behind a variable of Keras 2 or 3."""
    return variable.value.handle if hasattr(variable, "path") else variable.handle


def frozen_by_keras(make: Making) -> Edit:
    """``convert_variables_to_constants_v2`` of the model with the values that the graph holds."""

    def edit(graph: Any, checkpoint: Weights) -> None:
        model = make(Layers({}))
        values = {node.name: value_of(node) for node in graph.node if node.op == "Const"}
        for name, variable in named_variables(model).items():
            variable.assign(values[name])
        frozen = convert_variables_to_constants_v2(traced(model, training=False))
        graph.CopyFrom(frozen.graph.as_graph_def())

    return edit
