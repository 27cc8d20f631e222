"""A format that one class in one file adds: manifest, command line, fixtures, report and messages know it."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from conftest import Project
from graphs.networks import write_graph
from pytest_tfparity.__main__ import main
from pytest_tfparity.formats.registry import FORMATS

NUMBERS = '''
"""A linear function in a text file: its factor and its offset, one a line."""

import numpy as np

from pytest_tfparity.formats.format import Format
from pytest_tfparity.formats.model import Model
from pytest_tfparity.formats.registry import FORMATS
from pytest_tfparity.formats.section import Key, Section
from pytest_tfparity.graph.graph import DType
from pytest_tfparity.runtime.feeds import TensorSpec


class Numbers(Format, Model):
    """The format, and each model of it."""

    noun = "file of numbers"
    usually = "export"
    section = Section(
        name="numbers",
        description="a text file of numbers",
        keys=(
            Key("numbers", "path", "The text file: a factor and an offset, one a line."),
            Key("unit", "text", "What the numbers are multiplied with: one or ten.", default="one"),
        ),
    )
    path = None

    def open(self, spec, root):
        model = Numbers()
        model.path, model.label = spec.path, str(spec.path)
        model.scale = {"one": 1, "ten": 10}[spec.options.get("unit", "one")]
        return model

    def recognises(self, path):
        try:
            return len([float(line) for line in path.read_text().splitlines()]) == 2
        except (OSError, ValueError):
            return False

    def outputs(self):
        return ["y:0"]

    def inputs(self, outputs):
        return {"x:0": TensorSpec(dtype=DType(1), dims=(-1, 3))}

    def run(self, inputs, outputs, *, session="graph"):
        factor, offset = map(float, self.path.read_text().splitlines())
        return {name: np.float32(self.scale * (factor * inputs["x:0"] + offset)) for name in outputs}


FORMATS.append(Numbers())
'''

MANIFEST = """\
models:
  line:
    reference: {numbers: a.txt}
    export: {numbers: b.txt}
    inputs: {x: {npz: x.npz, key: x}}
"""


@pytest.fixture
def toys(empty_project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A folder with two equal files of numbers, one that differs, and the same function as a frozen graph."""
    known, run = list(FORMATS), empty_project.run

    def run_afresh(*arguments: str) -> pytest.RunResult:
        FORMATS[:] = known  # one process, many runs: each conftest adds the format again
        return run(*arguments)

    monkeypatch.setattr(empty_project, "run", run_afresh)
    empty_project.write("conftest.py", NUMBERS)
    for name, text in {"a": "2\n0.5\n", "b": "2.0\n0.5\n", "wrong": "2\n0.75\n"}.items():
        empty_project.write(f"{name}.txt", text)
    tf = pytest.importorskip("tensorflow")
    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, [None, 3], "x")
        tf.add(x * np.float32(2.0), np.float32(0.5), name="y")
    write_graph(graph.as_graph_def(), empty_project.path / "line.pb")
    np.savez(empty_project.path / "x.npz", x=np.float32([[1, 2, 3], [4, 5, 6]]))
    monkeypatch.chdir(empty_project.path)
    yield empty_project
    FORMATS[:] = known


def load(folder: Path) -> ModuleType:
    """The file of the format, imported as a program that uses the command line in-process would."""
    location = importlib.util.spec_from_file_location("numbers_format", folder / "conftest.py")
    assert location is not None
    assert location.loader is not None
    module = importlib.util.module_from_spec(location)
    location.loader.exec_module(module)
    return module


def report_of(project: Project) -> dict[str, object]:
    (check,) = json.loads((project.path / "out" / "report.json").read_text())["checks"]
    return dict(check)


def test_the_manifest_knows_it(toys: Project) -> None:
    toys.write("tfparity.yaml", MANIFEST)
    result = toys.run("tfparity.yaml", "--tfparity-report=out", "-v")
    result.assert_outcomes(passed=1)
    check = report_of(toys)
    assert (check["verdict"], check["reference"], check["export"]) == ("pass", "a.txt", "b.txt")


def test_a_difference_is_reported_with_the_evidence_that_is_missing(toys: Project) -> None:
    toys.write("tfparity.yaml", MANIFEST.replace("b.txt", "wrong.txt"))
    result = toys.run("tfparity.yaml", "--tfparity-report=out")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*6 of 6 values of y:0*",
            "*Where the sides diverge is not known: a.txt (file of numbers) has no graph to align with*",
        ]
    )
    check = report_of(toys)
    assert (check["verdict"], check["findings"]) == ("fail", [])
    assert check["outputs"][0]["max_abs"] == 0.25  # type: ignore[index]


