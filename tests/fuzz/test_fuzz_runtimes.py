"""TFLite and ONNX files with something changed at random, as :mod:`fuzz.test_fuzz` does it for those of TensorFlow.

What passes is within tolerance in the runtime that runs it; a runtime may crash, which costs that check alone.
"""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fuzz.changes import CHANGES, SECONDS, checked, fate
from graphs import onnx_network, tflite
from pytest_tfparity.check.worker import Worker

MANIFEST = """\
models:
  net:
    reference: {saved_model: saved}
    export: {tflite: model.tflite}
    inputs: {image: {npz: inputs.npz, key: x}}
    outputs: [logits]
    atol: 1.0e-4
    timeout: SECONDS
"""


def _tflite(folder: Path, kind: tflite.Kind) -> Path:
    np.savez(folder / "inputs.npz", x=tflite.images())
    saved = tflite.write_network(folder / "saved")
    (folder / "tfparity.yaml").write_text(
        MANIFEST.replace("SECONDS", str(SECONDS)).replace("1.0e-4", "1.0" if kind == "int8" else "1.0e-4")
    )
    return tflite.convert(saved, folder / "model.tflite", kind)


def _onnx(folder: Path) -> Path:
    assert onnx_network.compared(folder, onnx_network.Export()).passed
    stated = MANIFEST.replace("SECONDS", str(SECONDS)).replace("saved_model: saved", "checkpoint: model")
    stated = stated.replace("tflite: model.tflite", "onnx: model.onnx").replace("image: {", "x: {")
    (folder / "tfparity.yaml").write_text(stated)
    return folder / "model.onnx"


FILES: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "TFLite": ("ai_edge_litert", lambda folder: _tflite(folder, "float")),
    "TFLite int8": ("ai_edge_litert", lambda folder: _tflite(folder, "int8")),
    "ONNX": ("onnxruntime", _onnx),
}


def fuzzed(folder: Path, kind: str, count: int) -> Counter[str]:
    """The fates of ``count`` mutants; those that are defects are printed."""
    package, write = FILES[kind]
    pytest.importorskip(package)
    origin, mutants = folder / "right", folder / "mutant"
    origin.mkdir()
    file = write(origin).name
    worker = Worker()
    assert checked(worker, origin).passed
    fates: Counter[str] = Counter()
    for number in range(count):
        dice = random.Random(f"{kind} {number}")
        shutil.rmtree(mutants, ignore_errors=True)
        shutil.copytree(origin, mutants)
        change = dice.choice(list(CHANGES))
        (mutants / file).write_bytes(CHANGES[change](dice, (origin / file).read_bytes()))
        found, text = fate(worker, mutants)
        fates[found.lower() if found in ("CRASHED", "ENDLESS") else found] += 1
        if found[:2].isupper():
            print(f"{kind} {number} ({change}): {found}\n{text}")
    worker.close()
    return fates


@pytest.mark.parametrize("kind", FILES)
def test_a_mutated_file_is_refused_or_judged_and_breaks_nothing(tmp_path: Path, kind: str) -> None:
    fates = fuzzed(tmp_path, kind, 8)
    assert fates.total() == 8
    assert not [each for each in fates if each[:2].isupper()]


@pytest.mark.slow
@pytest.mark.parametrize("kind", FILES)
def test_many_mutated_files_are_refused_or_judged_and_break_nothing(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    count = int(os.environ.get("TFPARITY_FUZZ", "500"))
    fates = fuzzed(tmp_path, kind, count)
    with capsys.disabled():
        print(f"\n{kind}: {dict(fates)}")
    assert fates.total() == count
    assert not [each for each in fates if each[:2].isupper()]
