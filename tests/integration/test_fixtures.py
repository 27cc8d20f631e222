"""The fixtures, ``==`` on outputs, and ``assert_parity``."""

import pytest

from conftest import MANIFEST, Project

IDIOMATIC = """
from pytest_tfparity import parity

@parity("net", atol=1e-5)
def test_export(frozen_graph, checkpoint_session, golden_inputs):
    assert frozen_graph.run(golden_inputs) == checkpoint_session.run(golden_inputs)
"""
EXPLICIT = """
from pytest_tfparity import assert_parity, parity

@parity("net", atol=1e-5)
def test_export(frozen_graph, checkpoint_session, golden_inputs):
    assert_parity(frozen_graph, checkpoint_session, golden_inputs)
"""


@pytest.mark.parametrize("text", [IDIOMATIC, EXPLICIT], ids=["==", "assert_parity"])
def test_a_right_export_passes(project: Project, text: str) -> None:
    project.write("test_it.py", text)
    result = project.run("test_it.py")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["parity: 1 proven equal"])


@pytest.mark.parametrize("text", [IDIOMATIC, EXPLICIT], ids=["==", "assert_parity"])
def test_a_wrong_export_fails_with_the_whole_report_at_the_users_line(
    broken_project: Project, text: str
) -> None:
    broken_project.write("test_it.py", text)
    result = broken_project.run("test_it.py")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["E * net: bn-training-mode (proven) in block/bn, max abs *", "test_it.py:6: *"]
    )
    result.stdout.fnmatch_lines(
        [
            "*worst element *",
            "*block/bn   bn-training-mode   proven",
            "*More: tfparity explain bn-training-mode",
            "FAILED test_it.py::test_export - *net: bn-trai*",
        ]
    )
    result.stdout.no_fnmatch_line("*pytest_tfparity/*.py*")


def test_the_tolerance_of_the_marker_decides(broken_project: Project) -> None:
    broken_project.write("test_it.py", IDIOMATIC.replace("1e-5", "1e9"))
    broken_project.run("test_it.py").assert_outcomes(passed=1)


def test_the_option_wins_over_the_marker(broken_project: Project) -> None:
    broken_project.write("test_it.py", IDIOMATIC.replace("1e-5", "1e9"))
    broken_project.run("test_it.py", "--tfparity-atol=1e-5").assert_outcomes(failed=1)


def test_a_marked_test_that_names_no_model_runs_for_each(project: Project) -> None:
    project.write("tfparity.yaml", MANIFEST + MANIFEST.split("models:\n")[1].replace("net:", "other:"))
    project.write("test_it.py", IDIOMATIC.replace('"net", ', ""))
    result = project.run("-v", "test_it.py")
    result.stdout.fnmatch_lines(["*test_export?net? PASSED*", "*test_export?other? PASSED*"])


def test_a_test_about_an_unknown_model_says_which_there_are(project: Project) -> None:
    project.write("test_it.py", IDIOMATIC.replace('"net"', '"nett"'))
    result = project.run("test_it.py")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*has no model 'nett'. Did you mean 'net'? It has net."])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*pytest_tfparity/*.py*")


def test_the_marker_can_name_the_files(project: Project) -> None:
    (project.path / "tfparity.yaml").unlink()
    files = (
        'checkpoint="model.ckpt-7", frozen_graph="model.pb",'
        ' inputs={"image:0": {"npz": "images.npz", "key": "image"}}'
    )
    project.write("test_it.py", IDIOMATIC.replace('"net"', files))
    project.run("test_it.py").assert_outcomes(passed=1)


def test_parity_model_can_be_overridden_for_a_project_without_a_manifest(broken_project: Project) -> None:
    (broken_project.path / "tfparity.yaml").unlink()
    text = """
import numpy as np
import pytest
from pytest_tfparity import parity

@pytest.fixture
def parity_model():
    return {"checkpoint": "model.ckpt-7", "frozen_graph": "model.pb", "outputs": ["logits:0"]}

@parity(atol=1e-5)
def test_wrong(frozen_graph, checkpoint_session):
    images = {"image:0": np.ones((2, 6, 6, 2), np.float32) * np.arange(2, dtype=np.float32).reshape(2, 1, 1, 1)}
    assert frozen_graph.run(images) == checkpoint_session.run(images)

@parity(atol=1e9)
def test_loose(frozen_graph, checkpoint_session):
    images = {"image:0": np.ones((2, 6, 6, 2), np.float32)}
    assert frozen_graph.run(images) == checkpoint_session.run(images)
"""
    broken_project.write("test_it.py", text)
    broken_project.run("test_it.py").assert_outcomes(passed=1, failed=1)


