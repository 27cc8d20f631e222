"""The tolerance that float32 itself sets: `rounding`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from conftest import MANIFEST, Project
from faults.graphs import folded, hold, node_of, value_of

tf = pytest.importorskip("tensorflow")
v1 = tf.compat.v1


def edited(project: Project, edit: Callable[[Any], None], name: str = "model.pb") -> None:
    """Change the export's graph."""
    path = project.path / name
    graph = v1.GraphDef.FromString(path.read_bytes())
    edit(graph)
    path.write_bytes(graph.SerializeToString())


def fold(graph: Any) -> None:
    """Fold the batch norm, as a right export does."""
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    values = {f"block/bn/{name}": value_of(node_of(graph, f"block/bn/{name}")) for name in names}
    folded("block/conv/kernel", "block/bn")(graph, values)


def half(graph: Any) -> None:
    """Round a kernel to float16."""
    kernel = node_of(graph, "fc/kernel")
    hold(kernel, value_of(kernel).astype(np.float16).astype(np.float32))


def stated(tolerance: str) -> str:
    return f"{MANIFEST}    {tolerance}\n"


@pytest.fixture
def folded_project(project: Project) -> Project:
    edited(project, fold)
    return project


def checks(project: Project) -> list[dict[str, Any]]:
    report: list[dict[str, Any]] = json.loads((project.path / "report/report.json").read_text())["checks"]
    return report


@pytest.mark.parametrize("tolerance", ["tolerance: rounding", "rounding: 8"])
def test_a_right_fold_is_within_the_rounding(folded_project: Project, tolerance: str) -> None:
    folded_project.write("tfparity.yaml", stated(tolerance))
    result = folded_project.run("--tfparity-report=report")
    result.assert_outcomes(passed=1)
    (check,) = checks(folded_project)
    assert check["verdict"] == "pass"
    for output in check["outputs"]:
        assert output["rounding_allowed"] == 8
        assert 0 < output["times_rounding"] < 3
        assert output["atol"] == 8 * output["rounding"]
        assert output["rounding"] < 2e-6


def test_float16_weights_are_not(folded_project: Project) -> None:
    edited(folded_project, half)
    folded_project.write("tfparity.yaml", stated("tolerance: rounding"))
    result = folded_project.run("--tfparity-report=report")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["net: weights-fp16 (proven) in *, max abs * times the rounding *, 8 allowed)*"]
    )
    result.stdout.no_fnmatch_line("*Smallest tolerance*")
    (check,) = checks(folded_project)
    assert max(output["times_rounding"] for output in check["outputs"]) > 50


def test_the_tolerance_that_is_suggested_for_weights_of_less_precision_passes(project: Project) -> None:
    edited(project, half)
    report = project.run().stdout.str()
    suggested = report.split("Smallest tolerance that would pass: atol=")[1].split()[0]
    project.run(f"--tfparity-atol={suggested}").assert_outcomes(passed=1)


def test_an_output_may_state_its_own(folded_project: Project) -> None:
    manifest = MANIFEST.replace('"logits:0",', "{reference: logits, rounding: 4},")
    folded_project.write("tfparity.yaml", f"{manifest}    atol: 0.5\n")
    folded_project.run("--tfparity-report=report").assert_outcomes(passed=1)
    logits, probabilities = checks(folded_project)[0]["outputs"]
    assert logits["rounding_allowed"] == 4
    assert (probabilities["rounding_allowed"], probabilities["atol"]) == (None, 0.5)


@pytest.mark.parametrize(
    ("manifest", "option", "stated_atol"),
    [
        (stated("rounding: 8"), "--tfparity-atol=0.25", 0.25),
        (f"defaults: {{rounding: 8}}\n{stated('atol: 0.5')}", "-q", 0.5),
    ],
    ids=["an option over the manifest", "a model over the defaults"],
)
def test_a_stronger_atol_takes_its_place(
    folded_project: Project, manifest: str, option: str, stated_atol: float
) -> None:
    folded_project.write("tfparity.yaml", manifest)
    folded_project.run("--tfparity-report=report", option).assert_outcomes(passed=1)
    for output in checks(folded_project)[0]["outputs"]:
        assert (output["rounding_allowed"], output["atol"]) == (None, stated_atol)


