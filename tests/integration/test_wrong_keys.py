"""What is stated under a wrong key: the message names the right one."""

from __future__ import annotations

import shutil

import pytest

from conftest import MANIFEST, Project

META = "model.ckpt-7.meta"


@pytest.mark.parametrize(
    ("reference", "export", "told"),
    [
        (
            "checkpoint: model.ckpt-7",
            "frozen_graph: served",
            "*: 'frozen_graph' of the export of model 'net' names 'served', which is a SavedModel: write 'saved_model'"
            " in the place of 'frozen_graph'.",
        ),
        (
            "checkpoint: model.ckpt-7",
            "frozen_graph: model.ckpt-7",
            "*: 'frozen_graph' of the export of model 'net' names 'model.ckpt-7', which is a checkpoint: write"
            " 'checkpoint' in the place of 'frozen_graph'.",
        ),
        (
            "checkpoint: model.ckpt-7",
            "saved_model: model.pb",
            "*: 'saved_model' of the export of model 'net' names 'model.pb', which is a frozen graph: write*",
        ),
        (
            "checkpoint: model.ckpt-7",
            "tflite: model.pb",
            "  Name the file that the converter wrote. The export is model.pb, which is a frozen graph: write",
        ),
        (
            "checkpoint: model.pb",
            "frozen_graph: model.pb",
            "* The reference is model.pb, which is a frozen graph*",
        ),
        (
            "checkpoint: model.ckpt-7, is_training: false",
            "frozen_graph: model.pb",
            "*: unknown key 'is_training' in the reference of model 'net'. A constant for a placeholder stands under"
            " 'feeds': feeds: {\"is_training:0\": false}.",
        ),
        (
            "checkpoint: model.ckpt-7, ema: true",
            "frozen_graph: model.pb",
            "*: 'ema' of the reference of model 'net' must be *, not true. To use those of the trainable variables,"
            " write ema: trainable.",
        ),
    ],
    ids=["folder", "prefix", "file", "content", "reference", "feed", "averages"],
)
def test_the_right_key_is_named(project: Project, reference: str, export: str, told: str) -> None:
    (project.path / "served").mkdir()
    shutil.copy(project.path / META, project.path / "served" / "saved_model.pb")
    manifest = MANIFEST.replace("checkpoint: model.ckpt-7", reference).replace(
        "frozen_graph: model.pb", export
    )
    project.write("tfparity.yaml", manifest)
    result = project.run()
    assert result.ret in (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED)
    result.stdout.fnmatch_lines([told])


def test_a_file_of_the_stated_format_that_cannot_be_read_is_called_nothing_else(project: Project) -> None:
    (project.path / "model.pb").write_bytes((project.path / "model.pb").read_bytes()[:-100])
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("*in the place of*")
