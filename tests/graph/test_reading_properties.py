"""Whatever is written is read back; whatever is broken is an error of ours and nothing else."""

import contextlib
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_tfparity.errors import TfparityError
from pytest_tfparity.graph.graph import DType, Function, Shape, Tensor, TensorName
from pytest_tfparity.graph.read import messages
from pytest_tfparity.graph.read.bundle import Bundle
from pytest_tfparity.graph.read.graphdef import parse_meta, read_graph
from pytest_tfparity.graph.read.slices import Extent, slice_key
from pytest_tfparity.graph.read.wire import Malformed, varint

NAMES = st.from_regex(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]{0,12}", fullmatch=True)
DTYPES = st.sampled_from(sorted(messages.data_types().values()))
SHAPES = st.none() | st.lists(st.integers(-1, 2**62), max_size=4).map(tuple)
ARRAYS = st.tuples(
    st.sampled_from([(1, "<f4"), (2, "<f8"), (3, "<i4"), (9, "<i8"), (10, "?"), (19, "<f2")]),
    st.lists(st.integers(0, 40), max_size=3).map(tuple),
    st.integers(0, 2**32 - 1),
)
INTS = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(width=32, allow_nan=False)
SCALARS = st.one_of(
    st.booleans(),
    INTS,
    FLOATS,
    st.binary(max_size=20),
    DTYPES.map(DType),
    SHAPES.map(Shape),
    st.tuples(st.just("tensor"), ARRAYS),
    st.builds(Function, NAMES, st.dictionaries(NAMES, DTYPES.map(DType), max_size=2)),
)
LISTS = st.one_of(
    *(
        st.lists(kind, min_size=1, max_size=4).map(tuple)
        for kind in (st.booleans(), INTS, FLOATS, st.binary(max_size=20), DTYPES.map(DType))
    )
)


def array_of(described):
    """The array that a drawn description stands for; some are large enough to be mapped."""
    (_, kind), shape, seed = described
    count = int(np.prod(shape))
    return np.random.default_rng(seed).integers(0, 2, count).astype(kind).reshape(shape)


def fill(value, drawn, listed=False):
    """Write a drawn attribute into an AttrValue (or its list)."""
    if isinstance(drawn, tuple) and drawn[:1] == ("tensor",):
        (number, _), shape, _ = drawn[1]
        value.tensor.dtype = number
        value.tensor.tensor_shape.SetInParent()
        for size in shape:
            value.tensor.tensor_shape.dim.add(size=size)
        value.tensor.tensor_content = array_of(drawn[1]).tobytes()
    elif isinstance(drawn, DType):
        value.type.append(drawn.number) if listed else setattr(value, "type", drawn.number)
    elif isinstance(drawn, Shape):
        value.shape.SetInParent()
        value.shape.unknown_rank = drawn.dims is None
        for size in drawn.dims or ():
            value.shape.dim.add(size=size)
    elif isinstance(drawn, Function):
        value.func.name = drawn.name
        for key, kind in drawn.attrs.items():
            value.func.attr[key].type = kind.number
    elif isinstance(drawn, tuple):
        value.list.SetInParent()
        for item in drawn:
            fill(value.list, item, listed=True)
    else:
        field = {bool: "b", int: "i", float: "f", bytes: "s"}[type(drawn)]
        getattr(value, field).append(drawn) if listed else setattr(value, field, drawn)


@st.composite
def graphs(draw):
    """Nodes as (name, op, inputs, controls, attributes)."""
    names = draw(st.lists(NAMES, min_size=1, max_size=6, unique=True))
    sources = st.builds(TensorName, st.sampled_from(names), st.integers(0, 3))
    attributes = st.dictionaries(NAMES, SCALARS | LISTS, max_size=4)
    return [
        (
            name,
            draw(NAMES),
            draw(st.lists(sources, max_size=3)),
            draw(st.lists(st.sampled_from(names), max_size=2)),
            draw(attributes),
        )
        for name in names
    ]


def serialized(nodes):
    graph = messages.GraphDef()
    for name, op, inputs, controls, attrs in nodes:
        node = graph.node.add(name=name, op=op)
        node.input.extend(str(source) for source in inputs)
        node.input.extend(f"^{control}" for control in controls)
        for key, drawn in attrs.items():
            fill(node.attr[key], drawn)
    return graph.SerializeToString()


@pytest.fixture(scope="module")
def path():
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "model.pb"


