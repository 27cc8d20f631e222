"""``tfparity``: check, init, explain."""

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from conftest import Project
from graphs.networks import Network
from pytest_tfparity.__main__ import UNREAD, main


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def files(folder: Path, networks: Callable[..., Network]) -> Callable[..., Network]:
    """Copy the files of a network into the current folder."""

    def copied(**options: object) -> Network:
        network = networks(**options)
        for file in network.folder.iterdir():
            shutil.copy(file, folder / file.name)
        np.savez(folder / "images.npz", **{"image:0": network.images})
        return network

    return copied


def test_check_proves_a_right_export(
    files: Callable[..., Network], capsys: pytest.CaptureFixture[str]
) -> None:
    files()
    assert main(["check", "model.ckpt-7", "model.pb"]) == 0
    assert capsys.readouterr().out == "model: proven: the export computes what the checkpoint computes\n"


def test_a_reference_is_called_by_its_format(
    files: Callable[..., Network], capsys: pytest.CaptureFixture[str]
) -> None:
    files()
    Path("model.pb").rename("right.pb")
    assert main(["check", "right.pb", "right.pb"]) == 0
    assert capsys.readouterr().out == "right: proven: the export computes what the frozen graph computes\n"
    files(wrong_weights=True)
    assert main(["check", "right.pb", "model.pb", "--report", "out"]) == 1
    assert capsys.readouterr().out.startswith("model: weights-permuted (proven) in fc, max abs ")
    (entry,) = json.loads(Path("out/report.json").read_text("utf-8"))["checks"]
    assert entry["reference_noun"] == "frozen graph"


def test_check_explains_a_wrong_export(
    files: Callable[..., Network], capsys: pytest.CaptureFixture[str]
) -> None:
    files(training_bn=True)
    assert main(["check", "model.ckpt-7", "model.pb", "--inputs", "images.npz", "--report", "out"]) == 1
    printed = capsys.readouterr().out
    assert printed.startswith("model: bn-training-mode (proven) in block/bn, max abs ")
    assert "  block/bn   bn-training-mode   proven\n" in printed
    assert (Path("out") / "report.json").is_file()


def test_a_report_that_cannot_be_written_is_no_verdict(
    files: Callable[..., Network], capsys: pytest.CaptureFixture[str]
) -> None:
    files()
    Path("out").write_text("a file")
    assert main(["check", "model.ckpt-7", "model.pb", "--report", "out"]) == 2
    printed = capsys.readouterr()
    assert printed.out == "model: proven: the export computes what the checkpoint computes\n"
    assert printed.err == "The report cannot be written into out: File exists. Name another folder.\n"


def test_check_makes_up_inputs_where_none_are_given(
    files: Callable[..., Network], capsys: pytest.CaptureFixture[str]
) -> None:
    files(wrong_weights=True)
    assert main(["check", "model.ckpt-7", "model.pb", "--output", "logits:0"]) == 1
    assert "values of logits:0" in capsys.readouterr().out


def test_check_writes_the_repaired_export(
    files: Callable[..., Network], capsys: pytest.CaptureFixture[str]
) -> None:
    files(training_bn=True)
    assert main(["check", "model.ckpt-7", "model.pb", "--write-repaired", "repaired.pb"]) == 1
    assert "Wrote repaired.pb: with every finding repaired it matches to 0." in capsys.readouterr().out
    assert main(["check", "model.ckpt-7", "repaired.pb"]) == 0
    assert "proven" in capsys.readouterr().out


def test_a_repaired_export_that_cannot_be_written_is_no_verdict(
    files: Callable[..., Network], capsys: pytest.CaptureFixture[str]
) -> None:
    files(training_bn=True)
    assert main(["check", "model.ckpt-7", "model.pb", "--write-repaired", "nowhere/repaired.pb"]) == 2
    assert capsys.readouterr().err == (
        "model.pb (repaired) cannot be written to nowhere/repaired.pb: No such file or directory."
        " Name another file.\n"
    )


