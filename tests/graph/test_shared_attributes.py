"""Attributes that nodes of all graphs share: read, validated and encoded once, and never of another graph."""

import numpy as np
import pytest
from google.protobuf import text_format

from pytest_tfparity.graph.graph import Graph, SharedAttrs, once
from pytest_tfparity.graph.read import messages
from pytest_tfparity.graph.read.graphdef import read_graph
from pytest_tfparity.graph.valid import first_flaw

RELU = 'node { name: "x" op: "Placeholder" attr { key: "dtype" value { type: DT_FLOAT } } }' + (
    'node { name: "y" op: "Relu" input: "x" attr { key: "T" value { type: DT_FLOAT } } }'
)


@pytest.fixture
def graph_of(tmp_path):
    def read(text: str, name: str = "a.pb") -> Graph:
        path = tmp_path / name
        path.write_bytes(text_format.Parse(text, messages.GraphDef()).SerializeToString())
        return read_graph(path)

    return read


def test_equal_attributes_of_two_files_are_one_object(graph_of) -> None:
    one, other = graph_of(RELU), graph_of(RELU, "b.pb")
    assert one.nodes["y"].attrs is other.nodes["y"].attrs
    assert isinstance(one.nodes["y"].attrs, SharedAttrs)


@pytest.mark.parametrize("op", ["Const", "Relu"])
def test_a_constant_belongs_to_its_file(graph_of, op) -> None:
    def text(value: float) -> str:
        return f'''{RELU} node {{ name: "c" op: "{op}" attr {{ key: "value" value {{ tensor {{
            dtype: DT_FLOAT tensor_shape {{ }} float_val: {value} }} }} }} }}'''

    attrs = [graph_of(text(value), name).nodes["c"].attrs for value, name in ((1, "a.pb"), (2, "b.pb"))]
    assert not any(isinstance(each, SharedAttrs) for each in attrs)
    np.testing.assert_array_equal([each["value"].array for each in attrs], [1, 2])
    again = graph_of(text(1), "c.pb").nodes["c"].attrs
    assert again["value"] is not attrs[0]["value"]


def test_a_function_is_looked_up_in_its_own_graph(graph_of) -> None:
    call = RELU + 'node { name: "z" op: "PartitionedCall" attr { key: "f" value { func { name: "g" } } } }'
    assert not isinstance(graph_of(call).nodes["z"].attrs, SharedAttrs)


def test_the_same_node_is_judged_by_its_own_graph(graph_of) -> None:
    # TensorFlow drops the op with version 9 of the format.
    old = 'node { name: "a" op: "BatchNormWithGlobalNormalization" } versions { producer: %d }'
    assert "lacks its attribute" in str(first_flaw(graph_of(RELU + old % 7)))
    assert "gone since version 9" in str(first_flaw(graph_of(RELU + old % 27, "b.pb")))
    assert "lacks its attribute" in str(first_flaw(graph_of(RELU + old % 8, "c.pb")))


def test_another_op_with_the_same_attributes_is_another_answer() -> None:
    asked = []

    @once
    def first_letter(op, attrs):
        asked.append(op)
        return op[0]

    shared = SharedAttrs({"T": 1})
    assert [first_letter(op, shared) for op in ("Relu", "Add", "Relu", "Add")] == ["R", "A", "R", "A"]
    assert asked == ["Relu", "Add"]
    assert [first_letter("Relu", {"T": 1}) for _ in range(2)] == ["R", "R"]
    assert asked == ["Relu", "Add", "Relu", "Relu"]


def constant(name: str, attrs: str) -> str:
    return f'node {{ name: "{name}" op: "Const" {attrs} }}'


VALUE = 'attr { key: "value" value { tensor { dtype: DT_FLOAT tensor_shape { } float_val: 1 } } }'
OF_FLOAT = 'attr { key: "dtype" value { type: DT_FLOAT } }'


@pytest.mark.parametrize(
    ("attrs", "reason"),
    [
        (VALUE, "lacks its attribute dtype"),
        (OF_FLOAT, "lacks its attribute value"),
        (f'{VALUE} attr {{ key: "dtype" value {{ i: 1 }} }}', "has dtype that is no type"),
        (f'{OF_FLOAT} attr {{ key: "value" value {{ i: 1 }} }}', "has value that is no tensor"),
        (f'{VALUE} attr {{ key: "other" value {{ i: 1 }} }}', "lacks its attribute dtype"),
    ],
)
def test_a_wrong_constant_among_right_ones_is_seen(graph_of, attrs, reason) -> None:
    right = [constant(f"c{index}", VALUE + OF_FLOAT) for index in range(3)]
    wrong = constant("wrong", attrs)
    for nodes in ([wrong, *right], [*right, wrong], [right[0], wrong, *right[1:]]):
        flaw = first_flaw(graph_of(RELU + "".join(nodes)))
        assert flaw is not None
        assert (flaw.node, flaw.reason) == ("wrong", reason)


def test_a_constant_of_one_type_says_nothing_of_another(graph_of) -> None:
    ints = constant(
        "ints",
        VALUE.replace("FLOAT", "INT32").replace("float_val", "int_val") + OF_FLOAT.replace("FLOAT", "INT32"),
    )
    floats = constant("floats", VALUE + OF_FLOAT)
    add = 'node { name: "z" op: "AddV2" input: "floats" input: "ints" attr { key: "T" value { type: DT_FLOAT } } }'
    assert "reads ints:0 as float, and it is int32" in str(first_flaw(graph_of(RELU + floats + ints + add)))
