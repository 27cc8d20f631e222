"""SavedModels as sides of a check: what is read of them, what is proven, what is run, what is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import Project
from graphs.networks import Network
from graphs.saved_models import checked, freeze, frozen_of, write_module, write_v1
from pytest_tfparity.__main__ import main
from pytest_tfparity.errors import FeedError, ModelError
from pytest_tfparity.formats.saved_signature import SavedModel

tf = pytest.importorskip("tensorflow")

KERNEL = np.float32([[1, 2], [3, 4], [5, 6]])
BIAS = np.float32([0.5, -0.5])
BOTH = [{"reference": "dense/scores:0", "export": "scores"}]
X = np.float32([[1, 0, 2], [0, 1, -1]])


def affine(module: Any, x: Any) -> dict[str, Any]:
    return {"scores": tf.matmul(x, module.kernel) + module.bias}


@pytest.fixture
def dense(tmp_path: Path) -> Path:
    """A layer of TensorFlow 2 with the signature ``x`` to ``scores``."""
    return write_module(tmp_path / "dense", affine, {"kernel": KERNEL, "bias": BIAS}, {"x": [None, 3]})


def dense_v1(v1: Any) -> dict[str, Any]:
    x = v1.placeholder(tf.float32, [None, 3], "images")
    kernel = v1.get_variable("dense/kernel", initializer=KERNEL, use_resource=True)
    bias = v1.get_variable("dense/bias", initializer=BIAS, use_resource=False)
    y = tf.nn.bias_add(tf.matmul(x, kernel), bias, name="dense/scores")
    return {"inputs": {"x": x}, "outputs": {"scores": y}}


def test_a_signature_is_a_plain_graph_under_the_names_that_servers_use(dense: Path) -> None:
    model = SavedModel(dense)
    assert model.outputs() == ["scores:0"]
    assert {name: str(spec) for name, spec in model.inputs(model.outputs()).items()} == {
        "x:0": "float32 [?,3]"
    }
    live = model.graph.live(model.outputs())
    assert "StatefulPartitionedCall" not in {node.op for node in live.values()}
    assert {name for name, node in live.items() if node.op == "VarHandleOp"} == {"kernel", "bias"}


@pytest.mark.parametrize("written", ["of TensorFlow 1", "of TensorFlow 2"])
def test_it_is_run_as_a_server_answers(dense: Path, tmp_path: Path, written: str) -> None:
    folder = dense if written == "of TensorFlow 2" else write_v1(tmp_path / "v1", dense_v1)
    model = SavedModel(folder)
    answer = model.run({"x": X}, ["scores"])["scores"]
    np.testing.assert_allclose(answer, X @ KERNEL + BIAS, rtol=1e-6)
    assert model.open_bytes > 0
    model.close()
    assert model.open_bytes == 0


def test_variables_are_matched_by_the_wiring_of_the_restore_not_by_their_names(tmp_path: Path) -> None:
    names = {"kernel": "bias", "bias": "kernel"}  # each is called what the other is
    folder = write_module(
        tmp_path / "crossed", affine, {"kernel": KERNEL, "bias": BIAS}, {"x": [None, 3]}, names=names
    )
    model = SavedModel(folder)
    assert {name: value.array.tolist() for name, value in model.tensors().items() if value.shape} == {
        "bias": KERNEL.tolist(),
        "kernel": BIAS.tolist(),
    }
    assert checked(**frozen_of(folder, tmp_path / "frozen.pb")).verdict == "proven"


def test_variables_of_one_name_are_told_apart_by_their_keys(tmp_path: Path) -> None:
    names = {"kernel": "Variable", "bias": "Variable"}
    folder = write_module(
        tmp_path / "same", affine, {"kernel": KERNEL, "bias": BIAS}, {"x": [None, 3]}, names=names
    )
    assert {name for name in SavedModel(folder).tensors() if "VARIABLE" in name} == {
        "kernel/.ATTRIBUTES/VARIABLE_VALUE",
        "bias/.ATTRIBUTES/VARIABLE_VALUE",
    }
    assert checked(**frozen_of(folder, tmp_path / "frozen.pb")).verdict == "proven"


def test_what_is_stored_twice_is_one_variable(tmp_path: Path) -> None:
    keras = tf.keras
    image = keras.Input((3,), name="image")
    net = keras.Model(image, keras.layers.Dense(2, name="top")(image))
    if not hasattr(net, "_inputs_struct"):
        pytest.skip("Keras 2 stores every variable once")
    net.export(tmp_path / "net", verbose=False)
    model = SavedModel(tmp_path / "net")
    assert model.bundle is not None
    kernels = [key for key, value in model.bundle.tensors.items() if value.shape == (3, 2)]
    assert len(kernels) == 2  # keras-team/keras issue 23553
    assert set(model.tensors()) == {"top/kernel", "top/bias"}
    assert model.variable_names() == ["top/bias", "top/kernel"]


def test_it_is_proven_against_its_frozen_graph_without_tensorflow(dense: Path, tmp_path: Path) -> None:
    (x,), (scores,) = freeze(dense, tmp_path / "dense.pb")
    command = ["check", str(dense), str(tmp_path / "dense.pb"), f"--output=scores={scores}", f"--input=x={x}"]
    script = (
        "import sys\nfrom pytest_tfparity.__main__ import main\n"
        f"assert main({command!r}) == 0\nassert 'tensorflow' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "a SavedModel of TensorFlow" in done.stdout
    assert "proven: the export computes what the SavedModel computes" in done.stdout


@pytest.mark.parametrize("export", ["saved_model", "v1"])
def test_a_checkpoint_is_proven_to_be_its_saved_model(
    networks: Callable[..., Network], tmp_path: Path, export: str
) -> None:
    del networks
    folder, prefix = write_checkpoint(tmp_path)
    other = write_module(tmp_path / "dense", affine, {"kernel": KERNEL, "bias": BIAS}, {"x": [None, 3]})
    result = checked(
        {"checkpoint": prefix},
        {"saved_model": folder if export == "v1" else other},
        inputs={"images:0": {"export": "x"}},
        outputs=BOTH,
    )
    # `x @ k + b` is an AddV2 in one and a BiasAdd in the other: of two spellings the numbers decide.
    assert result.verdict == ("proven" if export == "v1" else "pass")


def write_checkpoint(folder: Path, kernel: np.ndarray | None = None) -> tuple[Path, Path]:
    """The layer of TensorFlow 1 as a SavedModel, and the checkpoint that it was written from."""
    v1 = tf.compat.v1
    saved = write_v1(folder / "v1", dense_v1)
    with tf.Graph().as_default(), v1.Session() as session:
        dense_v1(v1)
        session.run(v1.global_variables_initializer())
        if kernel is not None:
            variable = next(each for each in v1.global_variables() if each.op.name == "dense/kernel")
            session.run(v1.assign(variable, kernel))
        v1.train.Saver().save(session, str(folder / "model.ckpt"))
    return saved, folder / "model.ckpt"


def test_another_weight_is_found_and_proven_by_its_repair(tmp_path: Path) -> None:
    changed = KERNEL.copy()
    changed[1, 1] = -4
    folder, prefix = write_checkpoint(tmp_path, changed)
    result = checked(
        {"checkpoint": prefix},
        {"saved_model": folder},
        inputs={"images:0": {"export": "x"}},
        outputs=BOTH,
    )
    (finding,) = result.findings
    assert result.verdict == "fail"
    assert finding.nodes == ("dense/kernel",)
    assert "parity returns" in " ".join(finding.evidence) or finding.certainty == "proven"


def test_weights_alone_are_compared_by_their_values(tmp_path: Path) -> None:
    changed = KERNEL.copy()
    changed[1, 1] = -4
    (tmp_path / "right").mkdir()
    (tmp_path / "wrong").mkdir()
    for name, kernel, verdict in (("right", KERNEL, "pass"), ("wrong", changed, "fail")):
        folder, prefix = write_checkpoint(tmp_path / name, kernel)
        result = checked({"checkpoint": prefix}, {"saved_model": folder}, compare="weights", outputs=BOTH)
        assert result.verdict == verdict
    assert any("dense/kernel" in note for note in result.notes)


def test_the_repaired_export_is_written_as_a_frozen_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = KERNEL.copy()
    changed[1, 1] = -4
    write_checkpoint(tmp_path, changed)
    monkeypatch.chdir(tmp_path)
    sides = ["check", "model.ckpt", "v1", "--output", "dense/scores=scores", "--input", "images=x"]
    assert main([*sides, "--write-repaired", "repaired.pb"]) == 1
    assert "Wrote repaired.pb" in capsys.readouterr().out
    assert main(["check", "model.ckpt", "repaired.pb", *sides[3:]]) == 0
    assert "proven" in capsys.readouterr().out


def test_the_command_line_says_what_it_took(
    dense: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(dense, tmp_path / "other")
    assert main(["check", "dense", "other"]) == 0
    version = tf.__version__
    assert (
        f"other: a SavedModel of TensorFlow {version}, signature serving_default\n" in capsys.readouterr().out
    )
    assert main(["init", "dense", "other"]) == 0
    text = Path("tfparity.yaml").read_text("utf-8")
    assert "saved_model: dense" in text
    assert "saved_model: other" in text


def test_each_side_of_a_command_line_has_its_own_signature(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = tf.Module()
    module.kernel = tf.Variable(KERNEL, name="kernel")
    spec = tf.TensorSpec([None, 3], tf.float32, name="x")
    scores = tf.function(lambda x: {"out": tf.matmul(x, module.kernel)}, input_signature=[spec])
    twice = tf.function(lambda x: {"out": tf.matmul(x, module.kernel) * 2.0}, input_signature=[spec])
    tf.saved_model.save(module, str(tmp_path / "one"), signatures={"scores": scores, "other": twice})
    tf.saved_model.save(module, str(tmp_path / "two"), signatures={"plain": scores, "other": twice})
    monkeypatch.chdir(tmp_path)
    assert main(["check", "one", "two", "--signature", "scores=plain"]) == 0
    said = capsys.readouterr().out
    assert "one: a SavedModel of" in said
    assert "signature scores of 2\n" in said
    assert "signature plain of 2\n" in said
    assert "two: proven" in said
    assert main(["check", "one", "two", "--signature", "other"]) == 0
    assert capsys.readouterr().out.count("signature other of 2\n") == 2
    assert main(["check", "one", "two", "--signature", "scores"]) == 2
    assert "two has no signature 'scores'. It has other, plain." in capsys.readouterr().err
    assert main(["init", "one", "two", "--signature", "scores=plain"]) == 0
    text = Path("tfparity.yaml").read_text("utf-8")
    assert "signature: scores" in text
    assert "signature: plain" in text


TESTS = """
from pytest_tfparity import assert_parity, parity

