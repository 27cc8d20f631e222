"""Name scopes stand for layers where no weight tells more."""

import pytest

from pytest_tfparity.graph.layer import common_layer, layer_around_conditional, layer_of, layers_of


def test_a_name_outside_of_all_scopes_is_its_own() -> None:
    assert [layer_of(name) for name in ("block/conv/kernel", "conv")] == ["block/conv", "conv"]
    assert layers_of(["a/x", "a/y", "b/x"]) == ("a", "b")

    assert layers_of(["a/cond/x", "a/y_1"]) == ("a",)


def test_the_layer_around_a_conditional_is_before_all_that_stands_in_it() -> None:
    assert layer_around_conditional("net/drop/cond/dropout/random") == "net/drop"
    assert layer_around_conditional("net/drop/smart_cond_1/cond/random") == "net/drop"


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
    assert common_layer(nodes) == scopes
