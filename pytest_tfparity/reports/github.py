"""What GitHub shows of a run: annotations on lines, and a summary in Markdown.

Workflow commands:
https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

import html
from collections.abc import Sequence

from ..result import Finding, ParityResult
from .terminal import VERDICTS, number_text, places_of, repair_sentence, verdict_line, with_fix


def annotation(result: ParityResult, file: str, line: int) -> str:
    """A workflow command that marks ``file`` at ``line`` (from 1) with what went wrong."""
    told = [
        f"{finding.cause}: {finding.message}{f' Fix: {finding.fix}' if number else ''}"
        for number, finding in enumerate(result.findings[:3])
    ]
    lines = [with_fix(verdict_line(result), result), *told]
    title = _property(f"parity: {result.model}")
    return f"::error file={_property(file)},line={line},title={title}::{_data(chr(10).join(lines))}"


def summary(results: Sequence[ParityResult]) -> str:
    """All checks of a session as a Markdown table, and what is wrong with those that fail."""
    rows = [
        "## Export parity",
        "",
        "| check | verdict | cause and place | fix | largest difference |",
        "|---|---|---|---|---|",
        *(_row(result) for result in sorted(results, key=lambda each: (each.passed, each.nodeid))),
    ]
    for result in results:
        if not result.passed:
            rows += ["", f"### {_text(result.model)}", "", _text(verdict_line(result))]
            rows += [line for finding in result.findings for line in _finding(finding)]
    return "\n".join(rows) + "\n"


def _row(result: ParityResult) -> str:
    differences = [output.max_abs for output in result.outputs if output.max_abs is not None]
    largest = number_text(max(differences)) if differences else ""
    causes = "<br>".join(
        f"`{each.cause}` ({each.certainty}) in {_places(each, 3)}" for each in result.findings
    )
    if not result.findings and not result.passed:
        causes = _text(verdict_line(result))
    fix = _text(result.findings[0].fix) if result.findings else ""
    verdict = VERDICTS[result.verdict] if result.passed else f"**{VERDICTS[result.verdict]}**"
    return f"| {_text(result.model)} | {verdict} | {causes} | {fix} | {largest} |"


def _places(finding: Finding, most: int) -> str:
    places = places_of(finding)
    more = f" and {len(places) - most} more" if len(places) > most else ""
    return ", ".join(map(_code, places[:most])) + more


def _finding(finding: Finding) -> list[str]:
    proof = [repair_sentence(finding)] if repair_sentence(finding) else []
    return [
        "",
        f"- **{finding.cause}** ({finding.certainty}): {_places(finding, 8)}",
        *(f"  {_text(text)}" for text in (finding.message, *proof, f"Fix: {finding.fix}")),
    ]


def _text(text: str) -> str:
    """``text`` with what Markdown would take for a table's or HTML's own marks taken out of the way."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")


def _code(text: str) -> str:
    """``text`` as code: in HTML's own mark, which no backtick ends."""
    return f"`{text}`" if "`" not in text and "|" not in text else f"<code>{html.escape(text)}</code>"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
