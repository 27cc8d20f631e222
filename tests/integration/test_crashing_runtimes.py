"""LiteRT and ONNX Runtime that crash or refuse a file: that check says so in a sentence, and the session goes on."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from conftest import Project
from graphs.onnx_network import Export, compared
from graphs.tflite import convert, images, write_network

pytest.importorskip("tensorflow")
pytest.importorskip("ai_edge_litert")
pytest.importorskip("onnxruntime")

CONFTEST = """\
import os
import signal

import ai_edge_litert.interpreter
import onnxruntime


class Interpreter(ai_edge_litert.interpreter.Interpreter):
    def __init__(self, model_path, **options):
        self.crashes = "crashing" in model_path
        super().__init__(model_path=model_path, **options)

    def allocate_tensors(self):
        if self.crashes:
            os.kill(os.getpid(), signal.SIGSEGV)
        super().allocate_tensors()


class Session(onnxruntime.InferenceSession):
    def __init__(self, model, *arguments, **options):
        if "crashing" in model:
            os.abort()
        super().__init__(model, *arguments, **options)


ai_edge_litert.interpreter.Interpreter = Interpreter
onnxruntime.InferenceSession = Session
"""


TFLITE = """\
    reference: {saved_model: served}
    inputs: {image: {npz: images.npz, key: image}}
    outputs: [logits]
    export:"""
ONNX = """\
    reference: {checkpoint: model}
    inputs: {x: {npz: inputs.npz, key: x}}
    outputs: [logits]
    export:"""
MANIFEST = f"""\
defaults: {{atol: 1.0e-4, isolate: true}}
models:
  first:\n{TFLITE} {{tflite: net.tflite}}
  tflite:\n{TFLITE} {{tflite: crashing.tflite}}
  onnx:\n{ONNX} {{onnx: crashing.onnx}}
  last:\n{ONNX} {{onnx: model.onnx}}
"""
SAID = {
    "tflite": "the process that checked it ended while it ran them (signal 11, SIGSEGV)",
    "onnx": "the process that checked it ended while it ran them (signal 6, SIGABRT)",
}


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_runtime_that_crashes_costs_its_own_check_alone(empty_project: Project) -> None:
    folder = empty_project.path
    convert(write_network(folder / "served"), folder / "net.tflite")
    np.savez(folder / "images.npz", image=images())
    assert compared(folder, Export()).passed
    shutil.copy(folder / "net.tflite", folder / "crashing.tflite")
    shutil.copy(folder / "model.onnx", folder / "crashing.onnx")
    empty_project.write("tfparity.yaml", MANIFEST)
    empty_project.write("conftest.py", CONFTEST)
    result = empty_project.run_apart("--junitxml=junit.xml", "--tfparity-report=report")
    result.assert_outcomes(passed=2, failed=2)
    checks = json.loads((folder / "report/report.json").read_text())["checks"]
    assert {check["model"]: check["verdict"] for check in checks} == {
        "first": "pass", "tflite": "error", "onnx": "error", "last": "pass",
    }  # fmt: skip
    for check in checks:
        if check["model"] in SAID:
            assert check["error"].startswith(
                f"{check['model']}: {SAID[check['model']]}. It compared crashing."
            )
    cases = {case.get("name"): case for case in ElementTree.parse(folder / "junit.xml").iter("testcase")}
    assert {name for name, case in cases.items() if case.find("failure") is not None} == set(SAID)
    assert set(cases) == {"first", "tflite", "onnx", "last"}


def test_what_onnx_runtime_refuses_is_one_sentence_without_a_place_in_its_code(tmp_path: Path) -> None:
    result = compared(tmp_path, Export().write(tmp_path / "new.onnx", opset=999))
    assert result.error is not None
    assert result.error.startswith("ONNX Runtime does not open ")
    assert ".h:" not in result.error
    assert "Load model from" not in result.error
