"""Mapped files: what is read of them does not stay in memory."""

import sys
from pathlib import Path

import numpy as np
import pytest

from pytest_tfparity.graph.read.mapped import PIECE, looked_through, mapped, pieces
from pytest_tfparity.graph.read.table import crc32c

MIB = 1 << 20


def resident_files() -> int:
    """MiB of mapped files that are pages of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssFile"):
            return int(line.split()[1]) // 1024
    raise AssertionError("no RssFile")


@pytest.fixture
def large(tmp_path: Path) -> memoryview:
    path = tmp_path / "large"
    with path.open("wb") as file:
        for _ in range(160):
            file.write(bytes(MIB))
    return mapped(path, "file")


def test_pieces_are_the_array_in_its_order() -> None:
    array = np.arange(3 * PIECE, dtype=np.int16).reshape(3, -1)
    found = list(pieces(array))
    assert all(piece.nbytes <= PIECE for piece in found)
    np.testing.assert_array_equal(np.concatenate(found), array.reshape(-1))


def test_there_are_no_pieces_of_nothing() -> None:
    assert list(pieces(np.empty((0, 4)))) == []


def test_a_piece_holds_one_value_that_is_larger_than_it() -> None:
    array = np.zeros(3, dtype=f"V{2 * PIECE}")
    assert [piece.size for piece in pieces(array)] == [1, 1, 1]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_reading_a_mapped_file_holds_little_of_it(large: memoryview) -> None:
    before, most = resident_files(), 0
    for piece in pieces(np.frombuffer(large, np.uint8)):
        assert not piece.any()
        most = max(most, resident_files() - before)
    assert most < 60


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_was_looked_through_is_given_back(large: memoryview) -> None:
    before = resident_files()
    assert np.frombuffer(large, np.uint8)[:: MIB // 4].sum() == 0
    assert resident_files() - before > 30
    looked_through(large)
    assert resident_files() - before < 10


def test_a_checksum_is_the_same_in_pieces() -> None:
    data = np.random.default_rng(0).bytes(2 * PIECE + 17)
    assert crc32c(data) == crc32c(data[PIECE:], crc32c(data[:PIECE]))
    assert crc32c(b"123456789") == 0xE3069283  # RFC 3720, B.4
