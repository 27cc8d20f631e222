"""Random Keras models, converted rightly to every type of TFLite and to ONNX: every one passes, and none is blamed.

How many models: ``TFPARITY_CONVERTED_MODELS``, from the seed ``TFPARITY_KERAS_SEED`` on. With ``-s`` it says of each
what the certificate says of its weights, and in the end of how many all are certified.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphs.keras_models import KerasModel, random_model
from graphs.saved_models import checked, freeze, write_keras

tf = pytest.importorskip("tensorflow")
pytest.importorskip("ai_edge_litert")

try:
    import onnxruntime
    from tf2onnx import convert as to_onnx
except ImportError:
    to_onnx = onnxruntime = None

COUNT = int(os.environ.get("TFPARITY_CONVERTED_MODELS", "2"))
FIRST = int(os.environ.get("TFPARITY_KERAS_SEED", "0"))
SHARE = {"float": 2e-5, "float16": 5e-3, "dynamic": 0.1, "int8": 0.3, "int16x8": 0.1, "onnx": 2e-5}
"""What an output may be off by, as a share of the largest value, by type: loose, as the certificate is what counts."""


@pytest.mark.slow
def test_right_conversions_of_random_models_pass_with_their_weights_certified(tmp_path: Path) -> None:
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    for seed in range(FIRST, FIRST + COUNT):
        model, folder = random_model(seed, images_only=True), tmp_path / str(seed)
        folder.mkdir()
        ((name, images),) = model.inputs.items()
        np.savez(folder / "inputs.npz", **model.inputs)
        write_keras(folder / "served", model.net, lambda image, net=model.net: net(image, training=False))
        largest = float(np.abs(np.asarray(model.net(images, training=False))).max())
        for kind, export in conversions(model, folder):
            result = checked(
                {"saved_model": folder / "served"},
                export,
                inputs={name: {"npz": folder / "inputs.npz", "key": name}},
                atol=max(1e-5, SHARE[kind] * largest),
            )
            told = [note for note in result.notes if "ertified" in note]
            counts[f"{kind}: {result.verdict}"] += 1
            counts[f"{kind}: blamed"] += bool(result.findings)
            counts[f"{kind}: all weights certified"] += bool(told) and ": all " in told[0]
            about = f"seed {seed}, {kind}: {result.verdict} {result.error or ''} {' '.join(told)}"
            print(about, *(f"{each.cause}: {each.message}" for each in result.findings), flush=True)
            # A runtime may lack a kernel for the type, and a converter writes what no runtime has.
            refused = any(
                f"{runtime} does not" in (result.error or "") for runtime in ("LiteRT", "ONNX Runtime")
            )
            if result.findings or not (result.passed or refused):
                wrong.append(f"{about} ({', '.join(model.layers)})")
        shutil.rmtree(folder)
        tf.keras.backend.clear_session()
    print(*(f"{count:5} {what}" for what, count in sorted(counts.items())), sep="\n")
    assert not wrong, "\n".join(wrong)


def conversions(model: KerasModel, folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The model in each type that its converter knows for its layers."""
    ((_, images),) = model.inputs.items()
    for kind in ("float", "float16", "dynamic", "int8", "int16x8"):
        converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "served"))
        if kind != "float":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if kind == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if kind in ("int8", "int16x8"):
            converter.representative_dataset = lambda: ([image[None]] for image in images)
            ops = tf.lite.OpsSet
            converter.target_spec.supported_ops = (
                [ops.TFLITE_BUILTINS_INT8]
                if kind == "int8"
                else [
                    ops.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
                    ops.TFLITE_BUILTINS,
                ]
            )
        try:
            (folder / f"{kind}.tflite").write_bytes(converter.convert())
        except Exception as error:  # a layer that this type has no kernel for: ConverterError, RuntimeError
            print(f"not converted to {kind}: {str(error).splitlines()[0]}")
            continue
        yield kind, {"tflite": folder / f"{kind}.tflite"}
    if to_onnx is not None and onnxruntime is not None:
        inputs, outputs = freeze(folder / "served", folder / "frozen.pb")
        graph_def = tf.compat.v1.GraphDef.FromString((folder / "frozen.pb").read_bytes())
        to_onnx.from_graph_def(
            graph_def,
            input_names=inputs,
            output_names=outputs,
            opset=15,
            output_path=str(folder / "net.onnx"),
        )
        yield "onnx", {"onnx": folder / "net.onnx"}
