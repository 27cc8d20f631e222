"""The closing lines of a session."""

from __future__ import annotations

from collections.abc import Sequence

from ..result import ParityResult


def closing_lines(results: Sequence[ParityResult]) -> list[str]:
    """What a session should say once at its end, about all its checks together."""
    lines = [_verdicts(results)] if results else []
    lines += [f"{result.model}: {note}" for result in results if result.passed for note in result.notes]
    return list(dict.fromkeys(lines))


def _verdicts(results: Sequence[ParityResult]) -> str:
    words = {
        "proven": "proven equal",
        "pass": "within tolerance",
        "fail": "different",
        "error": "not comparable",
    }
    counts = [(word, sum(result.verdict == verdict for result in results)) for verdict, word in words.items()]
    return "parity: " + ", ".join(f"{count} {word}" for word, count in counts if count)


def golden_lines(results: Sequence[ParityResult]) -> list[str]:
    """``2 created, 1 updated (max change 3.1e-2), 5 unchanged``, then the files that were written.

    Several tests may share one file; what was done to it first is what happened.
    """
    rank = {"created": 0, "updated": 1, "unchanged": 2}
    files: dict[str, ParityResult] = {}
    for result in results:
        if result.golden and result.golden_action in rank:
            known = files.get(result.golden)
            if known is None or rank[result.golden_action] < rank[known.golden_action or "unchanged"]:
                files[result.golden] = result
    counts = []
    for action in rank:
        done = [result for result in files.values() if result.golden_action == action]
        if done:
            changes = [result.golden_change for result in done if result.golden_change is not None]
            change = f" (max change {max(changes):.1e})" if action == "updated" and changes else ""
            counts.append(f"{len(done)} {action}{change}")
    if not counts:
        return ["goldens: none written"]
    written = [
        f"  {result.golden_action} {path}"
        for path, result in sorted(files.items())
        if result.golden_action != "unchanged"
    ]
    return [f"goldens: {', '.join(counts)}", *written]
