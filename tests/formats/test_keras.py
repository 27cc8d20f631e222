"""Keras models as sides of a check, and what is wrong with their exports."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import Project
from graphs.saved_models import checked, frozen_of, write_keras
from pytest_tfparity.__main__ import main
from pytest_tfparity.errors import ModelError
from pytest_tfparity.formats.saved_signature import SavedModel
from pytest_tfparity.formats.traced import KerasModel
from pytest_tfparity.graph.read.keras_file import keras_weights
from pytest_tfparity.result import ParityResult

tf = pytest.importorskip("tensorflow")
keras = tf.keras
L = keras.layers


def network(*, epsilon: float = 1e-3, scale: float = 1.0, seed: int = 5, later: float = 0.0) -> Any:
    """Convolution, batch norm, dropout and two heads, with weights and statistics that no initialiser gives.

    ``later`` is how far training has moved them on.
    """
    net = untrained(epsilon=epsilon, scale=scale)
    numbers = np.random.default_rng(seed)
    for weight in net.weights:
        if "seed" not in getattr(weight, "path", weight.name):
            values = (
                numbers.normal(size=weight.shape)
                if len(weight.shape) > 1
                else numbers.uniform(0.5, 1.5, weight.shape)
            )
            weight.assign((values + later * numbers.normal(size=weight.shape)).astype("float32"))
    return net


def untrained(*, epsilon: float = 1e-3, scale: float = 1.0) -> Any:
    """The network as Keras initialises it."""
    image = keras.Input((6, 6, 2), name="image")
    x = L.Rescaling(scale)(image) if scale != 1.0 else image
    x = L.Conv2D(4, 3, padding="same", name="conv")(x)
    x = L.BatchNormalization(epsilon=epsilon, name="bn")(x)
    x = L.Dropout(0.5, name="drop")(L.ReLU()(x))
    x = L.GlobalAveragePooling2D()(x)
    return keras.Model(image, [L.Dense(3, name="first")(x), L.Dense(3, name="second")(x)])


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """The network as Keras saves it."""
    network().save(tmp_path / "net.keras")
    return tmp_path / "net.keras"


def exported(net: Any, folder: Path, call: Callable[[Any], Any] | None = None) -> dict[str, Path]:
    """A SavedModel of ``net`` that servers load; ``call`` is what it computes, in place of inference."""
    return {"saved_model": write_keras(folder, net, call)}


def test_a_model_is_proven_to_be_its_saved_model_and_that_its_frozen_graph(
    saved: Path, tmp_path: Path
) -> None:
    sides = exported(keras.models.load_model(saved), tmp_path / "export")
    assert checked({"keras": saved}, sides).verdict == "proven"
    assert checked(**frozen_of(tmp_path / "export", tmp_path / "export.pb")).verdict == "proven"


def test_its_hdf5_file_is_proven_too(saved: Path, tmp_path: Path) -> None:
    net = keras.models.load_model(saved)
    net.save(tmp_path / "net.h5")
    shutil.copy(tmp_path / "net.h5", tmp_path / "net.model")  # by its content, not by its name
    assert checked({"keras": saved}, {"keras": tmp_path / "net.model"}).verdict == "proven"


def test_it_answers_as_keras_does(saved: Path) -> None:
    images = np.random.default_rng(0).normal(size=(3, 6, 6, 2)).astype("float32")
    expected = keras.models.load_model(saved)(images, training=False)
    found = KerasModel(saved, saved.parent).run({"image": images}, ["output_0", "output_1"])
    for value, name in zip(expected, found, strict=True):
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-6)


def cause_of(result: ParityResult) -> tuple[str, str, tuple[str, ...]]:
    finding = result.findings[0]
    return finding.cause, finding.certainty, finding.scopes


WRONG: dict[str, tuple[Callable[[Path, Path], dict[str, Path]], str, str, str]] = {
    "training mode": (
        lambda saved, folder: exported(
            net := keras.models.load_model(saved), folder, lambda image: _trained(net, image, bn=True)
        ),
        "bn-training-mode",
        "proven",
        "bn",
    ),
    "dropout": (
        lambda saved, folder: exported(
            net := keras.models.load_model(saved), folder, lambda image: _trained(net, image, drop=True)
        ),
        "dropout-active",
        "proven",
        "drop",
    ),
    "epsilon": (
        lambda saved, folder: exported(network(epsilon=1e-1), folder),
        "bn-epsilon-mismatch",
        "proven",
        "bn",
    ),
    "statistics": (
        lambda saved, folder: exported(_without_statistics(saved), folder),
        "bn-stats-initial-values",
        "proven",
        "bn",
    ),
    "partial restore": (
        lambda saved, folder: exported(_partly_restored(saved), folder),
        "partial-restore",
        "proven",
        "second",
    ),
    "another run": (
        lambda saved, folder: exported(network(seed=9), folder),
        "other-run",
        "suggestive",
        "conv",
    ),
    "stale": (
        lambda saved, folder: exported(network(later=0.05), folder),
        "stale-export",
        "suggestive",
        "conv",
    ),
    "preprocessing": (
        lambda saved, folder: exported(network(scale=2.0), folder),
        "input-scaling",
        "proven",
        "rescaling",
    ),
    "outputs exchanged": (
        lambda saved, folder: exported(
            net := keras.models.load_model(saved), folder, lambda image: net(image, training=False)[::-1]
        ),
        "wrong-output-node",
        "proven",
        "",
    ),
}


def _trained(net: Any, image: Any, *, bn: bool = False, drop: bool = False) -> Any:
    x = net.get_layer("bn")(net.get_layer("conv")(image), training=bn)
    x = net.get_layer("drop")(tf.nn.relu(x), training=drop)
    x = tf.reduce_mean(x, [1, 2])
    return [net.get_layer("first")(x), net.get_layer("second")(x)]


def _without_statistics(saved: Path) -> Any:
    """The network with trained weights and the moving statistics that a batch norm begins with."""
    net = keras.models.load_model(saved)
    net.get_layer("bn").moving_mean.assign(np.zeros(4))
    net.get_layer("bn").moving_variance.assign(np.ones(4))
    return net


def _partly_restored(saved: Path) -> Any:
    """A new network that has the trained weights but for its last layer, as ``skip_mismatch=True`` leaves it."""
    trained, net = keras.models.load_model(saved), untrained()
    for layer in net.layers:
        if layer.weights and layer.name != "second":
            layer.set_weights(trained.get_layer(layer.name).get_weights())
    return net


@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_export_is_explained(saved: Path, tmp_path: Path, fault: str) -> None:
    export, cause, certainty, scope = WRONG[fault]
    result = checked({"keras": saved}, export(saved, tmp_path / "export"))
    assert result.verdict in ("fail", "error")
    found = cause_of(result)
    assert found[0] == cause, [(each.cause, each.message) for each in result.findings]
    assert found[1] == certainty
    assert any(scope in each for each in (*found[2], *result.findings[0].nodes))


def test_what_keras_itself_leaves_in_training_mode_is_told(tmp_path: Path) -> None:
    image = keras.Input((6, 6, 2), name="image")
    x = L.BatchNormalization(name="bn")(L.Resizing(4, 4)(image))
    net = keras.Model(image, L.GlobalAveragePooling2D()(x))
    net.save(tmp_path / "net.keras")
    sides = exported(net, tmp_path / "export")
    images = np.random.default_rng(0).normal(size=(3, 6, 6, 2)).astype("float32")
    answer = SavedModel(tmp_path / "export").run({"image": images}, ["output_0"])["output_0"]
    result = checked({"keras": tmp_path / "net.keras"}, sides)
    if np.allclose(answer, net(images, training=False), atol=1e-6):
        assert result.verdict == "proven"
    else:  # Keras 3.15
        assert cause_of(result) == ("bn-training-mode", "proven", ("bn",))


def test_a_weight_that_a_loop_reads_is_repaired_as_a_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sequence = keras.Input((6, 3), name="sequence")
    net = keras.Model(sequence, L.Dense(2, name="top")(L.GRU(4, name="gru")(sequence)))
    numbers = np.random.default_rng(1)
    for weight in net.weights:
        weight.assign(numbers.normal(size=weight.shape).astype("float32"))
    net.save(tmp_path / "net.keras")
    kernel = next(weight for weight in net.weights if "recurrent" in getattr(weight, "path", weight.name))
    changed = kernel.numpy().copy()
    changed[1, 2] += 4
    kernel.assign(changed)
    sides = exported(net, tmp_path / "export")
    (finding,) = checked({"keras": tmp_path / "net.keras"}, sides).findings
    assert (finding.cause, finding.nodes) == ("weights-differ", ("gru/gru_cell/recurrent_kernel",))
    assert "parity returns" in " ".join(finding.evidence)
    if not hasattr(net, "_inputs_struct"):
        return  # Keras 2 gives the loop the value
    monkeypatch.chdir(tmp_path)
    assert main(["check", "net.keras", "export", "--write-repaired", "repaired.pb"]) == 2
    assert "cannot be written as a frozen graph: gru/gru_cell/" in (capsys.readouterr().err)


# --- what the file alone tells


def deep() -> Any:
    """Wrapped, nested and normalised layers, with values that tell every weight from every other."""
    image = keras.Input((6, 6, 2), name="image")
    inner = keras.Input((6, 6, 2))
    block = keras.Model(inner, L.SeparableConv2D(3, 3, padding="same", name="sep")(inner))
    x = L.BatchNormalization(scale=False, name="bn")(block(image))
    x = L.Reshape((36, 3))(L.PReLU(name="slope")(x))
    x = L.Bidirectional(L.GRU(2, name="gru"), name="both")(x)
    net = keras.Model(image, L.Dense(3, use_bias=False, name="top")(x))
    numbers = np.random.default_rng(2)
    for weight in net.weights:
        if "seed" not in getattr(weight, "path", weight.name):
            weight.assign(numbers.uniform(0.5, 1.5, weight.shape).astype("float32"))
    net.compile("adam", "mse")
    return net


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_the_weights_in_a_file_have_their_names_without_tensorflow(tmp_path: Path, suffix: str) -> None:
    net = deep()
    net.save(tmp_path / f"net{suffix}")
    held = keras_weights(tmp_path / f"net{suffix}", "net")
    expected = {
        str(getattr(weight, "path", weight.name)).partition(":")[0]: np.asarray(weight)
        for weight in net.weights
        if "seed" not in getattr(weight, "path", weight.name)
    }
    if not zipfile.is_zipfile(tmp_path / f"net{suffix}"):
        expected = {name: value for name, value in expected.items() if name in held}
        assert len(expected) == len(held)
    assert sorted(held) == sorted(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(held[name].array, value)


def test_weights_are_compared_where_the_model_cannot_be_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space: dict[str, Any] = {}
    exec(CLASSES, space)
    vector = keras.Input((3,), name="vector")
    net = keras.Model(vector, space["Twice"]()(L.Dense(2, name="top")(vector)))
    net.save(tmp_path / "net.keras")
    write_keras(tmp_path / "right", net)
    net.get_layer("top").kernel.assign(np.ones((3, 2)))
    write_keras(tmp_path / "wrong", net)
    monkeypatch.chdir(tmp_path)
    told = {
        name: checked({"keras": tmp_path / "net.keras"}, {"saved_model": tmp_path / name}, compare="weights")
        for name in ("right", "wrong")
    }
    assert {name: result.verdict for name, result in told.items()} == {"right": "pass", "wrong": "fail"}
    assert any("top/kernel" in note for note in told["wrong"].notes)


def test_another_epoch_is_told_by_the_file_beside_it(tmp_path: Path) -> None:
    net = deep()
    net.save(tmp_path / "epoch-1.keras")
    sides = exported(net, tmp_path / "export")
    for weight in net.trainable_weights:
        weight.assign_add(0.01 * np.ones(weight.shape))
    net.save(tmp_path / "epoch-2.keras")
    (tmp_path / "epoch-3.keras").write_bytes(b"PK\x03\x04 cut off")
    (finding,) = checked({"keras": tmp_path / "epoch-2.keras"}, sides).findings
    assert (finding.cause, finding.certainty) == ("stale-export", "proven")
    assert "epoch-1.keras" in finding.message + " ".join(finding.evidence)


# --- what is wrong with a file


def error(file: Path, **options: Any) -> str:
    with pytest.raises(ModelError) as caught:
        KerasModel(file, file.parent, **options).outputs()
    return str(caught.value)


def test_code_in_the_file_is_not_run_unless_it_is_trusted(tmp_path: Path) -> None:
    vector = keras.Input((3,), name="vector")
    net = keras.Model(vector, L.Lambda(lambda x: x * 2.0)(vector))
    for name in ("net.keras", "net.h5"):
        net.save(tmp_path / name)
        said = error(tmp_path / name)
        assert "holds a Lambda layer with Python code of its own, which loading it would run" in said
        assert "`trusted: true`" in said
        model = KerasModel(tmp_path / name, tmp_path, trusted=True)
        assert model.run({"vector": np.ones((1, 3), "float32")}, ["output_0"])["output_0"].tolist() == [
            [2, 2, 2]
        ]


CLASSES = """
from tensorflow import keras

