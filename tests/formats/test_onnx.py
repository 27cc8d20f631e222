"""ONNX files: read by ourselves, run by ONNX Runtime; what is wrong with one is a sentence."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphs.onnx_files import Op, field, number, write_onnx
from graphs.onnx_network import IMAGES, WEIGHTS, Export, compared
from pytest_tfparity.errors import FeedError, ModelError, RuntimeMissing, TensorNotFound, TfparityError
from pytest_tfparity.formats.onnx import OnnxFormat
from pytest_tfparity.formats.onnx_model import OnnxFile
from pytest_tfparity.formats.registry import recognised
from pytest_tfparity.graph.graph import Tensor
from pytest_tfparity.graph.read.onnx import read_onnx

pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Export().write(tmp_path_factory.mktemp("whole") / "m.onnx")


def linear(path: Path, *, dims: tuple[int, ...] = (-1, 3), **options: object) -> Path:
    constants = {"w": np.float32([[2, 0], [0, 1], [1, 1]]), "b": np.float32([0.5, -0.5])}
    ops = [Op("Gemm", ["x", "w", "b"], ["y"])]
    return write_onnx(path, ops, constants, {"x": dims}, ["y"], **options)


X = np.float32([[1, 2, 3], [4, 5, 6], [7, 8, 9], [1, 1, 1]])
Y = X @ np.float32([[2, 0], [0, 1], [1, 1]]) + np.float32([0.5, -0.5])


def test_a_file_is_read_with_its_constants_attributes_and_opsets(tmp_path: Path) -> None:
    model = read_onnx(Export().write(tmp_path / "m.onnx"))
    assert (model.opset, model.producer, model.opsets) == (17, "tests", {"": 17, "other": 1})
    assert [(value.name, value.dims) for value in model.graph.inputs] == [("x", (-1, 8, 8, 3))]
    kernel = model.graph.constants["first/kernel"]
    assert kernel.dims == (4, 3, 3, 3)
    np.testing.assert_array_equal(kernel.load(), WEIGHTS["first/kernel"].transpose(3, 2, 0, 1))
    norm = next(node for node in model.graph.nodes if node.op == "BatchNormalization")
    assert norm.attrs["epsilon"] == pytest.approx(1e-3)


def test_a_file_is_known_by_what_is_in_it(tmp_path: Path) -> None:
    path = linear(tmp_path / "model.bin")
    assert OnnxFormat().recognises(path)
    assert recognised(path, "export").word == "onnx"
    (tmp_path / "other.onnx").write_text("no model")
    assert not OnnxFormat().recognises(tmp_path / "other.onnx")


def test_it_answers_by_its_own_names(tmp_path: Path) -> None:
    model = OnnxFile(linear(tmp_path / "m.onnx"))
    assert (model.outputs(), list(model.inputs([]))) == (["y:0"], ["x:0"])
    np.testing.assert_allclose(model.run({"x": X}, ["y"])["y"], Y, rtol=1e-6)
    assert model.taken == "an ONNX file of tests, opset 17"
    model.close()
    assert not model.is_open
    with pytest.raises(TensorNotFound, match=r"has no tensor 'z:0'\."):
        model.run({"x": X}, ["z:0"])


def test_names_with_ports_are_called_without_them(tmp_path: Path) -> None:
    ops = [Op("Neg", ["image:0"], ["logits:0"]), Op("Abs", ["image:0"], ["logits:1"])]
    path = write_onnx(tmp_path / "m.onnx", ops, {}, {"image:0": (-1, 3)}, ["logits:0", "logits:1"])
    model = OnnxFile(path)
    assert model.outputs() == ["logits:0", "logits_1:0"]
    found = model.run({"image:0": X}, ["logits:0", "logits_1"])
    np.testing.assert_array_equal(found["logits:0"], -X)
    np.testing.assert_array_equal(found["logits_1"], X)


def test_a_batch_that_is_pinned_is_fed_in_slices(tmp_path: Path) -> None:
    model = OnnxFile(linear(tmp_path / "m.onnx", dims=(2, 3)))
    np.testing.assert_allclose(model.run({"x": X}, ["y"])["y"], Y, rtol=1e-6)
    with pytest.raises(FeedError, match="takes a batch of exactly 2; 3 rows are given"):
        model.run({"x": X[:3]}, ["y"])


def test_sixteen_bits_are_fed_and_answered_as_real_numbers(tmp_path: Path) -> None:
    ops = [Op("Mul", ["x", "half"], ["y"])]
    constants = {"half": np.float16([0.5])}
    path = write_onnx(tmp_path / "m.onnx", ops, constants, {"x": (-1, 3)}, ["y"], dtype="float16")
    model = OnnxFile(path)
    answer = model.run({"x": X}, ["y"])["y"]
    assert answer.dtype == np.float32
    np.testing.assert_allclose(answer, X / 2)
    (held,) = model.lifted.stored.values()
    assert held.type == "float16"


def test_tensors_inside_are_given_in_tensorflows_layout(tmp_path: Path) -> None:
    model = OnnxFile(Export().write(tmp_path / "m.onnx"))
    tensor = next(tensor for tensor, (name, _) in model._lift.tensors.items() if name == "relu")
    (value,) = model.values({"x": IMAGES}, [tensor]).values()
    assert value.shape == (3, 8, 8, 4)
    assert value.min() == 0


def test_weights_beside_the_file_are_read_and_run(tmp_path: Path) -> None:
    path = Export().write(tmp_path / "m.onnx", external="m.data")
    assert compared(tmp_path, path).verdict == "pass"
    assert read_onnx(path).external == (tmp_path / "m.data",)


def test_weights_that_are_missing_are_told(tmp_path: Path) -> None:
    path = Export().write(tmp_path / "m.onnx", external="m.data")
    (tmp_path / "m.data").unlink()
    result = compared(tmp_path, path)
    assert result.verdict == "error"
    assert result.error is not None
    assert result.error.endswith(
        "m.onnx has its weights in m.data, which is not beside it. Copy both files together."
    )


@pytest.mark.parametrize("place", ["../m.data", "/etc/passwd", "a/../../m.data", "", "..\\m.data"])
def test_weights_outside_of_the_folder_are_not_read(tmp_path: Path, place: str) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    (tmp_path / "m.data").write_bytes(b"0" * 4096)
    path = linear(folder / "m.onnx", external="m.data")
    path.write_bytes(path.read_bytes().replace(field(2, b"m.data"), field(2, place.encode())))
    with pytest.raises(ModelError):
        read_onnx(path)


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    path = linear(folder / "m.onnx", external="m.data")
    (folder / "m.data").rename(tmp_path / "m.data")
    (folder / "m.data").symlink_to(tmp_path / "m.data")
    with pytest.raises(ModelError, match="is not in its folder: that is not read"):
        read_onnx(path)


def test_weights_that_are_cut_short_are_told(tmp_path: Path) -> None:
    path = linear(tmp_path / "m.onnx", external="m.data")
    (tmp_path / "m.data").write_bytes((tmp_path / "m.data").read_bytes()[:-4])
    with pytest.raises(ModelError, match="the two do not belong together, or it is truncated"):
        read_onnx(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\x80\x04 pickle", "is a Python pickle, not an ONNX model"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
        (b"<html>not found</html>", "is an HTML or XML page"),
        (b"some text", "is no ONNX model, or it is damaged or truncated; write or copy it again"),
        (number(1, 8) + field(7, b"\x0a\xff"), "is damaged or truncated"),
    ],
)
def test_what_is_no_model_is_told(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=message):
        read_onnx(tmp_path / "m.onnx")


def test_a_truncated_file_is_told_at_any_length(whole: Path, tmp_path: Path) -> None:
    path, content = tmp_path / "m.onnx", whole.read_bytes()
    for length in range(1, len(content), 97):
        path.write_bytes(content[:length])
        with pytest.raises(ModelError):
            read_onnx(path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(places=st.lists(st.tuples(st.integers(0), st.integers(1, 255)), min_size=1, max_size=6))
def test_a_damaged_file_is_read_or_refused_with_a_sentence(
    whole: Path, tmp_path: Path, places: list[tuple[int, int]]
) -> None:
    damaged = bytearray(whole.read_bytes())
    for place, change in places:
        damaged[place % len(damaged)] ^= change
    path = tmp_path / "m.onnx"
    path.write_bytes(bytes(damaged))
    with contextlib.suppress(TfparityError):
        model = OnnxFile(path)
        outputs = model.outputs()
        for node in model.graph.nodes.values():
            held = node.attrs.get("value")
            if isinstance(held, Tensor):
                assert held.array.shape == held.shape
        model.run({"x": IMAGES[:1]}, outputs)


def test_an_operator_that_the_runtime_lacks_is_told_and_named(tmp_path: Path) -> None:
    ops = {**Export().ops, "relu": Op("Rectify", ("bn",), ("relu",), {}, "rectified", "other")}
    result = compared(tmp_path, Export(ops=ops))
    assert result.verdict == "error"
    assert result.error is not None
    assert result.error.startswith("ONNX Runtime does not open ")
    assert "\n" not in result.error
    assert "Rectify" in result.error


def test_an_opset_that_the_runtime_lacks_is_told(tmp_path: Path) -> None:
    result = compared(tmp_path, Export().write(tmp_path / "new.onnx", opset=999))
    assert result.verdict == "error"
    assert result.error is not None
    assert "ONNX Runtime does not open " in result.error


def test_without_the_runtime_the_command_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    model = OnnxFile(linear(tmp_path / "m.onnx"))
    assert model.outputs() == ["y:0"]
    with pytest.raises(
        RuntimeMissing, match=r"ONNX Runtime, .*: python -m pip install \"pytest-tfparity\[onnx\]\"$"
    ):
        model.run({"x": X}, ["y"])


def test_channels_first_are_stated_as_a_transpose(tmp_path: Path) -> None:
    ops = dict(Export().ops)
    del ops["in"]
    path = write_onnx(
        tmp_path / "first.onnx",
        list(ops.values()),
        Export().constants,
        {"x_first": (-1, 3, 8, 8)},
        ["logits", "features"],
    )
    stated = {"export": "x_first", "transpose": [0, 3, 1, 2]}
    result = compared(tmp_path, path, image=stated)
    assert (result.verdict, result.findings) == ("pass", ())
    result = compared(tmp_path, path, image={"export": "x_first"})
    assert result.verdict == "error"
    assert [finding.cause for finding in result.findings] == ["nhwc-transposed"]
    assert result.findings[0].fix == "State `transpose` for the inputs x:0: [0, 3, 1, 2]."


def quantised(folder: Path, **options: Any) -> Path:
    """What ONNX Runtime's quantiser makes of a right export."""
    tools = pytest.importorskip("onnxruntime.quantization")
    right, file = Export().write(folder / "right.onnx"), folder / "quantised.onnx"

    class Images(tools.CalibrationDataReader):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            self.given = iter([{"x": IMAGES}])

        def get_next(self) -> Any:
            return next(self.given, None)

    tools.quantize_static(right, file, Images(), per_channel=True, **options)
    return file