def test_a_stronger_rounding_takes_the_place_of_an_atol(folded_project: Project) -> None:
    folded_project.write("tfparity.yaml", f"defaults: {{atol: 0}}\n{stated('rounding: 8')}")
    folded_project.run().assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("tolerance", "says"),
    [
        (
            "{rounding: 8, atol: 0.1}",
            "'rounding' of model 'net' and 'atol' of model 'net' are two tolerances; *",
        ),
        (
            "{rounding: 0.5}",
            "'rounding' of model 'net' must be a finite number of at least 1, not the number 0.5.",
        ),
        ("{tolerance: 1e-5}", "'tolerance' of model 'net' must be rounding, not *atol, rtol or rounding."),
        (
            "{rounding: 4, tolerance: rounding}",
            "'tolerance' of model 'net' states what 'rounding' of * does; *",
        ),
    ],
)
def test_what_makes_no_sense_is_said(folded_project: Project, tolerance: str, says: str) -> None:
    lines = [f"    {entry.strip()}" for entry in tolerance.strip("{}").split(",")]
    folded_project.write("tfparity.yaml", MANIFEST + "\n".join(lines) + "\n")
    folded_project.run().stdout.fnmatch_lines([f"*{says}"])


def test_a_proof_needs_no_rounding(project: Project) -> None:
    project.write("tfparity.yaml", stated("tolerance: rounding"))
    project.run("--tfparity-report=report").assert_outcomes(passed=1)
    assert checks(project)[0]["verdict"] == "proven"


def test_a_marker_and_its_eager_comparison_know_it(folded_project: Project) -> None:
    folded_project.write(
        "test_net.py",
        """
        from pytest_tfparity import parity, assert_parity

        @parity("net", rounding=8)
        def test_outputs(frozen_graph, checkpoint_session, golden_inputs):
            assert frozen_graph.run(golden_inputs) == checkpoint_session.run(golden_inputs)

        @parity("net", tolerance="rounding")
        def test_engine(frozen_graph, checkpoint_session, golden_inputs):
            result = assert_parity(frozen_graph, checkpoint_session, golden_inputs)
            assert result.outputs[0].rounding_allowed == 8

        @parity("net", rounding=8)
        def test_other_outputs(frozen_graph, checkpoint_session, golden_inputs):
            assert frozen_graph.run(golden_inputs, ["pool"]) == checkpoint_session.run(golden_inputs, ["pool"])
        """.replace("\n        ", "\n"),
    )
    folded_project.run("test_net.py").assert_outcomes(passed=3)


def test_a_repair_is_held_against_it_too(folded_project: Project) -> None:
    edited(folded_project, half)
    folded_project.write("tfparity.yaml", stated("rounding: 8"))
    folded_project.run("--tfparity-report=report").assert_outcomes(failed=1)
    (finding,) = checks(folded_project)[0]["findings"]
    assert (finding["cause"], finding["certainty"]) == ("weights-fp16", "proven")


def test_a_reference_that_has_hardly_a_digit_passes_nothing() -> None:
    """bfloat16 has two digits: eight times its rounding is a quarter of the answer."""
    from pytest_tfparity.comparison.rounding import compare_exactly
    from pytest_tfparity.comparison.tolerance import Tolerance

    ml_dtypes = pytest.importorskip("ml_dtypes")
    exact = np.array([1.0, 3.0])
    answer = exact.astype(ml_dtypes.bfloat16)
    found = compare_exactly(
        answer, answer, exact, Tolerance(rounding=8.0), reference_name="y:0", export_name="y:0"
    )
    assert not found.passed
    assert found.problem is not None
    assert "would allow anything; state atol" in found.problem


