"""The golden store: what is written, what is left alone, what is refused."""

from __future__ import annotations

import contextlib
import hashlib
import math
import multiprocessing
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stnp

from pytest_tfparity.check.environment import environment
from pytest_tfparity.comparison.tolerance import Tolerance, TopK
from pytest_tfparity.errors import GoldenError
from pytest_tfparity.goldens import store
from pytest_tfparity.goldens.archive import ArchiveProblem, read_archive, write_archive
from pytest_tfparity.goldens.store import (
    GoldenChange,
    prune_goldens,
    read_golden,
    stale_goldens,
    update_golden,
)

ml_dtypes = pytest.importorskip("ml_dtypes")

IMAGE = (np.arange(12, dtype=np.float32) / 16).reshape(3, 4)
LOGITS = np.float32([[1, -2], [3, 0.5], [0, 0]])
FACTS = {"tensorflow": "2.21.0", "numpy": "2.4.6", "cpu": "avx2 fma"}


def update(path: Path, **changes: Any) -> GoldenChange:
    facts: dict[str, Any] = {
        "inputs": {"image:0": IMAGE},
        "outputs": {"net/logits:0": LOGITS},
        "tolerances": {"net/logits:0": Tolerance(atol=1e-3)},
        "fingerprint": "f00d",
        "environment": FACTS,
        **changes,
    }
    return update_golden(path, **facts)


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in folder.iterdir()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "goldens" / "digits.npz"


def test_missing_goldens_are_created_and_read_back(path: Path) -> None:
    assert update(path) == GoldenChange(path=path, action="created")
    golden = read_golden(path)
    assert list(golden.inputs) == ["image:0"]
    np.testing.assert_array_equal(golden.inputs["image:0"], IMAGE, strict=True)
    np.testing.assert_array_equal(golden.outputs["net/logits:0"], LOGITS, strict=True)
    assert (golden.fingerprint, golden.environment, golden.path) == ("f00d", FACTS, path)
    assert not golden.outputs["net/logits:0"].flags.writeable
    assert sorted(os.listdir(path.parent)) == ["digits.npz", "digits.yaml"]


def test_numpy_reads_the_archive_by_tensor_name(path: Path) -> None:
    update(path)
    with np.load(path) as archive:
        np.testing.assert_array_equal(archive["net/logits:0"], LOGITS)


def test_the_summary_is_for_review(path: Path) -> None:
    update(path)
    text = path.with_suffix(".yaml").read_text(encoding="utf-8")
    archive = hashlib.sha256(path.read_bytes()).hexdigest()
    content = yaml.safe_load(text)
    image, logits = (
        content["inputs"]["image:0"].pop("sha256"),
        content["outputs"]["net/logits:0"].pop("sha256"),
    )
    assert len(image) == len(logits) == 64
    assert text == (
        "# Goldens of pytest-tfparity, written by `pytest --tfparity-update`."
        " Review them here; change nothing.\n"
        "format: 1\n"
        'fingerprint: "f00d"\n'
        f'archive: "{archive}"\n'
        "environment:\n"
        '  cpu: "avx2 fma"\n'
        '  numpy: "2.4.6"\n'
        '  tensorflow: "2.21.0"\n'
        "inputs:\n"
        '  "image:0":\n'
        "    dtype: float32\n"
        "    shape: [3, 4]\n"
        "    min: 0\n"
        "    max: 0.6875\n"
        "    mean: 0.34375\n"
        f'    sha256: "{image}"\n'
        "outputs:\n"
        '  "net/logits:0":\n'
        "    dtype: float32\n"
        "    shape: [3, 2]\n"
        "    min: -2\n"
        "    max: 3\n"
        "    mean: 0.416666667\n"
        f'    sha256: "{logits}"\n'
        "    tolerance: {atol: 0.001, rtol: 0.0}\n"
    )


def test_nothing_is_touched_when_nothing_changed(path: Path) -> None:
    update(path)
    before = state(path.parent)
    assert update(path) == GoldenChange(path=path, action="unchanged", max_change=0.0)
    assert state(path.parent) == before


def test_a_change_within_tolerance_leaves_the_files_alone(path: Path) -> None:
    update(path)
    before = state(path.parent)
    change = update(path, outputs={"net/logits:0": LOGITS + np.float32(2**-11)})
    assert (change.action, change.max_change) == ("unchanged", 2**-11)
    assert state(path.parent) == before


