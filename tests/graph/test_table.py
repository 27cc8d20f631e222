import numpy as np
import pytest

from pytest_tfparity.errors import ModelError, UnreadableFile
from pytest_tfparity.graph.read.file_kind import TABLE_MAGIC
from pytest_tfparity.graph.read.slices import Extent, assembled, resolved, slice_key, slice_spec
from pytest_tfparity.graph.read.table import crc32c, masked_crc32c, read_table


def block(*entries, compression=0):
    body = b"".join(
        bytes((shared, len(key), len(value))) + key + value for shared, key, value in entries
    ) + (0).to_bytes(4, "little") + (1).to_bytes(4, "little")  # fmt: skip
    body += bytes((compression,))
    return body + masked_crc32c(body).to_bytes(4, "little")


def table(data):
    """A table of one data block."""
    index = block((0, b"z", bytes((0, len(data) - 5))))
    footer = bytes((0, 0, len(data), len(index) - 5)).ljust(40, b"\0") + TABLE_MAGIC
    return memoryview(data + index + footer)


def test_keys_that_share_a_prefix_are_put_together():
    view = table(block((0, b"layer/bias", b"1"), (6, b"kernel", b"2")))
    assert list(read_table(view, "a.index")) == [(b"layer/bias", b"1"), (b"layer/kernel", b"2")]


def test_a_wrong_checksum_is_an_error():
    data = bytearray(table(block((0, b"a", b"1"))))
    data[4] ^= 1
    with pytest.raises(ModelError, match=r"a.index is damaged: the checksum of the block at byte 0 is wrong"):
        list(read_table(memoryview(data), "a.index"))


@pytest.mark.parametrize("keys", [(b"b", b"a"), (b"a", b"a"), (b"a", b"zz")])
def test_keys_that_a_search_would_miss_are_an_error(keys):
    entries = [(0, key, b"1") for key in keys]
    with pytest.raises(
        ModelError, match=rf"a.index is damaged: the key '{keys[1].decode()}' is out of order"
    ):
        list(read_table(table(block(*entries)), "a.index"))


def test_a_compressed_block_is_left_to_tensorflow():
    with pytest.raises(UnreadableFile, match=r"a.index is compressed"):
        list(read_table(table(block((0, b"a", b"1"), compression=1)), "a.index"))


def test_a_file_that_is_no_table_is_said_to_be_none():
    for data in (b"", b"x" * 20, b"x" * 200):
        with pytest.raises(ModelError, match="is not the index of a checkpoint"):
            list(read_table(memoryview(data), "a.index"))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (b"\0" * 32, 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
    ],
)
def test_checksums_are_those_of_rfc_3720(data, expected):
    assert crc32c(data) == crc32c(memoryview(data)) == crc32c(data[3:], crc32c(data[:3])) == expected


def test_slice_keys_are_encoded_as_tensorflow_does():
    # EncodeTensorNameSlice("w", 0,5:-) by hand: 0, the name, a separator, the rank, then pairs of numbers.
    assert slice_key(b"w", (Extent(0, 5), Extent(0, -1))) == b"\0w\0\x01\x01\x02\x80\x85\x80\x7f"
    assert slice_key(b"w", (Extent(64, 8192),)) == b"\0w\0\x01\x01\x01\xc0\x40\xe0\x20\x00"
    assert slice_key(b"\0a\xff", ()) == b"\0\0\xffa\xff\0\0\x01\0"


def test_slice_specifications_are_taken_apart():
    assert slice_spec("") is None
    spec = slice_spec("10 4 2,5:-")
    assert spec.shape == (10, 4)
    assert resolved(spec.place, spec.shape) == (slice(2, 7), slice(0, 4))


@pytest.mark.parametrize("text", ["10", "10 4 0,5", "10 x,5", "a 0,5", "10 0,5:0,4"])
def test_other_texts_are_no_slice_specifications(text):
    with pytest.raises(ModelError, match="names no part of a variable"):
        slice_spec(text)


def test_a_part_beyond_its_tensor_is_an_error():
    with pytest.raises(ModelError, match="reaches beyond a dimension of 10"):
        resolved((Extent(8, 3),), (10,))


def test_a_region_across_parts_is_put_together():
    whole = np.arange(20, dtype=np.float32).reshape(10, 2)
    places = [(slice(0, 4), slice(0, 2)), (slice(4, 10), slice(0, 2))]
    parts = [(place, lambda place=place: whole[place]) for place in places]
    wanted = (slice(3, 6), slice(1, 2))
    np.testing.assert_array_equal(assembled(wanted, parts, whole.dtype), whole[wanted])
    assert assembled(places[1], parts, whole.dtype).base is whole.base
    assert assembled((slice(0, 10), slice(0, 2)), parts[:1], whole.dtype) is None
