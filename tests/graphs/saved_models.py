"""SavedModels that tests write, of TensorFlow 1 and 2, and checks of two sides without a manifest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pytest_tfparity.check.check import check
from pytest_tfparity.cli.defaults import completed
from pytest_tfparity.formats.store import ModelStore
from pytest_tfparity.result import ParityResult
from pytest_tfparity.settings.resolve import resolve


def write_module(
    folder: Path,
    function: Callable[[Any], Any],
    variables: Mapping[str, np.ndarray],
    inputs: Mapping[str, Sequence[int | None]],
    *,
    names: Mapping[str, str] | None = None,
) -> Path:
    """A SavedModel of TensorFlow 2: ``function(module, **inputs)`` gives its outputs by name.

    The module has ``variables`` as attributes, called ``names`` in TensorFlow where those are others.
    """
    import tensorflow as tf

    module = tf.Module()
    for key, value in variables.items():
        setattr(module, key, tf.Variable(value, name=(names or {}).get(key, key)))
    serve = tf.function(
        lambda **given: function(module, **given),
        input_signature=None,
    ).get_concrete_function(
        **{name: tf.TensorSpec(shape, tf.float32, name=name) for name, shape in inputs.items()}
    )
    tf.saved_model.save(module, str(folder), signatures={"serving_default": serve})
    return folder


def write_keras(folder: Path, net: Any, call: Callable[..., Any] | None = None) -> Path:
    """What servers load of a Keras model; ``call(*inputs)`` is what it computes, in place of inference.

    As ``model.export`` of Keras 3 writes it. Keras 2 has no such thing: there it is what its users write by hand.
    """
    import tensorflow as tf

    specs = [tf.TensorSpec(each.shape, each.dtype, name=each.name) for each in net.inputs]
    if hasattr(net, "_inputs_struct"):
        if call is None:
            net.export(folder, verbose=False)
            return folder
        archive = tf.keras.export.ExportArchive()
        archive.track(net)
        archive.add_endpoint("serving_default", lambda *given: call(*given), input_signature=specs)
        archive.write_out(folder, verbose=False)
        return folder

    def answers(*given: Any) -> dict[str, Any]:
        made = call(*given) if call else net(given[0] if len(given) == 1 else list(given), training=False)
        return {f"output_{number}": output for number, output in enumerate(tf.nest.flatten(made))}

    module = tf.Module()
    module.net = net
    tf.saved_model.save(
        module, str(folder), signatures={"serving_default": tf.function(answers, input_signature=specs)}
    )
    return folder


def write_v1(
    folder: Path,
    build: Callable[[Any], Mapping[str, Mapping[str, Any]]],
    *,
    saved: Sequence[str] | None = None,
    tags: Sequence[str] = ("serve",),
    **options: Any,
) -> Path:
    """A SavedModel of TensorFlow 1. ``build(v1)`` gives ``{"inputs": ..., "outputs": ...}``, tensors by their names.

    ``saved`` are the variables that are saved (default: all); ``options`` are those of the builder.
    """
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        tensors = build(v1)
        signature = v1.saved_model.predict_signature_def(**tensors)
        session.run(v1.global_variables_initializer())
        saver = None
        if saved is not None:
            saver = v1.train.Saver([each for each in v1.global_variables() if each.op.name in saved])
        builder = v1.saved_model.Builder(str(folder))
        given = {key: value() if callable(value) else value for key, value in options.items()}
        builder.add_meta_graph_and_variables(
            session, list(tags), {"serving_default": signature}, saver=saver, **given
        )
        builder.save()
    return folder


def freeze(folder: Path, file: Path, signature: str = "serving_default") -> tuple[list[str], list[str]]:
    """A signature as a frozen graph, as TensorFlow itself makes one: the names of its inputs and outputs."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    model = tf.saved_model.load(str(folder))
    frozen = convert_variables_to_constants_v2(model.signatures[signature], lower_control_flow=False)
    file.write_bytes(frozen.graph.as_graph_def().SerializeToString())
    return [tensor.name for tensor in frozen.inputs], [tensor.name for tensor in frozen.outputs]


def checked(reference: Mapping[str, Any], export: Mapping[str, Any], **stated: Any) -> ParityResult:
    """A check of two sides; inputs and outputs that are not stated are found as the command line finds them."""
    spec = resolve(
        None,
        marker={"reference": reference, "export": export, **stated},
        ini={},
        options={},
        root=Path.cwd(),
        name="net",
    )
    models = ModelStore()
    try:
        spec = completed(spec, models).spec if spec.compare == "outputs" else spec
        return check(spec, models)
    finally:
        models.close()


def frozen_of(folder: Path, file: Path) -> dict[str, Any]:
    """What to state of a SavedModel and of the frozen graph of it, which is written to ``file``."""
    import tensorflow as tf

    signature = tf.saved_model.load(str(folder)).signatures["serving_default"]
    outputs = sorted(signature.structured_outputs)
    inputs, frozen = freeze(folder, file)
    return {
        "reference": {"saved_model": folder},
        "export": {"frozen_graph": file},
        "inputs": {name.partition(":")[0]: {"export": name} for name in inputs},
        "outputs": [
            {"reference": name, "export": other} for name, other in zip(outputs, frozen, strict=True)
        ],
    }
