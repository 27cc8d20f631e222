"""What TensorFlow's C library answers without the Python package, beside what the package answers."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphs.saved_models import write_module
from pytest_tfparity.errors import ModelError
from pytest_tfparity.formats.saved_signature import SavedModel
from pytest_tfparity.graph.graph import Array
from pytest_tfparity.runtime import RunWanted, c_library, nothing_runs
from pytest_tfparity.runtime.exact import run_exactly
from pytest_tfparity.runtime.protobuf import plain_graph
from pytest_tfparity.runtime.session import Sessions, Source
from pytest_tfparity.runtime.session_config import session_config
from soundness.networks import FAMILIES, network

tf = pytest.importorskip("tensorflow")
v1 = tf.compat.v1

if c_library._loaded() is None:  # a build without the library, such as that of Windows
    pytest.skip("TensorFlow's C library is not there", allow_module_level=True)


@pytest.fixture
def unimported(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A process that seems to know nothing of the Python package."""
    monkeypatch.delitem(sys.modules, "tensorflow")
    yield monkeypatch
    monkeypatch.undo()


def source(definition: Any) -> Source:
    return Source(
        label="model",
        graph=plain_graph(definition, "model"),
        graph_def=lambda: definition,
        constants={},
        check=lambda part: None,
        restore=lambda session, part: None,
    )


def answer(definition: Any, feeds: Mapping[str, Array], kind: Any = "graph") -> tuple[Array, bool]:
    """The output y, and whether the C library gave it."""
    sessions = Sessions(source(definition))
    try:
        found = sessions.run(feeds, ["y:0"], kind)["y:0"]
        return found, not sessions._open
    finally:
        sessions.close()


def served(folder: Path) -> Path:
    weights = {"w": np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)}
    return write_module(
        folder, lambda module, x: {"y": tf.nn.softmax(x @ module.w)}, weights, {"x": [None, 4]}
    )


ROWS = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)


def test_sessions_are_configured_as_they_say() -> None:
    plain, unoptimised = session_config("default"), session_config("graph")
    for config in (plain, unoptimised):
        assert config.allow_soft_placement
        assert config.gpu_options.allow_growth
    assert not plain.HasField("graph_options")
    assert unoptimised.graph_options.optimizer_options.opt_level == -1
    assert unoptimised.graph_options.rewrite_options.disable_meta_optimizer


def test_networks_of_constants_answer_the_same_bits(unimported: pytest.MonkeyPatch) -> None:
    counted = 0
    for family in FAMILIES:
        for seed in (1, 3):
            model = network(family, seed)
            x = next(node for node in model.definition.node if node.name == "x")
            dims = [dim.size if dim.size > 0 else 3 for dim in x.attr["shape"].shape.dim]
            dtype = tf.as_dtype(x.attr["dtype"].type).as_numpy_dtype
            feeds = {"x:0": np.random.default_rng(seed).uniform(0, 3, dims).astype(dtype)}
            found, by_library = answer(model.definition, feeds)
            with pytest.MonkeyPatch.context() as imported:
                imported.setitem(sys.modules, "tensorflow", tf)
                due, without = answer(model.definition, feeds)
            assert not without
            assert found.dtype == due.dtype
            np.testing.assert_array_equal(found, due, err_msg=f"{family} {seed}")
            counted += by_library
    assert counted >= len(FAMILIES) // 2


@pytest.mark.parametrize("kind", ["graph", "default"])
def test_a_saved_model_answers_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    folder = served(tmp_path / "model")
    model, inputs = SavedModel(folder), {"x": ROWS}
    due = model.run(inputs, ["y:0"], session=kind)["y:0"]
    assert model._server._in_c == {}
    model.close()
    monkeypatch.delitem(sys.modules, "tensorflow")
    if kind == "graph":
        np.testing.assert_array_equal(model.run_as_read(inputs, ["y:0"])["y:0"], due)
        assert model._server._in_c == {}  # a graph of constants is not loaded
    np.testing.assert_array_equal(model.run(inputs, ["y:0"], session=kind)["y:0"], due)
    assert list(model._server._in_c) == [kind]
    assert model._server._sessions == {}
    model.close()


