"""The report that is read in a terminal: one screen, nothing twice."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

from ..result import Criterion, Finding, OutputComparison, ParityResult, Verdict

if TYPE_CHECKING:
    from ..result_details import NodeDifference

WIDTH = 100
"""Columns of a report where nothing says how many there are: in files, pipes and CI."""
_CI_WIDTH = 80
"""Columns that a line may have at least wherever it is shown."""
_NAMED = 3
"""How many layers a finding names on its first line."""
_MOST_ROWS = 25
"""Nodes in the table of ``-v``: with the rest of the report they fit on one screen."""
_LEAST_MODEL, _LEAST_PLACE = 12, 17
"""Columns that the names of a model and a layer have at least on a first line, however long the cause is."""

VERDICTS: Mapping[Verdict, str] = {
    "proven": "proven equal",
    "pass": "within tolerance",
    "fail": "different",
    "error": "not comparable",
}
"""The verdicts in words, the best first."""

Emphasis: TypeAlias = Literal["failure", "cause", "proven", "decisive", "suggestive", "culprit"]
Paint: TypeAlias = Callable[[str, Emphasis], str]
"""Gives a piece of text the look that its emphasis has on the terminal."""


def plain(text: str, emphasis: Emphasis) -> str:
    """``text`` as it is."""
    return text


def headline(result: ParityResult) -> str:
    """Verdict, place and fix in one line that stands alone in a summary of many tests."""
    return f"{result.model}: {with_fix(verdict_line(result), result)}"


def with_fix(told: str, result: ParityResult) -> str:
    """``told`` and what to change first, in one line."""
    return f"{told.rstrip('.')}. {fix}" if (fix := fix_line(result)) else told


def verdict_line(result: ParityResult) -> str:
    """The verdict in one line, without the name of the model: of a fault its cause and place first."""
    if result.verdict == "error":
        return f"{blamed(result.findings)}: {_said(result)}" if _leads(result) else _said(result)
    if result.verdict == "proven":
        return f"proven: the export computes what the {_reference(result)} computes"
    failing = [output for output in result.outputs if not output.passed]
    if not failing:
        if result.passed:
            return f"export matches {_reference(result)}{_closest(result.outputs)}"
        return _unsound(result)
    worst = max(failing, key=_badness)
    if result.findings:
        return f"{blamed(result.findings)}, {measured(result)}"
    others = f", and {len(failing) - 1} more outputs" if len(failing) > 2 else ""
    others = ", and 1 more output" if len(failing) == 2 else others
    return f"export differs from {_reference(result)}: {_difference(worst)}{others}"


def _leads(result: ParityResult) -> bool:
    """Whether the first finding stands at the beginning: before why a check could not be made only one that is sure."""
    return bool(result.findings) and (
        result.verdict != "error" or result.findings[0].certainty != "suggestive"
    )


def _said(result: ParityResult) -> str:
    """The first line of why a check could not be made, without the name of the model."""
    return _first_line(result.error or "the check could not be made").removeprefix(f"{result.model}: ")


def summary_line(result: ParityResult) -> str:
    """Cause, place and fix in one line for where the name of the test stands before it: a short summary, JUnit."""
    named = f"{result.model}: " if not result.nodeid.endswith(result.model) else ""
    return f"{named}{with_fix(verdict_line(result), result)}"


def measured(result: ParityResult) -> str:
    """How far off the worst output is, in a few words; empty where none fails."""
    failing = [output for output in result.outputs if not output.passed]
    return f"{_measure(max(failing, key=_badness))}{_on_this_run(result)}" if failing else ""


def fix_line(result: ParityResult) -> str:
    """What to change first, in one line; empty where no finding says it."""
    return f"Fix: {result.findings[0].fix}" if _leads(result) and not result.passed else ""


def blamed(findings: Sequence[Finding], *, place_width: int | None = None) -> str:
    """The first cause with its place, cut to ``place_width`` columns, and which others there are."""
    first = findings[0]
    places = places_of(first)
    more = f" and {len(places) - 1} more" if len(places) > 1 else ""
    others = [cause for cause in dict.fromkeys(each.cause for each in findings) if cause != first.cause]
    also = f"; also {', '.join(others)}" if others else ""
    place = places[0] if place_width is None else _clipped(places[0], place_width)
    return f"{first.cause} ({first.certainty}) in {place}{more}{also}"


def _unsound(result: ParityResult) -> str:
    """Why a check fails though its outputs agree: what is wrong with the reference, say."""
    note = _first_line(result.notes[0]) if result.notes else "the check failed"
    health = next((each for each in result.health if note.endswith(_first_line(each.message))), None)
    if health is None:
        return note
    where = f" in {health.scopes[0]}" if health.scopes else ""
    more = f" and {len(health.scopes) - 1} more" if len(health.scopes) > 1 else ""
    return f"{health.cause}{where}{more}: {note}"


def _measure(output: OutputComparison) -> str:
    """How far off an output is, in a few words."""
    if output.problem is not None or output.max_abs is None or (unmet(output) and not output.failing):
        return _difference(output)
    return f"max abs {number_text(output.max_abs)} ({_allowed(output)})"


_PRECISION = frozenset(
    {
        "rounding",
        "compute-fp16",
        "compute-int8",
        "weights-fp16",
        "weights-bf16",
        "weights-rounded",
        "weights-quantised-8bit",
    }
)
"""Causes by which an export is less exact, and may be meant to be."""
_VARYING = frozenset({"dropout-active", "random-noise", "random-augmentation"})
"""Causes under which an export answers otherwise each time."""


def _on_this_run(result: ParityResult) -> str:
    return " on this run" if any(finding.cause in _VARYING for finding in result.findings) else ""


def report(
    result: ParityResult, *, width: int = WIDTH, verbosity: int = 0, paint: Paint = plain
) -> list[str]:
    """The report of one check as lines; the first one is :func:`headline`, at verbosity -1 alone.

    From verbosity 1 on there is a table of the nodes that differ, if the result has details.
    """
    first, rest = _first(result, width)
    lines = [first if result.passed else paint(first, "failure"), *_indented(filter(None, [rest]), width)]
    if verbosity < 0:
        return lines
    sections = _error_sections if result.verdict == "error" else _sections
    for section in sections(result, width, verbosity, paint):
        shown = list(section)
        lines += ["", *shown] if shown else []
    return lines


def _first(result: ParityResult, width: int) -> tuple[str, str]:
    """The first line of a report, and what of it is too long for that: the further sentences of an error.

    Long names are cut, so that they do not push away what the line is for; the report has them in full below.
    """
    if len(f"{result.model}: {verdict_line(result)}") <= width:
        return headline(result), ""
    if _leads(result):
        lead = _lead(result, min(width, _CI_WIDTH))
        if result.verdict == "error":
            return with_fix(lead, result), _said(result)
        return with_fix(f"{lead}, {measured(result)}", result), ""
    first, rest = verdict_line(result), ""
    if result.verdict == "error":
        first, *others = _SENTENCES.split(_said(result), maxsplit=1)
        rest = "".join(others)
    fits = len(f"{result.model}: {first}") <= width
    return f"{result.model if fits else _clipped(result.model, _LEAST_MODEL * 2)}: {first}", rest


def _lead(result: ParityResult, width: int) -> str:
    """Model, cause, certainty and place, of long names as much as ``width`` columns bear, and what else there is."""
    first = result.findings[0]
    place = places_of(first)[0]
    left = width - len(f": {first.cause} ({first.certainty}) in ")
    if len(result.model) + len(place) <= left:
        return f"{result.model}: {blamed(result.findings)}"
    of_place = max(_LEAST_PLACE, left - min(len(result.model), max(_LEAST_MODEL, left // 2)))
    model = _clipped(result.model, max(_LEAST_MODEL, left - min(len(place), of_place)))
    return f"{model}: {blamed(result.findings, place_width=of_place)}"


_SENTENCES = re.compile(r"(?<=[.?!]) (?=[A-Z`'\"])")
"""Where one sentence ends and the next begins."""


def _error_sections(
    result: ParityResult, width: int, verbosity: int, paint: Paint
) -> Iterator[Iterable[str]]:
    """What follows the first line of a check that could not be made; each section may be empty."""
    yield _indented((result.error or "").splitlines()[1:], width)
    yield from _findings(result, width, paint)


def _sections(result: ParityResult, width: int, verbosity: int, paint: Paint) -> Iterator[Iterable[str]]:
    """What follows the first line of a check that was made; each section may be empty."""
    yield _outputs(result, width)
    yield from _findings(result, width, paint)
    if result.downstream:
        noun = "node differs" if result.downstream == 1 else "nodes differ"
        yield [f"  {result.downstream} {noun} downstream of it."]
    if verbosity > 0 and result.details is not None:
        yield _nodes(result.details.nodes, width, paint)
    if verbosity > 0:
        yield _roundings(result)
    yield _tolerances(result)
    unsound = result.verdict == "fail" and all(output.passed for output in result.outputs)
    yield _indented(result.notes[1:] if unsound else result.notes, width)  # the first is the first line then
    yield _indented([f"{health.cause}: {health.message}" for health in result.health], width)


def number_text(value: float | int | str | None) -> str:
    """A number as people write it: three significant digits; ``none`` where there is none."""
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:.3g}"
    return str(value)


def at_least(value: float) -> str:
    """A tolerance as a short number that is not smaller than ``value``, so that it passes when typed."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    for digits in (2, 3, 6, 17):
        short = float(f"{value:.{digits}g}")
        if short < value:
            step = 10.0 ** (math.floor(math.log10(abs(value))) - digits + 1)
            short = float(f"{short + step:.{digits}g}")
        if short >= value:
            return f"{short:g}" if float(f"{short:g}") >= value else repr(short)
    return repr(value)


