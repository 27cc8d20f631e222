"""The reader of TFLite files: whatever the bytes are, it reads them or says what is wrong."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphs.tflite import convert, write_network
from pytest_tfparity.errors import ModelError
from pytest_tfparity.formats.tflite_model import TFLiteFile
from pytest_tfparity.graph.graph import Tensor
from pytest_tfparity.graph.read.flatbuffer import Malformed, Table
from pytest_tfparity.graph.read.tflite import read_tflite

pytest.importorskip("tensorflow")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tflite")
    return convert(write_network(folder / "model"), folder / "model.tflite", "int8")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damaged") / "model.tflite"


def test_constants_are_read_in_the_layouts_of_tensorflow(whole: Path, file: Path) -> None:
    file.write_bytes(whole.read_bytes())
    (subgraph,) = read_tflite(file).subgraphs
    kernels = [
        tensor for tensor in subgraph.tensors if tensor.contents is not None and len(tensor.fixed) == 4
    ]
    assert sorted(tensor.fixed for tensor in kernels) == [(1, 3, 3, 40), (40, 3, 3, 3)]
    held = TFLiteFile(file).graph.nodes
    values = [node.attrs["value"] for node in held.values() if node.op == "Const"]
    shapes = {value.shape for value in values if isinstance(value, Tensor) and len(value.shape) == 4}
    assert shapes == {(3, 3, 40, 1), (3, 3, 3, 40)}


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damaged_bytes_are_read_or_told(whole: Path, file: Path, data: st.DataObject) -> None:
    damaged = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(8, len(damaged) - 4))
        struct.pack_into("<I", damaged, position, data.draw(st.integers(0, 2**32 - 1)))
    file.write_bytes(damaged)
    try:
        graph = TFLiteFile(file).graph
    except ModelError as error:
        assert str(error).endswith(".")  # noqa: PT017 - either it is read or it is told
        return
    for node in graph.nodes.values():
        value = node.attrs.get("value")
        if isinstance(value, Tensor):
            assert value.array.shape == value.shape


@settings(max_examples=100, deadline=None)
@given(data=st.binary(min_size=4, max_size=64))
def test_no_bytes_lead_out_of_the_file(data: bytes) -> None:
    try:
        table = Table.root(memoryview(data))
        for number in range(8):
            table.text(number)
            table.array(number, "<f4")
            table.tables(number)
    except Malformed:
        pass


def test_tables_that_are_named_again_and_again_are_refused() -> None:
    """A table in which a vector names one table a hundred times, which names another one a hundred times."""
    count = 100
    vtable = struct.pack("<HHHH", 6, 8, 4, 0)
    parts = [struct.pack("<I", 4 + len(vtable)), vtable]
    for level in range(3):
        here = sum(map(len, parts))
        parts.append(struct.pack("<iI", here - 4, 4 if level < 2 else 0))
        if level < 2:
            after = here + 8 + 4 + 4 * count
            entries = [after - (here + 12 + 4 * index) for index in range(count)]
            parts.append(struct.pack(f"<I{count}I", count, *entries))
    inner = Table.root(memoryview(b"".join(parts))).tables(0)
    assert len(inner) == count
    with pytest.raises(Malformed, match="more often than they could stand in it"):
        [each.tables(0) for each in inner]


def test_what_stands_for_four_bits_is_taken_apart() -> None:
    from pytest_tfparity.graph.lift.tflite import decoded
    from pytest_tfparity.graph.read.tflite import TFLiteTensor

    packed = np.array([0x21, 0xF8], np.uint8).tobytes()
    tensor = TFLiteTensor(
        name="w",
        type=17,
        shape=(3,),
        fixed=(3,),
        contents=memoryview(packed),
        quantisation=None,
        variable=False,
        sparse=False,
    )
    assert decoded(tensor).tolist() == [1, 2, -8]
