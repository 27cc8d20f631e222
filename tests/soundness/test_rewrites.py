"""What real tools write of many networks: never proven where TensorFlow computes other bits, and mostly where not."""

from __future__ import annotations

import pytest

from soundness.networks import FAMILIES, batches, network
from soundness.rewrites import EXACT, TOOLS, Subject, applied, frozen, subjects, table


def test_what_optimisers_write_of_a_few_networks_is_proven() -> None:
    few = []
    for family in ("integers", "quantised", "calls", "conditional"):
        model = network(family, 0)
        feeds = [(batch,) for batch in batches(model, 7)]
        few.append((family, Subject(reference=model, frozen=frozen(model), feeds=feeds)))
    tallies = applied(few, {name: TOOLS[name] for name in EXACT})
    for name, tally in tallies.items():
        assert tally.false == tally.failed == tally.open == [], name
    assert tallies["default, no remapper"].changed == len(few)


@pytest.mark.slow
def test_what_tools_write_of_many_networks_is_proven_where_it_is_exact(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tallies = applied(subjects())
    with capsys.disabled():
        print(f"\n{table(tallies)}")
    assert [told for tally in tallies.values() for told in tally.false] == []
    assert tallies["freezing"].proven > 2 * len(FAMILIES)
    for name in EXACT:
        share = 0.8 if name.startswith("default") else 0.9
        assert tallies[name].proven >= share * tallies[name].exact, tallies[name].open
