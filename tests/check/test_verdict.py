"""A verdict follows from all that is known of a check, at once."""

from __future__ import annotations

import pytest

from pytest_tfparity.check.verdict import decided
from pytest_tfparity.result import Health, ParityResult

UNSOUND = (Health(cause="non-finite", scopes=("a",), message="It holds NaN."),)


def draft(health: tuple[Health, ...] = ()) -> ParityResult:
    return ParityResult(nodeid="", model="net", verdict="error", reference="", export="", health=health)


@pytest.mark.parametrize(
    ("alike", "loads", "proven", "verdict"),
    [
        (True, True, True, "proven"),
        (True, True, False, "pass"),
        (True, False, True, "fail"),
        (False, True, True, "fail"),
    ],
)
def test_what_is_alike_and_loads_passes(alike: bool, loads: bool, proven: bool, verdict: str) -> None:
    for health in ((), UNSOUND):
        found = decided(draft(health), alike=alike, loads=loads, proven=proven, strict=False)
        assert (found.verdict, found.notes) == (verdict, ())


def test_an_unsound_checkpoint_fails_what_would_pass_where_that_was_asked() -> None:
    found = decided(draft(UNSOUND), alike=True, loads=True, proven=True, strict=True)
    assert (found.verdict, found.notes) == ("fail", ("The checkpoint is unsound: It holds NaN.",))
    sound = decided(draft(), alike=True, loads=True, proven=True, strict=True)
    assert sound.verdict == "proven"
