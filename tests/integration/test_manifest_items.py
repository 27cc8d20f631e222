"""A ``tfparity.yaml`` is a test file: what its tests do and print."""

from conftest import MANIFEST, Project


def test_a_right_export_passes_without_a_word(project: Project) -> None:
    result = project.run("-v")
    result.assert_outcomes(passed=1, warnings=0)
    result.stdout.fnmatch_lines(["tfparity.yaml::net PASSED*", "parity: 1 proven equal"])


def test_a_wrong_export_fails_with_the_worst_element_and_no_traceback(broken_project: Project) -> None:
    result = broken_project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "net: bn-training-mode (proven) in block/bn, max abs * (atol 1e-05). Fix: *",
            "  16 of 16 values of logits:0 differ; worst element *: reference *, export *",
            "parity: 1 different",
            "FAILED tfparity.yaml::net - bn-training-mode (proven) in block/bn, max abs*",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*.py:*")
    result.stdout.no_fnmatch_line("*Smallest tolerance*")  # it would hide a fault that is proven


def test_the_manifest_can_be_named_on_the_command_line_by_file_and_model(project: Project) -> None:
    project.write("tfparity.yaml", MANIFEST + MANIFEST.split("models:\n")[1].replace("net:", "other:"))
    project.run("tfparity.yaml").assert_outcomes(passed=2)
    project.run("tfparity.yaml::other").assert_outcomes(passed=1)
    project.run("-k", "other").assert_outcomes(passed=1, deselected=1)
    project.run("-m", "parity").assert_outcomes(passed=2)


def test_every_problem_of_a_manifest_is_reported_at_once_with_its_line(project: Project) -> None:
    project.write(
        "tfparity.yaml",
        MANIFEST.replace("reference:", "refernce:").replace("model.pb", "gone.pb"),
    )
    result = project.run()
    assert result.ret == 2
    result.stdout.fnmatch_lines(
        ["*tfparity.yaml:3: *'refernce'*'reference'*", "*tfparity.yaml:4: *gone.pb*"], consecutive=False
    )
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_missing_output_names_the_nearest_ones(project: Project) -> None:
    project.write("tfparity.yaml", MANIFEST.replace('"logits:0"', '"logit:0"'))
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["net: *'logit:0'*Did you mean 'logits*"])


def test_without_outputs_the_final_ones_are_compared(broken_project: Project) -> None:
    broken_project.write(
        "tfparity.yaml", MANIFEST.replace('    outputs: ["logits:0", "probabilities:0"]\n', "")
    )
    result = broken_project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["  16 of 16 values of probabilities:0 differ; worst element *"])


def test_an_isolated_check_gives_the_same_verdict(broken_project: Project) -> None:
    result = broken_project.run_apart("--tfparity-isolate=true")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["net: bn-training-mode (proven) in block/bn, max abs *"])


def test_a_manifest_of_another_name_is_found_however_its_path_is_spelt(project: Project) -> None:
    (project.path / "exports").mkdir()
    (project.path / "tfparity.yaml").rename(project.path / "models.yaml")
    project.run("models.yaml", "--tfparity-manifest=exports/../models.yaml").assert_outcomes(passed=1)
