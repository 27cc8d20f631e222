"""``trust: checksums``: the same graph with the same checksums passes, is never called proven; nothing else passes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphs.networks import Network, stated_check
from pytest_tfparity.check.check import check
from pytest_tfparity.check.checksums import constants, passed_by_checksums
from pytest_tfparity.formats.indexed_checkpoint import KnownValues, NotKnown
from pytest_tfparity.formats.store import ModelStore
from pytest_tfparity.graph.graph import DType, Tensor
from pytest_tfparity.graph.read.bundle import Bundle, Entry, checksum_of
from pytest_tfparity.graph.read.graphdef import read_graph
from pytest_tfparity.result import ParityResult
from pytest_tfparity.settings.spec import ParitySpec


def stated(network: Network, **settings: object) -> ParitySpec:
    return stated_check(network.checkpoint, network.frozen_graph, trust="checksums", **settings)


def without_data(network: Network, folder: Path) -> Path:
    """A checkpoint of which only index and meta graph are there."""
    for suffix in (".index", ".meta"):
        source = network.checkpoint.with_name(network.checkpoint.name + suffix)
        (folder / f"net{suffix}").write_bytes(source.read_bytes())
    return folder / "net"


def test_equal_checksums_pass_without_the_data_and_are_no_proof(
    networks: Callable[..., Network], tmp_path: Path
) -> None:
    network = networks()
    spec = stated_check(without_data(network, tmp_path), network.frozen_graph, trust="checksums")
    result = check(spec, ModelStore())
    assert (result.verdict, result.outputs) == ("pass", ())
    assert result.unproven == "the weights were compared by their checksums (crc32c), not bit for bit"
    assert result.notes == (
        "Its weights were told by the checksums in its index (trust: checksums); its health was not looked at.",
    )
    assert check(stated(network), ModelStore()).verdict == "pass"
    assert check(replace(stated(network), trust="contents"), ModelStore()).verdict == "proven"


def test_a_changed_weight_is_seen_and_explained_by_all_of_the_checkpoint(
    networks: Callable[..., Network], tmp_path: Path
) -> None:
    network = networks()
    values = [value for value in constants(read_graph(network.frozen_graph)) if len(value.shape) > 1]
    kernel = max(values, key=lambda value: value.array.size).array
    data = network.frozen_graph.read_bytes()
    assert data.count(kernel.tobytes()) == 1
    changed = kernel.copy()
    changed.reshape(-1)[0] += 1
    export = tmp_path / "model.pb"
    export.write_bytes(data.replace(kernel.tobytes(), changed.tobytes()))
    images = tmp_path / "images.npz"
    np.savez(images, **{"image:0": network.images})
    spec = stated_check(
        network.checkpoint, export, trust="checksums", inputs={"image:0": {"npz": str(images)}}
    )
    result = check(spec, ModelStore())
    assert result.verdict == "fail"
    assert result.findings
    assert any("is no constant of the export, by its checksum" in note for note in result.notes)
    alone = check(
        replace(spec, reference=replace(spec.reference, path=without_data(network, tmp_path))), ModelStore()
    )
    assert alone.verdict == "error"
    assert "lacks 1 of 1 data files" in str(alone.error)


@pytest.mark.parametrize("setting", [{"run": "always"}, {"health": "error"}, {"compare": "weights"}])
def test_what_needs_more_than_weights_reads_them(
    networks: Callable[..., Network], setting: dict[str, str]
) -> None:
    network = networks()
    spec = stated(network, inputs={"image:0": {"random": {"shape": list(network.images.shape)}}}, **setting)
    draft = ParityResult(nodeid="", model="net", verdict="error")
    (note,) = passed_by_checksums(spec, ModelStore(), draft).notes
    assert note.startswith(
        "The checksums do not decide: this check needs more than what the weights are. The whole"
    )


def tensor(array: np.ndarray, number: int = 1) -> Tensor:
    return Tensor(DType(number), array.shape, lambda: array)


def test_a_value_is_told_by_type_shape_and_checksum() -> None:
    first = np.arange(4, dtype=np.float32)
    entry = Entry(dtype=DType(1), shape=(4,), checksum=checksum_of(first))
    known = KnownValues([tensor(first), tensor(first.copy())])
    assert known.value("w", entry) is first
    changes = ({"shape": (2, 2)}, {"dtype": DType(3)}, {"checksum": entry.checksum ^ 1})
    for wrong in (replace(entry, **change) for change in changes):
        with pytest.raises(NotKnown, match="w of the checkpoint is no constant of the export"):
            known.value("w", wrong)


def test_two_contents_of_one_checksum_are_none() -> None:
    seen: dict[int, np.ndarray] = {}
    for pair in np.random.default_rng(0).integers(0, 2**31, (300_000, 2), dtype=np.int32):
        other = seen.setdefault(checksum_of(pair), pair)
        if other is not pair:  # 300,000 of 2**32: about ten such pairs
            break
    assert not np.array_equal(other, pair)
    entry = Entry(dtype=DType(3), shape=(2,), checksum=checksum_of(pair))
    assert KnownValues([tensor(pair, 3)]).value("w", entry) is pair
    with pytest.raises(NotKnown):
        KnownValues([tensor(pair, 3), tensor(other, 3)]).value("w", entry)


def test_the_checksum_is_that_of_the_index(networks: Callable[..., Network]) -> None:
    bundle = Bundle(networks().checkpoint)
    assert bundle.tensors
    for name, value in bundle.tensors.items():
        assert checksum_of(value.array) == bundle.entry(name).checksum


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(0, 99))
def test_the_checksum_does_not_depend_on_how_values_lie_in_memory(shape: list[int], seed: int) -> None:
    array = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    assert checksum_of(np.asfortranarray(array)) == checksum_of(array)
    assert checksum_of(array.repeat(2, axis=0)[::2]) == checksum_of(array)


@given(st.lists(st.binary(max_size=5), min_size=1, max_size=4))
def test_strings_have_checksums_too(values: list[bytes]) -> None:
    array = np.empty(len(values), object)
    array[:] = values
    assert checksum_of(array) == checksum_of(array.copy())
