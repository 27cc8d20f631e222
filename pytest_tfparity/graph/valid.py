"""Whether TensorFlow imports a graph: what its importer checks of every node, without TensorFlow.

Source: ``ValidateNodeDef`` and ``InOutTypesForNode`` of tensorflow/core/framework/node_def_util.cc, and
tensorflow/core/common_runtime/graph_constructor.cc. What only shape inference or a kernel finds is not seen here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .graph import Attr, AttrReference, DType, Function, Graph, Node, Shape, Tensor, listed, once
from .ops import ARGUMENT, CALLS, MERGES, NEXT_ITERATIONS
from .read.stated_shapes import is_possible
from .read.tensors import base_dtype, dtype_name, is_type
from .read.wire import Malformed, fields
from .signatures import ANY, REFERENCE, AttributeDef, Signature, Types, signature, types_of

_NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_>./\\-]*")
_OTHER_PROCESS = re.compile(r"(^|/)(job:(?!\*|localhost(/|$))|(task|replica):(?!\*|0+(/|$)))")
"""A device of another job, task or replica: the session of a process that is on its own has none such, and refuses the
graph (``Placer``, placer.cc). Of a kind that a machine lacks another is taken (``allow_soft_placement``)."""
_OP = re.compile(r"_*[A-Z]\w*(>_*[A-Z]\w*)*", re.ASCII)
"""``ValidateOpDef`` (tensorflow/core/framework/op_def_util.cc); with an underscore in front, TensorFlow's own."""
_PART_OF_DEVICE = (
    r"(job:(\*|[A-Za-z]\w*)|(replica|task):(\*|\d+)|device:(\*|[A-Za-z]\w*)(:(\*|\d+))?|[A-Za-z]\w*:(\*|\d+))"
)
_DEVICE = re.compile(rf"/?({_PART_OF_DEVICE}(/{_PART_OF_DEVICE})*)?", re.ASCII)
"""``DeviceNameUtils::ParseFullName`` (tensorflow/core/util/device_name_utils.cc), and what Python's importer takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """Why TensorFlow refuses a node: ``reason`` is a clause that begins with what the node does wrong.

    Without a node it is a clause about the file. ``refuses`` is what TensorFlow does not do with the file.
    """

    reason: str
    node: str = ""
    op: str = ""
    refuses: str = "import"

    def __str__(self) -> str:
        return f"{self.op} ({self.node}) {self.reason}" if self.node else self.reason


def flaws(graph: Graph) -> Iterator[Flaw]:
    """Every node of ``graph`` that TensorFlow's importer refuses, in the order of the file; functions left out."""
    yield from _refused_nodes(graph)
    for name in sorted(graph.colocated() - graph.nodes.keys()):
        yield Flaw(
            node=name, op="A node", reason="is not in the graph, and others are to be placed beside it"
        )
    yield from _cycle(graph)
    yield from _places(graph)
    yield from (Flaw(reason=refusal) for refusal in graph.refusals)


def first_flaw(graph: Graph) -> Flaw | None:
    """The first flaw of ``graph``; None if TensorFlow imports it, as far as this is seen here."""
    return next(flaws(graph), None)


def _places(graph: Graph) -> Iterator[Flaw]:
    """Devices that are none or of another process, and functions that stand where an op of TensorFlow does."""
    for device, name in graph.devices.items():
        if not _DEVICE.fullmatch(device):
            yield Flaw(
                node=name,
                op=graph.nodes[name].op,
                reason=f"is to run on {device!r}, which is the name of no device",
            )
        elif _OTHER_PROCESS.search(device):
            yield Flaw(
                node=name,
                op=graph.nodes[name].op,
                reason=(
                    f"is to run on {device!r}, in another process than the one that loads the file; freeze it with"
                    " clear_devices=True"
                ),
                refuses="run",
            )
    for name in graph.functions:
        if signature(name) is not None:
            yield Flaw(reason=f"function {name} has the name of an op")


def flaws_of_functions(graph: Graph, nodes: Iterable[Node]) -> list[str]:
    """A clause for each function that ``nodes`` run and that TensorFlow refuses to instantiate.

    Whichever branch is taken: TensorFlow instantiates all of them.
    """
    if not graph.functions:
        return []
    from .function_body import body_of, named_functions  # late: most graphs have none

    found: list[str] = []
    seen: set[str] = set()
    stack = list(nodes)
    while stack:
        node = stack.pop()
        found += _settings(node)
        for function in named_functions(node.op, node.attrs, graph.functions):
            if function.name in seen or function.name not in graph.functions:
                continue
            seen.add(function.name)
            body = body_of(graph.functions, graph.functions[function.name], function.attrs)
            inner = Graph(body.nodes, graph.functions, graph.producer)
            found += [f"in function {function.name}, {flaw}" for flaw in (*body.unknown, *flaws(inner))]
            stack += body.nodes.values()
    return found


