"""A graph with the calls of its functions written out as nodes, for good: what a SavedModel's signature computes.

A call runs its whole function: whatever in it may change something runs, though no result needs it
(``PruneFunctionGraph`` in tensorflow/core/common_runtime/function_utils.cc keeps stateful nodes). So what reads a
result by a control input waits for these, and :meth:`WrittenOut.effects` names them for whoever asks for a result.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from . import ops
from .graph import Function, FunctionBody, Graph, Node, TensorName
from .inline import Budget, Inliner
from .references import References

_CALL = re.compile(r"(Stateful)?PartitionedCall(_\d+)?$")
"""The name that TensorFlow gives to a call by itself. It says nothing of the network: what the function does keeps
its own name."""


class WrittenOut:
    """``graph`` with the calls that ``outputs`` and the nodes ``run`` need written out.

    A call is left as it is where its function is not in the library or is too large, and where a ``Switch`` decides
    what runs: the nodes of a function must then wait for what the call waits for.
    """

    def __init__(self, graph: Graph, outputs: Iterable[TensorName], run: Iterable[str] = ()) -> None:
        self._graph = graph
        self._nodes = dict(graph.nodes)
        self._calls: dict[str, tuple[TensorName, ...]] = {}
        self._changes: dict[str, tuple[str, ...]] = {}
        run = tuple(run)
        self._expand([*(output.node for output in outputs), *run])
        self.graph = replace(graph, nodes=self._resolved(run))

    def tensor(self, source: TensorName) -> TensorName:
        """``source``, or what a function returns in its place."""
        while (returns := self._calls.get(source.node, ())) and source.port < len(returns):
            source = returns[source.port]
        return source

    def effects(self, output: TensorName) -> tuple[str, ...]:
        """The nodes that run whenever ``output`` is computed because a function does, whether it needs them or not."""
        found: dict[str, None] = {}
        seen, stack = {output.node}, [output.node]
        while stack:
            name = stack.pop()
            node = self._nodes.get(name)
            found.update(dict.fromkeys(self._changes.get(name, ())))
            needed = [source.node for source in self._calls.get(name, ())]
            needed += self._changes.get(name, ())
            if node is not None:
                needed += [*(source.node for source in node.inputs), *node.controls]
            stack += [each for each in needed if each not in seen]
            seen.update(needed)
        return tuple(each for each in found if each not in self._calls)

    def _expand(self, roots: Sequence[str]) -> None:
        inliner = Inliner(self._graph.functions, self._nodes, Budget(self._graph.functions))
        references = References(self._nodes.get, self._graph.functions, self._calls)
        inline = not _decides(self._graph.nodes.values())
        seen, stack = set(roots), list(roots)
        while stack:
            name = stack.pop()
            node = self._nodes.get(name)
            if node is None:
                continue
            needed = [*(source.node for source in node.inputs), *node.controls]
            function = _called(self._graph.functions, node) if inline else None
            written = function and inliner.call(node, function, node.inputs, self._naming(name))
            if written and not written.unknown:
                self._nodes.update((each.name, each) for each in written.nodes)
                self._calls[name] = written.returns
                self._changes[name] = tuple(
                    each.name
                    for each in written.nodes
                    if references.may_write(each) or ops.has_effect(each.op)
                )
                needed += [*(source.node for source in written.returns), *self._changes[name]]
            stack += [each for each in needed if each not in seen]
            seen.update(needed)

    def _naming(self, call: str) -> Callable[[str], str]:
        """Names for the nodes of a function: their own, under the scope that the call has a name of its own in."""
        parent, _, last = call.rpartition("/")
        scope = parent if _CALL.match(last) else call
        given: set[str] = set()

        def named(inner: str) -> str:
            name = f"{scope}/{inner}" if scope else inner
            free, number = name, 0
            while free in self._nodes or free in given:
                number += 1
                free = f"{name}_{number}"
            given.add(free)
            return free

        return named

    def _resolved(self, run: Iterable[str]) -> Mapping[str, Node]:
        nodes = {
            name: self._without_calls(node) for name, node in self._nodes.items() if name not in self._calls
        }
        for name in run:
            if name in self._calls:
                nodes[name] = Node(name, "NoOp", controls=self._awaited(name))
        return nodes

    def _without_calls(self, node: Node) -> Node:
        inputs = tuple(map(self.tensor, node.inputs))
        controls = tuple(dict.fromkeys(each for name in node.controls for each in self._awaited(name)))
        if inputs == node.inputs and controls == node.controls:
            return node
        return node._replace(inputs=inputs, controls=controls)

    def _awaited(self, name: str) -> tuple[str, ...]:
        """What a control input on node ``name`` waits for: of a call, its results and what it changes."""
        if name not in self._calls:
            return (name,)
        found: dict[str, None] = {}
        seen, stack = {name}, [name]
        while stack:
            each = stack.pop()
            if each not in self._calls:
                found[each] = None
                continue
            needed = [
                *(self.tensor(source).node for source in self._calls[each]),
                *self._changes[each],
            ]
            stack += [other for other in needed if other not in seen]
            seen.update(needed)
        return tuple(found)


def _decides(nodes: Iterable[Node]) -> bool:
    return any(node.op in ops.SWITCHES for node in nodes)


def _called(functions: Mapping[str, FunctionBody], node: Node) -> Function | None:
    """The function that ``node`` does no more than call; None for another node."""
    function = node.attrs.get("f") if node.op in ops.CALLS else None
    if node.op in functions:
        function = Function(node.op, node.attrs)
    if not isinstance(function, Function) or function.name not in functions:
        return None
    body = functions[function.name]
    return None if any(inner.op in ops.SWITCHES for inner in body.nodes) else function
