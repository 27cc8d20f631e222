"""Small graphs as drawings: grandalf (Sugiyama's layered layout) says where nodes and edges go.

It is pure Python, where Graphviz would have to be installed beside Python on every CI machine.
"""

from __future__ import annotations

from dataclasses import dataclass

from grandalf.graphs import Edge, Graph, Vertex
from grandalf.layouts import SugiyamaLayout
from grandalf.routing import EdgeViewer, route_with_lines

from ...result_details import Drawing, DrawnNode

WIDTH, HEIGHT = 176.0, 40.0
_GAP_X, _GAP_Y = 14.0, 26.0
_MARGIN = 6.0
_LETTERS = 22
"""Letters that fit into a node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A node: its upper left corner, two lines of text, and its whole name."""

    x: float
    y: float
    op: str
    label: str
    name: str
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Laid:
    """A drawing whose places are known; ``lines`` are the points of the edges as SVG writes them."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    lines: tuple[str, ...]
    description: str


class _View:
    """The size of a node, and where the layout puts its middle."""

    def __init__(self) -> None:
        self.w, self.h = WIDTH, HEIGHT
        self.xy = (0.0, 0.0)


def laid(drawing: Drawing) -> Laid:
    """Where the nodes and edges of ``drawing`` go; inputs on top."""
    middles, lines = _routed(drawing)
    low = (
        min(x for x, _ in middles) - WIDTH / 2 - _MARGIN,
        min(y for _, y in middles) - HEIGHT / 2 - _MARGIN,
    )
    every_x = [x + WIDTH / 2 for x, _ in middles] + [x for line in lines for x, _ in line]
    return Laid(
        width=round(max(every_x) - low[0] + _MARGIN, 1),
        height=round(max(y for _, y in middles) + HEIGHT / 2 - low[1] + _MARGIN, 1),
        boxes=tuple(_box(node, middle, low) for node, middle in zip(drawing.nodes, middles, strict=True)),
        lines=tuple(" ".join(f"{x - low[0]:.1f},{y - low[1]:.1f}" for x, y in line) for line in lines),
        description=_description(drawing),
    )


def _routed(drawing: Drawing) -> tuple[list[tuple[float, float]], list[list[tuple[float, float]]]]:
    """The middle of each node, and the points of each edge that does not lead back to its node."""
    vertices = [Vertex(index) for index in range(len(drawing.nodes))]
    for vertex in vertices:
        vertex.view = _View()
    edges = [Edge(vertices[source], vertices[target]) for source, target in drawing.edges if source != target]
    for edge in edges:
        edge.view = EdgeViewer()
    left = 0.0
    for component in Graph(vertices, edges).C:
        left = _place(component, left)
    return [vertex.view.xy for vertex in vertices], [_points(edge) for edge in edges]


def _box(node: DrawnNode, middle: tuple[float, float], low: tuple[float, float]) -> Box:
    """The box of a node around ``middle``, in a picture whose upper left corner is ``low``."""
    return Box(
        x=round(middle[0] - WIDTH / 2 - low[0], 1),
        y=round(middle[1] - HEIGHT / 2 - low[1], 1),
        op=_fitting(node.op),
        label=_fitting(node.name),
        name=node.name,
        role=node.role,
    )


def _place(component: object, left: float) -> float:
    """Lay out one connected part, to the right of ``left``; return where the next one may begin."""
    layout = SugiyamaLayout(component)
    layout.xspace, layout.yspace = _GAP_X, _GAP_Y
    layout.route_edge = route_with_lines
    layout.init_all()
    layout.draw(4)
    vertices = list(component.sV)  # type: ignore[attr-defined]
    shift = left - min(vertex.view.xy[0] for vertex in vertices)
    for vertex in vertices:
        vertex.view.xy = (vertex.view.xy[0] + shift, vertex.view.xy[1])
    for edge in component.sE:  # type: ignore[attr-defined]
        edge.view._pts = [(x + shift, y) for x, y in edge.view._pts]
    return float(max(vertex.view.xy[0] for vertex in vertices)) + WIDTH + _GAP_X


def _points(edge: Edge) -> list[tuple[float, float]]:
    """The edge from the lower side of its source to the upper side of its target."""
    (x0, y0), (x1, y1) = edge.v[0].view.xy, edge.v[1].view.xy
    between = [point for point in edge.view._pts[1:-1] if min(y0, y1) < point[1] < max(y0, y1)]
    down = 1 if y1 >= y0 else -1
    return [(x0, y0 + down * HEIGHT / 2), *between, (x1, y1 - down * HEIGHT / 2)]


def _fitting(name: str) -> str:
    """A name as long as fits, cut in the middle: its beginning tells the block, its end the op."""
    begin = _LETTERS // 3
    return name if len(name) <= _LETTERS else f"{name[:begin]}…{name[begin + 1 - _LETTERS :]}"


def _description(drawing: Drawing) -> str:
    """The drawing in words."""
    names = [
        f"{node.name} ({node.op}{', culprit' if node.role == 'culprit' else ''})" for node in drawing.nodes
    ]
    read = [f"{names[source]} goes into {names[target]}" for source, target in drawing.edges]
    return "; ".join(read) if read else ", ".join(names)