def test_another_environment_alone_changes_nothing(path: Path) -> None:
    update(path)
    before = state(path.parent)
    assert update(path, environment={"tensorflow": "2.22.0"}).action == "unchanged"
    assert state(path.parent) == before


def test_a_change_beyond_tolerance_is_written_and_measured(path: Path) -> None:
    update(path)
    change = update(path, outputs={"net/logits:0": LOGITS + np.float32(0.5)}, fingerprint="beef")
    assert change == GoldenChange(path=path, action="updated", max_change=0.5, changed=("net/logits:0",))
    golden = read_golden(path)
    assert golden.outputs["net/logits:0"][0, 0] == 1.5
    assert golden.fingerprint == "beef"


def test_outputs_without_a_number_to_compare_are_written(path: Path) -> None:
    update(path)
    change = update(path, outputs={"net/logits:0": LOGITS[:1]})
    assert (change.action, change.max_change) == ("updated", None)


def test_an_input_that_changed_by_one_bit_is_written(path: Path) -> None:
    update(path)
    image = IMAGE.copy()
    image[0, 0] = np.nextafter(image[0, 0], np.float32(1))
    outputs = {"net/logits:0": LOGITS + np.float32(2**-11)}
    change = update(path, inputs={"image:0": image}, outputs=outputs)
    assert (change.action, change.changed) == ("updated", ("image:0",))
    golden = read_golden(path)
    assert golden.inputs["image:0"][0, 0] == image[0, 0]
    np.testing.assert_array_equal(golden.outputs["net/logits:0"], outputs["net/logits:0"])


def test_a_new_fingerprint_within_tolerance_renews_the_summary_alone(path: Path) -> None:
    update(path)
    before = state(path.parent)
    outputs = {"net/logits:0": LOGITS + np.float32(2**-11)}
    change = update(path, fingerprint="beef", outputs=outputs)
    assert change == GoldenChange(path=path, action="updated", max_change=2**-11, changed=("fingerprint",))
    assert state(path.parent)["digits.npz"] == before["digits.npz"]
    assert read_golden(path).fingerprint == "beef"
    assert update(path, fingerprint="beef", outputs=outputs).action == "unchanged"


def test_an_unknown_fingerprint_does_not_replace_a_known_one(path: Path) -> None:
    update(path)
    assert update(path, fingerprint=None).action == "unchanged"
    assert update(path, fingerprint=None, tolerances={"net/logits:0": Tolerance()}).action == "updated"
    assert read_golden(path).fingerprint == "f00d"


def test_a_new_tolerance_renews_the_summary_alone(path: Path) -> None:
    tolerances = {
        "net/logits:0": Tolerance(
            atol=1 / 3, rtol=1e-20, equal_nan=True, statistic="mean", top_k=TopK(k=2, agree=0.99)
        )
    }
    update(path)
    before = state(path.parent)
    change = update(path, tolerances=tolerances)
    assert (change.action, change.changed) == ("updated", ("tolerance",))
    assert state(path.parent)["digits.npz"] == before["digits.npz"]
    assert update(path, tolerances=tolerances).action == "unchanged"
    assert update(path, tolerances={"net/logits:0": Tolerance(atol=math.inf)}).action == "updated"
    assert update(path, tolerances={"net/logits:0": Tolerance(atol=math.inf)}).action == "unchanged"


def test_an_output_that_is_no_longer_checked_is_dropped(path: Path) -> None:
    update(path, outputs={"net/logits:0": LOGITS, "aux:0": LOGITS})
    change = update(path)
    assert (change.action, change.changed) == ("updated", ("aux:0",))
    assert list(read_golden(path).outputs) == ["net/logits:0"]


def test_nan_in_a_golden_is_unchanged_when_it_is_the_same_nan(path: Path) -> None:
    outputs = {"net/logits:0": np.float32([math.nan, math.inf, 1])}
    update(path, outputs=outputs)
    assert update(path, outputs=outputs).action == "unchanged"
    assert "not_finite: 2" in path.with_suffix(".yaml").read_text(encoding="utf-8")


def test_new_writes_missing_files_and_leaves_others_alone(path: Path) -> None:
    assert update(path, mode="new").action == "created"
    before = state(path.parent)
    changes: list[dict[str, Any]] = [{"outputs": {"net/logits:0": LOGITS + 1}}, {"fingerprint": "beef"}]
    for change in changes:
        assert update(path, mode="new", **change).action == "unchanged"
    assert state(path.parent) == before


