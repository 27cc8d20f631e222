"""What one would write without the plugin: ``python plain.py FOLDER...``.

Loads checkpoint and frozen graph with TensorFlow, runs both on the golden batch and compares.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1


def run_checkpoint(prefix: str, inputs: dict[str, np.ndarray]) -> np.ndarray:
    with tf.Graph().as_default(), v1.Session() as session:
        saver = v1.train.import_meta_graph(prefix + ".meta")
        saver.restore(session, prefix)
        return session.run("logits:0", inputs)


def run_frozen_graph(path: Path, inputs: dict[str, np.ndarray]) -> np.ndarray:
    graph_def = v1.GraphDef()
    graph_def.ParseFromString(path.read_bytes())
    with tf.Graph().as_default() as graph, v1.Session() as session:
        tf.import_graph_def(graph_def, name="")
        return session.run("logits:0", {graph.get_tensor_by_name(name): x for name, x in inputs.items()})


def main() -> None:
    for folder in map(Path, sys.argv[1:]):
        with np.load(folder / "inputs.npz") as file:
            inputs = dict(file)
        expected = run_checkpoint(str(folder / "model.ckpt"), inputs)
        actual = run_frozen_graph(folder / "model.pb", inputs)
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


if __name__ == "__main__":
    main()
