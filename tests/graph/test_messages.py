import pytest

from pytest_tfparity.graph.read import messages


@pytest.fixture(scope="module")
def theirs():
    """TensorFlow's message classes by name."""
    pytest.importorskip("tensorflow")
    from tensorflow.core.framework import (
        attr_value_pb2,
        full_type_pb2,
        function_pb2,
        graph_pb2,
        kernel_def_pb2,
        node_def_pb2,
        op_def_pb2,
        resource_handle_pb2,
        tensor_pb2,
        tensor_shape_pb2,
        tensor_slice_pb2,
        variable_pb2,
        versions_pb2,
    )
    from tensorflow.core.protobuf import (
        meta_graph_pb2,
        saved_model_pb2,
        saver_pb2,
        tensor_bundle_pb2,
        trackable_object_graph_pb2,
    )
    from tensorflow.python.training import checkpoint_state_pb2

    modules = (
        attr_value_pb2, full_type_pb2, function_pb2, graph_pb2, node_def_pb2, op_def_pb2, resource_handle_pb2,
        kernel_def_pb2, tensor_pb2, tensor_shape_pb2, tensor_slice_pb2, variable_pb2, versions_pb2, meta_graph_pb2,
        saver_pb2, tensor_bundle_pb2, checkpoint_state_pb2, saved_model_pb2, trackable_object_graph_pb2,
    )  # fmt: skip
    found = {}

    def collect(descriptor):
        found[descriptor.name] = descriptor
        for nested in descriptor.nested_types:
            collect(nested)

    for module in modules:
        for descriptor in module.DESCRIPTOR.message_types_by_name.values():
            collect(descriptor)
    found["DebugInfo"] = found["ExperimentalDebugInfo"]
    return found


def _wire(field):
    """What the wire format and the text format make of a field."""
    repeated = getattr(field, "is_repeated", None)
    if repeated is None:
        repeated = field.label == field.LABEL_REPEATED
    return field.number, field.type, bool(repeated)


MESSAGES = [name for name, _ in messages._blocks()]


def _fields(name):
    return getattr(messages, name, messages._message_class(name)).DESCRIPTOR.fields


@pytest.mark.parametrize("name", [name for name in MESSAGES if not name.startswith("Raw")])
def test_every_field_has_the_number_and_the_type_of_tensorflows(theirs, name):
    if name == "DtypeAndShape" and name not in theirs:
        pytest.skip("this TensorFlow has no such message")
    known = {field.name: field for field in theirs[name].fields}
    ours = {field.name: _wire(field) for field in _fields(name) if field.name in known}
    assert ours
    assert ours == {field: _wire(known[field]) for field in ours}


@pytest.mark.parametrize("name", [name for name in MESSAGES if name.startswith("Raw")])
def test_raw_messages_read_the_fields_of_the_messages_that_they_stand_for(name):
    whole = {
        "RawAttrEntry": {"key": 1, "value": 2},
        "RawListValue": {field.name: field.number for field in _fields("ListValue")},
    }.get(name) or {field.name: field.number for field in _fields(name.removeprefix("Raw"))}
    assert {field.name: field.number for field in _fields(name)}.items() <= whole.items()


def test_data_types_are_tensorflows():
    pytest.importorskip("tensorflow")
    from tensorflow.core.framework import types_pb2

    theirs = dict(types_pb2.DataType.items())
    ours = messages.data_types()
    assert {name: ours[name] for name in theirs} == theirs


def test_messages_of_both_pools_live_in_one_process():
    pytest.importorskip("tensorflow")
    from tensorflow.core.framework import graph_pb2

    theirs = graph_pb2.GraphDef()
    theirs.node.add(name="a", op="NoOp").attr["_x"].i = 3
    ours = messages.GraphDef.FromString(theirs.SerializeToString())
    assert ours.node[0].attr["_x"].i == 3
    assert graph_pb2.GraphDef.FromString(ours.SerializeToString()) == theirs


def test_unknown_fields_are_skipped():
    data = messages.NodeDef(name="a", op="NoOp").SerializeToString() + b"\xfa\x06\x03abc"
    assert messages.NodeDef.FromString(data).name == "a"