def test_new_adds_a_missing_output_to_goldens_that_still_hold(path: Path) -> None:
    update(path)
    change = update(path, mode="new", outputs={"net/logits:0": LOGITS, "aux:0": LOGITS})
    assert (change.action, change.changed) == ("updated", ("aux:0",))
    moved = {"net/logits:0": LOGITS + 1, "aux:0": LOGITS, "more:0": LOGITS}
    assert update(path, mode="new", outputs=moved).action == "unchanged"
    assert list(read_golden(path).outputs) == ["aux:0", "net/logits:0"]


def test_missing_goldens_name_the_command_that_writes_them(path: Path) -> None:
    with pytest.raises(GoldenError) as caught:
        read_golden(path)
    assert str(caught.value) == (
        f"The goldens {path} do not exist. Write them from the reference: pytest --tfparity-update"
    )
    assert not path.parent.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n", "is a Git LFS pointer"),
        (b"", "is empty"),
        (b"{}", "is not an npz file"),
    ],
)
def test_a_file_that_is_no_archive_is_named_and_never_replaced(
    path: Path, content: bytes, message: str
) -> None:
    update(path)
    path.write_bytes(content)
    for attempt in (read_golden, update):
        with pytest.raises(GoldenError, match=message) as caught:
            attempt(path)
        assert str(path) in str(caught.value)
    assert path.read_bytes() == content


def test_a_truncated_file_is_called_truncated(path: Path) -> None:
    update(path)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(GoldenError, match=r"digits\.npz is truncated.*delete both and write them again"):
        read_golden(path)


def test_an_archive_of_somebody_else_is_foreign(path: Path) -> None:
    path.parent.mkdir()
    np.savez(path, **{"image:0": IMAGE})
    with pytest.raises(GoldenError, match=r"has no digits\.yaml beside it"):
        read_golden(path)
    path.with_suffix(".yaml").write_text("models: {}\n", encoding="utf-8")
    with pytest.raises(
        GoldenError, match=r"is not a summary of goldens.*Give the goldens another name than digits\.npz"
    ):
        read_golden(path)


def test_a_compressed_archive_is_refused_before_it_is_unpacked(path: Path) -> None:
    update(path)
    np.savez_compressed(path, **{"image:0": np.zeros(10**7, np.float32)})
    with pytest.raises(GoldenError, match="is compressed, which goldens never are"):
        read_golden(path)


def test_equal_arrays_in_an_archive_of_somebody_else_are_refused(path: Path) -> None:
    update(path)
    np.savez(path, **{"image:0": IMAGE, "net/logits:0": LOGITS})
    with pytest.raises(GoldenError, match="is not the file that pytest-tfparity wrote"):
        read_golden(path)


def test_a_summary_without_its_archive_is_named(path: Path) -> None:
    update(path)
    path.unlink()
    with pytest.raises(GoldenError, match=r"do not exist, but digits\.yaml is there\. Restore both"):
        update(path)


def test_an_archive_of_another_commit_names_the_tensor(path: Path) -> None:
    update(path)
    before = path.read_bytes()
    update(path, outputs={"net/logits:0": LOGITS + 1})
    path.write_bytes(before)
    with pytest.raises(GoldenError, match="do not belong together: the hash of net/logits:0 is another"):
        read_golden(path)


def test_files_that_hold_different_tensors_name_them(path: Path) -> None:
    other = path.with_name("other.npz")
    update(path)
    update(other, outputs={"aux:0": LOGITS})
    shutil.copy(other, path)
    with pytest.raises(GoldenError, match=r"net/logits:0 is in digits\.yaml and not in digits\.npz"):
        read_golden(path)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (("format: 1", "format: 2"), "has format 2; this version reads format 1"),
        (("inputs:", "inputs: ["), "is damaged"),
        (("outputs:", "<<<<<<< HEAD\noutputs:"), "unresolved merge"),
        (("  cpu:", "  - cpu:"), "is damaged"),
        (("environment:", "else:"), "is damaged"),
    ],
)
def test_a_damaged_summary_is_named(path: Path, edit: tuple[str, str], message: str) -> None:
    update(path)
    beside = path.with_suffix(".yaml")
    beside.write_text(beside.read_text(encoding="utf-8").replace(*edit), encoding="utf-8")
    with pytest.raises(GoldenError, match=message) as caught:
        read_golden(path)
    assert str(caught.value).startswith(str(beside))


