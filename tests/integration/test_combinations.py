"""Every pair of formats with a graph of TensorFlow: proof, cause and repair, health, goldens, init, fixtures, page."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import Project
from graphs.saved_models import freeze, write_keras
from pytest_tfparity.__main__ import main

tf = pytest.importorskip("tensorflow")
keras = tf.keras
L = keras.layers

NETWORK = "import tensorflow as tf\n\n\ndef build():\n    return tf.keras.models.load_model('shape.keras')\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """How two sides are named on the command line: files, formats, and what is called otherwise on the other side.

    In the place of ``KIND`` stands what is the matter with the file.
    """

    reference: str
    export: str
    words: tuple[str, str]
    options: tuple[str, ...] = ()


PAIRS = {
    "checkpoint, SavedModel of TensorFlow 1": Pair(
        reference="v1_KIND.ckpt",
        export="v1_KIND",
        words=("checkpoint", "saved_model"),
        options=("--input=x=x", "--output=logits=logits"),
    ),
    "object-based checkpoint, SavedModel": Pair(
        reference="net_KIND.ckpt",
        export="net_KIND",
        words=("checkpoint", "saved_model"),
        options=("--builder=network:build",),
    ),
    "Keras, SavedModel": Pair(reference="net_KIND.keras", export="net_KIND", words=("keras", "saved_model")),
    "SavedModel, frozen graph": Pair(
        reference="net_KIND",
        export="net_KIND.pb",
        words=("saved_model", "frozen_graph"),
        options=("--input=x=X", "--output=output_0=OUTPUT"),
    ),
    "Keras, HDF5": Pair(reference="net_KIND.keras", export="net_KIND.h5", words=("keras", "keras")),
    "SavedModel, SavedModel": Pair(
        reference="net_KIND", export="net_KIND", words=("saved_model", "saved_model")
    ),
}


def network(epsilon: float) -> Any:
    """A dense layer, a batch norm that saw no training, and a head, with weights that no initialiser gives."""
    x = keras.Input((4,), name="x")
    y = L.BatchNormalization(epsilon=epsilon, name="bn")(L.Dense(5, use_bias=False, name="hidden")(x))
    net = keras.Model(x, L.Dense(2, name="top")(L.ReLU()(y)))
    numbers = np.random.default_rng(3)
    for weight in net.trainable_weights:
        weight.assign(numbers.uniform(0.5, 1.5, weight.shape).astype("float32"))
    return net


def network_v1(v1: Any, epsilon: float) -> dict[str, Any]:
    """A batch norm that saw no training before a dense layer, in TensorFlow 1."""
    numbers = np.random.default_rng(3)

    def variable(name: str, value: np.ndarray) -> Any:
        return v1.get_variable(name, initializer=value.astype("float32"), use_resource=False)

    x = v1.placeholder(tf.float32, [None, 4], "x")
    gamma, beta = (variable(f"bn/{name}", numbers.uniform(0.5, 1.5, 4)) for name in ("gamma", "beta"))
    mean, variance = variable("bn/moving_mean", np.zeros(4)), variable("bn/moving_variance", np.ones(4))
    with v1.name_scope("bn/"):
        y = v1.nn.fused_batch_norm(
            tf.reshape(x, [-1, 1, 1, 4]), gamma, beta, mean, variance, epsilon=epsilon, is_training=False
        )[0]
    kernel = variable("top/kernel", numbers.normal(size=(4, 2)))
    return {
        "inputs": {"x": x},
        "outputs": {"logits": tf.matmul(tf.reshape(y, [-1, 4]), kernel, name="logits")},
    }


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """All sides, right and wrong, in one folder; and how tensors of the frozen graphs are called."""
    folder = tmp_path_factory.mktemp("combinations")
    nets = {"right": network(1e-3), "wrong": network(0.3), "sick": network(1e-3)}
    nets["sick"].get_layer("bn").moving_variance.assign([1, np.nan, 1, 1, 1])
    nets["right"].save(folder / "shape.keras")
    (folder / "network.py").write_text(NETWORK)
    named: dict[str, str] = {}
    for kind, net in nets.items():
        write_keras(folder / f"net_{kind}", net)
        net.save(folder / f"net_{kind}.keras")
        net.save(folder / f"net_{kind}.h5")
        tf.train.Checkpoint(net).write(str(folder / f"net_{kind}.ckpt"))
        (named["X"],), (named["OUTPUT"],) = freeze(folder / f"net_{kind}", folder / f"net_{kind}.pb")
        write_v1_side(folder, kind)
    values = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    np.savez(folder / "x.npz", x=values)
    return folder, named


def write_v1_side(folder: Path, kind: str) -> None:
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        tensors = network_v1(v1, 0.3 if kind == "wrong" else 1e-3)
        session.run(v1.global_variables_initializer())
        if kind == "sick":
            variance = next(each for each in v1.global_variables() if "moving_variance" in each.name)
            session.run(v1.assign(variance, [1, np.nan, 1, 1]))
        v1.train.Saver().save(session, str(folder / f"v1_{kind}.ckpt"))
        builder = v1.saved_model.Builder(str(folder / f"v1_{kind}"))
        signature = v1.saved_model.predict_signature_def(**tensors)
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
        builder.save()


@pytest.fixture(params=PAIRS)
def sides(
    request: pytest.FixtureRequest, files: tuple[Path, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], list[str]]:
    """What a command line says of the pair, with an export that is ``right`` or ``wrong``."""
    pair, (folder, named) = PAIRS[request.param], files
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)

    def stated(kind: str) -> list[str]:
        reference = pair.reference.replace("KIND", "sick" if kind == "sick" else "right")
        options = pair.options
        for key, name in named.items():
            options = tuple(option.replace(f"={key}", f"={name}") for option in options)
        return [reference, pair.export.replace("KIND", kind), *options, "--inputs=x.npz"]

    return stated


def test_a_right_export_is_proven(
    sides: Callable[[str], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", *sides("right")]) == 0
    assert "proven: the export computes what the" in capsys.readouterr().out


def test_a_wrong_export_is_explained_and_repaired_in_memory(
    sides: Callable[[str], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", *sides("wrong")]) == 1
    said = capsys.readouterr().out
    assert re.search(r"bn-epsilon-mismatch \(proven\) in \S*bn\S*, max abs", said), said
    assert "Repaired in memory" in said


def test_what_is_wrong_with_both_sides_is_told(
    sides: Callable[[str], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", *sides("sick")]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "nan-in-both (decisive) in bn" in said
    assert "bn/moving_variance in the" in said
    assert "is NaN already." in said


def test_a_first_manifest_serves_goldens_fixtures_and_the_page(
    request: pytest.FixtureRequest,
    sides: Callable[[str], list[str]],
    files: tuple[Path, dict[str, str]],
    empty_project: Project,
) -> None:
    shutil.copytree(files[0], empty_project.path, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(empty_project.path)
        assert main(["init", *sides("right"), "--name=net"]) == 0
        text = (empty_project.path / "tfparity.yaml").read_text("utf-8")
        assert text.count("reference:") >= 1
    manifest = empty_project.write(
        "tfparity.yaml", text.replace("health: error", "health: warn") + "    golden: net.npz\n"
    )
    empty_project.write("test_net.py", TESTS)
    assert manifest.exists()
    empty_project.run("tfparity.yaml", "--tfparity-update").assert_outcomes(passed=1)
    result = empty_project.run("test_net.py", "tfparity.yaml", "--tfparity-report=out")
    result.assert_outcomes(passed=2)
    checks = json.loads((empty_project.path / "out" / "report.json").read_text("utf-8"))["checks"]
    assert {check["verdict"] for check in checks} == {"proven"}
    assert "net" in (empty_project.path / "out" / "index.html").read_text("utf-8")


TESTS = """
from pytest_tfparity import assert_parity, parity

@parity("net")
def test_both(reference_model, export_model, golden_inputs, golden_outputs):
    answer = export_model.run(golden_inputs)
    assert answer == reference_model.run(golden_inputs)
    assert answer == golden_outputs
    assert_parity(export_model, reference_model, golden_inputs)
"""
