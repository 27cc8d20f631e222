"""The charts of a check as inline SVG.

Drawn by pygal: its charts are plain SVG with a ``<title>`` for each mark, so a name shows on hover without a
script; all colours are classes, so the page's style sheet turns them dark; and a chart of 500 nodes is some 60 KB
in a few hundredths of a second. (matplotlib writes colours into each mark and takes ten times as long;
Plotly, Bokeh and Vega draw with scripts of megabytes and show nothing without them.)
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from xml.etree import ElementTree

import pygal
from markupsafe import Markup
from pygal.style import Style

from ...result import OutputComparison
from ...result_details import LayerRow, NodeDifference, OutputDifferences
from ..terminal import number_text

# pygal leaves a finder of old make behind, for plugins of its own: with it every later import warns.
sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != "pygal"]

_STYLE = Style(font_family="inherit", label_font_size=12, major_label_font_size=12, title_font_size=12)
_LONG = re.compile(r"-?\d+\.\d{2,}")
_UNWANTED = ("desc", "style", "script", "defs")
_FEWEST_DECADES = 3
"""Decades of an axis at least: on one that ends where the values do, the smallest stands at nothing."""


def depth_chart(nodes: Sequence[NodeDifference]) -> Markup:
    """Accumulated and own difference of each node in graph order, on a logarithmic scale."""
    scale = _Scale.of(
        [value for node in nodes for value in (node.accumulated, node.own) if value],
        zero=True,
        infinite=any(node.accumulated is None for node in nodes),
    )
    chart = _chart(
        pygal.XY,
        960,
        320,
        y_labels=scale.labels,
        range=scale.range,
        x_labels=_named_places(nodes),
    )
    chart.add(
        "accumulated",
        [_point(node.index, scale.place(node.accumulated), _node_title(node)) for node in nodes],
        stroke=True,
        dots_size=2,
    )
    own = [node for node in nodes if node.own and not node.culprit]
    chart.add(
        "own", [_point(node.index, scale.place(node.own), _node_title(node)) for node in own], dots_size=3
    )
    chart.add(
        "culprits",
        [
            _point(node.index, scale.place(node.own if node.own else node.accumulated), _node_title(node))
            for node in nodes
            if node.culprit
        ],
        dots_size=5,
    )
    return _svg(chart, f"Difference of {len(nodes)} nodes in graph order")


_NAMES = 6
"""Names along the axis of the graph: as many as stand beside each other without touching."""


def _named_places(nodes: Sequence[NodeDifference] | Sequence[LayerRow]) -> list[dict[str, Any]]:
    """Where names stand along the graph: at culprits first, then evenly; none too near to another."""
    if not nodes:
        return []
    first, last = nodes[0].index, nodes[-1].index
    room = max((last - first) / _NAMES, 1)
    evenly = nodes[:: max(len(nodes) // _NAMES, 1)]
    taken: dict[int, str] = {}
    for node in (*(each for each in nodes if each.culprit), *evenly):
        if all(abs(node.index - other) >= room for other in taken):
            taken[node.index] = _short(node.name)
    return [{"value": index, "label": name} for index, name in sorted(taken.items())]


def _short(name: str) -> str:
    """The end of a node's name, as long as stands under an axis."""
    return name if len(name) <= _LONGEST else f"…{name[1 - _LONGEST :]}"


_LONGEST = 20


def layer_chart(layers: Sequence[LayerRow]) -> Markup:
    """The noise of each layer in graph order, in dB: what it has gathered, and its own."""
    values = [value for row in layers for value in (row.own, row.accumulated) if value is not None]
    # A layer without noise stands at the top, above all that have some.
    top = 10 * math.ceil((max(values, default=0.0) + 1) / 10)
    low = 10 * math.floor(min([0.0, *values]) / 10)
    step = 10 * max(1, math.ceil((top - low) / 60))
    chart = _chart(
        pygal.XY,
        960,
        320,
        range=(low, top),
        y_labels=list(range(low, top + 1, step)),
        x_labels=_named_places(layers),
    )

    def points(rows: Sequence[LayerRow], value: Callable[[LayerRow], float | None]) -> list[dict[str, Any]]:
        found = ((row, value(row)) for row in rows)
        return [_point(row.index, top if each is None else each, _layer_title(row)) for row, each in found]

    chart.add("accumulated", points(layers, lambda row: row.accumulated), stroke=True, dots_size=2)
    others = [row for row in layers if not row.culprit]
    chart.add("own", points(others, lambda row: row.own), dots_size=3)
    culprits = [row for row in layers if row.culprit]
    chart.add("culprits", points(culprits, lambda row: row.own), dots_size=5)
    return _svg(chart, f"Signal to noise of {len(layers)} layers in graph order")