class Twice(keras.layers.Layer):
    def call(self, x):
        return x * 2.0

def classes():
    return {"Twice": Twice}
"""


def test_classes_of_the_project_are_named(empty_project: Project) -> None:
    empty_project.write("mine.py", CLASSES)
    space: dict[str, Any] = {}
    exec(CLASSES, space)
    vector = keras.Input((3,), name="vector")
    net = keras.Model(vector, space["Twice"]()(vector))
    net.save(empty_project.path / "net.keras")
    said = error(empty_project.path / "net.keras")
    assert "net.keras holds Twice, no class of Keras" in said
    assert "Name a function that returns it by name under `custom_objects`." in said
    write_keras(empty_project.path / "net", net)
    empty_project.write(
        "tfparity.yaml",
        "models:\n  net:\n    reference: {keras: net.keras, custom_objects: 'mine:classes'}\n"
        "    export: {saved_model: net}\n    inputs: {vector: {random: {distribution: normal, shape: [2, 3]}}}\n",
    )
    empty_project.run("tfparity.yaml").assert_outcomes(passed=1)


def test_wrong_files_are_told_in_a_sentence(saved: Path, tmp_path: Path) -> None:
    assert "does not exist" in error(tmp_path / "none.keras")
    network().save_weights(tmp_path / "net.weights.h5")
    assert "holds weights alone, no model to run them in" in error(tmp_path / "net.weights.h5")
    (tmp_path / "text.h5").write_text("no model")
    assert "is no Keras model: neither a .keras archive nor an HDF5 file" in error(tmp_path / "text.h5")
    (tmp_path / "pointer.keras").write_text("version https://git-lfs.github.com/spec/v1\n")
    assert "is a Git LFS pointer" in error(tmp_path / "pointer.keras")
    (tmp_path / "folder.keras").mkdir()
    assert "is a directory" in error(tmp_path / "folder.keras")
    np.savez(tmp_path / "arrays.keras", x=np.zeros(2))
    (tmp_path / "arrays.keras.npz").rename(tmp_path / "arrays.keras")
    assert "is a zip archive without config.json" in error(tmp_path / "arrays.keras")
    network().save(tmp_path / "whole.h5")
    (tmp_path / "cut.h5").write_bytes((tmp_path / "whole.h5").read_bytes()[:4000])
    assert "cut.h5 is a damaged HDF5 file" in error(tmp_path / "cut.h5")
    if not zipfile.is_zipfile(saved):
        return  # Keras 2 writes one format alone, which does not say who wrote it
    with zipfile.ZipFile(saved) as archive, zipfile.ZipFile(tmp_path / "newer.keras", "w") as newer:
        for name in archive.namelist():
            data = archive.read(name)
            if name == "metadata.json":
                data = json.dumps({**json.loads(data), "keras_version": "99.1.0"}).encode()
            newer.writestr(
                name,
                data.replace(b"BatchNormalization", b"NoSuchLayerYet") if name == "config.json" else data,
            )
    assert "which Keras 99.1.0 wrote" in error(tmp_path / "newer.keras")
    (tmp_path / "cut.keras").write_bytes(saved.read_bytes()[:4000])
    assert "is a .keras archive that is cut off: its directory is missing" in error(tmp_path / "cut.keras")
    with zipfile.ZipFile(tmp_path / "mixed.keras", "w") as mixed:
        mixed.writestr("config.json", "{")
    assert "its config.json is no JSON" in error(tmp_path / "mixed.keras")