def _difference(output: OutputComparison) -> str:
    """What is wrong with one output, as a clause."""
    if output.problem is not None:
        return f"{output.export}: {output.problem}"
    if unmet(output) and not output.failing:
        return f"{output.export}: {', '.join(map(criterion_text, unmet(output)))}"
    share = f"{output.failing} of {output.total} values of {output.export}"
    if output.max_abs is None:
        return share
    return f"{share}, max abs {number_text(output.max_abs)} ({_allowed(output)})"


def _allowed(output: OutputComparison) -> str:
    if output.rounding_allowed is not None:
        times = "" if output.times_rounding is None else f"{number_text(float(output.times_rounding))} times "
        return f"{times}the rounding {number_text(output.rounding)}, {output.rounding_allowed:g} allowed"
    return ", ".join(tolerance_parts(output))


def tolerance_parts(output: OutputComparison) -> list[str]:
    """What was asked of an output: its tolerance, unless that allows anything, and its metrics with their values."""
    parts = [f"atol {output.atol:g}"] + ([f"rtol {output.rtol:g}"] if output.rtol else [])
    if output.rounding_allowed is not None:
        parts = [f"{output.rounding_allowed:g} times the rounding {number_text(output.rounding)}"]
    if output.statistic != "max":
        parts.append(f"of the {output.statistic}")
    metrics = [criterion_text(each) for each in output.criteria]
    return metrics if metrics and math.isinf(output.atol) else [*parts, *metrics]


