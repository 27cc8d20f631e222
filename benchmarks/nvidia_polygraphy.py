"""The same question put to NVIDIA Polygraphy: ``python nvidia_polygraphy.py FOLDER``.

Its TensorFlow runner and comparator, with every tensor that both graphs have marked as an output.
``GraphFromCkpt`` and ``SessionFromGraph`` cannot be used for the checkpoint: the second makes a
session of its own and runs the initialisers, which loses what the first has restored. Here the checkpoint
is restored once Polygraphy has made its session.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import tensorflow as tf
from fetch import shared_tensors
from plain import TOLERANCE, load_inputs
from polygraphy.backend.tf import GraphFromFrozen, SessionFromGraph, TfRunner
from polygraphy.common import TensorMetadata
from polygraphy.comparator import Comparator, CompareFunc

v1 = tf.compat.v1


class CheckpointRunner(TfRunner):
    """Hides the saver's placeholders, which Polygraphy would want to be fed."""

    def get_input_metadata_impl(self) -> Any:
        inputs = super().get_input_metadata_impl()
        return TensorMetadata({name: value for name, value in inputs.items() if not name.startswith("save/")})


def main() -> None:
    folder = Path(sys.argv[1])
    prefix = str(folder / "model.ckpt")
    with tf.Graph().as_default() as reference:
        saver = v1.train.import_meta_graph(prefix + ".meta")
    export, _ = GraphFromFrozen(str(folder / "model.pb"))()
    names = shared_tensors(reference, export)

    def restored() -> tuple[Any, list[str]]:
        session, outputs = SessionFromGraph((reference, names))()
        with reference.as_default():
            saver.restore(session, prefix)
        return session, outputs

    runners = [
        CheckpointRunner(restored, name="checkpoint"),
        TfRunner(SessionFromGraph((export, names)), name="export"),
    ]
    results = Comparator.run(runners, data_loader=[load_inputs(folder)])
    compared = Comparator.compare_accuracy(results, compare_func=CompareFunc.simple(**TOLERANCE))
    sys.exit(0 if bool(compared) else 1)


if __name__ == "__main__":
    main()
