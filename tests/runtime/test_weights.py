"""Large constants are held in variables of a session, not by its graph, and answer the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphs import networks
from pytest_tfparity.check import pair
from pytest_tfparity.errors import ModelError
from pytest_tfparity.formats.format import SideSpec
from pytest_tfparity.formats.frozen_graph import FrozenGraph
from pytest_tfparity.formats.store import ModelStore
from pytest_tfparity.graph.edit.pruning import prune
from pytest_tfparity.graph.edit.writer import fill_bare
from pytest_tfparity.graph.graph import TensorName
from pytest_tfparity.runtime import protobuf
from pytest_tfparity.runtime.importing import import_part
from pytest_tfparity.runtime.session import SessionKind
from pytest_tfparity.settings.spec import ParitySpec

tf = pytest.importorskip("tensorflow")
v1 = tf.compat.v1
X = np.random.default_rng(0).normal(size=(12, 256)).astype(np.float32)


def dense(path: Path, batch: int | None = None, dtype: Any = tf.float32) -> FrozenGraph:
    """x @ W for a W of 65,536 elements, as a frozen graph."""
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [batch, 256], "x")
        weights = tf.constant(np.random.default_rng(1).normal(size=(256, 256)), dtype, name="W")
        y = tf.matmul(x, tf.cast(weights, tf.float32))
        tf.identity(y, "y")
    return FrozenGraph(networks.write_graph(graph.as_graph_def(), path))


def ops_of(model: FrozenGraph) -> set[str]:
    """The kinds of nodes named W in the graphs of the sessions that are open."""
    opened = model._sessions._open.values()
    return {each.imported.graph.get_operation_by_name("W").type for each in opened}


@pytest.mark.parametrize(
    ("kind", "held"), [("graph", "ReadVariableOp"), ("default", "Const")], ids=["as written", "optimised"]
)
def test_weights_are_held_in_variables_where_nothing_is_optimised(
    tmp_path: Path, kind: SessionKind, held: str
) -> None:
    model = dense(tmp_path / "dense.pb")
    for rows in (X, X[:1]):
        np.testing.assert_allclose(
            model.run({"x": rows}, ["y"], session=kind)["y"],
            rows @ model.run({}, ["W"])["W"],
            rtol=1e-4,
            atol=1e-4,
        )
    assert held in ops_of(model)
    model.close()


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64, tf.float16, tf.bfloat16, tf.int32])
def test_weights_in_variables_answer_bit_for_bit_what_constants_do(tmp_path: Path, dtype: Any) -> None:
    model = dense(tmp_path / "dense.pb", dtype=dtype)
    answer = model.run({"x": X}, ["y"])["y"]
    with model.session(["y"]) as session:
        np.testing.assert_array_equal(answer, session.run("y:0", {"x:0": X}))
    model.close()


def test_a_weight_that_is_asked_for_is_given(tmp_path: Path) -> None:
    model = dense(tmp_path / "dense.pb")
    found = model.run({"x": X}, ["W", "y"])
    np.testing.assert_allclose(found["y"], X @ found["W"], rtol=1e-4, atol=1e-4)
    model.close()


def test_a_graph_that_runs_slice_by_slice_takes_its_weights_once(tmp_path: Path) -> None:
    model = dense(tmp_path / "dense.pb", batch=1)
    answer = model.run({"x": X}, ["y"])["y"]
    assert ops_of(model) == {"ReadVariableOp"}
    np.testing.assert_allclose(answer, X @ model.run({}, ["W"])["W"], rtol=1e-4, atol=1e-4)
    model.close()


def test_constants_of_a_branch_stay_in_it(tmp_path: Path) -> None:
    with tf.Graph().as_default() as graph:
        v1.disable_control_flow_v2()
        phase = v1.placeholder(tf.bool, [], "phase")
        one, two = (np.full(40_000, value, np.float32) for value in (1, 2))
        y = v1.cond(phase, lambda: tf.constant(one) * 1.0, lambda: tf.constant(two) * 1.0)
        tf.identity(y, "y")
        v1.enable_control_flow_v2()
    path = networks.write_graph(graph.as_graph_def(), tmp_path / "cond.pb")
    model = FrozenGraph(path)
    for value, expected in ((True, 1.0), (False, 2.0)):
        answer = model.run({"phase": np.array(value)}, ["y"])["y"]
        assert set(answer) == {expected}
    model.close()


def test_shapes_are_not_made_of_variables(tmp_path: Path) -> None:
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [None], "x")
        indices = tf.constant(np.arange(40_000, dtype=np.int32), name="indices")
        tf.identity(tf.gather(x, indices), "y")
    path = networks.write_graph(graph.as_graph_def(), tmp_path / "gather.pb")
    model = FrozenGraph(path)
    part = prune(model.graph, [TensorName("y", 0)], {TensorName("x", 0)})
    imported = import_part(
        label="gather",
        graph=model.graph,
        graph_def=model.graph_def(),
        part=part,
        outputs=[TensorName("y", 0)],
        ranks={TensorName("x", 0): 1},
        hold_weights=True,
    )
    assert imported.weights == {}
    model.close()


def test_a_large_file_is_outlined_and_answers_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = dense(tmp_path / "dense.pb")
    answers = {kind: model.run({"x": X}, ["y"], session=kind)["y"] for kind in ("graph", "default")}
    monkeypatch.setattr(protobuf, "_OUTLINED", 0)
    outlined = FrozenGraph(model.path)
    assert len(outlined.outline().SerializeToString()) < 1000 < 256 * 256 * 4 < model.path.stat().st_size
    for kind, answer in answers.items():
        np.testing.assert_array_equal(outlined.run({"x": X}, ["y"], session=kind)["y"], answer)
    np.testing.assert_array_equal(outlined.session(["y"]).run("y:0", {"x:0": X}), answers["graph"])
    assert outlined.graph_def() == model.graph_def()
    model.close()
    outlined.close()


@given(
    shape=st.lists(st.integers(0, 30), max_size=3),
    spread=st.booleans(),
    dtype=st.sampled_from([np.float32, np.int64, np.float16, np.bool_]),
    device=st.text("ab/:0", max_size=3),
)
def test_what_an_outline_lacks_is_filled_in_from_the_plain_graph(
    shape: list[int], spread: bool, dtype: Any, device: str
) -> None:
    value = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    with tf.Graph().as_default() as graph:
        constant = tf.constant(value if spread else np.zeros(shape, dtype), name="W")
        tf.identity(constant, "y")
    whole = graph.as_graph_def()
    whole.node[0].device = device
    data = whole.SerializeToString()
    outline = v1.GraphDef.FromString(protobuf._without(memoryview(data), 0, len(data), protobuf._CONTENT))
    plain = protobuf.plain_graph(whole, "graph")
    for node in outline.node:
        fill_bare(node, plain.nodes[node.name])
    assert outline == whole


def test_what_is_no_graph_is_refused_although_it_is_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protobuf, "_OUTLINED", 0)
    path = tmp_path / "text.pb"
    path.write_bytes(b"\x0a\xff\xff\xff\xff\x07 cut off")
    with pytest.raises(ModelError, match="neither a binary nor a text GraphDef"):
        protobuf.parse_outline(path)


def test_a_model_too_large_to_stay_open_is_closed_when_it_has_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pair, "OPEN_BYTES", 1000)
    model = dense(tmp_path / "dense.pb")
    spec = ParitySpec(
        name="dense",
        root=tmp_path,
        reference=SideSpec(format="frozen_graph", path=model.path),
        export=SideSpec(format="frozen_graph", path=model.path),
    )
    opened = pair.open_pair(spec, ModelStore())
    export = opened.model("export")
    assert isinstance(export, FrozenGraph)
    held = export.session(["y"])
    answer = opened.answer("export", {"x:0": X})["y:0"]
    assert list(export._sessions._open.values()) == [
        each for each in export._sessions._open.values() if each.session is held
    ]
    np.testing.assert_array_equal(held.run("y:0", {"x:0": X}), answer)
    np.testing.assert_array_equal(opened.run("export", {"x:0": X})["y:0"], answer)
    assert len(export._sessions._open) == 2
    export.close()
