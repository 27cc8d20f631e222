"""The terminal's report on its own: how long, how wide, what is painted."""

import re
from dataclasses import replace

import pytest

from pytest_tfparity.reports.terminal import report
from reports.results import broken, failing

LONG = failing(nodes=3000, scope="a_long_scope/" * 12 + "bn")


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_table_of_many_nodes_keeps_to_the_width_and_one_screen(width: int) -> None:
    plain, verbose = report(LONG, width=width), report(LONG, width=width, verbosity=1)
    added = [line for line in verbose if line not in plain]
    assert 20 < len(added) <= 28
    assert len(verbose) < 60
    assert all(len(line) <= max(width, 66) for line in added)
    assert added[-1] == "    and 1475 more"
    (culprit,) = [line for line in added if line.startswith("  > ")]
    assert culprit.startswith("  > ...")
    assert "/unit_1500/Conv2D" in culprit


def test_rows_are_in_the_order_of_the_graph() -> None:
    lines = report(failing(nodes=20), verbosity=1)
    rows = [line for line in lines if "unit_" in line]
    assert [row.split("unit_")[1].split("/")[0] for row in rows] == [str(index) for index in range(10, 20)]
    assert rows[-1].split()[-2] == "-"


def test_where_nothing_was_measured_there_is_no_table() -> None:
    without = replace(failing(), details=None)
    assert report(without, verbosity=1) == report(without)


def test_the_first_line_has_cause_place_and_fix_and_nothing_is_said_twice() -> None:
    for verbosity in (-1, 0, 1):
        first, *rest = report(failing(), verbosity=verbosity)
        assert re.match(r"net: bn-training-mode \(proven\) in \S+.*, max abs ", first)
        assert first.endswith(". Fix: Build the export graph with training=False.")
        assert not any("Fix:" in line for line in rest)
    assert report(failing(), verbosity=-1) == report(failing())[:1]


def test_the_fix_of_another_finding_stands_under_it() -> None:
    result = failing()
    (finding,) = result.findings
    other = replace(finding, cause="bn-epsilon-mismatch", fix="State epsilon=0.1.")
    lines = report(replace(result, findings=(finding, other)))
    assert lines[0].endswith(". Fix: Build the export graph with training=False.")
    assert [line.strip() for line in lines[1:] if "Fix:" in line] == ["Fix: State epsilon=0.1."]


def test_a_layer_outside_of_any_scope_is_named_by_its_node() -> None:
    result = failing(scope="norm")
    (finding,) = result.findings
    bare = replace(result, findings=(replace(finding, nodes=("FusedBatchNormV3",), scopes=("",)),))
    assert " in FusedBatchNormV3, max abs" in report(bare)[0]


def test_paint_goes_to_the_words_that_decide() -> None:
    painted: dict[str, str] = {}

    def paint(text: str, role: str) -> str:
        painted[role] = text
        return f"<{text}>"

    lines = report(failing(), verbosity=1, paint=paint)
    assert painted["failure"] == report(failing())[0]
    assert (painted["cause"], painted["proven"]) == ("bn-training-mode", "proven")
    assert painted["culprit"].startswith("  > block1/bn/unit_15/Conv2D")
    assert lines[0].startswith("<")


def test_an_error_that_names_the_model_itself_names_it_once() -> None:
    assert report(replace(broken(), error="broken: name the outputs."))[0] == "broken: name the outputs."


def test_long_names_do_not_push_cause_and_place_off_the_first_line() -> None:
    deep = "InceptionResnetV2/InceptionResnetV2/Repeat_1/block17_7/Branch_1/Conv2d_0b_1x7/BatchNorm"
    (finding,) = failing().findings
    for cause in ("padding", "ckpt-tensor-mapped-to-wrong-variable"):
        result = replace(
            failing(),
            model="detection/inception_resnet_v2_atrous_coco_2019_11_quantised",
            findings=(replace(finding, cause=cause, scopes=(deep, "other")),),
        )
        first = report(result)[0]
        model, _, told = first.partition(": ")
        assert model.startswith("...")
        assert model.endswith("quantised")
        blame, _, _ = told.partition(" and 1 more")
        assert blame.startswith(f"{cause} (proven) in ...")
        assert blame.endswith("/BatchNorm")
        assert len(f"{model}: {blame}") <= 80
        assert deep in "".join(report(result)[1:])


def test_names_that_fit_are_shown_in_full_however_long_the_rest_is() -> None:
    (finding,) = failing().findings
    result = replace(
        failing(),
        model="a_model_of_some_length",
        findings=(finding, replace(finding, cause="dropout-active")),
    )
    first = report(result, width=80)[0]
    assert first.startswith(
        "a_model_of_some_length: bn-training-mode (proven) in block1/bn_0 and 4 more; also"
    )


def test_an_error_too_long_for_a_line_begins_with_its_first_sentence() -> None:
    said = "There is no checkpoint a.ckpt. In its folder there are: b.ckpt, c.ckpt. State one of them."
    first, rest, *_ = report(replace(broken(), model="net", error=f"net: {said}"), width=70)
    assert first == "net: There is no checkpoint a.ckpt."
    assert rest == "  In its folder there are: b.ckpt, c.ckpt. State one of them."
    assert report(replace(broken(), model="net", error=f"net: {said}"), width=120)[0] == f"net: {said}"


def test_only_a_sure_finding_stands_before_why_a_check_could_not_be_made() -> None:
    (finding,) = failing().findings
    sure = replace(broken(), findings=(finding,), error="Running a model needs TensorFlow.")
    assert report(sure)[0].startswith(f"{sure.model}: bn-training-mode (proven) in block1/bn")
    unsure = replace(sure, findings=(replace(finding, certainty="suggestive"),))
    assert report(unsure)[0] == f"{sure.model}: Running a model needs TensorFlow."
    assert report(unsure, verbosity=-1) == report(unsure)[:1]
