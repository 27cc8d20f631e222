"""Keep broken TensorFlow exports out of production: checkpoint and frozen graph must agree."""