def _layer_title(row: LayerRow) -> str:
    def decibels(value: float | None) -> str:
        return "no noise" if value is None else f"{value:g} dB"

    return f"{row.name} ({row.type})\naccumulated {decibels(row.accumulated)}\nown {decibels(row.own)}"


def quanta_histogram(output: OutputDifferences, comparison: OutputComparison | None) -> Markup:
    """How many values of a quantised output differ by how many quanta."""
    step = output.step or 1.0
    atol = (
        comparison.atol
        if comparison is not None and not (comparison.rtol or comparison.criteria)
        else math.inf
    )
    places = [edge / step for edge in output.edges]
    bars: tuple[list[Any], list[Any]] = ([], [])
    for count, low, high in zip(output.counts, places, places[1:], strict=False):
        if count:
            title = (
                f"{count} of {output.total} values differ by {number_text(low)} to {number_text(high)} quanta"
            )
            bars[low * step > atol].append({"value": (count, low, high), "tooltip": title})
    every = max(1, math.ceil(places[-1] / 8))
    chart = _chart(
        pygal.Histogram,
        480,
        280,
        x_labels=[
            {"value": place, "label": str(place)} for place in range(0, math.ceil(places[-1]) + 1, every)
        ],
        xrange=(0, places[-1]),
        max_scale=6,
    )
    chart.add("within", bars[0])
    chart.add("beyond", bars[1])
    return _svg(chart, f"Histogram of the differences of {output.export} in quanta")


def histogram(output: OutputDifferences, comparison: OutputComparison | None) -> Markup:
    """How many values of an output differ by how much; those that an absolute tolerance excludes stand out."""
    atol = comparison.atol if comparison is not None and not comparison.rtol else 0.0
    scale = _Scale.of(output.edges, zero=False)
    bars: tuple[list[Any], list[Any]] = ([], [])
    for count, low, high in zip(output.counts, output.edges, output.edges[1:], strict=False):
        if count:
            title = f"{count} of {output.total} values differ by {number_text(low)} to {number_text(high)}"
            place = (count, math.log10(low), math.log10(high))
            bars[0.0 < atol * (1 + 1e-6) < high].append({"value": place, "tooltip": title})
    chart = _chart(pygal.Histogram, 480, 280, x_labels=scale.labels, xrange=scale.range, max_scale=6)
    chart.add("within", bars[0])
    chart.add("beyond", bars[1])
    return _svg(chart, f"Histogram of the differences of {output.export}")


def scatter(output: OutputDifferences, comparison: OutputComparison | None) -> Markup:
    """A sample of the values, export against reference; equal ones lie on the diagonal."""
    values = [value for point in output.points for value in point]
    low, high = min(values), max(values)
    groups: tuple[list[Any], list[Any]] = ([], [])
    for reference, export in reversed(output.points):  # the worst on top
        title = (
            f"reference {number_text(reference)}, export {number_text(export)},"
            f" difference {number_text(export - reference)}"
        )
        groups[_outside(reference, export, comparison)].append(_point(reference, export, title))
    chart = _chart(pygal.XY, 480, 280, show_x_guides=True, max_scale=6)
    chart.add("diagonal", [(low, low), (high, high)], stroke=True, show_dots=False)
    chart.add("within", groups[0], dots_size=2.5)
    chart.add("beyond", groups[1], dots_size=2.5)
    return _svg(chart, f"{output.export}: export against reference, {len(output.points)} values")


