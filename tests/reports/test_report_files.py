"""report.json: details, their size, and reports that are read again and merged."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_tfparity.__main__ import main
from pytest_tfparity.diagnosis.causes.pages import page_of
from pytest_tfparity.reports.folder import write_reports
from pytest_tfparity.reports.html import missing_packages
from pytest_tfparity.reports.json import read_report, write_report
from pytest_tfparity.reports.merging import merged_reports
from pytest_tfparity.reports.thinning import LIMIT, fitted
from pytest_tfparity.result import ParityResult, Seconds
from pytest_tfparity.result_details import Details
from reports.results import ENVIRONMENT, failing, passing

needs_page = pytest.mark.skipif(
    bool(missing_packages()), reason=f"the extra report is not installed: {missing_packages()}"
)


def test_details_survive_a_trip_through_a_file(tmp_path: Path) -> None:
    results = [failing(), passing()]
    path = write_report(tmp_path, results, ENVIRONMENT)
    assert read_report(path) == (results, ENVIRONMENT)


def test_details_of_a_later_version_are_read_as_far_as_they_are_known() -> None:
    entry = failing().to_json()
    entry["details"]["new_picture"] = [1, 2]
    entry["details"]["nodes"][0]["new_number"] = 1
    assert ParityResult.from_json(entry) == failing()


def test_a_report_of_an_earlier_version_has_a_checkpoint_as_reference() -> None:
    entry = failing().to_json()
    del entry["reference_noun"]
    assert ParityResult.from_json(entry) == failing()


def test_a_large_report_keeps_the_most_important_details(tmp_path: Path) -> None:
    results = [failing(f"net{index}", nodes=1000) for index in range(30)]
    kept = fitted(results)
    assert all(result.details is not None for result in kept)
    assert all(any(node.culprit for node in result.details.nodes) for result in kept if result.details)
    path = write_report(tmp_path, kept, ENVIRONMENT)
    assert path.stat().st_size < 5_000_000


def test_passing_checks_give_their_details_up_first() -> None:
    fine = replace(passing(), details=failing(nodes=500).details)
    kept = fitted([fine, failing(nodes=500)], limit=200_000)
    assert kept[1] == failing(nodes=500)
    assert kept[0].details is not None
    assert len(kept[0].details.nodes) < 500


def test_a_small_report_is_not_touched() -> None:
    results = [failing(), passing()]
    assert fitted(results, LIMIT) == results


def test_each_number_of_the_details_takes_no_line(tmp_path: Path) -> None:
    path = write_report(tmp_path, [failing(nodes=1000)], ENVIRONMENT)
    assert len(path.read_text("utf-8").splitlines()) < 100


def test_reports_of_several_jobs_become_one(tmp_path: Path) -> None:
    write_report(tmp_path / "a", [failing("a"), passing("both")], ENVIRONMENT)
    write_report(tmp_path / "b", [failing("b"), passing("both")], {**ENVIRONMENT, "python": "3.12.1"})
    merged = merged_reports([tmp_path / "a" / "report.json", tmp_path / "b" / "report.json"])
    assert sorted(result.model for result in merged.results) == ["a", "b", "both"]
    assert merged.environment["python"] == "3.11.7 / 3.12.1"
    assert merged.environment["numpy"] == "2.4.6"
    assert merged.remarks == (
        f"The reports were made with different python: 3.11.7 in {tmp_path}/a/report.json;"
        f" 3.12.1 in {tmp_path}/b/report.json.",
    )


def test_a_check_of_two_reports_counts_once_and_as_the_worst(tmp_path: Path) -> None:
    write_report(tmp_path / "a", [passing("net"), passing("again")], ENVIRONMENT)
    slower = replace(passing("again"), seconds=Seconds(load=3.0))
    write_report(tmp_path / "b", [failing("net"), slower], ENVIRONMENT)
    paths = [tmp_path / name / "report.json" for name in "ab"]
    for order in (paths, paths[::-1]):
        merged = merged_reports(order)
        assert [(result.model, result.verdict) for result in merged.results] == [
            ("again", "proven"),
            ("net", "fail"),
        ]
        (remark,) = merged.remarks
        assert remark.endswith(f": what {paths[1]} says stands.")


def test_a_report_of_another_schema_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_report(tmp_path / "a", [passing()], ENVIRONMENT)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "report.json").write_text('{"schema": 2, "checks": []}', "utf-8")
    assert main(["merge", f"{tmp_path}/a", f"{tmp_path}/b", "--output", f"{tmp_path}/c"]) == 2
    assert (
        capsys.readouterr().err == f"{tmp_path}/b/report.json is no report of schema 1 (its schema is 2).\n"
    )
    assert main(["merge", f"{tmp_path}/a", f"{tmp_path}/none", "--output", f"{tmp_path}/c"]) == 2
    assert capsys.readouterr().err == (
        f"{tmp_path}/none/report.json cannot be read: No such file or directory. Name folders that --tfparity-report"
        " wrote.\n"
    )
    assert not (tmp_path / "c").exists()


@needs_page
def test_the_command_makes_the_page_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_reports(tmp_path, [failing()], ENVIRONMENT, page_of)
    first = (tmp_path / "index.html").read_text("utf-8")
    (tmp_path / "index.html").unlink()
    assert main(["report", str(tmp_path)]) == 0
    assert (tmp_path / "index.html").read_text("utf-8") == first
    assert capsys.readouterr().out == f"Report: {tmp_path / 'index.html'}\n"


@needs_page
def test_the_command_merges_reports(tmp_path: Path) -> None:
    write_report(tmp_path / "a", [failing("a")], ENVIRONMENT)
    write_report(tmp_path / "b", [failing("b")], ENVIRONMENT)
    out = tmp_path / "all"
    assert (
        main(["report", str(tmp_path / "a"), str(tmp_path / "b" / "report.json"), "--output", str(out)]) == 0
    )
    assert [check["model"] for check in json.loads((out / "report.json").read_text())["checks"]] == ["a", "b"]
    assert (out / "index.html").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "report.json cannot be read: No such file or directory."),
        ("{", "report.json is no report: Expecting property name"),
        ("[]", "report.json is no report of schema 1 (its schema is None)."),
        ('{"schema": 2}', "report.json is no report of schema 1 (its schema is 2)."),
        ('{"schema": 1, "checks": [{}]}', "report.json cannot be read as a report: "),
    ],
)
def test_what_is_no_report_is_said_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "report.json").write_text(content)
    assert main(["report", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err


def test_several_reports_need_a_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path), str(tmp_path)]) == 2
    assert capsys.readouterr().err == "Say where the merged report goes: --output DIR\n"


def test_no_details_are_none() -> None:
    assert Details.from_json({}) == Details()