def test_check_can_compare_the_weights_alone(
    files: Callable[..., Network], capsys: pytest.CaptureFixture[str]
) -> None:
    files()
    Path("model.ckpt-7.meta").unlink()
    assert main(["check", "model.ckpt-7", "model.pb", "--compare", "weights"]) == 0
    assert "the weights alone were compared" in capsys.readouterr().out
    files(wrong_weights=True)
    assert main(["check", "model.ckpt-7", "model.pb", "--compare", "weights"]) == 1
    assert "fc/kernel" in capsys.readouterr().out
    files(ema=True)
    assert main(["check", "model.ckpt-7", "model.pb", "--compare", "weights"]) == 2
    assert capsys.readouterr().out.startswith("model: model.ckpt-7 holds moving averages, and the export")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["check", "model.ckpt-8", "model.pb"], "model.ckpt-8"),
        (["check", "model.ckpt-7", "modle.pb"], "modle.pb"),
        (["check", "model.ckpt-7", "model.pb", "--atol", "-1"], "atol"),
        (["check", "model.ckpt-7", "model.pb", "--output", "logit"], "Did you mean 'logits"),
        (["check", "model.ckpt-7", "model.pb", "--inputs", "model.pb"], "model.pb is no .npz file"),
        (["check", "model.ckpt-7", "model.pb", "--inputs", "image.npz"], "Did you mean 'images.npz'"),
        (["check", "model.ckpt-7", "model.pb", "--inputs", "notes.txt"], "notes.txt is no .npz file"),
        (["check", "model.ckpt-7", "model.pb", "--inputs", "one.npy"], "one.npy is no .npz file"),
        (
            ["check", "model.ckpt-7", "model.pb", "--inputs", "others.npz"],
            "--inputs gives values for img:0, which no input is called. Inputs of the reference: image:0.",
        ),
        (
            ["check", "model.ckpt-7", "model.pb", "--input", "imag=image:0"],
            "--input imag:0=image:0: the outputs of model.ckpt-7 need no input imag:0. Did you mean 'image:0'?",
        ),
        (
            ["check", "model.ckpt-7", "model.pb", "--input", "image:0=nope"],
            "the outputs of model.pb need no input nope:0. Inputs of the export: image:0.",
        ),
        (["check", "model.ckpt-7", "model.pb", "--input", "nope=x"], "model.ckpt-7 need no input nope:0."),
        (["init", "model.ckpt-7", "model.pb", "--input", "image:0"], "--input image:0: say NAME=..."),
        (["check", "model.ckpt-7", "model.pb", "--feed", "phase"], "--feed phase: say NAME=..."),
        (["explain", "bn-training"], "Did you mean 'bn-training-mode'"),
    ],
)
def test_a_mistake_is_a_sentence_and_exit_code_2(
    files: Callable[..., Network], capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    files()
    Path("notes.txt").write_text("Some notes.\n")
    np.save("one.npy", np.ones(3))
    np.savez("others.npz", img=np.ones(3))
    assert main(arguments) == 2
    printed = "".join(capsys.readouterr())
    assert sentence in printed
    assert "Traceback" not in printed
    assert "pickle" not in printed


def test_init_writes_a_manifest_that_passes_on_a_right_export(
    empty_project: Project,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    empty_project.add()
    monkeypatch.chdir(empty_project.path)
    assert main(["init", "model.ckpt-7", "model.pb"]) == 0
    assert (
        "wrote tfparity.yaml: model model, inputs image:0, outputs probabilities:0" in capsys.readouterr().out
    )
    empty_project.run("--tfparity-run=always").assert_outcomes(passed=1)
    assert main(["init", "model.ckpt-7", "model.pb"]) == 2
    assert "tfparity.yaml is there already" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["other.yaml", "the model's.yaml", "below/tfparity.yaml", "../m.yaml"])
def test_the_command_that_init_prints_runs_the_check(
    empty_project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    empty_project.add()
    here = empty_project.path / "here"
    (here / "below").mkdir(parents=True)
    monkeypatch.chdir(here)
    assert main(["init", "../model.ckpt-7", "../model.pb", "--manifest", name]) == 0
    pytest_, *arguments = shlex.split(capsys.readouterr().out.rpartition("check it: ")[2])
    assert pytest_ == "pytest"
    empty_project.run(*arguments).assert_outcomes(passed=1)


def test_of_many_tensors_a_sentence_names_some(
    files: Callable[..., Network], capsys: pytest.CaptureFixture[str]
) -> None:
    files(training_bn=True, updates=True, ema=True)
    assert main(["check", "model.pb", "model.ckpt-7"]) == 2
    said = capsys.readouterr().err
    assert " more, which the frozen graph does not have." in said
    assert len(said.partition(", which")[0].split(",")) == 3


def test_explain_lists_the_causes_and_prints_the_page_of_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain"]) == 0
    causes = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert len(causes) > 60
    for cause in causes:
        assert main(["explain", cause]) == 0
        page = capsys.readouterr().out
        assert page.startswith(f"# {cause}: ")
        for heading in ("## How it comes about", "## How it is proven", "## How to fix it"):
            before, after = page.split(f"\n\n{heading}\n\n")
            assert len(before.strip().split("\n\n")[-1]) > 15
            assert len(after.strip()) > 15


def test_nobody_need_read_to_the_end() -> None:
    command = [sys.executable, "-u", "-m", "pytest_tfparity", "explain"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        assert program.stdout is not None
        program.stdout.close()
        assert program.communicate()[1] == b""
    assert program.returncode == UNREAD


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
@pytest.mark.parametrize("arguments", [["explain"], ["explain", "bn-training-mode"]], ids=["long", "short"])
def test_output_that_is_not_taken_is_a_sentence_and_exit_code_2(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "pytest_tfparity", *arguments]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    said = "A file or the output cannot be read or written: No space left on device. Name another.\n"
    assert (done.returncode, done.stderr) == (2, said)


@pytest.mark.parametrize("option", ["--rounding", "--rounding=8"])
def test_check_holds_outputs_against_the_exact_answer(
    option: str, files: Callable[..., Network], capsys: pytest.CaptureFixture[str]
) -> None:
    files()
    command = ["check", "model.ckpt-7", "model.pb", "--run", "always", "--inputs", "images.npz"]
    assert main([*command, "--json", option]) == 0
    (entry,) = json.loads(capsys.readouterr().out)["checks"]
    for output in entry["outputs"]:
        assert output["rounding_allowed"] == 8
        assert output["rounding"] > 0
        assert output["times_rounding"] <= 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            ["--rounding", "--atol", "1"],
            "'rounding' of the command line and 'atol' of the command line are two",
        ),
        (["--rounding", "0.5"], "'rounding' of the command line must be a finite number of at least 1, not"),
    ],
)
def test_a_rounding_of_the_command_line_that_makes_no_sense_is_said(
    options: list[str], says: str, files: Callable[..., Network], capsys: pytest.CaptureFixture[str]
) -> None:
    files()
    assert main(["check", "model.ckpt-7", "model.pb", *options]) == 2
    assert says in capsys.readouterr().err


def test_a_file_behind_rounding_is_told_where_it_belongs(
    files: Callable[..., Network], capsys: pytest.CaptureFixture[str]
) -> None:
    files()
    with pytest.raises(SystemExit):
        main(["check", "--rounding", "model.ckpt-7", "model.pb"])
    assert capsys.readouterr().err.endswith(
        "argument --rounding: 'model.ckpt-7' is no number; put --rounding behind the files, or write --rounding=8\n"
    )