@settings(max_examples=150, deadline=None)
@given(nodes=graphs())
def test_a_graph_that_is_written_is_read_back(path, nodes):
    path.unlink(missing_ok=True)
    path.write_bytes(serialized(nodes))
    graph = read_graph(path)
    assert list(graph.nodes) == [name for name, *_ in nodes]
    for name, op, inputs, controls, attrs in nodes:
        node = graph.nodes[name]
        assert (node.op, list(node.inputs), list(node.controls)) == (op, inputs, controls)
        assert node.attrs.keys() == attrs.keys()
        for key, drawn in attrs.items():
            read = node.attrs[key]
            if isinstance(read, Tensor):
                expected = array_of(drawn[1])
                assert read.array.dtype == expected.dtype
                np.testing.assert_array_equal(read.array, expected)
            else:
                assert type(read) is type(drawn)
                assert read == drawn


def check(action):
    """Run a reader on broken bytes: a result or an error of ours, and nothing else."""
    with contextlib.suppress(TfparityError):
        action()


@settings(max_examples=40, deadline=None)
@given(nodes=graphs(), cut=st.floats(0, 1), data=st.data())
def test_a_broken_graph_is_read_or_refused_with_a_sentence(path, nodes, cut, data):
    whole = serialized(nodes)
    broken = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 3))):
        broken[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    for content in (whole[: int(cut * len(whole))], bytes(broken)):
        path.unlink(missing_ok=True)
        path.write_bytes(content)
        check(lambda: [load(node) for node in read_graph(path).nodes.values()])
        check(lambda content=content: parse_meta(content, "the meta graph"))


def load(node):
    for value in node.attrs.values():
        if isinstance(value, Tensor):
            check(value.load)


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_anything_else_is_refused_with_a_sentence(path, content):
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    check(lambda: read_graph(path))
    check(lambda: parse_meta(content, "the meta graph"))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A small checkpoint with strings and a partitioned variable, written by TensorFlow."""
    tf = pytest.importorskip("tensorflow")
    prefix = tmp_path_factory.mktemp("checkpoint") / "model"
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        session.run(
            tf.raw_ops.SaveV2(
                prefix=str(prefix),
                tensor_names=["w", "text", "table"],
                shape_and_slices=["", "", "4 2 2,2:-"],
                tensors=[np.float32([1, 2]), np.array([b"a", b"bc"], object), np.ones((2, 2), np.float32)],
            )
        )
    return prefix


def read_all(prefix):
    with Bundle(prefix) as bundle:
        for tensor in bundle.tensors.values():
            check(tensor.load)


def copied(checkpoint, folder):
    prefix = folder / "copy"
    for suffix in (".index", ".data-00000-of-00001"):
        source = checkpoint.with_name(checkpoint.name + suffix)
        (folder / f"copy{suffix}").write_bytes(source.read_bytes())
    return prefix


@pytest.mark.parametrize("suffix", [".index", ".data-00000-of-00001"])
def test_a_checkpoint_cut_at_any_byte_is_refused_with_a_sentence(checkpoint, tmp_path, suffix):
    prefix = copied(checkpoint, tmp_path)
    path = tmp_path / f"copy{suffix}"
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.unlink()
        path.write_bytes(whole[:length])
        with pytest.raises(TfparityError):
            Bundle(prefix)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_changed_byte_of_an_index_never_changes_a_value_unnoticed(checkpoint, tmp_path, data):
    prefix = copied(checkpoint, tmp_path)
    path = tmp_path / "copy.index"
    broken = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(broken) - 1))
    broken[place] ^= data.draw(st.integers(1, 255))
    path.unlink()
    path.write_bytes(broken)
    with Bundle(checkpoint) as bundle:
        expected = bundle.tensors["w"].array
        known = set(bundle.tensors)
    with contextlib.suppress(TfparityError), Bundle(prefix) as bundle:
        assert set(bundle.tensors) == known
        np.testing.assert_array_equal(bundle.tensors["w"].array, expected)


@settings(max_examples=100, deadline=None)
@given(value=st.integers(-(2**63), 2**63 - 1))
def test_slice_keys_of_greater_numbers_are_greater(value):
    key = slice_key(b"w", (Extent(value, 0),))
    if value < 2**63 - 1:
        assert key < slice_key(b"w", (Extent(value + 1, 0),))


@given(data=st.binary(max_size=12))
def test_a_number_ends_within_its_bytes_or_is_malformed(data):
    try:
        value, end = varint(data, 0, len(data))
    except Malformed:
        assert len(data) < 10 or all(byte >= 0x80 for byte in data[:10])
    else:
        assert end <= len(data)
        assert value >= 0
