"""Random graphs: written otherwise they stay proven, changed in one place they never are."""

from __future__ import annotations

import pytest

from graphs.generated import Draw, changed, rewritten
from graphs.plain import align, prove
from pytest_tfparity.graph.align.divergence import Kind
from pytest_tfparity.graph.proof.fingerprint import Contents
from pytest_tfparity.graph.proof.proof import normalised


def named(divergences, node: str) -> bool:
    return any(node in (*each.reference, *each.export, *each.readers) for each in divergences)


def attempt(seed: int, *, rename: bool) -> str | None:
    """Change one thing in a random graph; what was done, or None if it changed no result."""
    draw = Draw(seed)
    export = rewritten(draw.side, seed, rename=rename)
    change = changed(export, seed)
    if change.kind in ("edge", "delete", "insert") and _same_anyway(export, change.side):
        return None
    proof = prove(draw.side, change.side)
    assert not proof.proven, f"false proof: seed {seed}, {change.kind} at {change.node}"
    if change.kind == "delete":
        return change.kind
    found = align(draw.side, change.side).divergences
    assert found, f"no divergence: seed {seed}, {change.kind} at {change.node}"
    return (
        change.kind
        + ("" if named(found, change.node) else " elsewhere")
        + (" more" if len(found) > 1 else "")
    )


def _same_anyway(before, after) -> bool:
    """Whether a change of an edge leads to a tensor that holds the same (twice the same op on the same input)."""
    return prove(before, after).proven and _text(before) == _text(after)


def _text(side) -> list[str]:
    """What a graph computes, written out in full: an oracle that shares no code with the proof."""
    written: dict[str, str] = {}
    for node in side.graph.live([str(output) for output in side.outputs]).values():
        sources = [f"{written[source.node]}:{source.port}" for source in node.inputs]
        if node.op in ("Identity", "StopGradient", "Snapshot"):
            written[node.name] = written[node.inputs[0].node]
            continue
        value = node.attrs.get("value", side.variables.get(node.name))
        if value is not None:
            written[node.name] = f"{value.array.dtype}{value.array.tobytes().hex()}{value.shape}"
            continue
        if node.op in ("AddV2", "Mul"):
            sources.sort()
        attrs = sorted(
            (k, v) for k, v in node.attrs.items() if k not in ("_class", "dilations", "data_format", "U")
        )
        written[node.name] = str(hash((node.op, tuple(sources), str(attrs))))
    return [f"{written[output.node]}:{output.port}" for output in side.outputs]


@pytest.mark.parametrize("block", range(10))
def test_a_graph_and_itself_written_otherwise_are_proven_equal(block):
    for seed in range(block * 20, block * 20 + 20):
        side = Draw(seed).side
        proof = prove(side, rewritten(side, seed))
        assert proof.proven, proof.reason
        contents = Contents()
        one, other = normalised(side, contents), normalised(rewritten(side, seed), contents)
        assert one.outputs == other.outputs
        assert align(side, rewritten(side, seed)).divergences == ()


def tried(seeds: range) -> dict[str, int]:
    counts: dict[str, int] = {}
    for seed in seeds:
        kind = attempt(seed, rename=bool(seed % 2))
        if kind is not None:
            counts[kind] = counts.get(kind, 0) + 1
    return counts


def test_no_changed_graph_is_proven_and_the_change_is_located():
    counts = tried(range(600))
    total = sum(counts.values())
    assert total >= 500
    assert sum(count for kind, count in counts.items() if "elsewhere" in kind) <= 0.01 * total, counts
    assert sum(count for kind, count in counts.items() if "more" in kind) <= 0.01 * total, counts


@pytest.mark.slow
def test_ten_thousand_changes_give_no_false_proof():
    counts = tried(range(600, 12000))
    total = sum(counts.values())
    assert total >= 10_000
    assert len({kind.split()[0] for kind in counts}) == 6
    assert sum(count for kind, count in counts.items() if "elsewhere" in kind) <= 0.01 * total, counts


def test_a_changed_weight_bit_is_named_and_nothing_else():
    for seed in range(200):
        side = Draw(seed).side
        change = changed(rewritten(side, seed, rename=False), seed)
        if change.kind == "bit":
            (found,) = align(side, change.side).divergences
            assert found.kind is Kind.CONSTANT
            assert found.export == (change.node,)
