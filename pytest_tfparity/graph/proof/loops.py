"""The loops of a normal form: sets of nodes that depend on one another."""

from __future__ import annotations

from ..normal.form import NormalGraph


def components(graph: NormalGraph) -> list[list[int]]:
    """The live nodes in sets that depend on one another, what is depended on first (Tarjan, iterative)."""
    numbers: dict[int, int] = {}
    lowest: dict[int, int] = {}
    open_nodes: list[int] = []
    is_open: set[int] = set()
    found: list[list[int]] = []
    for start in graph.live():
        if start in numbers:
            continue
        work = [(start, graph.dependencies(start))]
        numbers[start] = lowest[start] = len(numbers)
        open_nodes.append(start)
        is_open.add(start)
        while work:
            index, sources = work[-1]
            for source in sources:
                if source not in numbers:
                    numbers[source] = lowest[source] = len(numbers)
                    open_nodes.append(source)
                    is_open.add(source)
                    work.append((source, graph.dependencies(source)))
                    break
                if source in is_open:
                    lowest[index] = min(lowest[index], numbers[source])
            else:
                work.pop()
                if work:
                    lowest[work[-1][0]] = min(lowest[work[-1][0]], lowest[index])
                if lowest[index] == numbers[index]:
                    component: list[int] = []
                    while not component or component[-1] != index:
                        component.append(open_nodes.pop())
                        is_open.discard(component[-1])
                    found.append(component)
    return found