def unmet(output: OutputComparison) -> list[Criterion]:
    """The metrics that an output does not meet."""
    return [each for each in output.criteria if not each.passed]


def criterion_text(criterion: Criterion) -> str:
    """A metric with its value and what was asked, as a clause: ``sqnr 20.7 dB, at least 23 asked``."""
    unit, bound = {"sqnr": (" dB", "least"), "steps": ("", "most")}.get(criterion.name, ("", "least"))
    digits = 9 if criterion.name == "cosine" else 4
    value = (
        f"{criterion.value:.{digits}g}{unit}" if criterion.value is not None else _without_value(criterion)
    )
    return f"{criterion.name} {value}, at {bound} {criterion.asked:g} asked"


def _without_value(criterion: Criterion) -> str:
    """In place of a metric that is no number."""
    if criterion.passed:
        return "infinite"
    if criterion.name == "cosine":
        return "undefined (no real numbers, not finite, all zeros, or all one number in the reference)"
    return "undefined (no real numbers, not finite, or all zeros in the reference)"


def would_pass(criterion: Criterion) -> str:
    """A metric that just passes, as it is stated; empty where none does."""
    value = criterion.value
    if value is None or (criterion.name == "cosine" and value <= 0):
        return ""
    return f"{criterion.name}={at_least(value) if criterion.name == 'steps' else at_most(value)}"


