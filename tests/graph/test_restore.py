import numpy as np
import pytest

from pytest_tfparity.errors import ModelError
from pytest_tfparity.graph.read.bundle import Bundle
from pytest_tfparity.graph.read.graphdef import read_meta
from pytest_tfparity.graph.read.restore import RestoredKey, restored, restored_keys

SHADOW = "ExponentialMovingAverage"


def restored_variables(meta, ema, bundle):
    """Variable to the value that the restore puts there; those that the checkpoint lacks are left out."""
    found = restored_keys(meta, ema, bundle)
    return {name: restored(key, bundle) for name, key in found.items() if key.key in bundle.tensors}


@pytest.fixture(scope="module")
def tf1():
    return pytest.importorskip("tensorflow").compat.v1


@pytest.fixture
def trained(tf1, tmp_path):
    """trained(build, ...): meta graph, checkpoint and restored values of what ``build`` makes."""

    def trained(build, saver=None, restorer=None, **options):
        prefix = tmp_path / "model.ckpt"
        with tf1.Graph().as_default(), tf1.Session() as session:
            build()
            for number, variable in enumerate(tf1.global_variables()):
                value = np.full(variable.shape.as_list(), number, np.float32)
                session.run(variable.initializer, {variable.initializer.inputs[1]: value})
            (saver() if saver else tf1.train.Saver(**options)).save(
                session, str(prefix), write_meta_graph=False
            )
            if restorer is not False:
                (restorer() if restorer else tf1.train.Saver(**options)).export_meta_graph(f"{prefix}.meta")
            else:
                tf1.train.export_meta_graph(f"{prefix}.meta")
            expected = {}
            if restorer is None:
                tf1.train.Saver(**options).restore(session, str(prefix))
            for variable in tf1.global_variables():
                expected[variable.op.name] = session.run(variable)
        return read_meta(prefix.with_name("model.ckpt.meta")), Bundle(prefix), expected

    return trained


def averaged(tf1):
    """Two trainable variables and a statistic; averages of the trainable ones."""

    def build():
        w = tf1.get_variable("net/w", [2])
        b = tf1.get_variable("net/b", [2])
        tf1.get_variable("net/moving_mean", [2], trainable=False)
        tf1.train.ExponentialMovingAverage(0.9).apply([w, b])

    return build


def keys(restored):
    return {name: key.key for name, key in restored.items()}


RAW = {"net/w": "net/w", "net/b": "net/b", "net/moving_mean": "net/moving_mean"}
SHADOWED = RAW | {"net/w": f"net/w/{SHADOW}", "net/b": f"net/b/{SHADOW}"}


def of_net(restored):
    return {name: key for name, key in keys(restored).items() if not name.endswith(SHADOW)}


@pytest.mark.parametrize("resource", [False, True])
@pytest.mark.parametrize(
    "options", [{}, {"sharded": True}, {"restore_sequentially": True}, {"reshape": True}]
)
def test_every_variable_is_restored_as_tensorflow_restores_it(tf1, trained, resource, options):
    def build():
        with tf1.device("/cpu:0"):
            tf1.get_variable("a/w", [2, 3], use_resource=resource)
        tf1.get_variable("b", [], use_resource=resource)

    meta, bundle, expected = trained(build, **options)
    values = restored_variables(meta, None, bundle)
    assert sorted(values) == ["a/w", "b"]
    for name, value in expected.items():
        np.testing.assert_array_equal(values[name].array, value)
        assert values[name].shape == value.shape


@pytest.mark.parametrize("resource", [False, True])
@pytest.mark.parametrize("ema", [None, "none"])
def test_parts_of_a_variable_are_restored_each_from_its_place(tf1, trained, resource, ema):
    def build():
        tf1.get_variable("table", [7, 2], partitioner=tf1.fixed_size_partitioner(3), use_resource=resource)

    meta, bundle, expected = trained(build)
    values = restored_variables(meta, ema, bundle)
    assert sorted(values) == ["table/part_0", "table/part_1", "table/part_2"]
    assert keys(restored_keys(meta, ema, bundle)) == dict.fromkeys(values, "table")
    for name, value in expected.items():
        np.testing.assert_array_equal(values[name].array, value)
        assert values[name].shape == value.shape
    assert bundle.tensors["table"].shape == (7, 2)


def test_without_ema_the_savers_map_of_names_counts(tf1, trained):
    def saver():
        return tf1.train.Saver({SHADOWED[v.op.name]: v for v in tf1.global_variables() if v.op.name in RAW})

    meta, bundle, _ = trained(averaged(tf1), restorer=saver)
    assert of_net(restored_keys(meta, None, bundle)) == SHADOWED
    np.testing.assert_array_equal(
        restored_variables(meta, None, bundle)["net/w"].array, bundle.tensors[f"net/w/{SHADOW}"].array
    )


@pytest.mark.parametrize(
    ("ema", "expected"),
    [
        ("none", RAW),
        ("trainable", SHADOWED),
        ("all", SHADOWED),
        (("*/w",), RAW | {"net/w": f"net/w/{SHADOW}"}),
    ],
)
def test_ema_chooses_who_takes_its_average(tf1, trained, ema, expected):
    meta, bundle, _ = trained(averaged(tf1))
    assert of_net(restored_keys(meta, ema, bundle)) == expected