def test_a_saved_model_with_a_function_is_loaded_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def count(module: Any, x: Any) -> dict[str, Any]:
        steps = tf.cast(tf.reduce_max(x), tf.int32)
        return {"y": tf.while_loop(lambda i, y: i < steps, lambda i, y: (i + 1, y * module.w), (0, x))[1]}

    folder = write_module(tmp_path / "model", count, {"w": np.float32(3)}, {"x": [None]})
    model, inputs = SavedModel(folder), {"x": np.array([1, 2], np.float32)}
    monkeypatch.delitem(sys.modules, "tensorflow")
    assert model.run_as_read(inputs, ["y:0"])["y:0"].tolist() == [9, 18]
    assert list(model._server._in_c) == ["graph"]
    model.close()


def test_the_exact_answer_is_the_same(unimported: pytest.MonkeyPatch) -> None:
    model = network("dense", 1)
    feeds = {"x:0": np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)}
    found = run_exactly(source(model.definition), feeds, ["y:0"])
    assert found.outputs["y:0"].dtype == np.float64
    unimported.undo()
    due = run_exactly(source(model.definition), feeds, ["y:0"])
    np.testing.assert_array_equal(found.outputs["y:0"], due.outputs["y:0"])


def test_the_package_can_be_imported_beside_it(tmp_path: Path, pytester: pytest.Pytester) -> None:
    folder = served(tmp_path / "model")
    code = (
        "import sys, numpy; from pathlib import Path; from pytest_tfparity.formats.saved_signature import SavedModel\n"
        f"x = numpy.array({ROWS.tolist()}, numpy.float32)\n"
        f"found = SavedModel(Path({str(folder)!r})).run({{'x': x}}, ['y:0'])\n"
        "assert 'tensorflow' not in sys.modules\n"
        "import tensorflow\n"
        f"again = SavedModel(Path({str(folder)!r})).run({{'x': x}}, ['y:0'])\n"
        "assert numpy.array_equal(found['y:0'], again['y:0'])\n"
        "assert tensorflow.constant(1) + 1 == 2\n"
    )
    assert pytester.run(sys.executable, "-c", code).ret == 0


def test_what_the_library_refuses_the_package_explains(unimported: pytest.MonkeyPatch) -> None:
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [None, 4], "x")
        tf.reshape(x, [-1, 3], name="y")
    with pytest.raises(ModelError, match=r"cannot be run: TensorFlow stops at y \(Reshape\)"):
        answer(graph.as_graph_def(), {"x:0": np.zeros((1, 4), np.float32)})


def test_strings_are_left_to_the_package(unimported: pytest.MonkeyPatch) -> None:
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.string, [None], "x")
        tf.strings.length(x, name="y")
    found, by_library = answer(graph.as_graph_def(), {"x:0": np.array([b"a", b"bcd"], object)})
    assert found.tolist() == [1, 3]
    assert not by_library


def test_variables_and_functions_are_left_to_the_package(unimported: pytest.MonkeyPatch) -> None:
    square = tf.function(lambda value: value * value)
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [None], "x")
        tf.identity(square(x), name="y")
    found, by_library = answer(graph.as_graph_def(), {"x:0": np.array([1, 3], np.float32)})
    assert found.tolist() == [1, 9]
    assert not by_library


def test_where_the_package_is_imported_it_is_asked() -> None:
    assert c_library.c_library() is None


def test_nothing_is_loaded_where_nothing_may_run(unimported: pytest.MonkeyPatch) -> None:
    with nothing_runs(), pytest.raises(RunWanted):
        c_library.c_library()


@pytest.mark.parametrize("there", ["a library that is none", "plugins of further devices", "nothing"])
def test_without_the_library_the_package_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: str
) -> None:
    package = tmp_path / "tensorflow"
    package.mkdir()
    (package / "__init__.py").touch()
    if there != "nothing":
        (package / "libtensorflow_cc.so.2").write_bytes(b"no library")
        (package / "libtensorflow_cc.2.dylib").write_bytes(b"no library")
    if there == "plugins of further devices":
        (tmp_path / "tensorflow-plugins").mkdir()
        monkeypatch.setattr("ctypes.CDLL", lambda name: pytest.fail("it is loaded"))
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name == "tensorflow"]:
        monkeypatch.delitem(sys.modules, name)
    c_library._loaded.cache_clear()
    try:
        assert c_library.c_library() is None
    finally:
        c_library._loaded.cache_clear()
