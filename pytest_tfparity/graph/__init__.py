"""What a graph computes, without running it. Nothing in this package imports TensorFlow."""