def test_what_a_reference_draws_is_no_rounding(folded_project: Project) -> None:
    """Its noise would be taken for rounding, and allow whatever is smaller than eight times the noise."""
    data = v1.MetaGraphDef.FromString((folded_project.path / "model.ckpt-7.meta").read_bytes())
    with tf.Graph().as_default() as noise:
        tf.identity(v1.placeholder(tf.float32, [], "one") + v1.random_normal([], stddev=1e-3), name="noisy")
    logits = node_of(data.graph_def, "logits")
    for node in noise.as_graph_def().node:
        if node.name != "one":
            data.graph_def.node.add().CopyFrom(node)
    source = logits.input[0]
    logits.input[0] = "noisy"
    node_of(data.graph_def, "add").input[0] = source
    (folded_project.path / "model.ckpt-7.meta").write_bytes(data.SerializeToString())
    folded_project.write("tfparity.yaml", stated("rounding: 8"))
    result = folded_project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*answers differently each time that it is run*"])


# --- a plain tolerance that no float32 can keep


def test_a_right_fold_that_fails_is_told_so_and_nothing_else(folded_project: Project) -> None:
    folded_project.write("tfparity.yaml", stated("atol: 1.0e-9"))
    result = folded_project.run("--tfparity-report=report")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["  *   rounding   decisive", "    Both sides are as exact as float32 allows on these inputs.*"]
    )
    result.stdout.no_fnmatch_line("*No known cause*")
    (check,) = checks(folded_project)
    assert [finding["cause"] for finding in check["findings"]] == ["rounding"]
    assert check["findings"][0]["fix"].startswith("State `tolerance: rounding`, or atol: ")
    assert check["notes"] == []


def test_the_tolerance_that_is_proposed_is_kept(folded_project: Project) -> None:
    folded_project.write("tfparity.yaml", stated("atol: 1.0e-9"))
    folded_project.run("--tfparity-report=report")
    atol = checks(folded_project)[0]["findings"][0]["fix"].rpartition("atol: ")[2].rstrip(".")
    folded_project.write("tfparity.yaml", stated(f"atol: {float(atol)!r}"))
    folded_project.run().assert_outcomes(passed=1)


def test_a_fault_is_told_as_what_it_is_with_how_many_times_the_rounding_it_costs(
    folded_project: Project,
) -> None:
    edited(folded_project, half)
    folded_project.write("tfparity.yaml", stated("atol: 1.0e-9"))
    folded_project.run("--tfparity-report=report").assert_outcomes(failed=1)
    (check,) = checks(folded_project)
    assert [finding["cause"] for finding in check["findings"]] == ["weights-fp16"]
    assert max(output["times_rounding"] for output in check["outputs"]) > 50