def _outside(reference: float, export: float, comparison: OutputComparison | None) -> bool:
    if comparison is None:
        return False
    return abs(export - reference) > comparison.atol + comparison.rtol * abs(reference)


class _Scale:
    """A logarithmic axis from whole decade to whole decade, with a place for 0 and one for what is no number."""

    def __init__(self, low: int, high: int, zero: bool, infinite: bool) -> None:
        self.low, self.high = low, high
        self._zero, self._infinite = zero, infinite

    @classmethod
    def of(cls, values: Iterable[float], *, zero: bool, infinite: bool = False) -> _Scale:
        exponents = [math.log10(value) for value in values if value > 0]
        low = math.floor(min(exponents, default=-6) + 1e-9)
        high = math.ceil(max(exponents, default=0) - 1e-9)
        return cls(min(low, high - _FEWEST_DECADES), high, zero, infinite)

    @property
    def range(self) -> tuple[float, float]:
        return self.low - self._zero, self.high + self._infinite

    @property
    def labels(self) -> list[dict[str, Any]]:
        step = max(1, math.ceil((self.high - self.low) / 6))
        labels = [{"value": place, "label": f"1e{place}"} for place in range(self.high, self.low - 1, -step)]
        zero = [{"value": self.low - 1, "label": "0"}] if self._zero else []
        return (
            zero + labels[::-1] + ([{"value": self.high + 1, "label": "no number"}] if self._infinite else [])
        )

    def place(self, value: float | None) -> float:
        if value is None:
            return self.high + 1
        return math.log10(value) if value > 0 else self.low - 1


def _node_title(node: NodeDifference) -> str:
    parts = [f"{node.name} ({node.op})", f"accumulated {_size(node.accumulated)}"]
    parts.append("own not measured" if node.own is None else f"own {number_text(node.own)}")
    return "\n".join(["culprit: " + parts[0] if node.culprit else parts[0], *parts[1:]])


def _size(value: float | None) -> str:
    return "not finite, or of another shape" if value is None else number_text(value)


def _point(x: float, y: float, title: str) -> dict[str, Any]:
    return {"value": (x, y), "tooltip": title}


def _chart(kind: Any, width: int, height: int, **options: Any) -> Any:
    return kind(
        width=width,
        height=height,
        margin=4,
        style=_STYLE,
        css=(),
        js=(),
        show_legend=False,
        truncate_label=-1,
        stroke=False,
        allow_interruptions=True,
        disable_xml_declaration=True,
        formatter=number_text,
        x_value_formatter=number_text,
        value_formatter=number_text,
        **options,
    )


def _superfluous(child: ElementTree.Element, parent: ElementTree.Element, root: ElementTree.Element) -> bool:
    """Whether ``child`` is for pygal's own script, empty, a comment, or the title of an axis or of the whole."""
    if not isinstance(child.tag, str):
        return True
    name = child.tag.rpartition("}")[2]
    if name == "title":
        return parent is root or parent.get("class", "").startswith("guides")
    return name in _UNWANTED or (name == "g" and len(child) == 0)


def _svg(chart: Any, label: str) -> Markup:
    """The chart without what only pygal's own script and style would use, its numbers short."""
    kind = type(chart).__name__.lower()
    chart.add_xml_filter(lambda root: _plain(root, label, kind))
    return Markup(chart.render(is_unicode=True))  # pygal escapes what it is given


def _plain(root: ElementTree.Element, label: str, kind: str) -> ElementTree.Element:
    """``root`` without what nothing shows, its numbers short, named ``label`` for those who cannot see it."""
    for parent in list(root.iter()):
        for child in list(parent):
            if _superfluous(child, parent, root):
                parent.remove(child)
    for element in root.iter():
        element.attrib.pop("id", None)
        for key, value in element.attrib.items():
            element.set(key, _LONG.sub(lambda found: f"{float(found[0]):.1f}", value))
    root.set("role", "img")
    root.set("aria-label", label)
    root.set("class", f"chart {kind}")
    return root