_EXECUTORS = (b"", b"DEFAULT", b"SINGLE_THREADED_EXECUTOR")
"""Executors that TensorFlow registers (executor_factory.h); another one, and a call fails."""


def _settings(node: Node) -> Iterator[str]:
    """What a call asks for that TensorFlow does not have: the rest of how it is to be run changes no result."""
    if node.op not in CALLS:
        return
    if node.attrs.get("executor_type", b"") not in _EXECUTORS:
        yield f"{node.op} ({node.name}) asks for an executor that TensorFlow does not have"
    config = node.attrs.get("config_proto", b"")
    if config and node.attrs.get("config", b""):
        yield f"{node.op} ({node.name}) has a config and a config_proto"
    view = memoryview(config if isinstance(config, bytes) else b"")
    try:
        list(fields(view, 0, len(view)))
    except Malformed:
        yield f"{node.op} ({node.name}) has a config_proto that is none"


def _refused_nodes(graph: Graph) -> Iterator[Flaw]:
    # Equal attributes are one object, so most nodes were seen before; of constants the type alone is asked.
    known: dict[tuple[str, object], _Node] = {}
    told: dict[str, _Node] = {}
    for name, node in graph.nodes.items():
        key = (node.op, (_dtype_of_constant(node) if node.op == "Const" else None) or id(node.attrs))
        own = known.get(key)
        if own is None:
            own = known[key] = _read(graph, node)
        told[name] = own
    for name, node in graph.nodes.items():
        reason = told[name].reason or _edges(graph, node, told)
        if reason is None and not _NAME.fullmatch(name):
            reason = "has a name that TensorFlow does not allow"
        if reason is not None:
            yield Flaw(node=name, op=node.op, reason=reason)


def _dtype_of_constant(node: Node) -> DType | None:
    """The type that the constant ``node`` states, if it states that and its value and nothing else."""
    if len(node.attrs) != 2 or type(node.attrs.get("value")) is not Tensor:
        return None
    dtype = node.attrs.get("dtype")
    return dtype if isinstance(dtype, DType) else None


def has_cycle(graph: Graph) -> bool:
    """Whether a node of ``graph`` waits for itself, but through the end of a loop."""
    return next(_cycle(graph), None) is not None


def _cycle(graph: Graph) -> Iterator[Flaw]:
    """A node that waits for itself, if there is one: only a NextIteration may close a circle, in a Merge."""
    if _is_sorted(graph):
        return
    waits: dict[str, int] = {}
    readers: dict[str, list[str]] = {}
    for name, node in graph.nodes.items():
        before = [
            each for each in _before(node) if each in graph.nodes and not _closes_loop(graph, node, each)
        ]
        waits[name] = len(before)
        for each in before:
            readers.setdefault(each, []).append(name)
    stack = [name for name, count in waits.items() if not count]
    while stack:
        for reader in readers.get(stack.pop(), ()):
            waits[reader] -= 1
            if not waits[reader]:
                stack.append(reader)
    held = next((name for name, count in waits.items() if count), None)
    if held is not None:
        yield Flaw(node=held, op=graph.nodes[held].op, reason="waits for itself, or for what does")


def _is_sorted(graph: Graph) -> bool:
    """Whether every node comes after what it needs, as most files are written."""
    placed: set[str] = set()
    for name, node in graph.nodes.items():
        for source in node.inputs:
            if source.node not in placed:
                return False
        if node.controls and not placed.issuperset(node.controls):
            return False
        placed.add(name)
    return True


def _before(node: Node) -> set[str]:
    return {*(source.node for source in node.inputs), *node.controls}


def _closes_loop(graph: Graph, node: Node, before: str) -> bool:
    source = graph.nodes.get(before)
    return node.op in MERGES and source is not None and source.op in NEXT_ITERATIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class _Node:
    """What a node says of itself: its types, or why it is refused whatever its inputs are.

    ``gone`` is the version of the format from which on its op is refused.
    """

    inputs: Types = ()
    outputs: Types = ()
    reason: str | None = None
    open: bool = False
    gone: int | None = None


_OPEN = _Node(open=True)
"""A node of which nothing is known: an op of another library, or a function of the graph's own."""


def _read(graph: Graph, node: Node) -> _Node:
    if node.op in graph.functions or (node.op == ARGUMENT and "T" not in node.attrs):
        return _OPEN
    own = _own(node.op, node.attrs)
    if own.gone is not None and graph.producer >= own.gone:
        return _Node(
            reason=f"is gone since version {own.gone} of the format, and the graph is of {graph.producer}"
        )
    return own


