"""What one would write without the plugin: ``python plain.py FOLDER...``.

Loads checkpoint and frozen graph with TensorFlow, runs both on the golden batch and compares.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1
TOLERANCE = {"rtol": 1e-4, "atol": 1e-4}


def load_checkpoint(prefix: str) -> Any:
    with tf.Graph().as_default() as graph:
        session = v1.Session(graph=graph)
        v1.train.import_meta_graph(prefix + ".meta").restore(session, prefix)
        return session


def load_frozen_graph(path: Path) -> Any:
    graph_def = v1.GraphDef()
    graph_def.ParseFromString(path.read_bytes())
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
        return v1.Session(graph=graph)


def load_saved_model(path: Path) -> Any:
    with tf.Graph().as_default() as graph:
        session = v1.Session(graph=graph)
        v1.saved_model.load(session, ["serve"], str(path))
        return session


def load_export(folder: Path) -> Any:
    if (folder / "model.pb").is_file():
        return load_frozen_graph(folder / "model.pb")
    return load_saved_model(folder / "saved_model")


def load_inputs(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "inputs.npz") as file:
        return dict(file)


def main() -> None:
    for folder in map(Path, sys.argv[1:]):
        inputs = load_inputs(folder)
        with load_checkpoint(str(folder / "model.ckpt")) as session:
            expected = session.run("logits:0", inputs)
        with load_export(folder) as session:
            actual = session.run("logits:0", inputs)
        np.testing.assert_allclose(actual, expected, **TOLERANCE)


if __name__ == "__main__":
    main()
