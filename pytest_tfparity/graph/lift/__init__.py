"""Files of other runtimes translated into plain graphs of TensorFlow ops."""
