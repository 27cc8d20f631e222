"""Thousands of graphs with one thing changed: what is proven of them is so when TensorFlow runs them.

``TFPARITY_MUTANTS`` sets how many the slow test makes (20,000 if it is not set).
"""

from __future__ import annotations

import os

import pytest

from soundness.mutants import Score, crowd
from soundness.networks import FAMILIES, networks

FATES = (
    "not proven", "refused by the reader", "unloadable", "proven and equal", "proven, an unneeded node is refused",
    *Score.WRONG,
)  # fmt: skip


def checked(score: Score, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{score.table(FATES)}")
    assert {fate for _, fate in score.counts} <= set(FATES)
    assert not score.wrong, "\n".join(score.wrong)


def test_what_is_proven_of_a_mutant_is_so(capsys: pytest.CaptureFixture[str]) -> None:
    score = crowd(networks(range(3)), 8)
    assert score.total() == 8 * 3 * len(FAMILIES)
    checked(score, capsys)


@pytest.mark.slow
def test_what_is_proven_of_many_mutants_is_so(capsys: pytest.CaptureFixture[str]) -> None:
    wanted = int(os.environ.get("TFPARITY_MUTANTS", "20000"))
    seeds = 4
    each = -(-wanted // (seeds * len(FAMILIES)))
    score = crowd(networks(range(10, 10 + seeds)), each, seed=1)
    assert score.total() >= wanted
    checked(score, capsys)
