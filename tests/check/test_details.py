"""What the pictures need: computed where a report is asked for, and never at the cost of a verdict."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from conftest import MANIFEST, Project
from pytest_tfparity.check.details import parts as details_module
from pytest_tfparity.check.details.grad_cam import heat_maps
from pytest_tfparity.check.details.numbers import largest_difference, quantiles
from pytest_tfparity.check.details.values import MOST_POINTS, output_differences
from pytest_tfparity.comparison.compare import compare
from pytest_tfparity.comparison.tolerance import Tolerance
from pytest_tfparity.result_details import OutputDifferences


def differences(reference: Any, export: Any) -> tuple[OutputDifferences, ...]:
    arrays = np.asarray(reference), np.asarray(export)
    output = compare(*arrays, Tolerance(), reference_name="a:0", export_name="b:0")
    return output_differences([output], {"a:0": arrays[0]}, {"b:0": arrays[1]})


def test_every_value_is_counted_once() -> None:
    reference = np.zeros(6)
    (found,) = differences(reference, [0.0, 1e-3, 2e-3, 0.5, np.nan, np.inf])
    assert (found.equal, found.beyond, found.total) == (1, 2, 6)
    assert sum(found.counts) == 3
    assert len(found.edges) == len(found.counts) + 1


def test_each_difference_lies_between_the_edges_of_its_bin() -> None:
    values = np.abs(np.random.default_rng(1).normal(size=500)) * 1e-4
    (found,) = differences(np.zeros(500), values)
    expected, _ = np.histogram(values, found.edges)
    assert sum(found.counts) == 500
    assert np.abs(expected - found.counts).sum() <= 2  # edges are rounded to six digits


def test_the_sample_holds_the_worst_values_first() -> None:
    export = np.zeros(10_000)
    export[7_777] = 3.0
    (found,) = differences(np.zeros(10_000), export)
    assert len(found.points) == MOST_POINTS
    assert found.points[0] == (0.0, 3.0)


@pytest.mark.parametrize("export", [np.zeros(3), np.array([b"a", b"b"])])
def test_what_has_no_difference_has_no_histogram(export: Any) -> None:
    reference = np.zeros(2) if export.dtype.kind == "f" else np.array([b"a", b"c"])
    assert differences(reference, export) == ()


def test_few_values_stand_for_themselves() -> None:
    assert quantiles(np.array([2.0, 1.0])) == (2.0, 1.0)
    assert quantiles(np.arange(9.0)) == (0.0, 2.0, 4.0, 6.0, 8.0)
    assert quantiles(np.array([np.nan])) is None


def test_another_shape_has_no_difference() -> None:
    assert largest_difference(np.zeros(2), np.zeros(3)) is None
    assert largest_difference(np.zeros(2), np.ones(2)) == 1.0
    assert largest_difference(None, np.ones(2)) is None


def test_a_heat_map_weighs_channels_by_their_mean_gradient() -> None:
    activations = np.zeros((1, 2, 2, 2))
    activations[0, :, :, 0] = [[1, 0], [0, 2]]
    activations[0, :, :, 1] = [[0, 5], [0, 1]]
    gradients = np.zeros((1, 2, 2, 2))
    gradients[0, :, :, 0] = [[4, 0], [0, 4]]  # mean 2
    gradients[0, :, :, 1] = -1.0
    assert heat_maps(activations, gradients).tolist() == [[[2.0, 0.0], [0.0, 3.0]]]


def details(project: Project) -> dict[str, Any]:
    (check,) = json.loads((project.path / "out" / "report.json").read_text())["checks"]
    found: dict[str, Any] = check["details"]
    return found


def test_a_failing_check_has_what_every_picture_needs(broken_project: Project) -> None:
    broken_project.run("--tfparity-report=out").assert_outcomes(failed=1)
    found = details(broken_project)
    assert found["problems"] == []
    culprits = [node for node in found["nodes"] if node["culprit"]]
    assert [node["op"] for node in culprits] == ["FusedBatchNormV3"]
    assert culprits[0]["own"] > 0
    assert [node["index"] for node in found["nodes"]] == sorted(node["index"] for node in found["nodes"])
    assert [output["export"] for output in found["outputs"]] == ["logits:0", "probabilities:0"]
    (norm,) = [row for row in found["batch_norms"] if row["divergent"]]
    assert (norm["reference_mode"], norm["export_mode"]) == ("inference", "training")
    (around,) = found["neighbourhoods"]
    assert any(node["role"] == "culprit" for node in around["export"]["nodes"])
    assert 1 < len(around["export"]["nodes"]) <= 12
    assert all(edge[0] != edge[1] for edge in around["export"]["edges"])


def test_without_a_report_nothing_of_it_is_computed(
    broken_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("computed")

    monkeypatch.setattr("pytest_tfparity.check.explain.details_of", refuse)
    broken_project.run().assert_outcomes(failed=1)


def test_a_proven_check_has_no_details(project: Project) -> None:
    project.run("--tfparity-report=out").assert_outcomes(passed=1)
    assert details(project) is None


def test_a_defect_costs_its_picture_and_nothing_else(
    broken_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def defect(*arguments: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(details_module, "batch_norm_rows", defect)
    result = broken_project.run("--tfparity-report=out")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*bn-training-mode*"])
    found = details(broken_project)
    assert found["problems"] == ["The table of batch norms could not be made: division by zero."]
    assert found["batch_norms"] == []
    assert found["nodes"]


def test_grad_cam_of_both_sides(broken_project: Project) -> None:
    import tensorflow as tf

    definition = tf.compat.v1.GraphDef.FromString((broken_project.path / "model.pb").read_bytes())
    convolution = next(f"{node.name}:0" for node in definition.node if node.op == "Conv2D")
    tensors = f"{{image: 'image:0', activations: '{convolution}', gradients: '{convolution}'}}"
    broken_project.write("tfparity.yaml", f"{MANIFEST}    grad_cam: {tensors}\n")
    broken_project.run("--tfparity-report=out").assert_outcomes(failed=1)
    found = details(broken_project)
    assert found["problems"] == []
    for each in found["grad_cam"]:
        assert each["image"].startswith("data:image/png;base64,")
        assert min(value for row in each["export"]["rows"] for value in row) >= 0
        assert len(each["reference"]["classes"]) == len(each["export"]["classes"]) > 0


def test_a_tensor_that_is_not_there_costs_grad_cam_alone(broken_project: Project) -> None:
    tensors = "{image: 'image:0', activations: {reference: 'nothing:0'}, gradients: 'nothing:0'}"
    broken_project.write("tfparity.yaml", f"{MANIFEST}    grad_cam: {tensors}\n")
    broken_project.run("--tfparity-report=out").assert_outcomes(failed=1)
    (problem,) = details(broken_project)["problems"]
    assert problem.startswith("Grad-CAM could not be made: ")
    assert "nothing" in problem


def test_grad_cam_needs_all_three_tensors(project: Project) -> None:
    project.write("tfparity.yaml", f"{MANIFEST}    grad_cam: {{image: 'image:0'}}\n")
    result = project.run()
    result.stdout.fnmatch_lines(["*'grad_cam' of model 'net' needs 'activations' and 'gradients' too.*"])
