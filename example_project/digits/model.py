"""The network: two convolutions with batch norm, dropout, one dense layer; 8x8 digits in, 10 classes out."""

import tensorflow.compat.v1 as tf

tf.disable_v2_behavior()

BN_MOMENTUM = 0.9
BN_EPSILON = 1e-3
EMA_DECAY = 0.99


def build():
    """Build the network as it is served: phase fixed, nothing random."""
    network(image_placeholder(), training=False)


def image_placeholder():
    return tf.placeholder(tf.float32, [None, 8, 8, 1], name="image")


def network(image, training, dropout=0.4):
    """`training` is a bool, or a bool tensor if one graph must serve both phases."""
    net = conv_bn_relu(image, 12, stride=1, training=training, name="conv1")
    net = conv_bn_relu(net, 24, stride=2, training=training, name="conv2")
    net = tf.reshape(net, [-1, 4 * 4 * 24])
    if dropout:
        net = either(training, lambda: tf.nn.dropout(net, rate=dropout), lambda: tf.identity(net))
    with tf.variable_scope("dense"):
        weights = variable("kernel", [4 * 4 * 24, 10], tf.glorot_uniform_initializer())
        bias = variable("bias", [10], tf.zeros_initializer())
        net = tf.matmul(net, weights)
    logits = tf.nn.bias_add(net, bias, name="logits")
    tf.nn.softmax(logits, name="probabilities")
    return logits


def conv_bn_relu(net, filters, *, stride, training, name):
    with tf.variable_scope(name):
        kernel = variable("kernel", [3, 3, net.shape[-1], filters], tf.glorot_uniform_initializer())
        net = tf.nn.conv2d(net, kernel, strides=stride, padding="SAME")
        with tf.variable_scope("bn"):
            net = batch_norm(net, training)
        return tf.nn.relu(net)


def batch_norm(net, training):
    channels = [net.shape[-1]]
    gamma = variable("gamma", channels, tf.ones_initializer())
    beta = variable("beta", channels, tf.zeros_initializer())
    moving_mean = variable("moving_mean", channels, tf.zeros_initializer(), trainable=False)
    moving_variance = variable("moving_variance", channels, tf.ones_initializer(), trainable=False)

    def with_batch_statistics():
        return tf.nn.fused_batch_norm(net, gamma, beta, epsilon=BN_EPSILON, is_training=True)

    def with_moving_statistics():
        normalised, _, _ = tf.nn.fused_batch_norm(
            net, gamma, beta, moving_mean, moving_variance, epsilon=BN_EPSILON, is_training=False
        )
        return normalised, tf.identity(moving_mean), tf.identity(moving_variance)

    normalised, mean, variance = either(training, with_batch_statistics, with_moving_statistics)
    if training is not False:
        # These only run where the training script asks for them: see control_dependencies in train.py.
        for moving, current in ((moving_mean, mean), (moving_variance, variance)):
            update = tf.assign_sub(moving, (moving - current) * (1 - BN_MOMENTUM))
            tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, update)
    return normalised


def either(phase, then, otherwise):
    """`tf.cond`, which refuses a Python bool; a phase that is known leaves one branch in the graph."""
    if isinstance(phase, bool):
        return then() if phase else otherwise()
    return tf.cond(phase, then, otherwise)


def variable(name, shape, initializer, trainable=True):
    with tf.device("/cpu:0"):  # one copy in host memory, whatever device the layers run on
        return tf.get_variable(name, shape, tf.float32, initializer, trainable=trainable)
