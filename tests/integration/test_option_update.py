"""``--tfparity-update`` and ``--tfparity-prune``: goldens."""

import os
import subprocess
import sys

import numpy as np
import pytest

from conftest import MANIFEST, Project

WITH_GOLDEN = MANIFEST + "    golden: goldens/net.npz\n"
TEST = """
from pytest_tfparity import parity

@parity("net")
def test_against_golden(frozen_graph, golden_inputs, golden_outputs):
    assert frozen_graph.run(golden_inputs) == golden_outputs
"""


@pytest.fixture
def golden_project(project: Project) -> Project:
    project.write("tfparity.yaml", WITH_GOLDEN)
    return project


def contents(project: Project) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((project.path / "goldens").iterdir())}


def test_a_missing_golden_fails_and_the_command_to_write_it_is_printed(golden_project: Project) -> None:
    result = golden_project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["net: *goldens/net.npz*", "*pytest --tfparity-update*"])
    assert not (golden_project.path / "goldens").exists()


def test_update_creates_then_leaves_unchanged_goldens_alone(golden_project: Project) -> None:
    result = golden_project.run("--tfparity-update")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["goldens: 1 created", "  created goldens/net.npz"])
    before = contents(golden_project)
    assert set(before) == {"net.npz", "net.yaml"}
    golden_project.run("--tfparity-update").stdout.fnmatch_lines(["goldens: 1 unchanged"])
    assert contents(golden_project) == before
    golden_project.run().assert_outcomes(passed=1)


def test_goldens_of_another_checkpoint_fail_until_updated(golden_project: Project) -> None:
    golden_project.run("--tfparity-update")
    golden_project.add(seed=1)
    result = golden_project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*goldens/net.npz are not this checkpoint's outputs (max abs *--tfparity-update*"]
    )
    golden_project.run("--tfparity-update=new").stdout.fnmatch_lines(["goldens: 1 unchanged"])
    result = golden_project.run("--tfparity-update")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["goldens: 1 updated (max change *)", "  updated goldens/net.npz"])
    golden_project.run().assert_outcomes(passed=1)


def test_an_export_that_matches_old_goldens_but_not_the_checkpoint_fails(golden_project: Project) -> None:
    golden_project.run("--tfparity-update")
    export = (golden_project.path / "model.pb").read_bytes()
    golden_project.add(seed=1)
    (golden_project.path / "model.pb").write_bytes(export)
    golden_project.run().assert_outcomes(failed=1)


def test_goldens_stand_in_for_an_optional_checkpoint_that_is_not_at_hand(golden_project: Project) -> None:
    optional = WITH_GOLDEN.replace("model.ckpt-7}", "model.ckpt-7, optional: true}")
    golden_project.write("tfparity.yaml", optional)
    golden_project.run("--tfparity-update").assert_outcomes(passed=1)
    for file in golden_project.path.glob("model.ckpt-7*"):
        file.unlink()
    result = golden_project.run()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["net: The checkpoint is not at hand: the goldens are the reference.*"])
    golden_project.add(wrong_weights=True)
    for file in golden_project.path.glob("model.ckpt-7*"):
        file.unlink()
    result = golden_project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["net: export differs from golden: *"])


def test_a_checkpoint_that_is_not_at_hand_cannot_update(golden_project: Project) -> None:
    optional = WITH_GOLDEN.replace("model.ckpt-7}", "model.ckpt-7, optional: true}")
    golden_project.write("tfparity.yaml", optional)
    golden_project.run("--tfparity-update")
    (golden_project.path / "model.ckpt-7.index").unlink()
    result = golden_project.run("--tfparity-update")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*cannot be updated, because the checkpoint is not at hand*"])


def test_goldens_answer_for_their_own_inputs_alone(golden_project: Project) -> None:
    optional = WITH_GOLDEN.replace("model.ckpt-7}", "model.ckpt-7, optional: true}")
    golden_project.write("tfparity.yaml", optional)
    golden_project.run("--tfparity-update")
    (golden_project.path / "model.ckpt-7.index").unlink()
    golden_project.write(
        "test_it.py",
        "from pytest_tfparity import parity\n"
        "@parity('net')\n"
        "def test_it(reference_model, golden_inputs):\n"
        "    assert len(reference_model.run(golden_inputs)) == 2\n"
        "    reference_model.run({'image:0': golden_inputs['image:0'] * 2})\n",
    )
    result = golden_project.run("test_it.py")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "The checkpoint of net is not at hand: model.ckpt-7. Fetch it, or use the goldens alone, which answer for"
            " their own inputs. To use the goldens, run it on golden_inputs."
        ]
    )


def test_other_inputs_than_the_manifest_states_fail(golden_project: Project) -> None:
    golden_project.run("--tfparity-update")
    np.savez(golden_project.path / "images.npz", image=np.ones((4, 6, 6, 2), np.float32))
    result = golden_project.run("--tfparity-run=always")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["net: goldens/net.npz was made from other inputs than the manifest states now*"]
    )


def test_update_refuses_in_ci_unless_forced(golden_project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    result = golden_project.run("--tfparity-update")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*--tfparity-update does not write goldens in CI*"])
    assert not (golden_project.path / "goldens").exists()
    golden_project.run("--tfparity-update=force").assert_outcomes(passed=1)


def test_a_damaged_golden_is_named(golden_project: Project) -> None:
    golden_project.run("--tfparity-update")
    path = golden_project.path / "goldens" / "net.npz"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n")
    golden_project.run().stdout.fnmatch_lines(["net: *goldens/net.npz*Git LFS*"])


def test_fixtures_serve_goldens_and_update_them(golden_project: Project) -> None:
    golden_project.write("test_it.py", TEST)
    golden_project.run("test_it.py").assert_outcomes(errors=1)
    result = golden_project.run("test_it.py", "--tfparity-update")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["goldens: 1 created"])
    golden_project.run("test_it.py").assert_outcomes(passed=1)


def test_workers_update_one_golden_together(golden_project: Project) -> None:
    copies = "".join(TEST.replace("test_against", f"test_{index}_against") for index in range(6))
    golden_project.write("test_it.py", copies)
    result = golden_project.run_apart("-n", "4", "--tfparity-update")
    result.assert_outcomes(passed=7)
    result.stdout.fnmatch_lines(["goldens: 1 created"])
    assert set(contents(golden_project)) == {"net.npz", "net.yaml"}


def test_goldens_that_no_check_uses_are_listed_and_pruned_on_a_full_run(golden_project: Project) -> None:
    golden_project.run("--tfparity-update")
    golden_project.write("tfparity.yaml", WITH_GOLDEN.replace("goldens/net.npz", "goldens/renamed.npz"))
    result = golden_project.run("--tfparity-update")
    result.stdout.fnmatch_lines(
        ["goldens that no check uses (remove them with --tfparity-prune): goldens/net.npz"]
    )
    golden_project.run("-k", "nothing", "--tfparity-prune")
    assert (golden_project.path / "goldens" / "net.npz").exists()
    golden_project.run("--tfparity-prune").stdout.fnmatch_lines(["removed goldens/net.npz"])
    assert set(contents(golden_project)) == {"renamed.npz", "renamed.yaml"}


def test_an_unchanged_proven_export_is_not_run_even_with_goldens(golden_project: Project) -> None:
    golden_project.run("--tfparity-update")
    golden_project.write("conftest.py", "import sys\nsys.modules['tensorflow'] = None\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q"],
        cwd=golden_project.path,
        capture_output=True,
        text=True,
        env={**os.environ},
        check=False,
    )
    assert "1 proven equal" in done.stdout, done.stdout
