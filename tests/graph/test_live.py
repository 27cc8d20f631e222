"""Predicates that are known before a run: one meaning for the proof, the records, the diagnosis and pruning."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphs.plain import BOOL, FLOAT, INT, Plan, proof, relu_of, side
from pytest_tfparity.graph.batch_norm.find import find_batch_norms
from pytest_tfparity.graph.edit.pruning import prune
from pytest_tfparity.graph.graph import DType, Function, Graph, Shape, TensorName, tensor_name
from pytest_tfparity.graph.live import liveness
from pytest_tfparity.graph.live_graph import live_graph
from pytest_tfparity.graph.proof.proof import Side

INPUTS = (TensorName("x", 0), TensorName("q", 0))

Predicate = Callable[[Plan], str]


def _and(plan: Plan) -> str:
    return plan("p", "LogicalAnd", plan.const("no", False, np.bool_), "q")


def _or(plan: Plan) -> str:
    return plan("p", "LogicalOr", plan.const("yes", True, np.bool_), "q")


def _equal(plan: Plan) -> str:
    return plan("p", "Equal", plan.const("a", 1.0), plan.const("b", 1.0), T=FLOAT)


def _cast(plan: Plan) -> str:
    return plan("p", "Cast", plan.const("a", 1, np.int32), SrcT=INT, DstT=BOOL)


def _stop_gradient(plan: Plan) -> str:
    return plan("p", "StopGradient", plan.const("c", False, np.bool_), T=BOOL)


def _arithmetic(plan: Plan) -> str:
    difference = plan("d", "Sub", plan.const("two", 2.0), plan.const("one", 1.0), T=FLOAT)
    return plan("p", "Greater", difference, plan.const("zero", 0.0), T=FLOAT)


def _one_element(plan: Plan) -> str:
    return plan.const("p", [True], np.bool_)


def _identity(plan: Plan) -> str:
    return plan("p", "Identity", plan.const("c", True, np.bool_), T=BOOL)


def _unknown(plan: Plan) -> str:
    return "q"


def _unknown_and(plan: Plan) -> str:
    return plan("p", "LogicalAnd", plan.const("yes", True, np.bool_), "q")


def _subnormal(plan: Plan) -> str:
    return plan("p", "Greater", plan.const("tiny", 1e-40), plan.const("zero", 0.0), T=FLOAT)


TABLE: list[tuple[str, Predicate, bool | None]] = [
    ("And(False, q)", _and, False),
    ("Or(True, q)", _or, True),
    ("Equal(1, 1)", _equal, True),
    ("Cast(1)", _cast, True),
    ("StopGradient(False)", _stop_gradient, False),
    ("Greater(2 - 1, 0)", _arithmetic, True),
    ("Const [True]", _one_element, None),  # a Switch refuses it: TensorFlow runs no such graph
    ("Identity(True)", _identity, True),
    ("q", _unknown, None),
    ("And(True, q)", _unknown_and, None),
    ("Greater(1e-40, 0)", _subnormal, None),  # depends on whether the thread flushes subnormal numbers
]
NAMES = [name for name, _, _ in TABLE]


def conditional(predicate: Predicate) -> Plan:
    """A fused batch norm in training mode where the predicate holds, with stored statistics where it does not."""
    plan = Plan()
    plan.placeholder("x", FLOAT, shape=Shape((-1, 2, 2, 3)))
    plan.placeholder("q", BOOL, shape=Shape(()))
    last = predicate(plan)
    for name in ("gamma", "beta", "mean", "variance"):
        plan.const(f"bn/{name}", np.ones(3))
    plan.const("bn/none", np.zeros(0))
    plan("bn/switch", "Switch", "x", last, T=FLOAT)
    for port, name in ((0, "stored"), (1, "batch")):
        read = ("bn/mean", "bn/variance") if port == 0 else ("bn/none", "bn/none")
        plan(
            f"bn/{name}", "FusedBatchNormV3", f"bn/switch:{port}", "bn/gamma", "bn/beta", *read,
            is_training=port == 1, T=FLOAT, U=FLOAT, epsilon=1e-3,
        )  # fmt: skip
    plan("bn/merge", "Merge", "bn/stored", "bn/batch", T=FLOAT, N=2)
    plan("y", "Relu", "bn/merge", T=FLOAT)
    return plan


def straight(*, training: bool) -> Plan:
    """One side of :func:`conditional` alone."""
    plan = conditional(_unknown)
    plan("y", "Relu", "bn/batch" if training else "bn/stored", T=FLOAT)
    plan.nodes = {name: node for name, node in plan.nodes.items() if name not in ("bn/switch", "bn/merge")}
    for name in ("bn/stored", "bn/batch"):
        node = plan.nodes[name]
        plan(name, node.op, "x", *map(str, node.inputs[1:]), **node.attrs)
    return plan


def by_proof(graph: Graph) -> bool | None:
    made = side(graph, "y", inputs=("x", "q"))
    proven = [
        proof(side(straight(training=training), "y", inputs=("x", "q")), made).proven
        for training in (False, True)
    ]
    assert not all(proven)
    return proven.index(True) if any(proven) else None


def by_live_graph(graph: Graph) -> bool | None:
    choice = live_graph(graph, [TensorName("y", 0)], INPUTS).choices["bn/merge"]
    return None if choice.taken is None else bool(choice.taken)


def by_records(graph: Graph) -> bool | None:
    (record,) = find_batch_norms(graph, [TensorName("y", 0)], INPUTS)
    return {"training": True, "inference": False, "unknown": None}[record.mode]


def by_pruning(graph: Graph) -> bool | None:
    merge = prune(graph, [TensorName("y", 0)], frozenset(INPUTS)).nodes["bn/merge"]
    return merge.inputs[0].node == "bn/batch" if len(merge.inputs) == 1 else None


@pytest.mark.parametrize("ask", [by_proof, by_live_graph, by_records, by_pruning])
@pytest.mark.parametrize(("name", "predicate", "expected"), TABLE, ids=NAMES)
def test_a_predicate_means_one_thing(
    ask: Callable[[Graph], bool | None], name: str, predicate: Predicate, expected: bool | None
) -> None:
    answer = ask(conditional(predicate).graph)
    assert (answer if answer is None else bool(answer)) is expected


# --- If: a scalar is false if it is zero or empty, any other tensor if it has no element


def functional(predicate: Predicate) -> Side:
    plan = Plan()
    plan.placeholder()
    plan.placeholder("q", BOOL, shape=Shape(()))
    plan.function("yes", ["a"], {"out": "act:activations:0"}, [("act", "Relu", ["a"], {"T": FLOAT})])
    plan.function("no", ["a"], {"out": "act:y:0"}, [("act", "Neg", ["a"], {"T": FLOAT})])
    branches = {"then_branch": Function("yes", {}), "else_branch": Function("no", {})}
    plan("y", "If", predicate(plan), "x", Tcond=BOOL, Tin=(FLOAT,), Tout=(FLOAT,), **branches)
    graph = Graph(plan.nodes, plan.functions, producer=1645)
    return side(graph, "y", inputs=("x", "q"))


def constant(value: object, dtype: Any) -> Predicate:
    return lambda plan: plan.const("p", value, dtype)


def _vector_and(plan: Plan) -> str:
    plan.placeholder("q", BOOL)
    return _and(plan)


@pytest.mark.parametrize(
    ("predicate", "expected"),
    [
        (_and, False),
        (_or, True),
        (_vector_and, None),  # And(False, [True, True]) has two elements
        (_identity, True),
        (_one_element, True),
        (constant([False], np.bool_), True),
        (constant([], np.float32), False),
        (constant(0, np.int32), False),
        (constant(3, np.int32), True),
        (constant(0.0, np.float32), False),
        (constant(np.nan, np.float32), True),
        (constant(1e-40, np.float32), None),
        (constant(b"", object), False),
        (constant(b"text", object), True),
        (constant(1, np.uint8), True),
        (_unknown, None),
    ],
)
def test_what_a_functional_conditional_takes_a_tensor_for(
    predicate: Predicate, expected: bool | None
) -> None:
    made = functional(predicate)
    plan = Plan()
    plan.placeholder()
    plan.placeholder("q", BOOL)
    plan("y", "Neg", "x", T=FLOAT)
    neg = side(plan, "y", inputs=("x", "q"))
    relu = side(Graph({**plan.nodes, "y": relu_of().graph.nodes["y"]}), "y", inputs=("x", "q"))
    assert proof(neg, made).proven is (expected is False)
    assert proof(relu, made).proven is (expected is True)
    ops = {node.op for node in live_graph(made.graph, made.outputs, made.inputs).nodes.values()}
    assert ops & {"Neg", "Relu"} == {None: {"Neg", "Relu"}, True: {"Relu"}, False: {"Neg"}}[expected]


def test_a_text_is_a_constant_of_tensorflow() -> None:
    """``constant(b"")`` above is of shape ``()``."""
    plan = Plan()
    plan.const("p", b"", object)
    assert plan.nodes["p"].attrs["value"].shape == ()  # type: ignore[union-attr]


# --- what a run changes


def flagged(*, changed: bool) -> Side:
    """A conditional on a variable that was restored as False; ``changed``: True is assigned to it before."""
    plan = Plan()
    plan.placeholder()
    plan("flag", "VariableV2", dtype=BOOL)
    plan.const("yes", True, np.bool_)
    plan("set", "Assign", "flag", "yes", T=BOOL)
    plan("p", "Identity", "flag", *(["^set"] if changed else []), T=BOOL)
    plan("switch", "Switch", "x", "p", T=FLOAT)
    plan("then", "Neg", "switch:1", T=FLOAT)
    plan("else", "Relu", "switch:0", T=FLOAT)
    plan("y", "Merge", "else", "then", T=FLOAT, N=2)
    made = side(plan, "y")
    tensor = plan.nodes["yes"].attrs["value"]
    off = type(tensor)(BOOL, (), lambda: np.array(False))  # type: ignore[call-arg, union-attr]
    return Side(graph=made.graph, outputs=made.outputs, inputs=made.inputs, variables={"flag": off})


def test_a_restored_variable_decides_a_conditional() -> None:
    assert proof(relu_of(), flagged(changed=False)).proven


def test_a_variable_that_the_run_changes_decides_nothing() -> None:
    made = proof(relu_of(), flagged(changed=True))
    assert made.reason == "variable flag is changed by Assign (set) in the export"


# --- deadness


def test_a_node_that_waits_for_a_dead_one_is_dead() -> None:
    plan = conditional(_identity)
    plan("wait", "NoOp", "^bn/stored")
    plan("late", "Relu", "x", "^wait", T=FLOAT)
    plan("late/relu", "Relu", "late", T=FLOAT)
    found = liveness(plan.graph, [TensorName("late/relu", 0)], inputs=INPUTS)
    assert [name for name in found.nodes if found.is_dead_node(name)] == [
        "bn/stored", "wait", "late", "late/relu",
    ]  # fmt: skip


def test_a_conditional_in_a_loop_is_decided_by_what_enters_the_loop() -> None:
    plan = Plan()
    plan.placeholder()
    plan.placeholder("limit")
    plan.const("p", False, np.bool_)
    plan("p/enter", "Enter", "p", T=BOOL, frame_name=b"f", is_constant=True)
    plan("enter", "Enter", "x", T=FLOAT, frame_name=b"f")
    plan("limit/enter", "Enter", "limit", T=FLOAT, frame_name=b"f", is_constant=True)
    plan("head", "Merge", "enter", "next", T=FLOAT, N=2)
    plan("less", "Less", "head", "limit/enter", T=FLOAT)
    plan("cond", "LoopCond", "less")
    plan("loop", "Switch", "head", "cond", T=FLOAT)
    plan("switch", "Switch", "loop:1", "p/enter", T=FLOAT)
    plan("then", "Neg", "switch:1", T=FLOAT)
    plan("else", "Relu", "switch:0", T=FLOAT)
    plan("merge", "Merge", "else", "then", T=FLOAT, N=2)
    plan("next", "NextIteration", "merge", T=FLOAT)
    plan("y", "Exit", "loop", T=FLOAT)
    found = liveness(plan.graph, [TensorName("y", 0)], inputs=[TensorName("x", 0), TensorName("limit", 0)])
    assert found.choices["merge"].taken == 0
    assert found.is_dead_node("then")
    assert not found.is_dead_node("y")
    assert found.taken == {"switch": 0}


# --- TensorFlow's own answers


def run_tensorflow(graph: Graph, output: str, feeds: dict[str, Any] | None = None) -> Any:
    """What TensorFlow computes; None where it refuses to."""
    tf = pytest.importorskip("tensorflow")
    from pytest_tfparity.graph.edit.writer import node_bytes

    definition = tf.compat.v1.GraphDef()
    for node in graph.nodes.values():
        definition.node.add().ParseFromString(node_bytes(node))
    definition.versions.producer = 1645
    with tf.Graph().as_default() as loaded:
        try:
            tf.import_graph_def(definition, name="")
            config = tf.compat.v1.ConfigProto()
            config.graph_options.rewrite_options.disable_meta_optimizer = True
            config.graph_options.optimizer_options.opt_level = -1
            with tf.compat.v1.Session(graph=loaded, config=config) as session:
                return session.run(output, feeds or {})
        except (ValueError, tf.errors.InvalidArgumentError):
            return None


@pytest.mark.parametrize(("name", "predicate", "expected"), TABLE, ids=NAMES)
def test_the_answer_is_tensorflows(name: str, predicate: Predicate, expected: bool | None) -> None:
    image = np.arange(24, dtype=np.float32).reshape(2, 2, 2, 3)
    inference, training = (
        run_tensorflow(_typed(straight(training=mode)).graph, "y:0", {"x:0": image}) for mode in (False, True)
    )
    assert not np.allclose(inference, training)
    answers = []
    for q in (False, True):
        found = run_tensorflow(_typed(conditional(predicate)).graph, "y:0", {"x:0": image, "q:0": q})
        if found is not None:
            answers.append(np.array_equal(found, training))
            assert answers[-1] or np.array_equal(found, inference)
    if name == "Greater(1e-40, 0)":
        assert len(set(answers)) == 1  # this thread's answer
    else:
        undecided = [] if name == "Const [True]" else [False, True]
        assert answers == (undecided if expected is None else [expected] * 2)


def _typed(plan: Plan) -> Plan:
    """The attributes that TensorFlow asks for besides."""
    for node in list(plan.nodes.values()):
        if node.op == "Const":
            node.attrs["dtype"] = node.attrs["value"].dtype  # type: ignore[index, union-attr]
    return plan


_DTYPES = {np.bool_: BOOL, np.int32: INT, np.float32: FLOAT, np.int64: DType(9)}
_ORDERS = ("Less", "LessEqual", "Greater", "GreaterEqual", "Equal", "NotEqual")


@st.composite
def expressions(draw: st.DrawFn) -> Plan:
    """A random predicate over constants of all kinds and one boolean that is not known."""
    plan = Plan()
    plan.placeholder("q", BOOL, shape=Shape(()))
    made: dict[Any, list[str]] = {np.bool_: ["q"]}
    for number in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from([np.bool_, np.int32, np.float32, np.int64]))
        made.setdefault(kind, []).append(plan.const(f"c{number}", _drawn(draw, kind), kind))
    for number in range(draw(st.integers(1, 10))):
        kind = draw(st.sampled_from(sorted(made, key=str)))
        sources = [draw(st.sampled_from(made[kind])) for _ in range(2)]
        result, name = _step(draw, plan, f"n{number}", kind, sources)
        made.setdefault(result, []).append(name)
    plan("p", "Identity", made[np.bool_][-1], T=BOOL)
    return plan


def _drawn(draw: st.DrawFn, kind: Any) -> Any:
    if kind is np.bool_:
        return draw(st.booleans())
    if kind is np.float32:
        return draw(st.floats(width=32) | st.sampled_from([0.0, -0.0, 1.0, 1e-40, 1e-38, 3e38, 2.5]))
    limits = np.iinfo(kind)
    return draw(st.integers(-3, 3) | st.integers(int(limits.min), int(limits.max)))


def _step(draw: st.DrawFn, plan: Plan, name: str, kind: Any, sources: list[str]) -> tuple[Any, str]:
    dtype = _DTYPES[kind]
    choices = ["Cast", "Identity", "Equal", "NotEqual"]
    choices += (
        ["LogicalAnd", "LogicalOr", "LogicalNot"] if kind is np.bool_ else [*_ORDERS, "AddV2", "Sub", "Mul"]
    )
    op = draw(st.sampled_from(choices))
    if op == "Cast":
        target = draw(st.sampled_from(list(_DTYPES)))
        return target, plan(name, op, sources[0], SrcT=dtype, DstT=_DTYPES[target])
    if op in ("LogicalNot", "Identity"):
        attrs = {} if op == "LogicalNot" else {"T": dtype}
        return kind, plan(name, op, sources[0], **attrs)
    if op.startswith("Logical"):
        return kind, plan(name, op, *sources)
    return (np.bool_ if op in _ORDERS else kind), plan(name, op, *sources, T=dtype)


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    with np.errstate(all="ignore"):
        yield


@settings(max_examples=150, deadline=None)
@given(expressions())
def test_what_is_known_of_a_random_expression_is_what_tensorflow_computes(plan: Plan) -> None:
    found = liveness(plan.graph, [tensor_name("p")], inputs=[tensor_name("q")])
    known = {
        name: found.value(TensorName(name, 0))
        for name in plan.nodes
        if found.value(TensorName(name, 0)) is not None
    }
    for q in (False, True):
        for name, value in known.items():
            np.testing.assert_array_equal(run_tensorflow(plan.graph, f"{name}:0", {"q:0": q}), value)