def test_a_summary_that_is_no_text_is_damaged(path: Path) -> None:
    update(path)
    path.with_suffix(".yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(GoldenError, match="not UTF-8"):
        read_golden(path)


def test_goldens_are_npz_files(path: Path) -> None:
    with pytest.raises(GoldenError, match=r"must end in \.npz"):
        update(path.with_suffix(".yaml"))


def test_a_tensor_that_cannot_be_stored_is_named_and_nothing_is_written(path: Path) -> None:
    with pytest.raises(GoldenError, match=r"cannot hold aux:0: the tensor holds a Python dict"):
        update(path, outputs={"aux:0": np.array([{}], object)})
    with pytest.raises(GoldenError, match="has a #"):
        update(path, outputs={"a#b:0": LOGITS})
    with pytest.raises(GoldenError, match="image:0 is an input and an output, with other values"):
        update(path, outputs={"image:0": LOGITS})
    assert not path.exists()


def test_a_manifest_is_never_taken_for_a_summary(tmp_path: Path) -> None:
    manifest = tmp_path / "tfparity.yaml"
    manifest.write_text("models: {}\n", encoding="utf-8")
    for attempt in (read_golden, update):
        with pytest.raises(GoldenError, match=r"Give the goldens another name than tfparity\.npz"):
            attempt(manifest.with_suffix(".npz"))
    assert manifest.read_text(encoding="utf-8") == "models: {}\n"
    assert os.listdir(tmp_path) == ["tfparity.yaml"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.joinpath("goldens").write_bytes(b"")
    with pytest.raises(GoldenError, match=r"digits\.npz cannot be written: .*goldens"):
        update(tmp_path / "goldens" / "digits.npz")
    tmp_path.joinpath("folder.npz").mkdir()
    update(tmp_path / "other.npz")
    shutil.copy(tmp_path / "other.yaml", tmp_path / "folder.yaml")
    with pytest.raises(GoldenError, match=r"folder\.npz cannot be read"):
        read_golden(tmp_path / "folder.npz")


def test_a_lone_number_or_string_is_a_tensor(path: Path) -> None:
    outputs = {"loss:0": np.float32(2.5), "label:0": b"cat\0"}
    update(path, outputs=outputs)
    assert read_golden(path).outputs["label:0"].item() == b"cat\0"
    assert update(path, outputs=outputs).action == "unchanged"
    assert update(path, outputs={**outputs, "label:0": b"cat"}).changed == ("label:0",)


def test_an_input_may_be_an_output(path: Path) -> None:
    update(path, outputs={"image:0": IMAGE})
    golden = read_golden(path)
    np.testing.assert_array_equal(golden.inputs["image:0"], golden.outputs["image:0"])


def test_stale_goldens_are_found_in_the_folders_of_used_ones(path: Path, tmp_path: Path) -> None:
    old, foreign = path.with_name("old.npz"), path.with_name("photos.npz")
    update(path)
    update(old)
    update(tmp_path / "elsewhere" / "other.npz")
    np.savez(foreign, a=IMAGE)
    assert stale_goldens([path]) == [old]
    assert stale_goldens([path, old]) == []
    assert stale_goldens([path.parent / ".." / "goldens" / "digits.npz"]) == [old]
    assert stale_goldens([]) == []
    assert prune_goldens([old, foreign]) == [old]
    assert sorted(os.listdir(path.parent)) == ["digits.npz", "digits.yaml", "photos.npz"]


def _compete(path: Path, worker: int, rounds: int, barrier: Any) -> None:
    barrier.wait()
    for step in range(rounds):
        update(path, outputs={"net/logits:0": LOGITS + np.float32(worker * rounds + step)})
        read_golden(path)


def test_processes_that_write_one_golden_wait_for_each_other(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(3)
    processes = [context.Process(target=_compete, args=(path, worker, 15, barrier)) for worker in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    change = read_golden(path).outputs["net/logits:0"] - LOGITS
    assert len(set(change.reshape(-1).tolist())) == 1
    assert sorted(os.listdir(path.parent)) == ["digits.npz", "digits.yaml"]


def test_a_writer_that_is_killed_leaves_the_lock_free(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_die_inside_the_lock, args=(path,))
    process.start()
    process.join(60)
    assert process.exitcode == 9
    assert update(path).action == "created"


def _die_inside_the_lock(path: Path) -> None:
    with store.locked(path):
        os._exit(9)


def test_the_environment_names_versions_without_importing_tensorflow() -> None:
    facts = environment()
    assert facts["numpy"] == np.__version__
    assert facts["python"].startswith("3.")
    assert {"tensorflow", "machine"} <= facts.keys()
    assert all(isinstance(fact, str) for fact in facts.values())


def test_equal_tensors_make_equal_bytes_on_every_platform() -> None:
    tensors = {
        "a/b:0": np.arange(6, dtype=">f4").reshape(2, 3).T,
        "text:0": np.array([[b"a\0", b""], ["é", b"x"]], object),
        "half:0": np.arange(4).astype(ml_dtypes.bfloat16),
        "quantised:0": np.array([(1,), (2,)], np.dtype([("qint8", np.int8)])),
        "empty:0": np.zeros((0, 3), bool),
        "scalar:0": np.array(3.0),
    }
    assert hashlib.sha256(write_archive(tensors)).hexdigest() == (
        "6ddefeabda37053e18b0124c83603e316ce9629246010bb20d95078d0c891d81"
    )
    assert write_archive(dict(reversed(tensors.items()))) == write_archive(tensors)
    native = {**tensors, "a/b:0": np.arange(6, dtype=np.float32).reshape(2, 3).T.copy()}
    assert write_archive(native) == write_archive(tensors)


DTYPES = st.sampled_from(
    [
        *("?", "i1", "u1", "<i2", ">u2", "<i4", ">i8", "u8", "f2", ">f4", "f4", "f8", "c8", "c16"),
        *(ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2, ml_dtypes.int4),
    ]
)
SHAPES = stnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)


@st.composite
def tensors(draw: st.DrawFn) -> Any:
    shape = draw(SHAPES)
    size = math.prod(shape)
    if draw(st.integers(0, 4)) == 0:
        values = np.empty(size, object)
        values[:] = draw(st.lists(st.binary(max_size=6), min_size=size, max_size=size))
        return values.reshape(shape)
    dtype = np.dtype(draw(DTYPES))
    width = size * dtype.itemsize
    raw = np.frombuffer(draw(st.binary(min_size=width, max_size=width)), np.uint8)
    if dtype.kind == "b":
        raw = raw & 1
    if dtype == ml_dtypes.int4:
        raw = raw & 7
    return raw.view(dtype).reshape(shape) if size else np.zeros(shape, dtype)


def bits(array: Any) -> Any:
    if array.dtype == object:
        return array.tolist()
    return (array.shape, array.dtype.newbyteorder("<"), array.astype(array.dtype.newbyteorder("<")).tobytes())


NAMES = st.from_regex(r"[A-Za-z0-9.][A-Za-z0-9_./>-]{0,8}:[0-9]", fullmatch=True)


@settings(deadline=None)
@given(st.dictionaries(NAMES, tensors(), max_size=4))
def test_any_tensors_come_back_bit_for_bit(arrays: Mapping[str, Any]) -> None:
    data = write_archive(arrays)
    back = read_archive(data)
    assert {name: bits(array) for name, array in back.items()} == {
        name: bits(array) for name, array in arrays.items()
    }
    assert write_archive(back) == data
    assert not any(array.flags.writeable for array in back.values())


@given(st.data())
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_damage_to_a_file_is_accepted(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    path = tmp_path_factory.mktemp("goldens") / "g.npz"
    update(path, outputs={"net/logits:0": LOGITS, "text:0": np.array([b"one", b"\0"], object)})
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    with pytest.raises(GoldenError, match=r"g\.npz"):
        read_golden(path)


@settings(deadline=None)
@given(st.binary(max_size=40), st.integers(0, 900), st.integers(0, 40))
def test_an_archive_with_anything_inside_is_read_or_refused(junk: bytes, place: int, length: int) -> None:
    content = write_archive({"a:0": IMAGE, "s:0": np.array([b"x", b"yy"], object)})
    content = content[:place] + junk + content[place + length :]
    with contextlib.suppress(ArchiveProblem):
        assert all(isinstance(array, np.ndarray) for array in read_archive(content).values())


@given(st.binary(max_size=20), st.integers(0, 1200), st.integers(0, 20))
@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_summary_with_anything_inside_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, place: int, length: int
) -> None:
    path = tmp_path_factory.mktemp("goldens") / "g.npz"
    update(path)
    beside = path.with_suffix(".yaml")
    content = beside.read_bytes()
    beside.write_bytes(content[:place] + junk + content[place + length :])
    with contextlib.suppress(GoldenError):
        np.testing.assert_array_equal(read_golden(path).outputs["net/logits:0"], LOGITS)
