"""Models are loaded once and shared; images are decoded; TensorFlow may be missing."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from graphs import networks
from pytest_tfparity.errors import InputError, TensorFlowMissing
from pytest_tfparity.formats.store import ModelStore
from pytest_tfparity.runtime import tensorflow as guard
from pytest_tfparity.runtime.images import decode_images
from pytest_tfparity.settings.resolve import ExportSpec, ReferenceSpec

tf = pytest.importorskip("tensorflow")


def test_equal_specs_share_one_model(tmp_path: Path) -> None:
    network = networks.small_network(tmp_path)
    store = ModelStore()
    export = store.export(ExportSpec(frozen_graph=network.frozen_graph))
    reference = store.reference(ReferenceSpec(checkpoint=network.checkpoint), tmp_path)
    assert store.export(ExportSpec(frozen_graph=network.frozen_graph)) is export
    assert store.reference(ReferenceSpec(checkpoint=network.checkpoint, optional=True), tmp_path) is reference
    assert (
        store.reference(ReferenceSpec(checkpoint=network.checkpoint, ema="none"), tmp_path) is not reference
    )
    feeds = [
        store.export(ExportSpec(frozen_graph=network.frozen_graph, feeds={"x": x})) for x in (1, True, 1.0)
    ]
    assert len({id(model) for model in (export, *feeds)}) == 4
    store.close()


def test_a_file_that_was_written_again_is_loaded_again(tmp_path: Path) -> None:
    network = networks.small_network(tmp_path)
    store = ModelStore()
    export = store.export(ExportSpec(frozen_graph=network.frozen_graph))
    export.run({"image": network.images}, ["logits"])
    status = network.frozen_graph.stat()
    os.utime(network.frozen_graph, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))
    assert store.export(ExportSpec(frozen_graph=network.frozen_graph)) is not export
    store.close()


def test_closing_the_store_closes_sessions(tmp_path: Path) -> None:
    network = networks.small_network(tmp_path)
    store = ModelStore()
    session = store.reference(ReferenceSpec(checkpoint=network.checkpoint), tmp_path).session(["logits"])
    store.close()
    with pytest.raises(RuntimeError, match="closed Session"):
        session.run("logits:0")


def test_models_that_were_not_asked_for_lately_give_up_their_sessions_when_room_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_tfparity.formats.store.OPEN_BYTES", 1)
    store = ModelStore()
    made = [networks.small_network(tmp_path / str(index), seed=index) for index in range(4)]
    exports, answers = [], []
    for network in made:
        exports.append(store.export(ExportSpec(frozen_graph=network.frozen_graph)))
        reference = store.reference(ReferenceSpec(checkpoint=network.checkpoint), network.folder)
        answers.append(exports[-1].run({"image": network.images}, ["logits"])["logits"])
        reference.run({"image": network.images}, ["logits"])
    assert [export.open_bytes > 0 for export in exports] == [False, False, False, True]
    again = exports[0].run({"image": made[0].images}, ["logits"])["logits"]
    np.testing.assert_array_equal(again, answers[0])
    store.close()


def test_a_reference_is_at_hand_if_its_index_is(tmp_path: Path) -> None:
    network = networks.small_network(tmp_path)
    store = ModelStore()
    assert store.at_hand(ReferenceSpec(checkpoint=network.checkpoint))
    assert store.at_hand(ReferenceSpec(checkpoint=tmp_path))
    assert not store.at_hand(ReferenceSpec(checkpoint=tmp_path / "gone"))


def test_images_are_decoded_and_stacked(tmp_path: Path) -> None:
    pixels = np.arange(2 * 4 * 3 * 3, dtype=np.uint8).reshape(2, 4, 3, 3)
    paths = [tmp_path / "one.png", tmp_path / "two.bmp"]
    paths[0].write_bytes(tf.io.encode_png(pixels[0]).numpy())
    paths[1].write_bytes(tf.io.encode_png(pixels[1]).numpy())
    decoded = decode_images(paths, 3)
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, pixels)
    assert decode_images(paths, 1).shape == (2, 4, 3, 1)


def test_images_that_cannot_be_stacked_or_read_are_named(tmp_path: Path) -> None:
    small, wide, text = tmp_path / "small.png", tmp_path / "wide.png", tmp_path / "text.png"
    small.write_bytes(tf.io.encode_png(np.zeros((2, 3, 3), np.uint8)).numpy())
    wide.write_bytes(tf.io.encode_png(np.zeros((2, 5, 3), np.uint8)).numpy())
    text.write_text("no image")
    with pytest.raises(InputError, match=r"wide.png is 5 x 2 and .*small.png is 3 x 2"):
        decode_images([small, wide], 3)
    with pytest.raises(InputError, match=r"text.png is no image that TensorFlow can decode"):
        decode_images([text], 3)
    with pytest.raises(InputError, match=r"gone.png cannot be read: No such file"):
        decode_images([tmp_path / "gone.png"], 3)


@pytest.fixture
def without_tensorflow(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A process in which TensorFlow was not imported yet."""
    guard.tensorflow.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "tensorflow"]:
        monkeypatch.delitem(sys.modules, name)
    return monkeypatch


def test_missing_tensorflow_is_told_with_the_command_that_installs_it(
    without_tensorflow: pytest.MonkeyPatch,
) -> None:
    without_tensorflow.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(TensorFlowMissing, match=r'python -m pip install "pytest-tfparity\[tensorflow\]"'):
        guard.tensorflow()


def test_a_broken_tensorflow_is_told_apart_from_a_missing_one(
    without_tensorflow: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow" / "__init__.py").write_text("raise ImportError('libcudart.so.9: cannot open')")
    without_tensorflow.syspath_prepend(str(tmp_path))
    with pytest.raises(
        TensorFlowMissing, match=r"cannot be imported: ImportError: libcudart.so.9: cannot open"
    ):
        guard.tensorflow()
