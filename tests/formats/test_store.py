"""Models are loaded once and shared, whatever their format."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from graphs import networks
from pytest_tfparity.formats.checkpoint import CheckpointFormat
from pytest_tfparity.formats.format import SideSpec
from pytest_tfparity.formats.store import ModelStore

pytest.importorskip("tensorflow")


def checkpoint(path: Path, **stated: Any) -> SideSpec:
    return SideSpec(format="checkpoint", path=path, **stated)


def frozen(network: networks.Network, **stated: Any) -> SideSpec:
    return SideSpec(format="frozen_graph", path=network.frozen_graph, **stated)


def test_equal_specs_share_one_model(tmp_path: Path) -> None:
    network = networks.small_network(tmp_path)
    store = ModelStore()
    export = store.open(frozen(network), tmp_path)
    reference = store.open(checkpoint(network.checkpoint), tmp_path)
    assert store.open(frozen(network), tmp_path) is export
    assert store.open(checkpoint(network.checkpoint, optional=True), tmp_path) is reference
    assert store.open(checkpoint(network.checkpoint, options={"ema": "none"}), tmp_path) is not reference
    feeds = [store.open(frozen(network, feeds={"x": x}), tmp_path) for x in (1, True, 1.0)]
    assert len({id(model) for model in (export, *feeds)}) == 4
    store.close()


def test_a_file_that_was_written_again_is_loaded_again(tmp_path: Path) -> None:
    network = networks.small_network(tmp_path)
    store = ModelStore()
    export = store.open(frozen(network), tmp_path)
    export.run({"image": network.images}, ["logits"])
    status = network.frozen_graph.stat()
    os.utime(network.frozen_graph, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))
    assert store.open(frozen(network), tmp_path) is not export
    store.close()


def test_closing_the_store_closes_sessions(tmp_path: Path) -> None:
    network = networks.small_network(tmp_path)
    store = ModelStore()
    session = store.open(checkpoint(network.checkpoint), tmp_path).session(["logits"])
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
        exports.append(store.open(frozen(network), tmp_path))
        reference = store.open(checkpoint(network.checkpoint), network.folder)
        answers.append(exports[-1].run({"image": network.images}, ["logits"])["logits"])
        reference.run({"image": network.images}, ["logits"])
    assert [export.open_bytes > 0 for export in exports] == [False, False, False, True]
    again = exports[0].run({"image": made[0].images}, ["logits"])["logits"]
    assert (again == answers[0]).all()
    store.close()


def test_of_many_models_those_that_were_not_asked_for_lately_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_tfparity.formats.store.MOST_MODELS", 4)
    store = ModelStore()
    made = [networks.small_network(tmp_path / str(index), seed=index) for index in range(4)]
    first = store.open(frozen(made[0]), tmp_path)
    forgotten = store.open(checkpoint(made[1].checkpoint), tmp_path)
    value = forgotten.variables()["block/conv/kernel"]
    for network in made[1:]:
        assert store.open(frozen(made[0]), tmp_path) is first
        store.open(frozen(network), tmp_path)
    again = store.open(checkpoint(made[1].checkpoint), tmp_path)
    assert again is not forgotten
    assert (again.variables()["block/conv/kernel"] == value).all()
    assert (forgotten.variables()["block/conv/kernel"] == value).all()
    store.close()


def test_a_reference_is_at_hand_if_its_index_is(tmp_path: Path) -> None:
    network = networks.small_network(tmp_path)
    form = CheckpointFormat()
    assert form.at_hand(checkpoint(network.checkpoint))
    assert form.at_hand(checkpoint(tmp_path))
    assert not form.at_hand(checkpoint(tmp_path / "gone"))