@pytest.mark.parametrize("changed", [False, True], ids=["right", "wrong"])
@pytest.mark.parametrize(
    ("reference", "export"),
    [("frozen_graph: line.pb", "numbers: b.txt"), ("numbers: a.txt", "frozen_graph: line.pb")],
)
def test_it_stands_beside_a_frozen_graph_on_either_side(
    toys: Project, reference: str, export: str, changed: bool
) -> None:
    if changed:
        toys.write("a.txt", "2\n1\n")
        toys.write("b.txt", "2\n1\n")
    text = MANIFEST.replace("numbers: a.txt", reference).replace("numbers: b.txt", export)
    toys.write("tfparity.yaml", text)
    result = toys.run("tfparity.yaml", "--tfparity-report=out")
    result.assert_outcomes(**{"failed" if changed else "passed": 1})
    assert report_of(toys)["verdict"] == ("fail" if changed else "pass")


def test_its_own_keys_are_keys_of_the_manifest(toys: Project) -> None:
    toys.write("tfparity.yaml", MANIFEST.replace("b.txt", "b.txt, unit: ten"))
    toys.run("tfparity.yaml").assert_outcomes(failed=1)
    toys.write("tfparity.yaml", MANIFEST.replace("b.txt", "c.txt, units: ten"))
    result = toys.run("tfparity.yaml")
    result.stdout.fnmatch_lines(
        [
            "*unknown key 'units' in the export of model 'line'. Did you mean 'unit'?",
            "*'numbers' of the export of model 'line' names 'c.txt', but there is no such file*",
        ]
    )


TESTS = """
import pytest
from pytest_tfparity import assert_parity, parity

@parity("line")
def test_generic(reference_model, export_model, golden_inputs):
    assert export_model.run(golden_inputs) == reference_model.run(golden_inputs)
    assert (export_model.inputs, export_model.outputs) == (("x:0",), ("y:0",))

@parity("line")
def test_named(checkpoint_session, frozen_graph, golden_inputs):
    assert_parity(frozen_graph, checkpoint_session, golden_inputs)

@parity(numbers="b.txt", unit="one", reference={"numbers": "a.txt"}, inputs={"x": {"npz": "x.npz", "key": "x"}})
def test_marker(reference_model, export_model, golden_inputs):
    assert export_model.run(golden_inputs) == reference_model.run(golden_inputs)

@parity("line")
def test_no_session(export_model):
    export_model.session
"""


def test_the_fixtures_and_the_marker_know_it(toys: Project) -> None:
    toys.write("tfparity.yaml", MANIFEST)
    toys.write("test_line.py", TESTS)
    result = toys.run("test_line.py")
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["*b.txt (file of numbers) has no .session: TensorFlow does not run it."])


def test_goldens_are_made_from_it_and_stand_in_for_it(toys: Project) -> None:
    golden = MANIFEST.replace("a.txt}", "a.txt, optional: true}") + "    golden: line.npz\n"
    toys.write("tfparity.yaml", golden)
    toys.run("tfparity.yaml", "--tfparity-update").assert_outcomes(passed=1)
    (toys.path / "a.txt").unlink()
    result = toys.run("tfparity.yaml", "--tfparity-report=out")
    result.assert_outcomes(passed=1)
    assert "The file of numbers is not at hand: the goldens are the reference." in report_of(toys)["notes"]


def test_the_command_line_tells_it_by_what_is_in_the_file(
    toys: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    load(toys.path)
    assert main(["check", "a.txt", "b.txt"]) == 0
    assert "a.txt has no graph to prove anything with" in capsys.readouterr().out
    assert main(["check", "a.txt", "wrong.txt", "--inputs", "x.npz", "--report", "out"]) == 1
    assert "6 of 6 values of y:0" in capsys.readouterr().out
    assert main(["check", "a.txt", "wrong.txt", "--write-repaired", "b.pb"]) == 1
    assert "Nothing was written: no repair restores parity." in capsys.readouterr().out
    assert main(["check", "a.txt", "line.pb"]) == 0
    assert main(["check", "line.pb", "b.txt"]) == 0
    assert main(["check", "line.pb", "b.txt", "--unit", "ten"]) == 1
    capsys.readouterr()
    assert main(["check", "line.pb", "line.pb", "--unit", "ten"]) == 2
    assert "--unit means nothing here: it is no key of a side (frozen graph and frozen graph)." in (
        capsys.readouterr().err
    )


def test_init_writes_a_manifest_with_it(toys: Project, capsys: pytest.CaptureFixture[str]) -> None:
    load(toys.path)
    assert main(["init", "a.txt", "b.txt", "--name", "line"]) == 0
    assert "model line, inputs x:0, outputs y:0" in capsys.readouterr().out
    text = Path("tfparity.yaml").read_text("utf-8")
    assert "# The side that is right: a text file of numbers.\n    reference:\n      numbers: a.txt\n" in text
    toys.run("tfparity.yaml").assert_outcomes(passed=1)


def test_a_process_of_its_own_needs_nothing_but_the_conftest(toys: Project) -> None:
    toys.write("tfparity.yaml", MANIFEST)
    toys.run_apart("tfparity.yaml").assert_outcomes(passed=1)
