"""What a JUnit file says of a parity test, as properties of the test suite or of the test case.

Values are plain text and numbers: pytest-xdist drops a report that holds anything else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..result import ParityResult


def properties(results: Sequence[ParityResult]) -> Iterator[tuple[str, str | float]]:
    """Name and value of each property: verdict, largest difference, causes and culprits of each model."""
    for result in results:
        prefix = "tfparity" if len(results) == 1 else f"tfparity.{result.model}"
        yield f"{prefix}.verdict", result.verdict
        differences = [output.max_abs for output in result.outputs if output.max_abs is not None]
        if differences:
            yield f"{prefix}.max_abs", float(max(differences))
        for finding in result.findings:
            yield f"{prefix}.cause", f"{finding.cause} ({finding.certainty})"
            yield f"{prefix}.culprits", ", ".join(finding.scopes or finding.nodes)
        for health in result.health:
            yield f"{prefix}.health", health.cause
