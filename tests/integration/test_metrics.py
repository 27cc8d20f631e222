"""Outputs that are judged as approximations: what is printed and reported of metrics."""

from __future__ import annotations

import json

import numpy as np
import pytest

from conftest import MANIFEST, Project
from faults.graphs import hold, node_of, value_of

tf = pytest.importorskip("tensorflow")


@pytest.fixture
def approximate(project: Project) -> Project:
    """A project whose export has a kernel of about eight bits."""
    path = project.path / "model.pb"
    graph = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    kernel = node_of(graph, "fc/kernel")
    value = value_of(kernel)
    step = np.abs(value).max() / 127
    hold(kernel, (np.round(value / step) * step).astype(np.float32))
    path.write_bytes(graph.SerializeToString())
    return project


def stated(outputs: str) -> str:
    return MANIFEST.replace('["logits:0", "probabilities:0"]', outputs)


def test_an_export_passes_by_the_metrics_that_are_asked(approximate: Project) -> None:
    approximate.write("tfparity.yaml", stated('[{reference: "logits:0", sqnr: 30, cosine: 0.999}]'))
    result = approximate.run("--tfparity-report=report")
    result.assert_outcomes(passed=1)
    (check,) = json.loads((approximate.path / "report/report.json").read_text())["checks"]
    (output,) = check["outputs"]
    assert [(each["name"], each["asked"], each["passed"]) for each in output["criteria"]] == [
        ("sqnr", 30.0, True),
        ("cosine", 0.999, True),
    ]
    assert output["criteria"][0]["value"] > 30
    page = (approximate.path / "report/index.html").read_text()
    assert "sqnr" in page


def test_a_failure_says_which_metric_is_not_met_its_value_and_what_would_pass(approximate: Project) -> None:
    approximate.write("tfparity.yaml", stated('[{reference: "logits:0", sqnr: 200, cosine: 0.999}]'))
    result = approximate.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "net: weights-quantised-8bit (proven) in fc, logits:0: sqnr * dB, at least 200 asked. Fix: *",
            "  logits:0 would pass with sqnr=*",
        ]
    )
    result.stdout.no_fnmatch_line("*cosine*asked*")


def test_steps_of_an_output_that_is_not_quantised_are_an_error(approximate: Project) -> None:
    approximate.write("tfparity.yaml", stated('[{reference: "logits:0", steps: 2}]'))
    result = approximate.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "net: net states steps for logits:0, but model.pb does not quantise that output.",
            "  State sqnr, cosine or atol in place of steps.",
        ]
    )


def test_goldens_keep_the_reference_as_exactly_as_without_metrics(approximate: Project) -> None:
    text = stated('[{reference: "logits:0", sqnr: 30}]') + "    golden: goldens/net.npz\n"
    approximate.write("tfparity.yaml", text)
    approximate.run("--tfparity-update").assert_outcomes(passed=1)
    assert "tolerance: {sqnr: 30.0}" in (approximate.path / "goldens/net.yaml").read_text()
    approximate.run().assert_outcomes(passed=1)
    stored = dict(np.load(approximate.path / "goldens/net.npz"))
    approximate.write("tfparity.yaml", text.replace("sqnr: 30", "sqnr: 31"))
    result = approximate.run("--tfparity-update")
    result.stdout.fnmatch_lines(["*1 updated*"])
    assert {
        name: value.tobytes() for name, value in np.load(approximate.path / "goldens/net.npz").items()
    } == {name: value.tobytes() for name, value in stored.items()}
