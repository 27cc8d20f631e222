import pytest

from pytest_tfparity.errors import ModelError
from pytest_tfparity.graph.read.checkpoints import checkpoint_file, checkpoint_text, find_checkpoint


@pytest.fixture
def folder(tmp_path):
    """A folder with the (empty) files of three checkpoints."""
    for step in (1, 2, 10):
        for suffix in ("index", "meta", "data-00000-of-00001"):
            (tmp_path / f"model.ckpt-{step}.{suffix}").touch()
    return tmp_path


def state(folder, latest, name="checkpoint"):
    path = folder / name
    path.write_text(f'model_checkpoint_path: "{latest}"\nall_model_checkpoint_paths: "{latest}"\n')
    return path


def message_of(path):
    with pytest.raises(ModelError) as caught:
        find_checkpoint(path)
    return str(caught.value)


@pytest.mark.parametrize("suffix", ["", ".index", ".meta", ".data-00000-of-00001"])
def test_a_prefix_or_any_of_its_files_names_the_checkpoint(folder, suffix):
    assert find_checkpoint(folder / f"model.ckpt-2{suffix}") == folder / "model.ckpt-2"


@pytest.mark.parametrize(
    "latest",
    ["model.ckpt-10", "/home/someone/else/model.ckpt-10", "C:\\\\train\\\\model.ckpt-10", "./model.ckpt-10"],
)
def test_a_folder_means_its_latest_checkpoint(folder, latest):
    state(folder, latest)
    assert find_checkpoint(folder) == folder / "model.ckpt-10"


def test_an_absolute_path_that_exists_is_taken_as_it_is(folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    state(other, folder / "model.ckpt-1")
    assert find_checkpoint(other) == folder / "model.ckpt-1"


def test_a_state_file_of_another_name_can_be_named(folder):
    path = state(folder, "model.ckpt-2", "latest_best")
    assert find_checkpoint(path) == folder / "model.ckpt-2"


def test_a_latest_checkpoint_that_is_gone_is_an_error_and_no_older_one_is_taken(folder):
    path = state(folder, "/elsewhere/model.ckpt-11")
    assert message_of(folder) == (
        f"{path} says that the latest checkpoint is /elsewhere/model.ckpt-11, of which there is no .index,"
        f" neither there nor in {folder}. There are: model.ckpt-1, model.ckpt-2 and model.ckpt-10."
    )


def test_a_folder_of_one_checkpoint_needs_no_state_file(tmp_path):
    (tmp_path / "net.cptk.index").touch()
    assert find_checkpoint(tmp_path) == tmp_path / "net.cptk"


def test_a_folder_of_several_checkpoints_needs_one(folder):
    assert message_of(folder) == (
        f"{folder} holds 3 checkpoints and no `checkpoint` file that says which is the latest:"
        " model.ckpt-1, model.ckpt-2 and model.ckpt-10. Name one by its prefix."
    )


def test_a_state_file_that_is_none_is_an_error(folder):
    (folder / "checkpoint").write_text("hello")
    assert "is not the `checkpoint` file that tf.train.Saver writes" in message_of(folder)


def test_a_wrong_prefix_suggests_the_nearest(folder):
    message = message_of(folder / "model.ckpt-100")
    assert message.startswith(
        f"There is no checkpoint {folder / 'model.ckpt-100'}. In its folder there are: "
    )
    assert "model.ckpt-10" in message


def test_a_checkpoint_without_index_is_named(tmp_path):
    (tmp_path / "model.ckpt.meta").touch()
    assert "has .meta but no .index" in message_of(tmp_path / "model.ckpt")
    (tmp_path / "model.ckpt.data-00000-of-00001").touch()
    assert "has .meta and .data but no .index" in message_of(tmp_path / "model.ckpt.meta")


def test_a_missing_folder_is_named(tmp_path):
    assert message_of(tmp_path / "gone" / "model") == (
        f"There is no checkpoint {tmp_path / 'gone' / 'model'}: there is no folder {tmp_path / 'gone'}."
    )
    (tmp_path / "empty").mkdir()
    assert "holds no .index file" in message_of(tmp_path / "empty")


def test_names_may_hold_the_characters_of_patterns(tmp_path):
    (tmp_path / "model[1].index").touch()
    assert find_checkpoint(tmp_path / "model[1]") == tmp_path / "model[1]"
    (tmp_path / "model[2].meta").touch()
    assert "has .meta but no .index" in message_of(tmp_path / "model[2]")


def test_files_and_text_of_a_prefix(tmp_path):
    assert checkpoint_file(tmp_path / "a.b", ".meta") == tmp_path / "a.b.meta"
    assert checkpoint_text(tmp_path / "a.b") == str(tmp_path / "a.b")
    assert checkpoint_text(tmp_path) == f"{tmp_path}/"


@pytest.mark.parametrize("name", ["x" * 5000, "a/" * 3000, "x" * 1_000_000], ids=["name", "path", "megabyte"])
def test_a_latest_checkpoint_that_no_file_can_be_called_is_said_and_cut(folder, name):
    path = state(folder, name)
    said = message_of(folder)
    assert said.startswith(f"{path} says that the latest checkpoint is {name[:100]}..., of which there is no")
    assert len(said) < 1000


def test_thousands_of_other_checkpoints_are_not_read(folder):
    path = state(folder, "model.ckpt-2")
    path.write_text(path.read_text() + 'all_model_checkpoint_paths: "not parsed\n' * 100_000)
    assert find_checkpoint(folder) == folder / "model.ckpt-2"