@parity("net")
def test_both(reference_model, export_model, golden_inputs):
    assert export_model.run(golden_inputs) == reference_model.run(golden_inputs)
    assert_parity(export_model, reference_model, golden_inputs)
    assert (export_model.inputs, export_model.outputs) == (("x:0",), ("scores:0",))
    assert sorted(reference_model.variables) == ["bias", "kernel"]
    assert export_model.session.graph.get_operation_by_name("serving_default_x")
    assert export_model.graph_def.library.function
"""


def test_fixtures_goldens_and_reports_know_it(dense: Path, empty_project: Project) -> None:
    shutil.copytree(dense, empty_project.path / "one")
    shutil.copytree(dense, empty_project.path / "two")
    np.savez(empty_project.path / "x.npz", x=X)
    manifest = (
        "models:\n  net:\n    reference: {saved_model: one, optional: true}\n    export: {saved_model: two}\n"
        "    inputs: {x: {npz: x.npz, key: x}}\n    golden: net.npz\n"
    )
    empty_project.write("tfparity.yaml", manifest)
    empty_project.write("test_net.py", TESTS)
    empty_project.run("tfparity.yaml", "--tfparity-update").assert_outcomes(passed=1)
    empty_project.run("test_net.py").assert_outcomes(passed=1)
    shutil.rmtree(empty_project.path / "one")
    result = empty_project.run("tfparity.yaml", "--tfparity-report=out")
    result.assert_outcomes(passed=1)
    (check,) = json.loads((empty_project.path / "out" / "report.json").read_text())["checks"]
    assert "The SavedModel is not at hand: the goldens are the reference." in check["notes"]


def test_names_of_the_signature_come_before_those_of_the_graph(tmp_path: Path) -> None:
    def build(v1: Any) -> dict[str, Any]:
        x = v1.placeholder(tf.float32, [None, 3], "scores")  # the input is called as the output is
        y = tf.identity(x * 2, "x")  # and the other way round
        return {"inputs": {"x": x}, "outputs": {"scores": y, "a name": y + 1, "x": y - 1}}

    model = SavedModel(write_v1(tmp_path / "names", build))
    assert model.outputs() == ["a_name:0", "scores:0", "x_1:0"]
    answer = model.run({"x": X}, model.outputs())
    np.testing.assert_array_equal(answer["scores:0"], X * 2)
    np.testing.assert_array_equal(answer["a_name:0"], X * 2 + 1)
    np.testing.assert_array_equal(answer["x_1:0"], X * 2 - 1)  # an input has that name already


def test_an_input_that_no_output_needs_is_still_given_to_the_function(tmp_path: Path) -> None:
    folder = write_module(
        tmp_path / "unused",
        lambda module, x, y: {"scores": x * module.kernel, "other": y + 1},
        {"kernel": np.float32(3)},
        {"x": [None, 3], "y": [None, 2]},
    )
    model = SavedModel(folder)
    assert list(model.inputs(["scores:0"])) == ["x:0"]
    np.testing.assert_array_equal(model.run({"x": X}, ["scores"])["scores"], X * 3)
    with pytest.raises(FeedError, match=r"needs a value for y \(float32 \[\?,2\]\); given is x:0"):
        model.run({"x": X}, ["other"])


def test_a_constant_can_be_stated_for_an_input(tmp_path: Path) -> None:
    folder = write_module(
        tmp_path / "scaled",
        lambda module, x, scale: {"scores": x * module.kernel * scale},
        {"kernel": np.float32(3)},
        {"x": [None, 3], "scale": []},
    )
    model = SavedModel(folder, feeds={"scale": 2.0})
    assert list(model.inputs(["scores:0"])) == ["x:0"]
    np.testing.assert_array_equal(model.run({"x": X}, ["scores"])["scores"], X * 6)


def test_a_loop_that_reads_a_variable_is_proven(tmp_path: Path) -> None:
    def looped(module: Any, x: Any) -> dict[str, Any]:
        steps = tf.constant(3)
        return {
            "scores": tf.while_loop(lambda i, y: i < steps, lambda i, y: (i + 1, y * module.kernel), [0, x])[
                1
            ]
        }

    folder = write_module(tmp_path / "loop", looped, {"kernel": np.float32(3)}, {"x": [None, 3]})
    assert checked(**frozen_of(folder, tmp_path / "loop.pb")).verdict == "proven"
    np.testing.assert_array_equal(SavedModel(folder).run({"x": X}, ["scores"])["scores"], X * 27)


def test_a_loop_that_writes_its_variable_is_refused(tmp_path: Path) -> None:
    def looped(write: bool) -> Callable[[Any, Any], dict[str, Any]]:
        def function(module: Any, x: Any) -> dict[str, Any]:
            def turn(i: Any, y: Any) -> tuple[Any, Any]:
                if write:
                    module.kernel.assign_add(1.0)
                return i + 1, y * module.kernel

            return {"scores": tf.while_loop(lambda i, y: i < 3, turn, [0, x])[1]}

        return function

    variables, inputs = {"kernel": np.float32(3)}, {"x": [None, 3]}
    reads = write_module(tmp_path / "reads", looped(False), variables, inputs)
    writes = write_module(tmp_path / "writes", looped(True), variables, inputs)
    assert checked({"saved_model": reads}, {"saved_model": writes}).verdict == "error"
    assert checked({"saved_model": writes}, {"saved_model": reads}).verdict == "error"


def test_a_loop_that_exchanges_two_variables_is_another_function(tmp_path: Path) -> None:
    def looped(swap: bool) -> Callable[[Any, Any], dict[str, Any]]:
        def read(handle: Any) -> Any:
            return tf.ensure_shape(tf.raw_ops.ReadVariableOp(resource=handle, dtype=tf.float32), [])

        def function(module: Any, x: Any) -> dict[str, Any]:
            specs = [
                tf.TensorSpec([], tf.int32),
                tf.TensorSpec([], tf.resource),
                tf.TensorSpec([], tf.resource),
                tf.TensorSpec([None, 3], tf.float32),
            ]
            go_on = tf.function(lambda i, a, b, y: i < 2).get_concrete_function(*specs)
            turn = tf.function(
                lambda i, a, b, y: (i + 1, b if swap else a, a if swap else b, y * read(a))
            ).get_concrete_function(*specs)
            state = [tf.constant(0), module.one.handle, module.two.handle, x]
            return {"scores": tf.raw_ops.While(input=state, cond=go_on, body=turn)[3]}

        return function

    variables, inputs = {"one": np.float32(3), "two": np.float32(5)}, {"x": [None, 3]}
    kept = write_module(tmp_path / "kept", looped(False), variables, inputs)
    swapped = write_module(tmp_path / "swapped", looped(True), variables, inputs)
    np.testing.assert_array_equal(SavedModel(kept).run({"x": X}, ["scores"])["scores"], X * 9)
    np.testing.assert_array_equal(SavedModel(swapped).run({"x": X}, ["scores"])["scores"], X * 15)
    assert checked({"saved_model": kept}, {"saved_model": swapped}).verdict == "fail"
    shutil.copytree(swapped, tmp_path / "copy")
    assert checked({"saved_model": swapped}, {"saved_model": tmp_path / "copy"}).verdict == "proven"


def test_a_table_of_an_asset_passes_by_its_numbers(tmp_path: Path) -> None:
    vocabulary = tmp_path / "words.txt"
    vocabulary.write_text("one\ntwo\n")

    class Words(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            lines = tf.lookup.TextFileInitializer(str(vocabulary), tf.string, -2, tf.int64, -1)
            self.table = tf.lookup.StaticHashTable(lines, -1)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "words")])
        def __call__(self, words: Any) -> dict[str, Any]:
            return {"ids": self.table.lookup(words)}

    words = Words()
    tf.saved_model.save(words, str(tmp_path / "words"), signatures=words.__call__)
    vocabulary.unlink()  # the copy among the assets is what counts
    model = SavedModel(tmp_path / "words")
    found = model.run({"words": np.array([b"two", b"three"], object)}, ["ids"])["ids"]
    assert found.tolist() == [1, -1]
    np.savez(tmp_path / "words.npz", words=np.array(["two", "one", "three"]))
    shutil.copytree(tmp_path / "words", tmp_path / "copy")
    inputs = {"words": {"npz": tmp_path / "words.npz", "key": "words"}}
    result = checked({"saved_model": tmp_path / "words"}, {"saved_model": tmp_path / "copy"}, inputs=inputs)
    assert result.verdict in ("pass", "proven")


# --- what is not one function of the inputs


def test_what_counts_its_calls_is_refused(tmp_path: Path) -> None:
    def counted(module: Any, x: Any) -> dict[str, Any]:
        answer = x + module.count
        module.count.assign_add(1.0)
        return {"scores": answer}

    folder = write_module(tmp_path / "counts", counted, {"count": np.float32(0)}, {"x": [None, 3]})
    plain = write_module(
        tmp_path / "plain",
        lambda module, x: {"scores": x + module.count},
        {"count": np.float32(0)},
        {"x": [None, 3]},
    )
    for sides in ((folder, plain), (plain, folder)):
        result = checked({"saved_model": sides[0]}, {"saved_model": sides[1]})
        assert result.verdict == "error"
        assert "changes count, and they are computed from it" in (result.error or "")


def test_what_changes_a_variable_that_it_does_not_read_is_run_without_that(tmp_path: Path) -> None:
    def noted(module: Any, x: Any) -> dict[str, Any]:
        module.count.assign_add(1.0)
        return {"scores": x * module.kernel}

    variables = {"count": np.float32(0), "kernel": np.float32(2)}
    folder = write_module(tmp_path / "notes", noted, variables, {"x": [None, 3]})
    model = SavedModel(folder)
    for _ in range(2):
        np.testing.assert_array_equal(model.run({"x": X}, ["scores"])["scores"], X * 2)
    plain = write_module(
        tmp_path / "plain", lambda module, x: {"scores": x * module.kernel}, variables, {"x": [None, 3]}
    )
    assert checked({"saved_model": folder}, {"saved_model": plain}).verdict == "proven"


def test_what_the_initialisers_set_is_not_taken_for_what_was_saved(tmp_path: Path) -> None:
    def build(v1: Any) -> dict[str, Any]:
        x = v1.placeholder(tf.float32, [None, 3], "x")
        kernel = v1.get_variable("kernel", initializer=np.float32(2), use_resource=True)
        v1.assign(kernel, np.float32(7), name="set_seven")
        return {"inputs": {"x": x}, "outputs": {"scores": x * kernel}}

    def init_op() -> Any:
        return tf.compat.v1.get_default_graph().get_operation_by_name("set_seven")

    seven = write_v1(tmp_path / "seven", build, main_op=init_op)
    two = write_v1(tmp_path / "two", build)
    np.testing.assert_array_equal(SavedModel(seven).run({"x": X}, ["scores"])["scores"], X * 7)
    assert SavedModel(seven).restored == {}
    assert checked({"saved_model": two}, {"saved_model": seven}).verdict == "fail"


def test_printing_is_left_out_of_a_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def talks(module: Any, x: Any) -> dict[str, Any]:
        tf.print("asked")
        return {"scores": x * module.kernel}

    folder = write_module(tmp_path / "talks", talks, {"kernel": np.float32(2)}, {"x": [None, 3]})
    np.testing.assert_array_equal(SavedModel(folder).run({"x": X}, ["scores"])["scores"], X * 2)
    assert "asked" not in capfd.readouterr().err


def test_two_names_of_one_variable_are_one(tmp_path: Path) -> None:
    def build(v1: Any) -> dict[str, Any]:
        x = v1.placeholder(tf.float32, [None, 3], "x")
        kernel = v1.get_variable("kernel", initializer=np.float32(2), use_resource=True)
        other = tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=[], shared_name="kernel", name="other")
        write = tf.raw_ops.AssignVariableOp(resource=other, value=np.float32(7))
        with tf.control_dependencies([write]):
            y = x * tf.raw_ops.ReadVariableOp(resource=kernel.handle, dtype=tf.float32)
        return {"inputs": {"x": x}, "outputs": {"scores": y}}

    def plain(v1: Any) -> dict[str, Any]:
        x = v1.placeholder(tf.float32, [None, 3], "x")
        kernel = v1.get_variable("kernel", initializer=np.float32(2), use_resource=True)
        return {"inputs": {"x": x}, "outputs": {"scores": x * kernel}}

    written, right = write_v1(tmp_path / "written", build), write_v1(tmp_path / "right", plain)
    assert SavedModel(written).constant_graph.nodes["kernel"].op == "VarHandleOp"
    result = checked({"saved_model": right}, {"saved_model": written})
    assert result.verdict == "error"
    assert "changes kernel, and they are computed from it" in (result.error or "")


def test_loading_that_touches_the_machine_is_refused(tmp_path: Path) -> None:
    def build(v1: Any) -> dict[str, Any]:
        x = v1.placeholder(tf.float32, [None, 3], "x")
        tf.raw_ops.WriteFile(filename=str(tmp_path / "written.txt"), contents="x", name="writes")
        return {"inputs": {"x": x}, "outputs": {"scores": x * 2}}

    def init_op() -> Any:
        return tf.compat.v1.get_default_graph().get_operation_by_name("writes")

    model = SavedModel(write_v1(tmp_path / "writes", build, main_op=init_op))
    with pytest.raises(
        ModelError, match=r"Loading .* runs WriteFile \(writes\), which does more than compute"
    ):
        model.run({"x": X}, ["scores"])
    assert not (tmp_path / "written.txt").exists()


# --- causes that only a SavedModel has


def test_a_variable_that_is_not_restored_is_named_and_its_value_proven(tmp_path: Path) -> None:
    whole = write_v1(tmp_path / "whole", dense_v1)
    lacking = write_v1(tmp_path / "lacking", dense_v1, saved=["dense/kernel"])
    assert SavedModel(lacking).unrestored == {"dense/bias"}
    result = checked({"saved_model": whole}, {"saved_model": lacking})
    (finding,) = result.findings
    assert (result.verdict, finding.cause, finding.certainty) == (
        "error",
        "saved-model-variable-not-restored",
        "proven",
    )
    assert (finding.nodes, finding.scopes) == (("dense/bias",), ("dense",))


def test_its_value_is_found_where_another_variable_had_the_name_first(tmp_path: Path) -> None:
    def entered_again(v1: Any) -> dict[str, Any]:
        x = v1.placeholder(tf.float32, [None, 3], "images")
        kernel = v1.get_variable("dense/kernel", initializer=KERNEL, use_resource=True)
        bias = v1.get_variable("dense/bias_1", initializer=BIAS, use_resource=True)
        return {"inputs": {"x": x}, "outputs": {"scores": tf.nn.bias_add(tf.matmul(x, kernel), bias)}}

    whole = write_v1(tmp_path / "whole", dense_v1)
    lacking = write_v1(tmp_path / "lacking", entered_again, saved=["dense/kernel"])
    (finding,) = checked({"saved_model": whole}, {"saved_model": lacking}).findings
    assert (finding.cause, finding.certainty) == ("saved-model-variable-not-restored", "proven")


def test_another_signature_that_is_right_is_named(tmp_path: Path) -> None:
    module = tf.Module()
    module.kernel = tf.Variable(KERNEL, name="kernel")
    spec = tf.TensorSpec([None, 3], tf.float32, name="x")
    scores = tf.function(lambda x: {"out": tf.matmul(x, module.kernel)}, input_signature=[spec])
    shares = tf.function(
        lambda x: {"out": tf.nn.softmax(tf.matmul(x, module.kernel))}, input_signature=[spec]
    )
    tf.saved_model.save(module, str(tmp_path / "one"), signatures={"serving_default": scores})
    signatures = {"serving_default": shares, "scores": scores}
    tf.saved_model.save(module, str(tmp_path / "two"), signatures=signatures)
    result = checked({"saved_model": tmp_path / "one"}, {"saved_model": tmp_path / "two"})
    (finding,) = result.findings
    assert (result.verdict, finding.cause, finding.certainty) == ("fail", "wrong-signature", "proven")
    assert "signature scores of the same file computes what the reference computes" in finding.message
    named = {"saved_model": tmp_path / "two", "signature": "scores"}
    assert checked({"saved_model": tmp_path / "one"}, named).verdict == "proven"


def test_where_no_signature_is_right_none_is_named(tmp_path: Path) -> None:
    module = tf.Module()
    module.kernel = tf.Variable(KERNEL, name="kernel")
    spec = tf.TensorSpec([None, 3], tf.float32, name="x")
    scores = tf.function(lambda x: {"out": tf.matmul(x, module.kernel)}, input_signature=[spec])
    twice = tf.function(lambda x: {"out": tf.matmul(x, module.kernel) * 2.0}, input_signature=[spec])
    shares = tf.function(
        lambda x: {"out": tf.nn.softmax(tf.matmul(x, module.kernel))}, input_signature=[spec]
    )
    tf.saved_model.save(module, str(tmp_path / "one"), signatures={"serving_default": scores})
    signatures = {"serving_default": shares, "twice": twice}
    tf.saved_model.save(module, str(tmp_path / "two"), signatures=signatures)
    result = checked({"saved_model": tmp_path / "one"}, {"saved_model": tmp_path / "two"})
    assert result.verdict == "fail"
    assert "wrong-signature" not in {finding.cause for finding in result.findings}


def test_a_quantised_model_is_called_one(dense: Path, tmp_path: Path) -> None:
    def quantised(module: Any, x: Any) -> dict[str, Any]:
        step = tf.reduce_max(tf.abs(x), -1, keepdims=True) / 127
        levels = tf.cast(tf.round(x / step), tf.int8)
        sums = tf.raw_ops.BatchMatMulV3(x=levels, y=module.kernel, Tout=tf.int32, name="product")
        return {"scores": tf.cast(sums, tf.float32) * step * module.step + module.bias}

    variables = {"kernel": np.int8(np.round(KERNEL / 6 * 127)), "step": np.float32(6 / 127), "bias": BIAS}
    folder = write_module(tmp_path / "quantised", quantised, variables, {"x": [None, 3]})
    result = checked({"saved_model": dense}, {"saved_model": folder})
    (finding,) = result.findings
    assert (finding.cause, finding.certainty) == ("compute-int8", "suggestive")
    assert "product of" in finding.message
    assert "multiplies 8-bit integers, in the place of MatMul" in finding.message
    assert finding.fix.startswith("Compare it as the approximation that it is: state `sqnr`")
    assert checked({"saved_model": dense}, {"saved_model": folder}, sqnr=30).verdict == "pass"
    shutil.copytree(folder, tmp_path / "copy")
    assert checked({"saved_model": folder}, {"saved_model": tmp_path / "copy"}).verdict == "proven"


# --- what is wrong with a file


def test_wrong_folders_are_told_in_a_sentence(dense: Path, tmp_path: Path) -> None:
    def error(folder: Path, **options: Any) -> str:
        with pytest.raises(ModelError) as caught:
            SavedModel(folder, **options).run({"x": X}, ["scores"])
        return str(caught.value)

    def copied(name: str) -> Path:
        return Path(shutil.copytree(dense, tmp_path / name))

    assert "is no SavedModel: there is no such folder. Did you mean 'dense'?" in error(tmp_path / "desne")
    assert "it has no saved_model.pb, but dense in it has one; name that folder." in error(tmp_path)
    only = copied("fingerprint")
    (only / "saved_model.pb").unlink()
    shutil.rmtree(only / "variables")
    assert "of one it has only fingerprint.pb, which identifies a model and holds none" in error(only)
    bare = copied("bare")
    (bare / "saved_model.pb").unlink()
    (bare / "fingerprint.pb").unlink()
    assert "saved_model.pb is missing in it; copy the whole folder." in error(bare)
    assert "it is a file; name the folder that holds saved_model.pb." in error(dense / "saved_model.pb")
    known = error(dense, signature="serving")
    assert "has no signature 'serving'. Did you mean 'serving_default'? It has serving_default." in known
    assert (
        "has no graph with the tags [train]. Name under `tags` those of one that it has: [serve]."
        in error(dense, tags=["train"])
    )
    lost = copied("lost")
    shutil.rmtree(lost / "variables")
    assert "has no variables/variables.index, and its signature serving_default needs 2 variables" in error(
        lost
    )
    pointer = copied("pointer")
    (pointer / "saved_model.pb").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    )
    assert "is a Git LFS pointer, not the file itself; run `git lfs pull` to fetch it." in error(pointer)
    weights = copied("weights")
    (weights / "variables" / "variables.index").write_text("version https://git-lfs.github.com/spec/v1\n")
    assert "is a Git LFS pointer" in error(weights)
    cut = copied("cut")
    data = (cut / "saved_model.pb").read_bytes()
    (cut / "saved_model.pb").write_bytes(data[: len(data) // 2])
    assert "Write or copy it again." in error(cut)
    other = copied("other")
    shutil.rmtree(other / "variables")
    shutil.copytree(write_v1(tmp_path / "v1", dense_v1) / "variables", other / "variables")
    assert "which its variables folder does not hold: it is of another SavedModel" in error(other)
    wider = {"kernel": np.ones((3, 5), "float32"), "bias": np.ones(5, "float32")}
    mixed = copied("mixed")
    shutil.rmtree(mixed / "variables")
    shutil.copytree(
        write_module(tmp_path / "wider", affine, wider, {"x": [None, 3]}) / "variables", mixed / "variables"
    )
    assert (
        "restores bias with shape [2], and its variables folder holds it with [5]: that is of another"
        in error(mixed)
    )
    tf.saved_model.save(tf.Module(), str(tmp_path / "mute"))
    assert "has no signature at all, so that no server can ask it" in error(tmp_path / "mute")


def test_a_manifest_that_names_a_wrong_folder_says_which_line(empty_project: Project, dense: Path) -> None:
    shutil.copytree(dense, empty_project.path / "models" / "1")
    empty_project.write(
        "tfparity.yaml",
        "models:\n  net:\n    reference: {saved_model: models}\n    export: {saved_model: none, signatur: x}\n",
    )
    result = empty_project.run("tfparity.yaml")
    result.stdout.fnmatch_lines(
        [
            "tfparity.yaml:3: 'saved_model' of the reference of model 'net' names 'models', which is no SavedModel: it"
            " has no saved_model.pb, but 1 in it has one; name that folder.",
            "*unknown key 'signatur' in the export of model 'net'. Did you mean 'signature'?*",
        ]
    )
