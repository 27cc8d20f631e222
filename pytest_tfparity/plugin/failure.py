"""The failure of a check, as a test raises it."""

from __future__ import annotations

from ..result import ParityResult


class ParityFailure(AssertionError):
    """The export does not match; ``result`` holds what was found, ``str()`` is the report."""

    __module__ = "pytest_tfparity"  # where it is exported: so pytest names it

    def __init__(self, result: ParityResult) -> None:
        from ..reports.terminal import report

        super().__init__("\n".join(report(result)))
        self.result = result

    def __reduce__(self) -> tuple[type[ParityFailure], tuple[ParityResult]]:
        return type(self), (self.result,)
