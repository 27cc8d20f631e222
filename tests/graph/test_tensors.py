import numpy as np
import pytest

from pytest_tfparity.errors import ModelError, UnreadableFile
from pytest_tfparity.graph.graph import DType
from pytest_tfparity.graph.read import messages
from pytest_tfparity.graph.read.tensors import (
    base_dtype,
    dtype_name,
    from_bytes,
    large_tensor,
    numpy_dtype,
    small_tensor,
)

TYPES = messages.data_types()
WRITTEN = (
    "float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint64", "uint32",
    "uint16", "uint8", "bool", "complex64", "complex128", "float8_e5m2", "float8_e4m3fn",
)  # fmt: skip


def proto(kind, shape, **values):
    message = messages.TensorProto(dtype=TYPES[kind], **values)
    for size in shape:
        message.tensor_shape.dim.add(size=size)
    return message.SerializeToString()


def read(data):
    """The value as both readers give it: the one for small and the one for large tensors."""
    small = small_tensor(data, "a.pb").array
    large = large_tensor(memoryview(data), 0, len(data), "a.pb").array
    np.testing.assert_array_equal(small, large)
    assert small.dtype == large.dtype
    assert not small.flags.writeable
    assert not large.flags.writeable
    return small


@pytest.mark.parametrize(
    ("kind", "field", "values", "expected"),
    [
        ("DT_FLOAT", "float_val", [1.5, -2], np.float32([1.5, -2])),
        ("DT_DOUBLE", "double_val", [1.5, -2], np.float64([1.5, -2])),
        ("DT_INT32", "int_val", [1, -2], np.int32([1, -2])),
        ("DT_INT16", "int_val", [1, -2], np.int16([1, -2])),
        ("DT_INT8", "int_val", [1, -2], np.int8([1, -2])),
        ("DT_UINT8", "int_val", [1, 255], np.uint8([1, 255])),
        ("DT_UINT16", "int_val", [1, 65535], np.uint16([1, 65535])),
        ("DT_UINT32", "uint32_val", [1, 2**32 - 1], np.uint32([1, 2**32 - 1])),
        ("DT_UINT64", "uint64_val", [1, 2**64 - 1], np.uint64([1, 2**64 - 1])),
        ("DT_INT64", "int64_val", [1, -(2**63)], np.int64([1, -(2**63)])),
        ("DT_BOOL", "bool_val", [True, False], np.array([True, False])),
        ("DT_HALF", "half_val", [0x3C00, 0xC000], np.float16([1, -2])),
        ("DT_BFLOAT16", "half_val", [0x3F80, 0xC000], np.uint16([0x3F80, 0xC000])),
        ("DT_COMPLEX64", "scomplex_val", [1, 2, 3, -4], np.complex64([1 + 2j, 3 - 4j])),
        ("DT_COMPLEX128", "dcomplex_val", [1, 2, 3, -4], np.complex128([1 + 2j, 3 - 4j])),
        ("DT_STRING", "string_val", [b"a", b"\xff\0"], np.array([b"a", b"\xff\0"], object)),
        ("DT_QINT8", "int_val", [1, -2], np.int8([1, -2])),
        ("DT_QUINT8", "int_val", [1, 2], np.uint8([1, 2])),
        ("DT_QINT32", "int_val", [1, -2], np.int32([1, -2])),
        ("DT_FLOAT8_E5M2", "float8_val", b"\x01\xff", np.uint8([1, 255])),
        ("DT_INT4", "int_val", [1, -2], np.int8([1, -2])),
    ],
)
def test_values_of_every_type_are_read(kind, field, values, expected):
    array = read(proto(kind, [2], **{field: values}))
    np.testing.assert_array_equal(array, expected)
    assert array.dtype == expected.dtype


def test_the_last_value_repeats():
    np.testing.assert_array_equal(read(proto("DT_FLOAT", [2, 2], float_val=[1, 2])), [[1, 2], [2, 2]])


def test_no_value_at_all_means_zeros():
    np.testing.assert_array_equal(read(proto("DT_INT64", [3])), [0, 0, 0])
    assert read(proto("DT_STRING", [2])).tolist() == [b"", b""]


