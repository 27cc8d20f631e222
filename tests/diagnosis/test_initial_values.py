"""Whether a kernel looks drawn by its initialiser: by its bounds, and by how its values are spread between them."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_tfparity.diagnosis.initial_values import Spread, Start


def drawn(spread: Spread, seed: int, count: int = 2048) -> np.ndarray:
    random = np.random.default_rng(seed)
    if spread == "uniform":
        return random.uniform(-0.3, 0.3, count).astype(np.float32)
    normal = random.normal(size=4 * count)
    return (normal[np.abs(normal) < 2][:count] * 0.15).astype(np.float32)


@pytest.mark.parametrize("spread", ["uniform", "truncated normal"])
def test_what_an_initialiser_draws_is_spread_so(spread: Spread) -> None:
    start = Start(low=-0.3, high=0.3, spread=spread)
    assert sum(start.is_spread_so(drawn(spread, seed)) for seed in range(100)) >= 95


@pytest.mark.parametrize("spread", ["uniform", "truncated normal"])
def test_trained_values_that_were_scaled_into_the_bounds_are_not(spread: Spread) -> None:
    start = Start(low=-0.3, high=0.3, spread=spread)
    for seed in range(100):
        values = np.random.default_rng(seed).normal(size=2048)
        scaled = (values * (0.29 / np.abs(values).max())).astype(np.float32)
        assert start.may_be(scaled)
        assert not start.is_spread_so(scaled)


def test_few_values_do_not_tell() -> None:
    assert not Start(low=-0.3, high=0.3, spread="uniform").is_spread_so(drawn("uniform", 1, 64))
    assert not Start(low=-0.3, high=0.3).is_spread_so(drawn("uniform", 1))
