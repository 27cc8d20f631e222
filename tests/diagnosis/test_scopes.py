"""Name scopes stand for layers where no weight tells more."""

import pytest

from pytest_tfparity.diagnosis.scopes import common_scope, scope_of, scopes_of


def test_a_name_outside_of_all_scopes_is_its_own() -> None:
    assert [scope_of(name) for name in ("block/conv/kernel", "conv")] == ["block/conv", "conv"]
    assert scopes_of(["a/x", "a/y", "b/x"]) == ("a", "b")


@pytest.mark.parametrize(
    ("nodes", "scopes"),
    [
        (("net/a/x", "net/a/y"), ("net/a",)),
        (("net/a/x", "net/b/y"), ("net",)),
        (("a/x", "a/b/y", "c/z"), ("a", "c")),
        (("a/x", "top"), ("a",)),
        (("top", "other"), ("top", "other")),
    ],
)
def test_the_common_scope_is_the_innermost_that_holds_all_else_the_outermost_ones(
    nodes: tuple[str, ...], scopes: tuple[str, ...]
) -> None:
    assert common_scope(nodes) == scopes
