"""The closing lines of a session."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from ..result import OutputComparison, ParityResult
from .terminal import VERDICTS, criterion_text

_ACTIONS = ("created", "updated", "unchanged")
"""What an update did to a file, the first of them where several tests share it."""


def closing_lines(results: Sequence[ParityResult]) -> list[str]:
    """What a session should say once at its end, about all its checks together."""
    lines = [_verdicts(results)] if results else []
    lines += [f"{result.model}: {note}" for result in results if result.passed for note in result.notes]
    return list(dict.fromkeys(lines))


def margin_lines(results: Sequence[ParityResult]) -> list[str]:
    """How much of its tolerance each output of a passing check uses, and of its reference's rounding where known.

    Where metrics are asked for, also what they are.
    """
    return [
        f"{result.model}: {output.export} {', '.join(_margins(output))}"
        for result in results
        if result.verdict == "pass"
        for output in result.outputs
        if output.used is not None
    ]


def _margins(output: OutputComparison) -> Iterator[str]:
    if not (output.criteria and math.isinf(output.atol)):
        yield f"uses {output.used:.0%} of its tolerance{_rounding(output)}"
    if output.criteria:
        yield f"has {', '.join(map(criterion_text, output.criteria))}"


def _rounding(output: OutputComparison) -> str:
    if output.times_rounding is None or output.rounding is None:
        return ""
    return f", {output.times_rounding:.2g} times the rounding {output.rounding:.3g}"


def _verdicts(results: Sequence[ParityResult]) -> str:
    return "parity: " + ", ".join(
        f"{len(found)} {word}{_remembered(found)}"
        for verdict, word in VERDICTS.items()
        if (found := [each for each in results if each.verdict == verdict])
    )


def _remembered(results: Sequence[ParityResult]) -> str:
    """How many of the verdicts are those of an earlier run."""
    count = sum(each.remembered for each in results)
    return f" ({count} remembered, {'its' if count == 1 else 'their'} files being unchanged)" if count else ""


def golden_lines(results: Sequence[ParityResult]) -> list[str]:
    """``2 created, 1 updated (max change 3.1e-2), 5 unchanged``, then the files that were written.

    Several tests may share one file; what was done to it first is what happened.
    """
    files: dict[str, tuple[str, float | None]] = {}
    for action in _ACTIONS:
        for result in results:
            if result.golden and result.golden_action == action:
                files.setdefault(result.golden, (action, result.golden_change))
    if not files:
        return ["goldens: none written"]
    counts = [
        _count(action, [change for done, change in files.values() if done == action]) for action in _ACTIONS
    ]
    written = [f"  {action} {path}" for path, (action, _) in sorted(files.items()) if action != "unchanged"]
    return [f"goldens: {', '.join(filter(None, counts))}", *written]


def _count(action: str, changes: Sequence[float | None]) -> str:
    """How many files this was done to, each with its largest change; empty for none."""
    if not changes:
        return ""
    known = [change for change in changes if change is not None]
    largest = f" (max change {max(known):.1e})" if action == "updated" and known else ""
    return f"{len(changes)} {action}{largest}"