def test_patterns_do_not_mean_the_averages_and_slots_of_what_they_match(tf1, trained):
    def build():
        w = tf1.get_variable("net/w", [2])
        tf1.get_variable("net/w/Adam", [2], trainable=False)
        tf1.train.ExponentialMovingAverage(0.9).apply([w])

    meta, bundle, _ = trained(build)
    restored = keys(restored_keys(meta, ("net/*",), bundle))
    assert restored["net/w"] == f"net/w/{SHADOW}"
    assert restored["net/w/Adam"] == "net/w/Adam"
    assert restored[f"net/w/{SHADOW}"] == f"net/w/{SHADOW}"


def test_without_a_saver_every_variable_is_restored_under_its_own_name(tf1, trained):
    meta, bundle, _ = trained(averaged(tf1), restorer=False)
    assert meta.saver is None
    assert of_net(restored_keys(meta, None, bundle)) == RAW


def test_averages_of_parts_are_parts_of_the_average(tf1, trained):
    def build():
        table = tf1.get_variable("table", [7, 2], partitioner=tf1.fixed_size_partitioner(2))
        tf1.train.ExponentialMovingAverage(0.9).apply(list(table))

    meta, bundle, expected = trained(build)
    restored = restored_keys(meta, "trainable", bundle)
    assert restored["table/part_1"] == RestoredKey(key=f"table/{SHADOW}", slice="7 2 4,3:0,2")
    values = restored_variables(meta, "trainable", bundle)
    np.testing.assert_array_equal(values["table/part_1"].array, expected[f"table/part_1/{SHADOW}"])


def test_an_average_made_inside_a_scope_is_found_by_the_end_of_its_name(tf1, trained):
    def build():
        with tf1.variable_scope("net"):
            w = tf1.get_variable("w", [2], use_resource=False)
            tf1.train.ExponentialMovingAverage(0.9).apply([w])

    meta, bundle, _ = trained(build)
    assert f"net/net/w/{SHADOW}" in bundle.tensors
    assert keys(restored_keys(meta, "trainable", bundle))["net/w"] == f"net/net/w/{SHADOW}"


def test_a_name_that_only_the_saver_knows_is_taken_where_the_own_one_is_missing(tf1, trained):
    def saver():
        return tf1.train.Saver({"old/w": tf1.global_variables()[0]})

    meta, bundle, _ = trained(lambda: tf1.get_variable("w", [2]), saver=saver, restorer=saver)
    assert keys(restored_keys(meta, "none", bundle)) == {"w": "old/w"}


def test_variables_that_the_checkpoint_lacks_are_left_out_and_named(tf1, trained):
    def saver():
        return tf1.train.Saver(tf1.global_variables()[:1])

    def build():
        tf1.get_variable("a", [2])
        tf1.get_variable("b", [2])

    meta, bundle, _ = trained(build, saver=saver, restorer=tf1.train.Saver)
    assert list(restored_variables(meta, None, bundle)) == ["a"]
    assert keys(restored_keys(meta, None, bundle))["b"] == "b"


def test_what_the_saver_computes_on_the_way_has_no_known_value(tf1, trained):
    from tensorflow.python.training.saver import BaseSaverBuilder

    class Doubled(BaseSaverBuilder.SaveableObject):
        def __init__(self, variable):
            spec = BaseSaverBuilder.SaveSpec(variable.value(), "", "half")
            super().__init__(variable, [spec], "half")

        def restore(self, tensors, shapes):
            return tf1.assign(self.op, tensors[0] * 2)

    def saver():
        return tf1.train.Saver([Doubled(tf1.global_variables()[0])])

    meta, bundle, _ = trained(
        lambda: tf1.get_variable("w", [2], use_resource=False), saver=saver, restorer=saver
    )
    assert restored_keys(meta, None, bundle) == {}


def message_of(meta, ema, bundle):
    with pytest.raises(ModelError) as caught:
        restored_keys(meta, ema, bundle)
    return str(caught.value).replace(str(bundle.prefix), "PREFIX")


def test_averages_that_are_asked_for_and_missing_are_errors(tf1, trained):
    def build():
        w = tf1.get_variable("w", [2])
        tf1.get_variable("b", [2])
        tf1.train.ExponentialMovingAverage(0.9).apply([w])

    meta, bundle, _ = trained(build)
    assert message_of(meta, "trainable", bundle) == (
        "`ema` asks for the moving averages of 2 variables, and the checkpoint PREFIX has none for 1 of them:"
        " b. Name those that have one with patterns, or use `ema: all` for every average that there is."
    )
    assert "has none for 1 of them: b." in message_of(meta, ("b",), bundle)
    assert "pattern 'kernel*' matches no variable of the graph." in message_of(meta, ("w", "kernel*"), bundle)


def test_a_checkpoint_without_averages_is_an_error_for_all(tf1, trained):
    meta, bundle, _ = trained(lambda: tf1.get_variable("w", [2]))
    assert message_of(meta, "all", bundle).startswith(
        "`ema: all` asks for moving averages, and the checkpoint PREFIX holds none"
    )


def test_trainable_needs_the_collection(tf1, trained):
    meta, bundle, _ = trained(lambda: tf1.get_variable("w", [2], trainable=False))
    assert "the collection trainable_variables, which the meta graph does not have" in message_of(
        meta, "trainable", bundle
    )


def test_a_saver_whose_restore_op_is_gone_is_an_error(tf1, trained):
    meta, bundle, _ = trained(lambda: tf1.get_variable("w", [2]))
    del meta.graph.nodes[meta.saver.restore_op]
    assert f"restores through '{meta.saver.restore_op}', which is not in its graph." in message_of(
        meta, None, bundle
    )