def test_a_test_without_model_and_manifest_says_what_to_do(empty_project: Project) -> None:
    empty_project.write("test_it.py", IDIOMATIC.replace('"net", ', ""))
    result = empty_project.run("test_it.py")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*test_it.py:4: this test names no model, and no tfparity.yaml was found*"])


def test_what_the_fixtures_give(project: Project) -> None:
    text = """
import numpy as np
import tensorflow as tf
from pytest_tfparity import parity

@parity("net")
def test_sides(frozen_graph, checkpoint_session, golden_inputs, parity_model):
    assert parity_model.name == "net"
    assert list(golden_inputs) == ["image:0"]
    assert not golden_inputs["image:0"].flags.writeable
    assert frozen_graph.inputs == checkpoint_session.inputs == ("image:0",)
    assert frozen_graph.outputs == ("logits:0", "probabilities:0")
    assert {node.name for node in frozen_graph.graph_def.node} >= {"image", "logits", "fc/kernel"}
    assert checkpoint_session.variables["block/bn/moving_variance"].shape == (3,)
    assert isinstance(checkpoint_session.session, tf.compat.v1.Session)
    mean = checkpoint_session.session.run("block/bn/moving_mean:0")
    np.testing.assert_array_equal(mean, checkpoint_session.variables["block/bn/moving_mean"])
    pool = frozen_graph.run(golden_inputs, outputs=["pool:0"])
    assert list(pool) == ["pool:0"]
    assert pool["pool:0"].shape == (4, 3)
    assert pool == checkpoint_session.run(golden_inputs, outputs=["pool:0"])
    assert frozen_graph.run({"image": golden_inputs["image:0"]}) == checkpoint_session.run(golden_inputs)
"""
    project.write("test_it.py", text)
    project.run("test_it.py").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("comparison", "sentence"),
    [
        (
            "frozen_graph.run(x) == frozen_graph.run(x)",
            "*Both sides of == are outputs of the export of 'net'*",
        ),
        (
            "checkpoint_session.run(x) == checkpoint_session.run(x)",
            "*Both sides of == are outputs of the reference*",
        ),
        (
            "frozen_graph.run(x) == checkpoint_session.run({'image:0': x['image:0'] * 2})",
            "*from different inputs*",
        ),
        ("frozen_graph.run({'imag:0': x['image:0']})", "*imag:0*"),
        ("frozen_graph.run(x, outputs=['logit'])", "*'logit*Did you mean 'logits*"),
        ("frozen_graph.run({'image:0': x['image:0'][:, 0]})", "*image:0*"),
        ("assert_parity(checkpoint_session, frozen_graph)", "assert_parity takes the export and then the*"),
    ],
)
def test_a_comparison_that_would_prove_nothing_is_refused_in_a_sentence(
    project: Project, comparison: str, sentence: str
) -> None:
    project.write(
        "test_it.py",
        f"""
from pytest_tfparity import assert_parity, parity

@parity("net")
def test_it(frozen_graph, checkpoint_session, golden_inputs):
    x = golden_inputs
    assert {comparison}
""",
    )
    result = project.run("test_it.py")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([sentence])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*pytest_tfparity/*.py*")


def test_a_missing_output_on_one_side_fails(project: Project) -> None:
    text = """
from pytest_tfparity import parity

@parity("net")
def test_it(frozen_graph, checkpoint_session, golden_inputs):
    assert frozen_graph.run(golden_inputs, ["logits:0"]) == checkpoint_session.run(golden_inputs)
"""
    project.write("test_it.py", text)
    result = project.run("test_it.py")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*probabilities:0: the export has no such output*"])