@pytest.mark.parametrize(("atol", "verdict"), [(3.0, "pass"), (0.1, "fail")])
def test_a_file_of_the_quantiser_of_onnx_runtime_is_certified_and_blamed_for_nothing(
    tmp_path: Path, atol: float, verdict: str
) -> None:
    file = quantised(tmp_path)
    ops = {node.op for node in read_onnx(file).graph.nodes}
    assert "QuantizeLinear" in ops
    assert "Relu" not in ops  # left out, by default
    result = compared(tmp_path, file, atol=atol)
    assert (result.verdict, result.findings) == (verdict, ())
    assert any("all 9, none off by more than 0.5 quantum" in note for note in result.notes)
    rounding = any(note.startswith("Rounding to integers makes the difference") for note in result.notes)
    assert rounding == (verdict == "fail")


@pytest.mark.parametrize(("atol", "verdict"), [(3.0, "pass"), (0.1, "fail")])
def test_ops_of_onnx_runtime_alone_are_blamed_for_nothing(tmp_path: Path, atol: float, verdict: str) -> None:
    tools = pytest.importorskip("onnxruntime.quantization")
    file = quantised(tmp_path, quant_format=tools.QuantFormat.QOperator)
    assert "QLinearConv" in {node.op for node in read_onnx(file).graph.nodes}
    result = compared(tmp_path, file, atol=atol)
    assert (result.verdict, result.findings) == (verdict, ())
