"""Graphs and networks that tests build: node by node, at random, or with TensorFlow into a folder."""
