"""A changed export is run and written from memory."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from graphs import networks
from pytest_tfparity.errors import ModelError
from pytest_tfparity.formats.checkpoint import Checkpoint
from pytest_tfparity.formats.frozen_graph import FrozenGraph
from pytest_tfparity.formats.model import HasGraph, HasWeights, Repairable, Rewritten
from pytest_tfparity.graph.graph import Graph, Node, Tensor, tensor_name
from pytest_tfparity.graph.proof.proof import Side

tf = pytest.importorskip("tensorflow")


@pytest.fixture
def network(tmp_path: Path) -> networks.Network:
    return networks.small_network(tmp_path)


def doubled(model: FrozenGraph) -> Side:
    """The graph of ``model`` with the kernel of its last layer doubled, and an output by another name."""
    nodes = dict(model.graph.nodes)
    kernel = nodes["fc/kernel"]
    value = kernel.attrs["value"]
    assert isinstance(value, Tensor)
    twice = Tensor(value.dtype, value.shape, lambda: value.array * 2)
    nodes["fc/kernel"] = Node(
        kernel.name, kernel.op, kernel.inputs, kernel.controls, {**kernel.attrs, "value": twice}
    )
    nodes["repaired"] = Node("repaired", "Neg", (tensor_name("logits"),), (), {"T": value.dtype})
    graph = Graph(nodes, model.graph.functions, model.graph.producer)
    return Side(graph=graph, outputs=(tensor_name("repaired"),), inputs=(tensor_name("image"),))


def expected(network: networks.Network, model: FrozenGraph) -> np.ndarray:
    bias = next(name for name in model.graph.nodes if name == "fc/bias")
    logits, offset = model.run({"image": network.images}, ["logits:0", bias]).values()
    return np.asarray(-(2 * (logits - offset) + offset))


def test_a_changed_graph_is_run_without_a_file(
    network: networks.Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = FrozenGraph(network.frozen_graph)
    wanted = expected(network, model)

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a file is written")

    monkeypatch.setattr(tempfile, "TemporaryDirectory", refuse)
    monkeypatch.setattr(Path, "write_bytes", refuse)
    repaired = model.rewritten(doubled(model), model)
    answer = repaired.run({"image": network.images}, ["repaired:0"])["repaired:0"]
    np.testing.assert_allclose(answer, wanted, atol=1e-6)
    repaired.close()
    model.close()


def test_what_is_written_computes_the_same_under_the_outputs_own_names(
    network: networks.Network, tmp_path: Path
) -> None:
    model = FrozenGraph(network.frozen_graph)
    repaired = model.rewritten(doubled(model), model, (tensor_name("logits"),))
    repaired.write(tmp_path / "repaired.pb")
    again = FrozenGraph(tmp_path / "repaired.pb")
    answers = [each.run({"image": network.images}, ["logits"])["logits"] for each in (repaired, again)]
    np.testing.assert_array_equal(*answers)
    np.testing.assert_allclose(answers[0], expected(network, model), atol=1e-6)
    for each in (model, repaired, again):
        each.close()


def test_constant_feeds_of_a_changed_graph_are_fed(network: networks.Network) -> None:
    model = FrozenGraph(network.frozen_graph)
    side = replace(doubled(model), feeds={tensor_name("image"): network.images}, inputs=())
    repaired = model.rewritten(side, model)
    assert repaired.run({}, ["repaired:0"])["repaired:0"].shape == (4, 4)
    repaired.close()
    model.close()


def test_a_variable_in_a_changed_graph_is_refused_by_name(network: networks.Network) -> None:
    model, checkpoint = FrozenGraph(network.frozen_graph), Checkpoint(network.checkpoint, network.folder)
    side = Side(graph=checkpoint.graph, outputs=(tensor_name("logits"),), inputs=(tensor_name("image"),))
    repaired = model.rewritten(side, checkpoint)
    with pytest.raises(ModelError, match=r"model.pb \(repaired\) is not frozen: .* are left in it"):
        repaired.run({"image": network.images}, ["logits"])
    model.close()
    checkpoint.close()


def test_capabilities_are_asked_for_without_reading_a_file(tmp_path: Path) -> None:
    gone = FrozenGraph(tmp_path / "gone.pb"), Checkpoint(tmp_path / "gone", tmp_path)
    assert [isinstance(each, HasGraph) for each in gone] == [True, True]
    assert [isinstance(each, HasWeights) for each in gone] == [False, True]
    assert [isinstance(each, Repairable) for each in gone] == [True, False]
    assert not any(isinstance(each, Rewritten) for each in gone)
    assert [each.graph_noun for each in gone] == ["frozen graph", "checkpoint's graph"]