def at_most(value: float) -> str:
    """What must be at least so much, as a short number that is not larger than ``value``."""
    return at_least(-value).removeprefix("-") if value >= 0 else f"-{at_least(-value)}"


def _outputs(result: ParityResult, width: int) -> Iterator[str]:
    """The outputs that fail: where the worst element is, and a line for each when there are several."""
    failing = sorted((output for output in result.outputs if not output.passed), key=_badness, reverse=True)
    if not failing:
        return
    worst = failing[0]
    if worst.worst_index is not None:
        place = f"[{', '.join(map(str, worst.worst_index))}]"
        # without a finding the first line has the number of values
        share = (
            f"{worst.failing} of {worst.total} values of {worst.export} differ; " if result.findings else ""
        )
        yield from _indented(
            [
                f"{share}worst element {worst.export}{place}:"
                f" {worst.against} {number_text(worst.worst_reference)}, export {number_text(worst.worst_export)}"
            ],
            width,
        )
    for output in failing[1:8]:
        yield from _indented([_difference(output)], width)
    if len(failing) > 8:
        yield f"  and {len(failing) - 8} more outputs"


def _findings(result: ParityResult, width: int, paint: Paint) -> Iterator[Iterable[str]]:
    """Every finding; its fix where the first line has another, more of its cause behind the last of that cause."""
    on_first_line = fix_line(result)
    for index, finding in enumerate(result.findings):
        fix = f"Fix: {finding.fix}"
        last = finding.cause not in (each.cause for each in result.findings[index + 1 :])
        yield [
            *_finding(finding, width, paint),
            *(_wrapped(fix, width, "    ") if fix != on_first_line else []),
            *([f"    More: tfparity explain {finding.cause}"] if last else []),
        ]


def _finding(finding: Finding, width: int, paint: Paint) -> Iterator[str]:
    places = places_of(finding)
    more = f" and {len(places) - _NAMED} more" if len(places) > _NAMED else ""
    cause, certainty = paint(finding.cause, "cause"), paint(finding.certainty, finding.certainty)
    yield f"  {', '.join(places[:_NAMED])}{more}   {cause}   {certainty}"
    yield from _wrapped(finding.message, width, "    ")
    for evidence in finding.evidence:
        if evidence.rstrip(".") not in finding.message:
            yield from _wrapped(evidence, width, "    ")
    if repaired := repair_sentence(finding):
        yield f"    {repaired}"


def places_of(finding: Finding) -> tuple[str, ...]:
    """Where a finding is: layers, or nodes outside of any."""
    return tuple(filter(None, finding.scopes)) or finding.nodes or ("graph",)


def repair_sentence(finding: Finding) -> str:
    """What became of the repair, in a sentence; empty where none was tried."""
    if finding.repaired_max_abs is None:
        return ""
    if finding.repaired_max_abs == 0:
        return "Repaired in memory, the export computes exactly what the reference computes."
    return f"Repaired in memory, the export matches to {number_text(finding.repaired_max_abs)}."