def test_a_difference_that_is_too_large_for_any_rounding_costs_no_run(
    broken_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytest_tfparity.formats.model import GraphModel

    monkeypatch.delattr(GraphModel, "run_exactly")
    broken_project.run("--tfparity-report=report").assert_outcomes(failed=1)
    (check,) = checks(broken_project)
    assert [finding["cause"] for finding in check["findings"]] == ["bn-training-mode"]
    assert [output["rounding"] for output in check["outputs"]] == [None, None]


def test_a_verbose_run_says_how_much_of_its_tolerance_a_pass_uses(folded_project: Project) -> None:
    folded_project.write("tfparity.yaml", stated("rounding: 8"))
    folded_project.run("-v").stdout.re_match_lines(
        [r"net: logits:0 uses \d+% of its tolerance, [\d.]+ times the rounding \S+$"]
    )
    folded_project.write("tfparity.yaml", stated("atol: 0.5"))
    folded_project.run("-v").stdout.re_match_lines([r"net: logits:0 uses 0% of its tolerance$"])
    folded_project.run().stdout.no_fnmatch_line("*of its tolerance*")


@pytest.mark.parametrize(
    ("tolerance", "line"),
    [
        ("sqnr: 40", r"net: logits:0 has sqnr [\d.]+ dB, at least 40 asked$"),
        (
            "{sqnr: 40, atol: 0.5}",
            r"net: logits:0 uses 0% of its tolerance, has sqnr [\d.]+ dB, at least 40 asked$",
        ),
    ],
    ids=["alone", "beside an atol"],
)
def test_a_verbose_run_says_what_the_metrics_of_a_pass_are(
    folded_project: Project, tolerance: str, line: str
) -> None:
    lines = [f"    {entry.strip()}" for entry in tolerance.strip("{}").split(",")]
    folded_project.write("tfparity.yaml", MANIFEST + "\n".join(lines) + "\n")
    folded_project.run("-v").stdout.re_match_lines([line])


def test_a_verbose_failure_says_how_many_times_the_rounding_it_is(folded_project: Project) -> None:
    edited(folded_project, half)
    folded_project.write("tfparity.yaml", stated("atol: 1.0e-9"))
    folded_project.run("-v").stdout.fnmatch_lines(
        ["  logits:0 is * times the rounding * from the exact answer."]
    )


def test_a_page_shows_a_rounding_as_what_it_is(folded_project: Project) -> None:
    pytest.importorskip("jinja2")
    for tolerance, shown in (
        ("rounding: 8", r"<td data-label=\"Tolerance\">8 times the rounding \S+; it has [\d.]+</td>"),
        (
            "atol: 0.5",
            r"<td data-label=\"Tolerance\">atol 0\.5</td>",
        ),
        (
            "atol: 1.0e-9",
            r"<td data-label=\"Tolerance\">atol 1e-09; it is [\d.]+ times the rounding \S+ from the exact answer</td>",
        ),
    ):
        folded_project.write("tfparity.yaml", stated(tolerance))
        folded_project.run("--tfparity-report=report")
        page = (folded_project.path / "report/index.html").read_text("utf-8")
        assert re.search(shown, page), tolerance


# --- goldens

GOLDEN = stated("rounding: 8\n    golden: goldens/net.npz")


def yaml_of(project: Project) -> str:
    return (project.path / "goldens/net.yaml").read_text("utf-8")


@pytest.fixture
def golden_project(folded_project: Project) -> Project:
    """A project whose goldens were written under a rounding."""
    folded_project.write("tfparity.yaml", GOLDEN)
    folded_project.run("--tfparity-update").assert_outcomes(passed=1)
    return folded_project


def test_goldens_hold_the_exact_answer_and_the_rounding(golden_project: Project) -> None:
    with np.load(golden_project.path / "goldens/net.npz") as stored:
        exact, plain = stored["logits:0 exact"], stored["logits:0"]
    assert exact.dtype == np.float64
    assert 0 < np.abs(exact - plain).max() < 1e-5
    text = yaml_of(golden_project)
    assert text.count("    rounding: ") == text.count("    exact: ") == 2
    assert "    tolerance: {rounding: 8.0}" in text


def without_checkpoint(project: Project) -> None:
    for file in project.path.glob("model.ckpt*"):
        file.unlink()
    text = (project.path / "tfparity.yaml").read_text("utf-8")
    project.write(
        "tfparity.yaml",
        text.replace("{checkpoint: model.ckpt-7}", "{checkpoint: model.ckpt-7, optional: true}"),
    )


def test_a_session_without_the_checkpoint_has_them(golden_project: Project) -> None:
    without_checkpoint(golden_project)
    golden_project.run("--tfparity-report=report").assert_outcomes(passed=1)
    for output in checks(golden_project)[0]["outputs"]:
        assert (output["against"], output["rounding_allowed"]) == ("golden", 8)
        assert 0 < output["times_rounding"] < 3
    edited(golden_project, half)
    result = golden_project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["net: export differs from golden: * times the rounding *, 8 allowed)*"])


