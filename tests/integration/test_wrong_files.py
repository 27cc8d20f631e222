"""Files that are not what they should be: each is one sentence, and never a traceback."""

from collections.abc import Callable
from fnmatch import fnmatchcase as fnmatch

import numpy as np
import pytest

from conftest import MANIFEST, Project
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