@once
def _own(op: str, attrs: Mapping[str, Attr]) -> _Node:
    """What a node of TensorFlow's ``op`` with these attributes says of itself, in whatever graph."""
    told = signature(op)
    if told is None:
        return _OPEN if _OP.fullmatch(op) else _Node(reason="is of an op that no library can have")
    reason = _attributes(attrs, told)
    types = types_of(op, attrs) if reason is None else None
    inputs, outputs = types or ((), ())
    return _Node(inputs=inputs, outputs=outputs, reason=reason, gone=told.gone)


# --- attributes


def _attributes(attrs: Mapping[str, Attr], told: Signature) -> str | None:
    for name, value in attrs.items():
        known = told.attrs.get(name)
        if known is None:  # TensorFlow passes over what it does not know
            continue
        # Most attributes are types that the op allows, or of a kind that may be anything.
        if type(value) is DType:
            if known.kind == "type" and value.number in (known.allowed or ()):
                continue
        elif type(value) is _TYPES.get(known.kind) and known.allowed is None and known.least is None:
            continue
        # Python's importer puts the default where there is no value (``_SetDefaultAttrValues``, importer.py).
        reason = None if value is None and not known.required else _refused(name, value, known)
        if reason is not None:
            return reason
    for name in told.required:
        if name not in attrs:
            return f"lacks its attribute {name}"
    return None


_TYPES = {"int": int, "float": float, "bool": bool, "string": bytes, "tensor": Tensor, "func": Function}
_KINDS: Mapping[str, Callable[[Attr], bool]] = {
    "type": lambda value: isinstance(value, DType) and value.number != ANY and is_type(value),
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "float": lambda value: isinstance(value, float),
    "bool": lambda value: isinstance(value, bool),
    "string": lambda value: isinstance(value, bytes),
    "shape": lambda value: isinstance(value, Shape) and is_possible(value.dims),
    "tensor": lambda value: isinstance(value, Tensor),
    "func": lambda value: isinstance(value, Function),
}


def _refused(name: str, value: Attr, told: AttributeDef) -> str | None:
    if isinstance(value, AttrReference):
        return f"has no {name}, but a place for one"
    values: Sequence[Attr] = [value]
    kind = told.kind
    if kind.startswith("list("):
        found = () if value is None else listed(value)  # no value at all is an empty list (AttrValueHasType)
        if found is None:
            return f"has {name} that is no list"
        values, kind = found, kind[5:-1]
        if told.least is not None and len(values) < told.least:
            return f"has {len(values)} {name} where {told.least} are needed"
    elif isinstance(value, int) and told.least is not None and value < told.least:
        return f"has {name} {value} where {told.least} is the least"
    if not all(map(_KINDS[kind], values)):
        return f"has {name} that is no {told.kind}"
    if told.allowed is not None and not all(_plain(each) in told.allowed for each in values):
        return f"has {name} {_shown(values)}, which the op does not allow"
    return None


def _plain(value: Attr) -> object:
    return value.number if isinstance(value, DType) else value


def _shown(values: Sequence[Attr]) -> str:
    told = [
        dtype_name(each) if isinstance(each, DType) else each.decode("utf-8", "replace")
        for each in values
        if isinstance(each, DType | bytes)
    ]
    return ", ".join(told)


# --- edges


def _edges(graph: Graph, node: Node, told: Mapping[str, _Node]) -> str | None:
    own = told[node.name]
    if own.open or not (own.inputs or node.inputs or node.controls):
        return None
    if len(node.inputs) != len(own.inputs):
        return f"takes {len(own.inputs)} inputs and has {len(node.inputs)}"
    for source, wanted in zip(node.inputs, own.inputs, strict=True):
        made = told.get(source.node)
        if made is None:
            return f"reads {source}, which is not in the graph"
        if made.open or made.reason is not None:
            continue
        if source.port >= len(made.outputs):
            op = graph.nodes[source.node].op
            return f"reads {source}, and {op} has {len(made.outputs)} outputs"
        given = made.outputs[source.port]
        if given != wanted and not _goes_for(given, wanted):
            return f"reads {source} as {_type(wanted)}, and it is {_type(given)}"
    for control in node.controls:
        if control not in told:
            return f"waits for {control}, which is not in the graph"
    return None


def _goes_for(given: int, wanted: int) -> bool:
    """Whether a tensor of one type may be read as another: a reference as its value, and what is not known."""
    return ANY in (given, wanted) or (wanted <= REFERENCE and given - REFERENCE == wanted)


def _type(number: int) -> str:
    dtype = DType(number)
    return f"{'a reference to ' if number > REFERENCE else ''}{dtype_name(base_dtype(dtype))}"
