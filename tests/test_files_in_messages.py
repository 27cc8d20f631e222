"""What is raised about a file names the file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import pytest_tfparity
from conftest import MANIFEST, Project

PACKAGE = Path(pytest_tfparity.__file__).parent
ABOUT_FILES = {
    "ModelError", "UnreadableFile", "TensorNotFound", "FeedError", "InputError", "GoldenError", "RemoteError",
}  # fmt: skip
NAMES_A_FILE = (
    "source", "path", "label", "shown", "file", "where", "prefix", "folder", "_name", "checkpoint", "place",
    "beside", "origin", "subject", "builder", "function", "state", "url", "graph", "spec.name", "npz",
    "not_at_hand", "sentence", "bundle",
)  # fmt: skip
"""What an expression in a message is called that is a file, or something of the project that is named there."""
NAMED_BY_THEIR_CALLER = {
    "graph/read/slices.py": "bundle.py and restore.py say of which checkpoint the part is",
    "runtime/activations.py": "a diagnosis speaks of both sides",
    "runtime/side_by_side.py": "a diagnosis speaks of both sides",
    "runtime/images.py": "the settings refuse it before",
    "runtime/importing.py": "check names the files of a check whose error names none",
    "runtime/restoring.py": "check names the files of a check whose error names none",
    "check/exact.py": "it says why by an error that names the file",
    "check/pair.py": "check names the files of a check whose error names none",
    "check/random_inputs.py": "check names the files of a check whose error names none",
    "check/details/grad_cam.py": "it is about tensors of a report's picture, and names them",
}


def raised() -> Iterator[tuple[str, str, list[str]]]:
    """Each place that raises an error about a file, with the expressions that its message is made with."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            call = node.exc if isinstance(node, ast.Raise) else None
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") in ABOUT_FILES and call.args:
                parts = ast.walk(call.args[0])
                shown = [ast.unparse(part.value) for part in parts if isinstance(part, ast.FormattedValue)]
                made = (
                    []
                    if isinstance(call.args[0], ast.JoinedStr | ast.Constant)
                    else [ast.unparse(call.args[0])]
                )
                yield path.relative_to(PACKAGE).as_posix(), f"line {node.lineno}", [*shown, *made]


def test_every_message_about_a_file_is_made_with_its_name() -> None:
    silent = [
        (module, line)
        for module, line, shown in raised()
        if module not in NAMED_BY_THEIR_CALLER
        and not any(name in each for each in shown for name in NAMES_A_FILE)
    ]
    assert silent == []
    assert len(list(raised())) > 150


def test_every_module_that_leaves_the_name_to_its_caller_still_does() -> None:
    modules = {
        module for module, _, shown in raised() if not any(n in each for each in shown for n in NAMES_A_FILE)
    }
    assert modules == NAMED_BY_THEIR_CALLER.keys()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("{npz: images.npz, key: image}", "{random: {shape: [100000, 100000, 100]}}"), "tfparity.yaml:2"),
        (("{npz: images.npz, key: image}", "{npz: wide.npz, key: image}"), "wide.npz"),
        (('"logits:0"', '{reference: "logit:0", export: "logits:0"}'), "model.ckpt-7 (model.ckpt-7.meta)"),
    ],
    ids=["too many random numbers", "values that do not fit", "an output that is not there"],
)
def test_a_failing_check_names_the_file_that_is_wrong(
    project: Project, change: tuple[str, str], named: str
) -> None:
    np.savez(project.path / "wide.npz", image=np.ones((2, 3, 3, 3, 3), "f4"))
    project.write("tfparity.yaml", MANIFEST.replace(*change))
    result = project.run("-v")
    result.assert_outcomes(failed=1)
    assert named in result.stdout.str().partition("FAILURES")[2]
