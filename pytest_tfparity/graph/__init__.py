"""What a graph computes, without running it. Nothing in this room imports TensorFlow."""