def test_unchanged_goldens_answer_without_a_run_of_the_reference(
    golden_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytest_tfparity.formats.model import GraphModel

    monkeypatch.delattr(GraphModel, "run_exactly")
    golden_project.run("--tfparity-report=report").assert_outcomes(passed=1)
    assert checks(golden_project)[0]["outputs"][0]["times_rounding"] > 0


def test_goldens_without_an_exact_answer_are_not_enough(folded_project: Project) -> None:
    folded_project.write("tfparity.yaml", GOLDEN.replace("rounding: 8", "atol: 1.0e-4"))
    folded_project.run("--tfparity-update").assert_outcomes(passed=1)
    assert "exact" not in yaml_of(folded_project)
    folded_project.write("tfparity.yaml", GOLDEN)
    kept = [(file, file.read_bytes()) for file in folded_project.path.glob("model.ckpt*")]
    without_checkpoint(folded_project)
    result = folded_project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*held against the exact answer (rounding), which its goldens do not have.*"]
    )
    for file, data in kept:
        file.write_bytes(data)
    folded_project.run().assert_outcomes(passed=1)
    folded_project.run("--tfparity-update").stdout.fnmatch_lines(["*1 updated*"])
    assert yaml_of(folded_project).count("    exact: ") == 2


def test_a_second_update_changes_nothing(golden_project: Project) -> None:
    before = yaml_of(golden_project)
    golden_project.run("--tfparity-update").stdout.fnmatch_lines(["*1 unchanged*"])
    assert yaml_of(golden_project) == before


def test_an_exact_answer_that_was_changed_is_refused(golden_project: Project) -> None:
    path = golden_project.path / "goldens/net.npz"
    with np.load(path) as stored:
        arrays = dict(stored)
    arrays["logits:0 exact"] = arrays["logits:0 exact"] + 1e-3
    np.savez(path, **arrays)
    result = golden_project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*the hash of logits:0 exact is another*"])


# --- integers

CLASSES = """
models:
  net:
    reference: {{frozen_graph: reference.pb, optional: true}}
    export: {{frozen_graph: model.pb}}
    inputs:
      "a:0": {{npz: numbers.npz, key: a}}
      "b:0": {{npz: numbers.npz, key: b}}
      "c:0": {{npz: numbers.npz, key: c}}
    outputs: ["classes:0"]
    {tolerance}
"""
TINY = 2.0**-24


def classifier(*, other_order: bool = False, sign: float = 1.0) -> bytes:
    """Of 1 + tiny + tiny from the left, the same from the right, and c * sign: which is the largest."""
    with tf.Graph().as_default() as graph:
        a, b, c = (v1.placeholder(tf.float32, [3], name) for name in "abc")
        sums = [(a + b) + b, a + (b + b), c * sign]
        if other_order:
            sums = [a + (b + b), (a + b) + b, c * sign]
        tf.argmax(tf.stack(sums, 1), 1, name="classes")
    return graph.as_graph_def().SerializeToString()


@pytest.fixture
def classes_project(empty_project: Project) -> Project:
    """Three rows: a tie in exact arithmetic that another order of summing decides otherwise, and two clear ones."""
    path = empty_project.path
    (path / "reference.pb").write_bytes(classifier())
    (path / "model.pb").write_bytes(classifier(other_order=True))
    rows = {"a": [1.0, 1.0, 1.0], "b": [TINY, TINY, 0.5], "c": [0.0, 3.0, -3.0]}
    np.savez(path / "numbers.npz", **{name: np.array(row, np.float32) for name, row in rows.items()})
    return empty_project


def test_a_class_that_is_a_tie_in_exact_arithmetic_may_be_another(classes_project: Project) -> None:
    classes_project.write("tfparity.yaml", CLASSES.format(tolerance="tolerance: rounding"))
    result = classes_project.run("--tfparity-report=report", "-v")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "net: 1 of 3 values of classes:0 are decided otherwise, where the exact answer is a tie (0 times the"
            " rounding 9.54e-07).",
            "net: classes:0 uses 0% of its tolerance, 0 times the rounding 9.54e-07",
        ]
    )
    (output,) = checks(classes_project)[0]["outputs"]
    assert (output["ties"], output["failing"], output["rounding_allowed"]) == (1, 0, 8)