def test_values_beyond_the_shape_are_ignored_as_tensorflow_ignores_them():
    np.testing.assert_array_equal(read(proto("DT_FLOAT", [2], float_val=[1, 2, 3])), [1, 2])


@pytest.mark.parametrize("shape", [[], [0], [3, 0, 2], [1, 1]])
def test_shapes_without_or_with_one_value_are_kept(shape):
    assert read(proto("DT_FLOAT", shape, float_val=[7])).shape == tuple(shape)


def test_nan_payloads_survive():
    bits = np.uint32([0x7FC00001, 0xFFC12345])
    array = read(proto("DT_FLOAT", [2], tensor_content=bits.tobytes()))
    np.testing.assert_array_equal(array.view(np.uint32), bits)


def test_content_is_viewed_and_not_copied():
    data = bytearray(proto("DT_FLOAT", [2], tensor_content=np.float32([1, 2]).tobytes()))
    array = large_tensor(memoryview(data), 0, len(data), "a.pb").array
    data[-4:] = np.float32([5]).tobytes()
    np.testing.assert_array_equal(array, [1, 5])


def test_strings_are_read_from_content():
    data = proto("DT_STRING", [2], tensor_content=b"\x01\x03abcd")
    assert read(data).tolist() == [b"a", b"bcd"]


def test_content_of_the_wrong_size_is_named():
    data = proto("DT_FLOAT", [3], tensor_content=b"12345678")
    with pytest.raises(ModelError, match=r"float tensor of shape \[3\] in a.pb needs 12 bytes and has 8"):
        read(data)


@pytest.mark.parametrize("kind", ["DT_RESOURCE", "DT_VARIANT"])
def test_resources_are_refused_only_when_asked_for(kind):
    tensor = small_tensor(proto(kind, [1]), "a.pb")
    assert tensor.shape == (1,)
    with pytest.raises(UnreadableFile, match=f"type {kind[3:].lower()}"):
        tensor.load()


def test_a_shape_that_fits_no_memory_is_an_error_and_not_a_crash():
    with pytest.raises(ModelError, match="does not fit in memory"):
        small_tensor(proto("DT_FLOAT", [2**40, 2**20]), "a.pb").load()


@pytest.mark.parametrize(
    ("kind", "values"),
    [("DT_FLOAT", {"float_val": [1]}), ("DT_INT8", {"int_val": [1]}), ("DT_STRING", {"string_val": [b"x"]})],
)
def test_a_value_is_not_repeated_without_a_bound(kind, values):
    large = [2**36] if kind != "DT_STRING" else [2**25]
    with pytest.raises(ModelError, match=r"in a\.pb does not fit in memory: a value of it is to be repeated"):
        small_tensor(proto(kind, large, **values), "a.pb").load()
    assert small_tensor(proto(kind, [1000], **values), "a.pb").load().shape == (1000,)


def test_an_unknown_dimension_is_an_error():
    with pytest.raises(ModelError, match="not known"):
        small_tensor(proto("DT_FLOAT", [-1], float_val=[1]), "a.pb").load()


def test_references_are_what_they_refer_to():
    assert base_dtype(DType(101)) == DType(1)
    assert numpy_dtype(DType(101)) == np.float32
    assert dtype_name(DType(101)) == "float_ref"
    assert dtype_name(DType(14)) == "bfloat16"
    assert numpy_dtype(DType(20)) is None


def test_strings_are_no_numbers():
    with pytest.raises(UnreadableFile, match="type string"):
        from_bytes(b"", DType(7), (0,), "a.pb")


def test_every_type_that_tensorflow_writes_reads_as_its_own_reader_reads_it():
    tf = pytest.importorskip("tensorflow")
    for name in WRITTEN:
        dtype = getattr(tf, name, None)
        if dtype is None:
            continue
        for values in ([[0, 1], [1, 0]], [[1, 1], [1, 1]], 1):
            expected = np.asarray(values).astype(dtype.as_numpy_dtype)
            data = tf.make_tensor_proto(expected, dtype).SerializeToString()
            array = read(data)
            assert array.shape == expected.shape
            assert array.tobytes() == expected.tobytes(), name
