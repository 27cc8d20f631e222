"""What is wrong with a checkpoint although parity holds: warnings, or failures under ``health: error``."""

import json

import numpy as np
import pytest

from conftest import MANIFEST, WORKERS, Project
from graphs.networks import build, freeze, images, load, weights
from pytest_tfparity.remembered.hashes import Stamp


def train(project: Project, steps: int = 20, **changed: np.ndarray) -> None:
    """Write checkpoint, meta graph and export of one session, with some values replaced."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        build()
        values = weights(v1.global_variables())
        values["global_step"] = np.asarray(steps, np.int64)
        values.update({name.replace("__", "/"): value for name, value in changed.items()})
        load(session, values)
        v1.train.Saver().save(session, str(project.path / "model.ckpt-7"))
        freeze(session, project.path / "model.pb")
    np.savez(project.path / "images.npz", image=images())
    project.write("tfparity.yaml", MANIFEST)


@pytest.fixture
def never_updated(empty_project: Project) -> Project:
    train(
        empty_project,
        block__bn__moving_mean=np.zeros(3, np.float32),
        block__bn__moving_variance=np.ones(3, np.float32),
    )
    return empty_project


def test_statistics_that_were_never_updated_warn(never_updated: Project) -> None:
    result = never_updated.run()
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(["*HealthWarning: net: block/bn*moving_mean*UPDATE_OPS*"])


def test_a_remembered_verdict_warns_as_it_did(
    never_updated: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Stamp, "settled", True)
    told = []
    for closing in ("parity: 1 proven equal", "parity: 1 proven equal (1 remembered, its files*"):
        result = never_updated.run("--tfparity-cache=proven.json")
        result.assert_outcomes(passed=1, warnings=1)
        result.stdout.fnmatch_lines([closing])
        told.append([line for line in result.outlines if "HealthWarning" in line])
    assert told[0] == told[1] != []


def test_under_health_error_they_fail(never_updated: Project) -> None:
    result = never_updated.run("--tfparity-health=error")
    result.assert_outcomes(failed=1, warnings=0)
    result.stdout.fnmatch_lines(
        ["net: bn-stats-never-updated in block/bn: The checkpoint is unsound: block/bn*"]
    )


def test_under_health_ignore_nothing_is_said(never_updated: Project) -> None:
    never_updated.run("--tfparity-health=ignore").assert_outcomes(passed=1, warnings=0)


def test_warnings_as_errors_fail_with_the_sentence_alone(never_updated: Project) -> None:
    result = never_updated.run("-W", "error")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["net: block/bn*UPDATE_OPS*"])
    result.stdout.no_fnmatch_line("*pytest_tfparity/*.py*")


@pytest.mark.parametrize("workers", WORKERS)
def test_the_warning_is_filtered_under_its_public_name(never_updated: Project, workers: list[str]) -> None:
    run = never_updated.run_apart if workers else never_updated.run
    result = run("-W", "error::pytest_tfparity.HealthWarning", *workers)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["net: block/bn*UPDATE_OPS*"])
    result.stdout.no_fnmatch_line("*pytest_tfparity/*.py*")
    run("-W", "ignore::pytest_tfparity.HealthWarning", *workers).assert_outcomes(passed=1, warnings=0)


def test_the_warning_is_filtered_in_the_configuration(never_updated: Project) -> None:
    never_updated.write(
        "pyproject.toml",
        '[tool.pytest.ini_options]\nfilterwarnings = ["error::pytest_tfparity.HealthWarning"]\n',
    )
    never_updated.run_apart().assert_outcomes(failed=1)
    never_updated.write("pyproject.toml", '[tool.pytest.ini_options]\nfilterwarnings = ["error"]\n')
    never_updated.run_apart("-W", "ignore::pytest_tfparity.HealthWarning").assert_outcomes(passed=1)


def test_a_checkpoint_that_was_not_trained_yet_is_no_fault(empty_project: Project) -> None:
    train(
        empty_project,
        steps=0,
        block__bn__moving_mean=np.zeros(3, np.float32),
        block__bn__moving_variance=np.ones(3, np.float32),
    )
    empty_project.run().assert_outcomes(passed=1, warnings=0)


def test_parity_with_the_weights_of_another_step_warns(empty_project: Project) -> None:
    train(empty_project)
    export = (empty_project.path / "model.pb").read_bytes()
    for file in list(empty_project.path.glob("model.ckpt-7.*")):
        file.rename(file.with_name(file.name.replace("ckpt-7", "ckpt-6")))
    moved = {name: value * (1 + 1e-6) for name, value in kernels().items()}
    train(empty_project, **moved)
    (empty_project.path / "model.pb").write_bytes(export)
    result = empty_project.run("--tfparity-atol=1e-3")
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(["*HealthWarning: net: The export is within tolerance, but*model.ckpt-6*"])


def test_what_a_tolerance_hides_fails_under_health_error(empty_project: Project) -> None:
    train(empty_project)
    export = (empty_project.path / "model.pb").read_bytes()
    moved = {name: value * (1 + 1e-6) for name, value in kernels().items() if name == "block__conv__kernel"}
    assert moved
    train(empty_project, **moved)
    (empty_project.path / "model.pb").write_bytes(export)
    result = empty_project.run("--tfparity-atol=1e-3", "--tfparity-health=error")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["net: * in block/conv: The export is within tolerance, but it is not the same function: *"]
    )


def test_parity_with_the_weights_of_another_run_warns_of_that(empty_project: Project) -> None:
    train(empty_project, **kernels(seed=1))
    export = (empty_project.path / "model.pb").read_bytes()
    train(empty_project)
    (empty_project.path / "model.pb").write_bytes(export)
    empty_project.run("--tfparity-atol=1e3", "--tfparity-report=out").assert_outcomes(passed=1, warnings=1)
    (check,) = json.loads((empty_project.path / "out/report.json").read_text("utf-8"))["checks"]
    assert [health["cause"] for health in check["health"]] == ["other-run"]


def kernels(seed: int = 0) -> dict[str, np.ndarray]:
    """The float variables of the network as ``train`` sets them, by keyword, or of another run."""
    import tensorflow as tf

    with tf.Graph().as_default():
        build()
        values = weights(tf.compat.v1.global_variables(), seed)
    return {
        name.replace("/", "__"): value.astype(np.float32)
        for name, value in values.items()
        if name != "global_step"
    }
