"""Wrong ONNX exports of one small network: the cause, the place, and whether a repair proves it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graphs.compared import compare, dense
from graphs.onnx_files import Op
from graphs.onnx_network import WEIGHTS, Export, compared, tf, v1
from pytest_tfparity.result import Finding, ParityResult

pytest.importorskip("onnxruntime")


def told(result: ParityResult) -> list[tuple[str, str]]:
    return [(finding.cause, finding.certainty) for finding in result.findings]


def only(result: ParityResult) -> Finding:
    assert result.verdict == "fail"
    assert len(result.findings) == 1, told(result)
    return result.findings[0]


def test_a_right_export_passes_with_all_weights_certified(tmp_path: Path) -> None:
    result = compared(tmp_path, Export())
    assert (result.verdict, result.findings, result.health) == ("pass", (), ())
    assert "all 9" in result.notes[0]


def test_statistics_that_were_never_copied(tmp_path: Path) -> None:
    export = Export().with_constant(
        bn__moving_mean=np.zeros(4, np.float32), bn__moving_variance=np.ones(4, np.float32)
    )
    finding = only(compared(tmp_path, export))
    assert (finding.cause, finding.certainty, finding.scopes) == (
        "bn-stats-initial-values",
        "proven",
        ("bn",),
    )


def test_a_resize_of_other_coordinates(tmp_path: Path) -> None:
    export = Export().with_op("up", attrs={"coordinate_transformation_mode": "asymmetric"})
    finding = only(compared(tmp_path, export))
    assert (finding.cause, finding.certainty, finding.nodes) == ("resize-attr", "proven", ("up",))
    export = Export().with_op("up", attrs={"coordinate_transformation_mode": "align_corners"})
    assert only(compared(tmp_path, export)).cause == "resize-attr"


def test_another_epsilon(tmp_path: Path) -> None:
    finding = only(compared(tmp_path, Export().with_op("bn", attrs={"epsilon": 0.1})))
    assert (finding.cause, finding.certainty, finding.scopes) == ("bn-epsilon-mismatch", "proven", ("bn",))


def test_a_kernel_that_was_reshaped_in_the_place_of_being_transposed(tmp_path: Path) -> None:
    kernel = WEIGHTS["second/kernel"].reshape(5, 4, 3, 3)
    result = compared(tmp_path, Export().with_constant(second__kernel=kernel))
    assert result.verdict == "fail"
    assert result.findings[0].scopes == ("second",)
    assert result.findings[0].cause in ("weights-permuted", "kernel-transposed")


def test_a_kernel_that_is_flipped(tmp_path: Path) -> None:
    kernel = WEIGHTS["first/kernel"][::-1, ::-1].transpose(3, 2, 0, 1).copy()
    finding = only(compared(tmp_path, Export().with_constant(first__kernel=kernel)))
    assert (finding.cause, finding.certainty, finding.scopes) == ("weights-permuted", "proven", ("first",))


def test_a_dense_layer_behind_channels_first(tmp_path: Path) -> None:
    ops = dict(Export().ops)
    ops["flat"] = ops["flat"]._replace(inputs=("up", "shape"))
    del ops["back"]
    finding = only(compared(tmp_path, Export(ops=ops)))
    assert (finding.cause, finding.certainty) == ("flatten-order", "proven")


def test_padding_on_all_sides_at_stride_two(tmp_path: Path) -> None:
    result = compared(tmp_path, Export().with_op("second", attrs={"pads": [1, 1, 1, 1]}))
    finding = only(result)
    assert (finding.cause, finding.certainty, finding.scopes) == ("padding", "proven", ("second",))


def test_channels_in_reverse(tmp_path: Path) -> None:
    kernel = WEIGHTS["first/kernel"][:, :, ::-1].transpose(3, 2, 0, 1).copy()
    finding = only(compared(tmp_path, Export().with_constant(first__kernel=kernel)))
    assert finding.cause in ("channel-order", "weights-permuted")
    assert finding.certainty == "proven"


def test_preprocessing_that_the_export_lacks(tmp_path: Path) -> None:
    result = compared(tmp_path, Export(), prepare=lambda x: tf.divide(x, 127.5, name="scaled") - 1.0)
    assert result.verdict == "fail"
    assert {finding.cause for finding in result.findings} <= {"input-scaling", "preprocess-missing"}
    assert result.findings[0].certainty == "proven"


def test_outputs_that_are_exchanged(tmp_path: Path) -> None:
    ops = {**Export().ops, "product": Op("MatMul", ("flat", "dense/kernel"), ("product",))}
    export = Export(ops=ops, outputs=("logits", "product"))
    right = ["logits", {"reference": "dense/MatMul", "export": "product"}]
    assert compared(tmp_path, export, outputs=right).verdict == "pass"
    exchanged = [
        {"reference": "logits", "export": "product"},
        {"reference": "dense/MatMul", "export": "logits"},
    ]
    result = compared(tmp_path, export, outputs=exchanged)
    assert result.verdict == "fail"
    assert told(result) == [("wrong-output-node", "proven")] * 2


def test_weights_of_an_older_step(tmp_path: Path) -> None:
    older = {name: (value * 0.9 + 0.01).astype(np.float32) for name, value in WEIGHTS.items()}
    with tf.Graph().as_default(), v1.Session() as session:
        for name, value in older.items():
            v1.get_variable(name, initializer=value, use_resource=False)
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(tmp_path / "model-older"), write_meta_graph=False)
    constants = dict(Export().constants)
    for name, value in older.items():
        constants[name] = value.transpose(3, 2, 0, 1).copy() if value.ndim == 4 else value
    finding = only(compared(tmp_path, Export(constants=constants)))
    assert (finding.cause, finding.certainty) == ("stale-export", "proven")


def test_weights_of_another_run(tmp_path: Path) -> None:
    rng = np.random.default_rng(99)
    constants = {
        name: rng.permutation(value.reshape(-1)).reshape(value.shape) if value.dtype == np.float32 else value
        for name, value in Export().constants.items()
    }
    result = compared(tmp_path, Export(constants=constants))
    assert result.verdict == "fail"
    assert {finding.cause for finding in result.findings} <= {
        "other-run",
        "weights-permuted",
        "weights-differ",
    }


def test_weights_that_went_through_sixteen_bits(tmp_path: Path) -> None:
    constants = {
        name: value.astype(np.float16).astype(np.float32) if value.dtype == np.float32 else value
        for name, value in Export().constants.items()
    }
    result = compared(tmp_path, Export(constants=constants))
    assert result.verdict == "fail"
    assert result.findings[0].cause == "weights-fp16"


@pytest.mark.parametrize("opset", [11, 13])
def test_a_softmax_over_all_axes_of_an_old_opset_or_over_another(tmp_path: Path, opset: int) -> None:
    ops = dict(Export().ops)
    for name in ("flat", "dense", "features", "squeezed", "up", "back"):
        del ops[name]
    ops["back"] = Op("Transpose", ("second",), ("last",), {"perm": [0, 2, 3, 1]})
    ops["softmax"] = Op("Softmax", ("last",), ("probabilities",), {"axis": 1})
    path = Export(ops=ops, outputs=("probabilities",)).write(tmp_path / "old.onnx", opset=opset)

    def probabilities() -> None:
        tf.nn.softmax(v1.get_default_graph().get_tensor_by_name("second/BiasAdd:0"), name="probabilities")

    result = compared(tmp_path, path, outputs=["probabilities"], also=probabilities)
    finding = only(result)
    assert (finding.cause, finding.certainty) == ("onnx-softmax-axis", "proven")


def test_a_softmax_over_the_batch_is_not_told_as_one_over_another_axis(tmp_path: Path) -> None:
    def reference() -> None:
        x = v1.placeholder(tf.float32, [None, 6], "x")
        tf.identity(tf.nn.softmax(dense(x)), "y")

    def export() -> None:
        x = v1.placeholder(tf.float32, [None, 6], "x")
        tf.identity(tf.transpose(tf.nn.softmax(tf.transpose(dense(x)))), "y")

    result = compare(tmp_path, reference, export)
    assert result.verdict == "fail"
    assert result.findings
    assert "onnx-softmax-axis" not in {finding.cause for finding in result.findings}
