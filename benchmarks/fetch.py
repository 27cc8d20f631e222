"""What one would write next, to find the layer: ``python fetch.py FOLDER``.

The plain script, but with every tensor that both graphs have fetched and compared in numpy.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from plain import TOLERANCE, load_checkpoint, load_frozen_graph, load_inputs


def shared_tensors(reference: Any, export: Any) -> list[str]:
    """Name what both TensorFlow graphs have, weights included, in the export's order; not what is fed."""
    names = {operation.name for operation in reference.get_operations()}
    return [
        f"{operation.name}:0"
        for operation in export.get_operations()
        if operation.name in names and operation.outputs and operation.type != "Placeholder"
    ]


def main() -> None:
    folder = Path(sys.argv[1])
    inputs = load_inputs(folder)
    with (
        load_checkpoint(str(folder / "model.ckpt")) as reference,
        load_frozen_graph(folder / "model.pb") as export,
    ):
        names = shared_tensors(reference.graph, export.graph)
        expected = reference.run(names, inputs)
        actual = export.run(names, inputs)
    pairs = zip(names, expected, actual, strict=True)
    differing = [name for name, left, right in pairs if not np.allclose(right, left, **TOLERANCE)]
    print(f"{len(differing)} of {len(names)} tensors differ")
    if differing:
        sys.exit(f"first {differing[0]}")


if __name__ == "__main__":
    main()
