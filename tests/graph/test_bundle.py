import shutil

import numpy as np
import pytest

from pytest_tfparity.errors import ModelError, TensorNotFound, UnreadableFile
from pytest_tfparity.graph.graph import DType
from pytest_tfparity.graph.read.bundle import Bundle, find_checkpoint, other_checkpoints
from pytest_tfparity.graph.read.slices import Extent

TYPES = (
    "float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint64", "uint32",
    "uint16", "uint8", "bool", "complex64", "complex128", "float8_e5m2", "float8_e4m3fn",
)  # fmt: skip


@pytest.fixture(scope="module")
def tf():
    return pytest.importorskip("tensorflow")


@pytest.fixture(scope="module")
def save(tf):
    """Write tensors with TensorFlow's own ops: save(prefix, {name: array}, {name: slice spec})."""

    def save(prefix, tensors, slices=None):
        names = list(tensors)
        specs = [(slices or {}).get(name, "") for name in names]
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            values = [tf.constant(tensors[name]) for name in names]
            session.run(
                tf.raw_ops.SaveV2(
                    prefix=str(prefix), tensor_names=names, shape_and_slices=specs, tensors=values
                )
            )
        return prefix

    return save


@pytest.fixture
def prefix(save, tmp_path):
    return save(
        tmp_path / "model.ckpt-7", {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "step": np.int64(7)}
    )


def message_of(action):
    with pytest.raises(ModelError) as caught:
        action()
    return str(caught.value)


@pytest.mark.parametrize("kind", ["numbers", "strings", "parts"])
def test_a_tensor_whose_bytes_are_not_those_of_the_index_is_named_when_it_is_read(save, tmp_path, tf, kind):
    values = {
        "numbers": np.arange(6, dtype=np.float32),
        "strings": [b"one", b"", b"three"],
        "parts": np.ones(4),
    }[kind]
    prefix = save(tmp_path / "model", {"w": values, "x": values}, {"w": "4 0,4"} if kind == "parts" else None)
    with Bundle(prefix) as bundle:
        assert len(bundle.tensors["w"].array) == len(values)
        place = bundle.entry("x")
    data = tmp_path / "model.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    content[place.offset + place.size - 1] ^= 1
    data.write_bytes(content)
    with Bundle(prefix) as bundle:
        assert len(bundle.tensors["w"].array) == len(values)
        said = message_of(lambda: bundle.tensors["x"].array)
    assert said.startswith(
        f"{data} is damaged, or belongs to another index: the checksum of 'x' is not that in"
    )
    with tf.Graph().as_default(), tf.compat.v1.Session() as session, pytest.raises(tf.errors.DataLossError):
        session.run(
            tf.raw_ops.RestoreV2(
                prefix=str(prefix),
                tensor_names=["x"],
                shape_and_slices=[""],
                dtypes=[tf.as_dtype(np.asarray(values).dtype)],
            )
        )


def test_tensors_are_read_only_views_of_the_data_file(prefix):
    with Bundle(prefix) as bundle:
        assert sorted(bundle.tensors) == ["step", "w"]
        array = bundle.tensors["w"].array
        np.testing.assert_array_equal(array, [[0, 1, 2], [3, 4, 5]])
        assert not array.flags.owndata
        assert not array.flags.writeable
        assert bundle.entry("step").shape == ()
        assert bundle.entry("w").dtype == DType(1)
    np.testing.assert_array_equal(array, [[0, 1, 2], [3, 4, 5]])


def test_every_type_reads_as_tensorflow_wrote_it(tf, save, tmp_path):
    tensors = {
        name: np.asarray([[0, 1, 1], [1, 0, 1]]).astype(getattr(tf, name).as_numpy_dtype)
        for name in TYPES
        if hasattr(tf, name)
    }
    bundle = Bundle(save(tmp_path / "types", tensors))
    for name, array in tensors.items():
        assert bundle.tensors[name].array.shape == (2, 3)
        assert bundle.tensors[name].array.tobytes() == array.tobytes(), name


def test_strings_are_read(save, tmp_path):
    values = np.array([[b"", b"a\0\xff"], [b"x" * 300, "ä".encode()]], object)
    bundle = Bundle(save(tmp_path / "text", {"text": values, "one": np.array(b"scalar", object)}))
    assert bundle.tensors["text"].array.tolist() == values.tolist()
    assert bundle.tensors["one"].array[()] == b"scalar"


def test_tensors_without_values_need_no_data(save, tmp_path):
    prefix = save(tmp_path / "empty", {"none": np.zeros((0, 3), np.float32)})
    assert Bundle(prefix).tensors["none"].array.shape == (0, 3)