def test_a_class_that_is_no_tie_must_be_the_same(classes_project: Project) -> None:
    (classes_project.path / "model.pb").write_bytes(classifier(sign=-1.0))
    classes_project.write("tfparity.yaml", CLASSES.format(tolerance="tolerance: rounding"))
    result = classes_project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*classes:0: 2 of 3 values are decided otherwise where the exact answer is no tie*"]
    )


def test_classes_that_are_ties_and_fail_a_plain_tolerance_are_told_so(classes_project: Project) -> None:
    classes_project.write("tfparity.yaml", CLASSES.format(tolerance="atol: 1.0e-5"))
    classes_project.run("--tfparity-report=report").assert_outcomes(failed=1)
    (check,) = checks(classes_project)
    assert [(each["cause"], each["fix"]) for each in check["findings"]] == [
        ("rounding", "State `tolerance: rounding`.")
    ]
    assert check["findings"][0]["message"] == (
        "classes:0 is other than in reference.pb only where the exact answer is a tie, which rounding decides."
    )


def test_goldens_hold_what_decides_their_classes(classes_project: Project) -> None:
    classes_project.write(
        "tfparity.yaml", CLASSES.format(tolerance="rounding: 8\n    golden: goldens/net.npz")
    )
    classes_project.run("--tfparity-update").assert_outcomes(passed=1)
    text = yaml_of(classes_project)
    assert "    rounding: 9.5367431640625e-07\n    decided: largest\n    exact: " in text
    classes_project.run("--tfparity-update").stdout.fnmatch_lines(["*1 unchanged*"])
    (classes_project.path / "reference.pb").unlink()
    classes_project.run("--tfparity-report=report").assert_outcomes(passed=1)
    (output,) = checks(classes_project)[0]["outputs"]
    assert (output["against"], output["ties"]) == ("golden", 1)
    (classes_project.path / "model.pb").write_bytes(classifier(sign=-1.0))
    classes_project.run().assert_outcomes(failed=1)
    classes_project.write("goldens/net.yaml", text.replace("decided: largest", "decided: newest"))
    classes_project.run().stdout.fnmatch_lines(["*a decision 'newest', which this version does not know*"])


def test_goldens_are_written_again_where_the_same_classes_are_decided_by_other_numbers(
    classes_project: Project,
) -> None:
    classes_project.write(
        "tfparity.yaml", CLASSES.format(tolerance="rounding: 8\n    golden: goldens/net.npz")
    )
    classes_project.run("--tfparity-update").assert_outcomes(passed=1)
    for name in ("reference.pb", "model.pb"):
        (classes_project.path / name).write_bytes(classifier(sign=1.5))
    classes_project.run("--tfparity-update").stdout.fnmatch_lines(["*1 updated*"])


def test_a_right_fold_that_fails_is_said_to_be_right(folded_project: Project) -> None:
    folded_project.write("tfparity.yaml", stated("atol: 1.0e-9"))
    folded_project.run("--tfparity-report=report").assert_outcomes(failed=1)
    (finding,) = checks(folded_project)[0]["findings"]
    assert re.fullmatch(
        r"1 batch norm of model\.ckpt-7 is folded rightly \(block/conv/Conv2D\): no weight is more than [\d.]+ half"
        r" units in the last place from the fold recomputed in float64\. Nothing else differs\.",
        finding["evidence"][-1],
    )


def test_a_wrong_fold_is_not_said_to_be_right(folded_project: Project) -> None:
    """One weight of the fold is another, by less than what the arithmetic makes of the network anyway."""

    def nudge(graph: Any) -> None:
        kernel = node_of(graph, "block/conv/kernel")
        values = value_of(kernel).copy()
        values.flat[0] *= np.float32(1 + 1e-4)
        hold(kernel, values)

    edited(folded_project, nudge)
    folded_project.write("tfparity.yaml", stated("atol: 1.0e-9"))
    folded_project.run("--tfparity-report=report").assert_outcomes(failed=1)
    told = [line for each in checks(folded_project)[0]["findings"] for line in each["evidence"]]
    assert not [line for line in told if "folded rightly" in line]
