"""Freeze the averaged weights of a checkpoint into one file that needs no checkpoint."""

import tensorflow.compat.v1 as tf

from .model import EMA_DECAY, build

OUTPUTS = ["logits", "probabilities"]  # from the placeholder "image"


def export(checkpoint, frozen_graph):
    with tf.Graph().as_default(), tf.Session() as session:
        build()
        restore_averaged(session, checkpoint)
        freeze(session, frozen_graph)


def restore_averaged(session, checkpoint):
    ema = tf.train.ExponentialMovingAverage(EMA_DECAY)
    # Without the argument, averages would be restored into the moving statistics of batch norm as well.
    names = ema.variables_to_restore(tf.trainable_variables())
    tf.train.Saver(names).restore(session, str(checkpoint))


def freeze(session, frozen_graph):
    graph_def = tf.graph_util.convert_variables_to_constants(session, session.graph_def, OUTPUTS)
    frozen_graph.write_bytes(graph_def.SerializeToString(deterministic=True))
