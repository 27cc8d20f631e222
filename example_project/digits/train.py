"""Train the network and save its checkpoints."""

import numpy as np
import tensorflow.compat.v1 as tf

from . import dataset
from .model import EMA_DECAY, image_placeholder, network

STEPS = 400
SAVE_EVERY = 200
BATCH_SIZE = 64
SEED = 1

# One thread, so that the same TensorFlow trains the same weights again.
ONE_THREAD = tf.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)


def train(folder, goldens):
    """Save `model.ckpt-*` in `folder` and a few test images in `goldens`; return the test accuracy."""
    (images, labels), (test_images, test_labels) = dataset.load()
    goldens.mkdir(exist_ok=True)
    np.savez(goldens / "images.npz", image=test_images[:8])

    with tf.Graph().as_default(), tf.Session(config=ONE_THREAD) as session:
        tf.set_random_seed(SEED)
        image = image_placeholder()
        label = tf.placeholder(tf.int32, [None], name="label")
        is_training = tf.placeholder_with_default(False, [], name="is_training")
        logits = network(image, is_training)
        model_variables = tf.global_variables()
        train_op = training_step(logits, label, model_variables)
        saver = tf.train.Saver(sharded=True, save_relative_paths=True)

        session.run(tf.global_variables_initializer())
        shuffle = np.random.RandomState(SEED)
        for step in range(1, STEPS + 1):
            batch = shuffle.choice(len(images), BATCH_SIZE, replace=False)
            session.run(train_op, {image: images[batch], label: labels[batch], is_training: True})
            if step % SAVE_EVERY == 0:
                saver.save(session, str(folder / "model.ckpt"), global_step=step)

        predicted = session.run(logits, {image: test_images}).argmax(axis=1)
    return float(np.mean(predicted == test_labels))


def training_step(logits, label, model_variables):
    loss = tf.losses.sparse_softmax_cross_entropy(label, logits)
    step = tf.train.get_or_create_global_step()
    # Nothing else runs the updates of the moving statistics: without this they stay 0 and 1.
    with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
        descent = tf.train.MomentumOptimizer(0.02, 0.9).minimize(loss, global_step=step)
    # This averages the moving statistics too; export.py must not use those averages.
    ema = tf.train.ExponentialMovingAverage(EMA_DECAY, step)
    with tf.control_dependencies([descent]):
        return ema.apply(model_variables)