def _nodes(nodes: Sequence[NodeDifference], width: int, paint: Paint) -> Iterator[str]:
    """The nodes that differ, inputs first. Of too many, culprits and those nearest to the inputs are shown."""
    differing = [node for node in nodes if node.culprit or node.accumulated != 0 or node.own]
    if not differing:
        return
    first = sorted(differing, key=lambda node: (not node.culprit, node.index))[:_MOST_ROWS]
    shown = sorted(first, key=lambda node: node.index)
    op = max(len("op"), *(len(node.op) for node in shown))
    name = min(max(20, width - op - 29), max(len("node"), *(len(node.name) for node in shown)))
    yield f"    {'node':{name}}  {'op':{op}}  {'accumulated':>11}  {'own':>8}"
    for node in shown:
        row = f"{_clipped(node.name, name):{name}}  {node.op:{op}}  {_cell(node.accumulated):>11}  {_cell(node.own):>8}"
        mark = "*" if node.own else " "
        yield paint(f"  > {row}", "culprit") if node.culprit else f"  {mark} {row}"
    if any(node.own and not node.culprit for node in shown):
        yield "    * differs by itself; no finding names this node"
    if len(differing) > len(shown):
        yield f"    and {len(differing) - len(shown)} more"


def _cell(value: float | None) -> str:
    return "-" if value is None else number_text(float(value))


def _clipped(name: str, width: int) -> str:
    """``name`` in at most ``width`` characters; its end tells more than its beginning."""
    return name if len(name) <= width else f"...{name[3 - width :]}"


def _roundings(result: ParityResult) -> Iterator[str]:
    """How far from the exact answer the outputs are that a plain tolerance judges, where that is known."""
    for output in result.outputs:
        if output.times_rounding is not None and output.rounding_allowed is None:
            times = f"{number_text(float(output.times_rounding))} times the rounding {number_text(output.rounding)}"
            yield f"  {output.export} is {times} from the exact answer."


def _tolerances(result: ParityResult) -> Iterator[str]:
    """The smallest tolerance with which every failing output would pass, if there is one, and the metrics likewise.

    Beside a fault that is sure a tolerance would only hide it; where precision is all, it may be the mend.
    """
    failing = [output for output in result.outputs if not output.passed]
    yield from filter(None, map(_metrics_that_pass, failing))
    if not failing or not tolerable(result):
        return
    choices = []
    for name in ("atol", "rtol"):
        needed = [getattr(output, f"required_{name}") for output in failing]
        most = math.inf if name == "atol" else 1.0  # a relative tolerance above 1 allows anything
        if all(value is not None and math.isfinite(value) and value <= most for value in needed):
            choices.append(f"{name}={at_least(max(needed))}")
    if choices:
        yield f"  Smallest tolerance that would pass: {' or '.join(choices)}"


def tolerable(result: ParityResult) -> bool:
    """Whether another tolerance may be the mend: no fault is sure, or none but of precision."""
    return all(each.certainty == "suggestive" or each.cause in _PRECISION for each in result.findings)


def _metrics_that_pass(output: OutputComparison) -> str:
    """The metrics with which an output would pass that fails by them alone."""
    passing = list(map(would_pass, unmet(output)))
    if not passing or not all(passing) or output.problem is not None or output.failing:
        return ""
    return f"  {output.export} would pass with {', '.join(passing)}"


def _closest(outputs: Sequence[OutputComparison]) -> str:
    """How near a passing check came to its tolerance, as a clause."""
    finite = [output for output in outputs if output.max_abs is not None]
    if not finite:
        return ""
    worst = max(finite, key=lambda output: output.used or 0.0)
    return f" to {number_text(worst.max_abs)} ({_allowed(worst)})"


def _badness(output: OutputComparison) -> float:
    return math.inf if output.used is None else output.used


def _reference(result: ParityResult) -> str:
    return "golden" if any(output.against == "golden" for output in result.outputs) else result.reference_noun


def _first_line(text: str) -> str:
    return text.splitlines()[0] if text else text


def _indented(texts: Iterable[str], width: int) -> list[str]:
    return [line for text in texts for line in _wrapped(text, width, "  ")]


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    return textwrap.wrap(
        text,
        max(40, width),
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [""]
