"""Files that are not what they should be: each is one sentence, and never a traceback."""

import os
from collections.abc import Callable
from fnmatch import fnmatchcase as fnmatch
from pathlib import Path

import numpy as np
import pytest

from conftest import MANIFEST, QUIET, Project
from graphs.networks import build, images, load, weights


def wrong_rank(project: Project) -> None:
    np.savez(project.path / "images.npz", image=images().reshape(4, 72))


def wrong_dtype(project: Project) -> None:
    np.savez(project.path / "images.npz", image=images().astype(np.float64))


def missing_shard(project: Project) -> None:
    project.add(sharded=True)
    (project.path / "model.ckpt-7.data-00001-of-00002").unlink()


def missing_data(project: Project) -> None:
    (project.path / "model.ckpt-7.data-00000-of-00001").unlink()


def missing_meta(project: Project) -> None:
    (project.path / "model.ckpt-7.meta").unlink()


def missing_index(project: Project) -> None:
    (project.path / "model.ckpt-7.index").unlink()


def empty_export(project: Project) -> None:
    (project.path / "model.pb").write_bytes(b"")


def truncated_export(project: Project) -> None:
    path = project.path / "model.pb"
    path.write_bytes(path.read_bytes()[:-100])


def page_instead_of_export(project: Project) -> None:
    (project.path / "model.pb").write_text("<!DOCTYPE html>\n<html><body>404 not found</body></html>\n")


def pointer_instead_of_export(project: Project) -> None:
    (project.path / "model.pb").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    )


def meta_instead_of_export(project: Project) -> None:
    (project.path / "model.pb").write_bytes((project.path / "model.ckpt-7.meta").read_bytes())


def not_frozen(project: Project) -> None:
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        build()
    (project.path / "model.pb").write_bytes(graph.as_graph_def().SerializeToString())


def unknown_output(project: Project) -> None:
    project.write("tfparity.yaml", MANIFEST.replace('"probabilities:0"', '"probabilties:0"'))


def unknown_input(project: Project) -> None:
    project.write("tfparity.yaml", MANIFEST.replace('"image:0"', '"imge:0"'))


def missing_array(project: Project) -> None:
    np.savez(project.path / "images.npz", images=images())


def checkpoint_of_another_network(project: Project) -> None:
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        v1.get_variable("fc/kernel", [7, 9])
        v1.get_variable("fc/bias", [9])
        for name in ("gamma", "beta", "moving_mean", "moving_variance"):
            v1.get_variable(f"block/bn/{name}", [3])
        v1.get_variable("block/conv/kernel", [3, 3, 2, 3])
        v1.train.get_or_create_global_step()
        load(session, weights(v1.global_variables()))
        v1.train.Saver().save(session, str(project.path / "model.ckpt-7"), write_meta_graph=False)


CASES: list[tuple[Callable[[Project], None], str]] = [
    (
        wrong_rank,
        "*image:0 of model.ckpt-7 takes float32 [[]?,6,6,2]; the array given for it is float32 [[]4,72].*",
    ),
    (wrong_dtype, "*image:0*float32*float64*"),
    (missing_shard, "*model.ckpt-7.data-00001-of-00002*"),
    (missing_data, "*model.ckpt-7.data-00000-of-00001*"),
    (missing_meta, "*model.ckpt-7.meta*`builder`*`compare: weights`*"),
    (missing_index, "*model.ckpt-7*"),
    (empty_export, "*model.pb*empty*"),
    (truncated_export, "*model.pb*"),
    (page_instead_of_export, "*model.pb*HTML*"),
    (pointer_instead_of_export, "*model.pb*Git LFS pointer*git lfs pull*"),
    (meta_instead_of_export, "*model.pb is a MetaGraphDef*"),
    (
        not_frozen,
        "*model.pb is not frozen: 7 variables are left*(block/conv/kernel*convert_variables_to_constants*",
    ),
    (unknown_output, "*'probabilties:0'*Did you mean 'probabilities*"),
    (unknown_input, "*'imge:0'*Did you mean 'image*"),
    (missing_array, "*images.npz*'image'*'images'*"),
    (checkpoint_of_another_network, "*model.ckpt-7 is of another network*fc/kernel is [[]7,9]*[[]3,4]*"),
]


@pytest.mark.parametrize(("spoil", "sentence"), CASES, ids=lambda value: getattr(value, "__name__", ""))
def test_wrong_files_are_named_in_a_sentence(
    project: Project, spoil: Callable[[Project], None], sentence: str
) -> None:
    spoil(project)
    result = project.run()
    assert result.ret in (1, 2)
    said = " ".join(line.strip() for line in result.outlines)  # what is too long for one line is wrapped
    assert fnmatch(said, f"*{sentence}*")
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*pytest_tfparity/*.py*")


def devices(project: Project) -> None:
    """What a folder can hold that is no file: links to a device without an end, pipes that nobody writes to."""
    for name in ("zero.npz", "zero.pb", "zero.yaml"):
        (project.path / name).symlink_to("/dev/zero")
    for name in ("pipe", "pipe.npz"):
        os.mkfifo(project.path / name)


@pytest.mark.skipif(not Path("/dev/zero").exists() or not hasattr(os, "mkfifo"), reason="not on this system")
@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "model.pb",
            "pipe",
            "'frozen_graph' of the export of model 'net' names 'pipe', which is a pipe, not a file.",
        ),
        ("model.pb", "/dev/zero", "names '/dev/zero', which is a device, not a file."),
        ("model.pb", "zero.pb", "names 'zero.pb', which is a device, not a file."),
        ("model.ckpt-7", "pipe", "There is no checkpoint pipe"),
        ("model.ckpt-7", "/dev/zero", "There is no checkpoint /dev/zero"),
        ("images.npz", "zero.npz", "names 'zero.npz', which is a device, not a file."),
        ("images.npz", "pipe.npz", "names 'pipe.npz', which is a pipe, not a file."),
        ("    outputs:", "    golden: zero.npz\n    outputs:", "zero.npz is a device, not a file."),
    ],
)
def test_what_is_no_file_is_named_and_never_read(project: Project, old: str, new: str, sentence: str) -> None:
    devices(project)
    project.write("tfparity.yaml", MANIFEST.replace(old, new))
    result = project.pytester.runpytest_subprocess(*QUIET, "--tfparity-run=always", timeout=120)
    assert result.ret in (1, 2)
    said = " ".join(line.strip() for line in result.outlines)
    assert sentence in said
    result.stdout.no_fnmatch_line("*Traceback*")


@pytest.mark.parametrize("old", ["model.pb", "model.ckpt-7", "images.npz"])
def test_a_name_that_no_file_can_have_is_said_in_a_sentence(project: Project, old: str) -> None:
    project.write("tfparity.yaml", MANIFEST.replace(old, "x" * 5000 + Path(old).suffix))
    result = project.run()
    said = " ".join(line.strip() for line in result.outlines)
    assert "names no file: " in said or "there is no such file" in said or "there is neither a file" in said
    result.stdout.no_fnmatch_line("*pytest_tfparity/*.py*")


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="there is no such file")
def test_a_file_that_cannot_be_read_is_said_in_a_sentence(project: Project) -> None:
    project.write("tfparity.yaml", MANIFEST.replace("model.pb", "/proc/self/mem"))
    result = project.run()
    assert "/proc/self/mem cannot be opened" in " ".join(line.strip() for line in result.outlines)
    result.stdout.no_fnmatch_line("*pytest_tfparity/*.py*")