def test_parts_of_a_variable_make_up_the_whole(tf, save, tmp_path):
    whole = np.arange(70 * 3, dtype=np.float32).reshape(70, 3)
    parts = {"0": "70 3 0,65:0,3", "1": "70 3 65,5:-"}
    prefixes = []
    for shard, (start, stop) in enumerate(((0, 65), (65, 70))):
        piece = whole[start:stop]
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            target = str(tmp_path / f"part-{shard}")
            session.run(
                tf.raw_ops.SaveV2(
                    prefix=target,
                    tensor_names=["table"],
                    shape_and_slices=[parts[str(shard)]],
                    tensors=[piece],
                )
            )
            prefixes.append(target)
    prefix = tmp_path / "model"
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        session.run(
            tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=prefixes, destination_prefix=str(prefix))
        )
    bundle = Bundle(prefix)
    assert list(bundle.tensors) == ["table"]
    assert (Extent(65, 5), Extent(0, -1)) in bundle.entry("table").slices
    np.testing.assert_array_equal(bundle.tensors["table"].array, whole)
    np.testing.assert_array_equal(bundle.read_slice("table", "70 3 0,65:0,3"), whole[:65])
    np.testing.assert_array_equal(bundle.read_slice("table", "70 3 60,8:1,1"), whole[60:68, 1:2])
    np.testing.assert_array_equal(bundle.read_slice("table", ""), whole)
    assert "with shape [70, 4]" in message_of(lambda: bundle.read_slice("table", "70 4 0,65:0,4"))


def test_a_missing_tensor_suggests_the_nearest(prefix):
    with pytest.raises(TensorNotFound, match=r"holds no tensor 'ww'\. Did you mean 'w'"):
        Bundle(prefix).entry("ww")


def test_a_part_of_a_whole_tensor_is_a_view(prefix):
    np.testing.assert_array_equal(Bundle(prefix).read_slice("w", "2 3 1,1:0,2"), [[3, 4]])


def test_a_missing_data_file_is_named(prefix):
    prefix.with_name("model.ckpt-7.data-00000-of-00001").unlink()
    assert message_of(lambda: Bundle(prefix)) == (
        f"The checkpoint {prefix} lacks 1 of 1 data files: model.ckpt-7.data-00000-of-00001."
        " Copy all files of a checkpoint together."
    )


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "is empty: it has 0 bytes and its index speaks of 32"),
        (b"abc", "is truncated: it has 3 bytes and its index speaks of 32"),
    ],
)
def test_a_data_file_that_is_too_small_is_named(prefix, data, expected):
    path = prefix.with_name("model.ckpt-7.data-00000-of-00001")
    path.write_bytes(data)
    assert message_of(lambda: Bundle(prefix)).startswith(f"{path} {expected}")


@pytest.mark.parametrize("suffix", [".index", ".data-00000-of-00001"])
@pytest.mark.parametrize("count", [3, 1000])
def test_a_git_lfs_pointer_in_place_of_a_file_is_named(save, tmp_path, suffix, count):
    prefix = save(tmp_path / "model", {"w": np.zeros(count, np.float32)})
    path = prefix.with_name(f"model{suffix}")
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 999\n")
    assert f"{path} is a Git LFS pointer" in message_of(lambda: Bundle(prefix))


def test_a_truncated_index_is_named(prefix):
    index = prefix.with_name(prefix.name + ".index")
    data = index.read_bytes()
    for length in (1, 40, len(data) // 2, len(data) - 1):
        index.write_bytes(data[:length])
        assert str(index) in message_of(lambda: Bundle(prefix))


def test_a_checkpoint_of_the_old_format_is_left_to_tensorflow(tf, tmp_path):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        old = tf.compat.v1.get_variable("w", initializer=1.0, use_resource=False)
        session.run(old.initializer)
        saver = tf.compat.v1.train.Saver(write_version=tf.compat.v1.train.SaverDef.V1)
        path = tmp_path / "old.ckpt"
        saver.save(session, str(path), write_meta_graph=False, write_state=False)
    with pytest.raises(UnreadableFile, match="is a checkpoint of the V1 format"):
        find_checkpoint(path)
    with pytest.raises(UnreadableFile, match="is a checkpoint of the V1 format"):
        Bundle(path)


def test_a_base_name_can_be_empty(prefix, tmp_path):
    folder = tmp_path / "variables"
    folder.mkdir()
    for suffix in (".index", ".data-00000-of-00001"):
        shutil.copy(prefix.with_name(prefix.name + suffix), folder / suffix)
    found = find_checkpoint(folder)
    assert found == folder
    np.testing.assert_array_equal(Bundle(found).tensors["step"].array, 7)
    assert find_checkpoint(folder / ".index") == folder
    assert other_checkpoints(found) == []


def test_other_checkpoints_of_the_folder_are_in_the_order_of_their_numbers(prefix):
    for step in (10, 9):
        for suffix in (".index", ".data-00000-of-00001"):
            shutil.copy(
                prefix.with_name(prefix.name + suffix), prefix.with_name(f"model.ckpt-{step}{suffix}")
            )
    assert [other.name for other in other_checkpoints(prefix)] == ["model.ckpt-9", "model.ckpt-10"]
