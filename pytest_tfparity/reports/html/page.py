"""The page: every check with its verdict, what is wrong, and pictures of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from ...result import OutputComparison, ParityResult, Verdict
from ...result_details import BatchNormRow, NodeDifference, OutputDifferences, Quantiles, WeightSummary
from ..terminal import (
    VERDICTS,
    at_least,
    blamed,
    measured,
    number_text,
    places_of,
    repair_sentence,
    tolerable,
    tolerance_parts,
    unmet,
    verdict_line,
    would_pass,
)
from . import charts, drawings, heat
from .explanation import Explain, explanation

ORDER: tuple[Verdict, ...] = ("fail", "error", "pass", "proven")
"""The verdicts in the order in which their checks stand on the page."""


def report_page(
    results: Sequence[ParityResult], environment: Mapping[str, str], explain: Explain | None = None
) -> str:
    """The whole page; checks that fail come first. ``explain`` gives the page of a cause, in Markdown."""
    ordered = sorted(results, key=lambda result: (ORDER.index(result.verdict), result.nodeid))
    counts = {verdict: sum(result.verdict == verdict for result in results) for verdict in ORDER}
    template = _templates().get_template("page.html.j2")
    made: str = template.render(
        results=ordered,
        environment=environment,
        causes=_causes(results, explain),
        counts={verdict: count for verdict, count in counts.items() if count},
        style=Markup(_asset("style.css")),
        script=Markup(_asset("script.js")),
    )
    return made


def _causes(results: Sequence[ParityResult], explain: Explain | None) -> Mapping[str, tuple[str, Markup]]:
    """Each cause of the findings with its title and its explanation, where there is one."""
    if explain is None:
        return {}
    causes = {finding.cause for result in results for finding in result.findings}
    causes |= {health.cause for result in results for health in result.health}
    found: dict[str, tuple[str, Markup]] = {}
    for cause in sorted(causes):
        try:
            text = explain(cause)
        except (OSError, ValueError):
            continue  # of a report that another version has made
        found[cause] = (text.partition("\n")[0].removeprefix(f"# {cause}: "), explanation(text))
    return found


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("pytest_tfparity.reports.html"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    templates.globals.update(
        verdicts=VERDICTS,
        blamed=blamed,
        measured=measured,
        tolerable=tolerable,
        depth_chart=charts.depth_chart,
        histogram=charts.histogram,
        layer_chart=charts.layer_chart,
        quanta_histogram=charts.quanta_histogram,
        scatter=charts.scatter,
        laid=drawings.laid,
        heat_pictures=heat.pictures,
        comparison_of=_comparison_of,
        boxes=_boxes,
        places_of=places_of,
        changed=_changed,
        has_own=_has_own,
        plural=_plural,
    )
    templates.filters.update(
        number=number_text,
        name=_breakable,
        verdict_line=verdict_line,
        at_least=at_least,
        asked=_asked,
        passing=lambda output: ", ".join(filter(None, map(would_pass, unmet(output)))),
        repair=repair_sentence,
    )
    return templates


def _asked(output: OutputComparison) -> str:
    """What was asked of an output, and how many roundings it is from the exact answer, where that is known."""
    asked = ", ".join(tolerance_parts(output))
    if output.times_rounding is None or output.rounding is None:
        return asked
    times, unit = number_text(output.times_rounding), number_text(output.rounding)
    if output.rounding_allowed is not None:
        return f"{asked}; it has {times}"
    return f"{asked}; it is {times} times the rounding {unit} from the exact answer"


def _asset(name: str) -> str:
    return (files(__package__) / "templates" / name).read_text("utf-8")


def _breakable(name: str) -> Markup:
    """A long name that may be broken behind each slash."""
    return Markup("/<wbr>").join(escape(part) for part in name.split("/"))


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _comparison_of(result: ParityResult, output: OutputDifferences) -> OutputComparison | None:
    return next((each for each in result.outputs if each.export == output.export), None)


def _has_own(nodes: Sequence[NodeDifference]) -> bool:
    return any(node.own and not node.culprit for node in nodes)


def _changed(row: BatchNormRow) -> bool:
    return row.reference_mode != row.export_mode


@dataclass(frozen=True, slots=True, kw_only=True)
class _Box:
    """Where a weight's values lie on a common scale, in percent of its width."""

    side: str
    low: float
    high: float
    inner_low: float
    inner_high: float
    middle: float
    title: str


def _boxes(weight: WeightSummary) -> list[_Box]:
    """Both sides of a weight on one scale.

    Boxes of the style sheet and no charts: a table has hundreds of them, and a chart each would be most of the page.
    """
    sides = [("reference", weight.reference), ("export", weight.export)]
    values = [value for _, found in sides if found for value in found]
    low, high = min(values, default=0.0), max(values, default=0.0)
    span = high - low or max(abs(high), 1.0)
    start = low if high > low else low - span / 2

    def percent(value: float) -> float:
        return round(100.0 * (value - start) / span, 1)

    return [_box(side, found, percent) for side, found in sides if found]


def _box(side: str, found: Quantiles, percent: Callable[[float], float]) -> _Box:
    ordered = sorted(found)
    last = len(ordered) - 1
    inner = (ordered[round(last * 0.25)], ordered[round(last * 0.75)])
    middle = ordered[last // 2] if last % 2 == 0 else (ordered[last // 2] + ordered[last // 2 + 1]) / 2
    return _Box(
        side=side,
        low=percent(ordered[0]),
        high=percent(ordered[-1]),
        inner_low=percent(inner[0]),
        inner_high=percent(inner[1]),
        middle=percent(middle),
        title=f"{side}: {number_text(ordered[0])} to {number_text(ordered[-1])}, median {number_text(middle)}",
    )
