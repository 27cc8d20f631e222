"""Hashes of files by their stamps, and the file of records that keeps them."""

import json
import multiprocessing
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_tfparity.remembered import hashes as hashes_module
from pytest_tfparity.remembered.hashes import FileHashes, Stamp, sha256_of, stamp_of
from pytest_tfparity.remembered.record_file import MOST, RecordFile


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as settled at once: what is written here is not written again within the same tick."""
    monkeypatch.setattr(Stamp, "settled", True)


def stamped(path: Path) -> Stamp:
    stamp = stamp_of(path)
    assert stamp is not None
    return stamp


@pytest.mark.usefixtures("settled")
def test_a_file_that_was_not_written_to_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 3_000_000)
    first = FileHashes(tmp_path / "hashes.json")
    found = first.hash(path, stamped(path))
    assert found == sha256_of(path)
    first.save()
    monkeypatch.setattr(hashes_module, "sha256_of", lambda path: pytest.fail("read again"))
    again = FileHashes(tmp_path / "hashes.json")
    assert again.known(path, stamped(path)) == again.hash(path, stamped(path)) == found


@pytest.mark.usefixtures("settled")
def test_a_file_with_its_old_size_and_time_but_written_to_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"before")
    before = stamped(path)
    hashes = FileHashes(tmp_path / "hashes.json")
    old = hashes.hash(path, before)
    time.sleep(0.02)
    path.write_bytes(b"after.")
    os.utime(path, ns=(before.modified, before.modified))
    now = stamped(path)
    assert (now.size, now.modified) == (before.size, before.modified)
    assert hashes.known(path, now) is None
    assert hashes.hash(path, now) not in (None, old)


@pytest.mark.usefixtures("settled")
def test_a_file_that_changes_while_it_is_read_has_no_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"before")

    def read_and_change(path: Path) -> str:
        path.write_bytes(b"a longer one")
        return "0"

    monkeypatch.setattr(hashes_module, "sha256_of", read_and_change)
    assert FileHashes(None).hash(path, stamped(path)) is None


def test_a_file_of_this_moment_has_no_hash() -> None:
    now = time.time_ns()
    second = 1_000_000_000
    assert not Stamp(1, now + 1 - now % 2, now, 1, 1).settled
    assert Stamp(1, now - second // 2 + 1, now - second // 2, 1, 1).settled
    whole = (now // second - 2) * second
    assert not Stamp(1, whole, whole, 1, 1).settled
    assert Stamp(1, whole - 2 * second, whole - 2 * second, 1, 1).settled
    assert not Stamp(1, whole - 9 * second, now, 1, 1).settled


def add(path: str, worker: int) -> None:
    for number in range(20):
        RecordFile(Path(path), "test").add({f"{worker}-{number}": [worker, number]})


def test_records_of_processes_that_write_at_once_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "records.json"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=add, args=(str(path), worker)) for worker in range(3)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    assert RecordFile(path, "test").records == {
        f"{worker}-{number}": [worker, number] for worker in range(3) for number in range(20)
    }
    assert [each.name for each in path.parent.iterdir()] == ["records.json"]


def test_the_oldest_records_make_room(tmp_path: Path) -> None:
    path = tmp_path / "records.json"
    RecordFile(path, "test").add({str(number): number for number in range(MOST)})
    RecordFile(path, "test").add({"new": 1, "0": 0})
    kept = RecordFile(path, "test").records
    assert len(kept) == MOST
    assert {"new", "0", "2"} <= kept.keys()
    assert "1" not in kept


RECORDS = {"a": {"x": [1, 2.5, None]}, "b\n\u2028": "text", "c": [True]}


@given(st.integers(0, 2**16), st.binary(max_size=3))
def test_a_damaged_record_is_none_and_no_other(place: int, patch: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "records.json")
        RecordFile(path, "test").add(RECORDS)
        whole = path.read_bytes()
        place %= len(whole)
        path.write_bytes(whole[:place] + patch + whole[place + len(patch) :])
        kept = RecordFile(path, "test").records
    assert all(kept[key] == RECORDS[key] for key in kept)


def test_a_file_that_was_cut_off_keeps_its_whole_records(tmp_path: Path) -> None:
    path = tmp_path / "records.json"
    RecordFile(path, "test").add(RECORDS)
    assert json.loads(path.read_bytes())["records"].keys() == RECORDS.keys()
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]) + lines[2][:9])
    assert RecordFile(path, "test").records == {"a": RECORDS["a"]}


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04\xff", b'{"records": {}}', b'{"pytest-tfparity": "other"']
)
def test_a_foreign_file_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "records.json"
    path.write_bytes(content)
    file = RecordFile(path, "test")
    assert file.records == {}
    assert file.problem is not None
    file.add(RECORDS)
    assert path.read_bytes() == content
