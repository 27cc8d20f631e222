"""Checkpoints that ``tf.train.Checkpoint`` wrote, with a function that builds the objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import Project
from graphs.saved_models import write_keras
from pytest_tfparity.errors import ModelError, SettingsError
from pytest_tfparity.formats.checkpoint import Checkpoint, CheckpointFormat
from pytest_tfparity.formats.format import SideSpec
from pytest_tfparity.formats.traced import ObjectCheckpoint

tf = pytest.importorskip("tensorflow")

NETWORK = """
import tensorflow as tf


def build():
    x = tf.keras.Input((4,), name="x")
    y = tf.keras.layers.BatchNormalization(name="bn")(tf.keras.layers.Dense(5, name="hidden")(x))
    return tf.keras.Model(x, tf.keras.layers.Dense(2, name="top")(y))


class Net(tf.Module):
    def __init__(self):
        super().__init__()
        self.kernel = tf.Variable(tf.ones([4, 2]), name="kernel")

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
    def __call__(self, x):
        return {"scores": x @ self.kernel}


def pair():
    net = build()
    spec = tf.TensorSpec([None, 4], tf.float32, name="x")
    return net, tf.function(lambda x: {"output_0": net(x, training=False)}, input_signature=[spec])


def larger():
    net = build()
    return tf.keras.Model(net.inputs, tf.keras.layers.Dense(2, name="more")(net.outputs[0]))


def wider():
    x = tf.keras.Input((4,), name="x")
    y = tf.keras.layers.BatchNormalization(name="bn")(tf.keras.layers.Dense(6, name="hidden")(x))
    return tf.keras.Model(x, tf.keras.layers.Dense(2, name="top")(y))


def nothing():
    return None
"""


@pytest.fixture
def project(empty_project: Project) -> Project:
    """A folder with ``network.py``, checkpoints of what it builds, and their SavedModels."""
    empty_project.write("network.py", NETWORK)
    space: dict[str, Any] = {"__name__": "network"}
    exec(NETWORK, space)
    numbers = np.random.default_rng(1)
    net, module = space["build"](), space["Net"]()
    for weight in (*net.weights, module.kernel):
        weight.assign(numbers.uniform(0.5, 1.5, weight.shape).astype("float32"))
    folder = empty_project.path
    tf.train.Checkpoint(model=net, step=tf.Variable(3)).write(str(folder / "whole"))
    tf.train.Checkpoint(net).write(str(folder / "root"))
    tf.train.Checkpoint(net=module).write(str(folder / "module"))
    write_keras(folder / "net", net)
    tf.saved_model.save(module, str(folder / "served"))
    net.get_layer("top").bias.assign([4, 4])
    tf.train.Checkpoint(model=net).write(str(folder / "later"))
    return empty_project


def manifest(checkpoint: str, builder: str, export: str) -> str:
    return (
        f"models:\n  net:\n    reference: {{checkpoint: {checkpoint}, builder: 'network:{builder}'}}\n"
        f"    export: {{saved_model: {export}}}\n"
        "    inputs: {x: {random: {distribution: normal, shape: [3, 4]}}}\n"
    )


@pytest.mark.parametrize(
    ("checkpoint", "builder", "export"),
    [
        ("whole", "build", "net"),
        ("root", "build", "net"),
        ("whole", "pair", "net"),
        ("module", "Net", "served"),
    ],
)
def test_it_is_proven_to_be_its_saved_model(
    project: Project, checkpoint: str, builder: str, export: str
) -> None:
    project.write("tfparity.yaml", manifest(checkpoint, builder, export))
    result = project.run("tfparity.yaml")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["parity: 1 proven equal"])


def test_another_step_is_told_by_the_checkpoint_beside_it(project: Project) -> None:
    project.write("tfparity.yaml", manifest("later", "build", "net"))
    result = project.run("tfparity.yaml")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*top   stale-export   proven", "*1 constant of net equals root bit for bit, not later*"]
    )


def test_what_the_checkpoint_lacks_is_said(project: Project) -> None:
    def error(builder: str) -> str:
        with pytest.raises(ModelError) as caught:
            ObjectCheckpoint(project.path / "whole", project.path, builder=f"network:{builder}").outputs()
        return str(caught.value)

    assert "lacks variables of what builder network:larger returns: more/" in error("larger")
    assert "cannot be restored into what builder network:wider returns" in error("wider")
    assert "Build the network that it was saved from." in error("wider")
    assert "builder network:nothing returns a NoneType, and the checkpoint is an object-based one" in error(
        "nothing"
    )


def test_the_index_says_what_kind_of_checkpoint_it_is(project: Project) -> None:
    form = CheckpointFormat()

    def opened(**options: Any) -> Any:
        return form.open(
            SideSpec(format="checkpoint", path=project.path / "whole", options=options), project.path
        )

    assert isinstance(opened(builder="network:build"), ObjectCheckpoint)
    assert isinstance(opened(), Checkpoint)
    with pytest.raises(SettingsError, match=r"`ema` means nothing for .*whole, an object-based checkpoint"):
        opened(builder="network:build", ema="all")


def test_it_names_the_file_that_the_user_named(project: Project) -> None:
    model = ObjectCheckpoint(project.path / "whole", project.path, builder="network:build")
    assert model.path == project.path / "whole"
    assert sorted(model.tensors()) == sorted(
        f"{layer}/{name}"
        for layer, names in {
            "bn": ("beta", "gamma", "moving_mean", "moving_variance"),
            "hidden": ("bias", "kernel"),
            "top": ("bias", "kernel"),
        }.items()
        for name in names
    )
    assert project.path / "root" in model.siblings()
    folder: Path = model.folder
    model.close()
    assert not folder.exists()
