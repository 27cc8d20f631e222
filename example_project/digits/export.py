"""Export the averaged weights of a checkpoint: frozen, for servers, and converted for phones and browsers."""

import numpy as np
import tensorflow.compat.v1 as tf

from .model import EMA_DECAY, build

OUTPUTS = ["logits", "probabilities"]  # from the placeholder "image"


def export(checkpoint, frozen_graph, served):
    with tf.Graph().as_default(), tf.Session() as session:
        build()
        restore_averaged(session, checkpoint)
        freeze(session, frozen_graph)
        serve(session, served)


def restore_averaged(session, checkpoint):
    ema = tf.train.ExponentialMovingAverage(EMA_DECAY)
    # Without the argument, averages would be restored into the moving statistics of batch norm as well.
    names = ema.variables_to_restore(tf.trainable_variables())
    tf.train.Saver(names).restore(session, str(checkpoint))


def freeze(session, frozen_graph):
    graph_def = tf.graph_util.convert_variables_to_constants(session, session.graph_def, OUTPUTS)
    frozen_graph.write_bytes(graph_def.SerializeToString(deterministic=True))


def serve(session, folder):
    """Write a SavedModel, under the names that servers are asked with."""
    tensor = session.graph.get_tensor_by_name
    signature = tf.saved_model.predict_signature_def(
        {"image": tensor("image:0")}, {name: tensor(f"{name}:0") for name in OUTPUTS}
    )
    builder = tf.saved_model.Builder(str(folder))
    builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
    builder.save()


def convert_for_phones(frozen_graph, images, file):
    """Write a TFLite file of 8-bit integers, whose ranges are those of ``images``."""
    converter = tf.lite.TFLiteConverter.from_frozen_graph(str(frozen_graph), ["image"], ["logits"])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None]] for image in np.load(images)["image"])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    file.write_bytes(converter.convert())


def convert_for_browsers(frozen_graph, file):
    """Write an ONNX file, with the images as they are: channels last."""
    import tf2onnx

    graph_def = tf.GraphDef.FromString(frozen_graph.read_bytes())
    names = [f"{name}:0" for name in OUTPUTS]
    tf2onnx.convert.from_graph_def(
        graph_def, input_names=["image:0"], output_names=names, opset=15, output_path=str(file)
    )
