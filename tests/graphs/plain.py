"""Small graphs written down in tests, without TensorFlow."""

from __future__ import annotations

import numpy as np

from pytest_tfparity.graph.align import align as alignments
from pytest_tfparity.graph.align.divergence import Alignment, Divergence
from pytest_tfparity.graph.graph import (
    Attr,
    DType,
    FunctionBody,
    FunctionInput,
    FunctionNode,
    Graph,
    Node,
    Shape,
    Tensor,
    tensor_name,
)
from pytest_tfparity.graph.proof import proof as proofs
from pytest_tfparity.graph.proof.fingerprint import Contents
from pytest_tfparity.graph.proof.lockstep import in_lockstep
from pytest_tfparity.graph.proof.proof import NormalSide, Proof, Side, comparable, normalised

FLOAT, DOUBLE, INT, STRING, INT64, BOOL, HALF = (DType(number) for number in (1, 2, 3, 7, 9, 10, 19))
_DTYPES = {
    "float32": 1,
    "float64": 2,
    "int32": 3,
    "object": 7,
    "int64": 9,
    "bool": 10,
    "float16": 19,
    "uint8": 4,
}


def tensor(value, dtype=np.float32) -> Tensor:
    array = np.asarray(value, dtype)
    return Tensor(DType(_DTYPES[array.dtype.name]), array.shape, lambda: array)


class Plan:
    """A graph that is being written down: ``plan("y", "Relu", "x", T=FLOAT)``."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.functions: dict[str, FunctionBody] = {}

    def __call__(self, name: str, op: str, *inputs: str, **attrs: Attr) -> str:
        edges = tuple(tensor_name(text) for text in inputs if not text.startswith("^"))
        controls = tuple(text[1:] for text in inputs if text.startswith("^"))
        self.nodes[name] = Node(name, op, edges, controls, attrs)
        return name

    def const(self, name: str, value, dtype=np.float32, *controls: str) -> str:
        made = tensor(value, dtype)
        return self(name, "Const", *controls, dtype=made.dtype, value=made)

    def placeholder(self, name: str = "x", dtype: DType = FLOAT, **attrs: Attr) -> str:
        return self(name, "Placeholder", dtype=dtype, **attrs)

    def variable(self, name: str, op: str = "VariableV2") -> str:
        return self(name, op, dtype=FLOAT)

    def function(self, name: str, arguments, results, nodes, **options) -> None:
        """``nodes`` are (name, op, inputs, attrs); inputs and the values of ``results`` as in FunctionDef."""
        body = tuple(
            FunctionNode(
                node,
                op,
                tuple(_function_input(text) for text in inputs if not text.startswith("^")),
                tuple(text[1:] for text in inputs if text.startswith("^")),
                attrs,
            )
            for node, op, inputs, attrs in nodes
        )
        returns = {result: _function_input(text) for result, text in results.items()}
        self.functions[name] = FunctionBody(name, tuple(arguments), tuple(results), body, returns, **options)

    @property
    def graph(self) -> Graph:
        return Graph(self.nodes, self.functions)


def _function_input(text: str) -> FunctionInput:
    node, *rest = text.split(":")
    return FunctionInput(node, rest[0] if rest else "", int(rest[1]) if len(rest) > 1 else 0)


def side(graph: Plan | Graph, *outputs: str, inputs=("x",), feeds=None, variables=None) -> Side:
    return Side(
        graph=graph.graph if isinstance(graph, Plan) else graph,
        outputs=tuple(map(tensor_name, outputs)),
        inputs=tuple(map(tensor_name, inputs)),
        feeds={tensor_name(name): np.asarray(value) for name, value in (feeds or {}).items()},
        variables={name: tensor(value) for name, value in (variables or {}).items()},
    )


def prove(reference: Side, export: Side) -> Proof:
    contents = Contents()
    return prove_normal(normalised(reference, contents), normalised(export, contents))


def prove_normal(reference: NormalSide, export: NormalSide) -> Proof:
    """The proof that a check asks for; what is proven by a walk side by side alone is so by the normal forms."""
    made = proofs.prove(reference, export)
    if made.proven and in_lockstep(reference.side, export.side, reference.contents):
        one, other = comparable(reference, export)
        assert not one.doubts
        assert not other.doubts
        assert one.outputs == other.outputs
    return made


def align(reference: Side, export: Side) -> Alignment:
    contents = Contents()
    return alignments.align(normalised(reference, contents), normalised(export, contents))


def divergences(reference: Side, export: Side) -> tuple[Divergence, ...]:
    return align(reference, export).divergences


def proof(reference: Side, export: Side) -> Proof:
    made = prove(reference, export)
    # What holds from left to right holds from right to left.
    assert prove(export, reference).proven is made.proven
    return made


def relu_of(name: str = "x", **options) -> Side:
    """The plainest side there is: Relu of an input."""
    plan = Plan()
    plan.placeholder(name)
    plan("y", "Relu", name, T=FLOAT)
    return side(plan, "y", inputs=(name,), **options)


def loop(*, step=1.0, bound="Less", frame=b"while", prefix="while", extra=(), order=False):
    """``while condition(i): i += step`` of TensorFlow 1, and the value of i at the end."""
    plan = Plan()
    plan.placeholder()
    plan.placeholder("limit")
    p = prefix
    plan(f"{p}/enter", "Enter", "x", T=FLOAT, frame_name=frame)
    plan(f"{p}/limit", "Enter", "limit", T=FLOAT, frame_name=frame, is_constant=True)
    plan(f"{p}/merge", "Merge", f"{p}/enter", f"{p}/next", T=FLOAT, N=2)
    plan(f"{p}/less", bound, f"{p}/merge", f"{p}/limit", T=FLOAT)
    plan(f"{p}/cond", "LoopCond", f"{p}/less")
    plan(f"{p}/switch", "Switch", f"{p}/merge", f"{p}/cond", T=FLOAT)
    plan(f"{p}/identity", "Identity", f"{p}/switch:1", T=FLOAT)
    plan.const(f"{p}/step", step, np.float32, f"^{p}/identity")
    plan(f"{p}/add", "AddV2", f"{p}/identity", f"{p}/step", T=FLOAT)
    last = f"{p}/add"
    for number, op in enumerate(extra):
        last = plan(f"{p}/extra_{number}", op, last, T=FLOAT)
    plan(f"{p}/next", "NextIteration", last, T=FLOAT)
    plan(f"{p}/exit", "Exit", f"{p}/switch", T=FLOAT)
    if order:
        plan.nodes = dict(reversed(plan.nodes.items()))
    return side(plan, f"{p}/exit", inputs=("x", "limit"))


def chain(*, weight: float = 2.0, prefix: str = "", frozen: bool = True) -> Side:
    """(x * weight + 1)², with the weight as a constant or as a variable."""
    plan = Plan()
    plan.placeholder()
    if frozen:
        plan.const(f"{prefix}w", np.full(2, weight))
    else:
        plan("w", "VariableV2", dtype=FLOAT, shape=Shape((2,)))
    plan.const(f"{prefix}one", np.ones(2))
    plan(f"{prefix}mul", "Mul", "x", f"{prefix}w", T=FLOAT)
    plan(f"{prefix}add", "AddV2", f"{prefix}mul", f"{prefix}one", T=FLOAT)
    plan(f"{prefix}square", "Square", f"{prefix}add", T=FLOAT)
    return side(plan, f"{prefix}square", variables=None if frozen else {"w": np.full(2, weight)})
