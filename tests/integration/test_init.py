"""``init`` and the first run of what it writes: right exports pass, and what only the user knows is asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import yaml

from conftest import Project
from graphs.networks import freeze
from pytest_tfparity.__main__ import main

v1 = tf.compat.v1


@pytest.fixture
def project(empty_project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(empty_project.path)
    return empty_project


def initialised(*arguments: str) -> dict[str, Any]:
    """The one model of the manifest that ``init`` writes."""
    assert main(["init", "model.ckpt", "model.pb", *arguments]) == 0
    (model,) = yaml.safe_load(Path("tfparity.yaml").read_text("utf-8"))["models"].values()
    return dict(model)


def variable(name: str, *shape: int, trainable: bool = True) -> Any:
    values = np.random.default_rng(len(name)).normal(size=shape).astype(np.float32)
    return v1.get_variable(name, initializer=np.abs(values) + 0.1, trainable=trainable, use_resource=False)


def written(
    build: Callable[[], Any], *, variables: Callable[[], Any] | None = None, change: float = 0.0
) -> None:
    """``model.ckpt`` of what ``build`` puts into a graph, its variables changed by ``change`` after the averages."""
    with tf.Graph().as_default(), v1.Session() as session:
        build()
        for each in v1.global_variables():  # averages begin as what they average
            session.run(each.initializer)
        for each in v1.trainable_variables():
            session.run(each.initializer, {each.initializer.inputs[1]: session.run(each) + change})
        v1.train.Saver(variables() if variables else None).save(session, "./model.ckpt")


def exported(build: Callable[[], Any], output: str, *, restore: Callable[[], Any] | None = None) -> None:
    """``model.pb``: another graph, with the weights of ``model.ckpt`` as ``restore`` maps them."""
    with tf.Graph().as_default(), v1.Session() as session:
        build()
        session.run(v1.global_variables_initializer())
        v1.train.Saver(restore() if restore else None).restore(session, "./model.ckpt")
        freeze(session, Path("model.pb"), (output,))


def dense() -> Any:
    image = v1.placeholder(tf.float32, [None, 3], "image")
    return tf.nn.softmax(tf.matmul(image, variable("kernel", 3, 2)), name="scores")


def averaged() -> Any:
    dense()
    return v1.train.ExponentialMovingAverage(0.9)


def trained() -> None:
    averaged().apply(v1.trainable_variables())


def averages() -> Mapping[str, Any]:
    return dict(v1.train.ExponentialMovingAverage(0.9).variables_to_restore())


@pytest.mark.parametrize("restore", [None, averages], ids=["raw", "averaged"])
def test_what_is_right_is_not_learnt_from_the_export(
    project: Project, capsys: pytest.CaptureFixture[str], restore: Callable[[], Any] | None
) -> None:
    written(trained, change=0.5)
    exported(dense, "scores", restore=restore)
    assert initialised()["reference"]["ema"] == "undecided"
    assert "to be decided in tfparity.yaml: Which weights are right?" in capsys.readouterr().out
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "model: Which weights are right? State `ema: trainable` or `ema: none`.",
            "  The checkpoint model.ckpt holds moving averages of*",
            "FAILED tfparity.yaml::model - Which weights are right?*",
        ]
    )
    comments = [line.strip("# ") for line in Path("tfparity.yaml").read_text().splitlines() if "#" in line]
    assert (
        "Which weights are right? State `ema: trainable` or `ema: none`. The checkpoint model.ckpt holds"
        in (" ".join(comments))
    )


@pytest.mark.parametrize(("answer", "right"), [("trainable", averages), ("none", None)])
def test_an_answer_on_the_terminal_is_written(
    project: Project, monkeypatch: pytest.MonkeyPatch, answer: str, right: Callable[[], Any] | None
) -> None:
    written(trained, change=0.5)
    exported(dense, "scores", restore=right)
    given = iter(["perhaps", answer])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _: next(given))
    assert initialised()["reference"]["ema"] == answer
    project.run().assert_outcomes(passed=1)


def test_a_saver_that_restores_averages_decides(project: Project) -> None:
    written(trained, change=0.5)
    with tf.Graph().as_default():
        dense()
        saver = v1.train.Saver(averages())
        v1.train.export_meta_graph("model.ckpt.meta", saver_def=saver.as_saver_def())
    exported(dense, "scores")
    assert initialised()["reference"]["ema"] == "trainable"
    assert "# The saver of the meta graph restores the moving averages" in Path("tfparity.yaml").read_text()
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*ema-not-applied*"])


def test_a_checkpoint_without_averages_asks_nothing(project: Project) -> None:
    written(dense)
    exported(dense, "scores")
    assert initialised()["reference"] == {"checkpoint": "model.ckpt"}
    project.run().assert_outcomes(passed=1)


def phased(name: str, default: bool | None = None) -> Any:
    """A network whose batch norm a scalar decides, called ``name``; it has a ``default`` or must be fed."""
    image = v1.placeholder(tf.float32, [None, 3], "image")
    open_one = v1.placeholder(tf.bool, [], name if default is None else "unused")
    training = open_one if default is None else v1.placeholder_with_default(default, [], name)
    net = tf.matmul(image, variable("kernel", 3, 2))
    mean, variance = (
        tf.identity(variable(f"bn/{each}", 2, trainable=False)) for each in ("mean", "variance")
    )
    with v1.variable_scope("bn"):
        of_batch = tf.nn.moments(net, [0])
        used = v1.cond(training, lambda: of_batch, lambda: (mean, variance))
        net = tf.nn.batch_normalization(net, *used, variable("beta", 2), variable("gamma", 2), 1e-3)
    return tf.identity(net, name="logits")


@pytest.fixture
def control_flow_v1() -> Any:
    v1.disable_control_flow_v2()
    yield
    v1.enable_control_flow_v2()


@pytest.mark.usefixtures("control_flow_v1")
def test_a_phase_is_fed_on_each_side_under_its_name_there(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    written(lambda: phased("is_training"))
    exported(lambda: phased("new_is_training"), "logits")
    model = initialised()
    assert model["reference"]["feeds"] == {"is_training:0": False}
    assert model["export"]["feeds"] == {"new_is_training:0": False}
    said = capsys.readouterr().out
    assert "model.ckpt: is_training:0 decides batch norm, so it is fed false, as at inference." in said
    assert "model.pb: new_is_training:0 decides batch norm, so it is fed false, as at inference." in said
    project.run("--tfparity-run=always").assert_outcomes(passed=1)
    assert main(["check", "model.ckpt", "model.pb"]) == 0


@pytest.mark.usefixtures("control_flow_v1")
@pytest.mark.parametrize(("default", "passed"), [(False, 1), (True, 0)])
def test_the_default_that_an_export_is_served_with_is_left_alone(
    project: Project, default: bool, passed: int
) -> None:
    written(lambda: phased("is_training", True))
    exported(lambda: phased("is_training", default), "logits")
    model = initialised()
    assert model["reference"]["feeds"] == {"is_training:0": False}
    assert "feeds" not in model["export"]
    project.run().assert_outcomes(passed=passed, failed=1 - passed)


@pytest.mark.parametrize(
    ("share", "inference"), [("keep", 1.0), ("rate", 0.0)], ids=["what it keeps", "what it drops"]
)
def test_a_dropout_is_fed_what_keeps_everything(project: Project, share: str, inference: float) -> None:
    def dropping() -> None:
        image = v1.placeholder(tf.float32, [None, 3], "image")
        given = v1.placeholder(tf.float32, [], "share")
        net = tf.matmul(image, variable("kernel", 3, 2))
        keep = given if share == "keep" else 1.0 - given
        tf.identity(net / keep * tf.floor(keep + tf.random.uniform(tf.shape(net))), name="logits")

    written(dropping)
    exported(dropping, "logits")
    model = initialised()
    assert model["reference"]["feeds"] == model["export"]["feeds"] == {"share:0": inference}
    project.run().assert_outcomes(passed=1)


def test_an_input_that_decides_nothing_of_training_is_asked_for(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    def scaled() -> None:
        image = v1.placeholder(tf.float32, [None, 3], "image")
        tf.multiply(image, v1.placeholder(tf.float32, [], "scale") * variable("kernel", 3), name="logits")

    def plain() -> None:
        tf.multiply(v1.placeholder(tf.float32, [None, 3], "image"), variable("kernel", 3), name="logits")

    written(scaled)
    exported(plain, "logits")
    assert main(["init", "model.ckpt", "model.pb"]) == 2
    said = capsys.readouterr().err
    assert (
        "needs scale:0 (float32 []), which the export does not have. Say what to feed: --feed scale:0="
        in said
    )


def headed() -> None:
    image = v1.placeholder(tf.float32, [None, 3], "image")
    net = tf.nn.relu(tf.matmul(image, variable("first", 3, 4)))
    tf.matmul(net, variable("auxiliary", 4, 2), name="aux")
    logits = tf.matmul(net, variable("second", 4, 4) @ variable("third", 4, 2), name="logits")
    label = v1.placeholder(tf.int32, [None], "label")
    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(label, logits))
    tf.equal(tf.argmax(logits, 1, tf.int32), label, name="hits")
    v1.train.GradientDescentOptimizer(0.1).minimize(loss)


def test_an_export_of_an_auxiliary_head_asks_for_the_main_one(project: Project) -> None:
    written(headed)
    exported(headed, "aux")
    model = initialised()
    assert model["outputs"] == ["aux:0", "ArgMax:0"]
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*model.pb has no tensor 'ArgMax:0'*"])


def test_training_metrics_and_a_second_head_are_no_question_where_the_main_head_is_exported(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    written(headed)
    exported(headed, "logits")
    assert initialised()["outputs"] == ["logits:0"]
    assert "to be decided" not in capsys.readouterr().out
    project.run().assert_outcomes(passed=1)


def two_inputs(first: str, second: str) -> Any:
    left = v1.placeholder(tf.float32, [None, 3], first)
    right = v1.placeholder(tf.float32, [None, 3], second)
    net = tf.matmul(tf.nn.relu(left), variable("left", 3, 2)) + tf.matmul(
        tf.tanh(right), variable("right", 3, 2)
    )
    return tf.identity(net, name="logits")


def test_renamed_inputs_are_matched_by_what_reads_them(project: Project) -> None:
    written(lambda: two_inputs("a", "b"))
    exported(lambda: two_inputs("x", "y"), "logits")
    inputs = initialised()["inputs"]
    assert {name: source["export"] for name, source in inputs.items()} == {"a:0": "x:0", "b:0": "y:0"}
    project.run().assert_outcomes(passed=1)


def test_encoded_images_are_asked_for_as_files(project: Project) -> None:
    def decoding() -> None:
        data = v1.placeholder(tf.string, [None], "jpeg")
        pixels = tf.cast(tf.io.decode_jpeg(data[0], channels=3), tf.float32)
        tf.multiply(tf.reduce_mean(pixels, [0, 1]), variable("kernel", 3), name="logits")

    written(decoding)
    exported(decoding, "logits")
    assert initialised()["inputs"] == {"jpeg:0": {"bytes": ["images/*.jpg"]}}
    result = project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*input 'jpeg:0' of model 'model' names 'images/[*].jpg', a pattern that no file matches.*"]
    )
    Path("images").mkdir()
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    Path("images/one.jpg").write_bytes(tf.io.encode_jpeg(pixels).numpy())
    project.run("--tfparity-run=always").assert_outcomes(passed=1)


def test_a_graph_that_takes_one_file_at_a_time_gets_one_after_the_other(project: Project) -> None:
    def decoding(scale: float = 1.0) -> None:
        data = v1.placeholder(tf.string, [], "jpeg")
        pixels = tf.cast(tf.io.decode_jpeg(data, channels=3), tf.float32) * scale
        tf.multiply(tf.reduce_mean(pixels, [0, 1]), variable("kernel", 3), name="logits")

    written(decoding)
    exported(decoding, "logits")
    assert initialised()["inputs"] == {"jpeg:0": {"bytes": ["images/*.jpg"]}}
    Path("images").mkdir()
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    Path("images/one.jpg").write_bytes(tf.io.encode_jpeg(pixels).numpy())
    project.run("--tfparity-run=always").assert_outcomes(passed=1)
    Path("images/two.jpg").write_bytes(tf.io.encode_jpeg(255 - pixels).numpy())
    project.run("--tfparity-run=always", "--tfparity-report=both").assert_outcomes(passed=1)
    (check,) = json.loads(Path("both/report.json").read_text())["checks"]
    assert check["outputs"][0]["total"] == 6  # three numbers of each of both files
    exported(lambda: decoding(2.0), "logits")
    result = project.run("-v")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["model: * (proven) in mul, max abs *", "*  > mul *"])
    result.stdout.no_fnmatch_line("*diagnosis*")


def test_whole_files_may_be_given_as_values(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    def decoding(scale: float = 1.0) -> None:
        data = v1.placeholder(tf.string, [None], "jpeg")
        pixels = tf.cast(tf.io.decode_jpeg(data[0], channels=3), tf.float32) * scale
        tf.multiply(tf.reduce_mean(pixels, [0, 1]), variable("kernel", 3), name="logits")

    written(decoding)
    exported(decoding, "logits")
    check = ["check", "model.ckpt", "model.pb"]
    assert main(check) == 0  # a proof needs no values
    exported(lambda: decoding(2.0), "logits")
    assert main(check) == 2
    assert "input jpeg:0 has no values." in capsys.readouterr().out
    assert main([*check, "--inputs", "images/*.jpg"]) == 2
    assert "--inputs names images/*.jpg, a pattern that no file matches." in capsys.readouterr().err
    Path("images").mkdir()
    Path("images/one.jpg").write_bytes(tf.io.encode_jpeg(np.full((4, 4, 3), 90, np.uint8)).numpy())
    assert main([*check, "--inputs", "images/*.jpg"]) == 1
    assert "3 of 3 values of logits:0 differ" in capsys.readouterr().out
    assert initialised("--inputs", "images/*.jpg")["inputs"] == {"jpeg:0": {"bytes": ["images/*.jpg"]}}


def test_whole_files_for_numbers_are_refused(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    written(dense)
    exported(dense, "scores")
    Path("one.jpg").write_bytes(b"jpeg")
    assert main(["check", "model.ckpt", "model.pb", "--inputs", "one.jpg"]) == 2
    assert "one.jpg is no .npz file, and no input takes whole files: image:0 (float32 [?,3]). Give" in (
        capsys.readouterr().err
    )


def test_without_values_the_files_alone_tell_what_is_wrong(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    def decoding() -> None:
        data = v1.placeholder(tf.string, [None], "jpeg")
        pixels = tf.cast(tf.io.decode_jpeg(data[0], channels=3), tf.float32)
        tf.multiply(tf.reduce_mean(pixels, [0, 1]), variable("kernel", 3), name="logits")

    def averaging() -> None:
        decoding()
        v1.train.ExponentialMovingAverage(0.9).apply(v1.trainable_variables())

    written(averaging, change=0.5)
    exported(decoding, "logits")
    assert main(["check", "model.ckpt", "model.pb", "--ema", "trainable"]) == 2
    printed = capsys.readouterr().out
    assert "model: ema-not-applied (proven) in kernel" in printed
    assert "input jpeg:0 has no values." in printed


def test_values_that_nobody_can_make_up_are_named_as_a_file(project: Project) -> None:
    def looking_up() -> None:
        word = v1.placeholder(tf.string, [None], "word")
        tf.multiply(tf.strings.to_number(word), variable("kernel", 1), name="logits")

    written(looking_up)
    exported(looking_up, "logits")
    assert initialised()["inputs"] == {"word:0": {"npz": "inputs.npz"}}
    project.run().assert_outcomes(errors=1)
    np.savez("inputs.npz", **{"word:0": np.array([b"1", b"2.5"])})
    project.run("--tfparity-run=always").assert_outcomes(passed=1)


def test_values_may_be_given(project: Project) -> None:
    written(dense)
    exported(dense, "scores")
    np.savez("some.npz", image=np.ones((2, 3), np.float32))
    assert initialised("--inputs", "some.npz")["inputs"] == {"image:0": {"npz": "some.npz", "key": "image"}}
    project.run("--tfparity-run=always").assert_outcomes(passed=1)


def test_a_model_is_added_to_a_manifest(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    written(dense)
    exported(dense, "scores")
    initialised()
    before = Path("tfparity.yaml").read_text()
    assert main(["init", "model.ckpt", "model.pb", "--add"]) == 2
    assert "has a model 'model' already. Give the new one another name: --name" in capsys.readouterr().err
    assert main(["init", "model.ckpt", "model.pb", "--add", "--name", "other"]) == 0
    assert Path("tfparity.yaml").read_text().startswith(before)
    project.run().assert_outcomes(passed=2)


def test_where_models_do_not_come_last_nothing_is_added(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    written(dense)
    exported(dense, "scores")
    initialised()
    manifest = Path("tfparity.yaml")
    manifest.write_text(manifest.read_text() + "defaults: {run: always}\n")
    before = manifest.read_text()
    assert main(["init", "model.ckpt", "model.pb", "--add", "--name", "other"]) == 2
    assert "Write this under its `models`:\nother:\n" in capsys.readouterr().err
    assert manifest.read_text() == before


def test_a_tolerance_that_hides_a_difference_fails_the_first_run(project: Project) -> None:
    written(dense)
    exported(dense, "scores")
    with tf.Graph().as_default(), v1.Session() as session:  # another step, hardly another
        dense()
        v1.train.Saver().restore(session, "./model.ckpt")
        (kernel,) = v1.global_variables()
        session.run(kernel.initializer, {kernel.initializer.inputs[1]: session.run(kernel) + 2e-6})
        v1.train.Saver().save(session, "./model.ckpt-2")
    Path("model.ckpt.index").rename("model.ckpt-1.index")
    for file in Path().glob("model.ckpt.*"):
        file.rename(file.name.replace("ckpt.", "ckpt-1."))
    assert main(["init", "model.ckpt-2", "model.pb"]) == 0
    project.run("--tfparity-health=warn").assert_outcomes(passed=1, warnings=1)
    project.run().assert_outcomes(failed=1)
