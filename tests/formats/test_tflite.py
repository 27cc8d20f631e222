"""TFLite files: read without a dependency, translated, run by LiteRT, their weights certified."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import Project
from graphs.saved_models import checked, write_module
from graphs.tflite import EPSILON, KINDS, Kind, convert, images, weights, write_network
from pytest_tfparity.__main__ import main
from pytest_tfparity.errors import FeedError, ModelError, TensorNotFound
from pytest_tfparity.formats.tflite_model import TFLiteFile
from pytest_tfparity.graph.graph import TensorName
from pytest_tfparity.graph.read.tflite import read_tflite
from pytest_tfparity.result import ParityResult

tf = pytest.importorskip("tensorflow")
pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed: pip install pytest-tfparity[tflite]")

ATOL: dict[str, float] = {"float": 1e-5, "float16": 5e-3, "dynamic": 0.05, "int8": 0.1, "int16": 0.05}


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_network(tmp_path_factory.mktemp("reference") / "model")


def against(reference: Path, export: Path, atol: float, **stated: Any) -> ParityResult:
    np.savez(export.parent / "images.npz", image=images())
    inputs = {"image": {"npz": export.parent / "images.npz", "key": "image"}}
    return checked({"saved_model": reference}, {"tflite": export}, inputs=inputs, atol=atol, **stated)


@pytest.mark.parametrize("kind", KINDS)
def test_a_right_export_passes_with_certified_weights(reference: Path, tmp_path: Path, kind: Kind) -> None:
    result = against(reference, convert(reference, tmp_path / "model.tflite", kind), ATOL[kind])
    assert result.verdict == "pass", result
    assert result.findings == ()
    (note,) = [note for note in result.notes if note.startswith("Weights certified")]
    assert ": all 6, none off by more than" in note
    assert result.unproven is not None
    assert result.unproven.endswith("model.tflite with kernels of its own")


@pytest.mark.parametrize("kind", KINDS)
def test_the_translation_computes_what_litert_does(reference: Path, tmp_path: Path, kind: Kind) -> None:
    model = TFLiteFile(convert(reference, tmp_path / "model.tflite", kind))
    asked = {"image": images()}
    own = model.run(asked, ["logits"])["logits"]
    (translated,) = model.translated(asked, [TensorName("logits", 0)]).values()
    step = model.output_step("logits")
    if kind == "dynamic":  # which rounds its activations by row, in the kernels alone
        assert np.abs(own - translated).max() < ATOL[kind]
    else:
        assert np.abs(own - translated).max() <= (2e-6 if step is None else 2.5 * step)
    assert (step is not None) == (kind in ("int8", "int16"))
    model.close()


def test_a_check_says_what_is_certified_and_litert_says_nothing(
    reference: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(reference), str(convert(reference, tmp_path / "model.tflite"))]) == 0
    printed = capfd.readouterr()
    assert "  Weights certified in" in printed.out
    assert printed.err == ""


def test_its_inputs_and_outputs_are_those_of_the_signature(reference: Path, tmp_path: Path) -> None:
    model = TFLiteFile(convert(reference, tmp_path / "model.tflite"))
    assert model.outputs() == ["logits:0"]
    assert {name: str(spec) for name, spec in model.inputs([]).items()} == {"image:0": "float32 [?,8,8,3]"}
    assert model.taken == "a TFLite file with float32 weights, signature serving_default"
    with pytest.raises(TensorNotFound, match=r"has no tensor 'logit'\. Did you mean 'logits'"):
        model.require(["logit"])
    with pytest.raises(
        FeedError, match=r"takes float32 \[\?,8,8,3\]; the array given for it is float32 \[1,4\]"
    ):
        model.run({"image": np.zeros((1, 4), np.float32)}, ["logits"])


def test_values_of_every_layer_are_real_numbers(reference: Path, tmp_path: Path) -> None:
    model = TFLiteFile(convert(reference, tmp_path / "model.tflite", "int8"))
    tensors = list(model.lifted.activations)
    found = model.values({"image": images(3)}, tensors)
    assert found[TensorName("image", 0)].dtype == np.float32
    np.testing.assert_allclose(found[TensorName("image", 0)], images(3), atol=0.05)
    made = model.graph.nodes["logits"].inputs[0]
    np.testing.assert_allclose(found[made], model.run({"image": images(3)}, ["logits"])["logits"], atol=0.05)


def test_a_file_that_fixes_its_batch_is_fed_in_slices(tmp_path: Path) -> None:
    folder = write_module(
        tmp_path / "model", lambda module, x: {"y": x * module.w}, {"w": np.float32(3)}, {"x": [2, 4]}
    )
    model = TFLiteFile(convert(folder, tmp_path / "model.tflite"))
    x = np.arange(24, dtype=np.float32).reshape(6, 4)
    np.testing.assert_array_equal(model.run({"x": x}, ["y"])["y"], 3 * x)
    with pytest.raises(FeedError, match="takes a batch of exactly 2; 5 rows are given"):
        model.run({"x": x[:5]}, ["y"])


def test_several_outputs_are_matched_by_the_names_of_the_signature(tmp_path: Path) -> None:
    def both(module: Any, x: Any) -> dict[str, Any]:
        return {"b": x * module.w, "a": x + module.w, "c": x - module.w}

    folder = write_module(tmp_path / "model", both, {"w": np.float32(3)}, {"x": [None, 4]})
    file = convert(folder, tmp_path / "model.tflite")
    np.savez(tmp_path / "x.npz", x=np.arange(8, dtype=np.float32).reshape(2, 4))
    result = checked(
        {"saved_model": folder}, {"tflite": file}, inputs={"x": {"npz": tmp_path / "x.npz", "key": "x"}}
    )
    assert result.verdict == "pass"
    assert sorted(output.export for output in result.outputs) == ["a:0", "b:0", "c:0"]


def test_a_signature_that_is_not_there_is_told(reference: Path, tmp_path: Path) -> None:
    file = convert(reference, tmp_path / "model.tflite")
    with pytest.raises(
        ModelError, match=r"has no signature 'serve'.* It has serving_default. Name one under"
    ):
        TFLiteFile(file, signature="serve").outputs()


def test_another_epsilon_in_the_fold_is_proven(reference: Path, tmp_path: Path) -> None:
    wrong = write_network(tmp_path / "wrong", epsilon=0.1)
    result = against(reference, convert(wrong, tmp_path / "model.tflite"), 1e-4)
    assert result.verdict == "fail"
    (finding,) = result.findings
    assert (finding.cause, finding.certainty) == ("bn-folded-wrong-epsilon", "proven")
    assert f"{EPSILON:g} in the SavedModel" in finding.message


@pytest.mark.parametrize("kind", ["float16", "int8"])
def test_an_epsilon_that_the_numbers_hide_fails_by_its_weights(
    reference: Path, tmp_path: Path, kind: Kind
) -> None:
    wrong = write_network(tmp_path / "wrong", epsilon=1e-2)
    result = against(reference, convert(wrong, tmp_path / "model.tflite", kind), 3.0)
    assert [output.passed for output in result.outputs] == [True]
    assert result.verdict == "fail"
    assert result.findings[0].cause == "bn-folded-wrong-epsilon"
    assert any(note.startswith("Not what the reference has in their place") for note in result.notes)


def test_a_single_weight_that_the_numbers_hide_fails(reference: Path, tmp_path: Path) -> None:
    held = weights()
    held["dense"] = held["dense"].copy()
    held["dense"][2, 1] += 0.01
    wrong = write_network(tmp_path / "wrong", held)
    result = against(reference, convert(wrong, tmp_path / "model.tflite", "float16"), 3.0)
    assert result.verdict == "fail"
    assert any("dense" in " ".join(finding.scopes) for finding in result.findings)


def test_channels_in_another_order_are_proven(reference: Path, tmp_path: Path) -> None:
    wrong = write_network(tmp_path / "wrong", before=lambda image: image[..., ::-1])
    result = against(reference, convert(wrong, tmp_path / "model.tflite"), 1e-4)
    assert [(finding.cause, finding.certainty) for finding in result.findings] == [
        ("channel-order", "proven")
    ]


SCALINGS: dict[str, Callable[[Any], Any]] = {
    "scaled, then moved": lambda image: image * (2 / 255) - 1,
    "moved, then divided": lambda image: (image - 100) / 70,
}


def write_depthwise(folder: Path, before: Callable[[Any], Any], multiplier: int) -> Path:
    """A SavedModel of a depthwise convolution without padding, which takes in all that is done to its inputs before."""
    random = np.random.default_rng(3)

    def call(module: Any, image: Any) -> dict[str, Any]:
        made = tf.nn.depthwise_conv2d(before(image), module.kernel, [1, 1, 1, 1], "VALID") + module.bias
        return {"logits": tf.nn.relu(made)}

    held = {"kernel": random.normal(size=(3, 3, 3, multiplier)), "bias": random.normal(size=3 * multiplier)}
    weights = {name: value.astype(np.float32) for name, value in held.items()}
    return write_module(folder, call, weights, {"image": [None, 8, 8, 3]})


@pytest.mark.parametrize("multiplier", [1, 2])
@pytest.mark.parametrize("scaling", SCALINGS)
def test_what_is_done_to_the_inputs_may_stand_in_a_depthwise_convolution(
    tmp_path: Path, scaling: str, multiplier: int
) -> None:
    folder = write_depthwise(tmp_path / "model", SCALINGS[scaling], multiplier)
    result = against(folder, convert(folder, tmp_path / "model.tflite"), 1e-4)
    assert (result.verdict, result.findings) == ("pass", ())
    assert any(note.startswith("Weights certified") and ": all 2" in note for note in result.notes)


def test_another_offset_of_the_inputs_is_no_certified_bias(tmp_path: Path) -> None:
    folder = write_depthwise(tmp_path / "model", SCALINGS["scaled, then moved"], 1)
    wrong = write_depthwise(tmp_path / "wrong", lambda image: image * (2 / 255) - 0.9, 1)
    result = against(folder, convert(wrong, tmp_path / "model.tflite"), 10.0)
    assert [output.passed for output in result.outputs] == [True]
    assert result.verdict == "fail"


def test_an_op_that_is_not_known_is_named_and_the_weights_are_certified(
    reference: Path, tmp_path: Path
) -> None:
    custom = write_network(tmp_path / "custom", before=lambda image: tf.math.erfinv(image * 0.01))
    file = convert(custom, tmp_path / "model.tflite", allow_custom_ops=True)
    model = TFLiteFile(file)
    assert list(model.lifted.opaque.values()) == ["Erfinv"]
    result = against(custom, file, 1e-4)
    assert result.verdict == "error"
    assert result.error is not None
    assert "Erfinv" in result.error
    assert any(note.startswith("Weights certified") and ": all " in note for note in result.notes)


def test_without_litert_the_file_alone_is_told(
    reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = convert(reference, tmp_path / "model.tflite")
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    result = against(reference, file, 1e-5)
    assert result.verdict == "error"
    assert result.error is not None
    assert result.error.endswith('python -m pip install "pytest-tfparity[tflite]"')
    assert any(note.startswith("Weights certified") for note in result.notes)


def test_reading_loads_no_runtime(reference: Path, tmp_path: Path, pytester: pytest.Pytester) -> None:
    file = convert(reference, tmp_path / "model.tflite")
    code = (
        "import sys; from pathlib import Path; from pytest_tfparity.formats.tflite_model import TFLiteFile;"
        f"model = TFLiteFile(Path({str(file)!r})); assert model.graph.nodes;"
        "assert not {'tensorflow', 'ai_edge_litert', 'flatbuffers'} & set(sys.modules)"
    )
    assert pytester.run(sys.executable, "-c", code).ret == 0


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.98])
def test_a_file_that_was_cut_off_is_told(reference: Path, tmp_path: Path, share: float) -> None:
    whole = convert(reference, tmp_path / "model.tflite").read_bytes()
    cut = tmp_path / "cut.tflite"
    cut.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(
        ModelError, match=r"is not a whole TFLite model: .*byte.* Copy it again, or convert it again"
    ):
        read_tflite(cut)


def test_a_foreign_file_is_told(tmp_path: Path) -> None:
    file = tmp_path / "model.tflite"
    file.write_bytes(b"PK\x03\x04" + bytes(40))
    with pytest.raises(ModelError, match=r"is no TFLite model: .* it is a zip archive"):
        read_tflite(file)


def test_a_manifest_checks_one_and_reports_its_weights(
    reference: Path, tmp_path: Path, empty_project: Project
) -> None:
    convert(reference, empty_project.path / "model.tflite", "int8")
    np.savez(empty_project.path / "images.npz", image=images())
    empty_project.write(
        "tfparity.yaml",
        "models:\n  net:\n"
        f"    reference: {{saved_model: {reference}}}\n"
        "    export: {tflite: model.tflite}\n"
        "    inputs:\n      image: {npz: images.npz, key: image}\n"
        "    outputs: [{reference: logits, export: logits, sqnr: 20, steps: 12}]\n",
    )
    result = empty_project.run("--tfparity-report=report")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["*net: Weights certified in model.tflite: all 6, none off by more than 0.*quantum*"]
    )
    (check,) = json.loads((empty_project.path / "report/report.json").read_text())["checks"]
    assert check["verdict"] == "pass"
    assert any(note.startswith("Weights certified in model.tflite") for note in check["notes"])
    layers = check["details"]["layers"]
    assert {row["type"] for row in layers} == {"int8"}
    assert all(20 < row["own"] < 80 and row["accumulated"] <= row["own"] + 3 for row in layers)
    assert all(row["given"][0] <= row["used"][0] + 0.1 for row in layers)
    (output,) = check["details"]["outputs"]
    assert output["step"] > 0
    assert sum(output["counts"]) + output["equal"] == output["total"]


def test_goldens_of_an_unchanged_reference_stand_in_for_it(
    reference: Path, empty_project: Project, tmp_path: Path
) -> None:
    convert(reference, empty_project.path / "model.tflite")
    shutil.copytree(reference, empty_project.path / "ref")
    np.savez(empty_project.path / "images.npz", image=images())
    manifest = (
        "models:\n  net:\n    reference: {saved_model: ref}\n    export: {tflite: model.tflite}\n"
        "    inputs:\n      image: {npz: images.npz, key: image}\n"
        "    outputs: [logits]\n    golden: goldens/net.npz\n"
    )
    empty_project.write("tfparity.yaml", manifest)
    empty_project.run("--tfparity-update").assert_outcomes(passed=1)
    empty_project.write(
        "conftest.py",
        "import sys\n\n\ndef pytest_unconfigure():\n    assert 'tensorflow' not in sys.modules\n",
    )
    unchanged = empty_project.run_apart()
    unchanged.assert_outcomes(passed=1)
    assert unchanged.ret == 0
    (empty_project.path / "conftest.py").unlink()
    shutil.rmtree(empty_project.path / "ref")
    write_network(empty_project.path / "ref", weights(seed=1))
    changed = empty_project.run()
    changed.assert_outcomes(failed=1)
    changed.stdout.fnmatch_lines(["*goldens*are not this SavedModel's outputs*"])
