"""A checkpoint and a frozen graph may each stand on either side."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from conftest import Project
from graphs.networks import Network
from pytest_tfparity.check.check import check
from pytest_tfparity.formats.store import ModelStore
from pytest_tfparity.result import ParityResult
from pytest_tfparity.settings.manifest import load_manifest
from pytest_tfparity.settings.resolve import resolve

pytest.importorskip("tensorflow")

MANIFEST = """\
models:
  net:
    reference: {REFERENCE}
    export: {EXPORT}
    inputs:
      "image:0": {npz: images.npz, key: image}
    outputs: ["logits:0", "probabilities:0"]
    run: RUN
"""
CHECKPOINT, FROZEN, OTHER = "checkpoint: model.ckpt-7", "frozen_graph: model.pb", "frozen_graph: other.pb"


@pytest.fixture
def checked(empty_project: Project, networks: Callable[..., Network]) -> Callable[..., ParityResult]:
    """Check two sides of one network; ``other.pb`` is an export with ``options``."""

    def judged(reference: str, export: str, *, run: str = "unproven", **options: object) -> ParityResult:
        empty_project.add()
        shutil.copy(networks(**options).frozen_graph, empty_project.path / "other.pb")
        text = MANIFEST.replace("REFERENCE", reference).replace("EXPORT", export).replace("RUN", run)
        path = empty_project.write("tfparity.yaml", text)
        entry = load_manifest(path).models["net"]
        spec = resolve(entry, marker={}, ini={}, options={}, root=path.parent, name="net")
        models = ModelStore()
        try:
            return check(spec, models)
        finally:
            models.close()

    return judged


@pytest.mark.parametrize("reference", [CHECKPOINT, FROZEN])
@pytest.mark.parametrize("export", [CHECKPOINT, FROZEN])
def test_equal_sides_are_proven_and_run_equal(
    checked: Callable[..., ParityResult], reference: str, export: str
) -> None:
    assert checked(reference, export).verdict == "proven"
    result = checked(reference, export, run="always")
    assert result.verdict == "proven"
    assert [output.max_abs for output in result.outputs] == [pytest.approx(0, abs=1e-6)] * 2


def test_a_wrong_export_of_a_frozen_graph_is_explained_and_repaired(
    checked: Callable[..., ParityResult],
) -> None:
    result = checked(FROZEN, OTHER, training_bn=True)
    assert result.verdict == "fail"
    assert [(found.cause, found.certainty, found.scopes) for found in result.findings] == [
        ("bn-training-mode", "proven", ("block/bn",))
    ]
    assert (result.reference, result.export) == ("model.pb", "other.pb")
    assert result.notes == ()


def test_a_wrong_frozen_graph_is_told_apart_from_a_checkpoint_as_the_export(
    checked: Callable[..., ParityResult],
) -> None:
    result = checked(OTHER, CHECKPOINT, wrong_weights=True)
    assert result.verdict == "fail"
    assert result.outputs[0].failing
    assert not [note for note in result.notes if "defect" in note]
    (found,) = result.findings  # the values follow from one another bit by bit, whichever side has variables
    assert (found.cause, found.certainty, found.scopes) == ("weights-permuted", "proven", ("fc",))
    assert found.message == "fc/kernel of model.ckpt-7 holds the values of fc/kernel flipped along axis 0."


def test_the_weights_alone_need_a_reference_that_holds_them_by_name(
    checked: Callable[..., ParityResult],
) -> None:
    result = checked(FROZEN, OTHER, run="always\n    compare: weights")
    assert result.verdict == "error"
    assert str(result.error).startswith(
        "`compare: weights` needs a reference that holds weights by name, such as a checkpoint;"
    )


def test_a_marker_states_another_format_for_a_side(
    empty_project: Project, networks: Callable[..., Network]
) -> None:
    empty_project.add()
    shutil.copy(networks(training_bn=True).frozen_graph, empty_project.path / "other.pb")
    text = MANIFEST.replace("REFERENCE", CHECKPOINT + ", feeds: {}").replace("EXPORT", FROZEN)
    empty_project.write("tfparity.yaml", text.replace("RUN", "unproven"))
    empty_project.write(
        "test_it.py",
        """
from pytest_tfparity import assert_parity, parity

@parity("net", reference={"frozen_graph": "model.pb"})
def test_frozen(reference_model, export_model, golden_inputs):
    assert "model.pb" in assert_parity(export_model, reference_model, golden_inputs).reference

@parity("net", reference={"frozen_graph": "model.pb"}, checkpoint="model.ckpt-7")
def test_both(reference_model):
    pass
""",
    )
    result = empty_project.run("test_it.py")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*are two files for one side; keep one of them."])


@pytest.mark.parametrize("sides", [(CHECKPOINT, FROZEN), (FROZEN, CHECKPOINT)])
def test_the_fixtures_give_what_each_format_has(empty_project: Project, sides: tuple[str, str]) -> None:
    empty_project.add()
    text = MANIFEST.replace("REFERENCE", sides[0]).replace("EXPORT", sides[1]).replace("RUN", "unproven")
    empty_project.write("tfparity.yaml", text)
    empty_project.write(
        "test_it.py",
        """
from pytest_tfparity import parity

@parity("net", atol=1e-6)
def test_it(reference_model, export_model, golden_inputs):
    assert export_model.run(golden_inputs) == reference_model.run(golden_inputs)
    assert export_model.session.graph.get_operations()
    assert reference_model.graph_def.node

@parity("net")
def test_variables(reference_model):
    assert len(reference_model.variables) > 3
""",
    )
    passed = 2 if sides[0] == CHECKPOINT else 1
    result = empty_project.run("test_it.py")
    result.assert_outcomes(passed=passed, failed=2 - passed)
    if passed == 1:
        result.stdout.fnmatch_lines(
            ["*model.pb (frozen graph) has no .variables: it holds no weights by name."]
        )
